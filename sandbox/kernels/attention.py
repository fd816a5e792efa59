"""Softmax attention of queries over keys, forward and backward, in blocks that stay in a cache.

    s_ij = scale q_i . k_j,  or  a . tanh(q_i + k_j)      the additive score, with a vector a
    w_ij = exp(s_ij - m_i) / Z_i                          m_i = max_j s_ij, Z_i = sum_j exp(s_ij - m_i)
    c_i  = sum_j w_ij v_j                                 over the keys j that query i sees

Of sequence b the keys 0 to counts[b] - 1 are there, and query i sees keys 0 to starts[b] + i of them: `starts` is how
many keys came before the first query, or any number from S on where every query sees every key. Of a sequence without
keys the context and all gradients are 0.

A block is `CHUNK` keys and as many queries as a panel of `gemm` has columns. Its scores stand keys by queries, which is
what a packed panel looks like: they are made, turned into weights and multiplied by the values without being moved.
Maximum, sum and context of a query go on from chunk to chunk, brought to the new maximum first (Milakov & Gimelshein
2018, algorithm 3). Weights are not kept: backward makes them again from m_i and Z_i, so that memory grows with T and
not with T^2 (Dao et al. 2022).

Softmax is vectorised over queries, sums over keys are chains over ascending keys. A panel's columns are its queries
from the last to the first, as panels are: gradients of keys and values are chains that start at the last query. So the
width of a panel, which is the machine's, decides no bit.

Arrays are time-major, (T, B, .) and (S, B, .); each comes with its first column, from which on heads stand side by
side, d wide for q and k and e wide for v and the context.
"""

import numpy as np

from sandbox.jit import inline, kernel, lean
from sandbox.kernels.activations import exp, tanh
from sandbox.kernels.gemm import PANEL_BYTES, call_product, pack_into, pointer

__all__ = ["add_rows", "backward", "forward", "weights"]

CHUNK = 256  # keys: a block of scores in float32 takes 32 kB
APART = 16  # further columns of a turned chunk, whose rows would share few cache sets if they were a power of two apart


@kernel
def forward(product, first, last, heads, d, scale, q, q_at, k, k_at, v, v_at, a, starts, counts, tops, sums, context):
    """Fill the context (T, B, H e) of pairs b H + h of sequence and head from `first` to `last` - 1.

    Parameters
    ----------
    product
        Address of `gemm.product`.
    a : (d,)
        For the additive score; empty for products.
    tops, sums : (B, H, T)
        Filled with m and Z of sequences that have keys.
    """
    T, e, wide = len(q), context.shape[2] // heads, PANEL_BYTES // q.itemsize
    panels = _panels(T, wide)
    queries, terms, s = np.empty((panels, d * wide), q.dtype), np.empty(d, q.dtype), np.zeros((CHUNK, wide), q.dtype)
    keys, turned = np.empty((CHUNK, d), q.dtype), np.empty((e, CHUNK + APART), q.dtype)
    out, factor = np.empty((panels, e, wide), q.dtype), np.empty(wide, q.dtype)
    top, Z = np.empty((panels, wide), q.dtype), np.empty((panels, wide), q.dtype)
    for pair in range(first, last):
        b, h = pair // heads, pair % heads
        n, begin, q_row, c_row = counts[b], starts[b], _row(q), _row(context)
        q_here, c_here = _place(q, q_at, b, h, d), _place(context, 0, b, h, e)
        if n == 0:
            _clear(context, c_here, c_row, T, e)
            continue
        _pack_all(q, q_here, T, wide, True, scale, queries, d)
        for p in range(panels):
            _clear(out, p * e * wide, wide, e, wide)
            for l in range(wide):
                top[p, l], Z[p, l] = -np.inf, 0
        for j in range(0, n, CHUNK):
            rows = min(CHUNK, n - j)
            _copy(k, _place(k, k_at, b, h, d) + j * _row(k), _row(k), rows, keys)
            _turn(v, _place(v, v_at, b, h, e) + j * _row(v), _row(v), rows, turned)
            for p in range(panels):
                i = T - p * wide
                seen = min(rows, begin + i - j)
                if seen < 1:
                    break
                _score(product, queries[p], q, q_here + (i - 1) * q_row, -q_row, min(wide, i), keys, seen, a, terms, s)
                _hide(s, seen, min(wide, i), begin + i - j)
                _go_on(s, seen, top[p], Z[p], factor, out[p])
                at = p * e * wide
                call_product(product, pointer(turned, 0), CHUNK + APART, pointer(s, 0), seen, pointer(out, at), wide, e,
                             wide)  # fmt: skip
        for p in range(panels):
            i = T - p * wide
            for l in range(min(wide, i)):
                tops[b, h, i - 1 - l], sums[b, h, i - 1 - l] = top[p, l], Z[p, l]
            _divide(out[p], Z[p])
            _put(out[p], min(wide, i), context, c_here + (i - 1) * c_row, -c_row)


@kernel
def backward(product, first, last, heads, d, scale, q, q_at, k, k_at, v, v_at, a, starts, counts, tops, sums, context,
             dcontext, dq, dq_at, dk, dk_at, dv, dv_at, da):  # fmt: skip
    """Fill dq and add to dk, dv and da, for pairs of sequence and head from `first` to `last` - 1.

        dw_ij = dc_i . v_j,   ds_ij = w_ij (dw_ij - dc_i . c_i)
        dq_i = scale sum_j ds_ij k_j,   dk_j = scale sum_i ds_ij q_i,   dv_j = sum_i w_ij dc_i

    Additive: with t_ij = tanh(q_i + k_j) and g_ij = ds_ij a (1 - t_ij^2), dq_i = sum_j g_ij, dk_j = sum_i g_ij, and
    da = sum_ij ds_ij t_ij.

    Parameters
    ----------
    dcontext : (T, B, H e)
    dq, dk, dv
        As q, k and v, each with its first column; dk and dv must not overlap.
    da : (B, d) float64
        Of each sequence its own.
    """
    T, e, wide = len(q), context.shape[2] // heads, PANEL_BYTES // q.itemsize
    panels, d_wide, e_wide = _panels(T, wide), _panels(d, wide) * wide, _panels(e, wide) * wide
    queries, inflow = np.empty((panels, d * wide), q.dtype), np.empty((panels, e * wide), q.dtype)
    query_rows, inflow_rows = np.zeros((panels, wide * d_wide), q.dtype), np.zeros((panels, wide * e_wide), q.dtype)
    keys, dkeys = np.empty((CHUNK, d), q.dtype), np.empty((CHUNK, d), q.dtype)
    values, dvalues = np.empty((CHUNK, e), q.dtype), np.empty((CHUNK, e), q.dtype)
    w, ds, means = np.zeros((CHUNK, wide), q.dtype), np.empty((CHUNK, wide), q.dtype), np.empty((panels, wide), q.dtype)
    turned, out = np.empty((d, CHUNK + APART), q.dtype), np.empty((panels, d, wide), q.dtype)
    top, Z, terms = np.zeros((panels, wide), q.dtype), np.zeros((panels, wide), q.dtype), np.empty(d, q.dtype)
    for pair in range(first, last):
        b, h = pair // heads, pair % heads
        n, begin, q_row, dq_row, c_row = counts[b], starts[b], _row(q), _row(dq), _row(context)
        q_here, dq_here, c_here = _place(q, q_at, b, h, d), _place(dq, dq_at, b, h, d), _place(context, 0, b, h, e)
        _clear(dq, dq_here, dq_row, T, d)
        if n == 0:
            continue
        _pack_all(q, q_here, T, wide, True, scale, queries, d)
        _pack_all(q, q_here, T, wide, False, scale, query_rows, d)
        _pack_all(dcontext, c_here, T, wide, True, 1.0, inflow, e)
        _pack_all(dcontext, c_here, T, wide, False, 1.0, inflow_rows, e)
        for p in range(panels):
            i = T - p * wide
            _recall(tops[b, h], sums[b, h], i, top[p], Z[p])
            _means(context, c_here + (i - 1) * c_row, -c_row, min(wide, i), inflow[p], means[p])
            _clear(out, p * d * wide, wide, d, wide)
        for j in range(0, n, CHUNK):
            rows = min(CHUNK, n - j)
            dk_here, dv_here = _place(dk, dk_at, b, h, d) + j * _row(dk), _place(dv, dv_at, b, h, e) + j * _row(dv)
            _copy(k, _place(k, k_at, b, h, d) + j * _row(k), _row(k), rows, keys)
            _copy(v, _place(v, v_at, b, h, e) + j * _row(v), _row(v), rows, values)
            _copy(dk, dk_here, _row(dk), rows, dkeys)
            _copy(dv, dv_here, _row(dv), rows, dvalues)
            _turn(keys, 0, d, rows, turned)
            for p in range(panels):
                i = T - p * wide
                some, seen = min(wide, i), min(rows, begin + i - j)
                if seen < 1:
                    break
                _score(product, queries[p], q, q_here + (i - 1) * q_row, -q_row, some, keys, seen, a, terms, w)
                _hide(w, seen, some, begin + i - j)
                _weigh(w, seen, top[p], Z[p])
                _values_backward(product, values, seen, inflow[p], inflow_rows[p], some, means[p], w, ds, dvalues)
                if a.size:
                    _additive_backward(q, q_here + (i - 1) * q_row, -q_row, some, keys, seen, a, ds, dq,
                                       dq_here + (i - 1) * dq_row, -dq_row, dkeys, da[b])  # fmt: skip
                else:
                    _product_backward(product, query_rows[p], some, turned, seen, ds, out[p], dkeys)
            _copy_back(dkeys, rows, dk, dk_here, _row(dk))
            _copy_back(dvalues, rows, dv, dv_here, _row(dv))
        for p in range(0 if a.size else panels):
            i = T - p * wide
            _scale(out[p].reshape(-1), scale)
            _put(out[p], min(wide, i), dq, dq_here + (i - 1) * dq_row, -dq_row)


@kernel
def weights(product, d, scale, q, q_at, k, k_at, a, counts, tops, sums, w):
    """Fill w (T, B, S), zeros so far, of one head whose queries see every key, from what `forward` found."""
    T, wide = len(q), PANEL_BYTES // q.itemsize
    panels = _panels(T, wide)
    queries, terms, keys = np.empty((panels, d * wide), q.dtype), np.empty(d, q.dtype), np.empty((len(k), d), q.dtype)
    s, top, Z = np.zeros((len(k), wide), q.dtype), np.zeros(wide, q.dtype), np.zeros(wide, q.dtype)
    for b in range(q.shape[1]):
        n, q_row, q_here = counts[b], _row(q), _place(q, q_at, b, 0, d)
        _copy(k, _place(k, k_at, b, 0, d), _row(k), n, keys)
        _pack_all(q, q_here, T, wide, True, scale, queries, d)
        for p in range(panels if n else 0):
            i = T - p * wide
            some = min(wide, i)
            _score(product, queries[p], q, q_here + (i - 1) * q_row, -q_row, some, keys, n, a, terms, s)
            _recall(tops[b, 0], sums[b, 0], i, top, Z)
            _weigh(s, n, top, Z)
            for l in range(some):
                for j in range(n):
                    w[i - 1 - l, b, j] = s[j, l]


@inline
def _panels(columns, wide):
    """How many panels so many columns take."""
    return (columns + wide - 1) // wide


@inline
def _row(x):
    """Distance between the steps of one sequence, in elements."""
    return x.shape[1] * x.shape[2]


@inline
def _place(x, column, b, head, width):
    """Flat index of a head's first element at the first step of sequence b."""
    return b * x.shape[2] + column + head * width


# Rows of one head: `at` is the flat index of the first one in x, `stride` the distance to the next, maybe negative.
# Inner loops run over slices: of an index that is computed the compiler does not know that it is not negative, and a
# negative one counts from the end.


@lean
def _copy(x, at, stride, rows, out):
    """To the first rows of `out`."""
    flat, width = x.reshape(-1), out.shape[1]
    for j in range(rows):
        row, copy = flat[at + j * stride :][:width], out[j]
        for m in range(width):
            copy[m] = row[m]


@lean
def _copy_back(out, rows, x, at, stride):
    """From the first rows of `out`."""
    flat, width = x.reshape(-1), out.shape[1]
    for j in range(rows):
        row, copy = flat[at + j * stride :][:width], out[j]
        for m in range(width):
            row[m] = copy[m]


@lean
def _turn(x, at, stride, rows, out):
    """To columns of `out`."""
    flat = x.reshape(-1)
    for j_first in range(0, rows, APART):
        for m in range(len(out)):
            row = out[m]
            for j in range(j_first, min(j_first + APART, rows)):
                row[j] = flat[at + j * stride + m]


@lean
def _put(columns, some, x, at, stride):
    """From the first columns of a matrix."""
    flat = x.reshape(-1)
    for l in range(some):
        row = flat[at + l * stride :][: len(columns)]
        for m in range(row.size):
            row[m] = columns[m, l]


@lean
def _clear(x, at, stride, rows, width):
    flat = x.reshape(-1)
    for j in range(rows):
        row = flat[at + j * stride :][:width]
        for m in range(width):
            row[m] = 0


@lean
def _scale(x, scale):
    factor = x.dtype.type(scale)
    for m in range(x.size):
        x[m] *= factor


@lean
def _pack_all(x, at, T, wide, transpose, scale, out, width):
    """Panels of scale x, of `wide` steps each, from the end: as columns with `transpose`, else as rows of `out`, zeros
    so far."""
    stride = _row(x)
    for p in range(len(out)):
        i = T - p * wide
        some, panel = min(wide, i), out[p]
        depth, columns = (width, some) if transpose else (some, width)
        pack_into(x, at + (i - 1) * stride, -stride, depth, columns, transpose, panel, 0)
        _scale(panel, scale)


@lean
def _recall(tops, sums, i, top, Z):
    """m and 1 / Z of the queries before i, the last one first."""
    one = Z.dtype.type(1)
    for l in range(min(top.size, i)):
        top[l], Z[l] = tops[i - 1 - l], one / sums[i - 1 - l]


# Scores and weights of a block: (keys, queries)


@lean
def _score(product, panel, q, q_last, q_row, some, keys, seen, a, terms, s):
    """Scores, with the keys that any of them sees, of queries in a panel or, for the additive one, at `q_last`."""
    d, wide = keys.shape[1], s.shape[1]
    if a.size == 0:
        _clear(s, 0, wide, seen, wide)
        call_product(product, pointer(keys, 0), d, pointer(panel, 0), d, pointer(s, 0), wide, seen, wide)
        return
    flat = q.reshape(-1)
    for j in range(seen):
        key, row = keys[j], s[j]
        for l in range(some):
            query = flat[q_last + l * q_row :][:d]
            for m in range(d):
                terms[m] = a[m] * tanh(query[m] + key[m])
            row[l] = _folded(terms)


@lean
def _folded(terms):
    """Sum, by adding the second half to the first until one is left; `terms` is used up."""
    count = terms.size
    while count > 1:
        half = (count + 1) // 2
        other = terms[half:count]
        for m in range(other.size):
            terms[m] += other[m]
        count = half
    return terms[0]


@lean
def _hide(s, seen, some, end):
    """Query l sees the keys before `end` - l only."""
    for j in range(max(end - some + 1, 0), seen):
        for l in range(end - j, some):
            s[j, l] = -np.inf


@lean
def _go_on(s, seen, top, Z, factor, out):
    """s to exp(s - m); m, Z and the context brought from the keys so far to these as well, but for their values."""
    for l in range(top.size):
        factor[l] = top[l]
    for j in range(seen):
        row = s[j]
        for l in range(top.size):
            top[l] = row[l] if row[l] > top[l] else top[l]
    for l in range(top.size):
        factor[l] = exp(factor[l] - top[l])
        Z[l] *= factor[l]
    for j in range(seen):
        row = s[j]
        for l in range(top.size):
            row[l] = exp(row[l] - top[l])
            Z[l] += row[l]
    for m in range(len(out)):
        row = out[m]
        for l in range(top.size):
            row[l] *= factor[l]


@lean
def _divide(out, Z):
    for m in range(len(out)):
        row = out[m]
        for l in range(Z.size):
            row[l] /= Z[l]


@lean
def _weigh(s, seen, top, Z):
    """s to w, with Z as `_recall` has it."""
    for j in range(seen):
        row = s[j]
        for l in range(top.size):
            row[l] = exp(row[l] - top[l]) * Z[l]


@lean
def _means(context, at, stride, some, inflow, mean):
    """dc . c of each query, which is the mean of its dw."""
    flat, wide = context.reshape(-1), mean.size
    for l in range(wide):
        mean[l] = 0
    for l in range(some):
        for m in range(inflow.size // wide):
            mean[l] += inflow[m * wide + l] * flat[at + l * stride + m]


@lean
def _values_backward(product, values, seen, inflow, inflow_rows, some, mean, w, ds, dvalues):
    """Fill ds, and add w^T dc to dvalues."""
    e, wide = values.shape[1], w.shape[1]
    _clear(ds, 0, wide, seen, wide)
    call_product(product, pointer(values, 0), e, pointer(inflow, 0), e, pointer(ds, 0), wide, seen, wide)
    for j in range(seen):
        row, dw = w[j], ds[j]
        for l in range(wide):
            dw[l] = row[l] * (dw[l] - mean[l])
    call_product(product, pointer(w, 0), wide, pointer(inflow_rows, 0), some, pointer(dvalues, 0), e, seen, e)


@lean
def _product_backward(product, query_rows, some, turned, seen, ds, out, dkeys):
    """Add ds^T q to dkeys, and k^T ds to out."""
    d, wide = out.shape
    call_product(product, pointer(ds, 0), wide, pointer(query_rows, 0), some, pointer(dkeys, 0), d, seen, d)
    call_product(product, pointer(turned, 0), CHUNK + APART, pointer(ds, 0), seen, pointer(out, 0), wide, d, wide)


@lean
def _additive_backward(q, q_last, q_row, some, keys, seen, a, ds, dq, dq_last, dq_row, dkeys, da):
    """Add to dq, dkeys and da."""
    flat, dflat, d, one = q.reshape(-1), dq.reshape(-1), a.size, q.dtype.type(1)
    for l in range(some):
        query, dquery = flat[q_last + l * q_row :][:d], dflat[dq_last + l * dq_row :][:d]
        for j in range(seen):
            key, dkey, d_score = keys[j], dkeys[j], ds[j, l]
            for m in range(d):
                t = tanh(query[m] + key[m])
                g = d_score * a[m] * (one - t * t)
                dquery[m] += g
                dkey[m] += g
                da[m] += d_score * t


@kernel
def add_rows(rows, out):
    """out (d,) += rows (B, d), the first row first."""
    for b in range(rows.shape[0]):
        for m in range(rows.shape[1]):
            out[m] += rows[b, m]

"""Softmax attention of queries over keys, forward and backward, a block of queries at a time.

    s_ij = scale q_i . k_j,  or  a . tanh(q_i + k_j)      the additive score, with a vector a
    w_ij = exp(s_ij - m_i) / Z_i                          m_i = max_j s_ij, Z_i = sum_j exp(s_ij - m_i)
    c_i  = sum_j w_ij v_j                                 over the keys j that query i sees

Of sequence b the keys 0 to counts[b] - 1 are there, and query i sees keys 0 to starts[b] + i of them: `starts` is how
many keys came before the first query, or any number from S on where every query sees every key. A query that sees none
has context and gradients 0.

A block is as many queries as a panel of `gemm` has columns. Its scores stand keys by queries, (n, width), which is what
a packed panel looks like: they are made, turned into weights and multiplied by the values without being moved, softmax
is vectorised over queries, and its sums run over ascending keys. Weights are not kept: backward makes them again from
m_i and Z_i, so that memory grows with T and not with T^2 (Dao et al. 2022). A block's columns are its queries from the
last to the first, as blocks are: gradients of keys and values are chains that start at the last query, whatever the
width of a panel.

Arrays are time-major, (T, B, .) and (S, B, .); each comes with its first column, from which on heads stand side by
side, d wide for q and k and e wide for v and the context.
"""

import numpy as np

from sandbox.jit import inline, kernel, lean
from sandbox.kernels.activations import exp, tanh
from sandbox.kernels.gemm import VECTOR_BYTES, VECTORS, call_product, pack_into, pointer

__all__ = ["add_rows", "backward", "forward"]

PIECE = 64  # rows that are turned before the next ones: they stay in a first-level cache


@kernel
def forward(product, first, last, heads, d, scale, q, q_at, k, k_at, v, v_at, a, starts, counts, tops, sums, weights,
            context):  # fmt: skip
    """Fill the context (T, B, H e) of pairs b H + h of sequence and head from `first` to `last` - 1.

    Parameters
    ----------
    product
        Address of `gemm.product`.
    a : (d,)
        For the additive score; empty for products.
    tops, sums : (B, H, T)
        Filled with m and Z, for `backward`.
    weights : (T, B, S)
        Filled for one head, if it is not empty; it must hold zeros.
    """
    T, S, e = q.shape[0], k.shape[0], context.shape[2] // heads
    wide = VECTORS * VECTOR_BYTES // q.itemsize
    keys, turned, s = np.empty(S * d, q.dtype), np.empty(S * e, q.dtype), np.empty(S * wide, q.dtype)
    panel, out, terms = np.empty(d * wide, q.dtype), np.empty(e * wide, q.dtype), np.empty(d, q.dtype)
    top, Z = np.empty(wide, q.dtype), np.empty(wide, q.dtype)
    for pair in range(first, last):
        b, h = pair // heads, pair % heads
        n, q_row, c_row = counts[b], _row(q), _row(context)
        q_here, c_here = _place(q, q_at, b, h, d), _place(context, 0, b, h, e)
        _copy(k, _place(k, k_at, b, h, d), _row(k), n, d, keys)
        _turn(v, _place(v, v_at, b, h, e), _row(v), n, e, turned)
        for i in range(T, 0, -wide):
            some, seen = min(wide, i), min(n, starts[b] + i)
            q_last, c_last = q_here + (i - 1) * q_row, c_here + (i - 1) * c_row
            if seen == 0:
                _clear(context, c_last, -c_row, some, e)
                continue
            _score(product, q, q_last, -q_row, some, scale, keys, seen, d, a, panel, terms, s)
            _hide(s, seen, some, wide, starts[b] + i)
            _exponentials(s, seen, wide, top, Z)
            _fill(out, e * wide)
            call_product(product, pointer(turned, 0), n, pointer(s, 0), seen, pointer(out, 0), wide, e, wide)
            for l in range(some):
                tops[b, h, i - 1 - l], sums[b, h, i - 1 - l] = top[l], Z[l]
            for m in range(e):
                for l in range(wide):
                    out[m * wide + l] /= Z[l]
            _put(out, wide, some, e, context, c_last, -c_row)
            for j in range(seen if weights.size else 0):
                for l in range(some):
                    weights[i - 1 - l, b, j] = s[j * wide + l] / Z[l]


@kernel
def backward(product, first, last, heads, d, scale, q, q_at, k, k_at, v, v_at, a, starts, counts, tops, sums, dcontext,
             dq, dq_at, dk, dk_at, dv, dv_at, da):  # fmt: skip
    """Fill dq and add to dk, dv and da, for pairs of sequence and head from `first` to `last` - 1.

        dw_ij = dc_i . v_j,   ds_ij = w_ij (dw_ij - sum_j w_ij dw_ij)
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
    T, S, e = q.shape[0], k.shape[0], dcontext.shape[2] // heads
    wide = VECTORS * VECTOR_BYTES // q.itemsize
    keys, values, w = np.empty(S * d, q.dtype), np.empty(S * e, q.dtype), np.empty(S * wide, q.dtype)
    dkeys, dvalues, ds = np.empty(S * d, q.dtype), np.empty(S * e, q.dtype), np.empty(S * wide, q.dtype)
    turned, out, terms = np.empty(S * d, q.dtype), np.empty(d * wide, q.dtype), np.empty(d, q.dtype)
    panel, top, Z = np.empty((max(d, e) + wide) * wide, q.dtype), np.empty(wide, q.dtype), np.empty(wide, q.dtype)
    for pair in range(first, last):
        b, h = pair // heads, pair % heads
        n, q_row, dq_row, c_row = counts[b], _row(q), _row(dq), _row(dcontext)
        q_here, dq_here = _place(q, q_at, b, h, d), _place(dq, dq_at, b, h, d)
        dk_here, dv_here, c_here = _place(dk, dk_at, b, h, d), _place(dv, dv_at, b, h, e), _place(dcontext, 0, b, h, e)
        _copy(k, _place(k, k_at, b, h, d), _row(k), n, d, keys)
        _copy(v, _place(v, v_at, b, h, e), _row(v), n, e, values)
        _copy(dk, dk_here, _row(dk), n, d, dkeys)
        _copy(dv, dv_here, _row(dv), n, e, dvalues)
        _turn(keys, 0, d, n, d, turned)
        for i in range(T, 0, -wide):
            some, seen = min(wide, i), min(n, starts[b] + i)
            q_last, dq_last, c_last = q_here + (i - 1) * q_row, dq_here + (i - 1) * dq_row, c_here + (i - 1) * c_row
            if seen == 0:
                _clear(dq, dq_last, -dq_row, some, d)
                continue
            _score(product, q, q_last, -q_row, some, scale, keys, seen, d, a, panel, terms, w)
            _hide(w, seen, some, wide, starts[b] + i)
            for l in range(some):
                top[l], Z[l] = tops[b, h, i - 1 - l], sums[b, h, i - 1 - l]
            for l in range(some, wide):
                top[l], Z[l] = 0, 1
            _weights(w, seen, wide, top, Z)
            pack_into(dcontext, c_last, -c_row, e, some, True, panel, 0)
            _fill(ds, seen * wide)
            call_product(product, pointer(values, 0), e, pointer(panel, 0), e, pointer(ds, 0), wide, seen, wide)
            _pull_back(w, seen, wide, ds, top)
            pack_into(dcontext, c_last, -c_row, some, e, False, panel, 0)
            call_product(product, pointer(w, 0), wide, pointer(panel, 0), some, pointer(dvalues, 0), e, seen, e)
            if a.size:
                _clear(dq, dq_last, -dq_row, some, d)
                _additive_backward(q, q_last, -q_row, some, keys, seen, a, ds, wide, dq, dq_last, -dq_row, dkeys, da, b)
                continue
            pack_into(q, q_last, -q_row, some, d, False, panel, 0)
            _scale(panel, (d + wide - 1) // wide * wide * some, scale)
            call_product(product, pointer(ds, 0), wide, pointer(panel, 0), some, pointer(dkeys, 0), d, seen, d)
            _fill(out, d * wide)
            call_product(product, pointer(turned, 0), n, pointer(ds, 0), seen, pointer(out, 0), wide, d, wide)
            _scale(out, d * wide, scale)
            _put(out, wide, some, d, dq, dq_last, -dq_row)
        _copy_back(dkeys, n, d, dk, dk_here, _row(dk))
        _copy_back(dvalues, n, e, dv, dv_here, _row(dv))


@inline
def _row(x):
    """Distance between the steps of one sequence, in elements."""
    return x.shape[1] * x.shape[2]


@inline
def _place(x, column, b, head, width):
    """Flat index of a head's first element at the first step of sequence b."""
    return b * x.shape[2] + column + head * width


# Rows of one head: `at` is the flat index of the first one in x, `stride` the distance to the next, maybe negative.


@lean
def _copy(x, at, stride, rows, width, out):
    """out (rows, width), flat."""
    flat = x.reshape(-1)
    for j in range(rows):
        for m in range(width):
            out[j * width + m] = flat[at + j * stride + m]


@lean
def _copy_back(rows_of, rows, width, x, at, stride):
    flat = x.reshape(-1)
    for j in range(rows):
        for m in range(width):
            flat[at + j * stride + m] = rows_of[j * width + m]


@lean
def _turn(x, at, stride, rows, width, out):
    """out (width, rows), flat."""
    flat = x.reshape(-1)
    for j_first in range(0, rows, PIECE):
        for m in range(width):
            for j in range(j_first, min(j_first + PIECE, rows)):
                out[m * rows + j] = flat[at + j * stride + m]


@lean
def _put(columns, wide, some, width, x, at, stride):
    """Column l of a (width, wide) matrix as row l."""
    flat = x.reshape(-1)
    for l in range(some):
        for m in range(width):
            flat[at + l * stride + m] = columns[m * wide + l]


@lean
def _clear(x, at, stride, rows, width):
    flat = x.reshape(-1)
    for j in range(rows):
        for m in range(width):
            flat[at + j * stride + m] = 0


@lean
def _fill(x, count):
    for m in range(count):
        x[m] = 0


@lean
def _scale(x, count, scale):
    factor = x.dtype.type(scale)
    for m in range(count):
        x[m] *= factor


# Scores and weights of a block: (keys, queries), flat


@lean
def _score(product, q, q_last, q_row, some, scale, keys, seen, d, a, panel, terms, s):
    """Scores of the query at `q_last` and of those `q_row` on, with as many keys as the first of them sees."""
    wide = VECTORS * VECTOR_BYTES // q.itemsize
    _fill(s, seen * wide)
    if a.size == 0:
        pack_into(q, q_last, q_row, d, some, True, panel, 0)
        _scale(panel, d * wide, scale)
        call_product(product, pointer(keys, 0), d, pointer(panel, 0), d, pointer(s, 0), wide, seen, wide)
        return
    flat = q.reshape(-1)
    for j in range(seen):
        for l in range(some):
            at = q_last + l * q_row
            for m in range(d):
                terms[m] = a[m] * tanh(flat[at + m] + keys[j * d + m])
            s[j * wide + l] = _folded(terms, d)


@lean
def _folded(terms, count):
    """Sum, by adding the second half to the first until one is left; `terms` is used up."""
    while count > 1:
        half = (count + 1) // 2
        for m in range(count - half):
            terms[m] += terms[half + m]
        count = half
    return terms[0]


@lean
def _hide(s, seen, some, wide, end):
    """Query l sees the keys before `end` - l only."""
    for j in range(max(end - some + 1, 0), seen):
        for l in range(end - j, some):
            s[j * wide + l] = -np.inf


@lean
def _exponentials(s, seen, wide, top, Z):
    """s to exp(s - m), and m and the sums Z."""
    for l in range(wide):
        top[l], Z[l] = s[l], 0
    for j in range(1, seen):
        for l in range(wide):
            x = s[j * wide + l]
            top[l] = x if x > top[l] else top[l]
    for j in range(seen):
        for l in range(wide):
            x = exp(s[j * wide + l] - top[l])
            s[j * wide + l] = x
            Z[l] += x


@lean
def _weights(s, seen, wide, top, Z):
    """s to w."""
    for j in range(seen):
        for l in range(wide):
            s[j * wide + l] = exp(s[j * wide + l] - top[l]) / Z[l]


@lean
def _pull_back(w, seen, wide, ds, mean):
    """ds from dw."""
    for l in range(wide):
        mean[l] = 0
    for j in range(seen):
        for l in range(wide):
            mean[l] += w[j * wide + l] * ds[j * wide + l]
    for j in range(seen):
        for l in range(wide):
            ds[j * wide + l] = w[j * wide + l] * (ds[j * wide + l] - mean[l])


@lean
def _additive_backward(q, q_last, q_row, some, keys, seen, a, ds, wide, dq, dq_last, dq_row, dkeys, da, b):
    """Add to dq, dkeys and da[b]."""
    flat, dflat, d, one = q.reshape(-1), dq.reshape(-1), a.size, q.dtype.type(1)
    for l in range(some):
        at, to = q_last + l * q_row, dq_last + l * dq_row
        for j in range(seen):
            d_score = ds[j * wide + l]
            for m in range(d):
                t = tanh(flat[at + m] + keys[j * d + m])
                g = d_score * a[m] * (one - t * t)
                dflat[to + m] += g
                dkeys[j * d + m] += g
                da[b, m] += d_score * t


@kernel
def add_rows(rows, out):
    """out (d,) += rows (B, d), the first row first."""
    for b in range(rows.shape[0]):
        for m in range(rows.shape[1]):
            out[m] += rows[b, m]

"""Attention: at every step of a sequence, a mean of the steps of another one, weighted by how well they fit.

    w_ij = softmax over j of score(q_i, k_j),   c_i = sum_j w_ij k_j

Luong, Pham & Manning 2015 and Bahdanau, Cho & Bengio 2015 have it between a decoder and an encoder.
"""

import math

import numpy as np

from sandbox import threads
from sandbox.errors import UsageError, unknown
from sandbox.kernels import attention, gemm
from sandbox.layers.dense import Dense
from sandbox.layers.module import Module, check_array, check_lengths, check_pass, check_size

__all__ = ["SCORES", "Attention", "MultiHead"]

SCORES = ("dot", "general", "additive")


class Attention(Module):
    """Attention of queries q (T, B, Q) over keys k (S, B, K), which are the values as well.

        dot       s_ij = q_i . k_j
        general   s_ij = q_i W . k_j
        additive  s_ij = v . tanh(q_i W_q + k_j W_k + b)

        w_ij = exp(s_ij) / sum_j exp(s_ij),   c_i = sum_j w_ij k_j

    (Additive: Bahdanau, Cho & Bengio 2015, section A.1.2. The others: Luong, Pham & Manning 2015, eq. 7 and 8.) Sums
    run over the keys within each sequence's length; of a sequence without keys weights, context and gradients are 0.

    Parameters
    ----------
    score : {"dot", "general", "additive"}
    query_size, key_size : int
    rng : numpy.random.Generator
        For initial weights, Glorot's. b starts at 0.
    hidden : int, optional
        Width of the additive score, key_size by default.
    dtype : "float64" or "float32"

    Attributes
    ----------
    weights : (T, B, S) or None
        w of the last forward pass, made when they are asked for: its queries and keys must not have changed.
    parameters
        general: `query.W` (Q, K); additive: `query.W` (Q, hidden), `query.b`, `key.W` (K, hidden), `score.W`
        (hidden, 1), which is v.

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> attention = Attention("additive", 3, 4, rng=stream("init", 0), hidden=8)
    >>> attention.forward(np.ones((5, 2, 3)), np.ones((7, 2, 4)), lengths=[7, 2]).shape
    (5, 2, 4)
    >>> attention.weights[0, 1].tolist()
    [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    """

    def __init__(self, score, query_size, key_size, *, rng, hidden=None, dtype="float64"):
        if score not in SCORES:
            raise unknown("score", score, SCORES)
        self.score, self.query_size = score, check_size("query_size", query_size)
        self.key_size = self.output_size = check_size("key_size", key_size)
        if score == "dot" and query_size != key_size:
            raise UsageError(f"query_size must be key_size={key_size} with score dot, got {query_size}")
        if hidden is not None and score != "additive":
            raise UsageError(f"hidden must be None with score {score}, got {hidden}")
        self.parts = {}
        if score == "general":
            self.parts["query"] = Dense(query_size, key_size, rng=rng, dtype=dtype, bias=False)
        if score == "additive":
            hidden = check_size("hidden", key_size if hidden is None else hidden)
            self.parts["query"] = Dense(query_size, hidden, rng=rng, dtype=dtype)
            self.parts["key"] = Dense(key_size, hidden, rng=rng, dtype=dtype, bias=False)
            self.parts["score"] = Dense(hidden, 1, rng=rng, dtype=dtype, bias=False)
        if self.parts:
            self.adopt(self.parts)
        else:
            self.allocate({}, dtype)
        self._last = self._pass = None

    def forward(self, queries, keys, lengths=None):
        """The context (T, B, K).

        Parameters
        ----------
        queries : (T, B, Q)
        keys : (S, B, K)
        lengths : (B,) whole numbers from 0 to S, optional
            How many keys each sequence has.
        """
        queries, keys = _sequences("queries", queries), _sequences("keys", keys)
        (T, B), S = queries.shape[:2], len(keys)
        queries = check_array("queries", queries, self.dtype, (T, B, self.query_size))
        keys = check_array("keys", keys, self.dtype, (S, B, self.key_size))
        lengths = check_lengths(lengths, S, B)
        q, k, a = queries, keys, np.empty(0, self.dtype)
        if "query" in self.parts:
            q = self.parts["query"].forward(queries)
        if "key" in self.parts:
            k, a = self.parts["key"].forward(keys), self.parts["score"].parameters["W"].reshape(-1)
        seen = np.full(B, S), np.full(B, S) if lengths is None else lengths
        arguments, work = (1, q.shape[2], 1.0, q, 0, k, 0, keys, 0, a, *seen), B * T * S * (q.shape[2] + self.key_size)
        tops, sums = np.zeros((B, 1, T), self.dtype), np.zeros((B, 1, T), self.dtype)
        context, product = np.empty((T, B, self.key_size), self.dtype), gemm.product(self.dtype)
        threads.share(B, 1, work, lambda *pairs: attention.forward(product, *pairs, *arguments, tops, sums,
                                                                   context))  # fmt: skip
        self._pass = self._last = arguments, tops, sums, context, work
        return context.copy()

    @property
    def weights(self):
        """w (T, B, S) of the last forward pass: made now, of the queries and keys it was given; None before it."""
        if self._last is None:
            return None
        (_, d, scale, q, q_at, k, k_at, _, _, a, _, counts), tops, sums, _, _ = self._last
        w = np.zeros((*q.shape[:2], len(k)), self.dtype)
        attention.weights(gemm.product(self.dtype), d, scale, q, q_at, k, k_at, a, counts, tops, sums, w)
        return w

    def backward(self, dcontext, accumulate=False):
        """dL/dqueries and dL/dkeys of dL/dcontext (T, B, K) for the last forward pass, once; fills `gradients`.

        With `accumulate` gradients are added to.
        """
        arguments, tops, sums, context, work = check_pass(self._pass)
        q, k, keys, a = (arguments[n] for n in (3, 5, 7, 9))
        B, shape = q.shape[1], (*q.shape[:2], self.key_size)
        dcontext, self._pass = check_array("dcontext", dcontext, self.dtype, shape), None
        dq, dk, dkeys, da = np.empty_like(q), np.zeros_like(k), np.zeros_like(keys), np.zeros((B, a.size))
        product = gemm.product(self.dtype)
        threads.share(B, 1, work, lambda *pairs: attention.backward(product, *pairs, *arguments, tops, sums, context,
                                                                    dcontext, dq, 0, dk, 0, dkeys, 0, da))  # fmt: skip
        if "key" in self.parts:
            dk = self.parts["key"].backward(dk, accumulate=accumulate)
            gradient = self.parts["score"].gradients["W"].reshape(-1)
            if not accumulate:
                gradient[:] = 0
            attention.add_rows(da, gradient)
        if "query" in self.parts:
            dq = self.parts["query"].backward(dq, accumulate=accumulate)
        dkeys += dk
        return dq, dkeys


def _sequences(name, value):
    """The value as an array, if it has steps, sequences and columns."""
    value = np.asarray(value)
    if value.ndim != 3 or 0 in value.shape[:2]:
        raise UsageError(f"{name} must have shape (steps, B, columns), got {value.shape}")
    return value


class MultiHead(Module):
    """Attention of a sequence x (T, B, D) over itself, by H heads side by side.

        [q, k, v] = x W_in + b_in,   c_h = softmax(q_h k_h^T / sqrt(D / H)) v_h,   y = [c_1 .. c_H] W_out + b_out

    (Vaswani et al. 2017, section 3.2.) With `causal` step i sees steps 0 to i. Keys and values of earlier steps may be
    carried on: what follows sees them as well.

    Parameters
    ----------
    size, heads : int
        D, and H, which divides it.
    rng : numpy.random.Generator
        For initial weights, Glorot's. Biases start at 0.
    dtype : "float64" or "float32"

    Attributes
    ----------
    parameters
        `in.W` (D, 3 D), the columns of q, k and v in this order, `in.b`, `out.W` (D, D), `out.b`.

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> attention = MultiHead(8, 2, rng=stream("init", 0))
    >>> attention.forward(np.ones((5, 3, 8)), causal=True).shape, attention.past()["count"].tolist()
    ((5, 3, 8), [5, 5, 5])
    """

    def __init__(self, size, heads, *, rng, dtype="float64"):
        self.size, self.heads = check_size("size", size), check_size("heads", heads)
        if size % heads:
            raise UsageError(f"heads must divide {size}, the width they share, got {heads}")
        self.input = Dense(size, 3 * size, rng=rng, dtype=dtype)
        self.output = Dense(size, size, rng=rng, dtype=dtype)
        self.adopt({"in": self.input, "out": self.output})
        self._pass = self._seen = None

    def forward(self, x, lengths=None, past=None, *, causal=False):
        """y (T, B, D); steps behind a row's length are seen by none that is within.

        Parameters
        ----------
        lengths : (B,) whole numbers from 0 to T, optional
        past : dict, optional
            `past()` of an earlier segment, which all of these steps see.
        """
        T, B, D = _sequences("x", x).shape
        lengths = check_lengths(np.full(B, T) if lengths is None else lengths, T, B)
        qkv, before = self.input.forward(x), np.zeros(B, np.int64) if past is None else past["count"]
        kv, at = (qkv, D) if past is None else (_joined(past, qkv), 0)
        d, counts, work = D // self.heads, before + lengths, B * T * len(kv) * 2 * D
        starts, a = before if causal else np.full(B, len(kv)), np.empty(0, self.dtype)
        arguments = (self.heads, d, 1 / math.sqrt(d), qkv, 0, kv, at, kv, at + D, a, starts, counts)
        tops, sums = (np.zeros((B, self.heads, T), self.dtype) for _ in range(2))
        context, product = np.empty((T, B, D), self.dtype), gemm.product(self.dtype)
        threads.share(B * self.heads, 1, work, lambda *pairs: attention.forward(product, *pairs, *arguments, tops, sums,
                                                                                context))  # fmt: skip
        self._pass, self._seen = (arguments, tops, sums, context, work, past), (kv, at, counts)
        return self.output.forward(context)

    def past(self):
        """Keys and values (B, S D) of all steps so far, 0 behind a row's own, and how many these are (B,)."""
        kv, at, counts = self._seen
        S, D = counts.max(), self.size
        live, rows = (np.arange(S) < counts[:, None])[..., None], kv[:S].transpose(1, 0, 2)
        keys, values = (np.where(live, rows[..., first : first + D], 0).reshape(len(counts), S * D)
                        for first in (at, at + D))  # fmt: skip
        return {"keys": keys, "values": values, "count": counts}

    def backward(self, dy, dpast=None, *, accumulate=False):
        """dL/dx of dL/dy for the last forward pass, once, and what it was given as `past`; fills `gradients`.

        Parameters
        ----------
        dy : (T, B, D)
        dpast : dict, optional
            dL/dkeys and dL/dvalues of `past()`.
        accumulate : bool
            Add to the gradients. Segments of a sequence, taken from the last to the first, give the bits of the
            sequence taken as one.

        Returns
        -------
        dx : (T, B, D)
        dstart : dict
            dL/dkeys and dL/dvalues of the `past` that was given; empty if there was none.
        """
        (*arguments, starts, counts), tops, sums, context, work, past = check_pass(self._pass)
        dcontext, self._pass = self.output.backward(dy, accumulate=accumulate), None
        (kv, at), D = self._seen[:2], self.size
        dqkv = np.zeros((*dy.shape[:2], 3 * D), self.dtype)
        dkv = dqkv if past is None else np.zeros_like(kv)
        if dpast is not None:
            for name, first in (("keys", at), ("values", at + D)):
                B, S = len(counts), int(counts.max())
                rows = check_array(f"dpast[{name!r}]", dpast[name], self.dtype, (B, S * D)).reshape(B, S, D)
                dkv[:S, :, first : first + D] = rows.transpose(1, 0, 2)
        da, product = np.zeros((len(counts), 0)), gemm.product(self.dtype)
        arrays = starts, counts, tops, sums, context, dcontext, dqkv, 0, dkv, at, dkv, at + D, da
        threads.share(len(counts) * self.heads, 1, work,
                      lambda *pairs: attention.backward(product, *pairs, *arguments, *arrays))  # fmt: skip
        dstart = {}
        if past is not None:
            dqkv[:, :, D:] = dkv[_places(past, len(dy))]
            S = past["keys"].shape[1] // D
            live = (np.arange(S) < past["count"][:, None])[..., None]
            rows = np.where(live, dkv[:S].transpose(1, 0, 2), 0)
            dstart = {name: rows[..., n * D : (n + 1) * D].reshape(len(rows), S * D)
                      for n, name in enumerate(("keys", "values"))}  # fmt: skip
        return self.input.backward(dqkv, accumulate=accumulate), dstart


def _joined(past, qkv):
    """Keys and values (S + T, B, 2 D): those of the past, each row's new ones behind its own."""
    T, B, D = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    rows = [past[name].reshape(B, -1, D).transpose(1, 0, 2) for name in ("keys", "values")]
    kv = np.zeros((len(rows[0]) + T, B, 2 * D), qkv.dtype)
    kv[: len(rows[0]), :, :D], kv[: len(rows[0]), :, D:] = rows
    kv[_places(past, T)] = qkv[:, :, D:]
    return kv


def _places(past, T):
    """Where the T new steps of each row are among its keys: an index of (T, B)."""
    count = past["count"]
    return count + np.arange(T)[:, None], np.arange(len(count))

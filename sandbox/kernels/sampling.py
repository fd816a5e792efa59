"""What a model's answers mean as probabilities, and one answer drawn from them."""

import numpy as np

from sandbox.jit import kernel
from sandbox.kernels.activations import exp, log
from sandbox.kernels.reductions import total

__all__ = ["draw", "log_softmax"]


@kernel
def log_softmax(logits, temperature):
    """log p_j = d_j - log sum of exp(d_k), d_j = (o_j - max o) / temperature, of each row: (B, O) float64.

    The largest is taken off first, so that neither large logits nor a small temperature overflow; a logit of -inf has
    no chance. Sums are in `reductions.total`'s order.
    """
    B, O = logits.shape
    found, shares = np.empty((B, O)), np.empty(O)
    for b in range(B):
        row, out = logits[b], found[b]
        m = row[0]
        for j in range(O):
            m = row[j] if row[j] > m else m
        for j in range(O):
            out[j] = (np.float64(row[j]) - np.float64(m)) / temperature  # float() of a float32 stays one when compiled
        for j in range(O):
            shares[j] = exp(out[j])
        normaliser = log(total(shares))
        for j in range(O):
            out[j] -= normaliser
    return found


@kernel
def draw(log_shares, uniforms):
    """Of each row (O,) of log p the first j with p_0 + ... + p_j above its uniform number, added from p_0 on: (B,).

    Where rounding leaves the sum below it, the last j that has a chance.
    """
    B, O = log_shares.shape
    found = np.zeros(B, np.int64)
    for b in range(B):
        reached = 0.0
        for j in range(O):
            share = exp(log_shares[b, j])
            if share > 0.0:
                found[b] = j
                reached += share
                if reached > uniforms[b]:
                    break
    return found

"""Losses on a block of outputs: the sum of each step in float64, and the gradient by the outputs.

    output, doutput  (T, B, O)  doutput[t, b] = scale dl/doutput[t, b], exactly 0 in rows that do not count
    mask             (T, B)     whether a row counts; a zero-sized array says that all do
    steps            (T,)       sum over b of l[t, b], float64

A row that does not count is never read. Order of summation: outputs of a row by ascending index (softmax: by
`reductions.total`), rows of a step by ascending b, each in float64 (`float` of a
float32 would stay one in compiled code). A step's sum and gradient depend on that step alone, so that a sequence can be
done in segments.
"""

import numpy as np

from sandbox.jit import inline, kernel
from sandbox.kernels.activations import exp, log, sigmoid, softplus
from sandbox.kernels.reductions import total


@inline
def _clear(row):
    for j in range(row.size):
        row[j] = 0


@kernel
def softmax(output, target, mask, scale, doutput, steps):
    """l = -log p_y, p = softmax(output), y = target (T, B) int64; dl/doutput_j = p_j - [j = y].

    With m = max_j o_j, e_j = exp(o_j - m) and rest = sum of e_j over j != y: l = log(e_y + rest) - (o_y - m), and the
    gradient at y is -rest / (e_y + rest), which keeps its digits where p_y is nearly 1. Where o_y = m, l is
    log1p(rest) = rest log(u) / (u - 1) with u the rounded 1 + rest (Kahan): the rounding error of u cancels.
    """
    T, B, O = output.shape
    for t in range(T):
        steps[t] = 0.0
        for b in range(B):
            row, drow = output[t, b], doutput[t, b]
            if mask.size and not mask[t, b]:
                _clear(drow)
                continue
            y, m = target[t, b], row[0]
            for j in range(O):
                m = row[j] if row[j] > m else m
            for j in range(O):
                drow[j] = exp(row[j] - m)
            e = float(drow[y])
            drow[y] = 0
            rest = total(drow)
            whole = e + rest
            if row[y] == m:
                excess = whole - 1.0
                steps[t] += log(whole) * (rest / excess) if excess != 0.0 else rest
            else:
                steps[t] += log(whole) - (np.float64(row[y]) - np.float64(m))
            factor = drow.dtype.type(float(scale) / whole)
            for j in range(O):
                drow[j] = drow[j] * factor
            drow[y] = -rest * (float(scale) / whole)


@kernel
def mse(output, target, mask, scale, doutput, steps):
    """l = sum over o of (output - target)^2, target (T, B, O); dl/doutput = 2 (output - target)."""
    T, B, O = output.shape
    twice = scale + scale
    for t in range(T):
        steps[t] = 0.0
        for b in range(B):
            row, goal, drow = output[t, b], target[t, b], doutput[t, b]
            if mask.size and not mask[t, b]:
                _clear(drow)
                continue
            squares = 0.0
            for j in range(O):
                error = np.float64(row[j]) - np.float64(goal[j])
                squares += error * error
            steps[t] += squares
            for j in range(O):
                drow[j] = (row[j] - goal[j]) * twice


@kernel
def binary(output, target, mask, scale, doutput, steps):
    """l = sum over o of -y log p - (1 - y) log(1 - p), p = sigmoid(output), y = target (T, B, O); dl/doutput = p - y.

    l = softplus(-|o|) + (o (1 - y) if o > 0 else -o y), a sum of terms that are not negative; p - y = (1 - y) - q for
    o > 0 and q - y otherwise, q = sigmoid(-|o|): nothing cancels where the logit is large and right.
    """
    T, B, O = output.shape
    zero, one = output.dtype.type(0), output.dtype.type(1)
    for t in range(T):
        steps[t] = 0.0
        for b in range(B):
            row, goal, drow = output[t, b], target[t, b], doutput[t, b]
            if mask.size and not mask[t, b]:
                _clear(drow)
                continue
            for j in range(O):
                o, y = row[j], goal[j]
                drow[j] = softplus(-abs(o)) + (o * (one - y) if o > zero else -(o * y))
            steps[t] += _ascending(drow)
            for j in range(O):
                o, y = row[j], goal[j]
                q = sigmoid(-abs(o))
                drow[j] = ((one - y) - q if o > zero else q - y) * scale


@inline
def _ascending(row):
    s = 0.0
    for j in range(row.size):
        s += float(row[j])
    return s


@kernel
def first_outside(target, mask, low, high):
    """Flat index of the first number of a (T, B, O) target not within [low, high] in a row that counts; -1 if none."""
    T, B, O = target.shape
    for t in range(T):
        for b in range(B):
            if mask.size and not mask[t, b]:
                continue
            for j in range(O):
                if not low <= target[t, b, j] <= high:
                    return (t * B + b) * O + j
    return -1


@kernel
def counted_sequences(mask):
    """Number of columns b of a (T, B) mask with any row that counts."""
    found = 0
    for b in range(mask.shape[1]):
        for t in range(mask.shape[0]):
            if mask[t, b]:
                found += 1
                break
    return found

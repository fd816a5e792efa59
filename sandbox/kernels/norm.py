"""What a Transformer has between its products: layer normalisation, GELU, and tables of positions.

Sums over a row are made in float64 in the order of `kernels.reductions`; sums over rows, which are the
gradients of what all rows share, in float64 from the last row to the first.
"""

import numpy as np

from sandbox.jit import kernel, lean
from sandbox.kernels.activations import exp, log, sigmoid, sinpi
from sandbox.kernels.reductions import chains

__all__ = ["add_positions", "fill_sines", "gelu", "gelu_backward", "gradients", "input_gradient", "normalise",
           "position_gradient"]  # fmt: skip

# GELU: 0.5 x (1 + tanh(z / 2)) = x sigmoid(z), z = x (LINEAR + CUBIC x^2): 2 sqrt(2 / pi), and 0.044715 times that.
LINEAR = 1.5957691216057308
CUBIC = 0.07135481627260025


# Layer normalisation. x, y (N, D); means and scales (N,) float64. `room` (3, D) float64 is each caller's own.


@lean
def normalise(first, last, x, g, b, eps, y, means, scales, room):
    """Fill the rows of y from `first` to `last` - 1: (x - mean) scale g + b, scale = 1 / sqrt(variance + eps)."""
    D, centred, squares = x.shape[1], room[0], room[1]
    for i in range(first, last):
        row, out = x[i], y[i]
        for j in range(D):
            centred[j] = row[j]
        mean = chains(centred) / D
        for j in range(D):
            centred[j] -= mean
            squares[j] = centred[j] * centred[j]
        scale = 1.0 / np.sqrt(chains(squares) / D + eps)
        means[i], scales[i] = mean, scale
        for j in range(D):
            out[j] = centred[j] * scale * g[j] + b[j]


@lean
def input_gradient(first, last, dy, x, means, scales, g, dx, room):
    """Fill the rows of dx: scale (u - mean of u - n mean of u n), u = dy g, n = (x - mean) scale."""
    D, u, n, products = x.shape[1], room[0], room[1], room[2]
    for i in range(first, last):
        row, inflow, out, mean, scale = x[i], dy[i], dx[i], means[i], scales[i]
        for j in range(D):
            u[j] = inflow[j] * g[j]
            n[j] = (row[j] - mean) * scale
            products[j] = u[j] * n[j]
        along, common = chains(products) / D, chains(u) / D
        for j in range(D):
            out[j] = scale * (u[j] - common - n[j] * along)


@lean
def gradients(first, last, dy, x, means, scales, sums, dg, db):
    """Add to sums (2, D) float64, and set dg and db, in columns from `first` to `last` - 1: sums of dy n and of dy."""
    along, plain = sums[0, first:last], sums[1, first:last]
    for i in range(len(x) - 1, -1, -1):
        row, inflow, mean, scale = x[i, first:last], dy[i, first:last], means[i], scales[i]
        for j in range(last - first):
            along[j] += inflow[j] * ((row[j] - mean) * scale)
            plain[j] += inflow[j]
    for j in range(last - first):
        dg[first + j], db[first + j] = along[j], plain[j]


# GELU, of flat arrays


@lean
def gelu(x, y):
    """Fill y with x sigmoid(z)."""
    linear, cubic = x.dtype.type(LINEAR), x.dtype.type(CUBIC)
    for i in range(x.size):
        y[i] = x[i] * sigmoid(x[i] * (linear + cubic * x[i] * x[i]))


@lean
def gelu_backward(dy, x, dx):
    """Fill dx with dy (p + x p (1 - p) dz/dx), p = sigmoid(z)."""
    linear, cubic, one, three = x.dtype.type(LINEAR), x.dtype.type(CUBIC), x.dtype.type(1), x.dtype.type(3)
    for i in range(x.size):
        square = cubic * x[i] * x[i]
        p = sigmoid(x[i] * (linear + square))
        dx[i] = dy[i] * (p + x[i] * p * (one - p) * (linear + three * square))


# Positions: sequence b is at position starts[b] before its first step.


@kernel
def fill_sines(table):
    """table[p, 2i] = sin(p / 10000^(2i/D)), table[p, 2i+1] = cos of the same: table (P, D)."""
    P, D = table.shape
    rates = np.empty((D + 1) // 2)
    for i in range(rates.size):
        rates[i] = exp(-2.0 * i / D * log(10000.0)) / np.pi
    for p in range(P):
        for j in range(D):
            table[p, j] = sinpi(p * rates[j // 2] + 0.5 * (j % 2))


@lean
def add_positions(y, table, starts):
    """y[t, b] += table[starts[b] + t]: y (T, B, D)."""
    T, B, D = y.shape
    for t in range(T):
        for b in range(B):
            row, place = y[t, b], table[starts[b] + t]
            for j in range(D):
                row[j] += place[j]


@lean
def position_gradient(dy, starts, sums, dtable):
    """Add to sums[starts[b] + t], float64, and set dtable, from the last step to the first."""
    T, B, D = dy.shape
    for t in range(T - 1, -1, -1):
        for b in range(B - 1, -1, -1):
            row, place = dy[t, b], sums[starts[b] + t]
            for j in range(D):
                place[j] += row[j]
    for p in range(len(dtable)):
        for j in range(D):
            dtable[p, j] = sums[p, j]

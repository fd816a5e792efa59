"""Minimal gated unit: a GRU whose one gate both resets and updates.

    f_t = sigmoid(x_t W_if + h_{t-1} W_hh + b_f)
    n_t = tanh(x_t W_in + p_t W_pn + b_n),  p_t = f_t h_{t-1}
    h_t = (1 - f_t) h_{t-1} + f_t n_t

The paper calls f a forget gate, but where it is near 0 the past is kept. p is an auxiliary state, and the product with
W_pn comes between the two step functions. u = 1 - f has a tape column of its own, without parameters: between the two
backward steps it carries what h_t passes to f.

Backward, where dp = dz_n W_pn^T is what the loop adds between the two:

    dz_n = dh f (1 - n^2), dL/df = dh (n - h_{t-1}), dL/dh_{t-1} = dh (1 - f)
    dz_f = (dL/df + dp h_{t-1}) f (1 - f), dL/dh_{t-1} += dp f (+ what the product with W_hh adds)
"""

import numpy as np

from sandbox.cells import Cell, Product
from sandbox.kernels.activations import sigmoid, tanh


def gate_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 3, H): f's pre-activation to f; u = 1 - f, p = f h_{t-1}."""
    one = z.dtype.type(1)
    for b in range(first, last):
        f, u, h_prev, p = z[t, b, 0], z[t, b, 2], states[0, t, b], states[1, t + 1, b]
        for j in range(z.shape[3]):
            f[j] = sigmoid(f[j])
            u[j] = one - f[j]
            p[j] = f[j] * h_prev[j]


def step_forward(t, first, last, z, states, weights, flags):
    """z[t]: n's pre-activation to n."""
    for b in range(first, last):
        f, n, u, h_prev, h = z[t, b, 0], z[t, b, 1], z[t, b, 2], states[0, t, b], states[0, t + 1, b]
        for j in range(z.shape[3]):
            n[j] = tanh(n[j])
            h[j] = u[j] * h_prev[j] + f[j] * n[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: n to dL/dz_n, u to what h_t passes to f; ds: dL/dh_t to dL/dh_t u."""
    one = dz.dtype.type(1)
    for b in range(first, last):
        f, n, u, h_prev, dh = dz[t, b, 0], dz[t, b, 1], dz[t, b, 2], states[0, t, b], ds[0, b]
        for j in range(dz.shape[3]):
            d, n_j = dh[j], n[j]
            dh[j] = d * u[j]
            n[j] = d * f[j] * (one - n_j * n_j)
            u[j] = d * (n_j - h_prev[j])


def gate_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: f to dL/dz_f, u to 0; ds: dL/dp to 0, and dL/dh_{t-1} gets dL/dp f."""
    one, zero = dz.dtype.type(1), dz.dtype.type(0)
    for b in range(first, last):
        f, u, h_prev, dh, dp = dz[t, b, 0], dz[t, b, 2], states[0, t, b], ds[0, b], ds[1, b]
        for j in range(dz.shape[3]):
            dh[j] += dp[j] * f[j]
            f[j] = (u[j] + dp[j] * h_prev[j]) * f[j] * (one - f[j])
            u[j], dp[j] = zero, zero


def reference(x, h, W_ih, W_hh, W_pn, b):
    """One step in NumPy."""
    x_f, x_n = np.split(x @ W_ih + b, 2, axis=-1)
    f = 1 / (1 + np.exp(-x_f - h @ W_hh))
    return ((1 - f) * h + f * np.tanh(x_n + (f * h) @ W_pn),)


CELL = Cell(
    paper="Zhou, Wu, Zhang & Zhou 2016, Minimal gated unit for recurrent neural networks",
    gates=("f", "n"),
    states=("h",),
    tape=("f", "n", "u"),
    products=(Product("W_hh", "h", ("f",)), Product("W_pn", "p", ("n",), stage=1, times_h=True)),
    auxiliary=("p",),
    memory={"f": -1},
    step_forward=(gate_forward, step_forward),
    step_backward=(gate_backward, step_backward),
    reference=reference,
)

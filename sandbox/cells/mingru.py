"""Minimal GRU: gate and candidate see the input alone, so that the recurrence is linear in h.

    u_t = sigmoid(x_t W_iu + b_u)                      the paper's z
    n_t = x_t W_in + b_n
    h_t = (1 - u_t) h_{t-1} + u_t n_t

There is no recurrent product: h_t = a_t h_{t-1} + b_t with a_t = 1 - u_t known before the loop. This is the plain form;
the paper's other one works with logarithms and a candidate that is positive.

Backward: dz_u = dh (n - h_{t-1}) u (1 - u), dz_n = dh u, dL/dh_{t-1} = dh (1 - u).
"""

import numpy as np

from sandbox.cells import Cell
from sandbox.kernels.activations import sigmoid


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 2, H): u's pre-activation to u, and n as it is."""
    one = z.dtype.type(1)
    for b in range(first, last):
        u, n, h_prev, h = z[t, b, 0], z[t, b, 1], states[0, t, b], states[0, t + 1, b]
        for j in range(z.shape[3]):
            u[j] = sigmoid(u[j])
            h[j] = (one - u[j]) * h_prev[j] + u[j] * n[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: u n to their dL/dz; ds: dL/dh_t to dL/dh_{t-1}."""
    one = dz.dtype.type(1)
    for b in range(first, last):
        u, n, h_prev, dh = dz[t, b, 0], dz[t, b, 1], states[0, t, b], ds[0, b]
        for j in range(dz.shape[3]):
            kept, dz_n = one - u[j], dh[j] * u[j]
            u[j] = dz_n * (n[j] - h_prev[j]) * kept
            n[j] = dz_n
            dh[j] = dh[j] * kept


def reference(x, h, W_ih, b):
    """One step in NumPy."""
    u, n = np.split(x @ W_ih + b, 2, axis=-1)
    u = 1 / (1 + np.exp(-u))
    return ((1 - u) * h + u * n,)


def decay(gates, weights, options):
    """a_t = 1 - u_t (T, B, H)."""
    return (1 - gates["u"],)


CELL = Cell(
    paper="Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, Were RNNs all we needed?, section 3.1",
    gates=("u", "n"),
    states=("h",),
    products=(),
    memory={"u": -1},
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
    decay=decay,
)

"""Minimal recurrent network: the input is mapped into the state's space, and one gate mixes it with the past.

    z_t = tanh(x_t W_ih + b)
    u_t = sigmoid(h_{t-1} W_hh + z_t W_zu + b_u)
    h_t = u_t h_{t-1} + (1 - u_t) z_t

u near 1 keeps the past. z is an auxiliary state, because the product with W_zu comes between the two step functions.

Backward: dz = dh (1 - u), du = dh (h_{t-1} - z) u (1 - u); then, with what the product adds to dz, dz_x = dz (1 - z^2).
dL/dh_{t-1} = dh u + what the loop adds through W_hh.
"""

import numpy as np

from sandbox.cells import Cell, Product
from sandbox.kernels.activations import sigmoid, tanh


def embed_forward(t, first, last, z, states, weights, flags):
    """z[t]: the input's pre-activation to z, and a copy of it for the product."""
    for b in range(first, last):
        a, source = z[t, b, 0], states[1, t + 1, b]
        for j in range(z.shape[3]):
            a[j] = tanh(a[j])
            source[j] = a[j]


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 2, H): the gate's pre-activation to u."""
    H, one = z.shape[3], z.dtype.type(1)
    for b in range(first, last):
        a, u, h_prev, h = z[t, b, 0], z[t, b, 1], states[0, t, b], states[0, t + 1, b]
        for j in range(H):
            u[j] = sigmoid(u[j])
            h[j] = u[j] * h_prev[j] + (one - u[j]) * a[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: u to its dL/dz; ds: dL/dh_t to dL/dh_t u, and what of it goes to z."""
    H, one = dz.shape[3], dz.dtype.type(1)
    for b in range(first, last):
        a, u, h_prev, dh, da = dz[t, b, 0], dz[t, b, 1], states[0, t, b], ds[0, b], ds[1, b]
        for j in range(H):
            da[j] = dh[j] * (one - u[j])
            du = da[j] * (h_prev[j] - a[j]) * u[j]
            dh[j] = dh[j] * u[j]
            u[j] = du


def embed_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: z to the dL/dz of its pre-activation; ds of z to 0."""
    one, zero = dz.dtype.type(1), dz.dtype.type(0)
    for b in range(first, last):
        a, da = dz[t, b, 0], ds[1, b]
        for j in range(dz.shape[3]):
            a[j] = da[j] * (one - a[j] * a[j])
            da[j] = zero


def reference(x, h, W_ih, W_hh, W_zu, b, b_u):
    """One step in NumPy."""
    z = np.tanh(x @ W_ih + b)
    u = 1 / (1 + np.exp(-(h @ W_hh + z @ W_zu + b_u)))
    return (u * h + (1 - u) * z,)


CELL = Cell(
    paper="Chen 2017 (MinimalRNN), section 2",
    gates=("z",),
    states=("h",),
    tape=("z", "u"),
    auxiliary=("z",),
    products=(Product("W_hh", "h", ("u",)), Product("W_zu", "z", ("u",), stage=1)),
    biases={"b": ("z",), "b_u": ("u",)},
    memory={"u": 1},
    step_forward=(embed_forward, step_forward),
    step_backward=(embed_backward, step_backward),
    reference=reference,
)

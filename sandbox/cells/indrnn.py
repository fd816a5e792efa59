"""Independently recurrent network: each unit sees the input and its own past, and no other unit's.

    h_t = phi(z_t + u h_{t-1}),   z_t = x_t W_ih + b      phi: relu or tanh

u (H,) is one number per unit, so there is no recurrent product, and over t steps a gradient is u^t times a product of
phi'. It starts as u ~ U[0, 1]. The paper bounds |u| by gamma^(1/T) over T steps, which is 1 for a long T; no bound is
enforced here.

Backward: dz = dL/dh_t phi'(z_t + u h_{t-1}), du = dz h_{t-1}, dL/dh_{t-1} = dz u, with phi' from the value alone: [h >
0], 1 - h^2. The rectifier's derivative at exactly 0 is taken as 0.
"""

import numpy as np

from sandbox.cells import Cell, Option
from sandbox.kernels.activations import tanh
from sandbox.streams import uniform

RELU = 0


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 1, H): what the input brings to h_t."""
    H, zero, u = z.shape[3], z.dtype.type(0), weights[0]
    for b in range(first, last):
        a, h_prev, h = z[t, b, 0], states[0, t, b], states[0, t + 1, b]
        for j in range(H):
            a[j] += u[j] * h_prev[j]
        if flags[0] == RELU:
            for j in range(H):
                a[j] = zero if a[j] < zero else a[j]  # NaN stays NaN
        else:
            for j in range(H):
                a[j] = tanh(a[j])
        for j in range(H):
            h[j] = a[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: h_t to dL/dz; ds: dL/dh_t to dL/dh_{t-1}, all of it, since no product follows."""
    H, one, zero = dz.shape[3], dz.dtype.type(1), dz.dtype.type(0)
    u, du = weights[0], dweights[0]
    for b in range(first, last):
        a, h_prev, dh = dz[t, b, 0], states[0, t, b], ds[0, b]
        if flags[0] == RELU:
            for j in range(H):
                a[j] = zero if a[j] <= zero else dh[j]
        else:
            for j in range(H):
                a[j] = dh[j] * (one - a[j] * a[j])
        for j in range(H):
            du[j] += a[j] * h_prev[j]
            dh[j] = a[j] * u[j]


def reference(x, h, W_ih, b, u, activation="relu"):
    """One step in NumPy."""
    z = x @ W_ih + b + u * h
    return (np.where(z.real > 0, z, 0) if activation == "relu" else np.tanh(z),)


def initial(parameters, rng, options):
    """u ~ U[0, 1]."""
    parameters["u"][:] = uniform(rng, parameters["u"].shape)


CELL = Cell(
    paper="Li, Li, Cook, Zhu & Gao 2018 (IndRNN), section 3",
    gates=("h",),
    states=("h",),
    products=(),
    per_unit=("u",),
    options={"activation": Option("relu", choices=("relu", "tanh"), help="phi")},
    initial=initial,
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
)

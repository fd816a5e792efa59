"""Elman's recurrent network: one product, one non-linearity.

    z_t = x_t W_ih + h_{t-1} W_hh + b
    h_t = phi(z_t)                        phi: tanh, relu, identity or sigmoid

Backward: dz_t = dL/dh_t * phi'(z_t), with phi' from the value alone: 1 - h^2, [h > 0], 1, h (1 - h). The rectifier's
derivative at exactly 0 is taken as 0. `activation="identity"` is the linear recurrence that theory speaks of.
"""

import numpy as np

from sandbox.cells import Cell, Option
from sandbox.kernels.activations import sigmoid, tanh

TANH, RELU, SIGMOID = 0, 1, 3


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 1, H): pre-activation to h_t."""
    H, zero = z.shape[3], z.dtype.type(0)
    for b in range(first, last):
        a, h = z[t, b, 0], states[0, t + 1, b]
        if flags[0] == TANH:
            for j in range(H):
                a[j] = tanh(a[j])
        elif flags[0] == RELU:
            for j in range(H):
                a[j] = zero if a[j] < zero else a[j]  # NaN stays NaN
        elif flags[0] == SIGMOID:
            for j in range(H):
                a[j] = sigmoid(a[j])
        for j in range(H):
            h[j] = a[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: h_t to dL/dz_t; nothing of dL/dh_t passes by the product."""
    H, one, zero = dz.shape[3], dz.dtype.type(1), dz.dtype.type(0)
    for b in range(first, last):
        a, dh = dz[t, b, 0], ds[0, b]
        if flags[0] == TANH:
            for j in range(H):
                a[j] = dh[j] * (one - a[j] * a[j])
        elif flags[0] == RELU:
            for j in range(H):
                a[j] = zero if a[j] <= zero else dh[j]
        elif flags[0] == SIGMOID:
            for j in range(H):
                a[j] = dh[j] * a[j] * (one - a[j])
        else:
            for j in range(H):
                a[j] = dh[j]
        for j in range(H):
            dh[j] = zero


def reference(x, h, W_ih, W_hh, b, activation="tanh"):
    """One step in NumPy."""
    z = x @ W_ih + h @ W_hh + b
    phi = {"tanh": np.tanh, "relu": lambda z: np.where(z.real > 0, z, 0), "identity": lambda z: z,
           "sigmoid": lambda z: 1 / (1 + np.exp(-z))}  # fmt: skip
    return (phi[activation](z),)


CELL = Cell(
    paper="Elman 1990, Finding structure in time",
    gates=("h",),
    states=("h",),
    options={"activation": Option("tanh", choices=("tanh", "relu", "identity", "sigmoid"), help="phi")},
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
)

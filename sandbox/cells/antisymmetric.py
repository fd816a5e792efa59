"""Antisymmetric network: a step of an ordinary differential equation that neither grows nor fades.

    h_t = h_{t-1} + epsilon tanh(z_t),   z_t = x_t W_ih + h_{t-1} W_hh + b
    W_hh = M - M^T - gamma I

M (H, H) is learned; W_hh is made from it once per pass. Its eigenvalues are imaginary but for -gamma, which damps what
the Euler step of size epsilon lets grow: an eigenvalue i w of M - M^T becomes a factor of 1 - epsilon gamma + i epsilon
w a step at h = 0. M starts as N(0, sigma^2 / H), whatever the layer's `init` and `gain`. Defaults are this project's.

Backward: dz = dL/dh_t epsilon (1 - n^2) with n = tanh(z_t), the tape; dL/dh_t passes on to h_{t-1} as it is, and more
comes through the product. dM = dW_hh - dW_hh^T.
"""

import numpy as np

from sandbox.cells import Cell, Derived, Option
from sandbox.kernels.activations import tanh
from sandbox.streams import normal


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 1, H): pre-activation to n."""
    H, epsilon = z.shape[3], weights[0]
    for b in range(first, last):
        n, h_prev, h = z[t, b, 0], states[0, t, b], states[0, t + 1, b]
        for j in range(H):
            n[j] = tanh(n[j])
            h[j] = h_prev[j] + epsilon[j] * n[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: n to dL/dz; ds stays dL/dh_t, to which the loop adds what comes through W_hh."""
    H, one, epsilon = dz.shape[3], dz.dtype.type(1), weights[0]
    for b in range(first, last):
        n, dh = dz[t, b, 0], ds[0, b]
        for j in range(H):
            n[j] = dh[j] * epsilon[j] * (one - n[j] * n[j])


def reference(x, h, W_ih, b, M, epsilon=0.1, gamma=0.01, sigma=1.0):
    """One step in NumPy."""
    W_hh = M - M.T - gamma * np.eye(len(M))
    return (h + epsilon * np.tanh(x @ W_ih + h @ W_hh + b),)


def make(parameters, options):
    """W_hh from M."""
    M = parameters["M"]
    return {"W_hh": M - M.T - options["gamma"] * np.eye(len(M), dtype=M.dtype)}


def pull_back(parameters, weights, gradients, options):
    """dL/dM from dL/dW_hh."""
    dW = gradients["W_hh"]
    return {"M": dW - dW.T}


def initial(parameters, rng, options):
    """M ~ N(0, sigma^2 / H)."""
    M = parameters["M"]
    M[:] = normal(rng, M.shape) * (options["sigma"] / np.sqrt(len(M)))


CELL = Cell(
    paper="Chang, Chen, Haber & Chi 2019 (AntisymmetricRNN), section 3, without gates",
    gates=("n",),
    states=("h",),
    constants=("epsilon",),
    options={
        "epsilon": Option(0.1, help="step size", above=0),
        "gamma": Option(0.01, help="damping", minimum=0),
        "sigma": Option(1.0, help="initial sd of M's entries times sqrt(H)"),
    },
    derived=Derived(("W_hh",), lambda D, H, options: {"M": (H, H)}, make, pull_back),
    initial=initial,
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
)

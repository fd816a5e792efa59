"""Continuous-time network: leaky integrators, each with a time constant of its own, in Euler steps of length 1.

    h_t = h_{t-1} + a (tanh(z_t) - h_{t-1}),   z_t = x_t W_ih + h_{t-1} W_hh + b
    a = 1 / tau,   tau = 1 + exp(theta)

tau (in steps) is how long a unit remembers on its own: (1 - a)^t of it is left after t steps. theta (H,) is learned, so
that tau stays above 1, the shortest for which a step is no overshoot; a = sigmoid(-theta) is made once per pass.
tau starts at the option's value, which is the default where nothing is drawn. In Funahashi & Nakamura's equation tanh
is inside the product, tanh(h) W_hh; here it is outside, as in Jaeger et al.'s.

Backward, with n = tanh(z_t), the tape: dz = dL/dh_t a (1 - n^2), da = dL/dh_t (n - h_{t-1}), dL/dh_{t-1} = dL/dh_t (1 -
a) + what the loop adds through W_hh; dtheta = -da a (1 - a).
"""

import numpy as np

from sandbox.cells import Cell, Derived, Option
from sandbox.kernels.activations import log_array, sigmoid_array, tanh


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 1, H): pre-activation to n."""
    H, a = z.shape[3], weights[0]
    for b in range(first, last):
        n, h_prev, h = z[t, b, 0], states[0, t, b], states[0, t + 1, b]
        for j in range(H):
            n[j] = tanh(n[j])
            h[j] = h_prev[j] + a[j] * (n[j] - h_prev[j])


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: n to dL/dz; ds: dL/dh_t to the part of dL/dh_{t-1} that does not come through W_hh."""
    H, one, a, da = dz.shape[3], dz.dtype.type(1), weights[0], dweights[0]
    for b in range(first, last):
        n, h_prev, dh = dz[t, b, 0], states[0, t, b], ds[0, b]
        for j in range(H):
            da[j] += dh[j] * (n[j] - h_prev[j])
            n[j] = dh[j] * a[j] * (one - n[j] * n[j])
            dh[j] = dh[j] * (one - a[j])


def reference(x, h, W_ih, W_hh, b, theta, tau=2.0):
    """One step in NumPy."""
    return (h + (np.tanh(x @ W_ih + h @ W_hh + b) - h) / (1 + np.exp(theta)),)


def make(parameters, options):
    """a from theta."""
    return {"a": sigmoid_array(-parameters["theta"])}


def pull_back(parameters, weights, gradients, options):
    """dL/dtheta from dL/da."""
    a = weights["a"]
    return {"theta": -gradients["a"] * a * (1 - a)}


def initial(parameters, rng, options):
    """theta such that 1 + exp(theta) is the time constant asked for."""
    parameters["theta"][:] = log_array(np.array([options["tau"] - 1]))


CELL = Cell(
    paper="Jaeger et al. 2007, eq. 3 (leaky integrators); in continuous time: Funahashi & Nakamura 1993",
    gates=("n",),
    states=("h",),
    per_unit=("a",),
    options={"tau": Option(2.0, help="initial time constant in steps", above=1)},
    derived=Derived(("a",), lambda D, H, options: {"theta": (H,)}, make, pull_back),
    initial=initial,
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
)

"""Long expressive memory: two states, each an integrator whose step is chosen anew by the input.

    a_t = dt sigmoid(x_t W_ia + h_{t-1} W_ha + b_a)                                   the step of c
    s_t = dt sigmoid(x_t W_is + h_{t-1} W_hs + b_s)                                   the step of h
    c_t = (1 - a_t) c_{t-1} + a_t tanh(x_t W_ig + h_{t-1} W_hg + b_g)
    h_t = (1 - s_t) h_{t-1} + s_t tanh(x_t W_in + c_t W_cn + b_n)

h is the paper's y, c its z. Gates a and s hold the sigmoids, g and n the tanh. c_t is multiplied in the step that makes
it, so that zoneout would change what that product has seen: the layer refuses it. A copy of c that stays would lift
this at a third more memory for states.

Backward, the second function first: dz_n = dh s (1 - n^2), ds = dh (n - h_{t-1}), dL/dh_{t-1} = dh (1 - s); the loop
adds dz_n W_cn^T to dc; then dz_g = dc a (1 - g^2), da = dc (g - c_{t-1}), dL/dc_{t-1} = dc (1 - a).
"""

import numpy as np

from sandbox.cells import Cell, Option, Product
from sandbox.kernels.activations import sigmoid, tanh


def c_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 4, H): pre-activations to a s g, and c_t."""
    dt = weights[0]
    for b in range(first, last):
        a, s, g, c_prev, c = z[t, b, 0], z[t, b, 1], z[t, b, 2], states[1, t, b], states[1, t + 1, b]
        for j in range(z.shape[3]):
            a[j] = sigmoid(a[j])
            s[j] = sigmoid(s[j])
            g[j] = tanh(g[j])
            c[j] = c_prev[j] + dt[j] * a[j] * (g[j] - c_prev[j])


def h_forward(t, first, last, z, states, weights, flags):
    """z[t]: the pre-activation to n, and h_t."""
    dt = weights[0]
    for b in range(first, last):
        s, n, h_prev, h = z[t, b, 1], z[t, b, 3], states[0, t, b], states[0, t + 1, b]
        for j in range(z.shape[3]):
            n[j] = tanh(n[j])
            h[j] = h_prev[j] + dt[j] * s[j] * (n[j] - h_prev[j])


def h_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: s n to their dL/dz; ds: dL/dh_t to its part that does not come through products."""
    one, dt = dz.dtype.type(1), weights[0]
    for b in range(first, last):
        s, n, h_prev, dh = dz[t, b, 1], dz[t, b, 3], states[0, t, b], ds[0, b]
        for j in range(dz.shape[3]):
            step = dt[j] * s[j]
            s[j] = dh[j] * (n[j] - h_prev[j]) * step * (one - s[j])
            n[j] = dh[j] * step * (one - n[j] * n[j])
            dh[j] = dh[j] * (one - step)


def c_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: a g to their dL/dz; ds: dL/dc_t to dL/dc_{t-1}."""
    one, dt = dz.dtype.type(1), weights[0]
    for b in range(first, last):
        a, g, c_prev, dc = dz[t, b, 0], dz[t, b, 2], states[1, t, b], ds[1, b]
        for j in range(dz.shape[3]):
            step = dt[j] * a[j]
            a[j] = dc[j] * (g[j] - c_prev[j]) * step * (one - a[j])
            g[j] = dc[j] * step * (one - g[j] * g[j])
            dc[j] = dc[j] * (one - step)


def reference(x, h, c, W_ih, W_hh, W_cn, b, dt=1.0):
    """One step in NumPy."""
    (a, s, g, n), (h_a, h_s, h_g) = np.split(x @ W_ih + b, 4, axis=-1), np.split(h @ W_hh, 3, axis=-1)
    a, s = dt / (1 + np.exp(-(a + h_a))), dt / (1 + np.exp(-(s + h_s)))
    c = (1 - a) * c + a * np.tanh(g + h_g)
    return (1 - s) * h + s * np.tanh(n + c @ W_cn), c


CELL = Cell(
    paper="Rusch, Mishra, Erichson & Mahoney 2022 (LEM), eq. 3",
    gates=("a", "s", "g", "n"),
    states=("h", "c"),
    products=(Product("W_hh", "h", ("a", "s", "g")), Product("W_cn", "c", ("n",), stage=1)),
    constants=("dt",),
    memory={"a": -1, "s": -1},
    options={"dt": Option(1.0, help="longest step of both states", above=0)},
    step_forward=(c_forward, h_forward),
    step_backward=(c_backward, h_backward),
    reference=reference,
)

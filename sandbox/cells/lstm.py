"""Long short-term memory with a forget gate, without peepholes.

    z_t = x_t W_ih + h_{t-1} W_hh + b           columns i f g o
    i = sigmoid(z_i), f = sigmoid(z_f), g = tanh(z_g), o = sigmoid(z_o)
    c_t = f c_{t-1} + i g
    h_t = o tanh(c_t)

Backward, with dh = dL/dh_t and dc = dL/dc_t as coordinates of their own (what h_t passes on to c_t comes on top):

    d  = dc + dh o (1 - tanh(c_t)^2)
    dz_i = d g i (1 - i), dz_f = d c_{t-1} f (1 - f), dz_g = d i (1 - g^2), dz_o = dh tanh(c_t) o (1 - o)
    dL/dc_{t-1} = d f

c_t = f c_{t-1} + i g and tanh(c_t) are computed again in the backward step: that is cheaper than keeping the latter,
and the state c_t may be another one after zoneout. The forget bias is 1 unless said
otherwise (Gers et al. 2000; Jozefowicz et al. 2015): `forget_bias` is only the start of b_f, which is learned.
"""

import numpy as np

from sandbox.cells import Cell, Option
from sandbox.kernels.activations import sigmoid, tanh


def step_forward(t, z, states, weights, flags):
    """z[t] (B, 4, H): pre-activations to i f g o."""
    B, H = z.shape[1], z.shape[3]
    for b in range(B):
        i, f, g, o = z[t, b, 0], z[t, b, 1], z[t, b, 2], z[t, b, 3]
        c_prev, c, h = states[1, t, b], states[1, t + 1, b], states[0, t + 1, b]
        for j in range(H):
            i[j] = sigmoid(i[j])
            f[j] = sigmoid(f[j])
            g[j] = tanh(g[j])
            o[j] = sigmoid(o[j])
            c[j] = f[j] * c_prev[j] + i[j] * g[j]
            h[j] = o[j] * tanh(c[j])


def step_backward(t, dz, states, weights, flags, ds, dweights):
    """dz[t]: i f g o to their dL/dz; ds: (dL/dh_t, dL/dc_t) to (0, elementwise part of dL/dc_{t-1})."""
    B, H, one = dz.shape[1], dz.shape[3], dz.dtype.type(1)
    for b in range(B):
        i, f, g, o = dz[t, b, 0], dz[t, b, 1], dz[t, b, 2], dz[t, b, 3]
        c_prev, dh, dc = states[1, t, b], ds[0, b], ds[1, b]
        for j in range(H):
            tanh_c = tanh(f[j] * c_prev[j] + i[j] * g[j])
            d = dc[j] + dh[j] * o[j] * (one - tanh_c * tanh_c)
            dc[j] = d * f[j]
            dz_i = d * g[j] * i[j] * (one - i[j])
            dz_g = d * i[j] * (one - g[j] * g[j])
            f[j] = d * c_prev[j] * f[j] * (one - f[j])
            o[j] = dh[j] * tanh_c * o[j] * (one - o[j])
            i[j] = dz_i
            g[j] = dz_g
            dh[j] = 0


def reference(x, h, c, W_ih, W_hh, b, forget_bias=1.0):
    """One step in NumPy."""
    i, f, g, o = np.split(x @ W_ih + h @ W_hh + b, 4, axis=-1)
    i, f, o = (1 / (1 + np.exp(-z)) for z in (i, f, o))
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


CELL = Cell(
    paper="Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000",
    gates=("i", "f", "g", "o"),
    states=("h", "c"),
    options={"forget_bias": Option(1.0, help="initial bias of the forget gate")},
    initial_bias={"f": "forget_bias"},
    memory={"f": 1, "i": -1},
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
)

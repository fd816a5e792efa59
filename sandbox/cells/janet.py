"""Just another network: an LSTM of which only the forget gate is left, and which shows its cell state as h.

    z_t = x_t W_ih + h_{t-1} W_hh + b                  columns f g
    f = sigmoid(z_f), i = 1 - sigmoid(z_f - beta) = sigmoid(beta - z_f), g = tanh(z_g)
    h_t = f h_{t-1} + i g

beta = 0 couples the two exactly; with the paper's beta = 1 more is let in than is forgotten. i has a tape column of its
own, without parameters. The paper starts b_f by chrono (`Layer(..., chrono=T)`); without it b_f is `forget_bias`.

Backward:

    dz_f = dh (h_{t-1} f (1 - f) - g i (1 - i)), dz_g = dh i (1 - g^2), dL/dh_{t-1} = dh f (+ what products add)
"""

import numpy as np

from sandbox.cells import Cell, Option
from sandbox.kernels.activations import sigmoid, tanh


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 3, H): pre-activations to f g, and i from f's."""
    for b in range(first, last):
        f, g, i = z[t, b, 0], z[t, b, 1], z[t, b, 2]
        h_prev, h, beta = states[0, t, b], states[0, t + 1, b], weights[0, 0]
        for j in range(z.shape[3]):
            i[j] = sigmoid(beta - f[j])
            f[j] = sigmoid(f[j])
            g[j] = tanh(g[j])
            h[j] = f[j] * h_prev[j] + i[j] * g[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: f g i to dL/dz of f and g, and 0; ds: dL/dh_t to dL/dh_t f."""
    one, zero = dz.dtype.type(1), dz.dtype.type(0)
    for b in range(first, last):
        f, g, i, h_prev, dh = dz[t, b, 0], dz[t, b, 1], dz[t, b, 2], states[0, t, b], ds[0, b]
        for j in range(dz.shape[3]):
            d, slope = dh[j], h_prev[j] * f[j] * (one - f[j]) - g[j] * i[j] * (one - i[j])
            dh[j] = d * f[j]
            f[j] = d * slope
            g[j] = d * i[j] * (one - g[j] * g[j])
            i[j] = zero


def reference(x, h, W_ih, W_hh, b, beta=1.0, forget_bias=1.0):
    """One step in NumPy."""
    f, g = np.split(x @ W_ih + h @ W_hh + b, 2, axis=-1)
    return (h / (1 + np.exp(-f)) + np.tanh(g) * (1 - 1 / (1 + np.exp(beta - f))),)


CELL = Cell(
    paper="van der Westhuizen & Lasenby 2018, The unreasonable effectiveness of the forget gate",
    gates=("f", "g"),
    states=("h",),
    tape=("f", "g", "i"),
    constants=("beta",),
    options={
        "beta": Option(1.0, help="how much further open the input is"),
        "forget_bias": Option(1.0, help="initial bias of the forget gate"),
    },
    initial_bias={"f": "forget_bias"},
    memory={"f": 1},
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
)

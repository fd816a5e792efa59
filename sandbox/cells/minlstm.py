"""Minimal LSTM: gates and candidate see the input alone, and the two gates share what there is.

    f = sigmoid(x_t W_if + b_f), i = sigmoid(x_t W_ii + b_i), n = x_t W_in + b_n
    a = f / (f + i)                                    1 - a = i / (f + i)
    h_t = a h_{t-1} + (1 - a) n

There is no recurrent product: h_t = a_t h_{t-1} + b_t with a_t known before the loop. With
i / f = (1 + exp(-z_f)) / (1 + exp(-z_i)) the share is a = sigmoid(softplus(-z_i) - softplus(-z_f)), which holds where
both gates are 0 to rounding. It has a tape column of its own, without parameters. This is the plain form; the paper's
other one works with logarithms and a candidate that is positive.

Backward, with da = dh (h_{t-1} - n) a (1 - a):

    dz_f = da (1 - f), dz_i = -da (1 - i), dz_n = dh (1 - a), dL/dh_{t-1} = dh a
"""

import numpy as np

from sandbox.cells import Cell, Option
from sandbox.kernels.activations import sigmoid, softplus


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 4, H): pre-activations to f i, n as it is, and a."""
    one = z.dtype.type(1)
    for b in range(first, last):
        f, i, n, a = z[t, b, 0], z[t, b, 1], z[t, b, 2], z[t, b, 3]
        h_prev, h = states[0, t, b], states[0, t + 1, b]
        for j in range(z.shape[3]):
            a[j] = sigmoid(softplus(-i[j]) - softplus(-f[j]))
        for j in range(z.shape[3]):
            f[j] = sigmoid(f[j])
            i[j] = sigmoid(i[j])
            h[j] = a[j] * h_prev[j] + (one - a[j]) * n[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: f i n a to dL/dz of the first three, and 0; ds: dL/dh_t to dL/dh_{t-1}."""
    one, zero = dz.dtype.type(1), dz.dtype.type(0)
    for b in range(first, last):
        f, i, n, a, h_prev, dh = dz[t, b, 0], dz[t, b, 1], dz[t, b, 2], dz[t, b, 3], states[0, t, b], ds[0, b]
        for j in range(dz.shape[3]):
            dz_n = dh[j] * (one - a[j])
            da = dz_n * (h_prev[j] - n[j]) * a[j]
            dh[j] = dh[j] * a[j]
            f[j] = da * (one - f[j])
            i[j] = da * (i[j] - one)
            n[j] = dz_n
            a[j] = zero


def reference(x, h, W_ih, b, forget_bias=0.0):
    """One step in NumPy."""
    f, i, n = np.split(x @ W_ih + b, 3, axis=-1)
    f, i = 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-i))
    return ((f * h + i * n) / (f + i),)


def decay(gates, weights, options):
    """a_t (T, B, H)."""
    return (gates["a"],)


CELL = Cell(
    paper="Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, Were RNNs all we needed?, section 3.2",
    gates=("f", "i", "n"),
    states=("h",),
    tape=("f", "i", "n", "a"),
    products=(),
    options={"forget_bias": Option(0.0, help="initial bias of the forget gate")},
    initial_bias={"f": "forget_bias"},
    memory={"f": 1, "i": -1},
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
    decay=decay,
)

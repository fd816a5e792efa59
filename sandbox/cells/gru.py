"""Gated recurrent unit, reset after the recurrent product (cuDNN's and PyTorch's form).

    r_t = sigmoid(x_t W_ir + h_{t-1} W_hr + b_r)
    z_t = sigmoid(x_t W_iz + h_{t-1} W_hz + b_z)
    q_t = h_{t-1} W_hn + b_hn
    n_t = tanh(x_t W_in + b_n + r_t q_t)
    h_t = (1 - z_t) n_t + z_t h_{t-1}

z near 1 keeps the past; in the 2014 paper's equations z and 1 - z change places. b_hn cannot be merged with b_n: it is
inside the reset. Because n sees the input and r q, not their sum, q has a tape column of its own: the input product
fills n r z, the recurrent product r z q, and both stay plain sums.

Backward: dn = dh (1 - z), dz_n = dn (1 - n^2), dq = dz_n r, dz_r = dz_n q r (1 - r), dz_z = dh (h_{t-1} - n) z (1 - z),
dL/dh_{t-1} = dh z + what the loop adds through W_hh.
"""

import numpy as np

from sandbox.cells import Cell
from sandbox.kernels.activations import sigmoid, tanh


def step_forward(t, z, states, weights, flags):
    """z[t] (B, 4, H): pre-activations to n r z, and q as it is."""
    B, H, one = z.shape[1], z.shape[3], z.dtype.type(1)
    for b in range(B):
        n, r, u, q = z[t, b, 0], z[t, b, 1], z[t, b, 2], z[t, b, 3]
        h_prev, h = states[0, t, b], states[0, t + 1, b]
        for j in range(H):
            r[j] = sigmoid(r[j])
            u[j] = sigmoid(u[j])
            n[j] = tanh(n[j] + r[j] * q[j])
            h[j] = (one - u[j]) * n[j] + u[j] * h_prev[j]


def step_backward(t, dz, states, weights, flags, ds, dweights):
    """dz[t]: n r z q to their dL/dz; ds: dL/dh_t to dL/dh_t z, what the leak passes on."""
    B, H, one = dz.shape[1], dz.shape[3], dz.dtype.type(1)
    for b in range(B):
        n, r, u, q = dz[t, b, 0], dz[t, b, 1], dz[t, b, 2], dz[t, b, 3]
        h_prev, dh = states[0, t, b], ds[0, b]
        for j in range(H):
            dz_n = dh[j] * (one - u[j]) * (one - n[j] * n[j])
            dz_u = dh[j] * (h_prev[j] - n[j]) * u[j] * (one - u[j])
            dh[j] = dh[j] * u[j]
            n[j] = dz_n
            u[j] = dz_u
            dz_r = dz_n * q[j] * r[j] * (one - r[j])
            q[j] = dz_n * r[j]
            r[j] = dz_r


def reference(x, h, W_ih, W_hh, b, b_hn):
    """One step in NumPy."""
    x_r, x_z, x_n = np.split(x @ W_ih + b, 3, axis=-1)
    h_r, h_z, h_n = np.split(h @ W_hh, 3, axis=-1)
    r, z = (1 / (1 + np.exp(-a)) for a in (x_r + h_r, x_z + h_z))
    n = np.tanh(x_n + r * (h_n + b_hn))
    return ((1 - z) * n + z * h,)


CELL = Cell(
    paper="Cho et al. 2014; reset after the product: Appleyard, Kocisky & Blunsom 2016 (cuDNN)",
    gates=("r", "z", "n"),
    states=("h",),
    tape=("n", "r", "z", "q"),
    recurrent=("r", "z", "q"),
    biases={"b": ("r", "z", "n"), "b_hn": ("q",)},
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
)

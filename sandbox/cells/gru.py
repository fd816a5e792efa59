"""Gated recurrent unit, with the reset after or before the recurrent product: two different networks.

    r_t = sigmoid(x_t W_ir + h_{t-1} W_hr + b_r)
    z_t = sigmoid(x_t W_iz + h_{t-1} W_hz + b_z)
    n_t = tanh(x_t W_in + b_n + r_t q_t),   q_t = h_{t-1} W_hn + b_hn      reset="after" (cuDNN and PyTorch)
    n_t = tanh(x_t W_in + b_n + p_t W_pn),  p_t = r_t h_{t-1}              reset="before" (the 2014 paper, ONNX)
    h_t = (1 - z_t) n_t + z_t h_{t-1}

z near 1 keeps the past; in the 2014 paper's equations z and 1 - z change places. b_hn cannot be merged with b_n: it is
inside the reset. Because n sees the input and r q, not their sum, q has a tape column of its own: the input product
fills n r z, the recurrent product r z q. With the reset before, p is an auxiliary state and the product with W_pn comes
between the two step functions; with the reset after the first of them has nothing to do.

Backward: dn = dh (1 - z), dz_n = dn (1 - n^2), dz_z = dh (h_{t-1} - n) z (1 - z); dq = dz_n r, dz_r = dz_n q r (1 -
r), or dp = dz_n W_pn^T, dz_r = dp h_{t-1} r (1 - r). dL/dh_{t-1} = dh z (+ dp r) + what the loop adds through the
products.
"""

from dataclasses import replace

import numpy as np

from sandbox.cells import Cell, Option, Product
from sandbox.kernels.activations import sigmoid, tanh

AFTER, BEFORE = 0, 1


def reset_forward(t, first, last, z, states, weights, flags):
    """Reset before: z[t] from r's pre-activation to r, and p = r h_{t-1}."""
    for b in range(first, last if flags[0] == BEFORE else first):
        r, h_prev, p = z[t, b, 1], states[0, t, b], states[1, t + 1, b]
        for j in range(z.shape[3]):
            r[j] = sigmoid(r[j])
            p[j] = r[j] * h_prev[j]


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 3 or 4, H): pre-activations to n r z, and q as it is."""
    H, one = z.shape[3], z.dtype.type(1)
    for b in range(first, last):
        n, r, u = z[t, b, 0], z[t, b, 1], z[t, b, 2]
        h_prev, h = states[0, t, b], states[0, t + 1, b]
        if flags[0] == AFTER:
            q = z[t, b, 3]
            for j in range(H):
                r[j] = sigmoid(r[j])
                n[j] += r[j] * q[j]
        for j in range(H):
            u[j] = sigmoid(u[j])
            n[j] = tanh(n[j])
            h[j] = (one - u[j]) * n[j] + u[j] * h_prev[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: n r z q to their dL/dz, but for r with the reset before; ds: dL/dh_t to dL/dh_t z."""
    H, one = dz.shape[3], dz.dtype.type(1)
    for b in range(first, last):
        n, r, u, h_prev, dh = dz[t, b, 0], dz[t, b, 1], dz[t, b, 2], states[0, t, b], ds[0, b]
        for j in range(H):
            dz_n = dh[j] * (one - u[j]) * (one - n[j] * n[j])
            dz_u = dh[j] * (h_prev[j] - n[j]) * u[j] * (one - u[j])
            dh[j] = dh[j] * u[j]
            n[j] = dz_n
            u[j] = dz_u
        if flags[0] == AFTER:
            q = dz[t, b, 3]
            for j in range(H):
                dz_r = n[j] * q[j] * r[j] * (one - r[j])
                q[j] = n[j] * r[j]
                r[j] = dz_r


def reset_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """Reset before: dz[t] from r to dL/dz_r; ds: dL/dp to 0, and dL/dh_{t-1} gets dL/dp r."""
    one, zero = dz.dtype.type(1), dz.dtype.type(0)
    for b in range(first, last if flags[0] == BEFORE else first):
        r, h_prev, dh, dp = dz[t, b, 1], states[0, t, b], ds[0, b], ds[1, b]
        for j in range(dz.shape[3]):
            dh[j] += dp[j] * r[j]
            r[j] = dp[j] * h_prev[j] * r[j] * (one - r[j])
            dp[j] = zero


def reference(x, h, W_ih, W_hh, b, b_hn=0, W_pn=None, reset="after"):
    """One step in NumPy."""
    x_r, x_z, x_n = np.split(x @ W_ih + b, 3, axis=-1)
    h_r, h_z, *h_n = np.split(h @ W_hh, 3 if reset == "after" else 2, axis=-1)
    r, z = (1 / (1 + np.exp(-a)) for a in (x_r + h_r, x_z + h_z))
    n = np.tanh(x_n + (r * (h_n[0] + b_hn) if reset == "after" else (r * h) @ W_pn))
    return ((1 - z) * n + z * h,)


def specialise(cell, options):
    """The reset before the product instead of after it."""
    if options["reset"] == "after":
        return cell
    products = (Product("W_hh", "h", ("r", "z")), Product("W_pn", "p", ("n",), stage=1, times_h=True))
    return replace(cell, tape=("n", "r", "z"), products=products, biases={"b": ("r", "z", "n")}, auxiliary=("p",))


CELL = Cell(
    paper="Cho et al. 2014; reset after the product: Appleyard, Kocisky & Blunsom 2016 (cuDNN)",
    gates=("r", "z", "n"),
    states=("h",),
    tape=("n", "r", "z", "q"),
    products=(Product("W_hh", "h", ("r", "z", "q")),),
    biases={"b": ("r", "z", "n"), "b_hn": ("q",)},
    memory={"z": 1},
    options={"reset": Option("after", choices=("after", "before"), help="reset gate after or before the product")},
    step_forward=(reset_forward, step_forward),
    step_backward=(reset_backward, step_backward),
    reference=reference,
    specialise=specialise,
)

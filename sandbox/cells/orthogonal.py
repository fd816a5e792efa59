"""Recurrent network whose W_hh is orthogonal by construction, whatever training does: Cayley's transform.

    h_t = phi(z_t),   z_t = x_t W_ih + h_{t-1} W_hh
    W_hh = (I + A)^-1 (I - A),   A = M - M^T                                        M (H, H) is learned
    phi(z) = sign(z) relu(|z| + b) (modReLU), or tanh(z + b), or z + b

W_hh is made once per pass, in float64 and then rounded. A is skew, so that v^T (I + A) v = |v|^2: I + A always has
an inverse. M starts as rotations of pairs of units by U[0, pi / 2), whatever the layer's `init` and `gain`.

Backward: dz = dL/dh_t phi', with phi' from the value alone: for modReLU [h != 0], and db = dz sign(h). Its derivative
at exactly 0 is taken as 0. dA = -(I + A)^-T dW_hh (I + W_hh)^T, dM = dA - dA^T.
"""

from dataclasses import replace

import numpy as np

from sandbox.cells import Cell, Derived, Option
from sandbox.kernels.activations import sinpi_array, tanh
from sandbox.kernels.gemm import multiply
from sandbox.kernels.linalg import solve
from sandbox.streams import uniform

MODRELU, TANH = 0, 1


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 1, H): pre-activation to h_t."""
    zero = z.dtype.type(0)
    for b in range(first, last):
        a, h = z[t, b, 0], states[0, t + 1, b]
        if flags[0] == MODRELU:
            bias = weights[0]
            for j in range(z.shape[3]):
                r = abs(a[j]) + bias[j]
                r = zero if r < zero else r
                a[j] = r if a[j] > zero else (-r if a[j] < zero else a[j])  # NaN stays NaN
        elif flags[0] == TANH:
            for j in range(z.shape[3]):
                a[j] = tanh(a[j])
        for j in range(z.shape[3]):
            h[j] = a[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: h_t to dL/dz_t; nothing of dL/dh_t passes by the product."""
    one, zero = dz.dtype.type(1), dz.dtype.type(0)
    for b in range(first, last):
        a, dh = dz[t, b, 0], ds[0, b]
        if flags[0] == MODRELU:
            db = dweights[0]
            for j in range(dz.shape[3]):
                up, down = zero if a[j] <= zero else dh[j], zero if a[j] >= zero else dh[j]
                db[j] += up - down
                a[j] = up + down
        elif flags[0] == TANH:
            for j in range(dz.shape[3]):
                a[j] = dh[j] * (one - a[j] * a[j])
        else:
            for j in range(dz.shape[3]):
                a[j] = dh[j]
        for j in range(dz.shape[3]):
            dh[j] = zero


def reference(x, h, W_ih, b, M, activation="modrelu"):
    """One step in NumPy."""
    I, A = np.eye(len(M)), M - M.T
    z = x @ W_ih + h @ np.linalg.solve(I + A, I - A)
    if activation != "modrelu":
        return (np.tanh(z + b) if activation == "tanh" else z + b,)
    sign = np.sign(z.real)
    return (np.where((sign * z + b).real > 0, sign * (sign * z + b), 0),)


def _split(M):
    """I and A in float64."""
    return np.eye(len(M)), M.astype(np.float64) - M.T


def make(parameters, options):
    """W_hh from M."""
    I, A = _split(parameters["M"])
    return {"W_hh": solve(I + A, I - A)}


def pull_back(parameters, weights, gradients, options):
    """dL/dM from dL/dW_hh."""
    I, A = _split(parameters["M"])
    G, W = gradients["W_hh"].astype(np.float64), weights["W_hh"].astype(np.float64)
    dA = solve(I - A, multiply(G, I + W.T))
    return {"M": dA.T - dA}


def initial(parameters, rng, options):
    """The Cayley transform of a block [[0, s], [-s, 0]] rotates by t if s = tan(t / 2)."""
    M, k = parameters["M"], np.arange(0, len(parameters["M"]) - 1, 2)
    cosine = sinpi_array(0.5 - 0.5 * uniform(rng, k.shape))
    M[k, k + 1] = np.sqrt((1 - cosine) / (1 + cosine))


def specialise(cell, options):
    """The bias inside of modReLU, one number per unit, or added to z."""
    return cell if options["activation"] == "modrelu" else replace(cell, biases={"b": ("h",)}, per_unit=())


CELL = Cell(
    paper="Helfrich, Willmott & Ye 2018 (scoRNN), theorem 3.2; modReLU: Arjovsky, Shah & Bengio 2016",
    gates=("h",),
    states=("h",),
    biases={},
    per_unit=("b",),
    options={"activation": Option("modrelu", choices=("modrelu", "tanh", "identity"), help="phi")},
    derived=Derived(("W_hh",), lambda D, H, options: {"M": (H, H)}, make, pull_back),
    initial=initial,
    specialise=specialise,
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
)

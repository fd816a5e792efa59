"""Long short-term memory with a forget gate, and the variants of Greff et al. 2015, each one change away.

    z_t = x_t W_ih + h_{t-1} W_hh + b                  columns i f g o
    i = sigmoid(z_i + p_i c_{t-1}), f = sigmoid(z_f + p_f c_{t-1}), g = tanh(z_g)
    c_t = f c_{t-1} + i g,  o = sigmoid(z_o + p_o c_t),  h_t = o tanh(c_t)

`peepholes="none"` has no p (H,). Variants: nig i = 1, nfg f = 1, nog o = 1, niaf g = z_g, noaf h_t = o c_t; cifg i =
1 - f, with the forget gate's parameters (the paper keeps the input gate's: the same with the other sign); fgr, full
gate recurrence, adds i_{t-1} R_i + f_{t-1} R_f + o_{t-1} R_o to the columns i f o: gates are states then, 0 at first,
and zoned out as well. A gate that is left out has no parameters, and its tape column holds what takes its place.

Backward, with dh = dL/dh_t and dc = dL/dc_t as coordinates of their own (what h_t passes on to c_t comes on top):

    dz_o = (dh tanh(c_t) + do) o (1 - o)               do, di, df: what fgr's products pass to the gates, else 0
    d    = dc + dh o (1 - tanh(c_t)^2) + dz_o p_o
    dz_i = (d g + di) i (1 - i), dz_f = (d c_{t-1} + df) f (1 - f), dz_g = d i (1 - g^2);  cifg: dz_f - dz_i for dz_f
    dL/dc_{t-1} = d f + dz_i p_i + dz_f p_f

c_t = f c_{t-1} + i g and tanh(c_t) are computed again in the backward step: that is cheaper than keeping the latter,
and the state c_t may be another one after zoneout. The forget bias is 1 unless said otherwise (Gers et al. 2000;
Jozefowicz et al. 2015): `forget_bias` is only the start of b_f, which is learned.
"""

from dataclasses import replace

import numpy as np

from sandbox.cells import Cell, Option, Product
from sandbox.kernels.activations import sigmoid, tanh

VARIANTS = {"standard": "", "nig": "i", "nfg": "f", "nog": "o", "niaf": "", "noaf": "", "cifg": "i", "fgr": ""}
NIG, NFG, NOG, NIAF, NOAF, CIFG, FGR = range(1, 8)  # VARIANTS says which gate is left out

# What a flag decides is the same for all j, and the compiler decides it before the loop. What the standard network
# does without has loops over the batch of its own: inside the main ones it would slow them, used or not.


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 4, H): pre-activations to i f g o."""
    H, P, variant, infinite = z.shape[3], weights.shape[0], flags[0], z.dtype.type(np.inf)
    row = 0 if variant == NIG or variant == CIFG else 1
    for b in range(first, last):
        i, f, o, c_prev = z[t, b, 0], z[t, b, 1], z[t, b, 3], states[1, t, b]
        fixed = i if variant == NIG else f if variant == NFG else o
        for j in range(H):
            if P:  # what is added to a gate that is set below does not matter
                i[j] += weights[0, j] * c_prev[j]
                f[j] += weights[row, j] * c_prev[j]
            if variant == CIFG:
                i[j] = -f[j]  # sigmoid(-z) = 1 - sigmoid(z)
            if NIG <= variant <= NOG:
                fixed[j] = infinite  # sigmoid(inf) = 1, whose slope is 0: such a gate needs no other care
    for b in range(first, last):
        i, f, g, o = z[t, b, 0], z[t, b, 1], z[t, b, 2], z[t, b, 3]
        c_prev, c, h = states[1, t, b], states[1, t + 1, b], states[0, t + 1, b]
        for j in range(H):
            i[j] = sigmoid(i[j])
            f[j] = sigmoid(f[j])
            g[j] = g[j] if variant == NIAF else tanh(g[j])
            c[j] = f[j] * c_prev[j] + i[j] * g[j]
        for j in range(H if P else 0):
            o[j] += weights[P - 1, j] * c[j]
        for j in range(H):
            o[j] = sigmoid(o[j])
            h[j] = o[j] * (c[j] if variant == NOAF else tanh(c[j]))
        for j in range(H if variant == FGR else 0):
            states[2, t + 1, b, j], states[3, t + 1, b, j], states[4, t + 1, b, j] = i[j], f[j], o[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: i f g o to their dL/dz; ds: (dL/dh_t, dL/dc_t, ...) to (0, elementwise part of dL/dc_{t-1}, 0 ...)."""
    H, P, variant = dz.shape[3], weights.shape[0], flags[0]
    one, zero, linear_in, linear_out = dz.dtype.type(1), dz.dtype.type(0), variant == NIAF, variant == NOAF
    row = 0 if variant == NIG or variant == CIFG else 1
    for b in range(first, last):
        i, f, g, o = dz[t, b, 0], dz[t, b, 1], dz[t, b, 2], dz[t, b, 3]
        c_prev, dh, dc = states[1, t, b], ds[0, b], ds[1, b]
        if variant == FGR:
            for j in range(H):
                ds[2, b, j] *= i[j] * (one - i[j])
                ds[3, b, j] *= f[j] * (one - f[j])
                ds[4, b, j] *= o[j] * (one - o[j])
        for j in range(H if P else 0):
            c = f[j] * c_prev[j] + i[j] * g[j]
            dz_o = dh[j] * (c if linear_out else tanh(c)) * o[j] * (one - o[j])
            dz_o += ds[4, b, j] if variant == FGR else zero
            dweights[P - 1, j] += dz_o * c
            dc[j] += dz_o * weights[P - 1, j]
    for b in range(first, last):
        i, f, g, o = dz[t, b, 0], dz[t, b, 1], dz[t, b, 2], dz[t, b, 3]
        c_prev, dh, dc = states[1, t, b], ds[0, b], ds[1, b]
        for j in range(H):
            c = f[j] * c_prev[j] + i[j] * g[j]
            y = c if linear_out else tanh(c)
            d = dc[j] + dh[j] * o[j] * (one if linear_out else one - y * y)
            dc[j] = d * f[j]
            dz_i = d * g[j] * i[j] * (one - i[j])
            dz_g = d * i[j] * (one if linear_in else one - g[j] * g[j])
            f[j] = d * c_prev[j] * f[j] * (one - f[j])
            o[j] = dh[j] * y * o[j] * (one - o[j])
            i[j] = dz_i
            g[j] = dz_g
            dh[j] = 0
    for b in range(first, last):
        i, f, o, c_prev, dc = dz[t, b, 0], dz[t, b, 1], dz[t, b, 3], states[1, t, b], ds[1, b]
        if variant == FGR:
            for j in range(H):
                i[j] += ds[2, b, j]
                f[j] += ds[3, b, j]
                o[j] += ds[4, b, j]
                ds[2, b, j], ds[3, b, j], ds[4, b, j] = zero, zero, zero
        for j in range(H if variant == CIFG else 0):
            f[j] -= i[j]
            i[j] = zero
        for j in range(H if P else 0):
            dweights[0, j] += i[j] * c_prev[j]
            dweights[row, j] += f[j] * c_prev[j]
            dc[j] += i[j] * weights[0, j] + f[j] * weights[row, j]


def reference(x, h, c, *gates, W_ih, W_hh, b, p_i=0, p_f=0, p_o=0, R_i=0, R_f=0, R_o=0, variant="standard", **options):
    """One step in NumPy."""
    there = [gate for gate in "ifgo" if gate not in VARIANTS[variant]]
    z = dict(zip(there, np.split(x @ W_ih + h @ W_hh + b, len(there), -1), strict=True))
    for previous, R in zip(gates, (R_i, R_f, R_o), strict=False):
        for gate, inflow in zip("ifo", np.split(previous @ R, 3, -1), strict=True):
            z[gate] = z[gate] + inflow
    f = 1 / (1 + np.exp(-z["f"] - p_f * c)) if "f" in z else 1
    i = 1 / (1 + np.exp(-z["i"] - p_i * c)) if "i" in z else 1 - f if variant == "cifg" else 1
    c = f * c + i * (z["g"] if variant == "niaf" else np.tanh(z["g"]))
    o = 1 / (1 + np.exp(-z["o"] - p_o * c)) if "o" in z else 1
    return (o * (c if variant == "noaf" else np.tanh(c)), c, i, f, o)[: 5 if variant == "fgr" else 2]


def specialise(cell, options):
    """The parameters of the variant, peepholes of the gates it has, and gates as states where they recur."""
    cell = cell.without(*VARIANTS[options["variant"]])
    if options["peepholes"] == "full":
        cell = replace(cell, per_unit=tuple(f"p_{gate}" for gate in "ifo" if gate in cell.gates))
    if options["variant"] == "fgr":
        products = (Product(f"R_{gate}", gate, ("i", "f", "o")) for gate in "ifo")
        cell = replace(cell, states=(*cell.states, "i", "f", "o"), products=(*cell.products, *products))
    return cell


CELL = Cell(
    paper="Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000; variants: Greff et al. 2015",
    gates=("i", "f", "g", "o"),
    states=("h", "c"),
    options={
        "variant": Option("standard", choices=tuple(VARIANTS), help="of Greff et al. 2015"),
        "peepholes": Option("none", choices=("none", "full"), help="of the gates to the cell state"),
        "forget_bias": Option(1.0, help="initial bias of the forget gate"),
    },
    initial_bias={"f": "forget_bias"},
    memory={"f": 1, "i": -1},
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
    specialise=specialise,
)

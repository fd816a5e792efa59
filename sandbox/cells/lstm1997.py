"""The memory blocks of 1997: S cells share an input and an output gate, there is no forget gate, and gates recur.

    z_t = x_t W_ih + u_{t-1} W_hh + b,  u = (h of H cells, i of H / S blocks, o of H / S blocks): U units
    i = sigmoid(z_i), o = sigmoid(z_o), g = 4 sigmoid(z_g) - 2 = 2 tanh(z_g / 2)
    c_t = c_{t-1} + i g,  h_t = o (2 sigmoid(c_t) - 1) = o tanh(c_t / 2)

Every unit sees every unit: W_ih (D, U), W_hh (U, U), b (U,), or of the gates alone, or none. The loop works with
columns i g o of H each, where a gate's weights are repeated for the S cells of its block, and with a product for each
source h, i, o, in which a block's first cell sends for its gate. hidden_size is the number of cells, a multiple of S.
All starts in U[-scale, scale], whatever the layer's init, but gate biases of block k = 1, 2 ... at k `input_bias` and k
`output_bias` where these are not 0 (-3 and 0 in the paper's adding problem).

Backward, exact where the paper truncates; y = tanh(c_t / 2), di and do are what the products pass to the gates:

    d = dL/dc_{t-1} = dc + dh o (1 - y^2) / 2
    dz_i = (d g + di) i (1 - i), dz_g = d i (1 - g^2 / 4), dz_o = (dh y + do) o (1 - o)
"""

import numpy as np

from sandbox.cells import Cell, Derived, Option, Product
from sandbox.errors import UsageError
from sandbox.kernels.activations import sigmoid, tanh


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 3, H): pre-activations to i g o."""
    H, half, two = z.shape[3], z.dtype.type(0.5), z.dtype.type(2)
    for b in range(first, last):
        i, g, o, c_prev, c = z[t, b, 0], z[t, b, 1], z[t, b, 2], states[1, t, b], states[1, t + 1, b]
        h, kept_i, kept_o = states[0, t + 1, b], states[2, t + 1, b], states[3, t + 1, b]
        for j in range(H):
            i[j] = sigmoid(i[j])
            g[j] = two * tanh(half * g[j])
            c[j] = c_prev[j] + i[j] * g[j]
            kept_i[j] = i[j]
        for j in range(H):
            o[j] = sigmoid(o[j])
            h[j] = o[j] * tanh(half * c[j])
            kept_o[j] = o[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: i g o to their dL/dz; ds: (dL/dh_t, dL/dc_t, dL/di_t, dL/do_t) to (0, dL/dc_{t-1}, 0, 0)."""
    H, one, zero, half = dz.shape[3], dz.dtype.type(1), dz.dtype.type(0), dz.dtype.type(0.5)
    for b in range(first, last):
        i, g, o, c_prev = dz[t, b, 0], dz[t, b, 1], dz[t, b, 2], states[1, t, b]
        dh, dc, di, do = ds[0, b], ds[1, b], ds[2, b], ds[3, b]
        for j in range(H):
            y = tanh(half * (c_prev[j] + i[j] * g[j]))
            dc[j] += half * dh[j] * o[j] * (one - y * y)
            o[j] = (dh[j] * y + do[j]) * o[j] * (one - o[j])
            dz_i = (dc[j] * g[j] + di[j]) * i[j] * (one - i[j])
            g[j] = dc[j] * i[j] * (one - half * g[j] * half * g[j])
            i[j] = dz_i
            dh[j], di[j], do[j] = zero, zero, zero


def reference(x, h, c, i, o, W_ih, W_hh, b=0, block=1, **options):
    """One step in NumPy."""
    S, H = int(block), h.shape[-1]
    b = np.concatenate([np.zeros(len(W_hh) - np.size(b)), np.atleast_1d(b)])
    z = x @ W_ih + np.concatenate([h, i[:, ::S], o[:, ::S]], -1) @ W_hh + b
    g, i, o = np.split(z, [H, H + H // S], -1)
    i, o = (np.repeat(1 / (1 + np.exp(-gate)), S, -1) for gate in (i, o))
    c = c + i * (4 / (1 + np.exp(-g)) - 2)
    return o * (2 / (1 + np.exp(-c)) - 1), c, i, o


def shapes(D, H, options):
    """Of what is learned."""
    S = options["block"]
    if S < 1 or S % 1 or H % S:
        raise UsageError(f"hidden_size must be a multiple of block={S:g}, which is a whole number from 1, got {H}")
    if options["bias"] == "none" and (options["input_bias"] or options["output_bias"]):
        raise UsageError("bias must be all or gates where input_bias or output_bias is not 0, got none")
    U = H + 2 * H // int(S)
    biases = {"all": {"b": (U,)}, "gates": {"b": (U - H,)}, "none": {}}
    return {"W_ih": (D, U), "W_hh": (U, U)} | biases[options["bias"]]


def parts(U, options):
    """S, H, and the unit that each of the columns i g o stands for."""
    S = int(options["block"])
    H = U * S // (S + 2)
    gates = np.arange(H, U).repeat(S)
    return S, H, np.concatenate([gates[:H], np.arange(H), gates[H:]])


def make(parameters, options):
    """The columns of the loop."""
    W_ih, W = parameters["W_ih"], parameters["W_hh"]
    S, H, units = parts(len(W), options)
    W_gates, b = np.zeros((2 * H, 3 * H), W.dtype), np.zeros(len(W), W.dtype)
    W_gates[::S] = W[H:, units]
    if "b" in parameters:
        b[len(b) - len(parameters["b"]) :] = parameters["b"]
    return {"W_ih": W_ih[:, units], "W_hh": W[:H, units], "W_hi": W_gates[:H], "W_ho": W_gates[H:], "b": b[units]}


def unit_sums(columns, S):
    """Sums over the columns i g o (..., 3 H) of each unit (..., U)."""
    i, g, o = np.split(columns, 3, -1)
    repeated = np.concatenate([i, o], -1)
    gates = repeated[..., ::S].copy()
    for k in range(1, S):
        gates += repeated[..., k::S]
    return np.concatenate([g, gates], -1)


def pull_back(parameters, weights, gradients, options):
    """A unit's gradient is the sum over its columns, and that of a gate as a source at its block's first cell."""
    S, found = int(options["block"]), {}
    rows = [gradients["W_hh"], gradients["W_hi"][::S], gradients["W_ho"][::S]]
    made = {**gradients, "W_hh": np.concatenate(rows)}
    for name, value in parameters.items():
        sums = unit_sums(made[name], S)
        found[name] = sums[..., sums.shape[-1] - value.shape[-1] :]
    return found


def initial(parameters, rng, options):
    """U[-scale, scale], and the biases of gates from block to block."""
    for value in parameters.values():
        value[:] = options["scale"] * (2 * rng.random(value.shape) - 1)
    S, H, _ = parts(len(parameters["W_hh"]), options)
    for blocks, name in ((1, "output_bias"), (2, "input_bias")):
        if options[name]:
            first = len(parameters["b"]) - blocks * H // S
            parameters["b"][first : first + H // S] = options[name] * np.arange(1, H // S + 1)


CELL = Cell(
    paper="Hochreiter & Schmidhuber 1997, Long short-term memory, section 4 and appendix",
    gates=("i", "g", "o"),
    states=("h", "c", "i", "o"),
    products=tuple(Product(f"W_h{source}", source, ("i", "g", "o")) for source in "hio"),
    options={
        "block": Option(1.0, help="cells in a block"),
        "bias": Option("all", choices=("all", "gates", "none"), help="which units have one"),
        "scale": Option(0.1, help="weights start in U[-scale, scale]"),
        "input_bias": Option(0.0, help="of block k's input gate: k times this; 0: as the weights"),
        "output_bias": Option(0.0, help="the same for the output gate"),
    },
    initial=initial,
    derived=Derived(("W_ih", "W_hh", "W_hi", "W_ho", "b"), shapes, make, pull_back),
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
)

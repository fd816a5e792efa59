"""Slow, obvious references: a cell looped over time in NumPy, derivatives by complex step, and cells made for tests.

Complex step: for an analytic f, Im f(x + i e v) / e is the derivative along v without any subtraction, so that e may
be 1e-30 and the result is exact to rounding (Squire & Trapp 1998).
"""

import numpy as np

from sandbox.cells import Cell, Derived, Option, Product
from sandbox.kernels.activations import tanh

STEP = 1e-30


class Masked(np.ndarray):
    """A state of which products see `mask` times it, and everything else all of it.

    Joined with others, a part of the whole is such a state; times something, element by element, it still is one.
    """

    def __array_ufunc__(self, ufunc, method, *inputs, **named):
        plain = [np.asarray(value) for value in inputs]
        if ufunc is np.matmul:
            plain[0] = plain[0] * inputs[0].mask
        found = getattr(ufunc, method)(*plain, **named)
        masks = [value.mask for value in inputs if isinstance(value, Masked)]
        return masked(found, masks[0]) if ufunc is np.multiply else found

    def __array_function__(self, function, types, arguments, named):
        if function is not np.concatenate:
            return super().__array_function__(function, types, arguments, named)
        parts, axis = arguments
        masks = [part.mask if isinstance(part, Masked) else np.ones(part.shape) for part in parts]
        return masked(np.concatenate([np.asarray(part) for part in parts], axis), np.concatenate(masks, axis))


def masked(state, mask):
    found = np.asarray(state).view(Masked)
    found.mask = mask
    return found


def run(cell, options, parameters, x, start, lengths=None, mask=None, kept=None, share=0.0):
    """All states (S, T + 1, B, H) from the cell's `reference`, a step at a time; finished rows keep their states.

    Products see mask (B, H) times h; kept (S, T, B, H), or the same `share` everywhere, is what every element of every
    state retains of its old value.
    """
    trail = [tuple(start)]
    for t, x_t in enumerate(x):
        h, *others = trail[-1]
        following = cell.reference(x_t, h if mask is None else masked(h, mask), *others, **parameters, **options)
        shares = [share] * len(following) if kept is None else kept[:, t]
        following = tuple(k * old + (1 - k) * new for k, old, new in zip(shares, trail[-1], following))
        if lengths is not None:
            running = (t < np.asarray(lengths))[:, None]
            following = tuple(np.where(running, new, old) for new, old in zip(following, trail[-1]))
        trail.append(following)
    return np.stack([np.stack(states) for states in zip(*trail)])


def pack(arrays):
    """Arrays by name as one flat vector."""
    return np.concatenate([np.ravel(value) for value in arrays.values()])


def unpack(flat, like):
    """The flat vector as arrays by name, with the shapes of `like`."""
    arrays, at = {}, 0
    for name, value in like.items():
        arrays[name] = flat[at : at + value.size].reshape(value.shape)
        at += value.size
    return arrays


def directional_derivative(f, point, direction):
    """Derivative of a scalar function of a flat vector along a direction."""
    return f(point + 1j * STEP * direction).imag / STEP


def gradient(f, point):
    """Derivative of a scalar function of a flat vector by each of its numbers."""
    return np.array([directional_derivative(f, point, unit) for unit in np.eye(point.size)])


def step_jacobian(cell, options, parameters, x, states):
    """Of one step on one row: J[k, l] = d(new state l) / d(old state k), the states (S, H) counted as S * H numbers."""
    S, H = states.shape
    old = np.repeat(states.reshape(1, S * H), S * H, 0) + 1j * STEP * np.eye(S * H)
    old = old.reshape(S * H, S, H).swapaxes(0, 1)
    new = cell.reference(np.repeat(x[None], S * H, 0), *old, **parameters, **options)
    return np.concatenate(new, -1).imag / STEP


def scaled_profile(cell, options, parameters, x, trail, last, inflow):
    """dL/ds_t of one row by the product of step Jacobians, with its magnitude apart.

    Parameters
    ----------
    x : (T, D)
    trail : (S, T + 1, H)
        The states at which the steps are linearised.
    last : (S, H)
        dL/ds_T, apart from `inflow`.
    inflow : (T, O H)
        What flows into the outputs, the first states side by side, after every step.

    Returns
    -------
    (T + 1, S, H) array and (T + 1,) int array
        dL/ds_t = profile[t] * 2^exponents[t].
    """
    S, steps, H = trail.shape
    profile, exponents = np.zeros((steps, S, H)), np.zeros(steps, int)
    running, exponent = last.astype(float), 0
    for t in range(steps - 1, -1, -1):
        if t < steps - 1:
            J = step_jacobian(cell, options, parameters, x[t], trail[:, t])
            running = (J @ running.ravel()).reshape(S, H)
        if t and inflow[t - 1].any():
            common = max(exponent, 0)
            running, exponent = np.ldexp(running, exponent - common), common
            inflows = np.ldexp(inflow[t - 1], -exponent).reshape(-1, H)
            running[: len(inflows)] += inflows
        shift = int(np.frexp(np.abs(running).max())[1])
        running, exponent = np.ldexp(running, -shift), exponent + shift
        profile[t], exponents[t] = running, exponent
    return profile, exponents


# A cell with what the shipped ones do without: parameters of one number per unit, and no recurrent product.


def step_forward(t, first, last, z, states, weights, flags):
    """z[t] (B, 1, H): pre-activation to n."""
    w, a = weights[0], weights[1]
    for b in range(first, last):
        n, h_prev, h = z[t, b, 0], states[0, t, b], states[0, t + 1, b]
        for j in range(z.shape[3]):
            n[j] = tanh(n[j] + w[j] * h_prev[j])
            h[j] = a[j] * h_prev[j] + n[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: n to dL/dz; ds: dL/dh_t to dL/dh_{t-1}, all of it, since no product follows."""
    w, a, one = weights[0], weights[1], dz.dtype.type(1)
    for b in range(first, last):
        n, h_prev, dh = dz[t, b, 0], states[0, t, b], ds[0, b]
        for j in range(dz.shape[3]):
            dz_n = dh[j] * (one - n[j] * n[j])
            dweights[0, j] += dz_n * h_prev[j]
            dweights[1, j] += dh[j] * h_prev[j]
            dh[j] = dh[j] * a[j] + dz_n * w[j]
            n[j] = dz_n


def reference(x, h, W_ih, b, w, a):
    """One step in NumPy."""
    return (a * h + np.tanh(x @ W_ih + b + w * h),)


DIAGONAL = Cell(
    paper="made for tests: a leaky unit that sees only itself",
    gates=("n",),
    states=("h",),
    products=(),
    per_unit=("w", "a"),
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
    name="diagonal",
)


# Losses of a task's batch, element by element.


def losses(task, output, batch):
    """The loss of every counted element of a batch, flat: cross-entropy in nats, squared error or binary entropy."""
    if task.loss == "softmax":
        logarithms = output - output.max(-1, keepdims=True)
        logarithms = logarithms - np.log(np.exp(logarithms).sum(-1, keepdims=True))
        each = -np.take_along_axis(logarithms, batch.target[..., None], -1)
    elif task.loss == "mse":
        each = (output - batch.target) ** 2
    else:
        each = np.logaddexp(0, output) - batch.target * output
    return each.ravel() if batch.mask is None else each[batch.mask].ravel()


def loss_by_present_input(task, batch):
    """Mean loss of the best predictor that sees one step: a table where inputs repeat, else a line.

    Of a head "last" that step is the last one of each row.
    """
    if task.head == "last":
        ends = np.full(batch.x.shape[1], len(batch.x)) if batch.lengths is None else batch.lengths
        x, target = batch.x[ends - 1, np.arange(len(ends))], batch.target
    else:
        counted = np.ones(batch.x.shape[:2], bool) if batch.mask is None else batch.mask
        x, target = batch.x[counted], batch.target[counted]
    if task.loss == "softmax":
        target = np.eye(task.output_size)[target]
    kinds, group = np.unique(x, axis=0, return_inverse=True)
    if len(kinds) > len(x) / 10:
        line = np.c_[x, np.ones(len(x))]
        answer = line @ np.linalg.lstsq(line, target, rcond=None)[0]
    else:
        sums = np.zeros((len(kinds), target.shape[1]))
        np.add.at(sums, group, target)
        answer = (sums / np.bincount(group)[:, None])[group]
    with np.errstate(divide="ignore", invalid="ignore"):
        yes = np.where(target > 0, -target * np.log(answer), 0)
        no = np.where(target < 1, -(1 - target) * np.log(1 - answer), 0)
    if task.loss == "mse":
        return ((answer - target) ** 2).mean()
    return yes.sum(1).mean() if task.loss == "softmax" else (yes + no).mean()


# A cell with all that a contract can ask for: two stages and an auxiliary state between them, products of two states to
# columns that are no neighbours, derived weights (one by another name, one by its own, two of one number per unit), a
# constant, and two outputs.


def first_forward(t, first, last, z, states, weights, flags):
    """z[t]: a; p = a (c_{t-1} + h_{t-1})."""
    for b in range(first, last):
        a, h_prev, c_prev, p = z[t, b, 0], states[0, t, b], states[1, t, b], states[2, t + 1, b]
        for j in range(z.shape[3]):
            a[j] = tanh(a[j])
            p[j] = a[j] * (c_prev[j] + h_prev[j])


def second_forward(t, first, last, z, states, weights, flags):
    """z[t]: u v, and q as it is."""
    leak, w, scale = weights[0], weights[1], weights[2]
    for b in range(first, last):
        q, u, v = z[t, b, 1], z[t, b, 2], z[t, b, 3]
        h_prev, c_prev, h, c = states[0, t, b], states[1, t, b], states[0, t + 1, b], states[1, t + 1, b]
        for j in range(z.shape[3]):
            u[j] = tanh(u[j])
            v[j] = tanh(v[j])
            c[j] = leak[j] * c_prev[j] + scale[j] * v[j] * q[j]
            h[j] = u[j] * c[j] + w[j] * h_prev[j]


def second_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: q u v to their dL/dz."""
    leak, w, scale, one = weights[0], weights[1], weights[2], dz.dtype.type(1)
    for b in range(first, last):
        q, u, v = dz[t, b, 1], dz[t, b, 2], dz[t, b, 3]
        h_prev, c_prev, dh, dc = states[0, t, b], states[1, t, b], ds[0, b], ds[1, b]
        for j in range(dz.shape[3]):
            d = dc[j] + dh[j] * u[j]
            dweights[0, j] += d * c_prev[j]
            dweights[1, j] += dh[j] * h_prev[j]
            u[j] = dh[j] * (leak[j] * c_prev[j] + scale[j] * v[j] * q[j]) * (one - u[j] * u[j])
            dz_v = d * scale[j] * q[j] * (one - v[j] * v[j])
            q[j] = d * scale[j] * v[j]
            v[j] = dz_v
            dc[j] = d * leak[j]
            dh[j] = dh[j] * w[j]


def first_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: a to its dL/dz; ds: dL/dp to 0."""
    one, zero = dz.dtype.type(1), dz.dtype.type(0)
    for b in range(first, last):
        a, h_prev, c_prev, dh, dc, dp = dz[t, b, 0], states[0, t, b], states[1, t, b], ds[0, b], ds[1, b], ds[2, b]
        for j in range(dz.shape[3]):
            dh[j] += dp[j] * a[j]
            dc[j] += dp[j] * a[j]
            a[j] = dp[j] * (c_prev[j] + h_prev[j]) * (one - a[j] * a[j])
            dp[j] = zero


def make(parameters, options):
    """leak = nu^2 / (1 + nu^2), w = w^2, W_ch = [A, A A elementwise], W_pv = W_pv - W_pv^T."""
    nu, A, W_pv, w = (parameters[name] for name in ("nu", "A", "W_pv", "w"))
    return {"leak": nu * nu / (1 + nu * nu), "w": w * w, "W_ch": np.hstack([A, A * A]), "W_pv": W_pv - W_pv.T}


def pull_back(parameters, weights, gradients, options):
    """dL/dparameter."""
    nu, A, w = parameters["nu"], parameters["A"], parameters["w"]
    straight, squared = np.hsplit(gradients["W_ch"], 2)
    return {"nu": gradients["leak"] * 2 * nu / (1 + nu * nu) ** 2, "w": gradients["w"] * 2 * w,
            "A": straight + squared * 2 * A, "W_pv": gradients["W_pv"] - gradients["W_pv"].T}  # fmt: skip


def composite_reference(x, h, c, W_ih, W_hh, A, W_pv, b, b_q, nu, w, scale=0.5):
    """One step in NumPy."""
    x_u, x_a, x_v = np.split(x @ W_ih + b, 3, axis=-1)
    h_a, h_u = np.split(h @ W_hh, 2, axis=-1)
    p = np.tanh(x_a + h_a) * (c + h)
    q, v = b_q + c @ A, np.tanh(x_v + c @ (A * A) + p @ (W_pv - W_pv.T))
    c = nu * nu / (1 + nu * nu) * c + scale * v * q
    return np.tanh(x_u + h_u) * c + w * w * h, c


COMPOSITE = Cell(
    paper="made for tests: everything at once",
    gates=("u", "a", "v"),
    states=("h", "c"),
    tape=("a", "q", "u", "v"),
    products=(Product("W_hh", "h", ("a", "u")), Product("W_ch", "c", ("q", "v")), Product("W_pv", "p", ("v",), 1)),
    biases={"b": ("u", "a", "v"), "b_q": ("q",)},
    per_unit=("leak", "w"),
    constants=("scale",),
    auxiliary=("p",),
    outputs=2,
    options={"scale": Option(0.5, help="of v q in c")},
    derived=Derived(
        names=("W_ch", "W_pv", "leak", "w"),
        shapes=lambda D, H, options: {"A": (H, H), "W_pv": (H, H), "nu": (H,), "w": (H,)},
        make=make,
        pull_back=pull_back,
    ),
    step_forward=(first_forward, second_forward),
    step_backward=(first_backward, second_backward),
    reference=composite_reference,
    name="composite",
)

CELLS = (DIAGONAL, COMPOSITE)

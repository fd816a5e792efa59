"""Slow, obvious references: a cell looped over time in NumPy, derivatives by complex step, and a cell made for tests.

Complex step: for an analytic f, Im f(x + i e v) / e is the derivative along v without any subtraction, so that e may
be 1e-30 and the result is exact to rounding (Squire & Trapp 1998).
"""

import numpy as np

from sandbox.cells import Cell
from sandbox.kernels.activations import tanh

STEP = 1e-30


def run(cell, options, parameters, x, start, lengths=None):
    """All states (S, T + 1, B, H) from the cell's `reference`, a step at a time; finished rows keep their states."""
    trail = [tuple(start)]
    for t, x_t in enumerate(x):
        following = cell.reference(x_t, *trail[-1], **parameters, **options)
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
        What flows into the first O states, side by side, after every step.

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
            rows = inflow[t - 1].reshape(-1, H)
            running[: len(rows)] += np.ldexp(rows, -exponent)
        shift = int(np.frexp(np.abs(running).max())[1])
        running, exponent = np.ldexp(running, -shift), exponent + shift
        profile[t], exponents[t] = running, exponent
    return profile, exponents


# A cell with what the shipped ones do without: parameters of one number per unit, and no recurrent product.


def step_forward(t, z, states, weights, flags):
    """z[t] (B, 1, H): pre-activation to n."""
    w, a = weights[0], weights[1]
    for b in range(z.shape[1]):
        n, h_prev, h = z[t, b, 0], states[0, t, b], states[0, t + 1, b]
        for j in range(z.shape[3]):
            n[j] = tanh(n[j] + w[j] * h_prev[j])
            h[j] = a[j] * h_prev[j] + n[j]


def step_backward(t, dz, states, weights, flags, ds, dweights):
    """dz[t]: n to dL/dz; ds: dL/dh_t to dL/dh_{t-1}, all of it, since no product follows."""
    w, a, one = weights[0], weights[1], dz.dtype.type(1)
    for b in range(dz.shape[1]):
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

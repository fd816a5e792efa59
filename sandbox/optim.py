"""Optimisers on one flat vector, and learning-rate schedules, both by name.

    sgd       x <- x - lr g
    momentum  v <- mu v + g;  x <- x - lr v                                      (Polyak 1964)
    nesterov  v <- mu v + g;  x <- x - lr (g + mu v)                             (Sutskever et al. 2013)
    rmsprop   s <- alpha s + (1 - alpha) g^2;  x <- x - lr g / (sqrt(s) + eps)   (Tieleman & Hinton 2012)
    adam      m, s: moving means of g and g^2 with beta1 and beta2, both from 0;
              x <- x - lr m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + eps)    (Kingma & Ba 2015, alg. 1)
    adamw     x <- x (1 - lr weight_decay), then adam                            (Loshchilov & Hutter 2019, alg. 2)

In PyTorch's conventions: the learning rate multiplies the velocity, eps is outside the root, adamw's decay is times
the learning rate. Arrays start at 0. beta1^t and beta2^t are multiplied up, one factor a step, and carried in the
state: the C library's pow, which PyTorch's beta ** t calls, may round otherwise on another machine. The two differ by
t roundings at most, which in 1 - beta^t is below 1e-13 relative for beta = .999 at any t.
"""

import math
import operator
import re
from numbers import Real

import numpy as np

from sandbox.errors import UsageError, shorten, unknown
from sandbox.kernels import optim as kernels
from sandbox.kernels.activations import sinpi_array

__all__ = ["NAMES", "Optimiser", "make", "schedule"]

_BETAS = dict(betas=(0.9, 0.999), eps=1e-8)
# name: (arrays of the vector's size, settings and their defaults)
_RULES = {
    "sgd": ((), {}),
    "momentum": (("velocity",), dict(momentum=0.9)),
    "nesterov": (("velocity",), dict(momentum=0.9)),
    "rmsprop": (("square",), dict(alpha=0.99, eps=1e-8)),
    "adam": (("first", "second"), _BETAS),
    "adamw": (("first", "second"), _BETAS | dict(weight_decay=0.01)),
}
NAMES = tuple(_RULES)


class Optimiser:
    """An update rule with its state; made by `make`.

    `settings` holds all of the rule's settings with their values, `updates` the number of steps done.
    """

    def __init__(self, name, size, dtype, decay, settings):
        self.name, self.size, self.dtype, self.settings, self.updates = name, size, dtype, settings, 0
        self._arrays = {array: np.zeros(size, dtype) for array in _RULES[name][0]}
        numbers = [settings[key] for key in ("momentum", "alpha") if key in settings]
        if "betas" in settings:
            self._arrays["powers"] = np.ones(2)
            numbers += settings["betas"]
        numbers += [settings[key] for key in ("eps", "weight_decay") if key in settings]
        self._arguments = (*self._arrays.values(), *numbers, *([decay] if name == "adamw" else []))
        self._update = getattr(kernels, name)

    def step(self, vector, gradient, lr) -> None:
        """One update of `vector` (size,) in place; the gradient is read only.

        Raises
        ------
        UsageError
            If lr is no finite number above 0, or the arrays are not flat ones of the optimiser's size and dtype.
        """
        for what, value in (("vector", vector), ("gradient", gradient)):
            if not isinstance(value, np.ndarray) or value.shape != (self.size,) or value.dtype != self.dtype:
                got = f"{getattr(value, 'dtype', type(value).__name__)} {getattr(value, 'shape', '')}".strip()
                raise UsageError(f"{what} must be a {self.dtype} array of shape ({self.size},), got {got}")
        self._update(vector, gradient, _rate(lr), *self._arguments)
        self.updates += 1

    def state(self) -> dict:
        """Copies of all that a resumed run needs: `updates` (a count) and the rule's arrays by name."""
        return {"updates": self.updates} | {name: value.copy() for name, value in self._arrays.items()}

    def restore(self, state) -> None:
        """Go back to what `state` returned.

        Raises
        ------
        UsageError
            If it is not the state of an optimiser of this name, size and dtype.
        """
        wanted = ["updates", *self._arrays]
        if sorted(state) != sorted(wanted):
            raise UsageError(f"state of {self.name} must have {', '.join(wanted)}, got {shorten(', '.join(state))}")
        for name, value in self._arrays.items():
            given = np.asarray(state[name])
            if given.shape != value.shape or given.dtype != value.dtype:
                rule = f"be a {value.dtype} array of shape {value.shape}"
                raise UsageError(f"state {name} of {self.name} must {rule}, got {given.dtype} {given.shape}")
        for name, value in self._arrays.items():
            value[:] = state[name]
        self.updates = int(state["updates"])


def make(name, size, dtype, *, decay=None, **settings) -> Optimiser:
    """An optimiser for a flat vector.

    Parameters
    ----------
    name
        One of `NAMES`.
    size : int
    dtype : float32 or float64
        Of the vector, the gradient and the state.
    decay : (size,) bool array, optional
        Which elements adamw decays, all by default; the other rules do without. Leave biases out: a bias does not
        multiply anything, so that its size is no measure of complexity, and decaying an LSTM's forget bias shortens
        its memory. (Decay on W_hh lowers its spectral radius and so makes gradients vanish.)
    **settings
        momentum = .9 (momentum, nesterov) in [0, 1); alpha = .99 (rmsprop) in [0, 1); betas = (.9, .999) (adam, adamw)
        in [0, 1); eps = 1e-8 (rmsprop, adam, adamw) above 0; weight_decay = .01 (adamw) from 0.

    Raises
    ------
    UsageError
        For an unknown name or setting, or a value outside its range.

    Examples
    --------
    >>> x = np.array([1.0, -2.0])
    >>> make("momentum", 2, "float64", momentum=0.5).step(x, np.array([1.0, 1.0]), lr=0.25)
    >>> x.tolist()
    [0.75, -2.25]
    """
    if name not in _RULES:
        raise unknown("optimiser", name, NAMES)
    if dtype not in ("float32", "float64", np.float32, np.float64, np.dtype("float32"), np.dtype("float64")):
        raise UsageError(f"dtype must be float32 or float64, got {shorten(str(dtype))}")
    size = _whole("size", size, 0)
    defaults = _RULES[name][1]
    for key in settings:
        if key not in defaults:
            raise unknown(f"setting of {name}", key, defaults)
    settings = defaults | settings
    for key in ("momentum", "alpha"):
        if key in settings:
            settings[key] = _share(key, settings[key])
    if "betas" in settings:
        betas = settings["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise UsageError(f"betas must be two numbers, got {shorten(repr(betas))}")
        settings["betas"] = tuple(_share("each of betas", beta) for beta in betas)
    if "eps" in settings and not (_is_finite(settings["eps"]) and settings["eps"] > 0):
        raise UsageError(f"eps must be a finite number above 0, got {shorten(repr(settings['eps']))}")
    if "weight_decay" in settings and not (_is_finite(settings["weight_decay"]) and settings["weight_decay"] >= 0):
        raise UsageError(f"weight_decay must be a finite number from 0, got {shorten(repr(settings['weight_decay']))}")
    settings |= {key: float(value) for key, value in settings.items() if key != "betas"}
    decay = np.ones(size, np.bool_) if decay is None else np.asarray(decay)
    if decay.shape != (size,) or decay.dtype != np.bool_:
        raise UsageError(f"decay must be a bool array of shape ({size},), got {decay.dtype} {decay.shape}")
    return Optimiser(name, size, np.dtype(dtype), np.ascontiguousarray(decay).copy(), settings)


# Schedules -------------------------------------------------------------------------------------------------------

GRAMMAR = "constant, step:EVERY:FACTOR, cosine, cosine:FLOOR or inverse:TAU, each also with +warmup:N"


def schedule(text, lr, updates):
    """The learning rate as a function of the update's number t, from 0.

        constant            lr
        step:EVERY:FACTOR   lr FACTOR^floor(t / EVERY)
        cosine              lr (1 + cos(pi t / updates)) / 2                     (Loshchilov & Hutter 2017, eq. 5)
        cosine:FLOOR        lr (FLOOR + (1 - FLOOR) (1 + cos(pi t / updates)) / 2), FLOOR a share of lr in [0, 1]
        inverse:TAU         lr / (1 + t / TAU)                                   (Robbins & Monro 1951)
        ...+warmup:N        lr (t + 1) / N for t < N; then the schedule as if it began there, with updates - N to go

    Parameters
    ----------
    text : str
        EVERY and N whole numbers from 1, FACTOR above 0 and at most 1, TAU above 0.
    lr : float
        A finite number above 0.
    updates : int
        Length of the run, from 1; beyond it a cosine stays at its floor.

    Returns
    -------
    callable
        ``(update: int) -> float``, a function of its argument alone: a resumed run goes on as it would have.

    Raises
    ------
    UsageError
        For a text that is none of these, a number out of range, lr <= 0 or not finite.

    Examples
    --------
    >>> rate = schedule("step:2:0.5+warmup:2", 0.1, 6)
    >>> [rate(t) for t in range(6)]
    [0.05, 0.1, 0.1, 0.1, 0.05, 0.05]
    """
    lr, updates = _rate(lr), _whole("updates", updates, 1)
    name, warm, length = str(text).partition("+warmup:")
    warm_up = _part(text, "N", length, int) if warm else 0
    share = _share_of(text, name.split(":"), max(updates - warm_up, 1))

    def rate(update):
        if update < 0:
            raise UsageError(f"update must be a whole number from 0, got {update}")
        return lr * ((update + 1) / warm_up) if update < warm_up else lr * share(update - warm_up)

    return rate


def _share_of(text, parts, updates):
    """The schedule as a share of lr, without warm-up."""
    name, *numbers = parts
    if (name, len(numbers)) == ("constant", 0):
        return lambda t: 1.0
    if (name, len(numbers)) == ("step", 2):
        every, factor = _part(text, "EVERY", numbers[0], int), _part(text, "FACTOR", numbers[1], float)
        if factor > 1:
            raise UsageError(f"FACTOR in schedule '{shorten(text)}' must be at most 1, got {factor}")
        return _steps(every, factor)
    if name == "cosine" and len(numbers) < 2:
        floor = _part(text, "FLOOR", numbers[0], float, zero=True) if numbers else 0.0
        if floor > 1:
            raise UsageError(f"FLOOR in schedule '{shorten(text)}' must be at most 1, a share of lr, got {floor}")
        return lambda t: floor + (1.0 - floor) * _half_cosine(min(t, updates) / updates)
    if (name, len(numbers)) == ("inverse", 1):
        tau = _part(text, "TAU", numbers[0], float)
        return lambda t: 1.0 / (1.0 + t / tau)
    raise UsageError(f"schedule must be {GRAMMAR}, got '{shorten(text)}'")


def _half_cosine(x):
    """(1 + cos(pi x)) / 2 = sin(pi (1 - x) / 2)^2: exactly 1 at 0 and 0 at 1."""
    sine = float(sinpi_array(np.array([0.5 * (1.0 - x)]))[0])
    return sine * sine


def _steps(every, factor):
    powers = [1.0]

    def share(t):
        while len(powers) <= t // every:
            powers.append(powers[-1] * factor)
        return powers[t // every]

    return share


def _part(text, name, part, kind, zero=False):
    """A number in a schedule's text: a whole one from 1, or a finite one above (with `zero`: from) 0."""
    number = r"[0-9]{1,18}" if kind is int else r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?"
    value = kind(part) if re.fullmatch(number, part) else -1
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        rule = "a whole number from 1" if kind is int else f"a finite number {'from' if zero else 'above'} 0"
        raise UsageError(f"{name} in schedule '{shorten(text)}' must be {rule}, got '{shorten(part)}'")
    return value


# Checks ----------------------------------------------------------------------------------------------------------


def _is_finite(value):
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_)) and math.isfinite(value)


def _rate(lr):
    if not (_is_finite(lr) and lr > 0):
        raise UsageError(f"lr must be a finite number above 0, got {shorten(repr(lr))}")
    return float(lr)


def _share(name, value):
    if not (_is_finite(value) and 0 <= value < 1):
        raise UsageError(f"{name} must be a number from 0 and below 1, got {shorten(repr(value))}")
    return float(value)


def _whole(name, value, lowest):
    try:
        number = operator.index(value)
    except TypeError:
        number = lowest - 1
    if number < lowest or isinstance(value, bool):
        raise UsageError(f"{name} must be a whole number from {lowest}, got {shorten(repr(value))}")
    return number

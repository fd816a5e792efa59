"""What every part of a model has: its parameters as one flat vector with named views, and the gradient beside it."""

import math
from collections.abc import Sequence
from numbers import Real

import numpy as np

from sandbox.errors import UsageError, unknown

__all__ = ["DTYPES", "Module", "check_array", "check_by_layer", "check_dtype", "check_generator", "check_input",
           "check_lengths", "check_pass", "check_rate", "check_size", "check_symbols", "parse_size"]  # fmt: skip

DTYPES = ("float32", "float64")
LARGEST = 1_000_000  # size that the name of a model may have


class Module:
    """Something with parameters.

    Attributes
    ----------
    vector, gradient : (N,)
        All parameters, and dL/dparameters, in one dtype.
    parameters, gradients : dict of arrays
        Views into the two by name.
    dtype : numpy.dtype
    """

    def allocate(self, shapes, dtype, hint=""):
        """Make vector and gradient for parameters of these shapes by name, all zero."""
        self.dtype = check_dtype(dtype)
        self._shapes = dict(shapes)
        count = sum(math.prod(shape) for shape in shapes.values())
        try:
            vector, gradient = np.zeros(count, self.dtype), np.zeros(count, self.dtype)
        except (MemoryError, ValueError):  # beyond what can be addressed NumPy speaks of a value
            raise UsageError(f"parameters must fit into memory, got {count:.3g} of them{hint}") from None
        self._point_to(vector, gradient)

    def adopt(self, parts):
        """Join the parameters of modules by name into one vector; theirs become views of it, named `part.parameter`.

        A part that is None is not there.
        """
        parts = {part: module for part, module in parts.items() if module is not None}
        shapes = {f"{part}.{name}": value.shape for part, module in parts.items()
                  for name, value in module.parameters.items()}  # fmt: skip
        self.allocate(shapes, next(iter(parts.values())).dtype)
        self._parts, at = parts, 0
        for module in parts.values():
            end = at + module.vector.size
            module.bind(self.vector[at:end], self.gradient[at:end])
            at = end

    def bind(self, vector, gradient):
        """Keep parameters and gradient in these arrays from now on, with the values they have."""
        vector[:], gradient[:] = self.vector, self.gradient
        self._point_to(vector, gradient)
        at = 0
        for module in getattr(self, "_parts", {}).values():
            end = at + module.vector.size
            module.bind(vector[at:end], gradient[at:end])
            at = end

    def _point_to(self, vector, gradient):
        self.vector, self.gradient = vector, gradient
        self.parameters, self.gradients, at = {}, {}, 0
        for name, shape in self._shapes.items():
            end = at + math.prod(shape)
            self.parameters[name] = vector[at:end].reshape(shape)
            self.gradients[name] = gradient[at:end].reshape(shape)
            at = end

    @property
    def blocks(self):
        """Where each parameter is in the vector: name to (start, stop)."""
        found, at = {}, 0
        for name, shape in self._shapes.items():
            found[name] = (at, at + math.prod(shape))
            at += math.prod(shape)
        return found

    def summary(self):
        """Every parameter's name, shape and count, and their total, as text."""
        found = {name: (" x ".join(map(str, value.shape)), str(value.size)) for name, value in self.parameters.items()}
        lines = [*((name, *facts) for name, facts in found.items()), ("total", "", str(self.vector.size))]
        widths = [max(len(line[column]) for line in lines) for column in range(3)]
        return "\n".join(
            f"{name:{widths[0]}}  {shape:{widths[1]}}  {count:>{widths[2]}}" for name, shape, count in lines
        )


def check_dtype(dtype):
    """The dtype, if it is one that kernels know."""
    name = getattr(dtype, "__name__", str(dtype))
    if name not in DTYPES:
        raise unknown("dtype", name, DTYPES)
    return np.dtype(name)


def check_size(name, value):
    """The value, if it is a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise UsageError(f"{name} must be a whole number from 1, got {value}")
    return int(value)


def parse_size(name, text):
    """A size out of the name of a model: a whole number from 1 to `LARGEST`."""
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= value <= LARGEST:
        raise UsageError(f"{name} must be a whole number from 1 to {LARGEST}, got {text or 'nothing'}")
    return value


def check_generator(name, value, purpose):
    """The value, if it is a random generator; `purpose` is that of the stream which should be given."""
    if not isinstance(value, np.random.Generator):
        hint = f"stream({purpose!r}, seed) makes one"
        raise UsageError(f"{name} must be a numpy.random.Generator, got {type(value).__name__} ({hint})")
    return value


def check_rate(name, value):
    """The value, if it is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < 1:
        raise UsageError(f"{name} must be a number from 0 to below 1, got {value}")
    return float(value)


def check_array(name, value, dtype, shape):
    """The value as a contiguous array, if it has this dtype and shape."""
    value = np.asarray(value)
    if value.dtype != dtype or value.shape != shape:
        raise UsageError(f"{name} must be {dtype} of shape {shape}, got {value.dtype} of shape {value.shape}")
    return np.ascontiguousarray(value)


def check_input(x, size, dtype):
    """x as a contiguous array, if it is (T, B, size) of this dtype, T and B at least 1."""
    x = np.asarray(x)
    if x.ndim != 3 or x.shape[2] != size or 0 in x.shape[:2]:
        raise UsageError(f"x must have shape (T, B, {size}) because input_size={size}, got {x.shape}")
    return check_array("x", x, dtype, x.shape)


def check_symbols(name, value, count):
    """A contiguous int64 copy of the value, if it holds whole numbers below `count`."""
    value = np.asarray(value)
    if value.dtype.kind not in "iu" or value.size and not (0 <= value.min() and value.max() < count):
        found = f"{value.min()} to {value.max()}" if value.dtype.kind in "iu" else str(value.dtype)
        raise UsageError(f"{name} must be whole numbers from 0 to {count - 1}, got {found}")
    return np.array(value, np.int64, order="C")


def check_by_layer(name, states, layers, kind="layers"):
    """The states of each layer, if they are a list of as many; of None as many times None."""
    if states is None:
        return [None] * len(layers)
    if not isinstance(states, Sequence) or len(states) != len(layers):
        got = f"{type(states).__name__} of {len(states)}" if hasattr(states, "__len__") else type(states).__name__
        raise UsageError(f"{name} must be a list with the states of each of {len(layers)} {kind}, got {got}")
    return states


def check_pass(kept):
    """What a forward pass has left behind, if there was one that has not been differentiated yet."""
    if kept is None:
        raise UsageError("backward must follow a forward pass, got none")
    return kept


def check_lengths(lengths, T, B):
    """The lengths as int64, if they are B whole numbers from 0 to T."""
    if lengths is None:
        return None
    lengths = np.asarray(lengths)
    if lengths.shape != (B,) or lengths.dtype.kind not in "iu" or (lengths < 0).any() or (lengths > T).any():
        raise UsageError(f"lengths must be {B} whole numbers from 0 to T={T}, got {lengths.tolist()}")
    return np.ascontiguousarray(lengths, np.int64)

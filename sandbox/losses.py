"""Losses by name with a mask and a named reduction: the value in float64 and the gradient by hand.

    softmax  l = -log softmax(output)[target]                             target (T, B) whole numbers, the classes
    mse      l = (output - target)^2, per output                          target (T, B, O)
    binary   l = -y log p - (1 - y) log(1 - p), p = sigmoid(output)       target (T, B, O), y in [0, 1]

The reduction is part of a result, because it decides the size of every gradient, and with it whether a clipping
threshold or a learning rate means anything:

    mean       the sum divided by the number of elements that count: steps x sequences, x O for mse and binary
    sum        the sum over all of them
    sequences  the sum over steps and outputs, averaged over the sequences of which any step counts

The sum is the total (see `kernels.reductions`) of the steps' sums, which are in `kernels.losses`' order.
"""

import math
import operator

import numpy as np

from sandbox.errors import UsageError, shorten, unknown
from sandbox.kernels import losses as kernels
from sandbox.kernels.reductions import total

__all__ = ["REDUCTIONS", "count", "evaluate", "names", "value_of"]

REDUCTIONS = ("mean", "sum", "sequences")
_ALL = np.zeros((0, 0), np.bool_)  # a mask that is not there
_KERNELS = {"softmax": kernels.softmax, "mse": kernels.mse, "binary": kernels.binary}


def names() -> tuple[str, ...]:
    """Names that `evaluate` takes."""
    return tuple(_KERNELS)


def evaluate(name, output, target, mask=None, reduction="mean", count=None, *, steps=None):
    """Value of a loss and its gradient by the output.

    Parameters
    ----------
    name : {"softmax", "mse", "binary"}
    output : (T, B, O) or (B, O) float32 or float64 array
        For softmax and binary logits, of any size: nothing overflows.
    target : array
        softmax: (T, B) or (B,) whole numbers from 0 to O - 1; mse and binary: like output, binary within [0, 1].
    mask : (T, B) or (B,) bool array, optional
        Rows that count, all by default. The others are not read, neither output nor target, and have gradient 0. If
        nothing counts, value and gradient are 0.
    reduction : {"mean", "sum", "sequences"}
        See the module's text.
    count : int, optional
        What to divide by when this call sees only a segment of the steps: the whole's `losses.count`. The value is
        then the segment's sum divided by it, and the gradient has the bits of that of the whole. Without effect on
        "sum".
    steps : (T,) float64 array, optional
        Filled with the plain sum of each step. `value_of(steps, count)` of the steps of all segments, in their place,
        has the bits of the whole's value, where the sum of the segments' values may differ in the last one.

    Returns
    -------
    value : float
    doutput : array like output

    Raises
    ------
    UsageError
        For an unknown name or reduction, for shapes, dtypes or a count that do not fit, and for a target in a row that
        counts which is no class or outside [0, 1].

    Examples
    --------
    >>> value, doutput = evaluate("softmax", np.zeros((1, 4)), np.array([2]))
    >>> f"{value:.6f}", doutput.tolist()
    ('1.386294', [[0.25, 0.25, -0.75, 0.25]])
    """
    if name not in _KERNELS:
        raise unknown("loss", name, _KERNELS)
    output = np.asarray(output)
    if output.dtype not in (np.float32, np.float64) or output.ndim not in (2, 3):
        got = f"{output.dtype} {output.shape}"
        raise UsageError(f"output must be a float32 or float64 array of shape (T, B, O) or (B, O), got {got}")
    if output.shape[-1] == 0:
        raise UsageError(f"output must have at least one number in a row, got shape {output.shape}")
    mask = _mask(mask, output.shape[:-1])
    seen = _count(name, output.shape, mask, reduction)
    divisor = seen if count is None or reduction == "sum" else _checked(count, seen)
    shape = output.shape if output.ndim == 3 else (1, *output.shape)
    counts = _ALL if mask is None else np.ascontiguousarray(mask).reshape(shape[:2])
    target = _target(name, target, output, counts)
    steps, doutput = _steps(steps, shape[0]), np.empty(shape, output.dtype)
    scale = output.dtype.type(1.0 / divisor if divisor else 0.0)
    _KERNELS[name](np.ascontiguousarray(output).reshape(shape), target, counts, scale, doutput, steps)
    return value_of(steps, divisor), doutput.reshape(output.shape)


def value_of(steps, count: int) -> float:
    """Sum of the sums of all steps (T,) divided by `count`; 0 if nothing counts."""
    return float(total(np.ascontiguousarray(steps, np.float64))) / count if count else 0.0


def count(name, shape, mask=None, reduction="mean") -> int:
    """What a reduction divides by, for an output of a shape.

    Parameters
    ----------
    name, mask, reduction
        As for `evaluate`.
    shape : (T, B, O) or (B, O)

    Returns
    -------
    int
        mean: elements that count; sequences: sequences of which any step counts; sum: 1.

    Examples
    --------
    >>> [count("mse", (50, 20, 3), reduction=reduction) for reduction in REDUCTIONS]
    [3000, 1, 20]
    """
    if name not in _KERNELS:
        raise unknown("loss", name, _KERNELS)
    return _count(name, shape, _mask(mask, tuple(shape[:-1])), reduction)


def _count(name, shape, mask, reduction):
    if reduction not in REDUCTIONS:
        raise unknown("reduction", reduction, REDUCTIONS)
    if reduction == "sum":
        return 1
    if reduction == "sequences":
        if mask is None:
            return shape[-2] if shape[0] else 0
        return int(kernels.counted_sequences(np.ascontiguousarray(mask if mask.ndim == 2 else mask[np.newaxis])))
    rows = math.prod(shape[:-1]) if mask is None else int(np.count_nonzero(mask))
    return rows if name == "softmax" else rows * shape[-1]


def _mask(mask, shape):
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise UsageError(f"mask must be a bool array of shape {shape}, got {mask.dtype} {mask.shape}")
    return mask


def _target(name, target, output, counts):
    """The target as a block of int64 or of the output's dtype, once every number that counts was checked."""
    wanted, kinds, kind = output.shape, "iufb", "real numbers"
    if name == "softmax":
        wanted, kinds, kind = output.shape[:-1], "iu", "whole numbers"
    target = np.asarray(target)
    if target.shape != wanted or target.dtype.kind not in kinds:
        raise UsageError(f"target of {name} must be {kind} of shape {wanted}, got {target.dtype} {target.shape}")
    dtype = np.dtype(np.int64) if name == "softmax" else output.dtype
    if target.dtype != dtype:
        with np.errstate(over="ignore"):  # what is masked may be anything
            target = target.astype(dtype)
    blocks = np.ascontiguousarray(target).reshape(wanted if output.ndim == 3 else (1, *wanted))
    high = output.shape[-1] - 1 if name == "softmax" else 1
    if name != "mse":
        bad = kernels.first_outside(blocks if blocks.ndim == 3 else blocks[..., np.newaxis], counts, 0, high)
        if bad >= 0:
            what = "a class" if name == "softmax" else "a number"
            got = f"{target.flat[bad]} {_at(bad, wanted)}"
            raise UsageError(f"target of {name} must be {what} from 0 to {high}, got {got}")
    return blocks


def _at(place, shape):
    """`at [t, b]` of a flat index."""
    indices = []
    for size in reversed(shape):
        place, index = divmod(place, size)
        indices.insert(0, str(index))
    return f"at [{', '.join(indices)}]"


def _steps(steps, T):
    if steps is None:
        return np.empty(T)
    if not isinstance(steps, np.ndarray) or steps.dtype != np.float64 or steps.shape != (T,):
        got = f"{getattr(steps, 'dtype', type(steps).__name__)} {getattr(steps, 'shape', '')}".strip()
        raise UsageError(f"steps must be a float64 array of shape ({T},), got {got}")
    return steps


def _checked(count, seen):
    try:
        number = operator.index(count)
    except TypeError:
        number = -1
    if number < seen or isinstance(count, bool):
        rule = f"a whole number of at least {seen}, what this call counts"
        raise UsageError(f"count must be {rule}, got {shorten(repr(count))}")
    return number

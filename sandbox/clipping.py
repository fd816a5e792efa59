"""Gradient clipping by name, and what it did to a training run.

    none    nothing
    global  g <- g min(1, c / ||g||), one norm over all parameters (Pascanu, Mikolov & Bengio 2013, alg. 1)
    tensor  the same for each parameter's own norm
    value   each element into [-c, c]

Only `global` keeps the direction. A norm that is not finite scales nothing: what to do then is the caller's choice.
"""

import array
import math
from dataclasses import dataclass
from numbers import Real

import numpy as np

from sandbox.errors import UsageError, shorten, unknown
from sandbox.kernels.clipping import limit_blocks, limit_values, scale_to
from sandbox.kernels.reductions import norm

__all__ = ["CLIPS", "NAMES", "Clipped", "Clipper", "clip"]

CLIPS = ("global", "tensor", "value")
NAMES = ("none", *CLIPS)


def clip(gradients, threshold, how="global"):
    """Gradients limited to a threshold, by name; those within it are returned as they are.

    Parameters
    ----------
    gradients : dict of arrays
    threshold : float
        c, above 0.
    how : {"global", "tensor", "value"}
    """
    if how not in CLIPS:
        raise unknown("clip", how, CLIPS)
    if how == "value":
        return {name: np.clip(g, -threshold, threshold) for name, g in gradients.items()}
    norms = {name: norm(g) for name, g in gradients.items()}
    if how == "global":
        norms = dict.fromkeys(norms, norm(np.array(list(norms.values()))))
    return {name: (g * np.float64(threshold / norms[name])).astype(g.dtype) if threshold < norms[name] < np.inf else g
            for name, g in gradients.items()}  # fmt: skip


@dataclass(frozen=True)
class Clipped:
    """What `Clipper.apply` did: norm of the whole gradient before and after, and whether an element was changed."""

    before: float
    after: float
    clipped: bool


class Clipper:
    """Clips a flat gradient in place, step after step, and keeps the norms it saw.

    Parameters
    ----------
    how : {"none", "global", "tensor", "value"}
        See the module's text.
    threshold : float
        c, a finite number above 0; may be None for "none".
    blocks : dict
        Parameters by name: (start, stop) in the flat gradient, without gaps from 0 on.

    Raises
    ------
    UsageError
        For an unknown `how`, a threshold that is no finite number above 0, or blocks with gaps.

    Examples
    --------
    >>> clipper = Clipper("global", 1.0, {"W": (0, 2)})
    >>> gradient = np.array([3.0, 4.0])
    >>> clipper.apply(gradient).before, gradient.tolist(), clipper.summary()["clip_share"]
    (5.0, [0.6000000000000001, 0.8], 1.0)
    """

    def __init__(self, how, threshold, blocks):
        if how not in NAMES:
            raise unknown("clip", how, NAMES)
        if not (threshold is None and how == "none"):
            is_number = isinstance(threshold, Real) and not isinstance(threshold, bool)
            if not (is_number and math.isfinite(threshold) and threshold > 0):
                raise UsageError(f"clipping threshold must be a finite number above 0, got {shorten(repr(threshold))}")
        self.how, self.threshold = how, None if threshold is None else float(threshold)
        self.blocks = _checked(blocks)
        self.size = max((stop for _, stop in self.blocks.values()), default=0)
        spans = np.array(list(self.blocks.values()), np.int64).reshape(-1, 2)
        self._starts, self._stops = np.ascontiguousarray(spans[:, 0]), np.ascontiguousarray(spans[:, 1])
        self._norms, self._clipped = array.array("d"), 0

    def apply(self, gradient) -> Clipped:
        """Clip a flat (size,) float32 or float64 gradient in place; where its norm is not finite, leave it as it is.

        Norms are float64. `after` is measured, not inferred.
        """
        self._check(gradient)
        before = after = float(norm(gradient))
        clipped = False
        if math.isfinite(before):
            clipped = self._limit(gradient, before)
            after = float(norm(gradient)) if clipped else before
        self._norms.append(before)
        self._clipped += clipped
        return Clipped(before, after, clipped)

    def _limit(self, gradient, before):
        if self.how == "global" and before > self.threshold:
            scale_to(gradient, before, self.threshold)
            return True
        if self.how == "tensor":
            return limit_blocks(gradient, self._starts, self._stops, self.threshold) > 0
        return self.how == "value" and limit_values(gradient, self.threshold) > 0

    def nonfinite_block(self, gradient) -> str | None:
        """Name of the first tensor whose norm is infinite or NaN, None if all are finite."""
        self._check(gradient)
        for name, (start, stop) in self.blocks.items():
            if not math.isfinite(norm(gradient[start:stop])):
                return name
        return None

    def summary(self) -> dict[str, float]:
        """Columns `clip_p50`, `clip_p95` and `clip_max` of the norms before clipping, and `clip_share`.

        Only finite norms enter the first three (quantiles are interpolated linearly between the sorted norms);
        `clip_share` is the share of all steps in which something was clipped. NaN where there is nothing to count.
        """
        norms = np.array(self._norms)
        finite = np.sort(norms[np.isfinite(norms)])
        share = self._clipped / norms.size if norms.size else math.nan
        return {"clip_p50": _quantile(finite, 0.5), "clip_p95": _quantile(finite, 0.95),
                "clip_max": _quantile(finite, 1.0), "clip_share": share}  # fmt: skip

    def state(self) -> dict:
        """What a resumed run needs for the same `summary`: `norms` (steps,) float64 and `clipped`, a count."""
        return {"norms": np.array(self._norms), "clipped": self._clipped}

    def restore(self, state) -> None:
        """Go back to what `state` returned."""
        self._norms, self._clipped = array.array("d", np.asarray(state["norms"], np.float64)), int(state["clipped"])

    def _check(self, gradient):
        flat = isinstance(gradient, np.ndarray) and gradient.ndim == 1 and gradient.dtype in (np.float32, np.float64)
        if not flat or gradient.size != self.size:
            got = f"{gradient.dtype} {gradient.shape}" if isinstance(gradient, np.ndarray) else type(gradient).__name__
            raise UsageError(f"gradient must be a flat float32 or float64 array of {self.size} numbers, got {got}")


def _checked(blocks):
    """The blocks in their order in the vector."""
    ordered, at = {}, 0
    for name, (start, stop) in sorted(blocks.items(), key=lambda item: item[1]):
        if start != at or stop < start:
            raise UsageError(f"blocks must follow each other without gaps, got {name} at {start}:{stop} after {at}")
        ordered[name], at = (int(start), int(stop)), stop
    return ordered


def _quantile(ordered, share):
    if not ordered.size:
        return math.nan
    place = share * (ordered.size - 1)
    below = math.floor(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, ordered.size - 1)])
    return low + (place - below) * (high - low)

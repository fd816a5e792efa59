"""Kernels compiled once, before workers start: else each of them would compile the same ones at the same time.

Which kernels a point needs is decided by its texts and truths (cell, task, optimiser, dtype ...), hardly by its
numbers. So one small point of each combination of those is run here, and a marker beside the kernels says that this
was done: the next sweep runs none. A marker is named by the experiment's text and the combination; editing a kernel
starts another cache directory, and with it from no marker. What is missed all the same the workers compile.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from sandbox.experiment import Experiment
from sandbox.sweep import Point, execute


def warm(
    experiment: Experiment, points: Iterable[Point], settings: Mapping[str, object] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> int:  # fmt: skip
    """Compile the kernels that the points need into the cache; return how many small points that took.

    A number is replaced by the first value of the experiment's quick grid where that names its axis, and kept as in the
    first point of the combination where it does not. Nothing runs where nothing would be gained: for an experiment that
    has not imported any kernel by now, one whose quick grid names no numeric axis (a point of full size would be thrown
    away), and without a cache directory, through which alone a worker could have the kernels.

    A point that fails is left to the sweep and gets no marker. `stop` is asked before each point.
    """
    jit = sys.modules.get("sandbox.jit")
    numeric = [name for name, axis in experiment.axes.items() if axis.kind in (int, float)]
    small = {name: experiment.axes[name].resolve(experiment.quick[name])[0] for name in numeric
             if name in experiment.quick}  # fmt: skip
    directory = jit.cache_directory() if jit is not None and jit.COMPILED and small else None
    if directory is None:
        return 0
    deciding = [name for name in experiment.axes if name not in numeric]
    first: dict[tuple, Point] = {}
    for point in points:
        first.setdefault(tuple(point.values[name] for name in deciding), point)
    ran = 0
    for combination, point in first.items():
        text = repr(list(zip(deciding, combination, strict=True))).encode()
        marker = directory / "warm" / hashlib.sha256(experiment.source + b"\0" + text).hexdigest()
        if marker.exists() or stop():
            continue
        ran += 1
        with suppress(Exception):  # the sweep will say so of the point itself
            if not execute(experiment, Point({**point.values, **small}, point.seed), settings).failed:
                marker.parent.mkdir(exist_ok=True)
                marker.touch()
    return ran

"""Sweeps: the points of a grid, and what runs them.

A point is one value per axis and a seed. `execute` runs a single point: here, in a worker process or on a cluster,
always by the same call. A `Job` is what a worker needs to know of an experiment. Points do not depend on each other, so
their order and place change nothing but the order in which rows arrive.

What runs the points of a job is an executor: ``run(points)`` yields a `Row` for each as it finishes, in any order, and
closing that iterator stops at once; ``drain()``, which a signal handler may call, lets the points in flight finish, and
`run` then ends. `Serial` is the simplest one.
"""

from __future__ import annotations

import math
import re
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.axes import Axis, Scalar
from sandbox.errors import UsageError, shorten
from sandbox.selection import MOST_POINTS, Selection, combinations

if TYPE_CHECKING:  # it takes NumPy along, for which a list of runs does not wait
    from sandbox.experiment import Experiment

Curve = dict[str, list]


@dataclass(frozen=True)
class Point:
    """One value per axis, in declared order, and a seed."""

    values: Mapping[str, Scalar]
    seed: int


FILE_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,62}[a-z0-9_-]|[a-z0-9_]")
LARGEST_FILES = 256 * 2**20  # bytes of all files of a point: they are held in memory until they are written

# Statuses of points that gave no result: they are not done, and a later run tries them again.
FAILED = ("error", "crashed", "timeout")


@dataclass(frozen=True)
class Row:
    """What one point gave.

    Attributes
    ----------
    point
        The point.
    metrics, curves
        Plain Python scalars by name; columns as lists by name of curve.
    status, error
        ``ok`` or one word for what happened, and its details: ``nonfinite`` and ``W_hh at update 12``.
    seconds
        Wall time of the point alone.
    files
        What is kept beside the tables: contents by name.
    """

    point: Point
    metrics: dict[str, Scalar | None] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    status: str = "ok"
    error: str = ""
    seconds: float = 0.0
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the point gave no result."""
        return self.status in FAILED


@dataclass(frozen=True)
class Job:
    """An experiment as a worker needs it: the text of its file as it was when the sweep began, and its settings."""

    name: str
    path: str
    source: bytes
    settings: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, experiment: Experiment, settings: Mapping[str, object] | None = None) -> Job:
        """Return the job of an experiment with parsed settings."""
        return cls(experiment.name, str(experiment.path), experiment.source, dict(settings or {}))

    def load(self) -> Experiment:
        """Return the experiment, from the text and not from the file: that may have been edited meanwhile."""
        from sandbox.experiment import from_source

        return from_source(self.name, self.path, self.source)


def count(
    grid: Mapping[str, Sequence[Scalar]],
    seeds: Sequence[int],
    selection: Selection | None = None,
    axes: Mapping[str, Axis] | None = None,
) -> int:
    """Return the number of points of a grid, or of what is selected of it; refuse one that no one means to run.

    Raises
    ------
    UsageError
        Above `MOST_POINTS` points, and for a selection that `sandbox.selection.combinations` refuses.
    """
    if selection not in (None, Selection()):
        return sum(len(chosen) for _, chosen in combinations(grid, seeds, selection, axes))
    total = math.prod(len(values) for values in grid.values()) * len(seeds)
    if total > MOST_POINTS:
        raise UsageError(f"a sweep must have at most {MOST_POINTS} points, got {total}")
    return total


def points(
    experiment: Experiment,
    grid: Mapping[str, Sequence[Scalar]],
    seeds: Sequence[int],
    selection: Selection | None = None,
) -> list[Point]:
    """Return every point of the grid, or those selected: axes vary in declared order, the seed fastest.

    Raises
    ------
    UsageError
        See `count`.
    """
    ordered = {name: grid[name] for name in experiment.axes}
    found = combinations(ordered, seeds, selection or Selection(), experiment.axes)
    named = ((dict(zip(ordered, values, strict=True)), chosen) for values, chosen in found)
    return [Point(values, seed) for values, chosen in named for seed in chosen]


def execute(experiment: Experiment, point: Point, settings: Mapping[str, object] | None = None) -> Row:
    """Run one point.

    An exception inside the experiment becomes the row's status, ``error``: one point that cannot be computed must not
    cost the others. One that does not come from the numbers says where in the experiment's file it was raised.

    Raises
    ------
    UsageError
        When what the experiment returned is not metrics, metrics and curves, or metrics, curves and files.
    """
    started = time.perf_counter()
    try:
        returned = experiment(**point.values, seed=point.seed, **(settings or {}))
    except Exception as error:
        return Row(point, status="error", error=_told(error, experiment), seconds=time.perf_counter() - started)
    seconds = time.perf_counter() - started
    try:
        metrics, curves, files = _plain_metrics(returned, point), _plain_curves(returned), _plain_files(returned)
    except _Misshapen as error:
        raise UsageError(f"experiment '{experiment.name}' must return {error}") from error
    status, _, details = str(metrics.pop("status", None) or "ok").partition(":")
    return Row(point, metrics, curves, status.strip(), details.strip(), seconds, files)


def _told(error: Exception, experiment: Experiment) -> str:
    message = _line(shorten(str(error), 300)) or type(error).__name__
    if isinstance(error, (ValueError, ArithmeticError, MemoryError)):
        return message
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(experiment.path)]
    where = f" ({experiment.path.name} line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {message}{where}"


class Serial:
    """Runs points one after another in this process."""

    def __init__(self, experiment: Experiment, settings: Mapping[str, object] | None = None):
        self.experiment, self.settings, self._draining = experiment, settings, False

    def run(self, points: Iterable[Point]) -> Iterator[Row]:
        """Yield the row of every point as it finishes."""
        for point in points:
            if self._draining:
                return
            yield execute(self.experiment, point, self.settings)

    def drain(self) -> None:
        """Start no further point."""
        self._draining = True


class _Misshapen(Exception):
    """What the experiment should have returned instead."""


def _plain_metrics(returned: object, point: Point) -> dict[str, Scalar | None]:
    metrics = returned[0] if isinstance(returned, tuple) and len(returned) in (2, 3) else returned
    if not isinstance(metrics, Mapping):
        raise _Misshapen(f"a dict of metrics, or metrics and curves and files, got {type(returned).__name__}")
    taken = {*point.values, "seed", "error"} & set(metrics)
    if taken:
        what = "every table has" if taken == {"error"} else "is an axis"
        raise _Misshapen(f"metrics with names of their own, got {', '.join(sorted(taken))}, which {what}")
    return {_name(name, "metric"): _plain_scalar(name, value) for name, value in metrics.items()}


def _plain_scalar(name: str, value: object) -> Scalar | None:
    """Return a metric as a plain Python scalar; text is put on one line, so that a row is a line."""
    if hasattr(value, "ndim") and hasattr(value, "item"):
        value = value.item() if value.ndim == 0 else value
    if isinstance(value, int) and abs(value) >= 2**63:
        raise _Misshapen(f"whole numbers below 2**63 as metrics, got a larger one for {name}")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return _line(value)
    if not isinstance(value, float) and (not hasattr(value, "__float__") or getattr(value, "ndim", 0)):
        raise _Misshapen(f"numbers, text or None as metrics, got {type(value).__name__} for {name}")
    return float(value)


def _line(text: str) -> str:
    """Return text on one line, what UTF-8 cannot hold as an escape."""
    return " ".join(text.split()).encode("utf-8", "backslashreplace").decode()


def _plain_curves(returned: object) -> dict[str, Curve]:
    curves = returned[1] if isinstance(returned, tuple) else None
    if curves is None:
        return {}
    if not isinstance(curves, Mapping) or not all(isinstance(curve, Mapping) for curve in curves.values()):
        raise _Misshapen("curves as a dict of dicts of columns")
    return {_name(name, "curve"): _plain_curve(name, curve) for name, curve in curves.items()}


def _plain_curve(name: str, curve: Mapping[str, Sequence]) -> Curve:
    plain: Curve = {}
    for series, values in curve.items():
        if getattr(values, "ndim", 1) != 1 or isinstance(values, str) or not hasattr(values, "__len__"):
            raise _Misshapen(f"curves of flat columns, got another shape for {series} of curve {name}")
        listed = values.tolist() if hasattr(values, "tolist") else list(values)
        plain[_name(series, "series")] = [_plain_scalar(series, value) for value in listed]
    if len(plain) < 2:
        raise _Misshapen(f"curves with an x and at least one series, got {', '.join(plain) or 'nothing'} for {name}")
    x, *others = plain
    for series in others:
        if len(plain[series]) != len(plain[x]):
            lengths = f"{len(plain[series])} for {series} and {len(plain[x])} for {x}"
            raise _Misshapen(f"curves with columns of one length, got {lengths} in curve {name}")
    return plain


def _plain_files(returned: object) -> dict[str, bytes]:
    """Return the files of a point as bytes by name, text as UTF-8."""
    files = returned[2] if isinstance(returned, tuple) and len(returned) == 3 else None
    if files is None:
        return {}
    if not isinstance(files, Mapping):
        raise _Misshapen(f"files as a dict of contents by name, got {type(files).__name__}")
    plain: dict[str, bytes] = {}
    for name, content in files.items():
        if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
            rule = "files with plain names (at most 64 of a-z, 0-9, _ . -, beginning with a letter, digit or _)"
            raise _Misshapen(f"{rule}, got {shorten(repr(name), 80)}")
        if not isinstance(content, (str, bytes, bytearray)):
            raise _Misshapen(f"files as bytes or text, got {type(content).__name__} for {name}")
        plain[name] = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else bytes(content)
    size = sum(map(len, plain.values()))
    if size > LARGEST_FILES:
        largest = max(plain, key=lambda name: len(plain[name]))
        limit, got = (f"{number / 2**20:.0f} MB" for number in (LARGEST_FILES, size))
        raise _Misshapen(f"files of at most {limit} a point, got {got} ({largest} is the largest)")
    return plain


def _name(name: object, what: str) -> str:
    if not isinstance(name, str) or not name or name != _line(name):
        raise _Misshapen(f"one-line names, got {name!r} as the name of a {what}")
    return name

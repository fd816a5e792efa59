"""How long a sweep will take, from points that have finished before.

A point whose axes have been run takes the mean of those times, whatever its seed. Others are guessed: log seconds of
the rows that differ in the fewest text and true/false axes, each moved to the point's place along a power law, averaged
with weights that fall with how far it was moved. The exponents of the law are common to all rows, by least squares
inside groups of rows that differ in numbers only, with a ridge that draws them towards what arithmetic costs: a few
rows bend them little, and an axis of which one value was run so far has a law as well.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import mul

from sandbox.axes import Scalar
from sandbox.errors import UsageError
from sandbox.sweep import Point

__all__ = ["Estimate", "estimate", "told"]

# Work of a point by its axes, as powers: where nothing is known, time is taken to follow it. Other axes: 0.
_WORK = {"seq_len": 1.0, "batch": 1.0, "updates": 1.0, "layers": 1.0, "hidden": 1.0}
_RIDGE = 0.05  # in rows whose logarithm is 1 away from their group's mean
_FLATTEST, _STEEPEST = -1.0, 3.0
_FARTHEST = math.log(1e6)  # a row says nothing of points that take a million times as long
_SHORTEST, _LONGEST = 1e-6, 1e9
# What bounds the search when everything differs from everything.
_MOST_COMPARISONS, _LEAST_COMPARED = 300_000, 30
_MOST_INDICES = 12

Values = tuple[Scalar, ...]


@dataclass(frozen=True)
class Estimate:
    """How long points will take.

    Attributes
    ----------
    seconds
        Wall time of all of them; None when nothing is known.
    known
        How many finished points that is taken from.
    exact
        How many of the points have axes that were run before.
    points, jobs
        How many points, on how many workers.
    """

    seconds: float | None
    known: int
    exact: int
    points: int
    jobs: int


def estimate(todo: Sequence[Point], history: Iterable[tuple[Mapping[str, Scalar], float]], jobs: int) -> Estimate:
    """Return how long points will take.

    Parameters
    ----------
    todo
        The points.
    history
        Values by axis and seconds of every finished point of the experiment. Rows without one of the axes, or without
        a time, are left out; an axis that the points do not have is ignored.
    jobs
        Number of workers. The wall time is that of handing the longest point to the first free worker (Graham 1969).

    Raises
    ------
    UsageError
        Below one worker.

    Examples
    --------
    >>> points = [Point({"seq_len": length}, 0) for length in (100, 200)]
    >>> told(estimate(points, [({"seq_len": 100}, 2.0), ({"seq_len": 200}, 4.0)], 1))
    'about 6 s on 1 job, from 2 finished points'
    """
    if jobs < 1:
        raise UsageError(f"jobs must be a whole number from 1, got {jobs}")
    if not todo:
        return Estimate(0.0, 0, 0, 0, jobs)
    names = list(todo[0].values)
    times = _times(names, history)
    if not times:
        return Estimate(None, 0, 0, len(todo), jobs)
    wanted = Counter(tuple(point.values.values()) for point in todo)
    known = sum(map(len, times.values()))
    exact = sum(count for values, count in wanted.items() if values in times)
    seconds = {values: math.fsum(listed) / len(listed) for values, listed in times.items()}
    missing = [values for values in wanted if values not in seconds]
    guesses = _Law(names, seconds, missing) if missing else None
    each = {values: seconds[values] if values in seconds else guesses.seconds(values) for values in wanted}
    listed = [each[values] for values, count in wanted.items() for _ in range(count)]
    return Estimate(_wall(listed, jobs), known, exact, len(todo), jobs)


def _times(names: Sequence[str], history: Iterable[tuple[Mapping[str, Scalar], float]]) -> dict[Values, list[float]]:
    times: dict[Values, list[float]] = {}
    for values, seconds in history:
        key = tuple(values.get(name) for name in names)
        if None not in key and isinstance(seconds, (int, float)) and 0 <= seconds < math.inf:
            times.setdefault(key, []).append(min(max(float(seconds), _SHORTEST), _LONGEST))
    return times


def _wall(seconds: list[float], jobs: int) -> float:
    """Return when the last worker is done, the longest points being started first."""
    if jobs == 1:
        return math.fsum(seconds)
    busy = [0.0] * min(jobs, max(len(seconds), 1))
    for longest in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + longest)
    return max(busy)


class _Law:
    """Times of points that have not been run, from those that have."""

    def __init__(self, names: Sequence[str], seconds: Mapping[Values, float], missing: Sequence[Values]):
        self.rows = list(seconds)
        columns = list(zip(*self.rows, strict=True))
        wanted = list(zip(*missing, strict=True))
        varying = [at for at in range(len(names)) if len({*columns[at], *wanted[at]}) > 1]
        self.numeric = [at for at in varying if all(map(_is_positive, itertools.chain(columns[at], wanted[at])))]
        self.other = [at for at in varying if at not in self.numeric and len(set(columns[at])) > 1]
        self.log_seconds = [math.log(time) for time in seconds.values()]
        self.logs = [self._logs(row) for row in self.rows]
        self.indices: dict[tuple[int, ...], dict[Values, list[int]]] = {}
        self.most = max(_LEAST_COMPARED, _MOST_COMPARISONS // len(missing))
        self.powers = self._fit([_WORK.get(names[at], 0.0) for at in self.numeric])
        self.near: dict[Values, list[int]] = {}

    def seconds(self, values: Values) -> float:
        """Return the time of a point."""
        key = tuple(values[at] for at in self.other)
        if key not in self.near:
            self.near[key] = self._nearest(key)
        logs, total, weights = self._logs(values), 0.0, 0.0
        for row in self.near[key]:
            moved = distance = 0.0
            for power, log, its_log in zip(self.powers, logs, self.logs[row], strict=True):
                step = power * (log - its_log)
                moved, distance = moved + step, distance + abs(step)
            weight = 1.0 / (0.05 + distance) ** 2
            total += weight * (self.log_seconds[row] + min(max(moved, -_FARTHEST), _FARTHEST))
            weights += weight
        return math.exp(total / weights)

    def _logs(self, values: Values) -> list[float]:
        return [math.log(values[at]) for at in self.numeric]

    def _fit(self, work: Sequence[float]) -> list[float]:
        """Return the power of each numeric axis: ridge regression towards `work` of what it leaves unexplained."""
        groups: dict[Values, list[int]] = {}
        for row, values in enumerate(self.rows):
            groups.setdefault(tuple(values[at] for at in self.other), []).append(row)
        columns = [_centred(column, groups.values()) for column in zip(*self.logs, strict=True)]
        target = _centred(self.log_seconds, groups.values())
        for power, column in zip(work, columns, strict=True):
            target = [value - power * log for value, log in zip(target, column, strict=True)]
        matrix = [[math.fsum(map(mul, a, b)) for b in columns] for a in columns]
        for at, row in enumerate(matrix):
            row[at] += _RIDGE
        change = _solve(matrix, [math.fsum(map(mul, column, target)) for column in columns])
        return [min(max(power + by, _FLATTEST), _STEEPEST) for power, by in zip(work, change, strict=True)]

    def _nearest(self, key: Values) -> list[int]:
        """Return the rows that differ in the fewest of the other axes; some rows, when the search takes too long."""
        tried = 0
        for differing in range(len(key)):
            found: list[int] = []
            for left_out in itertools.combinations(range(len(key)), differing):
                tried += 1
                if tried <= _MOST_INDICES:
                    found += self._index(left_out).get(_without(key, left_out), [])
            if found:
                return self._thinned(found)
            if tried >= _MOST_INDICES:
                break
        return self._thinned(range(len(self.rows)))

    def _index(self, left_out: tuple[int, ...]) -> dict[Values, list[int]]:
        if left_out not in self.indices:
            index: dict[Values, list[int]] = {}
            for row, values in enumerate(self.rows):
                index.setdefault(_without(tuple(values[at] for at in self.other), left_out), []).append(row)
            self.indices[left_out] = {key: self._thinned(rows) for key, rows in index.items()}
        return self.indices[left_out]

    def _thinned(self, rows: Sequence[int]) -> list[int]:
        return list(rows[:: -(-len(rows) // self.most)])


def _is_positive(value: Scalar) -> bool:
    return isinstance(value, (int, float)) and 0 < value < math.inf  # false is 0


def _without(key: Values, left_out: tuple[int, ...]) -> Values:
    return tuple(value for at, value in enumerate(key) if at not in left_out) if left_out else key


def _centred(column: Sequence[float], groups: Iterable[Sequence[int]]) -> list[float]:
    centred = list(column)
    for rows in groups:
        mean = math.fsum(column[row] for row in rows) / len(rows)
        for row in rows:
            centred[row] -= mean
    return centred


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve a positive definite system by elimination, in place; the ridge keeps every pivot away from zero."""
    size = len(right)
    for at in range(size):
        for below in range(at + 1, size):
            factor = matrix[below][at] / matrix[at][at]
            matrix[below] = [a - factor * b for a, b in zip(matrix[below], matrix[at], strict=True)]
            right[below] -= factor * right[at]
    solution = [0.0] * size
    for at in reversed(range(size)):
        rest = math.fsum(matrix[at][column] * solution[column] for column in range(at + 1, size))
        solution[at] = (right[at] - rest) / matrix[at][at]
    return solution


def told(estimate: Estimate) -> str:
    """Return an estimate in words: ``about 2 min 10 s on 2 jobs, from 75 finished points``."""
    if not estimate.points:
        return "nothing left to run"
    if estimate.seconds is None:
        return "no estimate, because there is no finished point to go by"
    text = f"{_duration(estimate.seconds)} on {_counted(estimate.jobs, 'job')}"
    text += f", from {_counted(estimate.known, 'finished point')}"
    guessed = estimate.points - estimate.exact
    return text + (f" ({guessed} of {estimate.points} guessed from others)" if guessed else "")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _duration(seconds: float) -> str:
    """Return a time in its two largest units, no finer than anyone can know."""
    whole = round(seconds)
    for least, step in ((60, 10), (3600, 60), (86_400, 3600)):
        if whole >= least:
            whole = round(whole / step) * step
    if whole < 60:
        return f"about {whole} s" if whole else "less than 1 s"
    units = (("day", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    at = next(at for at, (_, size) in enumerate(units) if whole >= size)
    (large, size), (small, part) = units[at : at + 2]
    count, rest = divmod(whole, size)
    first = _counted(count, large) if large == "day" else f"{count} {large}"
    return f"about {first}" + (f" {rest // part} {small}" if rest else "")

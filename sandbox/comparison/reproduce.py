"""Whether a run that was made again came out the same: to the byte, within a relative deviation, or not."""

from __future__ import annotations

import csv
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sandbox import archive
from sandbox.axes import Scalar, show_scalar
from sandbox.comparison import conditions
from sandbox.comparison.matching import Matching, NothingMatched, match, plural
from sandbox.comparison.verdicts import numbers
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from sandbox.results import Run

TOLERANCE = 1e-6  # beyond this a deviation is no rounding
SMALLEST = 16  # 1e-16: no two float64 are closer, relative to their size
LABELS = ("then", "now")
NAMED = 5  # columns that a line names before it only counts


@dataclass(frozen=True)
class Deviation:
    """The largest relative deviation of one column, infinite for text and for a number beside none, and where it is."""

    column: str
    size: float
    where: str
    then: str
    now: str


@dataclass(frozen=True)
class Reproduction:
    """What became of a run that was made again.

    Attributes
    ----------
    word
        ``"identical"``, ``"within"`` or ``"differs"``.
    rows
        Rows that both runs have.
    deviations
        Columns that are not the same in every row, the worst first.
    notes
        What could not be compared.
    changed
        What differs in the environment.
    files
        Files of points that both runs have.
    """

    word: str
    rows: int
    deviations: list[Deviation]
    notes: list[str]
    changed: conditions.Differences
    files: int = 0

    @property
    def exponent(self) -> int:
        """The k of ``within 1e-k``."""
        size = self.deviations[0].size if self.deviations else 0.0
        return min(SMALLEST, math.floor(-math.log10(size))) if size > 0 else SMALLEST

    @property
    def verdict(self) -> str:
        """``identical``, ``within 1e-9`` or ``differs``."""
        return f"within 1e-{self.exponent}" if self.word == "within" else self.word

    def lines(self) -> list[str]:
        """Return the verdict, where the worst deviation is, and what has changed."""
        parts = [plural(self.rows, "row")]
        if self.deviations:
            more = f" and {len(self.deviations) - NAMED} more" if len(self.deviations) > NAMED else ""
            sizes = ", ".join(_size(found) for found in self.deviations[:NAMED])
            worst = self.deviations[0]
            place = f" at {worst.where}" if worst.where else ""
            parts += [f"largest relative deviation {sizes}{more}",
                      f"the worst: {worst.column}{place}, then {worst.then}, now {worst.now}"]  # fmt: skip
        elif self.word == "identical" and not self.notes:
            files = f", as have {plural(self.files, 'file')}" if self.files else ""
            parts.append(f"table.csv and curves.csv have the same bytes{files}")
        changed = conditions.lines(self.changed, LABELS) or ["nothing that was recorded"]
        return [f"{self.verdict}   {'; '.join([*parts, *self.notes])}", *(f"changed  {line}" for line in changed)]


def reproduce(run: Run, again: Run, tolerance: float = TOLERANCE) -> Reproduction:
    """Compare a run with the same run made again.

    ``identical`` are runs whose ``table.csv``, ``curves.csv`` and files of points have the same bytes, and a run that
    was broken off and whose rows all came out the same; ``within`` are numbers whose relative deviation is at most
    `tolerance`, also those in arrays of files that `sandbox.archive` has written.
    """
    changed = conditions.data([run, again]) + conditions.environment([run, again])
    files, tables = sum(map(len, run.files.values())), ("table.csv", "curves.csv")
    if run.files == again.files and all(_bytes(run.path / name) == _bytes(again.path / name) for name in tables):
        return Reproduction("identical", len(run), [], [], changed, files)
    notes: list[str] = []
    try:
        matching = match(run, again, LABELS)
    except NothingMatched as nothing:
        lost = Deviation("table.csv", math.inf, "", plural(len(run), "row"), plural(len(again), "row"))
        return Reproduction("differs", 0, [lost], [str(nothing)], changed)
    found = [_text(matching, "status"), *(_column(matching, name) for name in _metrics(run, again))]
    finished = run.info.get("status") == "finished"
    found += [_missing(matching, side) for side in ((0, 1) if finished else (0,))]
    found += _files(run, again, matching)
    if finished and again.info.get("status") == "finished":
        found += _curves(run, again)
    else:
        notes.append(f"then {run.info.get('status')}: only the rows it has are compared, and no curves")
    deviations = sorted((each for each in found if each is not None), key=lambda each: -each.size)
    if not deviations:
        word = "within" if finished else "identical"
    else:
        word = "within" if deviations[0].size <= tolerance else "differs"
    if not deviations and finished:
        notes.append("every value is the same, the files are not")
    return Reproduction(word, matching.in_a.size, deviations, notes, changed, files)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _metrics(run: Run, again: Run) -> list[str]:
    return list(dict.fromkeys([*run.metrics, *again.metrics]))


def _size(found: Deviation) -> str:
    return f"{found.column} {found.size:.2g}" if found.size < math.inf else f"{found.column} without bound"


def _missing(matching: Matching, side: int) -> Deviation | None:
    text = matching.alone(side)
    if text is None:
        return None
    return Deviation("rows", math.inf, text, *(("there", "missing") if side == 0 else ("missing", "there")))


def _files(run: Run, again: Run, matching: Matching) -> list[Deviation]:
    """Return the largest deviation of each file of points, by its name."""
    worst: dict[str, Deviation] = {}
    if not (run.files or again.files):
        return []
    for pair, (old, new) in enumerate(zip(matching.in_a.tolist(), matching.in_b.tolist(), strict=True)):
        keys = run.keys[old], again.keys[new]
        sums = [each.files.get(key, {}) for each, key in zip((run, again), keys, strict=True)]
        for name in dict.fromkeys([*sums[0], *sums[1]]):
            texts = [each.get(name, "missing")[:12] for each in sums]
            if texts[0] != texts[1]:
                size = _content_apart(*(each.folder(key) / name for each, key in zip((run, again), keys, strict=True)))
                if name not in worst or size > worst[name].size:
                    worst[name] = Deviation(name, size, _where(matching, pair), *texts)
    return list(worst.values())


def _content_apart(old: Path, new: Path) -> float:
    """Return the largest relative deviation between two archives; infinite where there is more to it than numbers."""
    try:
        (facts, arrays), (now_facts, now) = archive.unpack(old), archive.unpack(new)
    except UsageError:
        return math.inf
    shapes = [{name: (array.shape, array.dtype) for name, array in each.items()} for each in (arrays, now)]
    numeric = all(dtype.kind in "biuf" for _, dtype in shapes[0].values())
    if facts != now_facts or shapes[0] != shapes[1] or not numeric:
        return math.inf
    largest = 0.0
    for name, array in arrays.items():
        x, y = (each.astype(np.float64).ravel() for each in (array, now[name]))
        unequal = (x != y) & ~(np.isnan(x) & np.isnan(y))
        largest = max([largest, *relative(x[unequal], y[unequal]).tolist()])
    return largest


def _column(matching: Matching, name: str) -> Deviation | None:
    """Return the largest deviation of one metric, None if all rows are the same."""
    sides = ((matching.a, matching.in_a), (matching.b, matching.in_b))
    if not all(name in run.metrics for run, _ in sides):
        texts = ["there" if name in run.metrics else "missing" for run, _ in sides]
        return Deviation(name, math.inf, "every row", *texts)
    found = [numbers(run, name) for run, _ in sides]
    if any(column is None for column in found):
        return _text(matching, name)
    x, y = (column[rows] for column, (_, rows) in zip(found, sides, strict=True))
    unequal = np.flatnonzero((x != y) & ~(np.isnan(x) & np.isnan(y)))
    if not unequal.size:
        return None
    sizes = relative(x[unequal], y[unequal])
    at = int(np.argmax(sizes))
    row = int(unequal[at])
    return Deviation(
        name, float(sizes[at]), _where(matching, row), show_scalar(float(x[row])), show_scalar(float(y[row]))
    )


def relative(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return ``|x - y| / max(|x|, |y|)`` of numbers that are not equal; infinite where one of them is not finite."""
    largest = np.maximum(np.abs(x), np.abs(y))
    with np.errstate(invalid="ignore", over="ignore"):
        sizes = np.abs(x / largest - y / largest)
    return np.where(np.isfinite(x) & np.isfinite(y), sizes, math.inf)


def _text(matching: Matching, name: str) -> Deviation | None:
    x, y = matching.a.column(name)[matching.in_a], matching.b.column(name)[matching.in_b]
    unequal = [at for at, (then, now) in enumerate(zip(x.tolist(), y.tolist(), strict=True)) if then != now]
    if not unequal:
        return None
    row = unequal[0]
    return Deviation(name, math.inf, _where(matching, row), str(x[row]), str(y[row]))


def _where(matching: Matching, pair: int) -> str:
    row = matching.in_a[pair]
    names = {axis: matching.values[axis][int(matching.codes_a[axis][row])] for axis in matching.varying}
    names["seed"] = int(matching.seeds[matching.codes_a["seed"][row]])
    return " ".join(f"{name} {show_scalar(value)}" for name, value in names.items())


def _curves(run: Run, again: Run) -> list[Deviation]:
    """Return the largest deviation of each series of each curve, reading both files side by side."""
    worst: dict[str, Deviation] = {}
    paths = [each.path / "curves.csv" for each in (run, again)]
    if _bytes(paths[0]) == _bytes(paths[1]):
        return []
    if not all(path.exists() for path in paths):
        return [Deviation("curves.csv", math.inf, "", *("there" if path.exists() else "missing" for path in paths))]
    with paths[0].open(newline="", encoding="utf-8") as then, paths[1].open(newline="", encoding="utf-8") as now:
        for old, new in itertools.zip_longest(csv.reader(then), csv.reader(now), fillvalue=[]):
            if old == new:
                continue
            if len(old) < 4 or [*old[:-3], old[-2]] != [*new[:-3], *new[-2:-1]]:
                return [Deviation("curves.csv", math.inf, "", ",".join(old) or "no line", ",".join(new) or "no line")]
            column, size = f"{old[-4]}.{old[-2]}", max(_apart(old[-3], new[-3]), _apart(old[-1], new[-1]))
            if column not in worst or size > worst[column].size:
                where = " ".join([*old[:-4], old[-3]])
                worst[column] = Deviation(column, size, where, old[-1], new[-1])
    return list(worst.values())


def _apart(old: Scalar | str, new: Scalar | str) -> float:
    """Return the relative deviation of two texts that are numbers, infinite if they are none."""
    if old == new:
        return 0.0
    try:
        x, y = float(old), float(new)
    except ValueError:
        return math.inf
    return 0.0 if x == y else float(relative(np.float64(x), np.float64(y)))

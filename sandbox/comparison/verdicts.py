"""What the pairs of two runs say: means, the paired difference with its interval, and one word.

Within a seed the pairs of a group are averaged first, so that what is compared is one number a seed and run; the
interval is Student's over the differences of those. The word for a row, for B against A:

* ``same``: all pairs are equal, or the 95 % interval of the difference lies within +- a margin of A's mean;
* ``better``, ``worse``, or ``higher``, ``lower`` for a metric that has no better side: the interval excludes 0;
* ``inconclusive``: anything else, with the number of seeds whose paired t test would have power 0.8 for the difference
  and the spread that were seen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sandbox.axes import Scalar, show_scalar
from sandbox.comparison.matching import Matching, NothingMatched, combine, match
from sandbox.errors import IMPORT_ERRORS, UsageError, shorten, unknown
from sandbox.report.build import table_of
from sandbox.report.spec import SIDES, USUALLY_BETTER
from sandbox.report.statistics import EXACT_PAIRS, pairs_expansion, pairs_needed, t_quantile

if TYPE_CHECKING:
    from sandbox.results import Run

WORDS = ("same", "better", "worse", "higher", "lower", "inconclusive")
SAME, BETTER, WORSE, HIGHER, LOWER, INCONCLUSIVE = range(6)
MOST_SEEDS = 10_000  # what is beyond is not worth a number
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Margin:
    """What still counts as the same: a share of the absolute value of A's mean, or an absolute difference.

    Examples
    --------
    >>> Margin.read("1%"), Margin.read("0.05")
    (Margin(size=0.01, relative=True), Margin(size=0.05, relative=False))
    """

    size: float = 0.01
    relative: bool = True

    @classmethod
    def read(cls, text: str) -> Margin:
        """Return the margin that a text such as ``1%`` or ``0.05`` stands for.

        Raises
        ------
        UsageError
            When it is not a finite number from 0.
        """
        found = re.fullmatch(r"\s*([0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)\s*(%?)\s*", text)
        size = float(found[1]) if found else math.inf
        if not math.isfinite(size):
            raise UsageError(f"--same must be a number from 0, such as 1% or 0.05, got {shorten(text) or 'nothing'}")
        return cls(size / 100 if found[2] else size, bool(found[2]))

    def around(self, means: np.ndarray) -> np.ndarray:
        """Return the half width at each of A's means."""
        return self.size * np.abs(means) if self.relative else np.full(np.shape(means), self.size)

    def __str__(self) -> str:
        return f"{100 * self.size:.6g} % of |A|" if self.relative else f"{self.size:.6g}"


@dataclass(frozen=True)
class Groups:
    """The pairs of a matching, gathered by the values of some axes, and within those by seed.

    Attributes
    ----------
    keys
        ``{axis: (G,) int}`` into `Matching.values`.
    group, cell
        Group and (group, seed) of each pair, (P,) int.
    group_of_cell
        (C,) int.
    """

    keys: dict[str, np.ndarray]
    group: np.ndarray
    cell: np.ndarray
    group_of_cell: np.ndarray

    @property
    def count(self) -> int:
        """How many groups there are."""
        return int(self.group.max()) + 1 if self.group.size else 0


@dataclass(frozen=True)
class Outcome:
    """One metric of one run against A: arrays over the G groups that have any pair of numbers.

    Attributes
    ----------
    metric, side
        The metric; ``"lower"``, ``"higher"`` or None.
    matching, groups, kept
        Where it comes from, and which groups of those it has, (G,) int.
    a, b, difference, low, high
        Means over seeds, their paired difference b - a and its 95 % interval (NaN with one seed), (G,).
    n, total
        Seeds with a pair of numbers, and with any pair, (G,) int.
    wins, losses
        Seeds in which b is better and worse (without a better side: higher and lower), (G,) int.
    verdict
        Index into `WORDS`, (G,) int.
    needed
        Seeds that would decide where the verdict is inconclusive, `MOST_SEEDS` + 1 for more; 0 elsewhere, (G,) int.
    missing
        Pairs left out, of rows with a result, because a number is missing or not finite: in a, in b.
    lost
        Groups, into `groups`, in which a has numbers and not one pair is left, (L,) int.
    uneven
        Groups whose seeds have different numbers of pairs.
    """

    metric: str
    side: str | None
    matching: Matching
    groups: Groups
    kept: np.ndarray
    a: np.ndarray
    b: np.ndarray
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray
    total: np.ndarray
    wins: np.ndarray
    losses: np.ndarray
    verdict: np.ndarray
    needed: np.ndarray
    missing: tuple[int, int]
    lost: np.ndarray
    uneven: int

    def where(self, groups: np.ndarray) -> list[dict[str, Scalar]]:
        """Return the values of the axes of each of `groups`."""
        values = self.matching.values
        columns = {
            axis: [values[axis][code] for code in codes[groups].tolist()] for axis, codes in self.groups.keys.items()
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)] or [
            {} for _ in groups
        ]


@dataclass(frozen=True)
class Comparison:
    """Runs against the first of them.

    Attributes
    ----------
    runs, labels
        The runs and their letters.
    matchings
        One for each further run.
    by
        Axes whose combinations are the rows.
    metrics, sides
        What is compared, and ``{metric: better side or None}``.
    same
        What counts as the same.
    outcomes
        One for each metric and further run, in that order.
    """

    runs: list[Run]
    labels: str
    matchings: list[Matching]
    by: list[str]
    metrics: list[str]
    sides: dict[str, str | None]
    same: Margin
    outcomes: list[Outcome]

    @cached_property
    def rows(self) -> int:
        """Number of rows: combinations, metrics and further runs that have any pair of numbers."""
        return sum(outcome.kept.size for outcome in self.outcomes)


def compare(
    *runs: Run,
    by: Sequence[str] | None = None,
    metric: Sequence[str] | None = None,
    better: Mapping[str, str] | None = None,
    same: Margin | str = "1%",
    extra: Sequence[str] = (),
) -> Comparison:
    """Compare every further run with the first.

    Parameters
    ----------
    by
        Axes whose combinations are the rows; all matched axes that vary when left out.
    metric
        Metrics; the numeric columns of the first run's declared table when left out.
    better
        ``{metric: "lower" or "higher"}`` in the place of what the experiments say.
    same
        Margin, such as ``"1%"`` or ``"0.05"``.
    extra
        Metrics to compare besides, such as those of a gate.

    Raises
    ------
    NothingMatched
        No pair of rows has numbers.
    UsageError
        An unknown axis or metric, a metric that is text, or fewer than two runs.
    """
    if not 2 <= len(runs) <= len(LABELS):
        raise UsageError(f"compare must have 2 to {len(LABELS)} runs, got {len(runs)}")
    labels = LABELS[: len(runs)]
    margin = Margin.read(same) if isinstance(same, str) else same
    read = _reader()
    metrics = _metrics(runs, metric, extra, read)
    sides = _sides(runs, metrics, better or {})
    matchings = [match(runs[0], run, (labels[0], label)) for run, label in zip(runs[1:], labels[1:], strict=True)]
    rows_by = _by(matchings, by)
    outcomes = []
    for matching in matchings:
        groups = gather(matching, [axis for axis in rows_by if axis in matching.axes])
        outcomes.append([judge(matching, groups, name, sides[name], margin, read) for name in metrics])
    ordered = [outcome for of_metric in zip(*outcomes, strict=True) for outcome in of_metric]
    comparison = Comparison(list(runs), labels, matchings, rows_by, metrics, sides, margin, ordered)
    if not comparison.rows:
        raise NothingMatched(_no_numbers(comparison))
    return comparison


def gather(matching: Matching, by: Sequence[str]) -> Groups:
    """Gather the pairs of a matching by the values of some axes, in the order of the first run's grid."""
    key, _ = combine(
        [matching.codes_a[axis][matching.in_a] for axis in by] or [np.zeros(matching.in_a.size, np.int64)],
        [len(matching.values[axis]) for axis in by] or [1],
    )
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    seed = matching.codes_a["seed"][matching.in_a]
    cells, cell = np.unique(group * matching.seeds.size + seed, return_inverse=True)
    keys = {axis: matching.codes_a[axis][matching.in_a[first]] for axis in by}
    return Groups(keys, group, cell, cells // matching.seeds.size)


def numbers(run: Run, metric: str) -> np.ndarray | None:
    """Return a metric as float64 with NaN where it is missing, (rows,); None for text."""
    column = run.column(metric)
    if column.dtype != object:
        return column.astype(np.float64, copy=False)
    values = column.tolist()
    if any(isinstance(value, str) for value in values):
        return None
    return np.array([math.nan if value is None else float(value) for value in values])


def _reader() -> Callable[[Run, str], np.ndarray | None]:
    """Return `numbers` with a memory: a run reads its texts anew each time it is asked for a column."""
    known: dict[tuple[int, str], np.ndarray | None] = {}

    def read(run: Run, metric: str) -> np.ndarray | None:
        key = (id(run), metric)
        if key not in known:
            known[key] = numbers(run, metric)
        return known[key]

    return read


def judge(
    matching: Matching,
    groups: Groups,
    metric: str,
    side: str | None,
    same: Margin,
    read: Callable[[Run, str], np.ndarray | None] = numbers,
) -> Outcome:
    """Return what the pairs of a matching say of one metric; `read` is `numbers` or does the same.

    Raises
    ------
    UsageError
        When the metric is text.
    """
    found = [read(run, metric) for run in (matching.a, matching.b)]
    if any(column is None for column in found):
        raise UsageError(f"metric must be numeric, got {metric}, which is text")
    x, y = found[0][matching.in_a], found[1][matching.in_b]
    usable, finite_x, finite_y = matching.usable, np.isfinite(x), np.isfinite(y)
    good = usable & finite_x & finite_y
    missing = int(np.count_nonzero(usable & ~finite_x)), int(np.count_nonzero(usable & ~finite_y))
    count = groups.count
    # A power of two in front of each group's numbers keeps their sums and squares in range without rounding anything.
    largest = np.zeros(count)
    np.maximum.at(largest, groups.group[good], np.maximum(np.abs(x[good]), np.abs(y[good])))
    exponent = np.frexp(largest)[1]
    shift = -exponent[groups.group[good]]
    scaled_x, scaled_y, cell = np.ldexp(x[good], shift), np.ldexp(y[good], shift), groups.cell[good]
    cells = groups.group_of_cell.size
    pairs = np.bincount(cell, minlength=cells)
    filled = pairs > 0
    means = [np.bincount(cell, values, cells)[filled] / pairs[filled] for values in (scaled_x, scaled_y)]
    differences = np.bincount(cell, scaled_y - scaled_x, cells)[filled] / pairs[filled]
    group, unequal = groups.group_of_cell[filled], scaled_x != scaled_y
    n = np.bincount(group, minlength=count)
    kept = np.flatnonzero(n)
    a, b, difference, deviation = _over_seeds(group, n, means, differences)
    half = _t_quantiles(n) * deviation / np.sqrt(np.maximum(n, 1))
    ever_unequal = np.bincount(groups.group[good], unequal, count) > 0
    margin = same.around(a) if same.relative else np.ldexp(same.around(a), -exponent)
    low, high = difference - half, difference + half
    verdict = _words(side, difference, low, high, margin, ever_unequal)
    needed = _needed(verdict[kept], difference[kept], deviation[kept], n[kept])
    up, down = (np.bincount(group[chosen], minlength=count) for chosen in (differences > 0, differences < 0))
    wins, losses = (down, up) if side == "lower" else (up, down)
    seen = np.bincount(groups.group_of_cell, minlength=count)
    lost = np.flatnonzero((n == 0) & (np.bincount(groups.group[finite_x], minlength=count) > 0))
    with np.errstate(over="ignore"):
        a, b, difference, low, high = (np.ldexp(v[kept], exponent[kept]) for v in (a, b, difference, low, high))
    return Outcome(
        metric, side, matching, groups, kept, a, b, difference, low, high, n[kept], seen[kept], wins[kept],
        losses[kept], verdict[kept], needed, missing, lost, _uneven(group, pairs[filled], count),
    )  # fmt: skip


def _over_seeds(
    group: np.ndarray, n: np.ndarray, means: Sequence[np.ndarray], differences: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the means of a and b, the mean difference and its standard deviation over the seeds of each group."""
    divisor = np.maximum(n, 1)
    a, b, difference = (np.bincount(group, values, n.size) / divisor for values in (*means, differences))
    squares = np.bincount(group, (differences - difference[group]) ** 2, n.size)
    return a, b, difference, np.sqrt(squares / np.maximum(n - 1, 1))


def _t_quantiles(n: np.ndarray) -> np.ndarray:
    """Return the 0.975 quantile of t with n - 1 degrees of freedom, NaN for n < 2: there is no interval."""
    found, inverse = np.unique(n, return_inverse=True)
    return np.array([t_quantile(int(count) - 1) if count > 1 else math.nan for count in found])[inverse]


def _words(
    side: str | None,
    difference: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    margin: np.ndarray,
    ever_unequal: np.ndarray,
) -> np.ndarray:
    """Return the verdicts; comparisons with the NaN of a missing interval are false."""
    up, down = {"lower": (WORSE, BETTER), "higher": (BETTER, WORSE), None: (HIGHER, LOWER)}[side]
    same = ~ever_unequal | ((low >= -margin) & (high <= margin))
    apart = (low > 0) | (high < 0)
    return np.where(same, SAME, np.where(apart, np.where(difference > 0, up, down), INCONCLUSIVE))


def _needed(verdict: np.ndarray, difference: np.ndarray, deviation: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return how many seeds would decide what is inconclusive."""
    needed = np.zeros(verdict.size, np.int64)
    open_ = np.flatnonzero(verdict == INCONCLUSIVE)
    spread = deviation[open_] > 0
    needed[open_[n[open_] == 1]] = 2
    at = open_[(n[open_] > 1) & spread]
    effect = np.abs(difference[at]) / deviation[at]
    found = np.full(at.size, MOST_SEEDS + 1.0)
    with np.errstate(divide="ignore", over="ignore"):
        expansion = pairs_expansion(effect)
    far = (expansion > EXACT_PAIRS) & (expansion <= MOST_SEEDS)
    found[far] = np.ceil(expansion[far])
    near = np.flatnonzero(expansion <= EXACT_PAIRS)
    found[near] = [pairs_needed(value) for value in effect[near].tolist()]
    needed[at] = found
    return needed


def _uneven(group: np.ndarray, pairs: np.ndarray, count: int) -> int:
    """Return how many groups have seeds with different numbers of pairs."""
    most = np.zeros(count, np.int64)
    np.maximum.at(most, group, pairs)
    return int(np.count_nonzero(np.bincount(group, most[group] - pairs, count)))


# ------------------------------------------------------------------------------------------------ what is compared


def _metrics(runs: Sequence[Run], wanted: Sequence[str] | None, extra: Sequence[str], read: Callable) -> list[str]:
    shared = [name for name in runs[0].metrics if all(name in run.metrics for run in runs[1:])]
    for name in (*(wanted or ()), *extra):
        if name not in shared:
            somewhere = any(name in run.metrics for run in runs)
            raise (
                UsageError(f"metric must be in every run, got {name}") if somewhere else unknown("metric", name, shared)
            )
    if not wanted:
        declared = [column.metric for column in table_of(runs[0]).columns]
        for names in ([name for name in declared if name in shared], shared):
            wanted = wanted or [name for name in names if all(read(run, name) is not None for run in runs)]
        if not wanted and not extra:
            raise UsageError(f"runs must share a numeric metric, got {', '.join(runs[0].metrics) or 'none'} in A")
    return list(dict.fromkeys([*wanted, *extra]))


def _sides(runs: Sequence[Run], metrics: Sequence[str], given: Mapping[str, str]) -> dict[str, str | None]:
    """Return the better side of each metric: as given, as declared by the first run that does, or as usual."""
    for name, side in given.items():
        if side not in SIDES:
            raise UsageError(f"better side of {shorten(name)} must be lower or higher, got {shorten(side)}")
        if name not in metrics:
            raise unknown("metric", name, metrics)
    sides: dict[str, str | None] = {}
    for run in reversed(runs):
        sides |= {column.metric: column.side for column in table_of(run).columns if column.side}
    score = _side_of_score(runs[0])
    usual = {name: score if name == "score" else USUALLY_BETTER.get(name) for name in metrics}
    return {name: given.get(name) or sides.get(name) or usual[name] for name in metrics}


def _side_of_score(run: Run) -> str | None:
    """Return the better side of the measure that all tasks of a run are scored by."""
    from sandbox import tasks

    try:
        measures = {tasks.load(task).score_name for task in run.axes.get("task", ())}
    except IMPORT_ERRORS:  # UsageError too: a task of somebody else's
        return None
    found = {USUALLY_BETTER.get(measure) for measure in measures}
    return found.pop() if len(found) == 1 else None


def _by(matchings: Sequence[Matching], wanted: Sequence[str] | None) -> list[str]:
    first = matchings[0].a
    if wanted is None:
        return [axis for axis in first.axes if any(axis in matching.varying for matching in matchings)]
    for axis in wanted:
        fixed = next((matching.fixed[axis] for matching in matchings if axis in matching.fixed), None)
        if fixed is not None:
            texts = " and ".join("no such axis" if value is None else show_scalar(value) for value in fixed)
            raise UsageError(f"by must be an axis that is matched, got {axis} (in these runs {texts})")
        if axis not in first.axes:
            raise unknown("axis", axis, [axis for axis in first.axes if axis in matchings[0].axes])
    return list(dict.fromkeys(wanted))


def _no_numbers(comparison: Comparison) -> str:
    pairs = sum(matching.in_a.size for matching in comparison.matchings)
    failures = sum(int(np.count_nonzero(~matching.usable)) for matching in comparison.matchings)
    metrics = ", ".join(comparison.metrics)
    return f"nothing to compare: none of {pairs} pairs has finite numbers of {metrics} ({failures} without a result)"

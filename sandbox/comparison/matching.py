"""Which row of one run belongs to which row of another: equal values of the axes, then equal seeds.

An axis that has one value in each run is fixed. Where the two values differ, or where only one of the runs has the
axis, that is what the runs were made to differ in, a *configuration difference*; every other axis is matched. Values
are equal as numbers: 1 and 1.0 are. All of it is integer codes, one per value and axis, so that a million rows take a
fraction of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sandbox.axes import Scalar, show_scalar
from sandbox.errors import UsageError, shorten
from sandbox.sweep import FAILED

if TYPE_CHECKING:
    from sandbox.results import Run

NAMED = 3  # combinations, values or rows that a line names before it only counts


class NothingMatched(UsageError):
    """The runs have nothing in common that could be compared; the command line exits 1."""


@dataclass(frozen=True)
class Matching:
    """The pairs of two runs.

    Attributes
    ----------
    a, b, labels
        The runs, and what lines call them: ``("A", "B")``.
    axes
        Axes that are matched, in the order of `a`.
    fixed
        Configuration differences: ``{axis: (value in a, value in b)}``, None where a run does not have the axis.
    values
        ``{axis: distinct values}`` of both runs: those of `a` in the order of its grid, then those of `b` alone.
    codes_a, codes_b
        ``{axis: (rows,) int}`` into `values`, and ``"seed"`` into `seeds`.
    seeds
        Distinct seeds of both runs, ascending, (S,) int64.
    in_a, in_b
        Rows of the pairs, (P,) int each, in the order of `a`.
    """

    a: Run
    b: Run
    labels: tuple[str, str]
    axes: list[str]
    fixed: dict[str, tuple[Scalar | None, Scalar | None]]
    values: dict[str, list[Scalar]]
    codes_a: dict[str, np.ndarray]
    codes_b: dict[str, np.ndarray]
    seeds: np.ndarray
    in_a: np.ndarray
    in_b: np.ndarray

    @cached_property
    def varying(self) -> list[str]:
        """Matched axes with more than one value among the pairs."""
        return [axis for axis in self.axes if np.unique(self.codes_a[axis][self.in_a]).size > 1]

    @cached_property
    def usable(self) -> np.ndarray:
        """Which pairs have a result on both sides, (P,) bool."""
        return ~(failed(self.a)[self.in_a] | failed(self.b)[self.in_b])

    def alone(self, side: int) -> str | None:
        """Return what is said of the rows of run 0 or 1 that have no partner; None without any."""
        run, codes, paired = ((self.a, self.codes_a, self.in_a), (self.b, self.codes_b, self.in_b))[side]
        rows = np.setdiff1d(np.arange(len(run)), paired, assume_unique=True)
        if not rows.size:
            return None
        key, _ = combine([codes[axis][rows] for axis in self.axes], [len(self.values[axis]) for axis in self.axes])
        _, first, count = np.unique(key, return_index=True, return_counts=True)
        shown = [axis for axis in self.axes if np.unique(codes[axis]).size > 1]
        order = np.argsort(first, kind="stable")
        named = []
        for at in order[:NAMED]:
            row = rows[first[at]]
            where = " ".join(f"{axis} {show_scalar(self.values[axis][codes[axis][row]])}" for axis in shown)
            seeds = plural(int(count[at]), "seed")
            named.append(f"{where} ({seeds})" if where else seeds)
        more = f" and {order.size - NAMED} more" if order.size > NAMED else ""
        text = f"{plural(rows.size, 'row')} of {plural(order.size, 'combination')}: {', '.join(named)}{more}"
        return text if shown or order.size > 1 else f"{plural(rows.size, 'row')}"


def match(a: Run, b: Run, labels: tuple[str, str] = ("A", "B")) -> Matching:
    """Match two runs.

    Raises
    ------
    NothingMatched
        Names the axis that has no common value.
    UsageError
        A run has two rows for one point.
    """
    fixed, axes = _divide(a, b, labels)
    values, codes_a, codes_b = {}, {}, {}
    for axis in axes:
        values[axis], (codes_a[axis], codes_b[axis]) = common_codes([a, b], axis)
        _require_common(axis, values[axis], codes_a[axis], codes_b[axis], labels)
    seeds, inverse = np.unique(np.concatenate([a.column("seed"), b.column("seed")]), return_inverse=True)
    codes_a["seed"], codes_b["seed"] = inverse[: len(a)], inverse[len(a) :]
    _require_common("seed", seeds.tolist(), codes_a["seed"], codes_b["seed"], labels)
    names = [*axes, "seed"]
    sizes = [*(len(values[axis]) for axis in axes), seeds.size]
    both = [np.concatenate([codes_a[name], codes_b[name]]) for name in names]
    key, _ = combine(both, sizes)
    in_a, in_b = _pairs(a, b, key[: len(a)], key[len(a) :])
    if not in_a.size:
        raise NothingMatched(f"nothing to compare: no combination of {', '.join(names)} is in both runs")
    return Matching(a, b, labels, axes, fixed, values, codes_a, codes_b, seeds, in_a, in_b)


def failed(run: Run) -> np.ndarray:
    """Return which rows have a status without a result, (rows,) bool."""
    status = run.column("status")
    return np.logical_or.reduce([np.asarray(status == name, bool) for name in FAILED])


def combine(codes: Sequence[np.ndarray], sizes: Sequence[int]) -> tuple[np.ndarray, int]:
    """Return one integer per row that tells rows with different codes apart, and above all of them a bound.

    Row order is that of the codes, the first varying slowest. Numbers stay below 2^62: what would not is numbered anew.
    """
    key, size = np.zeros(codes[0].size if codes else 0, np.int64), 1
    for code, count in zip(codes, sizes, strict=True):
        if size * count >= 2**62:
            found, key = np.unique(key, return_inverse=True)
            size = found.size
        key, size = key * count + code, size * count
    return key, size


def plural(count: int, noun: str) -> str:
    """Return ``1 row`` or ``3 rows``.

    Examples
    --------
    >>> plural(1, "row"), plural(3, "row")
    ('1 row', '3 rows')
    """
    return f"{count} {noun}" + ("" if count == 1 else "s")


def listed(values: Sequence[Scalar]) -> str:
    """Return the first few values as text, and how many there are besides."""
    more = f" and {len(values) - NAMED} more" if len(values) > NAMED else ""
    return ", ".join(shorten(show_scalar(value)) for value in values[:NAMED]) + more


def _divide(a: Run, b: Run, labels: tuple[str, str]) -> tuple[dict[str, tuple], list[str]]:
    """Return configuration differences and matched axes."""
    fixed, axes = {}, []
    for axis in dict.fromkeys([*a.axes, *b.axes]):
        found = [list(run.axes[axis]) if axis in run.axes else [None] for run in (a, b)]
        single = len(found[0]) == len(found[1]) == 1
        if single and not _equal(found[0][0], found[1][0]):
            fixed[axis] = (found[0][0], found[1][0])
        elif axis in a.axes and axis in b.axes:
            axes.append(axis)
        else:
            has, values = (labels[0], found[0]) if axis in a.axes else (labels[1], found[1])
            raise NothingMatched(
                f"nothing to compare: only {has} has an axis {axis}, with {len(values)} values ({listed(values)})"
            )
    return fixed, axes


def _equal(x: Scalar | None, y: Scalar | None) -> bool:
    return x == y and isinstance(x, bool) == isinstance(y, bool)  # true is not 1


def common_codes(runs: Sequence[Run], axis: str) -> tuple[list[Scalar], list[np.ndarray]]:
    """Return the distinct values of an axis in all runs, those of the first in the order of its grid before the others,
    and for each run the codes of its rows into them, (rows,) int.
    """
    places: dict[tuple, int] = {}
    values: list[Scalar] = []

    def place(value: Scalar) -> int:
        key = (isinstance(value, bool), value)
        if key not in places:
            places[key] = len(values)
            values.append(value)
        return places[key]

    for value in runs[0].axes[axis]:
        place(value)
    codes = []
    for run in runs:
        own, distinct = run.codes(axis)
        table = np.array([place(_plain(value)) for value in distinct], np.int64)
        codes.append(table[np.asarray(own)] if len(run) else np.zeros(0, np.int64))
    return values, codes


def _plain(value: object) -> Scalar:
    return value.item() if hasattr(value, "item") else value


def _require_common(
    axis: str, values: Sequence[Scalar], codes_a: np.ndarray, codes_b: np.ndarray, labels: tuple[str, str]
) -> None:
    found_a, found_b = np.unique(codes_a), np.unique(codes_b)
    if not np.intersect1d(found_a, found_b, assume_unique=True).size:
        texts = [listed([values[code] for code in found]) or "no rows" for found in (found_a, found_b)]
        said = "; ".join(f"{label}: {text}" for label, text in zip(labels, texts, strict=True))
        raise NothingMatched(f"nothing to compare: {axis} has no common value ({said})")


def _pairs(a: Run, b: Run, key_a: np.ndarray, key_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of both runs that have the same key, in the order of `a`."""
    order = np.argsort(key_b, kind="stable")
    ordered = key_b[order]
    for run, keys in ((a, np.sort(key_a)), (b, ordered)):
        if np.any(keys[1:] == keys[:-1]):
            raise UsageError(f"{run.path} must have one row per point and seed, got two for one point")
    at = np.searchsorted(ordered, key_a)
    at[at == ordered.size] = 0
    found = ordered[at] == key_a if ordered.size else np.zeros(key_a.size, bool)
    in_a = np.flatnonzero(found)
    return in_a, order[at[in_a]]

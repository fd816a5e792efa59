"""Lines below a table: comparisons with exact values, how far along an axis something holds, rank correlations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.axes import show_scalar
from sandbox.report.numbers import compact
from sandbox.report.spec import Check, Correlation, Reach, Table

if TYPE_CHECKING:
    from sandbox.results import Run


def compare(run: Run, check: Check) -> dict[str, object]:
    """Return the largest deviation of a metric from its exact value, and over how many rows."""
    pairs = [(row.get(check.value), row.get(check.oracle)) for row in run.rows]
    finite = [
        abs(value - oracle)
        for value, oracle in pairs
        if all(isinstance(number, (int, float)) and math.isfinite(number) for number in (value, oracle))
    ]
    known = sum(oracle is not None for _, oracle in pairs)
    return {"text": check.text, "deviation": max(finite, default=None), "rows": len(finite), "known": known}


def check_lines(checks: Sequence[dict[str, object]]) -> list[str]:
    """Return what is said about comparisons with exact values."""
    lines = []
    for check in checks:
        if check["known"] and not check["rows"]:
            lines.append(f"check: {check['text'] or 'exact value'}; known for {check['known']} rows, measured in none")
        if check["rows"]:
            found = f"largest deviation {check['deviation']:.2g} over {check['rows']} rows"
            lines.append(f"check: {check['text']}; {found}" if check["text"] else f"check: {found}")
    return lines or ["check: no row has an exact value to compare with"] if checks else []


def reach_lines(run: Run, reach: Reach | None) -> list[str]:
    """Return, for every combination of the other axes, in the order of the grid, the largest value of an axis at which
    a metric holds.
    """
    if reach is None or reach.axis not in run.axes or reach.metric not in run.metrics:
        return []
    others = [axis for axis, values in run.axes.items() if axis != reach.axis and len(values) > 1]
    groups: dict[tuple, dict] = {}
    for row in run.rows:
        by_value = groups.setdefault(tuple(row[axis] for axis in others), {})
        by_value.setdefault(row[reach.axis], []).append(row.get(reach.metric))
    places = [{value: place for place, value in enumerate(run.axes[axis])} for axis in others]
    found = []
    for key in sorted(groups, key=lambda key: [at.get(value, len(at)) for at, value in zip(places, key, strict=True)]):
        held = [at for at, values in groups[key].items() if _mean(values) >= reach.level]
        found.append((" ".join(map(show_scalar, key)), compact(max(held)) if held else "none"))
    text = reach.text or f"largest {reach.axis} with {reach.metric} >= {reach.level:g}"
    return [f"{text}: " + ", ".join(f"{name} {value}".strip() for name, value in found)]


def _mean(values: Sequence[object]) -> float:
    """Mean of what counts as a number; a missing or non-finite value counts as 0, since it was not reached."""
    numbers = [float(v) if isinstance(v, (int, float)) and math.isfinite(v) else 0.0 for v in values]
    return math.fsum(numbers) / len(numbers)


def correlation_lines(run: Run, table: Table) -> list[str]:
    """Return Spearman's rank correlation of every pair of metrics that a table names."""
    lines = []
    for pair in table.correlations:
        groups = run.axes.get(pair.by, [None])
        found = [_correlated(run, pair, value) for value in (groups if len(groups) > 1 else [None])]
        if any(found):
            text = pair.text or f"{pair.x} and {pair.y}"
            lines.append(f"{text}: rank correlation {', '.join(filter(None, found))}")
    return lines


def _correlated(run: Run, pair: Correlation, value: object) -> str | None:
    """Return the correlation over the rows with one value of an axis, or over all if that is None, as text."""
    rows = [(row.get(pair.x), row.get(pair.y)) for row in run.rows if value is None or row[pair.by] == value]
    rows = [row for row in rows if all(isinstance(v, (int, float)) and math.isfinite(v) for v in row)]
    rho = rank_correlation(*zip(*rows, strict=True)) if len(rows) > 2 else None
    if rho is None:
        return None
    return f"{rho:.2f} over {len(rows)} rows" if value is None else f"{show_scalar(value)} {rho:.2f} ({len(rows)} rows)"


def rank_correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return Spearman's rho: the correlation of ranks, equal values sharing their mean rank; None if all are equal.

    Examples
    --------
    >>> rank_correlation([1.0, 2.0, 3.0], [10.0, 30.0, 20.0])
    0.5
    """
    a, b = _ranks(xs), _ranks(ys)
    middle = (len(xs) + 1) / 2
    a, b = [x - middle for x in a], [y - middle for y in b]
    scale = math.sqrt(math.fsum(x * x for x in a) * math.fsum(y * y for y in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / scale if scale else None


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    first, count = {}, {}
    for place, value in enumerate(ordered, start=1):
        first.setdefault(value, place)
        count[value] = count.get(value, 0) + 1
    return [first[value] + (count[value] - 1) / 2 for value in values]

"""From a run to a report: rows aggregated over seeds, the one structure every output format is made from."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.axes import Scalar, show_scalar
from sandbox.errors import UsageError
from sandbox.report.numbers import compact
from sandbox.report.remarks import check_lines, compare, correlation_lines, reach_lines
from sandbox.report.spec import Column, Table
from sandbox.report.statistics import Summary, steps, summarise

if TYPE_CHECKING:
    from sandbox.results import Run

SPARK_WIDTH = 16
# Axes of a table in which none of them varies.
MAIN_AXES = 3
VERDICT = "verdict: better, worse if the 95 % interval of the difference over seeds excludes 0; else inconclusive"

Cell = Scalar | Summary | tuple | None


@dataclass(frozen=True)
class Field:
    """A column of the report: its key in machine formats, its heading, and what its cells are.

    `kind` is ``"axis"`` (a scalar), ``"number"`` (a `Summary`), ``"text"`` (a string or None) or ``"spark"`` (a tuple
    of numbers). A `hidden` axis has one value only: the title names it, machine formats carry it. The text of a field
    with an `oracle` is the verdict on the metric beside it, whose better side is `side`.
    """

    key: str
    heading: str
    kind: str
    interval: bool = False
    hidden: bool = False
    numeric: bool = False
    metric: str = ""
    shown_as: str | None = None
    oracle: str | None = None
    side: str | None = None


@dataclass(frozen=True)
class Report:
    """A table aggregated over seeds, with everything that is said around it."""

    run: str
    experiment: str
    title: str
    fields: list[Field]
    rows: list[list[Cell]]
    seeds: list[int]
    status: str
    subject: str = ""
    checks: list[dict[str, object]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    last: str = ""

    @property
    def shown(self) -> list[int]:
        """Indices of the fields that are columns on screen."""
        return [index for index, field in enumerate(self.fields) if not field.hidden]


def build(run: Run) -> Report:
    """Return the report of a run: one row per combination of axes, in the order of the grid.

    Raises
    ------
    UsageError
        When the table's description in ``run.json`` is damaged.
    """
    table = table_of(run)
    groups = group(run)
    fields = _axis_fields(run) + _metric_fields(run, table)
    rows = [[*key, *(_cell(field, members) for field in fields[len(key) :])] for key, members in groups.items()]
    if table.spark is not None and table.spark[0] in run.info.get("curves", {}):
        spark_field, sparks = _sparks(run, table.spark, list(groups))
        fields.append(spark_field)
        rows = [[*row, spark] for row, spark in zip(rows, sparks, strict=True)]
    checks = [compare(run, check) for check in table.checks]
    return Report(
        run=str(run.path),
        experiment=run.info["experiment"],
        title=_title(run, table, fields),
        fields=fields,
        rows=rows,
        seeds=run.info["seeds"],
        status=run.info["status"],
        subject=table.subject,
        checks=checks,
        warnings=_warnings(run),
        remarks=[
            *([table.note] if table.note else []),
            *([VERDICT] if any(field.oracle for field in fields) else []),
            *reach_lines(run, table.reach),
            *correlation_lines(run, table),
            *check_lines(checks),
        ],  # fmt: skip
        last=_last_line(run),
    )


def table_of(run: Run) -> Table:
    """Return what the run's table shows: every metric where its experiment does not say.

    Raises
    ------
    UsageError
        When the description in ``run.json`` is damaged.
    """
    data = run.info.get("table")
    if not data:
        return Table(run.metrics)
    try:
        return Table.from_dict(data)
    except (TypeError, AttributeError) as error:
        raise UsageError(f"{run.path / 'run.json'} is damaged (its table cannot be read)") from error


def group(run: Run) -> dict[tuple, list[dict]]:
    """Return the rows of each combination of axes, in the order the grid was asked for."""
    places = [{value: at for at, value in enumerate(values)} for values in run.axes.values()]
    groups: dict[tuple, list[dict]] = {}
    for row in run.rows:
        groups.setdefault(tuple(row[axis] for axis in run.axes), []).append(row)

    def place(key: tuple) -> tuple:
        return tuple(at.get(value, len(at)) for at, value in zip(places, key, strict=True))

    return {key: groups[key] for key in sorted(groups, key=place)}


def _axis_fields(run: Run) -> list[Field]:
    visible = varying(run) or list(run.axes)[:MAIN_AXES]
    return [
        Field(axis, axis, "axis", hidden=axis not in visible, numeric=not isinstance(values[0], (str, bool)))
        for axis, values in run.axes.items()
    ]


def _metric_fields(run: Run, table: Table) -> list[Field]:
    """Return one field per column of the table that this run has a value for, oracles beside what they predict."""
    fields: dict[str, Field] = {}
    for column in table.columns:
        wanted = [column]
        if column.oracle is not None:
            wanted.append(Column(column.oracle, interval=False))
        for each in wanted:
            values = [row.get(each.metric) for row in run.rows]
            if each.key not in fields and any(value is not None for value in values):
                text = any(isinstance(value, (str, bool)) for value in values)
                kind, numeric = "text" if text else "number", not text
                fields[each.key] = Field(
                    each.key, each.heading, kind, each.interval, False, numeric, each.metric, each.shown_as
                )
        if column.verdict and {column.key, column.oracle} <= set(fields):
            key = f"{column.key}_verdict"
            fields[key] = Field(key, "verdict", "text", metric=column.metric, oracle=column.oracle, side=column.side)
    return list(fields.values())


def verdict_on(differences: Sequence[float], side: str) -> str | None:
    """Return whether a metric is better or worse than its oracle, by the differences of all seeds.

    ``better`` or ``worse`` if their 95 % interval excludes 0, ``inconclusive`` if not, None without any. Of one seed,
    which has no interval, ``better (1 seed)``.

    Examples
    --------
    >>> verdict_on([0.1, 0.12, 0.11], "higher"), verdict_on([0.1, -0.12, 0.11], "higher")
    ('better', 'inconclusive')
    """
    found = summarise(differences)
    if found.mean is None:
        return None
    low, high = (found.mean, found.mean) if found.low is None else (found.low, found.high)
    if low <= 0 <= high:
        return "inconclusive"
    return ("better" if (low > 0) == (side == "higher") else "worse") + (" (1 seed)" if found.low is None else "")


def _cell(field: Field, members: Sequence[dict]) -> Cell:
    if field.oracle is not None:
        pairs = [(row.get(field.metric), row.get(field.oracle)) for row in members]
        return verdict_on([value - oracle for value, oracle in pairs if None not in (value, oracle)], field.side)
    values = [row.get(field.metric) for row in members]
    if field.kind != "number":
        return agreement(values)
    summary = summarise(values)
    return summary if field.shown_as is None else steps(summary, field.shown_as)


def agreement(values: Sequence[Scalar | None]) -> str | None:
    """Return the text all seeds agree on, else how many say what: ``weights 3, gates 2``; None without any."""
    counts = Counter(show_scalar(value) for value in values if value is not None)
    if len(counts) < 2:
        return next(iter(counts), None)
    return ", ".join(f"{text} {count}" for text, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _sparks(run: Run, spark: tuple[str, str], keys: Sequence[tuple]) -> tuple[Field, list[tuple]]:
    """Return the profile column: each curve averaged over seeds and brought to at most `SPARK_WIDTH` points."""
    name, series = spark
    x = run.info["curves"][name]["x"]
    by_point: dict[tuple, list[tuple[list, list]]] = {}
    for key, curve in run.curve(name, series).items():
        by_point.setdefault(key[:-1], []).append(curve)
    ranges = {(xs[0], xs[-1]) for curves in by_point.values() for xs, _ in curves if xs}
    reach = "" if len(ranges) != 1 else ", {} {} to {}".format(x, *map(compact, next(iter(ranges))))
    heading = f"{name.replace('_', ' ')}{reach or f' by {x}'}"
    sparks = [condense(mean_curve([values for _, values in by_point.get(key, [])]), SPARK_WIDTH) for key in keys]
    return Field(name, heading, "spark"), sparks


def mean_curve(curves: Sequence[Sequence[float | None]]) -> list[float]:
    """Return the mean over seeds at each place, over finite values; NaN where there is none."""
    longest = max(map(len, curves), default=0)
    places = ([curve[at] for curve in curves if at < len(curve)] for at in range(longest))
    return [_finite_mean(values) for values in places]


def condense(values: Sequence[float], width: int) -> tuple[float, ...]:
    """Return `values` averaged into at most `width` bins of nearly equal size."""
    if len(values) <= width:
        return tuple(values)
    edges = [at * len(values) // width for at in range(width + 1)]
    return tuple(_finite_mean(values[start:stop]) for start, stop in itertools.pairwise(edges))


def _finite_mean(values: Sequence[object]) -> float:
    numbers = [value for value in values if isinstance(value, (int, float)) and math.isfinite(value)]
    return math.fsum(value / len(numbers) for value in numbers) if numbers else math.nan


def _title(run: Run, table: Table, fields: Sequence[Field]) -> str:
    seeds = run.info["seeds"]
    count = f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"
    intervals = len(seeds) > 1 and any(field.interval and field.kind == "number" for field in fields)
    mean = "mean [95 %]" if intervals else "mean" if len(seeds) > 1 else ""
    facts = [table.subject, *constants(run, [field.key for field in fields if field.hidden]), count, mean]
    return ", ".join(filter(None, facts))


def constants(run: Run, axes: Sequence[str]) -> list[str]:
    """Return what a title says of `axes` with one value, of the settings, and of the data."""
    values = {axis: compact(run.axes[axis][0]) for axis in axes}
    named = [value if axis == "dtype" else f"{axis} {value}" for axis, value in values.items()]
    settings = [f"{name} {text}" for name, text in run.info.get("settings", {}).items()]
    labels = list(dict.fromkeys((run.info.get("data") or {}).values()))
    return [*named, *settings, *([f"data {' and '.join(labels)}"] if labels else [])]


def _warnings(run: Run) -> list[str]:
    lines = []
    bad = [row for row in run.rows if row["status"] != "ok"]
    if bad:
        where = ", ".join(f"{name} {compact(bad[0][name])}" for name in (*varying(run), "seed"))
        said = ": ".join(filter(None, (bad[0]["status"], bad[0]["error"])))
        lines.append(f"{len(bad)} of {len(run.rows)} points not ok, the first: {where}: {said}")
    if run.info["status"] != "finished":
        state = "unfinished" if run.info["status"] == "running" else run.info["status"]
        lines.append(f"run {state}: {len(run.rows)} of {run.info['points']} points")
    return lines + run.notes


def varying(run: Run) -> list[str]:
    """Return the axes with more than one value."""
    return [axis for axis, values in run.axes.items() if len(values) > 1]


def _last_line(run: Run) -> str:
    count = f"{len(run.rows)} point{'' if len(run.rows) == 1 else 's'}"
    if run.info.get("seconds") is not None:
        count += f" in {run.info['seconds']:.1f} s"
    kernels = run.info.get("kernels")
    if kernels:
        count += f" (compiled {kernels.get('compiled')}, loaded {kernels.get('loaded')})"
    return f"{count}   {run.path}/"

"""A run beside the numbers of papers: ``results/published/published.csv``, a row per number with its protocol."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sandbox.axes import Scalar, show_scalar
from sandbox.comparison.counterparts import COUNTERPARTS, IMPLIED, Counterpart
from sandbox.comparison.matching import NothingMatched, combine, common_codes, failed, listed
from sandbox.comparison.verdicts import numbers
from sandbox.errors import UsageError, did_you_mean, unknown
from sandbox.report.build import Field, Report
from sandbox.report.statistics import Summary, summarise

if TYPE_CHECKING:
    from sandbox.results import Run

COLUMNS = ("key", "paper", "year", "task", "model", "params", "metric", "value", "protocol", "source")
NEAREST = 5
_FACTS = {"their_task": "task", "their_model": "model", "their_parameters": "params", "their_protocol": "protocol"}
_NUMBER = re.compile(r"~?([0-9]+\.?[0-9]*)([KMk]?)")
_UNITS = {"": 1, "K": 1e3, "k": 1e3, "M": 1e6}


@dataclass(frozen=True)
class Fit:
    """Rows of a run beside one published row.

    Attributes
    ----------
    entry
        The published row.
    metric
        Our column.
    rows
        One per combination of axes: ``({axis: value}, Summary over seeds)``, in the paper's unit.
    differences
        What is known to differ, a text each.
    """

    entry: dict[str, str]
    metric: str
    rows: list[tuple[dict[str, Scalar], Summary]]
    differences: list[str] = field(default_factory=list)


def shipped() -> Path:
    """Return the file that comes with the package, installed or as a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "published" / "published.csv"
    return installed if installed.exists() else package.parent / "results" / "published" / "published.csv"


def entries(root: Path | str = "results") -> dict[str, dict[str, str]]:
    """Return the published rows by key: the shipped ones, and those of ``root/published/published.csv`` before them.

    Raises
    ------
    UsageError
        When a file cannot be read or has other columns.
    """
    found: dict[str, dict[str, str]] = {}
    own = Path(root) / "published" / "published.csv"
    for path in dict.fromkeys([shipped().resolve(), *([own.resolve()] if own.exists() else [])]):
        try:
            reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), strict=True)
            rows = list(reader)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"cannot read {path} ({error})") from error
        if tuple(reader.fieldnames or ()) != COLUMNS or any(None in row or None in row.values() for row in rows):
            raise UsageError(f"{path} must have the columns {', '.join(COLUMNS)}")
        found |= {row["key"]: row for row in rows}
    return found


def search(table: dict[str, dict[str, str]], words: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows that have every word somewhere, upper and lower case alike."""
    return [row for row in table.values() if all(word.lower() in " ".join(row.values()).lower() for word in words)]


def beside(
    run: Run,
    table: dict[str, dict[str, str]],
    key: str | None = None,
    by: Sequence[str] | None = None,
    metric: Sequence[str] | None = None,
) -> list[Fit]:
    """Return the published rows that a run can stand beside; with a key that row alone.

    Raises
    ------
    NothingMatched
        No published row fits the run.
    UsageError
        An unknown key, axis or metric, or a key that does not say which of our metrics it belongs to.
    """
    for axis in by or ():
        if axis not in run.axes:
            raise unknown("axis", axis, run.axes)
    for name in metric or ():
        if name not in run.metrics:
            raise unknown("metric", name, run.metrics)
    if key is not None:
        if key not in table:
            raise unknown("published key", key, table) if did_you_mean(key, table) else _no_such_key(key)
        return _beside_key(run, table[key], by, metric)
    fits = []
    for each in COUNTERPARTS:
        if each.key in table and (not metric or each.metric in metric):
            chosen = _rows_that_fit(run, each)
            if chosen is not None and chosen.any():
                fits.append(_fit(run, table[each.key], each, chosen, by))
    order = {name: at for at, name in enumerate(table)}
    fits = sorted((fit for fit in fits if fit.rows), key=lambda fit: order[fit.entry["key"]])
    if not fits:
        near = ", ".join(nearest(run, table)) or "see --to published --list"
        raise NothingMatched(f"no published number fits {run.path}; name one with --to published:KEY (nearest: {near})")
    return fits


def nearest(run: Run, table: dict[str, dict[str, str]]) -> list[str]:
    """Return the keys of the published rows that share most words with a run's experiment, tasks and cells."""
    named = [run.info["experiment"], *map(str, run.axes.get("task", ())), *map(str, run.axes.get("cell", ()))]
    words = {word for text in named for word in re.split(r"[^a-z]+", text.lower()) if len(word) > 2}

    def shared(row: dict[str, str]) -> int:
        text = " ".join(row[name] for name in ("key", "task", "model")).lower()
        return sum(word in text for word in words)

    ranked = sorted(table.values(), key=shared, reverse=True)
    return [row["key"] for row in ranked[:NEAREST] if shared(row)]


def _no_such_key(key: str) -> UsageError:
    return UsageError(f"unknown published key '{key}' (see sandbox compare --to published --list)")


def _beside_key(run: Run, entry: dict[str, str], by, metric) -> list[Fit]:
    known = [each for each in COUNTERPARTS if each.key == entry["key"] and each.metric in run.metrics]
    if known and not metric:
        each = known[0]
        chosen = _rows_that_fit(run, each)
        fits = chosen is not None and bool(chosen.any())
        return [_fit(run, entry, each, chosen if fits else np.ones(len(run), bool), by, fits)]
    if not metric:
        numeric = ", ".join(name for name in run.metrics if numbers(run, name) is not None)
        raise UsageError(f"--metric must say what stands for '{entry['metric']}' of {entry['key']}, got nothing "
                         f"(choose from: {numeric})")  # fmt: skip
    for name in metric:
        if numbers(run, name) is None:
            raise UsageError(f"metric must be numeric, got {name}")
    every = np.ones(len(run), bool)
    theirs = f"theirs: {entry['task']}, {entry['model']}"
    return [_fit(run, entry, Counterpart(entry["key"], name, {}, note=theirs), every, by) for name in metric]


def _values(run: Run, axis: str) -> tuple[list[Scalar], np.ndarray] | None:
    """Return values and codes of an axis, one that the experiment never varies too; None where it has none."""
    if axis in run.axes:
        values, (codes,) = common_codes([run], axis)
        return values, codes
    implied = IMPLIED.get(run.info["experiment"], {})
    return ([implied[axis]], np.zeros(len(run), np.int64)) if axis in implied else None


def _rows_that_fit(run: Run, each: Counterpart) -> np.ndarray | None:
    if each.metric not in run.metrics or numbers(run, each.metric) is None:
        return None
    chosen = ~failed(run)
    for axis, wanted in each.where.items():
        found = _values(run, axis)
        if found is None:
            return None
        values, codes = found
        chosen = chosen & np.array([_is(value, wanted) for value in values], bool)[codes]
    return None if each.per and each.per not in run.axes else chosen


def _is(value: Scalar, wanted: object) -> bool:
    if isinstance(wanted, str):
        return isinstance(value, str) and re.fullmatch(wanted, value) is not None
    low, high = wanted if isinstance(wanted, tuple) else (wanted, wanted)
    return not isinstance(value, (str, bool)) and low <= value <= high


def _fit(run: Run, entry: dict[str, str], each: Counterpart, chosen: np.ndarray, by, fits: bool = True) -> Fit:
    rows = np.flatnonzero(chosen)
    columns = {axis: (values, codes[rows]) for axis in run.axes for values, (codes,) in [common_codes([run], axis)]}
    ours = each.scale * numbers(run, each.metric)[rows]
    if each.per and each.per in columns:
        values, codes = columns[each.per]
        ours = ours / np.array(values, float)[codes]
    several = [axis for axis, (_, codes) in columns.items() if np.unique(codes).size > 1]
    axes = [axis for axis in several if not each.theory or axis in each.where] if by is None else list(by)
    single = (
        {}
        if each.theory or not rows.size
        else {axis: values[int(codes[0])] for axis, (values, codes) in columns.items() if axis not in several}
    )
    grouped = _over_seeds(run.column("seed")[rows], ours + each.offset, {axis: columns[axis] for axis in axes})
    differences = _differences(run, rows, each, entry, fits)
    return Fit(entry, each.metric, [({**single, **where}, found) for where, found in grouped], differences)


def _over_seeds(seeds: np.ndarray, ours: np.ndarray, columns: dict) -> list[tuple[dict, Summary]]:
    """Return mean and interval over seeds of each combination; rows of one seed are averaged first."""
    sizes = [len(values) for values, _ in columns.values()]
    key, _ = combine([codes for _, codes in columns.values()] or [np.zeros(seeds.size, np.int64)], sizes or [1])
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    found, seed = np.unique(seeds, return_inverse=True)
    cells, cell = np.unique(group * found.size + seed, return_inverse=True)
    finite = np.isfinite(ours)
    count = np.bincount(cell[finite], minlength=cells.size)
    sums = np.bincount(cell[finite], ours[finite], cells.size)
    means = np.where(count > 0, sums / np.maximum(count, 1), math.nan)
    by_group = np.split(means, np.searchsorted(cells // max(found.size, 1), np.arange(1, first.size)))
    return [
        ({axis: values[int(codes[at])] for axis, (values, codes) in columns.items()}, summarise(part.tolist()))
        for at, part in zip(first.tolist(), by_group, strict=True)
    ]


def _differences(run: Run, rows: np.ndarray, each: Counterpart, entry: dict[str, str], fits: bool) -> list[str]:
    """Return what is known to differ, a text each; of a row that does not fit, what the paper did instead."""

    def ours(axis: str) -> list[Scalar]:
        found = _values(run, axis)
        return [] if found is None else [found[0][code] for code in np.unique(found[1][rows])]

    texts = []
    if not fits:
        other = [axis for axis, wanted in each.where.items() if not all(_is(value, wanted) for value in ours(axis))]
        found = ", ".join(f"{axis} {listed(ours(axis))}" for axis in other if ours(axis))
        texts.append(f"{found or 'no such axes'} (theirs {entry['task']}, {entry['model']})")
    for axis, theirs in each.protocol.items():
        if not all(_alike(value, theirs) for value in ours(axis)):
            texts.append(f"{axis} {listed(ours(axis))} (theirs {show_scalar(theirs)})")
    size = _NUMBER.fullmatch(entry["params"])
    if size and "parameters" in run.metrics and each.metric != "parameters" and not each.theory:
        counts = np.unique(numbers(run, "parameters")[rows])
        if np.any(counts != float(size[1]) * _UNITS[size[2]]):
            whole = [int(count) for count in counts.tolist() if math.isfinite(count)]
            texts.append(f"parameters {listed(whole)} (theirs {entry['params']})")
    return texts + ([each.note] if each.note else [])


def _alike(value: Scalar, theirs: object) -> bool:
    """Whether a value is the paper's; the options of a cell do not matter."""
    return value.partition(":")[0] == theirs if isinstance(theirs, str) and isinstance(value, str) else value == theirs


# ------------------------------------------------------------------------------------------------ the table


def report(run: Run, fits: Sequence[Fit]) -> Report:
    """Return the table: ours with its interval, the paper's number, and below what each paper did."""
    found = [where for fit in fits for where, _ in fit.rows]
    shown = [axis for axis in run.axes if len({where[axis] for where in found if axis in where}) > 1]
    theirs = [_value(fit.entry) for fit in fits]
    numeric = all(value is not None for value in theirs)
    fields = [
        Field("key", "published", "axis"),
        Field("metric", "metric", "axis", hidden=len({fit.metric for fit in fits}) == 1),
        *(Field(axis, axis, "axis", hidden=axis not in shown) for axis in run.axes),
        Field("value", "ours", "number", interval=True, numeric=True),
        Field("seeds", "n", "text", numeric=True),
        Field("theirs", "theirs", "number" if numeric else "text", numeric=numeric),
        Field("what", "of what", "text"),
        Field("paper", "paper", "text"),
        *(Field(name, name, "text", hidden=True) for name in (*_FACTS, "differences")),
    ]
    rows = []
    for fit, number in zip(fits, theirs, strict=True):
        entry = fit.entry
        facts = [entry["metric"], f"{entry['paper']} {entry['year']}".strip()]
        facts += [entry[name] for name in _FACTS.values()] + ["; ".join(fit.differences)]
        for where, found in fit.rows:
            seeds = f"{found.n}" if found.n == found.total else f"{found.n}/{found.total}"
            ours = Summary(found.mean, found.low, found.high, found.n, found.n)
            value = Summary(number, None, None, 1, 1, number.is_integer()) if numeric else entry["value"]
            rows.append([entry["key"], fit.metric, *(where.get(axis) for axis in run.axes), ours, seeds, value, *facts])
    return Report(
        run=str(run.path), experiment=run.info["experiment"], title="beside published numbers, mean [95 %]",
        fields=fields, rows=rows, seeds=list(run.info["seeds"]), status=run.info["status"],
        subject="beside published numbers", remarks=[_remark(fit) for fit in fits], last=f"{run.path}/",
    )  # fmt: skip


def _value(entry: dict[str, str]) -> float | None:
    try:
        value = float(entry["value"])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _remark(fit: Fit) -> str:
    entry = fit.entry
    facts = [
        entry["task"],
        entry["model"],
        f"{entry['params']} parameters" if entry["params"] else "",
        entry["protocol"],
    ]
    differs = f"; differs: {', '.join(fit.differences)}" if fit.differences else ""
    return f"{entry['key']}: {'; '.join(filter(None, facts))}{differs}"

"""A comparison as a report: a row per metric, combination and run; what the runs differ in above, the rule below."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

import numpy as np

from sandbox.comparison import conditions
from sandbox.comparison.matching import plural
from sandbox.comparison.verdicts import INCONCLUSIVE, MOST_SEEDS, WORDS, Comparison, Outcome
from sandbox.report.build import Field, Report
from sandbox.report.formats import write as write_report
from sandbox.report.statistics import Summary
from sandbox.report.wrapping import fill, printable, words

if TYPE_CHECKING:
    from sandbox.comparison.matching import Matching
    from sandbox.results import Run

PEOPLE = (None, "rich", "plain")  # formats in which lines stand around the table
MOST_ROWS = 1000  # of a table for people


def report(comparison: Comparison, most: int | None = None) -> Report:
    """Return the table of a comparison, of its first `most` rows; the lines that stand above it are those of `top`."""
    two, first = len(comparison.runs) == 2, comparison.runs[0]
    other = comparison.labels[1] if two else "other"
    sided = [side is not None for side in comparison.sides.values()]
    tally = "win/tie/loss" if all(sided) else "up/tie/down" if not any(sided) else "win/tie/loss"
    fields = [
        Field("metric", "metric", "axis", hidden=len(comparison.metrics) == 1),
        *(Field(axis, axis, "axis", numeric=_is_numeric(first, axis)) for axis in comparison.by),
        Field("run", "run", "axis", hidden=two),
        Field("verdict", "verdict", "verdict"),
        Field("a", "A", "number", numeric=True),
        Field("b", other, "number", numeric=True),
        Field("difference", f"{other} - A", "number", interval=True, numeric=True),
        Field("n", "n", "text", numeric=True),
        Field("wins_ties_losses", tally, "text", numeric=True),
        Field("seeds_needed", "n needed", "text", numeric=True, hidden=not _any_open(comparison)),
    ]
    seeds = sorted({int(seed) for matching in comparison.matchings for seed in _paired_seeds(matching)})
    letters = " and ".join([", ".join(comparison.labels[1:-1]), comparison.labels[-1]] if not two else [other])
    names = dict.fromkeys(run.info["experiment"] for run in comparison.runs)
    metric = "" if len(comparison.metrics) > 1 else f"{comparison.metrics[0]} of "
    return Report(
        run=", ".join(str(run.path) for run in comparison.runs),
        experiment=" and ".join(names),
        title=f"{metric}{letters} against A, {plural(len(seeds), 'seed')}, mean, difference [95 %]",
        fields=fields,
        rows=_rows(comparison, most),
        seeds=seeds,
        status="compared",
        subject=f"{metric}{letters} against A",
        warnings=[*_cut(comparison, most), *_warnings(comparison)],
        remarks=_remarks(comparison),
        last=", ".join(
            f"{plural(found.in_a.size, 'pair')} of A's {len(found.a)} and {found.labels[1]}'s {len(found.b)} rows"
            for found in comparison.matchings
        ),
    )


def top(comparison: Comparison) -> list[str]:
    """Return the lines above the table: the runs, then every difference in configuration and surroundings."""
    runs, labels = comparison.runs, comparison.labels
    texts = [f"{label}  {run.path}" for label, run in zip(labels, runs, strict=True)]
    for title, found in (
        ("differs in", conditions.configuration(runs, comparison.matchings)),
        ("environment", conditions.environment(runs)),
    ):
        texts += [f"{title}  {line}" for line in conditions.lines(found, labels)]
    return texts


def write(made: Report, above: Sequence[str], format: str | None, out: TextIO, err: TextIO) -> None:
    """Write a report with lines above it where people read it.

    In ``csv``, ``md``, ``json`` and ``tex`` they are the first of its warnings, so that the table stays alone.
    """
    if format in PEOPLE:
        width = shutil.get_terminal_size().columns if out.isatty() else math.inf
        for line in above:
            out.write("\n".join(fill(words(printable(line)), width, "", "   ")) + "\n")
        out.flush()
    else:
        made = replace(made, warnings=[*above, *made.warnings])
    write_report(made, format, out, err)


def _is_numeric(run: Run, axis: str) -> bool:
    return not isinstance(run.axes[axis][0], (str, bool))


def _any_open(comparison: Comparison) -> bool:
    return any(np.any(outcome.verdict == INCONCLUSIVE) for outcome in comparison.outcomes)


def _paired_seeds(matching: Matching) -> np.ndarray:
    return matching.seeds[np.unique(matching.codes_a["seed"][matching.in_a])]


def _rows(comparison: Comparison, most: int | None) -> list[list]:
    """Return the first rows, up to `most`: metrics in order, combinations in the grid's order, then the runs."""
    others = len(comparison.matchings)
    rows = []
    for at, metric in enumerate(comparison.metrics):
        of_metric = comparison.outcomes[at * others : (at + 1) * others]
        found = [
            row
            for outcome, label in zip(of_metric, comparison.labels[1:], strict=True)
            for row in _rows_of(metric, label, outcome, comparison, most)
        ]
        if others > 1:
            found.sort(key=lambda row: row[0])  # stable: within a combination the runs keep their order
        rows += [row for _, row in found]
        if most is not None and len(rows) >= most:
            return rows[:most]
    return rows


def _rows_of(
    metric: str, label: str, outcome: Outcome, comparison: Comparison, most: int | None
) -> list[tuple[tuple, list]]:
    """Return ``(place in the grid, row)`` of one metric and run, of its first `most` rows."""
    kept = outcome.kept[:most]
    axes, places = [], []
    for axis in comparison.by:
        if axis in outcome.groups.keys:
            codes = outcome.groups.keys[axis][kept].tolist()
            values = outcome.matching.values[axis]
            axes.append([values[code] for code in codes])
            places.append(codes)
        else:  # fixed here, matched with another run
            axes.append([outcome.matching.a.axes[axis][0]] * kept.size)
            places.append([0] * kept.size)
    place = list(zip(*places, strict=True)) if places else [()] * kept.size
    arrays = (
        outcome.a, outcome.b, outcome.difference, outcome.low, outcome.high, outcome.n, outcome.total, outcome.wins,
        outcome.losses, outcome.verdict, outcome.needed,
    )  # fmt: skip
    key = list(zip(*axes, strict=True)) if axes else [()] * kept.size
    rows = []
    for where, at, (a, b, mean, low, high, n, total, wins, losses, verdict, needed) in zip(
        place, key, zip(*(array[:most].tolist() for array in arrays), strict=True), strict=True
    ):
        interval = (low, high) if n > 1 else (None, None)
        row = [
            metric, *at, label, WORDS[verdict], Summary(a, None, None, n, n), Summary(b, None, None, n, n),
            Summary(mean, *interval, n, n), f"{n}" if n == total else f"{n}/{total}",
            f"{wins}/{n - wins - losses}/{losses}", _needed_text(n, needed),
        ]  # fmt: skip
        rows.append((where, row))
    return rows


def _cut(comparison: Comparison, most: int | None) -> list[str]:
    if most is None or comparison.rows <= most:
        return []
    return [f"the first {most} of {comparison.rows} rows; --format csv has all of them, --by fewer"]


def _needed_text(n: int, needed: int) -> str | None:
    if not needed:
        return None
    if needed > MOST_SEEDS:
        return f"> {MOST_SEEDS}"
    return "at least 2" if n == 1 else str(needed)


def _warnings(comparison: Comparison) -> list[str]:
    """Return what was not compared, and why."""
    lines = []
    names = dict.fromkeys(run.info["experiment"] for run in comparison.runs)
    if len(names) > 1:
        lines.append(f"different experiments are compared: {', '.join(names)}")
    for label, run in zip(comparison.labels, comparison.runs, strict=True):
        if run.info.get("status") != "finished":
            lines.append(f"{label} is {run.info.get('status')}: {len(run)} of {run.info.get('points')} points")
    for matching in comparison.matchings:
        lines += _left_out(matching)
    for outcome in comparison.outcomes:
        lines += _without_numbers(outcome)
    return lines


def _left_out(matching: Matching) -> list[str]:
    lines = []
    for side, label in enumerate(matching.labels):
        alone = matching.alone(side)
        if alone:
            other = f" beside {matching.labels[1]}" if side == 0 and matching.labels[1] != "B" else ""
            lines.append(f"only in {label}{other}: {alone}")
    failures = int(np.count_nonzero(~matching.usable))
    if failures:
        lines.append(f"{plural(failures, 'pair')} of {' and '.join(matching.labels)} left out: a row without a result")
    return lines


def _without_numbers(outcome: Outcome) -> list[str]:
    lines = []
    labels = outcome.matching.labels
    if any(outcome.missing):
        counts = ", ".join(f"{label} {count}" for label, count in zip(labels, outcome.missing, strict=True))
        empty = outcome.groups.count - outcome.kept.size
        rows = f"; {plural(empty, 'row')} without any pair" if empty else ""
        pairs = outcome.matching.in_a.size
        lines.append(f"{outcome.metric}: of {pairs} pairs without a finite number: {counts}{rows}")
    if outcome.uneven:
        lines.append(f"{outcome.metric}: seeds have unequal numbers of pairs in {plural(outcome.uneven, 'row')}")
    return lines


def _remarks(comparison: Comparison) -> list[str]:
    rows = comparison.rows
    sides: dict[str, list[str]] = {}
    for metric, side in comparison.sides.items():
        sides.setdefault(side or "neither", []).append(metric)
    better = "; ".join(f"{side}: {', '.join(metrics)}" for side, metrics in sides.items())
    open_rows = _any_open(comparison)
    needed = ["n needed, in seeds: paired t test at 5 %, power 0.8, for the difference and spread seen here"]
    tally = "win/tie/loss, of a metric without a better side up/tie/down, counts seeds"
    chance = f"{0.05 * rows:.2g}" if rows < 200 else f"{0.05 * rows:.0f}"
    counts = np.bincount(np.concatenate([outcome.verdict for outcome in comparison.outcomes]), minlength=len(WORDS))
    verdicts = ", ".join(f"{count} {word}" for word, count in zip(WORDS, counts.tolist(), strict=True) if count)
    return [
        f"{plural(rows, 'row')}: {verdicts}; about {chance} would show a difference by chance",
        f"same: all pairs equal, or the interval within +- {comparison.same}; better, worse (higher, lower): the "
        "interval excludes 0; else inconclusive",
        f"better side {better}; {tally}",
        *(needed if open_rows else []),
    ]

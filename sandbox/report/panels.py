"""From a run to what its picture shows: panels of lines, as plain numbers that know nothing of how they are drawn.

Every line is a mean over seeds with its 95 % t interval. A logarithmic panel holds log10 of its values, and so the mean
of the logarithm: an interval then never reaches below zero.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.errors import UsageError, shorten, unknown
from sandbox.report.build import constants, group, table_of, varying
from sandbox.report.numbers import compact
from sandbox.report.spec import Picture
from sandbox.report.statistics import Summary, summarise

if TYPE_CHECKING:
    from sandbox.results import Run

MOST_LINES = 8
MOST_PANELS = 12
MOST_COLUMNS = 4
# A curve of more than twice as many points is brought to a mean for each of so many stretches of it.
STRETCHES = 125
# Of curves beside a reference, whose oscillation is what they are about, the last points are shown as they are, and
# only so many lines together.
WINDOW = 400
LINES_BESIDE_REFERENCE = 3
LARGEST = 1e300  # of what is drawn: beyond it the range of an axis overflows
NOWHERE = float("nan")
NAMES = {
    "lag": "lag (steps)", "t": "time (steps)", "time": "time (steps)", "seq_len": "sequence length (steps)",
    "update": "updates", "updates": "updates", "hidden": "hidden units", "lr": "learning rate (per update)",
    "batch": "batch size (sequences)", "batch_size": "batch size (sequences)",
}  # fmt: skip


class NothingToDraw(UsageError):
    """A run that holds nothing of what its picture shows."""


@dataclass(frozen=True)
class Line:
    """Points of one line; `place` chooses colour and marker, `style` the dashes.

    `partial` says of each point whether it lacks a seed; `stop` is the last finite point of a line that ends in others.
    `kind` is ``"data"``, ``"theory"``, ``"baseline"`` or ``"reference"``. Without an interval its ends are NaN.
    """

    kind: str
    place: int
    x: list[float]
    y: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    partial: list[bool] = field(default_factory=list)
    style: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Facet:
    """The panels that belong to one combination of axes, one above another, and the events below the last.

    `events` has, by the place of the line, ``(x, share of seeds)`` wherever something happened.
    """

    title: str
    panels: list[list[Line]]
    events: dict[int, list[tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """The y axis that all facets have in common in one row: its label, whether it holds log10, a fixed range."""

    label: str
    log: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Plan:
    """All that a picture shows.

    `keys` are ``(label, place)`` of the lines, `styles` the names of series by their dashes. `categories` names the
    places 0, 1, ... on an x axis without numbers; `ticks` are the values of an axis. Where facets are `apart`, each has
    a range of y of its own.
    """

    title: str
    facts: str
    x: str
    scales: list[Scale]
    facets: list[Facet]
    keys: list[tuple[str, int]]
    key_title: str
    styles: list[str]
    notes: list[str]
    ticks: list[float] = field(default_factory=list)
    categories: list[str] | None = None
    log_x: bool = False
    connected: bool = True
    reference: str = ""
    apart: bool = False


def plan(run: Run, picture: Picture) -> Plan:
    """Return what `picture` shows of a run.

    Raises
    ------
    UsageError
        When the run has no such curve, series, metric or axis, or nothing finite in it (`NothingToDraw`).
    """
    curve = picture.curve is not None
    axes = [axis for axis in varying(run) if axis != picture.against]
    chosen = run.info["seeds"] if picture.seed == "mean" else [first_done(run)]
    groups: dict[tuple, list[dict]] = {}
    for key, rows in group(run).items():
        values = dict(zip(run.axes, key, strict=True))
        kept = [row for row in rows if row["seed"] in chosen]
        groups.setdefault(tuple(values[axis] for axis in axes), []).extend(kept)
    together = max((len(set(panel) - {picture.reference}) for panel in picture.series), default=1) or 1
    most = LINES_BESIDE_REFERENCE if _has_reference(picture) else MOST_LINES
    panels = MOST_PANELS if len(picture.series) < 2 else MOST_COLUMNS
    layout = _Layout(axes, list(groups), panels, max(most // together, 1), _has_reference(picture))
    parts = _curve_parts(run, picture, groups, layout) if curve else _metric_parts(run, picture, groups, layout)
    lines = [line for facet in parts["facets"] for panel in facet.panels for line in panel]
    if not any(math.isfinite(value) for line in lines if line.kind == "data" for value in line.y):
        raise NothingToDraw(f"{picture.curve or picture.metric} has no finite value to draw in {run.path}")
    count = len(chosen)
    logs = [scale.log for scale in parts["scales"]]
    mean = "mean of log10" if all(logs) else "mean (of log10 on a logarithmic axis)" if any(logs) else "mean"
    seeds = f"seed {chosen[0]}" if count == 1 else f"{mean} over {count} seeds"
    facts = constants(run, [axis for axis, values in run.axes.items() if len(values) == 1 and axis != picture.against])
    title = picture.title or table_of(run).subject
    stopped = ["\u00d7: nothing finite after"] if any(line.stop is not None for line in lines) else []
    return Plan(
        title=f"{run.info['experiment']}: {title}" if title else run.info["experiment"],
        reference=as_label(picture.reference),
        apart=picture.apart,
        facts=", ".join([*facts, seeds]),
        **{"key_title": ", ".join(layout.line_axes), **parts, "notes": [*parts["notes"], *stopped, *layout.notes()]},
    )


def first_done(run: Run) -> int:
    """Return the first seed with a result; the first of all where none has one."""
    done = {row["seed"] for row in run.rows if row["status"] == "ok"}
    return next((seed for seed in run.info["seeds"] if seed in done), run.info["seeds"][0])


# ------------------------------------------------------------------------------------------------- lines and panels


class _Layout:
    """Which axes become lines and which panels: as few panels as leave out as few lines as possible."""

    def __init__(self, axes: Sequence[str], keys: Sequence[tuple], most_panels: int, most_lines: int, single: bool):
        sizes = range(len(axes) + 1 if single else max(len(axes), 1))  # whether a panel may have a single line
        choices = [at for size in sizes for at in itertools.combinations(range(len(axes)), size)]
        if len(keys) <= most_lines:
            choices = [()]

        def cost(chosen: tuple[int, ...]) -> tuple[int, int]:
            panels, lines = self._split(keys, chosen)
            return -min(len(panels), most_panels) * min(len(lines), most_lines), len(panels)

        self.chosen = min(choices, key=cost)
        self.panel_axes = [axes[at] for at in self.chosen]
        self.line_axes = [axis for axis in axes if axis not in self.panel_axes]
        self.all_panels, self.all_lines = self._split(keys, self.chosen)
        self.panels, self.lines = spread(self.all_panels, most_panels), spread(self.all_lines, most_lines)
        self.total = len(keys)
        self.shown = [key for key in keys if self.place(key) is not None]

    @staticmethod
    def _split(keys: Sequence[tuple], chosen: Sequence[int]) -> tuple[list[tuple], list[tuple]]:
        panels = dict.fromkeys(tuple(key[at] for at in chosen) for key in keys)
        lines = dict.fromkeys(tuple(value for at, value in enumerate(key) if at not in chosen) for key in keys)
        return list(panels), list(lines)

    def place(self, key: tuple) -> tuple[int, int] | None:
        """Return (panel, line) of a combination, or None for one that is left out."""
        ((panel,), (line,)) = self._split([key], self.chosen)
        return (
            (self.panels.index(panel), self.lines.index(line)) if panel in self.panels and line in self.lines else None
        )

    def title(self, panel: tuple) -> str:
        """Return what the axes are in a panel."""
        return ", ".join(f"{axis} {compact(value)}" for axis, value in zip(self.panel_axes, panel, strict=True))

    def keys(self) -> list[tuple[str, int]]:
        """Return label and place of every line, none where one line needs no name."""
        labels = [", ".join(map(compact, line)) for line in self.lines]
        return [(label, at) for at, label in enumerate(labels)] if len(labels) > 1 else []

    def notes(self) -> list[str]:
        """Return which lines are not shown."""
        if len(self.shown) == self.total:
            return []
        lines = [", ".join(map(compact, line)) for line in self.all_lines if line not in self.lines]
        panels = [self.title(panel) for panel in self.all_panels if panel not in self.panels]
        names = shorten("; ".join([*lines, *panels]), 150)
        return [f"{len(self.shown)} of {self.total} lines shown, left out: {names}"]


def spread(items: list, most: int) -> list:
    """Return at most `most` items, evenly spread from the first to the last."""
    if len(items) <= most:
        return items
    return [items[at * (len(items) - 1) // (most - 1)] for at in range(most)]


def is_number(value: object) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def is_numeric(values: Sequence[object]) -> bool:
    """Return whether all values are finite numbers, and none is true or false."""
    return all(is_number(value) and not isinstance(value, bool) for value in values)


def _level(value: object, log: bool) -> float:
    """Return a value as it is drawn, NaN where it cannot be."""
    if not is_number(value) or (log and value <= 0) or abs(value) > LARGEST:
        return NOWHERE
    return math.log10(value) if log else float(value)


def _ends(summary: Summary) -> tuple[float, float, float]:
    return tuple(NOWHERE if value is None else value for value in (summary.mean, summary.low, summary.high))


def as_label(name: str) -> str:
    """Return a name as a label, with a unit where the house has one."""
    text = name.removeprefix("log10_").replace("_", " ")
    return NAMES.get(name, text)


# ------------------------------------------------------------------------------------------------- curves


def _curve_parts(run: Run, picture: Picture, groups: dict[tuple, list[dict]], layout: _Layout) -> dict:
    known = run.info["curves"].get(picture.curve)
    if known is None:
        raise NothingToDraw(f"{run.path} has no curve '{picture.curve}'")
    panels = [[name for name in panel if name in known["series"]] for panel in picture.series]
    if not any(panels):
        raise NothingToDraw(str(unknown(f"series of curve '{picture.curve}'", picture.series[0][0], known["series"])))
    data = run.curves(picture.curve, {*itertools.chain(*panels), picture.events})
    logs = [
        log or any(name.startswith("log10_") for name in panel) for log, panel in zip(picture.log, panels, strict=True)
    ]
    measured = [[name for name in panel if name != picture.reference] for panel in panels]
    several = any(len(panel) > 1 for panel in measured)
    last = WINDOW if _has_reference(picture) else None
    order = list(itertools.chain(*measured))
    alone = (several or last is not None) and len(layout.lines) == 1  # a single line's series may have the colours
    facets = [Facet(layout.title(panel), [[] for _ in panels]) for panel in layout.panels]
    for key in layout.shown:
        panel, place = layout.place(key)
        seeds = [tuple(row[axis] for axis in (*run.axes, "seed")) for row in groups[key]]
        for at, names in enumerate(panels):
            drawn = facets[panel].panels[at]
            for name in names:
                transformed = logs[at] and not name.startswith("log10_")
                points = _points([data[name][seed] for seed in seeds if seed in data[name]], transformed, last)
                if name == picture.reference:
                    line = Line("reference", -1, *points)
                    if not any(repr(line.y) == repr(other.y) for other in drawn if other.kind == line.kind):
                        drawn.append(line)
                    continue
                colour, style = (order.index(name), 0) if alone else (place, measured[at].index(name))
                line = Line("data", colour, *points, style=style, stop=_stop(points[1]))
                drawn.append(line)
                if at == 0 and name == measured[0][0]:
                    _add_levels(groups[key], picture, line, drawn, logs[0])
        if picture.events in known["series"]:
            curves = [data[picture.events][seed] for seed in seeds if seed in data[picture.events]]
            facets[panel].events[place] = _shares(curves)
    labels = picture.y or [_default_label(panel) for panel in panels]
    dashed = ([as_label(p[at]) for p in measured if at < len(p) > 1] for at in range(MOST_LINES))
    styles = [" / ".join(dict.fromkeys(names)) for names in dashed]
    return {
        "x": picture.x or as_label(str(known["x"])),
        "scales": [
            Scale(_without_log(label) if log else label, log, picture.limits if at == 0 else None)
            for at, (label, log) in enumerate(zip(labels, logs, strict=True))
        ],
        "facets": facets,
        "keys": [(as_label(name), at) for at, name in enumerate(order)] if alone else layout.keys(),
        "styles": [] if alone else [name for name in styles if name],
        "notes": _curve_notes(picture, facets, data),
    } | ({"key_title": ""} if alone else {})


def _has_reference(picture: Picture) -> bool:
    return any(picture.reference in panel and len(panel) > 1 for panel in picture.series)


def _default_label(series: Sequence[str]) -> str:
    return ", ".join(map(as_label, series))


def _without_log(label: str) -> str:
    """Return a label for an axis whose ticks are powers of ten themselves."""
    return label.removeprefix("log10 ")


def _curve_notes(picture: Picture, facets: Sequence[Facet], data: dict) -> list[str]:
    lines = [line for facet in facets for panel in facet.panels for line in panel if line.kind == "data"]
    longest = max((len(xs) for series in data.values() for xs, _ in series.values()), default=0)
    notes = [f"ticks: {as_label(picture.events)}"] if any(any(facet.events.values()) for facet in facets) else []
    if _has_reference(picture):
        notes += [f"the last {WINDOW} of {longest} points"] if longest > WINDOW else []
    elif longest > 2 * STRETCHES:
        notes.append(f"each point of a curve is a mean over about {round(longest / STRETCHES)} neighbouring ones")
    if any(some and math.isfinite(y) for line in lines for some, y in zip(line.partial, line.y, strict=False)):
        notes.append("dotted: not all seeds are finite or went so far")
    return notes


def _add_levels(rows: Sequence[dict], picture: Picture, own: Line, lines: list[Line], log: bool) -> None:
    """Add the lines of theory and baseline that belong to a line."""
    if not own.x:
        return
    factor = _level(_mean(rows, picture.theory), True)
    start = next((at for at, value in enumerate(own.y) if math.isfinite(value)), None)
    if math.isfinite(factor) and start is not None:
        x0, y0 = own.x[start], own.y[start]
        if log:
            lines.append(Line("theory", -1, [x0, own.x[-1]], [y0, y0 + factor * (own.x[-1] - x0)]))
        else:
            xs = own.x[start:]
            powers = [factor * (x - x0) for x in xs]
            lines.append(Line("theory", -1, xs, [y0 * 10**power if power < 300 else NOWHERE for power in powers]))
    level = _level(_mean(rows, picture.baseline), log)
    if math.isfinite(level) and not any(line.kind == "baseline" and line.y[0] == level for line in lines):
        lines.append(Line("baseline", -1, [own.x[0], own.x[-1]], [level, level]))


def _mean(rows: Sequence[dict], metric: str | None) -> float | None:
    return summarise([row[metric] for row in rows if is_number(row.get(metric))]).mean


def _points(curves: Sequence[tuple[list, list]], log: bool, last: int | None) -> tuple[list[float], ...]:
    """Return x, mean, low, high and what lacks a seed, at the x that any of them has.

    Of a long curve each seed is averaged over stretches of x first, and then the seeds; or the `last` x are shown.
    """
    levels = [
        {x: _level(value, log) for x, value in zip(xs, values, strict=True) if is_number(x)} for xs, values in curves
    ]
    xs = sorted(set().union(*levels))
    many = last is None and len(xs) > 2 * STRETCHES
    stretches = _stretches(xs, STRETCHES) if many else [[x] for x in xs[-(last or 0) :]]
    summaries = [
        summarise([_rough([level[x] for x in stretch if x in level]) for level in levels]) for stretch in stretches
    ]
    ends = [_ends(summary) for summary in summaries]
    partial = [summary.n < summary.total for summary in summaries]
    return [_rough(stretch) for stretch in stretches], *([end[part] for end in ends] for part in range(3)), partial


def _stretches(xs: Sequence[float], count: int) -> list[list[float]]:
    """Return `xs` in `count` pieces of nearly equal length; the first and the last value stand alone."""
    inner = xs[1:-1]
    edges = [at * len(inner) // (count - 2) for at in range(count - 1)]
    return [xs[:1], *(inner[start:stop] for start, stop in itertools.pairwise(edges)), xs[-1:]]


def _rough(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else NOWHERE


def _stop(values: Sequence[float]) -> int | None:
    """Return the place of the last finite value of a curve that ends in others."""
    last = max((at for at, value in enumerate(values) if math.isfinite(value)), default=None)
    return None if last is None or last == len(values) - 1 else last


def _shares(curves: Sequence[tuple[list, list]]) -> list[tuple[float, float]]:
    """Return where events were, in at most twice `STRETCHES` stretches of x, and their share of all values there."""
    pairs = [
        (x, float(value))
        for xs, values in curves
        for x, value in zip(xs, values, strict=True)
        if is_number(x) and is_number(value)
    ]
    if not pairs:
        return []
    first, last = min(x for x, _ in pairs), max(x for x, _ in pairs)
    places = sorted({x for x, _ in pairs})
    few, width = len(places) <= 2 * STRETCHES, max(last - first, 1e-300) / (2 * STRETCHES)
    stretches: dict[float, list[float]] = {}
    for x, value in pairs:
        at = min(int((x - first) / width), 2 * STRETCHES - 1)
        stretches.setdefault(float(x) if few else first + (at + 0.5) * width, []).append(value)
    shares = {x: _rough(values) for x, values in sorted(stretches.items())}
    return [(x, min(share, 1.0)) for x, share in shares.items() if share > 0]


# ------------------------------------------------------------------------------------------------- metrics


def _metric_parts(run: Run, picture: Picture, groups: dict[tuple, list[dict]], layout: _Layout) -> dict:
    axis, log = picture.against, picture.log[0]
    if axis not in run.axes:
        raise unknown("axis", axis, run.axes)
    if picture.metric not in run.metrics:
        raise NothingToDraw(str(unknown("metric", picture.metric, run.metrics)))
    numeric = is_numeric(run.axes[axis])
    values = sorted(run.axes[axis]) if numeric else run.axes[axis]
    xs = [float(value) for value in values] if numeric else [float(at) for at in range(len(values))]
    facets = [Facet(layout.title(panel), [[]]) for panel in layout.panels]
    seen = []
    for key in layout.shown:
        panel, place = layout.place(key)
        members = [[row for row in groups[key] if row[axis] == value] for value in values]
        measured = [[row[picture.metric] for row in rows if is_number(row.get(picture.metric))] for rows in members]
        seen += itertools.chain(*measured)
        ends = [_ends(summarise([_level(value, log) for value in each])) for each in measured]
        lines = facets[panel].panels[0]
        lines.append(Line("data", place, xs, *([end[part] for end in ends] for part in range(3))))
        for kind, metric in (("theory", picture.theory), ("baseline", picture.baseline)):
            level = [_level(_mean(rows, metric), log) for rows in members]
            known = any(line.kind == kind and repr(line.y) == repr(level) for line in lines)
            if any(map(math.isfinite, level)) and not known:
                lines.append(Line(kind, -1, xs, level))
    share = bool(seen) and all(value in (0, 1) for value in seen)
    label = picture.y[0] if picture.y else _default_label([picture.metric])
    limits = picture.limits or ((0.0, 1.0) if share else None)
    return {
        "x": picture.x or as_label(axis),
        "scales": [Scale(_without_log(label) if log else label, log, limits)],
        "facets": facets,
        "keys": layout.keys(),
        "styles": [],
        "notes": [],
        "ticks": xs,
        "categories": None if numeric else [compact(value) for value in values],
        "log_x": numeric and xs[0] > 0 and xs[-1] / xs[0] > 10,
        "connected": numeric,
    }  # fmt: skip

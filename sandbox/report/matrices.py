"""Pictures of matrices, such as the weights of an attention: small heat maps on one scale of colours.

A matrix is a curve in long form: its x is the row, one series the column, another one the value. `matrices` turns a run
into numbers and names, `heat_maps` draws them. The colours are viridis (Smith & van der Walt 2015): equal steps of a
value look like equal steps, also in grey and to people with any colour vision. A cell without a finite value is white.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.axes import Scalar, show_scalar
from sandbox.errors import shorten, unknown
from sandbox.report.build import constants, table_of, varying
from sandbox.report.numbers import compact
from sandbox.report.panels import MOST_PANELS, NOWHERE, NothingToDraw, as_label, first_done, spread
from sandbox.report.sheet import GREY, in_lines, lay_out
from sandbox.report.spec import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sandbox.results import Run

MOST_TICKS = 8  # of numbers
MOST_NAMES = 26  # of rows or columns beside a panel
LONGEST_NAME = 16  # characters
COLOURS = "viridis"


@dataclass(frozen=True)
class Matrix:
    """One heat map: values by row and column, NaN where there is none, and what rows and columns are called."""

    title: str
    values: list[list[float]]
    rows: list[str]
    columns: list[str]


@dataclass(frozen=True)
class Matrices:
    """All that a picture of matrices shows.

    `named` says whether rows and columns have names and not numbers; `abreast` is how many stand side by side, 0 for as
    many as fit.
    """

    title: str
    facts: str
    x: str
    y: str
    label: str
    limits: tuple[float, float]
    panels: list[Matrix]
    named: tuple[bool, bool]
    notes: list[str] = field(default_factory=list)
    abreast: int = 0


def matrices(run: Run, picture: Picture) -> Matrices:
    """Return what `picture` shows of a run: a matrix for each point of the first seed that is done.

    Raises
    ------
    UsageError
        When the run has no such curve or series, or nothing finite in it (`NothingToDraw`).
    """
    known, series = run.info["curves"].get(picture.curve), picture.series[0][0]
    if known is None:
        raise NothingToDraw(f"{run.path} has no curve '{picture.curve}'")
    for name in filter(None, (series, picture.matrix, *picture.labels, picture.each)):
        if name not in known["series"]:
            raise NothingToDraw(str(unknown(f"series of curve '{picture.curve}'", name, known["series"])))
    axes, panels, counts = varying(run), [], set()
    for key, columns in _columns(run, picture).items():
        point = ", ".join(f"{axis} {compact(value)}" for axis, value in zip(run.axes, key, strict=True) if axis in axes)
        divided = _divided(columns, picture.each)
        counts.add(len(divided))
        for each, cells in divided.items():
            panels.append(_matrix(", ".join(filter(None, (point, each))), cells, picture))
    seen = [value for panel in panels for value in itertools.chain(*panel.values) if math.isfinite(value)]
    if not seen:
        raise NothingToDraw(f"{picture.curve} has no finite value to draw in {run.path}")
    shown = spread(panels, MOST_PANELS)
    low, high = picture.limits or (min(seen), max(seen))
    title = picture.title or table_of(run).subject
    facts = constants(run, [axis for axis in run.axes if axis not in axes])
    return Matrices(
        title=f"{run.info['experiment']}: {title}" if title else run.info["experiment"],
        facts=", ".join([*facts, f"seed {first_done(run)}"]),
        x=picture.x or as_label(picture.matrix),
        y=picture.y[0] if picture.y else as_label(str(known["x"])),
        label=as_label(series),
        limits=(low, high) if high > low else (low - 0.5, high + 0.5),
        panels=shown,
        named=(bool(picture.labels[0]), bool(picture.labels[1])),
        notes=[] if len(shown) == len(panels) else [f"{len(shown)} of {len(panels)} matrices shown"],
        abreast=max(counts) if len(counts) == 1 and shown == panels and 1 < max(counts) <= 4 else 0,
    )


def _columns(run: Run, picture: Picture) -> dict[tuple, dict[str, list]]:
    """Return the columns of the curve of every point of the first seed, in the order of the grid; its x as ``""``."""
    names = list(filter(None, (picture.series[0][0], picture.matrix, *picture.labels, picture.each)))
    data, seed = run.curves(picture.curve, names), first_done(run)
    places = [{value: at for at, value in enumerate(values)} for values in run.axes.values()]
    keys = [key[:-1] for key in run.keys if key[-1] == seed and key in data[names[0]]]
    keys.sort(key=lambda key: [at[value] for at, value in zip(places, key, strict=True)])
    found = {key: {name: data[name].get((*key, seed), ([], []))[1] for name in names} for key in keys}
    whole = {key: columns for key, columns in found.items() if len(set(map(len, columns.values()))) == 1}
    return {key: {"": data[names[0]][(*key, seed)][0], **columns} for key, columns in whole.items()}


def _divided(columns: dict[str, list], each: str | None) -> dict[str, dict[str, list]]:
    """Return the columns of every matrix of a point, by its name."""
    if each is None:
        return {"": columns}
    found: dict[str, dict[str, list]] = {}
    for at, value in enumerate(columns[each]):
        part = found.setdefault(show_scalar(value), {name: [] for name in columns})
        for name, values in columns.items():
            part[name].append(values[at])
    return found


def _matrix(title: str, cells: dict[str, list], picture: Picture) -> Matrix:
    """Return one matrix from its cells."""
    at_rows, at_columns = cells[""], cells[picture.matrix]
    rows, columns = _ordered(at_rows), _ordered(at_columns)
    values = [[NOWHERE] * len(columns) for _ in rows]
    for row, column, value in zip(at_rows, at_columns, cells[picture.series[0][0]], strict=True):
        number = isinstance(value, (int, float)) and math.isfinite(value)
        values[rows[row]][columns[column]] = float(value) if number else NOWHERE
    names = [
        dict(zip(reversed(at), reversed(cells[label]))) if label else {value: value for value in places}
        for at, label, places in zip((at_rows, at_columns), picture.labels, (rows, columns), strict=True)
    ]
    texts = [[_text(found[value]) for value in places] for found, places in zip(names, (rows, columns), strict=True)]
    return Matrix(title, values, *texts)


def _ordered(values: Sequence[Scalar | None]) -> dict[Scalar | None, int]:
    """Return the places of distinct values: numbers by size, others as they come."""
    distinct = list(dict.fromkeys(values))
    numbers = all(isinstance(value, (int, float)) for value in distinct)
    return {value: at for at, value in enumerate(sorted(distinct) if numbers else distinct)}


def _text(value: Scalar | None) -> str:
    return "" if value is None else show_scalar(value)


# ------------------------------------------------------------------------------------------------- drawing


def heat_maps(content: Matrices) -> Figure:
    """Return the Matplotlib figure of matrices, not yet rendered."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(content.panels)
    columns = content.abreast or {1: 1, 2: 2, 4: 2}.get(count, 3 if count <= 6 else 4)
    rows = math.ceil(count / columns)
    drawing = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(drawing)
    across, tall = 5.2 if columns == 1 else 2.9 * columns, 4.0 if count == 1 else 2.6 * rows + 0.2
    lay_out(drawing, content, across + 0.7, 0.1, tall)
    grid = drawing.subplots(rows, columns, squeeze=False)
    for at in range(count, rows * columns):
        grid[at // columns, at % columns].remove()
    for at, panel in enumerate(content.panels):
        axes = grid[at // columns, at % columns]
        image = _draw(axes, panel, content, 1 if columns == 1 else 2)
        axes.set_title(in_lines(panel.title, 60 if columns == 1 else 34), loc="left", parse_math=False)
        axes.set_xlabel(content.x if at + columns >= count else "", parse_math=False)
        axes.set_ylabel(content.y if at % columns == 0 else "", parse_math=False)
    bar = drawing.colorbar(image, ax=list(grid.flat[:count]), fraction=0.04, pad=0.015, aspect=28)
    bar.outline.set(linewidth=0.8, edgecolor=GREY)
    bar.set_label(content.label)
    return drawing


def _draw(axes: Axes, panel: Matrix, content: Matrices, share: int):
    """Draw one matrix, its first row above; return the image."""
    low, high = content.limits
    image = axes.imshow(panel.values, cmap=COLOURS, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    axes.grid(False)
    for are_names, texts, put in (
        (content.named[0], panel.rows, axes.set_yticks),
        (content.named[1], panel.columns, axes.set_xticks),
    ):
        steps = range(1, len(texts) + 1) if are_names else (n * 10**e for e in itertools.count() for n in (1, 2, 5))
        most = 2 * MOST_NAMES // share if are_names else MOST_TICKS
        step = next(step for step in steps if len(texts) <= step * most)
        put(range(0, len(texts), step), [shorten(text, LONGEST_NAME) for text in texts[::step]], parse_math=False)
    letters = max(map(len, panel.columns)) * min(len(panel.columns), 2 * MOST_NAMES // share)
    if content.named[1] and letters > 60 // share:
        axes.tick_params(axis="x", labelrotation=90)
    axes.tick_params(length=2, labelsize=7)
    return image

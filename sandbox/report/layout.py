"""A report as lines of fixed-width text, plain or coloured by Rich; the same lines in both.

A number is never cut, never wrapped and never left out. What does not fit a screen side by side is shown in panels, one
below the other, each with the axes and as many of the other columns as fit; where that would be longer, or the axes
leave no room, in blocks: a row's axes, then a line for each of its metrics.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from sandbox.report.build import Cell, Field, Report
from sandbox.report.numbers import MISSING, axis_column, compact, number_column, number_text, sparkline_column
from sandbox.report.wrapping import facts, fill, pad, printable, size, widest, words

# A text in a table that is too wide for its screen is wrapped at a share of the screen, but not below this.
LEAST_TEXT = 24
TEXT_SHARE = 3
INDENT = "   "
STYLES = {
    "head": "bold", "rule": "dim", "warning": "yellow", "remark": "dim", "last": "dim", "name": "bold", "axis": "cyan",
    "better": "green", "worse": "red", "inconclusive": "yellow", "same": "dim",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A line of text and what it is: title, head, rule, row, warning, remark or last.

    `spans` says what parts of it are, ``(start, stop, what)``: ``name``, ``axis`` or the word of a verdict.
    """

    text: str
    role: str
    spans: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True)
class _Column:
    """A column: its field, the lines of its heading and of each of its cells, and how many places it takes."""

    field: Field
    heading: list[str]
    cells: list[list[str]]
    width: int

    @property
    def breakable(self) -> bool:
        """Whether its cells are text; numbers and curves are not wrapped."""
        return self.field.kind not in ("number", "spark") and not self.field.numeric


def cell_texts(field: Field, cells: Sequence[Cell], unicode: bool = True, aligned: bool = True) -> list[str]:
    """Return a column's cells as text; `aligned` numbers have their decimal points in one place."""
    if field.kind == "number":
        if aligned:
            return number_column(cells, field.interval)
        return [number_text(cell, field.interval) for cell in cells]
    if field.kind == "spark":
        return sparkline_column([cell or () for cell in cells], unicode)
    if field.kind == "axis":
        return [printable(text) for text in (axis_column(cells) if aligned else map(compact, cells))]
    return [MISSING if cell is None else printable(compact(cell)) for cell in cells]


def lines(report: Report, width: int | None = None, unicode: bool = True) -> list[Line]:
    """Return the whole report as lines of at most `width` places; without one, of any length.

    A line is longer only where a single word, such as a path, is.
    """
    name = report.experiment
    title = fill([f"{printable(name)}   ", *facts(printable(report.title))], *_limits(width, "", "   "))
    result = [Line(text, "title") for text in title]
    if title[0].startswith(name):
        result[0] = replace(result[0], spans=((0, len(name), "name"),))
    result += _table(report, width, unicode)
    for role, texts in (("warning", report.warnings), ("remark", report.remarks), ("last", [report.last])):
        for text in texts:
            result += [Line(part, role) for part in fill(words(printable(text)), *_limits(width, " ", "   "))]
    return result


def _limits(width: int | None, first: str, rest: str) -> tuple[float, str, str]:
    return (float("inf") if width is None else width, first, rest)


def _table(report: Report, width: int | None, unicode: bool) -> list[Line]:
    fields = [(report.fields[at], [row[at] for row in report.rows]) for at in report.shown]
    columns = [_column(field, cell_texts(field, cells, unicode)) for field, cells in fields]
    if width is None or _total(columns) <= width:
        return _panel(columns, unicode)
    blocks = _blocks(fields, width, unicode)
    most = max(LEAST_TEXT, width // TEXT_SHARE)
    narrow = [_narrowed(column, most) for column in columns]
    panels = _panels(narrow, width)
    if panels is None:
        return blocks
    wide = {id(column): natural for column, natural in zip(narrow, columns, strict=True)}
    below: list[Line] = []
    for panel in panels:
        below += [Line("", "rule")] if below else []
        below += _panel(_relaxed(panel, [wide[id(column)] for column in panel], width), unicode)
    return below if len(below) <= len(blocks) else blocks


# ------------------------------------------------------------------------------------------------- side by side


def _column(field: Field, texts: Sequence[str]) -> _Column:
    heading = printable(field.heading)
    return _Column(field, [heading], [[text] for text in texts], max(map(size, [heading, *texts])))


def _narrowed(column: _Column, most: int) -> _Column:
    """Return the column with its heading, and its cells if they are text, wrapped by words."""
    heading = words(column.heading[0])
    body = max((size(cell[0]) for cell in column.cells), default=0)
    if column.breakable and body > most:
        longest = max(widest(words(cell[0])) for cell in column.cells)
        body = max(most, longest)
        cells = [cell if size(cell[0]) <= body else fill(words(cell[0]), body) for cell in column.cells]
    else:
        cells = column.cells
    width = max(body, widest(heading))
    return _Column(column.field, fill(heading, width), cells, width)


def _panels(columns: Sequence[_Column], width: int) -> list[list[_Column]] | None:
    """Return the columns in groups that fit, the axes first in each; None where one does not fit beside the axes."""
    axes = 0
    while axes < len(columns) and columns[axes].field.kind == "axis":
        axes += 1
    panels = [list(columns[:axes])]
    for column in columns[axes:]:
        if _total([*panels[-1], column]) > width:
            panels.append(list(columns[:axes]))
        panels[-1].append(column)
    panels = [panel for panel in panels if len(panel) > axes] or panels
    return panels if all(_total(panel) <= width for panel in panels) else None


def _relaxed(panel: list[_Column], natural: list[_Column], width: int) -> list[_Column]:
    """Return the columns, as many of them from the left as there is room for with nothing wrapped."""
    for at, column in enumerate(natural):
        wider = [*panel[:at], column, *panel[at + 1 :]]
        panel = wider if _total(wider) <= width else panel
    return panel


def _total(columns: Sequence[_Column]) -> int:
    return sum(len(_separator(columns, at, "|", " ")) + column.width for at, column in enumerate(columns))


def _panel(columns: Sequence[_Column], unicode: bool) -> list[Line]:
    """Return heading, rule and rows, a bar between the axes and what was measured."""
    bar, dash, cross = ("│", "─", "┼") if unicode else ("|", "-", "+")
    gaps = [_separator(columns, at, bar, " ") for at in range(len(columns))]
    rule = "".join(_separator(columns, at, cross, dash) + dash * column.width for at, column in enumerate(columns))
    right = [column.field.numeric for column in columns]
    # The heading stands over the mean where an interval follows it, and down to the rule.
    over = [column.field.numeric and not column.field.interval for column in columns]
    tallest = max((len(column.heading) for column in columns), default=1)
    heading = [[""] * (tallest - len(column.heading)) + column.heading for column in columns]
    result = [replace(line, role="head", spans=()) for line in _row(columns, gaps, over, heading)]
    result.append(Line(rule, "rule"))
    for cells in zip(*(column.cells for column in columns), strict=True):
        result += _row(columns, gaps, right, cells)
    return result


def _row(
    columns: Sequence[_Column], gaps: Sequence[str], right: Sequence[bool], cells: Sequence[list[str]]
) -> list[Line]:
    """Return one row of cells as lines: as many as its tallest cell has."""
    result = []
    for at in range(max(map(len, cells), default=1)):
        text, spans = "", []
        for column, gap, side, cell in zip(columns, gaps, right, cells, strict=True):
            part = cell[at] if at < len(cell) else ""
            text += gap
            what = _meaning(column.field, cell[0])
            if what and part:
                spans.append((len(text), len(text) + column.width, what))
            text += pad(part, column.width, side)
        result.append(Line(text, "row", tuple(spans)))
    return result


def _meaning(field: Field, text: str) -> str:
    """Return what a cell is coloured as: an axis, the first word of a verdict, or nothing."""
    return "axis" if field.kind == "axis" else verdict(text) if field.kind == "verdict" else ""


def verdict(text: str) -> str:
    """Return the word that a verdict begins with: ``inconclusive`` of ``inconclusive, 12 seeds would decide``."""
    return re.match("[a-z]*", text)[0]


def _separator(columns: Sequence[_Column], at: int, bar: str, space: str) -> str:
    if at == 0:
        return space
    measured = columns[at].field.kind != "axis" and columns[at - 1].field.kind == "axis"
    return space + bar + space if measured else space * 2


# ------------------------------------------------------------------------------------------- one below the other


def _blocks(columns: Sequence[tuple[Field, list[Cell]]], width: int, unicode: bool) -> list[Line]:
    """Return a block per row: a rule, its axes, and a line per metric, the values below each other if there is room."""
    axes = [(field, cell_texts(field, cells, unicode, False)) for field, cells in columns if field.kind == "axis"]
    metrics = [(field, cell_texts(field, cells, unicode, False)) for field, cells in columns if field.kind != "axis"]
    names = [printable(field.heading) for field, _ in metrics]
    fixed = (texts for field, texts in metrics if field.kind in ("number", "spark"))
    room = width - len(INDENT) - 2 - max((size(text) for texts in fixed for text in texts), default=0)
    longest = max((size(name) for name in names if size(name) <= room), default=0)
    labels = [f"{INDENT}{pad(name, longest)}  " for name in names]
    rule = Line(("─" if unicode else "-") * width, "rule")
    result = []
    for at in range(max((len(cells) for _, cells in columns), default=0)):
        result.append(rule)
        named = [f"{printable(field.heading)} {texts[at]}" for field, texts in axes]
        result += [Line(text, "row", ((0, len(text), "axis"),)) for text in _items(named, width)]
        for label, (field, texts) in zip(labels, metrics, strict=True):
            result += _metric(label, field, texts[at], width)
    return [*result, rule]


def _items(named: Sequence[str], width: int) -> list[str]:
    """Return ``name value`` items in lines; only one that is longer than a line is broken, between its words."""
    pieces = []
    for item in named:
        pieces += [f"{item}  "] if size(item) < width else words(f"{item}  ")
    return fill(pieces, width, " ", " ") if pieces else []


def _metric(label: str, field: Field, text: str, width: int) -> list[Line]:
    """Return a metric's name and value: on one line, or the value below where it does not fit behind the name."""
    whole = field.kind in ("number", "spark")
    pieces = [text] if whole else words(text)
    start = size(label)
    lone = start + size(text) > width and width - start < LEAST_TEXT
    if start + widest(pieces) <= width and not lone:
        above, value, first = [], fill(pieces, width, label, " " * start), len(label)
    else:
        below = INDENT + "  "
        pieces = pieces if len(below) + widest(pieces) <= width else words(text)
        above, value, first = fill(words(label.strip()), width, INDENT, below), fill(pieces, width, below, below), 0
    what = _meaning(field, text)
    spans = [((0 if at else first, len(line), what),) if what else () for at, line in enumerate(value)]
    return [
        *(Line(line, "row") for line in above),
        *(Line(line, "row", span) for line, span in zip(value, spans, strict=True)),
    ]


# ------------------------------------------------------------------------------------------------------- writing


def write_plain(report: Report, out: TextIO, unicode: bool) -> None:
    """Write the report as text whose width follows its content."""
    for line in lines(report, None, unicode):
        out.write(line.text.rstrip() + "\n")


def write_rich(report: Report, out: TextIO, unicode: bool) -> None:
    """Write the report in colour, as wide as the terminal; without a terminal, as wide as its content."""
    from rich.console import Console

    console = Console(file=out, highlight=False, emoji=False, markup=False, soft_wrap=True)
    for line in lines(report, console.width if out.isatty() else None, unicode):
        console.print(rich_text(line))


def rich_text(line: Line):
    """Return a line as Rich's text, in colour."""
    from rich.text import Text

    text = Text(line.text.rstrip(), style=STYLES.get(line.role, ""))
    for start, stop, what in line.spans:
        text.stylize(STYLES.get(what, ""), start, stop)
    if line.role == "row":
        text.highlight_regex(r"\[[^\]]*\]|│", "dim")
    return text

"""A report as lines of fixed-width text, plain or coloured by Rich; the same lines in both."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from sandbox.report.build import Field, Report
from sandbox.report.numbers import MISSING, axis_column, number_column, sparkline_column


@dataclass(frozen=True)
class Line:
    """A line of text and what it is: title, head, rule, row, warning, remark or last."""

    text: str
    role: str


def column_texts(report: Report, unicode: bool = True) -> list[list[str]]:
    """Return the cells of every column on screen as text, not yet padded to one width."""
    columns = []
    for index in report.shown:
        field, cells = report.fields[index], [row[index] for row in report.rows]
        if field.kind == "number":
            columns.append(number_column(cells, field.interval))
        elif field.kind == "axis":
            columns.append(axis_column(cells))
        elif field.kind == "spark":
            columns.append(sparkline_column(cells, unicode))
        else:
            columns.append([MISSING if cell is None else cell for cell in cells])
    return columns


def lines(report: Report, width: int | None = None, unicode: bool = True) -> list[Line]:
    """Return the whole report as lines.

    A number is never cut and never wrapped: where `width` is too small for all columns, the rightmost ones are left
    out, and a line says so.
    """
    fields = [report.fields[index] for index in report.shown]
    columns = column_texts(report, unicode)
    widths = [max(map(len, [field.heading, *column])) for field, column in zip(fields, columns, strict=True)]
    kept = len(fields) if width is None else _fitting(fields, widths, width)
    head, body = fields[:kept], columns[:kept]
    result = _wrapped(f"{report.experiment}   {report.title}", "title", width)
    headings = [_heading(field, size) for field, size in zip(head, widths, strict=False)]
    result.append(Line(_row(head, headings, widths, unicode), "head"))
    result.append(Line(_rule(head, widths, unicode), "rule"))
    cells = zip(*body, strict=True)
    result += [Line(_row(head, row, widths, unicode), "row") for row in cells]
    if kept < len(fields):
        names = ", ".join(field.heading for field in fields[kept:])
        count = f"{len(fields) - kept} column{'s' if len(fields) - kept > 1 else ''}"
        note = f"{count} left out at {width} characters: {names}; --format plain shows all"
        result += _wrapped(f" {note}", "remark", width)
    for role, texts in (("warning", report.warnings), ("remark", report.remarks), ("last", [report.last])):
        result += [line for text in texts for line in _wrapped(f" {text}", role, width)]
    return result


def _heading(field: Field, width: int) -> str:
    """Return the heading, over the mean where an interval follows it."""
    return field.heading.ljust(width) if field.interval else field.heading


def _fitting(fields: Sequence[Field], widths: Sequence[int], width: int) -> int:
    """Return how many columns fit, from the left; all axes and one metric stay in any case."""
    least = min(sum(field.kind == "axis" for field in fields) + 1, len(fields))
    kept = len(fields)
    while kept > least and len(_row(fields[:kept], [" " * size for size in widths[:kept]], widths, True)) > width:
        kept -= 1
    return kept


def _row(fields: Sequence[Field], texts: Sequence[str], widths: Sequence[int], unicode: bool) -> str:
    """Return one line of cells, a bar between the axes and what was measured."""
    parts = []
    for at, (field, text) in enumerate(zip(fields, texts, strict=True)):
        padded = text.rjust(widths[at]) if field.numeric else text.ljust(widths[at])
        parts.append(_separator(fields, at, ("│" if unicode else "|"), " ") + padded)
    return "".join(parts)


def _rule(fields: Sequence[Field], widths: Sequence[int], unicode: bool) -> str:
    dash, cross = ("─", "┼") if unicode else ("-", "+")
    return "".join(_separator(fields, at, cross, dash) + dash * widths[at] for at in range(len(fields)))


def _separator(fields: Sequence[Field], at: int, bar: str, space: str) -> str:
    if at == 0:
        return space
    measured = fields[at].kind != "axis" and fields[at - 1].kind == "axis"
    return space + bar + space if measured else space * 2


def _wrapped(text: str, role: str, width: int | None) -> list[Line]:
    """Return `text` as lines of at most `width`; words, and so paths, stay whole."""
    if width is None or len(text) <= width:
        return [Line(text, role)]
    parts = textwrap.wrap(text, width, subsequent_indent="   ", break_long_words=False, break_on_hyphens=False)
    return [Line(part, role) for part in parts]


def write_plain(report: Report, out: TextIO, unicode: bool) -> None:
    """Write the report as text whose width follows its content."""
    for line in lines(report, None, unicode):
        out.write(line.text.rstrip() + "\n")


def write_rich(report: Report, out: TextIO, unicode: bool) -> None:
    """Write the report in colour, as wide as the terminal; without a terminal, as wide as its content."""
    from rich.console import Console
    from rich.text import Text

    styles = {"head": "bold", "rule": "dim", "warning": "yellow", "remark": "dim", "last": "dim"}
    console = Console(file=out, highlight=False, emoji=False, markup=False, soft_wrap=True)
    for line in lines(report, console.width if console.is_terminal else None, unicode):
        text = Text(line.text.rstrip(), style=styles.get(line.role, ""))
        if line.role == "title" and line.text.startswith(report.experiment):
            text.stylize("bold", 0, len(report.experiment))
        elif line.role == "row":
            text.stylize("cyan", 0, max(line.text.find("│" if unicode else "|"), 0))
            text.highlight_regex(r"\[[^\]]*\]|│", "dim")
        console.print(text)

"""A report as a fragment of HTML for notebooks: one table, inline style, colours that hold on white and on black."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape

from sandbox.report.build import Field, Report
from sandbox.report.layout import cell_texts, verdict
from sandbox.report.numbers import number_parts
from sandbox.report.wrapping import printable

MOST_ROWS = 500
_LINE = "1px solid rgba(128,128,128,0.5)"
_FAINT = "opacity:0.7"
# Of middling lightness: 4 to 1 and more against white and against black alike.
_VERDICTS = {"better": "#1a8a3c", "worse": "#d6453d", "inconclusive": "#a87900"}


def html(report: Report, most: int = MOST_ROWS) -> str:
    """Return title, table, warnings and remarks; of a longer table the first `most` rows and how many are not shown."""
    fields = [report.fields[at] for at in report.shown]
    rows = report.rows[:most]
    columns = [_cells(field, [row[at] for row in rows]) for field, at in zip(fields, report.shown, strict=True)]
    last = [field.kind == "axis" and after.kind != "axis" for field, after in itertools.pairwise(fields)]
    styles = [_style(field, bar) for field, bar in zip(fields, [*last, False], strict=False)]
    head = "".join(f'<th style="{style}">{_text(f.heading)}</th>' for f, style in zip(fields, styles, strict=True))
    body = ["".join(_data(*cell) for cell in zip(styles, cells, strict=True)) for cells in zip(*columns, strict=True)]
    more = [f"{len(report.rows) - most} more rows are not shown"] if len(report.rows) > most else []
    return "\n".join([
        '<div style="overflow-x:auto">',
        f"<div><b>{_text(report.experiment)}</b> {_text(report.title)}</div>",
        '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">',
        f'<thead style="border-bottom:{_LINE}"><tr>{head}</tr></thead>',
        "<tbody>",
        *(f"<tr>{row}</tr>" for row in body),
        "</tbody>",
        "</table>",
        *(f'<div style="color:{_VERDICTS["inconclusive"]}">{_text(line)}</div>' for line in report.warnings),
        *(f'<div style="{_FAINT}">{_text(line)}</div>' for line in (*more, *report.remarks, report.last)),
        "</div>",
    ]) + "\n"  # fmt: skip


def _text(text: str) -> str:
    return escape(printable(text))


def _style(field: Field, bar: bool) -> str:
    """Return the style of a column: numbers to the right and unbroken, curves in letters of one width."""
    style = f"padding:1px 8px;text-align:{'right' if field.numeric else 'left'}"
    if field.kind in ("number", "spark") or field.numeric:
        style += ";white-space:nowrap"
    else:
        style += ";max-width:40ch;overflow-wrap:anywhere"
    if field.kind == "spark":
        style += ";font-family:monospace"
    return style + (f";border-right:{_LINE}" if bar else "")


def _data(style: str, cell: str) -> str:
    return f'<td style="{style}">{cell}</td>'


def _cells(field: Field, cells: Sequence) -> list[str]:
    """Return the cells of a column as HTML."""
    if field.kind == "number":
        return [_number(*number_parts(cell, field.interval)) for cell in cells]
    texts = [escape(text) for text in cell_texts(field, cells, aligned=False)]
    if field.kind != "verdict":
        return texts
    colours = [_VERDICTS.get(verdict(text)) for text in texts]
    return [f'<span style="color:{c}">{text}</span>' if c else text for c, text in zip(colours, texts, strict=True)]


def _number(mean: str, low: str, high: str, count: str) -> str:
    faint = " ".join(filter(None, (f"[{low} {high}]" if low else "", count)))
    return mean + (f' <span style="{_FAINT}">{faint}</span>' if faint else "")

"""The formats of a report: ``rich`` and ``plain`` for people, ``csv``, ``md``, ``tex``, ``json`` for other programs."""

from __future__ import annotations

import csv
import json
import math
from typing import TextIO

from sandbox.axes import show_scalar
from sandbox.report.build import Cell, Field, Report
from sandbox.report.layout import cell_texts, write_plain, write_rich
from sandbox.report.numbers import as_summary
from sandbox.report.statistics import Summary
from sandbox.report.tex import tex

FORMATS = ("rich", "plain", "csv", "md", "tex", "json")


def write(report: Report, format: str | None, out: TextIO, err: TextIO) -> None:
    """Write a report.

    Parameters
    ----------
    format
        One of `FORMATS`; None chooses ``rich`` on a terminal and ``plain`` elsewhere.
    out, err
        ``csv``, ``md``, ``tex`` and ``json`` put the table alone on `out` and what is said around it on `err`.

    Raises
    ------
    ValueError
        For an unknown format.
    """
    unicode = is_unicode(out)
    format = format or ("rich" if out.isatty() else "plain")
    if format == "rich":
        return write_rich(report, out, unicode)
    if format == "plain":
        return write_plain(report, out, unicode)
    writers = {"csv": _write_csv, "md": _write_markdown, "tex": _write_tex, "json": _write_json}
    if format not in writers:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format}")
    writers[format](report, out, unicode)
    for line in (*report.warnings, *report.remarks, report.last):
        err.write(line + "\n")


def is_unicode(stream: TextIO) -> bool:
    """Whether blocks and box lines can be written to `stream`."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def _write_csv(report: Report, out: TextIO, unicode: bool) -> None:
    """Write every axis and, per number, mean, interval and n at full precision; a sparkline is no data."""
    fields = [(at, field) for at, field in enumerate(report.fields) if field.kind != "spark"]
    writer = csv.writer(out, lineterminator="\n")
    quoting = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(name for _, field in fields for name in _csv_names(field))
    for row in report.rows:
        texts = [text for at, field in fields for text in _csv_cell(field, row[at])]
        # The module leaves a lone carriage return bare, and then cannot read it.
        (quoting if any("\r" in text for text in texts) else writer).writerow(texts)


def _csv_names(field: Field) -> list[str]:
    ends = ("", "_low", "_high", "_n") if field.kind == "number" else ("",)
    return [field.key + end for end in ends]


def _csv_cell(field: Field, cell: Cell) -> list[str]:
    parts = [cell]
    if field.kind == "number":
        summary = as_summary(cell)
        parts = [summary.mean, summary.low, summary.high, summary.n]
    return ["" if part is None else show_scalar(part) for part in parts]


def _write_markdown(report: Report, out: TextIO, unicode: bool) -> None:
    def row(texts) -> str:
        return "| " + " | ".join(" ".join(text.split()).replace("|", "\\|") for text in texts) + " |\n"

    fields = [report.fields[index] for index in report.shown]
    out.write(row(field.heading for field in fields))
    out.write(row("---:" if field.numeric else "---" for field in fields))
    columns = [cell_texts(report.fields[at], [row[at] for row in report.rows], unicode, False) for at in report.shown]
    for texts in zip(*columns, strict=True):
        out.write(row(texts))


def _write_tex(report: Report, out: TextIO, unicode: bool) -> None:
    out.write(tex(report))


def _write_json(report: Report, out: TextIO, unicode: bool) -> None:
    data = {
        "experiment": report.experiment,
        "subject": report.subject,
        "run": report.run,
        "status": report.status,
        "seeds": report.seeds,
        "columns": [{"key": field.key, "title": field.heading, "kind": field.kind} for field in report.fields],
        "rows": [_json_row(report.fields, row) for row in report.rows],
        "checks": report.checks,
        "warnings": report.warnings,
    }
    json.dump(data, out, indent=2, ensure_ascii=not unicode, allow_nan=False)
    out.write("\n")


def _json_row(fields: list[Field], row: list) -> dict[str, object]:
    return {field.key: _json_cell(cell) for field, cell in zip(fields, row, strict=True)}


def _json_cell(cell: object) -> object:
    """Return a cell as JSON, which has no NaN and no infinity: they become null."""
    if isinstance(cell, Summary):
        return {"mean": _number(cell.mean), "low": _number(cell.low), "high": _number(cell.high), "n": cell.n}
    if isinstance(cell, tuple):
        return [_number(value) for value in cell]
    return _number(cell) if isinstance(cell, float) else cell


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

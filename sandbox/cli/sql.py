"""The command `sql`: questions to all runs."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Sequence

import click

from sandbox.axes import show_scalar
from sandbox.cli.frame import format_option, out_option, print_columns


@click.command("sql", short_help="Ask all runs in SQL.", params=[out_option(), format_option()])
@click.argument("query", required=False)
def sql_command(query, out, format):
    """Answer an SQL query over all runs; without one, list the tables and their columns.

    NAME holds the newest row of every point of that experiment, NAME_all the rows of all runs, NAME_curves their
    curves, and runs one row per run. A query reads; it cannot change a result nor reach another file.
    """
    from sandbox import sql

    if query is None or not query.strip():
        print_columns([(table, ", ".join(columns)) for table, columns in sql.tables(out).items()])
        return
    answer = sql.query(query, out)
    for note in answer.notes:
        click.echo(note, err=True)
    if answer.names:
        rows = [[_plain(value) for value in row] for row in answer.rows]
        _write(query, answer.names, rows, format)


def _plain(value: object) -> object:
    """Return a value as one of ours: numbers, text, true and false; dates, lists and the like as text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return float(value) if hasattr(value, "as_tuple") else str(value)  # a decimal


def _write(query: str, names: Sequence[str], rows: Sequence[Sequence], format: str | None) -> None:
    if format == "csv":
        shown = [["" if value is None else show_scalar(value) for value in row] for row in rows]
        csv.writer(sys.stdout, lineterminator="\n").writerows([names, *shown])
    elif format == "json":
        records = [dict(zip(_keys(names), map(_finite, row), strict=True)) for row in rows]
        click.echo(json.dumps(records, indent=2, ensure_ascii=False))
    else:
        _report(query, names, rows, format)


def _keys(names: Sequence[str]) -> list[str]:
    """Return names that differ: a join may give one twice."""
    return [name if name not in names[:at] else f"{name}_{names[:at].count(name) + 1}" for at, name in enumerate(names)]


def _finite(value: object) -> object:
    """Return a value as JSON has it: NaN and the infinities are null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _report(query: str, names: Sequence[str], rows: Sequence[Sequence], format: str | None) -> None:
    """Write the answer as reports are written; what stands before the first long number is taken to name the row."""
    from sandbox.report import Report, write
    from sandbox.report.build import Field

    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    kinds = [{type(value) for value in column} - {type(None)} for column in columns]
    real = [bool(kind) and float in kind and kind <= {int, float} for kind in kinds]
    short = [not number or all(map(_is_short, column)) for number, column in zip(real, columns, strict=True)]
    axes = [*short[:-1], False].index(False) or 1
    fields = [
        Field(name, name, "axis" if at < axes and short[at] else "number" if number else "text",
              numeric=number or kind == {int})
        for at, (name, number, kind) in enumerate(zip(names, real, kinds, strict=True))
    ]  # fmt: skip
    count = f"{len(rows)} row{'' if len(rows) == 1 else 's'}"
    write(Report("", "sql", " ".join(query.split()), fields, list(rows), [], "", last=count), format, sys.stdout,
          sys.stderr)  # fmt: skip


def _is_short(value: float | None) -> bool:
    """Whether four digits show a number as it is."""
    return value is None or float(f"{value:.4g}") == value


COMMANDS = (sql_command,)

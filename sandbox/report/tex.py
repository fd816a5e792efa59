r"""A report as a LaTeX table, for `\usepackage{booktabs}`."""

from __future__ import annotations

import re

from sandbox.report.build import Cell, Field, Report
from sandbox.report.layout import cell_texts
from sandbox.report.numbers import MISSING, number_parts
from sandbox.report.wrapping import printable

_ESCAPES = {character: f"\\{character}" for character in "#$%&_{}"}
# The last three are other characters in LaTeX's default encoding.
_ESCAPES |= {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
_ESCAPED = str.maketrans(_ESCAPES)
_ABSENT = "--"


def tex(report: Report) -> str:
    r"""Return the table as a ``tabular`` with rules of booktabs; curves are left out.

    A number is ``$0.761\,[0.758, 0.764]$``, an exponent ``\times10^{-6}``; ``($2/3$)`` follows where seeds are missing.
    """
    shown = [at for at in report.shown if report.fields[at].kind != "spark"]
    fields = [report.fields[at] for at in shown]
    columns = [_cells(report.fields[at], [row[at] for row in report.rows]) for at in shown]
    lines = [
        f"% {printable(report.experiment)}   {printable(report.title)}",
        rf"\begin{{tabular}}{{{''.join('r' if field.numeric else 'l' for field in fields)}}}",
        r"\toprule",
        _row([escape(field.heading) for field in fields]),
        r"\midrule",
        *(_row(cells) for cells in zip(*columns, strict=True)),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    r"""Return text with every character that is a command of LaTeX written as one that prints it.

    Examples
    --------
    >>> escape("50 % of h_t")
    '50 \\% of h\\_t'
    """
    return printable(text).translate(_ESCAPED)


def _row(cells: list[str]) -> str:
    r"""Return a row; a bracket or a star at its start would be an argument of the ``\\`` before it."""
    return re.sub(r"^[\[*]", r"{\g<0>}", " & ".join(cells)) + r" \\"


def _cells(field: Field, cells: list[Cell]) -> list[str]:
    if field.kind == "number":
        return [_summary(*number_parts(cell, field.interval)) for cell in cells]
    texts = cell_texts(field, cells, aligned=False)
    if not field.numeric:
        return [_ABSENT if cell is None else escape(text) for cell, text in zip(cells, texts, strict=True)]
    return [_ABSENT if text == MISSING else f"${_number(text)}$" for text in texts]


def _summary(mean: str, low: str, high: str, count: str) -> str:
    if mean == MISSING:
        return _ABSENT
    interval = rf"\,[{_number(low)}, {_number(high)}]" if low else ""
    return f"${_number(mean)}{interval}$" + (f" (${count}$)" if count else "")


def _number(text: str) -> str:
    r"""Return a number in mathematics: ``1.2e-06`` as ``1.2\times10^{-6}``, ``inf`` as ``\infty``."""
    words = {"inf": r"\infty", "-inf": r"-\infty", "nan": r"\mathrm{NaN}"}
    mantissa, exponential, exponent = text.partition("e")
    if text in words or not exponential:
        return words.get(text, text)
    return rf"{mantissa}\times10^{{{int(exponent)}}}"

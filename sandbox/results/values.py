"""Scalars as CSV text and back: shortest round-trip floats, ``true``/``false``, empty for a missing value."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

from sandbox.axes import Scalar

__all__ = ["curve_lines", "format_value", "line", "number_texts", "parse_value"]

_WHOLE = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|inf)|nan")
_NO_NUMBER = re.compile(r"[^-+.0-9aefin]")
_WORDS = {"": None, "true": True, "false": False}


def format_value(value: Scalar | None) -> str:
    """Return a scalar as CSV text."""
    if isinstance(value, float):
        return repr(value)
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_value(text: str) -> Scalar | None:
    """Return what `format_value` was given; text that looks like a number is one."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def number_texts(texts: Sequence[str]) -> list[float] | None:
    """Return a column of texts as floats, NaN where empty; None when one of them is no number or all are empty."""
    joined = "".join(texts)
    if not joined or _NO_NUMBER.search(joined):
        return None
    try:
        return list(map(float, [text or "nan" for text in texts] if "" in texts else texts))
    except ValueError:
        return None


def line(values: Iterable[Scalar | None]) -> str:
    """Return one line of CSV, with its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([format_value(value) for value in values])
    return text.getvalue()


def curve_lines(key: Sequence[Scalar], curves: Mapping[str, Mapping[str, Sequence[Scalar | None]]]) -> str:
    """Return the curves of one point as lines of ``curves.csv``: axes, seed, curve, x, series, value."""
    prefix, parts = line(key)[:-1], []
    for name, (x, *others) in curves.items():
        places = [_cell(value) for value in curves[name][x]]
        for series in others:
            before, after = f"{prefix},{_cell(name)},", f",{_cell(series)},"
            values = map(_cell, curves[name][series])
            parts += [f"{before}{place}{after}{value}\n" for place, value in zip(places, values, strict=True)]
    return "".join(parts)


def _cell(value: Scalar | None) -> str:
    """Return one value as it stands in a line, quoted where it must be."""
    if type(value) is float:
        return repr(value)
    return line([value, None])[:-2] if isinstance(value, str) else format_value(value)

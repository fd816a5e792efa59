"""Numbers on a screen: four significant digits, columns aligned on the decimal point, and curves as sparklines."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sandbox.axes import Scalar, show_scalar
from sandbox.report.statistics import Summary

DIGITS = 4
BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.:-=+*#"
MISSING = "-"


def compact(value: Scalar | None) -> str:
    """Return a scalar as a reader would write it: 1.0 as ``1.0``, 0.1 as ``0.1``, text as itself."""
    return MISSING if value is None else show_scalar(value)


def digits_for(scale: float) -> tuple[int, str]:
    """Return decimals and format letter that show a number of this size with four significant digits."""
    if scale == 0 or not math.isfinite(scale):
        return (1, "f")
    if not 1e-3 <= scale < 99_995:
        return (DIGITS - 1, "e")
    exponent = int(f"{scale:.{DIGITS - 1}e}".partition("e")[2])  # after rounding: 9.9996 has exponent 1
    return (max(DIGITS - 1 - exponent, 0), "f")


def write_number(value: float | None, decimals: int, letter: str) -> str:
    """Return one number; infinities and NaN as words, minus zero without its sign."""
    if value is None:
        return ""
    return f"{value:z.{decimals}{letter}}"


def as_summary(cell: Summary | float | None) -> Summary:
    """Return the cell of a number column as a `Summary`; a bare number is one without an interval."""
    if isinstance(cell, Summary):
        return cell
    if cell is None:
        return Summary(None, None, None, 0, 0)
    return Summary(float(cell), None, None, 1, 1, whole=isinstance(cell, int))


def number_parts(cell: Summary | float | None, interval: bool) -> tuple[str, str, str, str]:
    """Return mean, low, high and ``n/total`` as text, all with the digits the largest of them needs."""
    summary = as_summary(cell)
    if summary.mean is None:
        return (MISSING, "", "", "")
    shown = [summary.mean, *((summary.low, summary.high) if interval and summary.low is not None else ())]
    finite = [abs(value) for value in shown if math.isfinite(value)]
    if summary.whole and all(value.is_integer() and abs(value) < 1e7 for value in shown):
        decimals, letter = 0, "f"
    else:
        decimals, letter = digits_for(max(finite, default=0.0))
    mean, low, high = (write_number(value, decimals, letter) for value in (*shown, None, None)[:3])
    return (mean, low, high, f"{summary.n}/{summary.total}" if summary.n < summary.total else "")


def number_text(cell: Summary | float | None, interval: bool) -> str:
    """Return ``mean [low high] n/total``, without the parts that there are none of."""
    mean, low, high, count = number_parts(cell, interval)
    return " ".join(filter(None, (mean, f"[{low} {high}]" if low else "", count)))


def align(texts: Sequence[str]) -> list[str]:
    """Return texts padded to one width with their decimal points in one place."""
    parts = [text.partition(".") for text in texts]
    left = max((len(head) for head, _, _ in parts), default=0)
    right = max((len(point + tail) for _, point, tail in parts), default=0)
    return [head.rjust(left) + (point + tail).ljust(right) for head, point, tail in parts]


def number_column(cells: Sequence[Summary | float | None], interval: bool) -> list[str]:
    """Return a column of ``mean [low high] n/total``, aligned; the interval only where there is one."""
    parts = [number_parts(cell, interval) for cell in cells]
    means, lows, highs = (align([part[at] for part in parts]) for at in range(3))
    ranges = [  # what pads the upper end stands behind the bracket
        f" [{low} {high.rstrip()}]{' ' * (len(high) - len(high.rstrip()))}"
        if part[1]
        else " " * (len(low) + len(high) + 4)
        for part, low, high in zip(parts, lows, highs, strict=True)
    ]
    if not any(part[1] for part in parts):
        ranges = [""] * len(parts)
    width = max((len(part[3]) for part in parts), default=0)
    counts = [f" {part[3].ljust(width)}" if width else "" for part in parts]
    return [mean + span + count for mean, span, count in zip(means, ranges, counts, strict=True)]


def axis_column(values: Sequence[Scalar | None]) -> list[str]:
    """Return a column of axis values; numbers aligned on the decimal point, as they are typed."""
    texts = [compact(value) for value in values]
    if all(isinstance(value, float) for value in values):
        decimals = max((len(text.partition(".")[2]) for text in texts if "e" not in text), default=0)
        texts = [text if "e" in text else f"{value:.{decimals}f}" for text, value in zip(texts, values, strict=True)]
        return align(texts)
    return texts


def sparkline_column(curves: Sequence[Sequence[float]], unicode: bool = True) -> list[str]:
    """Return curves as rows of blocks between the smallest and the largest value of the whole column.

    The scale is shared, so that rows can be compared; a value that is not finite is an ``x``.
    """
    blocks = BLOCKS if unicode else ASCII_BLOCKS
    finite = [value for curve in curves for value in curve if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)

    def block(value: float) -> str:
        if not math.isfinite(value):
            return "x"
        share = 0.5 if high == low else (value / 2 - low / 2) / (high / 2 - low / 2)  # halves: no overflow
        return blocks[min(int(share * len(blocks)), len(blocks) - 1)]

    return ["".join(map(block, curve)) or MISSING for curve in curves]

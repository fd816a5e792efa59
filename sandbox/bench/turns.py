"""Measuring in turns, and what may be said of the figures.

The speed of a machine that others use as well wanders. Everything that is compared is therefore measured in rounds:
once each, in an order that is rotated from round to round. A figure is the median over rounds; a ratio the median of
the ratios within a round, with an interval from their order: of n values the k-th smallest and k-th largest enclose the
median with probability 1 - 2 P(fewer than k heads in n throws) (Conover 1999, section 3.2), whatever their
distribution. k is the largest for which that is 95 % or more. Within noise, which is where the interval contains 1,
nothing is ranked.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["NONE", "Ratio", "against_ours", "goal_met", "of_median", "ratio", "rounds"]


@dataclass(frozen=True)
class Ratio:
    """Median of ratios and the 95 % interval around it; no interval from fewer than six rounds."""

    median: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.median:.3g}"
        return f"{self.median:.3g} [{self.low:.3g} {self.high:.3g}]"

    @classmethod
    def of(cls, row: Mapping, name: str) -> Ratio:
        """Return what `columns` made of one."""
        return cls(row[name], row[f"{name}_low"], row[f"{name}_high"])

    def columns(self, name: str) -> dict[str, float | None]:
        """Return median and interval as columns of a table."""
        return {name: self.median, f"{name}_low": self.low, f"{name}_high": self.high}

    @property
    def verdict(self) -> str:
        """How many times as fast, or how many times slower; `~` where the interval contains 1, or where there is none.

        Examples
        --------
        >>> Ratio(2.3, 2.1, 2.6).verdict, Ratio(0.5, 0.4, 0.6).verdict, Ratio(1.1, 0.9, 1.2).verdict
        ('2.3x', 'slower 2.0x', '~')
        """
        if self.low is None or self.low <= 1 <= self.high:
            return "~"
        return f"{self.median:.1f}x" if self.median > 1 else f"slower {1 / self.median:.1f}x"


NONE = Ratio(math.nan)  # where there is nothing to compare with


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """The ratio of two columns of figures, round by round."""
    found = sorted(a / b for a, b in zip(above, below, strict=True))
    k = _order(len(found))
    ends = (found[k - 1], found[-k]) if k else (None, None)
    return Ratio(statistics.median(found), *ends)


def of_median(figures: Sequence[float]) -> Ratio:
    """Median and interval of figures which are no ratios."""
    return ratio(figures, [1.0] * len(figures))


def _order(n: int) -> int:
    """The k whose k-th smallest and k-th largest of n values enclose the median at 95 %; 0 if there is none."""
    k, below = 0, 0.0
    while k < n / 2:
        below += math.comb(n, k) / 2**n
        if 2 * below > 0.05:
            break
        k += 1
    return k


def rounds(measures: Mapping[str, Callable[[], float]], count: int) -> dict[str, list[float]]:
    """Figures by name, `count` of each, measured in turns."""
    names, found = list(measures), {name: [] for name in measures}
    for turn in range(count):
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            found[name].append(measures[name]())
    return found


def against_ours(found: Mapping[str, Sequence[float]]) -> tuple[dict[str, Ratio], str]:
    """How many times the figures of the fastest of this project's processes (`ours...`) those of the others are.

    Returns
    -------
    ratios : dict of Ratio
        Of all that are not this project's, by name.
    fastest : str
        The name of the least of them; empty where there is none.
    """
    own = min((name for name in found if name.startswith("ours")), key=lambda name: statistics.median(found[name]))
    ratios = {name: ratio(values, found[own]) for name, values in found.items() if not name.startswith("ours")}
    return ratios, min(ratios, key=lambda name: ratios[name].median, default="")


def goal_met(found: Ratio | None, bound: float) -> str:
    """Whether a ratio reaches a bound: `yes`, `NO`, `?` within noise; `-` without a ratio."""
    if found is None:
        return "-"
    if found.low is not None and found.low < bound <= found.high:
        return "?"
    return "yes" if found.median >= bound else "NO"

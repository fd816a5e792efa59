"""Gates: conditions on a comparison that make it fail, ``loss > +5%`` or ``solved worse``.

====================================  =================================================================
``METRIC (> >= < <=) [+-]NUMBER``     of the difference B - A of the means
``METRIC (> >= < <=) [+-]NUMBER%``    of that difference, in per cent of the absolute value of A's mean
``METRIC (better worse ...)``         of the verdict: better, worse, higher, lower, inconclusive, differs
====================================  =================================================================

A row that satisfies the condition fails. So does one in which A has numbers and B has none beside them, and a gate that
no row has anything to say to: what was not compared has not passed.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass

import numpy as np

from sandbox.axes import show_scalar
from sandbox.comparison.verdicts import BETTER, HIGHER, INCONCLUSIVE, LOWER, WORSE, Comparison, Outcome
from sandbox.errors import UsageError, shorten

_RELATION = re.compile(r"\s*(\S.*?)\s*(>=|<=|>|<)\s*([+-]?)\s*([0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+)\s*(%?)\s*")
_VERDICT = re.compile(r"\s*(\S.*?)\s+([a-z]+)\s*")
_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_WORDS = {
    "better": {BETTER}, "worse": {WORSE}, "higher": {HIGHER}, "lower": {LOWER}, "inconclusive": {INCONCLUSIVE},
    "differs": {BETTER, WORSE, HIGHER, LOWER},
}  # fmt: skip
NAMED = 5  # rows that a failed gate names before it only counts


@dataclass(frozen=True)
class Gate:
    """A condition on one metric: a relation to a number, or a word for the verdict.

    Examples
    --------
    >>> Gate.read("loss > +5%")
    Gate(text='loss > +5%', metric='loss', relation='>', number=0.05, relative=True, word='')
    """

    text: str
    metric: str
    relation: str = ""
    number: float = 0.0
    relative: bool = False
    word: str = ""

    @classmethod
    def read(cls, text: str) -> Gate:
        """Return the gate that a text describes.

        Raises
        ------
        UsageError
            When it is neither a relation nor a verdict.
        """
        shown = " ".join(text.split())
        found = _RELATION.fullmatch(text)
        if found:
            metric, relation, sign, digits, per_cent = found.groups()
            number = float(sign + digits) / (100 if per_cent else 1)
            if math.isfinite(number):
                return cls(shown, metric, relation, number, bool(per_cent))
        found = _VERDICT.fullmatch(text)
        if found and found[2] in _WORDS:
            return cls(shown, found[1], word=found[2])
        rule = f"METRIC >, >=, <, <= and a number or per cent, or METRIC and one of {', '.join(_WORDS)}"
        raise UsageError(f"--fail-if must be {rule}, got {shorten(text) or 'nothing'} (such as 'loss > +5%')")

    def check(self, comparison: Comparison) -> list[str]:
        """Return a line for each row that fails, none if all pass.

        Raises
        ------
        UsageError
            When the word does not suit the metric.
        """
        side = comparison.sides[self.metric]
        if self.word in ("better", "worse") and side is None:
            hint = f"it has no better side; --better {self.metric}=lower or higher, or use differs"
            raise UsageError(f"--fail-if must suit the metric, got {shorten(self.text)} ({hint})")
        if self.word in ("higher", "lower") and side is not None:
            raise UsageError(f"--fail-if must say better or worse of {self.metric}, got {shorten(self.text)}")
        failing: list[str] = []
        compared = 0
        for at, outcome in enumerate(comparison.outcomes):
            if outcome.metric != self.metric:
                continue
            run = comparison.labels[1 + at % len(comparison.matchings)]
            label = f"{run} " if len(comparison.matchings) > 1 else ""
            compared += outcome.kept.size
            failing += [f"{label}{line}".strip() for line in self._failing(outcome, run)]
        if not compared and not failing:
            failing = [f"no row of {self.metric} could be compared"]
        more = [f"and {len(failing) - NAMED} more rows"] if len(failing) > NAMED else []
        return [f"failed: {self.text}: {line}" for line in [*failing[:NAMED], *more]]

    def _failing(self, outcome: Outcome, run: str) -> list[str]:
        if self.word:
            chosen = np.isin(outcome.verdict, list(_WORDS[self.word]))
        else:
            bound = self.number * (np.abs(outcome.a) if self.relative else 1.0)
            chosen = _COMPARE[self.relation](outcome.difference, bound)
        rows = np.flatnonzero(chosen)
        lines = []
        for row, where in zip(rows.tolist(), outcome.where(outcome.kept[rows]), strict=True):
            a, b = float(outcome.a[row]), float(outcome.b[row])
            share = f", {100 * outcome.difference[row] / abs(a):+.3g} %" if a else ""
            lines.append(f"{_place(where)}A {a:.4g}, {run} {b:.4g}{share}")
        lines += [f"{_place(where)}{run} has no number beside A's" for where in outcome.where(outcome.lost)]
        return lines


def _place(where: dict) -> str:
    text = " ".join(f"{axis} {show_scalar(value)}" for axis, value in where.items())
    return f"{text}: " if text else ""

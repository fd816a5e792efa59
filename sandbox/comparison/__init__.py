"""Comparing runs: matched on axes, paired on seeds, with an interval, a word for each row, and gates.

`compare` compares runs with the first of them; `report` makes a table of that; `Gate` tests it. `published` puts a run
beside the numbers of papers, `reproduce` tells whether a run came out the same again.
"""

from sandbox.comparison.gates import Gate
from sandbox.comparison.matching import Matching, NothingMatched, match
from sandbox.comparison.report import report
from sandbox.comparison.verdicts import Comparison, Margin, Outcome, compare

__all__ = ["Comparison", "Gate", "Margin", "Matching", "NothingMatched", "Outcome", "compare", "match", "report"]

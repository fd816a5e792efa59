"""What symbols cost that are foretold from the two before: the rival of what writes one of many.

Each symbol's chance is interpolated with that after fewer symbols (Witten & Bell 1991):

    p(s | h) = (c(h s) + u(h) p(s | h without its first)) / (c(h) + u(h)),    p(s) at last 1 / V

with c counts and u(h) how many different symbols follow h. `sandbox.rivals.ngrams` has the same for long texts; here
sequences are apart, and each can be asked for by itself.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from sandbox.alphabet import END, START
from sandbox.kernels.activations import log_array
from sandbox.kernels.reductions import total
from sandbox.tasks import ln

__all__ = ["Trigrams", "bits"]

ORDER = 3


class Trigrams:
    """Trigrams of sequences.

    Parameters
    ----------
    sequences : list of (N_i,) int64
        Without `END`.
    symbols : int
        V: how many there are, the reserved ones among them.
    """

    def __init__(self, sequences: Sequence[np.ndarray], symbols: int):
        self.symbols, self.counts = symbols, defaultdict(Counter)
        for sequence in sequences:
            for history, symbol in _steps(sequence):
                for first in range(ORDER):
                    self.counts[history[first:]][symbol] += 1
        self.totals = {history: found.total() for history, found in self.counts.items()}

    def chance(self, history: tuple, symbol: int) -> float:
        """p(symbol | history); a history of up to two symbols."""
        shorter = self.chance(history[1:], symbol) if history else 1.0 / self.symbols
        found = self.counts.get(history)
        if not found:
            return shorter
        return (found[symbol] + len(found) * shorter) / (self.totals[history] + len(found))

    def cost(self, sequence: np.ndarray) -> float:
        """-log p of a sequence and its end, in nats."""
        chances = np.array([self.chance(*step) for step in _steps(sequence)])
        return -float(total(log_array(chances)))


def _steps(sequence):
    """What each symbol of a sequence follows, and the symbol."""
    symbols = (START,) * (ORDER - 1) + (*sequence.tolist(), END)
    return [(symbols[at - ORDER + 1 : at], symbols[at]) for at in range(ORDER - 1, len(symbols))]


def bits(costs: Sequence[float], sequences: Sequence[np.ndarray]) -> float:
    """Bits a symbol, the end counted as one, of what sequences cost in nats."""
    symbols = total(np.array([len(sequence) + 1.0 for sequence in sequences]))
    return float(total(np.array(costs)) / symbols) / ln(2)

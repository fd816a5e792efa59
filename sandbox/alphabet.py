"""Alphabets: symbols of any kind, characters, words or phones, as whole numbers and back."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sandbox.errors import UsageError, shorten

__all__ = ["Alphabet", "END", "RARE", "START"]

END, START = 0, 1  # of a sequence that is written symbol by symbol: the first two of its alphabet
RARE = "<rare>"


@dataclass(frozen=True)
class Alphabet:
    """Symbols by number.

    Parameters
    ----------
    symbols : tuple of str
        Their order is their number. If the last is `RARE`, it stands for whatever is none of the others.

    Examples
    --------
    >>> alphabet = Alphabet.of(["abba", "cab"])
    >>> alphabet.encode("cab").tolist(), "".join(alphabet.decode([1, 0, 1]))
    ([2, 0, 1], 'bab')
    """

    symbols: tuple[str, ...]
    numbers: dict = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "numbers", {symbol: number for number, symbol in enumerate(self.symbols)})

    @classmethod
    def of(cls, sequences: Iterable[Sequence[str]], *, least: int = 1, reserved: Sequence[str] = ()) -> "Alphabet":
        """The alphabet of sequences: the reserved symbols, then those that occur, sorted.

        Where `least` is above 1, symbols that occur less often are `RARE`.

        Raises
        ------
        UsageError
            Where one that is reserved occurs: it would end a sequence, or stand for others.
        """
        counts = Counter(symbol for sequence in sequences for symbol in sequence)
        rare = (RARE,) if least > 1 else ()
        for symbol in (*reserved, *rare):
            if symbol in counts:
                raise UsageError(f"symbols must be none of {', '.join((*reserved, *rare))}, got {symbol}")
        return cls((*reserved, *sorted(symbol for symbol, count in counts.items() if count >= least), *rare))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, sequence: Sequence[str]) -> np.ndarray:
        """Numbers (N,) int64 of symbols.

        Raises
        ------
        UsageError
            A symbol that is not in the alphabet, if that has no number for rare ones.
        """
        rare = len(self) - 1 if self.symbols and self.symbols[-1] == RARE else None
        try:
            found = [self.numbers[symbol] if rare is None else self.numbers.get(symbol, rare) for symbol in sequence]
        except KeyError as error:
            known = shorten(" ".join(self.symbols), 100)
            raise UsageError(f"symbols must be of the alphabet, got {error.args[0]!r} (it has {known})") from None
        return np.array(found, np.int64)

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """Symbols of numbers."""
        return [self.symbols[int(number)] for number in numbers]

"""What a word that was not learned still shows: its spelling.

Many words of a held-out text were never seen, and most of the identifiers of a program. A network that reads words by
number sees nothing of these. So a word that was learned less than a few times is read as its shape and its last two
letters, or where those are rare as well its shape alone, or `RARE`: a network cannot tell two words of one kind apart,
but that they are private names, or end in -ly.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from sandbox.alphabet import RARE, Alphabet

__all__ = ["numbered", "shape"]

KINDS = (("A", re.compile(r"[A-ZÀ-ÖØ-Þ]+")), ("0", re.compile(r"[0-9]+")), ("a", re.compile(r"[^\WA-Z0_]+")))


def shape(word: str) -> str:
    """A word with each run of capitals as A, of digits as 0, of other letters as a, and the rest as it is.

    >>> [shape(word) for word in ("readlines", "_cacheSize", "MAX_2", "well-known")]
    ['a', '_aAa', 'A_0', 'a-a']
    """
    for kind, runs in KINDS:
        word = runs.sub(kind, word)
    return word


def _levels(word):
    """How a word may be read, the best first; what is not the word itself begins with a character that none has."""
    return word, f"\0{shape(word)}~{word[-2:]}", f"\0{shape(word)}"


def numbered(sentences: Sequence[Sequence[str]], learned: Sequence[int], least: int) -> tuple[Alphabet, list]:
    """All sentences' words by number, (T_i,) int64 each, and the alphabet that these are of.

    Parameters
    ----------
    sentences : lists of words
    learned : row numbers
        Those that the alphabet is made of.
    least : int
        How often a word, a shape with an ending, or a shape must occur there.
    """
    kept, left = set(), Counter(word for row in learned for word in sentences[row])
    for level in range(3):
        counts = Counter()
        for word, count in left.items():
            counts[_levels(word)[level]] += count
        kept |= {text for text, count in counts.items() if count >= least}
        left = {word: count for word, count in left.items() if _levels(word)[level] not in kept}
    alphabet = Alphabet((*sorted(kept), RARE))
    words = {word for sentence in sentences for word in sentence}
    numbers = {word: next((alphabet.numbers[text] for text in _levels(word) if text in kept), len(kept))
               for word in words}  # fmt: skip
    return alphabet, [np.array([numbers[word] for word in sentence], np.int64) for sentence in sentences]

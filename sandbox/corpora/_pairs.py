"""Tasks of pairs: a sequence for a sequence, some of which may be written in more than one way.

Pairs are divided by their source: none is on both sides. What is learned is the first way to write it; what is held out
counts as right in any.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from sandbox.alphabet import END, Alphabet
from sandbox.corpora import Corpus
from sandbox.corpora._letters import rules
from sandbox.shapes import split, transduction

__all__ = ["RESERVED", "corpus_of", "edit_distance", "evenly", "scores"]

RESERVED = ("<end>", "<start>")  # of a target's alphabet, at END and START


def edit_distance(one: Sequence, other: Sequence) -> int:
    """Fewest insertions, deletions and replacements that make one sequence the other (Levenshtein 1966).

    >>> edit_distance("kitten", "sitting")
    3
    """
    before = list(range(len(other) + 1))
    for i, symbol in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (symbol != wanted)))
        before = row
    return before[-1]


def scores(written: Sequence[Sequence], accepted: Sequence[Sequence[Sequence]]) -> tuple[float, float]:
    """How right sequences are.

    Parameters
    ----------
    written : list of sequences
    accepted : list of lists of sequences
        All right ways to write each.

    Returns
    -------
    exact : float
        Share of the sequences that are one of their right ways.
    error_rate : float
        Edits to the nearest right way, over all sequences, by the number of symbols of those ways.

    Examples
    --------
    >>> scores(["ab", "ca"], [["b", "ab"], ["cat"]])
    (0.5, 0.2)
    """
    exact = edits = symbols = 0
    for answer, ways in zip(written, accepted, strict=True):
        nearest, length = min((edit_distance(answer, way), len(way)) for way in ways)
        exact, edits, symbols = exact + (nearest == 0), edits + nearest, symbols + length
    return (exact / len(written), edits / max(1, symbols)) if written else (float("nan"), float("nan"))


def evenly(rows: np.ndarray, most: int | None) -> np.ndarray:
    """So many of the rows, spread evenly over them; all if `most` is None."""
    return rows if most is None or len(rows) <= most else rows[np.arange(most) * len(rows) // most]


def corpus_of(name: str, ways: Mapping[Sequence[str], Sequence[Sequence[str]]], label: str, *, rival: str,
              reach: int = 1, least: int = 1, most: int | None = None, paper: str = "") -> Corpus:  # fmt: skip
    """The corpus of sources and the ways to write each.

    Its rival score is that of `rules`, as its facts' `exact`, which `scores` makes of what is written; `rival_error` is
    its error rate. Facts are further the alphabets `letters` and `symbols`, and of what is held out the encoded
    `sources` and, in symbols' numbers without `END`, the `accepted` ways.

    Parameters
    ----------
    name, label, rival, paper : str
    ways : dict
        Sequence of letters to its right sequences of symbols, the usual one first.
    reach : int
        Letters on either side that the rival looks at.
    least : int
        Letters that occur less often are one.
    most : int, optional
        Most sources that are held out.
    """
    sources, targets = list(ways), list(ways.values())
    letters = Alphabet.of(sources, least=least)
    symbols = Alphabet.of((way for found in targets for way in found), reserved=RESERVED)
    codes = [letters.encode(source) for source in sources]
    usual = [symbols.encode(found[0]) for found in targets]
    learned, held_out = split(len(codes))
    held_out = evenly(held_out, most)
    task = transduction(name, codes, [np.append(target, END) for target in usual], len(letters), len(symbols),
                        parts=(learned, held_out), paper=paper)  # fmt: skip
    write = rules([codes[row] for row in learned], [usual[row] for row in learned], reach)
    held = [codes[row] for row in held_out]
    accepted = [[tuple(symbols.encode(way).tolist()) for way in targets[row]] for row in held_out]
    exact, error_rate = scores([write(source) for source in held], accepted)
    facts = {"letters": letters, "symbols": symbols, "sources": held, "accepted": accepted, "rival_error": error_rate}
    return Corpus(task, label, rival, exact, facts=facts)

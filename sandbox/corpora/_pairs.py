"""Tasks of pairs: a sequence for a sequence, some of which may be written in more than one way.

Pairs are divided by their source: none is on both sides. What is learned is the first way to write it; what is held out
counts as right in any.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from sandbox.alphabet import END, Alphabet
from sandbox.corpora import Corpus
from sandbox.edits import scores
from sandbox.errors import UsageError
from sandbox.rivals.letters import rules
from sandbox.shapes import evenly, split, transduction

__all__ = ["RESERVED", "corpus_of"]

RIVAL = "letter in context"  # `letters.rules`
RESERVED = ("<end>", "<start>")  # of a target's alphabet, at END and START


def corpus_of(name: str, ways: Mapping[Sequence[str], Sequence[Sequence[str]]], label: str, *, most: int | None = None,
              paper: str = "") -> Corpus:  # fmt: skip
    """The corpus of sources and the ways to write each; its score is the share of sources that are written without a
    mistake, the `exact` of `edits.scores`.

    Facts: the alphabets `letters` and `symbols`; of what is held out the encoded `sources` and their `accepted` ways,
    in symbols' numbers without `END`; the rival's error rate, `rival_error`.

    Parameters
    ----------
    name, label, paper : str
    ways : dict
        Sequence of letters to its right sequences of symbols, the usual one first.
    most : int, optional
        Most sources that are held out.

    Raises
    ------
    UsageError
        For less than two sources.
    """
    if len(ways) < 2:
        raise UsageError(f"data of {name} must have two sequences at least, got {len(ways)}")
    sources, targets = list(ways), list(ways.values())
    letters = Alphabet.of(sources)
    symbols = Alphabet.of((way for found in targets for way in found), reserved=RESERVED)
    codes = [letters.encode(source) for source in sources]
    usual = [symbols.encode(found[0]) for found in targets]
    learned, held_out = split(len(codes))
    held_out = evenly(held_out, most)
    task = transduction(name, codes, [np.concatenate([target, [END]]) for target in usual], len(letters), len(symbols),
                        parts=(learned, held_out), paper=paper)  # fmt: skip
    write = rules([codes[row] for row in learned], [usual[row] for row in learned])
    held = [codes[row] for row in held_out]
    accepted = [[tuple(symbols.encode(way).tolist()) for way in targets[row]] for row in held_out]
    exact, error_rate = scores([write(source) for source in held], accepted)
    facts = {"letters": letters, "symbols": symbols, "sources": held, "accepted": accepted, "rival_error": error_rate}
    return Corpus(task, label, RIVAL, exact, facts=facts)

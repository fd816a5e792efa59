"""A text character by character: which one comes next?

Source: the first 1 115 394 characters of Shakespeare's plays (as many as Karpathy's "tiny Shakespeare" has, 2015), or
of `--text FILE`; the documentation of Python's statements where nothing was fetched. Division: the last tenth is held
out. Rival: the n-gram model of order 5, smoothed by Witten and Bell's method (`sandbox.ngrams`), in bits a character;
of orders 1 to 8 the best on Shakespeare.
"""

from collections import Counter

from sandbox import data, shapes
from sandbox.alphabet import Alphabet
from sandbox.corpora import Corpus
from sandbox.kernels.activations import log
from sandbox.kernels.reductions import mean
from sandbox.ngrams import witten_bell

__all__ = ["LN2", "corpus", "divided"]

MOST, ORDER = 1_115_394, 5
SYMBOLS = 256  # at most; of a text with more, what is seldom shares a number
HELD_OUT = 10  # one part in so many, the last
LN2 = float(log(2.0))


def divided(codes):
    """The part of a text that is learned from, and the last tenth."""
    edge = len(codes) - len(codes) // HELD_OUT
    return codes[:edge], codes[edge:]


def corpus(source="shakespeare", text=None, order=ORDER) -> Corpus:
    """A language model of characters.

    Parameters
    ----------
    source : str
        A source of texts: shakespeare, python.
    text : str, optional
        The user's file in its place.
    order : int
        Of the rival.
    """
    found = data.load(source, text)
    content = found.records[:MOST]
    counts = sorted(Counter(content).values(), reverse=True)
    alphabet = Alphabet.of([content], least=1 if len(counts) <= SYMBOLS else counts[SYMBOLS] + 1)
    train, held_out = divided(alphabet.encode(content))
    task = shapes.language("characters", train, held_out, len(alphabet), paper="Karpathy 2015; Sutskever et al. 2011")
    bits = -float(mean(witten_bell(train, held_out, len(alphabet), order))) / LN2
    return Corpus(task, found.label, f"{order}-gram", bits, "lower", {"alphabet": alphabet, "train": train,
                                                                      "held_out": held_out})  # fmt: skip

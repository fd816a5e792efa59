"""A text character by character: which one comes next?

Source: the first 1 115 394 characters of Shakespeare's plays (as many as Karpathy's "tiny Shakespeare" has, 2015), or
of `--text FILE`; the documentation of Python's statements where nothing was fetched. Division: the last tenth is held
out. Rival: the n-gram model of order 5, smoothed by Witten and Bell's method (`sandbox.rivals.ngrams`), in bits a
character; of orders 1 to 8 the best on what is held out of Shakespeare. A stronger one is beside it, Kneser and Ney's
of order 6, the best on the last tenth of what is learned from.
"""

from collections import Counter

from sandbox import shapes
from sandbox.alphabet import Alphabet
from sandbox.corpora import Corpus
from sandbox.corpora._texts import MOST, divided, read
from sandbox.kernels.reductions import mean
from sandbox.rivals.ngrams import kneser_ney, witten_bell
from sandbox.tasks import ln

__all__ = ["corpus"]

ORDER, STRONGER = 5, 6
SYMBOLS = 256  # at most; of a text with more, what is seldom shares a number


def corpus(source="shakespeare", text=None, most=MOST, order=ORDER) -> Corpus:
    """A language model of characters.

    Parameters
    ----------
    source : str
        shakespeare, python or text.
    text : str, optional
        The user's file, of the source text.
    most : int
        Characters of the text, from its start.
    order : int
        Of the rival.
    """
    found = read(source, text)
    content = found.records[:most]
    counts = sorted(Counter(content).values(), reverse=True)
    alphabet = Alphabet.of([content], least=1 if len(counts) <= SYMBOLS else counts[SYMBOLS] + 1)
    train, held_out = divided(alphabet.encode(content))
    task = shapes.language("characters", train, held_out, len(alphabet), paper="Sutskever et al. 2011; Karpathy 2015")
    bits, stronger = (-float(mean(method(train, held_out, len(alphabet), longest))) / ln(2)
                      for method, longest in ((witten_bell, order), (kneser_ney, STRONGER)))  # fmt: skip
    facts = {"alphabet": alphabet, "train": train, "held_out": held_out, "kneser_ney": stronger}
    return Corpus(task, found.label, f"{order}-gram", bits, facts=facts)

"""A text word by word: which one comes next?

Source: as of `characters`, in lower case, cut into words (letters and apostrophes) and the marks `.,;:!?`. Words that
occur fewer than 5 times in what is learned from are one word, `<rare>`: of all of Shakespeare some 8 400 are left.
Division: the last tenth is held out. Rival: the n-gram model of order 2, which backs off to how frequent a word is
(`sandbox.rivals.ngrams`), in perplexity, exp of the mean of -ln p; of orders 1 to 3 the best on Shakespeare. A stronger
one is beside it, Kneser and Ney's of order 3, the best on the last tenth of what is learned from.
"""

import csv
import io
import re

import numpy as np

from sandbox import shapes
from sandbox.alphabet import RARE, Alphabet
from sandbox.corpora import Corpus
from sandbox.corpora._texts import MOST, divided, read
from sandbox.errors import UsageError, shorten
from sandbox.kernels.activations import exp, exp_array
from sandbox.kernels.reductions import mean, total
from sandbox.rivals.ngrams import kneser_ney, witten_bell

__all__ = ["LEAST", "continuations", "corpus", "prompts", "table", "tokens"]

LEAST, ORDER, STRONGER = 5, 2, 3
_TOKEN = re.compile(r"(?:[^\W\d_]|')+|[.,;:!?]")


def tokens(text: str) -> list[str]:
    """Words and marks of a text.

    >>> tokens("What, is't thou?")
    ['what', ',', "is't", 'thou', '?']
    """
    return _TOKEN.findall(text.lower())


def corpus(source="shakespeare", text=None, most=MOST, least=LEAST, order=ORDER) -> Corpus:
    """A language model of words.

    Parameters
    ----------
    source, text, most, order
        As of `characters`.
    least : int
        Times that a word must occur.
    """
    found = read(source, text)
    words = tokens(found.records[:most])
    if len(words) < 2:
        raise UsageError(f"text of words must have words, got {len(words)}")
    learned, asked = divided(words)
    alphabet = Alphabet.of([learned], least=max(2, least))
    train, held_out = alphabet.encode(learned), alphabet.encode(asked)
    task = shapes.language("words", train, held_out, len(alphabet), paper="Mikolov et al. 2010")
    perplexity, stronger = (float(exp(-mean(method(train, held_out, len(alphabet), longest))))
                            for method, longest in ((witten_bell, order), (kneser_ney, STRONGER)))  # fmt: skip
    facts = {"alphabet": alphabet, "train": train, "held_out": held_out, "kneser_ney": stronger,
             "rare": float(mean((held_out == alphabet.numbers[RARE]).astype(float)))}  # fmt: skip
    return Corpus(task, found.label, f"{order}-gram", perplexity, facts=facts)


def prompts(text: str) -> list[str]:
    """The parts of a text between its bars.

    Raises
    ------
    UsageError
        One of them has no words.

    Examples
    --------
    >>> prompts("my lord | if i")
    ['my lord', 'if i']
    """
    found = [part.strip() for part in text.split("|")]
    if not all(map(tokens, found)):
        raise UsageError(f"prompt must have words, and between two bars too, got '{shorten(text)}'")
    return found


def continuations(model, alphabet: Alphabet, prompt: str, before: np.ndarray, most: int = 5) -> list[tuple[str, float]]:
    """The likeliest next words after a prompt and their probabilities; `<rare>`, which is no word, is left out.

    `before` (N,) is a text that is read first. A model which always went on where it stopped has never seen states of
    zeros, and after two words from there it still finds nearly all words as likely as each other.
    """
    read = np.concatenate([before, alphabet.encode(tokens(prompt))])
    logits = model.forward(read[:, None])[-1, 0].astype(np.float64)
    shares = exp_array(logits - logits.max())
    shares = shares / total(shares)
    best = [number for number in np.argsort(-shares, kind="stable").tolist() if alphabet.symbols[number] != RARE][:most]
    return [(alphabet.symbols[number], float(shares[number])) for number in best]


def table(model, alphabet: Alphabet, prompts: list[str], before: np.ndarray) -> str:
    """`continuations` of several prompts as the text of a CSV file: prompt, rank, word, probability."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("prompt", "rank", "word", "probability"))
    for prompt in prompts:
        found = continuations(model, alphabet, prompt, before)
        writer.writerows((prompt, rank, word, share) for rank, (word, share) in enumerate(found, 1))
    return file.getvalue()

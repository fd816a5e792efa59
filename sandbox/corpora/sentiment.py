"""Whether a text is meant well: its words in, one of two classes out.

Source: `sentiment`, short texts that people rated from -4 to 4 (vaderSentiment); `sentiment:tweets` and further parts
instead of the movie reviews. A class is a rating of 0 and above, or below. Each text is taken once. Division: a fifth
at random is held out (`shapes.split`). Rival: naive Bayes over the words: runs of letters or of other marks, in lower
case. A network sees those that occur twice at least in what is learned from.
"""

import re

import numpy as np

from sandbox import data
from sandbox.alphabet import Alphabet
from sandbox.corpora import Corpus
from sandbox.rivals import classes as rivals
from sandbox.shapes import classification, split

WORD = re.compile(r"[\w']+|[^\w\s]+")


def corpus(path: str | None = None, part: str = "", least: int = 2) -> Corpus:
    """The task.

    Parameters
    ----------
    path : str, optional
        A file of one's own with a text and its rating in each line.
    part : str
        Of the source, its first one by default.
    least : int
        How often a word must occur to be one of the alphabet.
    """
    found = data.load(f"sentiment:{part}" if part else "sentiment", path)
    rating = {}
    for text, value in found.records:
        rating.setdefault(tuple(WORD.findall(text.lower())), value)
    texts = sorted(text for text in rating if text)
    labels = np.array([rating[text] >= 0 for text in texts]).astype(np.int64)
    learned, held_out = parts = split(len(texts))
    alphabet = Alphabet.of((texts[row] for row in learned), least=least)
    task = classification("sentiment", [alphabet.encode(text) for text in texts], labels, 2, parts=parts,
                          symbols=len(alphabet), paper=found.label)  # fmt: skip
    guessed = rivals.naive_bayes([texts[row] for row in learned], labels[learned], [texts[row] for row in held_out])
    facts = {"alphabet": alphabet, "classes": ["negative", "positive"],
             "majority": rivals.majority(labels[learned], labels[held_out])}  # fmt: skip
    return Corpus(task, found.label, "naive Bayes", rivals.right(guessed, labels[held_out]), facts=facts)

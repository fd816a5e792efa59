"""Which language a surname is of: its characters in, one of 13 languages out.

Source: `names`, faker's surnames by country, the 13 of Latin script with most; `names:all` those of all 77 locales, or
a file of one's own with categories and names. A name that two languages have is in both. Division: a fifth at random
is held out (`shapes.split`). Rival: naive Bayes over the runs of two, three and four characters in lower case, which
get more of a fifth of those learned from right than shorter or fewer.
"""

import numpy as np

from sandbox import data
from sandbox.alphabet import Alphabet
from sandbox.corpora import Corpus
from sandbox.rivals import classes as rivals
from sandbox.shapes import classification, split


def corpus(path: str | None = None, part: str = "") -> Corpus:
    """The task; `path` is a file of one's own, `part` one of the source."""
    found = data.load(f"names:{part}" if part else "names", path)
    chosen = sorted(found.records)
    names = [name for key in chosen for name in found.records[key]]
    labels = np.repeat(np.arange(len(chosen)), [len(found.records[key]) for key in chosen])
    learned, held_out = parts = split(len(names))
    alphabet = Alphabet.of((names[row] for row in learned), least=2)
    task = classification("names", [alphabet.encode(name) for name in names], labels, len(chosen), parts=parts,
                          symbols=len(alphabet), paper=found.label)  # fmt: skip
    runs = [rivals.ngrams(name.lower(), (2, 3, 4)) for name in names]
    guessed = rivals.naive_bayes([runs[row] for row in learned], labels[learned], [runs[row] for row in held_out])
    facts = {"alphabet": alphabet, "classes": chosen, "majority": rivals.majority(labels[learned], labels[held_out])}
    return Corpus(task, found.label, "naive Bayes", rivals.right(guessed, labels[held_out]), facts=facts)

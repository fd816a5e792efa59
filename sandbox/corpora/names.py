"""Which language a surname is of: its characters in, one of 13 languages out.

Source: `names`, faker's surnames by country. A class is a language of Latin script with at least 400 names, those of
the country with most; a name that two languages have is in both. Of the stand-in, and of a file of one's own, every
category is a class. Division: a fifth at random is held out (`shapes.split`). Rival: naive Bayes over the runs of two
and of three characters, with which it gets more right than with shorter or longer ones.
"""

import numpy as np

from sandbox import data, rivals
from sandbox.alphabet import Alphabet
from sandbox.corpora import Corpus
from sandbox.shapes import classification, split

LEAST = 400
BEHIND_LATIN = "\u0250"  # the first character behind the extensions A and B of Latin


def corpus(path: str | None = None) -> Corpus:
    """The task; `path` is a file of one's own with a name and its category in each line."""
    found = data.load("names", path)
    chosen = _languages(found.records) if path is None and not found.fallback else sorted(found.records)
    names = [name for key in chosen for name in found.records[key]]
    labels = np.repeat(np.arange(len(chosen)), [len(found.records[key]) for key in chosen])
    learned, held_out = parts = split(len(names))
    alphabet = Alphabet.of((names[row] for row in learned), least=2)
    task = classification("names", [alphabet.encode(name) for name in names], labels, len(chosen), parts=parts,
                          symbols=len(alphabet), paper=found.label)  # fmt: skip
    runs = [rivals.ngrams(name.lower(), (2, 3)) for name in names]
    guessed = rivals.naive_bayes([runs[row] for row in learned], labels[learned], [runs[row] for row in held_out])
    facts = {"alphabet": alphabet, "classes": chosen, "majority": rivals.majority(labels[learned], labels[held_out])}
    return Corpus(task, found.label, "naive Bayes", rivals.right(guessed, labels[held_out]), facts=facts)


def _languages(records):
    """Of each language (the part of a locale before the underscore) the locale with most names, if it has enough."""
    largest = {}
    for key, names in sorted(records.items()):
        language = key.partition("_")[0]
        if len(names) >= LEAST and max(map(max, names)) < BEHIND_LATIN:
            largest[language] = max(largest.get(language, key), key, key=lambda each: len(records[each]))
    return sorted(largest.values())

"""Grapheme to phoneme: the letters of an English word, the phones it is spoken with.

Source: the CMU Pronouncing Dictionary, words of the letters a to z and the apostrophe, phones without stress. Divided
by word, four fifths to learn from, by its first pronunciation; of a word that is held out any listed one is right. The
score is the share of words that are right (word accuracy), beside the phone error rate.

The rival is `sandbox.rivals.letters.rules`: what each letter most often stands for among those around it. A GRU
encoder-decoder with attention is published with 28.7 % of words wrong and a phone error rate of 5.8 %, on another
division.
"""

from sandbox import data
from sandbox.corpora import Corpus
from sandbox.corpora._pairs import corpus_of

__all__ = ["corpus"]


def corpus(path=None, most: int | None = 2000) -> Corpus:
    """Words to phones; `path` is a file of one's own, `most` the most words that are held out."""
    found = data.load("cmudict", path)
    ways = {tuple(word): ways for word, ways in found.records.items() if word and all(ways)}
    return corpus_of("pronunciation", ways, found.label, most=most, paper="CMU Pronouncing Dictionary")

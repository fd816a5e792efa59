"""Transliteration: an English name, the same name in Ukrainian letters.

Source: names of places, languages and scripts in pycountry's catalogue, of one word in both; in small letters. Some are
translated rather than transliterated, so that no method gets all of them. Divided by the English name. The score is the
share of names that are right.

The rival is `sandbox.rivals.letters.rules`: what each letter most often stands for among those around it.
"""

import unicodedata

from sandbox import data
from sandbox.corpora import Corpus
from sandbox.corpora._pairs import corpus_of

__all__ = ["corpus", "ways_of"]


def corpus(path=None, most: int | None = 2000) -> Corpus:
    """Names to names; `path` is a file of pairs of one's own, `most` the most names that are held out."""
    found = data.load("transliteration", path)
    return corpus_of("transliteration", ways_of(found.records), found.label, most=most, paper="pycountry")


def ways_of(pairs) -> dict[str, list[str]]:
    """All ways to write each name, in small letters, the first first."""
    ways = {}
    for pair in pairs:
        source, target = (unicodedata.normalize("NFC", name.lower()) for name in pair)
        known = ways.setdefault(source, [])
        if target not in known:
            known.append(target)
    return ways

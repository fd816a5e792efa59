"""Transliteration: an English name, the same name in Ukrainian letters.

Source: names of places, languages and scripts in pycountry's catalogue, of one word in both; in small letters. Some are
translated rather than transliterated, so that no method gets all of them. Divided by the English name. The score is the
share of names that are right.

The rival is `_letters.rules`: what each letter most often stands for between its two neighbours.
"""

import unicodedata

from sandbox import data
from sandbox.corpora import Corpus
from sandbox.corpora._pairs import corpus_of

__all__ = ["corpus"]

RIVAL = "letter between two"


def corpus(path=None, most: int | None = 2000) -> Corpus:
    """Names to names; `path` is a file of pairs of one's own, `most` the most names that are held out."""
    found = data.load("transliteration", path)
    ways = {}
    for english, ukrainian in found.records:
        source, target = (unicodedata.normalize("NFC", name.lower()) for name in (english, ukrainian))
        known = ways.setdefault(source, [])
        if source and target and target not in known:
            known.append(target)
    ways = {source: targets for source, targets in ways.items() if targets}
    return corpus_of("transliteration", ways, found.label, rival=RIVAL, least=3, most=most, paper="pycountry")

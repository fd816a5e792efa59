"""English names and their Ukrainian spelling: places, languages, scripts and currencies of one word.

From pycountry 26.2.16 (LGPL-2.1): its gettext catalogues, read as data. Pairs of one word on both sides, the left one
in Latin, the right one in Cyrillic letters. Some are translations, which no rule of spelling gives. In its place:
invented names written in Cyrillic by rules that look at the letters around.

Records: sorted list of (english, ukrainian).
"""

import re
import struct

from sandbox.data import Source, choose, generator
from sandbox.files import read_pairs

CATALOGUES = r"pycountry/locales/uk/LC_MESSAGES/[^/]+\.mo"
WORD = r"[A-Za-z]+(?:['-][A-Za-z]+)*"
CYRILLIC = r"[Ѐ-ӿ]+(?:['’ʼ-][Ѐ-ӿ]+)*"
NAMES = 4000
DIGRAPHS = {"sh": "ш", "ch": "ч", "kh": "х", "zh": "ж", "ts": "ц", "ya": "я", "yu": "ю", "ph": "ф", "th": "т"}
LETTERS = dict(zip("abdefghiklmnopqrstuvwyz", "абдефгхіклмнопкрстуввиз", strict=True)) | {"j": "дж", "x": "кс"}
ONSETS = ("b", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "c",
          "sh", "ch", "kh", "zh", "ts", "th")  # fmt: skip
NUCLEI, CODAS = ("a", "e", "i", "o", "u", "ya", "yu", "y"), ("", "", "n", "r", "l", "s", "k", "m", "ll", "x")


def catalogue(data):
    """Return the entries of a compiled gettext catalogue (.mo): two tables of lengths and places, then the texts."""
    order = "<" if data[:4] == b"\xde\x12\x04\x95" else ">"
    count, source, target = struct.unpack_from(f"{order}3I", data, 8)

    def texts(at):
        for row in range(count):
            length, start = struct.unpack_from(f"{order}2I", data, at + 8 * row)
            yield data[start : start + length].decode("utf-8")

    return dict(zip(texts(source), texts(target), strict=True))


def read(members):
    """Read the catalogues of all standards; a later one does not change what an earlier one says."""
    found = {}
    for name in members.matching(CATALOGUES):
        for english, ukrainian in catalogue(members.read(name)).items():
            if re.fullmatch(WORD, english) and re.fullmatch(CYRILLIC, ukrainian):
                found.setdefault(english, ukrainian)
    return sorted(found.items())


def cyrillic(word):
    """Write a word in Cyrillic letters: c is soft before e and i, doubles are one, i and e change behind vowels."""
    out, at = "", 0
    while at < len(word):
        pair, letter = word[at : at + 2], word[at]
        before, after = word[at - 1 : at], word[at + 1 : at + 2]
        if pair in DIGRAPHS:
            out += DIGRAPHS[pair]
            at += 2
            continue
        if letter == "c":
            out += "ц" if after in ("e", "i", "y") else "к"
        elif letter == "i" and before in ("a", "e", "o", "u", "y"):
            out += "ї"
        elif letter == "e" and not before:
            out += "е" if after in ("l", "r") else "є"
        elif letter == "l" and (not after or after in "kmnst"):
            out += "ль" if word[at - 1] != "l" else "ь"
        elif letter != before or letter == "l":
            out += LETTERS[letter]
        at += 1
    return out


def generate():
    """Invent names of two to four syllables."""
    rng, found = generator("transliteration"), {}
    while len(found) < NAMES:
        word = choose(rng, "aeio") if rng.random() < 0.15 else ""
        for _ in range(2 + int(3 * rng.random())):
            word += choose(rng, ONSETS) + choose(rng, NUCLEI) + choose(rng, CODAS)
        found[word.capitalize()] = cyrillic(word).capitalize()
    return sorted(found.items())


SOURCE = Source(
    holds="8 127 pairs of one word",
    licence="LGPL-2.1",
    beat="letters among those around them .659",
    read=read,
    generate=generate,
    stand_in="generated names",
    option="tsv",
    own=read_pairs,
)

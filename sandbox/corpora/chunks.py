"""The part of speech of each word; with `chunks:phrases` the phrase that each part of speech begins or is inside of.

Source: `chunks`, sentences of the Wall Street Journal with part of speech and chunk (CoNLL-2000, as libwapiti has it),
or a CoNLL file of one's own. Division: the source's own, 823 sentences to learn from and 77 held out: a demonstration.
Rival: each word's most frequent tag, of a new word that of most words; of phrases, each part of speech's. The fact
`spelled` and `neighbours` are as of `roles`.
"""

from sandbox import data
from sandbox.corpora import Corpus
from sandbox.corpora.roles import tagged
from sandbox.errors import unknown

PARTS = {"pos": (0, 1), "phrases": (1, 2)}  # columns that are read and that are told


def corpus(path: str | None = None, part: str = "pos", least: int = 2) -> Corpus:
    """The task; `least` is how often a word must occur to have a number of its own."""
    if part not in PARTS:
        raise unknown("part of chunks", part, PARTS)
    read, told = PARTS[part]
    found = data.load("chunks", path)
    sentences = [sentence for sentences in found.records for sentence in sentences if sentence]
    count = len([sentence for sentence in found.records[0] if sentence])
    words, tags = ([tuple(row[column] for row in sentence) for sentence in sentences] for column in (read, told))
    parts = range(count), range(count, len(sentences))
    return tagged("chunks", found, words, tags, parts, least)

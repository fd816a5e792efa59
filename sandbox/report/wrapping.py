"""Text on a screen of fixed width: what it takes up there, and where it may be broken.

A piece of text that must stay whole (a word, a number, ``hidden 64``) is a string with the space that follows it;
`fill` puts such pieces into lines and never breaks one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_WORD = re.compile(r"\S+\s*")


def size(text: str) -> int:
    """Return how many places of a terminal `text` takes: two for a wide character, none for a combining one."""
    return len(text) if text.isascii() else sum(map(_places, text))


def _places(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1


def pad(text: str, width: int, right: bool = False) -> str:
    """Return `text` with spaces up to `width` places, behind it or (`right`) in front of it."""
    space = " " * (width - size(text))
    return space + text if right else text + space


def printable(text: str) -> str:
    """Return `text` on one line, what would move a cursor or change a terminal's state as an escape sequence.

    Examples
    --------
    >>> printable("two\\nlines") + "," + printable("red: \\x1b[31m")
    'two lines,red: \\\\x1b[31m'
    """
    if text.isprintable():
        return text
    shown = (" " if c.isspace() else c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def words(text: str) -> list[str]:
    """Return the words of a text, each with the space that follows it."""
    return _WORD.findall(text)


def facts(text: str) -> list[str]:
    """Return the pieces of ``hidden 64, seed 0, ...``; a fact of more than three words may be broken between them."""
    parts = re.findall(r".*?(?:, |$)", text)
    return [piece for part in parts if part for piece in ([part] if len(part.split()) <= 3 else words(part))]


def widest(pieces: Sequence[str]) -> int:
    """Return the places that the longest piece needs on a line of its own."""
    return max((size(piece.rstrip()) for piece in pieces), default=0)


def fill(pieces: Sequence[str], width: int, first: str = "", rest: str = "") -> list[str]:
    """Return lines of at most `width` places; one is longer only where a single piece is.

    Parameters
    ----------
    first, rest
        What stands in front of the first line, and of all others.

    Examples
    --------
    >>> fill(["hidden 64, ", "gain 1.0, ", "5 seeds"], 20, rest="  ")
    ['hidden 64, gain 1.0,', '  5 seeds']
    """
    lines, line, used = [], first, size(first)
    empty = True
    for piece in pieces:
        if not empty and used + size(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line, used = rest, size(rest)
        line, used, empty = line + piece, used + size(piece), False
    return [*lines, line.rstrip()]

"""Texts: where they come from, and how they are divided."""

from sandbox import data
from sandbox.errors import UsageError, shorten

__all__ = ["MOST", "SOURCES", "divided", "read"]

MOST = 1_115_394  # characters, as many as Karpathy's "tiny Shakespeare" has (2015)
HELD_OUT = 10  # one part in so many, the last
SOURCES = ("shakespeare", "python", "text")


def read(source, text=None):
    """The records of a source of texts, which for the source `text` is the user's file."""
    if (source == "text") != (text is not None):
        got = f"source {source} and {'no file' if text is None else shorten(text)}"
        raise UsageError(f"source text must be given together with --text FILE, got {got}")
    return data.load("shakespeare" if text else source, text)


def divided(codes):
    """The part of a text that is learned from, and the last tenth."""
    edge = len(codes) - len(codes) // HELD_OUT
    return codes[:edge], codes[edge:]

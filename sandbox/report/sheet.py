"""The sheet that a picture is drawn on: its size, and the title, facts and notes around the panels."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sandbox.report.matrices import Matrices
    from sandbox.report.panels import Plan

GREY = "#555555"


def lay_out(
    drawing: Figure, content: Plan | Matrices, across: float, beside: float, tall: float
) -> tuple[float, float]:
    """Give a figure its size and texts.

    Parameters
    ----------
    content
        Its title and facts stand above the panels, its notes below them.
    across, tall, beside
        Inches that the panels take, and inches that are left free on their right.

    Returns
    -------
    tuple of float
        The upper right corner of the panels, as shares of the figure.
    """
    width = across + beside
    head = wrapped(content.title, int((width - 0.2) / 0.106))
    facts, foot = (wrapped(text, int((width - 0.2) / 0.073)) for text in (content.facts, "; ".join(content.notes)))
    above = 0.41 + 0.21 * head.count("\n") + 0.17 * (facts.count("\n") + 1)
    below = 0.1 + (0.17 * (foot.count("\n") + 1) if foot else 0.0)
    height = above + tall + below
    drawing.set_size_inches(width, height)
    drawing.get_layout_engine().set(rect=(0.0, below / height, across / width, tall / height), h_pad=0.06, w_pad=0.06)
    plain = dict(x=0.1 / width, ha="left", va="top", parse_math=False, in_layout=False)
    drawing.text(y=1 - 0.1 / height, s=head, fontsize=10.5, fontweight="bold", **plain)
    lower = 0.31 + 0.21 * head.count("\n")
    drawing.text(y=1 - lower / height, s=facts, fontsize=8, color=GREY, **plain)
    drawing.text(y=(below - 0.04) / height, s=foot, fontsize=8, color=GREY, **plain)
    return across / width, 1 - above / height


def wrapped(text: str, width: int) -> str:
    """Return a text in lines of at most so many characters."""
    return "\n".join(textwrap.wrap(" ".join(text.split()), max(width, 10)))


def in_lines(text: str, width: int) -> str:
    """Return a name in at most three lines, broken at commas, colons and blanks where it has any."""
    parts = [""]
    for piece in re.findall(rf".{{1,{width}}}?(?:[,:; ]+|$)|.{{{width}}}", " ".join(text.split())):
        parts = [*parts[:-1], parts[-1] + piece] if len(parts[-1] + piece.rstrip()) <= width else [*parts, piece]
    parts = parts if len(parts) <= 3 else [*parts[:2], parts[2][: width - 1] + "\u2026"]
    return "\n".join(part.rstrip() for part in parts)

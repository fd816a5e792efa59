"""What experiments on texts declare: where a text comes from and how much of it is taken, a file of one's own."""

import numpy as np

from sandbox import corpora, data
from sandbox.axes import Axis
from sandbox.corpora._texts import MOST, SOURCES, divided
from sandbox.errors import UsageError
from sandbox.sources import SETTINGS

__all__ = ["MOST", "SETTING", "check", "columns", "length", "load", "reads", "source", "spread"]

SETTING = SETTINGS[0]  # --text FILE, which is the source text


def source():
    """The axis of where a text comes from."""
    return Axis(["shakespeare"], kind=str, choices=SOURCES,
                help="text: shakespeare, python (its library), or text (--text FILE)")  # fmt: skip


def length(default: int = MOST):
    """The axis of how much of a text is taken, from its start."""
    return Axis([default], kind=int, minimum=100, maximum=100_000_000, help="characters of the text, from its start")


def reads(grid, settings):
    """What the texts of a grid are called, and what is said where one stands for another: an experiment's `data`."""
    own = settings.get("text")
    return {name: (data.label("shakespeare", own), "") if name == "text" else (data.label(name), data.note(name))
            for name in grid["source"] if name != "text" or own}  # fmt: skip


def load(corpus: str, source: str, length: int, text: str | None) -> corpora.Corpus:
    """The corpus of a point, characters or words; the user's file is of the source text alone."""
    return corpora.load(corpus, source=source, text=text if source == "text" else None, most=length)


def check(grid, settings, corpus: str, apart: bool = False) -> None:
    """Refuse what no point could be run with: part of an experiment's `check`.

    Parameters
    ----------
    corpus
        As of `load`.
    apart
        Whether sequences are windows that start from nothing, and have to fit into what is learned from.

    Raises
    ------
    UsageError
        A file that is missing or that no corpus can be made of, a window as long as the text, or only models with
        states of all steps so far for a text that never ends.
    """
    models = grid.get("model", ("",))
    if not apart and all(model.partition(":")[0] == "transformer" for model in models):
        rule = f"recurrent or a window for {corpus}, whose sequences never end"
        raise UsageError(f"model must be {rule}, got {', '.join(models)} (crossover has windows)")
    shortest = min(grid["text_length"])
    learned = len(divided(range(shortest))[0])
    if "text" in grid["source"]:
        learned = len(load(corpus, "text", shortest, settings.get("text")).facts["train"])
    if apart and max(grid["seq_len"]) >= learned:
        raise UsageError(f"seq_len must be below the {learned} symbols to learn from, got {max(grid['seq_len'])}")


def columns(fit, corpus, model) -> dict[str, object]:
    """What all tables of language models end with."""
    return {"parameters": model.vector.size, "updates_done": fit.updates, "data": corpus.label, **fit.ending()}


def spread(model):
    """The model, whose symbols' vectors have elements of variance 1 from now on instead of 1 / D.

    What flows in is as large then as noise of variance 1: after 600 updates a GRU of 128 units is at 2.65 bits a
    character in place of 2.79.
    """
    model.embedding.parameters["W"][:] *= model.dtype.type(np.sqrt(model.embedding.output_size))
    return model

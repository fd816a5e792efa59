"""What an encoder-decoder writes for sequences that were held out, and where it looked and failed.

written = transcribe(model, sources, steps=30)
exact, error_rate = edits.scores(written, accepted)
"""

from collections.abc import Sequence

import numpy as np

from sandbox import decoding
from sandbox.alphabet import END
from sandbox.edits import scores
from sandbox.errors import unknown
from sandbox.shapes import padded

__all__ = ["HOW", "alignment", "by_length", "steps_for", "transcribe"]

HOW = ("greedy", "sampled", "beam")


def transcribe(model, sources: Sequence[np.ndarray], *, steps: int, how: str = "greedy", rng=None, width: int = 4,
               temperature: float = 1.0, batch: int = 256) -> list[tuple[int, ...]]:  # fmt: skip
    """What a model writes for each source, without `END`.

    Parameters
    ----------
    model : Seq2Seq
    sources : list of (S_i,) symbols or (S_i, D)
    steps : int
        Most symbols of one.
    how : {"greedy", "sampled", "beam"}
    rng, temperature
        Of "sampled".
    width : int
        Of "beam".
    batch : int
        How many are written at once. It changes no symbol but sampled ones.
    """
    if how not in HOW:
        raise unknown("decoding", how, HOW)
    arguments = {"greedy": {}, "sampled": {"rng": rng, "temperature": temperature}, "beam": {"width": width}}[how]
    order, found = sorted(range(len(sources)), key=lambda row: len(sources[row])), [()] * len(sources)
    for first in range(0, len(order), batch):
        rows = order[first : first + batch]
        x, lengths = padded([sources[row] for row in rows])
        x = x.astype(model.dtype) if x.ndim == 3 else x
        written = getattr(decoding, how)(model, *model.start(x, lengths), steps=steps, **arguments)
        for b, row in enumerate(rows):
            found[row] = tuple(written.symbols[: written.lengths[b], b].tolist())
    return found


def steps_for(accepted: Sequence[Sequence[Sequence]]) -> int:
    """How many symbols to let a model write: half as many again as the longest right way and its end have."""
    return 3 * (1 + max(len(way) for ways in accepted for way in ways)) // 2


def by_length(written: Sequence[Sequence], accepted: Sequence[Sequence[Sequence]], sources: Sequence) -> dict:
    """A curve: `exact`, the share that is right, of the sources of each length, and how many there are."""
    rows = {}
    for row, source in enumerate(sources):
        rows.setdefault(len(source), []).append(row)
    lengths = sorted(rows)
    exact = [scores([written[row] for row in rows[n]], [accepted[row] for row in rows[n]])[0] for n in lengths]
    return {"length": lengths, "exact": exact, "sources": [len(rows[n]) for n in lengths]}


def alignment(model, source: np.ndarray, written: Sequence[int], letters, symbols) -> tuple[dict, str]:
    """Where attention looks while a model writes.

    Parameters
    ----------
    model : Seq2Seq
        With an attention.
    source : (S,) symbols
    written : sequence of int
        Without `END`, which is added.
    letters, symbols : Alphabet

    Returns
    -------
    curve : dict
        `step`, and the weight of each letter at each step: `1 c`, `2 a`, `3 t`.
    text : str
        The same as a table of tabs, a row for each symbol.
    """
    target = np.array([*written, END], np.int64)
    weights = model.alignment(source[:, np.newaxis], target[:, np.newaxis])[:, 0]
    heads = [f"{place} {letter}" for place, letter in enumerate(letters.decode(source), 1)]
    curve = {"step": list(range(1, len(target) + 1))}
    curve |= {head: column.tolist() for head, column in zip(heads, weights.T.astype(np.float64), strict=True)}
    lines = ["\t".join([symbol, *(f"{weight:.3f}" for weight in row)])
             for symbol, row in zip(symbols.decode(target), weights.tolist(), strict=True)]  # fmt: skip
    return curve, "\n".join(["\t".join(["", *letters.decode(source)]), *lines, ""])

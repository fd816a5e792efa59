"""What an encoder-decoder writes for what was held out: how much of it is right, and where it looked.

Corpora of sequences for sequences say in their facts what to read (`sources`) and all right ways to write it
(`accepted`); corpora of one for many what to write for (`prompts`) and what counts as right (`right`).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from sandbox import decoding
from sandbox.alphabet import END
from sandbox.edits import scores
from sandbox.errors import unknown
from sandbox.seq2seq import Seq2Seq
from sandbox.shapes import evenly, padded
from sandbox.streams import stream
from sandbox.tasks import ln

__all__ = ["HOW", "alignment", "beside", "by_length", "held_against", "model_for", "transcribe", "written_for"]

HOW = ("greedy", "sampled", "beam")


def model_for(task, seed: int, *, hidden: int, **arguments) -> Seq2Seq:
    """An encoder-decoder of a task's sizes, initial weights from stream "init", masks and coins from "dropout".

    Symbols have vectors of `hidden` numbers; both directions of an encoder are added up, so that every attention fits.
    """
    width = task.input_size if task.symbols is None else hidden
    return Seq2Seq(width, task.output_size, symbols=task.symbols, hidden=hidden, merge="sum", rng=stream("init", seed),
                   noise=stream("dropout", seed), **arguments)  # fmt: skip


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
        For each symbol written, `step`, and each letter, `position`, both from 1, the `weight`; further the symbol,
        `written`, the `letter`, and the whole source, `word`.
    text : str
        The same as a table of tabs, a row for each symbol.
    """
    target = np.array([*written, END], np.int64)
    weights = model.alignment(source[:, np.newaxis], target[:, np.newaxis])[:, 0].astype(np.float64)
    (T, S), rows, columns = weights.shape, symbols.decode(target), letters.decode(source)
    curve = {"step": [step + 1 for step in range(T) for _ in range(S)],
             "position": [position + 1 for _ in range(T) for position in range(S)],
             "weight": weights.ravel().tolist(), "written": [row for row in rows for _ in range(S)],
             "letter": columns * T, "word": ["".join(columns)] * (T * S)}  # fmt: skip
    lines = [["", *columns]]
    for row, shares in zip(rows, weights.tolist(), strict=True):
        lines.append([row, *(f"{share:.3f}" for share in shares)])
    return curve, "".join("\t".join(line) + "\n" for line in lines)


def beside(titles: Sequence[str], written: Mapping[str, Sequence], symbols, between: str, rows: int = 40) -> str:
    """What was written in several ways as a table of tabs: some titles, spread evenly, with all ways beside each."""
    chosen = evenly(np.arange(len(titles)), rows)
    lines = [["", *written]]
    lines += [
        [titles[row], *(between.join(symbols.decode(found[row])) for found in written.values())] for row in chosen
    ]
    return "".join("\t".join(line) + "\n" for line in lines)


# All that an experiment says of a model --------------------------------------------------------------------------


def held_against(corpus, model) -> tuple[dict, dict, dict]:
    """What a model of sequences for sequences writes, held against all right ways.

    Returns
    -------
    metrics : dict
        `exact` and `error_rate` of greedy decoding, `exact_beam` and `error_rate_beam` of a beam of 4, those of the
        rival, `parameters`, and the label of the data.
    curves : dict
        `by_length`, and with an attention the `alignment` of three sources: one of middle length and two longer ones.
    files : dict
        The alignments as tables.
    """
    facts = corpus.facts
    sources, accepted = facts["sources"], facts["accepted"]
    steps = 3 * (1 + max(len(way) for ways in accepted for way in ways)) // 2
    greedy, best = (transcribe(model, sources, steps=steps, how=how) for how in ("greedy", "beam"))
    metrics = dict(zip(("exact", "error_rate"), scores(greedy, accepted), strict=True))
    metrics |= dict(zip(("exact_beam", "error_rate_beam"), scores(best, accepted), strict=True))
    metrics |= {"rival": corpus.rival_score, "rival_error": facts["rival_error"], "parameters": model.vector.size}
    curves, files = {"by_length": by_length(greedy, accepted, sources)}, {}
    if model.decoder.attention is not None:
        order = sorted(range(len(sources)), key=lambda row: len(sources[row]))
        rows = [order[part * len(order) // 20] for part in (10, 14, 17)]
        found = [alignment(model, sources[row], greedy[row], facts["letters"], facts["symbols"])
                 for row in dict.fromkeys(rows)]  # fmt: skip
        curves["alignment"] = {name: [value for curve, _ in found for value in curve[name]] for name in found[0][0]}
        files["alignment.tsv"] = "\n".join(text for _, text in found)
    return metrics | {"data": corpus.label}, curves, files


def written_for(corpus, model, loss: float, seed: int, temperature: float = 1.0) -> tuple[dict, dict]:
    """What a model of one for many writes in each way of decoding.

    Returns
    -------
    metrics : dict
        `bits` a symbol, and its rival's; `error_rate` of greedy decoding, and the rival's, None where there is no
        one right way; of each way of decoding the share that is `right_...`, and of what was written
        for one and the same how much is `different_...`; `right_reference` as the corpus has it, the rival's score,
        `parameters`, and the label of the data.
    files : dict
        Some of what was written, as a table.
    """
    facts = corpus.facts
    titles, steps = facts["titles"], 2 * facts["longest"]
    written = {how: transcribe(model, facts["prompts"], steps=steps, how=how, rng=stream("probe", seed),
                               temperature=temperature) for how in HOW}  # fmt: skip
    metrics = {"bits": loss / ln(2), "rival": corpus.rival_score, "rival_error": facts["rival_error"]}
    metrics["error_rate"] = scores(written["greedy"], facts["accepted"])[1] if "accepted" in facts else None
    for how, found in written.items():
        right = [facts["right"](number, symbols) for number, symbols in enumerate(found)]
        metrics[f"right_{how}"] = right.count(True) / len(right)
        metrics[f"different_{how}"] = len(set(zip(titles, found, strict=True))) / len(found)
    metrics |= {"right_reference": facts["reference"], "parameters": model.vector.size, "data": corpus.label}
    return metrics, {"written.tsv": beside(titles, written, facts["symbols"], facts["between"])}

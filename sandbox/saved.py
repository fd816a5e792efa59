"""Language models as files: what an experiment keeps of one among the files of a point, and going on with a text.

`model.npz` is an archive as `sandbox.archive.pack` makes them, the same bytes for the same model:

==================  ================================================================================================
fact `kind`         "language"
fact `version`      1
fact `unit`         "character" or "word": what a symbol is, and how a prompt is taken apart (`corpora.words.tokens`)
fact `alphabet`     the symbols by number, texts; the last may be "<rare>", which stands for all others
fact `arguments`    of `sandbox.model.Model`, all but the generators
other facts         whatever the experiment adds: the data's label, the loss
array `vector`      (N,) all parameters, in the order of the model's `blocks`
==================  ================================================================================================
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sandbox import archive
from sandbox.alphabet import RARE, Alphabet
from sandbox.decoding import LanguageModel, beam, sampled
from sandbox.errors import UsageError, shorten, unknown
from sandbox.model import Model
from sandbox.streams import stream

__all__ = ["NAME", "Saved", "UNITS", "load_model", "save_model", "written"]

NAME = "model.npz"  # of the file of a point
UNITS = ("character", "word")
VERSION = 1
BROKEN = (KeyError, TypeError, AttributeError, ValueError, MemoryError)  # what an archive with other content gives


@dataclass(frozen=True)
class Saved:
    """A model that was read back: with its alphabet, what a symbol is, and all facts of its file."""

    model: Model
    alphabet: Alphabet
    unit: str
    facts: dict = field(repr=False)

    def encode(self, prompt: str) -> tuple[np.ndarray, list[str]]:
        """Return the numbers (T,) of a prompt, and what of it the model does not know and reads as `<rare>`.

        Raises
        ------
        UsageError
            When there is no symbol in it, or one that a model without a symbol for rare ones does not know.
        """
        pieces = _pieces(prompt, self.unit)
        if not pieces:
            raise UsageError(f"--prompt must have {self.unit}s to go on from, got {shorten(prompt) or 'nothing'}")
        strange = list(dict.fromkeys(piece for piece in pieces if piece not in self.alphabet.numbers))
        if strange and self.alphabet.symbols[-1] != RARE:
            known = shorten(" ".join(map(_visible, self.alphabet.symbols)), 120)
            hint = f"leave it out or write it in others: {known}"
            raise UsageError(f"--prompt must be of {self.unit}s that the model has seen, got {strange[0]!r} ({hint})")
        return self.alphabet.encode(pieces), strange

    def spell(self, numbers: Sequence[int]) -> str:
        """Return symbols as what follows a prompt: characters, or words with a blank before each that is no mark."""
        symbols = self.alphabet.decode(numbers)
        return "".join(symbols) if self.unit == "character" else re.sub(r" (?=[.,;:!?])", "", " " + " ".join(symbols))

    def usual_start(self) -> str:
        """Return a prompt for who gives none: the end of a line or of a sentence, or else the first symbol."""
        return next((each for each in ("\n", ".", " ") if each in self.alphabet.numbers), self.alphabet.symbols[0])


def save_model(model: Model, arguments: dict, alphabet: Alphabet | Sequence[str], unit="character", **facts) -> bytes:
    """Return a language model as the bytes of a file.

    Parameters
    ----------
    model
        Over symbols, with the head `every`.
    arguments
        What the model was made with beside its sizes, head and dtype, which it knows: cell, hidden, layers, dropout and
        the like. Generators are left out, and so is `embedding`, which `sandbox.training.model_for` takes.
    alphabet
        The symbols by number.
    unit
        "character" or "word".
    **facts
        What else the file should say, as JSON can hold it.

    Raises
    ------
    UsageError
        When the arguments make another model than this one, or the alphabet has another size.

    Examples
    --------
    >>> model = Model(4, 3, symbols=3, head="every", cell="gru", hidden=5, rng=stream("init", 0))
    >>> saved = load_model(save_model(model, {"cell": "gru", "hidden": 5}, "abc", loss=1.5))
    >>> saved.alphabet.symbols, saved.facts["loss"], bool((saved.model.vector == model.vector).all())
    (('a', 'b', 'c'), 1.5, True)
    """
    if unit not in UNITS:
        raise unknown("unit", unit, UNITS)
    LanguageModel(model)  # refuses what cannot go on with a text
    symbols = list(alphabet.symbols if isinstance(alphabet, Alphabet) else alphabet)
    sizes = {"input_size": model.embedding.output_size, "output_size": model.output.output_size,
             "symbols": model.embedding.symbols, "head": model.head, "dtype": model.dtype.name}  # fmt: skip
    if not len(symbols) == sizes["symbols"] == sizes["output_size"]:
        got = f"{len(symbols)} of them, {sizes['symbols']} inputs and {sizes['output_size']} outputs"
        raise UsageError(f"alphabet must have a symbol for each input and output of the model, got {got}")
    plain = {name: value for name, value in arguments.items() if name not in ("rng", "noise", "embedding")} | sizes
    if _made(plain).blocks != model.blocks:
        raise UsageError("arguments must be those that the model was made with, got those of one with other parameters")
    facts = {**facts, "kind": "language", "version": VERSION, "unit": unit, "alphabet": symbols, "arguments": plain}
    return archive.pack(facts, {"vector": model.vector})


def load_model(source) -> Saved:
    """Return the language model of a file, or of its bytes.

    Raises
    ------
    UsageError
        When the file is missing, damaged, of another kind, or of a version that this one cannot read.
    """
    facts, arrays = archive.unpack(source, "model", "saved.save_model")
    where = f"{len(source)} bytes" if isinstance(source, bytes) else source
    if facts.get("kind") != "language" or facts.get("version") != VERSION:
        got = f"kind {shorten(facts.get('kind'))}, version {shorten(facts.get('version'))} in {where}"
        raise UsageError(f"model must be a language model of version {VERSION}, got {got}")
    try:
        alphabet = Alphabet(tuple(facts["alphabet"]))
        model, vector = _made(facts["arguments"]), arrays["vector"]
        fits = vector.shape == model.vector.shape and vector.dtype == model.dtype and facts["unit"] in UNITS
        if not fits or len(alphabet) != len(alphabet.numbers) or len(alphabet) != model.embedding.symbols:
            raise ValueError("its parameters or its alphabet do not fit the model")
        LanguageModel(model)
        model.vector[:] = vector
    except BROKEN as error:
        why = shorten(f"no {error}" if isinstance(error, KeyError) else error, 120)
        raise UsageError(f"model must be a file written by saved.save_model, got {where} ({why})") from None
    return Saved(model, alphabet, facts["unit"], facts)


def written(saved: Saved, prompt: Sequence[int], length: int, *, temperature=1.0, top_k=None, width=None, seed=0):
    """Return the numbers (length,) with which a model goes on after a prompt; it never writes `<rare>`.

    Parameters
    ----------
    prompt
        Numbers, as `Saved.encode` gives them.
    temperature, top_k
        As of `sandbox.decoding.sampled`.
    width
        Of a beam search, by which the likeliest text is looked for instead of a random one.
    seed
        Of the random draws.

    Raises
    ------
    UsageError
        For a model that gives numbers which are not finite, and as `sandbox.decoding.sampled`.
    """
    rare = len(saved.alphabet) - 1 if saved.alphabet.symbols[-1] == RARE else None
    writer = _Known(saved.model, rare)
    start = writer.start(np.asarray(prompt, np.int64)[:, np.newaxis])
    if width is not None:
        return beam(writer, *start, steps=length, width=width, end=None).symbols[:, 0]
    rng = stream("probe", seed)
    found = sampled(writer, *start, steps=length, rng=rng, temperature=temperature, top_k=top_k, end=None)
    return found.symbols[:, 0]


class _Known(LanguageModel):
    """A language model that never writes one of its symbols, and no text out of numbers that are none."""

    def __init__(self, model, rare):
        super().__init__(model)
        self.rare = rare

    def step(self, symbols, states):
        logits, states = super().step(symbols, states)
        if not np.isfinite(logits).all():
            wrong = float(logits[~np.isfinite(logits)][0])
            raise UsageError(f"model must give finite numbers to go on with a text, got {wrong} (training diverged)")
        if self.rare is not None:
            logits = logits.copy()
            logits[:, self.rare] = -np.inf
        return logits, states


def _made(arguments: dict) -> Model:
    """A model of these arguments, with masks that nobody draws."""
    return Model(**arguments, rng=stream("init", 0), noise=stream("dropout", 0))


def _pieces(text: str, unit: str) -> list[str]:
    if unit == "character":
        return list(text)
    from sandbox.corpora.words import tokens

    return tokens(text)


def _visible(symbol: str) -> str:
    shown = repr(symbol)
    return shown[1:-1] if shown[1:-1].strip() else shown

"""Four-part chorales, one voice after the other: which pitch comes next?

Source: 364 chorales by J. S. Bach on a grid of quarter notes; generated progressions where they were not fetched. A
step is four symbols, soprano, alto, tenor, bass, each a voice and a pitch or rest (as BachBot's, Liang 2016): a model
of the next symbol has then the exact likelihood of whole steps, whose -ln p is the sum of four, in nats a step.
Division: by chorale, 20 % held out; those that share eight steps in a row, in any key, with one that is held out are
not learned from (14 of 292). What is learned from may be transposed, each chorale up and down. Rival: a Markov chain of
order 1 for each voice (`sandbox.rivals.ngrams.markov`), about 8.5 nats a step. A stronger one is beside it, Kneser and
Ney's n-gram model of order 7 over the same symbols, which sees the voices above and the step before and learns from all
that the network does, transposed copies included; of orders 4 to 7 the best on a fifth of what is learned from.
"""

import numpy as np

from sandbox import data, shapes
from sandbox.alphabet import Alphabet
from sandbox.corpora import Corpus
from sandbox.kernels.reductions import mean
from sandbox.rivals.ngrams import kneser_ney, markov

__all__ = ["REST", "VOICES", "InTurn", "corpus", "opening", "serial", "steps"]

VOICES = "SATB"
REST = -1
SHARED = 8  # steps in a row that make two chorales one
ORDER = 7


def corpus(transposed=0, most=None) -> Corpus:
    """A language model of chorales.

    Parameters
    ----------
    transposed : int
        Every chorale that is learned from comes in as many keys up and as many down, half a tone apart.
    most : int, optional
        Most chorales, from the first.
    """
    found = data.load("chorales")
    pieces = [np.asarray(piece, np.int64) for piece in found.records[:most] if len(piece)]
    learned, held_out = shapes.split(len(pieces))
    if not found.fallback:  # generated ones repeat their few progressions
        learned = _apart(pieces, learned, held_out)
    alphabet, shifts = _alphabet(pieces, transposed), range(-transposed, transposed + 1)
    copies = [(pieces[row], shift) for row in learned for shift in shifts if shift]
    symbols = [serial(piece, alphabet, shift) for piece, shift in [*((piece, 0) for piece in pieces), *copies]]
    parts = (np.concatenate([learned, np.arange(len(pieces), len(symbols))]), held_out)
    inputs = [np.concatenate([[len(alphabet)], each[:-1]]) for each in symbols]  # what stands before the beginning
    task = shapes.tagging("chorales", inputs, symbols, len(alphabet), parts=parts, symbols=len(alphabet) + 1,
                          paper="Boulanger-Lewandowski et al. 2012; Liang 2016")  # fmt: skip
    read, asked = ([symbols[row] for row in rows] for rows in parts)
    facts = {"alphabet": alphabet, "pieces": pieces, "held_out": held_out, "learned": learned,
             "ngram": _ngram(read, asked, len(alphabet))}  # fmt: skip
    return Corpus(task, found.label, "Markov-1", _rival(pieces, learned, held_out), facts=facts)


def _alphabet(pieces, transposed):
    """Symbols of all voices: the rest and every pitch between the lowest and the highest one."""
    names = []
    for voice, name in enumerate(VOICES):
        pitches = np.concatenate([piece[:, voice] for piece in pieces])
        low, high = pitches[pitches != REST].min() - transposed, pitches.max() + transposed
        names += [f"{name}{pitch}" for pitch in (REST, *range(max(0, low), min(127, high) + 1))]
    return Alphabet(tuple(names))


def serial(piece: np.ndarray, alphabet: Alphabet, shift: int = 0) -> np.ndarray:
    """The symbols (4 T,) of a chorale (T, 4), so many half tones higher."""
    moved = np.where(piece == REST, REST, np.clip(piece + shift, 0, 127))
    return alphabet.encode(
        [f"{name}{pitch}" for step in moved.tolist() for name, pitch in zip(VOICES, step, strict=True)]
    )


def steps(symbols: np.ndarray, alphabet: Alphabet) -> np.ndarray:
    """The chorale (T, 4) of symbols (4 T,), whose voices come in turn."""
    return np.array([int(name[1:]) for name in alphabet.decode(symbols)], np.int64).reshape(-1, len(VOICES))


def opening(piece: np.ndarray, alphabet: Alphabet) -> np.ndarray:
    """A chorale's first steps (T, 4) as what a model reads, (1 + 4 T, 1)."""
    return np.concatenate([[len(alphabet)], serial(piece, alphabet)])[:, None]


class InTurn:
    """A writer of `sandbox.decoding` that goes on from whole steps and writes only the voice whose turn it is."""

    def __init__(self, writer, alphabet):
        self.writer, self.start, self.turn = writer, writer.start, 0
        self.voices = np.array([[name[0] == voice for name in alphabet.symbols] for voice in VOICES])

    def step(self, symbols, states):
        """Logits after one further symbol, -inf for the other voices' symbols, and the states."""
        logits, states = self.writer.step(symbols, states)
        voice, self.turn = self.voices[self.turn], (self.turn + 1) % len(VOICES)
        return np.where(voice, logits, logits.dtype.type(-np.inf)), states


def _apart(pieces, learned, held_out):
    """The rows learned from without those that share `SHARED` steps in a row, in any key, with one that is held out."""
    known = {run for row in held_out for run in _runs(pieces[row])}
    return np.array([row for row in learned if known.isdisjoint(_runs(pieces[row]))], np.int64)


def _runs(piece):
    """All runs of `SHARED` steps of a chorale, as pitches above the lowest of the run."""
    windows = [piece[first : first + SHARED] for first in range(len(piece) - SHARED + 1)]
    return [np.where(each == REST, REST, each - each[each != REST].min()).tobytes() for each in windows
            if (each != REST).any()]  # fmt: skip


def _ngram(learned, held_out, symbols):
    """Nats a step of the n-gram model over the symbols of all voices; before each chorale stand symbols of its own."""

    def text(sequences):
        return np.concatenate([part for each in sequences for part in (np.full(ORDER, symbols), each)])

    codes = text(held_out)
    costs = -kneser_ney(text(learned), codes, symbols + 1, ORDER)
    return len(VOICES) * float(mean(np.ascontiguousarray(costs[codes[1:] != symbols])))


def _rival(pieces, learned, held_out):
    """Nats a step of the chains of all voices."""
    found = 0.0
    for voice in range(len(VOICES)):
        lines = Alphabet.of([[str(pitch) for pitch in piece[:, voice]] for piece in pieces])
        codes = [lines.encode([str(pitch) for pitch in piece[:, voice]]) for piece in pieces]
        found += markov([codes[row] for row in learned], [codes[row] for row in held_out], len(lines))
    return found

"""Writing symbol by symbol: the likeliest next one, one drawn at random, or the best of several whole sequences.

What can write has three methods, of which `Seq2Seq` has its own and `LanguageModel` gives them to a `Model`:

    start(...)              -> states, symbols (B,)         what the first step takes
    step(symbols, states)   -> logits (B, O), states        after one further symbol
    select(states, rows)    -> states                       of these rows, each as often as it is named

    decoded = greedy(model, *model.start(x, lengths), steps=30)

Where two symbols are equally likely, the lower number is taken. Log-probabilities are sums in float64.
"""

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np

from sandbox.alphabet import END
from sandbox.errors import UsageError
from sandbox.kernels import sampling
from sandbox.kernels.activations import exp_array, log_array
from sandbox.layers.module import check_generator, check_size

__all__ = ["Decoded", "LanguageModel", "beam", "greedy", "matches", "sampled"]


@dataclass(frozen=True)
class Decoded:
    """What was written.

    Attributes
    ----------
    symbols : (T, B) int64
        Behind a row's end only `end`.
    lengths : (B,) int64
        Symbols of each row before its end.
    log_probability : (B,) float64
        Sum of log p of all symbols of a row, its end included; of sampled ones that of the shares drawn from.
    """

    symbols: np.ndarray
    lengths: np.ndarray
    log_probability: np.ndarray


class LanguageModel:
    """A model of symbols with the head `every`, as something that goes on with a text.

    Parameters
    ----------
    model : Model
        Its output are logits of the next symbol.

    Examples
    --------
    >>> from sandbox.model import Model
    >>> from sandbox.streams import stream
    >>> writer = LanguageModel(Model(4, 9, symbols=9, head="every", rng=stream("init", 0)))
    >>> greedy(writer, *writer.start(np.array([[3], [1], [4]])), steps=5, end=None).symbols.shape
    (5, 1)
    """

    def __init__(self, model):
        if model.embedding is None or model.head != "every":
            raise UsageError(f"model must read symbols and have head every to go on with a text, got head {model.head}")
        if model.stack.direction != "forward":
            raise UsageError(f"direction must be forward to go on with a text, got {model.stack.direction}")
        self.model = model

    def start(self, prompt, states=None):
        """What `step` starts from when it has read all of a prompt (T, B) but its last symbols, and these.

        Parameters
        ----------
        prompt : (T, B) symbols, T at least 1
        states : optional
            Of an earlier text, which this one continues.
        """
        prompt = np.asarray(prompt)
        if prompt.ndim != 2 or not prompt.size:
            raise UsageError(f"prompt must have shape (T, B) with at least one symbol, got {prompt.shape}")
        if len(prompt) > 1:
            self.model.forward(prompt[:-1], states)
            states = self.model.last.states()
        return states, prompt[-1]

    def step(self, symbols, states):
        """Logits (B, O) after one further symbol (B,), and the states."""
        return self.model.forward(symbols[np.newaxis], states)[0], self.model.last.states()

    def select(self, states, rows):
        """The states of these rows (N,): arrays by name, with rows as their first axis."""
        if states is None:
            return None
        return [{name: value[rows] for name, value in layer.items()} for layer in states]


def greedy(model, states, symbols, *, steps, end=END) -> Decoded:
    """The likeliest symbol at each step, until every row has ended.

    Parameters
    ----------
    model, states, symbols
        What writes, and what its `start` gave.
    steps : int
        Most symbols of a row.
    end : int or None
        The symbol that ends a row; None where none does.
    """
    return _written(model, states, symbols, steps, end, lambda logits: (logits.argmax(axis=-1), _shares(logits)))


def sampled(model, states, symbols, *, steps, rng, temperature=1.0, top_k=None, end=END) -> Decoded:
    """A symbol drawn at each step from softmax(logits / temperature).

    Parameters
    ----------
    model, states, symbols, steps, end
        As for `greedy`.
    rng : numpy.random.Generator
        One uniform number for each row and step.
    temperature : float
        From 0: towards 0 the likeliest symbols take it all, and at 0 it is `greedy`.
    top_k : int, optional
        Only so many of the likeliest symbols have a chance.

    Raises
    ------
    UsageError
        For a temperature below 0 or not finite, or a `top_k` below 1.
    """
    check_generator("rng", rng, "data")
    _check_finite("temperature", temperature)
    most = 1 if temperature == 0 else None if top_k is None else check_size("top_k", top_k)

    def choose(logits):
        shares = _shares(logits if most is None else _only(logits, most), temperature or 1.0)
        return sampling.draw(shares, rng.random(len(logits))), shares

    return _written(model, states, symbols, steps, end, choose)


def _written(model, states, symbols, steps, end, choose):
    """Symbols chosen step by step: `choose` gives them, and log p of all there are."""
    B, rows = len(symbols), np.arange(len(symbols))
    written, ended, log_probability = [], np.zeros(B, bool), np.zeros(B)
    lengths = np.zeros(B, np.int64)
    for _ in range(check_size("steps", steps)):
        logits, states = model.step(symbols, states)
        symbols, shares = choose(logits)
        log_probability[~ended] += shares[rows, symbols][~ended]
        if end is not None:
            symbols = np.where(ended, end, symbols)
            ended |= symbols == end
        lengths += ~ended
        written.append(symbols)
        if ended.all():
            break
    return Decoded(np.stack(written), lengths, log_probability)


def _check_finite(name, value):
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < math.inf:
        raise UsageError(f"{name} must be a finite number from 0, got {value}")


def _shares(logits, temperature=1.0):
    return sampling.log_softmax(np.ascontiguousarray(logits), float(temperature))


def _only(logits, most):
    """Logits with all but the largest set to -inf; of equal ones the first count as larger."""
    kept = np.argsort(-logits, axis=-1, kind="stable")[:, :most]
    found, rows = np.full(logits.shape, -np.inf, logits.dtype), np.arange(len(logits))[:, np.newaxis]
    found[rows, kept] = logits[rows, kept]
    return found


# Several sequences at once ---------------------------------------------------------------------------------------


def beam(model, states, symbols, *, steps, width=5, normalisation=1.0, end=END) -> Decoded:
    """The best of the sequences that are found when `width` of them are followed at once.

    At each step those that go on are the likeliest of all continuations; one that ends leaves, and its place stays
    empty (Sutskever, Vinyals & Le 2014, section 3.2). Those that ended, and those that still go on after the last
    step, are compared by log p / length^normalisation, END counted: 0 prefers short ones, 1 compares means (Wu et al.
    2016, section 7, have a like formula). A width of 1 is `greedy`.

    Parameters
    ----------
    model, states, symbols, steps, end
        As for `greedy`.
    width : int
    normalisation : float
        A finite number from 0.
    """
    B, width, steps = len(symbols), check_size("width", width), check_size("steps", steps)
    _check_finite("normalisation", normalisation)
    divisors = exp_array(float(normalisation) * log_array(np.arange(1.0, steps + 1)))
    rows = np.repeat(np.arange(B), width)
    found, states, symbols = _Found(B), model.select(states, rows), symbols[rows]
    scores = np.where(np.arange(width) == 0, np.zeros((B, 1)), -np.inf)  # all places are the same at first: take one
    paths, live = np.zeros((0, B, width), np.int64), np.full(B, width)
    for step in range(steps):
        logits, states = model.step(symbols, states)
        O = logits.shape[1]
        candidates = (scores[:, :, np.newaxis] + _shares(logits).reshape(B, width, O)).reshape(B, width * O)
        best = np.argsort(-candidates, axis=1, kind="stable")[:, :width]
        scores, chosen = candidates[np.arange(B)[:, np.newaxis], best], best % O
        parents = np.arange(B)[:, np.newaxis] * width + best // O
        paths = paths.reshape(step, B * width)[:, parents.ravel()].reshape(step, B, width)
        paths = np.concatenate([paths, chosen[np.newaxis]])
        taken = (np.arange(width) < live[:, np.newaxis]) & (scores > -np.inf)
        ended = taken & (chosen == end) if end is not None else np.zeros_like(taken)
        found.take(ended if step < steps - 1 else taken, paths, scores, divisors[step])
        live -= np.count_nonzero(ended, axis=1)
        scores = np.where(taken & ~ended, scores, -np.inf)
        scores[found.score >= scores.max(axis=1) / divisors[-1]] = -np.inf  # log p only falls: none can overtake
        if not (scores > -np.inf).any():
            break
        symbols, states = chosen.ravel(), model.select(states, parents.ravel())
    return found.decoded(end)


class _Found:
    """The best complete sequence of each row so far."""

    def __init__(self, B):
        self.score, self.log_probability, self.paths = np.full(B, -np.inf), np.full(B, np.nan), [np.zeros(0)] * B

    def take(self, complete, paths, scores, divisor):
        """Keep those which are better than what there is; of equal ones the first."""
        for place in range(complete.shape[1]):
            better = complete[:, place] & (scores[:, place] / divisor > self.score)
            for b in np.flatnonzero(better):
                self.score[b], self.log_probability[b] = scores[b, place] / divisor, scores[b, place]
                self.paths[b] = paths[:, b, place]

    def decoded(self, end):
        """All rows side by side."""
        lengths = np.array([len(path) for path in self.paths])
        symbols = np.full((lengths.max(), len(lengths)), 0 if end is None else end, np.int64)
        for b, path in enumerate(self.paths):
            symbols[: len(path), b] = path
        if end is not None:
            lengths = np.array([np.count_nonzero(path != end) for path in self.paths])
        return Decoded(symbols, lengths, self.log_probability)


def matches(symbols, target, mask=None) -> np.ndarray:
    """Which rows (B,) of what was written (T', B) are the target (T, B) to the symbol, where that counts.

    >>> matches(np.array([[2, 2], [3, 3], [0, 0]]), np.array([[2, 2], [3, 0], [0, 0]]))
    array([ True, False])
    """
    T = max(len(symbols), len(target))
    padded = [np.concatenate([value, np.full((T - len(value), value.shape[1]), END)]) for value in (symbols, target)]
    counted = np.ones(padded[1].shape, bool)
    if mask is not None:
        counted[: len(mask)] = mask
        counted[len(mask) :] = False
    return ((padded[0] == padded[1]) | ~counted).all(axis=0)

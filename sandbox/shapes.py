"""The shapes of sequence learning, from sequences to a `Task`: what goes in, what comes out, and when.

=================  =========  =======================================================================
`classification`   last       a sequence in, one class out (a sequence of one step: one-to-one)
`tagging`          every      a sequence in, a class at each of its steps
`language`         every      a long text in, at each step the symbol that comes next
`forecasting`      every      a long series in, at each step its value some steps later
`transduction`     decoder    a sequence in, another of its own length out
=================  =========  =======================================================================

All sequences are those of one corpus, divided once into those to learn from and those held out (`split`): the seed of a
run decides on initial weights and on the order of what is learned, not on the division. Sequences of different length
share a batch, padded behind with zeros. Held-out sequences go into batches by their length, so that little is padded.
"""

from collections.abc import Callable, Sequence

import numpy as np

from sandbox.errors import UsageError
from sandbox.streams import stream
from sandbox.tasks import Batch, Task, accuracy, whole

__all__ = [
    "classification", "evenly", "forecasting", "language", "padded", "prior_loss", "split", "tagging", "transduction",
]  # fmt: skip

HELD_OUT = 0.2


def split(count: int, share: float = HELD_OUT, purpose: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """Divide the numbers below `count` at random, always in the same way: those to learn from, those held out.

    >>> [part.tolist() for part in split(5)]
    [[0, 1, 2, 3], [4]]
    """
    order = np.argsort(stream(purpose, 0).random(count), kind="stable")
    out = max(1, int(count * share)) if count > 1 else 0
    return np.sort(order[out:]), np.sort(order[:out])


def padded(sequences: Sequence[np.ndarray], longest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Sequences side by side, (T, B) or (T, B, D), zeros behind their ends, and their lengths (B,).

    Longer ones than `longest` are cut.
    """
    sequences = [sequence[:longest] for sequence in sequences]
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    out = np.zeros((max(1, int(lengths.max(initial=1))), len(sequences), *sequences[0].shape[1:]), sequences[0].dtype)
    for b, sequence in enumerate(sequences):
        out[: len(sequence), b] = sequence
    return out, lengths


def prior_loss(labels: np.ndarray, held_out: np.ndarray, classes: int) -> float:
    """Cross-entropy in nats of the classes' shares among `labels`, each counted once more, on what is held out."""
    from sandbox.kernels.activations import log_array
    from sandbox.kernels.reductions import mean

    counts = np.bincount(labels, minlength=classes) + 1.0
    costs = -log_array(counts / (len(labels) + classes))
    return float(mean(np.ascontiguousarray(costs[held_out]))) if len(held_out) else float("nan")


def _by_length(rows, sequences, batch):
    """Batches of row numbers, shortest sequences first."""
    lengths = np.array([len(sequences[row]) for row in rows], np.int64)
    rows = rows[np.argsort(lengths, kind="stable")]
    return [rows[first : first + batch] for first in range(0, len(rows), batch)]


def evenly(rows: np.ndarray, most: int | None) -> np.ndarray:
    """So many of the rows, spread evenly over them; all where `most` is None."""
    return rows if most is None or len(rows) <= most else rows[np.arange(most) * len(rows) // most]


def _sequence_task(make, sequences, parts, *, input_size, output_size, head, baseline, name, paper, symbols,
                   score_name="accuracy"):  # fmt: skip
    """A task whose batches are whole sequences: `make(rows, seq_len)` is the batch of these."""
    train, held_out = parts
    if not len(train) or not len(held_out):
        raise UsageError(f"data of {name} must have two sequences at least, got {len(sequences)}")
    longest = max(len(sequence) for sequence in sequences)

    def sample(rng, batch, seq_len):
        return make(train[whole(rng, 0, len(train), batch)], seq_len)

    def batches(batch, seq_len):
        return [make(rows, seq_len) for rows in _by_length(held_out, sequences, batch)]

    return Task(paper, input_size, output_size, "softmax", head, sample, lambda seq_len: baseline, None, None,
                score_name, accuracy, _never, "never", 1, longest, symbols=symbols, held_out=batches,
                name=name)  # fmt: skip


def _never(loss, score):
    return False


def classification(name: str, sequences: Sequence[np.ndarray], labels: np.ndarray, classes: int, *,
                   parts: tuple[np.ndarray, np.ndarray] | None = None, symbols: int | None = None,
                   paper: str = "") -> Task:  # fmt: skip
    """Many to one: the class of each sequence.

    Parameters
    ----------
    name : str
    sequences : list of (T_i, D) float64 or, of symbols, (T_i,) int64
    labels : (N,) int64
    classes : int
    parts : (learned, held out), optional
        Row numbers; `split` where not given.
    symbols : int, optional
        How many there are.
    paper : str
        Where the data come from.

    Examples
    --------
    >>> task = classification("toy", [np.array([0, 1]), np.array([1]), np.array([1, 1])], np.array([0, 1, 1]), 2,
    ...                       symbols=2)
    >>> task.draw(stream("data", 0), batch=4, seq_len=2).x.shape
    (2, 4)
    """
    parts = split(len(sequences)) if parts is None else parts
    labels = np.asarray(labels, np.int64)

    def make(rows, seq_len):
        x, lengths = padded([sequences[row] for row in rows], seq_len)
        return Batch(x, labels[rows], lengths=lengths)

    baseline = prior_loss(labels[parts[0]], labels[parts[1]], classes)
    task = _sequence_task(make, sequences, parts, input_size=1 if symbols else sequences[0].shape[1],
                          output_size=classes, head="last", baseline=baseline, name=name, paper=paper,
                          symbols=symbols)  # fmt: skip
    if labels.min() == labels.max():
        raise UsageError(f"classes of {name} must be two at least, got one")
    return task


def tagging(name: str, sequences: Sequence[np.ndarray], tags: Sequence[np.ndarray], classes: int, *,
            parts: tuple[np.ndarray, np.ndarray] | None = None, symbols: int, scored: Callable | None = None,
            paper: str = "") -> Task:  # fmt: skip
    """Many to many, synchronous: a class at each step.

    Parameters
    ----------
    tags : list of (T_i,) int64
    scored : callable (tags (T, B)) -> (T, B) bool, optional
        Steps that the score looks at, all where not given.
    name, sequences, classes, parts, symbols, paper
        As for `classification`.
    """
    parts = split(len(sequences)) if parts is None else parts

    def make(rows, seq_len):
        x, lengths = padded([sequences[row] for row in rows], seq_len)
        target, _ = padded([tags[row] for row in rows], seq_len)
        live = np.arange(len(x))[:, None] < lengths
        return Batch(x, target, live, lengths, live if scored is None else live & scored(target))

    learned, held_out = (np.concatenate([tags[row] for row in rows]) for rows in parts)
    return _sequence_task(make, sequences, parts, input_size=1, output_size=classes, head="every",
                          baseline=prior_loss(learned, held_out, classes), name=name, paper=paper,
                          symbols=symbols)  # fmt: skip


def transduction(name: str, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], symbols: int | None,
                 output_size: int, *, parts: tuple[np.ndarray, np.ndarray] | None = None,
                 paper: str = "") -> Task:  # fmt: skip
    """Many to many, one after the other: a sequence in, a sequence of its own length out.

    Parameters
    ----------
    sources : list of (S_i,) int64 symbols or (S_i, D) float64
    targets : list of (T_i,) int64
        Each ends in `alphabet.END`. `seq_len` cuts neither.
    symbols : int or None
        How many of the source; None of vectors.
    output_size : int
        How many symbols of the target.
    name, parts, paper
        As for `classification`.
    """
    parts = split(len(sources)) if parts is None else parts

    def make(rows, seq_len):
        x, lengths = padded([sources[row] for row in rows])
        target, steps = padded([targets[row] for row in rows])
        return Batch(x, target, np.arange(len(target))[:, None] < steps, lengths)

    learned, held_out = (np.concatenate([targets[row] for row in rows]) for rows in parts)
    return _sequence_task(make, sources, parts, input_size=1 if symbols else sources[0].shape[1],
                          output_size=output_size, head="decoder", baseline=prior_loss(learned, held_out, output_size),
                          name=name, paper=paper, symbols=symbols, score_name="token_accuracy")  # fmt: skip


class _Tracks:
    """A text as `batch` tracks side by side, each of which goes on where it stopped; behind the end comes the start."""

    def __init__(self, codes, batch, offset):
        self.codes = codes
        self.places = (offset + np.arange(batch) * len(codes) // batch) % len(codes)

    def take(self, seq_len):
        window = self.codes[(self.places + np.arange(seq_len + 1)[:, None]) % len(self.codes)]
        self.places = (self.places + seq_len) % len(self.codes)
        return Batch(np.ascontiguousarray(window[:-1]), np.ascontiguousarray(window[1:]))


def language(name: str, train: np.ndarray, held_out: np.ndarray, symbols: int, *, carry: bool = True,
             paper: str = "") -> Task:  # fmt: skip
    """A language model: at each step the next symbol of a text.

    Parameters
    ----------
    train, held_out : (N,) int64
    carry : bool
        Whether each batch goes on where the one before stopped, with the states that were left there: contiguous
        streams. Else windows are drawn at random, and each starts from nothing.
    """

    def sample(rng, batch, seq_len):
        if seq_len >= len(train):
            raise UsageError(f"seq_len must be below the {len(train)} symbols of {name} to learn from, got {seq_len}")
        starts = whole(rng, 0, len(train) - seq_len, batch)
        window = train[starts + np.arange(seq_len + 1)[:, None]]
        return Batch(np.ascontiguousarray(window[:-1]), np.ascontiguousarray(window[1:]))

    def tracks(rng, batch):
        return _Tracks(train, batch, int(whole(rng, 0, len(train), 1)[0]))

    def batches(batch, seq_len):
        rows = max(1, min(batch, (len(held_out) - 1) // seq_len))
        steps = (len(held_out) - 1) // rows
        places = np.arange(rows) * steps
        found = []
        for first in range(0, steps, seq_len):
            window = held_out[places + np.arange(first, min(first + seq_len, steps) + 1)[:, None]]
            found.append(Batch(np.ascontiguousarray(window[:-1]), np.ascontiguousarray(window[1:])))
        return found

    for what, codes in (("to learn from", train), ("held out", held_out)):
        if len(codes) < 2 or codes.min() == codes.max():
            raise UsageError(f"text {what} of {name} must have two different symbols, got {len(np.unique(codes))}")
    return Task(paper, 1, symbols, "softmax", "every", sample,
                lambda seq_len: prior_loss(train, held_out[1:], symbols), None, None, "accuracy", accuracy, _never,
                "never", 1, 100, tracks if carry else None, symbols, batches, name)  # fmt: skip


def forecasting(name: str, values: np.ndarray, first_held_out: int, *, horizon: int = 1,
                goal: np.ndarray | None = None, score: Callable, baseline: float, paper: str = "") -> Task:  # fmt: skip
    """At each step of a series the value of its first channel, the target, `horizon` steps later.

    Parameters
    ----------
    values : (N, D) float64, or (N, S, D)
        Standardised; S series side by side. A step before or at which the target is not a number is not looked at;
        other gaps are 0.
    first_held_out : int
        Step from which on values are to be predicted and not learned from.
    goal : (N,) float64, or (N, S), optional
        What is to be said at each step about `horizon` steps later, in place of the target's value there; NaN where
        that is not known.
    score : callable (output, batch) -> float
        In the series' own unit.
    baseline : float
        Mean squared error, standardised, of the simple forecast.
    """
    values = np.asarray(values, np.float64)
    values = values[:, None] if values.ndim == 2 else values
    size, series = values.shape[:2]
    if goal is None:
        goal = np.concatenate([values[horizon:, :, 0], np.full((min(horizon, size), series), np.nan)])
    x, goal = np.where(np.isfinite(values), values, 0.0), np.asarray(goal).reshape(size, series)
    seen, goal = np.isfinite(goal), np.where(np.isfinite(goal), goal, 0.0)
    last = first_held_out - horizon  # the last step whose target may be learned from is the one before

    def batch_of(starts, rows, seq_len):
        steps = starts + np.arange(seq_len)[:, None]
        return Batch(x[steps, rows], goal[steps, rows][:, :, None], seen[steps, rows])

    def sample(rng, batch, seq_len):
        starts = whole(rng, 0, max(1, last - seq_len + 1), batch)
        return batch_of(starts, whole(rng, 0, series, batch), min(seq_len, last))

    def batches(batch, seq_len):
        all_of_it = batch_of(np.zeros(series, np.int64), np.arange(series), size)
        return [Batch(all_of_it.x, all_of_it.target, all_of_it.mask & (np.arange(size) >= last)[:, None])]

    if not 1 <= last < size - horizon:
        raise UsageError(f"{name} must have values to learn from and values held out, got {size} steps")
    return Task(paper, x.shape[2], 1, "mse", "every", sample, lambda seq_len: baseline, None, None, "rmse", score,
                _never, "never", 1, 100, held_out=batches, name=name)  # fmt: skip

"""Learning tasks, one file each, found by scanning this folder.

A task file holds a generator of batches, the loss a network must beat, an explicit solution that reaches the optimum,
and the rule by which a run counts as solved: `TASK = Task(...)`, or `TASK = {variant: Task(...)}` whose first variant
is the default. `load("adding")` and `load("adding:hs97")` return them. Nothing else has to be edited to add a task;
every check in `tests/test_tasks.py` runs over all files found here.

Random numbers are uniforms, as many for every batch of one size as for any other, so that what follows on a stream
does not depend on what was drawn. Importing this module or a task does not import the kernels, because the command
line checks names before it computes anything.
"""

import functools
import importlib
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from sandbox.errors import IMPORT_ERRORS, UsageError, not_importable, shorten, unknown

__all__ = [
    "Batch", "Task", "accuracy", "below", "canonical", "ln", "load", "logits", "names", "nrmse", "off_by", "one_hot",
    "parse", "reached", "score_below", "share", "variants", "washed_out", "whole",
]  # fmt: skip

CERTAIN = 50.0  # logit of a sure answer: its loss is 2e-22


@dataclass(frozen=True)
class Batch:
    """What one update sees.

    Parameters
    ----------
    x : (T, B, D) float64, or (T, B) int64 symbols
    target : array
        Head "last": (B,) int64 or (B, O) float64; head "every": (T, B) int64 or (T, B, O) float64; head "decoder":
        (S, B) int64, a sequence with steps of its own.
    mask : (T, B) bool, optional
        Steps of the target that count in the loss (heads "every" and "decoder"); all of them if None.
    lengths : (B,) int64, optional
        Steps of each row of x; what follows is padding with zeros.
    scored : (T, B) bool, optional
        Steps that the score looks at, when other than `mask`.
    """

    x: np.ndarray
    target: np.ndarray
    mask: np.ndarray | None = None
    lengths: np.ndarray | None = None
    scored: np.ndarray | None = None

    def looked_at(self):
        """Return the steps that the score looks at, (T, B) bool: `scored`, else `mask`, else all of them."""
        chosen = self.mask if self.scored is None else self.scored
        return np.ones(self.target.shape[:2], bool) if chosen is None else chosen

    def answers(self):
        """Return how many answers the score looks at."""
        if self.mask is None and self.scored is None:
            return self.target.size // (1 if self.target.dtype.kind == "i" else self.target.shape[-1])
        return int(np.count_nonzero(self.looked_at()))


@dataclass(frozen=True)
class Task:
    """What a task declares.

    Parameters
    ----------
    paper : str
        Where it comes from.
    input_size, output_size : int
    loss : str
        "softmax" (integer targets), "mse", or "binary" (sigmoid outputs, targets 0.0 and 1.0).
    head : str
        "last": one output per sequence, at its end; "every": one per step; "decoder": a sequence of outputs.
    sample : callable (rng, batch, seq_len) -> Batch
        The generator; call `draw` instead, which checks its arguments.
    baseline : callable (seq_len) -> float
        Loss, averaged over the counted elements, of the best predictor without memory; its docstring says which.
    oracle : callable (batch) -> array
        A solution with memory, as the model's output: (B, O) or (T, B, O), logits for "softmax" and "binary".
    optimum : callable (seq_len) -> float
        The loss that the oracle reaches.
    score_name : str
    score : callable (output, batch) -> float
        NaN if a number it looks at is.
    solved : callable (loss, score) -> bool
    rule : str
        `solved` in words.
    minimum, seq_len : int
        Smallest length and a sensible default.
    stream : callable (rng, batch) -> object, optional
        Its `take(seq_len)` gives a Batch which continues where the one before stopped.
    symbols : int, optional
        Inputs are symbols from 0 to symbols - 1 and not vectors.
    held_out : callable (batch, seq_len) -> list of Batch, optional
        Of real data: all that is held out, in batches of so many sequences, of a task with a stream one continuing the
        other. Where it is missing, what is held out is drawn like the rest.

    Of real data `oracle` and `optimum` are None: nobody knows them.
    """

    paper: str
    input_size: int
    output_size: int
    loss: str
    head: str
    sample: Callable
    baseline: Callable
    oracle: Callable | None
    optimum: Callable | None
    score_name: str
    score: Callable
    solved: Callable
    rule: str
    minimum: int
    seq_len: int
    stream: Callable | None = None
    symbols: int | None = None
    held_out: Callable | None = None
    name: str = ""

    @property
    def inputs(self) -> tuple[int, str]:
        """How much of what a model must read at a step: `(65, "symbols")` or `(2, "numbers")`."""
        return (self.input_size, "numbers") if self.symbols is None else (self.symbols, "symbols")

    def check(self, seq_len):
        """Refuse a length that the task does not have (UsageError)."""
        _at_least("seq_len", seq_len, self.minimum, f" for task {self.name}" if self.name else "")

    def draw(self, rng, batch, seq_len) -> Batch:
        """Draw `batch` sequences from a random stream.

        Raises
        ------
        UsageError
            For a `seq_len` below the task's minimum or a `batch` below 1.

        Examples
        --------
        >>> from sandbox.streams import stream
        >>> load("adding").draw(stream("data", 0), batch=3, seq_len=50).x.shape
        (50, 3, 2)
        """
        self.check(seq_len)
        _at_least("batch", batch, 1)
        return self.sample(rng, batch, seq_len)


def _at_least(thing, value, minimum, of=""):
    try:
        number = operator.index(value)
    except TypeError:
        number = minimum - 1
    if isinstance(value, bool) or number < minimum:
        raise UsageError(f"{thing} must be a whole number from {minimum}{of}, got {shorten(repr(value))}")


# Names -----------------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """Names of all tasks: the files of this folder."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


@functools.cache
def _declared(name: str) -> dict[str, Task]:
    """All variants of a task by name; of a task without variants the one called ''."""
    if name not in names():
        raise unknown("task", name, names())
    try:
        task = importlib.import_module(f"{__name__}.{name}").TASK
        declared = task if isinstance(task, dict) else {"": task}
        for value in declared.values():
            if not isinstance(value, Task):
                raise TypeError(f"TASK must be a Task or a dict of them, got {type(value).__name__}")
    except IMPORT_ERRORS as error:
        raise not_importable(Path(__file__).with_name(f"{name}.py"), error) from error
    full = [name, *(f"{name}:{variant}" for variant in list(declared)[1:])]
    return {variant: replace(declared[variant], name=title) for variant, title in zip(declared, full, strict=True)}


def variants(name: str) -> list[str]:
    """Names of a task's variants, the default first; empty for a task that has none.

    >>> variants("adding")
    ['sum', 'hs97', 'mean', 'centred']
    """
    return [variant for variant in _declared(name) if variant]


def parse(text: str) -> tuple[str, str]:
    """The task's name and the variant that a name such as `adding:hs97` stands for.

    Raises
    ------
    UsageError
        No such task or variant, or its file cannot be imported.

    Examples
    --------
    >>> parse("adding:hs97"), parse("adding")
    (('adding', 'hs97'), ('adding', 'sum'))
    """
    name, colon, variant = str(text).partition(":")
    declared = _declared(name)
    if not colon:
        return name, next(iter(declared))
    if not variant or variant not in declared:
        raise unknown(f"variant of task {name}", variant, variants(name))
    return name, variant


def load(text: str) -> Task:
    """The task of this name and variant.

    >>> load("adding:hs97").name, load("adding:sum").name
    ('adding:hs97', 'adding')
    """
    name, variant = parse(text)
    return _declared(name)[variant]


def canonical(text: str) -> str:
    """The one way to write what `parse` reads: the default variant is left out."""
    return load(text).name


# Pieces of tasks -------------------------------------------------------------------------------------------------


def ln(x: int | float) -> float:
    """Natural logarithm, correctly rounded, without the kernels and without libm."""
    return float(Decimal(x).ln())


def whole(rng, low, high, shape) -> np.ndarray:
    """Draw whole numbers low <= n < high, int64, each from one uniform; the bounds may be arrays."""
    return (low + np.floor(rng.random(shape) * (high - low))).astype(np.int64)


def one_hot(symbols, size) -> np.ndarray:
    """Turn symbol numbers (T, B) into indicator vectors (T, B, size); a negative one gives zeros."""
    return (symbols[..., None] == np.arange(size)).astype(np.float64)


def logits(legal) -> np.ndarray:
    """Return +-`CERTAIN` for an indicator array; in a softmax all legal classes have equal shares."""
    return np.where(legal, CERTAIN, -CERTAIN)


def washed_out(seq_len, batch, washout) -> np.ndarray:
    """Return the mask (T, B) which leaves the first `washout` steps out."""
    return np.repeat(np.arange(seq_len)[:, None] >= washout, batch, axis=1)


def below(bound):
    """Return a success rule: the loss is below `bound`."""
    return lambda loss, score: bool(loss < bound)


def score_below(bound):
    """Return a success rule: the score is below `bound`."""
    return lambda loss, score: bool(score < bound)


def reached(bound):
    """Return a success rule: the score is at least `bound`."""
    return lambda loss, score: bool(score >= bound)


def accuracy(output, batch) -> float:
    """Share of right answers; the class is the largest output, or of a single output (binary) its sign.

    Head "last": of all rows; head "every": of the steps the score looks at, NaN if there is none.
    """
    right = (output[..., 0] > 0) == (batch.target[..., 0] > 0) if output.shape[-1] == 1 else (
        output.argmax(axis=-1) == batch.target)  # fmt: skip
    if right.ndim == 2:
        right, output = right[batch.looked_at()], output[batch.looked_at()]
    return share(right, output)


def share(hits, answers) -> float:
    """Share of the hits (N,) that are true; NaN if there are none, or if a number of the answers they are of is NaN."""
    return np.count_nonzero(hits) / hits.size if hits.size and not np.isnan(answers).any() else float("nan")


def off_by(tolerance):
    """Return a score: the share of answers off by more than `tolerance`."""
    return lambda output, batch: share(abs(output - batch.target) > tolerance, output)


def nrmse(output, batch) -> float:
    """Root mean squared error over the counted steps, in standard deviations of the targets there; NaN if that is 0."""
    from sandbox.kernels.reductions import dot, mean

    target = batch.target[batch.looked_at()].ravel()
    error = output[batch.looked_at()].ravel() - target
    spread = target - mean(target)
    variance = dot(spread, spread)
    return float(np.sqrt(dot(error, error) / variance)) if variance else float("nan")

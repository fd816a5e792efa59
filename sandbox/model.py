"""A model: symbols or vectors in, recurrent layers, a head, a loss; over one flat parameter vector with named views.

A pass is made of segments of time. With one segment that is backpropagation through time. With `checkpoint_every` only
the states at the segments' edges are kept, and each segment is run a second time before its gradient is taken: the
same bits, with the memory of one segment. With `window` the gradient is cut at the edges: truncated backpropagation
through time.
"""

import copy
import itertools
from dataclasses import dataclass

import numpy as np

from sandbox import losses
from sandbox.errors import UsageError, unknown
from sandbox.kernels import rows
from sandbox.layers import Dense, Embedding
from sandbox.layers.bodies import body
from sandbox.layers.module import Module, check_array, check_lengths, check_size

__all__ = ["HEADS", "Model", "Pass"]

HEADS = ("last", "mean", "every")


@dataclass(frozen=True)
class Pass:
    """What differentiating a batch gave.

    Attributes
    ----------
    loss : float
    output : array or None
        (B, O) for the heads `last` and `mean`; (T, B, O) for `every`.
    states : list of dicts
        Every layer's states after the last step.
    """

    loss: float
    output: np.ndarray | None
    states: list


class Model(Module):
    """Embedding (optional), stack of recurrent layers or another body, linear head.

        last    output = y_T W + b, each row's own last step
        mean    output = (mean of y_t over each row's steps) W + b
        every   output_t = y_t W + b

    Parameters
    ----------
    input_size, output_size : int
    cell : str, or a sequence of them
        A recurrent cell, `mlp:8` or what else `sandbox.layers.bodies` knows.
    hidden, layers : int
    head : {"last", "mean", "every"}
    symbols : int, optional
        The input are symbols from 0 to symbols - 1, and `input_size` is the width of their vectors.
    rng : numpy.random.Generator
        For initial weights: embedding, layers from below, head.
    noise, dtype, direction, merge, residual, dropout, recurrent_dropout, zoneout, init, gain, input_init, chrono
        As for `Stack`.
    head_init : str
        A name of `sandbox.inits` for the head's W.

    Attributes
    ----------
    last : StackRun or None
        What the last call of `forward` left behind: `last.states()` is what a next segment starts from.

    Raises
    ------
    UsageError
        Names the argument, its rule and the value.

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> model = Model(2, 1, cell="gru", hidden=16, rng=stream("init", 0))
    >>> model.forward(np.ones((50, 4, 2), np.float32)).shape
    (4, 1)
    >>> model.summary().splitlines()[-1].split()
    ['total', '945']
    """

    def __init__(self, input_size, output_size, *, rng, cell="lstm", hidden=32, layers=1, head="last", symbols=None,
                 noise=None, dtype="float32", head_init="glorot", **arguments):  # fmt: skip
        if head not in HEADS:
            raise unknown("head", head, HEADS)
        self.head = head
        self.embedding = None if symbols is None else Embedding(symbols, input_size, rng=rng, dtype=dtype)
        self.stack = body(cell, input_size, check_size("hidden", hidden), layers=layers, rng=rng, noise=noise,
                          dtype=dtype, **arguments)  # fmt: skip
        self.output = Dense(self.stack.output_size, output_size, rng=rng, dtype=dtype, init=head_init)
        self.adopt({"embedding": self.embedding, "layers": self.stack, "head": self.output})
        self.last = None

    # Forward -----------------------------------------------------------------------------------------------------

    def forward(self, x, states=None, lengths=None, *, training=False):
        """Output of a batch: (B, O), or (T, B, O) for the head `every`.

        Parameters
        ----------
        x : (T, B, D), or (T, B) symbols
        states : list of dicts, optional
            Start states of every layer.
        lengths : (B,) whole numbers, optional
        """
        T, B = self._size(x)
        lengths = check_lengths(lengths, T, B)
        run = self.last = self._run(x, states, lengths, training, False)
        if self.head == "every":
            return self.output.forward(run.y)
        if self.head == "last":
            return self.output.forward(run.last())
        counts, sums = _counts(lengths, T, B), np.zeros((B, self.stack.output_size))
        rows.add_steps(np.ascontiguousarray(run.y), counts, 0, sums)
        return self.output.forward(self._mean(sums, counts))

    def _size(self, x):
        """T and B of an input."""
        shape = np.shape(x)
        if self.embedding is not None and len(shape) != 2:
            raise UsageError(f"x must have shape (T, B) because it holds symbols, got {shape}")
        if self.embedding is None and len(shape) != 3:
            raise UsageError(f"x must have shape (T, B, {self.stack.input_size}), got {shape}")
        return shape[:2]

    def _run(self, x, states, lengths, training, resume):
        if self.embedding is not None:
            x = self.embedding.forward(x)
        return self.stack.forward(x, states, lengths, training=training, resume=resume)

    def _mean(self, sums, counts):
        """Means over each row's steps from their sums in float64; 0 for a row without steps."""
        return (sums / np.clip(counts, 1, None)[:, None]).astype(self.dtype)

    def predict(self, x, *, target=None, lengths=None, states=None, piece=None):
        """Output of a long batch, taken in pieces of so many steps where the model carries states on.

        Returns
        -------
        output : array
            As of `forward`.
        states : list of dicts or None
            After the last step, where they can be carried on.
        """
        carries = self.stack.direction == "forward"
        step = piece if piece and carries and self.head != "mean" else len(x)
        outputs = []
        for first in range(0, len(x), step):
            part = x[first : first + step]
            outputs.append(self.forward(part, states, _within(lengths, first, first + len(part))))
            states = self.last.states() if carries else None
        return (np.concatenate(outputs) if self.head == "every" and len(outputs) > 1 else outputs[-1]), states

    # Backward ----------------------------------------------------------------------------------------------------

    def differentiate(self, x, target, *, loss, reduction="mean", mask=None, lengths=None, states=None, window=None,
                      checkpoint_every=None):  # fmt: skip
        """Loss of a batch and its gradient by all parameters, which is left in `gradient`.

        Parameters
        ----------
        x, states, lengths
            As for `forward`, with masks of dropout and zoneout drawn.
        target : array
            (B,) or (B, O); with the head `every` (T, B) or (T, B, O). See `sandbox.losses`.
        loss, reduction : str
            Names of `sandbox.losses`.
        mask : (T, B) bool, optional
            Head `every`: the steps that count, by default those within the lengths.
        window : int, optional
            Truncated backpropagation: no gradient passes from step k window to the step before it. A row that has ended
            is not cut.
        checkpoint_every : int, optional
            Keep the states of every so many steps only, and run each segment again before its gradient: the same bits
            with less memory.

        Returns
        -------
        Pass

        Raises
        ------
        UsageError
            A shape, a name or a length does not fit.
        """
        T, B = self._size(x)
        lengths = check_lengths(lengths, T, B)
        counts, every, dsummary = _counts(lengths, T, B), self.head == "every", None
        mask = self._mask(mask, lengths, T, B)
        if every:
            if np.shape(target)[:2] != (T, B):  # a segment's part of a longer one would fit
                raise UsageError(f"target must have shape ({T}, {B}, ...) with head every, got {np.shape(target)}")
            count = losses.count(loss, (T, B, self.output.output_size), mask, reduction)
        edges = self._edges(T, window, checkpoint_every)
        run, starts, noise, sums = self._run_segments(x, states, lengths, counts, edges)
        final = run.states() if self.stack.direction == "forward" else []
        if every:
            sums, values = np.zeros(T), []
        else:
            output = self.output.forward(run.last() if self.head == "last" else self._mean(sums, counts))
            value, doutput = losses.evaluate(loss, output, target, reduction=reduction)
            dsummary = self.output.backward(doutput)
        carry = None
        for number in range(len(edges) - 2, -1, -1):
            first, end = edges[number], edges[number + 1]
            again, dy = number < len(edges) - 2, None
            if again:
                self.set_noise_state(noise[number])
                run = self._run(x[first:end], starts[number], _within(lengths, first, end), True, number > 0)
            if every:
                output = self.output.forward(run.y)
                part = None if mask is None else mask[first:end]
                _, doutput = losses.evaluate(loss, output, target[first:end], part, reduction, count=count,
                                             steps=sums[first:end])  # fmt: skip
                dy = self.output.backward(doutput, accumulate=again)
                values.append(output)
            elif self.head == "mean":
                dy = self._spread(dsummary, counts, first, end)
            last = dsummary if self.head == "last" and not again else None
            dx, carry = self.stack.backward(dy, carry, dlast=last, inputs=self.embedding is not None, accumulate=again)
            if self.embedding is not None:
                self.embedding.backward(dx, accumulate=again)
            if window is not None and number:
                carry = _cut(carry, counts, first)
        if len(edges) > 2:
            self.set_noise_state(noise[-1])
        if every:
            value, output = losses.value_of(sums, count), np.concatenate(values[::-1]) if len(values) > 1 else values[0]
        return Pass(value, output, final)

    def _run_segments(self, x, states, lengths, counts, edges):
        """Run all segments; the last one's pass is left in place.

        Returns
        -------
        run : StackRun
            Of the last segment.
        starts, noise : list
            Of several segments: start states, and the state of the masks' generators, at the start of every one and
            (the latter) at the end.
        sums : (B, O) or None
            For the head `mean`: the sums of the outputs over each row's steps, float64.
        """
        several = len(edges) > 2
        starts, noise = [copy.deepcopy(states) if several else states], [self.noise_state()] if several else []
        sums = np.zeros((len(counts), self.stack.output_size)) if self.head == "mean" else None
        run = None
        for number, (first, end) in enumerate(itertools.pairwise(edges)):
            if run is not None:
                starts.append(run.states())
            run = self._run(x[first:end], starts[-1], _within(lengths, first, end), True, number > 0)
            if self.head == "mean":
                rows.add_steps(np.ascontiguousarray(run.y), counts, first, sums)
            if several:
                noise.append(self.noise_state())
        return run, starts, noise, sums

    def _edges(self, T, window, checkpoint_every):
        """First steps of all segments, and T."""
        if window is not None and checkpoint_every is not None:
            raise UsageError("window and checkpoint_every must not be given together: a window's edges are checkpoints")
        name, length = ("window", window) if window is not None else ("checkpoint_every", checkpoint_every)
        if length is None:
            return [0, T]
        if check_size(name, length) > T:
            raise UsageError(f"{name} must be at most seq_len={T}, got {length}")
        if self.stack.direction == "both" and length < T:
            raise UsageError(
                f"{name} must be None with direction both, whose second half starts at the end, got {length}"
            )
        return [*range(0, T, length), T]

    def _mask(self, mask, lengths, T, B):
        """The steps that count; None if all do."""
        if mask is not None:
            if self.head != "every":
                raise UsageError(f"mask must be None with head {self.head}, which has one output, got {np.shape(mask)}")
            mask = check_array("mask", mask, np.dtype(bool), (T, B))
        if lengths is None:
            return mask
        live = np.arange(T)[:, None] < lengths
        return live if mask is None else live & mask

    def _spread(self, dmean, counts, first, end):
        """dL/dy of a segment's steps from dL/dmean."""
        dy = np.empty((end - first, *dmean.shape), self.dtype)
        rows.spread_steps((dmean / np.clip(counts, 1, None)[:, None]).astype(self.dtype), counts, first, dy)
        return dy

    def noise_state(self):
        """Where the streams of all masks stand."""
        return [rng.bit_generator.state for rng in self.stack.generators]

    def set_noise_state(self, states):
        """Put the streams of all masks where `noise_state` found them."""
        for rng, state in zip(self.stack.generators, states, strict=True):
            rng.bit_generator.state = state

    # What it is made of ------------------------------------------------------------------------------------------

    @property
    def inputs(self):
        """How much of what it reads at a step: `(65, "symbols")` or `(2, "numbers")`."""
        return (self.stack.input_size, "numbers") if self.embedding is None else (self.embedding.symbols, "symbols")

    @property
    def columns(self):
        """Numbers that a forward pass keeps of every step of every row."""
        return self.stack.columns

    def identity(self):
        """What another model must have in common with this one to take its place in a training run."""
        shapes = {name: value.shape for name, value in self.parameters.items()}
        return {"dtype": self.dtype.name, **self.stack.identity(), "head": self.head, "parameters": shapes}


def _counts(lengths, T, B):
    """How many steps each row has."""
    return np.full(B, T) if lengths is None else lengths


def _within(lengths, first, end):
    """Lengths counted within a segment."""
    return None if lengths is None else np.clip(lengths - first, 0, end - first)


def _cut(carry, counts, first):
    """No gradient into the segment before, but for rows that had ended there."""
    ended = (counts <= first)[:, None]
    return [{name: np.where(ended, value, value.dtype.type(0)) for name, value in states.items()} for states in carry]

"""A model: symbols or vectors in, recurrent layers, a head, a loss; over one flat parameter vector with named views.

A pass is made of segments of time. With one segment that is backpropagation through time. With `checkpoint_every` only the
states at the segments' edges are kept, and each segment is run a second time before its gradient is taken: the same bits,
with the memory of one segment. With `window` the gradient is cut at the edges: truncated backpropagation through time.
"""

import json
import math
from dataclasses import dataclass

import numpy as np

from sandbox import files, losses
from sandbox.errors import UsageError, unknown
from sandbox.kernels import rows
from sandbox.layers import Dense, Embedding, Stack
from sandbox.layers.module import Module, check_lengths, check_size

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
    """Embedding (optional), stack of recurrent layers, linear head.

        last    output = y_T W + b, each row's own last step
        mean    output = (mean of y_t over each row's steps) W + b
        every   output_t = y_t W + b

    Parameters
    ----------
    input_size, output_size : int
    cell : str, or a sequence of them
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
    >>> print(model.summary().splitlines()[-1])
    total               977
    """

    def __init__(self, input_size, output_size, *, rng, cell="lstm", hidden=32, layers=1, head="last", symbols=None,
                 noise=None, dtype="float32", head_init="glorot", **arguments):  # fmt: skip
        if head not in HEADS:
            raise unknown("head", head, HEADS)
        self.head = head
        self.embedding = None if symbols is None else Embedding(symbols, input_size, rng=rng, dtype=dtype)
        self.stack = Stack(cell, input_size, check_size("hidden", hidden), num_layers=layers, rng=rng, noise=noise,
                           dtype=dtype, **arguments)  # fmt: skip
        self.output = Dense(self.stack.output_size, output_size, rng=rng, dtype=dtype, init=head_init)
        parts = {"embedding": self.embedding, "layers": self.stack, "head": self.output}
        self.adopt({name: part for name, part in parts.items() if part is not None})

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
        lengths = check_lengths(lengths, *np.shape(x)[:2])
        run = self._run(x, states, lengths, training, False)
        if self.head == "every":
            return self.output.forward(run.y)
        return self.output.forward(run.last() if self.head == "last" else self._means([run.y], lengths))

    def _run(self, x, states, lengths, training, resume):
        if self.embedding is not None:
            x = self.embedding.forward(x)
        return self.stack.forward(x, states, lengths, training=training, resume=resume)

    def _means(self, ys, lengths):
        """Mean over each row's steps of the segments ys, summed in float64; 0 for a row without steps."""
        sums, at = np.zeros(ys[0].shape[1:]), 0
        for y in ys:
            rows.add_steps(y, self._counts(lengths, ys), at, sums)
            at += len(y)
        return self._divided(sums, self._counts(lengths, ys)).astype(self.dtype)

    def _counts(self, lengths, ys):
        return np.full(ys[0].shape[1], sum(map(len, ys))) if lengths is None else lengths

"""Recurrent layers on top of each other, of one kind or mixed, in one direction or both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sandbox.errors import UsageError, unknown
from sandbox.layers.bidirectional import MERGES, Bidirectional
from sandbox.layers.module import Module, check_by_layer, check_generator, check_rate, check_size
from sandbox.layers.window import layer as one_layer

__all__ = ["DIRECTIONS", "Stack", "StackRun"]

DIRECTIONS = ("forward", "both")


@dataclass(frozen=True)
class StackRun:
    """What a forward pass leaves behind, until the next one.

    Attributes
    ----------
    runs : list
        What every layer left behind.
    below : (T, B, O) or None
        In a residual stack, what the topmost layer's own output is added to.
    """

    runs: list
    below: np.ndarray | None

    @property
    def y(self):
        """The output after every step (T, B, O)."""
        top = self.runs[-1].y
        return top if self.below is None else self.below + top

    def last(self):
        """The output after each row's last step, (B, O); in a residual stack that is the sum of all layers' own."""
        found = self.runs[-1].last()
        for run in () if self.below is None else self.runs[:-1]:
            found = found + run.last()
        return found

    def states(self):
        """Every layer's states after the last step, to be carried into the next segment."""
        return [{name: value.copy() for name, value in run.last_states().items()} for run in self.runs]


class Stack(Module):
    """Layers l = 1..L, each over the outputs of the one below.

        y_l = f_l(drop(y_{l-1}))                      y_0 = x
        y_l = y_{l-1} + f_l(drop(y_{l-1})), l > 1     residual

    Parameters
    ----------
    cell : str, or a sequence of them
        One for all layers, or one for each; `mlp:8` is a layer without recurrence: see `sandbox.layers.window`.
    input_size, hidden_size : int
    num_layers : int
        Where `cell` is a sequence no other than its length.
    rng, noise : numpy.random.Generator
        For initial weights, the lowest layer first; for dropout masks, each place that draws some with a stream of its
        own.
    direction : {"forward", "both"}
    merge : {"concat", "sum"}
        How the two directions' outputs are joined.
    residual : bool
    dropout : float
        Share of the elements that each layer above the first does not see of the layer below, drawn anew at every
        step; the others are scaled by 1 / (1 - dropout). With one layer it would do nothing, and is an error.
    recurrent_dropout, zoneout, init, gain, input_init, chrono, dtype
        As for `Layer`.

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> stack = Stack(["lstm", "gru"], 3, 8, rng=stream("init", 0), residual=True)
    >>> stack.forward(np.ones((20, 4, 3))).y.shape, stack.layers[1].cell.name
    ((20, 4, 8), 'gru')
    """

    def __init__(self, cell, input_size, hidden_size, *, rng, num_layers=1, noise=None, dtype="float64",
                 direction="forward", merge="concat", residual=False, dropout=0.0, recurrent_dropout=0.0, zoneout=0.0,
                 init="orthogonal", gain=1.0, input_init=None, chrono=None):  # fmt: skip
        if direction not in DIRECTIONS:
            raise unknown("direction", direction, DIRECTIONS)
        if merge not in MERGES:
            raise unknown("merge", merge, MERGES)
        several = isinstance(cell, Sequence) and not isinstance(cell, str)
        cells = list(cell) if several else [cell] * check_size("layers", num_layers)
        check_size("layers", len(cells))
        if num_layers not in (1, len(cells)):
            raise UsageError(f"layers must be {len(cells)}, the number of cells, got {num_layers}")
        self.dropout, self.residual = check_rate("dropout", dropout), bool(residual)
        if self.dropout and len(cells) == 1:
            raise UsageError(f"dropout must be 0 with one layer, because it acts between layers, got {dropout} "
                             "(recurrent_dropout acts within a layer)")  # fmt: skip
        sites = self._sites(noise, 2 * len(cells), dropout)
        make = one_layer if direction == "forward" else Bidirectional
        extra = {} if direction == "forward" else {"merge": merge}
        self.layers, width = [], check_size("input_size", input_size)
        for number, name in enumerate(cells):
            layer = make(name, width, hidden_size, rng=rng, dtype=dtype, init=init, gain=gain, input_init=input_init,
                         chrono=chrono, recurrent_dropout=recurrent_dropout, zoneout=zoneout, noise=sites[2 * number],
                         **extra)  # fmt: skip
            width = layer.output_size
            self.layers.append(layer)
        if self.residual and len({layer.output_size for layer in self.layers}) > 1:
            sizes = ", ".join(str(layer.output_size) for layer in self.layers)
            raise UsageError(f"residual must be False for layers of different output size, got sizes {sizes}")
        self.input_size, self.output_size, self.direction = input_size, width, direction
        self._between, self._kept = sites[1::2], []
        self.adopt({str(number): layer for number, layer in enumerate(self.layers)})

    @staticmethod
    def _sites(noise, count, dropout):
        """A generator for each place that draws masks."""
        if noise is None and not dropout:
            return [None] * count
        return check_generator("noise", noise, "dropout").spawn(count)

    def forward(self, x, states=None, lengths=None, *, training=False, resume=False):
        """Run all layers over x (T, B, D); `states` is a list of start states by name, one for each layer."""
        runs, below, self._kept = [], None, []
        states = check_by_layer("states", states, self.layers)
        for number, (layer, start) in enumerate(zip(self.layers, states, strict=True)):
            y = StackRun(runs, below).y if number else x
            below = y if self.residual and number else None
            runs.append(
                layer.forward(self._drop(number, y, training), start, lengths, training=training, resume=resume)
            )
        return StackRun(runs, below)

    def _drop(self, number, y, training):
        """y with a share of its elements hidden, from the second layer on; notes which."""
        keep = None
        if training and self.dropout and number:
            keep = np.empty(y.shape, bool)
            for step in keep:  # one at a time: the draws take eight times the memory of what is kept of them
                step[:] = self._between[number].random(step.shape) >= self.dropout
        self._kept.append(keep)
        return y if keep is None else self._hide(y.copy(), keep)

    def _hide(self, y, keep):
        """y / (1 - dropout) where `keep`, else 0, in its place; the derivative is the same map."""
        y *= keep
        y *= self.dtype.type(1 / (1 - self.dropout))
        return y

    def backward(self, dy=None, dstates=None, *, dlast=None, inputs=True, accumulate=False):
        """dL/dx and dL/dstart of dL/dy (T, B, O), dL/dlast (B, O) and dL/dstates, by layer; fills `gradients`.

        Returns
        -------
        x : (T, B, D) or None
        starts : list of dicts
            dL/d(start state) by name, for each layer.
        """
        starts, dstates = [], check_by_layer("dstates", dstates, self.layers)
        for number in range(len(self.layers) - 1, -1, -1):
            found = self.layers[number].backward(dy, dstates[number], dlast=dlast, inputs=inputs or number > 0,
                                                 accumulate=accumulate)  # fmt: skip
            starts.append(found.start)
            dx = found.x if self._kept[number] is None else self._hide(found.x, self._kept[number])
            if self.residual and number and dy is not None:
                dx += dy
            dy, dlast = dx, dlast if self.residual else None
        return dy, starts[::-1]

    @property
    def columns(self):
        """Numbers that a forward pass keeps of every step of every row."""
        count = 0
        for layer in self.layers:
            count += layer.columns
        return count

    def identity(self):
        """What decides its output beside the parameters."""
        first = getattr(self.layers[0], "halves", self.layers)[0]
        return {
            "cells": [layer.identity() for layer in self.layers],
            "direction": self.direction, "residual": self.residual, "dropout": self.dropout,
            "recurrent_dropout": first.recurrent_dropout, "zoneout": first.zoneout,
        }  # fmt: skip

    @property
    def generators(self):
        """All generators that masks are drawn from, each once."""
        halves = [half for layer in self.layers for half in getattr(layer, "halves", [layer])]
        found = [layer.noise for layer in halves] + self._between
        return list({id(rng): rng for rng in found if rng is not None}.values())

"""Two layers over the same sequence, one from its first step to its last, one from its last to its first."""

from dataclasses import dataclass

import numpy as np

from sandbox.errors import UsageError, unknown
from sandbox.kernels import rows
from sandbox.layers.module import Module, check_array, check_pass
from sandbox.layers.recurrent import Trajectory
from sandbox.layers.window import layer

__all__ = ["MERGES", "Bidirectional", "BothWays"]

MERGES = ("concat", "sum")


@dataclass(frozen=True)
class BothWays:
    """What a forward pass leaves behind, until the next one.

    Attributes
    ----------
    forth, back : Trajectory
        Of the two layers; `back` in its own order, from each row's last step to its first.
    lengths : (B,) int
    """

    forth: Trajectory
    back: Trajectory
    lengths: np.ndarray
    merge: str

    @property
    def y(self):
        """Both outputs at every step, side by side or added (T, B, O): that of step t has seen 1..t and t..T."""
        return _merged(self.forth.y, _reversed(self.back.y, self.lengths), self.merge)

    def last(self):
        """The last outputs of both layers, each of which has seen the whole sequence: (B, O).

        Not y[-1], in which the layer that runs backwards has seen a single step.
        """
        return _merged(self.forth.last(), self.back.last(), self.merge)

    def last_states(self):
        """Every state of both layers by name, `forth.h` and `back.h`, after each has seen the whole sequence: (B, H).

        They cannot be carried on; they say what was read.
        """
        return {f"{half}.{name}": value for half, run in (("forth", self.forth), ("back", self.back))
                for name, value in run.last_states().items()}  # fmt: skip


@dataclass(frozen=True)
class InputGradient:
    """dL/dx (T, B, D), and nothing about a start that cannot be set."""

    x: np.ndarray | None
    start: None = None


class Bidirectional(Module):
    """A layer and a second one of the same kind which runs from the end of each row to its start.

    (Schuster & Paliwal 1997.) Each row is reversed within its own length.

    Parameters
    ----------
    cell, input_size, hidden_size, **arguments
        As for `Layer` or, of the name `mlp`, for `Window`; the first layer takes its draws first.
    merge : {"concat", "sum"}
        Outputs side by side, or added.
    """

    def __init__(self, cell, input_size, hidden_size, *, merge="concat", **arguments):
        if merge not in MERGES:
            raise unknown("merge", merge, MERGES)
        self.merge, self.input_size = merge, input_size
        self.forth = layer(cell, input_size, hidden_size, **arguments)
        self.back = layer(cell, input_size, hidden_size, **arguments)
        self.output_size = self.forth.output_size * (2 if merge == "concat" else 1)
        self.halves = [self.forth, self.back]
        self.adopt({"forth": self.forth, "back": self.back})
        self._shape = self._lengths = None

    @property
    def columns(self):
        """As of `Layer`."""
        return self.forth.columns + self.back.columns

    def identity(self):
        """As of `Layer`."""
        return self.forth.identity()

    def forward(self, x, states=None, lengths=None, *, training=False, resume=False):
        """Run both layers over x (T, B, D); states cannot be carried, because one of them starts at the end."""
        if states is not None or resume:
            raise UsageError("states must be None for a bidirectional layer, whose second half starts at the end")
        forth = self.forth.forward(x, None, lengths, training=training)
        self._shape = T, B = forth.x.shape[:2]
        self._lengths = np.full(B, T) if lengths is None else forth.lengths
        back = self.back.forward(_reversed(forth.x, self._lengths), None, lengths, training=training)
        return BothWays(forth, back, self._lengths, self.merge)

    def backward(self, dy=None, dstates=None, *, dlast=None, inputs=True, accumulate=False):
        """dL/dx of dL/dy (T, B, O), dL/dlast (B, O) and dL/d(last states) by name, as an object with `x`; fills
        `gradients`."""
        shape = check_pass(self._shape)
        dys, dlasts = self._parted("dy", dy, shape), self._parted("dlast", dlast, shape[1:])
        dforth, dback = _by_half(dstates)
        arguments = {"inputs": inputs, "accumulate": accumulate}
        forth = self.forth.backward(dys[0], dforth, dlast=dlasts[0], **arguments)
        dy_back = None if dy is None else _reversed(dys[1], self._lengths)
        back = self.back.backward(dy_back, dback, dlast=dlasts[1], **arguments)
        if inputs:
            rows.add_reversed(back.x, self._lengths, forth.x)
        return InputGradient(forth.x)

    def _parted(self, name, value, shape):
        """The two layers' shares of what flows into the merged output."""
        if value is None:
            return None, None
        value = check_array(name, value, self.dtype, (*shape, self.output_size))
        if self.merge == "sum":
            return value, value
        forth, back = np.split(value, 2, axis=-1)
        return np.ascontiguousarray(forth), np.ascontiguousarray(back)


def _reversed(x, lengths):
    """x (T, B, D) with the steps of each row in the opposite order, within its length."""
    x = np.ascontiguousarray(x)
    out = np.empty_like(x)
    rows.reverse(x, lengths, out)
    return out


def _by_half(dstates):
    """What flows into the states of either layer, by the names of `BothWays.last_states`."""
    found = {"forth": {}, "back": {}}
    for name, value in (dstates or {}).items():
        half, _, state = name.partition(".")
        if half not in found:
            raise unknown("half of a bidirectional layer", half, found)
        found[half][state] = value
    return found["forth"], found["back"]


def _merged(one, other, merge):
    return one + other if merge == "sum" else np.concatenate([one, other], axis=-1)

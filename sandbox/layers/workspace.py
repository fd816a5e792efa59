"""Where a layer's passes over T steps of B sequences work: memory that is kept for the next pass."""

import math

import numpy as np

from sandbox import memory

__all__ = ["Workspace"]


class Workspace:
    """The tape and the states of a layer's last pass, with what depends on their sizes alone.

    Attributes
    ----------
    z : (T, B, G, H)
        The tape; after a backward pass that does not keep it dL/dz.
    trail : (S, T + 1, B, H)
        All states, auxiliary ones last.
    states, gates : dict of (T + 1, B, H), of (T, B, H)
        Views by name.
    plan : tuple of arrays
        Of the parameters' gradients: see `kernels.weights`.
    work : int
        Multiply-adds of a pass in one direction, near enough.
    """

    def __init__(self, layer, T, B, old=None):
        cell, H = layer.cell, layer.hidden_size
        shapes = (T, B, len(cell.tape), H), (len(cell.states) + len(cell.auxiliary), T + 1, B, H)
        sizes = [math.prod(shape) for shape in shapes]
        self._buffers = old._buffers if old else ()
        if not self._buffers or any(buffer.size < size for buffer, size in zip(self._buffers, sizes, strict=True)):
            self._buffers = ()
            if old:
                old.release()  # makes room first
            what = f"states and gates of seq_len={T}, batch={B}, hidden={H} in {layer.dtype.name}"
            memory.require(sum(sizes) * layer.dtype.itemsize, what, "use checkpoint_every or a smaller batch")
            self._buffers = tuple(np.empty(size, layer.dtype) for size in sizes)
        self.size, self.work = (T, B), T * B * len(cell.tape) * H * (layer.input_size + H)
        self.z, self.trail = (buffer[:size].reshape(shape)
                              for buffer, size, shape in zip(self._buffers, sizes, shapes, strict=True))  # fmt: skip
        self.states = dict(zip(cell.states, self.trail, strict=False))
        self.gates = {name: self.z[:, :, g] for g, name in enumerate(cell.tape)}
        self.plan = layer.plan_gradients(T, B)

    def release(self):
        """Let go of the memory."""
        self._buffers, self.z, self.trail, self.states, self.gates = (), None, None, {}, {}

    def shares(self, x):
        """Whether an array is a view of this memory."""
        return x.base is not None and any(np.may_share_memory(x, buffer) for buffer in self._buffers)

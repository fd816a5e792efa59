"""What is read, and what the decoder starts from: two encoders of one interface, and the bridge.

An encoder's `forward` returns the outputs of every step, keys for an attention, None where there is nothing to choose
from, and its states after each row's last step by layer; `backward` takes the gradients of both.
"""

import numpy as np

from sandbox.errors import UsageError, unknown
from sandbox.kernels.activations import tanh_array
from sandbox.layers import Dense, Embedding, Stack
from sandbox.layers.module import Module

__all__ = ["BRIDGES", "Bridge", "SequenceEncoder", "VectorEncoder", "check_bridge"]

BRIDGES = ("dense", "identity")


class SequenceEncoder(Module):
    """Symbols or vectors, one for each step, through a stack of recurrent layers.

    Parameters
    ----------
    input_size : int
        Of a step's vector; of symbols, the width of their embedding.
    symbols : int, optional
        How many there are; None where the input are vectors.
    hidden, layers, cell, rng, noise, dtype, direction, **arguments
        As for `Stack`.
    """

    def __init__(self, input_size, hidden, *, rng, symbols=None, cell="gru", layers=1, noise=None, dtype="float32",
                 **arguments):  # fmt: skip
        self.embedding = None if symbols is None else Embedding(symbols, input_size, rng=rng, dtype=dtype)
        self.stack = Stack(cell, input_size, hidden, num_layers=layers, rng=rng, noise=noise, dtype=dtype, **arguments)
        self.adopt({"embedding": self.embedding, "layers": self.stack})
        self.inputs = (input_size, "numbers") if symbols is None else (symbols, "symbols")
        self.output_size, self.columns = self.stack.output_size, self.stack.columns
        self.generators = self.stack.generators

    def size(self, x):
        """S and B of an input (S, B, D), or (S, B) of symbols."""
        shape, rank = np.shape(x), 3 if self.embedding is None else 2
        if len(shape) != rank:
            rule = f"(S, B, {self.stack.input_size})" if rank == 3 else "(S, B) because it holds symbols"
            raise UsageError(f"x must have shape {rule}, got {shape}")
        return shape[:2]

    def forward(self, x, lengths, training):
        """Outputs (S, B, K) and the last states by layer. A row of length 0 has states of zeros."""
        run = self.stack.forward(x if self.embedding is None else self.embedding.forward(x), None, lengths,
                                 training=training)  # fmt: skip
        return run.y, run.states()

    def backward(self, doutputs, dstates):
        """Fill `gradients` of dL/doutputs (S, B, K) or None, and dL/dstates by layer."""
        dx, _ = self.stack.backward(doutputs, dstates, inputs=self.embedding is not None)
        if self.embedding is not None:
            self.embedding.backward(dx)

    def state_sizes(self):
        """Sizes of all last states by name, for each layer."""
        return [{f"{half}{name}": layer.hidden_size for half, layer in halves for name in layer.cell.states}
                for halves in map(_halves, self.stack.layers)]  # fmt: skip

    def identity(self):
        """What decides its output beside the parameters."""
        return self.stack.identity()


def _halves(layer):
    """Recurrent layers with the prefix of their states' names."""
    return [("forth.", layer.forth), ("back.", layer.back)] if hasattr(layer, "halves") else [("", layer)]


class VectorEncoder(Module):
    """One vector or one symbol for each row: v = tanh(x W + b), or of a symbol its embedding.

    Parameters
    ----------
    input_size : int
        Of the vector.
    symbols : int, optional
        How many there are; None where the input are vectors.
    hidden : int
        Of v.
    """

    generators, columns, output_size = (), 0, None

    def __init__(self, input_size, hidden, *, rng, symbols=None, dtype="float32"):
        self.symbols, self.input_size = symbols, input_size
        self.inputs = (input_size, "numbers") if symbols is None else (symbols, "symbols")
        if symbols is None:
            self.part = Dense(input_size, hidden, rng=rng, dtype=dtype)
        else:
            self.part = Embedding(symbols, hidden, rng=rng, dtype=dtype)
        self.adopt({"dense" if symbols is None else "embedding": self.part})
        self._sizes, self._v = [{"v": hidden}], None

    def size(self, x):
        """1 and B of an input (B, D), or (B,) of symbols; a sequence of one step is taken too."""
        shape, rank = np.shape(x), 2 if self.symbols is None else 1
        if len(shape) == rank + 1 and shape[0] == 1:
            shape = shape[1:]
        if len(shape) != rank or not shape[0]:
            rule = f"(B, {self.input_size})" if rank == 2 else "(B,) because it holds symbols"
            raise UsageError(f"x must have shape {rule} or be one step of that, got {np.shape(x)}")
        return 1, shape[0]

    def forward(self, x, lengths, training):
        """No outputs, and v (B, H) as the only state."""
        _, B = self.size(x)
        if lengths is not None and (lengths != 1).any():
            raise UsageError(f"lengths must be 1 for an encoder of one vector, got {lengths.tolist()}")
        v = self.part.forward(np.asarray(x).reshape((B, -1) if self.symbols is None else B))
        self._v = tanh_array(v) if self.symbols is None else v
        return None, [{"v": self._v}]

    def backward(self, doutputs, dstates):
        """Fill `gradients` of dL/dv."""
        dv = dstates[0]["v"]
        self.part.backward(dv * (1 - self._v * self._v) if self.symbols is None else dv)

    def state_sizes(self):
        """The size of v."""
        return self._sizes

    def identity(self):
        """What decides its output beside the parameters: nothing."""
        return {}


class Bridge(Module):
    """Start states of the decoder: s = tanh([all last states of the encoder] W_s + b_s) for each of its states s.

    (Cho et al. 2014, appendix A.1; all layers and, of an LSTM, c too are joined.)

    Parameters
    ----------
    sizes : list of dict
        Sizes of the encoder's states by name, for each layer.
    wanted : list of dict
        Those of the decoder.
    """

    def __init__(self, sizes, wanted, *, rng, dtype="float32"):
        self.places = [(number, name, size) for number, states in enumerate(sizes) for name, size in states.items()]
        self.layers = len(sizes)
        width = 0
        for _, _, size in self.places:
            width += size
        self.maps = [{name: Dense(width, size, rng=rng, dtype=dtype) for name, size in states.items()}
                     for states in wanted]  # fmt: skip
        self.adopt({f"{number}.{name}": part for number, maps in enumerate(self.maps) for name, part in maps.items()})
        self._starts = None

    def forward(self, states):
        """Start states of the decoder, by layer, from the encoder's last ones."""
        joined = np.concatenate([states[number][name] for number, name, _ in self.places], axis=1)
        self._starts = [{name: tanh_array(part.forward(joined)) for name, part in maps.items()} for maps in self.maps]
        return self._starts

    def backward(self, dstarts):
        """dL/d(last states) of the encoder, by layer, of dL/d(start states); fills `gradients`."""
        djoined = 0
        for maps, starts, dlayer in zip(self.maps, self._starts, dstarts, strict=True):
            for name, part in maps.items():
                djoined = djoined + part.backward(dlayer[name] * (1 - starts[name] * starts[name]))
        found, at = [{} for _ in range(self.layers)], 0
        for number, name, size in self.places:
            found[number][name] = np.ascontiguousarray(djoined[:, at : at + size])
            at += size
        return found


def check_bridge(name, sizes, wanted):
    """The name, if it is that of a bridge which fits the sizes of the states on both sides."""
    if name not in BRIDGES:
        raise unknown("bridge", name, BRIDGES)
    if name == "identity" and sizes != wanted:
        got = ", ".join(f"{state} ({size})" for states in sizes for state, size in states.items())
        rule = "dense where encoder and decoder do not have the same states"
        raise UsageError(f"bridge must be {rule}, got identity for an encoder with {got}")
    return name

"""What writes: a recurrent language model with a start that was given, and with an eye on what was read."""

import numpy as np

from sandbox.errors import UsageError, unknown
from sandbox.kernels.activations import tanh_array
from sandbox.layers import Attention, Dense, Embedding, Stack
from sandbox.layers.attention import SCORES
from sandbox.layers.module import Module

__all__ = ["ATTENTIONS", "Decoder"]

ATTENTIONS = ("none", *SCORES)


class Decoder(Module):
    """Symbols read so far -> logits of the next one.

        h_t      the stack's output after symbol t
        a_t      attention's context of query h_t over the encoder's outputs
        h~_t     tanh([a_t; h_t] W_c)                                  (Luong, Pham & Manning 2015, eq. 5)
        logits   h~_t W + b, without attention h_t W + b

    The score may be Bahdanau's additive one, but like Luong's it is read after the recurrence: no step waits for what
    the one before it looked at, and all steps of a known target are done at once.

    Parameters
    ----------
    symbols : int
        Of the target.
    width : int
        Of their embedding.
    attention : {"none", "dot", "general", "additive"}
    key_size : int or None
        Width of the encoder's outputs; None where it has none.
    hidden, layers, cell, rng, noise, dtype, **arguments
        As for `Stack`.
    """

    def __init__(self, symbols, width, hidden, *, key_size, attention, rng, cell="gru", layers=1, noise=None,
                 dtype="float32", head_init="glorot", **arguments):  # fmt: skip
        if attention not in ATTENTIONS:
            raise unknown("attention", attention, ATTENTIONS)
        if attention != "none" and key_size is None:
            raise UsageError(f"attention must be none over an encoder of one vector, got {attention}")
        self.embedding = Embedding(symbols, width, rng=rng, dtype=dtype)
        self.stack = Stack(cell, width, hidden, num_layers=layers, rng=rng, noise=noise, dtype=dtype, **arguments)
        size, self.attention, self.combine = self.stack.output_size, None, None
        if attention != "none":
            self.attention = Attention(attention, size, key_size, rng=rng, dtype=dtype)
            self.combine = Dense(key_size + size, hidden, rng=rng, dtype=dtype, bias=False)
        self.output = Dense(size if self.attention is None else hidden, symbols, rng=rng, dtype=dtype, init=head_init)
        self.adopt({"embedding": self.embedding, "layers": self.stack, "attention": self.attention,
                    "combine": self.combine, "head": self.output})  # fmt: skip
        self._attentional = self.last = None

    def forward(self, inputs, starts, keys, lengths, training):
        """Logits (T, B, O) of input symbols (T, B), start states by layer, and what was read: keys (S, B, K)."""
        self.last = self.stack.forward(self.embedding.forward(inputs), starts, training=training)
        h = self.last.y
        if self.attention is None:
            return self.output.forward(h)
        context = self.attention.forward(h, keys, lengths)
        self._attentional = tanh_array(self.combine.forward(np.concatenate([context, h], axis=-1)))
        return self.output.forward(self._attentional)

    def backward(self, dlogits):
        """dL/dkeys (None without attention) and dL/dstarts by layer, of dL/dlogits; fills `gradients`."""
        dh, dkeys = self.output.backward(dlogits), None
        if self.attention is not None:
            joined = self.combine.backward(dh * (1 - self._attentional * self._attentional))
            size = joined.shape[-1] - self.stack.output_size
            dqueries, dkeys = self.attention.backward(np.ascontiguousarray(joined[..., :size]))
            dh = joined[..., size:] + dqueries
        dx, dstarts = self.stack.backward(dh)
        self.embedding.backward(dx)
        return dkeys, dstarts

    def state_sizes(self):
        """Sizes of all start states by name, for each layer."""
        return [dict.fromkeys(layer.cell.states, layer.hidden_size) for layer in self.stack.layers]

"""The encoder-decoder as one model, with the interface of `sandbox.model.Model` as far as it goes."""

from dataclasses import dataclass, replace

import numpy as np

from sandbox import cells, losses
from sandbox.alphabet import START
from sandbox.errors import UsageError, unknown
from sandbox.layers.module import Module, check_array, check_generator, check_lengths, check_size, check_symbols
from sandbox.model import Pass
from sandbox.seq2seq import forcing as forced
from sandbox.seq2seq.decoder import Decoder
from sandbox.seq2seq.encoder import Bridge, SequenceEncoder, VectorEncoder, check_bridge

__all__ = ["KINDS", "Reading", "Seq2Seq"]

KINDS = ("sequence", "vector")


@dataclass(frozen=True)
class Reading:
    """Where a decoder stands that writes symbol by symbol.

    Attributes
    ----------
    states : list of dicts
        Of every layer of the decoder.
    keys : (S, B, K) or None
        The encoder's outputs, for an attention.
    lengths : (B,) or None
        Of the source.
    """

    states: list
    keys: np.ndarray | None
    lengths: np.ndarray | None


class Seq2Seq(Module):
    """Encoder, bridge and decoder over one flat parameter vector.

    Parameters
    ----------
    input_size, output_size : int
        Width of the source's vectors (of symbols: of their embedding), and number of target symbols, `END` and `START`
        among them.
    kind : {"sequence", "vector"}
        Whether the source has steps, or is one vector or symbol for each row.
    symbols : int, optional
        The source are symbols from 0 to symbols - 1.
    cell, hidden, layers
        Of encoder and decoder both. The encoder of one vector has no layers, and `hidden` is the size of its vector.
    direction : {"forward", "both"}
        Of the encoder; the decoder runs forward.
    bridge : {"dense", "identity"}
        How the decoder's start states are made: `Bridge`, or the encoder's last states as they are (Sutskever et al.
        2014), which an encoder in both directions and one of a vector do not have.
    attention : {"none", "dot", "general", "additive"}
    embedding : int, optional
        Width of the target symbols' vectors, `hidden` by default.
    forcing : float or str
        Share of right decoder inputs, by the number of calls of `differentiate`: see `forcing.schedule`. Below 1 the
        coins come from `noise`.
    rng, noise : numpy.random.Generator
        For initial weights, from the source to the head; for dropout masks and coins.
    dtype, head_init, **arguments
        As for `Model`; what is left goes to both stacks, `merge` to the encoder's.

    Attributes
    ----------
    updates : int
        Calls of `differentiate` so far: part of `noise_state`, so that a resumed run goes on in the schedule.

    Raises
    ------
    UsageError
        Names the argument, its rule and the value.

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> model = Seq2Seq(8, 5, symbols=10, hidden=16, rng=stream("init", 0))
    >>> model.forward(np.ones((7, 3), int), target=np.array([[2, 3, 4], [3, 0, 0], [0, 0, 0]])).shape
    (3, 3, 5)
    """

    head = "decoder"

    def __init__(self, input_size, output_size, *, rng, kind="sequence", symbols=None, cell="gru", hidden=32, layers=1,
                 direction="forward", bridge="dense", attention="none", embedding=None, forcing=1.0, noise=None,
                 dtype="float32", head_init="glorot", merge="concat", **arguments):  # fmt: skip
        if kind not in KINDS:
            raise unknown("kind of encoder", kind, KINDS)
        if check_size("output_size", output_size) < 3:
            raise UsageError(f"output_size must be at least 3, END, START and one symbol to write, got {output_size}")
        for name in [cell] if isinstance(cell, str) else cell:
            cells.parse(name)  # a window of inputs has no state that a bridge could set
        hidden = check_size("hidden", hidden)
        width = hidden if embedding is None else check_size("embedding", embedding)
        stacked = {"cell": cell, "layers": layers, "noise": noise, **arguments}
        if kind == "sequence":
            self.encoder = SequenceEncoder(input_size, hidden, rng=rng, symbols=symbols, dtype=dtype, merge=merge,
                                           direction=direction, **stacked)  # fmt: skip
        else:
            self.encoder = VectorEncoder(input_size, hidden, rng=rng, symbols=symbols, dtype=dtype)
        self.decoder = Decoder(output_size, width, hidden, key_size=self.encoder.output_size, attention=attention,
                               rng=rng, dtype=dtype, head_init=head_init, **stacked)  # fmt: skip
        sizes = self.encoder.state_sizes(), self.decoder.state_sizes()
        is_dense = check_bridge(bridge, *sizes) == "dense"
        self.bridge = Bridge(*sizes, rng=rng, dtype=dtype) if is_dense else None
        self.kind, self.forcing, self.updates, self._share = kind, forcing, 0, forced.schedule(forcing)
        self._coins = None if self._share is None else check_generator("noise", noise, "dropout").spawn(1)[0]
        self.adopt({"encoder": self.encoder, "bridge": self.bridge, "decoder": self.decoder})

    # Forward -----------------------------------------------------------------------------------------------------

    def forward(self, x, *, target, lengths=None, training=False):
        """Logits (T, B, O) of each target symbol, given the source and the right symbols before it.

        Parameters
        ----------
        x : (S, B) symbols or (S, B, D); of kind vector (B,) or (B, D), or one step of that
        target : (T, B) whole numbers
            Each row ends in `END`; what follows is padding, and any symbol.
        lengths : (B,) whole numbers, optional
            Of the source. From a row of length 0 nothing is read: its states, and what attention sees, are zeros.
        """
        S, B = self.encoder.size(x)
        reading = self._read(x, check_lengths(lengths, S, B), training)
        return self._write(_shifted(self._check_target(target, B)), reading, training)

    def predict(self, x, *, target=None, lengths=None, states=None, piece=None):
        """`forward`, and None: no states can be carried on."""
        if target is None:
            raise UsageError("target must be given to an encoder-decoder (sandbox.decoding writes without one)")
        return self.forward(x, target=target, lengths=lengths), None

    def alignment(self, x, symbols, lengths=None):
        """Weights (T, B, S) that attention gives the source's steps while these symbols (T, B) are written.

        Of symbols that the model wrote itself they are the bits of those which it wrote them with.
        """
        if self.decoder.attention is None:
            raise UsageError("attention must be dot, general or additive for an alignment, got none")
        self.forward(x, target=symbols, lengths=lengths)
        return self.decoder.attention.weights.copy()

    def _check_target(self, target, B):
        target = check_symbols("target", target, self.output.output_size)
        if target.ndim != 2 or target.shape[1] != B or not len(target):
            raise UsageError(f"target must have shape (T, {B}), got {target.shape}")
        return target

    def _read(self, x, lengths, training):
        """The encoder's part of a pass: what the decoder starts from and looks at."""
        keys, states = self.encoder.forward(x, lengths, training)
        starts = states if self.bridge is None else self.bridge.forward(states)
        return Reading(starts, keys, lengths)

    def _write(self, inputs, reading, training):
        return self.decoder.forward(inputs, reading.states, reading.keys, reading.lengths, training)

    # Backward ----------------------------------------------------------------------------------------------------

    def differentiate(self, x, target, *, loss="softmax", reduction="mean", mask=None, lengths=None, states=None,
                      window=None, checkpoint_every=None):  # fmt: skip
        """Loss of a batch and its gradient by all parameters, which is left in `gradient`.

        Where `forcing` is below 1, some of the decoder's inputs are the model's own answers, which a first pass of the
        decoder, without masks of dropout, has given; the gradient takes them for constants.

        Parameters
        ----------
        x, target, lengths
            As for `forward`, with masks of dropout and zoneout drawn.
        loss, reduction : str
            "softmax", and a name of `sandbox.losses`.
        mask : (T, B) bool, optional
            The target's steps that count, all by default.
        states, window, checkpoint_every
            None: what is read has one start, and all of it is in memory.

        Returns
        -------
        Pass
            Without states.

        Raises
        ------
        UsageError
            A shape, a name or a length does not fit.
        """
        for name, value in (("states", states), ("window", window), ("checkpoint_every", checkpoint_every)):
            if value is not None:
                raise UsageError(f"{name} must be None for an encoder-decoder, got {value}")
        if loss != "softmax":
            raise UsageError(f"loss must be softmax for an encoder-decoder, got {loss}")
        S, B = self.encoder.size(x)
        lengths, target = check_lengths(lengths, S, B), self._check_target(target, B)
        if mask is not None:
            mask = check_array("mask", mask, np.dtype(bool), target.shape)
        reading, inputs = self._read(x, lengths, True), _shifted(target)
        share = 1.0 if self._share is None else self._share(self.updates)
        if share < 1:
            answers = self._write(inputs, reading, False).argmax(axis=-1)
            inputs = forced.mixed(inputs, answers, share, self._coins)
        output = self._write(inputs, reading, True)
        value, doutput = losses.evaluate(loss, output, target, mask, reduction)
        dkeys, dstarts = self.decoder.backward(doutput)
        self.encoder.backward(dkeys, dstarts if self.bridge is None else self.bridge.backward(dstarts))
        self.updates += 1
        return Pass(value, output, [])

    def noise_state(self):
        """Where the streams of all masks and coins stand, and how far the schedule of forcing is."""
        return [rng.bit_generator.state for rng in self.generators] + [{"updates": self.updates}]

    def set_noise_state(self, states):
        """Put all of that where `noise_state` found it."""
        *streams, schedule = states
        for rng, state in zip(self.generators, streams, strict=True):
            rng.bit_generator.state = state
        self.updates = schedule["updates"]

    # Symbol by symbol --------------------------------------------------------------------------------------------

    def start(self, x, lengths=None):
        """What `step` starts from, and its first symbols (B,), all `START`: see `sandbox.decoding`."""
        S, B = self.encoder.size(x)
        return self._read(x, check_lengths(lengths, S, B), False), np.full(B, START, np.int64)

    def step(self, symbols, states):
        """Logits (B, O) after one further symbol (B,), and what the next step starts from."""
        output = self._write(check_symbols("symbols", symbols, self.output.output_size)[np.newaxis], states, False)
        return output[0], replace(states, states=self.decoder.last.states())

    def select(self, states, rows):
        """What `step` starts from for these rows (N,), in their order, each as often as it is named."""
        return Reading([{name: value[rows] for name, value in layer.items()} for layer in states.states],
                       None if states.keys is None else np.ascontiguousarray(states.keys[:, rows]),
                       None if states.lengths is None else states.lengths[rows])  # fmt: skip

    # What it is made of ------------------------------------------------------------------------------------------

    @property
    def generators(self):
        """All generators that masks and coins are drawn from."""
        coins = [] if self._coins is None else [self._coins]
        return [*self.encoder.generators, *self.decoder.stack.generators, *coins]

    @property
    def output(self):
        """The head."""
        return self.decoder.output

    @property
    def inputs(self):
        """How much of what it reads at a step: `(65, "symbols")` or `(2, "numbers")`."""
        return self.encoder.inputs

    @property
    def columns(self):
        """Numbers that a forward pass keeps of every step of every row, source and target taken to be of one length."""
        return self.encoder.columns + self.decoder.stack.columns

    def identity(self):
        """What another model must have in common with this one to take its place in a training run."""
        attention = self.decoder.attention
        shapes = {name: value.shape for name, value in self.parameters.items()}
        return {"dtype": self.dtype.name, "encoder": self.encoder.identity(), "decoder": self.decoder.stack.identity(),
                "attention": "none" if attention is None else attention.score, "forcing": self.forcing,
                "bridge": "identity" if self.bridge is None else "dense", "kind": self.kind,
                "parameters": shapes}  # fmt: skip


def _shifted(target):
    """What the decoder reads: START, then the target without its last step."""
    first = np.full((1, target.shape[1]), START, np.int64)
    return np.concatenate([first, target[:-1]])

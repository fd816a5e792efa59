"""Transformer: blocks of self-attention and a perceptron, each around a residual; `transformer`, `transformer:post`.

    x_0 = drop(x W + b + p)                              p: the step's position
    u_l = x_{l-1} + drop(attention(norm(x_{l-1})))       l = 1 .. L
    x_l = u_l + drop(perceptron(norm(u_l)))              pre: norm before each part (Xiong et al. 2020)
    y   = norm(x_L)

    u_l = norm(x_{l-1} + drop(attention(x_{l-1})))       post: norm behind each residual (Vaswani et al. 2017)
    x_l = norm(u_l + drop(perceptron(u_l)))
    y   = x_L

    perceptron(x) = gelu(x W_1 + b_1) W_2 + b_2          4 times as wide within

Direction forward is the causal decoder, in which step t sees steps 1 to t; direction both the encoder, in which it sees
all. Options behind colons: `pre` or `post`; positions `sinusoidal` or `learned`, these for at most `length` steps;
`heads`. W starts larger than Glorot's by sqrt(hidden), as section 3.4 of the paper has embeddings, so that what is read
is not lost beside the position.

States, for sequences in segments: keys and values (B, S hidden) of all steps so far and their `count` (B,), of each
block; the top one also has y (B, hidden), each row's last. A row that has ended adds none. Their gradients are `keys`,
`values` and `y`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sandbox.errors import UsageError, unknown
from sandbox.layers.attention import MultiHead
from sandbox.layers.dense import Dense
from sandbox.layers.module import (
    Module,
    check_array,
    check_by_layer,
    check_generator,
    check_input,
    check_lengths,
    check_pass,
    check_rate,
    check_size,
    parse_size,
)
from sandbox.layers.norm import LayerNorm, Positions, gelu, gelu_backward
from sandbox.layers.stack import DIRECTIONS

__all__ = ["NAME", "OPTIONS", "PAPER", "Block", "Transformer", "TransformerRun", "body", "canonical", "parse"]

NAME = "transformer"
PAPER = "Vaswani et al. 2017; Xiong et al. 2020 (pre); Hendrycks & Gimpel 2016 (GELU)"
CHOICES = {"norm": ("pre", "post"), "positions": ("sinusoidal", "learned")}
NUMBERS = {"heads": 4, "length": 512}
OPTIONS = " ".join([*(f"{name}={'|'.join(values)}" for name, values in CHOICES.items()),
                    *(f"{name}={value}" for name, value in NUMBERS.items())])  # fmt: skip
STATES = {"keys", "values", "y"}
WIDER = 4  # the perceptron within a block, in widths of the block
KEPT = 20  # numbers that a block keeps of a step for its backward pass, in widths of the block


def parse(text):
    """The options that a name such as `transformer:post:heads=2` stands for.

    Raises
    ------
    UsageError
        Another name, an unknown option, one given twice, or a value that it has not.

    Examples
    --------
    >>> parse("transformer:learned:heads=2")
    {'norm': 'pre', 'positions': 'learned', 'heads': 2, 'length': 512}
    """
    name, *parts = str(text).split(":")
    if name != NAME:
        raise unknown("model", name, [NAME])
    given, options = {}, [*CHOICES, *NUMBERS]
    for part in parts:
        option, equals, value = part.partition("=")
        if not equals:
            option, value = next((each for each, known in CHOICES.items() if part in known), None), part
        if option not in options:
            every = [choice for known in CHOICES.values() for choice in known]
            raise unknown(f"option of {NAME}", part.partition("=")[0], [*every, *(f"{each}=..." for each in NUMBERS)])
        if option in given:
            raise UsageError(f"{option} of {NAME} must be given once, got {given[option]} and {value}")
        given[option] = _checked(option, value)
    return {name: values[0] for name, values in CHOICES.items()} | NUMBERS | given


def _checked(option, value):
    if option in CHOICES:
        if value not in CHOICES[option]:
            raise unknown(option, value, CHOICES[option])
        return value
    return parse_size(option, value)


def canonical(text):
    """The one way to write what `parse` reads: options at their default left out.

    Examples
    --------
    >>> canonical("transformer:heads=2:norm=post:sinusoidal")
    'transformer:post:heads=2'
    """
    found = parse(text)
    parts = [found[option] for option, choices in CHOICES.items() if found[option] != choices[0]]
    return ":".join([NAME, *parts, *(f"{each}={found[each]}" for each in NUMBERS if found[each] != NUMBERS[each])])


def body(name, input_size, hidden_size, *, layers=1, rng, noise=None, dtype="float64", direction="forward", dropout=0.0,
         **others):  # fmt: skip
    """A `Transformer`, of the arguments of `Stack`; those that only recurrent layers have must be at their default."""
    usual = {"merge": "concat", "residual": False, "recurrent_dropout": 0, "zoneout": 0, "init": "orthogonal",
             "gain": 1, "input_init": None, "chrono": None}  # fmt: skip
    for argument, value in others.items():
        if argument not in usual or value != usual[argument]:
            raise UsageError(f"{argument} must be {usual.get(argument, 'left out')} for {NAME}, got {value}")
    return Transformer(name, input_size, hidden_size, rng=rng, num_layers=layers, noise=noise, dtype=dtype,
                       direction=direction, dropout=dropout)  # fmt: skip


class Block(Module):
    """Self-attention and a perceptron, each with a residual and a norm; see the module's text.

    Parameters
    ----------
    size, heads : int
    pre : bool
        Where norms are.
    rng : numpy.random.Generator
        For initial weights, Glorot's.
    dtype : "float64" or "float32"
    """

    def __init__(self, size, heads, *, pre, rng, dtype="float64"):
        self.pre = pre
        self.attention = MultiHead(size, heads, rng=rng, dtype=dtype)
        self.inner = Dense(size, WIDER * size, rng=rng, dtype=dtype)
        self.outer = Dense(WIDER * size, size, rng=rng, dtype=dtype)
        self.norms = LayerNorm(size, dtype=dtype), LayerNorm(size, dtype=dtype)
        self.adopt({"attention": self.attention, "inner": self.inner, "outer": self.outer, "norm_1": self.norms[0],
                    "norm_2": self.norms[1]})  # fmt: skip
        self._hides = self._z = None

    def forward(self, x, lengths=None, past=None, *, causal=False, hides=(None, None)):
        """x_l of x_{l-1}, (T, B, D); `hides` are two arrays that the parts' outputs are multiplied by, or None."""
        self._hides = hides
        x = self._around(0, lambda u: self.attention.forward(u, lengths, past, causal=causal), x)
        return self._around(1, self._perceptron, x)

    def backward(self, dy, dpast=None, *, accumulate=False):
        """dL/dx of dL/dy, and dL/dpast, as of `MultiHead`; fills `gradients`, or adds to them with `accumulate`."""
        dstart = {}

        def attention(du):
            dx, found = self.attention.backward(du, dpast, accumulate=accumulate)
            dstart.update(found)
            return dx

        def perceptron(du):
            dz = gelu_backward(self.outer.backward(du, accumulate=accumulate), self._z)
            return self.inner.backward(dz, accumulate=accumulate)

        dy = self._around_backward(1, perceptron, dy, accumulate)
        return self._around_backward(0, attention, dy, accumulate), dstart

    def _perceptron(self, x):
        self._z = self.inner.forward(x)
        return self.outer.forward(gelu(self._z))

    def _around(self, number, part, x):
        norm, hides = self.norms[number], self._hides[number]
        if self.pre:
            return x + _times(part(norm.forward(x)), hides)
        return norm.forward(x + _times(part(x), hides))

    def _around_backward(self, number, part, dy, accumulate):
        norm, hides = self.norms[number], self._hides[number]
        if self.pre:
            return dy + norm.backward(part(_times(dy, hides)), accumulate=accumulate)
        du = norm.backward(dy, accumulate=accumulate)
        return du + part(_times(du, hides))


def _times(x, hides):
    return x if hides is None else x * hides


@dataclass(frozen=True)
class TransformerRun:
    """What a forward pass leaves behind.

    Attributes
    ----------
    y : (T, B, H)
        The output after every step, 0 behind a row's length.
    lengths : (B,) int
    blocks : list of Block
    before : (B, H)
        `last()` of a row that has no step in this segment.
    """

    y: np.ndarray
    lengths: np.ndarray
    blocks: list
    before: np.ndarray

    def last(self):
        """The output at each row's own last step, (B, H); 0 for a row that never had one."""
        rows = np.arange(len(self.lengths))
        return np.where((self.lengths > 0)[:, None], self.y[np.clip(self.lengths - 1, 0, None), rows], self.before)

    def states(self):
        """What a next segment starts from: see the module's text."""
        found = [block.attention.past() for block in self.blocks]
        found[-1]["y"] = self.last()
        return found


class Transformer(Module):
    """Blocks of self-attention over x (T, B, D), with the interface of `Stack`.

    Parameters
    ----------
    name : str
        `transformer`, with options behind colons.
    input_size, hidden_size, num_layers : int
    rng, noise : numpy.random.Generator
        For initial weights, the lowest block first; for dropout masks, each place with a stream of its own.
    dtype : "float64" or "float32"
    direction : {"forward", "both"}
        Causal decoder, or encoder.
    dropout : float
        Share of the elements of x_0 and of every part's output that are hidden, anew at every step; the others are
        scaled by 1 / (1 - dropout).

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> model = Transformer("transformer:post", 3, 8, rng=stream("init", 0), num_layers=2)
    >>> run = model.forward(np.ones((20, 4, 3)))
    >>> run.y.shape, model.forward(np.ones((1, 4, 3)), run.states()).states()[0]["count"].tolist()
    ((20, 4, 8), [21, 21, 21, 21])
    """

    grows = True  # its states are larger after every step: no stream without end can be carried on

    def __init__(self, name, input_size, hidden_size, *, rng, num_layers=1, noise=None, dtype="float64",
                 direction="forward", dropout=0.0):  # fmt: skip
        if direction not in DIRECTIONS:
            raise unknown("direction", direction, DIRECTIONS)
        self.name, options = canonical(name), parse(name)
        self.input_size, self.output_size = check_size("input_size", input_size), check_size("hidden", hidden_size)
        if hidden_size % options["heads"]:
            raise UsageError(f"heads must divide hidden={hidden_size}, got {options['heads']} ({NAME}:heads=1)")
        self.direction, self.residual, self.dropout = direction, False, check_rate("dropout", dropout)
        learned, pre = options["positions"] == "learned", options["norm"] == "pre"
        sites = 1 + 2 * check_size("layers", num_layers)
        self._sites = [] if noise is None and not dropout else check_generator("noise", noise, "dropout").spawn(sites)
        self._input = Dense(input_size, hidden_size, rng=rng, dtype=dtype, gain=np.sqrt(hidden_size))
        self.positions = Positions(hidden_size, options["length"] if learned else None, rng=rng, dtype=dtype)
        self.layers = [Block(hidden_size, options["heads"], pre=pre, rng=rng, dtype=dtype) for _ in range(num_layers)]
        self._norm = LayerNorm(hidden_size, dtype=dtype) if pre else None
        parts = {"input": self._input, "positions": self.positions}
        parts |= {str(number): layer for number, layer in enumerate(self.layers)}
        self.adopt(parts | ({"norm": self._norm} if pre else {}))
        self._run = None

    def forward(self, x, states=None, lengths=None, *, training=False, resume=False):
        """Run all blocks over x (T, B, D); `states` is what `TransformerRun.states` gave of an earlier segment."""
        x = check_input(x, self.input_size, self.dtype)
        T, B = x.shape[:2]
        lengths = check_lengths(np.full(B, T) if lengths is None else lengths, T, B)
        pasts, before = self._pasts(states, B)
        self._run = None
        y = self._input.forward(x)
        self.positions.forward(y, np.zeros(B, np.int64) if pasts[0] is None else pasts[0]["count"])
        self._hides = [self._mask(site, y.shape) for site in self._sites] if training and self.dropout else []
        hides = self._hides or [None] * (1 + 2 * len(self.layers))
        y = _times(y, hides[0])
        for number, (layer, past) in enumerate(zip(self.layers, pasts, strict=True)):
            y = layer.forward(y, lengths, past, causal=self.direction == "forward",
                              hides=hides[2 * number + 1 : 2 * number + 3])  # fmt: skip
        y = y if self._norm is None else self._norm.forward(y)
        live = (np.arange(T)[:, None] < lengths)[..., None]
        self._run = TransformerRun(np.where(live, y, self.dtype.type(0)), lengths, self.layers, before)
        return self._run

    def _pasts(self, states, B):
        """The states of each block, and y of rows that have no step."""
        before = np.zeros((B, self.output_size), self.dtype)
        if states is None:
            return [None] * len(self.layers), before
        if self.direction == "both":
            raise UsageError("states must be None with direction both, in which every step sees all others")
        for number, state in enumerate(self._by_layer("states", states, B, {"keys", "values", "count"})):
            most, count = state["keys"].shape[1] // self.output_size, np.asarray(state["count"])
            whole = count.shape == (B,) and count.dtype.kind in "iu"
            if not whole or (count < 0).any() or (count > most).any():
                raise UsageError(f"states[{number}]['count'] must be {B} whole numbers from 0 to {most}, "
                                 f"got {count.tolist()}")  # fmt: skip
        return states, states[-1].get("y", before)

    def _by_layer(self, name, states, B, needed):
        """States of each block, or gradients of them: `needed` ones there, all of the right shape."""
        for number, state in enumerate(check_by_layer(name, states, self.layers, "blocks")):
            if not isinstance(state, Mapping) or not needed <= state.keys() <= {*STATES, "count"}:
                got = ", ".join(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
                raise UsageError(f"{name}[{number}] must have arrays by name, {', '.join(sorted(needed))}, got {got}")
            steps = np.asarray(state.get("keys", 0)).size // (B * self.output_size)
            for key in STATES & state.keys():
                width = self.output_size * (1 if key == "y" else steps)
                check_array(f"{name}[{number}][{key!r}]", state[key], self.dtype, (B, width))
        return states

    def _mask(self, site, shape):
        """Where and by how much what passes is scaled."""
        keep = np.empty(shape, self.dtype)
        for step in keep:  # one at a time: the draws take more room than what is kept of them
            step[:] = site.random(step.shape) >= self.dropout
        keep *= self.dtype.type(1 / (1 - self.dropout))
        return keep

    def backward(self, dy=None, dstates=None, *, dlast=None, inputs=True, accumulate=False):
        """dL/dx and dL/dstart of dL/dy (T, B, H), dL/dlast (B, H) and dL/dstates, by block; fills `gradients`.

        Nothing flows into steps behind a row's length.

        Returns
        -------
        x : (T, B, D)
        starts : list of dicts
            dL/dkeys, dL/dvalues and, of the top one, dL/dy of the states that the pass started from.
        """
        run, self._run = check_pass(self._run), None
        (T, B, H), lengths = run.y.shape, run.lengths
        dstates = [{}] * len(self.layers) if dstates is None else self._by_layer("dstates", dstates, B, set())
        dy = np.zeros((T, B, H), self.dtype) if dy is None else check_array("dy", dy, self.dtype, (T, B, H))
        dy = np.where((np.arange(T)[:, None] < lengths)[..., None], dy, self.dtype.type(0))
        dlast = np.zeros((B, H), self.dtype) if dlast is None else check_array("dlast", dlast, self.dtype, (B, H))
        dlast = dlast + dstates[-1].get("y", self.dtype.type(0))
        some = np.flatnonzero(lengths)
        dy[lengths[some] - 1, some] += dlast[some]
        dy = dy if self._norm is None else self._norm.backward(dy, accumulate=accumulate)
        starts = []
        for layer, dpast in zip(self.layers[::-1], dstates[::-1], strict=True):
            dy, dstart = layer.backward(dy, dpast if "keys" in dpast else None, accumulate=accumulate)
            starts.append(dstart)
        starts[0]["y"] = np.where((lengths > 0)[:, None], self.dtype.type(0), dlast)
        dy = _times(dy, self._hides[0] if self._hides else None)
        self.positions.backward(dy, accumulate=accumulate)
        return self._input.backward(dy, accumulate=accumulate), starts[::-1]

    @property
    def columns(self):
        """Numbers that a forward pass keeps of every step of every row."""
        return self.input_size + KEPT * self.output_size * len(self.layers)

    def identity(self):
        """What decides its output beside the parameters."""
        return {"body": self.name, "layers": len(self.layers), "direction": self.direction, "dropout": self.dropout}

    @property
    def generators(self):
        """All generators that masks are drawn from."""
        return self._sites

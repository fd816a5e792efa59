"""Multilayer perceptron over a window of inputs, the baseline without recurrence: `mlp`, `mlp:8` or `mlp:window=8`.

    z_t = W [x_t, x_{t-1}, .. x_{t-k+1}] + b        k = window; x is 0 before the start
    h_t = relu(z_t)

With a model's linear head that is Linear, ReLU, Linear. Of window 1, the default, it sees the present alone; of window
k it remembers k - 1 steps, all of them as well as the present, and nothing before them.

Backward: dz_t = dL/dh_t [h_t > 0], dW_lag = sum over t of x_{t-lag}^T dz_t, dL/dx_t = sum over lag of dz_{t+lag}
W_lag^T. The rectifier's derivative at exactly 0 is taken as 0.

Its states, for sequences in segments, are the last output h (B, H), which a row that has ended keeps, and the last
k - 1 inputs x (B, (k - 1) D), the oldest first.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sandbox import inits, memory, threads
from sandbox.errors import UsageError, unknown
from sandbox.kernels import gemm, weights
from sandbox.kernels import window as kernels
from sandbox.layers.module import (
    Module,
    check_array,
    check_generator,
    check_input,
    check_lengths,
    check_pass,
    check_rate,
    check_size,
    parse_size,
)
from sandbox.layers.recurrent import Gradients, Layer

__all__ = ["NAME", "OPTIONS", "PAPER", "Window", "WindowRun", "canonical", "layer", "parse"]

NAME, OPTIONS = "mlp", "window=1"
PAPER = "Sejnowski & Rosenberg 1987, NETtalk (a window of inputs); Nair & Hinton 2010 (ReLU)"
STATES = ("h", "x")
UNIT = 64  # rows that one thread does at least
NONE = np.zeros(0, np.int64)


def parse(text):
    """The window that `mlp`, `mlp:8` or `mlp:window=8` stands for; None for the name of anything else.

    Raises
    ------
    UsageError
        An option that there is none of, one given twice, or a window that is no whole number from 1.

    Examples
    --------
    >>> parse("mlp"), parse("mlp:window=8"), parse("lstm:cifg")
    (1, 8, None)
    """
    name, *parts = str(text).split(":")
    if name != NAME:
        return None
    if len(parts) > 1:
        raise UsageError(f"window of {NAME} must be given once, got {':'.join(parts)}")
    option, equals, value = parts[0].partition("=") if parts else ("window", "=", "1")
    if equals and option != "window":
        raise unknown(f"option of {NAME}", option, ["window"])
    return parse_size("window", value if equals else option)


def canonical(text):
    """The one way to write what `parse` reads: `mlp` or `mlp:8`."""
    window = parse(text)
    return NAME if window == 1 else f"{NAME}:{window}"


def layer(name, input_size, hidden_size, **arguments):
    """The layer of a name: a `Window`, or a recurrent `Layer` of a cell."""
    make = Layer if parse(name) is None else Window
    return make(name, input_size, hidden_size, **arguments)


@dataclass(frozen=True)
class WindowRun:
    """What a forward pass leaves behind: views into the layer's workspace, overwritten by its next pass.

    Attributes
    ----------
    h : (T + 1, B, H)
        The output after t steps, at 0 the start.
    trail : (k - 1 + T, B, D)
        The inputs, those before the first step included. Of window 1 the input itself, not a copy.
    lengths : (B,) int or None
    """

    h: np.ndarray
    trail: np.ndarray
    lengths: np.ndarray | None

    @property
    def y(self):
        """The output after every step (T, B, H)."""
        return self.h[1:]

    @property
    def x(self):
        """The input at every step (T, B, D)."""
        return self.trail[1 + len(self.trail) - len(self.h) :]

    def last(self):
        """The output after each row's own last step (B, H)."""
        return self.h[-1]

    def last_states(self):
        """Output (B, H) and the last k - 1 inputs (B, (k - 1) D) after each row's own last step, by name."""
        return {"h": self.h[-1], "x": _flat(self.trail[self.places()])}

    def places(self):
        """Where in `trail` each row's last k - 1 inputs are: an index of (k - 1, B)."""
        T, B = len(self.h) - 1, self.h.shape[1]
        ends = np.full(B, T) if self.lengths is None else self.lengths
        return ends + np.arange(len(self.trail) - T)[:, None], np.arange(B)


def _flat(inputs):
    """Inputs (k - 1, B, D) as a state (B, (k - 1) D)."""
    steps, B, D = inputs.shape
    return inputs.transpose(1, 0, 2).reshape(B, steps * D)


class Window(Module):
    """A window of inputs, a matrix and a rectifier, with the interface of the recurrent `Layer`.

    Parameters
    ----------
    name : str
        `mlp`, or `mlp:8` for a window of 8.
    input_size, hidden_size : int
    rng : numpy.random.Generator
        For the initial W, which is drawn in float64 whatever the dtype. b starts at 0.
    dtype : "float64" or "float32"
    init, input_init : str
        W's is `input_init`, where it is not given the one that the scheme `init` has for input matrices, usually
        Glorot's; of recurrent matrices there are none, and so `gain` does nothing.
    chrono, recurrent_dropout, zoneout
        Must be None, 0 and 0: there is no gate, no recurrent product and nothing that could stay as it was.
    noise : numpy.random.Generator, optional
        Not drawn from.

    Attributes
    ----------
    window, output_size : int
    parameters : dict of arrays
        `W` (k D, H), the rows of the present input first, and `b` (H,).
    last : WindowRun or None
        The last forward pass, until it is differentiated.

    Raises
    ------
    UsageError
        Names the argument, its rule and the value.

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> layer = Window("mlp:8", 3, 16, rng=stream("init", 0))
    >>> layer.forward(np.ones((20, 4, 3))).y.shape, layer.parameters["W"].shape
    ((20, 4, 16), (24, 16))
    """

    def __init__(self, name, input_size, hidden_size, *, rng, dtype="float64", init="orthogonal", gain=1.0,
                 input_init=None, chrono=None, recurrent_dropout=0.0, zoneout=0.0, noise=None):  # fmt: skip
        self.window = parse(name)
        self.input_size, self.hidden_size = check_size("input_size", input_size), check_size("hidden_size", hidden_size)
        self.output_size, k = self.hidden_size, self.window
        if chrono is not None:
            raise UsageError(f"chrono must be None for {canonical(name)}, which has no gate with a bias, got {chrono}")
        self.recurrent_dropout = check_rate("recurrent_dropout", recurrent_dropout)
        self.zoneout, self.noise = check_rate("zoneout", zoneout), noise
        for what in ("recurrent_dropout", "zoneout"):
            if getattr(self, what):
                rule = f"0 for {canonical(name)}, which has no recurrent product"
                raise UsageError(f"{what} must be {rule}, got {getattr(self, what)}")
        self.allocate({"W": (k * input_size, hidden_size), "b": (hidden_size,)}, dtype,
                      f" (window={k}, input_size={input_size} and hidden_size={hidden_size})")  # fmt: skip
        _, usual = inits.scheme(init)
        drawn = inits.initialise(input_init or usual, check_generator("rng", rng, "init"), k * input_size, hidden_size)
        self.parameters["W"][:] = drawn
        self._plan()
        self._size = self.last = None

    def _plan(self):
        """What the kernels need to know of the sizes; for the tables see `kernels.weights`."""
        k, D, H = self.window, self.input_size, self.hidden_size
        self._panels = [np.empty(k * math.prod(gemm.panel_shape(*size, self.dtype)), self.dtype)
                        for size in ((D, H), (H, D))]  # fmt: skip
        self._products = gemm.product(self.dtype), gemm.block_product(self.dtype)
        self._segments = np.array([[0, H, 0, k]], np.int64)
        self._runs = np.array([[lag, 0, lag * D * H, H] for lag in range(k)], np.int64)
        self._sums = np.zeros(H)
        self._no_mask, self._no_dy = np.empty((0, 0), self.dtype), np.empty((0, 0, 0), self.dtype)

    def __repr__(self):
        return (f"Window({f'{NAME}:{self.window}'!r}, input_size={self.input_size}, hidden_size={self.hidden_size}, "
                f"dtype={self.dtype.name!r})")  # fmt: skip

    @property
    def columns(self):
        """Numbers that a forward pass keeps of every step of every row: output, its gradient, and inputs."""
        return 2 * self.hidden_size + (self.input_size if self.window > 1 else 0)

    def identity(self):
        """What decides its output beside the parameters."""
        return [NAME, {"window": self.window}]

    # Forward and backward ----------------------------------------------------------------------------------------

    def forward(self, x, states=None, lengths=None, *, training=False, resume=False):
        """Run the layer over a batch of sequences.

        Parameters
        ----------
        x : (T, B, D) array of the layer's dtype
        states : dict, optional
            What `WindowRun.last_states` gave for the steps before: `h` (B, H) and `x` (B, (k - 1) D); zeros for those
            left out.
        lengths : (B,) whole numbers from 0 to T, optional
            Steps after a row's length leave its output as it is; what x holds there must be finite.
        training, resume : bool
            As for `Layer`, and without effect.

        Returns
        -------
        WindowRun

        Raises
        ------
        UsageError
            A shape, dtype, length or state name does not fit.
        """
        x = check_input(x, self.input_size, self.dtype)
        (T, B, D), k = x.shape, self.window
        lengths = check_lengths(lengths, T, B)
        start = self._given("states", states, B)  # copies: they may be views of this workspace
        self.last = None  # until this pass is complete there is none to differentiate
        self._make_room(T, B)
        if k > 1:
            self._trail[k - 1 :], self._trail[: k - 1] = x, start["x"].reshape(B, k - 1, D).transpose(1, 0, 2)
            trail = self._trail
        else:
            trail = x.copy() if np.may_share_memory(x, self._h) else x
        self._h[0], y, panels = start["h"], self._h[1:], self._panels[0]
        kernels.pack(self.parameters["W"], k, False, panels)
        arguments = trail, k, self.parameters["b"], panels, y
        threads.share(T * B, UNIT, y.size * k * D, lambda *rows: kernels.forward(self._products[0], *rows, *arguments))
        if lengths is not None:
            kernels.hold(self._h, lengths)
        self.last = WindowRun(self._h, trail, lengths)
        return self.last

    def backward(self, dy=None, dstates=None, *, dlast=None, inputs=True, accumulate=False):
        """Differentiate a scalar L through the last forward pass, once.

        Parameters
        ----------
        dy : (T, B, H), optional
            dL/dy: what flows into the output after every step.
        dstates : dict, optional
            dL/d(last states) by name.
        dlast : (B, H), optional
            dL/dy_T on top of that.
        inputs : bool
            Whether to compute dL/dx.
        accumulate : bool
            Add to the parameters' gradients of the last call. Segments of a sequence, taken from the last to the first,
            give the bits of the sequence taken as one.

        Returns
        -------
        Gradients
            `start` has dL/d(start states) by name.

        Raises
        ------
        UsageError
            No forward pass to differentiate, or a shape that does not fit.
        """
        run, k, D, H = check_pass(self.last), self.window, self.input_size, self.hidden_size
        T, B, _ = run.y.shape
        given = self._given("dstates", dstates, B)
        dy = self._no_dy if dy is None else check_array("dy", dy, self.dtype, (T, B, H))
        if dlast is not None:
            given["h"] += check_array("dlast", dlast, self.dtype, (B, H))
        kernels.through(dy, run.y, NONE if run.lengths is None else run.lengths, given["h"], self._dz)
        self.last, work = None, self._dz.size * k * D
        self._parameter_gradients(run, work, accumulate)
        dtrail = np.zeros((k - 1 + T, B, D), self.dtype)
        rows = len(dtrail) * B if inputs else (k - 1) * B  # without dL/dx that of the steps before the first alone
        dtrail[run.places()] = given["x"].reshape(B, k - 1, D).transpose(1, 0, 2)
        kernels.pack(self.parameters["W"], k, True, self._panels[1])
        arguments = self._dz, k, self._panels[1], dtrail
        threads.share(rows, UNIT, work, lambda *rows: kernels.input_gradient(self._products[0], *rows, *arguments))
        return Gradients(x=dtrail[k - 1 :] if inputs else None, parameters=self.gradients,
                         start={"h": given["h"], "x": _flat(dtrail[: k - 1])}, states=None,
                         z=self._dz[:, :, None], exponents=None)  # fmt: skip

    def _parameter_gradients(self, run, work, accumulate):
        """dW and db: one chain for each element, from the last step's last row to the first step's first."""
        if not accumulate:
            self.gradient[:], self._sums[:] = 0, 0
        arguments = (run.trail, run.trail[None], self._no_mask, self._dz[:, :, None], self._segments, self._sources,
                     self._runs, self.gradient, self.gradient, self._sums)  # fmt: skip
        parts = threads.parts(self.hidden_size // gemm.width(self.dtype), work)

        def make(part, _):
            room = weights.blocks(self._sources, self.hidden_size, self.dtype)
            weights.gradients(self._products[1], part, parts, *arguments, *room)

        threads.share(parts, 1, work, make)
        self.gradients["b"][:] = self._sums

    def _make_room(self, T, B):
        """Memory for passes of this size: that of the last one, if it was of the same."""
        k, D, H = self.window, self.input_size, self.hidden_size
        if self._size == (T, B):
            return
        self._size = self._h = self._dz = self._trail = None  # makes room first
        shapes = (T + 1, B, H), (T, B, H), (k - 1 + T if k > 1 else 0, B, D)
        needed = self.dtype.itemsize * B * ((2 * T + 1) * H + shapes[2][0] * D)
        memory.require(needed, f"outputs of seq_len={T}, batch={B}, hidden={H} in {self.dtype.name}",
                       "use checkpoint_every or a smaller batch")  # fmt: skip
        self._h, self._dz, self._trail = (np.empty(shape, self.dtype) for shape in shapes)
        self._sources = np.array([[1, (k - 1 - lag) * B * D, D, 0] for lag in range(k)], np.int64)
        self._size = T, B

    def _given(self, name, states, B):
        """Copies of the states by name; zeros for those left out."""
        if states is not None and not isinstance(states, Mapping):
            raise UsageError(f"{name} must be a dictionary of arrays by state, got {type(states).__name__}")
        shapes = dict(zip(STATES, ((B, self.hidden_size), (B, (self.window - 1) * self.input_size)), strict=True))
        found = {state: np.zeros(shape, self.dtype) for state, shape in shapes.items()}
        for state, value in (states or {}).items():
            if state not in found:
                raise unknown(f"state of {NAME}", state, STATES)
            found[state][:] = check_array(f"{name}[{state!r}]", value, self.dtype, shapes[state])
        return found

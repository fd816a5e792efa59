"""Layers: shapes, allocation, validation and errors around a cell's kernels.

A `Layer` owns one flat parameter vector with named views, and the workspace of its last forward pass. What flows:

    forward   z = b, z += x W_ih (all T steps at once), then the time loop
    backward  the time loop, then dW_hh = h_prev^T dz, dW_ih = x^T dz, dx = dz W_ih^T, db = sum dz, once each

Arrays are time-major: x (T, B, D), states (T + 1, B, H).
"""

import json
import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import numpy as np

from sandbox import cells, inits
from sandbox.errors import UsageError, unknown
from sandbox.jit import first_class
from sandbox.kernels import gemm, scan

__all__ = ["Gradients", "Layer", "Trajectory"]

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Trajectory:
    """What a forward pass leaves behind: views into the layer's workspace, overwritten by its next pass.

    A backward pass without `keep_tape` puts dL/dz where the gates are.

    Attributes
    ----------
    x : (T, B, D)
        The input itself, not a copy: dL/dW_ih is wrong if it is changed before the backward pass.
    states : dict of (T + 1, B, H)
        Every state by name; index t is the state after t steps, 0 the start.
    gates : dict of (T, B, H)
        Every tape column by name.
    lengths : (B,) int or None
    """

    x: np.ndarray
    states: dict[str, np.ndarray]
    gates: dict[str, np.ndarray]
    lengths: np.ndarray | None

    @property
    def y(self):
        """The output: h after every step, (T, B, H)."""
        return self.states["h"][1:]

    def last_states(self):
        """Every state by name after the last step, each row's own last step where lengths were given: (B, H)."""
        return {name: state[-1] for name, state in self.states.items()}


@dataclass(frozen=True)
class Gradients:
    """What a backward pass computed.

    Attributes
    ----------
    x : (T, B, D) or None
    parameters : dict of arrays
        dL/dparameter by name: views into `Layer.gradient`.
    start : dict of (B, H)
        dL/ds_0 by state, under `log_scale` without the factor 2^exponents[0].
    states : dict of (T + 1, B, H) or None
        dL/ds_t for every t by state, if `every_state` was asked for.
    z : (T, B, G, H)
        dL/dz by tape column, under `log_scale` z[t] without the factor 2^exponents[t + 1].
    exponents : (T + 1, B) int or None
        With `log_scale`: dL/ds_t = states[t] * 2^exponents[t].
    """

    x: np.ndarray | None
    parameters: dict[str, np.ndarray] | None
    start: dict[str, np.ndarray]
    states: dict[str, np.ndarray] | None
    z: np.ndarray
    exponents: np.ndarray | None


class Layer:
    """One recurrent cell run over a sequence.

    Parameters
    ----------
    cell : str
        Name of a file in `sandbox/cells`, with options behind colons if wanted: `rnn:identity`, `lstm:forget_bias=2`.
    input_size, hidden_size : int
    rng : numpy.random.Generator
        For the initial weights, which are drawn in float64 whatever the dtype: first W_ih, then W_hh, a gate at a time.
        May be None where both inits are zeros.
    dtype : "float64" or "float32"
    init, gain : str, float
        Every gate's block of W_hh: a name of `sandbox.inits`, times gain.
    input_init : str
        Every gate's block of W_ih. Biases start at 0 except where the cell says otherwise.
    **options
        The cell's own, such as `activation` (rnn) and `forget_bias` (lstm).

    Raises
    ------
    UsageError
        Names the argument, its rule and the value.

    Examples
    --------
    >>> import numpy as np
    >>> from sandbox.streams import stream
    >>> layer = Layer("lstm", input_size=8, hidden_size=16, rng=stream("init", 0))
    >>> run = layer.forward(np.ones((20, 4, 8)))
    >>> run.y.shape, run.gates["f"].shape
    ((20, 4, 16), (20, 4, 16))
    >>> gradients = layer.backward(dy=np.ones((20, 4, 16)), every_state=True)
    >>> gradients.states["c"].shape, gradients.parameters["W_hh"].shape
    ((21, 4, 16), (16, 64))
    """

    def __init__(self, cell, input_size, hidden_size, *, rng, dtype="float64", init="orthogonal", gain=1.0,
                 input_init="glorot", **options):  # fmt: skip
        self.cell, variant = cells.parse(cell)
        self.options = self.cell.resolve(variant | options)
        self.input_size = _size("input_size", input_size)
        self.hidden_size = _size("hidden_size", hidden_size)
        name = getattr(dtype, "__name__", str(dtype))
        if name not in DTYPES:
            raise unknown("dtype", name, DTYPES)
        self.dtype = np.dtype(name)
        self._allocate_parameters()
        if not isinstance(rng, np.random.Generator) and not (rng is None and init == input_init == "zeros"):
            hint = "stream('init', seed) makes one"
            raise UsageError(f"rng must be a numpy.random.Generator, got {type(rng).__name__} ({hint})")
        self._initialise(rng, init, _finite("gain", gain), input_init)
        self._steps = (first_class(self.cell.step_forward, scan.STEP_FORWARD[self.dtype.name]),
                       first_class(self.cell.step_backward, scan.STEP_BACKWARD[self.dtype.name]))  # fmt: skip
        self._flags = np.array(self.cell.flags(self.options), np.int64)
        self._input_runs = _runs(self.cell.gates, self.cell.tape)
        self._workspace = None
        self.last = None

    def __repr__(self):
        return (f"Layer({self.cell.name!r}, input_size={self.input_size}, hidden_size={self.hidden_size}, "
                f"dtype={self.dtype.name!r}, options={self.options})")  # fmt: skip

    # Parameters --------------------------------------------------------------------------------------------------

    def _allocate_parameters(self):
        shapes = self.cell.shapes(self.input_size, self.hidden_size)
        count = sum(math.prod(shape) for shape in shapes.values())
        try:
            self.vector, self.gradient = np.zeros(count, self.dtype), np.zeros(count, self.dtype)
        except (MemoryError, ValueError):  # beyond what can be addressed NumPy speaks of a value
            sizes = f"input_size={self.input_size} and hidden_size={self.hidden_size}"
            raise UsageError(f"parameters must fit into memory, got {count:.3g} of them ({sizes})") from None
        self.parameters, self._gradients, at = {}, {}, 0
        for name, shape in shapes.items():
            size = math.prod(shape)
            self.parameters[name] = self.vector[at : at + size].reshape(shape)
            self._gradients[name] = self.gradient[at : at + size].reshape(shape)
            at += size

    def _initialise(self, rng, init, gain, input_init):
        D, H = self.input_size, self.hidden_size
        for gate in self.cell.gates:
            self.block("W_ih", gate)[:] = inits.initialise(input_init, rng, D, H)
        for gate in self.cell.gates if self.cell.recurrent else ():
            self.block("W_hh", gate)[:] = inits.initialise(init, rng, H, H, gain)
        for column, option in self.cell.initial_bias.items():
            for name, columns in self.cell.biases.items():
                if column in columns:
                    at = columns.index(column) * H
                    self.parameters[name][at : at + H] = self.options[option]

    def block(self, name, gate):
        """View of one gate's columns of a weight matrix: (D, H) of W_ih, (H, H) of W_hh."""
        at = self.cell.gates.index(gate) * self.hidden_size
        return self.parameters[name][..., at : at + self.hidden_size]

    def _bias_row(self):
        """All biases in the order of the tape: (G * H,)."""
        H, row = self.hidden_size, np.zeros(len(self.cell.tape) * self.hidden_size, self.dtype)
        for name, columns in self.cell.biases.items():
            for source, target, count in _runs(columns, self.cell.tape):
                row[target * H : (target + count) * H] = self.parameters[name][source * H : (source + count) * H]
        return row

    def _weights(self):
        """Per-unit parameters as rows: (P, H)."""
        rows = [self.parameters[name] for name in self.cell.per_unit]
        return np.stack(rows) if rows else np.empty((0, self.hidden_size), self.dtype)

    def astype(self, dtype):
        """A layer with the same parameters, rounded to another dtype."""
        twin = Layer(self.cell.name, self.input_size, self.hidden_size, rng=None, dtype=dtype, init="zeros",
                     input_init="zeros", **self.options)  # fmt: skip
        twin.vector[:] = self.vector
        return twin

    # Forward and backward ----------------------------------------------------------------------------------------

    def forward(self, x, states=None, lengths=None):
        """Run the layer over a batch of sequences.

        Parameters
        ----------
        x : (T, B, D) array of the layer's dtype
        states : dict of (B, H) arrays, optional
            Start states by name; zeros for those left out.
        lengths : (B,) whole numbers from 0 to T, optional
            Steps after a row's length leave its states as they are; what x holds there must be finite.

        Returns
        -------
        Trajectory

        Raises
        ------
        UsageError
            A shape, dtype, length or state name does not fit.
        """
        x = self._check_input(x)
        T, B, _ = x.shape
        lengths = _check_lengths(lengths, T, B)
        cell, H, G = self.cell, self.hidden_size, len(self.cell.tape)
        start = self._stacked("states", states, B)  # a copy: they may be views of the workspace about to be overwritten
        self.last = None  # until this pass is complete there is none to differentiate
        z, trail = self._work_arrays(T, B)
        if np.may_share_memory(x, trail):  # this layer's own output as its next input
            x = x.copy()
        trail[:, 0] = start
        z.reshape(T * B, G * H)[:] = self._bias_row()
        for source, target, count in self._input_runs:
            panels = gemm.pack(self.parameters["W_ih"], source * H, count * H)
            gemm.add_product(x.reshape(T * B, -1), 0, panels, z.reshape(T * B, G * H), target * H, count * H)
        scan.forward(self._steps[0], z, self._recurrent_panels(transpose=False), (G - len(cell.recurrent)) * H, trail,
                     self._weights(), self._flags, np.zeros(0, np.int64) if lengths is None else lengths)  # fmt: skip
        self.last = Trajectory(
            x=x,
            states=dict(zip(cell.states, trail, strict=True)),
            gates={name: z[:, :, g] for g, name in enumerate(cell.tape)},
            lengths=lengths,
        )
        return self.last

    def backward(self, dy=None, dstates=None, *, parameters=True, inputs=True, keep_tape=False, every_state=False,
                 log_scale=False):  # fmt: skip
        """Differentiate a scalar L through the last forward pass.

        Parameters
        ----------
        dy : (T, B, H), optional
            dL/dy: what flows into h after every step.
        dstates : dict of (B, H), optional
            dL/ds_T by state name.
        parameters, inputs : bool
            Whether to compute the parameters' gradients and dL/dx.
        keep_tape : bool
            Leave the gates in place so that backward may be called again; otherwise dL/dz takes their place.
        every_state : bool
            Keep dL/ds_t for all t.
        log_scale : bool
            Carry the magnitude of every row apart, as a power of two (exact), so that a gradient of 1e-3000 is told
            from zero. Parameter and input gradients are not computed then.

        Returns
        -------
        Gradients

        Raises
        ------
        UsageError
            No forward pass to differentiate, or a shape that does not fit.
        """
        if self.last is None:
            raise UsageError("backward must follow a forward pass whose gates are in place, got none "
                             "(use keep_tape=True to differentiate one pass several times)")  # fmt: skip
        run, (z, trail) = self.last, self._workspace[1]
        T, B, G, H = z.shape
        empty, ds = self._empty, self._stacked("dstates", dstates, B)
        dy = empty(3) if dy is None else self._check("dy", dy, (T, B, H))
        every = np.empty((len(ds), T + 1, B, H), self.dtype) if every_state else empty(4)
        exponents = np.zeros((T + 1, B) if log_scale else (0, 0), np.int64)
        dz = np.empty_like(z) if keep_tape else z
        weights = self._weights()
        dweights = np.zeros(weights.shape)
        if not keep_tape:
            self.last = None  # before the tape is touched: an interrupt must not leave a spoilt one that looks whole
        lengths = np.zeros(0, np.int64) if run.lengths is None else run.lengths
        scan.backward(self._steps[1], z, dz, self._recurrent_panels(transpose=True), (G - len(self.cell.recurrent)) * H,
                      trail, weights, self._flags, lengths, dy, ds, every, dweights, exponents)  # fmt: skip
        if parameters and not log_scale:
            self._parameter_gradients(run, trail, dz, dweights)
        return Gradients(
            x=self._input_gradient(dz) if inputs and not log_scale else None,
            parameters=self._gradients if parameters and not log_scale else None,
            start=dict(zip(self.cell.states, ds, strict=True)),
            states=dict(zip(self.cell.states, every, strict=True)) if every_state else None,
            z=dz,
            exponents=exponents if log_scale else None,
        )

    def _parameter_gradients(self, run, trail, dz, dweights):
        T, B, G, H = dz.shape
        flat, h_prev = dz.reshape(T * B, G * H), trail[0, :-1].reshape(T * B, H)
        self.gradient[:] = 0
        for source, target, count in self._input_runs:
            gemm.add_transposed_product(run.x.reshape(T * B, -1), flat, target * H, count * H, self._gradients["W_ih"],
                                        source * H)  # fmt: skip
        if self.cell.recurrent:
            count = len(self.cell.recurrent)
            gemm.add_transposed_product(h_prev, flat, (G - count) * H, count * H, self._gradients["W_hh"], 0)
        sums = np.zeros(G * H)
        scan.add_column_sums(flat, sums)
        for name, columns in self.cell.biases.items():
            for source, target, count in _runs(columns, self.cell.tape):
                self._gradients[name][source * H : (source + count) * H] = sums[target * H : (target + count) * H]
        for name, row in zip(self.cell.per_unit, dweights, strict=True):
            self._gradients[name][:] = row

    def _input_gradient(self, dz):
        T, B, G, H = dz.shape
        dx = np.zeros((T, B, self.input_size), self.dtype)
        for source, target, count in self._input_runs:
            panels = gemm.pack(self.parameters["W_ih"], source * H, count * H, transpose=True)
            flat = dx.reshape(T * B, -1)
            gemm.add_product(dz.reshape(T * B, G * H), target * H, panels, flat, 0, self.input_size)
        return dx

    def _recurrent_panels(self, *, transpose):
        if not self.cell.recurrent:
            return self._empty(3)
        return gemm.pack(self.parameters["W_hh"], transpose=transpose)

    def _empty(self, dimensions):
        return np.empty((0,) * dimensions, self.dtype)

    def _work_arrays(self, T, B):
        """The tape (T, B, G, H) and the states (S, T + 1, B, H), kept for the next pass of the same size."""
        if self._workspace is None or self._workspace[0] != (T, B):
            H, G, S = self.hidden_size, len(self.cell.tape), len(self.cell.states)
            z, trail = np.empty((T, B, G, H), self.dtype), np.empty((S, T + 1, B, H), self.dtype)
            self._workspace = ((T, B), (z, trail))
        return self._workspace[1]

    def _stacked(self, name, states, B):
        """Arrays by state name as one (S, B, H) array; zeros for those left out."""
        stacked = np.zeros((len(self.cell.states), B, self.hidden_size), self.dtype)
        for state, value in _by_name(name, states).items():
            s = self._state_index(state)
            stacked[s] = self._check(f"{name}[{state!r}]", value, stacked.shape[1:])
        return stacked

    # Checks ------------------------------------------------------------------------------------------------------

    def _state_index(self, name):
        if name not in self.cell.states:
            raise unknown(f"state of cell {self.cell.name}", name, self.cell.states)
        return self.cell.states.index(name)

    def _check(self, name, value, shape):
        value = np.asarray(value)
        if value.dtype != self.dtype or value.shape != shape:
            raise UsageError(f"{name} must be {self.dtype} of shape {shape}, got {value.dtype} of shape {value.shape}")
        return np.ascontiguousarray(value)

    def _check_input(self, x):
        x = np.asarray(x)
        if x.ndim != 3 or x.shape[2] != self.input_size or 0 in x.shape[:2]:
            raise UsageError(f"x must have shape (T, B, {self.input_size}) because input_size={self.input_size}, "
                             f"got {x.shape}")  # fmt: skip
        return self._check("x", x, x.shape)

    # Files -------------------------------------------------------------------------------------------------------

    def save(self, path):
        """Write the parameters and what is needed to make the layer again to an .npz file, wholly or not at all."""
        path = Path(path)
        if not path.name:
            raise UsageError(f"layer file must have a name, got {path}")
        facts = {"cell": self.cell.name, "input_size": self.input_size, "hidden_size": self.hidden_size,
                 "dtype": self.dtype.name, "options": self.options}  # fmt: skip
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(scratch, "wb") as file:
                np.savez(file, layer=np.array(json.dumps(facts)), **self.parameters)
            os.replace(scratch, path)
        except OSError as error:
            raise UsageError(f"layer file must be one that can be written, got {path} ({error.strerror})") from error
        finally:
            scratch.unlink(missing_ok=True)

    @classmethod
    def load(cls, path):
        """The layer that `save` wrote.

        Raises
        ------
        UsageError
            The file is missing, is not such a file, or holds other shapes than it says.
        """
        try:
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            facts = json.loads(str(arrays.pop("layer")[()]))
            layer = cls(facts["cell"], facts["input_size"], facts["hidden_size"], rng=None, dtype=facts["dtype"],
                        init="zeros", input_init="zeros", **facts["options"])  # fmt: skip
        except FileNotFoundError:
            raise UsageError(f"layer file must exist, got {path}") from None
        except (OSError, EOFError, zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"layer file must be one written by Layer.save, got {path} ({error})") from None
        if arrays.keys() != layer.parameters.keys():
            raise UsageError(f"layer file must hold {', '.join(layer.parameters)}, got {', '.join(arrays)} in {path}")
        for name, value in arrays.items():
            layer.parameters[name][:] = layer._check(f"{name} in {path}", value, layer.parameters[name].shape)
        return layer


def _runs(names, tape):
    """Where neighbouring blocks stay neighbours: (first block, first tape column, number of blocks) per run."""
    runs = []
    for source, name in enumerate(names):
        target = tape.index(name)
        if runs and runs[-1][1] + runs[-1][2] == target:
            runs[-1][2] += 1
        else:
            runs.append([source, target, 1])
    return [tuple(run) for run in runs]


def _size(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise UsageError(f"{name} must be a whole number from 1, got {value}")
    return int(value)


def _finite(name, value):
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise UsageError(f"{name} must be a finite number, got {value}")
    return float(value)


def _by_name(name, states):
    """The states given, as a mapping; an array alone would not say which state it is."""
    if states is not None and not isinstance(states, Mapping):
        raise UsageError(f"{name} must be a dictionary of arrays by state, got {type(states).__name__}")
    return states or {}


def _check_lengths(lengths, T, B):
    if lengths is None:
        return None
    lengths = np.asarray(lengths)
    if lengths.shape != (B,) or lengths.dtype.kind not in "iu" or (lengths < 0).any() or (lengths > T).any():
        raise UsageError(f"lengths must be {B} whole numbers from 0 to T={T}, got {lengths.tolist()}")
    return np.ascontiguousarray(lengths, np.int64)

"""A recurrent cell run over a sequence: shapes, allocation, validation and errors around the cell's kernels.

A `Layer` owns its parameters and the workspace of its last forward pass. What flows:

    forward   pack the weights, then the time loop: z_t = b + x_t W_ih, the recurrent products, the cell's step
    backward  pack them transposed, the time loop, which makes dx as well, then all of dW = source^T dz and db = sum dz

Each is a call of a kernel. The loops are shared out to threads by sequences, the gradients by columns.

Arrays are time-major: x (T, B, D), states (T + 1, B, H).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sandbox import archive, threads
from sandbox.errors import UsageError, unknown
from sandbox.jit import first_class
from sandbox.kernels import gemm, scan, weights
from sandbox.layers.module import check_array, check_generator, check_input, check_lengths, check_rate
from sandbox.layers.weights import CellWeights
from sandbox.layers.workspace import Workspace

__all__ = ["Gradients", "Layer", "Trajectory"]

NONE, _NONE_KEPT = np.zeros(0, np.int64), np.empty((0, 0, 0, 0), np.uint8)


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
    outputs : int
        How many states make the output.
    """

    x: np.ndarray
    states: dict[str, np.ndarray]
    gates: dict[str, np.ndarray]
    lengths: np.ndarray | None
    outputs: int = 1

    @property
    def y(self):
        """The output after every step: h (T, B, H), or the cell's outputs side by side (T, B, O H)."""
        found = [state[1:] for state in list(self.states.values())[: self.outputs]]
        return found[0] if self.outputs == 1 else np.concatenate(found, axis=2)

    def last(self):
        """The output after the last step, each row's own last step where lengths were given: (B, O H)."""
        found = [state[-1] for state in list(self.states.values())[: self.outputs]]
        return found[0] if self.outputs == 1 else np.concatenate(found, axis=1)

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


class Layer(CellWeights):
    """One recurrent cell run over a sequence.

    Parameters
    ----------
    cell : str
        Name of a file in `sandbox/cells`, with options behind colons if wanted: `rnn:identity`, `lstm:forget_bias=2`.
    input_size, hidden_size : int
    rng : numpy.random.Generator
        For the initial weights, which are drawn in float64 whatever the dtype: first W_ih, then the recurrent
        matrices, a gate at a time, then what the cell draws itself. None leaves zero what would be drawn; both inits
        must be zeros.
    dtype : "float64" or "float32"
    init, gain : str, float
        Every gate's block of the recurrent matrices: a name of `sandbox.inits`, times gain; or a scheme, which names
        that of W_ih as well.
    input_init : str, optional
        Every gate's block of W_ih, Glorot's by default. Biases start at 0 except where the cell says otherwise.
    chrono : int, optional
        T_max of the chrono initialisation (Tallec & Ollivier 2018, eq. 16): ln u with u ~ U[1, T_max - 1] is the bias
        of gates that keep the past, -ln u of those that let the new in, so that memory times are spread up to T_max.
    recurrent_dropout : float
        Share of h's elements that recurrent products do not see (nor those of r h, in a GRU with the reset before), the
        same ones at every step of a sequence.
    zoneout : float
        Chance of every element of every state to stay as it was, drawn anew at every step.
    noise : numpy.random.Generator, optional
        For the masks of the two; needed if one of them is above 0.
    **options
        The cell's own, such as `activation` (rnn) and `forget_bias` (lstm).

    Attributes
    ----------
    weights : dict of arrays
        What the loop works with: the parameters, and what is derived from them (`W_hh` of an orthogonal cell).
    output_size : int
    last : Trajectory or None
        The last forward pass, as long as its gates are in place.
    passed : (Trajectory, Gradients) or None
        The last pass that was differentiated.

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
                 input_init=None, chrono=None, recurrent_dropout=0.0, zoneout=0.0, noise=None,
                 **options):  # fmt: skip
        super().__init__(cell, input_size, hidden_size, rng=rng, dtype=dtype, init=init, gain=gain,
                         input_init=input_init, chrono=chrono, **options)  # fmt: skip
        self._set_noise(recurrent_dropout, zoneout, noise)
        self._block_product = gemm.block_product(self.dtype)
        self._steps = [(gemm.product(self.dtype), *_stages(steps, signatures[self.dtype.name]))
                       for steps, signatures in ((self.cell.step_forward, scan.STEP_FORWARD),
                                                 (self.cell.step_backward, scan.STEP_BACKWARD))]  # fmt: skip
        self._flags = np.array(self.cell.flags(self.options), np.int64)
        self._none = {n: np.empty((0,) * n, self.dtype) for n in (2, 3, 4)}  # an array that is not there
        self._space = self.last = self.passed = None

    def __repr__(self):
        return (f"Layer({self.cell.name!r}, input_size={self.input_size}, hidden_size={self.hidden_size}, "
                f"dtype={self.dtype.name!r}, options={self.options})")  # fmt: skip

    # Copies ------------------------------------------------------------------------------------------------------

    def astype(self, dtype):
        """A layer with the same parameters, rounded to another dtype, and without noise."""
        twin = Layer(self.cell.name, self.input_size, self.hidden_size, rng=None, dtype=dtype, init="zeros",
                     input_init="zeros", **self.options)  # fmt: skip
        twin.vector[:] = self.vector
        twin.refresh()
        return twin

    # Noise -------------------------------------------------------------------------------------------------------

    def _set_noise(self, recurrent_dropout, zoneout, noise):
        cell, states = self.cell, self.cell.states
        self.recurrent_dropout = check_rate("recurrent_dropout", recurrent_dropout)
        self.zoneout = check_rate("zoneout", zoneout)
        if self.recurrent_dropout and not any(map(cell.sees_h, cell.products)):
            raise UsageError(f"recurrent_dropout must be 0 for cell {cell.name}, which has no recurrent product of h, "
                             f"got {recurrent_dropout}")  # fmt: skip
        if self.zoneout and any(p.source in states and p.stage == 1 for p in cell.products):
            raise UsageError(f"zoneout must be 0 for cell {cell.name}, whose states meet in one step, got {zoneout}")
        if self.recurrent_dropout or self.zoneout:
            check_generator("noise", noise, "dropout")
        # The last mask drawn: evaluation in between leaves it.
        self.noise, self._hidden = noise, np.empty((0, 0), self.dtype)

    def _draw_noise(self, T, B, training, resume):
        """Masks of this pass; of sequences which are resumed the same elements of h stay hidden."""
        H, S = self.hidden_size, len(self.cell.states)
        self._mask, self._kept = self._none[2], _NONE_KEPT
        if training and self.recurrent_dropout:
            if not resume:
                keep = self.noise.random((B, H)) >= self.recurrent_dropout
                self._hidden = (keep / (1 - self.recurrent_dropout)).astype(self.dtype)
            if self._hidden.shape != (B, H):
                raise UsageError(f"resume must follow a training pass over the same {B} sequences, "
                                 f"got {len(self._hidden) or 'none'}")  # fmt: skip
            self._mask = self._hidden
        if self.zoneout:
            self._kept = np.empty((S, T if training else 0, B, H), np.uint8)
            for t in range(self._kept.shape[1]):  # step by step: uniforms take eight times the room
                self._kept[:, t] = self.noise.random((S, B, H)) < self.zoneout

    # Forward and backward ----------------------------------------------------------------------------------------

    @property
    def columns(self):
        """Numbers that a forward pass keeps of every step of every row: gates and states."""
        return (len(self.cell.tape) + len(self.cell.states) + len(self.cell.auxiliary)) * self.hidden_size

    def identity(self):
        """What decides its output beside the parameters."""
        return [self.cell.name, self.options]

    def forward(self, x, states=None, lengths=None, *, training=False, resume=False):
        """Run the layer over a batch of sequences.

        Parameters
        ----------
        x : (T, B, D) array of the layer's dtype
        states : dict of (B, H) arrays, optional
            Start states by name; zeros for those left out.
        lengths : (B,) whole numbers from 0 to T, optional
            Steps after a row's length leave its states as they are; what x holds there must be finite.
        training : bool
            Draw masks for recurrent dropout and zoneout; otherwise the first does nothing, the second its mean.
        resume : bool
            These are further steps of the last training pass's sequences: recurrent dropout keeps its mask.

        Returns
        -------
        Trajectory

        Raises
        ------
        UsageError
            A shape, dtype, length or state name does not fit.
        """
        x = check_input(x, self.input_size, self.dtype)
        T, B, _ = x.shape
        lengths = check_lengths(lengths, T, B)
        # Copies: they may be views of this workspace.
        start = None if states is None else self._stacked("states", states, B)
        self.last = None  # until this pass is complete there is none to differentiate
        space = self._workspace(T, B)
        if space.shares(x):  # this layer's own output as its next input
            x = x.copy()
        self._draw_noise(T, B, training, resume)
        self.refresh()
        space.trail[:, 0] = 0 if start is None else start
        weights.prepare(self.vector, self._made, self._biases, self._bias, self._units, self._rows, self._packed[0],
                        self._panels[0])  # fmt: skip
        arguments = (x, self._inputs[0], self._bias, space.z, self._recurrent[0], self._panels[0], space.trail,
                     self._rows, self._flags, NONE if lengths is None else lengths, self._mask, self._kept,
                     self.zoneout, self._scratch())  # fmt: skip
        steps = self._steps[0]
        threads.share(B, scan.BLOCK, space.work, lambda *rows: scan.forward(*steps, *rows, *arguments))
        self.last = Trajectory(x, space.states, space.gates, lengths, self.cell.outputs)
        return self.last

    def backward(self, dy=None, dstates=None, *, dlast=None, parameters=True, inputs=True, keep_tape=False,
                 every_state=False, log_scale=False, accumulate=False):  # fmt: skip
        """Differentiate a scalar L through the last forward pass.

        Parameters
        ----------
        dy : (T, B, O H), optional
            dL/dy: what flows into the output after every step.
        dstates : dict of (B, H), optional
            dL/ds_T by state name.
        dlast : (B, O H), optional
            dL/dy_T on top of that.
        parameters, inputs : bool
            Whether to compute the parameters' gradients and dL/dx.
        keep_tape : bool
            Leave the gates in place so that backward may be called again; otherwise dL/dz takes their place.
        every_state : bool
            Keep dL/ds_t for all t.
        log_scale : bool
            Carry the magnitude of every row apart, as a power of two (exact), so that a gradient of 1e-3000 is told
            from zero. Parameter and input gradients are not computed then.
        accumulate : bool
            Add to the parameters' gradients of the last call. Segments of a sequence, taken from the last to the first,
            give the bits of the sequence taken as one.

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
        run, space, S = self.last, self._space, len(self.cell.states)
        z, (T, B) = space.z, space.size
        ds, dy = self._stacked("dstates", dstates, B), self._inflow(dy, T, B)
        if dlast is not None:
            dlast = check_array("dlast", dlast, self.dtype, (B, self.output_size))
            for s in range(self.cell.outputs):
                ds[s] += dlast[:, s * self.hidden_size : (s + 1) * self.hidden_size]
        every = np.empty((len(ds), *space.trail.shape[1:]), self.dtype) if every_state else self._none[4]
        exponents = np.zeros((T + 1, B) if log_scale else (0, 0), np.int64)
        dz = np.empty_like(z) if keep_tape else z
        if not keep_tape:
            self.last = None  # before the tape is touched: an interrupt must not leave a spoilt one that looks whole
        wanted, inputs = parameters and not log_scale, inputs and not log_scale
        row_sums = self._row_sums if wanted and accumulate else np.zeros((-(-B // scan.BLOCK), *self._rows.shape))
        dx = np.empty((T, B, self.input_size), self.dtype) if inputs else self._none[3]
        weights.pack_all(self.vector, self._made, self._packed[1], self._panels[1])
        self._run_backward(run, dz, dy, ds, every, row_sums, exponents, dx)
        if wanted:
            self._row_sums = row_sums
            self._parameter_gradients(run, dz, accumulate)
        found = Gradients(
            x=dx if inputs else None,
            parameters=self.gradients if wanted else None,
            start=dict(zip(self.cell.states, ds, strict=False)),
            states=dict(zip(self.cell.states, every[:S], strict=True)) if every_state else None,
            z=dz,
            exponents=exponents if log_scale else None,
        )
        self.passed = run, found
        return found

    def _run_backward(self, run, dz, dy, ds, every, row_sums, exponents, dx):
        space, lengths = self._space, NONE if run.lengths is None else run.lengths
        held = self._none[3] if run.lengths is None else np.empty_like(ds)
        zoned = np.empty((len(self._kept), *ds.shape[1:]), self.dtype) if self.zoneout else self._none[3]
        arguments = (space.z, dz, self._recurrent[1], self._panels[1], space.trail, self._rows, self._flags, lengths,
                     self._mask, self._kept, self.zoneout, dy, ds, every, row_sums, exponents, self._inputs[1], dx,
                     held, zoned, self._scratch(), np.zeros(ds.shape[1], np.int64))  # fmt: skip
        steps = self._steps[1]
        threads.share(ds.shape[1], scan.BLOCK, space.work, lambda *rows: scan.backward(*steps, *rows, *arguments))

    def _parameter_gradients(self, run, dz, accumulate):
        space = self._space
        if not accumulate:
            self.gradient[:], self._made_gradient[:], self._sums[:] = 0, 0, 0
        arguments = (run.x, space.trail, self._mask, dz, *space.plan, self.gradient, self._made_gradient, self._sums)
        parts = threads.parts(len(self._sums) // gemm.width(self.dtype), space.work)

        def make(part, _):
            room = weights.blocks(space.plan[1], len(self._sums), self.dtype)
            weights.gradients(self._block_product, part, parts, *arguments, *room)

        threads.share(parts, 1, space.work, make)
        weights.settle(self.gradient, self._made_gradient, self._biases, self._sums, self._units, self._row_sums)
        if self.cell.derived is not None:
            found = self.cell.derived.pull_back(self.parameters, self.weights, self.weight_gradients, self.options)
            for name, value in found.items():
                self.gradients[name][:] = value

    def _workspace(self, T, B):
        """Of the last pass, if that was of this size."""
        if self._space is None or self._space.size != (T, B):
            old, self._space = self._space, None
            self._space = Workspace(self, T, B, old)
        return self._space

    def _scratch(self):
        """Room for h times the mask of recurrent dropout."""
        return np.empty_like(self._mask) if self._mask.size else self._none[2]

    def _inflow(self, dy, T, B):
        """dy by output, (O, T, B, H); no outputs at all if there is none."""
        if dy is None:
            return self._none[4]
        O, H = self.cell.outputs, self.hidden_size
        dy = check_array("dy", dy, self.dtype, (T, B, O * H)).reshape(T, B, O, H)
        return np.ascontiguousarray(dy.transpose(2, 0, 1, 3))

    def _stacked(self, name, states, B):
        """Arrays by state name as one (S, B, H) array; zeros for those left out, and for auxiliary ones."""
        cell, H = self.cell, self.hidden_size
        stacked = np.zeros((len(cell.states) + len(cell.auxiliary), B, H), self.dtype)
        for state, value in _by_name(name, states).items():
            if state not in cell.states:
                raise unknown(f"state of cell {cell.name}", state, cell.states)
            stacked[cell.states.index(state)] = check_array(f"{name}[{state!r}]", value, self.dtype, (B, H))
        return stacked

    # Files -------------------------------------------------------------------------------------------------------

    def save(self, path):
        """Write parameters and what is needed to make the layer again, but for noise, to an .npz file."""
        facts = {"cell": self.cell.name, "input_size": self.input_size, "hidden_size": self.hidden_size,
                 "dtype": self.dtype.name, "options": self.options}  # fmt: skip
        archive.write(path, facts, self.parameters, "layer file")

    @classmethod
    def load(cls, path):
        """The layer that `save` wrote.

        Raises
        ------
        UsageError
            The file is missing, is not such a file, or holds other shapes than it says.
        """
        facts, arrays = archive.read(path, "layer file", "Layer.save")
        try:
            layer = cls(facts["cell"], facts["input_size"], facts["hidden_size"], rng=None, dtype=facts["dtype"],
                        init="zeros", input_init="zeros", **facts["options"])  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"layer file must be a file written by Layer.save, got {path} ({error})") from None
        if arrays.keys() != layer.parameters.keys():
            raise UsageError(f"layer file must hold {', '.join(layer.parameters)}, got {', '.join(arrays)} in {path}")
        for name, value in arrays.items():
            layer.parameters[name][:] = check_array(
                f"{name} in {path}", value, layer.dtype, layer.parameters[name].shape
            )
        layer.refresh()
        return layer


def _stages(steps, signature):
    """The step functions of both stages, and how many there are."""
    made = [first_class(step, signature) for step in ((steps,) if callable(steps) else steps)]
    return made[0], made[-1], len(made)


def _by_name(name, states):
    """The states given, as a mapping; an array alone would not say which state it is."""
    if states is not None and not isinstance(states, Mapping):
        raise UsageError(f"{name} must be a dictionary of arrays by state, got {type(states).__name__}")
    return states or {}

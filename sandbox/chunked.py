"""A diagonal linear recurrence run in chunks of time at once, instead of one step after the other.

For s_t = a_t s_{t-1} + b_t (element by element, real or complex), with A_t = a_t ... a_1 since the chunk's start:

    forward   every chunk but the first is run by the ordinary loop from a start of zeros: s'_t
              true starts follow from one chunk to the next: s_L = s'_L + A_L s_0
              s_t = s'_t + A_t s_0
    backward  every chunk but the last is run by the ordinary loop from an end of zeros: dL'/ds_0
              true ends follow from one chunk to the one before: dL/ds_0 = dL'/ds_0 + conj(A_L) dL/ds_L
              every chunk is run once more from its true end, which gives all gradients

So the equations of a step stay the cell's alone; what is here is the law of composition (Blelloch 1990; for recurrent
networks Martin & Cundy 2018). A cell allows it by its `decay`, which is a_t. Results equal the loop's but for rounding,
because sums are taken in another order; they depend on the number of chunks and not on the number of threads.

It moves two to three times the loop's memory. With 2 cores that eats up what the threads gain (lru, H = 64, 20 000
steps, B = 1, float32: 38 ms for both passes in 8 chunks, the plain loop 25): it is for machines with more of them.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sandbox.errors import UsageError
from sandbox.kernels.prefix import prefix_products, prefix_products_complex
from sandbox.layers import Gradients, Trajectory
from sandbox.layers.module import check_array, check_input, check_size

__all__ = ["Chunked"]


class Chunked:
    """A layer run in chunks.

    Parameters
    ----------
    layer : Layer
        Of a cell with `decay`, without zoneout. Its parameters are read at every pass, and its gradient is filled.
    chunks : int
        Into how many parts of (nearly) equal length sequences are cut; at most one step each.
    threads : int
        How many chunks run at the same time.

    Raises
    ------
    UsageError
        The cell is no diagonal linear recurrence, or a number is below 1.

    Examples
    --------
    >>> from sandbox.layers import Layer
    >>> from sandbox.streams import stream
    >>> layer = Layer("lru", input_size=3, hidden_size=4, rng=stream("init", 0))
    >>> x = np.ones((100, 2, 3))
    >>> run = Chunked(layer, chunks=8).forward(x)
    >>> bool(abs(run.y - layer.forward(x).y).max() < 1e-12)
    True
    """

    def __init__(self, layer, chunks, threads=1):
        if layer.cell.decay is None:
            raise UsageError(f"cell must be a diagonal linear recurrence to be run in chunks, got {layer.cell.name}")
        if layer.zoneout:
            raise UsageError(f"zoneout must be 0 to run in chunks, got {layer.zoneout}")
        self.layer, self.threads = layer, check_size("threads", threads)
        self._layers = [layer.astype(layer.dtype) for _ in range(check_size("chunks", chunks))]
        self._spans, self._kept, self._shape = [], [], None

    def forward(self, x, states=None):
        """Run the layer over a batch of sequences, as `Layer.forward` does without lengths.

        Parameters
        ----------
        x : (T, B, D) array of the layer's dtype
        states : dict of (B, H) arrays, optional
            Start states by name; zeros for those left out.

        Returns
        -------
        Trajectory
            In memory of its own.
        """
        x = check_input(x, self.layer.input_size, self.layer.dtype)
        (T, B, _), cell, self._shape = x.shape, self.layer.cell, None
        count = min(len(self._layers), T)
        self._spans = [slice(T * c // count, T * (c + 1) // count) for c in range(count)]
        starts = [states] + [None] * (count - 1)
        runs, decays = zip(*self._each(self._run, self._layers, [x[span] for span in self._spans], starts), strict=True)
        self._kept = [[part[-1] for part in decay] for decay in decays]
        ends = [runs[0].last_states()]  # the first chunk has had its true start
        for run, kept in zip(runs[1:], self._kept[1:], strict=True):
            ends.append(_add(run.last_states(), _multiply(kept, ends[-1])))
        H, dtype = self.layer.hidden_size, self.layer.dtype
        trail, tape = np.empty((len(cell.states), T + 1, B, H), dtype), np.empty((T, B, len(cell.tape), H), dtype)
        for s, name in enumerate(cell.states):
            trail[s, 0] = runs[0].states[name][0]
        parts = [trail[:, span.start + 1 : span.stop + 1] for span in self._spans], [tape[span] for span in self._spans]
        self._each(_correct, runs, decays, [None, *ends[:-1]], *parts)
        self._shape = T, B
        return Trajectory(
            x=x,
            states=dict(zip(cell.states, trail, strict=True)),
            gates={name: tape[:, :, g] for g, name in enumerate(cell.tape)},
            lengths=None,
            outputs=cell.outputs,
        )

    def backward(self, dy=None, dstates=None, *, inputs=True, every_state=False):
        """Differentiate a scalar L through the last forward pass, as `Layer.backward` does.

        Parameters
        ----------
        dy : (T, B, O H), optional
            dL/dy: what flows into the output after every step.
        dstates : dict of (B, H), optional
            dL/ds_T by state name.
        inputs, every_state : bool
            Whether to compute dL/dx, and to keep dL/ds_t for all t.

        Returns
        -------
        Gradients
            Of the parameters: views into the gradient of the layer itself.
        """
        if self._shape is None:
            raise UsageError("backward must follow a forward pass whose gates are in place, got none")
        layer, count = self.layer, len(self._spans)
        if dy is not None:
            dy = check_array("dy", dy, layer.dtype, (*self._shape, layer.output_size))
        inflow = [None if dy is None else dy[span] for span in self._spans]

        def differentiate(c, end, last):
            only_start = {"parameters": False, "inputs": False, "keep_tape": True}
            options = {"inputs": inputs, "every_state": every_state} if last else only_start
            return self._layers[c].backward(inflow[c], end, **options)

        ends = [None] * (count - 1) + [dstates]
        first = self._each(differentiate, range(1, count), ends[1:], [False] * (count - 1))
        for c in range(count - 1, 0, -1):
            ends[c - 1] = first[c - 1].start  # from the true end already, if this is the last chunk
            if c < count - 1:
                ends[c - 1] = _add(ends[c - 1], _multiply(self._kept[c], ends[c], conjugate=True))
        found = self._each(differentiate, range(count), ends, [True] * count)
        layer.gradient[:] = 0
        for twin in reversed(self._layers[:count]):
            layer.gradient += twin.gradient
        return Gradients(
            x=np.concatenate([each.x for each in found]) if inputs else None,
            parameters=layer.gradients,
            start=found[0].start,
            states={name: np.concatenate([found[0].states[name][:1], *(each.states[name][1:] for each in found)])
                    for name in layer.cell.states} if every_state else None,
            z=np.concatenate([each.z for each in found]),
            exponents=None,
        )  # fmt: skip

    def _run(self, twin, x, states):
        """One chunk through the loop, and the running products of its decays: parts of shape (T, B, H)."""
        twin.vector[:] = self.layer.vector
        run = twin.forward(x, states)
        decay = [np.array(part, order="C") for part in twin.cell.decay(run.gates, twin.weights, twin.options)]
        rows = [part.reshape(len(x), -1) for part in decay]
        (prefix_products if len(rows) == 1 else prefix_products_complex)(*rows)
        return run, decay

    def _each(self, function, *arguments):
        """The function's values for each chunk's arguments, in the order of the chunks."""
        if self.threads == 1:
            return list(map(function, *arguments))
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(function, *arguments))


def _multiply(decay, states, conjugate=False):
    """decay times the numbers that one state holds, or two of them as real and imaginary part; by state name."""
    names, s = list(states), list(states.values())
    if len(decay) == 1:
        return {names[0]: decay[0] * s[0]}
    a, w = decay[0], -decay[1] if conjugate else decay[1]
    return {names[0]: a * s[0] - w * s[1], names[1]: a * s[1] + w * s[0]}


def _add(states, more):
    return {name: value + more[name] for name, value in states.items()}


def _correct(run, decay, start, trail, tape):
    """Give a chunk that was run from zeros its true start, in place; then copy its states and gates."""
    more = {} if start is None else _multiply(decay, start)
    for name, value in more.items():
        run.states[name][0] = start[name]
        run.states[name][1:] += value
    for s, state in enumerate(run.states.values()):
        trail[s] = state[1:]
    for g, gate in enumerate(run.gates.values()):
        tape[:, :, g] = gate

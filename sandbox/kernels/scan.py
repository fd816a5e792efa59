"""The time loop, forward and backward: the only one in the project.

The loop owns the recurrent product, sequence lengths and what is recorded; a cell's step owns what is elementwise in
the hidden unit. Shapes: T time, B batch, H hidden units, G tape columns (gates), S states, P per-unit parameters.

    z       (T, B, G, H)     in: x W_ih + b; after the forward loop: the gate values, which are the tape
    states  (S, T + 1, B, H) states[s, t] is state s after t steps; states[0] is h
    dz      (T, B, G, H)     the tape on entry of a backward step, dL/dz on its exit
    ds      (S, B, H)        running dL/ds_t
    dweights (P, H)          sums over all steps and rows, in float64
    dstates (S, T + 1, B, H) dL/ds_t for every t, on request

The recurrent product h_{t-1} W_hh is accumulated straight into the last columns of z_t, from `first` on. A cell whose
recurrent product is gated (the reset-after GRU) gives it a tape column of its own, so there is one mechanism, one
gradient array, and nothing saved beside the tape.

Zero-sized arrays switch the optional parts off: `lengths`, `dy`, `dstates`, `exponents`, and `panels` where a cell has
no recurrent product.
"""

import numpy as np

from sandbox.jit import float_bits, from_float_bits, inline, kernel, types
from sandbox.kernels.gemm import add_product

FAR = 32  # rows are rescaled when their largest magnitude leaves [2^-FAR, 2^FAR]


def _contiguous(dtype, dimensions):
    return types.Array(dtype, dimensions, "C")


# Signatures of a cell's steps: (t, z, states, weights, flags) and (t, dz, states, weights, flags, ds, dweights).
STEP_FORWARD, STEP_BACKWARD = {}, {}
for _name, _real in (("float32", types.float32), ("float64", types.float64)):
    _four, _three, _two = (_contiguous(_real, n) for n in (4, 3, 2))
    _flags, _sums = _contiguous(types.int64, 1), _contiguous(types.float64, 2)
    STEP_FORWARD[_name] = types.void(types.int64, _four, _four, _two, _flags)
    STEP_BACKWARD[_name] = types.void(types.int64, _four, _four, _two, _flags, _three, _sums)


@kernel
def forward(step, z, panels, first, states, weights, flags, lengths):
    """Run a cell over T steps: fills `states[:, 1:]` and turns `z` into the tape. `states[:, 0]` is the start.

    A row whose length has passed keeps its state.
    """
    T, B, G, H = z.shape
    for t in range(T):
        if panels.shape[0]:
            add_product(states[0, t], 0, panels, z[t].reshape((B, G * H)), first, G * H - first)
        step(t, z, states, weights, flags)
        for b in range(lengths.size):
            if t >= lengths[b]:
                for s in range(states.shape[0]):
                    _copy(states[s, t, b], states[s, t + 1, b])


@kernel
def backward(step, z, dz, panels, first, states, weights, flags, lengths, dy, ds, dstates, dweights, exponents):
    """Run a cell's backward steps from t = T - 1 to 0.

    On entry `ds` is dL/ds_T; on exit dL/ds_0. `dy` (T, B, H) is what else flows into h after every step. `z` and `dz`
    may be the same array: dL/dz then takes the tape's place. `panels` hold W_hh^T. A row whose length has passed
    hands its gradient through and adds nothing to any parameter's.

    With `exponents` (T + 1, B) every row of `ds` is multiplied by a power of two whenever it has drifted far from 1,
    and dL/ds_t = dstates[:, t, b] * 2^exponents[t, b]. The scaling is exact: where the plain loop neither overflows nor
    underflows the two agree to the last bit, unless the elements of one row are further apart than the dtype reaches.
    `dz[t]` then carries the factor 2^-exponents[t + 1].
    """
    T, B, G, H = z.shape
    held = np.empty((B, ds.shape[0], H), ds.dtype) if lengths.size else np.empty((0, 0, 0), ds.dtype)
    power = np.zeros(B, np.int64)
    in_place = z.ctypes.data == dz.ctypes.data
    for t in range(T - 1, -1, -1):
        if dy.size and not exponents.size:
            _add(dy[t].reshape(-1), ds[0].reshape(-1))
        for b in range(B if dy.size and exponents.size else 0):
            _inflow(ds, dy[t, b], b, power)
        _record(t + 1, ds, dstates, exponents, power)
        if not in_place:
            _copy(z[t].reshape(-1), dz[t].reshape(-1))
        for b in range(lengths.size):
            if t >= lengths[b]:
                for s in range(ds.shape[0]):
                    _copy(ds[s, b], held[b, s])
                    _clear(ds[s, b])
        step(t, dz, states, weights, flags, ds, dweights)
        if panels.shape[0]:
            add_product(dz[t].reshape((B, G * H)), first, panels, ds[0], 0, H)
        for b in range(lengths.size):
            if t >= lengths[b]:
                for s in range(ds.shape[0]):
                    _copy(held[b, s], ds[s, b])
                _clear(dz[t, b].reshape(-1))
    _record(0, ds, dstates, exponents, power)


# Rows are copied element by element: Numba turns a slice assignment into much longer code, which is slow to compile.


@inline
def _copy(source, target):
    for j in range(target.size):
        target[j] = source[j]


@inline
def _add(source, target):
    for j in range(target.size):
        target[j] += source[j]


@inline
def _clear(row):
    for j in range(row.size):
        row[j] = 0


@inline
def _any(row):
    found = False
    for j in range(row.size):
        found = found or row[j] != 0
    return found


@inline
def _inflow(ds, dy, b, power):
    """ds[0, b] += dy, at the row's scale."""
    if power[b] < 0:  # what has flowed so far is small: bring it to scale 1, where it may vanish beside dy
        if not _any(dy):
            return
        _rescale(ds, b, power[b])
        power[b] = 0
    factor, dh = _power_of_two(-power[b]), ds[0, b]
    for j in range(dh.size):
        dh[j] += dy[j] * factor


@kernel
def _record(t, ds, dstates, exponents, power):
    """Rescale rows which have drifted, then keep dL/ds_t and the rows' exponents."""
    for b in range(exponents.shape[1]):
        largest = 0.0
        for s in range(ds.shape[0]):
            for j in range(ds.shape[2]):
                largest = max(largest, abs(float(ds[s, b, j])))
        if 0 < largest < np.inf:
            exponent = (float_bits(largest) >> 52) - 1023
            if abs(exponent) > FAR:
                _rescale(ds, b, -exponent)
                power[b] += exponent
        exponents[t, b] = power[b]
    if dstates.size:
        for s in range(ds.shape[0]):
            _copy(ds[s].reshape(-1), dstates[s, t].reshape(-1))


@inline
def _rescale(ds, b, exponent):
    """Multiply row b of every state by 2^exponent."""
    while exponent != 0:
        part = min(max(exponent, -1000), 1000)
        factor = _power_of_two(part)
        for s in range(ds.shape[0]):
            for j in range(ds.shape[2]):
                ds[s, b, j] = ds[s, b, j] * factor
        exponent -= part


@inline
def _power_of_two(exponent):
    """2^exponent as float64; 0 below the normal range."""
    return from_float_bits(max(exponent + 1023, 0) << 52)


@kernel
def add_column_sums(rows, out):
    """out[j] += rows[n - 1, j], then rows[n - 2, j], down to rows[0, j]; `out` is float64 whatever the rows are.

    From the end, as the loop makes them: a sequence done in segments has the same sums.
    """
    for i in range(rows.shape[0] - 1, -1, -1):
        row = rows[i]
        for j in range(row.size):
            out[j] += row[j]

"""The time loop, forward and backward: the only one in the project.

The loop owns the recurrent products, sequence lengths, noise and what is recorded; a cell's step owns what is
elementwise in the hidden unit. Shapes: T time, B batch, H hidden units, G tape columns (gates), S states (auxiliary
ones last), O outputs (the leading states), P rows of per-unit weights, M products.

    z       (T, B, G, H)     x W_ih + b, then the gate values, which are the tape
    states  (S, T + 1, B, H) states[s, t] is state s after t steps; states[0] is h
    dz      (T, B, G, H)     the tape on entry of a backward step, dL/dz on its exit
    ds      (S, B, H)        running dL/ds_t
    dweights (N, P, H)       sums over all steps and BLOCK sequences each, in float64
    dstates (S, T + 1, B, H) dL/ds_t for every t, on request
    inputs  (M', 3)          a row for each run of columns of the input product: first element and number of elements of
                             z_t, first element of its panels in `panels`; bias (G H,) is what z_t starts from
    product                  the matrix product's address: see `kernels.gemm`
    plan    (M, 6)           a row for each product: stage, source state, first element and number of elements of z_t
                             that it is added to, first element of its panels in `panels`, whether `mask` applies

A step has one or two stages. Products of stage 0 read their source after t - 1 steps and come before the cell's first
step function; those of stage 1 read it after t steps, as the first function has left it, and come before the second.
Every product is accumulated straight into columns of z_t. A cell whose recurrent product is gated gives it a tape
column of its own, so there is one mechanism, one gradient array, and nothing saved beside the tape.

Noise: `mask` (B, H) multiplies the source of every product of h, or of h times something (recurrent dropout; Gal &
Ghahramani 2016). `kept` (S', T, B, H) is 1 where an element of the first S' states stays as it was, else 0 (zoneout;
Krueger et al. 2017). With T = 0 there, the fixed `share` mixes old and new instead, which is the expectation.

Zero-sized arrays switch the optional parts off: `lengths`, `mask`, `kept`, `dy`, `dstates`, `exponents`; a `plan`
without rows is a cell without a recurrent product.
"""

import numpy as np

from sandbox.jit import COMPILED, addressed, float_bits, from_float_bits, inline, intrinsic, lean, plain_call, types
from sandbox.kernels.gemm import call_product, pointer

BLOCK = 8  # sequences whose sums over steps are kept together, whoever works on them
FAR = 32  # rows are rescaled when their largest magnitude leaves [2^-FAR, 2^FAR]


def _contiguous(dtype, dimensions):
    return types.Array(dtype, dimensions, "C")


# Signatures of a cell's steps: (t, first, last, z, states, weights, flags), (t, first, last, dz, ..., ds, dweights).
STEP_FORWARD, STEP_BACKWARD = {}, {}
for _name, _real in (("float32", types.float32), ("float64", types.float64)):
    _four, _three, _two = (_contiguous(_real, n) for n in (4, 3, 2))
    _flags, _sums, _rows = _contiguous(types.int64, 1), _contiguous(types.float64, 2), (types.int64,) * 3
    STEP_FORWARD[_name] = types.void(*_rows, _four, _four, _two, _flags)
    STEP_BACKWARD[_name] = types.void(*_rows, _four, _four, _two, _flags, _three, _sums)


@intrinsic
def _call_forward(typingctx, step, t, first, last, z, states, weights, flags):
    return addressed(step, t, first, last, z, states, weights, flags)


@intrinsic
def _call_backward(typingctx, step, t, first, last, dz, states, weights, flags, ds, dweights):
    return addressed(step, t, first, last, dz, states, weights, flags, ds, dweights)


call_forward, call_backward = (_call_forward, _call_backward) if COMPILED else (plain_call, plain_call)


@lean
def forward(product, step, second, stages, first, last, x, inputs, bias, z, plan, panels, states, weights, flags,
            lengths, mask, kept, share, scratch):  # fmt: skip
    """Run a cell over T steps, for the sequences from `first` to `last` - 1: fills `states[:, 1:]` and the tape z.

    `states[:, 0]` is the start. A row whose length has passed keeps its state. With one stage `second` is not called.
    """
    T, B, G, H = z.shape
    for t in range(T):
        _add_inputs(product, t, first, last, x, inputs, bias, z, panels)
        for stage in range(stages):  # a loop, so that the products are compiled once
            _add_products(product, stage, t, first, last, z, plan, panels, states, mask, scratch)
            call_forward(step if stage == 0 else second, t, first, last, z, states, weights, flags)
        if kept.shape[0]:
            _zone_out(t, first, last, states, kept, share)
        for b in range(first, last if lengths.size else first):
            if t >= lengths[b]:
                for s in range(states.shape[0]):
                    _copy(states[s, t, b], states[s, t + 1, b])


@inline
def _add_inputs(product, t, first, last, x, inputs, bias, z, panels):
    """z_t = bias + x_t W."""
    B, D, width = z.shape[1], x.shape[2], bias.size
    for b in range(first, last):
        _copy(bias, z[t, b].reshape(-1))
    for m in range(inputs.shape[0]):
        row = t * B + first
        a, W, c = pointer(x, row * D), pointer(panels, inputs[m, 2]), pointer(z, row * width + inputs[m, 0])
        call_product(product, a, D, W, D, c, width, last - first, inputs[m, 1])


@inline
def _add_products(product, stage, t, first, last, z, plan, panels, states, mask, scratch):
    """z_t += source W for the products of one stage."""
    T, B, H, width = z.shape[0], z.shape[1], z.shape[3], z.shape[2] * z.shape[3]
    for m in range(plan.shape[0]):
        if plan[m, 0] == stage:
            source, column, count, at = plan[m, 1], plan[m, 2], plan[m, 3], plan[m, 4]
            a = pointer(states, ((source * (T + 1) + t + stage) * B + first) * H)
            if mask.size and plan[m, 5]:
                for b in range(first, last):
                    _multiply(states[source, t + stage, b], mask[b], scratch[b])
                a = pointer(scratch, first * H)
            c = pointer(z, (t * B + first) * width + column)
            call_product(product, a, H, pointer(panels, at), H, c, width, last - first, count)


@lean
def _zone_out(t, first, last, states, kept, share):
    """states_{t+1} = k states_t + (1 - k) states_{t+1}."""
    one = states.dtype.type(1)
    constant = states.dtype.type(share)
    for s in range(kept.shape[0]):
        for b in range(first, last):
            old, new = states[s, t, b], states[s, t + 1, b]
            for j in range(new.size):
                k = states.dtype.type(kept[s, t, b, j]) if kept.shape[1] else constant
                new[j] = k * old[j] + (one - k) * new[j]


@lean
def backward(product, step, second, stages, first, last, z, dz, plan, panels, states, weights, flags, lengths, mask,
             kept, share, dy, ds, dstates, dweights, exponents, inputs, dx, held, zoned, scratch, power):  # fmt: skip
    """Run a cell's backward steps from t = T - 1 to 0, for the sequences from `first` to `last` - 1.

    On entry `ds` is dL/ds_T; on exit dL/ds_0. `dy` (O, T, B, H) is what else flows into the outputs after every step.
    `z` and `dz` may be the same array: dL/dz then takes the tape's place. `panels` hold the transposed weights. A row
    whose length has passed hands its gradient through and adds nothing to any parameter's. `dx` (T, B, D), if its size
    is not 0, is set to dz W_ih^T.

    With `exponents` (T + 1, B) every row of `ds` is multiplied by a power of two whenever it has drifted far from 1,
    and dL/ds_t = dstates[:, t, b] * 2^exponents[t, b]. The scaling is exact: where the plain loop neither overflows nor
    underflows the two agree to the last bit, unless the elements of one row are further apart than the dtype reaches.
    `dz[t]` then carries the factor 2^-exponents[t + 1].

    Room for its own use: `held` (S, B, H) with lengths, `zoned` (S', B, H) with zoneout, `scratch` (B, H) with a mask,
    `power` (B,) zeros.
    """
    T = z.shape[0]
    in_place = z.ctypes.data == dz.ctypes.data
    ends = last if lengths.size else first
    block = BLOCK if dweights.size else max(last - first, 1)
    for t in range(T - 1, -1, -1):
        if not exponents.size:
            for o in range(dy.shape[0]):
                for b in range(first, last):
                    _add(dy[o, t, b], ds[o, b])
        for b in range(first, last if dy.size and exponents.size else first):
            _inflow(ds, dy, t, b, power)
        if dstates.size or exponents.size:
            _record(t + 1, first, last, ds, dstates, exponents, power)
        if not in_place:
            for b in range(first, last):
                _copy(z[t, b].reshape(-1), dz[t, b].reshape(-1))
        for b in range(first, ends):
            if t >= lengths[b]:
                for s in range(ds.shape[0]):
                    _copy(ds[s, b], held[s, b])
                    _clear(ds[s, b])
        if zoned.size:
            _split(t, first, last, ds, zoned, kept, share)
        for stage in range(stages - 1, -1, -1):
            function = step if stage == 0 else second
            for b in range(first, last, block):
                end, sums = min(b + block, last), dweights[b // BLOCK]
                call_backward(function, t, b, end, dz, states, weights, flags, ds, sums)
            _add_transposed(product, stage, t, first, last, dz, plan, panels, ds, mask, scratch)
        for s in range(zoned.shape[0]):
            for b in range(first, last):
                _add(zoned[s, b], ds[s, b])
        for b in range(first, ends):
            if t >= lengths[b]:
                for s in range(ds.shape[0]):
                    _copy(held[s, b], ds[s, b])
                _clear(dz[t, b].reshape(-1))
        if dx.size:
            _input_gradient(product, t, first, last, dz, inputs, panels, dx)
    _record(0, first, last, ds, dstates, exponents, power)


@inline
def _add_transposed(product, stage, t, first, last, dz, plan, panels, ds, mask, scratch):
    """ds[source] += dz_t W^T for the products of one stage."""
    B, H, width = dz.shape[1], dz.shape[3], dz.shape[2] * dz.shape[3]
    for m in range(plan.shape[0]):
        if plan[m, 0] == stage:
            source, column, count, at = plan[m, 1], plan[m, 2], plan[m, 3], plan[m, 4]
            masked = mask.size > 0 and plan[m, 5] != 0
            a, c = pointer(dz, (t * B + first) * width + column), pointer(ds, (source * B + first) * H)
            if masked:
                for b in range(first, last):
                    _clear(scratch[b])
                c = pointer(scratch, first * H)
            call_product(product, a, width, pointer(panels, at), count, c, H, last - first, H)
            if masked:
                for b in range(first, last):
                    _multiply(scratch[b], mask[b], scratch[b])
                    _add(scratch[b], ds[source, b])


@inline
def _input_gradient(product, t, first, last, dz, inputs, panels, dx):
    """dx_t = dz_t W_ih^T."""
    B, D, width = dx.shape[1], dx.shape[2], dz.shape[2] * dz.shape[3]
    row = t * B + first
    for b in range(first, last):
        _clear(dx[t, b])
    for m in range(inputs.shape[0]):
        a, c = pointer(dz, row * width + inputs[m, 0]), pointer(dx, row * D)
        call_product(product, a, width, pointer(panels, inputs[m, 2]), inputs[m, 1], c, D, last - first, D)


@lean
def _split(t, first, last, ds, zoned, kept, share):
    """zoned = k ds, which the states before step t receive as it is; ds <- (1 - k) ds, which goes through the step."""
    one = ds.dtype.type(1)
    constant = ds.dtype.type(share)
    for s in range(zoned.shape[0]):
        for b in range(first, last):
            through, past = ds[s, b], zoned[s, b]
            for j in range(through.size):
                k = ds.dtype.type(kept[s, t, b, j]) if kept.shape[1] else constant
                past[j] = k * through[j]
                through[j] = (one - k) * through[j]


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
def _multiply(source, factor, target):
    for j in range(target.size):
        target[j] = source[j] * factor[j]


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
def _inflow(ds, dy, t, b, power):
    """ds[o, b] += dy[o, t, b], at the row's scale."""
    if power[b] < 0:  # what has flowed so far is small: bring it to scale 1, where it may vanish beside dy
        found = False
        for o in range(dy.shape[0]):
            found = found or _any(dy[o, t, b])
        if not found:
            return
        _rescale(ds, b, power[b])
        power[b] = 0
    factor = _power_of_two(-power[b])
    for o in range(dy.shape[0]):
        inflow, dh = dy[o, t, b], ds[o, b]
        for j in range(dh.size):
            dh[j] += inflow[j] * factor


@lean
def _record(t, first, last, ds, dstates, exponents, power):
    """Rescale rows which have drifted, then keep dL/ds_t and the rows' exponents."""
    for b in range(first, last if exponents.size else first):
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
    for s in range(dstates.shape[0]):
        for b in range(first, last):
            _copy(ds[s, b], dstates[s, t, b])


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

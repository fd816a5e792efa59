"""What is done with a cell's weights once a pass: packing them before the time loop, and their gradients after it.

Parameters are parts of one flat `vector`, and weights that are derived from them parts of another, `made`; tables say
which part of which array is meant, so that one call does all of a cell's weights.

    biases  (., 4)  array (0: vector, 1: made), first element, number of elements, first column of the tape
    rows    (., 2)  array, first element of a weight of one number per unit
    packed  (., 7)  array, first element, distance between rows, depth, columns, whether transposed, first element of
                    the panels
"""

import numpy as np

from sandbox.jit import COMPILED, lean
from sandbox.kernels import gemm
from sandbox.kernels.gemm import (
    DEPTH,
    PANEL_BYTES,
    ROWS,
    STRIP,
    block_size,
    call_block,
    copy_panels,
    copy_rows,
    pointer,
)


@lean
def prepare(vector, made, biases, bias, rows, row_weights, packed, panels):
    """Fill bias (G H,), row_weights (P, H) and panels from the parameters."""
    for m in range(biases.shape[0]):
        source, at, to = made if biases[m, 0] else vector, biases[m, 1], biases[m, 3]
        for j in range(biases[m, 2]):
            bias[to + j] = source[at + j]
    for m in range(rows.shape[0]):
        source, at = made if rows[m, 0] else vector, rows[m, 1]
        for j in range(row_weights.shape[1]):
            row_weights[m, j] = source[at + j]
    pack_all(vector, made, packed, panels)


@lean
def pack_all(vector, made, packed, panels):
    """Fill the panels of all products."""
    for m in range(packed.shape[0]):
        source = made if packed[m, 0] else vector
        gemm.pack_into(source, packed[m, 1], packed[m, 2], packed[m, 3], packed[m, 4], packed[m, 5] != 0, panels,
                       packed[m, 6])  # fmt: skip


@lean
def settle(vector, made, biases, sums, rows, row_sums):
    """The gradients of biases and of weights of one number per unit from their sums.

    `sums` (G H,); `row_sums` (N, P, H), a sum for each block of sequences, in order.
    """
    for m in range(biases.shape[0]):
        target, at, column = made if biases[m, 0] else vector, biases[m, 1], biases[m, 3]
        for j in range(biases[m, 2]):
            target[at + j] = sums[column + j]
    for m in range(rows.shape[0]):
        target, at = made if rows[m, 0] else vector, rows[m, 1]
        for j in range(row_sums.shape[2]):
            total = 0.0
            for n in range(row_sums.shape[0]):
                total += row_sums[n, m, j]
            target[at + j] = total


def blocks(sources, width, dtype):
    """Room for what `gradients` copies: of the sources' rows, and of a strip of `width` columns of the tape."""
    panel_width = PANEL_BYTES // dtype.itemsize
    rows = sum(block_size(columns, ROWS) for columns in sources[:, 2].tolist())
    return np.empty(rows, dtype), np.empty(block_size(min(STRIP * panel_width, width), panel_width), dtype)


def _gradients(
    product, part, parts, x, states, mask, dz, segments, sources, runs, vector, made, sums, a_block, b_block
):
    """Add the products source^T dz to the gradients of all matrices, and the sums of dz over rows to `sums`.

    Every element is one chain over all rows, from the last step's last to the first step's first. The work is shared
    out by columns: this call does share `part` of `parts`, in `blocks` of its own.

        segments (., 4)  a run of the tape's columns that the same matrices are multiplied into: first column, number of
                         columns, first and last + 1 of its rows in `runs`
        sources  (., 4)  array (0: x, 1: states), first element, width, whether `mask` (B, H) applies
        runs     (., 4)  source, array (0: vector, 1: made), first element of the gradient, distance between its rows
    """
    panel_width = PANEL_BYTES // dz.itemsize
    rows, width, strip = dz.shape[0] * dz.shape[1], dz.shape[2] * dz.shape[3], STRIP * panel_width
    flat_x, flat_states, flat_dz = x.reshape(-1), states.reshape(-1), dz.reshape(-1)
    for k in range(rows, 0, -DEPTH):
        block, to = min(DEPTH, k), 0
        for s in range(sources.shape[0]):
            wide = sources[s, 2]
            if sources[s, 0] == 0:
                copy_rows(flat_x, k * wide, wide, block, wide, a_block, to)
            else:
                copy_rows(flat_states, sources[s, 1] + k * wide, wide, block, wide, a_block, to)
            if sources[s, 3] and mask.size:
                _hide(a_block, to, wide, k, block, mask)
            to += block_size(wide, ROWS)
        for n in range(segments.shape[0]):
            # This part's panels of the segment; the last one may be partly filled.
            panels = (segments[n, 1] + panel_width - 1) // panel_width
            start, end = panels * part // parts * panel_width, panels * (part + 1) // parts * panel_width
            end = min(end, segments[n, 1])
            for first in range(start, end, strip):
                columns = min(strip, end - first)
                column = segments[n, 0] + first
                copy_panels(flat_dz, k * width + column, width, block, columns, b_block, 0)
                add_sums(flat_dz, k, block, width, column, columns, sums)
                to, before = 0, 0
                for r in range(segments[n, 2], segments[n, 3]):
                    while before < runs[r, 0]:  # a segment's sources are in order
                        to += block_size(sources[before, 2], ROWS)
                        before += 1
                    target, depth = made if runs[r, 1] else vector, sources[runs[r, 0], 2]
                    for j in range(0, columns, panel_width):
                        at, some = runs[r, 2] + first + j, min(panel_width, columns - j)
                        call_block(product, pointer(a_block, to), depth, pointer(b_block, j * DEPTH), block,
                                   pointer(target, at), runs[r, 3], some)  # fmt: skip


@lean
def _hide(a_block, to, wide, k, block, mask):
    """Multiply copied rows by their sequence's mask."""
    flat, B = mask.reshape(-1), mask.shape[0]
    for m in range(block):
        row = (k - 1 - m) % B * wide
        for j in range(wide):
            a_block[to + (j // ROWS * DEPTH + m) * ROWS + j % ROWS] *= flat[row + j]


@lean
def add_sums(dz, k, block, width, column, columns, sums):
    """sums += `block` rows of dz, flat, before row k, from the last to the first, in a run of their columns.

    `sums` is float64 whatever the rows are. From the end, as the loop makes them: a sequence done in segments has the
    same sums.
    """
    some = sums[column : column + columns]
    for i in range(k - 1, k - 1 - block, -1):
        row = dz[i * width + column : i * width + column + columns]
        for j in range(row.size):
            some[j] += row[j]


def _plain_gradients(product, part, parts, x, states, mask, dz, segments, sources, runs, vector, made, sums, *blocks):
    T, B, G, H = dz.shape
    flat = dz.reshape(T * B, G * H)
    if part:  # plain Python shares nothing out
        return
    add_sums(dz.reshape(-1), T * B, T * B, G * H, 0, G * H, sums)
    for column, columns, first, last in segments:
        for source, kind, at, stride in runs[first:last]:
            origin, offset, wide, hides = sources[source]
            rows = gemm.window(x if origin == 0 else states, offset, wide, T * B, wide)
            if hides and mask.size:
                rows = (rows.reshape(T, B, wide) * mask).reshape(T * B, wide)
            target = gemm.window(made if kind else vector, at, stride, wide, columns)
            target += np.dot(rows.T, flat[:, column : column + columns])


gradients = lean(_gradients) if COMPILED else _plain_gradients

"""Matrix products for recurrent layers: C += A W with a W that is packed once, and C += A^T B for weight gradients.

Every element of C is one chain of fused multiply-adds over ascending k, starting from the value that C holds:

    c_0 = C[i, j],   c_{k+1} = fma(A[i, k], W[k, j], c_k),   C[i, j] = c_K

so its bits depend on its inputs alone: not on the tile, the vector width, the rows around it or the machine. A^T B runs
over descending k, from the last time step to the first, as the backward loop does: a long sequence taken in segments
from its end has the same bits. (Goto & van de Geijn 2008 for packed panels and register tiles; BLAS promises no order.)

A *panel* holds `width(dtype)` neighbouring columns of W, row after row, zero-padded: shape (panels, K, width). What
walks over k is in `kernels.tiles`.

All functions take C-contiguous matrices and a first column, so that a run of columns needs no copy. They check
nothing: shapes are the caller's contract.
"""

import functools

import numpy as np

from sandbox.jit import COMPILED, addressed, first_class, inline, intrinsic, kernel, lean, plain_call, types
from sandbox.kernels.tiles import (
    PANEL_BYTES,
    ROWS,
    ahead,
    edge,
    move_panel,
    move_rows,
    panel_width_of,
    pointer_to,
    walk,
)

DEPTH = 256  # k values per block of A^T B: one packed panel block fills about half of a first-level cache
STRIP = 8  # panels of B copied at once: longer pieces of its rows, and still in a second-level cache
PIECE = 128  # rows of a panel that are filled by columns before the next ones: they stay in a first-level cache
TOGETHER = 16  # rows copied side by side, a panel's width at a time


def width(dtype) -> int:
    """Columns in one panel for a dtype: a few vector registers."""
    return PANEL_BYTES // np.dtype(dtype).itemsize


def panel_shape(depth, columns, dtype):
    """Shape (panels, depth, width) of the panels of a matrix (depth, columns)."""
    return -(-columns // width(dtype)), depth, width(dtype)


@lean
def pack_into(W, at, stride, depth, columns, transpose, panels, to):
    """Fill panels (P, depth, width), in a flat array from `to` on, from a part of a matrix; `transpose` it if wanted.

    `at` is the flat index of the part's first element in W, `stride` the distance between W's rows.
    """
    panel_width = PANEL_BYTES // W.itemsize
    flat = W.reshape(-1)
    for first in range(0, columns, panel_width):
        wide, here = min(panel_width, columns - first), to + first * depth
        if wide < panel_width:
            for i in range(here, here + depth * panel_width):
                panels[i] = 0
        if transpose:
            for k_first in range(0, depth, PIECE):
                for j in range(wide):
                    row = at + (first + j) * stride
                    for k in range(k_first, min(k_first + PIECE, depth)):
                        panels[here + k * panel_width + j] = flat[row + k]
        else:
            for k in range(depth):
                row = at + k * stride + first
                if wide == panel_width:
                    _move_wide(panels, here + k * panel_width, W, row)
                else:
                    for j in range(wide):
                        panels[here + k * panel_width + j] = flat[row + j]


def _product(a, a_row, b, depth, c, c_row, rows, columns):
    """C += A W for `rows` rows. `a`, `b` and `c` point to the first elements of A, of W's panels and of C."""
    if depth and rows:
        panel_width = panel_width_of(c)
        whole = columns // panel_width
        done = whole * panel_width
        walk(a, ROWS * a_row, a_row, 1, b, depth * panel_width, depth, c, c_row, rows, whole, panel_width)
        if columns > done:
            edge(a, ROWS * a_row, a_row, 1, ahead(b, done * depth), depth, ahead(c, done), c_row, rows,
                  columns - done, panel_width)  # fmt: skip


def _block_product(a, rows, b, depth, c, c_row, columns):
    """C += A^T B of copied blocks: `rows` of A's columns and at most a panel's width of B's."""
    panel_width = panel_width_of(c)
    if columns == panel_width:
        walk(a, DEPTH * ROWS, 1, ROWS, b, 0, depth, c, c_row, rows, 1, panel_width)
    else:
        edge(a, DEPTH * ROWS, 1, ROWS, b, depth, c, c_row, rows, columns, panel_width)


def _plain_product(a, a_row, b, depth, c, c_row, rows, columns):
    (A, a_at), (panels, at), (C, c_at) = a, b, c
    panel_width = PANEL_BYTES // A.itemsize
    count = -(-columns // panel_width)
    W = panels.reshape(-1)[at : at + count * depth * panel_width].reshape(count, depth, panel_width)
    W = W.transpose(1, 0, 2).reshape(depth, count * panel_width)[:, :columns]
    window(C, c_at, c_row, rows, columns)[:] += np.dot(window(A, a_at, a_row, rows, depth), W)


@intrinsic
def _call_product(typingctx, function, a, a_row, b, depth, c, c_row, rows, columns):
    return addressed(function, a, a_row, b, depth, c, c_row, rows, columns)


@intrinsic
def _call_block(typingctx, function, a, rows, b, depth, c, c_row, columns):
    return addressed(function, a, rows, b, depth, c, c_row, columns)


pointer = pointer_to if COMPILED else lambda array, at: (array, at)
call_product, call_block = (_call_product, _call_block) if COMPILED else (plain_call, plain_call)


@functools.cache
def product(dtype):
    """The product's address, for `call_product` in kernels.

    They are given it and do not call the function itself: what a kernel calls is linked into it and optimised with it,
    and the tiles are as much code as all the rest. That was 20 s of 45 that all kernels of an experiment took.
    """
    real, number = _REAL[np.dtype(dtype).name], types.int64
    at = types.CPointer(real)
    return first_class(_product if COMPILED else _plain_product, types.void(at, number, at, number, at, *[number] * 3))


@functools.cache
def block_product(dtype):
    """The address of the product of copied blocks, for `call_block`."""
    real, number = _REAL[np.dtype(dtype).name], types.int64
    at = types.CPointer(real)
    return first_class(_block_product, types.void(at, number, at, number, at, number, number))


_REAL = {"float32": types.float32, "float64": types.float64}


def add_product(A, a_column, panels, C, c_column, columns):
    """C[:, c_column:c_column+columns] += A[:, a_column:a_column+K] W, with W as `pack` returns it."""
    add_product_with(product(A.dtype), A, a_column, panels, C, c_column, columns)


@lean
def add_product_with(product, A, a_column, panels, C, c_column, columns):
    """`add_product` for kernels, which are given the address of `product`."""
    (rows, a_row), c_row = A.shape, C.shape[1]
    call_product(product, pointer(A, a_column), a_row, pointer(panels, 0), panels.shape[1], pointer(C, c_column), c_row,
                 rows, columns)  # fmt: skip


# A^T B: both operands are copied block by block into the order in which the tile reads them; read in place, rows that
# are a power of two apart would fall into the same few cache sets.


@lean
def copy_rows(source, at, stride, rows, columns, blocks, to):
    """The left operand's blocks (P, DEPTH, ROWS) from the `rows` rows before `at`, the last one first."""
    _copy_blocks(source, at, stride, rows, columns, blocks, to, ROWS, move_rows)


@lean
def copy_panels(source, at, stride, rows, columns, blocks, to):
    """The right operand's blocks (P, DEPTH, width), likewise."""
    _copy_blocks(source, at, stride, rows, columns, blocks, to, PANEL_BYTES // source.itemsize, move_panel)


@inline
def _copy_blocks(source, at, stride, rows, columns, blocks, to, width, move):
    """blocks (P, DEPTH, width) in a flat array from `to` on. `at` is the flat index of the row behind the last one in
    its first column, `stride` the distance between rows; `move` copies `width` elements."""
    whole = columns // width
    old, new = pointer_to(source, at - stride), pointer_to(blocks, to)
    for k in range(0, rows, TOGETHER):
        last = min(k + TOGETHER, rows)
        for p in range(whole):
            for m in range(k, last):
                move(ahead(new, (p * DEPTH + m) * width), ahead(old, p * width - m * stride))
        for j in range(whole * width, columns):
            for m in range(k, last):
                new[(whole * DEPTH + m) * width + j - whole * width] = old[j - m * stride]


@inline
def block_size(columns, width):
    """Elements of the copied blocks of so many columns."""
    return (columns + width - 1) // width * width * DEPTH


def add_transposed_product(A, B, b_column, columns, C, c_column):
    """C[:, c_column:c_column+columns] += A^T B[:, b_column:b_column+columns]."""
    if COMPILED:
        add_transposed_product_with(block_product(A.dtype), A, B, b_column, columns, C, c_column)
    else:
        C[:, c_column : c_column + columns] += np.dot(A.T, B[:, b_column : b_column + columns])


@kernel
def add_transposed_product_with(product, A, B, b_column, columns, C, c_column):
    """`add_transposed_product` for kernels, which are given the address of `block_product`."""
    depth, rows = A.shape
    panel_width = PANEL_BYTES // A.itemsize
    strip = STRIP * panel_width
    a_block = np.empty(block_size(rows, ROWS), A.dtype)
    b_block = np.empty(block_size(min(strip, columns), panel_width), A.dtype)
    for k in range(depth, 0, -DEPTH):
        block = min(DEPTH, k)
        copy_rows(A.reshape(-1), k * rows, rows, block, rows, a_block, 0)
        for s in range(0, columns, strip):
            column = k * B.shape[1] + b_column + s
            copy_panels(B.reshape(-1), column, B.shape[1], block, min(strip, columns - s), b_block, 0)
            for j in range(s, min(s + strip, columns), panel_width):
                call_block(product, pointer(a_block, 0), rows, pointer(b_block, (j - s) * DEPTH), block,
                           pointer(C, c_column + j), C.shape[1], min(panel_width, columns - j))  # fmt: skip


def _compiled_move(target, to, source, at):
    move_panel(pointer_to(target, to), pointer_to(source, at))


def _plain_move(target, to, source, at):
    wide = PANEL_BYTES // target.itemsize
    target[to : to + wide] = source.reshape(-1)[at : at + wide]


def window(array, at, stride, rows, columns):
    """The rows of a matrix inside of a contiguous array."""
    end = at + (rows - 1) * stride + columns
    if min(at, stride, columns) < 0 or end > array.size:
        raise IndexError(f"rows {rows} x {columns}, {stride} apart, from {at} on are not within {array.size} elements")
    flat = array.reshape(-1)[at:]
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (stride * array.itemsize, array.itemsize))


_move_wide = inline(_compiled_move) if COMPILED else _plain_move


def pack(W, first=0, columns=None, *, transpose=False):
    """Panels of a matrix's columns, or of the transpose of a run of its columns.

    Parameters
    ----------
    W : (K, N) array
    first, columns : int
        The run of columns of W that takes part; all from `first` on by default.
    transpose : bool
        Pack the (columns, K) matrix W[:, first:first+columns]^T instead.

    Returns
    -------
    (panels, depth, width(dtype)) array
        To be given to `add_product`.
    """
    columns = W.shape[1] - first if columns is None else columns
    depth, wide = (columns, W.shape[0]) if transpose else (W.shape[0], columns)
    panels = np.empty(panel_shape(depth, wide, W.dtype), W.dtype)
    pack_into(W, first, W.shape[1], depth, wide, transpose, panels.reshape(-1), 0)
    return panels


def multiply(A, B):
    """A (M, K) times B (K, N) of one dtype, with the bits of the chain in this module's text."""
    C = np.zeros((A.shape[0], B.shape[1]), A.dtype)
    add_product(np.ascontiguousarray(A), 0, pack(np.ascontiguousarray(B)), C, 0, B.shape[1])
    return C

"""Matrix products for recurrent layers: C += A W with a W that is packed once, and C += A^T B for weight gradients.

Every element of C is one chain of fused multiply-adds over ascending k, starting from the value that C holds:

    c_0 = C[i, j],   c_{k+1} = fma(A[i, k], W[k, j], c_k),   C[i, j] = c_K

so its bits depend on its inputs alone: not on the tile, the vector width, the rows around it or the machine. A^T B runs
over descending k, from the last time step to the first, as the backward loop does: a long sequence taken in segments
from its end has the same bits. (Goto & van de Geijn 2008 for packed panels and register tiles; BLAS promises no order.)

A *panel* holds `width(dtype)` neighbouring columns of W, row after row, zero-padded: shape (panels, K, width). The
innermost loop, written as LLVM IR by `_tile`, keeps a block of C in vector registers while it walks k. Its shape
follows the registers of the target CPU; blocks at the edges of C use fewer rows or a scratch copy.

All functions take C-contiguous matrices and a first column, so that a run of columns needs no copy. They check
nothing: shapes are the caller's contract.
"""

import functools

import numpy as np

from sandbox.jit import (
    COMPILED,
    addressed,
    cgutils,
    first_class,
    inline,
    intrinsic,
    ir,
    kernel,
    lean,
    plain_call,
    registers,
    types,
)  # fmt: skip

VECTOR_BYTES, REGISTERS = registers()
VECTORS = 2  # neighbouring vectors in one panel row
# Rows of a full tile: rows x VECTORS accumulators, VECTORS for the panel row and one or two for the broadcast.
ROWS = 8 if REGISTERS >= 32 else 6
DEPTH = 256  # k values per block of A^T B: one packed panel block fills about half of a first-level cache
STRIP = 8  # panels of B copied at once: longer pieces of its rows, and still in a second-level cache
PIECE = 128  # rows of a panel that are filled by columns before the next ones: they stay in a first-level cache
TOGETHER = 16  # rows copied side by side, a panel's width at a time


def width(dtype) -> int:
    """Columns in one panel for a dtype: `VECTORS` vector registers."""
    return VECTORS * VECTOR_BYTES // np.dtype(dtype).itemsize


# Pointers and the register tile ----------------------------------------------------------------------------------


@intrinsic
def _pointer(typingctx, array, offset):
    """Pointer to the element of a contiguous array with this flat index."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.gep(data, [args[1]])

    return types.CPointer(array.dtype)(array, types.int64), codegen


@intrinsic
def _ahead(typingctx, pointer, elements):
    """The pointer moved by a number of elements."""

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), codegen


@intrinsic
def _width(typingctx, like):
    """Columns in one panel of the pointer's type."""

    def codegen(context, builder, signature, args):
        itemsize = signature.args[0].dtype.bitwidth // 8
        return ir.Constant(ir.IntType(64), VECTORS * VECTOR_BYTES // itemsize)

    return types.int64(like), codegen


@intrinsic
def _scratch(typingctx, like):
    """Room for a block of ROWS rows of a panel's width on the stack, for numbers of the pointer's type."""

    def codegen(context, builder, signature, args):
        scalar = args[0].type.pointee
        itemsize = signature.args[0].dtype.bitwidth // 8
        room = cgutils.alloca_once(builder, scalar, size=ROWS * VECTORS * VECTOR_BYTES // itemsize)
        room.align = VECTOR_BYTES
        return room

    return like(like), codegen


def _move(elements):
    """Generate a copy of a fixed number of neighbouring elements, `elements(itemsize)`, as one vector."""

    @intrinsic
    def move(typingctx, new, old):
        def codegen(context, builder, signature, args):
            itemsize = signature.args[0].dtype.bitwidth // 8
            vector = ir.VectorType(args[0].type.pointee, elements(itemsize)).as_pointer()
            value = builder.load(builder.bitcast(args[1], vector), align=itemsize)
            builder.store(value, builder.bitcast(args[0], vector), align=itemsize)
            return context.get_dummy_value()

        return types.void(new, old), codegen

    return move


_move_panel, _move_rows = _move(lambda itemsize: VECTORS * VECTOR_BYTES // itemsize), _move(lambda itemsize: ROWS)


def _tile(rows, panels, vectors=VECTORS):
    """Generate C[rows, panels * width] += A[rows, depth] W[depth, panels * width] in registers.

    With fewer `vectors` than a panel's row has the others' columns are left out.

    The intrinsic's arguments: a, its strides over rows and k; b and its stride over panels; depth; c and its strides
    over rows and panels (strides in elements). Loops over k only; depth must be at least 1.
    """

    @intrinsic
    def tile(typingctx, a, a_row, a_k, b, b_panel, depth, c, c_row, c_panel):
        i64 = types.int64
        signature = types.void(a, i64, i64, b, i64, i64, c, i64, i64)

        def codegen(context, builder, signature, args):
            _emit_tile(context, builder, signature.args[0].dtype, args, rows, panels, vectors)
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _emit_tile(context, builder, dtype, args, rows, panels, vectors):
    a, a_row, a_k, b, b_panel, depth, c, c_row, c_panel = args
    itemsize = dtype.bitwidth // 8
    lanes = VECTOR_BYTES // itemsize
    count = panels * vectors
    scalar = context.get_value_type(dtype)
    vector = ir.VectorType(scalar, lanes)
    i64 = ir.IntType(64)

    def const(value):
        return ir.Constant(i64, value)

    def at(pointer, offset):
        return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())

    def column(stride, v):  # element offset of vector v from the first panel's row
        return builder.add(builder.mul(stride, const(v // vectors)), const(v % vectors * lanes))

    a_rows = [builder.gep(a, [builder.mul(a_row, const(m))]) for m in range(rows)]
    b_columns = [builder.gep(b, [column(b_panel, v)]) for v in range(count)]
    c_at = [[at(c, builder.add(builder.mul(c_row, const(m)), column(c_panel, v))) for v in range(count)]
            for m in range(rows)]  # fmt: skip
    start = [[builder.load(p, align=itemsize) for p in row] for row in c_at]

    entry = builder.block
    body, end = builder.append_basic_block("k.body"), builder.append_basic_block("k.end")
    builder.branch(body)
    builder.position_at_end(body)
    k = builder.phi(i64)
    k.add_incoming(const(0), entry)
    total = [[builder.phi(vector) for _ in range(count)] for _ in range(rows)]
    a_at, b_at = builder.mul(k, a_k), builder.mul(k, const(VECTORS * lanes))
    b_row = [builder.load(at(pointer, b_at), align=itemsize) for pointer in b_columns]
    undefined, splat = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    following = []
    for m in range(rows):
        element = builder.load(builder.gep(a_rows[m], [a_at]))
        wide = builder.insert_element(undefined, element, ir.Constant(ir.IntType(32), 0))
        wide = builder.shuffle_vector(wide, undefined, splat)
        following.append([vector_fma(builder, vector, wide, b_row[v], total[m][v]) for v in range(count)])
    k_next = builder.add(k, const(1))
    k.add_incoming(k_next, body)
    for m in range(rows):
        for v in range(count):
            total[m][v].add_incoming(start[m][v], entry)
            total[m][v].add_incoming(following[m][v], body)
    branch = builder.cbranch(builder.icmp_signed("<", k_next, depth), body, end)
    # Unrolled over k, the tile no longer fits the registers and spills: a third of the speed.
    off = builder.module.add_metadata([builder.module.add_metadata(["llvm.loop.unroll.disable"])])
    branch.set_metadata("llvm.loop", off)
    builder.position_at_end(end)
    for m in range(rows):
        for v in range(count):
            builder.store(following[m][v], c_at[m][v], align=itemsize)


def vector_fma(builder, vector, a, b, c):
    """Emit one fused multiply-add of vectors."""
    kind = {"float": "f32", "double": "f64"}[str(vector.element)]
    name = f"llvm.fma.v{vector.count}{kind}"
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
    return builder.call(function, [a, b, c])


# Few rows leave few chains in flight: one or two rows therefore walk several panels at once.
_tile_full = _tile(ROWS, 1)
_tile_4x1, _tile_2x2, _tile_2x1, _tile_1x4, _tile_1x1 = (
    _tile(4, 1), _tile(2, 2), _tile(2, 1), _tile(1, 4), _tile(1, 1))  # fmt: skip
_half_full, _half_1 = _tile(ROWS, 1, VECTORS // 2), _tile(1, 1, VECTORS // 2)


@lean
def _walk(a, a_tile, a_row, a_k, b, b_panel, depth, c, c_row, rows, panels, panel_width):
    """C[rows, panels * panel_width] += A[rows, depth] W, by the largest tiles that fit.

    `a_tile` is the distance between blocks of ROWS rows of A (ROWS * a_row unless A was copied into blocks).
    """
    blocks = rows // ROWS
    left = rows - blocks * ROWS
    four, two = left // 4 * 4, left // 2 * 2
    a_left, c_left = _ahead(a, blocks * a_tile), _ahead(c, blocks * ROWS * c_row)
    for p in range(panels):
        b_p, c_p = _ahead(b, p * b_panel), _ahead(c, p * panel_width)
        for i in range(blocks):
            _tile_full(_ahead(a, i * a_tile), a_row, a_k, b_p, 0, depth, _ahead(c_p, i * ROWS * c_row), c_row, 0)
        if four:
            _tile_4x1(a_left, a_row, a_k, b_p, 0, depth, _ahead(c_left, p * panel_width), c_row, 0)
    # Panels far apart, so that each of a tile's streams through W goes on where it ended in the tile before: short
    # streams that start anew are half as fast, because nothing fetches their first rows ahead of time.
    if two > four:
        a_i, c_i, apart = _ahead(a_left, four * a_row), _ahead(c_left, four * c_row), panels // 2
        for p in range(apart):
            b_p, c_p = _ahead(b, p * b_panel), _ahead(c_i, p * panel_width)
            _tile_2x2(a_i, a_row, a_k, b_p, apart * b_panel, depth, c_p, c_row, apart * panel_width)
        for p in range(2 * apart, panels):
            _tile_2x1(a_i, a_row, a_k, _ahead(b, p * b_panel), 0, depth, _ahead(c_i, p * panel_width), c_row, 0)
    if left > two:
        a_i, c_i, apart = _ahead(a_left, two * a_row), _ahead(c_left, two * c_row), panels // 4
        for p in range(apart):
            b_p, c_p = _ahead(b, p * b_panel), _ahead(c_i, p * panel_width)
            _tile_1x4(a_i, a_row, a_k, b_p, apart * b_panel, depth, c_p, c_row, apart * panel_width)
        for p in range(4 * apart, panels):
            _tile_1x1(a_i, a_row, a_k, _ahead(b, p * b_panel), 0, depth, _ahead(c_i, p * panel_width), c_row, 0)


@lean
def _edge(a, a_tile, a_row, a_k, b, depth, c, c_row, rows, columns, panel_width):
    """The last, partly filled panel of C: half of a panel where it is, else a copy that is as wide as a panel."""
    if 2 * columns == panel_width:
        blocks = rows // ROWS
        for i in range(blocks):
            _half_full(_ahead(a, i * a_tile), a_row, a_k, b, 0, depth, _ahead(c, i * ROWS * c_row), c_row, 0)
        a_left, c_left = _ahead(a, blocks * a_tile), _ahead(c, blocks * ROWS * c_row)
        for m in range(rows - blocks * ROWS):
            _half_1(_ahead(a_left, m * a_row), a_row, a_k, b, 0, depth, _ahead(c_left, m * c_row), c_row, 0)
        return
    scratch = _scratch(c)
    for i in range(0, rows, ROWS):
        height = min(ROWS, rows - i)
        c_i = _ahead(c, i * c_row)
        for m in range(height):
            for j in range(columns):
                scratch[m * panel_width + j] = c_i[m * c_row + j]
            for j in range(columns, panel_width):
                scratch[m * panel_width + j] = 0
        _walk(
            _ahead(a, i // ROWS * a_tile), a_tile, a_row, a_k, b, 0, depth, scratch, panel_width, height, 1, panel_width
        )
        for m in range(height):
            for j in range(columns):
                c_i[m * c_row + j] = scratch[m * panel_width + j]


# Products --------------------------------------------------------------------------------------------------------


@lean
def pack_into(W, at, stride, depth, columns, transpose, panels, to):
    """Fill panels (P, depth, width), in a flat array from `to` on, from a part of a matrix; `transpose` it if wanted.

    `at` is the flat index of the part's first element in W, `stride` the distance between W's rows.
    """
    panel_width = VECTORS * VECTOR_BYTES // W.itemsize
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
        panel_width = _width(c)
        whole = columns // panel_width
        done = whole * panel_width
        _walk(a, ROWS * a_row, a_row, 1, b, depth * panel_width, depth, c, c_row, rows, whole, panel_width)
        if columns > done:
            _edge(a, ROWS * a_row, a_row, 1, _ahead(b, done * depth), depth, _ahead(c, done), c_row, rows,
                  columns - done, panel_width)  # fmt: skip


def _block_product(a, rows, b, depth, c, c_row, columns):
    """C += A^T B of copied blocks: `rows` of A's columns and at most a panel's width of B's."""
    panel_width = _width(c)
    if columns == panel_width:
        _walk(a, DEPTH * ROWS, 1, ROWS, b, 0, depth, c, c_row, rows, 1, panel_width)
    else:
        _edge(a, DEPTH * ROWS, 1, ROWS, b, depth, c, c_row, rows, columns, panel_width)


def _plain_product(a, a_row, b, depth, c, c_row, rows, columns):
    (A, a_at), (panels, at), (C, c_at) = a, b, c
    panel_width = VECTORS * VECTOR_BYTES // A.itemsize
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


pointer = _pointer if COMPILED else lambda array, at: (array, at)
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
    _copy_blocks(source, at, stride, rows, columns, blocks, to, ROWS, _move_rows)


@lean
def copy_panels(source, at, stride, rows, columns, blocks, to):
    """The right operand's blocks (P, DEPTH, width), likewise."""
    _copy_blocks(source, at, stride, rows, columns, blocks, to, VECTORS * VECTOR_BYTES // source.itemsize, _move_panel)


@inline
def _copy_blocks(source, at, stride, rows, columns, blocks, to, width, move):
    """blocks (P, DEPTH, width) in a flat array from `to` on. `at` is the flat index of the row behind the last one in
    its first column, `stride` the distance between rows; `move` copies `width` elements."""
    whole = columns // width
    old, new = _pointer(source, at - stride), _pointer(blocks, to)
    for k in range(0, rows, TOGETHER):
        last = min(k + TOGETHER, rows)
        for p in range(whole):
            for m in range(k, last):
                move(_ahead(new, (p * DEPTH + m) * width), _ahead(old, p * width - m * stride))
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
    panel_width = VECTORS * VECTOR_BYTES // A.itemsize
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
    _move_panel(_pointer(target, to), _pointer(source, at))


def _plain_move(target, to, source, at):
    wide = VECTORS * VECTOR_BYTES // target.itemsize
    target[to : to + wide] = source.reshape(-1)[at : at + wide]


def window(array, at, stride, rows, columns):
    """The rows of a matrix inside of a contiguous array."""
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
    panels = np.empty((-(-wide // width(W.dtype)), depth, width(W.dtype)), W.dtype)
    pack_into(W, first, W.shape[1], depth, wide, transpose, panels.reshape(-1), 0)
    return panels


def multiply(A, B):
    """A (M, K) times B (K, N) of one dtype, with the bits of the chain in this module's text."""
    C = np.zeros((A.shape[0], B.shape[1]), A.dtype)
    add_product(np.ascontiguousarray(A), 0, pack(np.ascontiguousarray(B)), C, 0, B.shape[1])
    return C

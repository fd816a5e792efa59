"""The register tile of a matrix product, written as LLVM IR, and how a product is made up of tiles.

A *panel* holds `panel_width_of` neighbouring columns of W, row after row. A tile keeps a block of C in vector registers
while it walks k: broadcast one element of A, load one panel row, fused multiply-add. Its shape follows the registers of
the target CPU; blocks at the edges of C use fewer rows, half a panel, or a scratch copy. Everything here works on
pointers and runs compiled only.
"""

from sandbox.jit import cgutils, intrinsic, ir, lean, registers, types

VECTOR_BYTES, REGISTERS = registers()
VECTORS = 2  # neighbouring vectors in one panel row
PANEL_BYTES = VECTORS * VECTOR_BYTES
# Rows of a full tile: rows x VECTORS accumulators, VECTORS for the panel row and one or two for the broadcast.
ROWS = 8 if REGISTERS >= 32 else 6


@intrinsic
def pointer_to(typingctx, array, offset):
    """Pointer to the element of a contiguous array with this flat index."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.gep(data, [args[1]])

    return types.CPointer(array.dtype)(array, types.int64), codegen


@intrinsic
def ahead(typingctx, pointer, elements):
    """The pointer moved by a number of elements."""

    def codegen(context, builder, signature, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), codegen


@intrinsic
def panel_width_of(typingctx, like):
    """Columns in one panel of the pointer's type."""

    def codegen(context, builder, signature, args):
        itemsize = signature.args[0].dtype.bitwidth // 8
        return ir.Constant(ir.IntType(64), PANEL_BYTES // itemsize)

    return types.int64(like), codegen


@intrinsic
def _scratch(typingctx, like):
    """Room for a block of ROWS rows of a panel's width on the stack, for numbers of the pointer's type."""

    def codegen(context, builder, signature, args):
        scalar = args[0].type.pointee
        itemsize = signature.args[0].dtype.bitwidth // 8
        room = cgutils.alloca_once(builder, scalar, size=ROWS * PANEL_BYTES // itemsize)
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


move_panel, move_rows = _move(lambda itemsize: PANEL_BYTES // itemsize), _move(lambda itemsize: ROWS)


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
def walk(a, a_tile, a_row, a_k, b, b_panel, depth, c, c_row, rows, panels, panel_width):
    """C[rows, panels * panel_width] += A[rows, depth] W, by the largest tiles that fit.

    `a_tile` is the distance between blocks of ROWS rows of A (ROWS * a_row unless A was copied into blocks).
    """
    blocks = rows // ROWS
    left = rows - blocks * ROWS
    four, two = left // 4 * 4, left // 2 * 2
    a_left, c_left = ahead(a, blocks * a_tile), ahead(c, blocks * ROWS * c_row)
    for p in range(panels):
        b_p, c_p = ahead(b, p * b_panel), ahead(c, p * panel_width)
        for i in range(blocks):
            _tile_full(ahead(a, i * a_tile), a_row, a_k, b_p, 0, depth, ahead(c_p, i * ROWS * c_row), c_row, 0)
        if four:
            _tile_4x1(a_left, a_row, a_k, b_p, 0, depth, ahead(c_left, p * panel_width), c_row, 0)
    # Panels far apart, so that each of a tile's streams through W goes on where it ended in the tile before: short
    # streams that start anew are half as fast, because nothing fetches their first rows ahead of time.
    if two > four:
        a_i, c_i, apart = ahead(a_left, four * a_row), ahead(c_left, four * c_row), panels // 2
        for p in range(apart):
            b_p, c_p = ahead(b, p * b_panel), ahead(c_i, p * panel_width)
            _tile_2x2(a_i, a_row, a_k, b_p, apart * b_panel, depth, c_p, c_row, apart * panel_width)
        for p in range(2 * apart, panels):
            _tile_2x1(a_i, a_row, a_k, ahead(b, p * b_panel), 0, depth, ahead(c_i, p * panel_width), c_row, 0)
    if left > two:
        a_i, c_i, apart = ahead(a_left, two * a_row), ahead(c_left, two * c_row), panels // 4
        for p in range(apart):
            b_p, c_p = ahead(b, p * b_panel), ahead(c_i, p * panel_width)
            _tile_1x4(a_i, a_row, a_k, b_p, apart * b_panel, depth, c_p, c_row, apart * panel_width)
        for p in range(4 * apart, panels):
            _tile_1x1(a_i, a_row, a_k, ahead(b, p * b_panel), 0, depth, ahead(c_i, p * panel_width), c_row, 0)


@lean
def edge(a, a_tile, a_row, a_k, b, depth, c, c_row, rows, columns, panel_width):
    """The last, partly filled panel of C: half of a panel where it is, else a copy that is as wide as a panel."""
    if 2 * columns == panel_width:
        blocks = rows // ROWS
        for i in range(blocks):
            _half_full(ahead(a, i * a_tile), a_row, a_k, b, 0, depth, ahead(c, i * ROWS * c_row), c_row, 0)
        a_left, c_left = ahead(a, blocks * a_tile), ahead(c, blocks * ROWS * c_row)
        for m in range(rows - blocks * ROWS):
            _half_1(ahead(a_left, m * a_row), a_row, a_k, b, 0, depth, ahead(c_left, m * c_row), c_row, 0)
        return
    scratch = _scratch(c)
    for i in range(0, rows, ROWS):
        height = min(ROWS, rows - i)
        c_i = ahead(c, i * c_row)
        for m in range(height):
            for j in range(columns):
                scratch[m * panel_width + j] = c_i[m * c_row + j]
            for j in range(columns, panel_width):
                scratch[m * panel_width + j] = 0
        walk(
            ahead(a, i // ROWS * a_tile), a_tile, a_row, a_k, b, 0, depth, scratch, panel_width, height, 1, panel_width
        )
        for m in range(height):
            for j in range(columns):
                c_i[m * c_row + j] = scratch[m * panel_width + j]

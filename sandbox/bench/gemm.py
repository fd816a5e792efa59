"""Speed of the matrix products, against `np.dot` and against the peak of the core, measured beside each other.

What the time loop does is timed as the time loop does it: C += A W with packed W and C in cache, called from compiled
code. `np.dot(A, W, out=C)` is called from Python, as it must be. The peak is a loop of nothing but independent fused
multiply-adds in registers. All on one thread.

A machine's speed wanders. The three are therefore timed in turns: a slice is the best of `TURNS` turns each, the
figures printed are medians over `SLICES` slices, and a ratio is the median of the ratios within a slice, not the ratio
of two medians. Time is the thread's own where the clock is fine enough, so other processes cost little.

The measurement runs in a process of its own, where NumPy's BLAS has one thread and no variable that holds it back.
"""

import contextlib
import csv as csv_format
import io
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from sandbox import provenance
from sandbox.errors import UsageError, unknown
from sandbox.jit import COMPILED, describe, intrinsic, ir, kernel, registers, types
from sandbox.kernels import gemm as products
from sandbox.kernels.tiles import vector_fma

__all__ = ["CHAINS", "fma_chains", "gemm"]

BATCHES, HIDDENS, GATES = (1, 8, 16, 32, 64, 128), (32, 64, 128, 256, 512), (1, 3, 4)
DTYPES = ("float32", "float64")
GRADIENT_ROWS = 3200  # T * B of a weight gradient, such as 100 steps of 32 sequences
SLICES, TURNS = 5, 3
ONE_THREAD = dict.fromkeys(provenance.THREADS, "1")
HOLDING_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # the BLAS is measured at its best
COLUMNS = ("product", "dtype", "B", "H", "G", "kernel", "np_dot", "over_np_dot", "peak", "over_peak")


def gemm(dtype="all", seconds=0.2, csv=None, batches=BATCHES, hiddens=HIDDENS, gates=GATES):
    """Measure the products of recurrent layers and print a table with a row per shape, as it comes.

    Two blocks per type: `h W_hh`, (B, H) @ (H, G H), added to C; then the weight gradient `A^T B`, where the printed B
    is the number of rows that are summed over. Columns: GFLOP/s of the kernel, of np.dot and of the peak, and the
    kernel's ratio to both. The last lines give the range reached at B >= 16, H >= 64, and the smallest ratio to np.dot.

    Parameters
    ----------
    dtype : "all", "float32" or "float64"
    seconds : float
        To spend on a shape, more where five slices of it take longer.
    csv : path, optional
        File to write the rows to as well, at full precision.
    batches, hiddens, gates : sequences of int
        The grid of B, H and G.

    Returns
    -------
    list of dict
        The rows, by the names in `COLUMNS`; speeds in GFLOP/s.

    Raises
    ------
    UsageError
        An unknown dtype; kernels which are not compiled.
    """
    if dtype not in ("all", *DTYPES):
        raise unknown("dtype", dtype, ("all", *DTYPES))
    if not COMPILED:
        raise UsageError("kernels must be compiled to be timed, got NUMBA_DISABLE_JIT=1 (unset it)")
    with open(csv, "w", newline="") if csv is not None else contextlib.nullcontext() as file:
        writer = csv_format.DictWriter(file or io.StringIO(), COLUMNS, lineterminator="\n")
        writer.writeheader()
        printer, rows = _Printer(sys.stdout), []
        plan = {"dtypes": DTYPES if dtype == "all" else (dtype,), "seconds": seconds, "batches": batches,
                "hiddens": hiddens, "gates": gates}  # fmt: skip
        for line in _measured(plan):
            if not line.startswith("{"):
                printer.line(line, "dim")
                continue
            rows.append(json.loads(line))
            writer.writerow(rows[-1])
            printer.row(rows[-1])
    for line in _conclusions(rows):
        printer.line(line, "bold")
    return rows


def _measured(plan):
    """The lines that the measuring process prints."""
    environment = {name: value for name, value in os.environ.items() if name not in HOLDING_BACK} | ONE_THREAD
    environment["PYTHONPATH"] = provenance.python_path()
    command = [sys.executable, "-c", "from sandbox.bench import gemm; gemm._measure()", json.dumps(plan)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        for line in process.stdout:
            yield line.rstrip("\n")
    finally:
        process.stdout.close()
        code = process.wait()
    if code:
        raise RuntimeError(f"the measuring process ended with code {code}")


# The table -------------------------------------------------------------------------------------------------------

HEADINGS = {"forward": "C += A W", "gradient": "C += A^T B"}


class _Printer:
    """Lines of fixed width, coloured on a terminal; a head whenever another product or type begins."""

    def __init__(self, stream):
        self.stream, self.block, self.console = stream, None, None
        if stream.isatty():
            from rich.console import Console

            self.console = Console(file=stream, highlight=False, emoji=False, markup=False, soft_wrap=True)

    def line(self, text, style=None):
        """Print one line."""
        if self.console:
            self.console.print(text, style=style)
        else:
            print(text, file=self.stream, flush=True)

    def row(self, row):
        """Print one shape's figures."""
        block = row["dtype"], row["product"]
        if block != self.block:
            self.block = block
            self.line("")
            self.line(f"{row['dtype']}, {HEADINGS[row['product']]}, GFLOP/s on one thread", "bold")
            self.line(
                f"{'B':>5}{'H':>5}{'G':>3} {'kernel':>9}{'np.dot':>9}{'ratio':>8}{'peak':>9}{'of peak':>9}", "dim"
            )
        style = "yellow" if row["over_np_dot"] < 1 else None
        self.line(
            f"{row['B']:5}{row['H']:5}{row['G']:3} {row['kernel']:9.1f}{row['np_dot']:9.1f}{row['over_np_dot']:8.2f}"
            f"{row['peak']:9.1f}{row['over_peak']:8.0%} ".rstrip(),
            style,
        )


def _conclusions(rows):
    """What the table says, a line per product and type."""
    lines = [""] if rows else []
    for dtype, product in dict.fromkeys((row["dtype"], row["product"]) for row in rows):
        block = [row for row in rows if (row["dtype"], row["product"]) == (dtype, product)]
        large = [row["over_peak"] for row in block if row["B"] >= 16 and row["H"] >= 64]
        reached = f"kernel at {min(large):.0%} to {max(large):.0%} of peak for B >= 16, H >= 64; " if large else ""
        slower = sum(row["over_np_dot"] < 1 for row in block)
        least = min(block, key=lambda row: row["over_np_dot"])
        verdict = f"slower than np.dot at {slower} of {len(block)} shapes" if slower else "never slower than np.dot"
        where = f"smallest ratio {least['over_np_dot']:.2f} at B={least['B']} H={least['H']} G={least['G']}"
        lines.append(f"{dtype}, {HEADINGS[product]}: {reached}{verdict} ({where})")
    return lines


# The measuring process -------------------------------------------------------------------------------------------


def _measure():
    """Print what is measured on, then a row of JSON per shape."""
    plan = json.loads(sys.argv[1])
    facts = describe()
    print(f"{provenance.cpu_name()}, kernels for {facts['target cpu']} ({facts['vector registers']} registers), "
          f"NumPy {np.__version__}, BLAS {_blas()}", flush=True)  # fmt: skip
    try:
        for dtype in plan["dtypes"]:
            for prepare, batches in ((_forward, plan["batches"]), (_gradient, [GRADIENT_ROWS])):
                for B in batches:
                    for H in plan["hiddens"]:
                        for G in plan["gates"]:
                            row = _row(prepare, dtype, B, H, G, plan["seconds"])
                            print(json.dumps(row), flush=True)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(130)


def _blas():
    """Name and kernel of NumPy's BLAS."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "unknown (threadpoolctl is not installed)"
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return ", ".join(f"{b['internal_api']} {b['version']} {b.get('architecture', '')}".strip() for b in found) or "none"


def _row(prepare, dtype, B, H, G, seconds):
    """Time one shape: the kernel, np.dot and the peak in turns."""
    product, work, candidates = prepare(dtype, B, H, G)
    peak_out = np.zeros(registers()[0] // np.dtype(dtype).itemsize, dtype)
    half = peak_out.dtype.type(0.5)
    candidates = [*candidates, lambda times: fma_chains(peak_out, half, times)]
    works = [work, work, 2.0 * CHAINS * peak_out.size]
    counts = [_calls(run, seconds / (SLICES * TURNS * len(candidates))) for run in candidates]
    slices = []
    for _ in range(SLICES):
        turns = [[_time(run, count) for run, count in zip(candidates, counts, strict=True)] for _ in range(TURNS)]
        best = [min(column) for column in zip(*turns, strict=True)]
        slices.append([work / time / 1e9 for work, time in zip(works, best, strict=True)])
    speeds = [statistics.median(column) for column in zip(*slices, strict=True)]
    over_np_dot, over_peak = (statistics.median(s[0] / s[at] for s in slices) for at in (1, 2))
    values = (product, dtype, B, H, G, speeds[0], speeds[1], over_np_dot, speeds[2], over_peak)
    return dict(zip(COLUMNS, values, strict=True))


def _forward(dtype, B, H, G):
    A, W, C, out = _draw(dtype, (B, H), (H, G * H), (B, G * H), (B, G * H))
    panels, start = products.pack(W), C.copy()
    _add_product(A, panels, C, 1)
    _check(C, start, A, W)

    def by_numpy(times):
        for _ in range(times):
            np.dot(A, W, out=out)

    return "forward", 2.0 * B * H * G * H, [lambda times: _add_product(A, panels, C, times), by_numpy]


def _gradient(dtype, rows, H, G):
    A, B, C, out = _draw(dtype, (rows, H), (rows, G * H), (H, G * H), (H, G * H))
    start = C.copy()
    _add_transposed_product(A, B, C, 1)
    _check(C, start, A.T, B)

    def by_numpy(times):
        for _ in range(times):
            np.dot(A.T, B, out=out)

    return "gradient", 2.0 * rows * H * G * H, [lambda times: _add_transposed_product(A, B, C, times), by_numpy]


def _draw(dtype, *shapes):
    rng = np.random.default_rng(0)
    return [(rng.random(shape) - 0.5).astype(dtype) for shape in shapes]


def _check(found, start, A, W):
    """What is timed must be right."""
    exact = start + A.astype(np.float64) @ W
    if not np.allclose(found, exact, rtol=0, atol=8 * A.shape[1] * np.finfo(found.dtype).eps):
        raise RuntimeError(f"the kernel's product of shape {A.shape} @ {W.shape}, {found.dtype}, is wrong")


def _calls(run, seconds):
    """How many calls take about this long; at least one."""
    count = 1
    while (spent := _time(run, count) * count) < seconds / 4 and count < 2**30:
        count *= 4
    return max(1, round(seconds * count / spent)) if spent else count


CLOCK = time.thread_time if time.get_clock_info("thread_time").resolution < 1e-6 else time.perf_counter


def _time(run, count):
    """Seconds per call, after one which is not counted: it brings the operands into the caches they are used from."""
    run(1)
    start = CLOCK()
    run(count)
    return (CLOCK() - start) / count


def _add_product(A, panels, C, times):
    _add_products(products.product(A.dtype), A, panels, C, times)


@kernel
def _add_products(product, A, panels, C, times):
    for _ in range(times):
        products.add_product_with(product, A, 0, panels, C, 0, C.shape[1])


def _add_transposed_product(A, B, C, times):
    _add_transposed_products(products.block_product(A.dtype), A, B, C, times)


@kernel
def _add_transposed_products(product, A, B, C, times):
    for _ in range(times):
        products.add_transposed_product_with(product, A, B, 0, B.shape[1], C, 0)


# The peak --------------------------------------------------------------------------------------------------------

CHAINS = 24 if registers()[1] >= 32 else 12  # more than latency times units, and few enough for the registers


@intrinsic
def _chains(typingctx, out, x, times):
    """CHAINS independent chains of c <- c x + x in registers, `times` long; their sum goes to `out`."""

    def codegen(context, builder, signature, args):
        out, x, times = args
        data = context.make_array(signature.args[0])(context, builder, out).data
        lanes = registers()[0] // (signature.args[1].bitwidth // 8)
        scalar, i32, i64 = x.type, ir.IntType(32), ir.IntType(64)
        vector = ir.VectorType(scalar, lanes)
        undefined = ir.Constant(vector, ir.Undefined)
        wide = builder.insert_element(undefined, x, ir.Constant(i32, 0))
        wide = builder.shuffle_vector(wide, undefined, ir.Constant(ir.VectorType(i32, lanes), [0] * lanes))
        entry, body, end = builder.block, builder.append_basic_block("body"), builder.append_basic_block("end")
        builder.branch(body)
        builder.position_at_end(body)
        i = builder.phi(i64)
        i.add_incoming(ir.Constant(i64, 0), entry)
        chains = [builder.phi(vector) for _ in range(CHAINS)]
        following = [vector_fma(builder, vector, c, wide, wide) for c in chains]
        for start, (c, after) in enumerate(zip(chains, following, strict=True)):
            c.add_incoming(ir.Constant(vector, [float(start)] * lanes), entry)  # alike, they would be merged into one
            c.add_incoming(after, body)
        i_next = builder.add(i, ir.Constant(i64, 1))
        i.add_incoming(i_next, body)
        builder.cbranch(builder.icmp_signed("<", i_next, times), body, end)
        builder.position_at_end(end)
        total = following[0]
        for c in following[1:]:
            total = builder.fadd(total, c)
        pointer = builder.bitcast(data, vector.as_pointer())
        builder.store(total, pointer, align=signature.args[1].bitwidth // 8)
        return context.get_dummy_value()

    return types.void(out, x, types.int64), codegen


@kernel
def fma_chains(out, x, times):
    """`times` multiply-adds in each of `CHAINS` chains of vectors; their sum is left in `out`."""
    _chains(out, x, times)

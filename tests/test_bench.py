"""The benchmark on a tiny grid: what it prints, what it checks, where its process runs. No speed is asserted."""

import csv

import numpy as np
import pytest

from sandbox.bench import gemm as bench
from sandbox.errors import UsageError
from sandbox.jit import COMPILED

compiled_only = pytest.mark.skipif(not COMPILED, reason="nothing to time without the compiler")
TINY = {"seconds": 1e-4, "batches": (1, 16), "hiddens": (4, 64), "gates": (3,)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run of both types, with the variables set that hold a BLAS back: rows, CSV path and what was printed."""
    path = tmp_path_factory.mktemp("bench") / "gemm.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.sys, "stdout", printed := Lines())
        for name in bench.HOLDING_BACK:
            patch.setenv(name, "512")
        rows = bench.gemm(csv=path, **TINY)
    return rows, path, printed.text


class Lines:
    """A stream which is no terminal."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return False


@compiled_only
def test_there_is_a_row_for_every_shape_type_and_product(run):
    rows, _, _ = run
    shapes = [(row["product"], row["dtype"], row["B"], row["H"], row["G"]) for row in rows]
    assert shapes == [
        (product, dtype, B, H, 3)
        for dtype in ("float32", "float64")
        for product, batches in (("forward", (1, 16)), ("gradient", (bench.GRADIENT_ROWS,)))
        for B in batches
        for H in (4, 64)
    ]
    for row in rows:
        assert tuple(row) == bench.COLUMNS
        assert all(row[name] > 0 for name in ("kernel", "np_dot", "peak", "over_np_dot", "over_peak"))


@compiled_only
def test_the_csv_holds_the_rows_at_full_precision(run):
    rows, path, _ = run
    with open(path, newline="") as file:
        read = list(csv.DictReader(file))
    assert [{name: type(row[name])(text) for name, text in line.items()} for row, line in zip(rows, read)] == rows
    assert len(read) == len(rows)


@compiled_only
def test_what_is_printed(run):
    rows, _, text = run
    lines = text.splitlines()
    assert "registers" in lines[0] and "BLAS" in lines[0]
    heads = [line for line in lines if line.endswith("GFLOP/s on one thread")]
    assert heads == [
        f"{dtype}, {product}, GFLOP/s on one thread"
        for dtype in ("float32", "float64")
        for product in ("C += A W", "C += A^T B")
    ]
    table = [line for line in lines if line[:5].strip().isdigit()]
    assert [line.split()[:3] for line in table] == [[str(row[name]) for name in "BHG"] for row in rows]
    assert len({len(line) for line in table}) == 1 and len(table[0]) <= 60
    ends = [line for line in lines if "smallest ratio" in line]
    assert len(ends) == 4 and lines[-4:] == ends and all("B >= 16, H >= 64" in line for line in ends)


def test_the_conclusion_says_whether_np_dot_was_faster():
    row = {"product": "forward", "dtype": "float32", "B": 16, "H": 64, "G": 1, "over_peak": 0.9}
    (_, good) = bench._conclusions([{**row, "over_np_dot": 1.5}, {**row, "H": 128, "over_np_dot": 1.2}])
    assert good == ("float32, C += A W: kernel at 90% to 90% of peak for B >= 16, H >= 64; never slower than np.dot "
                    "(smallest ratio 1.20 at B=16 H=128 G=1)")  # fmt: skip
    (_, bad) = bench._conclusions([{**row, "over_np_dot": 1.5}, {**row, "B": 1, "over_np_dot": 0.9}])
    assert "slower than np.dot at 1 of 2 shapes (smallest ratio 0.90 at B=1" in bad
    (_, small) = bench._conclusions([{**row, "B": 1, "over_np_dot": 1.5}])
    assert "of peak" not in small and bench._conclusions([]) == []


@compiled_only
@pytest.mark.parametrize("prepare", ["_forward", "_gradient"])
def test_a_wrong_product_is_not_timed(prepare, monkeypatch):
    for name in ("_add_product", "_add_transposed_product"):
        monkeypatch.setattr(bench, name, lambda A, B, C, times: C.__imul__(2))
    with pytest.raises(RuntimeError, match="is wrong"):
        getattr(bench, prepare)("float32", 40, 4, 1)


@compiled_only
def test_a_measuring_process_that_dies_is_not_taken_for_a_result(capfd):
    with pytest.raises(RuntimeError, match="ended with code"):
        bench.gemm(**{**TINY, "gates": ("not a number",)})


@compiled_only
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_peak_loop_does_the_sums_it_is_credited_with(dtype):
    lanes = bench.registers()[0] // np.dtype(dtype).itemsize
    out = np.zeros(lanes, dtype)
    chains = np.arange(bench.CHAINS, dtype=dtype)
    for times in (1, 2, 5):
        bench.fma_chains(out, out.dtype.type(0.5), times)
        expected = chains.copy()
        for _ in range(times):
            expected = expected * 0.5 + 0.5
        np.testing.assert_allclose(out, np.full(lanes, expected.sum()), rtol=1e-6)


def test_a_type_or_a_file_that_cannot_be_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "COMPILED", True)
    monkeypatch.setattr(bench, "_measured", lambda plan: pytest.fail("measured before the file was opened"))
    with pytest.raises(UsageError, match="unknown dtype 'float23'; did you mean 'float32'"):
        bench.gemm(dtype="float23")
    with pytest.raises(OSError):
        bench.gemm(csv=tmp_path / "missing" / "gemm.csv")


@pytest.mark.plain_python
def test_plain_python_is_not_timed(monkeypatch):
    monkeypatch.setattr(bench, "COMPILED", False)
    with pytest.raises(UsageError, match="NUMBA_DISABLE_JIT"):
        bench.gemm()

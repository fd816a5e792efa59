"""The register-tiled products against NumPy in float64, and their bits against an exactly computed chain."""

import os
import platform
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import llvmlite.binding
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.jit import COMPILED
from sandbox.kernels import gemm

DTYPES = ("float32", "float64")
compiled_only = pytest.mark.skipif(not COMPILED, reason="NumPy promises no order of summation")


def draw(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def bits(array):
    return array.view(f"i{array.itemsize}")


def product(A, a_column, W, C, c_column):
    """C with A[:, a_column:] W added to its columns from c_column on, through packed panels."""
    C = C.copy()
    gemm.add_product(A, a_column, gemm.pack(W), C, c_column, W.shape[1])
    return C


def assert_sum(actual, start, A, W):
    """`actual` is start + A W to the error that a chain of K roundings may have."""
    A, W, start = (x.astype(np.float64) for x in (A, W, start))
    allowed = (A.shape[1] + 2) * np.finfo(actual.dtype).eps * (np.abs(A) @ np.abs(W) + np.abs(start))
    assert (np.abs(actual - (start + A @ W)) <= allowed).all()


# Right numbers, in the right place -------------------------------------------------------------------------------


def column_counts(dtype):
    """Around every edge that a panel has, and around four panels, which one row walks at once."""
    width = gemm.width(dtype)
    return sorted({1, 2, 3, width - 1, width, width + 1, 2 * width - 1, 2 * width + 3, 4 * width, 5 * width + 1})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("depth", [1, 2, 5, 17, 64])
def test_every_shape_agrees_with_numpy(dtype, depth):
    for columns in column_counts(dtype):
        W = draw((depth, columns), dtype, seed=columns)
        panels = gemm.pack(W)
        for rows in range(1, 21):
            A, C = draw((rows, depth), dtype, seed=rows), draw((rows, columns), dtype, seed=depth)
            start = C.copy()
            gemm.add_product(A, 0, panels, C, 0, columns)
            assert_sum(C, start, A, W)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes_of_a_layer_agree_with_numpy(dtype):
    for rows, depth, columns in ((64, 128, 512), (33, 255, 129), (1, 512, 512), (700, 3, 40), (8, 1000, 31)):
        A, W = draw((rows, depth), dtype), draw((depth, columns), dtype, seed=1)
        C = draw((rows, columns), dtype, seed=2)
        assert_sum(product(A, 0, W, C, 0), C, A, W)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 0), (0, 5), (2, 7)])
def test_a_run_of_columns_is_read_and_only_a_run_of_columns_is_written(dtype, before, after):
    for rows, depth, columns in ((1, 4, 3), (7, 5, 37), (9, 3, gemm.width(dtype)), (6, 1, 1)):
        A = draw((rows, before + depth + after), dtype)
        W, C = draw((depth, columns), dtype, seed=1), draw((rows, before + columns + after), dtype, seed=2)
        A[:, :before] = A[:, before + depth :] = np.nan  # read, they would spread
        found = product(A, before, W, C, before)
        inside = slice(before, before + columns)
        assert_sum(found[:, inside], C[:, inside], A[:, before : before + depth], W)
        outside = [*range(before), *range(before + columns, C.shape[1])]
        np.testing.assert_array_equal(bits(found[:, outside]), bits(C[:, outside]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_around_the_target_is_not_touched(dtype):
    width = gemm.width(dtype)
    for rows in (1, 2, 3, 5, 8, 13):
        for columns in (1, width - 1, width, width + 1, 4 * width + 2):
            memory = np.full((rows + 20) * columns, 7, dtype)
            C = memory[10 * columns : (10 + rows) * columns].reshape(rows, columns)
            A, W = draw((rows, 3), dtype), draw((3, columns), dtype)
            gemm.add_product(A, 0, gemm.pack(W), C, 0, columns)
            gemm.add_transposed_product(draw((3, rows), dtype), W, 0, columns, C, 0)
            assert (memory[: 10 * columns] == 7).all() and (memory[(10 + rows) * columns :] == 7).all()
            assert (C != 7).all()


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_operands_stay_as_they_are(dtype):
    A, W = draw((5, 7), dtype), draw((7, 9), dtype)
    kept_A, kept_W = A.copy(), W.copy()
    panels = gemm.pack(W)
    kept_panels = panels.copy()
    gemm.add_product(A, 0, panels, np.zeros((5, 9), dtype), 0, 9)
    gemm.add_transposed_product(A, draw((5, 9), dtype), 0, 9, np.zeros((7, 9), dtype), 0)
    for now, kept in ((A, kept_A), (W, kept_W), (panels, kept_panels)):
        np.testing.assert_array_equal(now, kept)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0, 4, 5), (3, 0, 5), (3, 4, 0), (0, 0, 0)])
def test_an_empty_product_adds_nothing(dtype, shape):
    rows, depth, columns = shape
    C = draw((rows, columns), dtype)
    found = product(draw((rows, depth), dtype), 0, draw((depth, columns), dtype), C, 0)
    np.testing.assert_array_equal(found, C)
    C = draw((depth, columns), dtype)
    found = C.copy()
    gemm.add_transposed_product(draw((rows, depth), dtype), draw((rows, columns), dtype), 0, columns, found, 0)
    if rows == 0 or depth == 0 or columns == 0:
        np.testing.assert_array_equal(found, C)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_multiply_is_the_plain_product_of_any_layout(dtype):
    A, B = draw((6, 5), dtype), draw((7, 5), dtype).T
    found = gemm.multiply(A, B)
    assert found.dtype == dtype and found.flags.c_contiguous
    assert_sum(found, np.zeros((6, 7), dtype), A, B)
    np.testing.assert_array_equal(gemm.multiply(A.T.copy().T, B), found)


# Packing ---------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("first", "columns"), [(0, None), (0, 4), (5, 30), (37, 1)])
@pytest.mark.parametrize("transpose", [False, True])
def test_panels_hold_the_columns_and_zeros(dtype, first, columns, transpose):
    W = draw((6, 38), dtype)
    panels = gemm.pack(W, first, columns, transpose=transpose)
    part = W[:, first : W.shape[1] if columns is None else first + columns]
    part = part.T if transpose else part
    width = gemm.width(dtype)
    assert panels.dtype == dtype and panels.shape == (-(-part.shape[1] // width), part.shape[0], width)
    flat = panels.transpose(1, 0, 2).reshape(part.shape[0], -1)
    np.testing.assert_array_equal(flat[:, : part.shape[1]], part)
    assert (flat[:, part.shape[1] :] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_transposed_pack_multiplies_by_the_transpose(dtype):
    for rows, H, G in ((1, 1, 1), (5, 7, 3), (16, 40, 4), (9, 33, 3)):
        for first_gate in range(G):
            W, dz = draw((H, G * H), dtype), draw((rows, G * H), dtype)
            first, count = first_gate * H, (G - first_gate) * H
            C = draw((rows, H), dtype, seed=3)
            found = C.copy()
            gemm.add_product(dz, first, gemm.pack(W, first, count, transpose=True), found, 0, H)
            assert_sum(found, C, dz[:, first:], W[:, first:].T)


# A^T B -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("depth", [1, 3, gemm.DEPTH - 1, gemm.DEPTH, gemm.DEPTH + 1, 2 * gemm.DEPTH + 5])
def test_the_transposed_product_agrees_with_numpy(dtype, depth):
    for rows in (1, 2, 3, 5, 6, 7, 8, 9, 13, 17):
        for columns in column_counts(dtype):
            A, B = draw((depth, rows), dtype, seed=rows), draw((depth, columns + 5), dtype, seed=columns)
            C = draw((rows, columns + 7), dtype, seed=depth)
            found = C.copy()
            gemm.add_transposed_product(A, B, 2, columns, found, 4)
            assert_sum(found[:, 4 : 4 + columns], C[:, 4 : 4 + columns], A.T, B[:, 2 : 2 + columns])
            np.testing.assert_array_equal(found[:, :4], C[:, :4])
            np.testing.assert_array_equal(found[:, 4 + columns :], C[:, 4 + columns :])


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_small_transposed_product_reads_and_writes_only_its_columns(dtype):
    A, B, C = draw((4, 3), dtype), draw((4, 9), dtype, seed=1), draw((3, 8), dtype, seed=2)
    B[:, :2] = B[:, 7:] = np.nan
    found = C.copy()
    gemm.add_transposed_product(A, B, 2, 5, found, 1)
    assert_sum(found[:, 1:6], C[:, 1:6], A.T, B[:, 2:7])
    np.testing.assert_array_equal(found[:, [0, 6, 7]], C[:, [0, 6, 7]])


# Values that are not finite --------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_stays_in_its_row_and_column(dtype, value):
    for rows, depth, columns in ((1, 3, 5), (9, 4, 35), (7, 2, 64)):
        A, W = np.abs(draw((rows, depth), dtype)), np.abs(draw((depth, columns), dtype))
        C = np.zeros((rows, columns), dtype)
        i, j, k = rows - 1, columns - 1, depth - 1
        for spoilt_A, spoilt_W, where in ((True, False, (i, slice(None))), (False, True, (slice(None), j))):
            a, w = A.copy(), W.copy()
            if spoilt_A:
                a[i, k] = value
            if spoilt_W:
                w[k, j] = value
            with np.errstate(invalid="ignore"):  # NumPy's in plain Python: inf beside zeros that fill a vector
                found = product(a, 0, w, C, 0)
            expected = np.zeros(C.shape, bool)
            expected[where] = True
            np.testing.assert_array_equal(~np.isfinite(found), expected)
            np.testing.assert_array_equal(found[where], np.full_like(found[where], value))
        D = C.copy()
        D[0, j] = value
        np.testing.assert_array_equal(~np.isfinite(product(A, 0, W, D, 0)), ~np.isfinite(D))


@compiled_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_times_infinity_is_nan_and_zeros_keep_their_sign(dtype):
    A, W = np.array([[0, 1], [-0.0, -1]], dtype), np.array([[np.inf, -0.0], [1, 0]], dtype)
    found = product(A, 0, W, np.full((2, 2), -0.0, dtype), 0)
    assert np.isnan(found[:, 0]).all()
    assert (found[:, 1] == 0).all()
    assert [bool(sign) for sign in np.signbit(found[:, 1])] == [False, False]


@compiled_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormals_are_kept(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    found = product(np.full((3, 2), tiny, dtype), 0, np.ones((2, 5), dtype), np.zeros((3, 5), dtype), 0)
    np.testing.assert_array_equal(found, np.full((3, 5), 2 * tiny, dtype))


# Bits ------------------------------------------------------------------------------------------------------------


def rounded(exact, dtype):
    """The float nearest to a fraction, ties to even."""
    near = np.dtype(dtype).type(float(exact))
    candidates = (np.nextafter(near, near.dtype.type(-np.inf)), near, np.nextafter(near, near.dtype.type(np.inf)))
    return min(candidates, key=lambda v: (abs(Fraction(float(v)) - exact), int(bits(v)) & 1))


def chain(start, row, column):
    """c <- fma(a_k, w_k, c) over ascending k, in exact arithmetic with one rounding a step."""
    c = start
    for a, w in zip(row, column, strict=True):
        exact = Fraction(float(a)) * Fraction(float(w)) + Fraction(float(c))
        c = rounded(exact, start.dtype) if exact else start.dtype.type(0)
    return c


@compiled_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_element_is_one_chain_of_fused_multiply_adds(dtype):
    for rows, depth, columns in ((1, 9, 4), (2, 9, 3), (3, 6, 5), (9, 5, 3), (2, 5, gemm.width(dtype) + 2)):
        A, W, C = (draw(s, dtype, seed=n) for n, s in enumerate([(rows, depth), (depth, columns), (rows, columns)]))
        expected = [[chain(C[i, j], A[i], W[:, j]) for j in range(columns)] for i in range(rows)]
        np.testing.assert_array_equal(product(A, 0, W, C, 0), np.array(expected, dtype))
        found = C.copy()
        gemm.add_transposed_product(A.T[::-1].copy(), W[::-1].copy(), 0, columns, found, 0)  # walks from the last row
        np.testing.assert_array_equal(found, np.array(expected, dtype))


@compiled_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_chain_longer_than_a_block_of_the_transposed_product_is_not_cut(dtype):
    depth = gemm.DEPTH + 3
    A, W, C = draw((depth, 2), dtype), draw((depth, 2), dtype, seed=1), draw((2, 2), dtype, seed=2)
    found = C.copy()
    gemm.add_transposed_product(A, W, 0, 2, found, 0)
    expected = [[chain(C[i, j], A[::-1, i], W[::-1, j]) for j in range(2)] for i in range(2)]
    np.testing.assert_array_equal(found, np.array(expected, dtype))


@compiled_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_long_transposed_product_in_segments_from_its_end_has_the_same_bits(dtype):
    depth = 2 * gemm.DEPTH + 5
    A, B, start = draw((depth, 9), dtype), draw((depth, 40), dtype, seed=1), draw((9, 40), dtype, seed=2)
    whole, pieces = start.copy(), start.copy()
    gemm.add_transposed_product(A, B, 0, 40, whole, 0)
    for first, last in ((300, depth), (299, 300), (0, 299)):
        gemm.add_transposed_product(A[first:last].copy(), B[first:last].copy(), 0, 40, pieces, 0)
    np.testing.assert_array_equal(pieces, whole)


@compiled_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_double_rounding_would_be_seen(dtype):
    """A sum of which only what the product lost is left, and a float32 tie that float64 would decide wrongly."""
    half = np.dtype(dtype).type(2.0 ** (-13 if dtype == "float32" else -30))
    A, W = np.array([[1, 1 + half]], dtype), np.array([[-1], [1 - half]], dtype)
    np.testing.assert_array_equal(product(A, 0, W, np.zeros((1, 1), dtype), 0), [[-half * half]])
    A, W, C = (np.array([[v]], dtype) for v in (24929.0, 673 * 2.0**-24, 2.0**-60))
    np.testing.assert_array_equal(product(A, 0, W, C, 0), [[chain(C[0, 0], A[0], W[:, 0])]])


@compiled_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_has_the_same_bits_alone_and_in_any_batch(dtype):
    A, W, C = draw((20, 23), dtype), draw((23, 70), dtype, seed=1), draw((20, 70), dtype, seed=2)
    alone = np.concatenate([product(A[i : i + 1], 0, W, C[i : i + 1], 0) for i in range(20)])
    for rows in range(1, 21):
        np.testing.assert_array_equal(product(A[:rows], 0, W, C[:rows], 0), alone[:rows])
        np.testing.assert_array_equal(product(A[-rows:], 0, W, C[-rows:], 0), alone[-rows:])
        found = C[:rows].copy()
        gemm.add_transposed_product(A[:rows].T[::-1].copy(), W[::-1].copy(), 0, 70, found, 0)
        np.testing.assert_array_equal(found, alone[:rows])


@compiled_only
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), rows=st.integers(1, 20), depth=st.integers(1, 40))
def test_bits_do_not_depend_on_the_run_of_columns_or_the_way_k_is_cut(data, dtype, rows, depth):
    columns = data.draw(st.integers(1, 100))
    first = data.draw(st.integers(0, columns - 1))
    count = data.draw(st.integers(1, columns - first))
    cut = data.draw(st.integers(0, depth))
    A, W, C = draw((rows, depth), dtype), draw((depth, columns), dtype, seed=1), draw((rows, columns), dtype, seed=2)
    whole = product(A, 0, W, C, 0)
    part = C.copy()
    gemm.add_product(A, 0, gemm.pack(W, first, count), part, first, count)
    np.testing.assert_array_equal(part[:, first : first + count], whole[:, first : first + count])
    in_two = product(A, cut, W[cut:], product(A[:, :cut].copy(), 0, W[:cut], C, 0), 0)
    np.testing.assert_array_equal(in_two, whole)


HASH = """
import hashlib
import numpy as np
from sandbox.kernels import gemm
digest = hashlib.sha256()
for dtype in ("float32", "float64"):
    for rows in (1, 2, 3, 7, 19):
        rng = np.random.default_rng(rows)
        A, W, C = (rng.standard_normal(s).astype(dtype) for s in ((rows, 29), (29, 75), (rows, 75)))
        D = rng.standard_normal((29, 75)).astype(dtype)
        gemm.add_product(A, 0, gemm.pack(W), C, 0, 75)
        gemm.add_transposed_product(A, C, 3, 70, D, 1)
        digest.update(C.tobytes() + D.tobytes())
print(digest.hexdigest())
"""


def digest_on(cpu, cache):
    root = Path(gemm.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "NUMBA_CPU_NAME": cpu, "SANDBOX_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", HASH], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


OTHERS = ("skylake-avx512", "znver4", "generic")


def runs_here(cpu):
    """Whether this machine has the instructions of the named processor."""
    has = llvmlite.binding.get_host_cpu_features()
    needed = {"generic": (), "haswell": ("avx2", "fma"), "skylake-avx512": ("avx512f", "avx512vl"),
              "znver4": ("avx512f", "avx512bf16")}  # fmt: skip
    return platform.machine().lower() in ("x86_64", "amd64") and all(has.get(name) for name in needed[cpu])


@compiled_only
@pytest.mark.parametrize(
    "cpu",
    ["haswell", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)],
)
def test_bits_are_the_same_on_another_processor(cpu, tmp_path, capsys):
    if not runs_here(cpu):
        pytest.skip(f"this machine cannot run code for {cpu}")
    namespace = {}
    exec(HASH, namespace)
    assert capsys.readouterr().out.strip() == namespace["digest"].hexdigest() == digest_on(cpu, tmp_path)

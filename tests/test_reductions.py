"""Sums, norms and fits against exact sums, scipy, and the written order of summation."""

import math

import numpy as np
import pytest
from scipy import stats

from sandbox.kernels.reductions import cosine, dot, linear_fit, mean, norm, row_norms, total

SIZES = (1, 2, 7, 8, 9, 16, 31, 1000)


def eight_chains(values):
    """The order of summation that the module promises, in plain Python."""
    whole = len(values) // 8 * 8
    s = [sum_in_order(values[c:whole:8]) for c in range(8)]
    for value in values[whole:]:
        s[0] += value
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


def sum_in_order(values):
    result = 0.0
    for value in values:
        result += value
    return result


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_sums_equal_exact_sums_to_rounding_and_their_order_to_the_bit(size, dtype):
    x, y = draw(size).astype(dtype), draw(size, seed=1).astype(dtype)
    wide, products = [float(v) for v in x], [float(a) * float(b) for a, b in zip(x, y, strict=True)]
    scale = math.fsum(map(abs, wide))
    assert total(x) == eight_chains(wide) == pytest.approx(math.fsum(wide), rel=0, abs=1e-14 * scale)
    assert mean(x) == eight_chains(wide) / size
    assert dot(x, y) == eight_chains(products) == pytest.approx(math.fsum(products), rel=0, abs=1e-14 * size)
    assert norm(x) == np.sqrt(eight_chains([v * v for v in wide]))
    assert norm(x) == pytest.approx(math.sqrt(math.fsum(v * v for v in wide)), rel=1e-14, abs=0)
    assert all(type(f(x)) is float or f(x).dtype == np.float64 for f in (total, mean, norm))


def test_a_large_norm_and_sum_agree_with_exact_ones():
    x = draw(100_003)
    assert norm(x) == pytest.approx(math.sqrt(math.fsum(v * v for v in x)), rel=1e-13, abs=0)
    assert total(x) == pytest.approx(math.fsum(x), rel=1e-12, abs=0)


def test_any_shape_and_layout_is_read_in_row_major_order():
    x = draw(3, 5, 7)
    for f in (total, mean, norm):
        assert f(x) == f(x.ravel())
        assert f(x[:, ::2]) == f(np.ascontiguousarray(x[:, ::2]))
        assert f(np.array(2.5)) == 2.5
    assert dot(x, x) == dot(x.ravel(), x.ravel())
    assert total(np.empty(0)) == norm(np.empty(0)) == 0.0
    assert np.isnan(mean(np.empty(0)))


@pytest.mark.plain_python
@pytest.mark.parametrize("factor", [5e-324, 1e-310, 1e-300, 1e-170, 1e-154, 1.0, 1e154, 1e160, 3e307])
def test_norm_neither_overflows_nor_underflows(factor):
    x = np.array([3.0, -4.0]) * factor
    assert norm(x) == pytest.approx(5.0 * factor, rel=1e-15, abs=0)
    assert norm(np.full(4, 1.7e308)) == np.inf  # the norm itself is too large
    assert norm(np.array([1e-200, 1e-320, 2e-200])) == pytest.approx(math.sqrt(5) * 1e-200, rel=1e-15, abs=0)


@pytest.mark.plain_python
def test_norm_of_float32_at_the_ends_of_its_range():
    largest, smallest = np.finfo(np.float32).max, np.float32(1e-45)
    assert norm(np.array([largest, largest])) == pytest.approx(math.sqrt(2) * float(largest), rel=1e-15, abs=0)
    assert norm(np.array([smallest, smallest])) == pytest.approx(math.sqrt(2) * float(smallest), rel=1e-15, abs=0)


@pytest.mark.plain_python
@pytest.mark.parametrize("position", [0, 3, 9, 10])
def test_norm_names_what_is_not_finite(position):
    x = np.linspace(-1, 1, 11)
    x[position] = -np.inf
    assert norm(x) == np.inf
    x[position] = np.nan
    assert np.isnan(norm(x)) and np.isnan(total(x)) and np.isnan(dot(x, x))
    x[5] = np.inf
    assert np.isnan(norm(x))
    assert norm(np.zeros(9)) == 0.0


def test_row_norms_are_the_norms_of_the_rows():
    x = draw(6, 37)
    x[2] *= 1e-200
    x[3] = 0
    x[4, 5] = np.nan
    for dtype in ("float32", "float64"):
        rows = x.astype(dtype)
        assert row_norms(rows).dtype == np.float64
        np.testing.assert_array_equal(row_norms(rows), [norm(row) for row in rows])


@pytest.mark.plain_python
def test_cosine():
    x, y = draw(33), draw(33, seed=1)
    expected = math.fsum(x * y) / math.sqrt(math.fsum(x * x) * math.fsum(y * y))
    assert cosine(x, y) == pytest.approx(expected, abs=1e-15)
    assert cosine(1e-250 * x, 1e250 * y) == pytest.approx(expected, abs=1e-15)
    for seed in range(30):
        z = draw(7, seed=seed)
        assert cosine(z, z) == cosine(z, 2**-900 * z) == 1.0
    assert cosine(x, -x) == -1.0
    assert cosine(x, 0.3 * x) <= 1.0
    assert cosine(np.array([1.0, 0.0]), np.array([0.0, 5e-324])) == 0.0


@pytest.mark.plain_python
@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_cosine_with_nothing_to_compare_is_nan(bad):
    assert np.isnan(cosine(np.full(3, bad), np.ones(3)))
    assert np.isnan(cosine(np.ones(3), np.full(3, bad)))


@pytest.mark.plain_python
@pytest.mark.parametrize(("slope", "offset", "noise"), [(0.5, 3.0, 0.1), (-2.3, 1e6, 1.0), (1e-9, 0.0, 1e-10)])
def test_linear_fit_agrees_with_scipy(slope, offset, noise):
    x = np.arange(101.0) + 7
    y = slope * x + offset + noise * draw(101)
    ours, theirs = linear_fit(x, y), stats.linregress(x, y)
    assert ours[0] == pytest.approx(theirs.slope, rel=1e-10 if offset > 1e5 else 1e-12, abs=0)
    assert ours[1] == pytest.approx(theirs.intercept, rel=1e-12, abs=1e-12 * noise)
    assert ours[2] == pytest.approx(theirs.rvalue**2, rel=1e-10, abs=0)


@pytest.mark.plain_python
def test_linear_fit_of_exact_and_degenerate_data():
    x = np.arange(10.0)
    assert linear_fit(x, -0.25 * x + 8) == (-0.25, 8.0, 1.0)
    assert linear_fit(x, np.full(10, 2.5)) == (0.0, 2.5, 1.0)
    assert linear_fit(x[:2], np.array([1.0, 3.0])) == (2.0, 1.0, 1.0)
    for flat in (linear_fit(np.full(4, 3.0), x[:4]), linear_fit(x[:1], x[:1]), linear_fit(x[:0], x[:0])):
        assert np.isnan(flat).all()
    y = x.copy()
    y[3] = np.nan
    assert np.isnan(linear_fit(x, y)).all()

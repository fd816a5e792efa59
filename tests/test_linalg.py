"""QR, spectral radius and largest singular value against LAPACK and matrices whose values are known."""

import numpy as np
import pytest
from scipy import linalg

from sandbox.kernels.linalg import householder_qr, largest_singular_value, solve, spectral_radius


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def eigenvalue_radius(W):
    return np.abs(np.linalg.eigvals(W)).max()


@pytest.mark.plain_python
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (5, 3), (7, 7), (6, 1)])
def test_qr_of_small_matrices(shape):
    check_qr(draw(*shape))


@pytest.mark.parametrize("shape", [(64, 64), (130, 67), (256, 255)])
def test_qr_of_larger_matrices(shape):
    check_qr(draw(*shape))


def check_qr(A):
    before = A.copy()
    Q, R = householder_qr(A)
    np.testing.assert_array_equal(A, before)
    assert Q.shape == A.shape and R.shape == (A.shape[1], A.shape[1])
    assert (np.diag(R) > 0).all()
    np.testing.assert_array_equal(R, np.triu(R))
    np.testing.assert_allclose(Q @ R, A, rtol=0, atol=1e-13 * np.abs(A).max())
    np.testing.assert_allclose(Q.T @ Q, np.eye(A.shape[1]), rtol=0, atol=1e-13)
    Q_lapack, R_lapack = np.linalg.qr(A)
    signs = np.sign(np.diag(R_lapack))
    # The pair is unique; how far rounding moves it grows with the condition number of A.
    tolerance = 1e-15 * np.linalg.cond(A) + 1e-13
    np.testing.assert_allclose(Q, Q_lapack * signs, rtol=0, atol=tolerance)
    np.testing.assert_allclose(R, R_lapack * signs[:, None], rtol=0, atol=100 * tolerance)


@pytest.mark.plain_python
def test_qr_of_dependent_zero_and_badly_scaled_columns():
    A = draw(6, 4)
    A[:, 2] = 0.0
    Q, R = householder_qr(A)
    assert R[2, 2] >= 0.0 and np.isfinite(Q).all()
    np.testing.assert_allclose(Q @ R, A, rtol=0, atol=1e-14)
    np.testing.assert_allclose(Q.T @ Q, np.eye(4), rtol=0, atol=1e-14)
    Q, R = householder_qr(np.zeros((3, 2)))
    np.testing.assert_array_equal(Q, np.eye(3, 2))
    np.testing.assert_array_equal(R, np.zeros((2, 2)))
    check_qr(np.array([[-1.0, 2.0], [1e-10, 3.0], [0.0, 1.0]]))  # the first column needs no reflection, nearly or quite
    check_qr(np.array([[-1.0, 2.0], [0.0, -3.0], [0.0, 0.0]]))
    for factor in (2.0**-900, 2.0**900):
        Q_scaled, R_scaled = householder_qr(factor * draw(5, 5))
        Q, R = householder_qr(draw(5, 5))
        np.testing.assert_allclose(Q_scaled, Q, rtol=0, atol=1e-14)
        np.testing.assert_allclose(R_scaled / factor, R, rtol=0, atol=1e-14)


@pytest.mark.plain_python
@pytest.mark.parametrize("size, columns", [(1, 1), (2, 3), (5, 5), (7, 1)])
def test_solve_small_systems(size, columns):
    check_solve(draw(size, size), draw(size, columns, seed=1))


@pytest.mark.parametrize("size, columns", [(33, 33), (64, 5), (130, 130)])
def test_solve_larger_systems(size, columns):
    check_solve(draw(size, size), draw(size, columns, seed=1))
    skew = draw(size, size) - draw(size, size).T
    check_solve(np.eye(size) + skew, np.eye(size) - skew)


def check_solve(A, B):
    before = A.copy(), B.copy()
    X, expected = solve(A, B), linalg.solve(A, B)
    np.testing.assert_array_equal(A, before[0])
    np.testing.assert_array_equal(B, before[1])
    assert np.abs(X - expected).max() <= 1e-14 * np.linalg.cond(A) * np.abs(expected).max()
    # Backward stable: the error is that of an A changed in its last digits.
    residual = np.abs(A @ X - B).max() / (np.abs(A).max() * np.abs(X).max() * len(A))
    assert residual <= 1e-15


@pytest.mark.plain_python
def test_solve_is_exact_where_nothing_is_rounded():
    A = np.array([[0.0, 2.0, 1.0], [4.0, 0.0, 2.0], [4.0, 1.0, 0.0]])  # needs two exchanges
    X = np.array([[1.0, -2.0], [3.0, 0.5], [-1.0, 8.0]])
    np.testing.assert_array_equal(solve(A, A @ X), X)
    np.testing.assert_array_equal(solve(np.eye(3), X), X)
    with np.errstate(all="ignore"):
        assert not np.isfinite(solve(np.ones((2, 2)), np.eye(2))).all()


def test_cayley_of_a_large_skew_matrix_is_orthogonal():
    """Without exchanges of rows the error grows with |A|^2: 4e-12 here."""
    A = 1000 * (draw(64, 64) - draw(64, 64).T)
    W = solve(np.eye(64) + A, np.eye(64) - A)
    np.testing.assert_allclose(W @ W.T, np.eye(64), rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [2, 3, 10, 64, 200])
@pytest.mark.parametrize("seed", range(5))
def test_radius_and_sigma_of_random_matrices(size, seed):
    W = draw(size, size, seed=seed) / np.sqrt(size)
    assert spectral_radius(W) == pytest.approx(eigenvalue_radius(W), rel=1e-12, abs=0)
    assert largest_singular_value(W) == pytest.approx(np.linalg.norm(W, 2), rel=1e-13, abs=0)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (5, 40), (40, 5)])
def test_sigma_of_rectangles(shape):
    W = draw(*shape)
    assert largest_singular_value(W) == pytest.approx(np.linalg.norm(W, 2), rel=1e-14, abs=0)


@pytest.mark.plain_python
def test_values_known_exactly():
    assert spectral_radius(np.zeros((4, 4))) == largest_singular_value(np.zeros((4, 4))) == 0.0
    for value in (3.0, -0.3, 1e-300, -1e300, 5e-324):
        assert spectral_radius(np.array([[value]])) == pytest.approx(abs(value), rel=1e-15, abs=0)
        assert largest_singular_value(np.array([[value]])) == pytest.approx(abs(value), rel=1e-15, abs=0)
    assert spectral_radius(np.eye(8)) == pytest.approx(1.0, abs=1e-15)
    assert largest_singular_value(np.diag([1.0, -4.0, 2.0])) == pytest.approx(4.0, rel=1e-15, abs=0)
    for small in (1e-200, 1e-310):
        assert spectral_radius(np.array([[0.0, 1.0], [small, 0.0]])) == pytest.approx(np.sqrt(small), rel=1e-14, abs=0)
    shift = np.triu(np.ones((6, 6)), 1)
    assert spectral_radius(shift) == 0.0  # nilpotent, though no singular value but one is small
    assert largest_singular_value(shift) == pytest.approx(np.linalg.norm(shift, 2), rel=1e-14, abs=0)


@pytest.mark.plain_python
def test_complex_pairs_and_equal_moduli():
    for angle in (0.1, 1.0, np.pi / 2, 3.0):
        rotation = 0.9 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        assert spectral_radius(rotation) == pytest.approx(0.9, rel=1e-14, abs=0)
        sheared = np.array([[1.0, 50.0], [0.0, 1.0]]) @ rotation @ np.array([[1.0, -50.0], [0.0, 1.0]])
        assert spectral_radius(sheared) == pytest.approx(0.9, rel=1e-11, abs=0)
    strongly = np.array([[1.0, 1000.0], [0.0, 1.0]]) @ rotation @ np.array([[1.0, -1000.0], [0.0, 1.0]])
    assert spectral_radius(strongly) == pytest.approx(0.9, rel=1e-8, abs=0)  # condition number 1e6
    for seed in range(20):
        Q, _ = np.linalg.qr(draw(5, 5, seed=seed))
        double = (Q * [0.7, 0.7, 0.1, 0.05, -0.02]) @ Q.T
        assert spectral_radius(double) == pytest.approx(0.7, rel=1e-14, abs=0)
    assert spectral_radius(np.diag([0.7, -0.7, 0.7 - 1e-9])) == pytest.approx(0.7, rel=1e-14, abs=0)
    cycle = np.roll(np.eye(7), 1, axis=0)
    assert spectral_radius(1.1 * cycle) == pytest.approx(1.1, rel=1e-14, abs=0)


@pytest.mark.plain_python
def test_radius_and_sigma_are_two_numbers_in_a_non_normal_matrix():
    for value in (0.3, 0.7, 0.9, 1.1):
        block = np.array([[value, 3.0], [0.0, value]])
        assert spectral_radius(block) == pytest.approx(value, rel=1e-13, abs=0)
    jordan = 0.5 * np.eye(4) + 10.0 * np.eye(4, k=1)  # its powers approach the limit like k / 2^k
    assert spectral_radius(jordan) == pytest.approx(0.5, rel=1e-12, abs=0)
    assert largest_singular_value(jordan) == pytest.approx(np.linalg.norm(jordan, 2), rel=1e-14, abs=0)
    assert largest_singular_value(jordan) > 20 * spectral_radius(jordan)


def test_radius_scales_exactly_with_powers_of_two():
    W = draw(20, 20)
    for exponent in (-1000, -30, 7, 990):
        assert spectral_radius(np.ldexp(W, exponent)) == np.ldexp(spectral_radius(W), exponent)
        assert largest_singular_value(np.ldexp(W, exponent)) == np.ldexp(largest_singular_value(W), exponent)


@pytest.mark.plain_python
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_radius_and_sigma_of_what_is_not_finite_is_nan(bad):
    W = np.eye(3)
    W[0, 2] = bad
    assert np.isnan(spectral_radius(W)) and np.isnan(largest_singular_value(W))


def test_float32_and_transposed_views_are_read_as_they_are():
    W = draw(9, 9).astype(np.float32)
    assert spectral_radius(W) == spectral_radius(W.astype(np.float64))
    assert largest_singular_value(W.T) == pytest.approx(largest_singular_value(W), rel=1e-14, abs=0)

"""QR by Householder reflections, linear equations, spectral radius and norm, with bits that no LAPACK decides.

Reflections run over rows of a row-major matrix: w = v^T A adds rows in ascending order, A -= (tau v) w^T changes each
element once. Both are elementwise along a row, so they vectorise without any change in the order of a sum.
"""

import numpy as np

from sandbox.jit import float_bits, from_float_bits, kernel
from sandbox.kernels import gemm
from sandbox.kernels.reductions import norm, total

__all__ = ["householder_qr", "largest_singular_value", "solve", "spectral_radius"]

# After k squarings the error of Gelfand's formula is below log(N)/2^k; 56 leave a margin of 8 bits for N = 512.
SQUARINGS = 56
PAIR_TOLERANCE = 1e-13  # of a relation whose error counts 2^-k in the result


@kernel
def _reflect(A, v, tau, k, w):
    """A[k:, first:] -= tau v (v^T A[k:, first:]) for v of length m - k; `first` is A's width minus w's."""
    m, first, count = A.shape[0], A.shape[1] - w.size, w.size
    w[:] = 0.0
    whole = k + (m - k) // 4 * 4
    for i in range(k, whole, 4):
        a0, a1, a2, a3 = A[i, first:], A[i + 1, first:], A[i + 2, first:], A[i + 3, first:]
        v0, v1, v2, v3 = v[i - k], v[i + 1 - k], v[i + 2 - k], v[i + 3 - k]
        for j in range(count):
            w[j] = (((w[j] + v0 * a0[j]) + v1 * a1[j]) + v2 * a2[j]) + v3 * a3[j]
    for i in range(whole, m):
        row, v_i = A[i, first:], v[i - k]
        for j in range(count):
            w[j] += v_i * row[j]
    for i in range(k, m):
        row, v_i = A[i, first:], tau * v[i - k]
        for j in range(count):
            row[j] -= v_i * w[j]


@kernel
def _factor(A, taus, v, w):
    """Turn A into R, and below its diagonal the reflections H_k = I - tau_k v v^T with v_1 = 1."""
    m, n = A.shape
    for k in range(n):
        for i in range(k, m):
            v[i] = A[i, k]
        alpha, beta = v[k], norm(v[k:])
        if beta == 0.0:
            continue
        beta = -beta if alpha > 0.0 else beta
        taus[k] = (beta - alpha) / beta
        for i in range(k + 1, m):
            v[i] /= alpha - beta
            A[i, k] = v[i]
        v[k] = 1.0
        A[k, k] = beta
        _reflect(A, v[k:], taus[k], k, w[k + 1 :])


@kernel
def householder_qr(A):
    """A = Q R with orthonormal columns in Q and a positive diagonal in R, which makes the pair unique.

    For A with independent N(0, 1) entries, Q is then uniform (Haar) over orthogonal matrices; without the sign rule it
    is not (Mezzadri 2007, section 4).

    Parameters
    ----------
    A : (m, n) float64 array, C-contiguous, m >= n

    Returns
    -------
    Q : (m, n) float64 array
    R : (n, n) float64 array
        Upper triangular. Its diagonal has a zero for a column that depends on those before it, up to rounding.
    """
    m, n = A.shape
    work, taus, v, w = A.copy(), np.zeros(n), np.empty(m), np.empty(n)
    _factor(work, taus, v, w)
    Q, R = np.zeros((m, n)), np.zeros((n, n))
    for k in range(n - 1, -1, -1):  # Q = H_0 H_1 ... I, the last first
        Q[k, k] = v[k] = 1.0
        for i in range(k + 1, m):
            v[i] = work[i, k]
        _reflect(Q, v[k:], taus[k], k, w[k:])
    for k in range(n):
        sign = -1.0 if work[k, k] < 0.0 else 1.0
        for j in range(k, n):
            R[k, j] = sign * work[k, j]
        for i in range(m):
            Q[i, k] *= sign
    return Q, R


@kernel
def solve(A, B):
    """X with A X = B, by Gaussian elimination with row exchanges.

    In this order, with U at first A and X at first B: for k = 0, 1, ... the row from k on whose element in column k is
    largest in magnitude, the first of equals, changes places with row k; then U[i] -= (U[i, k] / U[k, k]) U[k] and the
    same in X, for all i > k. For k = n - 1, ..., 0: X[k] /= U[k, k], then X[i] -= U[i, k] X[k] for all i < k. Every
    product and every difference is rounded by itself.

    Cayley's I + A with a skew A would do without exchanges, since v^T (I + A) v > 0, but with an error that grows with
    |A|^2 (Golub & Van Loan 1979): at entries near 1000, n = 128, what should be orthogonal is off by 4e-12, with
    exchanges by 6e-15.

    Parameters
    ----------
    A : (n, n) float64 array, C-contiguous
    B : (n, m) float64 array, C-contiguous

    Returns
    -------
    (n, m) float64 array
        Not finite if A is singular.
    """
    n, m = B.shape
    U, X = A.copy(), B.copy()
    for k in range(n):
        largest = k
        for i in range(k + 1, n):
            if abs(U[i, k]) > abs(U[largest, k]):
                largest = i
        for j in range(n if largest > k else 0):
            U[k, j], U[largest, j] = U[largest, j], U[k, j]
        for j in range(m if largest > k else 0):
            X[k, j], X[largest, j] = X[largest, j], X[k, j]
        u, x = U[k], X[k]
        for i in range(k + 1, n):
            u_i, x_i, factor = U[i], X[i], U[i, k] / u[k]
            for j in range(k + 1, n):
                u_i[j] -= factor * u[j]
            for j in range(m):
                x_i[j] -= factor * x[j]
    for k in range(n - 1, -1, -1):
        x, pivot = X[k], U[k, k]
        for j in range(m):
            x[j] /= pivot
        for i in range(k):
            x_i, factor = X[i], U[i, k]
            for j in range(m):
                x_i[j] -= factor * x[j]
    return X


@kernel
def _normalise(A, size):
    """Divide A in place by the power of two 2^e <= size < 2^(e+1); return e."""
    exponent = min(max((float_bits(size) >> 52) - 1023, -1022), 1022)
    scale = from_float_bits((1023 - exponent) << 52)
    flat = A.reshape(-1)
    for i in range(flat.size):
        flat[i] *= scale
    return exponent


def _pair_radius(P, S, F, e, f):
    """Spectral radius of P from S = P^2 / 2^e and F = S^2 / 2^f once all but two eigenvalues have died out; else 0.

    Then P^2 = t P - d I on the range of P, with t the sum and d the product of the pair, and therefore
    P^4 = (t^2 - d) P^2 - t d P. A nearly double eigenvalue is left to the limit, because the roots of its quadratic
    would lose half their digits.
    """
    t, scale = total(P.diagonal().copy()), 2.0**-e
    d = (t * t - total(S.diagonal().copy()) / scale) / 2.0
    difference = 2.0**f * F - ((t * t - d) * scale) * S + (t * d * scale * scale) * P
    if not norm(difference) <= PAIR_TOLERANCE * 2.0**f * norm(F):
        return 0.0
    split = t * t - 4.0 * d
    if not abs(split) > 0.01 * abs(d):
        return 0.0
    return (abs(t) + np.sqrt(split)) / 2.0 if split > 0.0 else np.sqrt(d)


def spectral_radius(W):
    """Largest modulus of an eigenvalue, max |lambda_i(W)|, by Gelfand's formula with repeated squaring.

        rho(W) = lim ||W^n||_F^(1/n),   n = 2^k

    Every square is divided by a power of two 2^e, which is exact, and taken back as rho(P) = sqrt(2^e rho(P^2 / 2^e)).
    Neither a complex pair nor equal moduli nor a Jordan block slow it down, as they do the power iteration; a power
    with only two eigenvalues left ends it early. Rounding moves rho as it moves the eigenvalues themselves: by about
    1e-16 times their condition number.

    Parameters
    ----------
    W : (n, n) array

    Returns
    -------
    float
        Zero if a power of W vanishes (exactly, as for a strictly triangular W); NaN if W is not finite.
    """
    W = np.array(W, dtype=np.float64, order="C")
    size = norm(W)
    if size == 0.0 or not np.isfinite(size):
        return 0.0 if size == 0.0 else float("nan")
    powers, exponents, radius = [W], [_normalise(W, size)], 0.0
    while radius == 0.0 and len(exponents) <= SQUARINGS:
        square = gemm.multiply(powers[-1], powers[-1])
        powers = [*powers[-2:], square]
        exponents.append(_normalise(square, norm(square)))
        if len(powers) == 3:
            radius = _pair_radius(*powers, *exponents[-2:])
    if radius > 0.0:
        exponents = exponents[:-2]
    else:
        radius = norm(powers[-1])
    for exponent in reversed(exponents[1:]):
        radius = np.sqrt(radius * 2.0**exponent)
    return float(np.ldexp(radius, exponents[0]))


def largest_singular_value(W):
    """Largest singular value (spectral norm) of a matrix: the root of the spectral radius of W^T W, or of W W^T.

    Parameters
    ----------
    W : (m, n) array

    Returns
    -------
    float
        NaN if W is not finite.
    """
    W = np.array(W, dtype=np.float64, order="C")
    size = norm(W)
    if size == 0.0 or not np.isfinite(size):
        return 0.0 if size == 0.0 else float("nan")
    exponent = _normalise(W, size)
    gram = gemm.multiply(W.T, W) if W.shape[0] >= W.shape[1] else gemm.multiply(W, W.T)
    return float(np.ldexp(np.sqrt(spectral_radius(gram)), exponent))

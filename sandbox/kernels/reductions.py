"""Sums, norms and straight-line fits in float64, each with a written order of summation.

A sum over n elements is eight interleaved chains, s_c = x_c + x_{c+8} + x_{c+16} + ..., the last n mod 8 elements go to
chain 0, and the chains are added in pairs. The order, and with it every bit, depends on n alone. (NumPy's sums split
by vector width and memory layout; BLAS' by the machine.)

Arrays are float32 or float64; each element is widened before it is used. Norms and cosines are scaled by powers of
two, which are exact, so that neither 1e-300 nor 1e300 is lost in a square (Blue 1978).
"""

import numpy as np

from sandbox.jit import float_bits, from_float_bits, inline, kernel

__all__ = ["chains", "cosine", "dot", "linear_fit", "mean", "norm", "row_norms", "total"]

# A sum of squares in between has lost nothing that counts: what underflowed is 2^-122 of it at most.
SAFE_LOW, SAFE_HIGH = 2.0**-900, 2.0**1023


@inline
def chains(x):
    """Sum of a flat array: `total` for kernels."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = x.size // 8 * 8
    for i in range(0, whole, 8):
        s0 += float(x[i])
        s1 += float(x[i + 1])
        s2 += float(x[i + 2])
        s3 += float(x[i + 3])
        s4 += float(x[i + 4])
        s5 += float(x[i + 5])
        s6 += float(x[i + 6])
        s7 += float(x[i + 7])
    for i in range(whole, x.size):
        s0 += float(x[i])
    return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))


@kernel
def _product_chains(x, x_scale, y, y_scale):
    """Sum of (x_i x_scale) (y_i y_scale) over flat arrays of one length."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = x.size // 8 * 8
    for i in range(0, whole, 8):
        s0 += (float(x[i]) * x_scale) * (float(y[i]) * y_scale)
        s1 += (float(x[i + 1]) * x_scale) * (float(y[i + 1]) * y_scale)
        s2 += (float(x[i + 2]) * x_scale) * (float(y[i + 2]) * y_scale)
        s3 += (float(x[i + 3]) * x_scale) * (float(y[i + 3]) * y_scale)
        s4 += (float(x[i + 4]) * x_scale) * (float(y[i + 4]) * y_scale)
        s5 += (float(x[i + 5]) * x_scale) * (float(y[i + 5]) * y_scale)
        s6 += (float(x[i + 6]) * x_scale) * (float(y[i + 6]) * y_scale)
        s7 += (float(x[i + 7]) * x_scale) * (float(y[i + 7]) * y_scale)
    for i in range(whole, x.size):
        s0 += (float(x[i]) * x_scale) * (float(y[i]) * y_scale)
    return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))


@kernel
def _scale(x):
    """Power of two that brings the largest size in a flat array to 1 <= size < 2; 0, inf or NaN if that is the size."""
    largest = 0.0
    for i in range(x.size):
        size = abs(float(x[i]))
        if size > largest or size != size:  # once NaN, it stays
            largest = size
    if largest == 0.0 or not np.isfinite(largest):
        return largest
    exponent = min((float_bits(largest) >> 52) - 1023, 1022)
    return from_float_bits((1023 - exponent) << 52)


@kernel
def _norm(x):
    squares = _product_chains(x, 1.0, x, 1.0)
    if SAFE_LOW <= squares <= SAFE_HIGH:
        return np.sqrt(squares)
    scale = _scale(x)
    if scale == 0.0 or not np.isfinite(scale):
        return scale
    return float(np.sqrt(_product_chains(x, scale, x, scale))) / float(scale)


@kernel
def total(x):
    """Sum of all elements of a contiguous array of any shape."""
    return chains(x.ravel())


@kernel
def mean(x):
    """Mean of all elements of a contiguous array of any shape; NaN for an empty one."""
    return chains(x.ravel()) / x.size if x.size else np.nan


@kernel
def dot(x, y):
    """Sum of x_i y_i over two contiguous arrays of one size."""
    return _product_chains(x.ravel(), 1.0, y.ravel(), 1.0)


@kernel
def norm(x):
    """Euclidean norm sqrt(sum x_i^2) of a contiguous array of any shape.

    Exact to a few ulp from subnormal to the largest elements; infinite only where an element or the norm itself is, NaN
    where an element is.
    """
    return _norm(x.ravel())


@kernel
def row_norms(x):
    """Euclidean norm of each row of a (rows, columns) array: shape (rows,), float64."""
    norms = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        norms[i] = _norm(x[i])
    return norms


@kernel
def cosine(x, y):
    """Cosine of the angle between two contiguous arrays of one size, x . y / (|x| |y|), within [-1, 1].

    Exactly 1 for x against itself or x times a power of two; NaN if an array is zero or not finite.
    """
    flat_x, flat_y = x.ravel(), y.ravel()
    x_scale, y_scale = _scale(flat_x), _scale(flat_y)
    if not np.isfinite(x_scale + y_scale) or x_scale == 0.0 or y_scale == 0.0:
        return np.nan
    xy = _product_chains(flat_x, x_scale, flat_y, y_scale)
    xx = _product_chains(flat_x, x_scale, flat_x, x_scale)
    yy = _product_chains(flat_y, y_scale, flat_y, y_scale)
    return min(max(xy / np.sqrt(xx * yy), -1.0), 1.0)


@kernel
def linear_fit(x, y):
    """Least squares on centred data: the line y = slope x + intercept through flat arrays of one length.

        slope = sum (x - mx) (y - my) / sum (x - mx)^2,   intercept = my - slope mx

    Returns
    -------
    slope, intercept, r_squared
        r_squared is the share of the variance of y on the line, 1 if y is constant. All three are NaN if x is constant
        or has fewer than two points; a NaN or infinity in x or y spreads.
    """
    mean_x, mean_y = mean(x), mean(y)
    x_centred, y_centred = np.empty(x.size), np.empty(x.size)
    for i in range(x.size):
        x_centred[i], y_centred[i] = float(x[i]) - mean_x, float(y[i]) - mean_y
    xx = _product_chains(x_centred, 1.0, x_centred, 1.0)
    xy = _product_chains(x_centred, 1.0, y_centred, 1.0)
    yy = _product_chains(y_centred, 1.0, y_centred, 1.0)
    if not xx > 0.0:
        return np.nan, np.nan, np.nan
    slope = xy / xx
    intercept = mean_y - slope * mean_x
    if yy == 0.0:
        return slope, intercept, 1.0
    return slope, intercept, min(slope * xy / yy, 1.0)

"""Scaling to a norm, and limits on elements, in place on flat float32 or float64 vectors.

A factor target / norm may itself be too small for a normal number where the result is not; it is therefore applied as
two factors, a power of two (exact) and one of moderate size. In the normal range the bits are those of one product.
"""

from sandbox.jit import float_bits, from_float_bits, inline, kernel
from sandbox.kernels.reductions import norm


@inline
def factors(length, target):
    """(first, second) with x first second = x target / length, for a finite length above 0: first is 2^-exponent."""
    exponent = min((float_bits(float(length)) >> 52) - 1023, 1022)
    first = from_float_bits((1023 - exponent) << 52)
    return first, target / (length * first)


@kernel
def scale_to(x, length, target):
    """x <- x target / length, in float64, rounded once to x's dtype."""
    first, second = factors(length, target)
    for i in range(x.size):
        x[i] = (float(x[i]) * first) * second


@kernel
def limit_blocks(x, starts, stops, threshold):
    """Scale each block x[start:stop] whose norm is above the threshold to it; how many there were."""
    clipped = 0
    for k in range(starts.size):
        block = x[starts[k] : stops[k]]
        length = norm(block)
        if length > threshold:
            scale_to(block, length, threshold)
            clipped += 1
    return clipped


@kernel
def limit_values(x, threshold):
    """x <- min(max(x, -threshold), threshold) element by element; how many changed.

    In float32 the limit is the threshold rounded to float32.
    """
    high = x.dtype.type(threshold)
    low = -high
    clipped = 0
    for i in range(x.size):
        value = x[i]
        outside = value > high or value < low
        x[i] = high if value > high else (low if value < low else value)
        clipped += 1 if outside else 0
    return clipped

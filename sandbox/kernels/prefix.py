"""Running products over time: what is left of a start after each step of a diagonal linear recurrence."""

from sandbox.jit import kernel

__all__ = ["prefix_products", "prefix_products_complex"]


@kernel
def prefix_products(a):
    """Turn a (T, n) into its running products in place: a[t] <- a[t] a[t - 1] ... a[0]."""
    for t in range(1, a.shape[0]):
        before, row = a[t - 1], a[t]
        for j in range(row.size):
            row[j] = row[j] * before[j]


@kernel
def prefix_products_complex(re, im):
    """The same for complex numbers, given as real and imaginary part (T, n)."""
    for t in range(1, re.shape[0]):
        p, q, a, w = re[t - 1], im[t - 1], re[t], im[t]
        for j in range(a.size):
            real = a[j] * p[j] - w[j] * q[j]
            w[j] = a[j] * q[j] + w[j] * p[j]
            a[j] = real

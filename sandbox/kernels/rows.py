"""Kernels which move or add rows of sequences: reversal within lengths, lookup, means over time.

Sums are taken in the order in which a pass makes their terms, so that a sequence taken in segments has the bits of the
whole: those of a forward pass from the first step to the last, those of a backward pass from the last to the first.
"""

from sandbox.jit import kernel

__all__ = ["add_reversed", "add_rows_at", "add_steps", "reverse", "rows_at", "spread_steps"]


@kernel
def reverse(x, lengths, out):
    """out[t, b] = x[lengths[b] - 1 - t, b] for t < lengths[b]; later steps stay where they are. (T, B, D) arrays."""
    T, B, D = x.shape
    for t in range(T):
        for b in range(B):
            source = lengths[b] - 1 - t if t < lengths[b] else t
            row, target = x[source, b], out[t, b]
            for j in range(D):
                target[j] = row[j]


@kernel
def add_reversed(x, lengths, out):
    """out[t, b] += x[lengths[b] - 1 - t, b] for t < lengths[b], x[t, b] at later steps. (T, B, D) arrays."""
    T, B, D = x.shape
    for t in range(T):
        for b in range(B):
            source = lengths[b] - 1 - t if t < lengths[b] else t
            row, target = x[source, b], out[t, b]
            for j in range(D):
                target[j] += row[j]


@kernel
def rows_at(W, index, out):
    """out[n] = W[index[n]]: W (V, D), index (N,), out (N, D)."""
    for n in range(index.size):
        row, target = W[index[n]], out[n]
        for j in range(row.size):
            target[j] = row[j]


@kernel
def add_rows_at(rows, index, W):
    """W[index[n]] += rows[n], from the last n to the first: rows (N, D), index (N,), W (V, D)."""
    for n in range(index.size - 1, -1, -1):
        row, target = rows[n], W[index[n]]
        for j in range(row.size):
            target[j] += row[j]


@kernel
def add_steps(y, lengths, first, out):
    """out[b] += y[t, b], for ascending t, where first + t < lengths[b]: y (T, B, D), out (B, D) float64."""
    T, B, D = y.shape
    for t in range(T):
        for b in range(B):
            if first + t < lengths[b]:
                row, target = y[t, b], out[b]
                for j in range(D):
                    target[j] += row[j]


@kernel
def spread_steps(row, lengths, first, out):
    """out[t, b] = row[b] at the steps first + t < lengths[b], 0 at others: row (B, D), out (T, B, D)."""
    T, B, D = out.shape
    for t in range(T):
        for b in range(B):
            source, target = row[b], out[t, b]
            for j in range(D):
                target[j] = source[j] if first + t < lengths[b] else 0

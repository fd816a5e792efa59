"""A window of inputs times a matrix, without writing the windows down: one product for each lag over shifted rows.

    trail (k - 1 + T, B, D)  the k - 1 inputs before the first step, then all T
    y     (T, B, H)          y_t = relu(b + sum over lag of trail_{t + k - 1 - lag} W_lag),  lag = 0 .. k - 1
    W     (k D, H)           W_0, W_1, .. W_{k-1} below one another

Every element of y is one chain from b over ascending lags, and within each over ascending inputs; every element of
dL/dtrail one chain over *descending* lags. The latest steps' terms come first there, so that a sequence which is
taken in segments from its end, each going on with what the later one has left, has the bits of the whole. The gradient
by W needs nothing of its own: `kernels.weights.gradients` takes every lag's rows as a source.
"""

from sandbox.jit import lean
from sandbox.kernels import gemm
from sandbox.kernels.gemm import call_product, pointer

__all__ = ["forward", "hold", "input_gradient", "pack", "through"]

TOGETHER = 64  # rows that all lags are added to before the next ones: they stay in a first-level cache


@lean
def pack(W, window, transpose, panels):
    """Fill the panels of all lags, one lag's after the other's: of W_lag (D, H), or of W_lag^T."""
    D, H = W.shape[0] // window, W.shape[1]
    (depth, columns), size = (H, D) if transpose else (D, H), panels.size // window
    for lag in range(window):
        gemm.pack_into(W, lag * D * H, H, depth, columns, transpose, panels, lag * size)


@lean
def forward(product, first, last, trail, window, b, panels, y):
    """Fill the rows of y, T B in all, from `first` to `last` - 1."""
    (_, B, D), H, size = trail.shape, y.shape[2], panels.size // window
    zero, rows = y.dtype.type(0), y.reshape(-1, H)
    for at in range(first, last, TOGETHER):
        count = min(TOGETHER, last - at)
        for i in range(at, at + count):
            row = rows[i]
            for j in range(H):
                row[j] = b[j]
        for lag in range(window):
            a = pointer(trail, (at + (window - 1 - lag) * B) * D)
            call_product(product, a, D, pointer(panels, lag * size), D, pointer(y, at * H), H, count, H)
        for i in range(at, at + count):
            row = rows[i]
            for j in range(H):
                row[j] = zero if row[j] < zero else row[j]  # NaN stays NaN


@lean
def hold(h, lengths):
    """Let h (T + 1, B, H), h_0 the start, stay as it is in rows whose length has passed."""
    T, B, H = h.shape[0] - 1, h.shape[1], h.shape[2]
    for t in range(T):
        for b in range(B):
            if t >= lengths[b]:
                old, new = h[t, b], h[t + 1, b]
                for j in range(H):
                    new[j] = old[j]


@lean
def through(dy, y, lengths, ds, dz):
    """Fill dz (T, B, H) with dL/dz = dL/dy [y > 0], and make ds (B, H), dL/dh_T, dL/dh_0: from the last step on.

    `dy` (T, B, H) and `lengths` (B,) may be empty. What flows into a row after its end reaches its last step.
    """
    (T, B, H), zero = dz.shape, dz.dtype.type(0)
    for t in range(T - 1, -1, -1):
        for b in range(B):
            inflow, target = ds[b], dz[t, b]
            if dy.size:
                more = dy[t, b]
                for j in range(H):
                    inflow[j] += more[j]
            if lengths.size and t >= lengths[b]:
                for j in range(H):
                    target[j] = zero
            else:
                out = y[t, b]
                for j in range(H):
                    target[j] = zero if out[j] <= zero else inflow[j]
                    inflow[j] = zero


@lean
def input_gradient(product, first, last, dz, window, panels, dtrail):
    """Add to the rows of dtrail (k - 1 + T, B, D), k - 1 + T times B in all, from `first` to `last` - 1.

    `panels` hold every lag's W^T.
    """
    (T, B, H), D, size = dz.shape, dtrail.shape[2], panels.size // window
    for at in range(first, last, TOGETHER):
        for lag in range(window - 1, -1, -1):
            shift = (window - 1 - lag) * B
            start, end = max(at, shift), min(at + TOGETHER, last, shift + T * B)
            if start < end:
                a = pointer(dz, (start - shift) * H)
                call_product(product, a, H, pointer(panels, lag * size), H, pointer(dtrail, start * D), D,
                             end - start, D)  # fmt: skip

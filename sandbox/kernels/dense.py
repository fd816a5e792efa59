"""A linear map of rows, y = x W + b, and its gradients, in one call each; W is packed where it is used."""

from sandbox.jit import kernel, lean
from sandbox.kernels import gemm, scan
from sandbox.kernels.gemm import add_packed_product


@lean
def forward(first, last, x, W, b, panels, y):
    """Fill the rows of y (N, O) from `first` to `last` - 1. `b` (O,) may be empty; `panels` hold W (D, O)."""
    D, O = W.shape
    for i in range(first, last):
        row = y[i]
        for j in range(O):
            row[j] = 0
        for j in range(b.size):
            row[j] = b[j]
    add_packed_product(x, first * D, D, panels, 0, D, y, first * O, O, last - first, O)


@lean
def input_gradient(first, last, dy, D, panels, dx):
    """Fill the rows of dx (N, D) from `first` to `last` - 1: dy W^T. `panels` hold W^T."""
    O = dy.shape[1]
    for i in range(first, last):
        row = dx[i]
        for j in range(D):
            row[j] = 0
    add_packed_product(dy, first * O, O, panels, 0, O, dx, first * D, D, last - first, D)


@lean
def pack(W, transpose, panels):
    """Panels of W (D, O), or of its transpose."""
    D, O = W.shape
    depth, columns = (O, D) if transpose else (D, O)
    gemm.pack_into(W, 0, O, depth, columns, transpose, panels, 0)


@kernel
def gradients(first, last, x, dy, dW, sums, db):
    """Add to dW (D, O) and to the sums of dy from its last row to its first, and set db, in columns from `first` on."""
    gemm.add_transposed_product(x, dy, first, last - first, dW, first)
    scan.add_column_sums(dy, first, last, sums)
    for j in range(first, last if db.size else first):
        db[j] = sums[j]

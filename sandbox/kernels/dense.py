"""A linear map of rows, y = x W + b, and its gradients, in one call each; W is packed where it is used."""

from sandbox.jit import lean
from sandbox.kernels import gemm
from sandbox.kernels.gemm import call_product, pointer
from sandbox.kernels.weights import add_sums


@lean
def forward(product, first, last, x, W, b, panels, y):
    """Fill the rows of y (N, O) from `first` to `last` - 1. `b` (O,) may be empty; `panels` hold W (D, O)."""
    D, O = W.shape
    for i in range(first, last):
        row = y[i]
        for j in range(O):
            row[j] = 0
        for j in range(b.size):
            row[j] = b[j]
    call_product(product, pointer(x, first * D), D, pointer(panels, 0), D, pointer(y, first * O), O, last - first, O)


@lean
def input_gradient(product, first, last, dy, D, panels, dx):
    """Fill the rows of dx (N, D) from `first` to `last` - 1: dy W^T. `panels` hold W^T."""
    O = dy.shape[1]
    for i in range(first, last):
        row = dx[i]
        for j in range(D):
            row[j] = 0
    call_product(product, pointer(dy, first * O), O, pointer(panels, 0), O, pointer(dx, first * D), D, last - first, D)


@lean
def pack(W, transpose, panels):
    """Panels of W (D, O), or of its transpose."""
    D, O = W.shape
    depth, columns = (O, D) if transpose else (D, O)
    gemm.pack_into(W, 0, O, depth, columns, transpose, panels, 0)


def gradients(first, last, x, dy, dW, sums, db):
    """Add to dW (D, O) and to the sums of dy from its last row to its first, and set db, in columns from `first` on."""
    gemm.add_transposed_product(x, dy, first, last - first, dW, first)
    _set_bias(first, last, dy, sums, db)


@lean
def _set_bias(first, last, dy, sums, db):
    add_sums(dy.reshape(-1), len(dy), len(dy), dy.shape[1], first, last - first, sums)
    for j in range(first, last if db.size else first):
        db[j] = sums[j]

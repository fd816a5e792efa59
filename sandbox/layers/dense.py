"""Layers without time: a linear map of every row, and a table of vectors for symbols."""

import numpy as np

from sandbox import inits
from sandbox.errors import UsageError
from sandbox.kernels import gemm, rows, scan
from sandbox.layers.module import Module, check_array, check_generator, check_size

__all__ = ["Dense", "Embedding"]


class Dense(Module):
    """y = x W + b for every row of x.

    Parameters
    ----------
    input_size, output_size : int
    rng : numpy.random.Generator
    dtype : "float64" or "float32"
    init, gain : str, float
        W's: a name of `sandbox.inits`, times gain. b starts at 0.
    bias : bool

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> dense = Dense(16, 3, rng=stream("init", 0))
    >>> dense.forward(np.ones((20, 4, 16))).shape
    (20, 4, 3)
    """

    def __init__(self, input_size, output_size, *, rng, dtype="float64", init="glorot", gain=1.0, bias=True):
        self.input_size, self.output_size = check_size("input_size", input_size), check_size("output_size", output_size)
        self.allocate({"W": (input_size, output_size)} | ({"b": (output_size,)} if bias else {}), dtype)
        check_generator("rng", rng, "init")
        self.parameters["W"][:] = inits.initialise(init, rng, input_size, output_size, gain)
        self._sums = np.zeros(output_size)
        self._x = None

    def forward(self, x):
        """y (..., output_size) of x (..., input_size)."""
        self._x = check_array("x", x, self.dtype, (*np.shape(x)[:-1], self.input_size)).reshape(-1, self.input_size)
        y = np.zeros((len(self._x), self.output_size), self.dtype)
        if "b" in self.parameters:
            y[:] = self.parameters["b"]
        gemm.add_product(self._x, 0, gemm.pack(self.parameters["W"]), y, 0, self.output_size)
        return y.reshape(*np.shape(x)[:-1], self.output_size)

    def backward(self, dy, *, accumulate=False):
        """dL/dx of dL/dy for the last forward pass, once; fills `gradients`, or adds to them with `accumulate`.

        dW = x^T dy, db = sum dy, dx = dy W^T, sums from the last row to the first.
        """
        flat = check_array("dy", dy, self.dtype, (*np.shape(dy)[:-1], self.output_size)).reshape(-1, self.output_size)
        if self._x is None:
            raise UsageError("backward must follow a forward pass, got none")
        if len(flat) != len(self._x):
            raise UsageError(f"dy must have {len(self._x)} rows, as the last x, got {len(flat)}")
        x, self._x = self._x, None  # it may be a large workspace's last reader
        if not accumulate:
            self.gradient[:], self._sums[:] = 0, 0
        gemm.add_transposed_product(x, flat, 0, self.output_size, self.gradients["W"], 0)
        if "b" in self.parameters:
            scan.add_column_sums(flat, self._sums)
            self.gradients["b"][:] = self._sums
        dx = np.zeros((len(flat), self.input_size), self.dtype)
        gemm.add_product(flat, 0, gemm.pack(self.parameters["W"], transpose=True), dx, 0, self.input_size)
        return dx.reshape(*np.shape(dy)[:-1], self.input_size)


class Embedding(Module):
    """A learned vector for each of V symbols: y = W[x], with W_ij ~ N(0, 1/D).

    The same as a product with one-hot rows, without making them.

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> Embedding(5, 8, rng=stream("init", 0)).forward(np.array([[0, 4], [2, 2]])).shape
    (2, 2, 8)
    """

    def __init__(self, symbols, output_size, *, rng, dtype="float64"):
        self.symbols, self.output_size = check_size("symbols", symbols), check_size("output_size", output_size)
        self.allocate({"W": (symbols, output_size)}, dtype)
        check_generator("rng", rng, "init")
        self.parameters["W"][:] = inits.initialise("gaussian", rng, output_size, symbols).T
        self._x = None

    def forward(self, x):
        """Vectors (..., D) of symbols x (...), whole numbers from 0 to V - 1.

        Raises
        ------
        UsageError
            A symbol that there is no vector for.
        """
        x = np.asarray(x)
        if x.dtype.kind not in "iu" or x.size and not (0 <= x.min() and x.max() < self.symbols):
            found = f"{x.min()} to {x.max()}" if x.dtype.kind in "iu" else str(x.dtype)
            raise UsageError(f"symbols must be whole numbers from 0 to {self.symbols - 1}, got {found}")
        self._x = np.array(x, np.int64, order="C")
        y = np.empty((x.size, self.output_size), self.dtype)
        rows.rows_at(self.parameters["W"], self._x.reshape(-1), y)
        return y.reshape(*x.shape, self.output_size)

    def backward(self, dy, *, accumulate=False):
        """Fill `gradients`, dL/dW[v] = sum of dL/dy over the places of v, or add to them with `accumulate`."""
        if self._x is None:
            raise UsageError("backward must follow a forward pass, got none")
        dy = check_array("dy", dy, self.dtype, (*self._x.shape, self.output_size))
        if not accumulate:
            self.gradient[:] = 0
        rows.add_rows_at(dy.reshape(-1, self.output_size), self._x.reshape(-1), self.gradients["W"])
        self._x = None

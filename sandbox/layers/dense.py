"""Layers without time: a linear map of every row, and a table of vectors for symbols."""

import math

import numpy as np

from sandbox import inits, threads
from sandbox.errors import UsageError
from sandbox.kernels import dense, gemm, rows
from sandbox.layers.module import Module, check_array, check_generator, check_pass, check_size, check_symbols

__all__ = ["Dense", "Embedding"]

UNIT = 64  # rows that one thread does at least


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
        sizes = ((input_size, output_size), (output_size, input_size))
        self._panels = [np.empty(math.prod(gemm.panel_shape(*size, self.dtype)), self.dtype) for size in sizes]
        self._none = np.empty(0, self.dtype)
        self._x = None

    def forward(self, x):
        """y (..., output_size) of x (..., input_size)."""
        shape = np.shape(x)[:-1]
        self._x = x = check_array("x", x, self.dtype, (*shape, self.input_size)).reshape(-1, self.input_size)
        y, panels = np.empty((len(x), self.output_size), self.dtype), self._panels[0]
        W, b = self._weight_and_bias(self.parameters)
        product = gemm.product(self.dtype)
        dense.pack(W, False, panels)
        threads.share(
            len(x), UNIT, x.size * self.output_size, lambda *rows: dense.forward(product, *rows, x, W, b, panels, y)
        )
        return y.reshape(*shape, self.output_size)

    def backward(self, dy, *, accumulate=False):
        """dL/dx of dL/dy for the last forward pass, once; fills `gradients`, or adds to them with `accumulate`.

        dW = x^T dy, db = sum dy, dx = dy W^T, sums from the last row to the first.
        """
        shape = np.shape(dy)[:-1]
        flat = check_array("dy", dy, self.dtype, (*shape, self.output_size)).reshape(-1, self.output_size)
        x = check_pass(self._x)
        if len(flat) != len(x):
            raise UsageError(f"dy must have {len(x)} rows, as the last x, got {len(flat)}")
        self._x = None  # it may be a large workspace's last reader
        if not accumulate:
            self.gradient[:], self._sums[:] = 0, 0
        dx, sums, panels = np.empty_like(x), self._sums, self._panels[1]
        dW, db = self._weight_and_bias(self.gradients)
        product = gemm.product(self.dtype)
        dense.pack(self.parameters["W"], True, panels)
        work = x.size * self.output_size
        threads.share(self.output_size, gemm.width(self.dtype), work,
                      lambda *columns: dense.gradients(*columns, x, flat, dW, sums, db))  # fmt: skip
        D = self.input_size
        threads.share(len(x), UNIT, work, lambda *rows: dense.input_gradient(product, *rows, flat, D, panels, dx))
        return dx.reshape(*shape, self.input_size)

    def _weight_and_bias(self, arrays):
        """W and b, an empty array if there is none."""
        return arrays["W"], arrays.get("b", self._none)


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
        self._x = x = check_symbols("symbols", x, self.symbols)
        y = np.empty((x.size, self.output_size), self.dtype)
        rows.rows_at(self.parameters["W"], x.reshape(-1), y)
        return y.reshape(*x.shape, self.output_size)

    def backward(self, dy, *, accumulate=False):
        """Fill `gradients`, dL/dW[v] = sum of dL/dy over the places of v, or add to them with `accumulate`."""
        x = check_pass(self._x)
        dy = check_array("dy", dy, self.dtype, (*x.shape, self.output_size))
        if not accumulate:
            self.gradient[:] = 0
        rows.add_rows_at(dy.reshape(-1, self.output_size), x.reshape(-1), self.gradients["W"])
        self._x = None

"""Layer normalisation, GELU and positions: what stands between the products of a Transformer."""

import numpy as np

from sandbox import inits, threads
from sandbox.errors import UsageError
from sandbox.kernels import norm
from sandbox.layers.module import Module, check_array, check_generator, check_pass, check_size

__all__ = ["LayerNorm", "Positions", "gelu", "gelu_backward", "sines"]

EPS = 1e-5
UNIT = 64  # rows, or columns, that one thread does at least
COST = 8  # of one number, in the multiply-adds that threads are shared out by


class LayerNorm(Module):
    """Every row with mean 0 and variance 1, scaled and shifted by learned vectors.

        y = (x - mean) / sqrt(variance + 1e-5) g + b

    (Ba, Kiros & Hinton 2016, eq. 4.) Mean and variance (the population's, over D and not D - 1) of the row's D numbers,
    in float64 whatever the dtype. g starts at 1, b at 0.

    Parameters
    ----------
    size : int
        D.
    dtype : "float64" or "float32"

    Examples
    --------
    >>> LayerNorm(2).forward(np.array([[1.0, 3.0]])).round(3).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(self, size, *, dtype="float64"):
        self.input_size = self.output_size = check_size("size", size)
        self.allocate({"g": (size,), "b": (size,)}, dtype)
        self.parameters["g"][:] = 1
        self._sums = np.zeros((2, size))
        self._pass = None

    def forward(self, x):
        """y (..., D) of x (..., D)."""
        shape = np.shape(x)
        x = check_array("x", x, self.dtype, (*shape[:-1], self.input_size)).reshape(-1, self.input_size)
        y, means, scales = np.empty_like(x), np.empty(len(x)), np.empty(len(x))
        g, b = self.parameters["g"], self.parameters["b"]
        threads.share(len(x), UNIT, COST * x.size, lambda *rows: norm.normalise(*rows, x, g, b, EPS, y, means, scales,
                                                                                self._room()))  # fmt: skip
        self._pass = x, means, scales
        return y.reshape(shape)

    def backward(self, dy, *, accumulate=False):
        """dL/dx of dL/dy for the last forward pass, once; fills `gradients`, or adds to them with `accumulate`."""
        shape, (x, means, scales) = np.shape(dy), check_pass(self._pass)
        dy = check_array("dy", dy, self.dtype, (*shape[:-1], self.input_size)).reshape(-1, self.input_size)
        if len(dy) != len(x):
            raise UsageError(f"dy must have {len(x)} rows, as the last x, got {len(dy)}")
        self._pass = None
        if not accumulate:
            self._sums[:] = 0
        dx, sums, g, (dg, db) = np.empty_like(x), self._sums, self.parameters["g"], self.gradients.values()
        threads.share(len(x), UNIT, COST * x.size, lambda *rows: norm.input_gradient(*rows, dy, x, means, scales, g, dx,
                                                                                     self._room()))  # fmt: skip
        threads.share(self.input_size, UNIT, COST * x.size,
                      lambda *columns: norm.gradients(*columns, dy, x, means, scales, sums, dg, db))  # fmt: skip
        return dx.reshape(shape)

    def _room(self):
        """What one thread works in."""
        return np.empty((3, self.input_size))


class Positions(Module):
    """A vector for each position in a sequence, which is added to what is there: sines, or learned.

    Parameters
    ----------
    size : int
    length : int, optional
        How many positions have a learned vector, W (length, size), of variance 1/2 as sines have; sines without it.
    rng : numpy.random.Generator
    dtype : "float64" or "float32"

    Examples
    --------
    >>> y = np.zeros((1, 2, 2))
    >>> Positions(2).forward(y, np.array([0, 100]))
    >>> y.round(3).tolist()
    [[[0.0, 1.0], [-0.506, 0.862]]]
    """

    def __init__(self, size, length=None, *, rng=None, dtype="float64"):
        self.size, self.learned = check_size("size", size), length is not None
        self.allocate({"W": (check_size("length", length), size)} if self.learned else {}, dtype)
        if self.learned:
            drawn = inits.initialise("gaussian", check_generator("rng", rng, "init"), size, length).T
            self.parameters["W"][:] = np.sqrt(size / 2) * drawn
            self._sums = np.zeros((length, size))
        self._table, self._starts = np.empty((0, size), self.dtype), None

    def forward(self, y, starts):
        """Add to y (T, B, size) in place; sequence b is at position starts[b] before its first step."""
        count = int(starts.max()) + len(y)
        if self.learned:
            table = self.parameters["W"]
            if count > len(table):
                raise UsageError(f"x must have at most {len(table)} steps, as many as there are learned positions, "
                                 f"got {count}")  # fmt: skip
        else:
            if count > len(self._table):
                self._table = sines(max(count, 2 * len(self._table)), self.size, self.dtype)
            table = self._table
        norm.add_positions(y, table, starts)
        self._starts = starts

    def backward(self, dy, *, accumulate=False):
        """Fill `gradients` from dL/dy, or add to them with `accumulate`."""
        if self.learned:
            if not accumulate:
                self._sums[:] = 0
            norm.position_gradient(dy, self._starts, self._sums, self.gradients["W"])


def gelu(x):
    """GELU of every element, in its tanh form: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).

    (Hendrycks & Gimpel 2016, section 2, where it stands for x Phi(x), with the normal distribution's erf; the two are
    within 5e-4.) Computed as x sigmoid(2 sqrt(2 / pi) (..)), which keeps the digits of small results.

    Examples
    --------
    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4).tolist()
    [-0.1588, 0.0, 0.8412]
    """
    x = np.ascontiguousarray(x)
    y = np.empty_like(x)
    _elementwise(norm.gelu, x, y)
    return y


def gelu_backward(dy, x):
    """dL/dx of dL/dy, for `gelu` of x."""
    dy, x = np.ascontiguousarray(dy), np.ascontiguousarray(x)
    dx = np.empty_like(x)
    _elementwise(norm.gelu_backward, dy, x, dx)
    return dx


def _elementwise(kernel, *arrays):
    flat = [array.reshape(-1) for array in arrays]
    size = flat[0].size
    threads.share(size, UNIT, COST * size, lambda first, last: kernel(*(array[first:last] for array in flat)))


def sines(count, size, dtype="float64"):
    """The positions 0 to count - 1 as sines and cosines: (count, size).

        p_{2i} = sin(position / 10000^(2i / size)),   p_{2i+1} = cos(position / 10000^(2i / size))

    (Vaswani et al. 2017, section 3.5.)

    Examples
    --------
    >>> sines(3, 4)[2].round(4).tolist()
    [0.9093, -0.4161, 0.02, 0.9998]
    """
    table = np.empty((count, size))
    norm.fill_sines(table)
    return table.astype(dtype)

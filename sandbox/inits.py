"""Initial weight matrices, by name: each a function ``(rng, rows, columns)`` giving a (rows, columns) float64 array.

Matrices are input-major, ``h @ W``: row i holds what input i sends. Gates are initialised one block at a time, so that
`columns` is the hidden size. *Gain* below is the factor by which a linear recurrence h <- h W of width H scales h per
step when H is large: the spectral radius of W. Every name takes a further factor, `initialise(..., gain)`.

A function of this module whose arguments are ``(rng, rows, columns)`` is an initialisation; adding one adds a name.

A *scheme* is an initialisation of the recurrent matrices together with the one of the input matrix that its authors
use with it, `scheme("irnn")`; every name of an initialisation is a scheme with `glorot` for the input.
"""

import functools
import inspect

import numpy as np

from sandbox.errors import UsageError, unknown
from sandbox.kernels.linalg import householder_qr, largest_singular_value, spectral_radius
from sandbox.streams import normal, uniform


def orthogonal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Random W with W^T W = I (W W^T = I where rows < columns), uniform over all of them; gain exactly 1.

    The Q of a Gaussian matrix, with R's diagonal positive (Mezzadri 2007; Saxe et al. 2014).
    """
    gaussian_matrix = normal(rng, (max(rows, columns), min(rows, columns)))
    Q, _ = householder_qr(gaussian_matrix)
    return Q if rows >= columns else np.ascontiguousarray(Q.T)


def gaussian(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """W_ij ~ N(0, 1/rows); gain 1 by the circular law, E|h W|^2 = |h|^2 in a single step (Ginibre 1965)."""
    return normal(rng, (rows, columns)) / np.sqrt(rows)


def glorot(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """W_ij ~ U(-b, b), b = sqrt(6 / (rows + columns)), variance 2 / (rows + columns); gain 1 for a square W.

    Glorot & Bengio 2010, eq. 16.
    """
    bound = np.sqrt(6.0 / (rows + columns))
    return uniform(rng, (rows, columns), -bound, bound)


def identity(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """W = I, padded with zeros where it is not square; gain exactly 1 (Le, Jaitly & Hinton 2015)."""
    return np.eye(rows, columns)


def scaled_identity(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """W = 0.01 I, for tasks that need no long memory; gain exactly 0.01 (Le, Jaitly & Hinton 2015)."""
    return 0.01 * np.eye(rows, columns)


def small(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """W_ij ~ N(0, 0.001^2), the input matrix of an IRNN (Le, Jaitly & Hinton 2015); gain 0.001 sqrt(rows)."""
    return 0.001 * normal(rng, (rows, columns))


def saxe(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """1.1 times `orthogonal`; gain exactly 1.1.

    Just beyond the edge of chaos, g = 1, where tanh takes away what the gain adds and the singular values of the whole
    Jacobian stay close to 1 (Saxe, McClelland & Ganguli 2014, section 4 and figure 7).
    """
    return 1.1 * orthogonal(rng, rows, columns)


def pascanu_sigmoid(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """W_ij ~ N(0, 0.01^2), for input and recurrent matrix of a sigmoid RNN; gain 0.01 sqrt(rows): 0.071 at H = 50.

    Pascanu, Mikolov & Bengio 2013, section 4.1: their N(0, 0.01) is a standard deviation (`init="sigmoid"` of their
    code, pascanur/trainingRNNs).
    """
    return 0.01 * normal(rng, (rows, columns))


def pascanu_basic_tanh(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """W_ij ~ N(0, 0.1^2), for input and recurrent matrix of a tanh RNN; gain 0.1 sqrt(rows): 0.707 at H = 50.

    Pascanu, Mikolov & Bengio 2013, section 4.1; the standard deviation is that of `init="basic_tanh"` of their code.
    """
    return 0.1 * normal(rng, (rows, columns))


def pascanu_smart_tanh(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """15 normal numbers in every row at random places, zeros elsewhere, scaled to gain 0.95 exactly; only square W.

    Pascanu, Mikolov & Bengio 2013, section 4.1; that W is sparse stands in their code (`init="smart_tanh"`), whose
    input matrix is dense, `pascanu_sigmoid`. All of a row is drawn where columns <= 15.

    Raises
    ------
    UsageError
        If W is not square: it has no eigenvalues.
    """
    _require_square("pascanu_smart_tanh", rows, columns)
    W = normal(rng, (rows, columns))
    for row in W:
        row[rng.permutation(columns)[15:]] = 0
    return 0.95 * (W / spectral_radius(W))


def pytorch(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """W_ij ~ U(-b, b), b = 1 / sqrt(columns); gain 1 / sqrt(3) = 0.577 for a square W.

    PyTorch's default for `nn.RNN`, `nn.LSTM` and `nn.GRU`: the bound follows the hidden size (here `columns`) for the
    input matrix as well, not the number of inputs.
    """
    bound = 1.0 / np.sqrt(columns)
    return uniform(rng, (rows, columns), -bound, bound)


def radius(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """`gaussian` divided by its spectral radius; gain 1 at every width, as in echo state networks (Jaeger 2001).

    Raises
    ------
    UsageError
        If W is not square: it has no eigenvalues.
    """
    _require_square("radius", rows, columns)
    W = gaussian(rng, rows, columns)
    return W / spectral_radius(W)


def sigma(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """`gaussian` divided by its largest singular value: no step makes h longer; gain about 1/2 for a square W.

    The bound under which gradients of a tanh RNN must vanish (Pascanu, Mikolov & Bengio 2013, section 2.1).
    """
    W = gaussian(rng, rows, columns)
    return W / largest_singular_value(W)


def zeros(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """W = 0: no recurrence at all but what gates and leaks carry; gain 0."""
    return np.zeros((rows, columns))


def _require_square(name, rows, columns):
    if rows != columns:
        raise UsageError(f"rows and columns must be equal for init {name!r}, got {rows} and {columns} "
                         "(init 'sigma' takes any shape)")  # fmt: skip


# Scheme: (recurrent matrices, input matrix).
SCHEMES = {
    "irnn": ("identity", "small"),
    "irnn_short": ("scaled_identity", "small"),
    "pascanu_sigmoid": ("pascanu_sigmoid", "pascanu_sigmoid"),
    "pascanu_basic_tanh": ("pascanu_basic_tanh", "pascanu_basic_tanh"),
    "pascanu_smart_tanh": ("pascanu_smart_tanh", "pascanu_sigmoid"),
    "pytorch": ("pytorch", "pytorch"),
}


def scheme(name: str) -> tuple[str, str]:
    """The names of the initialisations of the recurrent matrices and of the input matrix: `init` and `input_init`.

    Raises
    ------
    UsageError
        For a name that is neither a scheme's nor an initialisation's.

    Examples
    --------
    >>> scheme("irnn"), scheme("orthogonal")
    (('identity', 'small'), ('orthogonal', 'glorot'))
    """
    if name in SCHEMES:
        return SCHEMES[name]
    if name not in names():
        raise unknown("init", name, (*names(), *(each for each in SCHEMES if each not in names())))
    return name, "glorot"


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of all initialisations, in the order of this file."""
    functions = {name: value for name, value in globals().items() if inspect.isfunction(value)}
    arguments = {name: list(inspect.signature(value).parameters) for name, value in functions.items()}
    return tuple(name for name in functions if arguments[name] == ["rng", "rows", "columns"])


def initialise(name: str, rng: np.random.Generator, rows: int, columns: int, gain: float = 1.0) -> np.ndarray:
    """Draw the named matrix of shape (rows, columns), times `gain`.

    Raises
    ------
    UsageError
        For an unknown name, a size below 1, or a shape the initialisation does not have.

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> initialise("identity", stream("init", 0), 2, 2, gain=0.5)
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    if name not in names():
        raise unknown("init", name, names())
    if rows < 1 or columns < 1:
        raise UsageError(f"rows and columns must be at least 1, got {rows} and {columns}")
    return gain * globals()[name](rng, rows, columns)

"""What flows into a network when gradients are studied without a task: noise, text or a series.

=========  ==========================================================================================
`noise`    x_t ~ N(0, 1), independent, `NOISE_WIDTH` channels
`text`     one-hot characters of Python's documentation topics, or of any UTF-8 file (`--text FILE`)
`series`   a sum of sines whose periods have no common multiple, or a numeric column of a CSV file
           (`--csv FILE --column NAME`); mean 0, variance 1
=========  ==========================================================================================

Each row of a batch is a window of its own, at a random place (text, CSV) or with random phases (sines). Files are read
and checked in one place, before anything runs; the label carries a hash of their content, so that two tables with one
label had one input.

Importing this module does not import the kernels, because the command line checks files before it computes anything.
"""

import functools
import math
import sys
from pathlib import Path

import numpy as np

from sandbox.axes import Setting
from sandbox.errors import UsageError, shorten, unknown
from sandbox.files import contents, digest, read_column, read_text

__all__ = ["ALPHABET", "NOISE_WIDTH", "PERIODS", "SETTINGS", "check", "inputs", "names", "topics"]

NOISE_WIDTH = 8
ALPHABET = 96  # most symbols of a text; where there are more, the last one stands for all the rare ones
PERIODS = tuple(math.sqrt(square) for square in (50, 500, 6300))  # steps; 7.07, 22.4 and 79.4

SETTINGS = (
    Setting("text", "UTF-8 file read character by character (source text)", metavar="FILE", implies=("source", "text")),
    Setting(
        "csv",
        "CSV file with a header line (source series)",
        metavar="FILE",
        implies=("source", "series"),
        requires="column",
    ),
    Setting("column", "name of the numeric column of --csv", metavar="NAME", requires="csv"),
)


def names() -> tuple[str, ...]:
    """Return the names of the sources."""
    return tuple(_DRAW)


def inputs(
    source: str, rng: np.random.Generator, seq_len: int, batch: int, *,
    text: str | None = None, csv: str | None = None, column: str | None = None,
) -> tuple[np.ndarray, str]:  # fmt: skip
    """Draw one batch from a source.

    Parameters
    ----------
    source, seq_len, batch
        One of `names()`, T and B.
    text, csv, column
        The user's files, used by the sources `text` and `series`; the built-in data where not given.

    Returns
    -------
    x : (T, B, D) float64 array, C-contiguous
    label : str
        Short name of the data, such as ``noise`` or ``book.txt@3fa2b1``.

    Raises
    ------
    UsageError
        For an unknown source, a size below 1, or a file that breaks a rule of `sandbox.files`.

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> x, label = inputs("noise", stream("data", 0), seq_len=5, batch=2)
    >>> x.shape, label
    ((5, 2, 8), 'noise')
    """
    if source not in _DRAW:
        raise unknown("source", source, names())
    if seq_len < 1 or batch < 1:
        raise UsageError(f"seq_len and batch must be at least 1, got {seq_len} and {batch}")
    _check_pair(csv, column)
    x, label = _DRAW[source](rng, seq_len, batch, text, csv, column)
    return np.ascontiguousarray(x), label


def check(grid, settings) -> None:
    """Refuse files that cannot be used before anything runs.

    Parameters
    ----------
    grid
        Axis name to its values; `source` and `seq_len` matter here.
    settings
        Texts of ``--text``, ``--csv`` and ``--column``, None or missing where not given.

    Raises
    ------
    UsageError
        When a file cannot be read, breaks a rule, or is shorter than the longest `seq_len`.
    """
    text, csv, column = (settings.get(name) for name in ("text", "csv", "column"))
    _check_pair(csv, column)
    sources, longest = grid.get("source", ()), max(grid.get("seq_len", (1,)))
    if "text" in sources:
        _windowed(*_text(text), longest, "characters")
    if "series" in sources and csv is not None:
        _windowed(*_column(csv, column), longest, "rows")


def _check_pair(csv: str | None, column: str | None) -> None:
    if (csv is None) != (column is None):
        given, missing = ("csv", "column") if column is None else ("column", "csv")
        raise UsageError(f"--{given} must be given together with --{missing}, got --{given} alone")


# Sources ---------------------------------------------------------------------------------------------------------


def _draw_noise(rng, seq_len, batch, text, csv, column):
    from sandbox.streams import normal

    return normal(rng, (seq_len, batch, NOISE_WIDTH)), "noise"


def _draw_text(rng, seq_len, batch, text, csv, column):
    content, label = _text(text)
    _windowed(content, label, seq_len, "characters")
    codes, size = _encode(content)
    x = np.zeros((seq_len, batch, size))
    np.put_along_axis(x, _windows(rng, codes, seq_len, batch)[:, :, None], 1.0, axis=2)
    return x, label


def _draw_series(rng, seq_len, batch, text, csv, column):
    if csv is not None:
        values, label = _column(csv, column)
        _windowed(values, label, seq_len, "rows")
        return _windows(rng, _standardise(values), seq_len, batch)[:, :, None], label

    from sandbox.kernels.activations import sinpi_array

    x, steps = np.zeros((seq_len, batch)), np.arange(seq_len, dtype=np.float64)
    for period in PERIODS:
        turns = (steps[:, None] / period + rng.random(batch)).ravel()
        x += sinpi_array(2.0 * (turns - np.floor(turns))).reshape(x.shape)
    return x[:, :, None] / np.sqrt(len(PERIODS) / 2), "series"  # a sine of random phase has variance 1/2


_DRAW = {"noise": _draw_noise, "text": _draw_text, "series": _draw_series}


def _windows(rng, values, seq_len, batch):
    """Return `batch` windows at uniform places of a sequence: shape (T, B)."""
    starts = rng.integers(0, len(values) - seq_len + 1, size=batch)
    return values[np.arange(seq_len)[:, None] + starts]


def _windowed(values, label: str, seq_len: int, unit: str) -> None:
    if len(values) < seq_len:
        raise UsageError(f"{label.partition('@')[0]} must have at least seq_len={seq_len} {unit}, got {len(values)}")


@functools.lru_cache(maxsize=4)
def _encode(text: str) -> tuple[np.ndarray, int]:
    """Return the symbol number of each character, and the number of symbols.

    Symbols are the distinct characters in code-point order. Of more than `ALPHABET`, the `ALPHABET` - 1 most frequent
    ones (of equals the lower code point) are kept, and all others share the last number.
    """
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    distinct, codes, counts = np.unique(points, return_inverse=True, return_counts=True)
    if len(distinct) <= ALPHABET:
        return codes, len(distinct)
    kept = np.sort(np.lexsort((distinct, -counts))[: ALPHABET - 1])
    number = np.full(len(distinct), ALPHABET - 1)
    number[kept] = np.arange(ALPHABET - 1)
    return number[codes], ALPHABET


def _standardise(values: np.ndarray) -> np.ndarray:
    """Shift and scale to mean 0 and variance 1; a power of two first, so that no sum overflows."""
    from sandbox.kernels.reductions import mean, norm

    values = np.ldexp(values, -np.frexp(np.abs(values).max())[1])
    centred = values - mean(values)
    return centred / (norm(centred) / np.sqrt(len(values)))


# What is read, and what the table calls it -----------------------------------------------------------------------


def _text(path: str | None) -> tuple[str, str]:
    """Return the characters and the label of a file, or of Python's documentation topics."""
    return topics() if path is None else (read_text(path), f"{_short_name(path)}@{contents(path, 'text')[1]}")


def topics() -> tuple[str, str]:
    """Return the characters and the label of Python's documentation topics, which `help` shows.

    Raises
    ------
    UsageError
        For a Python that comes without them.
    """
    try:
        from pydoc_data.topics import topics as texts
    except ImportError as error:
        raise UsageError("source text must be given a file (--text FILE) because this Python comes without its "
                         "documentation topics") from error  # fmt: skip
    content = "\n".join(texts[name] for name in sorted(texts))
    version = f"python-{sys.version_info.major}.{sys.version_info.minor}"
    return content, f"{version} topics@{digest(content.encode())}"


def _column(path: str, name: str) -> tuple[np.ndarray, str]:
    return read_column(path, name), f"{_short_name(path)}:{shorten(name, 60)}@{contents(path, 'csv')[1]}"


def _short_name(path: str) -> str:
    return shorten(Path(path).name, 60)

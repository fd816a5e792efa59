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
import hashlib
import io
import math
import os
import stat
import sys
from csv import Error as CsvError
from csv import reader as csv_reader
from pathlib import Path

import numpy as np

from sandbox.axes import Setting
from sandbox.errors import UsageError, did_you_mean, shorten, unknown

__all__ = ["ALPHABET", "NOISE_WIDTH", "PERIODS", "SETTINGS", "check", "inputs", "names", "read_column", "read_text"]

NOISE_WIDTH = 8
ALPHABET = 96  # most symbols of a text; where there are more, the last one stands for all the rare ones
PERIODS = tuple(math.sqrt(square) for square in (50, 500, 6300))  # steps; 7.07, 22.4 and 79.4

SETTINGS = (
    Setting("text", "UTF-8 file read character by character (source text)", implies=("source", "text")),
    Setting("csv", "CSV file with a header line (source series)", implies=("source", "series"), requires="column"),
    Setting("column", "name of the numeric column of --csv", requires="csv"),
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
        For an unknown source, a size below 1, or a file that breaks a rule of `read_text` or `read_column`.

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


# Files -----------------------------------------------------------------------------------------------------------


def _text(path: str | None) -> tuple[str, str]:
    """Return the characters and the label of a file, or of Python's documentation topics."""
    if path is not None:
        return read_text(path), f"{_short_name(path)}@{_contents(path, 'text')[1]}"
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise UsageError("source text must be given a file (--text FILE) because this Python comes without its "
                         "documentation topics") from error  # fmt: skip
    content = "\n".join(topics[name] for name in sorted(topics))
    version = f"python-{sys.version_info.major}.{sys.version_info.minor}"
    return content, f"{version} topics@{_digest(content.encode())}"


def _column(path: str, name: str) -> tuple[np.ndarray, str]:
    return read_column(path, name), f"{_short_name(path)}:{name}@{_contents(path, 'csv')[1]}"


def _short_name(path: str) -> str:
    return shorten(Path(path).name, 60)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:6]


def _contents(path: str, option: str) -> tuple[str, str]:
    """Return a file's text and digest; read again only when the file has changed."""
    shown = shorten(os.fspath(path), 200)
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            kind = "a directory" if stat.S_ISDIR(facts.st_mode) else "not a regular file"
            raise UsageError(f"{option} must be a readable file, got {shown} ({kind})")
        return _decoded(os.fspath(path), shown, facts.st_mtime_ns, facts.st_size)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{option} must be a readable file, got {shown} ({reason})") from error


@functools.lru_cache(maxsize=8)
def _decoded(path: str, shown: str, mtime: int, size: int) -> tuple[str, str]:
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{shown} must be UTF-8 text, got byte 0x{data[error.start]:02x} at offset {error.start}"
        ) from error
    if b"\0" in data:
        raise UsageError(f"{shown} must be UTF-8 text, got byte 0x00 at offset {data.index(0)} (a binary file)")
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise UsageError(f"{shown} must not be empty, got {len(data)} bytes" + (" of white space" if data else ""))
    return text, _digest(data)


def read_text(path: str) -> str:
    r"""Return the characters of a UTF-8 file, a byte order mark removed and each ``\r\n`` made ``\n``.

    Raises
    ------
    UsageError
        When the file is missing, a directory, unreadable, empty, or not UTF-8 (the first bad byte's offset is named).
    """
    return _contents(path, "text")[0].replace("\r\n", "\n")


def read_column(path: str, name: str) -> np.ndarray:
    """Return one column of a CSV file as a read-only float64 array.

    The first line holds the names of the columns; fields are separated by commas and may be quoted; every field of the
    column is a finite number. Blank lines are allowed at the end only.

    Raises
    ------
    UsageError
        As in `read_text`; when the column is missing or named twice; for a line with another number of fields, or a
        field that is empty, no number or not finite (the line is named); when all values are equal.
    """
    return _parse_column(_contents(path, "csv")[0], shorten(os.fspath(path), 200), name)


@functools.lru_cache(maxsize=8)
def _parse_column(content: str, shown: str, name: str) -> np.ndarray:
    rows = csv_reader(io.StringIO(content, newline=""), strict=True)
    values, blank, line = [], 0, 0
    try:
        header = [field.strip() for field in next(rows)]
        index = _find_column(header, name, shown)
        line = rows.line_num + 1
        for row in rows:
            if not row:
                blank = blank or line
            elif blank or len(row) != len(header):
                got = f"an empty line {blank}" if blank else f"{len(row)} in line {line}"
                raise UsageError(f"each line of {shown} must have {len(header)} fields like its header, got {got}")
            else:
                values.append(_number(row[index], f"column '{name}' of {shown}", line))
            line = rows.line_num + 1
    except CsvError as error:
        raise UsageError(f"{shown} must be a CSV file, got {error} in line {max(line, 1)}") from error
    if not values:
        raise UsageError(f"{shown} must have rows below its header, got none")
    column = np.array(values)
    if column.min() == column.max():
        raise UsageError(f"column '{name}' of {shown} must vary, got {len(column)} times {column[0]}")
    column.flags.writeable = False
    return column


def _find_column(header: list[str], name: str, shown: str) -> int:
    if header.count(name) > 1:
        raise UsageError(f"column '{name}' must be named once in the header of {shown}, got {header.count(name)} times")
    if name in header:
        return header.index(name)
    separated = len(header) == 1 and (";" in header[0] or "\t" in header[0])
    hint = "; fields must be separated by commas" if separated else ""
    near = did_you_mean(name, header)
    columns = shorten(", ".join(header), 120)
    raise UsageError(f"column '{shorten(name)}' not in {shown}{near} (columns: {columns}{hint})")


def _number(field: str, where: str, line: int) -> float:
    try:
        value = float(field)
    except ValueError:
        value = None
    if value is None or "_" in field or not math.isfinite(value):
        rule = "a number" if value is None or "_" in field else "a finite number"
        got = f"'{shorten(field)}'" if field.strip() else "nothing"
        raise UsageError(f"{where} must be {rule} in each line, got {got} in line {line}")
    return value

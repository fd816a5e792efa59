"""A user's files: read once, checked, and refused with one line that names the file, the line in it and the rule."""

import functools
import gzip
import hashlib
import io
import math
import os
import stat
import zlib
from csv import Error as CsvError
from csv import reader as csv_reader
from pathlib import Path

import numpy as np

from sandbox.errors import UsageError, did_you_mean, shorten

__all__ = [
    "contents", "digest", "read_column", "read_conll", "read_corpus", "read_mnist", "read_pairs", "read_text", "stamp",
]  # fmt: skip

# The parts of MNIST in IDX files; an ending .gz and a dot for the last hyphen are common, too.
IDX = (("train-images-idx3-ubyte", "train-labels-idx1-ubyte"), ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"))


def digest(data: bytes) -> str:
    """Return the first six hexadecimal digits of a SHA-256, which name a content in a table."""
    return hashlib.sha256(data).hexdigest()[:6]


def contents(path: str, option: str) -> tuple[str, str]:
    """Return a file's text and digest; read again only when the file has changed.

    `option` is what the command line calls the file. Errors as in `read_text`.
    """
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
    return text, digest(data)


def read_text(path: str) -> str:
    r"""Return the characters of a UTF-8 file, a byte order mark removed and each ``\r\n`` made ``\n``.

    Raises
    ------
    UsageError
        When the file is missing, a directory, unreadable, empty, or not UTF-8 (the first bad byte's offset is named).
    """
    return contents(path, "text")[0].replace("\r\n", "\n")


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
    return _parse_column(contents(path, "csv")[0], shorten(os.fspath(path), 200), name)


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


# Texts, pairs and tagged sentences -------------------------------------------------------------------------------


def stamp(path: str, option: str) -> str:
    """Return the digest of a user's file, or of the IDX files of a folder (option ``mnist``)."""
    if option == "mnist":
        return digest(b"".join(hashlib.sha256(_idx_bytes(file)).digest() for file in _idx_files(path)))
    return contents(path, option)[1]


def read_corpus(path: str) -> str:
    """Return the characters of a text that a language model can learn from: `read_text`, with two symbols at least.

    Raises
    ------
    UsageError
        As in `read_text`, and for a text that repeats one symbol.
    """
    text = read_text(path)
    if len(set(text)) < 2:
        shown = shorten(os.fspath(path), 200)
        raise UsageError(f"{shown} must have at least two different characters, got {len(text)} times {text[0]!r}")
    return text


def _lines(path: str, option: str) -> tuple[list[str], str]:
    """The lines of a file, blank ones at the end left out, and what messages call it."""
    return contents(path, option)[0].replace("\r\n", "\n").rstrip().split("\n"), shorten(os.fspath(path), 200)


def read_pairs(path: str) -> list[tuple[str, str]]:
    """Return the pairs of a file with two fields in each line, separated by a tab; both have at least one character.

    Raises
    ------
    UsageError
        As in `read_text`; for a line with another number of fields or an empty one (the line is named).
    """
    lines, shown = _lines(path, "tsv")
    pairs = []
    for number, line in enumerate(lines, 1):
        fields = tuple(field.strip() for field in line.split("\t"))
        if len(fields) != 2:
            raise UsageError(f"each line of {shown} must have two fields with a tab between, got {len(fields)} "
                             f"in line {number}")  # fmt: skip
        if not all(fields):
            side = "left" if not fields[0] else "right"
            raise UsageError(f"each line of {shown} must have text on both sides, got nothing on the {side} "
                             f"in line {number}")  # fmt: skip
        pairs.append(fields)
    return pairs


def read_conll(path: str) -> list[list[tuple[str, ...]]]:
    """Return the sentences of a file with one token a line and a blank line between sentences.

    Fields are separated by tabs if the first row has one, by white space otherwise; a token is a tuple of them, and
    all have as many as the first. In a file with tabs a line that begins with # and has none is a comment.

    Raises
    ------
    UsageError
        As in `read_text`; for a row with another number of fields, an empty field, or a file with one column.
    """
    lines, shown = _lines(path, "conll")
    tabs = any("\t" in line for line in lines if line.strip() and not line.startswith("#"))
    sentences, width = [[]], None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            sentences.append([])
            continue
        if tabs and line.startswith("#") and "\t" not in line:
            continue
        fields = tuple(field.strip() for field in line.split("\t")) if tabs else tuple(line.split())
        width = width or len(fields)
        if len(fields) != width:
            raise UsageError(f"each row of {shown} must have {width} fields like its first, got {len(fields)} "
                             f"in line {number}")  # fmt: skip
        if width < 2 or not all(fields):
            rule = "a token and at least one tag" if width < 2 else "no empty field"
            raise UsageError(f"each row of {shown} must have {rule}, got '{shorten(line)}' in line {number}")
        sentences[-1].append(fields)
    found = [sentence for sentence in sentences if sentence]
    if not found:
        raise UsageError(f"{shown} must have sentences, got comments only")
    return found


# Images ----------------------------------------------------------------------------------------------------------


def read_mnist(folder: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, H, W) uint8 and labels (N,) int64 of a folder with IDX files, packed by gzip or not.

    The training part comes first, then the test part (``t10k``) if it is there.

    Raises
    ------
    UsageError
        For a missing folder or file; one that is no IDX file of bytes, cut short or too long; images and labels of
        different number, none at all, or parts of different size.
    """
    files = _idx_files(folder)
    parts = []
    for at in range(0, len(files), 2):
        images, labels = _idx(files[at], 3), _idx(files[at + 1], 1)
        if len(images) != len(labels):
            raise UsageError(f"{shorten(files[at], 200)} must have as many images as there are labels, got "
                             f"{len(images)} and {len(labels)}")  # fmt: skip
        parts.append((images, labels))
    if len({images.shape[1:] for images, _ in parts}) > 1:
        sizes = " and ".join(f"{images.shape[1]}x{images.shape[2]}" for images, _ in parts)
        raise UsageError(f"images in {shorten(os.fspath(folder), 200)} must have one size, got {sizes}")
    images, labels = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    return images, labels.astype(np.int64)


def _idx_files(folder: str) -> list[str]:
    """The IDX files of a folder: images and labels for training, then those for testing if they are there."""
    shown = shorten(os.fspath(folder), 200)
    if not os.path.isdir(folder):
        kind = "a file" if os.path.exists(folder) else "no such folder"
        raise UsageError(f"mnist must be a folder with IDX files, got {shown} ({kind})")
    found: list[str] = []
    for part in IDX:
        spellings = [[spelling + end for spelling in (name, ".idx".join(name.rsplit("-idx", 1))) for end in ("", ".gz")]
                     for name in part]  # fmt: skip
        paths = [next((path for path in (os.path.join(folder, name) for name in group) if os.path.isfile(path)), None)
                 for group in spellings]  # fmt: skip
        if None in paths and (part is IDX[0] or any(paths)):
            raise UsageError(f"{shown} must hold {part[paths.index(None)]} (or the same with .gz), got no such file")
        found += [path for path in paths if path]
    return found


def _idx_bytes(path: str) -> bytes:
    """What a file of IDX holds, packed or not."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{shorten(path, 200)} must be a readable IDX file, got {error.strerror or error}") from error


def _idx(path: str, dimensions: int) -> np.ndarray:
    """An IDX file of bytes: 0 0 8 D, D sizes of four bytes, the highest first, and the values."""
    shown, data = shorten(path, 200), _idx_bytes(path)
    if path.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"{shown} must be a readable IDX file, got {shorten(str(error), 80)}") from error
    head = bytes((0, 0, 8, dimensions))
    start = 4 + 4 * dimensions
    if data[:4] != head or len(data) < start:
        raise UsageError(f"{shown} must be an IDX file that begins with {head.hex(' ')}, got "
                         f"{data[:4].hex(' ') or 'nothing'}")  # fmt: skip
    shape = [int.from_bytes(data[4 + 4 * at : 8 + 4 * at], "big") for at in range(dimensions)]
    if len(data) - start != math.prod(shape):
        size = "x".join(map(str, shape))
        raise UsageError(f"{shown} must have {math.prod(shape)} bytes for {size}, got {len(data) - start}")
    if not math.prod(shape):
        raise UsageError(f"{shown} must not be empty, got {'x'.join(map(str, shape))}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)

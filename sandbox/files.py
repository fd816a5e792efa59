"""A user's files: read once, checked, and refused with one line that names the file, the line in it and the rule."""

import functools
import hashlib
import io
import math
import os
import stat
from csv import Error as CsvError
from csv import reader as csv_reader
from pathlib import Path

import numpy as np

from sandbox.errors import UsageError, did_you_mean, shorten

__all__ = ["contents", "digest", "read_column", "read_text"]


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

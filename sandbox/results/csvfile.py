"""Whole CSV files: written at once or not at all, read as columns of text.

A million rows are read in about a second: a file without quotes is split in one piece per block of lines. One with
quotes goes through Python's `csv`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from sandbox.errors import UsageError

__all__ = ["TABLES", "checksum", "new_file", "read_columns", "replace_file", "sync_folder"]

csv.field_size_limit(2**31 - 1)  # a text is as long as it is; the limit is that of the whole process

TABLES = ("table.csv", "curves.csv", "timing.csv")  # of every run that has ended
BLOCK = 50_000  # lines; a block's pieces stay in the processor's cache


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file; OSError when it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new one and nothing in between."""
    _write(path, path.with_name(f".{path.name}.new"), chunks, os.replace)


def new_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file as `replace_file` does; FileExistsError, and no harm done, where another process was faster."""
    _write(path, path.with_name(f".{path.name}.{os.getpid()}"), chunks, _link)


def _write(path: Path, scratch: Path, chunks: Iterable[bytes], put: Callable[[Path, Path], None]) -> None:
    try:
        with scratch.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        put(scratch, path)
        sync_folder(path.parent)
    finally:
        scratch.unlink(missing_ok=True)


def _link(scratch: Path, path: Path) -> None:
    try:
        os.link(scratch, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        os.rename(scratch, path)


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder last through a power failure, where folders can be synchronised."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def read_columns(path: Path, notes: list[str]) -> tuple[list[str], list[list[str]]]:
    """Return header and columns of a CSV file.

    A last line without its end was cut off by a crash: it is left out, and `notes` say so.

    Raises
    ------
    UsageError
        When the file cannot be read, has no header, or a line of it another number of fields.
    """
    try:
        whole, end, torn = path.read_bytes().rpartition(b"\n")
        text = (whole + end).decode()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is damaged (not UTF-8)") from error
    if torn:
        note = f"the last line of {path.name} was cut off and is left out"
        notes += [] if note in notes else [note]
    if not text:
        raise UsageError(f"{path} is damaged (it has no header)")
    if '"' in text or "\r" in text:
        return _quoted(path, text)
    first, _, body = text.partition("\n")
    header = first.split(",")
    columns: list[list[str]] = [[] for _ in header]
    lines = iter(body.split("\n")[:-1])
    number, commas = 2, len(header) - 1
    while block := list(islice(lines, BLOCK)):
        for at, line in enumerate(block):
            if line.count(",") != commas:
                raise _misfit(path, number + at, line.count(",") + 1, len(header))
        fields = ",".join(block).split(",")
        for at, column in enumerate(columns):
            column += fields[at :: len(header)]
        number += len(block)
    return header, columns


def _quoted(path: Path, text: str) -> tuple[list[str], list[list[str]]]:
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header, *lines = _checked(path, reader)
    except csv.Error as error:
        raise UsageError(f"{path} line {reader.line_num} is damaged ({error})") from error
    return header, [list(column) for column in zip(*lines, strict=True)] if lines else [[] for _ in header]


def _checked(path: Path, reader) -> Iterator[list[str]]:
    header = next(reader)
    yield header
    for number, line in enumerate(reader, start=2):
        if len(line) != len(header):
            raise _misfit(path, number, len(line), len(header))
        yield line


def _misfit(path: Path, number: int, found: int, expected: int) -> UsageError:
    return UsageError(f"{path} line {number} is damaged ({found} fields, expected {expected})")

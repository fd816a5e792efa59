"""The journal of a run: one line for each finished point, kept until the tables are written.

A line is the CRC-32 of its content in eight hexadecimal digits, a space, and the content as JSON: key, metrics, status,
error, seconds, the columns of its curves, their lines of ``curves.csv``, and the checksums of its files if it has any,
which are there already. A line goes to the file in one write. One
that was cut off, by a kill or by a full disk, fails its checksum or has no end: it is told apart, counted, and never
read as data. Of several lines with one key the last one counts: a point that failed may have been tried again.

Killing the process loses nothing that was appended. What a power failure may cost is the last second: the file is
synchronised about that often.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox.axes import Scalar
from sandbox.results.pointfiles import digests
from sandbox.results.values import curve_lines
from sandbox.sweep import FAILED, Row

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["Journal", "Record", "declared", "layouts", "locked", "read", "row_layouts"]

NAME = "journal"
SYNC_EVERY = 1.0  # seconds, and never more than a twentieth of the time


@dataclass(frozen=True)
class Record:
    """A finished point as it is kept: `Row` without its curves, which are text already, and without its files.

    `columns` is ``{curve: [x, series, ...]}``, `lines` the point's lines of ``curves.csv``, `files` are
    ``{name: SHA-256}``. Where the lines are left on disk, `place` says where the record starts in its journal and how
    long it is.
    """

    key: tuple[Scalar, ...]
    metrics: dict[str, Scalar | None]
    status: str
    error: str
    seconds: float
    columns: dict[str, list[str]]
    lines: str = ""
    files: dict[str, str] = field(default_factory=dict)
    place: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, row: Row) -> Record:
        """Return the record of a row."""
        key = (*row.point.values.values(), row.point.seed)
        columns = {name: list(curve) for name, curve in row.curves.items() if any(curve.values())}  # others: no lines
        seconds = round(row.seconds, 6)
        lines = curve_lines(key, row.curves)
        return cls(key, row.metrics, row.status, row.error, seconds, columns, lines, digests(row.files))

    @property
    def failed(self) -> bool:
        """Whether the point gave no result and should be tried again."""
        return self.status in FAILED

    def encode(self) -> bytes:
        """Return the record as a line of the journal."""
        parts = [self.key, self.metrics, self.status, self.error, self.seconds, self.columns, self.lines]
        parts += [self.files] if self.files else []
        content = json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()
        return b"%08x %s\n" % (zlib.crc32(content), content)

    @classmethod
    def decode(cls, line: bytes) -> Record | None:
        """Return the record of a line; None for a line that is damaged."""
        content = line[9:-1]
        if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(content):
            return None
        try:
            key, *rest = json.loads(content)
            return cls(tuple(key), *rest)
        except (ValueError, TypeError):
            return None


class Journal:
    """The journal of one run, open for appending and locked against other processes.

    Parameters
    ----------
    folder
        The run's directory. A journal that is there already is read, and an end that was cut off is removed.
    new
        Whether one may be made.

    Attributes
    ----------
    records
        ``{key: Record}`` of all points so far, without the lines of their curves: those stay on disk.

    Raises
    ------
    BlockingIOError
        When another process is writing this run.
    FileNotFoundError
        When there is none and none may be made, or another process has just done away with it.
    OSError
        When it cannot be read or written.
    """

    def __init__(self, folder: Path, new: bool = True):
        self.path = folder / NAME
        self.records: dict[tuple, Record] = {}
        self._file = open(self.path, "a+b" if new else "r+b", buffering=0)
        try:
            _lock_patiently(self._file)
            if not os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path)):
                raise FileNotFoundError(errno.ENOENT, "replaced meanwhile", str(self.path))
            for start, line, record in scan(self.path):
                if record is not None:
                    self._take(record, start, len(line))
            self.trim()
        except BaseException:
            self._file.close()
            raise
        self._synced, self._pause = time.monotonic(), SYNC_EVERY

    def append(self, record: Record) -> None:
        """Write one record; after a return it survives the end of this process, however that ends."""
        line, start = record.encode(), self._file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
        except BaseException:  # a full disk, an interrupt: what was begun must not spoil the next line
            with suppress(OSError):
                self._file.truncate(start)
            raise
        self._take(record, start, len(line))
        if time.monotonic() - self._synced > self._pause:
            self.sync()

    def trim(self) -> None:
        """Cut off what follows the last record: a line that was cut off, or one whose `append` was broken off."""
        self._file.truncate(max((sum(record.place) for record in self.records.values()), default=0))

    def sync(self) -> None:
        """Hand everything to the disk itself."""
        started = time.monotonic()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()
        self._pause = max(SYNC_EVERY, 20 * (self._synced - started))

    def lines(self, key: tuple) -> str:
        """Return the lines of ``curves.csv`` of one point."""
        start, size = self.records[key].place
        with self.path.open("rb") as file:
            file.seek(start)
            return Record.decode(file.read(size)).lines

    def close(self) -> None:
        """Close the file, which unlocks it."""
        self._file.close()

    def remove(self) -> None:
        """Delete and close, in this order: no other process may find it unlocked. The tables hold everything."""
        try:
            self.path.unlink(missing_ok=True)
        except PermissionError:  # Windows: it is open, here or elsewhere; one that stays does no harm
            self.close()
            with suppress(OSError):
                self.path.unlink()
        self.close()

    def _take(self, record: Record, start: int, size: int) -> None:
        # The lines stay on disk: long curves would fill the memory. One step, which no interrupt can halve.
        self.records[record.key] = replace(record, lines="", place=(start, size))


def read(folder: Path, notes: list[str]) -> dict[tuple, Record]:
    """Return ``{key: Record}`` of a run's journal, with the lines of its curves; what was left out goes to `notes`."""
    records, damaged, torn = {}, 0, False
    for _, line, record in scan(folder / NAME):
        if record is not None:
            records[record.key] = record
        elif line.endswith(b"\n"):
            damaged += 1
        else:
            torn = True
    if torn:
        notes.append("the last line of the journal was cut off and is left out")
    if damaged:
        notes.append(f"{damaged} damaged line{'s' if damaged > 1 else ''} of the journal left out")
    return records


def layouts(records: Iterable[Record]) -> list[list[str]]:
    """Return the different lists of metrics that rows have: cells differ in their gates."""
    return [list(names) for names in dict.fromkeys(tuple(record.metrics) for record in records)]


def row_layouts(records: Iterable[Record]) -> str:
    """Return which of its `layouts` each row has, as ``0*16 1*4``: the first for 16 rows, the second for 4."""
    places: dict[tuple, int] = {}
    each = (places.setdefault(tuple(record.metrics), len(places)) for record in records)
    return " ".join(f"{place}*{sum(1 for _ in run)}" for place, run in itertools.groupby(each))


def declared(records: Iterable[Record]) -> dict[str, dict]:
    """Return ``{curve: {"x": name, "series": names}}`` of all curves."""
    declared: dict[str, dict] = {}
    for record in records:
        for name, (x, *series) in record.columns.items():
            known = declared.setdefault(name, {"x": x, "series": []})
            known["series"] += [each for each in series if each not in known["series"]]
    return dict(sorted(declared.items()))


def count(folder: Path) -> int:
    """Return how many points a journal holds, without looking closely; 0 where there is none."""
    try:
        with (folder / NAME).open("rb") as file:
            return len({line[9 : line.find(b"],{")] for line in file if line.endswith(b"\n")})  # keys
    except OSError:
        return 0


def locked(folder: Path) -> bool:
    """Whether a process is writing this run at this moment."""
    try:
        file = (folder / NAME).open("rb")
    except OSError:
        return False
    with file:
        try:
            _lock(file, shared=True)
        except OSError:
            return True
    return False


def scan(path: Path) -> Iterator[tuple[int, bytes, Record | None]]:
    """Yield place, bytes and content of every line."""
    start = 0
    with path.open("rb") as file:
        for line in file:
            yield start, line, Record.decode(line)
            start += len(line)


def _lock_patiently(file) -> None:
    """Lock a file for writing; one who only asks whether it is locked holds it for a moment."""
    for _ in range(10):
        with suppress(BlockingIOError):
            return _lock(file)
        time.sleep(0.01)
    return _lock(file)


def _lock(file, shared: bool = False) -> None:
    """Lock a file until it is closed; the system forgets the lock of a killed process.

    Where there is no `fcntl`, a run is not protected against being resumed twice at once.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            pass

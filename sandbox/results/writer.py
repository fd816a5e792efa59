"""Writing a run: a new directory, a journal line for each finished point, and tables in canonical order at the end."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sandbox import provenance
from sandbox.axes import Scalar
from sandbox.errors import UsageError
from sandbox.results import pointfiles, reader
from sandbox.results.csvfile import TABLES, new_file, replace_file, sync_folder
from sandbox.results.journal import Journal, Record, declared, layouts, row_layouts
from sandbox.results.values import line
from sandbox.results.verify import seal
from sandbox.sweep import Row

__all__ = ["SCHEMA", "RunWriter"]

SCHEMA = 2
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
SNAPSHOT_EVERY = 10.0  # seconds between two tables of a run that goes on, and never more than a twentieth of the time


class RunWriter:
    """A run directory open for rows. As a context manager it ends the run whatever happens.

    A run that breaks off before its first row leaves nothing behind. One that breaks off later keeps its journal, from
    which `resume` goes on.

    Parameters
    ----------
    root
        Folder of all results, made when missing.
    name, grid, seeds
        Experiment, axes with their values in column order, seeds.
    points
        Number of points of the sweep, when not every combination is run.
    **facts
        What else is kept in ``run.json``, JSON-ready: command, settings, selection, code, table, picture.

    Raises
    ------
    UsageError
        When the directory cannot be made or written.
    """

    def __init__(
        self,
        root: Path | str,
        name: str,
        grid: Mapping[str, Sequence[Scalar]],
        seeds: Sequence[int],
        *,
        points: int | None = None,
        **facts: object,
    ):
        axes = {axis: list(values) for axis, values in grid.items()}
        self.path = self._journal = None
        self._begin({
            "schema": SCHEMA, "experiment": name, "command": "", "axes": axes, "seeds": list(seeds), "settings": {},
            "selection": {}, "points": points if points is not None else _size(axes, seeds), "rows": 0,
            "status": "running", "statuses": {}, "started": _now(), "ended": None, "seconds": None, "kernels": None,
            "curves": {}, "layouts": [], "row_layouts": "", "files": {}, "code": {}, "data": {}, "reused": {},
            "table": None, "picture": None, **facts, **provenance.collect(),
        })  # fmt: skip
        try:
            self.path = _new_directory(Path(root) / name)
            self._journal = Journal(self.path)
            self._write_info()
        except BaseException as error:  # also an interrupt: there is nothing to keep
            if self.path is not None:
                self._remove()
            if not isinstance(error, OSError):
                raise
            if self.path is not None:
                raise self._unwritable(error) from error
            raise UsageError(f"--out must be a folder that can be written, got {root} ({error.strerror})") from error

    @classmethod
    def resume(cls, path: Path | str, points: int | None = None) -> RunWriter:
        """Open an existing run to go on with it, to `points` points if they are more; its rows are in `records`.

        Raises
        ------
        UsageError
            When it is damaged, cannot be written, or another process is writing it.
        """
        self = cls.__new__(cls)
        self.path, self._journal = Path(path), None
        try:
            while self._journal is None:  # another process may begin to write this run, or finish it, at any moment
                self.info = _with_journal(self.path)
                with suppress(FileNotFoundError):
                    self._journal = Journal(self.path, new=False)
            self._begin(reader.read_info(self.path), new=False)
            self.info.update(status="running", rows=0, statuses={}, ended=None, files={})
            self.info["points"] = max(self.info["points"], points or 0)
            self._write_info()
        except BaseException as error:
            if self._journal is not None:
                self.close()
            if isinstance(error, BlockingIOError):
                raise UsageError(f"{self.path} is being written by another process") from error
            if isinstance(error, OSError):
                raise self._unwritable(error) from error
            raise
        return self

    def _begin(self, info: dict, new: bool = True) -> None:
        self.info, self.kernels, self._new = info, None, new
        self._clock = self._shown = time.perf_counter()
        self._pause, self._spent = SNAPSHOT_EVERY, info["seconds"] or 0.0

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is not None and self._new and not self.records:
            self._remove()
            return
        try:
            if kind is None:
                self.finish("finished" if self.rows == self.info["points"] else "interrupted")
            else:
                with suppress(UsageError, OSError, KeyboardInterrupt):  # what stopped the run is the better message
                    self._journal.trim()
                    self.finish("interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")
        except KeyboardInterrupt as interrupt:  # before the tables were there
            error = interrupt
            raise
        finally:
            self.close()
            if error is not None:
                error.add_note(f"{self.rows} of {self.info['points']} points kept in {self.path}/")

    @property
    def axes(self) -> list[str]:
        """Names of the axes in column order."""
        return list(self.info["axes"])

    @property
    def records(self) -> dict[tuple, Record]:
        """``{(axes..., seed): Record}`` of all points so far."""
        return {} if self._journal is None else self._journal.records

    @property
    def rows(self) -> int:
        """Number of points so far."""
        return len(self.records)

    def add(self, row: Row) -> None:
        """Keep the row of a finished point and its files; after a return they survive the end of this process.

        Raises
        ------
        UsageError
            When it cannot be written. Rows before it are safe.
        """
        record = Record.of(row)
        if row.files:
            try:
                pointfiles.save(self._folder(record), row.files)
            except OSError as error:
                raise self._unwritable(error) from error
        self.take(record)

    def take(self, record: Record, source: Path | None = None) -> None:
        """Keep a record of a point that another run has done, and its files from the folder `source`.

        Errors as in `add`.
        """
        try:
            if source is not None and record.files:
                pointfiles.copy(source, self._folder(record), record.files)
            self._journal.append(record)
            if time.perf_counter() - self._shown > self._pause:
                self._snapshot()
        except OSError as error:
            raise self._unwritable(error) from error

    def finish(self, status: str) -> None:
        """Write the tables in canonical order and close the run with `status`.

        The journal goes when every point is there; until then it stays, for `resume`. Errors as in `add`.
        """
        records = self._ordered()
        self.info.update(
            rows=len(records),
            status=status,
            statuses=dict(sorted(Counter(record.status for record in records).items())),
            ended=_now(),
            seconds=round(self._spent + time.perf_counter() - self._clock, 3),
            kernels=self.kernels,
            layouts=layouts(records),
            row_layouts=row_layouts(records),
            curves=declared(records),
        )
        key = [*self.axes, "seed"]
        try:
            self._journal.sync()
            sums = [self._write_table(records)]
            curves = (self._journal.lines(record.key).encode() for record in records if record.columns)
            sums.append(self._write("curves.csv", [*key, "curve", "x", "series", "value"], curves))
            timing = (line([*record.key, record.seconds]).encode() for record in records)
            sums.append(self._write("timing.csv", [*key, "seconds"], timing))
            self.info["files"] = dict(zip(TABLES, sums, strict=True)) | self._sums(records)
            self._write_info()
            if status == "finished":
                self._journal.remove()
            else:
                self.close()
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the journal as it is; a run that is closed but not finished reads like one that was killed."""
        self._journal.close()

    def _folder(self, record: Record) -> Path:
        return self.path / pointfiles.folder_of(self.info["axes"], record.key)

    def _sums(self, records: Iterable[Record]) -> dict[str, str]:
        """Return the checksums of all files of points by their paths inside the run."""
        with_files = [record for record in records if record.files]
        folders = [pointfiles.folder_of(self.info["axes"], record.key) for record in with_files]
        pairs = zip(folders, with_files, strict=True)
        return {f"{folder}/{name}": total for folder, record in pairs for name, total in sorted(record.files.items())}

    def _ordered(self) -> list[Record]:
        return [self.records[key] for key in sorted(self.records)]

    def _snapshot(self) -> None:
        """Show who reads ``table.csv`` how far the run is."""
        started = time.perf_counter()
        self._write_table(self._ordered())
        self._shown = time.perf_counter()
        self._pause = max(SNAPSHOT_EVERY, 20 * (self._shown - started))

    def _write_table(self, records: Sequence[Record]) -> str:
        columns = list(dict.fromkeys(name for names in layouts(records) for name in names))
        body = (
            line([*record.key, *map(record.metrics.get, columns), record.status, record.error]) for record in records
        )
        header = [*self.axes, "seed", *columns, "status", "error"]
        return self._write("table.csv", header, (text.encode() for text in body))

    def _write(self, name: str, header: Sequence[str], body: Iterable[bytes]) -> str:
        """Write a file and return its checksum."""
        checksum = hashlib.sha256()

        def chunks():
            for chunk in itertools.chain([line(header).encode()], body):
                checksum.update(chunk)
                yield chunk

        replace_file(self.path / name, chunks())
        return checksum.hexdigest()

    def _write_info(self) -> None:
        self.info["seal"] = seal(self.info)
        text = json.dumps(self.info, indent=2, ensure_ascii=False, allow_nan=False)
        replace_file(self.path / "run.json", [text.encode("utf-8", "backslashreplace"), b"\n"])

    def _remove(self) -> None:
        """Leave nothing of a run without rows, nor an empty folder of its experiment."""
        if self._journal is not None:
            self._journal.close()
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # others have runs there
            self.path.parent.rmdir()

    def _unwritable(self, error: OSError) -> UsageError:
        kept = f"; {self.rows} of {self.info['points']} points are safe in its journal" if self.rows else ""
        return UsageError(f"cannot write {self.path}: {error.strerror or error}{kept}")


def _with_journal(path: Path) -> dict:
    """See to it that a run has a journal, made from its tables where it was finished; return what it says of itself."""
    run = reader.load(path)
    altered = run.altered()
    if altered and not (path / "journal").exists():  # which another process may have begun since
        raise UsageError(f"{path} cannot be gone on with, because {altered[0]} is not as it was written")
    if not run.journaled:
        with suppress(FileExistsError):
            new_file(path / "journal", (record.encode() for record in run.records()))
    return run.info


def _size(axes: Mapping[str, Sequence], seeds: Sequence[int]) -> int:
    size = len(seeds)
    for values in axes.values():
        size *= len(values)
    return size


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")


def _new_directory(folder: Path) -> Path:
    """Make a directory nobody else has: the time says when, three random characters keep simultaneous runs apart."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        stamp = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
        path = folder / f"{stamp}-{''.join(secrets.choice(_DIGITS) for _ in range(3))}"
        try:
            path.mkdir()
            sync_folder(folder), sync_folder(folder.parent)
            return path
        except FileExistsError:
            continue
        except KeyboardInterrupt:
            with suppress(OSError):  # it was made; one that somebody else has is not empty
                path.rmdir()
            raise

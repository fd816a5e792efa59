"""Run directories: what a sweep leaves on disk, and reading it back.

``results/<experiment>/<time>-<id>/`` holds

==============  ==================================================================================================
``table.csv``   axes, seed, metrics, status, error; one row per point and seed
``curves.csv``  axes, seed, curve, x, series, value; long form
``timing.csv``  axes, seed, seconds; apart, because everything in the other two is reproducible
``run.json``    the command, grid, versions, machine, commits, kernels, start, end, status, what is shown
==============  ==================================================================================================

Rows are appended and flushed as points finish. When the run ends, also by Ctrl-C, the CSVs are rewritten in canonical
order (axes in column order, then seed; metric columns in the order of their first row), so that their bytes depend on
the results alone. Floats are the shortest text that reads back as the same number; a missing value is empty.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import os
import re
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox import provenance
from sandbox.axes import Scalar
from sandbox.errors import UsageError, did_you_mean, shorten
from sandbox.sweep import Row

SCHEMA = 2
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_WHOLE = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|inf)|nan")
_WORDS = {"": None, "true": True, "false": False}


def format_value(value: Scalar | None) -> str:
    """Return a scalar as CSV text: shortest round-trip floats, ``true``/``false``, empty for None."""
    if isinstance(value, float):
        return repr(value)
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_value(text: str) -> Scalar | None:
    """Return what `format_value` was given; text that looks like a number is one."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _lines(rows: Iterable[Sequence[Scalar | None]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([format_value(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _replace(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new one and nothing in between."""
    scratch = path.with_name(f".{path.name}.new")
    try:
        with scratch.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _write_all(file: io.RawIOBase, data: bytes) -> None:
    """Write all of `data` to an unbuffered file, which may take it in pieces."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


class _Blocks:
    """A CSV file that grows by one block of lines per point and is put in order at the end."""

    def __init__(self, path: Path, header: Sequence[str]):
        self.path = path
        self.header = _lines([header])
        self.blocks: list[tuple[tuple, int, int]] = []
        self.file = path.open("wb", buffering=0)
        _write_all(self.file, self.header)

    def append(self, key: tuple, rows: Iterable[Sequence[Scalar | None]]) -> None:
        block = _lines(rows)
        start = self.file.tell()
        _write_all(self.file, block)
        self.blocks.append((key, start, len(block)))

    def finish(self) -> None:
        """Rewrite the blocks in the order of their keys; a block cut short by an interrupt was never listed."""

        self.file.close()
        with self.path.open("rb") as grown:

            def ordered():
                yield self.header
                for _, start, size in sorted(self.blocks):
                    grown.seek(start)
                    yield grown.read(size)

            _replace(self.path, ordered())


class RunWriter:
    """A new run directory, open for rows. As a context manager it finishes the run whatever happens.

    A run that breaks off before its first row leaves nothing behind.

    Parameters
    ----------
    root
        Folder of all results, made when missing.
    name, grid, seeds
        Experiment, axes with their values in column order, seeds.
    settings, command, table, picture
        Texts of the settings, the command line, `Table.as_dict()`, `Picture.as_dict()`: kept in ``run.json``.

    Raises
    ------
    UsageError
        When the directory cannot be made or written.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        grid: Mapping[str, Sequence[Scalar]],
        seeds: Sequence[int],
        *,
        settings: Mapping[str, str] | None = None,
        command: str = "",
        table: Mapping[str, object] | None = None,
        picture: Mapping[str, object] | None = None,
    ):
        self.axes = list(grid)
        self.kernels: dict[str, object] | None = None
        self._clock = time.perf_counter()
        self._rows: list[tuple[tuple, Row]] = []
        self._columns: list[str] = []
        self._curves: dict[str, dict[str, object]] = {}
        self.info = {
            "schema": SCHEMA,
            "experiment": name,
            "command": command,
            "axes": {axis: list(values) for axis, values in grid.items()},
            "seeds": list(seeds),
            "settings": dict(settings or {}),
            "points": len(seeds) * math.prod(map(len, grid.values())),
            "rows": 0,
            "status": "running",
            "started": _now(),
            "ended": None,
            "seconds": None,
            "kernels": None,
            "curves": {},
            "table": dict(table) if table else None,
            "picture": dict(picture) if picture else None,
            **provenance.collect(),
        }
        try:
            self.path = _new_directory(Path(root) / name)
        except OSError as error:
            raise UsageError(f"--out must be a folder that can be written, got {root} ({error.strerror})") from error
        try:
            self._open()
        except OSError as error:
            self._remove()
            raise self._unwritable(error) from error
        except BaseException:  # an interrupt before there is anything to keep
            self._remove()
            raise

    def _remove(self) -> None:
        """Leave nothing of a run without rows, nor an empty folder of its experiment."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # others have runs there
            self.path.parent.rmdir()

    def _open(self) -> None:
        key = [*self.axes, "seed"]
        self._table = _Blocks(self.path / "table.csv", [*key, "status", "error"])
        self._curve_file = _Blocks(self.path / "curves.csv", [*key, "curve", "x", "series", "value"])
        self._timing = _Blocks(self.path / "timing.csv", [*key, "seconds"])
        self._write_info()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self.finish("finished")
        elif not self._rows:
            self.close()
            self._remove()
        else:
            with suppress(UsageError):  # what stopped the run is the better message
                self.finish("interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")
            error.add_note(f"{len(self._rows)} of {self.info['points']} points kept in {self.path}/")

    @property
    def rows(self) -> int:
        """Number of rows written so far."""
        return len(self._rows)

    def add(self, row: Row) -> None:
        """Append the row of a finished point to every file, the table last: a row in the table is complete."""
        values = (*row.point.values.values(), row.point.seed)
        key = tuple(values)
        try:
            if self._declare(row.curves):
                self._write_info()
            self._curve_file.append(key, self._curve_rows(values, row))
            self._timing.append(key, [(*values, round(row.seconds, 6))])
            new = [name for name in row.metrics if name not in self._columns]
            if new:
                self._widen(new)
            metrics = (row.metrics.get(name) for name in self._columns)
            self._table.append(key, [(*values, *metrics, row.status, row.error)])
        except OSError as error:
            raise self._unwritable(error) from error
        self._rows.append((key, replace(row, curves={})))  # curves are on disk; long ones would fill the memory

    def finish(self, status: str) -> None:
        """Put the files in canonical order and close the run with `status`."""
        rows = [row for _, row in sorted(self._rows, key=lambda item: item[0])]
        columns = list(dict.fromkeys(name for row in rows for name in row.metrics))
        body = [
            (
                *row.point.values.values(),
                row.point.seed,
                *(row.metrics.get(name) for name in columns),
                row.status,
                row.error,
            )
            for row in rows
        ]
        self.info.update(
            rows=len(rows),
            status=status,
            statuses=dict(sorted(Counter(row.status for row in rows).items())),
            ended=_now(),
            seconds=round(time.perf_counter() - self._clock, 3),
            kernels=self.kernels,
        )
        try:
            self._table.file.close()
            _replace(self._table.path, [_lines([[*self.axes, "seed", *columns, "status", "error"]]), _lines(body)])
            self._curve_file.finish()
            self._timing.finish()
            self._write_info()
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the files as they are; a run that is closed but not finished reads like one that was killed."""
        for blocks in (self._table, self._curve_file, self._timing):
            blocks.file.close()

    def _widen(self, new: Sequence[str]) -> None:
        """Rewrite the growing table with more metric columns (cells differ in their gates)."""
        self._columns += new
        self._table.file.close()
        header = [*self.axes, "seed", *self._columns, "status", "error"]
        body = (
            (*key, *(row.metrics.get(name) for name in self._columns), row.status, row.error) for key, row in self._rows
        )
        _replace(self._table.path, [_lines([header]), _lines(body)])
        self._table.file = self._table.path.open("ab", buffering=0)

    def _declare(self, curves: Mapping[str, Mapping[str, list]]) -> bool:
        """Take note of the columns of curves; return whether any was new."""
        before = json.dumps(self._curves)
        for name, (x, *others) in curves.items():
            declared = self._curves.setdefault(name, {"x": x, "series": []})
            declared["series"] = list(dict.fromkeys([*declared["series"], *others]))
        self.info["curves"] = dict(sorted(self._curves.items()))
        return before != json.dumps(self._curves)

    @staticmethod
    def _curve_rows(values: tuple, row: Row) -> Iterable[tuple]:
        for name, curve in row.curves.items():
            x, *others = curve
            for series in others:
                for at, value in zip(curve[x], curve[series], strict=True):
                    yield (*values, name, at, series, value)

    def _write_info(self) -> None:
        text = json.dumps(self.info, indent=2, ensure_ascii=False, allow_nan=False)
        _replace(self.path / "run.json", [text.encode("utf-8", "backslashreplace"), b"\n"])

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(f"cannot write {self.path}: {error.strerror or error}")


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")


def _new_directory(folder: Path) -> Path:
    """Make a directory nobody else has: the time says when, three random characters keep simultaneous runs apart."""
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        stamp = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
        path = folder / f"{stamp}-{''.join(secrets.choice(_DIGITS) for _ in range(3))}"
        with suppress(FileExistsError):
            path.mkdir()
            return path


# ------------------------------------------------------------------------------------------------------ reading back


@dataclass(frozen=True)
class Run:
    """A run directory read back.

    Attributes
    ----------
    path, info
        The directory; the content of its ``run.json``.
    metrics
        Names of the metric columns.
    rows
        One dict per point and seed: axes, ``seed``, metrics (None when missing), ``status`` and ``error``; in canonical
        order.
    notes
        What was left out while reading, such as a line cut off by a killed run.
    """

    path: Path
    info: dict
    metrics: list[str]
    rows: list[dict[str, Scalar | None]]
    notes: list[str] = field(default_factory=list)

    @property
    def axes(self) -> dict[str, list[Scalar]]:
        """Axes of the grid with their values, in column order."""
        return self.info["axes"]

    def curve(self, name: str, series: str) -> dict[tuple, tuple[list, list]]:
        """Return ``{(axes..., seed): (x, values)}`` of one series of one curve; errors as in `curves`."""
        return self.curves(name, [series])[series]

    def curves(self, name: str, wanted: Iterable[str]) -> dict[str, dict[tuple, tuple[list, list]]]:
        """Return ``{series: {(axes..., seed): (x, values)}}`` of the series that are wanted of one curve.

        Raises
        ------
        UsageError
            When ``curves.csv`` is missing or damaged.
        """
        width = len(self.axes) + 1
        keys = [tuple(row[axis] for axis in (*self.axes, "seed")) for row in self.rows]
        finished = {tuple(map(format_value, key)): key for key in keys}
        found: dict[str, dict[tuple, tuple[list, list]]] = {series: {} for series in wanted}
        header, lines = _read_csv(self.path / "curves.csv", self.notes)
        if header != [*self.axes, "seed", "curve", "x", "series", "value"]:
            raise UsageError(f"{self.path / 'curves.csv'} is not the curve file of this run (wrong columns)")
        for line in lines:
            key = finished.get(tuple(line[:width]))
            if line[width] == name and line[width + 2] in found and key is not None:
                xs, values = found[line[width + 2]].setdefault(key, ([], []))
                xs.append(parse_value(line[width + 1]))
                values.append(parse_value(line[width + 3]))
        return found


def load(path: Path | str) -> Run:
    """Read a run directory.

    Raises
    ------
    UsageError
        When it is missing, damaged, or not a run directory at all.
    """
    path = Path(path)
    info = _read_info(path)
    notes: list[str] = []
    header, lines = _read_csv(path / "table.csv", notes)
    axes = info["axes"]
    key = [*axes, "seed"]
    if header[: len(key)] != key or header[-2:] != ["status", "error"] or len(set(header)) != len(header):
        raise UsageError(f"{path / 'table.csv'} does not belong to this run (its columns do not fit run.json)")
    kinds = {axis: type(values[0]) for axis, values in axes.items() if values}
    rows = []
    for line in lines:
        row = dict(zip(header, map(parse_value, line), strict=True))
        row.update((axis, line[at]) for at, axis in enumerate(axes) if kinds.get(axis) is str)
        row["status"], row["error"] = line[-2:]
        if any(type(row[axis]) is not kind for axis, kind in kinds.items()) or type(row["seed"]) is not int:
            raise UsageError(f"{path / 'table.csv'} is damaged (row {', '.join(line[: len(key)])})")
        rows.append(row)
    rows.sort(key=lambda row: tuple(row[name] for name in key))
    return Run(path, info, header[len(key) : -2], rows, notes)


def _read_info(path: Path) -> dict:
    try:
        info = json.loads((path / "run.json").read_bytes())
    except FileNotFoundError:
        missing = "it has no run.json" if path.is_dir() else "there is nothing of that name"
        raise UsageError(f"{path} is not a run directory ({missing})") from None
    except NotADirectoryError:
        raise UsageError(f"{path} is not a run directory (it is a file)") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path / 'run.json'} is damaged ({shorten(error, 80)})") from error
    wrong = _wrong_keys(info)
    if wrong:
        raise UsageError(f"{path} is not a run directory (its run.json has no valid {', '.join(wrong)})")
    if info["schema"] > SCHEMA:
        raise UsageError(f"{path} was written by a newer version (schema {info['schema']}, this one reads {SCHEMA})")
    return info


def _wrong_keys(info: object) -> list[str]:
    """Return the keys of ``run.json`` which are not what reading and showing a run relies on."""
    needed = {"schema": int, "experiment": str, "axes": dict, "seeds": list, "points": int, "status": str}
    needed["curves"] = dict
    optional = {"seconds": (int, float), "kernels": dict, "table": dict, "picture": dict, "settings": dict}
    if not isinstance(info, dict):
        return list(needed)
    wrong = [key for key, kind in needed.items() if not isinstance(info.get(key), kind)]
    wrong += [key for key, kind in optional.items() if info.get(key) is not None and not isinstance(info[key], kind)]
    if wrong:
        return wrong
    whole = {
        "axes": all(isinstance(values, list) and values for values in info["axes"].values()),
        "seeds": bool(info["seeds"]),
        "curves": all(isinstance(curve, dict) and "x" in curve for curve in info["curves"].values()),
    }
    return [key for key, good in whole.items() if not good]


def _read_csv(path: Path, notes: list[str]) -> tuple[list[str], list[list[str]]]:
    """Return header and complete lines; a last line without its end was cut off by a crash and is left out."""
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
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        lines = list(reader)
    except csv.Error as error:
        raise UsageError(f"{path} line {reader.line_num} is damaged ({error})") from error
    if not lines:
        raise UsageError(f"{path} is damaged (it has no header)")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(lines[0]):
            raise UsageError(f"{path} line {number} is damaged ({len(line)} fields, expected {len(lines[0])})")
    return lines[0], lines[1:]


def find(run: str, root: Path | str = "results") -> Path:
    """Return the directory of a run given as a path, an experiment (its newest run), or part of a directory's name.

    Raises
    ------
    UsageError
        When nothing fits, or several runs do.
    """
    path, root = Path(run), Path(root)
    if os.path.isfile(path / "run.json"):
        return path
    runs = sorted(folder.parent for folder in root.glob("*/*/run.json"))
    newest = [folder for folder in runs if folder.parent.name == run]
    if newest:
        return max(newest, key=lambda folder: (folder.name[:19], folder.stat().st_mtime_ns))
    named = [folder for folder in runs if run and (folder.name.startswith(run) or folder.name.endswith(run))]
    if len(named) == 1:
        return named[0]
    if named:
        names = ", ".join(str(folder) for folder in named[:3]) + (", ..." if len(named) > 3 else "")
        raise UsageError(f"run must be named uniquely, got {run} ({len(named)} fit: {names})")
    if os.path.exists(path):  # unlike Path.exists, this takes a name longer than names can be
        return path  # `load` says what is wrong with it
    experiments = sorted({folder.parent.name for folder in runs})
    near = did_you_mean(run, [*experiments, *(folder.name for folder in runs)])
    known = f"experiments with runs in {root}: {', '.join(experiments)}" if experiments else f"no runs in {root}"
    raise UsageError(f"unknown run '{shorten(run, 80)}'{near} ({known})")

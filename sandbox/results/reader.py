"""Reading a run back: from its tables, or from its journal while it goes on or where it was broken off."""

from __future__ import annotations

import csv
import functools
import importlib
import io
import itertools
import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.axes import Scalar
from sandbox.errors import UsageError, shorten, unknown
from sandbox.results import journal, pointfiles
from sandbox.results.csvfile import TABLES, checksum, read_columns
from sandbox.results.journal import Record
from sandbox.results.values import format_value, line, number_texts, parse_value

if TYPE_CHECKING:
    from sandbox.report import Report

__all__ = ["Run", "load", "read_info"]

NEWEST_SCHEMA = 2
ENDS = ["status", "error"]


@dataclass(frozen=True)
class Run:
    """A run directory read back.

    Attributes
    ----------
    path, info
        The directory; the content of its ``run.json``.
    metrics
        Names of the metric columns.
    texts
        ``{column: texts}`` of axes, ``seed``, metrics, ``status`` and ``error``: one text for each point and seed, in
        canonical order (axes in column order, then seed).
    notes
        What was left out while reading, such as a line cut off by a killed run.
    journaled
        Whether it was read from its journal: it goes on, or was broken off.
    """

    path: Path
    info: dict
    metrics: list[str]
    texts: dict[str, list[str]] = field(repr=False)
    notes: list[str] = field(default_factory=list)
    journaled: bool = False

    def __len__(self) -> int:
        return len(self.texts["seed"])

    def __getitem__(self, name: str):
        """Return a column, as `column` does: ``run["half_life"]``."""
        return self.column(name)

    def __contains__(self, name: object) -> bool:
        return name in self.texts

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __repr__(self) -> str:
        done = f"{len(self)} of {self.info['points']} points"
        return f"<run of {self.info['experiment']}: {done}, {self.info['status']}, {self.path}>"

    def __rich_console__(self, console, options) -> Iterator:
        from sandbox.report.layout import lines, rich_text

        yield from map(rich_text, lines(self.report(), options.max_width))

    def _repr_html_(self) -> str:
        from sandbox.report.html import html

        return html(self.report())

    def report(self) -> Report:
        """Return its rows aggregated over seeds, as ``sandbox show`` prints them."""
        from sandbox.report import build

        return build(self)

    @property
    def table(self) -> str:
        """The report as text."""
        from sandbox.report.layout import lines

        return "".join(f"{line.text.rstrip()}\n" for line in lines(self.report()))

    @property
    def columns(self) -> list[str]:
        """Names of all columns: axes, ``seed``, metrics, ``status``, ``error``."""
        return list(self.texts)

    @property
    def axes(self) -> dict[str, list[Scalar]]:
        """Axes of the grid with their values, in column order."""
        return self.info["axes"]

    @property
    def key(self) -> list[str]:
        """Names of the columns that make a row unique: the axes and ``seed``."""
        return [*self.axes, "seed"]

    @functools.cached_property
    def rows(self) -> list[dict[str, Scalar | None]]:
        """One dict for each point and seed: every column by name; None for a missing metric."""
        columns = {name: self._values(name) for name in self.texts}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    @functools.cached_property
    def keys(self) -> list[tuple[Scalar, ...]]:
        """``(axes..., seed)`` of each row."""
        return list(zip(*map(self._values, self.key), strict=True))

    def column(self, name: str):
        """Return a column as a NumPy array, which is read-only.

        Numbers are float64, NaN where missing, or int64 for axes of whole numbers and ``seed``; a bool axis is bool;
        everything else is an array of objects: texts, with None where missing.

        Raises
        ------
        UsageError
            For an unknown column.
        """
        import numpy as np

        if name not in self.texts:
            raise unknown("column", name, self.texts)
        if name not in self._columns:
            numbers = number_texts(self.texts[name]) if name in self.metrics else None
            if name in self.key:
                codes, values = self.codes(name)
                column = np.array(values or [0], dtype=object if self._kind(name) is str else None)[codes]
            else:
                column = np.array(self._values(name), dtype=object) if numbers is None else np.array(numbers)
            column.setflags(write=False)
            self._columns[name] = column
        return self._columns[name]

    def to_pandas(self):
        """Return the rows as a pandas DataFrame, columns as in `column`; ImportError without pandas."""
        pandas = _imported("pandas")
        return pandas.DataFrame({name: self.column(name) for name in self.columns})

    def to_polars(self):
        """Return the rows as a Polars DataFrame, columns as in `column`; ImportError without Polars."""
        polars = _imported("polars")
        columns = {name: self.column(name) for name in self.columns}
        return polars.DataFrame({name: c.tolist() if c.dtype == object else c for name, c in columns.items()})

    def curves_frame(self, name: str) -> dict:
        """Return a curve of all rows in long form, as arrays of one length: axes, ``seed``, its x, and each series.

        What `column` says of metrics holds for x and series. Errors as in `curves`, and for an unknown curve.

        Examples
        --------
        >>> import sandbox
        >>> profile = sandbox.run("vanishing", quick=True, cell="gru", seeds=1).curves_frame("profile")
        >>> profile["lag"][:3].tolist(), profile["log10_grad_h"].shape
        ([0.0, 1.0, 2.0], (13,))
        """
        import numpy as np

        if name not in self.info["curves"]:
            raise unknown("curve", name, self.info["curves"])
        x, series = self.info["curves"][name]["x"], self.info["curves"][name]["series"]
        found = self.curves(name, series)
        place = {key: at for at, key in enumerate(self.keys)}
        lengths = {key: len(xs) for curves in found.values() for key, (xs, _) in curves.items()}
        rows = [place[key] for key in place if key in lengths for _ in range(lengths[key])]
        frame = {axis: self.column(axis)[np.array(rows, dtype=np.int64)] for axis in self.key}
        blank = {key: ([], [None] * length) for key, length in lengths.items()}
        xs = {key: curve[0] for curves in found.values() for key, curve in curves.items()}
        frame[x] = _as_array([value for key in place if key in xs for value in xs[key]])
        for each, curves in found.items():
            frame[each] = _as_array([v for key in place if key in lengths for v in curves.get(key, blank[key])[1]])
        return frame

    def codes(self, name: str):
        """Return ``(codes, values)`` of an axis or ``seed``: distinct values in order, and which each row has."""
        import numpy as np

        if name not in self._codes:
            values, places = _distinct(self.texts[name], self._kind(name))
            codes = np.fromiter(map(places.__getitem__, self.texts[name]), np.int64, len(self))
            self._codes[name] = codes, values
        return self._codes[name]

    @functools.cached_property
    def _columns(self) -> dict:
        return {}

    @functools.cached_property
    def _codes(self) -> dict:
        return {}

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
        finished = {tuple(map(format_value, key)): key for key in self.keys}
        found: dict[str, dict[tuple, tuple[list, list]]] = {series: {} for series in wanted}
        for *key_texts, curve, x, series, value in self.curve_lines():
            if curve == name and series in found:
                key = finished.get(tuple(key_texts))
                if key is not None:
                    xs, values = found[series].setdefault(key, ([], []))
                    xs.append(parse_value(x))
                    values.append(parse_value(value))
        return found

    def seconds(self) -> dict[tuple, float]:
        """Return ``{(axes..., seed): seconds}`` of the rows whose time is known."""
        if self.journaled:
            return {key: self._journal[key].seconds for key in self.keys}
        header, columns = read_columns(self.path / "timing.csv", self.notes)
        if header != [*self.key, "seconds"]:
            raise UsageError(f"{self.path / 'timing.csv'} is not the timing file of this run (wrong columns)")
        known = {tuple(map(format_value, key)): key for key in self.keys}
        pairs = ((known.get(tuple(texts)), value) for *texts, value in zip(*columns, strict=True))
        return {key: float(value) for key, value in pairs if key is not None}

    def altered(self) -> list[str]:
        """Return the names of files that are not as they were written; their rows are not those of any experiment."""
        sums = self.info.get("files") or {}
        return [] if self.journaled else [name for name in TABLES if not self._is_as_written(name, sums)]

    @functools.cached_property
    def files(self) -> dict[tuple, dict[str, str]]:
        """``{(axes..., seed): {name: SHA-256}}`` of the points that have files; `folder` says where they are."""
        if self.journaled:
            return {key: self._journal[key].files for key in self.keys if self._journal[key].files}
        sums = {name: total for name, total in (self.info.get("files") or {}).items() if name not in TABLES}
        points = {pointfiles.folder_of(self.axes, key): key for key in self.keys} if sums else {}
        found: dict[tuple, dict[str, str]] = {}
        for path, total in sums.items():
            folder, _, name = path.rpartition("/")
            if folder in points:
                found.setdefault(points[folder], {})[name] = total
        return found

    def folder(self, key: tuple) -> Path:
        """Return where the files of a point are, ``(axes..., seed)``."""
        return self.path / pointfiles.folder_of(self.axes, key)

    def spoiled(self, keys: Iterable[tuple]) -> set[tuple]:
        """Return those of some points whose files are missing or not as they were written."""
        found = set()
        for key in keys:
            if key in self.files and any(pointfiles.faults(self.folder(key), self.files[key])):
                found.add(key)
        return found

    def _is_as_written(self, name: str, sums: Mapping[str, str]) -> bool:
        try:
            return sums.get(name) == checksum(self.path / name)
        except OSError:
            return False

    def records(self, wanted: Container[tuple] | None = None) -> Iterator[Record]:
        """Yield every row, or those whose keys are wanted, as they would stand in a journal."""
        if self.journaled:
            yield from (self._journal[key] for key in self.keys if wanted is None or key in wanted)
            return
        texts = {tuple(map(format_value, key)) for key in self.keys if wanted is None or key in wanted}
        seconds, blocks = self.seconds(), {}
        for fields in self.curve_lines() if self.info["curves"] else ():
            if tuple(fields[:-4]) not in texts:
                continue
            lines, columns = blocks.setdefault(tuple(fields[:-4]), ([], {}))
            lines.append(line(fields))
            curve, _, series, _ = fields[-4:]
            names = columns.setdefault(curve, [self.info["curves"][curve]["x"]])
            if series not in names:
                names.append(series)
        for at, (key, names) in enumerate(zip(self.keys, self._layouts(), strict=True)):
            if wanted is not None and key not in wanted:
                continue
            metrics = {name: _written(self.texts[name][at]) for name in names}
            lines, columns = blocks.get(tuple(map(format_value, key)), ([], {}))
            status, error = (self.texts[name][at] for name in ENDS)
            spent, files = seconds.get(key, 0.0), self.files.get(key, {})
            yield Record(key, metrics, status, error, spent, columns, "".join(lines), files)

    def _layouts(self) -> Iterator[list[str]]:
        """Yield the metrics that each row has, in its own order."""
        for group in self.info["row_layouts"].split():
            place, _, count = group.partition("*")
            yield from itertools.repeat(self.info["layouts"][int(place)], int(count))

    @functools.cached_property
    def _journal(self) -> dict[tuple, Record]:
        try:
            return journal.read(self.path, [])
        except FileNotFoundError:  # the run was finished since
            return {record.key: record for record in load(self.path).records()}

    def curve_lines(self) -> Iterator[list[str]]:
        """Yield the fields of every line of ``curves.csv``, the header left out; errors as in `curves`."""
        if self.journaled:
            text = "".join(self._journal[key].lines for key in self.keys)
            yield from csv.reader(io.StringIO(text), strict=True)
            return
        header, columns = read_columns(self.path / "curves.csv", self.notes)
        if header != [*self.key, "curve", "x", "series", "value"]:
            raise UsageError(f"{self.path / 'curves.csv'} is not the curve file of this run (wrong columns)")
        yield from map(list, zip(*columns, strict=True))

    def _kind(self, name: str) -> type:
        return int if name == "seed" else type(self.axes[name][0])

    def _values(self, name: str) -> list[Scalar | None]:
        """Return a column as Python scalars."""
        texts = self.texts[name]
        if name in ENDS:
            return texts
        if name in self.metrics:
            return list(map(parse_value, texts))
        values, places = _distinct(texts, self._kind(name))
        return [values[places[text]] for text in texts]


def _imported(name: str):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"to_{name} needs {name}, which is missing (pip install {name})") from error


def _as_array(values: list):
    """Return numbers as float64, NaN where missing; anything else as objects."""
    import numpy as np

    numbers = all(isinstance(value, (int, float, type(None))) and not isinstance(value, bool) for value in values)
    return np.array(values, dtype=np.float64 if numbers else object)


def _written(text: str) -> Scalar | None:
    """Return what is written as `text` again: a word such as 1e3 or 007 is no number."""
    value = parse_value(text)
    return value if format_value(value) == text else text


def _distinct(texts: list[str], kind: type) -> tuple[list[Scalar], dict[str, int]]:
    """Return the distinct values of a column in order, and the place of each text among them."""
    values = {text: text if kind is str else parse_value(text) for text in set(texts)}
    wrong = [text for text, value in values.items() if type(value) is not kind]
    if wrong:
        raise ValueError(wrong[0])
    ordered = sorted(set(values.values()))
    places = {value: at for at, value in enumerate(ordered)}
    return ordered, {text: places[value] for text, value in values.items()}


def load(path: Path | str) -> Run:
    """Read a run directory.

    Raises
    ------
    UsageError
        When it is missing, damaged, or not a run directory at all.
    """
    path = Path(path)
    journaled = (path / journal.NAME).exists()  # asked first: run.json has its last word before the journal goes
    info, notes = read_info(path), []
    key = [*info["axes"], "seed"]
    if journaled:
        try:
            header, columns, info["curves"] = _from_journal(path, key, notes)
        except FileNotFoundError:  # the run was finished at this moment
            return load(path)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
    else:
        header, columns = read_columns(path / "table.csv", notes)
    if header[: len(key)] != key or header[-2:] != ENDS or len(set(header)) != len(header):
        raise UsageError(f"{path / 'table.csv'} does not belong to this run (its columns do not fit run.json)")
    run = Run(path, info, header[len(key) : -2], dict(zip(header, columns, strict=True)), notes, journaled)
    _put_in_order(run)
    return run


def _from_journal(path: Path, key: list[str], notes: list[str]) -> tuple[list[str], list[list[str]], dict]:
    """Return what ``table.csv`` would hold, and the columns of the curves."""
    records = journal.read(path, notes)
    kept = [records[each] for each in sorted(records)]
    metrics = list(dict.fromkeys(name for names in journal.layouts(kept) for name in names))
    header = [*key, *metrics, *ENDS]
    rows = ((*record.key, *map(record.metrics.get, metrics), record.status, record.error) for record in kept)
    columns = [list(map(format_value, column)) for column in zip(*rows, strict=True)]
    return header, columns or [[] for _ in header], journal.declared(kept)


def _put_in_order(run: Run) -> None:
    """Bring the rows into canonical order, in which we write them but others may not leave them."""
    import numpy as np

    try:
        codes = [run.codes(name)[0] for name in run.key]
    except ValueError as error:
        row = next(
            texts for texts in zip(*(run.texts[name] for name in run.key), strict=True) if error.args[0] in texts
        )
        raise UsageError(f"{run.path / 'table.csv'} is damaged (row {', '.join(row)})") from error
    if len(run) < 2:
        return
    order = np.lexsort(codes[::-1])
    if (order[1:] > order[:-1]).all():
        return
    for name, texts in run.texts.items():
        run.texts[name] = [texts[at] for at in order.tolist()]
    run._codes.clear()


def read_info(path: Path) -> dict:
    """Return the content of a run's ``run.json``.

    Raises
    ------
    UsageError
        When it is missing, damaged, of a newer version, or not that of a run.
    """
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
    if info["schema"] != NEWEST_SCHEMA:
        age = "a newer" if info["schema"] > NEWEST_SCHEMA else "an older"
        raise UsageError(f"{path} was written by {age} version (schema {info['schema']}, not {NEWEST_SCHEMA})")
    return info


def _wrong_keys(info: object) -> list[str]:
    """Return the keys of ``run.json`` which are not what reading and showing a run relies on."""
    needed = {"schema": int, "experiment": str, "axes": dict, "seeds": list, "points": int, "status": str}
    needed |= {"curves": dict, "layouts": list, "started": str}
    optional = {"seconds": (int, float), "kernels": dict, "table": dict, "picture": dict, "settings": dict}
    optional |= {"row_layouts": str, "data": dict}
    if not isinstance(info, dict):
        return list(needed)
    if isinstance(info.get("schema"), int) and info["schema"] != NEWEST_SCHEMA:
        return []
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

"""Questions to all runs in SQL, answered by DuckDB.

The tables are, for every experiment NAME,

===============  ===================================================================================
``NAME``         the newest row of each point: of the rows with the same settings, axes and seed
``NAME_all``     all rows of all runs
``NAME_curves``  all curves of all runs, in long form as in ``curves.csv``
``runs``         a row per run, from its ``run.json``
===============  ===================================================================================

Rows carry ``run``, which `sandbox.results.find` takes, and ``started``, in local time. A column whose values are all
whole numbers, numbers, or true and false is of that type, any other is text; ``nan`` and ``inf`` are numbers, what is
empty is NULL. A run that is not finished counts as far as it got. A line that was cut off is never read.

The database is in memory and cannot reach a file once the tables are filled: no query changes a result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.errors import UsageError, shorten, unknown
from sandbox.results import Run, load, read_info, runs_of
from sandbox.results.folder import name_of, outline

__all__ = ["Answer", "query", "tables"]

RUNS = {
    "run": "VARCHAR", "experiment": "VARCHAR", "started": "TIMESTAMP", "ended": "TIMESTAMP", "status": "VARCHAR",
    "points": "BIGINT", "done": "BIGINT", "failed": "BIGINT", "seconds": "DOUBLE", "command": "VARCHAR",
    "commit": "VARCHAR", "code": "VARCHAR", "cpu": "VARCHAR",
}  # fmt: skip
LONG = ("curve", "x", "series", "value")
KINDS = {int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN", str: "VARCHAR"}
# What a column is when all its values look like it; the first that fits.
PATTERNS = {
    "BIGINT": "-?[0-9]{1,18}",
    "DOUBLE": r"-?([0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?|inf)|nan",
    "BOOLEAN": "true|false",
}
_LISTS_TABLES = re.compile(r"\b(show|information_schema|duckdb_\w+|pragma|sqlite_master)\b", re.IGNORECASE)
_AGE = "#age"  # a column that no metric is called


@dataclass(frozen=True)
class Answer:
    """Names and rows of a result, and notes on runs that were left out or could not be read whole."""

    names: list[str]
    rows: list[tuple]
    notes: list[str] = field(default_factory=list)


def query(text: str, root: Path | str = "results") -> Answer:
    """Return the answer to an SQL query, or to the last of several.

    Raises
    ------
    UsageError
        When DuckDB is missing or does not take the query.
    """
    duckdb = _duckdb()
    if not text.isascii() and text != text.encode("utf-8", "replace").decode():
        raise UsageError(f"an SQL query must be UTF-8 text, got {shorten(text, 80)}")
    runs, notes = runs_of(root), []
    words = {word.lower() for word in re.findall(r"\w+", text)}
    named = _named(runs)
    wanted = [each for name, each in named.items() if name in words or _LISTS_TABLES.search(text)]
    with duckdb.connect(config={"python_enable_replacements": False, "temp_directory": ""}) as connection:
        connection.execute("CREATE SCHEMA store")
        for experiment in dict.fromkeys(experiment for experiment, _ in wanted if experiment):
            loaded = _loaded([run for run in runs if run.parent.name == experiment], notes)
            kinds = [kind for name, kind in wanted if name == experiment]
            if loaded and ("" in kinds or "_all" in kinds):
                _add_rows(connection, experiment, loaded, kinds)
            if loaded and "_curves" in kinds:
                _add_curves(connection, experiment, loaded, notes)
        if ("", "runs") in wanted:
            _add_runs(connection, runs)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            return Answer(*_answer(connection, text), notes)
        except (duckdb.Error, RuntimeError, ValueError, ArithmeticError) as error:  # or Python cannot take the values
            raise _refused(str(error), tables(root)) from error


def _answer(connection, text: str) -> tuple[list[str], list[tuple]]:
    """Run a query in a thread of its own: DuckDB would swallow an interrupt, or hear none."""

    def ask():
        connection.execute(text)
        names = [column[0] for column in connection.description or ()]
        return names, connection.fetchall() if names else []

    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(ask)
        try:
            return asked.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def tables(root: Path | str = "results") -> dict[str, list[str]]:
    """Return ``{table: columns}`` of what a query may ask, from each ``run.json`` alone."""
    found: dict[str, list[str]] = {}
    runs = runs_of(root)
    for experiment, kind in _named(runs).values():
        if not experiment:
            found["runs"] = list(RUNS)
            continue
        infos = list(_infos(run for run in runs if run.parent.name == experiment))
        axes = [name for info in infos for name in info["axes"]]
        settings = [name for info in infos for name in info.get("settings") or {}]
        metrics = [name for info in infos for names in info["layouts"] for name in names]
        rest = LONG if kind == "_curves" else (*metrics, "status", "error")
        first = ("run",) if kind == "_curves" else ("run", "started")
        middle = axes if kind == "_curves" else [*axes, *settings]
        found[experiment + kind] = list(_distinct([*first, *middle, "seed", *rest]).values())
    return found


def _duckdb():
    try:
        import duckdb
    except ImportError as error:
        raise UsageError("sql needs DuckDB, which is missing (pip install rnn-sandbox[sql])") from error
    return duckdb


def _named(runs: Sequence[Path]) -> dict[str, tuple[str, str]]:
    """Return ``{table in lower case: (experiment, kind)}``; ``runs`` is of no experiment."""
    experiments = sorted({run.parent.name for run in runs})
    named: dict[str, tuple[str, str]] = {}
    for kind in ("", "_all", "_curves"):
        for experiment in experiments:
            named.setdefault((experiment + kind).lower(), (experiment, kind))
    named.setdefault("runs", ("", "runs"))
    return named


def _infos(runs: Iterable[Path]) -> Iterator[dict]:
    for run in runs:
        try:
            yield read_info(run)
        except UsageError:  # damaged: `query` says so, and `results verify`
            continue


def _loaded(paths: Iterable[Path], notes: list[str]) -> list[Run]:
    """Return the runs that can be read, oldest first."""
    runs = []
    for path in paths:
        try:
            runs.append(load(path))
        except UsageError as error:
            notes.append(f"left out: {error}")
        else:
            notes += [f"{name_of(path)}: {note}" for note in runs[-1].notes]
    return sorted(runs, key=lambda run: run.info["started"])


# ------------------------------------------------------------------------------------------------------ filling


def _add_rows(connection, experiment: str, runs: Sequence[Run], kinds: Sequence[str]) -> None:
    """Make the tables of all rows and of the newest row of each point."""
    axes = list(dict.fromkeys(name for run in runs for name in run.axes))
    settings = list(dict.fromkeys(name for run in runs for name in run.info.get("settings") or {}))
    metrics = dict.fromkeys(name for run in reversed(runs) for name in run.metrics)
    columns = _distinct(["run", "started", *axes, *settings, "seed", *metrics, "status", "error"])
    arrays = {_AGE: _column(([f"{age:09}"] * len(run) for age, run in enumerate(runs)))}
    for name, column in columns.items():
        arrays[column] = _column(_texts(run, name) for run in runs)
    known = {_AGE: "VARCHAR", "run": "VARCHAR", "started": "TIMESTAMP", "status": "VARCHAR", "error": "VARCHAR"}
    known |= {columns[name]: _kind(runs, name) for name in axes} | {columns[name]: "VARCHAR" for name in settings}
    store = f"store.{_quoted(experiment)}"
    _fill(connection, "store.texts", arrays)
    _make_typed(connection, "store.texts", store, known)
    key = ", ".join(_quoted(columns[name]) for name in (*axes, *settings, "seed"))
    newest = f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {_quoted(_AGE)} DESC) = 1"
    for kind, which in (("", newest), ("_all", "")):
        if kind in kinds:
            rows = f"SELECT * EXCLUDE ({_quoted(_AGE)}) FROM {store} {which}"
            connection.execute(f"CREATE VIEW {_quoted(experiment + kind)} AS {rows}")


def _texts(run: Run, name: str) -> list[str | None]:
    """Return one column of one run as texts."""
    if name == "run":
        return [name_of(run.path)] * len(run)
    if name == "started":
        return [_local(run.info["started"])] * len(run)
    return run.texts.get(name) or [(run.info.get("settings") or {}).get(name)] * len(run)


def _kind(runs: Sequence[Run], axis: str) -> str:
    """Return the type of an axis: the one it has in all runs, a number where some are whole, else text."""
    kinds = {type(value) for run in runs for value in run.axes.get(axis, ())}
    return KINDS[kinds.pop()] if len(kinds) == 1 else "DOUBLE" if kinds <= {int, float} else "VARCHAR"


def _add_curves(connection, experiment: str, runs: Sequence[Run], notes: list[str]) -> None:
    """Make the table of all curves, one run after another: they may be far larger than the rows."""
    axes = list(dict.fromkeys(name for run in runs for name in run.axes))
    columns = _distinct(["run", *axes, "seed", *LONG])
    listed = ", ".join(f"{_quoted(name)} VARCHAR" for name in columns.values())
    connection.execute(f"CREATE TABLE store.texts ({listed})")
    for run in runs:
        try:
            _insert_curves(connection, run, columns)
        except UsageError as error:
            notes.append(f"left out: {error}")
    known = {"run": "VARCHAR", columns["curve"]: "VARCHAR", columns["series"]: "VARCHAR"}
    known |= {columns[name]: _kind(runs, name) for name in axes}
    _make_typed(connection, "store.texts", _quoted(f"{experiment}_curves"), known)


def _insert_curves(connection, run: Run, columns: Mapping[str, str]) -> None:
    """Append one run's curves: DuckDB reads a file that is whole, and our own reader what may not be."""
    header = [*run.key, *LONG]
    into = f"INSERT INTO store.texts (run, {', '.join(_quoted(columns[name]) for name in header)}) SELECT $run, *"
    facts = {"run": name_of(run.path)}
    path = run.path / "curves.csv"
    if not run.journaled and _is_whole(path, header):
        as_text = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(len(header)))
        options = "header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"', comment = ''"
        source = f"read_csv($path, columns = {{{as_text}}}, {options})"
        try:
            connection.execute(f"{into} FROM {source}", {**facts, "path": str(path)})
            return
        except _duckdb().Error:
            pass  # damaged: our own reader says how
    lines = list(run.curve_lines())
    if lines:
        _register(connection, {f"c{at}": _column([column]) for at, column in enumerate(zip(*lines, strict=True))})
        connection.execute(f"{into} FROM arrays", facts)
        connection.unregister("arrays")


def _is_whole(path: Path, header: Sequence[str]) -> bool:
    """Whether a file begins with this header and ends with a whole line."""
    try:
        with path.open("rb") as file:
            first = file.readline()
            file.seek(-1, 2)
            return first == ",".join(header).encode() + b"\n" and file.read() == b"\n"
    except OSError:
        return False


def _add_runs(connection, paths: Sequence[Path]) -> None:
    """Make the table of runs."""
    rows = []
    for path, facts in ((path, outline(path)) for path in paths):
        info = {} if facts["status"] == "damaged" else read_info(path)
        source = (info.get("git") or {}).get("source") or {}
        ended = info.get("ended")
        facts |= {
            "experiment": path.parent.name, "started": _local(facts["started"]), "ended": ended and _local(ended),
            "command": info.get("command"), "commit": source.get("commit"),
            "code": (info.get("code") or {}).get("sandbox"), "cpu": info.get("cpu"),
        }  # fmt: skip
        rows.append([None if facts[name] is None else str(facts[name]) for name in RUNS])
    columns = zip(*rows, strict=True) if rows else [()] * len(RUNS)
    _fill(connection, "store.texts", {name: _column([column]) for name, column in zip(RUNS, columns, strict=True)})
    _make_typed(connection, "store.texts", "runs", RUNS)


def _local(time: str) -> str:
    """Return an ISO time without its offset: as the clock on the wall showed it, and as directories are named."""
    return time[:23]


def _column(parts: Iterable[Sequence[str | None]]):
    """Return texts, one run's after another's, as an array that DuckDB reads."""
    import numpy as np

    return np.array([text for part in parts for text in part], dtype=object)


def _fill(connection, table: str, arrays: Mapping[str, object]) -> None:
    """Make a table of texts."""
    connection.execute(f"CREATE TABLE {table} ({', '.join(f'{_quoted(name)} VARCHAR' for name in arrays)})")
    _register(connection, {f"c{at}": array for at, array in enumerate(arrays.values())})
    connection.execute(f"INSERT INTO {table} SELECT * FROM arrays")
    connection.unregister("arrays")


def _register(connection, arrays: dict) -> None:
    connection.register("arrays", arrays)


def _make_typed(connection, texts: str, table: str, known: Mapping[str, str]) -> None:
    """Make `table` of a table of texts, which goes: every column of the type its values have."""
    names = [row[0] for row in connection.execute(f"SELECT name FROM pragma_table_info('{texts}')").fetchall()]
    open_names = [name for name in names if name not in known]
    fits = [
        f"coalesce(bool_and(regexp_full_match(nullif({_quoted(name)}, ''), '{pattern}')), false)"
        for name in open_names
        for pattern in PATTERNS.values()
    ]
    found = iter(connection.execute(f"SELECT {', '.join(fits)} FROM {texts}").fetchone() if fits else ())
    types = dict(known)
    for name in open_names:
        fitting = [kind for kind, fit in zip(PATTERNS, [next(found) for _ in PATTERNS], strict=True) if fit]
        types[name] = fitting[0] if fitting else "VARCHAR"
    cast = ", ".join(f"TRY_CAST(nullif({_quoted(n)}, '') AS {types[n]}) AS {_quoted(n)}" for n in names)
    connection.execute(f"CREATE TABLE {table} AS SELECT {cast} FROM {texts}")
    connection.execute(f"DROP TABLE {texts}")


def _distinct(names: Iterable[str]) -> dict[str, str]:
    """Return ``{name: column}``: SQL takes ``W`` and ``w`` for one name, so the second becomes ``w_2``."""
    columns: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        column, number = name, 2
        while column.lower() in taken:
            column, number = f"{name}_{number}", number + 1
        taken.add(column.lower())
        columns[name] = column
    return columns


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _refused(message: str, known: Mapping[str, Sequence[str]]) -> UsageError:
    """The error for a query that DuckDB does not take: the message, without the query in it."""
    missing = re.search(r"Table with name (\S+) does not exist", message)
    if missing:
        return unknown("table", missing[1], known)
    if "'pytz'" in message:
        return UsageError("SQL: a time with a time zone must be cast, as in now()::TIMESTAMP, to be shown")
    said = message.partition("\nLINE ")[0]
    return UsageError(f"SQL: {shorten(said, 300)}")

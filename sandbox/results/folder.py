"""The folder of all results: which runs there are, and what a user means by a run's name."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sandbox.errors import UsageError, did_you_mean, shorten
from sandbox.results.reader import read_info

__all__ = ["find", "runs_of"]


def runs_of(root: Path | str, experiment: str = "*") -> list[Path]:
    """Return the directories of all runs, or of those of one experiment, oldest first."""
    folders = [path.parent for path in Path(root).glob(f"{experiment}/*/run.json")]
    return sorted(folders, key=_age)


def _age(folder: Path) -> tuple:
    """Order by the second in the name; `find` breaks ties by what ``run.json`` says."""
    return folder.name[:19], folder.name, folder.parent.name


def _by_start(folders: list[Path]) -> list[Path]:
    """Return runs of one experiment, oldest first, those of one second in the order in which they were started."""
    seconds = [folder.name[:19] for folder in folders]
    starts = {
        folder: _started(folder) if seconds.count(second) > 1 else ""
        for folder, second in zip(folders, seconds, strict=True)
    }
    return sorted(folders, key=lambda folder: (folder.name[:19], starts[folder]))


def _started(folder: Path) -> str:
    try:
        return read_info(folder)["started"]
    except UsageError:
        return ""


def find(run: str, root: Path | str = "results") -> Path:
    """Return the directory of a run.

    Parameters
    ----------
    run
        A path; an experiment, which means its newest run; ``NAME@latest``, ``NAME@-2`` (the last but one) or
        ``NAME@PART``; the beginning or the end of a directory's name.
    root
        Folder of all results.

    Raises
    ------
    UsageError
        When nothing fits, or several runs do.
    """
    path, root = Path(run), Path(root)
    if os.path.isfile(path / "run.json"):
        return path
    runs = runs_of(root)
    name, at, which = run.partition("@")
    own = _by_start([folder for folder in runs if folder.parent.name == name])
    if own and (which == "latest" or not at):
        return own[-1]
    if own and re.fullmatch(r"-[0-9]{1,9}", which):
        back = int(which)
        if back == 0 or -back > len(own):
            raise UsageError(f"run must be {name}@-1 to {name}@-{len(own)}, got {run}")
        return own[back]
    part = which if own else run
    named = [folder for folder in own or runs if part and (folder.name.startswith(part) or folder.name.endswith(part))]
    if len(named) == 1:
        return named[0]
    if named:
        names = ", ".join(str(folder) for folder in named[:3]) + (", ..." if len(named) > 3 else "")
        raise UsageError(f"run must be named uniquely, got {run} ({len(named)} fit: {names})")
    if os.path.exists(path):  # unlike Path.exists, this takes a name longer than names can be
        return path  # `load` says what is wrong with it
    experiments = sorted({folder.parent.name for folder in runs})
    near = did_you_mean(run, [*experiments, *(folder.name for folder in runs)])
    known = f"experiments with runs in {root}: {', '.join(experiments)}" if experiments else f"no runs in {root}"
    raise UsageError(f"unknown run '{shorten(run, 80)}'{near} ({known})")

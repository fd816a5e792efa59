"""The folder of all results: which runs there are, and what a user means by a run's name."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sandbox.errors import UsageError, did_you_mean, shorten
from sandbox.results import journal
from sandbox.results.reader import read_info
from sandbox.sweep import FAILED

__all__ = ["find", "name_of", "outline", "runs_of"]

_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}")
_BACK = re.compile(r"-[0-9]{1,9}")


def runs_of(root: Path | str, experiment: str | None = None) -> list[Path]:
    """Return the directories of all runs, or of those of one experiment, oldest first.

    The time in a directory's name says its age, and what ``run.json`` says where there is none.
    """
    return sorted(_runs(Path(root), experiment), key=_age)


def name_of(path: Path) -> str:
    """Return ``experiment/time-id``, by which `find` finds the run."""
    return f"{path.parent.name}/{path.name}"


def outline(run: Path) -> dict[str, object]:
    """Return what a list says of a run, from its ``run.json`` alone, or of its journal's length where it goes on.

    `status` is that of ``run.json``, or ``broken off`` where no process is writing the run any more, or ``damaged``.
    """
    facts: dict[str, object] = dict.fromkeys(
        ("run", "started", "status", "done", "points", "failed", "seconds", "varied", "error")
    )
    facts["run"] = name_of(run)
    try:
        info = read_info(run)
        going, statuses = info["status"] == "running", info.get("statuses") or {}
        facts.update(
            started=info["started"],
            status=info["status"] if not going or journal.locked(run) else "broken off",
            done=journal.count(run) if going else info.get("rows"),
            points=info["points"],
            failed=None if going else sum(map(statuses.get, FAILED, itertools.repeat(0))),
            seconds=None if going else info.get("seconds"),
            varied={axis: values for axis, values in info["axes"].items() if len(values) > 1},
        )
    except (UsageError, TypeError, AttributeError) as error:
        date, _, time = run.name[:19].partition("T")
        facts |= {"started": f"{date}T{time.replace('-', ':')}", "status": "damaged", "error": str(error)}
    return facts


def find(run: str, root: Path | str = "results") -> Path:
    """Return the directory of a run.

    Parameters
    ----------
    run
        A path; an experiment, which means its newest run; ``NAME@latest``, ``NAME@-2`` (the last but one) or
        ``NAME@PART``; ``NAME/DIRECTORY`` as lists of runs have it; the beginning or the end of a directory's name.
        Without NAME, ``@latest`` and ``@-2`` count the runs of all experiments.
    root
        Folder of all results.

    Raises
    ------
    UsageError
        When nothing fits, or several runs do.
    """
    path, root = Path(run), Path(root)
    if run and os.path.isfile(path / "run.json"):
        return path
    name, at, which = run.partition("@")
    own = runs_of(root, name or None) if name or at else []
    if own and (which == "latest" or not at):
        return _by_number(own, -1)
    if own and _BACK.fullmatch(which):
        if not 0 < -int(which) <= len(own):
            raise UsageError(f"run must be {name}@-1 to {name}@-{len(own)}, got {run}")
        return _by_number(own, int(which))
    part, runs = (which, own) if own else (run, runs_of(root))
    named = [each for each in runs if part and (each.name.startswith(part) or each.name.endswith(part))]
    named = named or [each for each in runs if name_of(each) == part]
    if len(named) == 1:
        return named[0]
    if named:
        names = ", ".join(map(name_of, named[:3])) + (", ..." if len(named) > 3 else "")
        raise UsageError(f"run must be named uniquely, got {shorten(run)} ({len(named)} fit: {names})")
    if run and os.path.exists(path):  # unlike Path.exists, this takes a name longer than names can be
        read_info(path)  # says what is wrong with it
    raise _unknown(run, own, root)


def _unknown(run: str, own: Sequence[Path], root: Path) -> UsageError:
    """The error for a run that nothing fits; `own` are the runs of the experiment that it names."""
    name, _, which = run.partition("@")
    if own:
        near = did_you_mean(which, ["latest", *(each.name for each in own)])
        hint = near or f" (@latest, @-1 to @-{len(own)}, or a part of a directory's name)"
        return UsageError(f"unknown run '{shorten(run, 80)}'{hint}")
    runs = runs_of(root)
    experiments = sorted({each.parent.name for each in runs})
    near = did_you_mean(name, experiments) or did_you_mean(run, [each.name for each in runs])
    known = f"experiments with runs in {root}: {', '.join(experiments)}" if experiments else f"no runs in {root}"
    return UsageError(f"unknown run '{shorten(run, 80)}'{near} ({known})")


def _runs(root: Path, experiment: str | None) -> list[Path]:
    """Return the directories with a ``run.json``, in no order; what is hidden is none."""
    names = _folders(root) if experiment is None else [experiment] if experiment in _folders(root) else []
    return [
        root / name / run for name in names for run in _folders(root / name)
        if os.path.isfile(os.path.join(root, name, run, "run.json"))
    ]  # fmt: skip


def _folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder; none where it is missing."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    return []


def _age(run: Path) -> tuple[str, str, str]:
    return _second(run), run.name, run.parent.name


def _second(run: Path) -> str:
    """Return the second in which a run was started, as it stands in a directory's name."""
    if _STAMP.match(run.name):
        return run.name[:19]
    return _started(run)[:19].replace(":", "-")  # somebody gave the directory another name


def _started(run: Path) -> str:
    try:
        return read_info(run)["started"]
    except UsageError:
        return ""


def _by_number(runs: Sequence[Path], at: int) -> Path:
    """Return one of `runs`, which are oldest first; those of one second in the order in which they were started."""
    second = _second(runs[at])
    seconds = [_second(run) for run in runs]
    first = seconds.index(second)
    tied = sorted(runs[first : first + seconds.count(second)], key=_started)
    return tied[at % len(runs) - first]

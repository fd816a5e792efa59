"""A study: an experiment's sweep from its flags to its directory, reusing what earlier runs have done.

`plan` decides which points there are, which of them an earlier run of the same code has done already, and what is left;
`carry_out` runs what is left and writes everything into one directory. The command line and `sandbox.run` are thin
layers over these two.

A point is done when a run in the same folder holds a row with its key: the experiment, the text of its file and of what
it imports of its author's, the code of this package that decides numbers (`sandbox.fingerprint`), the settings with the
content of the files they name, the labels of the data it reads, every axis, and the seed. A point that failed is not
done.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox import sweep, threads
from sandbox.axes import Scalar
from sandbox.errors import UsageError
from sandbox.experiment import Experiment, load, resolve_seeds
from sandbox.fingerprint import code_hash, experiment_hash
from sandbox.report import progress
from sandbox.results import Run, RunWriter, find, journal, read_info, runs_of
from sandbox.results import load as load_run
from sandbox.selection import Selection
from sandbox.sweep import Point, Row

__all__ = [
    "EXECUTORS", "Plan", "Spread", "carry_out", "kernel_counts", "plan", "repetition",
    "resumption",
]  # fmt: skip

EXECUTORS = ("local", "dask")


@dataclass(frozen=True)
class Plan:
    """What a study consists of and what of it is left to do.

    Attributes
    ----------
    experiment, grid, seeds, settings, selection
        The experiment; its axes with their values; the seeds; the texts of the settings; which part of the grid.
    points
        All points.
    root
        Folder of all results.
    done
        ``{run: keys}``: where rows of points that are done already are found, newest run first.
    todo
        The points to run.
    resumed
        The run to go on with, or None for a new one.
    code, inputs
        Hashes of the code, and of the files that settings name.
    parsed
        The settings as the experiment receives them, read once: a file may be edited meanwhile.
    data, notes
        Labels of the data that is read, by source; what there is to say of it.
    """

    experiment: Experiment
    grid: Mapping[str, list[Scalar]]
    seeds: Sequence[int]
    settings: Mapping[str, str]
    selection: Selection
    points: Sequence[Point]
    root: Path
    code: Mapping[str, str]
    inputs: Mapping[str, str]
    done: Mapping[Path, set] = field(default_factory=dict)
    todo: Sequence[Point] = ()
    resumed: Path | None = None
    parsed: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @functools.cached_property
    def complete(self) -> Path | None:
        """The one run that holds exactly these points already, where there is one."""
        if self.todo or len(self.done) != 1:
            return None
        (path,) = self.done
        info = read_info(path)
        whole = info["status"] == "finished" and info["rows"] == len(self.points)
        return path if whole and not (path / journal.NAME).exists() else None


@dataclass(frozen=True)
class Spread:
    """On what the points run.

    Parameters
    ----------
    jobs
        Number of worker processes; None for as many as there are cores, once it pays.
    executor, scheduler
        ``"local"`` or ``"dask"``; the address of a Dask scheduler, None for a cluster on this machine.
    timeout
        Seconds that a point may take; needs worker processes of our own.
    """

    jobs: int | None = None
    executor: str = "local"
    scheduler: str | None = None
    timeout: float | None = None

    def __post_init__(self):
        if self.executor not in EXECUTORS:
            raise UsageError(f"executor must be one of {', '.join(EXECUTORS)}, got {self.executor}")
        if self.scheduler is not None and self.executor != "dask":
            raise UsageError("--scheduler must be given together with --executor dask, got it alone")
        if self.timeout is not None and self.executor == "dask":
            raise UsageError(
                "--timeout-per-point must be left out with --executor dask (its workers are not ours to end)"
            )


def plan(
    experiment: Experiment | str,
    flags: Mapping[str, object] | None = None,
    settings: Mapping[str, str] | None = None,
    *,
    seeds: Sequence[int] | None = None,
    quick: bool = False,
    preset: str | None = None,
    selection: Selection | None = None,
    root: Path | str = "results",
    force: bool = False,
    only_failed: bool = False,
) -> Plan:
    """Check a study and find out what of it is done.

    Parameters
    ----------
    experiment, flags, settings, quick, preset
        As `Experiment.grid` takes them.
    seeds
        The seeds; as many as the experiment declares when left out.
    selection
        Which part of the grid; all of it when left out.
    root
        Folder of all results.
    force
        Run every point again, done or not.
    only_failed
        Run the points that failed in an earlier run, and no others.

    Raises
    ------
    UsageError
        For anything that breaks a rule.
    """
    experiment = load(experiment) if isinstance(experiment, str) else experiment
    settings, selection = dict(settings or {}), selection or Selection()
    if force and only_failed:
        raise UsageError("points must be chosen by --force or by --only-failed, got both")
    grid = experiment.grid(flags, settings, quick=quick, preset=preset)
    parsed = experiment.parse_settings(settings)
    if seeds is None:
        seeds = resolve_seeds(experiment.overrides(quick, preset).get("seeds", experiment.seeds))
    points = sweep.points(experiment, grid, seeds, selection)
    made = Plan(experiment, grid, list(seeds), settings, selection, points, Path(root), _code(experiment),
                _inputs(settings), todo=points, parsed=parsed, **_data(experiment, grid, settings))  # fmt: skip
    # Of a function from a notebook, and of a pipe, nobody knows whether it is still the same.
    known = bool(experiment.source) and all(made.inputs.values())
    return _reuse(made, only_failed) if known and not force else made


def resumption(experiment: Experiment | str, run: str, root: Path | str = "results", only_failed: bool = False) -> Plan:
    """Return the plan of going on with a run, in its own directory.

    Parameters
    ----------
    experiment
        The experiment it must be a run of.
    run
        What `sandbox.results.find` takes, or ``latest``, ``-2``, part of a name: of this experiment's runs.
    root, only_failed
        As in `plan`.

    Raises
    ------
    UsageError
        When there is no such run, it is of another experiment or of other code, or another process is writing it.
    """
    experiment = load(experiment) if isinstance(experiment, str) else experiment
    path = _run_of(experiment.name, run, root)
    info = read_info(path)
    if info["experiment"] != experiment.name:
        raise UsageError(f"--resume must be a run of {experiment.name}, got one of {info['experiment']} ({path})")
    if journal.locked(path):
        raise UsageError(f"{path} is being written by another process")
    settings, selection = _asked(info)
    grid = experiment.grid(info["axes"], settings)
    points = sweep.points(experiment, grid, info["seeds"], selection)
    made = Plan(experiment, grid, info["seeds"], settings, selection, points, Path(root), _code(experiment),
                _inputs(settings), resumed=path, parsed=experiment.parse_settings(settings),
                **_data(experiment, grid, settings))  # fmt: skip
    changed = [name for name, value in made.code.items() if info.get("code", {}).get(name) != value]
    changed += [] if info.get("inputs", {}) == made.inputs else ["file"]
    if changed:
        what = " and ".join(changed)
        raise UsageError(f"{path} must be resumed with the code and files it was begun with, got another {what} "
                         "(start a new run)")  # fmt: skip
    if other := _other_data(info, made):
        raise UsageError(f"{path} must be resumed with the data it was begun with, got {other} (start a new run)")
    run = load_run(path)
    done, failed = _rows_of(run)
    done -= run.spoiled(done)
    todo = [point for point in points if key_of(point) not in done]
    if only_failed:
        todo = [point for point in todo if key_of(point) in failed]
    return replace(made, done={path: done} if done else {}, todo=todo)


def repetition(run: Run, root: Path | str) -> Plan:
    """Return the plan of running every point of a run again, into a new one; errors as in `plan`.

    Of a run that was to have a part of its grid only, as with `only_failed`, these are the points it has rows of.
    """
    settings, selection = _asked(run.info)
    made = plan(run.info["experiment"], run.axes, settings, seeds=run.info["seeds"], selection=selection, root=root,
                force=True)  # fmt: skip
    if run.info["points"] == len(made.points):
        return made
    keys = set(run.keys)
    points = [point for point in made.points if key_of(point) in keys]
    return replace(made, points=points, todo=points)


def _asked(info: Mapping) -> tuple[dict[str, str], Selection]:
    """Return the settings and the selection that a run was asked for."""
    return info.get("settings") or {}, Selection.from_dict(info["selection"]) if info.get("selection") else Selection()


def key_of(point: Point) -> tuple:
    """Return ``(axes..., seed)``, which names a row."""
    return (*point.values.values(), point.seed)


def carry_out(
    planned: Plan,
    spread: Spread | None = None,
    *,
    command: str = "",
    watch: Callable[[Row], None] | None = None,
    begun: Callable[[object], None] | None = None,
    counters: Callable[[], dict | None] | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Run what is left of a plan and return the run's directory.

    Parameters
    ----------
    planned, spread
        What to run, and on what.
    command
        What ``run.json`` gives as the command line.
    watch
        Called with every row once it is safe on disk.
    begun
        Called with the executor before the first point: to `drain` it later.
    counters
        Returns the kernel counters of this process.
    say
        Called with what a cluster has to say.

    Raises
    ------
    UsageError
        When a row cannot be written, or the experiment returns what is not metrics. Rows before it are safe.
    KeyboardInterrupt
        From `watch`, or when the executor was drained before the last point; rows before it are safe.
    """
    if planned.complete is not None:
        return planned.complete
    runner = _executor(planned, spread or Spread(), say)
    with _writer(planned, command) as writer, threads.singly(len(planned.todo) > 1):
        for path, keys in planned.done.items():
            if path != planned.resumed:
                earlier = load_run(path)
                for record in earlier.records(keys):
                    writer.take(record, earlier.folder(record.key))
        if begun is not None:
            begun(runner)
        rows, left = runner.run(planned.todo), {key_of(point) for point in planned.todo}
        try:
            for row in rows:
                writer.add(row)
                left.discard(key_of(row.point))
                if watch is not None:
                    watch(row)
        finally:
            rows.close()
            writer.kernels = _kernels(runner, counters)
        if left:
            raise KeyboardInterrupt
    return writer.path


def kernel_counts() -> Callable[[], dict | None]:
    """Return a function that counts kernels from now on; it says None as long as nothing has imported any."""

    def now() -> dict | None:
        jit = sys.modules.get("sandbox.jit")
        return None if jit is None else jit.stats()

    before = now() or {}

    def since() -> dict | None:
        counts = now()
        counted = ("compiled", "loaded", "seconds")
        return counts and counts | {name: counts[name] - before.get(name, 0) for name in counted}

    return since


def history(name: str, root: Path | str, most: int = 10_000) -> list[tuple[dict[str, Scalar], float]]:
    """Return ``(values of the axes, seconds)`` of finished points of an experiment, from the newest runs."""
    found: list[tuple[dict[str, Scalar], float]] = []
    for path in reversed(runs_of(root, name)):
        try:
            run = load_run(path)
            found += [(dict(zip(run.axes, key, strict=False)), spent) for key, spent in run.seconds().items()]
        except UsageError:  # damaged, or of another version: an estimate does without
            continue
        if len(found) >= most:
            break
    return found[:most]


def _code(experiment: Experiment) -> dict[str, str]:
    return {"sandbox": code_hash(), "experiment": experiment_hash(experiment.source)}


def _inputs(settings: Mapping[str, str]) -> dict[str, str]:
    """Return hashes of the files that settings name; empty for a folder or a pipe, whose content is not looked at."""
    named = {name: text for name, text in settings.items() if os.path.exists(text)}
    return {
        name: hashlib.sha256(Path(text).read_bytes()).hexdigest()[:16] if os.path.isfile(text) else ""
        for name, text in named.items()
    }


def _data(experiment: Experiment, grid: Mapping[str, list[Scalar]], settings: Mapping[str, str]) -> dict[str, object]:
    """Return what a plan says of the data that the points read."""
    found = experiment.reads(grid, settings)
    notes = list(dict.fromkeys(note for _, note in found.values() if note))
    return {"data": {name: label for name, (label, _) in found.items()}, "notes": notes}


def _other_data(info: Mapping[str, object], made: Plan) -> str:
    """Return which source has another label than in a run; empty if none. Points of both read what both name."""
    labels = info.get("data") or {}
    changed = [name for name, label in made.data.items() if labels.get(name, label) != label]
    return ", ".join(f"{made.data[name]} instead of {labels[name]}" for name in changed)


def _run_of(name: str, run: str, root: Path | str) -> Path:
    try:
        return find(f"{name}@{run}", root)
    except UsageError:
        return find(run, root)


def _rows_of(run: Run) -> tuple[set[tuple], set[tuple]]:
    """Return the keys of the points that are done, and of those that failed."""
    done, failed = set(), set()
    for key, status in zip(run.keys, run.texts["status"], strict=True):
        (failed if status in sweep.FAILED else done).add(key)
    return done, failed


def _reuse(made: Plan, only_failed: bool) -> Plan:
    """Return the plan with what earlier runs have done left out."""
    open_keys = {key_of(point): point for point in made.points}
    done: dict[Path, set] = {}
    failed: set[tuple] = set()
    for path in reversed(runs_of(made.root, made.experiment.name)):
        if len(open_keys) == 0:
            break
        if _fits(made, path):
            try:
                run = load_run(path)
            except UsageError:
                continue
            if run.altered():  # `results verify` says so
                continue
            there, without = _rows_of(run)
            failed |= without
            if found := (there & open_keys.keys()) - run.spoiled(there & open_keys.keys()):
                done[path] = found
                for key in found:
                    del open_keys[key]
    points, todo = made.points, list(open_keys.values())
    if only_failed:
        todo = [point for point in todo if key_of(point) in failed]
        kept = {key_of(point) for point in todo}.union(*done.values())
        points = [point for point in made.points if key_of(point) in kept]
        if not points:
            raise UsageError("--only-failed must be used after a run, and none of these points was run before")
    return replace(made, points=points, done=done, todo=todo)


def _fits(made: Plan, path: Path) -> bool:
    """Whether a run may hold points of this plan: same code and settings, values in common on every axis, and seeds."""
    try:
        info = read_info(path)
    except UsageError:
        return False
    same = (
        info.get("code") == made.code
        and (info.get("settings") or {}) == made.settings
        and info.get("inputs", {}) == made.inputs
        and not _other_data(info, made)
        and list(info["axes"]) == list(made.grid)
    )
    asked, there = {**made.grid, "seed": made.seeds}, {**info["axes"], "seed": info["seeds"]}
    return same and all(not set(values).isdisjoint(there[axis]) for axis, values in asked.items())


def _writer(planned: Plan, command: str) -> RunWriter:
    if planned.resumed is not None:
        points = len(planned.todo) + sum(map(len, planned.done.values()))
        return RunWriter.resume(planned.resumed, points)  # one of --only-failed was to have less
    experiment = planned.experiment
    table, picture = (shown and shown.as_dict() for shown in (experiment.table, experiment.picture))
    facts = {
        "command": command, "settings": dict(planned.settings), "selection": planned.selection.as_dict(),
        "code": dict(planned.code), "inputs": dict(planned.inputs), "data": dict(planned.data),
        "table": table, "picture": picture,
        "reused": {path.name: len(keys) for path, keys in planned.done.items()},
    }  # fmt: skip
    return RunWriter(planned.root, experiment.name, planned.grid, planned.seeds, points=len(planned.points), **facts)


def _executor(planned: Plan, spread: Spread, say):
    """Return what runs the points."""
    experiment, parsed, jobs = planned.experiment, planned.parsed, spread.jobs
    if not experiment.source:  # defined in a notebook: a worker has no file to load it from
        if spread != Spread(jobs=jobs) or jobs not in (None, 1):
            raise UsageError(f"experiment '{experiment.name}' must come from a file to run in other processes")
        return sweep.Serial(experiment, parsed)
    job = sweep.Job.of(experiment, parsed)
    if spread.executor == "dask":
        from sandbox.cluster import Cluster

        return Cluster(job, scheduler=spread.scheduler, jobs=jobs, say=say)
    if jobs == 1 and spread.timeout is None:
        return sweep.Serial(experiment, parsed)
    from sandbox.workers import Auto, Workers, default_jobs

    note = (lambda texts: progress.note(*texts)) if progress.watched() else None
    if jobs is None and spread.timeout is None:
        return Auto(experiment, job, default_jobs(), note=note)
    from sandbox.warm import warm

    warm(experiment, planned.todo, parsed)
    return Workers(job, jobs or default_jobs(), timeout=spread.timeout, note=note)


def _kernels(runner: object, counters: Callable[[], dict | None] | None) -> dict | None:
    """Return the kernel counters of this process and of the workers, added up."""
    own, theirs = (counters() if counters is not None else None), getattr(runner, "kernels", None)
    if not theirs:
        return own
    return {**(own or {}), **{name: (own or {}).get(name, 0) + value for name, value in theirs.items()}}

"""Studies from Python: `run` one, `load` what there is; both return a `sandbox.results.Run`.

>>> import sandbox
>>> run = sandbox.run("vanishing", quick=True, cell=["lstm", "gru"], seeds=2)
>>> run
<run of vanishing: 4 of 4 points, finished, results/vanishing/...>
>>> run["rate"].shape, sorted(set(run["cell"]))
((4,), ['gru', 'lstm'])
>>> again = sandbox.load("vanishing@latest")
>>> again.path == run.path
True
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox import results, selection, study
from sandbox.axes import Axis, Scalar
from sandbox.errors import UsageError, shorten, unknown
from sandbox.experiment import Experiment, discover, resolve_seeds
from sandbox.experiment import load as load_experiment
from sandbox.report import progress as report
from sandbox.results import Run

__all__ = ["load", "run"]

Values = Scalar | Sequence[Scalar] | None
_JOBS = Axis(kind=int, minimum=1, maximum=4096, name="jobs")
_TIMEOUT = Axis(kind=float, above=0, name="timeout_per_point")


def run(
    experiment: str | Experiment,
    /,
    *,
    seeds: int | None = None,
    seed: Values = None,
    quick: bool = False,
    preset: str | None = None,
    zip: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
    where: str | None = None,
    sample: int | tuple[int, int] | str | None = None,
    force: bool = False,
    only_failed: bool = False,
    resume: str | None = None,
    jobs: int | None = None,
    executor: str = "local",
    scheduler: str | None = None,
    timeout_per_point: float | None = None,
    out: str | Path = "results",
    progress: bool = True,
    **values: Values,
) -> Run:
    """Run an experiment over a grid and return its rows; points that are done already are not run again.

    Parameters
    ----------
    experiment
        A name, or a function decorated with `sandbox.experiment.experiment`. One that is not loaded from a file, as in
        a notebook, runs in this process, and every time anew.
    **values
        Axes and settings of the experiment: a list, a scalar, or a text as on the command line.
    seeds, seed
        Number of seeds, 0 to seeds - 1; or exactly these.
    quick, preset
        Another grid to start from.
    zip, where, sample
        Which part of the grid: axes that vary together (``"a,b"``, ``["a", "b"]`` or a list of such), a condition over
        axes and seed, so many combinations (or ``(combinations, seed of the choice)``).
    force, only_failed, resume
        Run everything again; only points that failed in an earlier run; go on with a run that was broken off.
    jobs, executor, scheduler, timeout_per_point
        Worker processes, None for as many as pay; ``"dask"`` and the address of its scheduler; seconds for a point.
    out
        Folder of all results.
    progress
        Show a bar, on a terminal.

    Raises
    ------
    UsageError
        For anything that breaks a rule, before a point runs; when a row cannot be written.
    KeyboardInterrupt
        What was finished is kept, and `resume` goes on with it.

    Examples
    --------
    >>> import sandbox
    >>> run = sandbox.run("vanishing", quick=True, cell="lstm,gru", gain=[0.5, 1.0], where="cell != 'gru' or gain < 1")
    >>> run.columns[:4], len(run)
    (['cell', 'hidden', 'seq_len', 'gain'], 6)
    """
    options = {name: _plain(value) for name, value in locals().items() if name not in ("experiment", "values")}
    given = {name: value for name, value in options.items() if value is not _DEFAULTS[name]}
    values = {name: _plain(value) for name, value in values.items() if value is not None}
    found, root = _experiment(experiment), _folder(out)
    spread = _spread(options["jobs"], executor, scheduler, timeout_per_point)
    planned = _planned(found, values, options, root) if resume is None else _resumed(found, values, given, root)
    return results.load(_carried_out(planned, spread, _spelled(found.name, {**values, **given}), progress))


_DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(run).parameters.items()}


def load(run: str | Path, out: str | Path = "results") -> Run:
    """Return a run that is on disk.

    Parameters
    ----------
    run
        A path; an experiment (its newest run); ``NAME@latest``, ``NAME@-2``, ``NAME@PART``; a part of a directory's
        name.
    out
        Folder of all results.

    Raises
    ------
    UsageError
        When there is no such run, or it is damaged.

    Examples
    --------
    >>> import sandbox
    >>> path = sandbox.run("vanishing", quick=True, cell="gru", seeds=1).path
    >>> sandbox.load("vanishing")["status"].tolist()
    ['ok']
    """
    return results.load(results.find(os.fspath(run), _folder(out)))


def _experiment(given: object) -> Experiment:
    """Return the experiment; one that was imported as a module is loaded from its file, which workers can do too."""
    if isinstance(given, str):
        return load_experiment(given)
    if not isinstance(given, Experiment):
        raise UsageError(f"experiment must be a name or a decorated function, got {shorten(repr(given))}")
    known = None if given.source else discover().get(given.name)
    return load_experiment(given.name) if known and known.path.resolve() == given.path.resolve() else given


def _folder(out: object) -> Path:
    if not isinstance(out, (str, os.PathLike)) or not os.fspath(out):
        raise UsageError(f"out must be a folder, got {shorten(repr(out))}")
    return Path(out)


def _sorted_out(experiment: Experiment, values: Mapping[str, Values]) -> tuple[dict[str, Values], dict[str, str]]:
    """Return axes and settings apart."""
    for name in values:
        if name not in experiment.axes and name not in experiment.settings:
            options = [option for option in _DEFAULTS if option not in ("experiment", "values")]
            raise unknown("axis, setting or option", name, [*experiment.axes, *experiment.settings, *options])
    settings = {name: value for name, value in values.items() if name in experiment.settings}
    for name, value in settings.items():
        if not isinstance(value, (str, os.PathLike)):
            raise UsageError(f"{name} must be a text, got {shorten(repr(value))}")
    flags = {name: value for name, value in values.items() if name in experiment.axes}
    return flags, {name: os.fspath(value) for name, value in settings.items()}


def _selection(experiment: Experiment, zip: object, where: object, sample: object) -> selection.Selection:
    """Return the part of the grid, by the rules of the command line."""
    groups = [] if zip is None else [zip] if isinstance(zip, str) else zip
    if not _is_listed(groups) or not all(isinstance(group, str) or _is_listed(group, str) for group in groups):
        raise UsageError(f"zip must be names of axes, got {shorten(repr(zip))}")
    if len(groups) > 1 and all(isinstance(group, str) and "," not in group for group in groups):
        groups = [groups]  # one group, by its names
    if not isinstance(where, (str, type(None))):
        raise UsageError(f"where must be a text, got {shorten(repr(where))}")
    if _is_listed(sample):
        sample = ":".join(map(str, sample))
    texts = [group if isinstance(group, str) else ",".join(group) for group in groups]
    return selection.read(texts, where, None if sample is None else str(sample), experiment.axes)


def _is_listed(value: object, kind: type = object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(each, kind) for each in value)


def _spread(jobs: object, executor: str, scheduler: str | None, timeout: object) -> study.Spread:
    jobs = None if jobs is None else _JOBS.check(jobs)
    return study.Spread(jobs, executor, scheduler, None if timeout is None else _TIMEOUT.check(timeout))


def _planned(experiment: Experiment, values: Mapping, options: Mapping, root: Path) -> study.Plan:
    """Return the plan of a new run."""
    flags, settings = _sorted_out(experiment, values)
    if not experiment.source and options["only_failed"]:
        raise UsageError(f"only_failed must be used with an experiment from a file, got '{experiment.name}'")
    count, listed = options["seeds"], options["seed"]
    seeds = None if count is None and listed is None else resolve_seeds(count, listed)
    return study.plan(
        experiment, flags, settings, root=root, seeds=seeds,
        selection=_selection(experiment, options["zip"], options["where"], options["sample"]),
        force=options["force"] or not experiment.source,  # its code cannot be told from that of another one
        **{name: options[name] for name in ("quick", "preset", "only_failed")},
    )  # fmt: skip


def _resumed(experiment: Experiment, values: Mapping, given: Mapping, root: Path) -> study.Plan:
    """Return the plan of going on with a run, which says itself what there is to do."""
    free = ("resume", "only_failed", "jobs", "executor", "scheduler", "timeout_per_point", "out", "progress")
    other = [name for name in (*values, *given) if name not in free]
    if other:
        raise UsageError(f"resume must be given without {other[0]}: the run it goes on with says what there is to do")
    if not experiment.source:
        raise UsageError(f"resume must be used with an experiment from a file, got '{experiment.name}'")
    return study.resumption(experiment, str(given["resume"]), root, "only_failed" in given)


def _carried_out(planned: study.Plan, spread: study.Spread, command: str, progress: bool) -> Path:
    stats = study.kernel_counts()
    for note in planned.notes if progress else ():
        print(note, file=sys.stderr)
    with report.bar(len(planned.todo), stats) if progress else report.Silent() as bar:
        return study.carry_out(
            planned, spread, command=command, watch=lambda row: bar.advance(), counters=stats,
            say=bar.tell if progress else lambda text: None,
        )  # fmt: skip


def _spelled(name: str, given: Mapping[str, object]) -> str:
    """Return the call as it may be typed again."""
    return f"sandbox.run({', '.join([repr(name), *(f'{key}={value!r}' for key, value in given.items())])})"


def _plain(value: object) -> object:
    """Return an array as a list and a path as its text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return os.fspath(value) if isinstance(value, os.PathLike) else value

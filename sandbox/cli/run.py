"""The command `run`: an experiment's axes as options, its sweep, its table and picture."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from sandbox.axes import show_scalar
from sandbox.cli.frame import HELP, first_interrupt, format_option, out_option, print_columns, print_words
from sandbox.errors import UsageError, shorten


def list_experiments(err: bool = False) -> None:
    """Print names and summaries of all experiments."""
    from sandbox.experiment import discover

    rows = [(name, found.summary(), "" if found.shipped else str(found.path)) for name, found in discover().items()]
    print_columns(rows or [("no experiments found", "", "")], err)


class RunGroup(click.Group):
    """Every experiment is a subcommand, built from its axes when it is asked for."""

    def list_commands(self, ctx):
        """Return the names of all experiments."""
        from sandbox.experiment import discover

        return list(discover())

    def get_command(self, ctx, name):
        """Import one experiment and return its command."""
        from sandbox.experiment import load

        return _experiment_command(load(name))

    def parse_args(self, ctx, args):
        """Insist on the name in first place: before it is known, so are no options."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            raise UsageError(f"the experiment's name must come first, got {args[0]} (sandbox run NAME {args[0]} ...)")
        return super().parse_args(ctx, args)

    def format_commands(self, ctx, formatter):
        """List the experiments by docstring, without importing them."""
        from sandbox.experiment import discover

        with formatter.section("Experiments"):
            formatter.write_dl([(name, found.summary()) for name, found in discover().items()])


class ExperimentCommand(click.Command):
    """A command whose options stand in sections and whose docstring keeps its line breaks."""

    def format_help_text(self, ctx, formatter):
        """Write the docstring as it is."""
        formatter.write_paragraph()
        with formatter.indentation():
            for line in (self.help or "").splitlines():
                formatter.write(f"{' ' * formatter.current_indent}{line}".rstrip() + "\n")

    def format_options(self, ctx, formatter):
        """Write axes, settings and the options of every run apart."""
        sections: dict[str, list] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records)


class SectionOption(click.Option):
    """An option that knows its section of the help text."""

    def __init__(self, *args, section: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.section = section


def _experiment_command(experiment) -> click.Command:
    axes = [
        SectionOption(_spellings(name), multiple=True, metavar="LIST", help=axis_help(axis), section="Axes")
        for name, axis in experiment.axes.items()
    ]
    settings = [
        SectionOption(_spellings(name), metavar=setting.metavar, help=setting.help, section="Settings")
        for name, setting in experiment.settings.items()
    ]
    seeds = f"number of seeds, 0 to N - 1  [default: {experiment.seeds}]"
    options = [
        click.Option(["--seeds"], metavar="N", help=seeds),
        click.Option(["--seed"], multiple=True, metavar="LIST", help="exactly these seeds"),
        click.Option(["--quick"], is_flag=True, help="the small grid that the tests run"),
        *_preset_option(experiment),
        *_part_options(),
        *_spread_options(),
        click.Option(["--dry-run", "--dry_run"], is_flag=True,
                     help="say what would run, what is done, and how long the rest would take"),
        click.Option(["--no-plot", "--no_plot"], is_flag=True, envvar="SANDBOX_NO_PLOT", help="write no picture"),
        out_option(),
        format_option(),
    ]  # fmt: skip

    def callback(**options):
        return _run(experiment, options)

    return ExperimentCommand(
        experiment.name, {**HELP}, callback, [*axes, *settings, *options], experiment.description,
        epilog="LIST is 32,64 or start:stop:step (stop included) or all.",
    )  # fmt: skip


def _part_options() -> list[click.Option]:
    """Which points of the grid run, and which of them again."""
    part = dict(section="Which points")
    return [
        SectionOption(
            ["--zip"], multiple=True, metavar="AXES", help="axes that vary together: --zip hidden,lr", **part
        ),
        SectionOption(
            ["--where"], metavar="RULE", help="only points that fit: \"cell!='rnn' or seq_len<=100\"", **part
        ),
        SectionOption(["--sample"], metavar="K[:SEED]", help="K combinations, chosen at random", **part),
        SectionOption(["--force"], is_flag=True, help="run points again that earlier runs have done", **part),
        SectionOption(["--only-failed", "--only_failed"], is_flag=True, help="only points that failed before", **part),
        SectionOption(
            ["--resume"], metavar="RUN", help="go on with a run that was broken off: latest, -2, a name", **part
        ),
    ]


def _spread_options() -> list[click.Option]:
    """On what the points run."""
    spread = dict(section="On what")
    return [
        SectionOption(["--jobs", "-j"], type=click.IntRange(1, 4096), metavar="N", envvar="SANDBOX_JOBS",
                      help="worker processes  [default: one per core, once it pays]", **spread),
        SectionOption(["--executor"], type=click.Choice(["local", "dask"]), default="local", show_default=True,
                      help="processes of this machine, or Dask", **spread),
        SectionOption(["--scheduler"], metavar="ADDRESS", help="of Dask: tcp://host:port  [default: one of its own]",
                      **spread),
        SectionOption(["--timeout-per-point", "--timeout_per_point"], type=click.FloatRange(min=0, min_open=True),
                      metavar="SECONDS", help="end a point that takes longer", **spread),
    ]  # fmt: skip


def _preset_option(experiment) -> list[click.Option]:
    names = ", ".join(experiment.presets)
    return [click.Option(["--preset"], metavar="NAME", help=f"another grid: {names}")] if names else []


def _spellings(name: str) -> list[str]:
    return [name, *dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}"))]


def axis_help(axis) -> str:
    """Return an axis' rule and default in a line."""
    default = ",".join(map(show_scalar, axis.default))
    return f"{axis.help + ', ' if axis.help else ''}{axis.rule()}  [default: {default}]"


@click.group(
    "run",
    cls=RunGroup,
    invoke_without_command=True,
    subcommand_metavar="NAME [OPTIONS]",
    short_help="Run an experiment over a grid and print its table.",
)
@click.pass_context
def run_group(ctx):
    """Run an experiment over a grid and print its table; run NAME --help shows the axes of NAME."""
    if ctx.invoked_subcommand is None:
        click.echo("error: the name of an experiment is missing; there are", err=True)
        list_experiments(err=True)
        return 2
    return 0


def _run(experiment, options: dict) -> int:
    """Check everything, then run, then print."""
    from sandbox.study import Spread

    if not options["out"]:
        raise UsageError("--out must be a folder, got nothing")
    spread = Spread(options["jobs"], options["executor"], options["scheduler"], options["timeout_per_point"])
    planned = _resumed(experiment, options) if options["resume"] is not None else _planned(experiment, options)
    if options["only_failed"] and not (planned.todo or planned.complete or planned.resumed):
        click.echo(f"none of the {len(planned.points)} points that were run has failed: nothing to do", err=True)
        return 0
    say_notes(planned)
    if options["dry_run"]:
        _print_plan(planned, spread)
        return 0
    if planned.complete is not None:
        again = "" if planned.resumed else " (--force runs them again)"
        click.echo(f"all {len(planned.points)} points are done in {planned.complete}/{again}", err=True)
        path, failed = planned.complete, 0
    else:
        path, failed = run_plan(planned, spread)
    print_run(path, options["format"], plot=not options["no_plot"])
    return 1 if failed else 0


def say_notes(planned) -> None:
    """Say what stands in for data that is not there."""
    for note in planned.notes:
        click.echo(note, err=True)


def _planned(experiment, options: dict):
    """Return the plan of a new run."""
    from sandbox import selection, study
    from sandbox.experiment import resolve_seeds

    flags = {name: ",".join(options[name]) for name in experiment.axes if options[name]}
    settings = {name: options[name] for name in experiment.settings if options[name] is not None}
    listed = ",".join(options["seed"]) if options["seed"] else None
    chosen = {name: options.get(name) for name in ("quick", "preset")}
    seeds = None if options["seeds"] is None and listed is None else resolve_seeds(options["seeds"], listed)
    part = selection.read(options["zip"], options["where"], options["sample"], experiment.axes)
    how = {name: options[name] for name in ("force", "only_failed")}
    return study.plan(experiment, flags, settings, seeds=seeds, selection=part, root=options["out"], **chosen, **how)


def _resumed(experiment, options: dict):
    """Return the plan of going on with a run; what the run decided cannot be said again."""
    from sandbox import study

    of_every_run = ("seeds", "seed", "quick", "preset", "zip", "where", "sample", "force")
    given = [name for name in (*experiment.axes, *experiment.settings, *of_every_run) if options.get(name)]
    if given:
        flag = given[0].replace("_", "-")
        raise UsageError(f"--resume must be given without --{flag}: the run it goes on with says what there is to do")
    return study.resumption(experiment, options["resume"], options["out"], options["only_failed"])


def run_plan(planned, spread) -> tuple[Path, int]:
    """Run what is left of a plan; return the run's directory and the number of points that failed."""
    from sandbox import study
    from sandbox.report import progress as report

    command = shlex.join(["sandbox", *sys.argv[1:]])
    stats, failed, runner = study.kernel_counts(), 0, None

    def drain() -> None:
        if runner is None:
            raise KeyboardInterrupt
        runner.drain()
        progress.tell("finishing the points that are running; Ctrl-C again stops at once")

    def begun(started) -> None:
        nonlocal runner
        runner = started
        if planned.done and planned.resumed is None:
            copied = sum(map(len, planned.done.values()))
            where = f"{next(iter(planned.done))}/" if len(planned.done) == 1 else f"{len(planned.done)} runs"
            progress.tell(f"{copied} of {len(planned.points)} points are done, copied from {where}")

    def watch(row) -> None:
        nonlocal failed
        progress.advance()
        failed += row.failed

    try:
        with report.bar(len(planned.todo), stats) as progress, first_interrupt(drain):
            path = study.carry_out(planned, spread, command=command, watch=watch, begun=begun, counters=stats,
                                   say=progress.tell)  # fmt: skip
    except KeyboardInterrupt as interrupt:
        kept = getattr(interrupt, "__notes__", [None])[-1]
        which = planned.resumed.name if planned.resumed else "latest"
        again = shlex.join(["sandbox", "run", planned.experiment.name, "--resume", which, *_out(planned.root)])
        raise type(interrupt)(
            f"{kept} ({again} goes on)" if kept else "no point had finished, nothing was kept"
        ) from None
    _record_kernels(stats())
    return path, failed


def _record_kernels(stats: dict | None) -> None:
    """Keep the counters for `sandbox env`, and say what the first run spent on compiling."""
    if stats is None:
        return
    sys.modules["sandbox.jit"].record(stats)
    if stats["compiled"]:
        click.echo(f"compiled {stats['compiled']} kernels in {stats['seconds']:.1f} s", err=True)


def _out(root: Path) -> list[str]:
    return [] if str(root) == "results" else ["--out", str(root)]


def _print_plan(planned, spread) -> None:
    """Say what would run, what of it is done, and how long the rest would take."""
    from sandbox.estimate import estimate, told
    from sandbox.study import history
    from sandbox.workers import default_jobs

    name, seeds, total = planned.experiment.name, planned.seeds, len(planned.points)
    combinations = len({tuple(point.values.values()) for point in planned.points})
    thinned = "" if combinations * len(seeds) == total else ", thinned"
    click.echo(f"{name}: {total} points = {combinations} combinations x {len(seeds)} seeds{thinned}")
    texts = {**planned.grid, "seed": seeds}
    rows = [(f"  {name}", ", ".join(map(show_scalar, values)), f"({len(values)})") for name, values in texts.items()]
    part = planned.selection
    rows += [("  --zip", ",".join(names), "") for names in part.zips]
    rows += [("  --where", part.where, "")] if part.where else []
    rows += [("  --sample", ":".join(map(str, part.sample)), "")] if part.sample else []
    print_columns([*rows, *((f"  --{name}", text, "") for name, text in planned.settings.items())])
    found = ", ".join(f"{len(keys)} in {path}/" for path, keys in planned.done.items())
    click.echo(f"done: {total - len(planned.todo)} of {total}" + (f" ({found})" if found else ""))
    if planned.todo:
        jobs = spread.jobs or default_jobs()
        click.echo(f"left: {told(estimate(planned.todo, history(name, planned.root), jobs))}")
    folder = planned.complete or planned.resumed or planned.root / name / "<time>-<id>"
    verb = "would show" if planned.complete else "would go on in" if planned.resumed else "would write"
    click.echo(f"{verb} {folder}/: table.csv ({total} rows), curves.csv, timing.csv, run.json")


def print_run(path: Path, format: str | None, plot: bool = False) -> None:
    """Print a run's table, draw its picture if asked to, and say to people where the picture is."""
    from sandbox.report import build, picture, write
    from sandbox.results import load

    run = load(path)
    write(build(run), format, sys.stdout, sys.stderr)
    people = format in (None, "rich", "plain")
    if run.files and people:
        print_words(f"files {_kept(run)}")
    sys.stdout.flush()  # the table first: drawing takes a moment
    try:
        drawn = picture.save_quietly(run, sys.stderr) if plot else picture.default_path(run)
    except KeyboardInterrupt as interrupt:
        raise type(interrupt)(f"while drawing; the results are in {path}/") from None
    if drawn is not None and drawn.exists() and people:
        print_words(f"picture {drawn}")


def _kept(run) -> str:
    """Return where the files of a run's points are, which, and how many."""
    from sandbox.results.pointfiles import FOLDER

    names = [name for sums in run.files.values() for name in sums]
    counts = (
        f"{count} {what}{'s' * (count != 1)}" for count, what in ((len(names), "file"), (len(run.files), "point"))
    )
    return f"{run.path / FOLDER}/ ({' of '.join(counts)}: {shorten(', '.join(sorted(set(names))), 60)})"

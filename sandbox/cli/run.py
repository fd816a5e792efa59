"""The command `run`: an experiment's axes as options, its sweep, its table and picture."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import click

from sandbox.axes import show_scalar
from sandbox.cli.frame import HELP, format_option, out_option, print_columns
from sandbox.errors import UsageError


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
        click.Option(["--dry-run", "--dry_run"], is_flag=True, help="say what would run; compute and write nothing"),
        click.Option(["--no-plot", "--no_plot"], is_flag=True, envvar="SANDBOX_NO_PLOT", help="write no picture"),
        out_option(),
        format_option(),
    ]

    def callback(**options):
        return _run(experiment, options)

    return ExperimentCommand(
        experiment.name, {**HELP}, callback, [*axes, *settings, *options], experiment.description,
        epilog="LIST is 32,64 or start:stop:step (stop included) or all.",
    )  # fmt: skip


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
    from sandbox import sweep
    from sandbox.experiment import resolve_seeds

    flags = {name: ",".join(options[name]) for name in experiment.axes if options[name]}
    settings = {name: options[name] for name in experiment.settings if options[name] is not None}
    listed = ",".join(options["seed"]) if options["seed"] else None
    count = options["seeds"]
    chosen = {"quick": options["quick"], "preset": options.get("preset")}
    if count is None and listed is None:
        count = experiment.overrides(**chosen).get("seeds", experiment.seeds)
    seeds = resolve_seeds(count, listed)
    grid = experiment.grid(flags, settings, **chosen)
    parsed = experiment.parse_settings(settings)
    total, root = sweep.count(grid, seeds), Path(options["out"])
    if not options["out"]:
        raise UsageError("--out must be a folder, got nothing")
    if options["dry_run"]:
        _print_plan(experiment, grid, seeds, settings, root)
        return 0
    path, failed = _sweep(experiment, grid, seeds, settings, parsed, root, total)
    print_run(path, options["format"], plot=not options["no_plot"])
    return 1 if failed else 0


def _sweep(experiment, grid, seeds, settings, parsed, root: Path, total: int) -> tuple[Path, int]:
    """Run every point into a new directory; return it and the number of points that raised."""
    from sandbox import sweep
    from sandbox.report.progress import bar
    from sandbox.results import RunWriter

    command = shlex.join(["sandbox", *sys.argv[1:]])
    table, picture = (shown and shown.as_dict() for shown in (experiment.table, experiment.picture))
    shown = {"settings": settings, "command": command, "table": table, "picture": picture}
    writer = RunWriter(root, experiment.name, grid, seeds, **shown)
    failed, stats = 0, _kernel_stats()
    try:
        with writer, bar(total, stats) as progress:
            try:
                for row in sweep.Serial(experiment, parsed).run(sweep.points(experiment, grid, seeds)):
                    writer.add(row)
                    progress.advance()
                    failed += row.failed
            finally:
                writer.kernels = stats()
    except KeyboardInterrupt as interrupt:
        kept = f"{writer.rows} of {total} points kept in {writer.path}/"
        raise type(interrupt)(kept if writer.rows else "no point had finished, nothing was kept") from None
    _record_kernels(writer.kernels)
    return writer.path, failed


def _kernel_stats() -> Callable[[], dict | None]:
    """Return a function that counts kernels from now on; it says None as long as no experiment has imported any."""

    def now():
        jit = sys.modules.get("sandbox.jit")
        return None if jit is None else jit.stats()

    before = now() or {}

    def since():
        counts = now()
        return counts and counts | {
            name: counts[name] - before.get(name, 0) for name in ("compiled", "loaded", "seconds")
        }

    return since


def _record_kernels(stats: dict | None) -> None:
    """Keep the counters for `sandbox env`, and say what the first run spent on compiling."""
    if stats is None:
        return
    sys.modules["sandbox.jit"].record(stats)
    if stats["compiled"]:
        click.echo(f"compiled {stats['compiled']} kernels in {stats['seconds']:.1f} s", err=True)


def _print_plan(experiment, grid, seeds, settings, root: Path) -> None:
    from sandbox.sweep import count

    total = count(grid, seeds)
    click.echo(f"{experiment.name}: {total} points = {total // len(seeds)} combinations x {len(seeds)} seeds")
    texts = {**grid, "seed": seeds}
    rows = [(f"  {name}", ", ".join(map(show_scalar, values)), f"({len(values)})") for name, values in texts.items()]
    print_columns([*rows, *((f"  --{name}", text, "") for name, text in settings.items())])
    click.echo(f"would write {root / experiment.name}/<time>-<id>/: table.csv ({total} rows), curves.csv, timing.csv,"
               " run.json")  # fmt: skip


def print_run(path: Path, format: str | None, plot: bool = False) -> None:
    """Print a run's table, draw its picture if asked to, and say to people where the picture is."""
    from sandbox.report import build, picture, write
    from sandbox.results import load

    run = load(path)
    write(build(run), format, sys.stdout, sys.stderr)
    sys.stdout.flush()  # the table first: drawing takes a moment
    try:
        drawn = picture.save_quietly(run, sys.stderr) if plot else picture.default_path(run)
    except KeyboardInterrupt as interrupt:
        raise type(interrupt)(f"while drawing; the results are in {path}/") from None
    if drawn is not None and drawn.exists() and format in (None, "rich", "plain"):
        click.echo(f" picture {drawn}")

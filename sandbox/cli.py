"""The command line: thin commands over the library.

Input that breaks a rule is one line on standard error and exit code 2. Nothing heavy is imported here: ``--help`` must
answer at once. Exit codes: 0 done, 1 done but some points raised an error, 2 bad input, 130 and 143 interrupted.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from sandbox import __version__
from sandbox.axes import show_scalar
from sandbox.errors import UsageError, did_you_mean, unknown
from sandbox.report import FORMATS

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Terminated(KeyboardInterrupt):
    """SIGTERM: handled like Ctrl-C, with an exit code of its own."""


@contextmanager
def _interruptible():
    """Turn SIGINT and SIGTERM into exceptions for a while; a signal the parent chose to ignore stays ignored.

    While a kernel is being compiled the exception waits until that is done, a second or two: raised inside one of the
    compiler's callbacks it would be lost, or leave a library half built.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers
        return
    timed = hasattr(signal, "setitimer")
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGALRM] if timed else [])]
    handlers = {number: signal.getsignal(number) for number in numbers}
    hook, interrupt = sys.unraisablehook, KeyboardInterrupt

    def stop(number, frame):
        nonlocal interrupt
        interrupt = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}.get(number, interrupt)
        if timed and _compiling():
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            return
        sys.unraisablehook = swallowed
        raise interrupt

    def swallowed(unraisable):
        # Raised inside a destructor the interrupt got no further: raise it again outside. What else is torn down then
        # complains without need.
        if timed and issubclass(unraisable.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.02)

    for number, handler in handlers.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        sys.unraisablehook = hook


def _compiling() -> bool:
    jit = sys.modules.get("sandbox.jit")
    return jit is not None and hasattr(jit, "compiling") and jit.compiling()


class Commands(click.Group):
    """A group that names the nearest command."""

    def resolve_command(self, ctx, args):
        """Find a subcommand, or name the nearest one."""
        if args and self.get_command(ctx, args[0]) is None:
            kind = "command" if ctx.parent is None else f"{ctx.info_name} command"
            raise unknown(kind, args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class CommandLine(Commands):
    """The group of all commands: one-line errors, exit codes, interrupts and closed pipes in one place."""

    def main(self, args=None, prog_name=None, **extra):
        """Run a command line and exit."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a terminal that cannot show a character must not end a study
                stream.reconfigure(errors="backslashreplace")
        try:
            code = super().main(args, prog_name or "sandbox", **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            code = _complain(_click_message(error))
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx):
        """Run the command of this context; what goes wrong becomes an exit code."""
        try:
            with _interruptible():
                code = super().invoke(ctx)
                sys.stdout.flush()
            return code
        except UsageError as error:
            return _complain(str(error))
        except BrokenPipeError:
            # The reader has what it wanted. Python would complain once more while it closes standard output.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + 13
        except OSError as error:
            return _complain(f"{error.filename or 'cannot go on'}: {error.strerror or error}")
        except KeyboardInterrupt as interrupt:
            return _interrupted(interrupt)


def _complain(message: str) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return 2


def _interrupted(interrupt: KeyboardInterrupt) -> int:
    click.echo(f"interrupted: {interrupt.args[0] if interrupt.args else 'nothing was kept'}", err=True)
    return 143 if isinstance(interrupt, Terminated) else 130


def _click_message(error: click.ClickException) -> str:
    """Return click's complaint in the house style."""
    if isinstance(error, click.NoSuchOption):
        names = [name for parameter in error.ctx.command.get_params(error.ctx) for name in parameter.opts]
        near = did_you_mean(error.option_name, names) or f" of {error.ctx.command_path}"
        return f"unknown option {error.option_name}{near.replace(chr(39), '')}"
    message = error.format_message()
    return message[:1].lower() + message[1:].rstrip(".")


@click.group("sandbox", cls=CommandLine, context_settings=HELP, invoke_without_command=True)
@click.version_option(__version__, message="rnn-sandbox %(version)s")
@click.pass_context
def cli(ctx):
    """Study how gradients vanish, explode and are kept alive in recurrent networks."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


# --------------------------------------------------------------------------------------------------------------- run


def _list_experiments(err: bool = False) -> None:
    from sandbox.experiment import discover

    rows = [(name, found.summary(), "" if found.shipped else str(found.path)) for name, found in discover().items()]
    _print_columns(rows or [("no experiments found", "", "")], err)


def _print_columns(rows: Sequence[Sequence[str]], err: bool = False) -> None:
    """Print rows of text in columns as wide as their content."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip(), err=err)


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
        SectionOption(_spellings(name), multiple=True, metavar="LIST", help=_axis_help(axis), section="Axes")
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
        _out_option(),
        _format_option(),
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


def _axis_help(axis) -> str:
    default = ",".join(map(show_scalar, axis.default))
    return f"{axis.help + ', ' if axis.help else ''}{axis.rule()}  [default: {default}]"


def _out_option() -> click.Option:
    return click.Option(["--out"], metavar="DIR", default="results", show_default=True, help="folder of all results")


def _format_option() -> click.Option:
    text = "of the table  [default: rich on a terminal, plain elsewhere]"
    return click.Option(["--format"], type=click.Choice(FORMATS), help=text)


@cli.group(
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
        _list_experiments(err=True)
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
    _print_run(path, options["format"], plot=not options["no_plot"])
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
                for row in sweep.run(experiment, grid, seeds, settings=parsed):
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
    _print_columns([*rows, *((f"  --{name}", text, "") for name, text in settings.items())])
    click.echo(f"would write {root / experiment.name}/<time>-<id>/: table.csv ({total} rows), curves.csv, timing.csv,"
               " run.json")  # fmt: skip


def _print_run(path: Path, format: str | None, plot: bool = False) -> None:
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


# ------------------------------------------------------------------------------------------------------ other commands


@cli.command("list", short_help="List the experiments.")
def list_command():
    """List the experiments: the shipped ones and those in ./experiments."""
    _list_experiments()


@cli.command("describe", short_help="Print what an experiment does, its axes and columns.")
@click.argument("name")
def describe_command(name):
    """Print what an experiment does, its axes with their rules, and its columns."""
    from sandbox.experiment import load

    experiment = load(name)
    click.echo(f"{experiment.name}   {experiment.path}\n")
    click.echo(f"{experiment.description}\n")
    rows = [(f"  {name}", _axis_help(axis)) for name, axis in experiment.axes.items()]
    rows.append(("  seed", f"one replicate each  [default: {experiment.seeds} seeds]"))
    rows += [(f"  --{name}", setting.help) for name, setting in experiment.settings.items()]
    _print_columns(rows)
    if experiment.table and experiment.table.columns:
        click.echo("\ncolumns: " + ", ".join(column.metric for column in experiment.table.columns))


@cli.command("show", short_help="Print the table of a finished run.", params=[_out_option(), _format_option()])
@click.argument("run")
def show_command(run, out, format):
    """Print the table of a finished run: a path, an experiment (its newest run), or part of a run's name."""
    from sandbox.results import find

    _print_run(find(run, out), format)


@cli.command("plot", short_help="Draw a finished run.")
@click.argument("run")
@click.option("--out", metavar="FILE", help="a .png or .svg  [default: the .png in the run's folder]")
@click.option("--results", metavar="DIR", default="results", show_default=True, help="folder of all results")
def plot_command(run, out, results):
    """Draw a finished run: a path, an experiment (its newest run), or part of a run's name."""
    from sandbox.report.picture import save
    from sandbox.results import find, load

    try:
        click.echo(f"picture {save(load(find(run, results)), out)}")
    except ImportError as error:
        raise UsageError("plot needs Matplotlib, which is missing (pip install rnn-sandbox[plot])") from error


@cli.command("cells", short_help="List the cells.")
def cells_command():
    """List the cells: gates, states, parameters for 64 inputs and 64 units, options with their default first, paper."""
    import math

    from sandbox.cells import load, names

    rows = [("cell", "gates", "states", "parameters", "options", "paper")]
    for name in names():
        cell = load(name)
        options = cell.resolve({})
        size = sum(math.prod(shape) for shape in cell.specialised(options).shapes(64, 64, options).values())
        options = " ".join(f"{option}={rule.describe()}" for option, rule in cell.options.items()) or "-"
        rows.append((name, " ".join(cell.gates), " ".join(cell.states), str(size), options, cell.paper))
    _print_columns(rows)


@cli.command("tasks", short_help="List the tasks.")
def tasks_command():
    """List the tasks: variants with the default first, loss, head, default length, loss to beat there, rule, paper."""
    from sandbox.tasks import load, names, variants

    rows = [("task", "variants", "loss", "head", "seq_len", "baseline", "solved", "paper")]
    for name in names():
        task = load(name)
        baseline = f"{task.baseline(task.seq_len):.4g}"
        facts = (task.loss, task.head, str(task.seq_len), baseline, task.rule, task.paper)
        rows.append((name, "|".join(variants(name)) or "-", *facts))
    _print_columns(rows)


@cli.command("env", short_help="Print versions, processor and kernel cache.")
def env_command():
    """Print versions, the processor, and where kernels are kept and how many the last run compiled and loaded."""
    from sandbox import jit, provenance

    facts = {name: version or "not installed" for name, version in provenance.versions().items()}
    _print_columns(list({**facts, "cpu": provenance.cpu_name(), **jit.describe()}.items()))


@cli.group("bench", cls=Commands, invoke_without_command=True)
@click.pass_context
def bench_group(ctx):
    """Measure the kernels."""
    if ctx.invoked_subcommand is None:
        names = ", ".join(ctx.command.list_commands(ctx))
        raise UsageError(f"the name of what to measure must be given, got nothing (choose from: {names})")


@bench_group.command("gemm")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="one type instead of both")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="time to spend on each shape")
@click.option("--csv", metavar="FILE", type=click.Path(dir_okay=False, writable=True), help="write a CSV as well")
def bench_gemm_command(**options):
    """Matrix product: the kernel against np.dot and against the peak of the machine."""
    from sandbox import bench

    bench.gemm(**{name: value for name, value in options.items() if value is not None})


def main() -> None:
    """Run the command line and exit."""
    cli()

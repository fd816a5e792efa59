"""Commands that show what there is: experiments, runs, cells, tasks, versions, and how fast the kernels are."""

from __future__ import annotations

import click

from sandbox.cli.frame import Commands, format_option, out_option, print_columns
from sandbox.cli.run import axis_help, list_experiments, print_run
from sandbox.errors import UsageError


@click.command("list", short_help="List the experiments.")
def list_command():
    """List the experiments: the shipped ones and those in ./experiments."""
    list_experiments()


@click.command("describe", short_help="Print what an experiment does, its axes and columns.")
@click.argument("name")
def describe_command(name):
    """Print what an experiment does, its axes with their rules, and its columns."""
    from sandbox.experiment import load

    experiment = load(name)
    click.echo(f"{experiment.name}   {experiment.path}\n")
    click.echo(f"{experiment.description}\n")
    rows = [(f"  {name}", axis_help(axis)) for name, axis in experiment.axes.items()]
    rows.append(("  seed", f"one replicate each  [default: {experiment.seeds} seeds]"))
    rows += [(f"  --{name}", setting.help) for name, setting in experiment.settings.items()]
    print_columns(rows)
    if experiment.table and experiment.table.columns:
        click.echo("\ncolumns: " + ", ".join(column.metric for column in experiment.table.columns))


@click.command("show", short_help="Print the table of a finished run.", params=[out_option(), format_option()])
@click.argument("run")
def show_command(run, out, format):
    """Print the table of a finished run: a path, an experiment (its newest run), or part of a run's name."""
    from sandbox.results import find

    print_run(find(run, out), format)


@click.command("plot", short_help="Draw a finished run.")
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


@click.command("cells", short_help="List the cells.")
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
    print_columns(rows)


@click.command("tasks", short_help="List the tasks.")
def tasks_command():
    """List the tasks: variants with the default first, loss, head, default length, loss to beat there, rule, paper."""
    from sandbox.tasks import load, names, variants

    rows = [("task", "variants", "loss", "head", "seq_len", "baseline", "solved", "paper")]
    for name in names():
        task = load(name)
        baseline = f"{task.baseline(task.seq_len):.4g}"
        facts = (task.loss, task.head, str(task.seq_len), baseline, task.rule, task.paper)
        rows.append((name, "|".join(variants(name)) or "-", *facts))
    print_columns(rows)


@click.command("env", short_help="Print versions, processor and kernel cache.")
def env_command():
    """Print versions, the processor, and where kernels are kept and how many the last run compiled and loaded."""
    from sandbox import jit, provenance

    facts = {name: version or "not installed" for name, version in provenance.versions().items()}
    print_columns(list({**facts, "cpu": provenance.cpu_name(), **jit.describe()}.items()))


@click.group("bench", cls=Commands, invoke_without_command=True)
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


COMMANDS = (
    bench_group, cells_command, describe_command, env_command, list_command, plot_command, show_command, tasks_command,
)  # fmt: skip

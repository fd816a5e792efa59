"""Commands that show what there is: experiments, runs, cells, tasks, versions."""

from __future__ import annotations

import click

from sandbox.axes import show_scalar
from sandbox.cli.frame import format_option, out_option, print_columns
from sandbox.cli.run import axis_help, list_experiments, print_run
from sandbox.errors import UsageError, did_you_mean, unknown


@click.command("list", short_help="List the experiments.")
def list_command():
    """List the experiments: the shipped ones and those in ./experiments."""
    list_experiments()


@click.command("describe", short_help="Print what an experiment, a cell or a task is.")
@click.argument("name")
@click.option(
    "--input-size", metavar="N", type=click.IntRange(1), default=8, show_default=True, help="of a cell's model"
)
@click.option("--output-size", metavar="N", type=click.IntRange(1), default=1, show_default=True, help="the same")
@click.option("--hidden", metavar="N", type=click.IntRange(1, 16_384), default=64, show_default=True, help="the same")
@click.option("--layers", metavar="N", type=click.IntRange(1, 64), default=1, show_default=True, help="the same")
@click.option(
    "--direction", type=click.Choice(["forward", "both"]), default="forward", show_default=True, help="the same"
)
@click.pass_context
def describe_command(ctx, name, **model):
    """Print what there is to know of a name.

    Of an experiment: what it does, its axes, presets and columns. Of a cell, or of another kind of model: its
    equations, its options, and every parameter of a model made of it. Of a task: its protocol, baseline and rule of
    success.
    """
    from sandbox import tasks
    from sandbox.experiment import discover, load
    from sandbox.layers import bodies

    base = name.partition(":")[0]
    if name not in discover() and base in bodies.names():
        _describe_model(name, **model)
    elif name not in discover() and base in tasks.names():
        _refuse_sizes(ctx, model, "task")
        _describe_task(name)
    elif name in discover() or not did_you_mean(base, [*bodies.names(), *tasks.names()]):
        experiment = load(name)
        _refuse_sizes(ctx, model, "experiment")
        _describe_experiment(experiment)
    else:
        raise unknown("experiment, cell or task", name, [*discover(), *bodies.names(), *tasks.names()])


def _refuse_sizes(ctx, model, kind) -> None:
    """Refuse sizes of a model where there is none: they would say nothing of a task or an experiment."""
    for size in model:
        if ctx.get_parameter_source(size) is click.core.ParameterSource.COMMANDLINE:
            flag = size.replace("_", "-")
            raise UsageError(f"--{flag} must be given with a cell, got it with {kind} {ctx.params['name']}")


def _describe_experiment(experiment) -> None:
    click.echo(f"{experiment.name}   {experiment.path}\n")
    click.echo(f"{experiment.description}\n")
    rows = [(f"  {name}", axis_help(axis)) for name, axis in experiment.axes.items()]
    rows.append(("  seed", f"one replicate each  [default: {experiment.seeds} seeds]"))
    rows += [(f"  --{name}", setting.help) for name, setting in experiment.settings.items()]
    print_columns(rows)
    if experiment.data is not None:
        click.echo()
        print_columns(_data_rows(experiment))
    for preset, values in experiment.presets.items():
        shown = "; ".join(f"{name} {_listed(value)}" for name, value in values.items())
        click.echo(f"\npreset {preset}: {shown}", nl=False)
    if experiment.presets:
        click.echo()
    if experiment.table and experiment.table.columns:
        click.echo("\ncolumns: " + ", ".join(dict.fromkeys(column.metric for column in experiment.table.columns)))


def _data_rows(experiment) -> list[tuple[str, str, str]]:
    try:
        found = experiment.reads(experiment.grid())
    except UsageError as error:
        return [("data", str(error), "")]
    return [(f"data {name}", label, note) for name, (label, note) in found.items()] or [("data", "none", "")]


def _listed(value) -> str:
    return ",".join(map(show_scalar, value)) if isinstance(value, (list, tuple)) else show_scalar(value)


def _describe_model(name: str, input_size: int, output_size: int, **model) -> None:
    import inspect
    import sys

    from sandbox import cells
    from sandbox.layers import bodies
    from sandbox.model import Model
    from sandbox.streams import stream

    title, rows, module = bodies.canonical(name), [], bodies.kind(name)
    if module is not None:
        paper = module.PAPER
    else:
        cell, given = cells.parse(name)
        module, paper = sys.modules[cell.reference.__module__], cell.paper
        for option, value in cell.resolve(given).items():
            rule = cell.options[option]
            rows.append((f"  {option}", f"{rule.help + ', ' if rule.help else ''}{rule.describe()}  [here: {value}]"))
    click.echo(f"{title}   {module.__file__}\n")
    click.echo(f"{inspect.getdoc(module)}\n\n{paper}\n")
    if rows:
        print_columns(rows)
    sizes = ", ".join(f"{key} {value}" for key, value in model.items())
    click.echo(f"\nparameters of a model with {input_size} inputs, {output_size} outputs, {sizes}:")
    click.echo(Model(input_size, output_size, cell=name, rng=stream("init", 0), **model).summary())


def _describe_task(name: str) -> None:
    import inspect
    import sys

    from sandbox import tasks

    task = tasks.load(name)
    module = sys.modules[task.sample.__module__]
    click.echo(f"{tasks.canonical(name)}   {module.__file__}\n\n{inspect.getdoc(module)}\n")
    base, variant = tasks.parse(name)
    variants = f"{', '.join(tasks.variants(base))}  [here: {variant}]" if variant else "none"
    print_columns([
        ("  variants", variants), ("  loss", task.loss), ("  head", task.head), ("  solved", task.rule),
        ("  seq_len", f"at least {task.minimum}, usually {task.seq_len}"),
        ("  baseline", f"{task.baseline(task.seq_len):.6g} at seq_len {task.seq_len}"), ("  paper", task.paper),
    ])  # fmt: skip


@click.command("show", short_help="Print the table of a finished run.", params=[out_option(), format_option()])
@click.argument("run")
def show_command(run, out, format):
    """Print the table of a finished run: a path, an experiment (its newest run), or part of a run's name."""
    from sandbox.results import find

    print_run(find(run, out), format)


@click.command("plot", short_help="Draw a finished run.")
@click.argument("run")
@click.option("--out", metavar="FILE", help="a .png or .svg  [default: the .png in the run's folder]")
@click.option("--curve", metavar="NAME", help="another curve than the declared picture's, such as training")
@click.option("--results", metavar="DIR", default="results", show_default=True, help="folder of all results")
def plot_command(run, out, curve, results):
    """Draw a finished run: a path, an experiment (its newest run), or part of a run's name."""
    from sandbox.report.choice import picture_of_curve
    from sandbox.report.picture import save
    from sandbox.results import find, load

    run = load(find(run, results))
    picture = picture_of_curve(run, curve) if curve else None
    if curve and out is None:
        out = run.path / f"{curve}.png"
    try:
        click.echo(f"picture {save(run, out, picture)}")
    except ImportError as error:
        raise UsageError("plot needs Matplotlib, which is missing (pip install rnn-sandbox[plot])") from error


@click.command("cells", short_help="List the cells.")
def cells_command():
    """List the cells: gates, states, parameters for 64 inputs and 64 units, options with their default first, paper.

    Below them the kinds of model without recurrence.
    """
    import math

    from sandbox.cells import load, names
    from sandbox.layers import bodies
    from sandbox.streams import stream

    rows = [("cell", "gates", "states", "parameters", "options", "paper")]
    for name in names():
        cell = load(name)
        options = cell.resolve({})
        size = sum(math.prod(shape) for shape in cell.specialised(options).shapes(64, 64, options).values())
        options = " ".join(f"{option}={rule.describe()}" for option, rule in cell.options.items()) or "-"
        rows.append((name, " ".join(cell.gates), " ".join(cell.states), str(size), options, cell.paper))
    for name in bodies.kinds():
        module, size = bodies.kind(name), bodies.body(name, 64, 64, rng=stream("init", 0)).vector.size
        rows.append((name, "-", "-", str(size), getattr(module, "OPTIONS", "-"), module.PAPER))
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
    """Print versions, the processor, threads, and where kernels are kept and how many the last run compiled and loaded.

    A run of one point has as many threads as there are cores, or as SANDBOX_THREADS says; in a sweep every run has one.
    """
    from sandbox import jit, provenance, threads

    facts = {name: version or "not installed" for name, version in provenance.versions().items()}
    facts |= {"cpu": provenance.cpu_name(), "threads of one run": str(threads.count())}
    print_columns(list({**facts, **jit.describe()}.items()))


COMMANDS = (
    cells_command, describe_command, env_command, list_command, plot_command, show_command, tasks_command,
)  # fmt: skip

"""Commands that measure: the kernels, whole passes and trainings beside PyTorch and JAX, sweeps, and the start."""

from __future__ import annotations

import click

from sandbox.cli.frame import Commands
from sandbox.errors import UsageError

CSV = click.option("--csv", metavar="FILE", type=click.Path(dir_okay=False, writable=True), help="write a CSV as well")
QUICK = click.option(
    "--quick", is_flag=True, help="smaller sizes: whether everything works, not what it costs or how fast it is"
)
AGAINST = click.option(
    "--against", metavar="LIST", help="libraries: torch, jax, none  [default: torch,jax; a dash for one not installed]"
)


@click.group("bench", cls=Commands, invoke_without_command=True)
@click.pass_context
def bench_group(ctx):
    """Measure kernels, passes, training, sweeps and the start, beside PyTorch and JAX where they are installed."""
    if ctx.invoked_subcommand is None:
        names = ", ".join(ctx.command.list_commands(ctx))
        raise UsageError(f"the name of what to measure must be given, got nothing (choose from: {names})")


@bench_group.command("gemm")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="one type instead of both")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="time to spend on each shape")
@CSV
def bench_gemm_command(**options):
    """Matrix product: the kernel against np.dot and against the peak of the machine."""
    from sandbox.bench.gemm import gemm

    gemm(**{name: value for name, value in options.items() if value is not None})


@bench_group.command("step")
@AGAINST
@QUICK
@CSV
def bench_step_command(against, quick, csv):
    """Forward and backward pass of one layer, against PyTorch, JAX and the limit of the machine."""
    from sandbox.bench.step import step

    step(csv, against, quick)


@bench_group.command("parts")
@QUICK
@CSV
def bench_parts_command(quick, csv):
    """Where a forward and backward pass spends its time, and how near to the machine's peak each part is."""
    from sandbox.bench.parts import parts

    parts(csv, quick)


@bench_group.command("update")
@AGAINST
@QUICK
@CSV
def bench_update_command(against, quick, csv):
    """One training update: new batch, pass, clipping, Adam; against the pass alone, PyTorch and JAX."""
    from sandbox.bench.update import update

    update(csv, against, quick)


@bench_group.command("job")
@AGAINST
@QUICK
@CSV
def bench_job_command(against, quick, csv):
    """A whole training in a process of its own, until the task is solved: against PyTorch and JAX."""
    from sandbox.bench.job import job

    job(csv, against, quick)


@bench_group.command("start")
@QUICK
@CSV
def bench_start_command(quick, csv):
    """Seconds until there is help, a first kernel, and all kernels from an empty cache."""
    from sandbox.bench.start import start

    start(csv, quick)


@bench_group.command("scaling")
@QUICK
@CSV
def bench_scaling_command(quick, csv):
    """Time against steps and sequences, memory, checkpoints, float64 against float32."""
    from sandbox.bench.scaling import scaling

    scaling(csv, quick)


@bench_group.command("crossover")
@QUICK
@CSV
def bench_crossover_command(quick, csv):
    """Time and memory of recurrent layers and self-attention against the length of the sequence."""
    from sandbox.bench.crossover import crossover

    crossover(csv, quick)


@bench_group.command("sweep")
@click.option("--against", metavar="LIST", help="who does the same trainings: torch, jax, none  [default: torch]")
@QUICK
@CSV
def bench_sweep_command(against, quick, csv):
    """Sweeps: overhead per point, two workers against one and against PyTorch, listing and comparing large results."""
    from sandbox.bench.sweep import sweep

    sweep(csv, against, quick)


COMMANDS = (bench_group,)

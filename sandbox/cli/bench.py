"""Commands that measure: the kernels, whole passes and trainings beside PyTorch and JAX, sweeps, and the start."""

from __future__ import annotations

import importlib

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


def _measure(name: str, text: str, *options) -> None:
    """Add the command for the function of this name in its module of `sandbox.bench`; options are its arguments."""

    def run(**given):
        function = getattr(importlib.import_module(f"sandbox.bench.{name}"), name)
        function(**{option: value for option, value in given.items() if value is not None})

    command = bench_group.command(name, help=text)(run)
    for option in options:
        option(command)


_measure(
    "gemm", "Matrix product: the kernel against np.dot and against the peak of the machine.",
    click.option("--dtype", type=click.Choice(["float32", "float64"]), help="one type instead of both"),
    click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="time to spend on each shape"),
    CSV,
)  # fmt: skip
_measure("step", "Forward and backward pass of one layer, against PyTorch, JAX and the limit of the machine.",
         AGAINST, QUICK, CSV)  # fmt: skip
_measure("parts", "Where a forward and backward pass spends its time, and how near to the machine's peak each part is.",
         QUICK, CSV)  # fmt: skip
_measure("update", "One training update: new batch, pass, clipping, Adam; against the pass alone, PyTorch and JAX.",
         AGAINST, QUICK, CSV)  # fmt: skip
_measure("job", "A whole training in a process of its own, until the task is solved: against PyTorch and JAX.",
         AGAINST, QUICK, CSV)  # fmt: skip
_measure("start", "Seconds until there is help, a first kernel, and all kernels from an empty cache.", QUICK, CSV)
_measure("scaling", "Time against steps and sequences, memory, checkpoints, float64 against float32.", QUICK, CSV)
_measure("crossover", "Time and memory of recurrent layers and self-attention against the length of the sequence.",
         QUICK, CSV)  # fmt: skip
_measure(
    "sweep",
    "Sweeps: overhead per point, two workers against one and against PyTorch, listing and comparing large results.",
    click.option("--against", metavar="LIST", help="who does the same trainings: torch, jax, none  [default: torch]"),
    QUICK, CSV,
)  # fmt: skip

COMMANDS = (bench_group,)

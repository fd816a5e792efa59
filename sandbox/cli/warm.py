"""The command that compiles every cell's kernels, so that no later command has to."""

from __future__ import annotations

import click

from sandbox.errors import UsageError

# Between them they need all that a cell has: the pass and its gradient by every state; training and evaluation.
EXPERIMENTS = ("vanishing", "length")


@click.command("warm", short_help="Compile every cell's kernels.")
@click.option("--cell", metavar="LIST", help="these cells only, with commas  [default: all]")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="one type  [default: both]")
def warm_command(cell, dtype):
    """Compile the kernels of every cell, for gradients and for training, in both types; what is there is left alone.

    Small points of `vanishing` and `length` are run, which also tells later sweeps of these that nothing is missing.
    """
    from sandbox import jit
    from sandbox.cells import canonical, names
    from sandbox.experiment import load
    from sandbox.report.progress import bar
    from sandbox.sweep import Point
    from sandbox.warm import warm

    chosen = [canonical(name.strip()) for name in cell.split(",")] if cell else names()
    if not jit.COMPILED:
        raise UsageError("kernels must be compiled to be kept, got NUMBA_DISABLE_JIT=1 (unset it)")
    if jit.cache_directory() is None:
        raise UsageError("the kernel cache must be writable to keep kernels, got none (set SANDBOX_CACHE_DIR)")
    points = []
    for experiment in map(load, EXPERIMENTS):
        first = {name: axis.resolve(axis.default)[0] for name, axis in experiment.axes.items()}
        points += [(experiment, Point({**first, "cell": name, "dtype": kind}, 0))
                   for name in chosen for kind in ([dtype] if dtype else ["float32", "float64"])]  # fmt: skip
    try:
        with bar(len(points), jit.stats) as progress:
            for experiment, point in points:
                warm(experiment, [point])
                progress.advance()
    except KeyboardInterrupt as interrupt:
        raise type(interrupt)("the kernels compiled so far are kept") from None
    found = jit.stats()
    click.echo(f"compiled {found['compiled']} kernels in {found['seconds']} s   {jit.cache_directory()}")


COMMANDS = (warm_command,)

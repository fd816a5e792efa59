"""The command line: thin commands over the library.

Input that breaks a rule is one line on standard error and exit code 2. Nothing heavy is imported here: ``--help`` must
answer at once. Exit codes: 0 done; 1 done, but points failed, nothing matched, a gate failed, or something is damaged;
2 bad input; 130 and 143 interrupted.
"""

import os

import click

from sandbox import __version__
from sandbox.cli import bench, compare, data, generate, results, show, sql, warm
from sandbox.cli.frame import HELP, CommandLine
from sandbox.cli.run import run_group
from sandbox.provenance import THREADS


@click.group("sandbox", cls=CommandLine, context_settings=HELP, invoke_without_command=True)
@click.version_option(__version__, message="rnn-sandbox %(version)s")
@click.pass_context
def cli(ctx):
    """Study how gradients vanish, explode and are kept alive in recurrent networks."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _module in (bench, compare, data, generate, results, show, sql, warm):
    for _command in _module.COMMANDS:
        cli.add_command(_command)
cli.add_command(run_group)


def main() -> None:
    """Run the command line and exit; as in a worker there is one thread for products, unless the caller says more."""
    for name in THREADS:
        os.environ.setdefault(name, "1")
    cli()

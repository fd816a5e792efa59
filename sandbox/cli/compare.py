"""The commands `compare` and `reproduce`: runs beside runs, beside published numbers, and beside themselves.

Exit codes: 0 done; 1 nothing matched, a gate failed, or a run that was made again differs; 2 bad input.
"""

from __future__ import annotations

import sys

import click

from sandbox.cli.frame import format_option, out_option, print_columns
from sandbox.errors import UsageError, shorten

TO = "published"


@click.command("compare", short_help="Compare runs with the first one, or a run with published numbers.")
@click.argument("runs", nargs=-1, metavar="A B [C ...]")
@click.option("--by", metavar="AXES", help="axes whose combinations are the rows  [default: all that vary]")
@click.option("--metric", metavar="LIST", help="metrics  [default: the numeric columns of A's table]")
@click.option(
    "--same",
    metavar="MARGIN",
    default="1%",
    show_default=True,
    help="what still counts as the same: per cent of |A|, or an absolute difference such as 0.01",
)
@click.option(
    "--better", multiple=True, metavar="METRIC=SIDE", help="which side is better, lower or higher; repeatable"
)
@click.option(
    "--fail-if",
    "--fail_if",
    multiple=True,
    metavar="GATE",
    help="exit 1 if a row satisfies this: 'loss > +5%', 'loss > 0.1', 'solved worse'; repeatable",
)
@click.option("--to", metavar=f"{TO}[:KEY]", help="put one run beside published numbers, or beside one of them")
@click.option("--list", "listing", is_flag=True, help=f"with --to {TO}: print its rows that have all the words given")
@click.pass_context
def compare_command(ctx, runs, by, metric, same, better, fail_if, to, listing, out, format):
    """Compare every further run with A: matched on axes, paired on seeds, with an interval and a word for each row.

    A run is a path, an experiment (its newest run), or part of a run's name. GATE is METRIC, one of > >= < <=, and a
    number of the difference to A, or of per cent with %; or METRIC and better, worse, higher, lower, inconclusive or
    differs. Exit code 1 means that nothing matched or that a gate failed.
    """
    from sandbox.comparison import NothingMatched

    try:
        if to is not None:
            _refuse_with_to(ctx)
            return _published(runs, to, by, metric, listing, out, format)
        if listing:
            raise UsageError(f"--list must be given with --to {TO}")
        return _compare(runs, by, metric, same, better, fail_if, out, format)
    except NothingMatched as nothing:
        click.echo(str(nothing), err=True)
        return 1


compare_command.params += [out_option(), format_option()]


def _compare(runs, by, metric, same, better, fail_if, out, format) -> int:
    from sandbox.comparison import Gate, compare, report
    from sandbox.comparison.report import MOST_ROWS, PEOPLE, top, write

    if len(runs) < 2:
        raise UsageError(
            f"compare must have two runs or more, got {len(runs)} (or one run and --to {TO}; cells of one run: run "
            "each by itself, which copies what is done)"
        )
    gates = [Gate.read(text) for text in fail_if]
    sides = dict(_side(text) for text in better)
    comparison = compare(
        *_load(runs, out), by=_names("--by", by), metric=_names("--metric", metric), better=sides, same=same,
        extra=[gate.metric for gate in gates],
    )  # fmt: skip
    failures = [line for gate in gates for line in gate.check(comparison)]
    most = MOST_ROWS if format in PEOPLE else None
    write(report(comparison, most), top(comparison), format, sys.stdout, sys.stderr)
    sys.stdout.flush()
    for line in failures:
        click.echo(line, err=True)
    return 1 if failures else 0


def _published(runs, to, by, metric, listing, out, format) -> int:
    from sandbox.comparison import published
    from sandbox.comparison.report import write

    kind, colon, key = to.partition(":")
    if kind != TO or (colon and not key):
        raise UsageError(f"--to must be {TO} or {TO}:KEY, got {shorten(to) or 'nothing'}")
    table = published.entries(out)
    if listing:
        return _list(published.search(table, [*runs, *([key] if key else [])]))
    if len(runs) != 1:
        raise UsageError(f"compare --to {TO} must have one run, got {len(runs)}")
    (run,) = _load(runs, out)
    fits = published.beside(run, table, key or None, _names("--by", by), _names("--metric", metric))
    write(published.report(run, fits), [], format, sys.stdout, sys.stderr)
    return 0


def _list(rows) -> int:
    if not rows:
        click.echo("no published row has these words", err=True)
        return 1
    names = ("key", "task", "model", "metric", "value", "paper", "year")
    print_columns([names, *([row[name] for name in names] for row in rows)])
    return 0


def _refuse_with_to(ctx) -> None:
    """Options of a comparison of runs mean nothing beside a number without a spread."""
    for name, option in (("fail_if", "--fail-if"), ("better", "--better"), ("same", "--same")):
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"{option} must not be given with --to {TO}: a published number has no spread")


def _load(names, root) -> list:
    from sandbox.results import find, load
    from sandbox.results.folder import outline

    runs = [load(find(name, root)) for name in names]
    for run in runs:
        if len(run) == 0:
            raise UsageError(f"{run.path} must have rows to be compared, got none ({outline(run.path)['status']})")
    return runs


def _names(option: str, text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise UsageError(f"{option} must be names with commas between, got {shorten(text) or 'nothing'}")
    return names


def _side(text: str) -> tuple[str, str]:
    metric, equals, side = text.partition("=")
    if not (equals and metric):
        raise UsageError(f"--better must be METRIC=lower or METRIC=higher, got {shorten(text) or 'nothing'}")
    return metric.strip(), side.strip()


# ------------------------------------------------------------------------------------------------ made again


def rerun(run, root, jobs=None):
    """Run the grid, settings and seeds of a run again, every point, and return the new run, loaded."""
    from sandbox import study
    from sandbox.cli.run import run_plan, say_notes
    from sandbox.results import load

    planned = study.repetition(run, root)
    say_notes(planned)
    path, _ = run_plan(planned, study.Spread(jobs))
    return load(path)


@click.command("reproduce", short_help="Run a finished run again and say whether it came out the same.")
@click.argument("run")
@click.option(
    "--within",
    metavar="SIZE",
    type=click.FloatRange(0, 1),
    default=1e-6,
    show_default=True,
    help="largest relative deviation of a number that does not count as different",
)
@click.option("--jobs", metavar="N", type=click.IntRange(1), help="worker processes  [default: as run has it]")
def reproduce_command(run, within, jobs, out):
    """Run a finished run again: identical, within 1e-k, or differs, and what has changed around it.

    Exit code 1 means that it differs.
    """
    from sandbox.comparison.reproduce import reproduce

    (first,) = _load([run], out)
    again = rerun(first, out, jobs)
    found = reproduce(first, again, within)
    for line in [*found.lines(), f"then {first.path}/", f"now  {again.path}/"]:
        click.echo(line)
    return 1 if found.word == "differs" else 0


reproduce_command.params.append(out_option())

COMMANDS = (compare_command, reproduce_command)

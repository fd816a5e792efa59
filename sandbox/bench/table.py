"""Tables of figures, row by row as they are measured: in colours on a terminal, plain in a pipe, and CSV."""

from __future__ import annotations

import contextlib
import csv as csv_format
import os
import sys
import time
from collections.abc import Mapping, Sequence

from sandbox import provenance
from sandbox.errors import UsageError

__all__ = ["Report", "load"]


def load() -> str:
    """How many processes wanted a core in the last minute, `-` where the system does not say."""
    try:
        return f"{os.getloadavg()[0]:.1f}"
    except (AttributeError, OSError):
        return "-"


class Report:
    """Where lines, tables and CSV rows go; a context manager.

    Parameters
    ----------
    csv : path, optional
        File for all rows at full precision, with date, load, machine and versions in every one.
    columns : sequence of str
        Of the CSV.

    Raises
    ------
    UsageError
        The file cannot be written.
    """

    def __init__(self, csv, columns: Sequence[str]):
        self.stack, self.stream, self.writer = contextlib.ExitStack(), sys.stdout, None
        self.machine = f"{provenance.cpu_name()}, {os.cpu_count()} cores"
        self.versions = "python " + provenance.versions()["python"]
        self.console = self.status = None
        if self.stream.isatty():
            from rich.console import Console

            self.console = Console(file=self.stream, highlight=False, emoji=False, markup=False)
        if csv is not None:
            try:
                file = self.stack.enter_context(open(csv, "w", newline="", encoding="utf-8"))
            except OSError as error:
                raise UsageError(f"--csv must be a file that can be written, got {csv} ({error.strerror})") from error
            self.file = file
            self.writer = csv_format.DictWriter(
                file,
                [*columns, "date", "load", "machine", "versions"],
                lineterminator="\n",
                restval="",
                extrasaction="ignore",
            )
            self.writer.writeheader()

    def __enter__(self) -> Report:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self.end()
        if isinstance(error, KeyboardInterrupt) and self.writer:
            error.args = (f"the rows measured so far are in {self.file.name}",)
        self.stack.close()

    def describe(self, versions: Mapping[str, str | None]) -> None:
        """Say what is measured on, with which versions of what is there."""
        self.versions = ", ".join(f"{name} {value}" for name, value in versions.items() if value)
        now = time.strftime("%Y-%m-%d %H:%M")
        self.line(f"{self.machine}; {self.versions}; {now}, load {load()}", "dim")

    def line(self, text: str, style: str | None = None) -> None:
        """Print one line; a terminal may break it, nothing is cut off."""
        self.end()
        if self.console:
            self.console.print(text, style=style, soft_wrap=True)
        else:
            print(text, file=self.stream, flush=True)

    def say(self, text: str) -> None:
        """Show what is being measured, on a terminal, until the next line."""
        if self.console and self.status is None:
            self.status = self.console.status(text)
            self.status.start()
        elif self.console:
            self.status.update(text)

    def begin(self, title: str, headings: Sequence[tuple[str, int]]) -> None:
        """Start a table: its columns' headings and widths, negative for text, which is aligned to the left."""
        self.line("")
        self.line(title, "bold")
        self.headings = headings
        self.line(self._aligned([heading for heading, _ in headings]), "bold")

    def row(self, texts: Sequence[str], figures: Mapping | None = None, missed: bool = False) -> None:
        """Add a row to the table, and its figures to the CSV."""
        self.line(self._aligned(texts), "yellow" if missed else None)
        if figures is not None:
            self.record(figures)

    def record(self, figures: Mapping) -> None:
        """Write a row to the CSV alone."""
        if self.writer:
            facts = {"date": time.strftime("%Y-%m-%dT%H:%M:%S"), "load": load(), "machine": self.machine,
                     "versions": self.versions}  # fmt: skip
            self.writer.writerow({**figures, **facts})
            self.file.flush()

    def end(self) -> None:
        """Take away what `say` shows."""
        if self.status:
            self.status.stop()
            self.status = None

    def _aligned(self, texts: Sequence[str]) -> str:
        cells = (f"{text:<{-width}}" if width < 0 else f"{text:>{width}}"
                 for text, (_, width) in zip(texts, self.headings, strict=True))  # fmt: skip
        return "  ".join(cells).rstrip()

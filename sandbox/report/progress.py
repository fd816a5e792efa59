"""The progress bar of a sweep: points, rate, time left, and compiling told apart from running."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

Stats = Callable[[], dict | None]


_say: Callable[..., None] | None = None  # what runs inside a point may say how far it is, to one who looks


def watch(say: Callable[..., None] | None) -> None:
    """Let `say` be called with the texts of every `note` from now on; None: nobody looks."""
    global _say
    _say = say


def watched() -> bool:
    """Whether anyone would see a `note`."""
    return _say is not None


def note(*texts: str) -> None:
    """Say what the running point is doing, below the bar: the first of the texts, which grow shorter, that fits.

    Replaced by the next note, gone with the point; nothing where nobody looks. A worker process sends it to its parent.
    """
    if _say is not None:
        _say(*texts)


class Silent:
    """Progress nobody looks at: standard error is not a terminal."""

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        pass

    def advance(self) -> None:
        """Take note of a finished point."""


def bar(total: int, stats: Stats, stream: TextIO | None = None):
    """Return a context manager whose ``advance()`` is called after every point; silent when not on a terminal.

    Parameters
    ----------
    total
        Number of points.
    stats
        Returns the kernel counters, or None while no kernel is in use.
    """
    stream = stream or sys.stderr
    return _Bar(total, stats, stream) if stream.isatty() else Silent()


class _Bar:
    def __init__(self, total: int, stats: Stats, stream: TextIO):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
        from rich.table import Column
        from rich.text import Text

        def line(text: str, style: str = "") -> Text:
            return Text(text, style=style, overflow="ellipsis", no_wrap=True)

        owner = self

        class Doing(ProgressColumn):
            def render(self, task) -> Text:
                return line(owner.doing())

        class Pace(ProgressColumn):
            def render(self, task) -> Text:
                return line(owner.pace(task.completed, task.total), "dim")

        self.stats = stats
        before = stats() or {}  # some kernels are compiled by importing the experiment
        self.compiled = before.get("compiled", 0)
        self.compile_start = self.compile_end = before.get("seconds", 0.0)
        self.compiling, self.said = False, ()
        self.started = time.perf_counter()

        class TwoLines(Progress):
            def get_renderables(self):
                yield self.make_tasks_table(self.tasks)
                if owner.said:
                    width = self.console.width
                    yield line(next((text for text in owner.said if len(text) < width), owner.said[-1]), "dim")

        # In a narrow terminal what is being done is cut short, and the bar, before the numbers are.
        whole = {"table_column": Column(no_wrap=True)}
        bar = BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=24))
        columns = (
            Doing(table_column=Column(min_width=7)),
            bar,
            MofNCompleteColumn(**whole),
            TextColumn("points", **whole),
            Pace(**whole),
        )
        self.progress = TwoLines(*columns, console=Console(file=stream), transient=True)
        self.task = self.progress.add_task("", total=total)

    def __enter__(self):
        watch(self.say)
        self.progress.start()
        return self

    def __exit__(self, *error) -> None:
        watch(None)
        self.progress.stop()

    def say(self, *texts: str) -> None:
        """Show the first of the texts that fits below the bar."""
        self.said = texts

    def advance(self) -> None:
        """Take note of a finished point, and of what it had to compile."""
        stats = self.stats() or {}
        self.compiled = stats.get("compiled", 0)
        self.compile_end = stats.get("seconds", 0.0)
        self.compiling = False
        self.said = ()
        self.progress.advance(self.task)

    def doing(self) -> str:
        """Return what the sweep is doing; kernels finished since the last point mean that it is compiling."""
        count = (self.stats() or {}).get("compiled", 0)
        self.compiling = self.compiling or count > self.compiled
        return f"compiling kernels (first run only), {count} done" if self.compiling else "running"

    def pace(self, done: int, total: int) -> str:
        """Return points per second and the time left, compile time not counted."""
        if not done:
            return ""
        compiling = self.compile_end - self.compile_start
        seconds = max(time.perf_counter() - self.started - compiling, 1e-9)
        left = round(seconds / done * (total - done))
        return f"{done / seconds:.1f}/s, {left // 60}:{left % 60:02d} left"

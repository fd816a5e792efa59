"""What holds for all commands: one-line errors, exit codes, interrupts, closed pipes, printing in columns."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager

import click

from sandbox.errors import UsageError, did_you_mean, unknown
from sandbox.report import FORMATS
from sandbox.report.wrapping import fill, pad, size, words

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Terminated(KeyboardInterrupt):
    """SIGTERM: handled like Ctrl-C, with an exit code of its own."""


class _First:
    """What the first Ctrl-C does instead of stopping at once."""

    def __init__(self, act: Callable[[], None]):
        self.act, self.heard = act, False


_first: _First | None = None


@contextmanager
def first_interrupt(act: Callable[[], None]):
    """Let the first Ctrl-C call `act`, inside the signal's handler; the next one stops at once, as ever."""
    global _first
    _first = _First(act)
    try:
        yield
    finally:
        _first = None


@contextmanager
def _interruptible():
    """Turn SIGINT and SIGTERM into exceptions for a while; a signal the parent chose to ignore stays ignored.

    While a kernel is compiled, loaded or called the exception waits until that is done, a second or two: raised in
    Python code that the compiler's own C code calls it would be lost, be turned into a ``SystemError``, or leave a
    library half built.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers
        return
    timed = hasattr(signal, "setitimer")
    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGALRM] if timed else [])]
    handlers = {number: signal.getsignal(number) for number in numbers}
    hook, interrupt = sys.unraisablehook, KeyboardInterrupt

    def stop(number, frame):
        nonlocal interrupt
        if number == signal.SIGINT and _first is not None and not _first.heard:
            _first.heard = True
            _first.act()
            return
        interrupt = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}.get(number, interrupt)
        if timed and _in_compiler(frame):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            return
        sys.unraisablehook = swallowed
        raise interrupt

    def swallowed(unraisable):
        # Raised inside a destructor the interrupt got no further: raise it again outside. What else is torn down then
        # complains without need.
        if timed and issubclass(unraisable.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.02)

    for number, handler in handlers.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        sys.unraisablehook = hook


def _in_compiler(frame) -> bool:
    """Whether any function on the stack belongs to the compiler."""
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name.partition(".")[0] in ("numba", "llvmlite") or name == "sandbox.jit":
            return True
        frame = frame.f_back
    return False


class Commands(click.Group):
    """A group that names the nearest command."""

    def resolve_command(self, ctx, args):
        """Find a subcommand, or name the nearest one."""
        if args and self.get_command(ctx, args[0]) is None:
            raise self._unknown(ctx, args[0])
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx, name):
        from sandbox.experiment import discover

        if ctx.parent is None and name in discover():
            return UsageError(f"unknown command '{name}' (an experiment: sandbox run {name})")
        kind = "command" if ctx.parent is None else f"{ctx.info_name} command"
        return unknown(kind, name, self.list_commands(ctx))


class CommandLine(Commands):
    """The group of all commands: one-line errors, exit codes, interrupts and closed pipes in one place."""

    def main(self, args=None, prog_name=None, **extra):
        """Run a command line and exit."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a terminal that cannot show a character must not end a study
                stream.reconfigure(errors="backslashreplace")
        if any("\0" in text for text in (sys.argv[1:] if args is None else args)):
            sys.exit(_complain("an argument must be text without a zero byte"))  # no system passes one on; tests may
        try:
            code = super().main(args, prog_name or "sandbox", **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            code = _complain(_click_message(error))
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx):
        """Run the command of this context; what goes wrong becomes an exit code."""
        try:
            with _interruptible():
                code = super().invoke(ctx)
                sys.stdout.flush()
            return code
        except UsageError as error:
            return _complain(str(error))
        except BrokenPipeError:
            # The reader has what it wanted. Python would complain once more while it closes standard output.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + 13
        except OSError as error:
            return _complain(f"{error.filename or 'cannot go on'}: {error.strerror or error}")
        except KeyboardInterrupt as interrupt:
            return _interrupted(interrupt)


def _complain(message: str) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return 2


def _interrupted(interrupt: KeyboardInterrupt) -> int:
    click.echo(f"interrupted: {interrupt.args[0] if interrupt.args else 'nothing was kept'}", err=True)
    return 143 if isinstance(interrupt, Terminated) else 130


def _click_message(error: click.ClickException) -> str:
    """Return click's complaint in the house style."""
    if isinstance(error, click.NoSuchOption):
        names = [name for parameter in error.ctx.command.get_params(error.ctx) for name in parameter.opts]
        near = did_you_mean(error.option_name, names) or f" of {error.ctx.command_path}"
        return f"unknown option {error.option_name}{near.replace(chr(39), '')}"
    message = error.format_message()
    if isinstance(error, click.BadParameter) and error.param is not None and error.ctx is not None:
        if error.ctx.get_parameter_source(error.param.name) is click.core.ParameterSource.ENVIRONMENT:
            message = f"{message.rstrip('.')} (from {error.param.envvar})"
        message = message.replace("integer range", "whole number").replace("float range", "number")
    return message[:1].lower() + message[1:].rstrip(".")


def print_columns(rows: Sequence[Sequence[str]], err: bool = False) -> None:
    """Print rows of text in columns as wide as their content.

    On a terminal that is too narrow as many columns as leave room are aligned; the others follow below each other,
    wrapped by words.
    """
    widths = [max(map(size, column)) for column in zip(*rows, strict=True)]
    stream = sys.stderr if err else sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else None
    aligned = len(widths) if width is None else _aligned(widths, width)
    for row in rows:
        first = "  ".join(map(pad, row[:aligned], widths))
        rest = [text for text in row[aligned:] if text]
        if not rest:
            click.echo(first.rstrip(), err=err)
        first += "  " if aligned else ""
        for text in rest:
            indent = " " * (size(first) if aligned else 0 if text is rest[0] else 4)
            hanging = indent + "  " * (len(rest) > 1)
            for line in fill(words(text), width, first if text is rest[0] else indent, hanging):
                click.echo(line, err=err)


def print_words(text: str) -> None:
    """Print a line that belongs to a table, one place from the edge; on a terminal it is wrapped by words."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else float("inf")
    for line in fill(words(text), width, " ", "   "):
        click.echo(line)


def _aligned(widths: Sequence[int], width: int) -> int:
    """Return how many columns from the left can be aligned with room for the others behind them."""
    if sum(widths) + 2 * (len(widths) - 1) <= width:
        return len(widths)
    room = [min(max(24, width // 4), max(widths[at:])) for at in range(len(widths))]
    return max((at for at in range(len(widths)) if sum(widths[:at]) + 2 * at + room[at] <= width), default=0)


def out_option() -> click.Option:
    """The option that says where results are."""
    return click.Option(["--out"], metavar="DIR", default="results", show_default=True, help="folder of all results")


def format_option() -> click.Option:
    """The option that says how a table is printed."""
    text = "of the table  [default: rich on a terminal, plain elsewhere]"
    return click.Option(["--format"], type=click.Choice(FORMATS), help=text)

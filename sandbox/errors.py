"""How this project says that something is wrong: one line, `<thing> must be <rule>, got <value> (<hint>)`."""

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path

__all__ = ["IMPORT_ERRORS", "UsageError", "did_you_mean", "not_importable", "shorten", "unknown"]

# What can go wrong while a file that somebody is working on is imported.
IMPORT_ERRORS = (
    SyntaxError, ImportError, NameError, AttributeError, TypeError, ValueError, LookupError, ArithmeticError,
    OSError, RuntimeError, AssertionError, MemoryError,
)  # fmt: skip


class UsageError(ValueError):
    """Input that breaks a stated rule; the command line prints it on one line and exits 2."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ``"; did you mean 'lstm'?"`` for the nearest of `names`, or an empty string."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def shorten(text: str, width: int = 40) -> str:
    """Return `text` on one line and at most `width` characters long, for use inside an error message."""
    line = " ".join(str(text).split())
    return line if len(line) <= width else line[: width - 3] + "..."


def unknown(kind: str, name: str, names: Iterable[str]) -> UsageError:
    """The error for a name that is not one of `names`: with the nearest one, or else with all of them."""
    names = list(names)
    hint = did_you_mean(str(name), names) or f" (choose from: {', '.join(names) or 'none'})"
    return UsageError(f"unknown {kind} '{shorten(name)}'{hint}")


def not_importable(path: Path, error: BaseException) -> UsageError:
    """The error for a file whose import raised one of `IMPORT_ERRORS`: it names the file, the line and the cause."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return UsageError(f"{path} line {error.lineno} cannot be imported: {error.msg}")
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    kind = "" if isinstance(error, UsageError) else f"{type(error).__name__}: "
    return UsageError(f"{path} line {lines[-1] if lines else 1} cannot be imported: {kind}{shorten(str(error), 200)}")

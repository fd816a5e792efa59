"""How this project says that something is wrong: one line, `<thing> must be <rule>, got <value> (<hint>)`."""

import difflib
from collections.abc import Iterable

__all__ = ["UsageError", "did_you_mean", "shorten", "unknown"]


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

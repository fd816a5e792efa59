"""Axes of an experiment: which values are allowed, and how a flag such as ``0.5:1.5:0.25`` is read.

An axis is a named list of scalars that a sweep walks through. The grammar of a flag:

==================  =======================================================================
``32,64``           a list
``0.5:1.5:0.25``    start:stop:step; stop is included when it is hit; exact decimal arithmetic
``all``             every choice of an axis that has choices
``0.5:1:0.25,2``    parts can be combined; duplicates are dropped, the first one stays
==================  =======================================================================
"""

from __future__ import annotations

import decimal
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

from sandbox.errors import UsageError, shorten, unknown

__all__ = ["Axis", "Scalar", "Setting", "show_scalar"]

MOST_VALUES = 10_000
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_TRUTH = {"true": True, "false": False}

Scalar = int | float | str | bool


@dataclass(frozen=True)
class Setting:
    """A text option of an experiment that is not an axis, such as ``--text FILE``.

    Parameters
    ----------
    name, help
        Option name (without dashes) and the line shown by ``--help``.
    implies
        ``(axis, value)``: giving the setting sets the axis to that value, and contradicting it is an error.
    requires
        Name of another setting that must be given as well.
    metavar
        What ``--help`` shows for the value.
    parse
        Called once with the text before anything runs; its result is what the experiment receives. It may raise
        ``ValueError`` or ``OSError``.
    """

    name: str
    help: str = ""
    implies: tuple[str, Scalar] | None = None
    requires: str | None = None
    parse: Callable[[str], object] | None = None
    metavar: str = "TEXT"


@dataclass(frozen=True)
class Axis:
    """The default values of one axis and the rule every value of it must meet.

    Parameters
    ----------
    default
        Values used when the flag is not given.
    kind
        ``int``, ``float``, ``str`` or ``bool``; taken from `default` when left out.
    choices
        Allowed values, or a function returning them (called only when a value is checked or shown).
    minimum, maximum, above, below
        Bounds of a number; those of `above` and `below` are themselves excluded.
    accept
        Called with a text that is not one of the choices: returns how it is written if it will do all the same, raises
        `UsageError` if not.
    help
        One line for ``run NAME --help``.

    Examples
    --------
    >>> Axis(kind=float, minimum=0).resolve("0.5:1:0.25,2")
    [0.5, 0.75, 1.0, 2.0]
    """

    default: Sequence[Scalar] = ()
    _: KW_ONLY
    kind: type | None = None
    choices: Sequence[Scalar] | Callable[[], Sequence[Scalar]] | None = None
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    accept: Callable[[str], str] | None = None
    help: str = ""
    name: str = "value"

    def allowed(self) -> list[Scalar] | None:
        """Return the choices as a list, or None when any value that meets the rule will do."""
        if self.kind is bool:
            return [False, True]
        if self.choices is None:
            return None
        return list(self.choices() if callable(self.choices) else self.choices)

    def rule(self) -> str:
        """Return the rule in words, as used in error messages and in the help text."""
        choices = self.allowed()
        if choices is not None:
            return f"one of {', '.join(map(show_scalar, choices))}"
        if self.kind is str:
            return "a non-empty text"
        noun = "a whole number" if self.kind is int else "a finite number"
        if self.below is not None:
            upper = f"below {_plain(self.below)}"
        else:
            upper = "" if self.maximum is None else _plain(self.maximum)
        if self.minimum is not None:
            lower, join = f" from {_plain(self.minimum)}", " to "
        else:
            lower = "" if self.above is None else f" above {_plain(self.above)}"
            join = " up to " if self.below is None else " and " if lower else " "
        return noun + lower + (join + upper if upper else "")

    def resolve(self, values: str | Scalar | Sequence[Scalar]) -> list[Scalar]:
        """Return the checked values of a flag's text, of a scalar or of a list, without duplicates.

        Raises
        ------
        UsageError
            When there is no value, or one of them breaks the rule.
        """
        if isinstance(values, str):
            checked = [value for part in values.split(",") for value in self._part(part.strip())]
        else:
            listed = values if isinstance(values, (list, tuple, range)) or hasattr(values, "tolist") else [values]
            checked = [self.check(value) for value in listed]
        if not checked:
            raise self._broken("", "the list is empty")
        if len(checked) > MOST_VALUES:
            raise UsageError(f"{self.name} must have at most {MOST_VALUES} values, got {len(checked)}")
        return list(dict.fromkeys(checked))

    def check(self, value: object, shown: object = None) -> Scalar:
        """Return one value as the axis' own kind, or raise `UsageError` naming it as it was typed (`shown`)."""
        shown = value if shown is None else shown
        value = value.item() if hasattr(value, "item") else value
        if self.kind is float and type(value) is int and abs(value) < 2**53:
            value = float(value)
        if type(value) is not self.kind:
            raise self._broken(shown)
        choices = self.allowed()
        if choices is not None and value not in choices:
            if self.accept is not None:
                return self.accept(value)
            if self.kind is str:
                raise unknown(self.name, value, choices)
            raise self._broken(shown)
        if value == "" or (self.kind in (int, float) and not self._inside(value)):
            raise self._broken(shown)
        if self.kind is str and not value.isprintable():  # a row must stay a line
            raise self._broken(repr(value), "a line break or another character that cannot be printed")
        return value + 0.0 if self.kind is float else value  # -0.0 becomes 0.0: one value, one row

    def _inside(self, number: float) -> bool:
        return (
            math.isfinite(number)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
            and (self.minimum is None or number >= self.minimum)
            and (self.maximum is None or number <= self.maximum)
        )

    def _part(self, text: str) -> list[Scalar]:
        """Read one comma-separated part of a flag."""
        if not text:
            raise self._broken(text, "empty value")
        if text == "all":
            choices = self.allowed()
            if choices is None:
                raise self._broken(text, "'all' needs an axis with choices")
            return choices
        if ":" in text and self.kind in (int, float):
            return self._range(text)
        return [self.check(self._read(text), text)]

    def _read(self, text: str) -> Scalar:
        """Turn one piece of text into the axis' kind; what does not look like one breaks the rule."""
        if self.kind is int and _WHOLE.fullmatch(text):
            return int(text)
        if self.kind is float and _NUMBER.fullmatch(text):
            return float(text)
        if self.kind is bool and text.lower() in _TRUTH:
            return _TRUTH[text.lower()]
        if self.kind is str:
            return text
        raise self._broken(text)

    def _range(self, text: str) -> list[Scalar]:
        """Read ``start:stop:step`` in decimal, so that 0.1:0.3:0.1 gives 0.3 and not 0.30000000000000004."""
        parts = text.split(":")
        if len(parts) != 3:
            raise UsageError(f"{self.name} range must be start:stop:step, got {shorten(text)}")
        for end in parts[:2]:
            self.check(self._read(end), end)
        pattern = _WHOLE if self.kind is int else _NUMBER
        if not pattern.fullmatch(parts[2]):
            raise self._broken(parts[2], "step of a range")
        with decimal.localcontext(decimal.Context(prec=60, traps=[])):
            start, stop, step = map(decimal.Decimal, parts)
            if step == 0 or (stop - start) * step < 0:
                rule = "a step that leads from start to stop"
                raise UsageError(f"{self.name} range must have {rule}, got {shorten(text)}")
            if not (stop - start) / step < MOST_VALUES:
                raise UsageError(f"{self.name} range must have at most {MOST_VALUES} values, got {shorten(text)}")
            count = int((stop - start) / step) + 1
            return [self.check(self.kind(start + index * step)) for index in range(count)]

    def _broken(self, value: object, hint: str = "") -> UsageError:
        shown = shorten(show_scalar(value)) if value != "" else "nothing"
        return UsageError(f"{self.name} must be {self.rule()}, got {shown}" + (f" ({hint})" if hint else ""))


def show_scalar(value: object) -> str:
    """Return a scalar as it is typed on the command line and written to a CSV file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else repr(number)

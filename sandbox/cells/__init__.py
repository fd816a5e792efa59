"""Recurrent cells, one file each, found by scanning this folder.

A cell file holds the equations of one time step, forward and backward by hand, a NumPy `reference` which is their
specification, and one declaration: `CELL = Cell(...)`. Nothing else has to be edited to add one; every check in
`tests/test_cells.py` runs over all files found here.
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox.errors import IMPORT_ERRORS, UsageError, not_importable, unknown

__all__ = ["Cell", "Option", "canonical", "load", "names", "parse"]


@dataclass(frozen=True)
class Option:
    """A choice a cell leaves to its user.

    Parameters
    ----------
    default : str or float
    choices : tuple of str
        The values allowed; kernels see the position of the chosen one. Without choices: any finite number.
    help : str
    """

    default: object
    choices: tuple[str, ...] = ()
    help: str = ""

    def describe(self):
        """The values allowed, the default first."""
        others = (choice for choice in self.choices if choice != self.default)
        return "|".join([str(self.default), *others])

    def check(self, name, value):
        """The value, or ValueError which names the option."""
        if self.choices and value not in self.choices:
            raise unknown(name, value, self.choices)
        if not self.choices:
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = float("nan")
            if "_" in str(value) or not abs(number) < float("inf"):
                raise UsageError(f"{name} must be a finite number, got {value or 'nothing'}")
            return number
        return value


@dataclass(frozen=True)
class Cell:
    """What a cell declares.

    Parameters
    ----------
    paper : str
        Where it comes from: authors, year, equation numbers.
    gates : tuple of str
        Column blocks of W_ih (D, G H), W_hh (H, G H) and b (G H), in PyTorch's order.
    states : tuple of str
        State names; the first one is h, the cell's output.
    step_forward : callable (t, z, states, weights, flags)
        Turns the pre-activations z[t] (B, G, H) into gate values in place and writes states[:, t + 1].
    step_backward : callable (t, dz, states, weights, flags, ds, dweights)
        Turns the gate values dz[t] into dL/dz[t] in place, ds = dL/ds_{t+1} into the elementwise part of dL/ds_t, and
        adds to dweights. The loop adds what comes back through W_hh.
    reference : callable (x, *states, **parameters, **options) -> tuple of states
        One step in NumPy, complex-safe: the specification.
    tape : tuple of str
        Columns of z; the gates unless the cell needs more.
    recurrent : tuple of str
        The tape columns that h W_hh is added to, in the order of `gates`: the last ones of the tape. Empty for a cell
        without a recurrent product.
    biases : mapping of str to tuple of str
        Bias parameters and the tape columns they are added to.
    per_unit : tuple of str
        Further parameters of one number per hidden unit: the rows of `weights` (P, H).
    options : mapping of str to Option
        Those with choices are handed to the steps as `flags`, in this order.
    initial_bias : mapping of str to str
        Tape column to the option that says its initial bias.
    """

    paper: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    step_forward: Callable
    step_backward: Callable
    reference: Callable
    tape: tuple[str, ...] = ()
    recurrent: tuple[str, ...] | None = None
    biases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    per_unit: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)
    initial_bias: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self):
        tape = self.tape or self.gates
        recurrent = self.gates if self.recurrent is None else self.recurrent
        if recurrent and (len(recurrent) != len(self.gates) or tape[-len(recurrent) :] != recurrent):
            raise ValueError(f"recurrent must be the last {len(self.gates)} columns of tape {tape}, got {recurrent}")
        for key, value in (("tape", tape), ("recurrent", recurrent), ("biases", self.biases or {"b": self.gates})):
            object.__setattr__(self, key, value)

    def shapes(self, input_size, hidden_size):
        """Shape of every parameter by name, in the order of the flat parameter vector."""
        D, H, G = input_size, hidden_size, len(self.gates)
        shapes = {"W_ih": (D, G * H)}
        if self.recurrent:
            shapes["W_hh"] = (H, G * H)
        shapes |= {name: (len(columns) * H,) for name, columns in self.biases.items()}
        return shapes | dict.fromkeys(self.per_unit, (H,))

    def resolve(self, options, only_given=False):
        """The option values: the given ones, checked, and the others by default unless `only_given`."""
        for name in options:
            if name not in self.options:
                raise unknown(f"option of cell {self.name}", name, self.options)
        wanted = options if only_given else self.options
        return {name: self.options[name].check(name, options.get(name, self.options[name].default)) for name in wanted}

    def flags(self, options):
        """The options with choices as the whole numbers that the steps see."""
        return [option.choices.index(options[name]) for name, option in self.options.items() if option.choices]


def names() -> list[str]:
    """Names of all cells: the files of this folder."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


@functools.cache
def load(name: str) -> Cell:
    """The cell of this name.

    Raises
    ------
    ValueError
        No such cell; the nearest name is given. Or its file cannot be imported; file and line are named.

    Examples
    --------
    >>> load("lstm").gates
    ('i', 'f', 'g', 'o')
    """
    if name not in names():
        raise unknown("cell", name, names())
    try:
        module = importlib.import_module(f"{__name__}.{name}")
        if not isinstance(module.CELL, Cell):
            raise TypeError(f"CELL must be a Cell, got {type(module.CELL).__name__}")
    except IMPORT_ERRORS as error:
        raise not_importable(Path(__file__).with_name(f"{name}.py"), error) from error
    return replace(module.CELL, name=name)


def parse(text: str) -> tuple[Cell, dict]:
    """The cell and the options that a name such as `rnn:identity` or `lstm:forget_bias=2` stands for.

    After the cell's name come, each behind a colon, `option=value` or just the value where only one option has it.

    Raises
    ------
    ValueError
        No such cell, option or value.

    Examples
    --------
    >>> parse("rnn:identity")[1]
    {'activation': 'identity'}
    """
    name, *parts = str(text).split(":")
    cell, options = load(name), {}
    for part in parts:
        option, equals, value = part.partition("=")
        if not equals:
            owners = {choice: owner for owner, o in cell.options.items() for choice in o.choices}
            if part not in owners:
                raise unknown(f"variant of cell {name}", part, [*owners, *(f"{o}=..." for o in cell.options)])
            option, value = owners[part], part
        options |= cell.resolve({option: value}, only_given=True)
    return cell, options


def canonical(text: str) -> str:
    """The one way to write what `parse` reads: options at their default left out, the others in declared order.

    Examples
    --------
    >>> canonical("rnn:activation=relu"), canonical("rnn:tanh"), canonical("lstm:forget_bias=2.0")
    ('rnn:relu', 'rnn', 'lstm:forget_bias=2')
    """
    cell, given = parse(text)
    parts = [cell.name]
    for name, option in cell.options.items():
        value = given.get(name, option.default)
        if value != option.default:
            parts.append(value if option.choices else f"{name}={repr(value).removesuffix('.0')}")
    return ":".join(parts)

"""Recurrent cells, one file each, found by scanning this folder.

A cell file holds the equations of one time step, forward and backward by hand, a NumPy `reference` which is their
specification, and one declaration: `CELL = Cell(...)`. Nothing else has to be edited to add one; every check in
`tests/test_cells.py` runs over all files found here.
"""

import functools
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox.errors import IMPORT_ERRORS, UsageError, not_importable, unknown

__all__ = ["Cell", "Derived", "Option", "Product", "canonical", "load", "names", "parse"]


@dataclass(frozen=True)
class Option:
    """A choice a cell leaves to its user.

    Parameters
    ----------
    default : str or float
    choices : tuple of str
        The values allowed; kernels see the position of the chosen one. Without choices: any finite number.
    help : str
    minimum, above, below : float
        Bounds of a number; the last two are themselves excluded.
    """

    default: object
    choices: tuple[str, ...] = ()
    help: str = ""
    minimum: float = -math.inf
    above: float = -math.inf
    below: float = math.inf

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
                number = math.nan
            inside = self.minimum <= number < self.below and self.above < number < math.inf
            if "_" in str(value) or not inside:
                raise UsageError(f"{name} must be {self._rule()}, got {'nothing' if value == '' else value}")
            return number
        return value

    def _rule(self):
        """The rule of a number, in words."""
        bounds = (("from", self.minimum), ("above", self.above), ("below", self.below))
        return " ".join(["a finite number", *(f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound))])


@dataclass(frozen=True)
class Product:
    """A recurrent product: tape columns += source W.

    Parameters
    ----------
    weight : str
        Name of W (H, n H), a block for each of the n columns.
    source : str
        The state that is multiplied: as it was after t - 1 steps in stage 0, as the first step function has left it in
        stage 1. The source of stage 1 is an auxiliary state, unless the cell has no zoneout.
    columns : tuple of str
        Tape columns it is added to.
    stage : {0, 1}
        Before which of the two step functions.
    times_h : bool
        Whether the source is h_{t-1} times something, element by element: recurrent dropout hides the same elements of
        it as of h.
    """

    weight: str
    source: str
    columns: tuple[str, ...]
    stage: int = 0
    times_h: bool = False


@dataclass(frozen=True)
class Derived:
    """Weights that are functions of what is learned, such as W = A - A^T or lambda = exp(-exp(nu)).

    Parameters
    ----------
    names : tuple of str
        The weights made.
    shapes : callable (D, H, options) -> dict of shapes
        The parameters that are learned in their place.
    make : callable (parameters, options) -> dict of arrays
        The weights made, by name.
    pull_back : callable (parameters, weights, gradients, options) -> dict of arrays
        dL/dparameter of those learned, from dL/dweight of those made.
    """

    names: tuple[str, ...]
    shapes: Callable
    make: Callable
    pull_back: Callable


@dataclass(frozen=True)
class Cell:
    """What a cell declares.

    Parameters
    ----------
    paper : str
        Where it comes from: authors, year, equation numbers.
    gates : tuple of str
        Column blocks of W_ih (D, G H), in PyTorch's order.
    states : tuple of str
        What is carried from step to step; the first one is h, the cell's output.
    step_forward : callable (t, first, last, z, states, weights, flags), or two of them
        Turns the pre-activations z[t] (B, G, H) into gate values in place and writes states[:, t + 1], for sequences
        `first` to `last` - 1. The second one runs after the products of stage 1.
    step_backward : callable (t, first, last, dz, states, weights, flags, ds, dweights), or two of them in the order of
    the forward step
        Turns the gate values dz[t] into dL/dz[t] in place, ds = dL/ds_{t+1} into the elementwise part of dL/ds_t, and
        adds to dweights. The loop adds what comes back through the products. It must not read states[:, t + 1], which
        zoneout changes after the step, but for auxiliary ones; the ds of those it leaves at 0.
    reference : callable (x, *states, **parameters, **options) -> tuple of states
        One step in NumPy, complex-safe: the specification.
    tape : tuple of str
        Columns of z; the gates unless the cell needs more.
    products : tuple of Product
        By default one product of h that is added to all gates: W_hh (H, G H).
    biases : mapping of str to tuple of str
        Bias parameters and the tape columns they are added to; by default one, b, for all gates. {} for none.
    per_unit : tuple of str
        Further weights of one number per hidden unit: the first rows of `weights` (P, H).
    constants : tuple of str
        Numeric options that steps read: the last rows of `weights`, the same number for all units.
    auxiliary : tuple of str
        Further arrays kept for every step like a state but carried nowhere: sources of products, such as r h.
    outputs : int
        How many states, from the first on, are the output side by side.
    options : mapping of str to Option
        Those with choices are handed to the steps as `flags`, in this order.
    initial_bias : mapping of str to str
        Tape column to the option that says its initial bias.
    initial : callable (parameters, rng, options), optional
        Fills the parameters that are no blocks of an input or recurrent matrix; zero without it.
    memory : mapping of str to int
        Tape columns whose bias sets how long the cell remembers: 1 where a value near 1 keeps the past, -1 where it
        lets the new in. The chrono initialisation acts on these.
    derived : Derived, optional
    specialise : callable (cell, options) -> Cell, optional
        The cell as these options make it, for example without the parameters of a gate that is left out.
    decay : callable (gates, weights, options) -> tuple of (T, B, H) arrays, optional
        For a diagonal linear recurrence s_t = a_t s_{t-1} + b_t: a_t from the tape, real or as real and imaginary part.
    """

    paper: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    step_forward: Callable | tuple[Callable, Callable]
    step_backward: Callable | tuple[Callable, Callable]
    reference: Callable
    tape: tuple[str, ...] = ()
    products: tuple[Product, ...] | None = None
    biases: Mapping[str, tuple[str, ...]] | None = None
    per_unit: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    auxiliary: tuple[str, ...] = ()
    outputs: int = 1
    options: Mapping[str, Option] = field(default_factory=dict)
    initial_bias: Mapping[str, str] = field(default_factory=dict)
    initial: Callable | None = None
    memory: Mapping[str, int] = field(default_factory=dict)
    derived: Derived | None = None
    specialise: Callable | None = None
    decay: Callable | None = None
    name: str = ""

    def __post_init__(self):
        default = (Product("W_hh", self.states[0], self.gates),)
        products = default if self.products is None else self.products
        for key, value in (
            ("tape", self.tape or self.gates),
            ("products", products),
            ("biases", {"b": self.gates} if self.biases is None else self.biases),
        ):
            object.__setattr__(self, key, value)
        for product in products:
            if product.source not in self.states + self.auxiliary or not set(product.columns) <= set(self.tape):
                raise ValueError(f"product {product.weight} must go from a state to columns of the tape, got {product}")

    def sees_h(self, product):
        """Whether a product's source is h, or h times something: what recurrent dropout hides elements of."""
        return product.source == self.states[0] or product.times_h

    def without(self, *columns):
        """The cell without what is learned for these tape columns, which themselves stay."""

        def rest(names):
            return tuple(name for name in names if name not in columns)

        products = (replace(product, columns=rest(product.columns)) for product in self.products)
        return replace(
            self,
            gates=rest(self.gates),
            products=tuple(product for product in products if product.columns),
            biases={name: rest(of) for name, of in self.biases.items() if rest(of)},
            memory={column: sign for column, sign in self.memory.items() if column not in columns},
            initial_bias={column: option for column, option in self.initial_bias.items() if column not in columns},
        )

    def weight_shapes(self, input_size, hidden_size):
        """Shape by name of every weight that the loop works with."""
        D, H = input_size, hidden_size
        shapes = {"W_ih": (D, len(self.gates) * H)}
        shapes |= {product.weight: (H, len(product.columns) * H) for product in self.products}
        shapes |= {name: (len(columns) * H,) for name, columns in self.biases.items()}
        return shapes | dict.fromkeys(self.per_unit, (H,))

    def shapes(self, input_size, hidden_size, options=None):
        """Shape by name of every parameter, in the order of the flat vector: the weights but for derived ones."""
        shapes = self.weight_shapes(input_size, hidden_size)
        if self.derived is not None:
            learned = self.derived.shapes(input_size, hidden_size, options or self.resolve({}))
            kept = {name: shape for name, shape in shapes.items() if name not in self.derived.names or name in learned}
            shapes = kept | learned
        return shapes

    def resolve(self, options, only_given=False):
        """The option values: the given ones, checked, and the others by default unless `only_given`."""
        for name in options:
            if name not in self.options:
                raise unknown(f"option of cell {self.name}", name, self.options)
        wanted = options if only_given else self.options
        return {name: self.options[name].check(name, options.get(name, self.options[name].default)) for name in wanted}

    def specialised(self, options):
        """The cell as its resolved options make it."""
        return self if self.specialise is None else self.specialise(self, options)

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
        No such cell, option or value; a value alone that several options have; an option given twice.

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
            option, value = _owner(cell, part), part
        if option in options:
            raise UsageError(f"{option} of cell {name} must be given once, got {options[option]} and {value}")
        options |= cell.resolve({option: value}, only_given=True)
    return cell, options


def _owners(cell, choice):
    """The options that have this choice."""
    return [name for name, option in cell.options.items() if choice in option.choices]


def _owner(cell, choice):
    """The one option that has this choice."""
    owners = _owners(cell, choice)
    if not owners:
        choices = dict.fromkeys(choice for option in cell.options.values() for choice in option.choices)
        raise unknown(f"variant of cell {cell.name}", choice, [*choices, *(f"{name}=..." for name in cell.options)])
    if len(owners) > 1:
        full = " or ".join(f"{name}={choice}" for name in owners)
        raise UsageError(f"variant of cell {cell.name} must be {full}, got {choice} (several options have it)")
    return owners[0]


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
            alone = option.choices and _owners(cell, value) == [name]
            text = value if option.choices else repr(value).removesuffix(".0")
            parts.append(text if alone else f"{name}={text}")
    return ":".join(parts)

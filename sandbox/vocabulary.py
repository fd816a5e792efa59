"""The house's axes by name, each with its rule and its help, so that an experiment only lists its default values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sandbox import cells, sources, tasks
from sandbox.axes import Axis, Scalar
from sandbox.errors import UsageError, shorten

__all__ = ["WELL_KNOWN", "declare"]


def _init_names() -> Sequence[str]:
    from sandbox import inits  # late: it imports the compiler, which listing and checking other axes does not need

    return [*inits.names(), *(name for name in inits.SCHEMES if name not in inits.names())]


def _optimiser_names() -> Sequence[str]:
    from sandbox import optim  # late: the same

    return optim.NAMES


def _model_names() -> Sequence[str]:
    from sandbox.layers import bodies  # late: the same

    return bodies.names()


def _model(name: str) -> str:
    from sandbox.layers import bodies  # late: the same

    return bodies.canonical(name)


WELL_KNOWN: dict[str, Axis] = {
    "cell": Axis(
        kind=str,
        choices=cells.names,
        accept=cells.canonical,
        help="recurrent cell, options behind a colon: rnn:relu, lstm:forget_bias=2",
    ),
    "model": Axis(
        kind=str,
        choices=_model_names,
        accept=_model,
        help="a recurrent cell, or without recurrence: mlp:8 (a window of 8 inputs)",
    ),
    "task": Axis(
        kind=str,
        choices=tasks.names,
        accept=tasks.canonical,
        help="what is learned, variants behind a colon: adding:hs97, temporal_order:3",
    ),
    "hidden": Axis(kind=int, minimum=1, maximum=16_384, help="hidden units"),
    "layers": Axis(kind=int, minimum=1, maximum=64, help="stacked layers"),
    "seq_len": Axis(kind=int, minimum=1, maximum=1_000_000, help="time steps"),
    "batch": Axis(kind=int, minimum=1, maximum=65_536, help="sequences per batch"),
    "gain": Axis(kind=float, minimum=0, maximum=1000, help="factor on the recurrent matrix"),
    "lr": Axis(kind=float, above=0, help="learning rate"),
    "init": Axis(kind=str, choices=_init_names, help="initialisation of the recurrent matrix"),
    "source": Axis(kind=str, choices=sources.names, help="what flows in"),
    "direction": Axis(kind=str, choices=("forward", "both"), help="recurrent layers in one direction or in both"),
    "dropout": Axis(kind=float, minimum=0, below=1, help="dropout between layers"),
    "recurrent_dropout": Axis(kind=float, minimum=0, below=1, help="dropout of h in recurrent products"),
    "zoneout": Axis(kind=float, minimum=0, below=1, help="chance of a state to stay as it was"),
    "updates": Axis(kind=int, minimum=1, maximum=10_000_000, help="most updates of a training run"),
    "optimiser": Axis(kind=str, choices=_optimiser_names, help="update rule"),
    "clip": Axis(kind=str, choices=("none", "global", "tensor", "value"), help="gradient clipping"),
    "threshold": Axis(kind=float, above=0, help="clipping threshold"),
    "window": Axis(kind=int, minimum=1, maximum=1_000_000, help="steps through which a gradient passes"),
    "dtype": Axis(kind=str, choices=("float32", "float64"), help="floating-point type"),
}


def declare(name: str, values: Axis | Sequence[Scalar]) -> Axis:
    """Return the axis called `name`: an explicit `Axis`, else the house rule, else a rule read off the default list.

    Raises
    ------
    UsageError
        When the default list is empty, mixes kinds, or breaks the rule.
    """
    explicit = isinstance(values, Axis)
    rule = values if explicit else WELL_KNOWN.get(name, Axis())
    default = values.default if explicit else values
    if isinstance(default, str) or not isinstance(default, (list, tuple, range)) or not default:
        raise UsageError(f"default of axis '{name}' must be a non-empty list, got {shorten(repr(default))}")
    kind = rule.kind or _kind_of(name, default)
    choices = rule.choices
    if choices is None and kind is str and not explicit:
        choices = tuple(default)
    axis = replace(rule, name=name, kind=kind, choices=choices, default=tuple(default))
    if callable(choices):
        # Choices found by scanning or importing are looked up when a grid is resolved, not when a module is imported.
        replace(axis, choices=None).resolve(list(default))
        return axis
    return replace(axis, default=tuple(axis.resolve(list(default))))


def _kind_of(name: str, default: Sequence[Scalar]) -> type:
    kinds = {type(value) for value in default}
    if kinds == {int, float}:
        return float
    if len(kinds) == 1 and kinds <= {int, float, str, bool}:
        return kinds.pop()
    raise UsageError(f"default of axis '{name}' must be a list of one kind of scalar, got {shorten(repr(default))}")

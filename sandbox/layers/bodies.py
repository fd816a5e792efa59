"""What a model can be made of, by name: a stack of recurrent cells, a perceptron over a window, a Transformer.

    lstm:cifg    layers of a cell of `sandbox.cells`
    mlp:8        a perceptron over the last 8 inputs
    transformer  blocks of self-attention

All have the interface of `Stack`. A kind that is no cell is a file of this folder with a docstring that has the
equations, and

    PAPER            where it comes from
    OPTIONS          what may stand behind a colon, with the defaults: "window=1"; missing where nothing may
    canonical(name)  the one way to write a name; UsageError if it is none
    body(...)        makes it of the arguments that `body` here has; missing where the kind is a layer of `Stack`

It is imported when its name is used.
"""

import importlib

from sandbox import cells
from sandbox.errors import unknown
from sandbox.layers.stack import Stack

__all__ = ["body", "canonical", "kind", "kinds", "names"]

FILES = {"mlp": "window", "transformer": "transformer"}


def kinds():
    """Names of all kinds that are no cells."""
    return list(FILES)


def names():
    """Names of all that a model can be made of: cells, then the other kinds."""
    return [*cells.names(), *kinds()]


def kind(name):
    """The module of a name's kind; None for a cell, for several names, or for none that there is."""
    base = name.partition(":")[0] if isinstance(name, str) else ""
    return importlib.import_module(f"{__package__}.{FILES[base]}") if base in kinds() else None


def canonical(name):
    """The one way to write a name.

    Raises
    ------
    UsageError
        No such kind or cell, or an option that it has not.

    Examples
    --------
    >>> canonical("mlp:window=8"), canonical("mlp:1"), canonical("rnn:tanh")
    ('mlp:8', 'mlp', 'rnn')
    """
    base = str(name).partition(":")[0]
    if base not in names():
        raise unknown("model", base, names())
    return (kind(name) or cells).canonical(name)


def body(name, input_size, hidden_size, *, layers=1, **arguments):
    """The body of a name.

    Parameters
    ----------
    name : str, or a sequence of names of cells and `mlp`
    input_size, hidden_size, layers : int
    **arguments
        As for `Stack`; what makes no sense for a kind it refuses.

    Returns
    -------
    Stack, or something with its interface

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> body("mlp:4", 2, 8, rng=stream("init", 0)).parameters["0.W"].shape
    (8, 8)
    """
    own = getattr(kind(name), "body", None)
    if own is not None:
        return own(name, input_size, hidden_size, layers=layers, **arguments)
    return Stack(name, input_size, hidden_size, num_layers=layers, **arguments)

"""How to train, and what does not go together: refused in one line before anything runs."""

import math
from dataclasses import dataclass
from numbers import Real

from sandbox import losses, memory, optim, tasks
from sandbox.clipping import Clipper
from sandbox.errors import UsageError, unknown
from sandbox.layers.module import check_size
from sandbox.layers.recurrent import Layer
from sandbox.omega import FORMS

__all__ = ["Recipe", "check", "check_fit", "require_memory"]

POLICIES = ("stop", "skip")


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Parameters
    ----------
    updates, batch : int
        Most updates, and sequences in each.
    optimiser, lr, schedule : str, float, str
        See `sandbox.optim`.
    clip, threshold : str, float
        "none", "global", "tensor" or "value"; see `sandbox.clipping`.
    reduction : str
        Of the loss that is differentiated; evaluation takes the mean. See `sandbox.losses`.
    window, checkpoint_every : int, optional
        See `Model.differentiate`; evaluation goes through the sequence in the same pieces, with the same bits.
    omega, omega_form : float, str
        Weight of Pascanu's regulariser (one layer of the plain RNN only), which enters the gradient and not the loss
        that is shown, and its form. See `sandbox.omega`; norms are those of rows.
    evaluate_every, evaluation : int
        Updates between evaluations, and sequences in each, rounded up to whole batches.
    until_solved : bool
        Stop at the first evaluation that the task counts as solved.
    nonfinite : {"stop", "skip"}
        What to do where the loss or the gradient is not finite: end the run, or leave the update out.

    Raises
    ------
    UsageError
        Names the setting, its rule and the value.
    """

    updates: int = 1000
    batch: int = 32
    optimiser: str = "adam"
    lr: float = 1e-3
    schedule: str = "constant"
    clip: str = "global"
    threshold: float = 1.0
    reduction: str = "mean"
    window: int | None = None
    checkpoint_every: int | None = None
    omega: float = 0.0
    omega_form: str = "paper"
    evaluate_every: int = 100
    evaluation: int = 512
    until_solved: bool = True
    nonfinite: str = "stop"

    def __post_init__(self):
        for name in ("updates", "batch", "evaluate_every", "evaluation"):
            check_size(name, getattr(self, name))
        for name in ("window", "checkpoint_every"):
            if getattr(self, name) is not None:
                check_size(name, getattr(self, name))
        if self.window is not None and self.checkpoint_every is not None:
            raise UsageError("window and checkpoint_every must not be given together: a window's edges are checkpoints")
        choices = {"optimiser": optim.NAMES, "reduction": losses.REDUCTIONS, "omega_form": FORMS, "nonfinite": POLICIES}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise unknown(name, getattr(self, name), allowed)
        optim.schedule(self.schedule, self.lr, self.updates)
        Clipper(self.clip, self.threshold, {})
        is_number = isinstance(self.omega, Real) and not isinstance(self.omega, bool)
        if not (is_number and 0 <= self.omega < math.inf):
            raise UsageError(f"omega must be a finite number from 0, got {self.omega}")
        if self.omega and (self.window or self.checkpoint_every):
            raise UsageError(f"omega must be 0 with a window or checkpoint_every: it needs all steps, got {self.omega}")

    @property
    def piece(self) -> int | None:
        """Steps that are in memory at once; None for all of them."""
        return self.window or self.checkpoint_every


def check_fit(model, task, recipe, seq_len):
    """Refuse a model, task, recipe and length that do not go together.

    Raises
    ------
    UsageError
        Names what does not fit.
    """
    task.check(seq_len)
    _check_head(model.head, task)
    sizes, wanted = (*model.inputs, model.output.output_size), (*task.inputs, task.output_size)
    if sizes != wanted:
        rule = f"read {wanted[0]} {wanted[1]} a step and have {wanted[2]} outputs for task {task.name}"
        raise UsageError(f"model must {rule}, got {sizes[0]} {sizes[1]} and {sizes[2]}")
    if task.head != "decoder":
        _check_direction(model.stack.direction, task, recipe.piece, seq_len)
        if task.stream and getattr(model.stack, "grows", False):
            rule = f"recurrent or a window for task {task.name}, whose sequences never end"
            raise UsageError(f"model must be {rule}, got one with states of all steps so far ({model.stack.name})")
    for name in ("window", "checkpoint_every"):
        _check_piece(name, getattr(recipe, name), seq_len)
    if recipe.omega and (task.head == "decoder" or not _is_plain_rnn(model.stack)):
        rule = "0 for anything but one layer of cell rnn without recurrent_dropout and zoneout"
        raise UsageError(f"omega must be {rule}, got {recipe.omega}")


def _is_plain_rnn(stack):
    if stack.direction != "forward" or len(stack.layers) != 1 or not isinstance(stack.layers[0], Layer):
        return False
    layer = stack.layers[0]
    return layer.cell.name == "rnn" and not (layer.recurrent_dropout or layer.zoneout)


def require_memory(model, recipe, seq_len):
    """Refuse what cannot fit: all that is held out, one batch, and what a forward pass leaves behind.

    Raises
    ------
    UsageError
        Says how much is needed and how much there is.
    """
    batches = -(-recipe.evaluation // recipe.batch) + 1
    count, kind = model.inputs
    size = 8 * batches * seq_len * recipe.batch * (count if kind == "numbers" else 1)
    size += model.columns * (recipe.piece or seq_len) * recipe.batch * model.dtype.itemsize
    what = f"data, states and gates of seq_len={seq_len}, batch={recipe.batch} in {model.dtype.name}"
    memory.require(size, what, "use checkpoint_every or a smaller batch")


def check(grid, settings) -> None:
    """Refuse what some point of a grid could not be trained with, before anything runs: an experiment's `check`.

    Raises
    ------
    UsageError
        A sequence too short for its task or its window, a head or direction that does not suit its task, or dropout
        without a second layer.
    """
    shortest, longest = min(grid.get("seq_len", (math.inf,))), max(grid.get("seq_len", (math.inf,)))
    windows = [window for window in grid.get("window", ()) if window is not None]
    for task in map(tasks.load, grid.get("task", ())):
        if shortest < math.inf:
            task.check(shortest)
        for head in grid.get("head", ()):
            _check_head(head, task)
        for direction in grid.get("direction", ()):
            _check_direction(direction, task, min(windows, default=None), longest)
    _check_piece("window", max(windows, default=None), shortest)
    if max(grid.get("dropout", (0,))) > 0 and min(grid.get("layers", (1,))) == 1:
        hint = "it acts between layers; recurrent_dropout acts within one"
        raise UsageError(f"dropout must be 0 with one layer, got {max(grid['dropout'])} ({hint})")


def _check_head(head, task):
    wanted = ("last", "mean") if task.head == "last" else (task.head,)
    if head not in wanted:
        raise UsageError(f"head must be {' or '.join(wanted)} for task {task.name}, got {head}")


def _check_piece(name, length, seq_len):
    if length is not None and length > seq_len:
        raise UsageError(f"{name} must be at most seq_len={seq_len}, got {length}")


def _check_direction(direction, task, piece, seq_len):
    if direction == "both" and task.stream:
        raise UsageError(f"direction must be forward for task {task.name}, whose sequences never end, got both")
    if direction == "both" and (piece or seq_len) < seq_len:
        raise UsageError(f"direction must be forward with a window or checkpoint_every below seq_len={seq_len}, "
                         f"got both and {piece}")  # fmt: skip

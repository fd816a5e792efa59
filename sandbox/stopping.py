"""Early stopping: train for as long as it helps on a part of what is learned from (Prechelt 1998)."""

import math

from sandbox.errors import UsageError
from sandbox.training import Trainer

__all__ = ["EarlyStopping"]


class EarlyStopping(Trainer):
    """A training run which ends with the parameters of its best evaluation.

    Its task must hold out a part of what is learned from, not what is held out to test the result on.

    Parameters
    ----------
    model, task, recipe, seq_len, seed
        As for `Trainer`.
    patience : int
        Evaluations without a better one after which the run ends.

    Attributes
    ----------
    best : (int, float)
        The updates done at the best evaluation, and its loss.
    """

    def __init__(self, model, task, recipe, *, seq_len, seed, patience):
        super().__init__(model, task, recipe, seq_len=seq_len, seed=seed)
        self.patience, self.best, self.kept = patience, (0, math.inf), model.vector.copy()

    def _look(self):
        super()._look()
        done, loss, _ = self.evaluation[-1]
        if loss < self.best[1]:
            self.best, self.kept = (done, loss), self.model.vector.copy()

    def _is_over(self):
        since = self.done - self.best[0]
        return super()._is_over() or since >= self.patience * self.recipe.evaluate_every

    def run(self, **arguments):
        """Go on to the last update, or until nothing is gained; the model has the best parameters then."""
        fit = super().run(**arguments)
        self.model.vector[:] = self.kept
        return fit

    def save(self, path):
        """Not to be had: the best parameters so far are no part of such a file (UsageError)."""
        raise UsageError(f"checkpoint must be None with early stopping, which cannot be resumed, got {path}")

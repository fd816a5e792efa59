"""Training: draw a batch, differentiate, clip, update; now and then look at sequences that were held out.

    for update in range(updates):
        batch = task.draw(...)                     stream "data"
        loss = model.differentiate(batch)          dL/dparameters
        clip the gradient, optimiser.step(...)     lr by the schedule
        every so often: evaluate                   stream "test"; stop when the task is solved

The data of a seed are the same for every model. What is reported is the last evaluation. Of a run that meets a number
which is not finite the first such tensor and its update are named.
"""

import json
import math
import os
import time
import zipfile
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path

import numpy as np

from sandbox import losses, optim, tasks
from sandbox.clipping import Clipper
from sandbox.errors import UsageError, unknown
from sandbox.kernels.reductions import mean
from sandbox.layers.module import check_size
from sandbox.model import Model
from sandbox.omega import omega
from sandbox.report import progress
from sandbox.streams import stream

__all__ = ["Fit", "Recipe", "Trainer", "check", "fit", "model_for"]

POLICIES = ("stop", "skip")
RECORDS = 250  # most points of a training curve
SLOPES = {"tanh": lambda h: 1 - h * h, "sigmoid": lambda h: h * (1 - h), "relu": lambda h: (h > 0).astype(h.dtype),
          "identity": np.ones_like}  # fmt: skip


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
        See `Model.differentiate`.
    omega, omega_form : float, str
        Weight of Pascanu's regulariser (plain RNN only) and its form.
    evaluate_every, evaluation : int
        Updates between evaluations, and sequences in each.
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
        if self.optimiser not in optim.NAMES:
            raise unknown("optimiser", self.optimiser, optim.NAMES)
        optim.schedule(self.schedule, self.lr, self.updates)
        if self.reduction not in losses.REDUCTIONS:
            raise unknown("reduction", self.reduction, losses.REDUCTIONS)
        if self.nonfinite not in POLICIES:
            raise unknown("nonfinite", self.nonfinite, POLICIES)
        is_number = isinstance(self.omega, Real) and not isinstance(self.omega, bool)
        if not (is_number and 0 <= self.omega < math.inf):
            raise UsageError(f"omega must be a finite number from 0, got {self.omega}")


@dataclass
class Fit:
    """What came of a training run.

    Attributes
    ----------
    solved : bool
    updates : int
        Done, those left out included.
    loss, score : float
        Of the last evaluation.
    baseline : float
        Loss of the best predictor without memory.
    status : str
        "" if all went well.
    clipping : dict
        `Clipper.summary`.
    curves : dict of dicts
        `training` (loss, gradient norm before and after clipping, learning rate, whether clipped) and `evaluation`.
    """

    solved: bool
    updates: int
    batch: int
    loss: float
    score: float
    baseline: float
    status: str = ""
    clipping: dict = field(default_factory=dict)
    curves: dict = field(default_factory=dict)

    def columns(self):
        """As columns of a results table; updates and sequences to success are None without success."""
        solved = {"updates_to_success": self.updates, "sequences_to_success": self.updates * self.batch}
        columns = {"solved": float(self.solved)} | (solved if self.solved else dict.fromkeys(solved))
        columns |= {"updates_done": self.updates, "loss": self.loss, "baseline": self.baseline}
        columns |= {"loss_ratio": self.loss / self.baseline, "score": self.score} | self.clipping
        return columns | ({"status": self.status} if self.status else {})


class Trainer:
    """A training run that can be taken step by step, written to a file and resumed with the same bits.

    Parameters
    ----------
    model : Model
    task : Task
    recipe : Recipe
    seq_len, seed : int

    Raises
    ------
    UsageError
        Model and task do not fit together, or the sequence is too short for task or window.
    """

    def __init__(self, model, task, recipe, *, seq_len, seed):
        self.model, self.task, self.recipe, self.seq_len, self.seed = model, task, recipe, seq_len, seed
        self._check()
        self.clipper = Clipper(recipe.clip, recipe.threshold, model.blocks)
        matrices = [np.full(value.size, value.ndim > 1) for value in model.parameters.values()]
        self.optimiser = optim.make(recipe.optimiser, model.vector.size, model.dtype, decay=np.concatenate(matrices))
        self.rate = optim.schedule(recipe.schedule, recipe.lr, recipe.updates)
        self.rng = stream("data", seed)
        self.source = task.stream(self.rng, recipe.batch) if task.stream else None
        self.states = None
        self.done, self.skipped, self.status = 0, [], ""
        self.training, self.evaluation = [], []
        self.held_out = self._hold_out()

    def _check(self):
        model, task, recipe = self.model, self.task, self.recipe
        task.check(self.seq_len)
        wanted = ("every",) if task.head == "every" else ("last", "mean")
        if model.head not in wanted:
            raise UsageError(f"head must be {' or '.join(wanted)} for task {task.name}, got {model.head}")
        sizes = model.stack.input_size, model.output.output_size
        if sizes != (task.input_size, task.output_size):
            rule = f"{task.input_size} inputs and {task.output_size} outputs for task {task.name}"
            raise UsageError(f"model must have {rule}, got {sizes[0]} and {sizes[1]}")
        for name in ("window", "checkpoint_every"):
            value = getattr(recipe, name)
            if value is not None and check_size(name, value) > self.seq_len:
                raise UsageError(f"{name} must be at most seq_len={self.seq_len}, got {value}")
        if task.stream and model.stack.direction == "both":
            raise UsageError(f"direction must be forward for task {task.name}, whose sequences never end, got both")
        cells = [getattr(layer, "cell", None) for layer in model.stack.layers]
        if recipe.omega and not (len(cells) == 1 and cells[0] is not None and cells[0].name == "rnn"):
            raise UsageError(f"omega must be 0 for anything but one layer of cell rnn, got {recipe.omega}")

    def _hold_out(self):
        rng, batch = stream("test", self.seed), self.recipe.batch
        count = -(-self.recipe.evaluation // batch)
        source = self.task.stream(rng, batch) if self.task.stream else None
        return [self._draw(source, rng) for _ in range(count)]

    def _draw(self, source, rng):
        if source is not None:
            return source.take(self.seq_len)
        return self.task.draw(rng, self.recipe.batch, self.seq_len)

    # One update --------------------------------------------------------------------------------------------------

    def step(self):
        """Draw, differentiate, clip, update; returns the loss and what clipping did."""
        recipe, model = self.recipe, self.model
        found = self._differentiate(self._draw(self.source, self.rng), self.states, recipe.window)
        if recipe.omega:
            self._regularise()
        clipped, lr = self.clipper.apply(model.gradient), self.rate(self.done)
        self.done += 1
        if self._is_finite(found.loss, clipped.before):
            self.optimiser.step(model.vector, model.gradient, lr)
            self.states = found.states if self.source is not None else None
        else:
            self.states = None  # they may be what is not finite
        if (self.done - 1) % max(1, recipe.updates // RECORDS) == 0:
            self.training.append((self.done, found.loss, clipped.before, clipped.after, lr, int(clipped.clipped)))
        return found.loss, clipped

    def _differentiate(self, batch, states, window):
        recipe, model = self.recipe, self.model
        return model.differentiate(
            batch.x.astype(model.dtype), self._target(batch), loss=self.task.loss, reduction=recipe.reduction,
            mask=batch.mask, lengths=batch.lengths, states=states, window=window,
            checkpoint_every=recipe.checkpoint_every)  # fmt: skip

    def gradient(self, **window):
        """dL/dparameters of the first batch that was held out, a copy; `window` in the place of the recipe's."""
        noise = self.model.noise_state()
        self._differentiate(self.held_out[0], None, window.get("window", self.recipe.window))
        self.model.set_noise_state(noise)
        return self.model.gradient.copy()

    def _target(self, batch):
        return batch.target if self.task.loss == "softmax" else batch.target.astype(self.model.dtype)

    def _regularise(self):
        (layer,) = self.model.stack.layers
        run, gradients = layer.passed
        phi = SLOPES[layer.options["activation"]](run.y)
        _, dW = omega(gradients.z[:, :, 0], phi, layer.weights["W_hh"], self.recipe.omega_form, norms="row")
        layer.gradients["W_hh"][:] += layer.dtype.type(self.recipe.omega) * dW

    def _is_finite(self, loss, norm):
        if math.isfinite(loss) and math.isfinite(norm):
            return True
        name = "loss" if not math.isfinite(loss) else f"dL/d{self.clipper.nonfinite_block(self.model.gradient)}"
        self.skipped.append((self.done, name))
        if self.recipe.nonfinite == "stop":
            self.status = f"nonfinite: {name} at update {self.done}"
        else:
            first, what = self.skipped[0]
            self.status = f"skipped: {len(self.skipped)} updates, the first {first} ({what} not finite)"
        return False

    def evaluate(self):
        """Mean loss and score over the sequences that were held out."""
        states, found = None, []
        for batch in self.held_out:
            output = self.model.forward(batch.x.astype(self.model.dtype), states, batch.lengths)
            if self.source is not None:
                states = self.model.last.states()
            mask = batch.mask if self.model.head == "every" else None
            if mask is None and batch.lengths is not None and self.model.head == "every":
                mask = np.arange(self.seq_len)[:, None] < batch.lengths
            loss, _ = losses.evaluate(self.task.loss, output, self._target(batch), mask)
            found.append((loss, self.task.score(output.astype(np.float64), batch)))
        return tuple(float(mean(np.array(column))) for column in zip(*found, strict=True))

    # The whole run -----------------------------------------------------------------------------------------------

    def run(self, *, checkpoint=None, every=None) -> Fit:
        """Go on until solved, or to the last update; with `checkpoint`, a path, write the state `every` so many
        updates."""
        recipe, shown = self.recipe, _LiveLine(self)
        loss, score = self.evaluation[-1][1:] if self.evaluation else self._look()
        solved = recipe.until_solved and self.task.solved(loss, score)
        while self.done < recipe.updates and not solved and not self.status.startswith("nonfinite"):
            step = self.step()
            shown.show(*step)
            if self.done % recipe.evaluate_every == 0 or self.done == recipe.updates:
                loss, score = self._look()
                solved = recipe.until_solved and self.task.solved(loss, score)
            if checkpoint is not None and self.done % every == 0:
                self.save(checkpoint)
        return Fit(
            solved=bool(self.task.solved(loss, score)),
            updates=self.done,
            batch=recipe.batch,
            loss=loss,
            score=score,
            baseline=float(self.task.baseline(self.seq_len)),
            status=self.status,
            clipping=self.clipper.summary(),
            curves=self._curves(),
        )

    def _look(self):
        found = self.evaluate()
        self.evaluation.append((self.done, *found))
        return found

    def _curves(self):
        names = ("update", "loss", "gradient_norm", "clipped_norm", "lr", "clipped")
        curves = {"evaluation": dict(zip(("update", "loss", "score"), map(list, zip(*self.evaluation)), strict=True))}
        if self.training:
            curves["training"] = dict(zip(names, map(list, zip(*self.training)), strict=True))
        return curves

    # Files -------------------------------------------------------------------------------------------------------

    def save(self, path):
        """Write all that the rest of the run depends on to an .npz file, wholly or not at all."""
        path = Path(path)
        facts = {"recipe": asdict(self.recipe), "task": self.task.name, "seq_len": self.seq_len, "seed": self.seed,
                 "dtype": self.model.dtype.name, "done": self.done, "skipped": self.skipped, "status": self.status,
                 "training": self.training, "evaluation": self.evaluation, "rng": self.rng.bit_generator.state,
                 "noise": self.model.noise_state()}  # fmt: skip
        arrays = {"vector": self.model.vector}
        arrays |= {f"optimiser {name}": np.array(value) for name, value in self.optimiser.state().items()}
        arrays |= {f"clipper {name}": np.array(value) for name, value in self.clipper.state().items()}
        for number, states in enumerate(self.states or []):
            arrays |= {f"state {number} {name}": value for name, value in states.items()}
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(scratch, "wb") as file:
                np.savez(file, facts=np.array(json.dumps(facts)), **arrays)
            os.replace(scratch, path)
        except OSError as error:
            raise UsageError(f"checkpoint must be a file that can be written, got {path} ({error.strerror})") from error
        finally:
            scratch.unlink(missing_ok=True)

    def load(self, path):
        """Go on from what `save` wrote of a run of the same model, task and recipe.

        Raises
        ------
        UsageError
            The file is missing, is no such file, or is of another run.
        """
        try:
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            facts = json.loads(str(arrays.pop("facts")[()]))
        except FileNotFoundError:
            raise UsageError(f"checkpoint must exist, got {path}") from None
        except (OSError, EOFError, zipfile.BadZipFile, ValueError, KeyError) as error:
            raise UsageError(f"checkpoint must be a file written by Trainer.save, got {path} ({error})") from None
        mine = {"recipe": asdict(self.recipe), "task": self.task.name, "seq_len": self.seq_len, "seed": self.seed,
                "dtype": self.model.dtype.name}  # fmt: skip
        for name, value in mine.items():
            if facts.get(name) != value:
                raise UsageError(f"checkpoint must be of a run with {name} {value}, got {facts.get(name)} in {path}")
        if arrays["vector"].shape != self.model.vector.shape:
            raise UsageError(f"checkpoint must hold {self.model.vector.size} parameters, got {arrays['vector'].size}")
        self.model.vector[:] = arrays["vector"]
        for part, owner in (("optimiser", self.optimiser), ("clipper", self.clipper)):
            owner.restore({name.split(" ", 1)[1]: value for name, value in arrays.items() if name.startswith(part)})
        self.done, self.status = facts["done"], facts["status"]
        self.skipped, self.training, self.evaluation = (
            [tuple(row) for row in facts[name]] for name in ("skipped", "training", "evaluation"))  # fmt: skip
        self._resume_data(facts["rng"])
        self.model.set_noise_state(facts["noise"])
        kept = sorted(name for name in arrays if name.startswith("state "))
        self.states = [{} for _ in self.model.stack.layers] if kept else None
        for name in kept:
            _, number, state = name.split(" ")
            self.states[int(number)][state] = arrays[name]

    def _resume_data(self, state):
        if self.source is None:
            self.rng.bit_generator.state = state
            return
        for _ in range(self.done):  # a stream is drawn again: it has a state of its own
            self.source.take(self.seq_len)


def fit(model, task, recipe=None, *, seq_len=None, seed=0, **settings) -> Fit:
    """Train a model on a task.

    Parameters
    ----------
    model : Model
    task : Task
    recipe : Recipe, optional
        Made from the further settings where not given.
    seq_len : int, optional
        The task's default where not given.
    seed : int
        Of data and held-out sequences.

    Examples
    --------
    >>> task = tasks.load("adding")
    >>> model = model_for(task, seed=0, cell="gru", hidden=8)
    >>> fit(model, task, seq_len=20, updates=3, batch=4, evaluation=8).updates
    3
    """
    recipe = recipe or Recipe(**settings)
    return Trainer(model, task, recipe, seq_len=seq_len or task.seq_len, seed=seed).run()


def model_for(task, seed, **arguments) -> Model:
    """A model with the task's inputs, outputs and head, initial weights from stream "init", masks from "dropout"."""
    return Model(task.input_size, task.output_size, rng=stream("init", seed), noise=stream("dropout", seed),
                 **({"head": task.head} | arguments))  # fmt: skip


def check(grid, settings) -> None:
    """Refuse what no point of a grid could be trained with, before anything runs: an experiment's `check`.

    Raises
    ------
    UsageError
        A sequence too short for its task or its window, or dropout without a second layer.
    """
    names = [name for name in grid.get("task", ()) if name != "none"]
    shortest = min(grid.get("seq_len", (math.inf,)))
    for name in names:
        if shortest < math.inf:
            tasks.load(name).check(shortest)
    if max(grid.get("window", (0,))) > shortest:
        raise UsageError(f"window must be at most seq_len={shortest}, got {max(grid['window'])}")
    if max(grid.get("dropout", (0,))) > 0 and min(grid.get("layers", (1,))) == 1:
        hint = "it acts between layers; recurrent_dropout acts within one"
        raise UsageError(f"dropout must be 0 with one layer, got {max(grid['dropout'])} ({hint})")


class _LiveLine:
    """What the last update did, for whoever looks at the progress bar; a few times a second."""

    EVERY = 0.2

    def __init__(self, trainer):
        self.trainer, self.started, self.next = trainer, time.monotonic(), 0.0
        self.first, self.baseline = trainer.done, float(trainer.task.baseline(trainer.seq_len))

    def show(self, loss, clipped):
        """Take note of an update."""
        now = time.monotonic()
        if now < self.next or not progress.watched():
            return
        self.next = now + self.EVERY
        done, total = self.trainer.done, self.trainer.recipe.updates
        left = round((now - self.started) / max(done - self.first, 1) * (total - done))
        progress.note(f"update {done}/{total}  loss {loss:.3g} (baseline {self.baseline:.3g})  "
                      f"|dL/dw| {clipped.before:.2g}  at most {left // 60}:{left % 60:02d} left")  # fmt: skip

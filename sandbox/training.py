"""Training: draw a batch, differentiate, clip, update; now and then look at sequences that were held out.

    for update in range(updates):
        batch = task.draw(...)                     stream "data"
        loss = model.differentiate(batch)          dL/dparameters
        clip the gradient, optimiser.step(...)     lr by the schedule
        every so often: evaluate                   stream "test"; stop when the task is solved

The data of a seed are the same for every model. What is reported is the last evaluation, and the last update is always
followed by one. Of a run that meets a number which is not finite the first such tensor and its update are named.
"""

import math
import time
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from sandbox import archive, losses, optim
from sandbox.clipping import Clipper
from sandbox.errors import UsageError
from sandbox.kernels.reductions import dot, mean, total
from sandbox.layers.module import check_size
from sandbox.model import Model
from sandbox.omega import omega
from sandbox.recipe import Recipe, check, check_fit, require_memory
from sandbox.report import progress
from sandbox.streams import stream

__all__ = ["Fit", "Recipe", "Trainer", "check", "fit", "model_for", "model_within"]

RECORDS = 250  # points of a long run's training curve: so many at least, and fewer than twice as many
SLOPES = {"tanh": lambda h: 1 - h * h, "sigmoid": lambda h: h * (1 - h), "relu": lambda h: (h > 0).astype(h.dtype),
          "identity": np.ones_like}  # fmt: skip


@dataclass
class Fit:
    """What came of a training run.

    Attributes
    ----------
    solved_at : int or None
        Updates before the first evaluation that the task counts as solved.
    updates : int
        Done, those left out included.
    batch : int
    loss, score : float
        Of the last evaluation; NaN where outputs are not finite.
    baseline : float
        Loss of the best predictor without memory.
    status : str
        "" if all went well; "nonfinite: ..." if that ended the run, "skipped: ..." if updates were left out.
    clipping : dict
        `Clipper.summary`.
    curves : dict of dicts
        `training` (loss, gradient norm before and after clipping, learning rate, whether clipped) and `evaluation`.
    """

    solved_at: int | None
    updates: int
    batch: int
    loss: float
    score: float
    baseline: float
    status: str = ""
    clipping: dict = field(default_factory=dict)
    curves: dict = field(default_factory=dict)

    @property
    def solved(self) -> bool:
        """Whether any evaluation counted as solved."""
        return self.solved_at is not None

    def columns(self):
        """As columns of a results table; updates and sequences to success are None without success."""
        columns = {"solved": float(self.solved), "updates_to_success": self.solved_at,
                   "sequences_to_success": self.solved_at * self.batch if self.solved else None}  # fmt: skip
        columns |= {"updates_done": self.updates, "loss": self.loss, "baseline": self.baseline}
        columns |= {"loss_ratio": self.loss / self.baseline, "score": self.score} | self.clipping
        return columns | self.ending()

    def ending(self):
        """`status` as a column, if the run did not end as planned."""
        return {"status": self.status} if self.status else {}


class Trainer:
    """A training run that can be taken step by step, written to a file and resumed with the same bits.

    Parameters
    ----------
    model : Model
    task : Task
    recipe : Recipe
    seq_len, seed : int

    Attributes
    ----------
    held_out : list of Batch
    done : int
        Updates so far.
    status : str
        As of `Fit`.

    Raises
    ------
    UsageError
        Model and task do not fit together, the sequence is too short for task or window, or the memory for both.
    """

    def __init__(self, model, task, recipe, *, seq_len, seed):
        self.model, self.task, self.recipe, self.seq_len, self.seed = model, task, recipe, seq_len, seed
        check_fit(model, task, recipe, seq_len)
        require_memory(model, recipe, seq_len)
        self.baseline = float(task.baseline(seq_len))
        self.clipper = Clipper(recipe.clip, recipe.threshold, model.blocks)
        matrices = [np.full(value.size, value.ndim > 1) for value in model.parameters.values()]
        self.optimiser = optim.make(recipe.optimiser, model.vector.size, model.dtype, decay=np.concatenate(matrices))
        self.rate = optim.schedule(recipe.schedule, recipe.lr, recipe.updates)
        self.rng, self.source = self._open("data")
        self.states = None  # of streams: what the next update starts from
        self.done, self.skipped, self.status = 0, [], ""
        self.training, self.evaluation = [], []
        self._stride = max(1, recipe.updates // RECORDS)
        self.held_out = self._hold_out()

    def _open(self, purpose):
        """A random stream, and the task's own stream over it, None if the task has none."""
        rng = stream(purpose, self.seed)
        return rng, self.task.stream(rng, self.recipe.batch) if self.task.stream else None

    def _hold_out(self):
        if self.task.held_out is not None:
            return self.task.held_out(self.recipe.batch, self.seq_len)
        rng, source = self._open("test")
        return [self._draw(source, rng) for _ in range(-(-self.recipe.evaluation // self.recipe.batch))]

    def _draw(self, source, rng):
        if source is not None:
            return source.take(self.seq_len)
        return self.task.draw(rng, self.recipe.batch, self.seq_len)

    # One update --------------------------------------------------------------------------------------------------

    def step(self):
        """Draw, differentiate, clip, update; returns the loss and what clipping did."""
        found = self._differentiate(self._draw(self.source, self.rng), self.states, self.recipe.window)
        if self.recipe.omega:
            self._regularise()
        clipped, lr = self.clipper.apply(self.model.gradient), self.rate(self.done)
        self.done += 1
        if math.isfinite(found.loss) and math.isfinite(clipped.before):
            self.optimiser.step(self.model.vector, self.model.gradient, lr)
            self.states = found.states if self.source is not None else None
        else:
            self._leave_out(found.loss)
        if (self.done - 1) % self._stride == 0 or self._has_stopped():
            self.training.append((self.done, found.loss, clipped.before, clipped.after, lr, int(clipped.clipped)))
        return found.loss, clipped

    def _differentiate(self, batch, states, window):
        return self.model.differentiate(
            self._input(batch), self._target(batch), loss=self.task.loss, reduction=self.recipe.reduction,
            mask=batch.mask, lengths=batch.lengths, states=states, window=window,
            checkpoint_every=self.recipe.checkpoint_every)  # fmt: skip

    def _input(self, batch):
        return batch.x if self.task.symbols is not None else batch.x.astype(self.model.dtype)

    def _target(self, batch):
        return batch.target if self.task.loss == "softmax" else batch.target.astype(self.model.dtype)

    def _regularise(self):
        (layer,) = self.model.stack.layers
        run, gradients = layer.passed
        phi = SLOPES[layer.options["activation"]](run.y)
        _, dW = omega(gradients.z[:, :, 0], phi, layer.weights["W_hh"], self.recipe.omega_form, norms="row")
        layer.gradients["W_hh"][:] += layer.dtype.type(self.recipe.omega) * dW

    def _leave_out(self, loss):
        """Name what is not finite; the parameters stay as they are."""
        self.states = None  # they may be what is not finite
        name = "loss" if not math.isfinite(loss) else f"dL/d{self.clipper.nonfinite_block(self.model.gradient)}"
        self.skipped.append((self.done, name))
        if self.recipe.nonfinite == "stop":
            self.status = f"nonfinite: {name} at update {self.done}"
        else:
            first, what = self.skipped[0]
            self.status = f"skipped: {len(self.skipped)} updates, the first {first} ({what} not finite)"

    def _has_stopped(self):
        return self.status.startswith("nonfinite")

    def gradient(self, *, window="recipe"):
        """dL/dparameters (N,) of the first batch that was held out, a copy; `window`, None for the full gradient, in
        the place of the recipe's."""
        noise = self.model.noise_state()
        self._differentiate(self.held_out[0], None, self.recipe.window if window == "recipe" else window)
        self.model.set_noise_state(noise)
        return self.model.gradient.copy()

    # Evaluation --------------------------------------------------------------------------------------------------

    def evaluate(self):
        """Loss and score over the sequences that were held out.

        The loss is the mean over all elements that count, the score that of the batches which have one: a batch in
        which the task scores no step has none. Of real data, whose batches differ in size, each answer counts the same.
        Where the loss is not finite there is no score: NaN.
        """
        states, values, counts, scores = None, [], [], []
        for batch in self.held_out:
            output, states = self._predict(batch, states if self.source is not None else None)
            mask = batch.mask
            if self.task.head == "every" and batch.lengths is not None:
                live = np.arange(len(batch.x))[:, None] < batch.lengths
                mask = live if mask is None else live & mask
            values.append(losses.evaluate(self.task.loss, output, self._target(batch), mask)[0])
            counts.append(losses.count(self.task.loss, output.shape, mask))
            scores.append(self.task.score(output.astype(np.float64), batch))
        values, counts, scores = (np.array(column, np.float64) for column in (values, counts, scores))
        loss = float(dot(values, counts) / total(counts)) if counts.any() else math.nan
        known = np.isfinite(scores)
        if not known.any() or not math.isfinite(loss):
            return loss, math.nan
        if self.task.held_out is None:
            return loss, float(mean(scores[known]))
        answers = np.array([batch.answers() for batch in self.held_out], np.float64)[known]
        return loss, float(dot(scores[known], answers) / total(answers))

    def _predict(self, batch, states):
        """Output for a batch, and the states after it where they can be carried on."""
        return self.model.predict(self._input(batch), target=batch.target, lengths=batch.lengths, states=states,
                                  piece=self.recipe.piece)  # fmt: skip

    def forecast(self):
        """The first sequence that was held out beside what the model says of it, first output, by step: a curve.

        Empty where the task is not to follow a series.
        """
        if self.task.loss != "mse" or self.task.head != "every":
            return {}
        batch = self.held_out[0]
        output, _ = self._predict(batch, None)
        return {"forecast": {"step": np.arange(len(output)), "actual": batch.target[:, 0, 0],
                             "predicted": output[:, 0, 0].astype(np.float64)}}  # fmt: skip

    # The whole run -----------------------------------------------------------------------------------------------

    def run(self, *, checkpoint=None, every=None) -> Fit:
        """Go on until solved, or to the last update.

        Parameters
        ----------
        checkpoint : path, optional
            File to which the state is written as the run goes on.
        every : int, optional
            Updates between two such writes; as often as evaluations by default.
        """
        recipe, shown = self.recipe, _LiveLine(self)
        every = recipe.evaluate_every if every is None else check_size("every", every)
        if not self.evaluation:
            self._look()
        while not self._is_over():
            shown.show(*self.step())
            if self.done % recipe.evaluate_every == 0:
                self._look()
            if checkpoint is not None and self.done % every == 0:
                self.save(checkpoint)
        if self.evaluation[-1][0] != self.done:
            self._look()
        _, loss, score = self.evaluation[-1]
        status = self.status or ("" if math.isfinite(loss) else "nonfinite: loss on held-out sequences")
        solved_at = next((done for done, *found in self.evaluation if self._is_solved(*found)), None)
        return Fit(solved_at, self.done, recipe.batch, loss, score, self.baseline, status,
                   self.clipper.summary(), self._curves())  # fmt: skip

    def _look(self):
        loss, score = self.evaluate()
        self.evaluation.append((self.done, loss, score))
        if not math.isfinite(loss) and self.recipe.nonfinite == "stop" and not self.status:
            self.status = f"nonfinite: loss on held-out sequences after update {self.done}"

    def _is_solved(self, loss, score):
        return math.isfinite(loss) and bool(self.task.solved(loss, score))

    def _is_over(self):
        solved = self.recipe.until_solved and self._is_solved(*self.evaluation[-1][1:])
        return solved or self._has_stopped() or self.done >= self.recipe.updates

    def _curves(self):
        names = ("update", "loss", "gradient_norm", "clipped_norm", "lr", "clipped")
        curves = {"evaluation": dict(zip(("update", "loss", "score"), map(list, zip(*self.evaluation)), strict=True))}
        if self.training:
            curves["training"] = dict(zip(names, map(list, zip(*self.training)), strict=True))
        return curves

    # Files -------------------------------------------------------------------------------------------------------

    def save(self, path):
        """Write all that the rest of the run depends on to an .npz file, wholly or not at all.

        Raises
        ------
        UsageError
            The file cannot be written.
        """
        facts = {"run": self._identity(), "progress": {name: getattr(self, name) for name in PROGRESS},
                 "rng": self.rng.bit_generator.state, "noise": self.model.noise_state()}  # fmt: skip
        arrays = {"vector": self.model.vector}
        arrays |= {f"optimiser {name}": np.array(value) for name, value in self.optimiser.state().items()}
        arrays |= {f"clipper {name}": np.array(value) for name, value in self.clipper.state().items()}
        for number, states in enumerate(self.states or []):
            arrays |= {f"state {number} {name}": value for name, value in states.items()}
        archive.write(path, facts, arrays)

    def load(self, path):
        """Go on from what `save` wrote of a run of the same model, task, recipe, length and seed.

        Raises
        ------
        UsageError
            The file is missing, is no such file, or is of another run.
        """
        facts, arrays = archive.read(path)
        archive.match(path, facts.get("run"), self._identity())
        try:
            self._restore(facts, arrays)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UsageError(f"checkpoint must be a file written by Trainer.save, got {path} ({error})") from None

    def _restore(self, facts, arrays):
        self.model.vector[:] = arrays["vector"]
        for part, owner in (("optimiser", self.optimiser), ("clipper", self.clipper)):
            owner.restore({name.split(" ", 1)[1]: value for name, value in arrays.items() if name.startswith(part)})
        for name in PROGRESS:
            value = facts["progress"][name]
            setattr(self, name, [tuple(row) for row in value] if isinstance(value, list) else value)
        self.rng, self.source = self._open("data")
        if self.source is None:
            self.rng.bit_generator.state = facts["rng"]
        else:  # a stream has a state of its own, which comes of drawing all of it again
            for _ in range(self.done):
                self.source.take(self.seq_len)
        self.model.set_noise_state(facts["noise"])
        kept = [name.split(" ") for name in arrays if name.startswith("state ")]
        self.states = [{} for _ in {number for _, number, _ in kept}] or None
        for _, number, state in kept:
            self.states[int(number)][state] = arrays[f"state {number} {state}"]

    def _identity(self):
        """What a file must agree with to be of this run; initial weights are not part of it."""
        run = {"task": self.task.name, "seq_len": self.seq_len, "seed": self.seed}
        return run | asdict(self.recipe) | self.model.identity()


PROGRESS = ("done", "status", "skipped", "training", "evaluation")


def fit(model, task, recipe=None, *, seq_len=None, seed=0, **settings) -> Fit:
    """Train a model on a task.

    Parameters
    ----------
    model : Model
    task : Task
    recipe : Recipe, optional
    seq_len : int, optional
        The task's default where not given.
    seed : int
        Of data and held-out sequences.
    **settings
        Of `Recipe`, in the place of the recipe's.

    Examples
    --------
    >>> from sandbox import tasks
    >>> task = tasks.load("adding")
    >>> model = model_for(task, seed=0, cell="gru", hidden=8)
    >>> fit(model, task, seq_len=20, updates=3, batch=4, evaluation=8).updates
    3
    """
    recipe = replace(recipe or Recipe(), **settings)
    return Trainer(model, task, recipe, seq_len=task.seq_len if seq_len is None else seq_len, seed=seed).run()


def model_for(task, seed, **arguments) -> Model:
    """A model with the task's inputs, outputs and head, initial weights from stream "init", masks from "dropout".

    Of symbols `embedding` is the width of their vectors, `hidden` where it is not given; of vectors it says nothing.
    """
    width = arguments.pop("embedding", arguments.get("hidden", 32))
    if task.symbols is None:
        width = task.input_size
    else:
        arguments = {"symbols": task.symbols} | arguments
    return Model(width, task.output_size, rng=stream("init", seed), noise=stream("dropout", seed),
                 **({"head": task.head} | arguments))  # fmt: skip


def model_within(parameters, task, seed, *, multiple=4, **arguments) -> Model:
    """The widest `model_for` a task with at most so many parameters: its width is a multiple of `multiple`.

    Raises
    ------
    UsageError
        The narrowest has more.
    """

    def size(hidden):
        return model_for(task, seed, hidden=hidden, **arguments).vector.size

    if size(multiple) > parameters:
        raise UsageError(f"parameters must be at least {size(multiple)} for this model, got {parameters}")
    low, high = 1, 2
    while size(high * multiple) <= parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle * multiple) <= parameters else (low, middle)
    return model_for(task, seed, hidden=low * multiple, **arguments)


class _LiveLine:
    """What the last update did, for whoever looks at the progress bar; a few times a second."""

    EVERY = 0.2

    def __init__(self, trainer):
        self.trainer, self.first = trainer, trainer.done
        self.started, self.next = time.monotonic(), 0.0

    def show(self, loss, clipped):
        """Take note of an update."""
        if not progress.watched():
            return
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + self.EVERY
        done, updates, baseline = self.trainer.done, self.trainer.recipe.updates, self.trainer.baseline
        left = round((now - self.started) / max(done - self.first, 1) * (updates - done))
        left, norm = f"{left // 60}:{left % 60:02d} left", f"{clipped.before:.2g}"
        progress.note(
            f"update {done}/{updates}  loss {loss:.3g} (baseline {baseline:.3g})  |dL/dw| {norm}  at most {left}",
            f"{done}/{updates} loss {loss:.2g}/{baseline:.2g}, |dL/dw| {norm}, {left}",
        )

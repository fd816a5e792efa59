"""Training: the same bits after a resume, named numbers that are not finite, checks in front, curves, the live line."""

import doctest
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

import sandbox.training
from sandbox import archive, losses, memory, optim, tasks
from sandbox.errors import UsageError
from sandbox.kernels.reductions import norm
from sandbox.model import Model
from sandbox.omega import omega
from sandbox.recipe import check
from sandbox.report import progress
from sandbox.streams import stream
from sandbox.tasks import Batch
from sandbox.training import Fit, Recipe, Trainer, fit, model_for

SHORT = dict(updates=7, batch=3, evaluation=6, evaluate_every=3, lr=0.01)
PLACES = 12  # steps of most sequences here


def trainer(task="adding", seq_len=PLACES, seed=0, model=None, **settings):
    """A small trainer; `model` are arguments of the model."""
    chosen = tasks.load(task) if isinstance(task, str) else task
    built = model_for(chosen, seed, **{"cell": "gru", "hidden": 3, **(model or {})})
    return Trainer(built, chosen, Recipe(**{**SHORT, **settings}), seq_len=seq_len, seed=seed)


def refused(call, *parts):
    """Assert that `call` raises a one-line UsageError containing all parts."""
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    for part in parts:
        assert part in message, message


def test_examples_in_docstrings():
    results = doctest.testmod(sandbox.training)
    assert results.attempted > 0 and results.failed == 0


# The loop ----------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loop_is_what_its_text_says(dtype):
    """Draw, differentiate, clip, update: written out once more, to the bit."""
    run = trainer(model=dict(dtype=dtype), clip="global", threshold=0.05, schedule="cosine", until_solved=False)
    task, model = run.task, model_for(run.task, 0, cell="gru", hidden=3, dtype=dtype)
    rng, rate = stream("data", 0), optim.schedule("cosine", 0.01, 7)
    optimiser = optim.make("adam", model.vector.size, dtype)
    found = run.run()
    for update in range(7):
        batch = task.draw(rng, 3, PLACES)
        result = model.differentiate(batch.x.astype(dtype), batch.target.astype(dtype), loss="mse")
        size = norm(model.gradient)
        clipper = sandbox.training.Clipper("global", 0.05, model.blocks)
        clipper.apply(model.gradient)
        optimiser.step(model.vector, model.gradient, rate(update))
        row = [found.curves["training"][name][update] for name in ("update", "loss", "gradient_norm", "lr")]
        assert row == [update + 1, result.loss, size, rate(update)]
    np.testing.assert_array_equal(run.model.vector, model.vector)
    assert run.model.vector.dtype == dtype


def test_two_fits_have_the_same_bits_and_a_seed_decides():
    def columns(seed):
        run = trainer(seed=seed, model=dict(layers=2, dropout=0.3, recurrent_dropout=0.2))
        return run.run().columns(), run.model.vector.tolist()

    assert columns(1) == columns(1)
    assert columns(1) != columns(2)


@pytest.mark.plain_python
@pytest.mark.parametrize("task", ["adding", "embedded_reber:continual", "temporal_order:varied"])
def test_all_models_of_a_seed_see_the_same_data(task, monkeypatch):
    def seen(**model):
        drawn = []
        plain = Trainer._draw
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_draw", lambda *arguments: drawn.append(plain(*arguments)) or drawn[-1])
            run = trainer(task, 25, model=model, updates=2, batch=2, evaluation=4)
            run.step(), run.step()
        assert len(drawn) == 4
        return [part for batch in drawn for part in (batch.x, batch.target)], drawn

    first, batches = seen(cell="gru", hidden=3)
    other, _ = seen(cell="lstm", hidden=5, dtype="float64")
    for one, two in zip(first, other, strict=True):
        np.testing.assert_array_equal(one, two)
    held_out, drawn = batches[:2], batches[2:]
    assert not any(np.array_equal(a.x, b.x) for a in held_out for b in drawn)


def test_evaluation_changes_nothing_but_what_it_reports():
    often, seldom = (trainer(evaluate_every=every, until_solved=False, model=dict(recurrent_dropout=0.3)) for every in
                     (1, 7))  # fmt: skip
    assert often.run().curves["training"] == seldom.run().curves["training"]
    assert [row[0] for row in often.evaluation] == list(range(8)) and [row[0] for row in seldom.evaluation] == [0, 7]


def test_a_small_network_learns_to_add():
    run = trainer("adding", 10, model=dict(hidden=8), updates=400, batch=32, lr=0.02, evaluation=256,
                  evaluate_every=50)  # fmt: skip
    found = run.run()
    assert found.baseline == pytest.approx(1 / 6)
    assert found.loss < found.baseline / 4
    assert found.columns()["loss_ratio"] == found.loss / found.baseline


def test_until_solved_stops_at_the_first_evaluation_that_counts():
    easy = replace(tasks.load("adding"), solved=lambda loss, score: loss < 1e9)
    found = trainer(easy).run()
    assert (found.updates, found.solved, found.columns()["updates_to_success"]) == (0, True, 0)
    for until_solved, done in ((True, 3), (False, 7)):
        run = trainer(replace(easy, solved=lambda loss, score: loss < 1), until_solved=until_solved)
        found_losses = iter([5.0, 0.5, 0.4, 2.0])
        run.evaluate = lambda found_losses=found_losses: (next(found_losses), 0.0)
        found = run.run()
        assert (found.updates, found.solved, found.solved_at) == (done, True, 3)  # the first one, whatever came later
        assert found.columns()["updates_to_success"] == 3 and found.columns()["sequences_to_success"] == 9


def test_columns_without_success_are_none():
    columns = trainer().run().columns()
    assert columns["solved"] == 0.0 and columns["updates_to_success"] is columns["sequences_to_success"] is None
    assert list(columns) == [
        "solved", "updates_to_success", "sequences_to_success", "updates_done", "loss", "baseline", "loss_ratio",
        "score", "clip_p50", "clip_p95", "clip_max", "clip_share",
    ]  # fmt: skip
    assert Fit(None, 1, 1, 1.0, 1.0, 1.0, "nonfinite: x").columns()["status"] == "nonfinite: x"


@pytest.mark.parametrize(("updates", "points"), [(1, 1), (249, 249), (499, 499), (500, 250), (749, 375), (1000, 250)])
def test_a_training_curve_has_at_most_some_hundred_points(updates, points):
    task = tasks.load("adding")
    model = model_for(task, 0, cell="rnn", hidden=1)
    run = Trainer(model, task, Recipe(updates=updates, batch=1, evaluation=1, evaluate_every=updates), seq_len=2,
                  seed=0)  # fmt: skip
    training = run.run().curves["training"]
    assert len(training["update"]) == points and training["update"][0] == 1
    assert {len(column) for column in training.values()} == {points}


def test_curves_say_what_clipping_did_and_what_the_rate_was():
    training = trainer(threshold=0.1, schedule="step:2:0.5", until_solved=False).run().curves["training"]
    for before, after, clipped in zip(*(training[name] for name in ("gradient_norm", "clipped_norm", "clipped")),
                                      strict=True):  # fmt: skip
        assert clipped == (before > 0.1) and after == pytest.approx(min(before, 0.1), rel=1e-6)
    assert 1 in training["clipped"]
    assert training["lr"] == [0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025, 0.00125]


@pytest.mark.plain_python
def test_adamw_decays_matrices_only():
    still = dict(optimiser="adamw", lr=0.1, updates=1)
    run = trainer(model=dict(cell="lstm", dtype="float64"), **still)
    run._draw = lambda source, rng: Batch(np.zeros((PLACES, 3, 2)), np.zeros((3, 1)))
    run.model.parameters["layers.0.b"][:] = 0.7
    before = {name: value.copy() for name, value in run.model.parameters.items()}
    run._differentiate = lambda *arguments: run.model.gradient.fill(0) or type("", (), {"loss": 0.0, "states": None})
    run.step()
    for name, value in run.model.parameters.items():
        shrunk = before[name] * (1 - 0.1 * 0.01) if value.ndim > 1 else before[name]
        np.testing.assert_allclose(value, shrunk, rtol=1e-15)
    assert {value.ndim for value in before.values()} == {1, 2}


@pytest.mark.plain_python
@pytest.mark.parametrize("form", ["paper", "code"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
def test_omega_adds_its_weight_times_its_derivative_to_the_recurrent_matrix_alone(form, activation):
    def gradient(weight):
        run = trainer("temporal_order:varied", 25, batch=3, evaluation=3, clip="none", omega=weight, omega_form=form,
                      model=dict(cell=f"rnn:{activation}", dtype="float64", gain=1.3))  # fmt: skip
        run.optimiser.step = lambda *arguments: None
        run.step()
        return run.model, {name: value.copy() for name, value in run.model.gradients.items()}

    model, plain = gradient(0.0)
    _, regularised = gradient(0.25)
    layer = model.stack.layers[0]
    run, gradients = layer.passed
    h = run.y
    slope = {"tanh": 1 - h**2, "sigmoid": h * (1 - h), "relu": (h > 0) * 1.0, "identity": np.ones_like(h)}[activation]
    _, dW = omega(gradients.z[:, :, 0], slope, layer.weights["W_hh"], form, norms="row")
    assert np.abs(dW).max() > 1e-6
    for name, value in regularised.items():
        added = 0.25 * dW if name == "layers.0.W_hh" else 0.0
        np.testing.assert_array_equal(value, plain[name] + added, err_msg=name)


# Evaluation --------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_loss_and_score_are_those_of_the_elements_that_count():
    """Batches with few counted steps weigh less in the loss; one without scored steps says nothing about the score."""
    run = trainer("embedded_reber", 9, batch=2, evaluation=6)
    rng, batches = np.random.default_rng(0), []
    for counted, scored in ((9, 9), (2, 1), (0, 0)):
        steps = np.arange(9)[:, None].repeat(2, 1)
        batches.append(Batch(rng.random((9, 2, 7)), rng.integers(7, size=(9, 2)), steps < counted,
                             scored=(steps < scored) & (scored < 9)))  # fmt: skip
    run.held_out = batches
    loss, score = run.evaluate()
    terms, right = [], []
    for batch in batches:
        output = run.model.forward(batch.x.astype("float32")).astype(float)
        log_sum = np.log(np.exp(output).sum(axis=2))
        chosen = np.take_along_axis(output, batch.target[..., None], 2)[..., 0]
        terms += list((log_sum - chosen)[batch.mask])
        right += list((output.argmax(axis=2) == batch.target)[batch.scored])
    assert len(terms) == 22 and len(right) == 2
    assert loss == pytest.approx(np.mean(terms), rel=1e-6)
    assert score == np.mean(right)
    run.held_out = batches[2:]
    assert all(map(math.isnan, run.evaluate()))


@pytest.mark.plain_python
@pytest.mark.parametrize("task", ["adding", "copy", "embedded_reber:continual", "temporal_order:varied"])
@pytest.mark.parametrize("piece", [1, 7, 25])
def test_evaluation_in_pieces_has_the_same_bits(task, piece):
    whole = trainer(task, 25, batch=2, evaluation=4).evaluate()
    assert trainer(task, 25, batch=2, evaluation=4, checkpoint_every=piece).evaluate() == whole
    assert trainer(task, 25, batch=2, evaluation=4, window=piece).evaluate() == whole


@pytest.mark.parametrize("head", ["mean", "last"])
def test_evaluation_in_one_piece_where_pieces_cannot_be(head):
    model = dict(head=head, direction="both")
    whole = trainer("adding", model=model).evaluate()
    assert trainer("adding", model=model, window=PLACES).evaluate() == whole
    mean = trainer("adding", model=dict(head="mean")).evaluate()
    assert trainer("adding", model=dict(head="mean"), checkpoint_every=5).evaluate() == mean


def test_streams_are_carried_on_in_training_and_evaluation_and_apart():
    run = trainer("embedded_reber:continual", 8, batch=2, evaluation=4, updates=3)
    run.step()
    carried = run.states
    assert carried is not None and run.source is not None
    before = run.model.forward(run.held_out[0].x.astype("float32"))
    apart = run.evaluate()
    assert run.states is carried and run.evaluate() == apart
    first, second = (batch.x.astype("float32") for batch in run.held_out)
    whole = run.model.forward(np.concatenate([first, second]))
    values = [losses.evaluate("softmax", part, batch.target)[0]
              for part, batch in zip((whole[:8], whole[8:]), run.held_out, strict=True)]  # fmt: skip
    assert apart[0] == pytest.approx(np.mean(values), rel=1e-12)
    np.testing.assert_array_equal(before, whole[:8])


def test_gradient_of_the_held_out_batch_leaves_the_run_alone():
    run, untouched = (trainer(window=4, model=dict(recurrent_dropout=0.5)) for _ in range(2))
    full, cut, again = run.gradient(window=None), run.gradient(), run.gradient(window=4)
    np.testing.assert_array_equal(cut, again)
    assert not np.array_equal(full, cut)
    assert run.run().columns() == untouched.run().columns()
    with pytest.raises(TypeError):
        run.gradient(windw=3)


# Numbers that are not finite ---------------------------------------------------------------------------------------


def spoil(run, at, what):
    """Let update number `at` meet a NaN: in the target (`loss`) or in one tensor of the gradient."""
    plain = run._differentiate

    def differentiate(batch, states, window):
        if run.done + 1 == at and what == "loss":
            batch = replace(batch, target=np.full_like(batch.target, np.nan))
        found = plain(batch, states, window)
        if run.done + 1 == at and what != "loss":
            run.model.gradients[what].flat[-1] = np.inf
        return found

    run._differentiate = differentiate
    return run


@pytest.mark.parametrize(("what", "named"), [("loss", "loss"), ("layers.0.W_hh", "dL/dlayers.0.W_hh")])
def test_stop_names_the_tensor_and_the_update_and_keeps_the_parameters(what, named):
    run, clean = spoil(trainer(), 5, what), trainer()
    found = run.run()
    for _ in range(4):
        clean.step()
    np.testing.assert_array_equal(run.model.vector, clean.model.vector)
    assert found.status == f"nonfinite: {named} at update 5" and found.updates == 5
    assert found.columns()["status"] == found.status
    assert found.curves["training"]["update"][-1] == 5
    assert not math.isfinite(found.curves["training"]["loss" if what == "loss" else "gradient_norm"][-1])
    assert found.curves["evaluation"]["update"] == [0, 3, 5] and math.isfinite(found.loss)


@pytest.mark.parametrize("what", ["loss", "head.W"])
@pytest.mark.parametrize("optimiser", ["sgd", "momentum", "adam"])
def test_skip_leaves_parameters_and_optimiser_alone(what, optimiser):
    run = spoil(trainer(nonfinite="skip", optimiser=optimiser), 4, what)
    for _ in range(3):
        run.step()
    before = run.model.vector.copy(), run.optimiser.state()
    run.step()
    np.testing.assert_array_equal(run.model.vector, before[0])
    for name, value in run.optimiser.state().items():
        np.testing.assert_array_equal(value, before[1][name])
    found = run.run()
    assert found.updates == 7 and not np.array_equal(run.model.vector, before[0])
    expected = "loss" if what == "loss" else "dL/dhead.W"
    assert found.status == f"skipped: 1 updates, the first 4 ({expected} not finite)"
    assert math.isfinite(found.loss)


def test_skip_starts_a_stream_anew_where_states_may_be_spoilt():
    run = spoil(trainer("embedded_reber:continual", nonfinite="skip"), 2, "head.b")
    run.step()
    assert run.states is not None
    run.step()
    assert run.states is None
    run.step()
    assert run.states is not None


@pytest.mark.parametrize("task", ["adding:mean", "embedded_reber", "latch"])
@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_a_network_that_diverges_is_named_and_never_counts_as_solved(task, policy):
    """No warning either: they are errors here."""
    run = trainer(task, 20, model=dict(cell="rnn:identity", gain=1.0), optimiser="sgd", lr=1e37, clip="none",
                  nonfinite=policy, updates=6, until_solved=False)  # fmt: skip
    found = run.run()
    assert found.status.startswith("nonfinite: " if policy == "stop" else "skipped: ")
    assert not found.solved and math.isnan(found.score) and not math.isfinite(found.loss)
    assert found.updates == 6 or policy == "stop"


def test_a_loss_that_is_not_finite_on_held_out_sequences_alone_is_named():
    for policy, updates in (("stop", 3), ("skip", 7)):
        run = trainer(nonfinite=policy)
        plain = run.evaluate
        run.evaluate = lambda run=run, plain=plain: (math.inf, math.nan) if run.done else plain()
        found = run.run()
        assert found.status.startswith("nonfinite: loss on held-out sequences") and found.updates == updates
        assert not found.solved


def test_no_rule_of_a_task_makes_a_success_of_a_loss_that_is_not_finite():
    run = trainer(replace(tasks.load("adding"), solved=lambda loss, score: True))
    run.model.vector[:] = np.nan
    found = run.run()
    assert found.status == "nonfinite: loss on held-out sequences after update 0"
    assert (found.updates, found.solved) == (0, False)


def test_the_update_that_ends_a_long_run_is_on_its_curve():
    found = spoil(trainer(updates=2000), 3, "loss").run()
    assert found.curves["training"]["update"] == [1, 3]


# Checkpoints -------------------------------------------------------------------------------------------------------

RUNS = {
    "dropout": dict(model=dict(layers=2, dropout=0.3, recurrent_dropout=0.2, zoneout=0.1)),
    "stream": dict(task="embedded_reber:continual"),
    "stream of an lstm in windows": dict(task="embedded_reber:continual", window=5, model=dict(cell="lstm")),
    "lengths": dict(task="temporal_order:varied", seq_len=25, checkpoint_every=10),
    "both": dict(model=dict(direction="both", layers=2, dropout=0.5)),
    "float64": dict(model=dict(dtype="float64")),
    "skip": dict(nonfinite="skip"),
    "cosine": dict(schedule="cosine+warmup:2", clip="tensor", threshold=0.1),
    "omega": dict(model=dict(cell="rnn"), omega=0.5, clip="value", threshold=0.01),
    **{name: dict(optimiser=name) for name in optim.NAMES},
}


def outcome(run, found):
    """Everything that came of a run, as text: a NaN is like another."""
    return repr((found, run.model.vector.tolist(), run.model.noise_state()))


@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_has_the_bits_of_one_that_was_not_interrupted(name, tmp_path):
    settings = {"until_solved": False, **RUNS[name]}
    path = tmp_path / "run.npz"

    def new():
        run = trainer(**settings)
        return spoil(run, 2, "head.W") if name == "skip" else run

    whole = new()
    expected = outcome(whole, whole.run(checkpoint=path, every=5))
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]
    resumed = new()
    resumed.load(path)
    assert resumed.done == 5
    assert outcome(resumed, resumed.run()) == expected
    resumed.load(path)  # once more into the same one
    assert resumed.done == 5 and outcome(resumed, resumed.run()) == expected


@pytest.mark.parametrize("at", range(8))
def test_a_run_can_be_resumed_at_any_update(at, tmp_path):
    settings = dict(task="embedded_reber:continual", model=dict(recurrent_dropout=0.2), until_solved=False)
    whole, broken, resumed = (trainer(**settings) for _ in range(3))
    expected = outcome(whole, whole.run())
    broken.evaluation.append((0, *broken.evaluate()))
    for _ in range(at):
        broken.step()
        if broken.done % 3 == 0:
            broken._look()
    broken.save(tmp_path / "x")
    resumed.load(tmp_path / "x")
    assert outcome(resumed, resumed.run()) == expected


def test_a_run_that_was_over_stays_so(tmp_path):
    path = tmp_path / "run"
    stopped = spoil(trainer(), 4, "loss")
    found = stopped.run(checkpoint=path, every=1)
    resumed = trainer()
    resumed.load(path)
    assert repr(resumed.run()) == repr(found)
    easy = replace(tasks.load("adding"), solved=lambda loss, score: True)
    run = trainer(easy)
    run.evaluation.append((0, 1.0, 1.0))
    run.save(path)
    again = trainer(easy)
    again.load(path)
    assert again.run().updates == 0


def test_every_defaults_to_evaluations_and_follows_its_rule(tmp_path):
    run = trainer(updates=5, until_solved=False)
    run.run(checkpoint=tmp_path / "x")
    resumed = trainer(updates=5, until_solved=False)
    resumed.load(tmp_path / "x")
    assert resumed.done == 3
    for every in (0, -1, 1.5):
        refused(lambda every=every: trainer().run(checkpoint=tmp_path / "x", every=every), "every must be a whole")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (dict(lr=0.02), "a run with lr 0.02, got 0.01 in"),
        (dict(updates=8), "a run with updates 8, got 7 in"),
        (dict(optimiser="sgd"), "a run with optimiser sgd, got adam in"),
        (dict(seed=1), "a run with seed 1, got 0 in"),
        (dict(seq_len=13), "a run with seq_len 13, got 12 in"),
        (dict(task="adding:hs97"), "a run with task adding:hs97, got adding in"),
        (dict(model=dict(dtype="float64")), "a run with dtype float64, got float32 in"),
        (dict(model=dict(hidden=4)), "a run with parameters"),
        (dict(model=dict(cell="gru:before")), "a run with cells"),
        (dict(model=dict(recurrent_dropout=0.1)), "a run with recurrent_dropout 0.1, got 0.0 in"),
        (dict(model=dict(head="mean")), "a run with head mean, got last in"),
    ],
)
def test_files_of_other_runs(change, parts, tmp_path):
    path = tmp_path / "run"
    run = trainer()
    run.run(checkpoint=path, every=3)
    other = trainer(**change)
    before = other.model.vector.copy()
    refused(lambda: other.load(path), "checkpoint must be of a run with", parts, str(path))
    np.testing.assert_array_equal(other.model.vector, before)


def test_files_that_are_missing_damaged_or_something_else(tmp_path):
    path = tmp_path / "run"
    run = trainer()
    run.step()
    run.save(path)
    whole = path.read_bytes()
    refused(lambda: run.load(tmp_path / "none"), f"checkpoint must exist, got {tmp_path / 'none'}")
    refused(lambda: run.load(tmp_path), "checkpoint must be a file written by Trainer.save", "directory")
    spoilt = {
        "empty": b"", "text": b"hello", "half": whole[: len(whole) // 2], "no end": whole[:-30],
        "turned": whole[: len(whole) // 3] + bytes([whole[len(whole) // 3] ^ 255]) + whole[len(whole) // 3 + 1 :],
    }  # fmt: skip
    for content in spoilt.values():
        path.write_bytes(content)
        refused(lambda: run.load(path), "checkpoint must be a file written by Trainer.save, got")
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    refused(lambda: run.load(tmp_path / "other.npz"), "checkpoint must be a file written by Trainer.save, got")
    np.savez(tmp_path / "odd.npz", facts=np.array("[1]"))
    refused(lambda: run.load(tmp_path / "odd.npz"), "checkpoint must be a file written by Trainer.save, got")
    np.savez(tmp_path / "pickled.npz", facts=np.array({"a": 1}, dtype=object))
    refused(lambda: run.load(tmp_path / "pickled.npz"), "checkpoint must be a file written by Trainer.save, got")
    path.write_bytes(whole)
    facts, arrays = archive.read(path)
    for missing in ("vector", "optimiser first", "clipper norms"):
        archive.write(path, facts, {name: value for name, value in arrays.items() if name != missing})
        refused(lambda: run.load(path), "checkpoint must be a file written by Trainer.save, got")
    for fact in ("progress", "rng", "noise"):
        archive.write(path, {name: value for name, value in facts.items() if name != fact}, arrays)
        refused(lambda: run.load(path), "checkpoint must be a file written by Trainer.save, got")


def test_files_that_cannot_be_written(tmp_path):
    run = trainer()
    (tmp_path / "file").write_text("")
    rule = "checkpoint must be a file that can be written, got"
    for path in (tmp_path / "none" / "x", tmp_path / "file" / "x", tmp_path, "", "."):
        refused(lambda path=path: run.save(path), rule)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file"]


# What is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "rule"),
    [
        (dict(updates=0), "updates must be a whole number from 1, got 0"),
        (dict(batch=0), "batch must be a whole number from 1, got 0"),
        (dict(batch=2.0), "batch must be a whole number from 1, got 2.0"),
        (dict(evaluation=0), "evaluation must be a whole number from 1"),
        (dict(evaluate_every=0), "evaluate_every must be a whole number from 1"),
        (dict(window=0), "window must be a whole number from 1"),
        (dict(checkpoint_every=-1), "checkpoint_every must be a whole number from 1"),
        (dict(window=3, checkpoint_every=3), "window and checkpoint_every must not be given together"),
        (dict(lr=0), "lr must be a finite number above 0, got 0"),
        (dict(lr=-0.1), "lr must be a finite number above 0, got -0.1"),
        (dict(lr=math.nan), "lr must be a finite number above 0, got nan"),
        (dict(lr=math.inf), "lr must be a finite number above 0, got inf"),
        (dict(optimiser="adma"), "unknown optimiser 'adma'; did you mean 'adam'?"),
        (dict(schedule="cosin"), "schedule must be constant"),
        (dict(reduction="avg"), "unknown reduction 'avg' (choose from: mean, sum, sequences)"),
        (dict(clip="globl"), "unknown clip 'globl'; did you mean 'global'?"),
        (dict(threshold=0), "clipping threshold must be a finite number above 0, got 0"),
        (dict(threshold=math.nan), "clipping threshold must be a finite number above 0, got nan"),
        (dict(nonfinite="stpo"), "unknown nonfinite 'stpo'; did you mean 'stop'?"),
        (dict(omega=-1), "omega must be a finite number from 0, got -1"),
        (dict(omega=math.nan), "omega must be a finite number from 0, got nan"),
        (dict(omega=True), "omega must be a finite number from 0, got True"),
        (dict(omega=1.0, window=5), "omega must be 0 with a window or checkpoint_every"),
        (dict(omega_form="papr"), "unknown omega_form 'papr'; did you mean 'paper'?"),
    ],
)
def test_recipes_out_of_rule(setting, rule):
    refused(lambda: Recipe(**setting), rule)


ORDER = "embedded_reber:continual"


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        (dict(model=dict(head="every")), "head must be last or mean for task adding, got every"),
        (dict(task=ORDER, model=dict(head="last")), "head must be every for task embedded_reber:continual, got last"),
        (dict(seq_len=1), "seq_len must be a whole number from 2 for task adding, got 1"),
        (dict(seq_len=0), "seq_len must be a whole number from 2 for task adding, got 0"),
        (dict(seq_len=2.5), "seq_len must be a whole number from 2 for task adding, got 2.5"),
        (dict(window=13), "window must be at most seq_len=12, got 13"),
        (dict(checkpoint_every=13), "checkpoint_every must be at most seq_len=12, got 13"),
        (dict(window=4, model=dict(direction="both")), "direction must be forward with a window or checkpoint_every"),
        (dict(task=ORDER, model=dict(direction="both")), "direction must be forward for task embedded_reber:continual"),
        (dict(seed=-1), "seed must be a whole number from 0, got -1"),
        (dict(omega=1.0), "omega must be 0 for anything but one layer of cell rnn"),
        (dict(omega=1.0, model=dict(cell="rnn", layers=2)), "omega must be 0 for anything but one layer of cell rnn"),
        (dict(omega=1.0, model=dict(cell="rnn", direction="both")), "omega must be 0 for anything but one layer"),
        (dict(omega=1.0, model=dict(cell="mlp:3")), "omega must be 0 for anything but one layer"),
        (dict(omega=1.0, model=dict(cell="transformer:heads=1")), "omega must be 0 for anything but one layer"),
        (dict(omega=1.0, model=dict(cell="rnn", recurrent_dropout=0.1)), "without recurrent_dropout and zoneout"),
        (dict(model=dict(dropout=0.5)), "dropout must be 0 with one layer"),
        (dict(model=dict(dropout=1.0, layers=2)), "dropout must be a number from 0 to below 1, got 1.0"),
        (
            dict(model=dict(symbols=4)),
            "model must read 2 numbers a step and have 1 outputs for task adding, got 4",
        ),
        (dict(task="addng"), "unknown task 'addng'; did you mean 'adding'?"),
        (dict(task="adding:centered"), "unknown variant of task adding 'centered'; did you mean 'centred'?"),
    ],
)
def test_what_does_not_go_together(settings, rule):
    refused(lambda: trainer(**settings), rule)


def test_a_model_of_another_size():
    model = Model(3, 1, cell="gru", hidden=2, rng=stream("init", 0))
    refused(lambda: Trainer(model, tasks.load("adding"), Recipe(), seq_len=9, seed=0),
            "model must read 2 numbers a step and have 1 outputs for task adding, got 3 numbers and 1")  # fmt: skip


def test_fit_takes_settings_in_the_place_of_a_recipe_s():
    task = tasks.load("adding")
    recipe = Recipe(**SHORT)
    found = fit(model_for(task, 0, cell="rnn", hidden=2), task, recipe, seq_len=5, updates=2)
    assert found.updates == 2 and found.batch == 3
    refused(lambda: fit(model_for(task, 0, cell="rnn", hidden=2), task, recipe, seq_len=0), "seq_len must be")
    assert fit(model_for(task, 0, cell="rnn", hidden=2), task, recipe, updates=1).updates == 1


@pytest.mark.parametrize(
    ("grid", "rule"),
    [
        (dict(task=["adding", "adding:hs97"], seq_len=[50, 5]),
         "seq_len must be a whole number from 6 for task adding:hs97, got 5"),
        (dict(task=["adding"], seq_len=[20, 50], window=[10, 30]), "window must be at most seq_len=20, got 30"),
        (dict(task=["adding"], layers=[1, 2], dropout=[0.0, 0.5]), "dropout must be 0 with one layer, got 0.5"),
        (dict(task=["adding", ORDER], direction=["forward", "both"]), "direction must be forward for task embedded"),
        (dict(task=["adding"], seq_len=[20], window=[10], direction=["both"]), "direction must be forward with a wind"),
        (dict(task=["adding", "latch"], head=["every"]), "head must be last or mean for task adding, got every"),
    ],
)  # fmt: skip
def test_grids_are_checked_before_anything_runs(grid, rule):
    refused(lambda: check(grid, {}), rule)


def test_grids_that_can_be_trained_pass():
    check({}, {})
    check(dict(task=["adding", ORDER], seq_len=[12], window=[12], layers=[2, 3], dropout=[0.5]), {})
    check(dict(task=["adding"], seq_len=[12], window=[12], direction=["both"], head=["last", "mean"]), {})


def test_a_run_that_does_not_fit_into_memory_says_how_much_it_needs(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: 10**6)
    trainer()
    hint = "free (use checkpoint_every or a smaller batch)"
    # 1000 steps of 3 sequences: 3 batches of 2 inputs in float64; 4 tape columns and 1 state of 30 units in float32
    size = memory.show(8 * 3 * 1000 * 3 * 2 + 4 * 5 * 1000 * 3 * 30)
    refused(lambda: trainer(seq_len=1000, model=dict(hidden=30)),
            f"data, states and gates of seq_len=1000, batch=3 in float32 must fit into memory, got {size} needed and "
            "1 MB", hint)  # fmt: skip
    trainer(seq_len=1000, model=dict(hidden=30), checkpoint_every=100)
    monkeypatch.setattr(memory, "free", lambda: None)
    trainer(seq_len=1000, model=dict(hidden=30))


# The live line -----------------------------------------------------------------------------------------------------


def test_the_live_line_says_where_the_run_is(monkeypatch):
    said, clock = [], iter(range(1000))
    monkeypatch.setattr(progress, "watched", lambda: True)
    monkeypatch.setattr(progress, "note", lambda *texts: said.append(texts))
    monkeypatch.setattr(sandbox.training.time, "monotonic", lambda: float(next(clock)))
    found = trainer(until_solved=False).run()
    assert len(said) == 7  # a second an update: each is shown
    loss, size = (found.curves["training"][name][2] for name in ("loss", "gradient_norm"))
    long, short = said[2]
    assert long == f"update 3/7  loss {loss:.3g} (baseline 0.167)  |dL/dw| {size:.2g}  at most 0:04 left"
    assert short == f"3/7 loss {loss:.2g}/0.17, |dL/dw| {size:.2g}, 0:04 left"
    assert max(len(short) for _, short in said) < 60


def test_the_live_line_is_shown_a_few_times_a_second_and_to_those_who_look(monkeypatch):
    said = []
    monkeypatch.setattr(progress, "note", lambda *texts: said.append(texts))
    trainer(until_solved=False).run()
    assert said == []
    monkeypatch.setattr(progress, "watched", lambda: True)
    monkeypatch.setattr(sandbox.training.time, "monotonic", lambda: 5.0)
    trainer(until_solved=False).run()
    assert len(said) == 1


def test_files_are_replaced_wholly(tmp_path, monkeypatch):
    path = tmp_path / "run"
    run = trainer()
    run.save(path)
    before = path.read_bytes()

    def full(*arguments, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive.np, "savez", full)
    refused(lambda: run.save(path), "No space left on device")
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["run"]
    shutil.rmtree(tmp_path)

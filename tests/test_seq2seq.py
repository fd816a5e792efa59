"""Encoder-decoders: every parameter's gradient against a complex step, padding, forcing, and writing step by step."""

import doctest
import itertools

import naive
import naive_model
import naive_seq2seq
import numpy as np
import pytest

from sandbox import decoding, seq2seq, threads
from sandbox.alphabet import END, START
from sandbox.errors import UsageError
from sandbox.jit import COMPILED
from sandbox.recipe import Recipe
from sandbox.seq2seq import ATTENTIONS, Seq2Seq, forcing
from sandbox.seq2seq import model as module
from sandbox.shapes import transduction
from sandbox.streams import stream
from sandbox.training import Trainer

S, T, B, D, H, O = 5, 3, 3, 2, 2, 4
LENGTHS = np.array([5, 0, 3])
STEPS = np.array([3, 1, 2])  # of the target


class Problem:
    """An encoder-decoder with random numbers in all its parameters, and a batch for it."""

    def __init__(self, *, symbols=3, lengths=LENGTHS, mask=True, size=(S, T, B), dtype="float64", seed=None, hidden=H,
                 embedding=3, kind="sequence", **arguments):  # fmt: skip
        rng, (steps, written, rows) = np.random.default_rng(5), size
        noise = None if seed is None else stream("dropout", seed)
        self.model = Seq2Seq(D, O, rng=stream("init", 0), symbols=symbols, hidden=hidden, embedding=embedding,
                             dtype=dtype, noise=noise, kind=kind, **arguments)  # fmt: skip
        for value in self.model.parameters.values():
            drawn = rng.standard_normal(value.shape).astype(np.float32)
            value[:] = (0.5 if value.ndim == 1 else 1.5 * len(value) ** -0.5) * drawn
        shape = (steps, rows) if kind == "sequence" else (rows,)
        if symbols:
            self.x = rng.integers(symbols, size=shape)
        else:
            self.x = rng.standard_normal((*shape, D)).astype(np.float32).astype(dtype)
        self.target = rng.integers(O, size=(written, rows))
        self.lengths = lengths if kind == "sequence" else None
        self.mask = np.arange(written)[:, None] < np.resize(STEPS, rows) if mask else None
        if mask:
            self.target[~self.mask] = END

    def batch(self, **arguments):
        return {"mask": self.mask, "lengths": self.lengths} | arguments

    def differentiate(self, **arguments):
        return self.model.differentiate(self.x, self.target, **self.batch(**arguments))

    def loss(self, flat, inputs=None, reduction="mean"):
        """Of the model in NumPy."""
        inputs = shifted(self.target) if inputs is None else inputs
        output, _ = naive_seq2seq.output(self.model, flat, self.x, inputs, self.lengths)
        mask = np.ones(self.target.shape, bool) if self.mask is None else self.mask
        return naive_model.reduced("softmax", output, self.target, mask, "every", reduction)

    def check(self, inputs=None, reduction="mean", **arguments):
        """Value, output and each parameter's gradient."""
        found, point = self.differentiate(reduction=reduction, **arguments), self.model.vector
        value = self.loss(point, inputs, reduction)
        assert abs(found.loss - value) <= 1e-13 * abs(value)
        given = shifted(self.target) if inputs is None else inputs
        output, weights = naive_seq2seq.output(self.model, point, self.x, given, self.lengths)
        assert np.abs(found.output - output).max() <= 1e-13 * np.abs(output).max()
        if weights is not None:
            assert np.abs(self.model.decoder.attention.weights - weights).max() <= 1e-13
        expected = naive.gradient(lambda flat: self.loss(flat, inputs, reduction), point)
        assert np.abs(self.model.gradient - expected).max() <= 1e-12 * np.abs(expected).max()
        return expected


def shifted(target):
    return np.concatenate([np.full((1, target.shape[1]), START), target[:-1]])


def refused(message, function, *arguments, **named):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    assert str(caught.value) == message


def same(actual, expected):
    """Bit by bit, but for NumPy's product as plain Python."""
    if COMPILED:
        np.testing.assert_array_equal(actual, expected)
    else:
        assert np.abs(np.asarray(actual) - expected).max() <= 1e-13 * max(np.abs(expected).max(), 1e-3)


# Gradients ---------------------------------------------------------------------------------------------------------

# Identity needs the encoder's states to be the decoder's; dot needs keys as wide as the states.
SHAPES = [dict(cell=cell, direction=direction, bridge=bridge, attention=attention,
               merge="sum" if attention == "dot" else "concat")
          for cell, direction, bridge, attention in itertools.product(
              ("rnn", "gru", "lstm"), ("forward", "both"), ("dense", "identity"), ATTENTIONS)
          if (direction, bridge) != ("both", "identity")]  # fmt: skip


@pytest.mark.plain_python
@pytest.mark.parametrize("arguments", SHAPES, ids=lambda found: "-".join(found.values()))
def test_gradient_by_every_number(arguments):
    expected = Problem(**arguments).check()
    assert np.count_nonzero(expected) > 0.8 * expected.size


@pytest.mark.plain_python
@pytest.mark.parametrize("attention", ["none", "general"])
def test_gradient_of_other_shapes(attention):
    Problem(symbols=None, attention=attention, cell="gru", direction="both").check(reduction="sum")
    Problem(lengths=None, mask=False, attention=attention, cell="lstm", layers=2).check(reduction="sequences")
    Problem(attention=attention, cell=["rnn", "gru"], layers=2, residual=True, bridge="identity").check()
    Problem(attention=attention, cell="rnn", layers=2, direction="both", merge="sum", residual=True).check()
    Problem(attention=attention, cell="lstm", size=(1, 1, 1), lengths=None, mask=False).check()
    Problem(attention=attention, cell="gru", size=(2, 5, 2), lengths=[0, 2], embedding=None).check()


@pytest.mark.plain_python
@pytest.mark.parametrize("symbols", [None, 3])
def test_gradient_of_an_encoder_of_one_vector(symbols):
    for cell, layers in (("gru", 1), ("lstm", 2)):
        problem = Problem(kind="vector", symbols=symbols, cell=cell, layers=layers)
        problem.check()
        loss, gradient = problem.differentiate().loss, problem.model.gradient.copy()
        problem.x = problem.x[np.newaxis]  # as a sequence of one step
        assert problem.differentiate(lengths=np.ones(B, int)).loss == loss
        np.testing.assert_array_equal(problem.model.gradient, gradient)


@pytest.mark.plain_python
def test_gradient_with_noise():
    """Central differences with the same masks: only derivatives are checked here, masks are test_model's."""
    problem = Problem(cell="lstm", layers=2, attention="general", seed=3, dropout=0.3, recurrent_dropout=0.2,
                      zoneout=0.2)  # fmt: skip
    model, state = problem.model, problem.model.noise_state()
    problem.differentiate()
    gradient, point = model.gradient.copy(), model.vector.copy()
    direction = np.random.default_rng(1).standard_normal(point.size)

    def loss(step):
        model.set_noise_state(state)
        model.vector[:] = point + step * direction
        return problem.differentiate().loss

    along = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert abs(along - gradient @ direction) <= 1e-7 * np.abs(gradient * direction).sum()
    model.set_noise_state(state)
    model.vector[:] = point
    quiet = model.forward(problem.x, target=problem.target, lengths=problem.lengths)
    assert (problem.differentiate().output != quiet).any()


@pytest.mark.plain_python
@pytest.mark.parametrize("attention", ["none", "additive"])
def test_float32(attention):
    single, double = (Problem(dtype=dtype, attention=attention, cell="lstm") for dtype in ("float32", "float64"))
    one, other = single.differentiate(), double.differentiate()
    assert one.output.dtype == single.model.gradient.dtype == np.float32
    assert abs(one.loss - other.loss) <= 1e-5 * abs(other.loss)
    error = np.abs(single.model.gradient - double.model.gradient).max()
    assert 0 < error <= 3e-5 * np.abs(double.model.gradient).max()


# Padding -----------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("attention", ["none", "general", "additive"])
def test_padding_changes_no_bit(attention, direction):
    problem = Problem(attention=attention, direction=direction, cell="gru", seed=1, forcing=0.5)
    before, gradient = problem.differentiate(), problem.model.gradient.copy()
    again = Problem(attention=attention, direction=direction, cell="gru", seed=1, forcing=0.5)
    again.x = np.concatenate([problem.x, np.full((2, B), 2)])
    again.x[np.arange(S + 2)[:, None] >= LENGTHS] = 2
    again.target = np.concatenate([problem.target, np.full((3, B), 3)])
    again.target[:T][~problem.mask] = 2
    again.mask = np.concatenate([problem.mask, np.zeros((3, B), bool)])
    after = again.differentiate()
    same(again.model.gradient, gradient)
    same(after.output[:T][problem.mask], before.output[problem.mask])
    assert abs(after.loss - before.loss) <= 1e-15 * before.loss  # a sum over steps knows how many there are


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_row_does_not_depend_on_the_others(attention):
    problem = Problem(attention=attention, cell="lstm")
    every = problem.model.forward(problem.x, target=problem.target, lengths=problem.lengths)
    for b, length in enumerate(LENGTHS):
        alone = problem.model.forward(problem.x[: max(length, 1), [b]], target=problem.target[:, [b]],
                                      lengths=[length])  # fmt: skip
        np.testing.assert_array_equal(alone[:, 0], every[:, b])


@pytest.mark.plain_python
@pytest.mark.parametrize("attention", ["none", "dot"])
def test_from_a_source_of_length_zero_nothing_is_read(attention):
    problem = Problem(attention=attention, cell="gru")
    one = problem.model.forward(problem.x, target=problem.target, lengths=np.zeros(B, int))
    other = problem.model.forward(2 - problem.x, target=problem.target, lengths=np.zeros(B, int))
    np.testing.assert_array_equal(one, other)
    assert np.isfinite(one).all()


# Forcing -----------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("attention", ["none", "general"])
def test_gradient_where_some_inputs_are_own_answers(attention):
    """The model in NumPy is given what coins of the same stream choose from its own answers."""
    arguments = {"cell": "gru", "attention": attention, "mask": False, "size": (S, 6, B)}
    plain = Problem(**arguments)
    answers = naive_seq2seq.output(plain.model, plain.model.vector, plain.x, shifted(plain.target), LENGTHS)[0]
    right, answers = shifted(plain.target), answers.argmax(-1)
    for share in (0.0, 0.5):
        problem = Problem(seed=2, forcing=share, **arguments)
        coins = stream("dropout", 2)
        coins = coins.spawn(2 * 2 + 1)[-1]  # behind two sites of masks in each of two stacks of one layer
        own = coins.random((5, B)) >= share
        inputs = right.copy()
        inputs[1:][own] = answers[:-1][own]
        assert (inputs != right).any() and own.all() == (share == 0)
        problem.check(inputs)


@pytest.mark.plain_python
def test_an_answer_takes_the_place_of_the_symbol_behind_it():
    class Coins:
        def random(self, shape):
            assert shape == (3, 2)
            return np.array([[0.4, 0.6], [0.5, 0.3], [0.9, 0.1]])

    inputs, answers = np.array([[1, 1], [2, 3], [4, 5], [6, 7]]), np.array([[12, 13], [14, 15], [16, 17], [18, 19]])
    found = forcing.mixed(inputs, answers, 0.5, Coins())
    assert found.tolist() == [[1, 1], [2, 13], [14, 5], [16, 7]]
    assert inputs[1, 1] == 3


@pytest.mark.plain_python
def test_forcing_all_is_plain():
    plain = Problem(cell="lstm")
    found, gradient = plain.differentiate(), plain.model.gradient
    for share in (1, "1.0", "linear:5", "linear:5:1"):
        problem = Problem(cell="lstm", seed=4, forcing=share)
        state = problem.model.noise_state()
        assert problem.differentiate().loss == found.loss
        np.testing.assert_array_equal(problem.model.gradient, gradient)
        assert problem.model.noise_state()[:-1] == state[:-1]  # and no coin was thrown
    for _ in range(2):
        problem.differentiate()
    assert problem.model.updates == 3


@pytest.mark.plain_python
def test_a_schedule_goes_on_where_its_noise_is_put_back():
    problem = Problem(cell="gru", seed=4, forcing="linear:4", mask=False)
    losses = []
    for update in range(6):
        if update == 3:
            kept = problem.model.noise_state()
        losses.append(problem.differentiate().loss)
    assert losses[0] == Problem(cell="gru", mask=False).differentiate().loss
    assert len(set(losses[:4])) > 2  # the parameters stay: what changes is what was read
    fresh = Problem(cell="gru", seed=9, forcing="linear:4", mask=False)
    fresh.model.set_noise_state(kept)
    assert [fresh.differentiate().loss for _ in range(3)] == losses[3:]


def test_schedules():
    assert forcing.schedule(1) is None and forcing.schedule("1.0") is None
    assert forcing.schedule(0.25)(99) == 0.25
    line, least, curve = map(forcing.schedule, ("linear:10", "linear:10:0.4", "sigmoid:5"))
    assert [line(t) for t in (0, 5, 10, 50)] == [1, 0.5, 0, 0]
    assert [least(t) for t in (0, 10, 50)] == [1, 0.4, 0.4] and abs(least(5) - 0.7) < 1e-15
    for t in (0, 3, 20, 10_000):
        with np.errstate(over="ignore"):
            assert abs(curve(t) - 5 / (5 + np.exp(np.float64(t) / 5))) < 1e-15
    hint = "(linear:N, linear:N:LEAST and sigmoid:K are schedules)"
    for text in ("-0.1", "1.5", "nan", "many"):
        refused(f"forcing must have a number from 0 to 1, got {text} {hint}", forcing.schedule, text)
    refused(f"forcing must have a number from 1, got linear:0 {hint}", forcing.schedule, "linear:0")
    refused(f"forcing must have a number from 1, got sigmoid:inf {hint}", forcing.schedule, "sigmoid:inf")
    refused("unknown schedule of forcing 'liner:5'; did you mean 'linear:N'?", forcing.schedule, "liner:5")
    for text in ("linear", "sigmoid:1:2", "linear:1:0:3"):
        with pytest.raises(UsageError, match="unknown schedule of forcing"):
            forcing.schedule(text)


# Step by step ------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("arguments", [
    dict(cell="gru"), dict(cell="lstm", attention="general", direction="both"),
    dict(cell="rnn", layers=2, attention="additive"), dict(kind="vector", cell="lstm"),
], ids=str)  # fmt: skip
def test_steps_are_the_forward_pass(arguments):
    problem = Problem(size=(S, 6, B), mask=False, **arguments)
    model, inputs = problem.model, shifted(problem.target)
    whole = model.forward(problem.x, target=problem.target, lengths=problem.lengths)
    states, symbols = model.start(problem.x, problem.lengths)
    np.testing.assert_array_equal(symbols, inputs[0])
    for t in range(len(whole)):
        if t == 3:  # other rows, one of them twice
            rows = np.array([2, 0, 2])
            states, inputs, whole = model.select(states, rows), inputs[:, rows], whole[:, rows]
        logits, states = model.step(inputs[t], states)
        same(logits, whole[t])


@pytest.mark.plain_python
def test_alignment_is_what_the_symbols_were_written_with():
    problem = Problem(attention="general", cell="gru")
    model = problem.model
    decoded = decoding.greedy(model, *model.start(problem.x, LENGTHS), steps=6)
    states, symbols = model.start(problem.x, LENGTHS)
    weights = []
    for written in decoded.symbols:
        logits, states = model.step(symbols, states)
        weights.append(model.decoder.attention.weights[0].copy())
        going = written != END
        assert (logits.argmax(-1)[going] == written[going]).all()
        symbols = written
    found = model.alignment(problem.x, decoded.symbols, LENGTHS)
    assert found.shape == (len(decoded.symbols), B, S)
    same(found, np.stack(weights))
    assert np.abs(found.sum(-1) - (LENGTHS > 0)).max() < 1e-15
    message = "attention must be dot, general or additive for an alignment, got none"
    refused(message, Problem(cell="gru").model.alignment, problem.x, problem.target)


# Training ----------------------------------------------------------------------------------------------------------


def reversing(count=8, least=1, most=4):
    """A handful of pairs: letters 0..2, and the same reversed as symbols 2..4."""
    rng = np.random.default_rng(2)
    sources = [rng.integers(3, size=length) for length in rng.integers(least, most + 1, size=count)]
    return transduction("pairs", sources, [np.append(source[::-1] + 2, END) for source in sources], 3, 5,
                        parts=(np.arange(count), np.arange(count)))  # fmt: skip


def trainer(task, *, updates, seed=0, **arguments):
    model = Seq2Seq(4, task.output_size, symbols=task.symbols, rng=stream("init", seed), noise=stream("dropout", seed),
                    hidden=16, **arguments)  # fmt: skip
    recipe = Recipe(updates=updates, batch=8, lr=0.01, evaluate_every=10)
    return Trainer(model, task, recipe, seq_len=4, seed=seed)


@pytest.mark.parametrize("attention", ["none", "dot"])
def test_a_handful_of_pairs_is_learned_by_heart(attention):
    task = reversing()
    run = trainer(task, updates=250, attention=attention, cell="gru")
    fit = run.run()
    batch, model = run.held_out[0], run.model
    decoded = decoding.greedy(model, *model.start(batch.x, batch.lengths), steps=8)
    assert decoding.matches(decoded.symbols, batch.target, batch.mask).all()
    assert fit.loss < 0.1 * fit.baseline and fit.score == 1


def test_training_twice_and_resumed_gives_the_same_bits(tmp_path):
    task, arguments = reversing(), {"attention": "general", "forcing": "linear:20", "layers": 2, "dropout": 0.2}
    straight, first = (trainer(task, updates=12, **arguments) for _ in range(2))
    losses = [straight.step()[0] for _ in range(12)]
    assert [first.step()[0] for _ in range(7)] == losses[:7]
    first.gradient()  # what is measured in between changes nothing
    first.save(tmp_path / "run.npz")
    second = trainer(task, updates=12, **arguments)
    second.load(tmp_path / "run.npz")
    assert [second.step()[0] for _ in range(5)] == losses[7:]
    np.testing.assert_array_equal(second.model.vector, straight.model.vector)
    other = trainer(task, updates=12, **arguments | {"forcing": 0.5})
    with pytest.raises(UsageError, match="forcing"):
        other.load(tmp_path / "run.npz")


@pytest.mark.parametrize("attention", ["none", "additive"])
def test_bits_do_not_depend_on_the_number_of_threads(attention, monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 1)
    found = []
    try:
        for number in (1, 2):
            threads.use(number)
            problem = Problem(size=(7, 9, 40), hidden=17, attention=attention, cell="lstm", direction="both",
                              lengths=np.arange(40) % 8, seed=1, forcing=0.5, dtype="float32")  # fmt: skip
            found.append((problem.differentiate().output, problem.model.gradient))
    finally:
        threads.use(None)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


# What it is made of, and what is refused ---------------------------------------------------------------------------


def test_what_it_is_made_of():
    model = Problem(cell="lstm", attention="additive", direction="both").model
    names = ["encoder.embedding.W", "encoder.layers.0.forth.W_ih", "bridge.0.h.W", "bridge.0.c.b",
             "decoder.embedding.W", "decoder.layers.0.W_hh", "decoder.combine.W", "decoder.head.b"]  # fmt: skip
    assert [name for name in model.parameters if name in names] == names
    assert all(value.base is model.vector for value in model.parameters.values())
    assert model.parameters["bridge.0.h.W"].shape == (4 * H, H)  # h and c of both halves
    assert model.summary().splitlines()[-1].split() == ["total", str(model.vector.size)]
    assert model.inputs == (3, "symbols") and Problem(symbols=None).model.inputs == (D, "numbers")
    assert Problem(kind="vector", symbols=None).model.inputs == (D, "numbers")
    assert model.columns == 3 * (4 + 2) * H and Problem(kind="vector", cell="lstm").model.columns == (4 + 2) * H
    one, other = (Problem(cell="gru", attention=score).model.identity() for score in ("none", "dot"))
    assert one != other and one == Problem(cell="gru").model.identity()


@pytest.mark.parametrize("arguments, message", [
    ({"kind": "vektor"}, "unknown kind of encoder 'vektor'; did you mean 'vector'?"),
    ({"bridge": "identiti"}, "unknown bridge 'identiti'; did you mean 'identity'?"),
    ({"attention": "adds"}, "unknown attention 'adds' (choose from: none, dot, general, additive)"),
    ({"bridge": "identity", "direction": "both"}, "bridge must be dense where encoder and decoder do not have the same "
     "states, got identity for an encoder with forth.h (2), back.h (2)"),
    ({"bridge": "identity", "kind": "vector"}, "bridge must be dense where encoder and decoder do not have the same "
     "states, got identity for an encoder with v (2)"),
    ({"attention": "dot", "kind": "vector"}, "attention must be none over an encoder of one vector, got dot"),
    ({"attention": "dot", "direction": "both"}, "query_size must be key_size=4 with score dot, got 2"),
    ({"forcing": 0.5}, "noise must be a numpy.random.Generator, got NoneType (stream('dropout', seed) makes one)"),
    ({"cell": "gruu"}, "unknown cell 'gruu'; did you mean 'gru'?"),
    ({"hidden": 0}, "hidden must be a whole number from 1, got 0"),
    ({"embedding": 0}, "embedding must be a whole number from 1, got 0"),
], ids=str)  # fmt: skip
def test_bad_models(arguments, message):
    refused(message, Problem, **arguments)


def test_bad_output_sizes():
    message = "output_size must be at least 3, END, START and one symbol to write, got 2"
    refused(message, Seq2Seq, D, 2, rng=stream("init", 0))


@pytest.mark.plain_python
def test_bad_batches():
    problem = Problem()
    model, x, target = problem.model, problem.x, problem.target
    for name, value in (("states", []), ("window", 2), ("checkpoint_every", 2)):
        refused(f"{name} must be None for an encoder-decoder, got {value}", problem.differentiate, **{name: value})
    refused("loss must be softmax for an encoder-decoder, got mse", problem.differentiate, loss="mse")
    refused("mask must be bool of shape (3, 3), got bool of shape (2, 3)", problem.differentiate,
            mask=problem.mask[:2])  # fmt: skip
    refused("lengths must be 3 whole numbers from 0 to T=5, got [6, 1, 1]", problem.differentiate, lengths=[6, 1, 1])
    for run in (lambda target: model.forward(x, target=target), lambda target: model.differentiate(x, target)):
        refused("target must have shape (T, 3), got (3, 2)", run, target[:, :2])
        refused("target must have shape (T, 3), got (0, 3)", run, target[:0])
        refused("target must have shape (T, 3), got (3,)", run, target[0])
        refused("target must be whole numbers from 0 to 3, got 2 to 6", run, target - target + [[2, 4, 6]])
        refused("target must be whole numbers from 0 to 3, got float64", run, target + 0.5)
    refused("target must be given to an encoder-decoder (sandbox.decoding writes without one)", model.predict, x)
    refused("x must have shape (S, B) because it holds symbols, got (5, 3, 1)", model.start, x[..., None])
    refused("x must have shape (S, B, 2), got (5, 3)", Problem(symbols=None).model.start, x)
    refused("symbols must be whole numbers from 0 to 2, got 0 to 3", model.start, x - x + [[0, 1, 3]])
    refused("x must have shape (T, B, 2) because input_size=2, got (0, 3, 2)", model.start, x[:0])
    states, _ = model.start(x)
    refused("symbols must be whole numbers from 0 to 3, got 0 to 4", model.step, np.array([0, 1, 4]), states)


@pytest.mark.plain_python
def test_bad_batches_of_one_vector():
    numbers, symbols = (Problem(kind="vector", symbols=symbols).model for symbols in (None, 3))
    refused("x must have shape (B, 2) or be one step of that, got (2, 3, 2)", numbers.start, np.zeros((2, 3, 2)))
    refused("x must have shape (B,) because it holds symbols or be one step of that, got (2, 3)", symbols.start,
            np.zeros((2, 3), int))  # fmt: skip
    refused("x must have shape (B,) because it holds symbols or be one step of that, got (0,)", symbols.start,
            np.zeros(0, int))  # fmt: skip
    refused("x must have shape (B, 2) or be one step of that, got (1, 0, 2)", numbers.start, np.zeros((1, 0, 2)))
    refused("lengths must be 1 for an encoder of one vector, got [1, 0, 1]", symbols.start, np.zeros((1, 3), int),
            [1, 0, 1])  # fmt: skip


def test_the_examples():
    for part in (module, forcing, decoding):
        result = doctest.testmod(part)
        assert result.attempted and not result.failed
    assert set(seq2seq.__all__) <= set(vars(seq2seq))

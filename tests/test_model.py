"""Whole models: gradients against complex steps through tests/naive_model.py, segments of time, and what is refused."""

import doctest
from unittest import mock

import naive
import naive_model
import numpy as np
import pytest

from sandbox import cells, losses
from sandbox import model as module
from sandbox.errors import UsageError
from sandbox.jit import COMPILED
from sandbox.kernels import rows
from sandbox.model import HEADS, Model
from sandbox.streams import stream

T, B, D, O = 5, 3, 2, 2
LENGTHS = np.array([5, 0, 3])
LOSSES = ("softmax", "mse", "binary")
NOISE = {"dropout": 0.3, "recurrent_dropout": 0.4, "zoneout": 0.3}


class Problem:
    """A model with random numbers in all its parameters, and a batch for it."""

    def __init__(self, head="last", loss="mse", *, size=(T, B), dtype="float64", lengths=None, mask=False, symbols=None,
                 carried=False, seed=None, hidden=3, outputs=O, **arguments):  # fmt: skip
        rng = np.random.default_rng(5)
        draw = lambda *shape: rng.standard_normal(shape).astype(np.float32).astype(dtype)  # the same in both types
        noise = None if seed is None else np.random.default_rng(seed)
        self.model = Model(D, outputs, rng=stream("init", 0), head=head, symbols=symbols, hidden=hidden, dtype=dtype,
                           noise=noise, **arguments)  # fmt: skip
        for value in self.model.parameters.values():
            value[:] = (0.5 if value.ndim == 1 else len(value) ** -0.5) * draw(*value.shape)
        self.loss, self.seed = loss, seed
        self.x = rng.integers(symbols, size=size) if symbols else draw(*size, D)
        shape = size if head == "every" else size[1:]
        if loss == "softmax":
            self.target = rng.integers(outputs, size=shape)
        else:
            self.target = draw(*shape, outputs) if loss == "mse" else rng.random((*shape, outputs)).astype(dtype)
        self.lengths, self.mask, self.states = lengths, None, None
        if mask:
            self.mask = rng.random(size) < 0.6
        if carried:
            self.states = [{name: draw(size[1], hidden) for name in layer.cell.states}
                           for layer in self.model.stack.layers]  # fmt: skip

    def differentiate(self, **arguments):
        batch = {"loss": self.loss, "lengths": self.lengths, "states": self.states, "mask": self.mask}
        return self.model.differentiate(self.x, self.target, **(batch | arguments))

    def reset_noise(self):
        """Draw the first pass's masks again."""
        for rng, first in zip(self.model.stack.generators, self.noise_states, strict=True):
            rng.bit_generator.state = first

    def keep_noise(self):
        self.noise_states = [rng.bit_generator.state for rng in self.model.stack.generators]

    def network(self, **arguments):
        return naive_model.Network(self.model, self.x, self.target, lengths=self.lengths, mask=self.mask,
                                   states=self.states, seed=self.seed, **arguments)  # fmt: skip


def refused(message, function, *arguments, **named):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    assert str(caught.value) == message


def same(actual, expected, tolerance=1e-13):
    """Bit by bit, but for NumPy's product as plain Python."""
    if COMPILED:
        np.testing.assert_array_equal(actual, expected)
    else:
        tolerance = max(tolerance, 1e-5 * (np.asarray(actual).dtype == np.float32))
        assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def check(problem, reduction="mean", **arguments):
    """Value, output and gradient, by every tensor alone and by all together."""
    found = problem.differentiate(reduction=reduction, **arguments)
    network = problem.network(window=arguments.get("window"))
    model, point = problem.model, problem.model.vector.astype(float)
    value = network.loss(point, problem.loss, reduction)
    assert abs(found.loss - value) <= 1e-13 * abs(value)
    output, rng = network.output(point), np.random.default_rng(3)
    assert np.abs(found.output - output).max() <= 1e-13 * np.abs(output).max()
    for name in [*model.blocks, None]:
        chosen = slice(*model.blocks[name]) if name else slice(None)
        direction = np.zeros(point.size)
        direction[chosen] = rng.standard_normal(direction[chosen].size)
        along = naive.directional_derivative(lambda flat: network.loss(flat, problem.loss, reduction), point, direction)
        terms = model.gradient * direction
        # Relative to the sum of the terms' magnitudes: they may cancel.
        assert abs(terms.sum() - along) <= 1e-12 * np.abs(terms).sum(), name


# Gradients ---------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("head", HEADS)
def test_gradient_of_every_head_and_loss(head, loss, lengths):
    for reduction in losses.REDUCTIONS:
        check(Problem(head, loss, lengths=lengths, cell="lstm"), reduction)
    check(Problem(head, loss, lengths=lengths, symbols=4, cell="gru", layers=2, mask=head == "every"))
    check(Problem(head, loss, lengths=lengths, cell="rnn", direction="both", layers=2))


def variants():
    """Every cell, with each option in turn at each of its values."""
    for name in cells.names():
        yield name
        for option, declared in cells.load(name).options.items():
            yield from (f"{name}:{option}={choice}" for choice in declared.choices if choice != declared.default)


@pytest.mark.plain_python
@pytest.mark.parametrize("cell", list(variants()))
def test_gradient_of_every_cell(cell):
    check(Problem("last", "softmax", cell=cell, lengths=LENGTHS, carried=True))
    check(Problem("every", "mse", cell=cell, direction="both", merge="sum", lengths=LENGTHS, mask=True))
    check(Problem("mean", "binary", cell=cell, layers=2, residual=True))


@pytest.mark.plain_python
@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_gradient_of_a_mixed_stack_with_noise(head, residual, direction):
    """Masks are drawn again by the reference, from generators of the same seed."""
    stacked = {"cell": ["rnn", "lstm", "gru"], "residual": residual, "direction": direction, "seed": 4}
    check(Problem(head, lengths=LENGTHS, merge="sum", **stacked, **NOISE))
    check(Problem(head, "softmax", symbols=3, **stacked, **NOISE))


@pytest.mark.plain_python
@pytest.mark.parametrize("kind", NOISE)
def test_gradient_with_one_kind_of_noise(kind):
    check(Problem("every", cell="lstm", layers=2, seed=4, lengths=LENGTHS, **{kind: NOISE[kind]}))


@pytest.mark.plain_python
def test_gradient_by_every_number():
    problem = Problem("every", "binary", size=(3, 2), cell="lstm", hidden=2, outputs=1, symbols=3, lengths=[3, 1])
    found, network = problem.differentiate(), problem.network()
    expected = naive.gradient(lambda flat: network.loss(flat, "binary"), problem.model.vector)
    assert abs(found.loss - network.loss(problem.model.vector, "binary")) < 1e-14
    assert np.abs(problem.model.gradient - expected).max() <= 1e-13 * np.abs(expected).max()


@pytest.mark.parametrize("size", [(1, 1), (40, 2), (7, 19)], ids=str)
def test_gradient_of_other_sizes(size):
    lengths = np.arange(size[1]) % (size[0] + 1)
    check(Problem("every", size=size, hidden=17, cell=["gru", "lstm"], lengths=lengths, outputs=5))
    check(Problem("mean", "softmax", size=size, hidden=33, cell="gru", symbols=7, direction="both", outputs=9))


@pytest.mark.plain_python
@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("head", HEADS)
def test_gradients_in_float32(head, direction):
    arguments = {"cell": ["lstm", "gru"], "lengths": LENGTHS, "symbols": 4, "seed": 4, "direction": direction, **NOISE}
    single, double = (Problem(head, "softmax", dtype=dtype, **arguments) for dtype in ("float32", "float64"))
    one, other = single.differentiate(), double.differentiate()
    assert one.output.dtype == single.model.gradient.dtype == np.float32
    assert abs(one.loss - other.loss) <= 1e-5 * abs(other.loss)
    assert np.abs(one.output - other.output).max() <= 1e-5
    error = np.abs(single.model.gradient - double.model.gradient).max()
    assert 0 < error <= 3e-5 * np.abs(double.model.gradient).max()


@pytest.mark.plain_python
@pytest.mark.parametrize("symbols", [None, 4])
@pytest.mark.parametrize("head", HEADS)
def test_forward_is_the_output_without_noise(head, symbols):
    problem = Problem(head, cell=["lstm", "gru"], lengths=LENGTHS, symbols=symbols, seed=4, carried=True, **NOISE)
    problem.keep_noise()
    found = problem.model.forward(problem.x, problem.states, problem.lengths, training=True)
    problem.reset_noise()
    same(problem.differentiate().output, found)
    quiet = problem.model.forward(problem.x, problem.states, problem.lengths)
    assert (quiet != found).any()
    plain = Problem(head, cell=["lstm", "gru"], lengths=LENGTHS, symbols=symbols, carried=True)
    still = plain.model.forward(problem.x, problem.states, problem.lengths)
    problem.model.stack.layers[0].zoneout = problem.model.stack.layers[1].zoneout = 0.0  # evaluation takes its mean
    same(problem.model.forward(problem.x, problem.states, problem.lengths), still)


# Segments of time --------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("symbols", [None, 4])
@pytest.mark.parametrize("head", HEADS)
def test_checkpoints_change_no_bit(head, symbols, dtype):
    """Not the loss, the gradient, the output, the states, or what the generators draw next."""
    for lengths in (None, LENGTHS):
        problem = Problem(head, "softmax", cell=["lstm", "gru"], symbols=symbols, lengths=lengths, seed=4, dtype=dtype,
                          carried=True, mask=head == "every", residual=True, **NOISE)  # fmt: skip
        problem.keep_noise()
        whole = problem.differentiate()
        gradient, drawn = problem.model.gradient.copy(), [rng.random() for rng in problem.model.stack.generators]
        for length in range(1, T + 1):
            problem.reset_noise()
            problem.model.gradient[:] = 7
            found = problem.differentiate(checkpoint_every=length)
            same(found.loss, whole.loss)
            same(found.output, whole.output)
            same(problem.model.gradient, gradient)
            for one, other in zip(found.states, whole.states, strict=True):
                for name, value in one.items():
                    same(value, other[name])
            assert [rng.random() for rng in problem.model.stack.generators] == drawn


@pytest.mark.parametrize("head", HEADS)
def test_checkpoints_change_no_bit_of_a_longer_sequence(head):
    lengths = np.array([300, 1, 299, 100, 128, 0, 17, 300])
    problem = Problem(head, "mse", size=(300, 8), cell="lstm", layers=2, dtype="float32", hidden=33, lengths=lengths,
                      seed=4, dropout=0.2, zoneout=0.1)  # fmt: skip
    problem.keep_noise()
    whole = problem.differentiate()
    gradient = problem.model.gradient.copy()
    for length in (64, 100, 299):
        problem.reset_noise()
        assert problem.differentiate(checkpoint_every=length).loss == whole.loss
        np.testing.assert_array_equal(problem.model.gradient, gradient)


@pytest.mark.plain_python
@pytest.mark.parametrize("lengths", [None, LENGTHS, [1, 4, 2]], ids=str)
@pytest.mark.parametrize("head", HEADS)
def test_a_window_cuts_the_gradient_at_its_edges(head, lengths):
    """As derivatives that are dropped from the states at every edge, but in rows that have ended."""
    for window in range(1, T + 1):
        check(Problem(head, cell=["lstm", "gru"], lengths=lengths, carried=True), window=window)
    check(Problem(head, cell=["lstm", "gru"], lengths=lengths, symbols=3, seed=4, **NOISE), window=2)


@pytest.mark.plain_python
@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_a_window_of_the_whole_length_cuts_nothing(lengths, direction):
    problem = Problem("every", cell="gru", lengths=lengths, direction=direction)
    whole, gradient = problem.differentiate(), problem.model.gradient.copy()
    for name in ("window", "checkpoint_every"):
        assert problem.differentiate(**{name: T}).loss == whole.loss
        same(problem.model.gradient, gradient)


@pytest.mark.plain_python
@pytest.mark.parametrize("head", HEADS)
def test_nothing_is_done_twice_without_need(head):
    problem = Problem(head, cell="gru")
    model, made = problem.model, []
    head_forward = model.output.forward
    run, add = mock.Mock(side_effect=model.stack.forward), mock.Mock(side_effect=rows.add_steps)
    output = mock.Mock(side_effect=lambda y: made.append(head_forward(y)) or made[-1])
    with (mock.patch.object(model.stack, "forward", run), mock.patch.object(rows, "add_steps", add),
          mock.patch.object(model.output, "forward", output)):  # fmt: skip
        found = problem.differentiate()
        assert run.call_count == 1 and add.call_count == (head == "mean")
        assert len(made) == 1 and found.output is made[0]
        problem.differentiate(checkpoint_every=2)
        assert run.call_count == 1 + 3 + 2  # the last segment is run once


@pytest.mark.plain_python
def test_windows_by_hand_with_carried_states():
    problem = Problem("every", cell=["lstm", "gru"], carried=True)
    whole = problem.differentiate(window=2, reduction="sum")
    gradient, states, total, value = problem.model.gradient.copy(), problem.states, 0, 0
    for first in range(0, T, 2):
        found = problem.model.differentiate(problem.x[first : first + 2], problem.target[first : first + 2], loss="mse",
                                            reduction="sum", states=states)  # fmt: skip
        states, total, value = found.states, total + problem.model.gradient, value + found.loss
    assert abs(value - whole.loss) <= 1e-14 * value
    assert np.abs(total - gradient).max() <= 1e-13 * np.abs(gradient).max()
    for one, other in zip(states, whole.states, strict=True):
        same(one["h"], other["h"])
    problem.differentiate(reduction="sum")
    assert np.abs(problem.model.gradient - gradient).max() > 1e-3 * np.abs(gradient).max()


@pytest.mark.plain_python
def test_start_states_may_be_views_of_the_last_pass():
    problem = Problem("every", cell=["lstm", "gru"], carried=True)
    problem.differentiate()
    views = [layer.forward(layer_x).last_states() for layer, layer_x in
             zip(problem.model.stack.layers, (problem.x, np.ones((T, B, 3))))]  # fmt: skip
    copies = [{name: value.copy() for name, value in states.items()} for states in views]
    problem.differentiate(states=views, checkpoint_every=2)
    gradient = problem.model.gradient.copy()
    problem.differentiate(states=copies)
    same(problem.model.gradient, gradient)


@pytest.mark.plain_python
@pytest.mark.parametrize("head", HEADS)
def test_states_are_those_after_each_rows_last_step(head):
    problem = Problem(head, cell=["lstm", "gru"], lengths=LENGTHS, carried=True)
    found = problem.differentiate()
    for b, length in enumerate(LENGTHS):
        for layer, start in zip(found.states, problem.states):
            if length == 0:
                np.testing.assert_array_equal(layer["h"][b], start["h"][b])
        if length:
            starts = [{name: value[[b]] for name, value in states.items()} for states in problem.states]
            run = problem.model.stack.forward(problem.x[:length, [b]], starts)
            for layer, alone in zip(found.states, run.states()):
                for name, value in alone.items():
                    same(layer[name][b], value[0])
    kept = found.states[0]["c"].copy()
    problem.differentiate(states=found.states)
    np.testing.assert_array_equal(found.states[0]["c"], kept)  # copies, not views
    assert Problem(head, direction="both").differentiate().states == []


# Masks and padding -------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("head", HEADS)
def test_content_of_padding_changes_nothing(head, direction):
    problem = Problem(head, cell=["lstm", "gru"], lengths=LENGTHS, direction=direction)
    before, gradient = problem.differentiate(), problem.model.gradient.copy()
    padding = np.arange(T)[:, None] >= LENGTHS
    problem.x[padding] = [1e3, -1e5]
    if head == "every":
        problem.target[padding] = np.nan
    assert problem.differentiate().loss == before.loss
    same(problem.model.gradient, gradient)


@pytest.mark.plain_python
def test_only_steps_under_the_mask_count():
    problem = Problem("every", "mse", cell="lstm", mask=True)
    before, gradient = problem.differentiate(), problem.model.gradient.copy()
    problem.target[~problem.mask] = np.nan
    assert problem.differentiate().loss == before.loss
    same(problem.model.gradient, gradient)
    problem.mask[:] = False
    assert problem.differentiate().loss == 0 and not problem.model.gradient.any()
    assert problem.differentiate(checkpoint_every=2).loss == 0 and not problem.model.gradient.any()


# What it is made of ------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_every_parameter_is_a_view_of_one_vector():
    model = Problem(cell=["lstm", "gru"], symbols=4, direction="both").model
    names = ["embedding.W", "layers.0.forth.W_ih", "layers.1.back.b_hn", "head.W", "head.b"]
    assert [name for name in model.parameters if name in names] == names
    assert model.vector.size == sum(value.size for value in model.parameters.values())
    leaves = [model.embedding, *(half for layer in model.stack.layers for half in layer.halves), model.output]
    for vector, name in (("vector", "parameters"), ("gradient", "gradients")):
        fresh = np.arange(model.vector.size) + 0.5
        getattr(model, vector)[:] = fresh
        seen = np.concatenate([getattr(leaf, name)[key].ravel() for leaf in leaves for key in leaf.parameters])
        np.testing.assert_array_equal(seen, fresh)
        getattr(model.stack.layers[1].halves[1], name)["b_hn"][:] = -1
        start, stop = model.blocks["layers.1.back.b_hn"]
        assert (getattr(model, vector)[start:stop] == -1).all() and (getattr(model, vector) == -1).sum() == 3
    problem = Problem("every", cell="lstm")
    before = problem.differentiate().loss
    problem.model.vector[:] *= 0.5
    assert problem.differentiate().loss != before


@pytest.mark.plain_python
def test_summary():
    text = Model(8, 2, cell=["lstm", "gru"], hidden=3, symbols=26, rng=stream("init", 0)).summary()
    assert text.splitlines() == [
        "embedding.W    26 x 8  208",
        "layers.0.W_ih  8 x 12   96",
        "layers.0.W_hh  3 x 12   36",
        "layers.0.b     12       12",
        "layers.1.W_ih  3 x 9    27",
        "layers.1.W_hh  3 x 9    27",
        "layers.1.b     9         9",
        "layers.1.b_hn  3         3",
        "head.W         3 x 2     6",
        "head.b         2         2",
        "total                  426",
    ]


def test_initial_weights_follow_the_arguments():
    make = lambda **arguments: Model(2, 1, rng=stream("init", 0), hidden=4, **arguments)
    model = make(cell="lstm:forget_bias=2", gain=0.5, input_init="zeros", head_init="zeros", layers=2)
    assert model.dtype == np.float32 and not model.parameters["head.W"].any()
    for layer in model.stack.layers:
        assert not layer.parameters["W_ih"].any() and (layer.parameters["b"][4:8] == 2).all()
        W = layer.block("W_hh", "f")
        np.testing.assert_allclose(W.T @ W, 0.25 * np.eye(4), atol=1e-6)
    chrono = make(cell="lstm", chrono=50).parameters["layers.0.b"]
    assert (0 < chrono[4:8]).all() and (chrono[4:8] <= np.log(49)).all()
    np.testing.assert_array_equal(make().vector, make().vector)
    assert (make(symbols=3).embedding.parameters["W"].std()) > 0


# Refused -----------------------------------------------------------------------------------------------------------


def make(**arguments):
    return Model(2, 1, rng=stream("init", 0), **arguments)


@pytest.mark.plain_python
@pytest.mark.parametrize("arguments, message", [
    ({"head": "lst"}, "unknown head 'lst'; did you mean 'last'?"),
    ({"hidden": 0}, "hidden must be a whole number from 1, got 0"),
    ({"layers": 1.5}, "layers must be a whole number from 1, got 1.5"),
    ({"symbols": 0}, "symbols must be a whole number from 1, got 0"),
    ({"dtype": "float16"}, "unknown dtype 'float16'; did you mean 'float64'?"),
    ({"direction": "bth"}, "unknown direction 'bth'; did you mean 'both'?"),
    ({"merge": "add"}, "unknown merge 'add' (choose from: concat, sum)"),
    ({"dropout": 1.0, "layers": 2}, "dropout must be a number from 0 to below 1, got 1.0"),
    ({"head_init": "glort"}, "unknown init 'glort'; did you mean 'glorot'?"),
], ids=str)  # fmt: skip
def test_bad_arguments(arguments, message):
    refused(message, make, **arguments)


@pytest.mark.plain_python
@pytest.mark.parametrize("arguments, message", [
    ({"window": 0}, "window must be a whole number from 1, got 0"),
    ({"window": 6}, "window must be at most seq_len=5, got 6"),
    ({"checkpoint_every": 6}, "checkpoint_every must be at most seq_len=5, got 6"),
    ({"checkpoint_every": 2.0}, "checkpoint_every must be a whole number from 1, got 2.0"),
    ({"window": 2, "checkpoint_every": 2},
     "window and checkpoint_every must not be given together: a window's edges are checkpoints"),
    ({"reduction": "man"}, "unknown reduction 'man'; did you mean 'mean'?"),
    ({"loss": "mze"}, "unknown loss 'mze'; did you mean 'mse'?"),
    ({"lengths": [6, 1, 1]}, "lengths must be 3 whole numbers from 0 to T=5, got [6, 1, 1]"),
    ({"mask": np.ones((T, B + 1), bool)}, "mask must be bool of shape (5, 3), got bool of shape (5, 4)"),
    ({"states": [None, None]}, "states must be a list with the states of each of 1 layers, got list of 2"),
], ids=str)  # fmt: skip
def test_bad_passes(arguments, message):
    refused(message, Problem("every", cell="gru").differentiate, **arguments)


@pytest.mark.plain_python
def test_bad_batches():
    problem, message = Problem("every", cell="gru", direction="both"), "with direction both, whose second half starts"
    for name in ("window", "checkpoint_every"):
        refused(f"{name} must be None {message} at the end, got 2", problem.differentiate, **{name: 2})
    problem = Problem("every", cell="gru")
    for target in (problem.target[:-1], np.concatenate([problem.target, problem.target])):
        refused(f"target must have shape (5, 3, ...) with head every, got {target.shape}", problem.model.differentiate,
                problem.x, target, loss="mse", checkpoint_every=2)  # fmt: skip
    problem = Problem("last", cell="gru")
    refused("mask must be None with head last, which has one output, got (5, 3)", problem.differentiate,
            mask=np.ones((T, B), bool))  # fmt: skip
    for x in (problem.x[0, 0], problem.x[0], problem.x[..., None]):
        for function in (problem.model.forward, lambda x: problem.model.differentiate(x, None, loss="mse")):
            refused(f"x must have shape (T, B, 2), got {x.shape}", function, x)
    refused("x must have shape (T, B, 2) because input_size=2, got (0, 3, 2)", problem.model.forward, problem.x[:0])
    problem = Problem("last", cell="gru", symbols=4)
    refused("x must have shape (T, B) because it holds symbols, got (5, 3, 1)", problem.model.forward,
            problem.x[..., None])  # fmt: skip
    refused("symbols must be whole numbers from 0 to 3, got 0 to 4", problem.model.forward, np.array([[0], [4]]))


def test_the_examples():
    result = doctest.testmod(module)
    assert result.attempted and not result.failed

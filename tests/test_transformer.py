"""The Transformer as a model's body against naive references; its layers against PyTorch's stored values."""

import doctest
import importlib
import importlib.util
from pathlib import Path
from unittest import mock

import naive
import naive_attention
import numpy as np
import pytest

from sandbox import losses, tasks, threads
from sandbox.errors import UsageError
from sandbox.jit import COMPILED
from sandbox.layers import LayerNorm, MultiHead, Transformer, bodies, transformer
from sandbox.layers.transformer import Block
from sandbox.model import HEADS, Model
from sandbox.streams import stream
from sandbox.training import Recipe, Trainer, model_for

HERE = Path(__file__).parent
T, B, D, O, H = 5, 3, 2, 2, 4
LENGTHS = np.array([5, 0, 3])
KINDS = ("transformer:heads=2", "transformer:post:heads=2", "transformer:learned:heads=1")
ROUNDING = {"float64": 1e-13, "float32": 2e-5}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
either_way = pytest.mark.parametrize("direction", ["forward", "both"])


def draw(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32).astype(dtype)


def randomise(module):
    module.vector[:] = 0.5 * draw(module.vector.size, seed=9)
    return module


def body(kind=KINDS[0], layers=2, dtype="float64", direction="forward", **arguments):
    return randomise(Transformer(kind, D, H, rng=stream("init", 0), num_layers=layers, dtype=dtype, direction=direction,
                                 **arguments))  # fmt: skip


def close(actual, expected, tolerance=1e-13):
    assert np.shape(actual) == np.shape(expected)
    assert np.abs(actual - expected).max(initial=0) <= tolerance * max(np.abs(expected).max(initial=0), 1e-300)


def same(actual, expected, dtype=None):
    """Bit by bit, but for NumPy's product as plain Python."""
    if not COMPILED:
        return close(actual, expected, ROUNDING[dtype or np.asarray(actual).dtype.name])
    np.testing.assert_array_equal(actual, expected)


def refused(message, function, *arguments, **named):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    assert str(caught.value) == message


# PyTorch -----------------------------------------------------------------------------------------------------------


def stored():
    with np.load(HERE / "data" / "torch_attention.npz") as file:
        return dict(file)


NAMES = {
    "attention": {"in.W": "in_proj_weight", "in.b": "in_proj_bias", "out.W": "out_proj.weight",
                  "out.b": "out_proj.bias"},
    "norm": {"g": "weight", "b": "bias"},
    "block": {"inner.W": "linear1.weight", "inner.b": "linear1.bias", "outer.W": "linear2.weight",
              "outer.b": "linear2.bias", "norm_1.g": "norm1.weight", "norm_1.b": "norm1.bias",
              "norm_2.g": "norm2.weight", "norm_2.b": "norm2.bias"},
}  # fmt: skip
NAMES["block"] |= {f"attention.{ours}": f"self_attn.{theirs}" for ours, theirs in NAMES["attention"].items()}
TORCH = [
    "norm",
    *(f"{name}{masks}" for name in ("attention", "pre", "post") for masks in ("", " padded", " causal", " both")),
]


@pytest.mark.plain_python
@pytest.mark.parametrize("module", TORCH)
def test_same_numbers_as_pytorch(module):
    """PyTorch has matrices the other way round."""
    arrays, (kind, _, masks) = stored(), module.partition(" ")
    own = {key.split("/")[1]: value for key, value in arrays.items() if key.split("/")[0] == module}
    names = NAMES.get(kind, NAMES["block"])
    size = own["x"].shape[2]
    if kind == "norm":
        ours = LayerNorm(size)
    elif kind == "attention":
        ours = MultiHead(size, 3, rng=stream("init", 0))
    else:
        ours = Block(size, 3, pre=kind == "pre", rng=stream("init", 0))
    assert ours.parameters.keys() == names.keys()
    for name, value in ours.parameters.items():
        value[:] = arrays[f"{kind}/{names[name]}"].T
    lengths = np.array([4, 2, 1]) if masks in ("padded", "both") else np.array([4, 4, 4])
    if kind == "norm":
        y, dx = ours.forward(own["x"]), ours.backward(own["dy"])
    else:
        y = ours.forward(own["x"], lengths, causal=masks in ("causal", "both"))
        dx, _ = ours.backward(own["dy"])
    live = (np.arange(4)[:, None] < lengths)[..., None]
    near = lambda actual, expected: np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-12)
    near(y * live, own["y"] * live)
    near(dx, own["dx"])
    for name, value in ours.gradients.items():
        near(value, own[f"d{names[name]}"].T)


def test_stored_values_are_what_pytorch_says_today():
    pytest.importorskip("torch", reason="PyTorch is not installed: its stored values are not computed again")
    spec = importlib.util.spec_from_file_location("make_torch_values", HERE.parent / "tools" / "make_torch_values.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    live, kept = module.attention(), stored()
    assert live.keys() == kept.keys()
    for name, value in live.items():
        np.testing.assert_allclose(kept[name], value, rtol=1e-11, atol=1e-13, err_msg=name)


# As the body of a model --------------------------------------------------------------------------------------------


class Problem:
    """A model with random numbers in all its parameters, and a batch for it."""

    def __init__(self, kind=KINDS[0], head="last", loss="mse", *, size=(T, B), dtype="float64", lengths=None,
                 symbols=None, carried=False, seed=None, hidden=H, **arguments):  # fmt: skip
        rng = np.random.default_rng(5)
        draw = lambda *shape: rng.standard_normal(shape).astype(np.float32).astype(dtype)
        noise = None if seed is None else np.random.default_rng(seed)
        self.model = Model(D, O, rng=stream("init", 0), cell=kind, head=head, symbols=symbols, hidden=hidden,
                           dtype=dtype, noise=noise, **arguments)  # fmt: skip
        for value in self.model.parameters.values():
            value[:] = (0.5 if value.ndim == 1 else len(value) ** -0.5) * draw(*value.shape)
        self.loss, self.seed, self.lengths, self.states = loss, seed, lengths, None
        self.x = rng.integers(symbols, size=size) if symbols else draw(*size, D)
        shape = size if head == "every" else size[1:]
        self.target = rng.integers(O, size=shape) if loss == "softmax" else draw(*shape, O)
        if carried:
            count = np.arange(size[1]) + 1
            before = {"keys": (size[1], size[1] * hidden), "values": (size[1], size[1] * hidden)}
            self.states = [{name: draw(*shape) for name, shape in before.items()} | {"count": count}
                           for _ in self.model.stack.layers]  # fmt: skip
            self.states[-1]["y"] = draw(size[1], hidden)

    def differentiate(self, **arguments):
        batch = {"loss": self.loss, "lengths": self.lengths, "states": self.states}
        return self.model.differentiate(self.x, self.target, **(batch | arguments))


def check(problem, reduction="mean", **arguments):
    """Value, output and gradient, by every tensor alone and by all together."""
    found = problem.differentiate(reduction=reduction, **arguments)
    model, point = problem.model, problem.model.vector.astype(float)
    network = naive_attention.Network(model, problem.x, problem.target, lengths=problem.lengths, states=problem.states,
                                      seed=problem.seed, window=arguments.get("window"))  # fmt: skip
    value, output = network.loss(point, problem.loss, reduction), network.output(point)
    assert abs(found.loss - value) <= 1e-12 * abs(value)
    close(found.output, output.real, 1e-12)
    rng = np.random.default_rng(3)
    for name in [*model.blocks, None]:
        chosen = slice(*model.blocks[name]) if name else slice(None)
        direction = np.zeros(point.size)
        direction[chosen] = rng.standard_normal(direction[chosen].size)
        along = naive.directional_derivative(lambda flat: network.loss(flat, problem.loss, reduction), point, direction)
        terms = model.gradient * direction
        assert abs(terms.sum() - along) <= 1e-11 * np.abs(terms).sum() + 1e-13, name


@pytest.mark.plain_python
@every_kind
def test_gradient_by_every_number(kind):
    problem = Problem(kind, "every", size=(3, 2), lengths=np.array([3, 1]), hidden=2)
    found = problem.differentiate()
    network = naive_attention.Network(problem.model, problem.x, problem.target, lengths=problem.lengths)
    expected = naive.gradient(lambda flat: network.loss(flat, "mse"), problem.model.vector)
    assert abs(found.loss - network.loss(problem.model.vector, "mse")) < 1e-13
    close(problem.model.gradient, expected, 1e-12)


@pytest.mark.plain_python
@either_way
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("head", HEADS)
@every_kind
def test_gradient_of_every_head(kind, head, lengths, direction):
    check(Problem(kind, head, lengths=lengths, direction=direction, layers=2))
    check(Problem(kind, head, "softmax", lengths=lengths, direction=direction, symbols=3, seed=4, dropout=0.3))


@pytest.mark.plain_python
@pytest.mark.parametrize("head", HEADS)
@every_kind
def test_gradient_with_states_carried_on(kind, head):
    for reduction in losses.REDUCTIONS:
        check(Problem(kind, head, lengths=LENGTHS, layers=2, carried=True), reduction)


@pytest.mark.plain_python
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("head", HEADS)
@every_kind
def test_a_window_cuts_the_gradient_at_its_edges(kind, head, lengths):
    for window in (1, 2, 4):
        check(Problem(kind, head, lengths=lengths, layers=2, seed=4, dropout=0.3), window=window)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float64", "float32"] if COMPILED else ["float64"])
@pytest.mark.parametrize("head", HEADS)
@every_kind
def test_checkpoints_change_no_bit(kind, head, dtype):
    for lengths in (None, LENGTHS):
        problem = Problem(kind, head, dtype=dtype, lengths=lengths, layers=2, seed=4, dropout=0.3, carried=True)
        noise = problem.model.noise_state()
        whole = problem.differentiate()
        gradient, drawn = problem.model.gradient.copy(), [rng.random() for rng in problem.model.stack.generators]
        for length in (1, 2, 4):
            problem.model.set_noise_state(noise)
            problem.model.gradient[:] = 7
            found = problem.differentiate(checkpoint_every=length)
            same(found.loss, whole.loss, dtype)
            same(found.output, whole.output)
            same(problem.model.gradient, gradient)
            for one, other in zip(found.states, whole.states, strict=True):
                assert one.keys() == other.keys()
                for name, value in one.items():
                    same(value, other[name], dtype)
            assert [rng.random() for rng in problem.model.stack.generators] == drawn


@pytest.mark.parametrize("head", HEADS)
@every_kind
def test_checkpoints_change_no_bit_of_a_longer_sequence(kind, head):
    lengths = np.array([400, 1, 399, 128, 0, 17])
    problem = Problem(kind, head, size=(400, 6), dtype="float32", hidden=12, layers=2, lengths=lengths)
    whole, gradient = problem.differentiate(), problem.model.gradient.copy()
    for length in (64, 399):
        found = problem.differentiate(checkpoint_every=length)
        assert found.loss == whole.loss
        np.testing.assert_array_equal(problem.model.gradient, gradient)


@pytest.mark.parametrize("size", [(1, 1), (40, 2), (3, 9)], ids=str)
@either_way
def test_gradient_of_other_sizes(size, direction):
    lengths = size[0] - np.arange(size[1]) % size[0]
    for kind, hidden in (("transformer:heads=1", 1), ("transformer:post:heads=3", 33), ("transformer:learned", 20)):
        check(Problem(kind, "every", size=size, hidden=hidden, lengths=lengths, direction=direction))


@pytest.mark.plain_python
@either_way
@every_kind
def test_float32_is_close_to_float64(kind, direction):
    arguments = {"lengths": LENGTHS, "symbols": 4, "seed": 4, "direction": direction, "dropout": 0.3, "layers": 2}
    single, double = (Problem(kind, "every", "softmax", dtype=dtype, **arguments) for dtype in ("float32", "float64"))
    one, other = single.differentiate(), double.differentiate()
    assert one.output.dtype == single.model.gradient.dtype == np.float32
    assert abs(one.loss - other.loss) <= 1e-5 * abs(other.loss)
    assert 0 < np.abs(single.model.gradient - double.model.gradient).max() <= 1e-4 * np.abs(double.model.gradient).max()


# What comes out ----------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@every_dtype
@every_kind
def test_states_and_last_are_those_at_each_length(kind, dtype):
    """Also where a row has no step in a segment: it keeps what it had."""
    module, x = body(kind, dtype=dtype), draw(T, B, D, dtype=dtype)
    run = module.forward(x, lengths=LENGTHS)
    last, states = run.last(), run.states()
    assert run.y.dtype == dtype and not run.y[3:, 2].any() and not run.y[:, 1].any() and not last[1].any()
    np.testing.assert_array_equal(last[[0, 2]], [run.y[4, 0], run.y[2, 2]])
    for state in states:
        np.testing.assert_array_equal(state["count"], LENGTHS)
        assert state["keys"].shape == state["values"].shape == (B, T * H)
        assert not state["keys"][1].any() and not state["keys"][2, 3 * H :].any()
    again = module.forward(x[:1], states, [1, 0, 0])
    kept = again.states()
    np.testing.assert_array_equal(kept[0]["count"], [6, 0, 3])
    np.testing.assert_array_equal(again.last()[1:], last[1:])
    np.testing.assert_array_equal(kept[-1]["keys"][2, : 3 * H], states[-1]["keys"][2, : 3 * H])


@pytest.mark.plain_python
@every_dtype
@every_kind
def test_step_by_step_is_the_whole(kind, dtype):
    """As a text is written: a step at a time, with keys and values carried on."""
    module, x = body(kind, dtype=dtype), draw(T, B, D, dtype=dtype)
    whole = module.forward(x)
    y, states, ends = whole.y, None, whole.states()
    for t in range(T):
        run = module.forward(x[t : t + 1], states)
        same(run.y[0], y[t])
        states = run.states()
    for one, other in zip(states, ends, strict=True):
        for name in ("keys", "values"):
            same(one[name], other[name])


@every_kind
def test_rows_of_states_may_be_chosen(kind):
    """As a beam search does."""
    module, x = body(kind), draw(T, B, D)
    states, rows = module.forward(x).states(), [2, 2, 0, 1]
    chosen = [{name: value[rows] for name, value in state.items()} for state in states]
    y = module.forward(x[:2][:, rows], chosen).y
    np.testing.assert_array_equal(y, module.forward(x[:2], states).y[:, rows])


@pytest.mark.plain_python
@every_dtype
@every_kind
def test_no_step_of_a_decoder_sees_a_later_one(kind, dtype):
    module, x, other = body(kind, dtype=dtype), draw(T, B, D, dtype=dtype), draw(T, B, D, seed=3, dtype=dtype)
    other[:3] = x[:3]
    same(module.forward(x).y[:3], module.forward(other).y[:3])
    encoder = body(kind, dtype=dtype, direction="both")
    assert (encoder.forward(x).y[:3] != encoder.forward(other).y[:3]).any()


@pytest.mark.plain_python
@either_way
@every_kind
def test_neither_padding_nor_other_rows_change_a_bit(kind, direction):
    module, x, dy = body(kind, direction=direction), draw(T, B, D), draw(T, B, H, seed=5)
    lengths = np.array([5, 1, 3])
    y = module.forward(x, lengths=lengths).y
    dx, _ = module.backward(dy)
    for b, length in enumerate(lengths):
        same(module.forward(x[:length, [b]]).y[:, 0], y[:length, b])
        same(module.backward(dy[:length, [b]])[0][:, 0], dx[:length, b])
        assert not dx[length:, b].any()


@either_way
def test_threads_change_no_bit(direction):
    module, x, dy = body(KINDS[0], dtype="float32", direction=direction), draw(90, 5, D, dtype="float32"), None
    dy, found = draw(90, 5, H, seed=5, dtype="float32"), []
    for number in (1, 2, 3):
        with mock.patch.multiple(threads, WORTH=1, _chosen=number):
            y = module.forward(x, lengths=[90, 3, 0, 64, 89]).y
            found.append((y, module.backward(dy)[0], module.gradient.copy()))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.plain_python
def test_dropout_acts_in_training_only_and_scales_what_it_leaves():
    plain, noisy = body(), body(dropout=0.25, noise=np.random.default_rng(4))
    x = draw(60, B, D)
    y = plain.forward(x).y
    same(noisy.forward(x).y, y)
    first = noisy.forward(x, training=True).y
    assert (first != noisy.forward(x, training=True).y).any() and len(noisy.generators) == 5
    for hides in noisy._hides:
        assert set(np.unique(hides)) == {0.0, 1 / 0.75} and abs((hides > 0).mean() - 0.75) < 0.06
    assert (noisy._hides[0] != noisy._hides[1]).any() and (noisy._hides[2][0] != noisy._hides[2][1]).any()
    assert plain.generators == []


@pytest.mark.plain_python
def test_gradient_of_what_flows_into_the_states():
    """dL/dstates as Model has them of a later segment; none of them are zeros."""
    problem = Problem(KINDS[0], lengths=LENGTHS, layers=2, carried=True)
    module, x, dlast = problem.model.stack, problem.x, draw(B, H, seed=6)
    run = module.forward(x, problem.states, LENGTHS)
    ends = run.states()
    known = (np.arange(ends[0]["keys"].shape[1] // H) < ends[0]["count"][:, None]).repeat(H, 1)
    dstates = [
        {name: draw(*ends[0][name].shape, seed=n) * known for n, name in enumerate(("keys", "values"))} for _ in ends
    ]
    dstates[-1]["y"] = draw(B, H, seed=8)
    given = {f"{n} {name}": value for n, state in enumerate(problem.states) for name, value in state.items()
             if name != "count"} | {"x": x}  # fmt: skip

    def scalar(flat):
        found = naive.unpack(flat, given)
        states = [{key.split()[1]: value for key, value in found.items() if key.startswith(f"{n} ")} | state_count
                  for n in range(2)]  # fmt: skip
        _, last, after = naive_attention.transformer(module, module.parameters, found["x"], states, LENGTHS)
        total = (last * (dlast + dstates[-1]["y"])).sum()
        return total + sum((after[n][name] * dstates[n][name]).sum() for n in range(2) for name in ("keys", "values"))

    state_count = {"count": problem.states[0]["count"]}
    dx, starts = module.backward(None, dstates, dlast=dlast)
    wanted = naive.unpack(naive.gradient(scalar, naive.pack(given)), given)
    close(dx, wanted["x"], 1e-12)
    for n, start in enumerate(starts):
        assert start.keys() == problem.states[n].keys() - {"count"}
        for name, value in start.items():
            close(value, wanted[f"{n} {name}"], 1e-12)


def test_where_weights_start():
    module = Transformer("transformer:learned:heads=2:length=9", 3, 64, rng=stream("init", 0), num_layers=1)
    assert list(module.parameters)[:3] == ["input.W", "input.b", "positions.W"]
    assert module.parameters["positions.W"].shape == (9, 64)
    assert 0.4 < (module.parameters["positions.W"] ** 2).mean() < 0.6
    bound = np.sqrt(64 * 6 / 67)
    assert 0.9 * bound < np.abs(module.parameters["input.W"]).max() < bound
    assert module.parameters["0.attention.in.W"].shape == (64, 192) and module.parameters["0.inner.W"].shape == (
        64,
        256,
    )
    assert (module.parameters["norm.g"] == 1).all() and not module.parameters["0.outer.b"].any()
    assert "norm.g" not in Transformer("transformer:post", 3, 4, rng=stream("init", 0)).parameters
    twin = Transformer("transformer:learned:heads=2:length=9", 3, 64, rng=stream("init", 0), dtype="float32")
    np.testing.assert_array_equal(twin.vector, module.vector.astype(np.float32))


def test_names():
    assert transformer.canonical("transformer:sinusoidal:heads=4:pre") == "transformer"
    assert transformer.canonical("transformer:length=9:norm=post:learned") == "transformer:post:learned:length=9"
    assert bodies.canonical("transformer:heads=2") == "transformer:heads=2"
    assert isinstance(bodies.body("transformer", 2, 8, rng=stream("init", 0), layers=3), Transformer)
    for option in transformer.parse("transformer"):
        assert f"{option}=" in transformer.OPTIONS
    parse = transformer.parse
    refused("unknown model 'transformr'; did you mean 'transformer'?", parse, "transformr")
    refused("unknown option of transformer 'pst'; did you mean 'post'?", parse, "transformer:pst")
    refused("unknown option of transformer 'head'; did you mean 'heads=...'?", parse, "transformer:head=2")
    refused("unknown norm 'past'; did you mean 'post'?", parse, "transformer:norm=past")
    refused("norm of transformer must be given once, got pre and post", parse, "transformer:pre:post")
    rule = "heads must be a whole number from 1 to 1000000"
    for value in ("0", "two", "1.5", "9" * 30, "-1"):
        refused(f"{rule}, got {value}", parse, f"transformer:heads={value}")
    refused(f"{rule}, got nothing", parse, "transformer:heads=")


@pytest.mark.plain_python
def test_what_a_transformer_refuses():
    make = lambda name="transformer", **named: bodies.body(name, 2, 8, **({"rng": stream("init", 0)} | named))
    refused("heads must divide hidden=8, got 3 (transformer:heads=1)", make, "transformer:heads=3")
    refused("unknown direction 'bth'; did you mean 'both'?", make, direction="bth")
    refused("layers must be a whole number from 1, got 0", make, layers=0)
    refused("dropout must be a number from 0 to below 1, got 1", make, dropout=1)
    refused(
        "noise must be a numpy.random.Generator, got NoneType (stream('dropout', seed) makes one)", make, dropout=0.5
    )
    refused("rng must be a numpy.random.Generator, got NoneType (stream('init', seed) makes one)", make, rng=None)
    refused("residual must be False for transformer, got True", make, residual=True)
    refused("zoneout must be 0 for transformer, got 0.1", make, zoneout=0.1)
    refused("dropot must be left out for transformer, got 0.1", make, dropot=0.1)
    module, x = body(), draw(T, B, D)
    refused("backward must follow a forward pass, got none", module.backward)
    refused("x must have shape (T, B, 2) because input_size=2, got (5, 3)", module.forward, x[..., 0])
    refused("x must have shape (T, B, 2) because input_size=2, got (0, 3, 2)", module.forward, x[:0])
    refused("x must be float64 of shape (5, 3, 2), got float32 of shape (5, 3, 2)", module.forward, x.astype("f4"))
    refused("lengths must be 3 whole numbers from 0 to T=5, got [6, 0, 0]", module.forward, x, lengths=[6, 0, 0])
    states = module.forward(x).states()
    refused("states must be None with direction both, in which every step sees all others",
            body(direction="both").forward, x, states)  # fmt: skip
    rule = "states must be a list with the states of each of 2 blocks"
    refused(f"{rule}, got list of 1", module.forward, x, states[:1])
    refused(f"{rule}, got int", module.forward, x, 3)
    rule = "states[0] must have arrays by name, count, keys, values"
    refused(f"{rule}, got h", module.forward, x, [{"h": x}, {}])
    refused(f"{rule}, got ndarray", module.forward, x, [x, x])
    for wrong, got in (([1, 2], "[1, 2]"), (np.array([6, 0, 0]), "[6, 0, 0]"), (np.ones(3), "[1.0, 1.0, 1.0]")):
        refused(f"states[0]['count'] must be 3 whole numbers from 0 to 5, got {got}", module.forward, x,
                [states[0] | {"count": wrong}, states[1]])  # fmt: skip
    refused("states[1]['values'] must be float64 of shape (3, 20), got float64 of shape (3, 16)", module.forward, x,
            [states[0], states[1] | {"values": draw(B, 4 * H)}])  # fmt: skip
    module.forward(x)
    refused("dy must be float64 of shape (5, 3, 4), got float64 of shape (5, 3, 3)", module.backward, draw(T, B, 3))


def test_streams_without_end_are_refused():
    """What a Transformer carries on grows with every step."""
    task, recipe = tasks.load("embedded_reber:continual"), Recipe(updates=1)
    model = model_for(task, 0, cell="transformer", hidden=4)
    refused("model must be recurrent or a window for task embedded_reber:continual, whose sequences never end, got one "
            "with states of all steps so far (transformer)", Trainer, model, task, recipe, seq_len=9,
            seed=0)  # fmt: skip


def test_what_is_said_about_it():
    module = Model(3, 2, cell="transformer:post", hidden=8, layers=2, rng=stream("init", 0))
    assert module.identity()["body"] == "transformer:post"
    assert module.columns > 2 * 8 * 10
    assert module.summary().splitlines()[0].split() == ["layers.input.W", "3", "x", "8", "24"]


def test_the_examples():
    result = doctest.testmod(importlib.import_module("sandbox.layers.transformer"))
    assert result.attempted and not result.failed

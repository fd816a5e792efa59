"""Layer: shapes, errors, files, views; and its numbers against PyTorch's, stored by tools/make_torch_values.py."""

import importlib.util
import itertools
from pathlib import Path

import naive
import numpy as np
import pytest

from sandbox import cells
from sandbox.errors import UsageError
from sandbox.jit import COMPILED
from sandbox.layers import Layer
from sandbox.layers.module import Module
from sandbox.streams import stream

HERE = Path(__file__).parent
NAMES = cells.names()
T, B, D, H = 4, 2, 3, 5


def make(cell="lstm", input_size=D, hidden_size=H, seed=0, **arguments):
    return Layer(cell, input_size, hidden_size, rng=stream("init", seed), **arguments)


@pytest.fixture
def composite(monkeypatch):
    """A layer of the made-up cell with derived weights and two outputs."""
    monkeypatch.setattr(cells, "load", lambda name: naive.COMPOSITE)
    return make("composite")


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def error(function, *arguments, **named):
    """The message of the one-line UsageError which a call must raise."""
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# PyTorch ---------------------------------------------------------------------------------------------------------


def stored():
    with np.load(HERE / "data" / "torch_values.npz") as file:
        return dict(file)


def from_torch(arrays, prefix=""):
    """PyTorch's parameters (or with prefix "d" their gradients) of one network by this project's names.

    PyTorch has (G H, D) matrices and the same gate order. Its two biases are always added up, so that one is the sum
    (and has either's gradient), but for the GRU's n gate, whose second one is inside the reset: b_hn.
    """
    W_ih, W_hh, b_ih, b_hh = (arrays[f"{prefix}{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    found = {"W_ih": W_ih.T, "W_hh": W_hh.T, "b": b_ih if prefix else b_ih + b_hh}
    if len(b_hh) == 3 * W_hh.shape[1]:
        units = W_hh.shape[1]
        found["b_hn"] = b_hh[-units:]
        found["b"] = np.concatenate([found["b"][:-units], b_ih[-units:]])
    return found


@pytest.mark.plain_python
@pytest.mark.parametrize("packed", ["", " packed"])
@pytest.mark.parametrize("network", ["tanh", "relu", "lstm", "gru"])
def test_same_numbers_as_pytorch(network, packed):
    arrays = {key.split("/")[1]: value for key, value in stored().items() if key.split("/")[0] == network + packed}
    cell, options = ("rnn", {"activation": network}) if network in ("tanh", "relu") else (network, {})
    layer = make(cell, 5, 6, **options)
    parameters = from_torch(arrays)
    assert parameters.keys() == layer.parameters.keys()
    for name, value in parameters.items():
        layer.parameters[name][:] = value
    states, lengths = layer.cell.states, [4, 2, 1] if packed else None
    run = layer.forward(arrays["x"], {name: arrays[f"{name}_0"] for name in states}, lengths)
    within = (np.arange(4)[:, None] < ([4] * 3 if lengths is None else lengths))[..., None]
    close = lambda actual, expected: np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)
    close(run.y * within, arrays["y"])  # PyTorch pads the output with zeros
    for name in states:
        close(run.last_states()[name], arrays[f"{name}_n"])
    found = layer.backward(arrays["dy"] * within, {name: arrays[f"d{name}_n"] for name in states})
    close(found.x, arrays["dx"])
    for name in states:
        close(found.start[name], arrays[f"d{name}_0"])
    for name, value in from_torch(arrays, "d").items():
        close(found.parameters[name], value)


def test_stored_values_are_what_pytorch_says_today():
    pytest.importorskip("torch", reason="PyTorch is not installed: its stored values are not computed again")
    spec = importlib.util.spec_from_file_location("make_torch_values", HERE.parent / "tools" / "make_torch_values.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    live, kept = module.values(), stored()
    assert live.keys() == kept.keys()
    for name, value in live.items():
        np.testing.assert_allclose(kept[name], value, rtol=1e-12, atol=1e-14, err_msg=name)


# What comes out --------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("cell", NAMES)
def test_shapes_names_and_types(cell, dtype):
    layer = make(cell, dtype=dtype)
    gates, states = layer.cell.gates, layer.cell.states
    run = layer.forward(np.ones((T, B, D), dtype))
    assert run.y.shape == (T, B, layer.output_size) and run.lengths is None
    assert tuple(run.states) == states and {value.shape for value in run.states.values()} == {(T + 1, B, H)}
    assert set(gates) <= set(run.gates) and {value.shape for value in run.gates.values()} == {(T, B, H)}
    assert {value.shape for value in run.last_states().values()} == {(B, H)}
    outputs = layer.cell.outputs
    np.testing.assert_array_equal(run.y, np.concatenate(list(run.states.values())[:outputs], 2)[1:])
    assert layer.output_size == outputs * H == run.y.shape[2]
    found = layer.backward(np.ones((T, B, outputs * H), dtype), every_state=True)
    assert found.x.shape == (T, B, D) and found.exponents is None
    assert found.z.shape == (T, B, len(layer.cell.tape), H)
    assert {value.shape for value in found.states.values()} == {(T + 1, B, H)} and tuple(found.states) == states
    assert {value.shape for value in found.start.values()} == {(B, H)} and tuple(found.start) == states
    assert {name: value.shape for name, value in found.parameters.items()} == layer.cell.shapes(D, H, layer.options)
    arrays = [run.y, found.x, found.z, layer.vector, layer.gradient, *found.parameters.values(), *found.start.values()]
    assert {array.dtype.name for array in arrays} == {dtype}


@pytest.mark.plain_python
def test_parts_that_are_not_asked_for_are_left_out():
    layer = make()
    run = layer.forward(np.ones((T, B, D)))
    found = layer.backward(np.ones((T, B, H)), keep_tape=True)
    assert found.states is None and found.exponents is None
    before = layer.gradient.copy()
    found = layer.backward(np.ones((T, B, H)), parameters=False, inputs=False, keep_tape=True)
    assert found.parameters is None and found.x is None
    np.testing.assert_array_equal(layer.gradient, before)
    found = layer.backward(np.ones((T, B, H)), log_scale=True, keep_tape=True)
    assert found.parameters is None and found.x is None and found.exponents.shape == (T + 1, B)
    np.testing.assert_array_equal(layer.gradient, before)
    assert not np.shares_memory(found.z, run.gates["f"])
    assert np.shares_memory(layer.backward().z, run.gates["f"])


@pytest.mark.plain_python
def test_gates_are_what_the_equations_say():
    x = draw(T, B, D)
    layer = make("lstm")
    run = layer.forward(x)
    gate, (h, c) = run.gates, run.states.values()
    z = x @ layer.parameters["W_ih"] + h[:-1] @ layer.parameters["W_hh"] + layer.parameters["b"]
    i, f, g, o = np.split(z, 4, -1)
    for name, value in (("i", i), ("f", f), ("o", o)):
        np.testing.assert_allclose(gate[name], 1 / (1 + np.exp(-value)), rtol=1e-13)
    np.testing.assert_allclose(gate["g"], np.tanh(g), rtol=1e-13)
    np.testing.assert_allclose(c[1:], gate["f"] * c[:-1] + gate["i"] * gate["g"], rtol=1e-13)
    layer = make("gru")
    run = layer.forward(x)
    gate, h = run.gates, run.states["h"]
    n = np.tanh(x @ layer.block("W_ih", "n") + gate["r"] * (h[:-1] @ layer.block("W_hh", "q")))
    np.testing.assert_allclose(gate["n"], n, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(h[1:], (1 - gate["z"]) * gate["n"] + gate["z"] * h[:-1], rtol=1e-12, atol=1e-15)


@pytest.mark.plain_python
def test_last_states_are_those_at_each_length():
    layer, lengths = make("lstm"), np.array([3, 0])
    run = layer.forward(draw(T, B, D), lengths=lengths)
    np.testing.assert_array_equal(run.lengths, lengths)
    for name, last in run.last_states().items():
        np.testing.assert_array_equal(last[0], run.states[name][3, 0])
        assert last[0].any() and not last[1].any()
    one_by_one = [layer.forward(draw(T, B, D), lengths=[length, 4]).last_states()["h"][0].copy() for length in range(5)]
    assert all((a != b).any() for a, b in itertools.pairwise(one_by_one))


@pytest.mark.plain_python
def test_the_workspace_follows_the_size():
    layer = make("lstm")
    for steps, rows in ((4, 2), (6, 3), (4, 2), (4, 2), (1, 5), (6, 3), (3, 6)):
        x, fresh = draw(steps, rows, D), make("lstm")
        for each in (layer, fresh):
            each.forward(x)
            each.backward(np.ones((steps, rows, H)))
        np.testing.assert_array_equal(layer.gradient, fresh.gradient)
        y = layer.forward(x).y
        np.testing.assert_array_equal(y, fresh.forward(x).y)
    kept = layer.forward(x)
    again = layer.forward(x)
    assert np.shares_memory(kept.y, again.y)


@pytest.mark.plain_python
def test_start_states_left_out_are_zero_in_every_pass():
    layer, x = make("lstm"), draw(T, B, D)
    y = layer.forward(x).y.copy()
    only_c = layer.forward(x, {"c": np.ones((B, H))})
    assert not only_c.states["h"][0].any() and (only_c.states["c"][0] == 1).all()
    np.testing.assert_array_equal(layer.forward(x).y, y)


@pytest.mark.plain_python
def test_arrays_in_any_memory_order():
    layer, x = make("gru"), draw(T, B, D)
    dy, start = draw(T, B, H, seed=1), draw(B, H, seed=2)

    def run(x, dy, start):
        y = layer.forward(x, {"h": start}).y.copy()
        return y, layer.backward(dy, {"h": start}).x, layer.gradient.copy()

    for expected, actual in zip(run(x, dy, start), run(*(np.asfortranarray(array) for array in (x, dy, start)))):
        np.testing.assert_array_equal(actual, expected)


# Parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("cell", NAMES)
def test_parameters_are_views_into_one_vector(cell):
    layer = make(cell)
    dy = np.ones((T, B, layer.output_size))
    assert {name: value.shape for name, value in layer.parameters.items()} == layer.cell.shapes(D, H, layer.options)
    assert sum(value.size for value in layer.parameters.values()) == layer.vector.size == layer.gradient.size
    layer.vector[:] = np.arange(layer.vector.size) / layer.vector.size
    flat = np.concatenate([value.ravel() for value in layer.parameters.values()])
    np.testing.assert_array_equal(flat, layer.vector)
    assert all(np.shares_memory(value, layer.vector) for value in layer.parameters.values())
    layer.forward(np.ones((T, B, D)))
    found = layer.backward(dy).parameters
    assert all(np.shares_memory(value, layer.gradient) for value in found.values())
    np.testing.assert_array_equal(np.concatenate([value.ravel() for value in found.values()]), layer.gradient)
    layer.forward(np.ones((T, B, D)))
    before = layer.gradient.copy()
    layer.backward(dy)
    np.testing.assert_array_equal(layer.gradient, before)  # computed anew, not added up


@pytest.mark.plain_python
def test_blocks_are_views_of_one_gate():
    layer = make("lstm")
    for g, gate in enumerate("ifgo"):
        for name, rows in (("W_ih", D), ("W_hh", H)):
            block = layer.block(name, gate)
            assert block.shape == (rows, H) and np.shares_memory(block, layer.vector)
            np.testing.assert_array_equal(block, layer.parameters[name][:, g * H : (g + 1) * H])
    orthogonal = layer.block("W_hh", "f")
    np.testing.assert_allclose(orthogonal.T @ orthogonal, np.eye(H), atol=1e-14)
    assert (layer.block("W_hh", "f") != layer.block("W_hh", "i")).any()


@pytest.mark.plain_python
def test_initial_biases():
    np.testing.assert_array_equal(make("lstm").parameters["b"], np.repeat([0, 1, 0, 0], H))
    for given, expected in ((2.5, 2.5), (0, 0), ("-1", -1)):
        b = make("lstm", forget_bias=given).parameters["b"]
        np.testing.assert_array_equal(b, np.repeat([0, expected, 0, 0], H))
    for cell in ("rnn", "gru"):
        assert not any(value.any() for name, value in make(cell).parameters.items() if name.startswith("b"))


@pytest.mark.plain_python
def test_initial_weights_follow_the_arguments():
    one, other = make("gru", gain=1.0), make("gru", gain=0.5)
    np.testing.assert_array_equal(other.parameters["W_hh"], 0.5 * one.parameters["W_hh"])
    np.testing.assert_array_equal(other.parameters["W_ih"], one.parameters["W_ih"])
    for gate, column in zip("rzn", "rzq"):
        np.testing.assert_array_equal(make("gru", init="identity", gain=2).block("W_hh", column), 2 * np.eye(H))
        np.testing.assert_array_equal(make("gru", input_init="identity").block("W_ih", gate), np.eye(D, H))


@pytest.mark.plain_python
@pytest.mark.parametrize("cell", NAMES)
def test_same_stream_same_bits(cell):
    one, same, other = make(cell), make(cell), make(cell, seed=1)
    assert one.vector.tobytes() == same.vector.tobytes() != other.vector.tobytes()
    single = make(cell, dtype="float32")
    np.testing.assert_array_equal(single.vector, one.vector.astype(np.float32))
    assert single.vector.dtype == np.float32
    rng = stream("init", 0)
    first, second = (Layer(cell, D, H, rng=rng) for _ in range(2))
    np.testing.assert_array_equal(first.vector, one.vector)
    assert (second.vector != one.vector).any()


@pytest.mark.plain_python
def test_numpy_numbers_and_types_as_arguments():
    layer = Layer("rnn", np.int64(D), np.int32(H), rng=stream("init", 0), dtype=np.dtype("float32"))
    assert layer.vector.dtype == np.float32 and type(layer.hidden_size) is int


# Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"cell": "lsmt"}, "unknown cell 'lsmt'; did you mean 'lstm'?"),
        ({"init": "orthogonl"}, "unknown init 'orthogonl'; did you mean 'orthogonal'?"),
        ({"input_init": "glorott"}, "unknown init 'glorott'; did you mean 'glorot'?"),
        ({"dtype": "float16"}, "unknown dtype 'float16'; did you mean 'float64'?"),
        ({"dtype": "int"}, "unknown dtype 'int' (choose from: float32, float64)"),
        ({"forget_bais": 1}, "unknown option of cell lstm 'forget_bais'; did you mean 'forget_bias'?"),
        ({"cell": "rnn", "activation": "tanhh"}, "unknown activation 'tanhh'; did you mean 'tanh'?"),
        ({"forget_bias": float("inf")}, "forget_bias must be a finite number, got inf"),
        ({"hidden_size": 0}, "hidden_size must be a whole number from 1, got 0"),
        ({"hidden_size": -3}, "hidden_size must be a whole number from 1, got -3"),
        ({"hidden_size": True}, "hidden_size must be a whole number from 1, got True"),
        ({"hidden_size": 2.5}, "hidden_size must be a whole number from 1, got 2.5"),
        ({"hidden_size": "7"}, "hidden_size must be a whole number from 1, got 7"),
        ({"input_size": 0}, "input_size must be a whole number from 1, got 0"),
        ({"hidden_size": 10**9},
         "parameters must fit into memory, got 4e+18 of them (input_size=3 and hidden_size=1000000000)"),
        ({"hidden_size": 10**6},
         "parameters must fit into memory, got 4e+12 of them (input_size=3 and hidden_size=1000000)"),
        ({"forget_bias": "x"}, "forget_bias must be a finite number, got x"),
        ({"gain": "x"}, "gain must be a finite number, got x"),
        ({"gain": float("nan")}, "gain must be a finite number, got nan"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, message):
    assert error(make, **arguments) == message


@pytest.mark.plain_python
def test_a_name_without_a_near_one_lists_them_all():
    assert error(make, "zzz") == f"unknown cell 'zzz' (choose from: {', '.join(NAMES)})"
    with pytest.raises(UsageError, match="unknown cell"):
        cells.load("__init__")


@pytest.mark.plain_python
def test_bad_input():
    forward, x = make("lstm").forward, np.zeros((T, B, D))
    rule = "x must have shape (T, B, 3) because input_size=3, got "
    assert error(forward, np.zeros((T, B, 4))) == rule + "(4, 2, 4)"
    assert error(forward, np.zeros((T, D))) == rule + "(4, 3)"
    assert error(forward, np.zeros((0, B, D))) == rule + "(0, 2, 3)"
    assert error(forward, np.zeros((T, 0, D))) == rule + "(4, 0, 3)"
    assert error(forward, x.astype("float32")) == "x must be float64 of shape (4, 2, 3), got float32 of shape (4, 2, 3)"
    assert error(forward, x.astype(int)) == "x must be float64 of shape (4, 2, 3), got int64 of shape (4, 2, 3)"
    assert error(forward, x, {"c": np.zeros((3, H))}) == (
        "states['c'] must be float64 of shape (2, 5), got float64 of shape (3, 5)")  # fmt: skip
    assert error(forward, x, {"h": np.zeros((B, H), "float32")}) == (
        "states['h'] must be float64 of shape (2, 5), got float32 of shape (2, 5)")  # fmt: skip
    single = make("lstm", dtype="float32")
    assert error(single.forward, x) == "x must be float32 of shape (4, 2, 3), got float64 of shape (4, 2, 3)"


@pytest.mark.plain_python
def test_unknown_states():
    layer, x = make("lstm"), np.zeros((T, B, D))
    message = "unknown state of cell lstm 'k' (choose from: h, c)"
    assert error(layer.forward, x, {"k": np.zeros((B, H))}) == message
    assert error(layer.forward, x, {"k": 0}) == message
    layer.forward(x)
    assert error(layer.backward, dstates={"k": np.zeros((B, H))}) == message
    assert error(layer.backward, dstates={"k": 0}) == message


@pytest.mark.plain_python
@pytest.mark.parametrize("lengths", [[1], [1, 2, 3], [1, 5], [-1, 2], [1.0, 2.0], [[1, 2]], [True, False], 3])
def test_bad_lengths(lengths):
    message = error(make().forward, np.zeros((T, B, D)), lengths=lengths)
    assert message == f"lengths must be 2 whole numbers from 0 to T=4, got {lengths}"


@pytest.mark.plain_python
def test_bad_gradients():
    layer = make("lstm")
    layer.forward(np.zeros((T, B, D)))
    rule = "dy must be float64 of shape (4, 2, 5), got "
    assert error(layer.backward, np.zeros((T, B, D))) == rule + "float64 of shape (4, 2, 3)"
    assert error(layer.backward, np.zeros((B, H))) == rule + "float64 of shape (2, 5)"
    assert error(layer.backward, np.zeros((T, B, H), "float32")) == rule + "float32 of shape (4, 2, 5)"
    assert error(layer.backward, dstates={"c": np.zeros(H)}) == (
        "dstates['c'] must be float64 of shape (2, 5), got float64 of shape (5,)")  # fmt: skip
    layer.backward(np.zeros((T, B, H)))  # none of these has used up the tape


@pytest.mark.plain_python
def test_backward_needs_a_forward_pass_with_its_tape():
    layer, x, dy = make("gru"), draw(T, B, D), draw(T, B, H)
    assert error(layer.backward, dy).startswith("backward must follow a forward pass whose gates are in place, got")
    layer.forward(x)
    first = layer.backward(dy, keep_tape=True).x
    second = layer.backward(dy).x
    np.testing.assert_array_equal(first, second)
    assert "use keep_tape=True" in error(layer.backward, dy)


@pytest.mark.plain_python
@pytest.mark.parametrize("steps", [T, T + 2])
def test_a_failed_forward_pass_leaves_no_half_pass_behind(steps):
    """Either the pass before it can still be differentiated, or there is an error: no gradient of neither."""
    layer, x, dy = make("lstm"), draw(T, B, D), draw(T, B, H)
    start = {"h": draw(B, H, seed=1), "c": draw(B, H, seed=2)}
    last = {"h": draw(B, H, seed=3)}
    layer.forward(x, start)
    expected = []
    for inflow in (dy, None):
        layer.backward(inflow, last, keep_tape=True)
        expected.append(layer.gradient.copy())
    error(layer.forward, draw(steps, B, D), {"h": np.ones((B, H)), "c": np.ones((B + 1, H))})
    for inflow, gradient in zip((dy, None), expected):
        try:
            layer.backward(inflow, last, keep_tape=True)
        except UsageError as refused:
            assert "must follow a forward pass" in str(refused)
        else:
            np.testing.assert_array_equal(layer.gradient, gradient)


# Files -----------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("cell, options", [("rnn", {"activation": "relu"}), ("lstm", {"forget_bias": 2}), ("gru", {})])
def test_a_saved_layer_is_the_same_layer(tmp_path, cell, options, dtype):
    layer = make(cell, dtype=dtype, **options)
    layer.vector[:] = draw(layer.vector.size)
    path = tmp_path / "layer.npz"
    layer.save(path)
    loaded = Layer.load(path)
    assert loaded.vector.tobytes() == layer.vector.tobytes() and loaded.dtype == layer.dtype
    assert (loaded.cell, loaded.options) == (layer.cell, layer.options)
    assert (loaded.input_size, loaded.hidden_size) == (D, H)
    x = draw(T, B, D).astype(dtype)
    np.testing.assert_array_equal(loaded.forward(x).y, layer.forward(x).y)
    layer.vector[:] = 0
    layer.save(str(path))
    assert not Layer.load(str(path)).vector.any()
    assert [each.name for each in tmp_path.iterdir()] == ["layer.npz"]
    with np.load(path) as file:  # nothing pickled
        assert set(file.files) == {"facts", *layer.parameters}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "layer.npz"
    make().save(path)
    return path


RULE = "layer file must be a file written by Layer.save, got "


@pytest.mark.plain_python
@pytest.mark.parametrize("spoil", [
    lambda data: b"",
    lambda data: b"hello, world\n" * 20,
    lambda data: bytes(range(256)),
    lambda data: data[:40],
    lambda data: data[: len(data) // 2],
    lambda data: data[:-1],
    lambda data: data[: len(data) // 3] + bytes(100) + data[len(data) // 3 + 100 :],
], ids=["empty", "text", "bytes", "head", "half", "all but a byte", "a hole"])  # fmt: skip
def test_load_of_a_spoilt_file(saved, spoil):
    saved.write_bytes(spoil(saved.read_bytes()))
    assert error(Layer.load, saved).startswith(RULE + str(saved))


@pytest.mark.plain_python
def test_load_of_other_files(tmp_path, saved):
    missing = tmp_path / "missing.npz"
    assert error(Layer.load, missing) == f"layer file must exist, got {missing}"
    assert error(Layer.load, tmp_path).startswith(RULE)
    other = tmp_path / "other.npz"
    np.savez(other, W_ih=np.zeros(3))
    assert error(Layer.load, other).startswith(RULE + str(other))
    np.save(tmp_path / "other.npy", np.zeros(3))
    assert error(Layer.load, tmp_path / "other.npy").startswith(RULE)
    with np.load(saved) as file:
        arrays = dict(file)
    facts = str(arrays["facts"])
    for replaced, message in (
        ({"facts": np.array("{}")}, RULE),
        ({"facts": np.array("[1]")}, RULE),
        ({"facts": np.array([1.0])}, RULE),
        ({"facts": np.array(facts.replace("lstm", "lsmt"))}, "did you mean 'lstm'?"),
        ({"facts": np.array(facts.replace("lstm", "rnn"))}, "unknown option of cell rnn"),
        ({"facts": np.array(facts.replace("float64", "float32"))}, "must be float32"),
        ({"facts": np.array(facts.replace('"hidden_size": 5', '"hidden_size": 1000000000'))}, "hidden_size"),
        ({"b": np.zeros(3)}, f"b in {other} must be float64 of shape (20,), got float64 of shape (3,)"),
        ({"extra": np.zeros(3)}, "layer file must hold W_ih, W_hh, b, got"),
        ({"b": np.array([None] * 20)}, RULE),
    ):  # fmt: skip
        np.savez(other, **{**arrays, **replaced})
        assert message in error(Layer.load, other)
    del arrays["b"]
    np.savez(other, **arrays)
    assert "layer file must hold W_ih, W_hh, b, got W_ih, W_hh in" in error(Layer.load, other)


@pytest.mark.plain_python
def test_a_save_that_fails_leaves_nothing_and_spoils_nothing(tmp_path, saved, monkeypatch):
    with pytest.raises((OSError, UsageError)):
        make().save(tmp_path / "missing" / "layer.npz")
    before = saved.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises((OSError, UsageError)):
        make().save(saved)
    assert saved.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["layer.npz"]


@pytest.mark.skipif(not COMPILED, reason="plain Python compiles nothing")
def test_steps_are_compiled_once_for_all_layers():
    one, other = make("lstm"), make("lstm", 7, 9)
    assert one._steps == other._steps and one._steps != make("gru")._steps


# What a pass must not be fooled by ---------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_a_start_state_may_be_a_view_of_the_last_pass():
    layer = Layer("lstm", 2, 3, rng=stream("init", 0))
    x, start = np.ones((4, 2, 2)), {"h": np.full((2, 3), 0.3), "c": np.full((2, 3), -0.7)}
    first = layer.forward(x, start)
    expected = first.y.copy()
    again = layer.forward(x, {name: state[0] for name, state in first.states.items()})
    np.testing.assert_array_equal(again.y, expected)


@pytest.mark.plain_python
def test_its_own_output_may_be_the_next_input():
    layer = Layer("rnn", 3, 3, rng=stream("init", 0))
    once = layer.forward(np.ones((4, 2, 3))).y
    copied = once.copy()
    dy = np.ones((4, 2, 3))
    layer.forward(once)
    found = {name: g.copy() for name, g in layer.backward(dy).parameters.items()}
    layer.forward(copied)
    for name, expected in layer.backward(dy).parameters.items():
        np.testing.assert_array_equal(found[name], expected)


def test_an_interrupted_backward_pass_leaves_no_tape_that_looks_whole(monkeypatch):
    from sandbox.kernels import scan

    layer = Layer("gru", 2, 3, rng=stream("init", 0))
    layer.forward(np.ones((4, 2, 2)))

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(scan, "backward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        layer.backward(np.ones((4, 2, 3)))
    monkeypatch.undo()
    with pytest.raises(UsageError, match="backward must follow a forward pass"):
        layer.backward(np.ones((4, 2, 3)))


@pytest.mark.plain_python
def test_a_rectifier_turns_minus_infinity_into_zero_and_keeps_nan():
    layer = Layer("rnn:relu", 1, 2, rng=stream("init", 0))
    layer.parameters["W_ih"][:] = 1.0
    x = np.array([-np.inf, np.nan, -1.0, 2.0]).reshape(1, 4, 1)
    np.testing.assert_array_equal(layer.forward(x).y[0, :, 0], [0.0, np.nan, 0.0, 2.0])


def test_a_file_needs_a_name(tmp_path):
    with pytest.raises(UsageError, match="it has no name"):
        Layer("rnn", 1, 1, rng=stream("init", 0)).save("")


@pytest.mark.plain_python
def test_its_own_gates_may_be_the_next_input():
    layer, dy = make("rnn", 3, 3), draw(4, 2, 3)
    gates = layer.forward(draw(4, 2, 3)).gates["h"]
    copied = gates.copy()
    layer.forward(gates)
    found = layer.backward(dy).parameters["W_ih"].copy()
    layer.forward(copied)
    np.testing.assert_array_equal(layer.backward(dy).parameters["W_ih"], found)


@pytest.mark.plain_python
def test_a_pass_that_would_not_fit_leaves_the_layer_usable(monkeypatch):
    layer, x = make("gru"), draw(T, B, D)
    y = layer.forward(x).y.copy()
    with monkeypatch.context() as patch:
        patch.setattr("sandbox.memory.free", lambda: 5000)
        rule = "states and gates of seq_len=99, batch=2, hidden=5 in float64 must fit into memory, got 39.7 kB needed"
        assert error(layer.forward, draw(99, B, D)).startswith(rule)
        assert error(layer.backward, draw(T, B, H)).startswith("backward must follow a forward pass")
    np.testing.assert_array_equal(layer.forward(x).y, y)


@pytest.mark.plain_python
@pytest.mark.parametrize("arguments", [{"parameters": False}, {"log_scale": True}], ids=str)
def test_passes_without_parameters_are_not_accumulated(composite, arguments):
    x, dy = draw(T, B, D), draw(T, B, 2 * H)
    composite.vector[:] = draw(composite.vector.size)
    run = lambda **arguments: (composite.forward(x), composite.backward(dy, **arguments))
    run()
    once = composite.gradient.copy()
    run(accumulate=True)
    twice = composite.gradient.copy()
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)
    run()
    run(**arguments)
    np.testing.assert_array_equal(composite.gradient, once)
    run(accumulate=True)
    np.testing.assert_array_equal(composite.gradient, twice)


# Derived weights ---------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_derived_weights_are_there_after_every_way_to_make_a_layer(composite, tmp_path):
    W, parameters = composite.weights, composite.parameters
    for part in ("W_ih", "W_hh", "W_pv"):  # drawn where the parameter has the shape of the weight
        assert parameters[part].any(), part
    np.testing.assert_allclose(parameters["W_pv"] @ parameters["W_pv"].T, np.eye(H), atol=1e-14)
    composite.vector[:] = draw(composite.vector.size)
    composite.refresh()
    np.testing.assert_array_equal(W["W_pv"], parameters["W_pv"] - parameters["W_pv"].T)
    np.testing.assert_array_equal(composite.block("W_ch", "v"), parameters["A"] ** 2)
    assert np.shares_memory(W["W_hh"], composite.vector) and not np.shares_memory(W["W_pv"], composite.vector)
    composite.save(tmp_path / "layer.npz")
    whole = Module()
    whole.adopt({"one": make("composite", seed=1), "other": composite})
    assert np.shares_memory(composite.parameters["A"], whole.vector)
    for layer in (composite, composite.astype("float64"), Layer.load(tmp_path / "layer.npz")):
        for name, value in W.items():
            np.testing.assert_array_equal(layer.weights[name], value, name)
    assert set(whole.parameters) >= {"one.A", "other.A", "other.W_pv"} and not any("W_ch" in n for n in whole.blocks)


@pytest.mark.plain_python
def test_outputs_are_side_by_side(composite):
    run = composite.forward(draw(T, B, D))
    assert composite.output_size == 2 * H and run.y.shape == (T, B, 2 * H)
    np.testing.assert_array_equal(run.y[..., :H], run.states["h"][1:])
    np.testing.assert_array_equal(run.y[..., H:], run.states["c"][1:])
    assert error(composite.backward, draw(T, B, H)).startswith("dy must be float64 of shape (4, 2, 10), got")
    assert tuple(run.states) == ("h", "c")  # the auxiliary one is nobody else's business


# The chrono initialisation -----------------------------------------------------------------------------------------


def chrono(cell, longest, layers=40):
    """Biases by gate of many layers, one after the other, initialised for memory times up to `longest`."""
    made = [make(cell, 1, 100, seed, init="identity", input_init="zeros", chrono=longest) for seed in range(layers)]
    b = [layer.parameters["b"].reshape(-1, 100) for layer in made]
    return dict(zip(made[0].cell.gates, np.concatenate(b, 1)))


@pytest.mark.parametrize("longest", [10, 400, 10_000])
def test_chrono_biases_of_the_lstm(longest):
    """Oracle k: b_f = ln u, u ~ U[1, T_max - 1], b_i = -b_f, so that f = u / (1 + u)."""
    b = chrono("lstm", longest)
    np.testing.assert_array_equal(b["i"], -b["f"])
    assert not b["g"].any() and not b["o"].any()
    u = np.exp(b["f"])
    assert 1 <= u.min() < 1 + 0.01 * longest and 0.99 * (longest - 1) < u.max() <= (longest - 1) * (1 + 1e-14)
    f = 1 / (1 + np.exp(-b["f"]))
    np.testing.assert_allclose(f, u / (1 + u), rtol=1e-14)
    assert np.mean(u) == pytest.approx(longest / 2, rel=4 / np.sqrt(12 * len(u) / 4))  # 4 standard errors


def test_chrono_bias_of_the_gru():
    """Its z keeps the past, as the LSTM's f does; nothing else has a bias."""
    b = chrono("gru", 400)
    np.testing.assert_array_equal(b["z"], chrono("lstm", 400)["f"])  # no other draws
    assert not b["r"].any() and not b["n"].any()


def test_chrono_is_free_of_scale():
    """E f^T_max = int_0^1 exp(-1/s) ds = .1485 for long T_max, .1488 at 400; E f^(T_max / 2) = .3266."""
    for longest, mean in ((400, 0.1488), (100_000, 0.1485)):
        f = 1 / (1 + np.exp(-chrono("lstm", longest, layers=200)["f"]))
        for power, expected in ((longest, mean), (longest / 2, 0.3266)):
            values = f**power
            assert values.mean() == pytest.approx(expected, abs=4 * values.std() / np.sqrt(len(values)))


@pytest.mark.plain_python
def test_chrono_draws_after_the_matrices():
    plain, spread = make("lstm"), make("lstm", chrono=20)
    for name in ("W_ih", "W_hh"):
        np.testing.assert_array_equal(spread.parameters[name], plain.parameters[name])
    same, other = make("lstm", chrono=20), make("lstm", chrono=20, seed=1)
    np.testing.assert_array_equal(same.vector, spread.vector)
    assert (other.parameters["b"] != spread.parameters["b"]).any()


@pytest.mark.plain_python
def test_bad_chrono():
    assert error(make, "rnn", chrono=10) == "chrono must be None for cell rnn, which has no gate with a bias, got 10"
    assert error(make, "lstm", chrono=2) == "chrono must be at least 3 steps, got 2"
    for given in (0, -3, 2.5, "x", True):
        assert error(make, "lstm", chrono=given) == f"chrono must be a whole number from 1, got {given}"

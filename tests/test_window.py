"""The perceptron over a window of inputs: against a naive one, in segments, padded, by threads; and its names."""

import doctest
import functools
from unittest import mock

import naive
import naive_model
import numpy as np
import pytest
from click.testing import CliRunner

from sandbox import threads, vocabulary
from sandbox.cli import cli
from sandbox.errors import UsageError
from sandbox.experiment import load as load_experiment
from sandbox.jit import COMPILED
from sandbox.layers import Dense, Layer, Stack, Window, bodies
from sandbox.layers import window as module
from sandbox.model import HEADS, Model
from sandbox.streams import stream
from sandbox.tasks import load
from sandbox.training import Recipe, Trainer, model_for

T, B, D, H = 5, 3, 2, 4
LENGTHS = np.array([5, 0, 3])
DTYPES = ("float64", "float32")
WINDOWS = (1, 2, 4, 9)
TOLERANCE = {"float64": 1e-13, "float32": 2e-5}
every_window = pytest.mark.parametrize("window", WINDOWS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def draw(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32).astype(dtype)


def make(window, dtype="float64", input_size=D, hidden=H):
    layer = Window(f"mlp:{window}", input_size, hidden, rng=stream("init", 0), dtype=dtype)
    layer.vector[:] = 0.7 * draw(layer.vector.size, seed=9)
    return layer


def states(window, seed=5, dtype="float64"):
    return {"h": draw(B, H, seed=seed, dtype=dtype), "x": draw(B, (window - 1) * D, seed=seed + 1, dtype=dtype)}


def close(actual, expected, tolerance=1e-13):
    assert np.shape(actual) == np.shape(expected)
    assert np.abs(actual - expected).max(initial=0) <= tolerance * max(np.abs(expected).max(initial=0), 1e-300)


def same(actual, expected):
    """Bit by bit, but for NumPy's product as plain Python."""
    if not COMPILED:
        return close(actual, expected, TOLERANCE[actual.dtype.name])
    np.testing.assert_array_equal(actual, expected)


def refused(message, function, *arguments, **named):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    assert str(caught.value) == message


def passed(layer, x, dy=None, dlast=None, start=None, dend=None, lengths=None, **arguments):
    """Copies of all that a pass makes: y, the last states, dx, dL/dstart, and the parameters' gradient."""
    run = layer.forward(x, start, lengths)
    y, last = run.y.copy(), {name: value.copy() for name, value in run.last_states().items()}
    found = layer.backward(dy, dend, dlast=dlast, **arguments)
    return y, *last.values(), found.x, *found.start.values(), layer.gradient.copy()


# Against the naive one ---------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("lengths", [None, LENGTHS, np.array([1, 4, 0])], ids=str)
@every_dtype
@every_window
def test_every_number_of_a_pass(window, dtype, lengths):
    """Window 9 reaches beyond the start of all five steps, and beyond that of the start state's."""
    layer, x, start = make(window, dtype), draw(T, B, D, dtype=dtype), states(window, dtype=dtype)
    dy, dlast, dend = draw(T, B, H, seed=1, dtype=dtype), draw(B, H, seed=2, dtype=dtype), states(window, 7, dtype)
    given = {**layer.parameters, "x": x, "start h": start["h"], "start x": start["x"]}

    def scalar(flat):
        found = naive.unpack(flat, given)
        begin = {"h": found["start h"], "x": found["start x"]}
        y, last = naive_model.perceptron(window, found, found["x"], begin, lengths)
        inflows = [(y, dy), (last["h"], dlast), *((last[name], dend[name]) for name in last)]
        return sum((value * weight.astype(float)).sum() for value, weight in inflows)

    point = naive.pack({name: value.astype(float) for name, value in given.items()})
    expected = naive.unpack(naive.gradient(scalar, point), given)
    y, last = naive_model.perceptron(window, {n: v.astype(float) for n, v in layer.parameters.items()},
                                     x.astype(float), start, lengths)  # fmt: skip
    got = passed(layer, x, dy, dlast, start, dend, lengths)
    wanted = [y, last["h"], last["x"], *(expected[name] for name in ("x", "start h", "start x"))]
    for value, expectation in zip(got, wanted, strict=False):
        assert value.dtype == dtype
        close(value, expectation, TOLERANCE[dtype])
    for name, value in layer.gradients.items():
        close(value, expected[name], TOLERANCE[dtype])


@pytest.mark.plain_python
@pytest.mark.parametrize("window", [1, 4, 60])
@pytest.mark.parametrize("number", [1, 3])
def test_more_rows_than_are_done_together(number, window):
    """By three threads, rows and columns that none has as many of as the other."""
    layer, x, dy = make(window, hidden=40), draw(50, B, D), draw(50, B, 40, seed=1)
    with mock.patch.multiple(threads, WORTH=1, _chosen=number):
        y, last_h, last_x, dx, _, start_x, gradient = passed(layer, x, dy)
    W, trail = layer.parameters["W"].reshape(window, D, 40), np.concatenate([np.zeros((window - 1, B, D)), x])
    shifted = [slice(window - 1 - lag, window - 1 - lag + 50) for lag in range(window)]
    z = layer.parameters["b"] + sum(trail[rows] @ W[lag] for lag, rows in enumerate(shifted))
    dz, dtrail = dy * (z > 0), np.zeros_like(trail)
    for lag, rows in enumerate(shifted):
        dtrail[rows] += dz @ W[lag].T
    close(y, z * (z > 0))
    close(dx, dtrail[window - 1 :])
    close(start_x, dtrail[: window - 1].swapaxes(0, 1).reshape(B, -1))
    close(last_h, y[-1])
    close(last_x, trail[50:].swapaxes(0, 1).reshape(B, -1))
    dW = np.stack([np.tensordot(trail[rows], dz, ((0, 1), (0, 1))) for rows in shifted])
    close(gradient, np.concatenate([dW.ravel(), dz.sum((0, 1))]))


@pytest.mark.plain_python
@every_window
def test_what_is_left_out_is_zero(window):
    layer, x, dlast = make(window), draw(T, B, D), draw(B, H, seed=2)
    zeros = {"h": np.zeros((B, H)), "x": np.zeros((B, (window - 1) * D))}
    whole = passed(layer, x, np.zeros((T, B, H)), dlast, zeros, zeros, np.full(B, T))
    for value, expected in zip(passed(layer, x, dlast=dlast), whole, strict=True):
        same(value, expected)
    assert whole[0].any() and whole[-1].any()
    start = states(window)
    expected = passed(layer, x, dlast=dlast, start=start, dend=start)
    got = passed(layer, x, dlast=dlast, start=start, dend=start, inputs=False)
    assert got[3] is None
    for value, wanted in zip(got[4:], expected[4:], strict=True):
        same(value, wanted)


def layers_of(kind):
    return {"layers": 2, "residual": True} if kind == "residual" else {"direction": "both", "merge": "sum"} if (
        kind == "both") else {"cell": ["mlp:2", "lstm", "mlp:3"]} if kind == "mixed" else {}  # fmt: skip


@pytest.mark.plain_python
@pytest.mark.parametrize("kind", ["single", "residual", "both", "mixed"])
@pytest.mark.parametrize("head", HEADS)
def test_gradient_of_a_whole_model(head, kind):
    """By a random direction of every tensor; truncated as well, where a row that has ended is not cut."""
    arguments = {"cell": "mlp:3", "hidden": H, "head": head} | layers_of(kind)
    model = Model(D, 2, rng=stream("init", 0), dtype="float64", **arguments)
    model.vector[:] = 0.7 * draw(model.vector.size, seed=9)
    target = draw(*((T, B) if head == "every" else (B,)), 2, seed=1)
    for window, lengths in ((None, None), (None, LENGTHS), *([] if kind == "both" else [(2, LENGTHS), (1, None)])):
        found = model.differentiate(x := draw(T, B, D), target, loss="mse", lengths=lengths, window=window)
        network = naive_model.Network(model, x, target, lengths=lengths, window=window)
        point, loss = model.vector.copy(), functools.partial(network.loss, name="mse")
        close(found.loss, loss(point))
        for name, (start, stop) in model.blocks.items():
            direction = np.zeros(point.size)
            direction[start:stop] = draw(stop - start, seed=3)
            along = naive.directional_derivative(loss, point, direction)
            terms = model.gradient * direction
            assert abs(terms.sum() - along) <= 1e-12 * np.abs(terms).sum(), name


# What it must be ---------------------------------------------------------------------------------------------------


@every_dtype
def test_of_window_one_it_is_a_dense_layer_and_a_rectifier(dtype):
    layer, dense = make(1, dtype), Dense(D, H, rng=stream("init", 0), dtype=dtype)
    dense.vector[:] = layer.vector
    x, dy = draw(T, B, D, dtype=dtype), draw(T, B, H, seed=1, dtype=dtype)
    y, z = layer.forward(x).y, dense.forward(x)
    np.testing.assert_array_equal(y, np.where(z < 0, 0, z))
    np.testing.assert_array_equal(layer.backward(dy).x, dense.backward(np.where(z > 0, dy, 0).astype(dtype)))
    np.testing.assert_array_equal(layer.gradient, dense.gradient)


@every_dtype
def test_of_one_step_it_is_an_rnn_of_one_step(dtype):
    """By construction: one matrix, one bias, one rectifier, one head; what the recurrent matrix holds is not used."""
    make = lambda cell: Model(7, 3, cell=cell, hidden=11, rng=stream("init", 4), head="last", dtype=dtype)
    perceptron, recurrent = make("mlp"), make("rnn:relu")
    # The input matrix is the first thing drawn, and of the same distribution.
    np.testing.assert_array_equal(perceptron.parameters["layers.0.W"], recurrent.parameters["layers.0.W_ih"])
    pairs = {"layers.0.W": "layers.0.W_ih", "layers.0.b": "layers.0.b", "head.W": "head.W", "head.b": "head.b"}
    for seed, (ours, theirs) in enumerate(pairs.items()):
        value = draw(*perceptron.parameters[ours].shape, seed=seed, dtype=dtype)
        perceptron.parameters[ours][:] = recurrent.parameters[theirs][:] = value
    x, target = draw(1, 9, 7, dtype=dtype), np.arange(9) % 3
    np.testing.assert_array_equal(perceptron.forward(x), recurrent.forward(x))
    one, other = (model.differentiate(x, target, loss="softmax") for model in (perceptron, recurrent))
    assert one.loss == other.loss
    for ours, theirs in pairs.items():
        np.testing.assert_array_equal(perceptron.gradients[ours], recurrent.gradients[theirs])
    assert not recurrent.gradients["layers.0.W_hh"].any()


@every_window
def test_a_window_of_inputs_side_by_side_is_the_same(window):
    """The windows written down, times W in one product: the chain is the same, bit for bit."""
    layer, x = make(window), draw(7, B, D)
    trail = np.concatenate([np.zeros((window - 1, B, D)), x])
    windows = np.concatenate([trail[window - 1 - lag :][:7] for lag in range(window)], -1)
    dense = Dense(window * D, H, rng=stream("init", 0))
    dense.vector[:] = layer.vector
    z = dense.forward(windows)
    same(layer.forward(x).y, np.where(z < 0, 0, z))


@every_window
def test_an_input_reaches_the_steps_of_its_window_and_no_other(window):
    layer, x = make(window, hidden=40), draw(12, B, D)
    y = layer.forward(x).y.copy()
    for t in (0, 4, 11):
        other = x.copy()
        other[t, 1] += 3
        changed = (layer.forward(other).y != y).any(axis=2)
        expected = np.zeros((12, B), bool)
        expected[t : t + window, 1] = True
        np.testing.assert_array_equal(changed, expected)


@every_dtype
@pytest.mark.parametrize("lengths", [None, np.array([12, 0, 7])], ids=str)
@every_window
def test_segments_are_the_whole(window, lengths, dtype):
    """Segments shorter than the window too; from the last one to the first backward."""
    steps = 12
    layer, x, start = make(window, dtype), draw(steps, B, D, dtype=dtype), states(window, dtype=dtype)
    dy, dlast = draw(steps, B, H, seed=1, dtype=dtype), draw(B, H, seed=2, dtype=dtype)
    y, last_h, last_x, dx, start_h, start_x, gradient = passed(layer, x, dy, dlast, start, lengths=lengths)
    for edges in ([0, 6, 12], [0, 1, 2, 5, 6, 12], list(range(13))):
        begins, parts = [start], list(zip(edges, edges[1:]))
        within = [None if lengths is None else np.clip(lengths - first, 0, end - first) for first, end in parts]
        for (first, end), some in zip(parts, within):
            run = layer.forward(x[first:end], begins[-1], some)
            same(run.y, y[first:end])
            begins.append({name: value.copy() for name, value in run.last_states().items()})
        same(begins[-1]["h"], last_h)
        same(begins[-1]["x"], last_x)
        carry = None
        for number in range(len(parts) - 1, -1, -1):
            first, end = parts[number]
            layer.forward(x[first:end], begins[number], within[number])
            found = layer.backward(dy[first:end], carry, dlast=dlast if carry is None else None,
                                   accumulate=carry is not None)  # fmt: skip
            same(found.x, dx[first:end])
            carry = found.start
        same(carry["h"], start_h)
        same(carry["x"], start_x)
        same(layer.gradient, gradient)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("cell", ["mlp:5", ["mlp:3", "gru", "mlp"]], ids=str)
def test_checkpoints_of_a_model_change_no_bit(cell, head):
    model = Model(3, 2, cell=cell, hidden=8, head=head, symbols=4, rng=stream("init", 0), dtype="float32")
    x = np.random.default_rng(0).integers(4, size=(11, B))
    target = draw(*((11, B) if head == "every" else (B,)), 2, seed=1, dtype="float32")
    for lengths in (None, np.array([11, 0, 6])):
        arguments = {"loss": "mse", "lengths": lengths}
        whole, gradient = model.differentiate(x, target, **arguments), model.gradient.copy()
        for every in (1, 2, 4, 11):
            found = model.differentiate(x, target, checkpoint_every=every, **arguments)
            assert found.loss == whole.loss
            same(found.output, whole.output)
            same(model.gradient, gradient)
    pieces = model.predict(x, piece=3)[0]
    same(pieces, model.predict(x)[0])


@every_dtype
@every_window
def test_padded_is_unpadded(window, dtype):
    layer, x, start = make(window, dtype), draw(T, B, D, dtype=dtype), states(window, dtype=dtype)
    dy, dlast = draw(T, B, H, seed=1, dtype=dtype), draw(B, H, seed=2, dtype=dtype)
    padding = np.arange(T)[:, None] >= LENGTHS
    dy[padding] = 0
    first = passed(layer, x, dy, dlast, start, lengths=LENGTHS)
    x[padding] = [1e3, -1e5]
    for value, expected in zip(passed(layer, x, dy, dlast, start, lengths=LENGTHS), first, strict=True):
        same(value, expected)
    y, last_h, last_x, dx, start_h, start_x, gradient = first
    total = np.zeros_like(gradient)
    for b, length in enumerate(LENGTHS):
        assert not dx[length:, b].any() and (y[length:, b] == last_h[b]).all()
        if not length:
            same(last_h[b], start["h"][b])
            same(last_x[b], start["x"][b])
            same(start_h[b], dlast[b])
            continue
        own = {name: value[[b]] for name, value in start.items()}
        alone = passed(layer, x[:length, [b]], dy[:length, [b]], dlast[[b]], own)
        expected = y[:length, b], last_h[b], last_x[b], dx[:length, b], start_h[b], start_x[b]
        for value, wanted in zip(alone, expected):
            same(value[:, 0] if value.ndim == 3 else value[0], wanted)
        total += alone[-1]
    close(gradient, total, TOLERANCE[dtype])


def test_both_directions_see_a_window_to_either_side():
    stack = Stack("mlp:3", D, 40, rng=stream("init", 0), direction="both")
    x = draw(9, 2, D)
    y = stack.forward(x).y.copy()
    other = x.copy()
    other[4] += 3
    changed = (stack.forward(other).y != y).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, np.isin(np.arange(9), (2, 3, 4, 5, 6)))


@every_dtype
@pytest.mark.parametrize("window", [1, 3, 8])
def test_bits_do_not_depend_on_the_number_of_threads(window, dtype):
    """Rows and columns that no thread has as many of as the other."""

    def made(number):
        with mock.patch.multiple(threads, WORTH=1, _chosen=number):
            layer = make(window, dtype, 19, 67)
            x, dy = draw(11, 41, 19, dtype=dtype), draw(11, 41, 67, seed=1, dtype=dtype)
            found = passed(layer, x, dy, lengths=np.arange(41) % 12)
            alone = passed(layer, x, dy, inputs=False)[5]
        return [value.tobytes() for value in (*found, alone)]

    expected = made(1)
    for number in (2, 3, 5):
        assert made(number) == expected


def test_single_precision_is_double_precision_rounded():
    """With enough rows, units and lags for several tiles, blocks and panels."""
    x, dy = draw(60, 9, 21, dtype="float32"), draw(60, 9, 50, seed=1, dtype="float32")
    one, other = (passed(make(7, dtype, 21, 50), x.astype(dtype), dy.astype(dtype)) for dtype in ("float32", "float64"))
    for single, double in zip(one, other, strict=True):
        close(single, double, 1e-5)


def test_numbers_that_are_not_finite_are_passed_on():
    layer, x = make(3), draw(T, B, D)
    x[1, 2] = np.nan
    assert np.isnan(layer.forward(x).y[1:4, 2]).all()
    assert np.isfinite(layer.last.y[:, :2]).all() and np.isfinite(layer.last.y[0]).all()
    assert np.isnan(layer.backward(np.ones((T, B, H))).parameters["W"]).any()


# Memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("window", [1, 3])
def test_the_workspace_follows_the_size_and_may_be_the_next_input(window):
    layer = make(window, input_size=H)
    for steps, rows in ((4, 2), (6, 3), (4, 2), (4, 2), (1, 5)):
        x, dy, fresh = draw(steps, rows, H), draw(steps, rows, H, seed=1), make(window, input_size=H)
        for value, expected in zip(passed(layer, x, dy), passed(fresh, x, dy), strict=True):
            same(value, expected)
    y, end = layer.forward(x).y, layer.last.last_states()
    expected = passed(fresh, y.copy(), dy, start={name: value.copy() for name, value in end.items()})
    for value, wanted in zip(passed(layer, y, dy, start=end), expected, strict=True):
        same(value, wanted)


@pytest.mark.plain_python
def test_arrays_in_any_memory_order():
    layer, x, dy, start = make(3), draw(T, B, D), draw(T, B, H, seed=1), states(3)
    expected = passed(layer, x, dy, start=start)
    orders = {name: np.asfortranarray(value) for name, value in start.items()}
    for value, wanted in zip(passed(layer, np.asfortranarray(x), dy[::-1].copy()[::-1], start=orders), expected):
        same(value, wanted)


def test_what_does_not_fit_into_memory_is_refused():
    layer = make(2)
    with mock.patch("sandbox.memory.free", return_value=1000):
        refused("outputs of seq_len=50, batch=3, hidden=4 in float64 must fit into memory, got 12.1 kB needed and "
                "1 kB free (use checkpoint_every or a smaller batch)", layer.forward, draw(50, B, D))  # fmt: skip
    assert layer.forward(draw(T, B, D)).y.shape == (T, B, H)


# Names and options -------------------------------------------------------------------------------------------------


def test_initial_weights():
    layer = Window("mlp:4", 50, 60, rng=stream("init", 0))
    W, bound = layer.parameters["W"], (6 / 260) ** 0.5
    assert W.shape == (200, 60) and 0.99 * bound < abs(W).max() < bound and not layer.parameters["b"].any()
    single = Window("mlp:4", 50, 60, rng=stream("init", 0), dtype="float32", init="orthogonal", gain=3.0)
    np.testing.assert_array_equal(single.vector, layer.vector.astype("float32"))  # neither is about an input matrix
    scheme = Window("mlp:4", 50, 60, rng=stream("init", 0), init="pytorch").parameters["W"]
    assert 0.99 / 60**0.5 < abs(scheme).max() < 1 / 60**0.5
    given = Window("mlp:4", 2, 8, rng=stream("init", 0), input_init="identity").parameters["W"]
    np.testing.assert_array_equal(given, np.eye(8))


@pytest.mark.plain_python
def test_what_it_refuses():
    new = lambda name="mlp:3", **arguments: Window(name, D, H, **({"rng": stream("init", 0)} | arguments))
    refused("chrono must be None for mlp:3, which has no gate with a bias, got 7", new, chrono=7)
    rule = "0 for mlp:3, which has no recurrent product"
    refused(f"recurrent_dropout must be {rule}, got 0.2", new, recurrent_dropout=0.2)
    refused(f"zoneout must be {rule}, got 0.2", new, zoneout=0.2)
    refused("zoneout must be a number from 0 to below 1, got 2", new, zoneout=2)
    refused("unknown init 'orthogonl'; did you mean 'orthogonal'?", new, init="orthogonl")
    refused("rng must be a numpy.random.Generator, got NoneType (stream('init', seed) makes one)", new, rng=None)
    refused("hidden_size must be a whole number from 1, got 0", Window, "mlp", D, 0, rng=stream("init", 0))
    layer, x = new(), draw(T, B, D)
    refused("backward must follow a forward pass, got none", layer.backward)
    refused("x must have shape (T, B, 2) because input_size=2, got (5, 3, 3)", layer.forward, draw(T, B, 3))
    refused("x must have shape (T, B, 2) because input_size=2, got (5, 0, 2)", layer.forward, draw(T, 0, D))
    refused("x must be float64 of shape (5, 3, 2), got float32 of shape (5, 3, 2)", layer.forward, x.astype("f4"))
    refused("states must be a dictionary of arrays by state, got list", layer.forward, x, [])
    refused("unknown state of mlp 'c' (choose from: h, x)", layer.forward, x, {"c": np.zeros((B, H))})
    refused("states['x'] must be float64 of shape (3, 4), got float64 of shape (3, 2)", layer.forward, x,
            {"x": draw(B, D)})  # fmt: skip
    refused("lengths must be 3 whole numbers from 0 to T=5, got [6, 1, 1]", layer.forward, x, None, [6, 1, 1])
    layer.forward(x)
    refused("dy must be float64 of shape (5, 3, 4), got float64 of shape (4, 3, 4)", layer.backward, draw(4, B, H))
    refused("dlast must be float64 of shape (3, 4), got float64 of shape (3, 3)", layer.backward, dlast=draw(B, 3))
    layer.backward(draw(T, B, H))
    refused("backward must follow a forward pass, got none", layer.backward, draw(T, B, H))


def test_names():
    assert [module.parse(name) for name in ("mlp", "mlp:1", "mlp:8", "mlp:window=12", "rnn", "mlpx")] == [
        1, 1, 8, 12, None, None,
    ]  # fmt: skip
    rule = "window must be a whole number from 1 to 1000000, got"
    for text, message in {
        "mlp:0": f"{rule} 0", "mlp:-3": f"{rule} -3", "mlp:1.5": f"{rule} 1.5", "mlp:": f"{rule} nothing",
        "mlp:window=": f"{rule} nothing", "mlp:²": f"{rule} ²", "mlp:1000001": f"{rule} 1000001",
        "mlp:" + "9" * 5000: f"{rule} {'9' * 5000}", "mlp:windw=3": "unknown option of mlp 'windw'; did you mean "
        "'window'?", "mlp:3:4": "window of mlp must be given once, got 3:4",
    }.items():  # fmt: skip
        refused(message, module.parse, text)
        refused(message, Model, 2, 1, cell=text, rng=stream("init", 0))
    assert repr(make(8)) == "Window('mlp:8', input_size=2, hidden_size=4, dtype='float64')"


def test_names_of_models():
    assert {"mlp", "lstm"} <= set(bodies.names()) and "mlp" in bodies.kinds() and "lstm" not in bodies.kinds()
    found = [bodies.canonical(name) for name in ("mlp:1", "mlp:window=3", "rnn:activation=relu", "lstm")]
    assert found == ["mlp", "mlp:3", "rnn:relu", "lstm"]
    refused("unknown model 'mpl'; did you mean 'mlp'?", bodies.canonical, "mpl:8")
    axis = vocabulary.declare("model", ["mlp:8", "gru"])
    assert axis.resolve("mlp:1,mlp:4,lstm:cifg") == ["mlp", "mlp:4", "lstm:cifg"]
    assert axis.resolve("all") == bodies.names()
    refused("unknown model 'gruu'; did you mean 'gru'?", axis.resolve, "gruu")
    with pytest.raises(UsageError, match="^unknown variant of cell rnn 'sin'"):
        axis.resolve("rnn:sin")


def test_a_kind_with_a_body_of_its_own(monkeypatch):
    made = lambda *sizes, **arguments: (sizes, arguments)
    monkeypatch.setattr(module, "body", made, raising=False)
    assert bodies.body("mlp:2", 3, 4, layers=5, rng=None, gain=2) == (
        ("mlp:2", 3, 4), {"layers": 5, "rng": None, "gain": 2})  # fmt: skip
    assert isinstance(bodies.body(["mlp:2", "gru"], 3, 4, rng=stream("init", 0)), Stack)


def test_the_commands_know_it():
    text = CliRunner().invoke(cli, ["describe", "mlp:8", "--hidden", "32"]).output
    assert text.startswith("mlp:8   ") and "h_t = relu(z_t)" in text and module.PAPER in text
    assert "layers.0.W  64 x 32  2048" in text and text.splitlines()[-1].split() == ["total", "2113"]
    lines = CliRunner().invoke(cli, ["cells"]).output.splitlines()
    assert [line.split()[0] for line in lines[1:]] == bodies.names()
    (line,) = [line for line in lines if line.startswith("mlp")]
    assert line.split()[:5] == ["mlp", "-", "-", "4160", "window=1"] and line.endswith(module.PAPER)
    result = CliRunner().invoke(cli, ["describe", "mlp:0"])
    assert result.exit_code == 2 and result.output.startswith("error: window must be a whole number from 1")


# Training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["mlp", "mlp:6", ["mlp", "gru"]], ids=str)
def test_training_goes_on_from_a_file_with_the_same_bits(cell, tmp_path):
    """Of a stream, whose states are carried from update to update."""
    task, recipe = load("embedded_reber:continual"), Recipe(updates=6, batch=4, evaluation=8, window=5)

    def trainer(of=cell):
        return Trainer(model_for(task, 0, cell=of, hidden=8), task, recipe, seq_len=20, seed=0)

    whole, half = trainer(), trainer()
    for _ in range(6):
        whole.step()
    for _ in range(3):
        half.step()
    half.save(tmp_path / "half.npz")
    again = trainer()
    again.load(tmp_path / "half.npz")
    for _ in range(3):
        again.step()
    np.testing.assert_array_equal(again.model.vector, whole.model.vector)
    assert again.evaluate() == whole.evaluate()
    if isinstance(cell, str):
        with pytest.raises(UsageError, match="checkpoint"):
            trainer("mlp:2").load(tmp_path / "half.npz")


POINT = dict(
    symbols=4, seq_len=20, hidden=16, init="orthogonal", batch=16, lr=0.01, updates=200, dtype="float32", seed=0
)


def test_a_window_remembers_what_is_in_it_and_nothing_else():
    memory = load_experiment("memory")
    for model, lag, known in (("mlp", 1, False), ("mlp:2", 1, True), ("mlp:2", 2, False), ("mlp:6", 5, True)):
        found, curves = memory(model=model, lag=lag, **POINT)
        assert found["chance"] == 0.25 and found["solved"] == known, (model, lag)
        assert found["accuracy"] >= 0.99 if known else 0.22 < found["accuracy"] < 0.28
        assert found["parameters"] == (1 + 4 * int(model[4:] or 1)) * 16 + 17 * 4
        assert curves["evaluation"]["score"][-1] == found["accuracy"]
    refused("seq_len must be a whole number from 9 for task echo:8, got 8", memory.grid,
            {"lag": [3, 8], "seq_len": [8, 20]})  # fmt: skip


def test_a_layer_can_be_taken_apart_from_its_cells():
    for name, kind in (("mlp:3", Window), ("gru", Layer)):
        assert type(module.layer(name, D, H, rng=stream("init", 0))) is kind
    layer = make(3)
    assert layer.columns == 2 * H + D and make(1).columns == 2 * H and layer.identity() == ["mlp", {"window": 3}]


def test_examples_in_docstrings():
    for each in (module, bodies):
        results = doctest.testmod(each, extraglobs={"np": np})
        assert results.failed == 0 and results.attempted >= 1

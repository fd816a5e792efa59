"""Dense, embedding, both directions and stacks against naive references; what they refuse, and how they say it."""

import doctest
import importlib
from unittest import mock

import naive
import numpy as np
import pytest

from sandbox import cells, threads
from sandbox.errors import UsageError
from sandbox.jit import COMPILED
from sandbox.kernels import rows
from sandbox.layers import Bidirectional, Dense, Embedding, Layer, Stack
from sandbox.streams import stream

T, B, D, H = 5, 3, 2, 3
LENGTHS = np.array([5, 0, 3])
DTYPES = ("float64", "float32")
ROUNDING = {"float64": 1e-13, "float32": 2e-5}


def draw(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32).astype(dtype)


def randomise(module):
    """Numbers other than 0 in all parameters."""
    module.vector[:] = 0.5 * draw(module.vector.size, seed=9)
    return module


def close(actual, expected, tolerance=1e-13):
    assert np.shape(actual) == np.shape(expected)
    assert np.abs(actual - expected).max(initial=0) <= tolerance * max(np.abs(expected).max(initial=0), 1e-300)


def same(actual, expected):
    """Bit by bit, but for NumPy's product as plain Python."""
    if not COMPILED:
        return close(actual, expected, ROUNDING[actual.dtype.name])
    np.testing.assert_array_equal(actual, expected)


def refused(message, function, *arguments, **named):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    assert str(caught.value) == message


# Dense and embedding -----------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (4,), (1,), (0,), (3, 4), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_dense_is_a_product_with_every_row(shape, dtype, bias):
    dense = randomise(Dense(3, 2, rng=stream("init", 0), dtype=dtype, bias=bias))
    x, dy = draw(*shape, 3, dtype=dtype), draw(*shape, 2, seed=1, dtype=dtype)
    W, b = dense.parameters["W"].astype(float), dense.parameters["b"].astype(float) if bias else np.zeros(2)
    y = dense.forward(x)
    assert y.dtype == dtype and list(dense.parameters) == ["W", "b"][: 1 + bias]
    close(y, x @ W + b, ROUNDING[dtype])
    dx = dense.backward(dy)
    assert dx.dtype == dtype
    close(dx, dy @ W.T, ROUNDING[dtype])
    close(dense.gradients["W"], x.reshape(-1, 3).T @ dy.reshape(-1, 2), ROUNDING[dtype])
    if bias:
        close(dense.gradients["b"], dy.reshape(-1, 2).sum(0), ROUNDING[dtype])


@pytest.mark.plain_python
def test_dense_by_three_threads_is_a_product_with_every_row():
    """Rows and columns that no thread has as many of as the other."""
    with mock.patch.multiple(threads, WORTH=1, _chosen=3):
        dense = randomise(Dense(3, 40, rng=stream("init", 0)))
        x, dy = draw(3, 61, 3), draw(3, 61, 40, seed=1)
        close(dense.forward(x), x @ dense.parameters["W"] + dense.parameters["b"], ROUNDING["float64"])
        close(dense.backward(dy), dy @ dense.parameters["W"].T, ROUNDING["float64"])
    close(dense.gradients["W"], x.reshape(-1, 3).T @ dy.reshape(-1, 40), ROUNDING["float64"])
    close(dense.gradients["b"], dy.reshape(-1, 40).sum(0), ROUNDING["float64"])


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_in_segments_from_the_end_is_the_whole(dtype):
    dense = randomise(Dense(3, 2, rng=stream("init", 0), dtype=dtype))
    x, dy = draw(40, 2, 3, dtype=dtype), draw(40, 2, 2, seed=1, dtype=dtype)
    y, dx = dense.forward(x), dense.backward(dy)
    whole = dense.gradient.copy()
    for number, first in enumerate((30, 7, 0)):
        part = slice(first, (40, 30, 7)[number])
        same(dense.forward(x[part]), y[part])
        same(dense.backward(dy[part], accumulate=number > 0), dx[part])
    same(dense.gradient, whole)


def test_dense_starts_as_it_is_told():
    dense = Dense(4, 4, rng=stream("init", 0), init="identity", gain=0.5)
    np.testing.assert_array_equal(dense.parameters["W"], 0.5 * np.eye(4))
    assert not dense.parameters["b"].any()
    wide = Dense(100, 60, rng=stream("init", 0)).parameters["W"]
    assert 0.9 * (6 / 160) ** 0.5 < abs(wide).max() < (6 / 160) ** 0.5


@pytest.mark.plain_python
def test_dense_takes_any_memory_order():
    dense = randomise(Dense(3, 2, rng=stream("init", 0)))
    x, dy = draw(4, 3), draw(4, 2)
    y, dx = dense.forward(x), dense.backward(dy)
    gradient = dense.gradient.copy()
    close(dense.forward(np.asfortranarray(x)), y)
    close(dense.backward(np.repeat(dy, 2, 0)[::2]), dx)
    close(dense.gradient, gradient)


@pytest.mark.plain_python
def test_what_dense_refuses():
    dense = Dense(3, 2, rng=stream("init", 0))
    refused("backward must follow a forward pass, got none", dense.backward, np.ones((4, 2)))
    refused("x must be float64 of shape (4, 3), got float64 of shape (4, 2)", dense.forward, np.ones((4, 2)))
    refused("x must be float64 of shape (4, 3), got float32 of shape (4, 3)", dense.forward, np.ones((4, 3), "f4"))
    refused("x must be float64 of shape (3,), got float64 of shape ()", dense.forward, np.float64(1))
    dense.forward(np.ones((4, 3)))
    refused("dy must be float64 of shape (4, 2), got float64 of shape (4, 3)", dense.backward, np.ones((4, 3)))
    refused("dy must have 4 rows, as the last x, got 5", dense.backward, np.ones((5, 2)))
    dense.backward(np.ones((4, 2)))
    refused("backward must follow a forward pass, got none", dense.backward, np.ones((4, 2)))
    refused("output_size must be a whole number from 1, got 0", Dense, 3, 0, rng=stream("init", 0))


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (4,), (0,), (6, 2)], ids=str)
def test_embedding_is_a_product_with_one_hot_rows(shape, dtype):
    embedding = Embedding(4, 3, rng=stream("init", 0), dtype=dtype)
    x, dy = np.random.default_rng(0).integers(4, size=shape), draw(*shape, 3, dtype=dtype)
    one_hot = np.eye(4, dtype=dtype)[x]
    y = embedding.forward(x)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, one_hot @ embedding.parameters["W"])
    embedding.gradient[:] = 7
    embedding.backward(dy)
    close(embedding.gradients["W"], one_hot.reshape(-1, 4).T @ dy.reshape(-1, 3), ROUNDING[dtype])


@pytest.mark.plain_python
def test_embedding_in_segments_from_the_end_is_the_whole():
    embedding = Embedding(3, 2, rng=stream("init", 0), dtype="float32")
    x, dy = np.random.default_rng(0).integers(3, size=(40, 2)), draw(40, 2, 2, dtype="float32")
    embedding.forward(x)
    embedding.backward(dy)
    whole = embedding.gradient.copy()
    for number, part in enumerate((slice(30, 40), slice(7, 30), slice(7))):
        embedding.forward(x[part])
        embedding.backward(dy[part], accumulate=number > 0)
    np.testing.assert_array_equal(embedding.gradient, whole)


def test_embedding_vectors_have_length_about_one():
    W = Embedding(200, 50, rng=stream("init", 0)).parameters["W"]
    assert abs((W * W).sum() / 200 - 1) < 0.05


@pytest.mark.plain_python
def test_embedding_takes_all_kinds_of_whole_numbers():
    embedding = Embedding(3, 2, rng=stream("init", 0))
    expected = embedding.forward(np.array([2, 0, 1]))
    for dtype in (np.int8, np.uint8, np.uint64):
        np.testing.assert_array_equal(embedding.forward(np.array([2, 0, 1], dtype)), expected)
    np.testing.assert_array_equal(embedding.forward([2, 0, 1]), expected)


@pytest.mark.plain_python
def test_what_an_embedding_refuses():
    embedding = Embedding(3, 2, rng=stream("init", 0))
    refused("backward must follow a forward pass, got none", embedding.backward, np.ones((4, 2)))
    rule = "symbols must be whole numbers from 0 to 2"
    refused(f"{rule}, got 0 to 3", embedding.forward, np.array([[0, 3]]))
    refused(f"{rule}, got -1 to 1", embedding.forward, np.array([[1, -1]]))
    refused(f"{rule}, got float64", embedding.forward, np.array([[0.0]]))
    refused(f"{rule}, got bool", embedding.forward, np.array([[True]]))
    embedding.forward(np.array([[0, 2]]))
    rule = "dy must be float64 of shape (1, 2, 2)"
    refused(f"{rule}, got float64 of shape (1, 1, 2)", embedding.backward, np.ones((1, 1, 2)))
    embedding.backward(np.ones((1, 2, 2)))
    refused("backward must follow a forward pass, got none", embedding.backward, np.ones((1, 2, 2)))
    refused("symbols must be a whole number from 1, got 0", Embedding, 0, 2, rng=stream("init", 0))


# Both directions ---------------------------------------------------------------------------------------------------


def both(cell="gru", merge="concat", dtype="float64", **arguments):
    return randomise(Bidirectional(cell, D, H, rng=stream("init", 0), merge=merge, dtype=dtype, **arguments))


def outputs(module, x, dy, dlast, lengths=None, **arguments):
    """y, last, dx and the parameters' gradients, copied."""
    run = module.forward(x, None, lengths, **arguments)
    y, last = run.y.copy(), run.last().copy()
    found = module.backward(dy, dlast=dlast)
    dx = found[0] if isinstance(module, Stack) else found.x
    return y, last, dx.copy(), module.gradient.copy()


@pytest.mark.plain_python
@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_the_last_output_of_the_second_half_has_seen_all(merge):
    """Not y[-1], where it has seen one step."""
    layer, x = both(merge=merge), draw(T, B, D)
    run = layer.forward(x)
    last, end = run.last().copy(), run.y[-1].copy()
    x[0] += 1
    run = layer.forward(x)
    second = slice(H, None) if merge == "concat" else slice(None)
    assert (run.last()[:, second] != last[:, second]).all()
    if merge == "concat":
        np.testing.assert_array_equal(run.y[-1][:, H:], end[:, H:])
        np.testing.assert_array_equal(run.y[0][:, H:], run.last()[:, H:])
    for half, part in (("forth", slice(0, H)), ("back", slice(H, 2 * H))):
        alone = Layer("gru", D, H, rng=stream("init", 0))
        alone.vector[:] = getattr(layer, half).vector
        y = alone.forward(x if half == "forth" else x[::-1]).y
        if merge == "concat":
            same(run.last()[:, part], y[-1])
            same(run.y[:, :, part], y if half == "forth" else y[::-1])


@pytest.mark.plain_python
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_sequence_the_other_way_round_swaps_the_halves(cell):
    layer, x = both(cell), draw(T, B, D)
    dy, dlast = draw(T, B, 2 * H, seed=1), draw(B, 2 * H, seed=2)
    y, last, dx, gradient = outputs(layer, x, dy, dlast, LENGTHS)
    turned, swap, half = both(cell), np.r_[H : 2 * H, :H], layer.vector.size // 2
    turned.vector[:] = np.roll(layer.vector, half)
    turn = lambda x: naive_reverse(x, LENGTHS)
    got = outputs(turned, turn(x), turn(dy)[..., swap], dlast[:, swap], LENGTHS)
    live = (np.arange(T)[:, None] < LENGTHS)[..., None]
    same(got[0] * live, turn(y)[..., swap] * live)
    same(got[1], last[:, swap])
    close(got[2], turn(dx))  # a sum of two in the other order
    same(got[3], np.roll(gradient, half))


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
def test_reversal_leaves_later_steps_where_they_are(dtype):
    x, out = draw(T, B, D, dtype=dtype), draw(T, B, D, seed=1, dtype=dtype)
    expected, total = naive_reverse(x, LENGTHS), out + naive_reverse(x, LENGTHS)
    rows.add_reversed(x, LENGTHS, out)
    np.testing.assert_array_equal(out, total)
    rows.reverse(x, LENGTHS, out)
    np.testing.assert_array_equal(out, expected)


def naive_reverse(x, lengths):
    x = x.copy()
    for b, length in enumerate(lengths):
        x[:length, b] = x[:length, b][::-1]
    return x


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", ["concat", "sum", "stack", "mixed"])
def test_padded_is_unpadded(make, dtype):
    if make in ("concat", "sum"):
        module = both(merge=make, dtype=dtype)
    elif make == "stack":
        module = Stack("gru", D, H, num_layers=2, rng=stream("init", 0), dtype=dtype, direction="both", residual=True)
    else:
        module = Stack(["rnn", "lstm", "gru"], D, H, rng=stream("init", 0), dtype=dtype, residual=True)
    randomise(module)
    O = module.output_size
    x, dy, dlast = (draw(*shape, seed=number, dtype=dtype) for number, shape in
                    enumerate([(T, B, D), (T, B, O), (B, O)]))  # fmt: skip
    padding = np.arange(T)[:, None] >= LENGTHS
    dy[padding] = 0
    y, last, dx, gradient = outputs(module, x, dy, dlast, LENGTHS)
    x[padding] = [1e3, -1e5]
    again = outputs(module, x, dy, dlast, LENGTHS)
    same(again[0][~padding], y[~padding])
    for one, other in zip(again[1:], (last, dx, gradient)):
        same(one, other)
    total = np.zeros_like(gradient)
    for b, length in enumerate(LENGTHS):
        assert not dx[length:, b].any()
        if length:
            alone = outputs(module, x[:length, [b]], dy[:length, [b]], dlast[[b]])
            same(alone[0][:, 0], y[:length, b])
            same(alone[1][0], last[b])
            same(alone[2][:, 0], dx[:length, b])
            total += alone[3]
    close(gradient, total, ROUNDING[dtype])
    assert not last[1].any()


@pytest.mark.plain_python
def test_a_sum_is_the_sum_of_what_else_is_side_by_side():
    x, dy, dlast = draw(T, B, D), draw(T, B, H, seed=1), draw(B, H, seed=2)
    one, other = both(merge="concat"), both(merge="sum")
    y, last, dx, gradient = outputs(one, x, np.tile(dy, 2), np.tile(dlast, 2))
    assert (one.output_size, other.output_size) == (2 * H, H)
    got = outputs(other, x, dy, dlast)
    for found, expected in zip(got, (y[..., :H] + y[..., H:], last[:, :H] + last[:, H:], dx, gradient)):
        same(found, expected)


@pytest.mark.plain_python
def test_both_directions_leave_out_what_is_not_asked_for():
    layer, x, dlast = both(), draw(T, B, D), draw(B, 2 * H)
    layer.forward(x)
    zero = layer.backward(np.zeros((T, B, 2 * H)), dlast=dlast).x
    gradient = layer.gradient.copy()
    layer.forward(x)
    found = layer.backward(dlast=dlast, inputs=False)
    assert found.x is None and found.start is None
    same(layer.gradient, gradient)
    layer.forward(x)
    same(layer.backward(dlast=dlast, accumulate=True).x, zero)
    close(layer.gradient, 2 * gradient)


@pytest.mark.plain_python
def test_what_both_directions_refuse():
    layer, x = both(), draw(T, B, D)
    refused("backward must follow a forward pass, got none", layer.backward, np.ones((T, B, 2 * H)))
    rule = "must be None for a bidirectional layer, whose second half starts at the end"
    refused(f"states {rule}", layer.forward, x, {"h": np.zeros((B, H))})
    refused(f"states {rule}", layer.forward, x, resume=True)
    shape = "x must have shape (T, B, 2) because input_size=2"
    refused(f"{shape}, got (5,)", layer.forward, x[:, 0, 0])
    refused("lengths must be 3 whole numbers from 0 to T=5, got [6, 1, 1]", layer.forward, x, None, [6, 1, 1])
    layer.forward(x)
    refused("unknown half of a bidirectional layer 'h' (choose from: forth, back)", layer.backward,
            dstates={"h": np.zeros((B, H))})  # fmt: skip
    got = "got float64 of shape (4, 3, 6)"
    refused(f"dy must be float64 of shape (5, 3, 6), {got}", layer.backward, draw(T - 1, B, 2 * H))
    rule = "dlast must be float64 of shape (3, 6)"
    refused(f"{rule}, got float64 of shape (3, 3)", layer.backward, dlast=draw(B, H))
    refused("unknown merge 'som'; did you mean 'sum'?", both, merge="som")


# Stacks ------------------------------------------------------------------------------------------------------------


def stack(cell="gru", **arguments):
    arguments = ({"num_layers": 2} if isinstance(cell, str) else {}) | arguments
    return randomise(Stack(cell, D, H, rng=stream("init", 0), **arguments))


@pytest.mark.plain_python
@pytest.mark.parametrize("residual", [False, True])
def test_a_stack_is_layers_on_top_of_each_other(residual):
    whole, x = stack(["rnn", "lstm", "gru"], residual=residual), draw(T, B, D)
    dy, dlast = draw(T, B, H, seed=1), draw(B, H, seed=2)
    y, below, runs = x, None, []
    for number, cell in enumerate(("rnn", "lstm", "gru")):
        alone = Layer(cell, H if number else D, H, rng=stream("init", 0))
        alone.vector[:] = whole.layers[number].vector
        runs.append((alone, alone.forward(y, None, LENGTHS)))
        y = runs[-1][1].y + y if residual and number else runs[-1][1].y
    got = outputs(whole, x, dy, dlast, LENGTHS)
    same(got[0], y)
    for b, length in enumerate(LENGTHS):
        if length:
            same(got[1][b], y[length - 1, b])
    below = dy.copy()
    below[-1] += dlast  # what is held after a row's end is its last
    gradients = []
    for number, (alone, _) in reversed(list(enumerate(runs))):
        dx = alone.backward(below).x
        gradients.insert(0, alone.gradient)
        below = below + dx if residual and number else dx
    close(got[2], below)
    close(got[3], np.concatenate(gradients))
    np.testing.assert_array_equal([gradient.any() for gradient in gradients], True)


@pytest.mark.plain_python
@pytest.mark.parametrize("residual", [False, True])
def test_states_carried_over_segments_are_one_run(residual):
    whole, x = stack(["lstm", "gru"], residual=residual), draw(T, B, D)
    dy, dlast = draw(T, B, H, seed=1), draw(B, H, seed=2)
    y, last, dx, gradient = outputs(whole, x, dy, dlast)
    first = whole.forward(x[:2])
    middle = first.states()
    assert [sorted(states) for states in middle] == [["c", "h"], ["h"]]
    same(first.y, y[:2])
    second = whole.forward(x[2:], middle)
    same(second.y, y[2:])
    same(second.last(), last)
    late, carry = whole.backward(dy[2:], dlast=dlast)
    whole.forward(x[:2])
    early, _ = whole.backward(dy[:2], carry, accumulate=True)
    same(np.concatenate([early, late]), dx)
    same(whole.gradient, gradient)
    whole.forward(x)
    assert whole.backward(dy, dlast=dlast, inputs=False)[0] is None
    same(whole.gradient, gradient)


@pytest.mark.plain_python
def test_dropout_hides_a_share_between_layers_and_scales_the_rest():
    make = lambda **arguments: Stack("rnn:identity", D, 8, num_layers=2, rng=stream("init", 0), init="zeros",
                                     input_init="identity", **arguments)  # fmt: skip
    plain, noisy = make(), make(dropout=0.25, noise=stream("dropout", 0))
    x = np.ones((200, B, D))  # then y of the upper layer is x, or what dropout makes of it
    np.testing.assert_array_equal(noisy.forward(x).y, plain.forward(x).y)  # evaluation: no noise at all
    run = noisy.forward(x, training=True)
    np.testing.assert_array_equal(run.runs[0].y, plain.forward(x).runs[0].y)  # the lowest layer sees everything
    y = run.y[:, :, :D]
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert abs((y > 0).mean() - 0.75) < 0.04
    assert (y[0] != y[1]).any() and (y[:, 0] != y[:, 1]).any()
    again = make(dropout=0.25, noise=stream("dropout", 0)).forward(x, training=True).y
    np.testing.assert_array_equal(again, run.y)
    assert (noisy.forward(x, training=True).y != again).any()
    assert (make(dropout=0.25, noise=stream("dropout", 1)).forward(x, training=True).y != again).any()


@pytest.mark.plain_python
def test_each_place_draws_from_a_stream_of_its_own():
    """Another layer on top, or another kind of noise, changes no mask below."""
    x, seen = draw(T, B, D), []
    for arguments in ({"num_layers": 2}, {"num_layers": 3}, {"num_layers": 2, "recurrent_dropout": 0.5}):
        module = Stack("gru", D, H, rng=stream("init", 0), dropout=0.5, noise=stream("dropout", 0), **arguments)
        module.forward(x, training=True)
        seen.append(module.layers[1].last.x == 0)
    for other in seen[1:]:
        np.testing.assert_array_equal(other, seen[0])


@pytest.mark.plain_python
@pytest.mark.parametrize("direction", ["forward", "both"])
def test_generators_are_all_that_draw_each_once(direction):
    module = stack(num_layers=3, direction=direction, dropout=0.5, zoneout=0.1, noise=stream("dropout", 0))
    x = draw(T, B, D)
    states = [rng.bit_generator.state for rng in module.generators]
    first = module.forward(x, training=True).y.copy()
    assert (module.forward(x, training=True).y != first).any()
    for rng, state in zip(module.generators, states, strict=True):
        rng.bit_generator.state = state
    np.testing.assert_array_equal(module.forward(x, training=True).y, first)
    assert len({id(rng) for rng in module.generators}) == len(module.generators) == 6
    assert stack().generators == []


@pytest.mark.plain_python
def test_parameters_are_views_of_one_vector():
    module = stack(["lstm", "gru"], direction="both", merge="sum")
    names = list(module.parameters)
    assert names[0] == "0.forth.W_ih" and names[-1] == "1.back.b_hn"
    assert module.layers[1].back.cell.name == "gru"
    fresh = np.arange(module.vector.size, dtype=float)
    module.vector[:] = fresh
    at = 0
    for layer in module.layers:
        for half in layer.halves:
            np.testing.assert_array_equal(half.vector, fresh[at : at + half.vector.size])
            np.testing.assert_array_equal(half.parameters["W_ih"].ravel(), half.vector[: half.parameters["W_ih"].size])
            half.gradients["b"][:] = at
            assert (module.gradient[at : at + half.vector.size] == at).sum() >= half.gradients["b"].size
            at += half.vector.size
    for name, (start, stop) in module.blocks.items():
        assert np.shares_memory(module.parameters[name], module.vector[start:stop])


@pytest.mark.plain_python
def test_what_a_stack_refuses():
    refused("dropout must be 0 with one layer, because it acts between layers, got 0.5 "
            "(recurrent_dropout acts within a layer)", stack, num_layers=1, dropout=0.5)  # fmt: skip
    rule = "noise must be a numpy.random.Generator"
    hint = "(stream('dropout', seed) makes one)"
    refused(f"{rule}, got NoneType {hint}", stack, dropout=0.5)
    refused(f"{rule}, got NoneType {hint}", stack, zoneout=0.5)
    refused(f"{rule}, got int {hint}", stack, noise=3)
    refused("dropout must be a number from 0 to below 1, got 1", stack, dropout=1)
    refused("dropout must be a number from 0 to below 1, got -0.1", stack, dropout=-0.1)
    refused("unknown direction 'bith'; did you mean 'both'?", stack, direction="bith")
    refused("unknown merge 'som'; did you mean 'sum'?", stack, merge="som")
    refused("unknown cell 'lsmt'; did you mean 'lstm'?", stack, ["gru", "lsmt"])
    refused("layers must be a whole number from 1, got 0", stack, num_layers=0)
    refused("layers must be a whole number from 1, got 0", stack, [])
    refused("layers must be 2, the number of cells, got 3", stack, ["gru", "lstm"], num_layers=3)
    refused("input_size must be a whole number from 1, got 0", Stack, "gru", 0, 1, rng=stream("init", 0))
    module, x = stack(), draw(T, B, D)
    rule = "states must be a list with the states of each of 2 layers"
    refused(f"{rule}, got list of 1", module.forward, x, [None])
    refused(f"{rule}, got dict of 2", module.forward, x, {"h": None, "c": None})
    refused(f"{rule}, got int", module.forward, x, 3)
    module.forward(x)
    refused(f"d{rule}, got tuple of 3", module.backward, dstates=(None, None, None))
    refused("unknown state of cell gru 'c' (choose from: h)", module.forward, x, [None, {"c": x}])


@pytest.mark.plain_python
def test_initial_weights_need_a_stream():
    for make in (lambda rng: Dense(2, 3, rng=rng), lambda rng: Embedding(2, 3, rng=rng),
                 lambda rng: Stack("gru", 2, 3, rng=rng)):  # fmt: skip
        refused("rng must be a numpy.random.Generator, got NoneType (stream('init', seed) makes one)", make, None)


def test_a_residual_stack_needs_layers_of_one_size(monkeypatch):
    """Cells with more outputs than one are wider."""
    load = cells.load
    monkeypatch.setattr(cells, "load", lambda name: naive.COMPOSITE if name == "composite" else load(name))
    refused("residual must be False for layers of different output size, got sizes 6, 3", stack, ["composite", "gru"],
            residual=True)  # fmt: skip
    assert stack(["composite", "gru"]).forward(draw(T, B, D)).y.shape == (T, B, H)


@pytest.mark.parametrize("name", ["dense", "stack"])
def test_the_examples(name):
    result = doctest.testmod(importlib.import_module(f"sandbox.layers.{name}"))
    assert result.attempted and not result.failed

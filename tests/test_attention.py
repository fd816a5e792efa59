"""Attention between two sequences and of a sequence over itself: naive references, masks, bits, and what is refused."""

import contextlib
import doctest
import importlib
from unittest import mock

import naive
import naive_attention
import numpy as np
import pytest

from sandbox import threads
from sandbox.errors import UsageError
from sandbox.jit import COMPILED
from sandbox.kernels import attention as kernels
from sandbox.layers import Attention, MultiHead
from sandbox.layers.attention import SCORES
from sandbox.streams import stream

T, S, B, K, HIDDEN = 3, 4, 3, 4, 3
LENGTHS = np.array([4, 0, 2])
ROUNDING = {"float64": 1e-13, "float32": 2e-5}
every_score = pytest.mark.parametrize("score", SCORES)


def draw(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32).astype(dtype)


def make(score, size=K, dtype="float64", seed=9):
    """An attention with numbers other than 0 in all parameters; queries are wider than keys where they may be."""
    queries = size + (score != "dot")
    hidden = {"hidden": HIDDEN} if score == "additive" else {}
    module = Attention(score, queries, size, rng=stream("init", 0), dtype=dtype, **hidden)
    module.vector[:] = 0.7 * draw(module.vector.size, seed=seed)
    return module


def inputs(module, steps=T, keys=S, rows=B, seed=0):
    return (draw(steps, rows, module.query_size, seed=seed, dtype=module.dtype),
            draw(keys, rows, module.key_size, seed=seed + 1, dtype=module.dtype))  # fmt: skip


def passed(module, queries, keys, dcontext, lengths=None):
    """Context, dqueries, dkeys and the parameters' gradient, copied."""
    context = module.forward(queries, keys, lengths)
    return context, *module.backward(dcontext), module.gradient.copy()


def heads(dtype="float64", size=4, number=2):
    module = MultiHead(size, number, rng=stream("init", 0), dtype=dtype)
    module.vector[:] = 0.7 * draw(module.vector.size, seed=9)
    return module


def refused(message, function, *arguments, **named):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    assert str(caught.value) == message


def close(actual, expected, tolerance=1e-13):
    assert np.shape(actual) == np.shape(expected)
    assert np.abs(actual - expected).max(initial=0) <= tolerance * max(np.abs(expected).max(initial=0), 1e-300)


def same(actual, expected):
    """Bit by bit, but for NumPy's product as plain Python."""
    if not COMPILED:
        return close(actual, expected, ROUNDING[actual.dtype.name])
    np.testing.assert_array_equal(actual, expected)


def in_chunks(size):
    """Chunks of so many keys, which compiled kernels have another number of."""
    return contextlib.nullcontext() if COMPILED else mock.patch.object(kernels, "CHUNK", size)


# Between two sequences ---------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@every_score
def test_gradient_by_every_number(score, lengths):
    module = make(score)
    (queries, keys), dcontext = inputs(module), draw(T, B, K, seed=5)
    context, dqueries, dkeys, _ = passed(module, queries, keys, dcontext, lengths)
    expected, weights = naive_attention.attention(score, module.parameters, queries, keys, lengths)
    close(context, expected)
    close(module.weights, weights)
    given = {**module.parameters, "queries": queries, "keys": keys}

    def scalar(flat):
        found = naive.unpack(flat, given)
        return (naive_attention.attention(score, found, found["queries"], found["keys"], lengths)[0] * dcontext).sum()

    wanted = naive.unpack(naive.gradient(scalar, naive.pack(given)), given)
    close(dqueries, wanted["queries"])
    close(dkeys, wanted["keys"])
    for name, value in module.gradients.items():
        close(value, wanted[name])


@pytest.mark.plain_python
@pytest.mark.parametrize("size", [(37, 11, 2), (2, 9, 1), (17, 1, 3), (1, 1, 1)], ids=str)
@every_score
def test_more_queries_and_keys_than_a_block_has(score, size):
    """With directions in all of what goes in; widths that fill panels, or less, or more."""
    steps, many, rows = size
    with in_chunks(4):
        for width in (1, 3, 16, 40):
            check_along(make(score, width), steps, many if not COMPILED else 60 * many, rows)


def check_along(module, steps, many, rows):
    (queries, keys), dcontext = inputs(module, steps, many, rows), draw(steps, rows, module.key_size, seed=5)
    queries = queries / np.sqrt(module.key_size)
    lengths = many - np.arange(rows) % (many + 1)
    context, *found = passed(module, queries, keys, dcontext, lengths)
    close(context, naive_attention.attention(module.score, module.parameters, queries, keys, lengths)[0])
    close(module.weights, naive_attention.attention(module.score, module.parameters, queries, keys, lengths)[1], 1e-12)
    given = {"queries": queries, "keys": keys, **module.parameters}

    def scalar(flat):
        each = naive.unpack(flat, given)
        context, _ = naive_attention.attention(module.score, each, each["queries"], each["keys"], lengths)
        return (context * dcontext).sum()

    gradient, point = np.concatenate([np.ravel(value) for value in found]), naive.pack(given)
    for seed in range(3):
        direction = draw(point.size, seed=seed)
        terms = gradient * direction
        along = naive.directional_derivative(scalar, point, direction)
        assert abs(terms.sum() - along) <= 1e-12 * np.abs(terms).sum()


@pytest.mark.plain_python
@every_score
def test_without_keys_all_is_zero(score):
    """Exactly, and nothing of it depends on what keys hold behind the length."""
    module = make(score)
    (queries, keys), dcontext = inputs(module), draw(T, B, K, seed=5)
    keys[:, 1], keys[2:, 2] = np.nan, np.nan
    context, dqueries, dkeys, gradient = passed(module, queries, np.nan_to_num(keys, nan=3.0), dcontext, LENGTHS)
    for value in (context[:, 1], dqueries[:, 1], dkeys[:, 1], dkeys[2:, 2], module.weights[:, 1]):
        np.testing.assert_array_equal(value, 0)
    assert np.isfinite(gradient).all() and context[:, [0, 2]].all()
    if score == "dot":
        np.testing.assert_array_equal(module.forward(queries, keys, LENGTHS), context)
    module.forward(queries, np.ones_like(keys), np.zeros(B, int))
    module.backward(dcontext)
    np.testing.assert_array_equal(module.gradient, 0)
    np.testing.assert_array_equal(module.weights, 0)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_scores_of_any_size(dtype):
    """The largest score is taken off before exp, whatever chunk it is in."""
    module = make("dot", 2, dtype)
    keys = np.repeat(np.array([[0, 0], [300, 0], [-2e4, 0], [300, 1], [2e4, 0], [-300, 0]], dtype)[:, None], 2, 1)
    with in_chunks(2):
        queries = np.array([[[1, 0], [-1, 0]], [[0.1, 0], [0, 800]]], dtype)
        context = module.forward(queries, keys)
        np.testing.assert_array_equal(context, [[[2e4, 0], [-2e4, 0]], [[2e4, 0], [300, 1]]])
        weights = module.weights
        np.testing.assert_array_equal(weights.argmax(-1), [[4, 2], [4, 3]])
        np.testing.assert_array_equal(weights.sum(-1), 1)
        dqueries, dkeys = module.backward(np.ones_like(context))
        np.testing.assert_array_equal(dqueries, 0)
        np.testing.assert_array_equal(dkeys.sum((0, 1)), 4)


@pytest.mark.plain_python
@every_score
def test_a_score_that_is_not_a_number_spreads(score):
    module = make(score)
    queries, keys = inputs(module)
    queries[1, 0, 0] = np.nan
    with np.errstate(invalid="ignore"):
        context = module.forward(queries, keys)
    assert np.isnan(context[1, 0]).all() and np.isnan(context).sum() == K


@pytest.mark.plain_python
@every_score
def test_float32_is_close_to_float64(score):
    found = []
    for dtype in ("float32", "float64"):
        module = make(score, dtype=dtype)
        found.append(passed(module, *inputs(module, 20, 7), draw(20, B, K, seed=5, dtype=dtype), [7, 0, 5]))
    for single, double in zip(*found, strict=True):
        assert single.dtype == np.float32
        close(single, double, 3e-6)


@pytest.mark.plain_python
@every_score
def test_weights_and_padding_change_no_bit(score):
    """Each row alone, without the keys behind its length, as in a batch."""
    module = make(score)
    (queries, keys), dcontext = inputs(module, 20, 9), draw(20, B, K, seed=5)
    lengths = np.array([9, 1, 5])
    with in_chunks(4):
        context, dqueries, dkeys, _ = passed(module, queries, keys, dcontext, lengths)
        for b, length in enumerate(lengths):
            one, dq, dk, _ = passed(module, queries[:, [b]], keys[:length, [b]], dcontext[:, [b]])
            same(one[:, 0], context[:, b])
            same(dq[:, 0], dqueries[:, b])
            same(dk[:, 0], dkeys[:length, b])
            assert not dkeys[length:, b].any()


@every_score
def test_threads_change_no_bit(score):
    module = make(score, 16, "float32")
    (queries, keys), dcontext = inputs(module, 70, 300, 5), draw(70, 5, 16, seed=5, dtype="float32")
    lengths, found = [300, 0, 256, 17, 299], []
    for number in (1, 2, 3):
        with mock.patch.multiple(threads, WORTH=1, _chosen=number):
            found.append(passed(module, queries, keys, dcontext, lengths))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.plain_python
@every_score
def test_gradients_are_added_where_that_is_asked_for(score):
    module = make(score)
    (queries, keys), dcontext = inputs(module), draw(T, B, K, seed=5)
    module.gradient[:] = 7
    once = passed(module, queries, keys, dcontext)
    module.forward(queries, keys)
    again = module.backward(dcontext, accumulate=True)
    close(module.gradient, 2 * once[-1])
    for one, two in zip(once[1:3], again, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.plain_python
def test_what_comes_out_is_the_callers():
    module = make("dot")
    (queries, keys), dcontext = inputs(module), draw(T, B, K, seed=5)
    expected = passed(module, queries, keys, dcontext)
    context = module.forward(queries, keys)
    context[:], kept = 7, (queries.copy(), keys.copy(), dcontext.copy())
    for one, two in zip(module.backward(dcontext), expected[1:3], strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip((queries, keys, dcontext), kept, strict=True):
        np.testing.assert_array_equal(one, two)


def test_where_weights_start():
    module = Attention("additive", 5, 4, rng=stream("init", 0))
    assert {name: value.shape for name, value in module.parameters.items()} == {
        "query.W": (5, 4), "query.b": (4,), "key.W": (4, 4), "score.W": (4, 1)}  # fmt: skip
    assert not module.parameters["query.b"].any() and module.parameters["score.W"].all()
    assert module.weights is None
    assert list(Attention("general", 5, 4, rng=stream("init", 0)).parameters) == ["query.W"]
    assert Attention("dot", 4, 4, rng=None).vector.size == 0


@pytest.mark.plain_python
def test_what_attention_refuses():
    arguments = {"rng": stream("init", 0)}
    refused("unknown score 'dott'; did you mean 'dot'?", Attention, "dott", 4, 4, **arguments)
    refused("query_size must be key_size=4 with score dot, got 5", Attention, "dot", 5, 4, **arguments)
    refused("hidden must be None with score general, got 3", Attention, "general", 5, 4, hidden=3, **arguments)
    refused("hidden must be a whole number from 1, got 0", Attention, "additive", 5, 4, hidden=0, **arguments)
    refused("key_size must be a whole number from 1, got 0", Attention, "general", 5, 0, **arguments)
    refused("rng must be a numpy.random.Generator, got NoneType (stream('init', seed) makes one)", Attention, "general",
            5, 4, rng=None)  # fmt: skip
    module = make("dot")
    refused("backward must follow a forward pass, got none", module.backward, draw(T, B, K))
    queries, keys = inputs(module)
    refused("queries must have shape (steps, B, columns), got (3, 4)", module.forward, queries[:, 0], keys)
    refused("keys must have shape (steps, B, columns), got (0, 3, 4)", module.forward, queries, keys[:0])
    rule = "keys must be float64 of shape (4, 3, 4)"
    refused(f"{rule}, got float64 of shape (4, 2, 4)", module.forward, queries, keys[:, :2])
    refused(f"{rule}, got float32 of shape (4, 3, 4)", module.forward, queries, keys.astype("f4"))
    refused("queries must be float64 of shape (3, 3, 4), got float64 of shape (3, 3, 3)", module.forward,
            queries[..., :3], keys)  # fmt: skip
    refused("lengths must be 3 whole numbers from 0 to T=4, got [5, 0, 0]", module.forward, queries, keys, [5, 0, 0])
    module.forward(queries, keys)
    rule = "dcontext must be float64 of shape (3, 3, 4)"
    refused(f"{rule}, got float64 of shape (2, 3, 4)", module.backward, draw(2, B, K))
    module.backward(draw(T, B, K))
    refused("backward must follow a forward pass, got none", module.backward, draw(T, B, K))


# Of a sequence over itself -----------------------------------------------------------------------------------------


def carried(size=4, rows=B, seed=3):
    """Keys and values of 5, 0 and 2 earlier steps."""
    return {"keys": draw(rows, 5 * size, seed=seed), "values": draw(rows, 5 * size, seed=seed + 1),
            "count": np.array([5, 0, 2])}  # fmt: skip


@pytest.mark.plain_python
@pytest.mark.parametrize("past", [False, True], ids=["start", "past"])
@pytest.mark.parametrize("lengths", [None, [4, 0, 2], [0, 3, 1]], ids=str)
@pytest.mark.parametrize("causal", [False, True], ids=["all", "causal"])
def test_gradient_by_every_number_of_self_attention(causal, lengths, past):
    module, x, dy = heads(), draw(4, B, 4), draw(4, B, 4, seed=5)
    live = np.ones((4, B, 1)) if lengths is None else (np.arange(4)[:, None] < np.array(lengths))[..., None]
    dy, past = dy * live, carried() if past else None
    y = module.forward(x, lengths, past, causal=causal)
    after = module.past()
    count, width = after["count"], after["keys"].shape[1]
    dafter = {"keys": draw(B, width, seed=6), "values": draw(B, width, seed=7)}
    known = (np.arange(width // 4) < count[:, None]).repeat(4, 1)
    dafter = {name: value * known for name, value in dafter.items()}
    given = {**module.parameters, "x": x} | ({} if past is None else {"keys": past["keys"], "values": past["values"]})

    def run(found):
        before = None if past is None else {**found, "count": past["count"]}
        return naive_attention.multi_head(found, found["x"], 2, lengths, before, causal)

    def scalar(flat):
        y, after = run(naive.unpack(flat, given))
        return (y * dy).sum() + sum((after[name] * dafter[name]).sum() for name in dafter)

    expected, states = run(given)
    close(y * live, expected.real * live)
    for name in after:
        close(after[name], states[name])
    dx, dstart = module.backward(dy, dafter)
    wanted = naive.unpack(naive.gradient(scalar, naive.pack(given)), given)
    for name, value in {**module.gradients, "x": dx, **dstart}.items():
        close(value, wanted[name])
    assert bool(dstart) == (past is not None)


@pytest.mark.plain_python
@pytest.mark.parametrize("size", [(37, 2), (1, 1), (16, 3)], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (6, 3), (40, 2)], ids=str)
def test_self_attention_of_other_sizes(shape, size):
    (width, number), (steps, rows) = shape, size
    module, x, dy = heads(size=width, number=number), draw(steps, rows, width), draw(steps, rows, width, seed=5)
    lengths = steps - np.arange(rows)
    live = (np.arange(steps)[:, None] < lengths)[..., None]
    given = {**module.parameters, "x": x}

    def scalar(flat):
        found = naive.unpack(flat, given)
        return (naive_attention.multi_head(found, found["x"], number, lengths, None, True)[0] * dy * live).sum()

    with in_chunks(4):
        y = module.forward(x, lengths, causal=True)
        dx, _ = module.backward(dy * live)
    close(y * live, naive_attention.multi_head(module.parameters, x, number, lengths, None, True)[0].real * live, 1e-12)
    gradient, direction = np.concatenate([module.gradient, dx.ravel()]), draw(module.vector.size + x.size, seed=7)
    along = naive.directional_derivative(scalar, naive.pack(given), direction)
    assert abs((gradient * direction).sum() - along) <= 1e-12 * np.abs(gradient * direction).sum()


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_no_step_sees_a_later_one(dtype):
    """Bit by bit, and no gradient comes from there."""
    module, x = heads(dtype), draw(40, 2, 4, dtype=dtype)
    y = module.forward(x, causal=True)
    other = x.copy()
    other[23:] = draw(17, 2, 4, seed=3, dtype=dtype)
    same(module.forward(other, causal=True)[:23], y[:23])
    assert (module.forward(other, causal=False)[:23] != module.forward(x, causal=False)[:23]).all()
    dy = draw(40, 2, 4, seed=5, dtype=dtype)
    dy[23:] = 0
    module.forward(x, causal=True)
    assert not module.backward(dy)[0][23:].any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("edges", [(0, 300, 301, 600), (0, 1, 2, 3), (0, 599, 600)], ids=str)
def test_segments_have_the_bits_of_the_whole(edges, dtype):
    """Forward with keys and values carried on, backward from the last segment to the first."""
    T = edges[-1]
    module, x, dy = heads(dtype, 8), draw(T, 3, 8, dtype=dtype), draw(T, 3, 8, seed=5, dtype=dtype)
    lengths = np.array([T, T // 2, 1])
    dy *= (np.arange(T)[:, None] < lengths)[..., None]
    whole = module.forward(x, lengths, causal=True)
    dx, gradient = module.backward(dy)[0], module.gradient.copy()
    pasts = [None]
    for first, end in zip(edges, edges[1:]):
        within = np.clip(lengths - first, 0, end - first)
        live = (np.arange(end - first)[:, None] < within)[..., None]
        y = module.forward(x[first:end], within, pasts[-1], causal=True)
        np.testing.assert_array_equal(y * live, whole[first:end] * live)
        pasts.append(module.past())
    np.testing.assert_array_equal(pasts[-1]["count"], lengths)
    carry = None
    for number in range(len(edges) - 2, -1, -1):
        first, end = edges[number : number + 2]
        module.forward(x[first:end], np.clip(lengths - first, 0, end - first), pasts[number], causal=True)
        part, carry = module.backward(dy[first:end], carry, accumulate=end < T)
        np.testing.assert_array_equal(part, dx[first:end])
    np.testing.assert_array_equal(module.gradient, gradient)


def test_threads_change_no_bit_of_self_attention():
    module, x, dy = heads("float32", 12, 3), *(draw(90, 5, 12, seed=n, dtype="float32") for n in (0, 5))
    found = []
    for number in (1, 2, 3):
        with mock.patch.multiple(threads, WORTH=1, _chosen=number):
            y = module.forward(x, [90, 3, 0, 64, 89])
            found.append((y, module.backward(dy)[0], module.gradient.copy()))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.plain_python
def test_what_self_attention_refuses():
    refused("heads must divide 4, the width they share, got 3", MultiHead, 4, 3, rng=stream("init", 0))
    module = heads()
    refused("backward must follow a forward pass, got none", module.backward, draw(T, B, 4))
    refused("x must have shape (steps, B, columns), got (3, 4)", module.forward, draw(T, 4))
    refused("x must be float64 of shape (3, 3, 4), got float64 of shape (3, 3, 5)", module.forward, draw(T, B, 5))
    refused("lengths must be 3 whole numbers from 0 to T=3, got [4, 0, 0]", module.forward, draw(T, B, 4), [4, 0, 0])
    module.forward(draw(T, B, 4))
    refused("dpast['keys'] must be float64 of shape (3, 12), got float64 of shape (3, 8)", module.backward,
            draw(T, B, 4), {"keys": draw(B, 8), "values": draw(B, 12)})  # fmt: skip


def test_the_examples():
    result = doctest.testmod(importlib.import_module("sandbox.layers.attention"))
    assert result.attempted and not result.failed

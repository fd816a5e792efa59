"""Recurrent dropout and zoneout: common checks over every cell, and what a layer says about their arguments."""

from dataclasses import replace
from unittest import mock

import naive
import numpy as np
import pytest
from test_cells import (
    DTYPES,
    TINY,
    Case,
    Problem,
    cases,
    check_exact_scaling,
    check_forward,
    check_gradient_by_number,
    check_segments,
    compare_single,
    same,
    stacked,
)

from sandbox import threads
from sandbox.cells import Product
from sandbox.errors import UsageError
from sandbox.layers import Layer
from sandbox.streams import stream

LENGTHS = [4, 0, 2]


@pytest.fixture(params=list(cases()), ids=str)
def case(request):
    return request.param


def rates(case, recurrent_dropout=0.4, zoneout=0.3):
    """The rates this cell can have."""
    cell = case.layer(1, 1).cell
    dropped = any(product.source == "h" and product.stage == 0 for product in cell.products)
    zoned = not any(product.source in cell.states and product.stage == 1 for product in cell.products)
    return {"recurrent_dropout": recurrent_dropout * dropped, "zoneout": zoneout * zoned}


def noise(case, seed=0, **arguments):
    return {**rates(case, **arguments), "noise": stream("dropout", seed)}


def noisy(case, size=TINY, dtype="float64", training=True, seed=0, **arguments):
    return Problem(case, size, dtype, training=training, **noise(case, seed, **arguments))


# Threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_sequences_that_are_shared_out_are_the_whole(case):
    """Two threads have eight sequences and eleven; the last block of sums is not full."""
    found = []
    for number in (1, 2):
        with mock.patch.multiple(threads, WORTH=1, _chosen=number):
            problem = noisy(case, (3, 19, 2, 3))
            found.append(problem.gradients([3, 0, 1, 2] * 4 + [3, 1, 2]))
            problem.forward()
            scaled = problem.backward(log_scale=True, every_state=True)
            found[-1] |= {"states": stacked(scaled.states), "exponents": scaled.exponents.astype("float64")}
    for name, value in found[0].items():
        same(found[1][name], value, name)


# Forward ---------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_forward_is_the_looped_reference_with_the_same_masks(case):
    for dtype in DTYPES:
        for lengths in (None, LENGTHS):
            check_forward(case, TINY, dtype, lengths, training=True, **noise(case))


@pytest.mark.parametrize("dtype", DTYPES)
def test_forward_of_another_size(case, dtype):
    check_forward(case, (3, 9, 4, 33), dtype, training=True, **noise(case))
    check_forward(case, (3, 9, 4, 33), dtype, **noise(case))


@pytest.mark.plain_python
def test_evaluation_knows_no_dropout_and_the_mean_of_zoneout(case):
    for dtype in DTYPES:
        dropped = noisy(case, dtype=dtype, zoneout=0, training=False)
        same(stacked(dropped.forward().states), stacked(Problem(case, TINY, dtype).forward().states))
        for lengths in (None, LENGTHS):
            check_forward(case, TINY, dtype, lengths, **noise(case))
    one_step = stacked(noisy(case, training=False).forward().states)[:, :2]
    plain, share = stacked(Problem(case, TINY).forward().states), rates(case)["zoneout"]
    np.testing.assert_allclose(one_step[:, 1], share * plain[:, 0] + (1 - share) * plain[:, 1], rtol=1e-13, atol=1e-15)


@pytest.mark.plain_python
def test_masks_have_their_rates(case):
    problem = noisy(case, (8, 50, 1, 20))
    problem.forward()
    masks, chances = problem.masks(), rates(case)
    if chances["recurrent_dropout"]:
        np.testing.assert_allclose(np.unique(masks["mask"]), [0, 1 / 0.6], rtol=1e-15)
        assert masks["mask"].shape == (50, 20) and np.mean(masks["mask"] == 0) == pytest.approx(0.4, abs=0.05)
    if chances["zoneout"]:
        kept = masks["kept"]
        assert kept.shape == (len(problem.cell.states), 8, 50, 20) and set(np.unique(kept)) == {0, 1}
        np.testing.assert_allclose(kept.mean((2, 3)), 0.3, atol=0.06)  # every state, every step
        assert all((kept[:, t] != kept[:, t + 1]).any() for t in range(7))


@pytest.mark.plain_python
def test_one_stream_gives_the_same_bits(case):
    one, same_stream, other = (noisy(case, seed=seed) for seed in (0, 0, 1))
    states = stacked(one.forward().states)
    np.testing.assert_array_equal(stacked(same_stream.forward().states), states)
    assert (stacked(other.forward().states) != states).any()
    first = states.copy()
    assert (stacked(one.forward().states) != first).any()  # new masks for every pass


@pytest.mark.plain_python
def test_rates_of_zero_change_no_bit(case):
    for dtype in DTYPES:
        plain, rated = Problem(case, TINY, dtype), noisy(case, dtype=dtype, recurrent_dropout=0, zoneout=0)
        before = rated.layer.noise.bit_generator.state
        for name, value in rated.gradients(LENGTHS).items():
            np.testing.assert_array_equal(value, plain.gradients(LENGTHS)[name], name)
        np.testing.assert_array_equal(stacked(rated.forward().states), stacked(plain.forward().states))
        assert rated.layer.noise.bit_generator.state == before  # nothing drawn


@pytest.mark.plain_python
def test_resumed_sequences_keep_their_mask(case):
    for dtype in DTYPES:
        problem, parts = noisy(case, dtype=dtype), noisy(case, dtype=dtype)
        whole = stacked(problem.forward().states)
        first = parts.layer.forward(problem.x[:1], problem.start, training=True)
        start = {name: value.copy() for name, value in first.last_states().items()}
        parts.layer.forward(np.ones((2, 5, 2), dtype))  # an evaluation in between
        second = parts.layer.forward(problem.x[1:], start, training=True, resume=True)
        same(stacked(second.states), whole[:, 1:])
        if rates(case)["recurrent_dropout"]:
            drawn = parts.layer._mask.copy()
            parts.layer.forward(problem.x, training=True)
            assert (parts.layer._mask != drawn).any()


# Backward --------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_gradient_by_every_number_through_masks(case):
    check_gradient_by_number(noisy(case))
    check_gradient_by_number(noisy(case, (3, 2, 2, 3)), [1, 3])
    check_gradient_by_number(noisy(case, (2, 1, 1, 1)))


@pytest.mark.plain_python
def test_gradient_by_every_number_in_evaluation(case):
    check_gradient_by_number(noisy(case, (3, 2, 2, 3), training=False), [1, 3])


@pytest.mark.plain_python
def test_gradients_in_float32(case):
    for training in (True, False):
        compare_single(*(noisy(case, dtype=dtype, training=training) for dtype in ("float32", "float64")))


@pytest.mark.parametrize("size", [(5, 3, 2, 7), (3, 9, 4, 33)], ids=str)
def test_gradients_in_float32_of_other_sizes(case, size):
    compare_single(*(noisy(case, size, dtype) for dtype in ("float32", "float64")))


@pytest.mark.plain_python
def test_gradients_of_segments_add_up_to_the_whole(case):
    for dtype in DTYPES:
        check_segments(noisy(case, dtype=dtype), [1, 3], LENGTHS)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_segments_of_a_larger_batch_add_up_to_the_whole(case, dtype):
    check_segments(noisy(case, (40, 9, 4, 33), dtype), [7, 31], [40, 0, 3, 7, 8, 20, 31, 32, 39])


@pytest.mark.plain_python
def test_scaled_backward_is_the_plain_one_to_the_last_bit(case):
    for dtype in DTYPES:
        for training in (True, False):
            problem = noisy(case, dtype=dtype, training=training)
            problem.dlast = {name: value * 2.0**-60 for name, value in problem.dlast.items()}
            problem.dy *= 2.0**-50
            check_exact_scaling(problem, LENGTHS)


@pytest.mark.plain_python
def test_keeping_the_tape_changes_no_gradient(case):
    problem = noisy(case)
    problem.forward(LENGTHS)
    kept = problem.backward(keep_tape=True, every_state=True)
    expected = problem.layer.gradient.copy()
    np.testing.assert_array_equal(kept.states["h"][0], kept.start["h"])
    found = problem.backward(every_state=True)
    np.testing.assert_array_equal(stacked(found.states), stacked(kept.states))
    np.testing.assert_array_equal(found.x, kept.x)
    np.testing.assert_array_equal(problem.layer.gradient, expected)


# Arguments -------------------------------------------------------------------------------------------------------


def refused(cell, **arguments):
    with pytest.raises(UsageError) as caught:
        Layer(cell, 2, 3, rng=stream("init", 0), **arguments)
    return str(caught.value)


@pytest.mark.plain_python
@pytest.mark.parametrize("name", ["recurrent_dropout", "zoneout"])
@pytest.mark.parametrize("value", [1, 1.0, -0.1, float("nan"), float("inf"), "x", None, True])
def test_bad_rates(name, value):
    message = refused("lstm", **{name: value}, noise=stream("dropout", 0))
    assert message == f"{name} must be a number from 0 to below 1, got {value}"


@pytest.mark.plain_python
def test_noise_needs_a_stream():
    for name in ("recurrent_dropout", "zoneout"):
        for given, what in ((None, "NoneType"), (7, "int")):
            assert refused("lstm", **{name: 0.5}, noise=given) == (
                f"noise must be a numpy.random.Generator, got {what} (stream('dropout', seed) makes one)")  # fmt: skip
    Layer("lstm", 2, 3, rng=stream("init", 0), recurrent_dropout=0, zoneout=0.0)


@pytest.mark.plain_python
def test_cells_which_cannot_have_a_rate_say_so():
    with pytest.raises(UsageError) as caught:
        Case(naive.DIAGONAL).layer(2, 3, recurrent_dropout=0.5, noise=stream("dropout", 0))
    assert str(caught.value) == (
        "recurrent_dropout must be 0 for cell diagonal, which has no recurrent product of h, got 0.5")  # fmt: skip
    products = (Product("W_hh", "h", ("a", "u")), Product("W_ch", "c", ("q", "v"), stage=1))
    meeting = replace(naive.COMPOSITE, products=products, auxiliary=(), derived=None)
    with pytest.raises(UsageError) as caught:
        Case(meeting).layer(2, 3, zoneout=0.5, noise=stream("dropout", 0))
    assert str(caught.value) == "zoneout must be 0 for cell composite, whose states meet in one step, got 0.5"


@pytest.mark.plain_python
def test_resume_needs_the_same_sequences():
    layer = Layer("gru", 2, 3, rng=stream("init", 0), recurrent_dropout=0.5, noise=stream("dropout", 0))
    x = np.ones((4, 5, 2))
    with pytest.raises(UsageError, match="^resume must follow a training pass over the same 5 sequences, got none$"):
        layer.forward(x, training=True, resume=True)
    layer.forward(x[:, :2], training=True)
    with pytest.raises(UsageError, match="^resume must follow a training pass over the same 5 sequences, got 2$"):
        layer.forward(x, training=True, resume=True)
    layer.forward(x, resume=True)  # evaluation has no masks


@pytest.mark.plain_python
def test_copies_have_no_noise():
    layer = Layer("gru", 2, 3, rng=stream("init", 0), recurrent_dropout=0.5, zoneout=0.1, noise=stream("dropout", 0))
    twin = layer.astype("float32")
    assert (twin.recurrent_dropout, twin.zoneout) == (0, 0)

"""Losses: values and gradients against complex step and 50 digits, masks, reductions, segments, errors."""

import doctest

import mpmath
import numpy as np
import pytest
from naive import gradient

from sandbox import losses
from sandbox.errors import UsageError
from sandbox.kernels.reductions import total

NAMES = losses.names()
T, B, O = 3, 4, 5


def reference(name, output, target):
    """l of each row, (T, B) or (B,), complex-safe."""
    if name == "softmax":
        shifted = output - output.real.max(-1, keepdims=True)
        picked = np.take_along_axis(shifted, target[..., None], -1)[..., 0]
        return np.log(np.exp(shifted).sum(-1)) - picked
    if name == "mse":
        return ((output - target) ** 2).sum(-1)
    return (np.log(1 + np.exp(output)) - target * output).sum(-1)


def reduced(name, output, target, mask, reduction):
    """The reference's value, straight from the definitions of the reductions."""
    rows = reference(name, output, target) * mask
    if reduction == "sum":
        return rows.sum()
    if reduction == "mean":
        return rows.sum() / (mask.sum() * (1 if name == "softmax" else output.shape[-1]))
    return rows.sum() / np.atleast_2d(mask).any(0).sum()


def problem(name, shape=(T, B, O), dtype="float64", seed=0):
    """Output, target and a mask with an empty sequence where there are steps."""
    rng = np.random.default_rng(seed)
    output = (2 * rng.standard_normal(shape)).astype(dtype)
    target = rng.integers(shape[-1], size=shape[:-1])
    if name != "softmax":
        target = (rng.standard_normal(shape) if name == "mse" else rng.random(shape)).astype(dtype)
    mask = rng.random(shape[:-1]) < 0.6
    mask[..., 1], mask[..., 0] = False, True
    return output, target, mask


def message(*arguments, **named):
    """The one line of the UsageError that `evaluate` raises."""
    with pytest.raises(UsageError) as caught:
        losses.evaluate(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Values and gradients --------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", [(T, B, O), (B, O), (2, 3, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_are_those_of_the_reference(name, shape, masked, reduction):
    output, target, mask = problem(name, shape)
    mask = mask if masked else np.ones(shape[:-1], bool)
    f = lambda flat: reduced(name, flat.reshape(shape), target, mask, reduction)
    value, doutput = losses.evaluate(name, output, target, mask if masked else None, reduction)
    assert type(value) is float and doutput.dtype == np.float64 and doutput.shape == shape
    assert value == pytest.approx(f(output.ravel()), rel=1e-13, abs=1e-15)
    np.testing.assert_allclose(doutput.ravel(), gradient(f, output.ravel()), rtol=1e-13, atol=1e-14)
    assert not doutput[~mask].any()


@pytest.mark.plain_python
@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_float32_agrees_with_float64(name, reduction):
    output, target, mask = problem(name, dtype="float32")
    wide_target = target if name == "softmax" else target.astype(float)
    value, doutput = losses.evaluate(name, output, target, mask, reduction)
    wide, wide_doutput = losses.evaluate(name, output.astype(float), wide_target, mask, reduction)
    assert type(value) is float and doutput.dtype == np.float32
    assert value == pytest.approx(wide, rel=1e-6)
    np.testing.assert_allclose(doutput, wide_doutput, rtol=1e-5, atol=1e-6 * np.abs(wide_doutput).max())


def test_squares_of_a_float32_model_are_taken_in_float64():
    output, target, _ = problem("mse", dtype="float32")
    expected = 0.0
    for t in range(T):
        step = 0.0
        for b in range(B):
            squares = 0.0
            for j in range(O):
                squares += (float(output[t, b, j]) - float(target[t, b, j])) ** 2
            step += squares
        expected += step
    assert losses.evaluate("mse", output, target, reduction="sum")[0] == expected


@pytest.mark.parametrize("name", NAMES)
def test_any_real_target_type_and_layout_will_do_and_inputs_stay_as_they_are(name):
    output, target, _ = problem(name)
    if name != "softmax":
        target = (target > 0.5).astype(float)
    kept, kept_target = output.copy(), target.copy()
    value, doutput = losses.evaluate(name, output, target)
    for other in [np.uint8, np.int32] if name == "softmax" else [np.bool_, np.float32, np.int8]:
        swapped = np.asfortranarray(output)
        again, other_doutput = losses.evaluate(name, swapped, np.asfortranarray(target.astype(other)))
        assert again == value
        np.testing.assert_array_equal(other_doutput, doutput)
    np.testing.assert_array_equal(output, kept)
    np.testing.assert_array_equal(target, kept_target)


def test_the_three_reductions_of_a_known_case():
    output, target = np.ones((2, 3, 4)), np.zeros((2, 3, 4))
    mask = np.array([[True, True, False], [True, False, False]])
    found = {r: losses.evaluate("mse", output, target, mask, r) for r in losses.REDUCTIONS}
    assert {r: value for r, (value, _) in found.items()} == {"mean": 1.0, "sum": 12.0, "sequences": 6.0}
    assert {r: doutput[0, 0, 0] for r, (_, doutput) in found.items()} == {"mean": 2 / 12, "sum": 2.0, "sequences": 1.0}
    classes = np.zeros((2, 3), int)
    assert losses.evaluate("softmax", output, classes, mask)[0] == pytest.approx(np.log(4), rel=1e-15)


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_count_is_what_a_reduction_divides_by(name, reduction):
    output, target, mask = problem(name)
    for given in (None, mask):
        count = losses.count(name, output.shape, given, reduction)
        mean = losses.evaluate(name, output, target, given, reduction)[0]
        assert mean == losses.evaluate(name, output, target, given, "sum")[0] / count
    assert losses.count(name, (0, B, O), reduction=reduction) == (reduction == "sum")
    assert losses.evaluate(name, output, target, mask, "sum", count=1000)[0] == losses.evaluate(
        name, output, target, mask, "sum")[0]  # fmt: skip
    assert losses.count(name, (B, O), reduction=reduction) == {"sum": 1, "sequences": B}.get(
        reduction, B if name == "softmax" else B * O
    )


# Large and small numbers -----------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_huge_logits_neither_overflow_nor_become_nan(size):
    for dtype in ("float32", "float64"):
        x = dtype(size) if callable(dtype) else np.dtype(dtype).type(size)
        value, doutput = losses.evaluate("softmax", np.array([[x, -x, 0]]), np.array([1]))
        assert value == 2 * float(x) and doutput.tolist() == [[1, -1, 0]]
        value, doutput = losses.evaluate("softmax", np.array([[x, -x, 0]]), np.array([0]))
        assert value == 0 and not doutput.any()
        value, doutput = losses.evaluate("softmax", np.array([[-x, 0, x]]), np.array([0]))
        assert value == 2 * float(x) and doutput.tolist() == [[-1, 0, 1]]
        logits = np.array([[x, -x, x, -x]])
        value, doutput = losses.evaluate("binary", logits, np.array([[1, 0, 0, 1]], dtype), reduction="sum")
        assert value == 2 * float(x) and doutput.tolist() == [[0, 0, 1, -1]]


@pytest.mark.plain_python
@pytest.mark.parametrize("gap", [0.0, 1e-9, 0.3, 5.0, 36.0, 37.5, 200.0, 700.0])
def test_nothing_cancels_where_the_output_is_nearly_right(gap):
    with mpmath.workdps(50):
        e = mpmath.exp(-mpmath.mpf(gap))
        loss, wrong = float(mpmath.log1p(e)), float(e / (1 + e))
    close = lambda x: pytest.approx(x, rel=1e-14, abs=0)
    value, doutput = losses.evaluate("softmax", np.array([[gap, 0.0]]), np.array([0]))
    assert value == close(loss) and doutput[0].tolist() == [close(-wrong), close(wrong)]
    for sign, target in ((1, 1.0), (-1, 0.0)):
        value, doutput = losses.evaluate("binary", np.array([[sign * gap]]), np.array([[target]]))
        assert value == close(loss) and doutput[0, 0] == close(-sign * wrong)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_spreads_to_the_value_and_its_own_row_alone(name):
    output, target, _ = problem(name)
    clean = losses.evaluate(name, output, target)[1]
    output[1, 2, 3] = np.nan
    value, doutput = losses.evaluate(name, output, target)
    assert np.isnan(value) and np.isnan(doutput[1, 2]).any()
    doutput[1, 2] = clean[1, 2]
    np.testing.assert_array_equal(doutput, clean)


# Masks and segments ----------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("junk", [1e300, np.nan, -np.inf])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_masked_changes_no_bit(name, junk, dtype):
    output, target, mask = problem(name, dtype=dtype)
    target = target if name == "softmax" else target.astype(float)
    value, doutput = losses.evaluate(name, output, target, mask)
    with np.errstate(over="ignore"):
        output[~mask] = junk
    target[~mask] = -7 if name == "softmax" else junk
    again, spoilt = losses.evaluate(name, output, target, mask)
    assert again == value
    np.testing.assert_array_equal(spoilt, doutput)
    assert not spoilt[~mask].any() and not np.signbit(spoilt[~mask]).any() and spoilt[mask].any()


@pytest.mark.plain_python
@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_counts_value_and_gradient_are_zero(name, reduction):
    output, target, mask = problem(name)
    value, doutput = losses.evaluate(name, np.full_like(output, np.nan), target, np.zeros_like(mask), reduction)
    assert value == 0.0 and doutput.shape == output.shape and not doutput.any()
    value, doutput = losses.evaluate(name, output[:0], target[:0], None, reduction)
    assert value == 0.0 and doutput.shape == (0, B, O)
    for given in (None, mask[:, :0]):
        value, doutput = losses.evaluate(name, output[:, :0], target[:, :0], given, reduction)
        assert value == 0.0 and doutput.shape == (T, 0, O)


@pytest.mark.plain_python
@pytest.mark.parametrize("reduction", ["mean", "sequences", "sum"])
@pytest.mark.parametrize("name", NAMES)
def test_segments_have_the_bits_of_the_whole(name, reduction):
    output, target, mask = problem(name, (11, B, O))
    value, doutput = losses.evaluate(name, output, target, mask, reduction)
    count, steps = losses.count(name, output.shape, mask, reduction), np.full(11, np.nan)
    parts, gradients = [], []
    for part in (slice(7, 11), slice(4, 7), slice(0, 4)):
        found = losses.evaluate(name, output[part], target[part], mask[part], reduction, count=count, steps=steps[part])
        assert found[0] == total(steps[part].copy()) / count
        parts.append(found[0])
        gradients.insert(0, found[1])
    np.testing.assert_array_equal(np.concatenate(gradients), doutput)
    assert losses.value_of(steps, count) == value
    assert sum(parts) == pytest.approx(value, rel=1e-15 * 4)


@pytest.mark.plain_python
def test_the_order_of_summation_is_the_written_one():
    output, target, _ = problem("mse", (19, 3, 4))
    steps = []
    for t in range(19):
        step = 0.0
        for b in range(3):
            row = 0.0
            for o in range(4):
                row += (output[t, b, o] - target[t, b, o]) * (output[t, b, o] - target[t, b, o])
            step += row
        steps.append(step)
    assert losses.evaluate("mse", output, target, reduction="sum")[0] == total(np.array(steps))
    given = np.empty(19)
    losses.evaluate("mse", output, target, steps=given)
    np.testing.assert_array_equal(given, steps)


# Errors ----------------------------------------------------------------------------------------------------------


def test_bad_input_is_one_line():
    output, target, mask = problem("mse")
    classes = np.zeros((T, B), int)
    assert message("msee", output, target) == "unknown loss 'msee'; did you mean 'mse'?"
    assert message("mse", output, target, None, "men") == "unknown reduction 'men'; did you mean 'mean'?"
    assert "output must be a float32 or float64 array of shape (T, B, O) or (B, O), got float64 (5,)" in message(
        "mse", output[0, 0], target[0, 0]
    )
    assert "got int64 (3, 4, 5)" in message("mse", output.astype(int), target)
    assert "at least one number in a row" in message("mse", output[..., :0], target[..., :0])
    assert message("mse", output, target[0]) == (
        "target of mse must be real numbers of shape (3, 4, 5), got float64 (4, 5)")  # fmt: skip
    assert "real numbers" in message("binary", output, target.astype(complex))
    assert message("softmax", output, target) == (
        "target of softmax must be whole numbers of shape (3, 4), got float64 (3, 4, 5)")  # fmt: skip
    assert "whole numbers of shape (3, 4), got float64 (3, 4)" in message("softmax", output, classes.astype(float))
    assert "got bool" in message("softmax", output, classes.astype(bool))
    assert "mask must be a bool array of shape (3, 4), got float64" in message(
        "mse", output, target, mask.astype(float)
    )
    assert "got bool (4, 3)" in message("mse", output, target, mask.T)
    with pytest.raises(UsageError, match="unknown loss"):
        losses.count("hinge", (3, 4))
    with pytest.raises(UsageError, match="mask must be a bool array of shape \\(3,\\)"):
        losses.count("mse", (3, 4), mask)


def test_a_target_out_of_range_is_named_with_its_place():
    output, classes = np.zeros((T, B, O)), np.zeros((T, B), int)
    for wrong in (O, -1):
        classes[2, 1] = wrong
        assert message("softmax", output, classes) == (
            f"target of softmax must be a class from 0 to 4, got {wrong} at [2, 1]")  # fmt: skip
        assert message("softmax", output[2], classes[2]).endswith(f"got {wrong} at [1]")
    share = np.full((T, B, O), 0.5)
    for wrong in (1.5, -0.1, np.nan):
        share[1, 3, 2] = wrong
        assert message("binary", output, share).endswith(f"must be a number from 0 to 1, got {wrong} at [1, 3, 2]")
    assert np.isnan(losses.evaluate("mse", output, share)[0])


def test_a_count_or_steps_that_cannot_be_are_refused():
    output, target, mask = problem("softmax")
    seen = int(mask.sum())
    for wrong in (seen - 1, -1, 2.0, True, "7"):
        assert f"count must be a whole number of at least {seen}" in message(
            "softmax", output, target, mask, count=wrong
        )
    assert losses.evaluate("softmax", output, target, mask, count=seen) [0] == (
        losses.evaluate("softmax", output, target, mask)[0])  # fmt: skip
    assert "got True" in message("softmax", output[0, :1], target[0, :1], count=True)
    for wrong in (np.empty(T, np.float32), np.empty(T + 1), [0.0] * T):
        assert f"steps must be a float64 array of shape ({T},), got" in message("softmax", output, target, steps=wrong)


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(losses)
    assert result.failed == 0 and result.attempted >= 3

"""Clipping by name, on arrays and on a flat vector, and what a Clipper says about it."""

import doctest

import numpy as np
import pytest

from sandbox import clipping
from sandbox.clipping import CLIPS, Clipped, Clipper, clip
from sandbox.errors import UsageError
from sandbox.kernels.reductions import cosine, norm

BLOCKS = {"W": (0, 6), "b": (6, 9), "U": (9, 20)}


def draw(dtype="float64", seed=5):
    vector = np.random.default_rng(seed).standard_normal(20)
    vector[6:9] *= 0.01
    return vector.astype(dtype)


def named(vector):
    return {name: vector[start:stop] for name, (start, stop) in BLOCKS.items()}


def apply(how, vector, threshold, blocks=BLOCKS):
    """The clipped copy and the report."""
    vector = vector.copy()
    return vector, Clipper(how, threshold, blocks).apply(vector)


# On arrays by name -----------------------------------------------------------------------------------------------


def test_clip_limits_what_it_says_and_keeps_small_gradients_to_the_bit():
    rng = np.random.default_rng(5)
    gradients = {"W": rng.normal(size=(3, 4)), "b": 0.01 * rng.normal(size=4)}
    total = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
    clipped = {how: clip(gradients, 0.5, how) for how in CLIPS}
    assert np.sqrt(sum(np.sum(g**2) for g in clipped["global"].values())) == pytest.approx(0.5, rel=1e-6)
    assert np.linalg.norm(clipped["tensor"]["W"]) == pytest.approx(0.5, rel=1e-6)
    np.testing.assert_array_equal(clipped["tensor"]["b"], gradients["b"])
    np.testing.assert_array_equal(clipped["value"]["W"], np.clip(gradients["W"], -0.5, 0.5))
    for how in CLIPS:
        for name, g in clip(gradients, 2 * total, how).items():
            np.testing.assert_array_equal(g, gradients[name])
    with pytest.raises(ValueError, match="unknown clip 'globl'; did you mean 'global'?"):
        clip(gradients, 1.0, "globl")


def test_clip_reaches_a_norm_that_float32_cannot_scale_by():
    clipped = clip({"W": np.array([2e38], np.float32)}, 1e-10)["W"]
    assert clipped.dtype == np.float32 and clipped[0] == np.float32(1e-10)


# On a flat vector ------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("factor", [1e-3, 0.2, 1.0, 5.0, 1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_oracle_n_norm_after_is_the_smaller_one_and_the_direction_stays(dtype, factor):
    vector = (draw() * factor).astype(dtype)
    clipped, report = apply("global", vector, 1.5)
    before = float(np.sqrt(np.sum(vector.astype(float) ** 2)))
    assert report.before == pytest.approx(before, rel=1e-14) and type(report.before) is float
    assert report.after == pytest.approx(min(before, 1.5), rel=1e-6)
    assert report.after == norm(clipped) and report.clipped == (before > 1.5)
    assert cosine(clipped, vector) == pytest.approx(1, abs=1e-12)
    if before <= 1.5:
        np.testing.assert_array_equal(clipped, vector)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_tensor_is_scaled_by_its_own_norm_and_a_value_by_itself(dtype):
    vector = draw(dtype)
    clipped, report = apply("tensor", vector, 0.5)
    assert report.clipped and report.after == norm(clipped) < report.before
    for name, (start, stop) in BLOCKS.items():
        own = norm(vector[start:stop])
        assert norm(clipped[start:stop]) == pytest.approx(min(own, 0.5), rel=1e-6)
        assert cosine(clipped[start:stop], vector[start:stop]) == pytest.approx(1, abs=1e-12)
        if name == "b":
            np.testing.assert_array_equal(clipped[start:stop], vector[start:stop])
    clipped, report = apply("value", vector, 0.5)
    np.testing.assert_array_equal(clipped, np.clip(vector, -0.5, 0.5))
    assert report == Clipped(float(norm(vector)), float(norm(clipped)), True)


@pytest.mark.plain_python
@pytest.mark.parametrize("how", clipping.NAMES)
def test_what_is_within_the_threshold_is_left_as_it_is(how):
    vector = draw()
    clipped, report = apply(how, vector, 100.0)
    np.testing.assert_array_equal(clipped, vector)
    assert report == Clipped(float(norm(vector)), float(norm(vector)), False)
    zero, report = apply(how, np.zeros(20), 1e-300)
    assert report == Clipped(0.0, 0.0, False) and not zero.any()


def test_none_does_nothing_and_needs_no_threshold():
    for threshold in (None, 1e-3):
        clipped, report = apply("none", draw(), threshold)
        np.testing.assert_array_equal(clipped, draw())
        assert report.before == report.after > 1 and not report.clipped


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("how", CLIPS)
def test_a_flat_vector_has_the_bits_of_its_tensors(how, dtype):
    vector = draw(dtype)
    parts = clip(named(vector), 0.5, how) if how != "global" else clip({"all": vector}, 0.5)
    np.testing.assert_array_equal(apply(how, vector, 0.5)[0], np.concatenate(list(parts.values())))


@pytest.mark.plain_python
@pytest.mark.parametrize("how", ["global", "tensor"])
def test_norms_and_thresholds_of_any_magnitude(how):
    for scale, threshold in (
        (3e307, 1e-300),
        (1e300, 1e-300),
        (1e300, 1e-20),
        (1e-300, 1e-305),
        (5e-324, 1e-323),
        (1e160, 3.0),
    ):
        vector = np.array([3.0, -4.0]) * scale
        clipped, report = apply(how, vector, threshold, {"W": (0, 2)})
        if threshold >= 1e-305:
            assert report.after == pytest.approx(threshold, rel=1e-12)
            np.testing.assert_allclose(clipped, [0.6 * threshold, -0.8 * threshold], rtol=1e-12)
        assert report.clipped and report.before == pytest.approx(5 * scale, rel=1e-12)
    clipped, report = apply(how, np.array([2e38], np.float32), 1e-10, {"W": (0, 1)})
    assert clipped.dtype == np.float32 and clipped[0] == np.float32(1e-10)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("how", clipping.NAMES)
def test_what_is_not_finite_is_left_alone_and_named(how, bad, dtype):
    vector = 100 * draw(dtype)
    vector[7], vector[12] = bad, np.nan
    clipper, spoilt = Clipper(how, 0.5, BLOCKS), vector.copy()
    assert clipper.nonfinite_block(spoilt) == "b"
    report = clipper.apply(spoilt)
    np.testing.assert_array_equal(spoilt, vector)
    assert not report.clipped and np.isnan(report.before) and np.isnan(report.after)
    vector[12] = 1
    report = clipper.apply(vector)
    assert report.before == np.inf if np.isinf(bad) else np.isnan(report.before)
    assert clipper.nonfinite_block(np.zeros(20)) is None
    summary = clipper.summary()
    assert summary["clip_share"] == 0 and all(np.isnan(summary[f"clip_{key}"]) for key in ("p50", "p95", "max"))


def test_the_first_tensor_is_the_first_in_the_vector_whatever_the_order_of_names():
    vector = np.full(20, np.nan)
    assert Clipper("none", None, dict(reversed(BLOCKS.items()))).nonfinite_block(vector) == "W"


# Telemetry -------------------------------------------------------------------------------------------------------


def test_summary_has_quantiles_of_the_finite_norms_and_the_share_of_all_steps():
    clipper = Clipper("global", 4.0, {"W": (0, 1)})
    assert all(np.isnan(value) for value in clipper.summary().values())
    norms = [3.0, 1.0, 7.0, 2.0, np.inf, 5.0, np.nan]
    reports = [clipper.apply(np.array([-value])) for value in norms]
    assert [report.clipped for report in reports] == [False, False, True, False, False, True, False]
    assert [report.after for report in reports[:4]] == [3.0, 1.0, 4.0, 2.0]
    expected = np.quantile([3, 1, 7, 2, 5], [0.5, 0.95, 1])
    assert clipper.summary() == {
        "clip_p50": expected[0], "clip_p95": pytest.approx(expected[1], rel=1e-15), "clip_max": 7.0,
        "clip_share": 2 / 7,
    }  # fmt: skip


def test_a_restored_clipper_goes_on_as_if_nothing_had_happened():
    whole, first, second = (Clipper("value", 0.5, BLOCKS) for _ in range(3))
    for seed in range(6):
        whole.apply(draw(seed=seed))
        (first if seed < 3 else second).apply(draw(seed=seed))
        if seed == 2:
            second.restore(first.state())
    first.apply(draw())  # leaves the copy alone
    assert second.summary() == whole.summary() and whole.summary()["clip_share"] == 1


# Errors ----------------------------------------------------------------------------------------------------------


def test_bad_input_is_one_line():
    def message(function, *arguments):
        with pytest.raises(UsageError) as caught:
            function(*arguments)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert message(Clipper, "globl", 1.0, BLOCKS) == "unknown clip 'globl'; did you mean 'global'?"
    for wrong in (0, -1.0, np.nan, np.inf, "1", True, None):
        assert message(Clipper, "tensor", wrong, BLOCKS).startswith(
            "clipping threshold must be a finite number above 0, got "
        )
    assert "above 0, got -1" in message(Clipper, "none", -1, BLOCKS)
    for gaps in ({"W": (1, 3)}, {"W": (0, 3), "b": (4, 5)}, {"W": (0, 3), "b": (2, 5)}, {"W": (0, 3), "b": (3, 2)}):
        assert "blocks must follow each other without gaps" in message(Clipper, "none", None, gaps)
    clipper = Clipper("global", 1.0, BLOCKS)
    for wrong, got in ((np.ones(19), "float64 (19,)"), (np.ones(20, int), "int64 (20,)"), ([1.0] * 20, "list"),
                       (np.ones((4, 5)), "float64 (4, 5)")):  # fmt: skip
        for function in (clipper.apply, clipper.nonfinite_block):
            assert (
                message(function, wrong) == f"gradient must be a flat float32 or float64 array of 20 numbers, got {got}"
            )


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(clipping)
    assert result.failed == 0 and result.attempted >= 3

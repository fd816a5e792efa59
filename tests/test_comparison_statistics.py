"""The interval, the words and the required number of seeds against scipy, and on simulated comparisons."""

import doctest
import math

import numpy as np
import pytest
from comparison_runs import trials
from scipy import stats

import sandbox.report.statistics
from sandbox.comparison import compare
from sandbox.comparison.verdicts import MOST_SEEDS, WORDS, Margin
from sandbox.report.statistics import EXACT_PAIRS, POWER, detectable_effect, pairs_needed, power


def compared(a, b, **options):
    """The outcome of two arrays (trials, seeds)."""
    (outcome,) = compare(trials(a), trials(b), by=["trial"], metric=["loss"], **options).outcomes
    return outcome


def test_examples_in_docstrings():
    for module in (sandbox.report.statistics, sandbox.comparison.verdicts, sandbox.comparison.matching):
        results = doctest.testmod(module)
        assert results.attempted > 0 and results.failed == 0


@pytest.mark.parametrize("seeds", [2, 3, 5, 20, 300])
def test_the_paired_interval_is_scipys(seeds):
    rng = np.random.default_rng(seeds)
    a = rng.lognormal(size=(40, seeds)) * 10.0 ** rng.integers(-250, 250, (40, 1))
    b = a * (1 + 0.3 * rng.normal(size=a.shape))
    found = compared(a, b)
    for row in range(40):
        scale = 10.0 ** -np.floor(np.log10(a[row].max()))  # scipy squares what it is given
        expected = stats.ttest_rel(b[row] * scale, a[row] * scale).confidence_interval(0.95)
        assert found.low[row] * scale == pytest.approx(expected.low, rel=1e-9, abs=1e-12)
        assert found.high[row] * scale == pytest.approx(expected.high, rel=1e-9, abs=1e-12)
    assert np.allclose(found.difference, (b - a).mean(axis=1), rtol=1e-12, atol=0)
    assert np.allclose(found.a, a.mean(axis=1), rtol=1e-12, atol=0)
    assert np.allclose(found.b, b.mean(axis=1), rtol=1e-12, atol=0)
    assert (found.wins == (b < a).sum(axis=1)).all() and (found.losses == (b > a).sum(axis=1)).all()


def test_power_is_the_upper_tail_of_the_noncentral_t():
    for pairs in (2, 3, 4, 5, 8, 10, 20, 50, 200, 201, 1000):
        critical = stats.t.ppf(0.975, pairs - 1)
        for effect in (0.01, 0.1, 0.3, 1.0, 2.0, 5.0, 12.0):
            expected = stats.nct.sf(critical, pairs - 1, effect * math.sqrt(pairs))
            assert power(effect, pairs) == pytest.approx(expected, abs=1e-9), (effect, pairs)
    assert power(0.0, 7) == pytest.approx(0.025, abs=1e-12)


def exact(effect):
    pairs = 2
    while stats.nct.sf(stats.t.ppf(0.975, pairs - 1), pairs - 1, effect * math.sqrt(pairs)) < POWER:
        pairs += 1
    return pairs


def test_the_required_number_is_the_smallest_with_that_power():
    for effect in np.geomspace(0.2, 20, 60):
        assert pairs_needed(effect) == pairs_needed(-effect) == exact(effect), effect
    for effect in np.geomspace(0.1, 0.199, 8):
        assert abs(pairs_needed(effect) - exact(effect)) <= 1 and pairs_needed(effect) > EXACT_PAIRS - 3


def test_familiar_numbers():
    assert [pairs_needed(d) for d in (0.25, 0.5, 0.8, 1.0, 1.5, 2.0)] == [128, 34, 15, 10, 6, 5]
    assert detectable_effect(10) == pytest.approx(0.9960022, abs=1e-6)


def test_the_required_number_of_the_table_is_that_of_the_function():
    rng = np.random.default_rng(5)
    a = np.zeros((300, 4))
    b = rng.normal(size=(300, 4)) * rng.choice([1, 5, 30], (300, 1)) + rng.normal(size=(300, 1))
    found = compared(a, b)
    words = [WORDS[code] for code in found.verdict]
    assert words.count("inconclusive") > 100 and "better" in words and "worse" in words
    for row, word in enumerate(words):
        expected = pairs_needed(b[row].mean() / b[row].std(ddof=1)) if word == "inconclusive" else 0
        assert found.needed[row] == min(expected, MOST_SEEDS + 1)


def test_the_interval_covers_the_null_95_times_in_100():
    rng = np.random.default_rng(2024)
    common, noise = rng.normal(size=(10_000, 5)) * 3, rng.normal(size=(2, 10_000, 5))
    found = compared(common + noise[0], common + noise[1], same=Margin(0.0))
    covered = np.mean((found.low <= 0) & (found.high >= 0))
    assert abs(covered - 0.95) <= 0.01
    differs = np.mean([WORDS[code] in ("better", "worse") for code in found.verdict])
    assert differs == pytest.approx(1 - covered, abs=1e-12)


def test_pairing_is_what_makes_the_interval_narrow():
    rng = np.random.default_rng(1)
    common, noise = rng.normal(size=(500, 5)) * 30, rng.normal(size=(2, 500, 5))
    found = compared(common + noise[0], common + noise[1] + 4.0)
    apart = compared(common + noise[0], common[:, ::-1] + noise[1] + 4.0)
    assert np.mean(found.low > 0) > 0.8 > 0.2 > np.mean(apart.low > 0)


@pytest.mark.parametrize(
    ("sigma", "seeds", "documented"), [(0.5, 5, 0.92), (1.0, 5, 0.82), (1.0, 20, 0.865), (1.5, 5, 0.68)]
)
def test_skewed_differences_are_covered_as_often_as_the_docs_say(sigma, seeds, documented):
    rng = np.random.default_rng(7)
    differences = rng.lognormal(sigma=sigma, size=(10_000, seeds))
    found = compared(np.zeros_like(differences), differences)
    truth = math.exp(sigma * sigma / 2)
    assert np.mean((found.low <= truth) & (found.high >= truth)) == pytest.approx(documented, abs=0.01)


def test_skew_that_both_runs_have_alike_leaves_the_interval_wide_enough():
    a, b = np.random.default_rng(3).lognormal(sigma=1.0, size=(2, 10_000, 5))
    found = compared(a, b)
    assert np.mean((found.low <= 0) & (found.high >= 0)) == pytest.approx(0.97, abs=0.01)

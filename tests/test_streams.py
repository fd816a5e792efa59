"""Named streams: frozen bits, independence, and the distribution of what is drawn."""

import hashlib

import mpmath
import numpy as np
import pytest
from scipy import special, stats

from sandbox.streams import PURPOSES, normal, stream, uniform

# The first draw of each purpose at seed 7. If one changes, every published table changes.
FIRST = {
    "init": "0x1.d87e31edb4853p-1",
    "data": "0x1.a595d4c1313a8p-3",
    "test": "0x1.35d562384c2d7p-1",
    "dropout": "0x1.0050b59e206dbp-1",
    "order": "0x1.9395218298610p-2",
    "probe": "0x1.811e8bd58ad80p-2",
}


@pytest.mark.plain_python
def test_first_draws_are_frozen():
    assert {purpose: float.hex(stream(purpose, 7).random()) for purpose in PURPOSES} == FIRST


def test_bits_of_normal_draws_are_frozen():
    draws = normal(stream("init", 7), 10_000).astype("<f8")
    assert hashlib.sha256(draws.tobytes()).hexdigest()[:16] == "285863a0d0a99939"


@pytest.mark.plain_python
def test_a_stream_is_decided_by_purpose_and_seed_alone():
    first = stream("data", 3).random(4)
    stream("init", 3).random(100)
    np.testing.assert_array_equal(stream("data", np.int64(3)).random(4), first)
    draws = {float(stream(purpose, seed).random()) for purpose in PURPOSES for seed in range(50)}
    assert len(draws) == 50 * len(PURPOSES)


def test_streams_are_uncorrelated_across_purposes_and_seeds():
    n = 4000
    draws = np.array([stream(purpose, seed).random(n) for purpose in PURPOSES for seed in range(4)])
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(n)


def test_normal_draws_are_standard_normal():
    n = 200_000
    z = normal(stream("probe", 0), n)
    assert stats.kstest(z, "norm").pvalue > 0.01
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs(stats.skew(z)) < 4 * np.sqrt(6 / n)
    assert abs(stats.kurtosis(z)) < 4 * np.sqrt(24 / n)


def test_normal_is_the_quantile_of_the_uniform_draw_half_a_step_up():
    u, z = stream("init", 1).random(20_000), normal(stream("init", 1), 20_000)
    np.testing.assert_allclose(z, special.ndtri(u + 2.0**-54), rtol=1e-12, atol=1e-15)
    with mpmath.workdps(40):
        for k in (*np.argsort(u)[:3], *np.argsort(u)[-3:], *np.argsort(np.abs(z))[:3]):
            p = mpmath.mpf(float(u[k])) + mpmath.mpf(2) ** -54
            exact = mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)
            assert float(z[k]) == pytest.approx(float(exact), rel=1e-14, abs=0)


class Fixed:
    """A generator that always draws one value."""

    def __init__(self, value):
        self.value = value

    def random(self, shape):
        return np.full(shape, self.value)


@pytest.mark.plain_python
def test_the_ends_of_the_uniform_range_stay_finite_and_symmetric():
    low, high = normal(Fixed(0.0), 1)[0], normal(Fixed(1 - 2.0**-53), 1)[0]
    assert low == -high == pytest.approx(float(special.ndtri(2.0**-54)), rel=1e-13, abs=0)
    above, below = normal(Fixed(0.5), 1)[0], normal(Fixed(0.5 - 2.0**-53), 1)[0]
    assert above == -below == pytest.approx(2.0**-54 * np.sqrt(2 * np.pi), rel=1e-14, abs=0)


@pytest.mark.plain_python
def test_shapes_and_ranges():
    rng = stream("order", 0)
    for shape in (5, (2, 3), (2, 1, 3), (0, 4)):
        assert normal(rng, shape).shape == uniform(rng, shape).shape == np.empty(shape).shape
    flat, shaped = normal(stream("data", 0), 6), normal(stream("data", 0), (2, 3))
    np.testing.assert_array_equal(shaped.ravel(), flat)
    draws = uniform(rng, 2000, -3.0, 5.0)
    assert draws.dtype == normal(rng, 3).dtype == np.float64
    assert -3 <= draws.min() < -2.9 and 4.9 < draws.max() < 5


@pytest.mark.plain_python
@pytest.mark.parametrize(
    ("purpose", "seed", "message"),
    [
        ("initt", 0, "unknown stream 'initt'; did you mean 'init'?"),
        ("xyz", 0, "unknown stream 'xyz' (choose from: init, data, test, dropout, order, probe)"),
        ("init", -1, "seed must be a whole number from 0, got -1"),
        ("init", 1.0, "seed must be a whole number from 0, got 1.0"),
        ("init", None, "seed must be a whole number from 0, got None"),
        ("init", True, "seed must be a whole number from 0, got True"),
    ],
)
def test_bad_names_and_seeds(purpose, seed, message):
    with pytest.raises(ValueError) as error:
        stream(purpose, seed)
    assert str(error.value) == message

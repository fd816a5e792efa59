"""Layer normalisation, GELU and positions against naive references, and what they refuse."""

import doctest
import importlib
from unittest import mock

import mpmath
import naive
import naive_attention
import numpy as np
import pytest

from sandbox import threads
from sandbox.errors import UsageError
from sandbox.kernels.reductions import total
from sandbox.layers import LayerNorm, norm
from sandbox.layers.norm import Positions
from sandbox.streams import stream

ROUNDING = {"float64": 1e-13, "float32": 2e-5}
every_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


def draw(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32).astype(dtype)


def randomise(module):
    module.vector[:] = 0.5 * draw(module.vector.size, seed=9)
    return module


def close(actual, expected, tolerance=1e-13):
    assert np.shape(actual) == np.shape(expected)
    assert np.abs(actual - expected).max(initial=0) <= tolerance * max(np.abs(expected).max(initial=0), 1e-300)


def refused(message, function, *arguments, **named):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    assert str(caught.value) == message


@pytest.mark.plain_python
@every_dtype
@pytest.mark.parametrize("shape", [(4, 3, 7), (5, 1), (2, 19), (8,), (0, 3)], ids=str)
def test_gradient_by_every_number(shape, dtype):
    module = randomise(LayerNorm(shape[-1], dtype=dtype))
    x, dy = draw(*shape, dtype=dtype), draw(*shape, seed=5, dtype=dtype)
    given = {name: value.astype(float) for name, value in {**module.parameters, "x": x}.items()}

    def scalar(flat):
        found = naive.unpack(flat, given)
        return (naive_attention.layer_norm(found["x"], found["g"], found["b"]) * dy).sum()

    y = module.forward(x)
    module.gradient[:] = 7
    dx = module.backward(dy)
    assert y.dtype == dx.dtype == dtype
    close(y, naive_attention.layer_norm(given["x"], given["g"], given["b"]), ROUNDING[dtype] / 20)
    wanted = naive.unpack(naive.gradient(scalar, naive.pack(given)), given)
    for name, value in {**module.gradients, "x": dx}.items():
        scale = max(np.abs(wanted[name]).max(initial=0), 1e-3)  # of one number the gradient is nothing but rounding
        assert np.abs(value - wanted[name]).max(initial=0) <= ROUNDING[dtype] / 10 * scale


@pytest.mark.plain_python
@every_dtype
def test_layer_norm_in_segments_from_the_end_is_the_whole(dtype):
    module = randomise(LayerNorm(5, dtype=dtype))
    x, dy = draw(40, 2, 5, dtype=dtype), draw(40, 2, 5, seed=5, dtype=dtype)
    y, dx = module.forward(x), module.backward(dy)
    whole = module.gradient.copy()
    for number, part in enumerate((slice(30, 40), slice(7, 30), slice(7))):
        np.testing.assert_array_equal(module.forward(x[part]), y[part])
        np.testing.assert_array_equal(module.backward(dy[part], accumulate=number > 0), dx[part])
    np.testing.assert_array_equal(module.gradient, whole)


@pytest.mark.plain_python
def test_layer_norm_of_large_and_of_equal_numbers():
    module = LayerNorm(4, dtype="float32")
    close(module.forward(np.array([[4097, 4096, 4098, 4097]], np.float32)), [[0, -1.41420, 1.41420, 0]], 1e-4)
    np.testing.assert_array_equal(module.forward(np.full((2, 4), 3, np.float32)), 0)


@pytest.mark.plain_python
def test_layer_norm_by_three_threads():
    """Rows and columns that no thread has as many of as the other."""
    module, x, dy = randomise(LayerNorm(70)), draw(130, 70), draw(130, 70, seed=5)
    with mock.patch.multiple(threads, WORTH=1, _chosen=3):
        close(module.forward(x), naive_attention.layer_norm(x, **module.parameters))
        module.backward(dy)
    close(module.gradients["g"], (dy * naive_attention.layer_norm(x, 1, 0)).sum(0))
    close(module.gradients["b"], dy.sum(0))


@pytest.mark.plain_python
def test_sums_are_those_of_the_reductions():
    """Eight chains, bit by bit."""
    for size in (1, 8, 17, 100):
        x = np.random.default_rng(size).standard_normal(size)
        module = LayerNorm(size)
        module.forward(x[None])
        assert module._pass[1][0] == total(x) / size


def test_threads_change_no_bit_between_the_products():
    module, x, dy = randomise(LayerNorm(130)), draw(200, 130), draw(200, 130, seed=5)
    found = []
    for number in (1, 2, 3):
        with mock.patch.multiple(threads, WORTH=1, _chosen=number):
            found.append((module.forward(x), module.backward(dy), module.gradient.copy(), norm.gelu(x),
                          norm.gelu_backward(dy, x)))  # fmt: skip
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.plain_python
@every_dtype
def test_gelu_and_its_derivative(dtype):
    x = np.linspace(-6, 6, 97).reshape(97, 1).astype(dtype)
    wide = x.astype(float)
    close(norm.gelu(x), naive_attention.gelu(wide), ROUNDING[dtype] / 20)
    along = naive_attention.gelu(wide + 1e-30j).imag / 1e-30
    dy = draw(*x.shape, dtype=dtype)
    found = norm.gelu_backward(dy, x)
    close(found, dy * along, ROUNDING[dtype] / 20)
    assert found.dtype == norm.gelu(x).dtype == dtype
    exact = [float(value * mpmath.ncdf(value)) for value in wide.ravel()]
    assert 1e-4 < np.abs(norm.gelu(x).ravel() - exact).max() < 5e-4
    small = norm.gelu(np.array([-10.0]))[0]  # 1 + tanh would be 0 there
    z = -10 * mpmath.sqrt(2 / mpmath.pi) * (1 + mpmath.mpf("4.4715"))
    assert abs(small / float(-10 / (1 + mpmath.exp(-2 * z))) - 1) < 1e-13


@pytest.mark.plain_python
@pytest.mark.parametrize("size", [1, 5, 8])
def test_sines_of_positions(size):
    close(norm.sines(300, size), naive_attention.sines(300, size), 1e-12)
    assert norm.sines(3, size, "float32").dtype == np.float32


@pytest.mark.plain_python
@every_dtype
def test_positions_start_where_each_row_does(dtype):
    starts, y = np.array([0, 7, 2]), draw(4, 3, 5, dtype=dtype)
    for module in (Positions(5, dtype=dtype), Positions(5, 11, rng=stream("init", 0), dtype=dtype)):
        table = module.parameters.get("W", naive_attention.sines(11, 5).astype(dtype))
        found = y.copy()
        module.forward(found, np.zeros(3, int))
        close(found, y + table[:4, None], ROUNDING[dtype] / 20)
        found = y.copy()
        module.forward(found, starts)
        close(found, y + table[starts + np.arange(4)[:, None]], ROUNDING[dtype] / 20)
        module.backward(draw(4, 3, 5, dtype=dtype))
    dy, wanted = draw(4, 3, 5, seed=5, dtype=dtype), np.zeros((11, 5))
    np.add.at(wanted, starts + np.arange(4)[:, None], dy.astype(float))
    module.backward(dy)
    module.backward(dy, accumulate=True)
    close(module.gradients["W"], 2 * wanted, ROUNDING[dtype] / 20)
    module.backward(dy)
    close(module.gradients["W"], wanted, ROUNDING[dtype] / 20)
    refused(
        "x must have at most 11 steps, as many as there are learned positions, got 12", module.forward, y, starts + 1
    )


@pytest.mark.plain_python
def test_what_is_refused():
    module = LayerNorm(3)
    refused("backward must follow a forward pass, got none", module.backward, np.ones((2, 3)))
    refused("x must be float64 of shape (2, 3), got float64 of shape (2, 4)", module.forward, np.ones((2, 4)))
    module.forward(np.ones((2, 3)))
    refused("dy must have 2 rows, as the last x, got 3", module.backward, np.ones((3, 3)))
    module.backward(np.ones((2, 3)))
    refused("backward must follow a forward pass, got none", module.backward, np.ones((2, 3)))
    refused("size must be a whole number from 1, got 0", LayerNorm, 0)
    refused("size must be a whole number from 1, got 0", Positions, 0)
    refused("length must be a whole number from 1, got 0", Positions, 2, 0)


def test_the_examples():
    result = doctest.testmod(importlib.import_module("sandbox.layers.norm"))
    assert result.attempted and not result.failed

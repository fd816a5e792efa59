"""Exact facts of the theory, each with its tolerance: what a gradient must be when the network is simple enough.

Everything goes through `Layer`: the loop, the cell and the layer around them, not a formula of their own.
"""

import numpy as np
import pytest

from sandbox.kernels.linalg import spectral_radius
from sandbox.layers import Layer
from sandbox.streams import stream

LN2 = np.log(2.0)


def jacobians(layer, x, start=None, state="h", **arguments):
    """d s_T / d s_t for all t of one sequence x (T, D): (mantissas (T + 1, H, H), exponents (T + 1, H)).

    Row i of matrix t is the gradient of unit i after T steps: a batch of copies of x, each with another last gradient.
    """
    H = layer.hidden_size
    batch = np.ascontiguousarray(np.repeat(x[:, None], H, 1))
    run = layer.forward(batch, None if start is None else {state: np.repeat(start[None], H, 0)})
    found = layer.backward(dstates={state: np.eye(H)}, every_state=True, log_scale=True)
    return found.states[state], found.exponents, run


def log_singular_values(mantissas, exponents):
    """ln of the singular values of diag(2^exponents) mantissas, without under- or overflow."""
    common = exponents.max()
    scaled = np.ldexp(mantissas, (exponents - common)[:, None])
    return np.log(np.linalg.svd(scaled, compute_uv=False)) + common * LN2


def norm(matrix):
    return np.linalg.norm(matrix, 2)


# a. Orthogonal linear recurrence ---------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [0.25, 0.8, 1.0, 1.25, 4.0])
def test_a_orthogonal_linear_recurrence(gain):
    """h <- h gQ: every singular value of the Jacobian over t steps is g^t; ln to 1e-10, t up to 1000."""
    T, H = 1000, 8
    layer = Layer("rnn", 1, H, rng=stream("init", 0), init="orthogonal", gain=gain, activation="identity")
    mantissas, exponents, _ = jacobians(layer, np.random.default_rng(0).standard_normal((T, 1)))
    for t in (1, 2, 10, 100, 999, 1000):
        logs = log_singular_values(mantissas[T - t], exponents[T - t])
        np.testing.assert_allclose(logs, t * np.log(gain), rtol=0, atol=1e-10)


@pytest.mark.plain_python
def test_a_any_vector_shrinks_by_the_gain_each_step():
    """||dL/dh_t|| = g^(T-t) ||v|| for every v, whatever the input: rate = gain to 1e-10, H = 33."""
    T, B, H, gain = 60, 4, 33, 0.8
    rng = np.random.default_rng(0)
    layer = Layer("rnn", 2, H, rng=stream("init", 3), init="orthogonal", gain=gain, activation="identity")
    layer.forward(rng.standard_normal((T, B, 2)))
    v = rng.standard_normal((B, H))
    states = layer.backward(dstates={"h": v}, every_state=True).states["h"]
    norms = np.linalg.norm(states, axis=-1)
    lag = np.arange(T, -1, -1)
    np.testing.assert_allclose(norms, gain ** lag[:, None] * np.linalg.norm(v, axis=-1), rtol=1e-10)
    slope = np.polyfit(lag, np.log(norms[:, 0]), 1)[0]
    assert abs(np.exp(slope) - gain) < 1e-10


# d. LSTM with zero weights ---------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("bias, memory", [(0, 1.44), (1, 3.19), (2, 7.88), (3, 20.6), (4, 55.1), (5, 148.9)])
def test_d_lstm_with_zero_weights_forgets_by_its_bias(bias, memory):
    """dc_t/dc_0 = f^t, f = sigmoid(b_f): relative 1e-13 at t <= 200; memory time -1/ln f to the digits given."""
    T, H = 200, 2
    layer = Layer("lstm", 1, H, rng=stream("init", 0), init="zeros", input_init="zeros", forget_bias=bias)
    run = layer.forward(np.random.default_rng(0).standard_normal((T, 1, 1)), {"c": np.ones((1, H))})
    f, t = 1 / (1 + np.exp(-float(bias))), np.arange(T + 1)
    np.testing.assert_allclose(run.gates["f"], f, rtol=1e-15)
    np.testing.assert_allclose(run.states["c"][:, 0, 0], f**t, rtol=1e-13)
    found = layer.backward(dstates={"c": np.array([[1.0, -2.0]])}, every_state=True).states
    np.testing.assert_allclose(found["c"][::-1, 0], np.outer(f**t, [1.0, -2.0]), rtol=1e-13)
    assert not found["h"].any()  # nothing flows through zero weights
    measured = -1 / np.log(found["c"][T - 1, 0, 0])
    digits = len(str(memory).split(".")[1])
    assert round(measured, digits) == memory


# e. GRU with zero weights ----------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("bias", [-3.0, -1.0, 0.0, 1.0, 3.0])
def test_e_gru_with_zero_weights_keeps_z(bias):
    """dh_t/dh_0 = z^t, z = sigmoid(b_z): PyTorch's convention, z near 1 keeps the past. The 2014 paper has (1-z)^t."""
    T, H = 100, 3
    layer = Layer("gru", 1, H, rng=stream("init", 0), init="zeros", input_init="zeros")
    layer.parameters["b"][H : 2 * H] = bias  # gate order r z n
    run = layer.forward(np.random.default_rng(0).standard_normal((T, 1, 1)))
    z, t = 1 / (1 + np.exp(-bias)), np.arange(T + 1)
    np.testing.assert_allclose(run.gates["z"], z, rtol=1e-15)
    found = layer.backward(dstates={"h": np.ones((1, H))}, every_state=True).states["h"][::-1, 0]
    np.testing.assert_allclose(found, np.outer(z**t, np.ones(H)), rtol=1e-13)
    if bias:
        assert not np.allclose(found[1], 1 - z)


# f. tanh RNN -----------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_f_no_jacobian_exceeds_the_power_of_the_largest_singular_value(activation, gain):
    """||dh_T/dh_k|| <= sigma_max(W)^(T-k), for phi' <= 1; relative 1e-12 for rounding."""
    T, H = 12, 6
    for seed in range(5):
        layer = Layer("rnn", 2, H, rng=stream("init", seed), init="gaussian", gain=gain, activation=activation)
        largest = norm(layer.parameters["W_hh"])
        mantissas, exponents, _ = jacobians(layer, np.random.default_rng(seed).standard_normal((T, 2)))
        norms = [norm(np.ldexp(m, e[:, None])) for m, e in zip(mantissas[::-1], exponents[::-1])]
        assert (np.array(norms) <= largest ** np.arange(T + 1) * (1 + 1e-12)).all()
        np.testing.assert_allclose(norms[0], 1, rtol=1e-14)
        if activation == "identity":  # and the bound is not far away: one step reaches it
            np.testing.assert_allclose(norms[1], largest, rtol=1e-12)


@pytest.mark.plain_python
def test_f_at_rest_a_tanh_network_is_its_matrix():
    """At h = 0, x = 0: dh_t/dh_0 = W^t; relative to the largest entry 1e-13."""
    T, H = 20, 7
    layer = Layer("rnn", 2, H, rng=stream("init", 0), init="gaussian", gain=1.2, activation="tanh")
    mantissas, exponents, run = jacobians(layer, np.zeros((T, 2)))
    assert not run.y.any()
    for t in range(T + 1):
        expected = np.linalg.matrix_power(layer.parameters["W_hh"], t).T  # row i: gradient of unit i
        error = np.abs(np.ldexp(mantissas[T - t], exponents[T - t][:, None]) - expected).max()
        assert error <= 1e-13 * np.abs(expected).max()


@pytest.mark.plain_python
def test_f_a_small_spectral_radius_does_not_keep_a_gradient_small():
    """W = 0.9 I + 2 N is not normal: radius 0.9, yet the gradient grows a hundredfold before it vanishes."""
    T, H = 600, 4
    layer = Layer("rnn", 1, H, rng=stream("init", 0), activation="tanh")
    layer.parameters["W_hh"][:] = 0.9 * np.eye(H) + 2 * np.eye(H, k=1)
    assert spectral_radius(layer.parameters["W_hh"]) == pytest.approx(0.9, abs=1e-3)
    mantissas, exponents, _ = jacobians(layer, np.zeros((T, 1)))
    norms = np.array([norm(np.ldexp(m, e[:, None])) for m, e in zip(mantissas[::-1], exponents[::-1])])
    peak = norms.argmax()
    assert norms.max() > 100 and 5 < peak < 100
    assert norms[-1] < 1e-12
    t = np.arange(T + 1.0)  # the corner of W^t: (t over 3) 2^3 0.9^(t - 3)
    corner = t * (t - 1) * (t - 2) / 6 * 8 * 0.9 ** (t - 3)
    np.testing.assert_allclose(np.ldexp(mantissas, exponents[:, :, None])[::-1, 3, 0], corner, rtol=1e-12)


# j. Initial gain -------------------------------------------------------------------------------------------------


def growth(layer, steps):
    """Factor per step by which a linear network's gradient grows: root mean square over unit vectors, one step, and
    the geometric mean over many."""
    H = layer.hidden_size
    mantissas, exponents, _ = jacobians(layer, np.zeros((steps, layer.input_size)))
    one = np.linalg.norm(np.ldexp(mantissas[-2], exponents[-2][:, None])) / np.sqrt(H)
    norms = np.log(np.linalg.norm(mantissas[0], axis=1)) + exponents[0] * LN2
    return one, np.exp(norms.mean() / steps)


@pytest.mark.parametrize("init, gain, H, expected", [
    ("glorot", 1.0, 400, 1.0),
    ("pytorch", 1.0, 400, 1 / np.sqrt(3)),
    ("gaussian", 1.0, 400, 1.0),
    ("gaussian", 0.1 * np.sqrt(400), 400, 2.0),
])  # fmt: skip
def test_j_initial_gain(init, gain, H, expected):
    """One step: root mean square 1 %. Spectral radius: 8 %, its spread at H = 400. Thirty steps: between the two."""
    layer = Layer("rnn", 1, H, rng=stream("init", 0), init=init, gain=gain, activation="identity")
    one, many = growth(layer, 30)
    assert one == pytest.approx(expected, rel=0.01)
    assert spectral_radius(layer.parameters["W_hh"]) == pytest.approx(expected, rel=0.08)
    assert many == pytest.approx(expected, rel=0.08)


def test_j_gain_of_pascanus_initialisation():
    """N(0, .1) with .1 the standard deviation at H = 50 is a gain of .1 sqrt(50) = .707: 1 % over 40 seeds."""
    H, deviation = 50, 0.1
    draw = {"init": "gaussian", "gain": deviation * np.sqrt(H), "activation": "identity"}
    layers = [Layer("rnn", 1, H, rng=stream("init", seed), **draw) for seed in range(40)]
    weights = np.stack([layer.parameters["W_hh"] for layer in layers])
    assert weights.std() == pytest.approx(deviation, rel=0.01)
    assert np.mean([growth(layer, 1)[0] for layer in layers]) == pytest.approx(0.7071, rel=0.01)


@pytest.mark.plain_python
def test_j_orthogonal_and_identity_have_gain_one_exactly():
    for init in ("orthogonal", "identity"):
        layer = Layer("rnn", 1, 12, rng=stream("init", 0), init=init, activation="identity")
        assert growth(layer, 5) == pytest.approx((1, 1), abs=1e-14)
    default = Layer("rnn", 1, 100, rng=stream("init", 0), init="pytorch", activation="identity")
    assert (1 / np.sqrt(3)) ** 100 == pytest.approx(1.4e-24, rel=0.02)
    assert abs(default.parameters["W_hh"]).max() <= 1 / np.sqrt(100)

"""What the cells other than LSTM and GRU are known for, as exact facts or with a stated tolerance."""

import numpy as np
import pytest

from sandbox import cells
from sandbox.errors import UsageError
from sandbox.layers import Layer
from sandbox.streams import stream


def layer(cell, H, D=1, dtype="float64", **options):
    return Layer(cell, D, H, rng=stream("init", 0), dtype=dtype, **options)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def start_gradients(made, x, last, state="h"):
    """dL/dh_t for every t of L = last . h_T."""
    made.forward(x)
    return made.backward(dstates={state: last}, every_state=True).states


# Linear and diagonal ---------------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_lru_forgets_by_powers_of_lambda():
    """Oracle i: dh_t / dh_0 = lambda^t, complex, relative 1e-12 at t = 50."""
    T, H = 50, 4
    made = layer("lru", H)
    w = made.weights
    power = (w["lambda_re"] + 1j * w["lambda_im"]) ** T
    one, none = np.ones((1, H)), np.zeros((1, H))
    run = made.forward(np.zeros((T, 1, 1)), {"h": one, "h_im": none})
    np.testing.assert_allclose(run.states["h"][T, 0] + 1j * run.states["h_im"][T, 0], power, rtol=1e-12)
    found = made.backward(dstates={"h": one, "h_im": none}).start
    np.testing.assert_allclose(found["h"][0] - 1j * found["h_im"][0], power, rtol=1e-12)


@pytest.mark.plain_python
def test_lru_starts_inside_its_ring_with_the_phase_asked_for():
    made = layer("lru", 400, r_min=0.5, r_max=0.8, max_phase=0.3)
    value = made.weights["lambda_re"] + 1j * made.weights["lambda_im"]
    assert 0.5 <= abs(value).min() < 0.51 and 0.79 < abs(value).max() <= 0.8
    assert 0 < np.angle(value).min() < 0.01 and 0.29 < np.angle(value).max() <= 0.3
    outer = (abs(value) > np.sqrt((0.25 + 0.64) / 2)).mean()
    assert abs(outer - 0.5) < 0.075  # uniform over the area: three standard deviations
    np.testing.assert_allclose(made.weights["gamma"], np.sqrt(1 - abs(value) ** 2), rtol=1e-13)


def test_lru_keeps_the_power_of_white_input():
    """Oracle i: E|B x|^2 = 1 makes E|h|^2 = 1; 0.5 % is three standard deviations here."""
    H = 32
    made = layer("lru", H, D=2 * H, r_min=0.3, r_max=0.9)
    made.parameters["W_ih"][:] = np.eye(2 * H) * np.sqrt(0.5)
    run = made.forward(draw(2000, 16, 2 * H))
    power = (run.y[200:] ** 2).sum(axis=2) / H
    assert abs(power.mean() - 1) < 0.005


def test_lru_in_float32_has_nearly_the_weights_of_float64():
    made = layer("lru", 64)
    single = made.astype("float32")
    single.refresh()
    for name in ("lambda_re", "lambda_im", "gamma"):  # the phase is up to 2 pi: an error of 2e-7 before, of 1e-6 after
        np.testing.assert_allclose(single.weights[name], made.weights[name], rtol=0, atol=2e-6)


@pytest.mark.plain_python
def test_lru_has_no_bias_and_both_parts_as_its_output():
    made = layer("lru", 3, D=2)
    assert list(made.parameters) == ["W_ih", "nu", "theta", "log_gamma"]
    run = made.forward(draw(4, 2, 2))
    np.testing.assert_array_equal(run.y, np.concatenate([run.states["h"][1:], run.states["h_im"][1:]], axis=2))
    np.testing.assert_allclose(run.gates["re"], draw(4, 2, 2) @ made.parameters["W_ih"][:, :3], rtol=1e-14)


@pytest.mark.plain_python
def test_indrnn_forgets_by_powers_of_its_weights():
    """relu, all positive: dh_T / dh_0 = u^T in every unit, and no unit sees another."""
    made = layer("indrnn", 6)
    made.parameters["W_ih"][:] = 1.0
    u = made.parameters["u"]
    assert (u >= 0).all() and (u < 1).all() and u.std() > 0.1
    found = start_gradients(made, np.ones((30, 1, 1)), np.ones((1, 6)))["h"]
    np.testing.assert_allclose(found[0, 0], u**30, rtol=1e-13)


# Orthogonal and antisymmetric ------------------------------------------------------------------------------------


def orthogonality(W):
    return np.abs(W.astype("float64") @ W.astype("float64").T - np.eye(len(W))).max()


def test_w_stays_orthogonal_after_100_gradient_steps():
    made, rng = layer("orthogonal", 48), np.random.default_rng(0)
    before = made.weights["W_hh"].copy()
    for _ in range(100):
        made.forward(rng.standard_normal((5, 2, 1)))
        made.backward(rng.standard_normal((5, 2, 48)))
        made.vector -= 0.1 * made.gradient
        made.refresh()
        assert orthogonality(made.weights["W_hh"]) < 1e-13
    assert np.abs(made.weights["W_hh"] - before).max() > 0.1
    single = made.astype("float32")
    single.refresh()
    np.testing.assert_allclose(single.weights["W_hh"], made.weights["W_hh"], rtol=0, atol=1e-6)
    assert orthogonality(single.weights["W_hh"]) < 1e-6


@pytest.mark.plain_python
def test_orthogonal_keeps_every_gradient_as_it_is():
    """Linear: ||dL/dh_t|| = ||v|| for all t, to 1e-13; rotations by angles below pi / 2 at the start."""
    made = layer("orthogonal", 7, activation="identity")
    eigenvalues = np.linalg.eigvals(made.weights["W_hh"])
    assert orthogonality(made.weights["W_hh"]) < 1e-14
    assert (eigenvalues.real > 0).all() and (abs(eigenvalues.imag) > 1e-3).sum() == 6
    v = draw(2, 7)
    found = start_gradients(made, draw(40, 2, 1), v)["h"]
    np.testing.assert_allclose(np.linalg.norm(found, axis=2), np.tile(np.linalg.norm(v, axis=1), (41, 1)), rtol=1e-13)


@pytest.mark.plain_python
def test_modrelu_keeps_the_sign_and_shifts_the_magnitude():
    made = layer("orthogonal", 5)
    made.parameters["W_ih"][:] = [[2.0, -2.0, 0.5, -0.5, 0.0]]
    for bias, expected in ((-1.0, [1.0, -1.0, 0.0, 0.0, 0.0]), (1.0, [3.0, -3.0, 1.5, -1.5, 0.0])):
        made.parameters["b"][:] = bias
        y = made.forward(np.ones((1, 1, 1))).y[0, 0]
        np.testing.assert_array_equal(y, expected)
        made.backward(np.ones((1, 1, 5)))
        np.testing.assert_array_equal(made.gradients["b"], np.sign(expected))
    assert np.isnan(made.forward(np.full((1, 1, 1), np.nan)).y).all()


@pytest.mark.plain_python
def test_antisymmetric_has_imaginary_eigenvalues_but_for_its_damping():
    made = layer("antisymmetric", 8, gamma=0.125, sigma=3.0)
    W = made.weights["W_hh"]
    np.testing.assert_array_equal(W + W.T, -0.25 * np.eye(8))
    np.testing.assert_allclose(np.linalg.eigvals(W).real, -0.125, atol=1e-13)
    assert abs(made.parameters["M"].std() * np.sqrt(8) - 3) < 0.8
    still = layer("antisymmetric", 8, sigma=0.0, gamma=0.0)
    found = start_gradients(still, draw(20, 2, 1), draw(2, 8))["h"]
    np.testing.assert_array_equal(found, np.tile(draw(2, 8), (21, 1, 1)))  # h is an integral: nothing fades


# Leaky and gated -------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("tau", [1.25, 2.0, 100.0])
def test_ctrnn_forgets_by_its_time_constant(tau):
    """Without weights dh_T / dh_0 = (1 - 1 / tau)^T, relative 1e-13."""
    made = layer("ctrnn", 3, init="zeros", tau=tau)
    np.testing.assert_allclose(1 / made.weights["a"], tau, rtol=1e-14)
    found = start_gradients(made, draw(30, 1, 1), np.ones((1, 3)))["h"]
    np.testing.assert_allclose(found[0], (1 - 1 / tau) ** 30, rtol=1e-13)


@pytest.mark.plain_python
def test_lem_of_zeros_forgets_by_half_its_step():
    """dh_T / dh_0 = dc_T / dc_0 = (1 - dt / 2)^T, relative 1e-13."""
    for dt in (1.0, 0.1):
        made = layer("lem", 3, init="zeros", input_init="zeros", dt=dt)
        for state in ("h", "c"):
            found = start_gradients(made, draw(30, 1, 1), np.ones((1, 3)), state)[state]
            np.testing.assert_allclose(found[0], (1 - dt / 2) ** 30, rtol=1e-13)


@pytest.mark.plain_python
def test_lem_has_no_zoneout_because_its_states_meet_in_one_step():
    with pytest.raises(UsageError, match="zoneout must be 0 for cell lem, whose states meet in one step, got 0.1"):
        Layer("lem", 1, 2, rng=stream("init", 0), zoneout=0.1, noise=stream("dropout", 0))


@pytest.mark.plain_python
def test_chrono_spreads_the_steps_of_lem_and_the_gate_of_minimalrnn():
    for name, columns in (("lem", {"a": -1, "s": -1}), ("minimalrnn", {"u": 1})):
        made = layer(name, 50, chrono=100, init="zeros", input_init="zeros")
        run = made.forward(np.zeros((1, 1, 1)))
        for column, sign in columns.items():
            kept = run.gates[column][0, 0] if sign > 0 else 1 - run.gates[column][0, 0]
            times = kept / (1 - kept)  # f = u / (1 + u) with u ~ U[1, 99]
            assert 1 <= times.min() < 20 and 80 < times.max() <= 99


def test_minimalrnn_at_the_point_where_mean_field_theory_has_chi_near_1():
    """Oracle g: sw 6.88, sv 1.39, E z^2 = .46, no bias: chi = .9988 if h, u and W are independent. Measured 1.025."""
    H, T, tail = 500, 200, 100
    made = layer("minimalrnn", H, D=H, init="zeros", input_init="zeros")
    made.parameters["W_ih"][:] = np.eye(H)
    made.parameters["W_hh"][:] = 6.88 / np.sqrt(H) * draw(H, H)
    made.parameters["W_zu"][:] = 1.39 / np.sqrt(H) * draw(H, H, seed=1)
    x = np.arctanh(np.sqrt(0.46)) * np.sign(draw(T, 8, H, seed=2))
    norms = np.linalg.norm(start_gradients(made, x, draw(8, H, seed=3))["h"], axis=2)
    chi = np.exp(2 / tail * np.log(norms[T - tail] / norms[T]).mean())
    assert abs(chi - 0.9988) < 0.05


# Options ---------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("text, message", [
    ("ctrnn:tau=1", "tau must be a finite number above 1, got 1"),
    ("lem:dt=0", "dt must be a finite number above 0, got 0"),
    ("lem:dt=", "dt must be a finite number above 0, got nothing"),
    ("lem:dt=inf", "dt must be a finite number above 0, got inf"),
    ("lru:r_min=-0.1", "r_min must be a finite number from 0 below 1, got -0.1"),
    ("lru:r_max=1", "r_max must be a finite number above 0 below 1, got 1"),
    ("lru:max_phase=nan", "max_phase must be a finite number above 0, got nan"),
    ("antisymmetric:epsilon=0", "epsilon must be a finite number above 0, got 0"),
    ("antisymmetric:gamma=-1", "gamma must be a finite number from 0, got -1"),
    ("lstm:forget_bias=x", "forget_bias must be a finite number, got x"),
])  # fmt: skip
def test_numbers_out_of_bounds_are_one_line(text, message):
    with pytest.raises(UsageError) as error:
        cells.parse(text)
    assert str(error.value) == message
    assert cells.parse("lru:r_min=0")[1] == {"r_min": 0.0}


@pytest.mark.plain_python
@pytest.mark.parametrize("cell, options, message", [
    ("lru:r_min=0.9:r_max=0.5", {}, "r_min must be at most r_max=0.5, got 0.9"),
    ("lstm1997:bias=none:input_bias=-3", {},
     "bias must be all or gates where input_bias or output_bias is not 0, got none"),
    ("rnn:relu", {"activation": "tanh"}, "activation of cell rnn must be given once, got relu and tanh"),
])  # fmt: skip
def test_options_that_contradict_each_other_are_one_line(cell, options, message):
    with pytest.raises(UsageError) as error:
        Layer(cell, 2, 4, rng=stream("init", 0), **options)
    assert str(error.value) == message
    assert Layer("lru:r_min=0.5:r_max=0.5", 2, 4, rng=stream("init", 0)).parameters["nu"].size == 4

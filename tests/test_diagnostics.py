"""Diagnostics against slow, obvious references in NumPy."""

import numpy as np
import pytest

from sandbox import cells, tasks
from sandbox.diagnostics.cliff import loss_along_gradient
from sandbox.diagnostics.clipping import clip_cosines
from sandbox.diagnostics.exact import exact_rates, upper_rate
from sandbox.diagnostics.gates import gate_means, input_drive, memory_times
from sandbox.diagnostics.gradients import first_lags, fit_rate, gradient_profile, probe, weight_shares
from sandbox.diagnostics.precision import float32_limits, nonfinite_status
from sandbox.diagnostics.spectrum import recurrent_spectrum
from sandbox.layers import Layer
from sandbox.streams import stream
from sandbox.training import model_for

T, B, D, H = 7, 3, 2, 5
pytestmark = pytest.mark.plain_python


def network(cell="lstm", gain=1.0, **keywords):
    layer = Layer(cell, D, H, rng=stream("init", 3), gain=gain, **keywords)
    x = np.random.default_rng(0).normal(size=(T, B, D)).astype(layer.dtype)
    return layer, x, probe(stream("probe", 3), B, H, layer.dtype)


def test_probe_vectors_have_length_one_and_differ():
    v = probe(stream("probe", 0), 4, 9)
    np.testing.assert_allclose(np.linalg.norm(v, axis=1), 1, rtol=1e-14)
    assert abs(v[0] @ v[1]) < 0.99
    assert probe(stream("probe", 0), 4, 9, "float32").dtype == np.float32


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_profile_is_the_mean_log_norm_of_a_plain_backward_pass(cell):
    layer, x, v = network(cell)
    profile = gradient_profile(layer, x, v)
    states = layer.backward(dstates={"h": v}, every_state=True).states
    assert list(profile.lag) == list(range(T + 1))
    for name, rows in states.items():
        with np.errstate(divide="ignore"):
            expected = np.log(np.linalg.norm(rows, axis=2)).mean(axis=1)[::-1]
        np.testing.assert_allclose(profile.ln_norm[name], expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(profile.log10(name), expected / np.log(10), rtol=1e-12, atol=1e-13)


def test_profile_goes_on_where_a_plain_pass_is_at_zero():
    layer = Layer("rnn:identity", 1, 4, rng=stream("init", 0), gain=1e-3)
    profile = gradient_profile(layer, np.zeros((1000, 1, 1)), probe(stream("probe", 0), 1, 4))
    assert profile.log10()[1000] == pytest.approx(-3000, abs=1e-9)
    assert profile.rate().rate == pytest.approx(1e-3, rel=1e-12)
    assert profile.rate().half_life == pytest.approx(np.log(2) / np.log(1000), rel=1e-12)


def test_fit_agrees_with_polyfit_and_reports_its_quality():
    lag, noise = np.arange(20), np.random.default_rng(1).normal(size=20)
    ln_norm = 1 - 0.3 * lag + 0.2 * noise
    slope = np.polyfit(lag, ln_norm, 1)[0]
    rate = fit_rate(lag, ln_norm)
    assert rate.rate == pytest.approx(np.exp(slope), rel=1e-12)
    assert rate.half_life == pytest.approx(np.log(2) / -slope, rel=1e-12)
    assert rate.r_squared == pytest.approx(np.corrcoef(lag, ln_norm)[0, 1] ** 2, rel=1e-12)


def test_a_dead_sequence_is_counted_and_does_not_hide_the_living():
    layer = Layer("rnn:relu", 1, 4, rng=stream("init", 0), gain=0.5)
    layer.parameters["b"][:] = 1.0
    x, v = np.zeros((9, 2, 1)), probe(stream("probe", 0), 2, 4)
    layer.parameters["W_ih"][:] = 1.0
    x[4, 1] = -100.0  # every unit of the second sequence is off at step 5
    profile = gradient_profile(layer, x, v)
    assert list(profile.alive["h"]) == [1.0] * 5 + [0.5] * 5
    alone = gradient_profile(layer, x[:, :1].copy(), v[:1])
    np.testing.assert_allclose(profile.ln_norm["h"][5:], alone.ln_norm["h"][5:], rtol=1e-14)
    assert profile.rate().lags == 9 and profile.rate().rate > 0
    assert profile.rate().columns()["rate_lags"] == 9


def test_input_drive_is_the_rms_of_what_the_input_adds():
    layer, x, _ = network("gru")
    expected = np.sqrt(np.mean((x @ layer.parameters["W_ih"]) ** 2))
    assert input_drive(layer, x) == pytest.approx(expected, rel=1e-13)


def test_fit_of_the_special_cases():
    lag = np.arange(5)
    assert fit_rate(lag, np.full(5, -np.inf)).columns("_c")["rate_c"] == 0.0
    assert fit_rate(lag, np.full(5, 2.0)).half_life == np.inf
    assert np.isnan(fit_rate(lag[:1], np.zeros(1)).rate)
    assert fit_rate(lag, 2.0 + 1e-9 * lag).half_life == np.inf  # rounding of a float32 pass
    holed = np.where(lag == 2, -np.inf, -0.5 * lag)
    assert fit_rate(lag, holed).rate == pytest.approx(np.exp(-0.5), rel=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_weight_shares_are_projections_on_the_whole_gradient(cell):
    layer, x, v = network(cell)
    layer.forward(x)
    gradients = layer.backward(dstates={"h": v}, keep_tape=True)
    whole = gradients.parameters["W_hh"]
    h, dz = layer.last.states["h"], gradients.z.reshape(T, B, -1)[:, :, -whole.shape[1] :]
    expected = [np.sum((h[t].T @ dz[t]) * whole) / np.sum(whole**2) for t in range(T)]
    shares = weight_shares(layer, gradients)
    np.testing.assert_allclose(shares, expected, rtol=1e-11, atol=1e-14)
    assert shares.sum() == pytest.approx(1, abs=1e-13)


def test_weight_shares_of_a_zero_gradient_are_nan():
    layer, x, v = network("rnn")
    layer.forward(x)
    assert np.isnan(weight_shares(layer, layer.backward(dstates={"h": 0 * v}, keep_tape=True))).all()


def test_first_lags_finds_each_edge_of_the_range():
    rows = np.ones((6, 2, 3), np.float32)  # index 5 is lag 0
    assert first_lags(rows) == {"subnormal": None, "zero": None, "overflow": None}
    rows[3, 1] = 1e-40
    rows[2, 1] = 0
    rows[0, 0, 1] = np.inf
    assert first_lags(rows) == {"subnormal": 2, "zero": 3, "overflow": 5}
    rows[4, 0, 0] = np.nan
    assert first_lags(rows)["overflow"] == 1


def test_float32_limits_of_an_exploding_forward_pass():
    layer = Layer("rnn:identity", 1, 4, rng=stream("init", 0), gain=1e10)
    x, v = np.ones((12, 1, 1)), probe(stream("probe", 0), 1, 4)
    profile = gradient_profile(layer, x, v)
    with np.errstate(over="ignore", invalid="ignore"):  # as plain Python, NumPy would warn of what is measured here
        limits = float32_limits(layer, x, v, profile)
    assert limits["float32_forward_overflow"] in (4, 5)  # 1e38 is inside the range, 1e48 is not
    assert limits["float32_overflow_lag"] == 4
    assert limits["log10_grad_at_overflow"] == pytest.approx(40, abs=1e-9)
    assert limits["float32_zero_lag"] is None and limits["log10_grad_at_zero"] is None


def test_gate_means_leave_padding_out():
    layer, x, _ = network("gru")
    lengths = np.array([7, 2, 0])
    run = layer.forward(x, lengths=lengths)
    live = np.arange(T)[:, None] < lengths
    means = gate_means(layer, run)
    assert list(means) == ["mean_r", "mean_z", "mean_n"]
    for name in ("r", "z", "n"):
        assert means[f"mean_{name}"] == pytest.approx(run.gates[name][live].mean(), rel=1e-12)


def test_spectrum_has_the_radius_and_the_norm_of_the_largest_block():
    layer, _, _ = network("lstm", init="gaussian")
    blocks = [layer.block("W_hh", gate) for gate in "ifgo"]
    spectrum = recurrent_spectrum(layer)
    radius = max(np.abs(np.linalg.eigvals(block)).max() for block in blocks)
    assert spectrum["spectral_radius"] == pytest.approx(radius, rel=1e-9)
    assert spectrum["sigma_max"] == pytest.approx(max(np.linalg.norm(b, 2) for b in blocks), rel=1e-9)


def test_clipping_by_the_norm_keeps_the_direction_and_by_value_turns_it():
    gradients = {"W": np.array([[3.0, 0.1]]), "b": np.array([0.2])}
    cosines = clip_cosines(gradients, 0.5)
    assert cosines["log10_grad_norm"] == pytest.approx(np.log10(9.05) / 2, rel=1e-14)
    assert cosines["cosine_global"] == pytest.approx(1, abs=1e-14)
    flat, value = np.array([3, 0.1, 0.2]), np.array([0.5, 0.1, 0.2])
    expected = flat @ value / np.linalg.norm(flat) / np.linalg.norm(value)
    assert cosines["cosine_value"] == pytest.approx(expected, rel=1e-12)
    spoilt = clip_cosines({"W": np.array([np.inf, 1.0])}, 1.0)
    assert np.isnan(spoilt["cosine_global"]) and spoilt["log10_grad_norm"] == np.inf


def test_rates_known_exactly_are_read_off_the_parameters():
    zeros = dict(init="zeros", input_init="zeros")
    linear = network("rnn:identity", gain=0.7)[0]
    assert exact_rates(linear)["h"] == pytest.approx(0.7, abs=1e-15)
    assert exact_rates(linear.astype("float32"))["h"] == pytest.approx(0.7, abs=1e-6)
    linear.parameters["W_hh"][0, 0] += 1e-9
    assert exact_rates(linear) == {}
    assert exact_rates(network("rnn:identity", **zeros)[0]) == exact_rates(network("rnn", **zeros)[0]) == {"h": 0.0}
    assert exact_rates(network("rnn")[0]) == exact_rates(network("lstm")[0]) == {}
    lstm = network("lstm", **zeros)[0]
    assert exact_rates(lstm)["c"] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-15)
    lstm.parameters["b"][H : 2 * H] = -3.0
    assert exact_rates(lstm)["c"] == pytest.approx(1 / (1 + np.exp(3)), abs=1e-15)
    lstm.parameters["b"][H] = 0.0
    assert exact_rates(lstm) == {}
    assert exact_rates(network("gru", **zeros)[0]) == {"h": 0.5}


def test_the_bound_is_of_plain_networks_only():
    assert upper_rate(network("rnn")[0], 1.7) == 1.7
    assert upper_rate(network("gru")[0], 1.7) is None


def test_what_is_not_finite_is_named_with_its_step():
    layer, v = Layer("rnn:identity", 1, 4, rng=stream("init", 0), gain=1e10, dtype="float32"), np.ones((1, 4), "f4")
    with np.errstate(over="ignore", invalid="ignore"):
        run = layer.forward(np.ones((12, 1, 1), np.float32))
        assert nonfinite_status(run, layer.backward(dstates={"h": v}, keep_tape=True))["status"] in (
            "nonfinite: h at step 4", "nonfinite: h at step 5")  # fmt: skip
        run = layer.forward(np.zeros((12, 1, 1), np.float32))
        gradients = layer.backward(dstates={"h": v}, keep_tape=True)
        assert nonfinite_status(run, gradients)["status"].startswith("nonfinite: dL/d")
        run = layer.forward(np.zeros((3, 1, 1), np.float32))
        assert nonfinite_status(run, layer.backward(dstates={"h": v})) == {}


@pytest.mark.parametrize("units", [4, 5])
@pytest.mark.parametrize(("cell", "gate"), [("lstm", "f"), ("gru", "z")])
def test_memory_times_are_of_each_unit_s_mean_gate(cell, gate, units):
    layer = Layer(cell, D, units, rng=stream("init", 3))
    x = np.random.default_rng(0).normal(size=(T, B, D))
    for lengths in (None, np.array([7, 2, 0])):
        run = layer.forward(x, lengths=lengths)
        live = np.arange(T)[:, None] < (np.full(B, T) if lengths is None else lengths)
        means = run.gates[gate][live].mean(axis=0)
        found = memory_times(layer, run, "_after")
        assert list(found) == ["keep_after", "tau_after"]
        assert found["keep_after"] == pytest.approx(means.mean(), rel=1e-12)
        assert found["tau_after"] == pytest.approx(np.median(-1 / np.log(means)), rel=1e-12)


@pytest.mark.parametrize(("bias", "keep", "tau"), [(0.0, 0.5, 1 / np.log(2)), (5.0, 1 / (1 + np.exp(-5.0)), 148.91),
                                                   (800.0, 1.0, np.inf), (-800.0, 0.0, 0.0)])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_times_of_a_network_of_zeros(bias, keep, tau, dtype):
    """Oracle d; a gate that never opens or closes does not turn the sign."""
    layer, x, _ = network(f"lstm:forget_bias={bias}", init="zeros", input_init="zeros", dtype=dtype)
    found = memory_times(layer, layer.forward(x))
    assert found["keep"] == pytest.approx(keep, rel=1e-6)
    assert found["tau"] == pytest.approx(tau, rel=1e-4)


def test_memory_times_of_cells_that_keep_nothing_by_a_gate():
    layer, x, _ = network("rnn")
    assert memory_times(layer, layer.forward(x)) == {}
    for name in cells.names():
        layer, x, _ = network(name)
        keeps = any(sign > 0 for sign in layer.cell.memory.values())
        assert sorted(memory_times(layer, layer.forward(x))) == (["keep", "tau"] if keeps else [])


@pytest.mark.parametrize("name", ["adding", "embedded_reber", "temporal_order:varied"])
def test_the_loss_along_its_gradient_rises_by_its_norm_a_unit(name):
    task = tasks.load(name)
    model = model_for(task, 0, cell="gru", hidden=3, dtype="float64", recurrent_dropout=0.2)
    batch = task.draw(stream("data", 0), 2, 25)
    before, noise = model.vector.copy(), model.noise_state()
    h = 1e-6
    distances, found = loss_along_gradient(model, task, batch, [-h, 0.0, h, 0.5])
    np.testing.assert_array_equal(model.vector, before)
    assert model.noise_state() == noise
    here = model.differentiate(batch.x, batch.target, loss=task.loss, mask=batch.mask, lengths=batch.lengths)
    assert found[1] == here.loss and found[3] > found[1]
    assert (found[2] - found[0]) / (2 * h) == pytest.approx(np.linalg.norm(model.gradient), rel=1e-7)
    assert distances.tolist() == [-h, 0.0, h, 0.5]


def test_there_is_no_direction_where_the_gradient_is_zero_or_not_finite():
    task = tasks.load("adding")
    model = model_for(task, 0, cell="rnn", hidden=3)
    batch = task.draw(stream("data", 0), 2, 9)
    for value in (np.nan, 0.0):
        model.vector[:] = value
        batch.target[:] = 0.0
        _, found = loss_along_gradient(model, task, batch, np.array([0.0, 1.0]))
        assert np.isnan(found).all()
        np.testing.assert_array_equal(model.vector, np.full_like(model.vector, value))

"""Every shipped experiment, by existing: its quick grid twice through the command line, and what it must find."""

import csv
import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sandbox.experiment import load

FOLDER = Path(__file__).parents[1] / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def run(name, folder, *flags, plot=False):
    """Run an experiment in a process of its own; the table's rows as dictionaries, and the files' bytes."""
    env = {**os.environ, "SANDBOX_NO_PLOT": "" if plot else "1"}
    command = [sys.executable, "-m", "sandbox", "run", name, *flags, "--out", str(folder), "--format", "csv"]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert "no picture" not in done.stderr
    (directory,) = Path(folder, name).iterdir()
    table, curves = (directory / file for file in ("table.csv", "curves.csv"))
    with open(table, newline="") as file:
        return list(csv.DictReader(file)), (table.read_bytes(), curves.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_quick_grid_twice_gives_the_same_bytes_and_a_picture(name, tmp_path):
    plot = importlib.util.find_spec("matplotlib") is not None
    rows, first = run(name, tmp_path / "a", "--quick")
    _, second = run(name, tmp_path / "b", "--quick", plot=plot)
    assert first == second
    assert not list((tmp_path / "a").rglob("*.png"))
    assert len(list((tmp_path / "b").rglob(f"{name}.png"))) == (plot and load(name).picture is not None)
    assert rows and all(row["status"] == "ok" for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_is_a_function_of_scalars(name):
    function = load(name)
    point = {axis: values[0] for axis, values in function.quick.items() if axis != "seeds"}
    point = {axis: point.get(axis, rule.default[0]) for axis, rule in function.axes.items()}
    metrics, curves = function(**point, seed=0)
    assert metrics and all(len(set(map(len, curve.values()))) == 1 for curve in curves.values())


POINT = dict(hidden=24, seq_len=60, init="orthogonal", source="noise", dtype="float64", seed=1)


@pytest.mark.parametrize("gain", [0.5, 0.8, 1.0, 1.25, 2.0])
def test_the_linear_recurrence_has_the_gain_as_its_rate(gain):
    metrics, curves = load("vanishing")(cell="rnn:identity", gain=gain, **POINT)
    assert metrics["rate"] == pytest.approx(gain, abs=1e-10)
    assert metrics["rate_exact"] == pytest.approx(gain, rel=1e-14)
    slope = np.diff(curves["profile"]["log10_grad_h"])
    np.testing.assert_allclose(slope, np.log10(gain), atol=1e-10)


@pytest.mark.parametrize("bias", [0, 1, 3])
def test_the_lstm_of_zeros_forgets_at_the_rate_of_its_gate(bias):
    forget = 1 / (1 + np.exp(-bias))
    metrics, curves = load("vanishing")(cell=f"lstm:forget_bias={bias}", gain=1.0, **POINT | {"init": "zeros"})
    assert metrics["rate_exact"] == 0 and metrics["rate_c_exact"] == pytest.approx(forget, abs=1e-15)
    assert metrics["mean_f"] == pytest.approx(forget, abs=1e-12)
    # dL/dh is zero before the last step; what lives on is dL/dc, by a factor f a step.
    np.testing.assert_allclose(np.diff(curves["profile"]["log10_grad_c"][1:]), np.log10(forget), atol=1e-10)
    assert metrics["rate"] == 0.0 and metrics["rate_c"] == pytest.approx(forget, abs=1e-10)


def test_the_tanh_network_stays_below_its_bound_and_dies_faster_than_the_lstm():
    rates = {}
    for cell in ("rnn", "lstm"):
        metrics, _ = load("vanishing")(cell=cell, gain=0.8, **POINT)
        rates[cell] = metrics["rate"]
        if cell == "rnn":
            assert metrics["rate"] < metrics["rate_bound"] == pytest.approx(0.8)
    assert rates["rnn"] < 0.75 < rates["lstm"] < 1


def test_weight_shares_sum_to_one_and_the_latest_steps_hold_most():
    _, curves = load("vanishing")(cell="rnn", gain=0.8, **POINT)
    shares = curves["weight"]["share"]
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert shares[:10].sum() > 0.95


def test_single_precision_gives_out_where_the_profile_says():
    metrics, _ = load("vanishing")(cell="rnn:identity", gain=0.2, **POINT | {"seq_len": 100})
    # 0.2^t < 2^-126 from t = 55 on (an element is smaller than the norm), and below 2^-150 from t = 65 on.
    assert 52 <= metrics["float32_subnormal_lag"] <= 55
    assert 60 <= metrics["float32_zero_lag"] <= 66
    assert metrics["log10_grad_at_zero"] == pytest.approx(metrics["float32_zero_lag"] * np.log10(0.2), abs=1e-6)


def test_exploding_reports_where_single_precision_overflows_and_what_clipping_turns():
    metrics, _ = load("exploding")(cell="rnn:identity", gain=4.0, **POINT | {"seq_len": 100})
    assert metrics["rate"] == pytest.approx(4, abs=1e-9)
    assert metrics["half_life"] == pytest.approx(-0.5, abs=1e-9)
    assert 64 <= metrics["float32_overflow_lag"] <= 68  # 4^64 = 2^128
    assert metrics["cosine_global"] == pytest.approx(1, abs=1e-12)
    assert metrics["cosine_value"] < 0.99


@pytest.mark.parametrize("name", NAMES)
def test_every_source_and_dtype_runs(name, tmp_path):
    flags = ["--quick", "--source", "all", "--dtype", "all", "--init", "all", "--cell", "rnn"]
    rows, _ = run(name, tmp_path, *flags)
    assert {row["source"] for row in rows} == {"noise", "text", "series"}
    assert {row["status"] for row in rows} == {"ok"}


@pytest.mark.parametrize("name", NAMES)
def test_every_column_and_curve_is_explained(name, tmp_path):
    page = (FOLDER.parent / "docs" / "columns.md").read_text()
    explained = set(re.findall(r"`([a-z0-9_]+)`", page))
    rows, (_, curves) = run(name, tmp_path, "--quick")
    series = {row[key] for row in csv.DictReader(io.StringIO(curves.decode())) for key in ("curve", "series")}
    emitted = set(rows[0]) - set(load(name).axes) | series
    assert emitted <= explained, emitted - explained

"""Every shipped experiment, by existing: its quick grid twice through the command line, and what it must find."""

import csv
import functools
import importlib.util
import io
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sandbox import memory
from sandbox.cli import cli
from sandbox.experiment import load, resolve_seeds

FOLDER = Path(__file__).parents[1] / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def run(name, folder, *flags, plot=False):
    """Run an experiment in a process of its own; the table's rows as dictionaries, and the files' bytes."""
    env = {**os.environ, "SANDBOX_NO_PLOT": "" if plot else "1"}
    command = [sys.executable, "-m", "sandbox", "run", name, *flags, "--out", str(folder), "--format", "csv"]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    (directory,) = Path(folder, name).iterdir()
    table, curves = (directory / file for file in ("table.csv", "curves.csv"))
    with open(table, newline="") as file:
        return list(csv.DictReader(file)), (table.read_bytes(), curves.read_bytes())


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """What an experiment's quick grid gives, run once for all tests."""
    return functools.cache(lambda name: run(name, tmp_path_factory.mktemp(name), "--quick"))


@pytest.mark.parametrize("name", NAMES)
def test_quick_grid_twice_gives_the_same_bytes_and_a_picture(name, quick, tmp_path):
    plot = importlib.util.find_spec("matplotlib") is not None
    rows, first = quick(name)
    _, second = run(name, tmp_path, "--quick", plot=plot)
    assert first == second
    picture = load(name).picture
    # Of a metric that is empty in every row, such as the updates to a success that a quick run has not, there is none.
    drawn = picture is not None and (picture.metric is None or any(row[picture.metric] for row in rows))
    assert len(list(tmp_path.rglob(f"{name}.png"))) == (plot and drawn)
    assert rows and all(row["status"] == "ok" for row in rows)


def test_no_picture_without_being_asked(quick, tmp_path):
    run("length", tmp_path, "--quick", "--cell", "rnn")
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_is_a_function_of_scalars(name):
    function = load(name)
    point = {axis: values[0] for axis, values in function.quick.items() if axis != "seeds"}
    point = {axis: point.get(axis, rule.default[0]) for axis, rule in function.axes.items()}
    metrics, curves, *_ = function(**point, seed=0)
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


def test_a_scheme_names_the_input_matrix_as_well():
    for init, drive in (("orthogonal", 0.1), ("identity", 0.1), ("pytorch", 0.1), ("irnn", 1e-4)):
        found = [load(name)(cell="rnn", gain=1.0, **POINT | {"init": init})[0] for name in ("vanishing", "exploding")]
        assert found[0]["input_drive"] == found[1]["input_drive"]
        assert drive < found[0]["input_drive"] < 40 * drive


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


@pytest.mark.parametrize("name", [name for name in NAMES if {"source", "init"} <= set(load(name).axes)])
def test_every_source_and_dtype_runs(name, tmp_path):
    flags = ["--quick", "--source", "all", "--dtype", "all", "--init", "all", "--cell", "rnn"]
    rows, _ = run(name, tmp_path, *flags)
    assert {row["source"] for row in rows} == {"noise", "text", "series"}
    assert {row["status"] for row in rows} == {"ok"}


TRAINED = [name for name in NAMES if "task" in load(name).axes]


def test_the_experiments_that_train_are_seen():
    assert {"length", "gating", "forget_bias", "clipping", "initialization", "depth", "truncation"} == set(TRAINED)


@pytest.mark.parametrize("name", [name for name in TRAINED if "init" in load(name).axes])
def test_every_init_and_dtype_can_be_trained_from(name, tmp_path):
    rows, _ = run(name, tmp_path, "--quick", "--dtype", "all", "--init", "all", *FEW.get(name, ()))
    assert {row["status"] for row in rows} == {"ok"} and {row["dtype"] for row in rows} == {"float32", "float64"}
    for row in rows:
        assert math.isfinite(float(row["loss"])) and math.isfinite(float(row["score"]))


FEW = dict.fromkeys(("length", "gating", "initialization"), ("--cell", "lstm"))
FEW |= {"clipping": ("--clip", "omega"), "forget_bias": ("--bias", "1"),
        "truncation": ("--cell", "gru", "--window", "3"), "depth": ("--cell", "rnn", "--layers", "1")}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_grids_that_can_be_trained(name):
    """By their declaration alone: paper-sized ones run for hours."""
    function = load(name)
    for preset, overrides in function.presets.items():
        grid = function.grid(preset=preset)
        assert all(list(overrides[axis]) == grid[axis] for axis in overrides if axis != "seeds")
        resolve_seeds(function.overrides(preset=preset).get("seeds", function.seeds))
    assert name not in TRAINED or "paper" in function.presets


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ("length --seq-len 1", "seq_len must be a whole number from 2 for task adding, got 1"),
        ("length --task adding,adding:hs97 --seq-len 5", "seq_len must be a whole number from 6 for task adding:hs97,"),
        ("length --task addng", "unknown task 'addng'; did you mean 'adding'?"),
        ("length --task adding:centered", "unknown variant of task adding 'centered'; did you mean 'centred'?"),
        ("length --lr 0", "lr must be a finite number above 0, got 0"),
        ("length --lr -0.1", "lr must be a finite number above 0, got -0.1"),
        ("length --lr nan", "lr must be a finite number above 0, got nan"),
        ("length --batch 0", "batch must be a whole number from 1 to 65536, got 0"),
        ("length --updates 0", "updates must be a whole number from 1 to 10000000, got 0"),
        ("length --clip globl", "unknown clip 'globl'; did you mean 'global'?"),
        ("length --threshold 0", "threshold must be a finite number above 0, got 0"),
        ("length --optimiser adma", "unknown optimiser 'adma'; did you mean 'adam'?"),
        ("length --cell lsmt", "unknown cell 'lsmt'; did you mean 'lstm'?"),
        ("length --preset papr", "unknown preset 'papr'; did you mean 'paper'?"),
        ("length --preset paper --quick", "the grid must be --quick or --preset paper, got both"),
        ("truncation --seq-len 20 --window 10,21", "window must be at most seq_len=20, got 21"),
        ("truncation --window 0", "window must be a whole number from 1 to 1000000, got 0"),
        ("depth --dropout 0.5", "dropout must be 0 with one layer, got 0.5"),
        ("depth --dropout 1", "dropout must be a finite number from 0 to below 1, got 1"),
        ("depth --dropout -0.1", "dropout must be a finite number from 0 to below 1, got -0.1"),
        ("depth --task embedded_reber:continual", "direction must be forward for task embedded_reber:continual, whose"),
        ("clipping --omega -1", "omega must be a finite number from 0 to 1000, got -1"),
        ("forget_bias --bias chron", "unknown bias 'chron'; did you mean 'chrono'?"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_before_anything_runs(flags, line, tmp_path):
    done = CliRunner(catch_exceptions=False).invoke(cli, ["run", *flags.split(), "--out", str(tmp_path / "results")])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {line}") and done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


def in_process(tmp_path, *flags):
    """Run a command line here; its exit code, what it says, and its rows."""
    done = CliRunner(catch_exceptions=False).invoke(cli, ["run", *flags, "--no-plot", "--out", str(tmp_path)])
    with open(next(tmp_path.rglob("table.csv")), newline="") as file:
        return done, list(csv.DictReader(file))


def test_a_point_that_diverges_is_named_and_the_sweep_goes_on(tmp_path):
    flags = "length --quick --cell rnn --clip none --optimiser sgd --lr 1e37,0.01,0.02 --seeds 1"
    done, rows = in_process(tmp_path / "three", *flags.split())
    assert done.exit_code == 0
    statuses = {row["lr"]: f"{row['status']}: {row['error']}" for row in rows}
    assert re.fullmatch(r"nonfinite: .+ at update \d+", statuses.pop("1e+37"))
    assert statuses == {"0.01": "ok: ", "0.02": "ok: "}
    assert "1 of 3 points not ok, the first: lr 1e+37, seed 0: nonfinite: " in done.stdout
    _, alone = in_process(tmp_path / "two", *flags.replace("1e37,", "").split())
    assert alone == rows[:2]


def test_a_point_that_does_not_fit_into_memory_is_named_and_the_sweep_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: 4 * 10**6)
    done, rows = in_process(tmp_path, *"length --quick --cell rnn --seq-len 12,2000 --hidden 64 --seeds 1".split())
    assert done.exit_code == 1
    statuses = {row["seq_len"]: f"{row['status']}: {row['error']}" for row in rows}
    assert statuses["12"] == "ok: " and re.fullmatch(
        r"error: data, states and gates of seq_len=2000, batch=4 in float32 must fit into memory, got [0-9.]+ MB "
        r"needed and 4 MB free \(use checkpoint_every or a smaller batch\)", statuses["2000"]
    )  # fmt: skip


def test_curves_of_training_land_in_the_file(quick):
    rows, (_, curves) = quick("length")
    lines = list(csv.DictReader(io.StringIO(curves.decode())))
    series = {(line["curve"], line["series"]) for line in lines}
    names = ("loss", "gradient_norm", "clipped_norm", "lr", "clipped")
    assert series == {("training", name) for name in names} | {("evaluation", "loss"), ("evaluation", "score")}
    for row in rows:
        own = [line for line in lines if (line["cell"], line["seed"]) == (row["cell"], row["seed"])]
        losses = [
            (line["x"], line["value"]) for line in own if (line["curve"], line["series"]) == ("evaluation", "loss")
        ]
        assert losses[0][0] == "0" and losses[-1] == (row["updates_done"], row["loss"])
        assert [line["x"] for line in own if line["series"] == "lr"] == list("123456")


@pytest.mark.parametrize("name", NAMES)
def test_every_column_and_curve_is_explained(name, quick):
    page = (FOLDER.parent / "docs" / "columns.md").read_text()
    explained = set(re.findall(r"`([a-z0-9_]+)`", page))
    rows, (_, curves) = quick(name)
    series = {row[key] for row in csv.DictReader(io.StringIO(curves.decode())) for key in ("curve", "series")}
    emitted = set(rows[0]) - set(load(name).axes) | series
    assert emitted <= explained, emitted - explained

"""Run directories: canonical bytes, survival of interrupts, and reading back what is there and refusing what is not."""

import json
import math
import os
import random
import re
import shutil
import struct
import subprocess

import numpy as np
import pytest

from sandbox import provenance, results, sweep
from sandbox.experiment import UsageError, experiment
from sandbox.results import RunWriter, find, format_value, load, parse_value


@experiment(cell=["rnn", "lstm", "gru"], gain=[10.0, 9.0, 0.5], seeds=2)
def sample(cell, gain, seed):
    """Metrics that differ by cell, awkward floats, a status and a curve."""
    metrics = {"rate": 1 / 3 * gain * (seed + 1), "steps": seed}
    metrics[f"gate_{cell}"] = math.nan if seed else math.inf
    metrics["cause"] = 'a, "b"' if seed else "weights"
    if cell == "gru":
        metrics["status"] = "nonfinite: dh at t=13"
    if cell == "lstm" and gain == 9.0:
        raise ValueError("no, way")
    lags = range(2 + seed)
    return metrics, {"profile": {"lag": lags, "grad_h": [np.float32(0.1) * gain] * len(lags), "grad_c": list(lags)}}


def rows_of(experiment, grid, seeds, order=None, settings=None):
    """Run the points of a grid one after another, in another order if one is given."""
    listed = sweep.points(experiment, grid, seeds)
    chosen = listed if order is None else [listed[at] for at in order]
    return sweep.Serial(experiment, settings).run(chosen)


def record(root, order=None, stop_after=None, finish=True, exp=sample, grid=None):
    """Run `exp` into `root`; return the writer, closed as by a kill after `stop_after` points."""
    grid = grid or exp.grid()
    writer = RunWriter(root, exp.name, grid, [0, 1], command="sandbox run sample")
    for count, row in enumerate(rows_of(exp, grid, [0, 1], order=order)):
        if count == stop_after:
            writer.close()
            return writer
        writer.add(row)
    if finish:
        writer.finish("finished")
    return writer


def files(path):
    """Return the reproducible files of a run as bytes."""
    return {name: (path / name).read_bytes() for name in ("table.csv", "curves.csv")}


def refused(call, *parts):
    with pytest.raises(UsageError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


# ------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"), (1.0, "1.0"), (1e-300, "1e-300"), (5e-324, "5e-324"), (1e22, "1e+22"), (math.inf, "inf"),
        (-math.inf, "-inf"), (-0.0, "-0.0"), (3, "3"), (-3, "-3"), (True, "true"), (False, "false"), (None, ""),
        ("text", "text"), ("nan of it", "nan of it"), (float(np.float32(0.1)), "0.10000000149011612"),
    ],
)  # fmt: skip
def test_values_as_text_and_back(value, text):
    assert format_value(value) == text
    back = parse_value(text)
    assert back == value and type(back) is type(value)
    assert not isinstance(value, float) or math.copysign(1, back) == math.copysign(1, value)


def test_nan_and_random_floats_survive():
    assert format_value(math.nan) == "nan" and math.isnan(parse_value("nan"))
    rng = random.Random(0)
    for _ in range(2000):
        (value,) = struct.unpack("d", rng.randbytes(8))
        if not math.isnan(value):
            assert parse_value(format_value(value)) == value


@pytest.mark.parametrize("text", ["1_000", " 1", "0x10", "1e", "e5", "infinity", "NaN", "True", "\u0661"])
def test_only_what_was_written_as_a_number_is_one(text):
    assert parse_value(text) == text


# ------------------------------------------------------------------------------------------------- writing


def test_table_in_canonical_order(tmp_path):
    path = record(tmp_path).path
    lines = (path / "table.csv").read_text().splitlines()
    assert lines[0] == "cell,gain,seed,rate,steps,gate_gru,cause,gate_lstm,gate_rnn,status"
    assert lines[1] == "gru,0.5,0,0.16666666666666666,0,inf,weights,,,nonfinite: dh at t=13"
    assert [line.split(",")[:3] for line in lines[2:6]] == [
        ["gru", "0.5", "1"], ["gru", "9.0", "0"], ["gru", "9.0", "1"], ["gru", "10.0", "0"]
    ]  # fmt: skip
    assert 'lstm,9.0,0,,,,,,,"error: no, way"' in lines
    assert len(lines) == 19


def test_curves_in_long_form(tmp_path):
    path = record(tmp_path).path
    lines = (path / "curves.csv").read_text().splitlines()
    assert lines[0] == "cell,gain,seed,curve,x,series,value"
    assert lines[1:5] == [
        "gru,0.5,0,profile,0,grad_h,0.05000000074505806",
        "gru,0.5,0,profile,1,grad_h,0.05000000074505806",
        "gru,0.5,0,profile,0,grad_c,0",
        "gru,0.5,0,profile,1,grad_c,1",
    ]
    assert len(lines) == 1 + (18 - 2) // 2 * (4 + 6)


def test_bytes_do_not_depend_on_the_order_of_points(tmp_path):
    reference = files(record(tmp_path).path)
    assert files(record(tmp_path).path) == reference
    for seed in range(5):
        order = list(range(18))
        random.Random(seed).shuffle(order)
        assert files(record(tmp_path, order).path) == reference


def test_rows_are_on_disk_as_soon_as_they_are_added(tmp_path):
    writer = record(tmp_path, stop_after=7)
    assert not (writer.path / "table.csv").read_text().startswith("cell,gain,seed,status")
    table = (writer.path / "table.csv").read_text()
    assert table.count("\n") == 8 and table.endswith("\n")
    assert json.loads((writer.path / "run.json").read_text())["status"] == "running"
    run = load(writer.path)
    assert len(run.rows) == 7 and run.metrics[:2] == ["rate", "steps"]
    assert len(run.curve("profile", "grad_h")) == 7
    assert [row["cell"] for row in run.rows] == ["lstm"] + ["rnn"] * 6


def test_a_growing_table_loses_nothing_when_a_column_is_new(tmp_path):
    whole = load(record(tmp_path).path)
    for count in range(1, 18):
        run = load(record(tmp_path, stop_after=count).path)
        for row in run.rows:
            (same,) = (each for each in whole.rows if all(each[key] == row[key] for key in ("cell", "gain", "seed")))
            assert all(repr(row.get(name)) == repr(value) for name, value in same.items())


def test_run_json_says_where_it_came_from(tmp_path):
    writer = record(tmp_path, finish=False)
    writer.kernels = {"compiled": 1, "loaded": 2, "seconds": 0.5, "hash": "abc", "cpu": "x"}
    writer.finish("finished")
    info = json.loads((writer.path / "run.json").read_text())
    assert info["axes"] == {"cell": ["rnn", "lstm", "gru"], "gain": [10.0, 9.0, 0.5]}
    assert (info["seeds"], info["points"], info["rows"], info["status"]) == ([0, 1], 18, 18, "finished")
    assert info["statuses"] == {"error": 2, "nonfinite": 6, "ok": 10}
    assert info["curves"] == {"profile": {"x": "lag", "series": ["grad_h", "grad_c"]}}
    assert info["kernels"]["loaded"] == 2 and info["command"] == "sandbox run sample"
    assert info["versions"]["python"].count(".") == 2 and info["versions"]["rnn-sandbox"]
    assert info["started"] <= info["ended"] and info["started"][-6] in "+-"
    assert {"cpu", "platform", "git", "environment"} <= set(info)


def test_timing_is_apart(tmp_path):
    lines = (record(tmp_path).path / "timing.csv").read_text().splitlines()
    assert lines[0] == "cell,gain,seed,seconds" and len(lines) == 19
    assert lines[1].startswith("gru,0.5,0,")


def test_no_scratch_files_stay(tmp_path):
    path = record(tmp_path).path
    assert sorted(file.name for file in path.iterdir()) == ["curves.csv", "run.json", "table.csv", "timing.csv"]


def test_an_interrupted_run_is_finished(tmp_path):
    with pytest.raises(KeyboardInterrupt), RunWriter(tmp_path, "sample", sample.grid(), [0, 1]) as writer:
        rows = rows_of(sample, sample.grid(), [0, 1])
        writer.add(next(rows))
        writer.add(next(rows))
        raise KeyboardInterrupt
    run = load(writer.path)
    assert run.info["status"] == "interrupted" and len(run.rows) == 2


def test_a_failed_run_keeps_its_rows_and_says_so(tmp_path):
    with pytest.raises(KeyError) as caught, RunWriter(tmp_path, "sample", sample.grid(), [0, 1]) as writer:
        writer.add(next(rows_of(sample, sample.grid(), [0, 1])))
        raise KeyError("bug")
    assert caught.value.__notes__ == [f"1 of 18 points kept in {writer.path}/"]
    assert load(writer.path).info["status"] == "failed"


def test_a_run_without_rows_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), RunWriter(tmp_path, "sample", sample.grid(), [0]):
        raise KeyboardInterrupt
    assert list(tmp_path.glob("sample/*")) == []


def test_runs_of_one_second_do_not_share_a_directory(tmp_path):
    assert len({record(tmp_path, stop_after=0).path for _ in range(12)}) == 12


def test_a_taken_name_is_tried_again(tmp_path, monkeypatch):
    letters = iter("aaaaaabbb")
    monkeypatch.setattr(results.secrets, "choice", lambda _: next(letters))

    class Frozen(results.datetime.datetime):
        @classmethod
        def now(cls, zone=None):
            return cls(2026, 11, 21, 20, 15, 3)

    monkeypatch.setattr(results.datetime, "datetime", Frozen)
    names = [record(tmp_path, stop_after=0).path.name for _ in range(2)]
    assert names == ["2026-11-21T20-15-03-aaa", "2026-11-21T20-15-03-bbb"]


@pytest.mark.parametrize("root", ["file/below", "file", "/proc/nowhere"])
def test_unwritable_root(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    rule = f"--out must be a folder that can be written, got {root}"
    refused(lambda: RunWriter(root, "sample", sample.grid(), [0]), rule)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    writer = RunWriter(tmp_path, "sample", sample.grid(), [0, 1])
    rows = rows_of(sample, sample.grid(), [0, 1])
    writer.add(next(rows))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer._curve_file, "append", full)
    refused(lambda: writer.add(next(rows)), f"cannot write {writer.path}: No space left on device")
    writer.finish("failed")
    assert len(load(writer.path).rows) == 1


def test_a_rewrite_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    writer = record(tmp_path, stop_after=3)
    before = (writer.path / "table.csv").read_bytes()

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(results.os, "replace", fail)
    refused(lambda: writer.finish("finished"), f"cannot write {writer.path}: Input/output error")
    assert (writer.path / "table.csv").read_bytes() == before
    assert not list(writer.path.glob(".*"))


def test_the_commit_of_a_repository(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    state = provenance.git_state(tmp_path)
    assert re.fullmatch("[0-9a-f]{40,64}", state["commit"]) and state["dirty"] is False
    (tmp_path / "file").write_text("2")
    assert provenance.git_state(tmp_path, tracked="file") == {**state, "dirty": True}
    (tmp_path / "installed.py").write_text("")
    assert provenance.git_state(tmp_path, tracked="installed.py") is None


# ------------------------------------------------------------------------------------------------- reading


def test_round_trip(tmp_path):
    run = load(record(tmp_path).path)
    assert run.axes["gain"] == [10.0, 9.0, 0.5] and run.notes == []
    assert run.metrics == ["rate", "steps", "gate_gru", "cause", "gate_lstm", "gate_rnn"]
    row = next(row for row in run.rows if (row["cell"], row["gain"], row["seed"]) == ("rnn", 9.0, 1))
    assert row["rate"] == 1 / 3 * 9.0 * 2 and row["steps"] == 1 and row["cause"] == 'a, "b"'
    assert math.isnan(row["gate_rnn"]) and row["gate_gru"] is None and row["status"] == "ok"
    curves = run.curve("profile", "grad_c")
    assert curves["rnn", 9.0, 1] == ([0, 1, 2], [0, 1, 2])
    assert len(curves) == 16
    assert run.curve("profile", "nothing") == {}


def test_text_axes_that_look_like_numbers_stay_text(tmp_path):
    @experiment(tag=["1", "true", "nan"], seeds=1)
    def tagged(tag, seed):
        return {"length": len(tag)}

    run = load(record(tmp_path, exp=tagged).path)
    assert [row["tag"] for row in run.rows] == ["1", "1", "nan", "nan", "true", "true"]


def test_a_torn_last_line_is_left_out_and_named(tmp_path):
    path = record(tmp_path, stop_after=5).path
    for name in ("table.csv", "curves.csv"):
        content = (path / name).read_bytes()
        (path / name).write_bytes(content[:-4])
    run = load(path)
    assert len(run.rows) == 4
    assert run.notes == ["the last line of table.csv was cut off and is left out"]
    assert len(run.curve("profile", "grad_h")) == 4  # the curve of a point that is not in the table is not finished
    assert run.notes[1:] == ["the last line of curves.csv was cut off and is left out"]


def test_every_cut_of_a_table_is_readable_or_refused(tmp_path):
    path = record(tmp_path, stop_after=5).path
    content = (path / "table.csv").read_bytes()
    whole = load(path).rows
    for size in range(len(content)):
        (path / "table.csv").write_bytes(content[:size])
        try:
            rows = load(path).rows
        except UsageError:
            assert content[:size].count(b"\n") == 0  # not even a header
        else:
            assert len(rows) == content[:size].count(b"\n") - 1
            assert all(repr(row) in map(repr, whole) for row in rows)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("run.json", "{", "run.json is damaged"),
        ("run.json", "[]", "is not a run directory (its run.json has no valid schema"),
        ("run.json", '{"experiment": "x"}', "has no valid schema, axes"),
        ("table.csv", "", "has no header"),
        ("table.csv", "a,b\n1,2\n", "does not belong to this run"),
        ("table.csv", "cell,gain,seed,status\nrnn,1.0,0\n", "line 2 is damaged (3 fields, expected 4)"),
        ("table.csv", "cell,gain,seed,status\nrnn,x,0,ok\n", "is damaged (row rnn, x, 0)"),
        ("table.csv", "cell,gain,seed,status\nrnn,1.0,0.5,ok\n", "is damaged"),
        ("table.csv", 'cell,gain,seed,status\nrnn,1.0,0,"o"k\n', "line 2 is damaged"),
        ("table.csv", "cell,gain,seed,status\nrnn,1.0,0,\udcff\n", "not UTF-8"),
    ],
)
def test_damaged_files(tmp_path, name, content, part):
    path = record(tmp_path, stop_after=2).path
    (path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    refused(lambda: load(path), part)


def test_newer_schema_is_refused(tmp_path):
    path = record(tmp_path, stop_after=2).path
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**info, "schema": 99}))
    refused(lambda: load(path), "written by a newer version (schema 99")


def test_missing_things(tmp_path):
    path = record(tmp_path, stop_after=2).path
    (path / "table.csv").unlink()
    refused(lambda: load(path), "cannot read", "table.csv: No such file")
    refused(lambda: load(tmp_path / "gone"), "there is nothing of that name")
    refused(lambda: load(tmp_path), "it has no run.json")
    refused(lambda: load(path / "run.json"), "it is a file")


def test_finding_runs(tmp_path):
    first, second = (record(tmp_path).path for _ in range(2))
    first.rename(first.parent / "2026-01-01T00-00-00-aaa")
    second.rename(second.parent / "2026-01-02T00-00-00-aab")
    folder = tmp_path / "sample"
    (tmp_path / "published").mkdir()
    (folder / "2027-01-01T00-00-00-zzz").mkdir()  # no run in it
    assert find("sample", tmp_path).name == "2026-01-02T00-00-00-aab"
    assert find(str(folder / "2026-01-01T00-00-00-aaa")).name == "2026-01-01T00-00-00-aaa"
    assert find("aab", tmp_path) == find("2026-01-02", tmp_path)
    refused(lambda: find("2026-01", tmp_path), "run must be named uniquely, got 2026-01 (2 fit:")
    refused(lambda: find("sampel", tmp_path), "unknown run 'sampel'; did you mean 'sample'?")
    refused(lambda: find("zzz", tmp_path), "unknown run 'zzz'", "experiments with runs in", "sample")
    refused(lambda: find("x", tmp_path / "none"), "no runs in")


def test_the_newest_of_one_second_is_the_one_finished_last(tmp_path):
    names = []
    for letters in ("zzz", "aaa"):
        path = record(tmp_path).path
        names.append(path.rename(path.parent / f"2026-01-01T00-00-00-{letters}"))
    os.utime(names[0], ns=(1, 1))
    assert find("sample", tmp_path) == names[1]


def test_a_hundred_thousand_curve_rows(tmp_path):
    @experiment(seq_len=[12_500], seeds=2)
    def long(seq_len, seed):
        lags = np.arange(seq_len)
        return {"n": seq_len}, {"profile": {"lag": lags, **dict.fromkeys("abcd", lags * 0.1)}}

    path = record(tmp_path, exp=long).path
    assert (path / "curves.csv").read_bytes().count(b"\n") == 1 + 100_000
    assert len(load(path).curve("profile", "d")[12_500, 1][1]) == 12_500


def test_an_interrupt_while_a_run_is_set_up_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    for target, name in ((provenance, "collect"), (RunWriter, "_open")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                RunWriter(tmp_path, "toy", {"gain": [1.0]}, [0])
        assert not list(tmp_path.glob("toy/*"))

"""Run directories: canonical bytes, survival of interrupts, and reading back what is there and refusing what is not."""

import hashlib
import json
import math
import random
import re
import shutil
import struct
import subprocess

import numpy as np
import pytest

from sandbox import provenance, sweep
from sandbox.experiment import UsageError, experiment
from sandbox.results import RunWriter, csvfile, find, format_value, journal, load, parse_value, reader, runs_of
from sandbox.results import writer as writer_module


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
    assert lines[0] == "cell,gain,seed,rate,steps,gate_gru,cause,gate_lstm,gate_rnn,status,error"
    assert lines[1] == "gru,0.5,0,0.16666666666666666,0,inf,weights,,,nonfinite,dh at t=13"
    assert [line.split(",")[:3] for line in lines[2:6]] == [
        ["gru", "0.5", "1"], ["gru", "9.0", "0"], ["gru", "9.0", "1"], ["gru", "10.0", "0"]
    ]  # fmt: skip
    assert 'lstm,9.0,0,,,,,,,error,"no, way"' in lines
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
    assert sorted(file.name for file in writer.path.iterdir()) == ["journal", "run.json"]
    assert (writer.path / "journal").read_bytes().count(b"\n") == 7
    assert json.loads((writer.path / "run.json").read_text())["status"] == "running"
    run = load(writer.path)
    assert len(run) == len(run.rows) == 7 and run.metrics[:2] == ["rate", "steps"]
    assert len(run.curve("profile", "grad_h")) == 7
    assert [row["cell"] for row in run.rows] == ["lstm"] + ["rnn"] * 6


def test_a_long_run_shows_whole_tables_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "SNAPSHOT_EVERY", 0.0)
    writer = RunWriter(tmp_path, "sample", sample.grid(), [0, 1])
    for count, row in enumerate(rows_of(sample, sample.grid(), [0, 1]), start=1):
        writer._pause = 0.0
        writer.add(row)
        table = (writer.path / "table.csv").read_text()
        assert table.count("\n") == 1 + count and table.endswith("\n")
    writer.finish("finished")
    assert files(writer.path) == files(record(tmp_path).path)


def test_a_growing_run_loses_nothing(tmp_path):
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
    assert {"cpu", "simd", "cores", "platform", "git", "environment"} <= set(info)


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
    monkeypatch.setattr(writer_module.secrets, "choice", lambda _: next(letters))

    class Frozen(writer_module.datetime.datetime):
        @classmethod
        def now(cls, zone=None):
            return cls(2026, 11, 21, 20, 15, 3)

    monkeypatch.setattr(writer_module.datetime, "datetime", Frozen)
    names = [record(tmp_path, stop_after=0).path.name for _ in range(2)]
    assert names == ["2026-11-21T20-15-03-aaa", "2026-11-21T20-15-03-bbb"]


@pytest.mark.parametrize("root", ["file/below", "file", "/proc/nowhere"])
def test_unwritable_root(tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    rule = f"--out must be a folder that can be written, got {root}"
    refused(lambda: RunWriter(root, "sample", sample.grid(), [0]), rule)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_rewrite_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    writer = record(tmp_path, stop_after=3)
    RunWriter.resume(writer.path).finish("interrupted")
    writer = RunWriter.resume(writer.path)
    before = (writer.path / "table.csv").read_bytes()
    writer.add(list(rows_of(sample, sample.grid(), [0, 1]))[7])

    def fail(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(csvfile.os, "replace", fail)
        message = f"cannot write {writer.path}: Input/output error; 4 of 18 points are safe in its journal"
        refused(lambda: writer.finish("finished"), message)
    assert (writer.path / "table.csv").read_bytes() == before
    assert not list(writer.path.glob(".*"))
    assert len(load(writer.path)) == 4
    writer.close()


# ------------------------------------------------------------------------------------------------- going on


def finish_off(path, exp=sample):
    """Resume a run and do what is missing."""
    with RunWriter.resume(path) as writer:
        missing = [point for point in sweep.points(exp, exp.grid(), [0, 1])
                   if (*point.values.values(), point.seed) not in writer.records]  # fmt: skip
        for row in sweep.Serial(exp).run(missing):
            writer.add(row)
    return len(missing)


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_run_that_was_broken_off_goes_on(tmp_path, interrupted):
    whole = record(tmp_path).path
    path = record(tmp_path, stop_after=7).path
    if interrupted:
        RunWriter.resume(path).finish("interrupted")
        assert (path / "table.csv").exists() and (path / "journal").exists()
    assert finish_off(path) == 11
    assert files(path) == files(whole) and not (path / "journal").exists()
    assert load(path).info["curves"] == load(whole).info["curves"]


def test_a_finished_run_is_taken_up_again_without_loss(tmp_path):
    path = record(tmp_path).path
    before = files(path) | {"timing.csv": (path / "timing.csv").read_bytes()}
    info = load(path).info
    assert finish_off(path) == 0
    assert files(path) | {"timing.csv": (path / "timing.csv").read_bytes()} == before
    after = load(path).info
    changing = ("seconds", "ended", "seal")
    assert {**after, **dict.fromkeys(changing)} == {**info, **dict.fromkeys(changing)}


def test_a_point_tried_again_replaces_its_row(tmp_path):
    writer = record(tmp_path, finish=False)
    again = next(rows_of(sample, sample.grid(), [0, 1]))
    writer.add(sweep.Row(again.point, {"rate": 7.0}, {}, "ok", "", 1.5))
    writer.finish("finished")
    run = load(writer.path)
    key = (*again.point.values.values(), again.point.seed)
    assert len(run) == 18 and dict(zip(run.keys, run.rows, strict=True))[key]["rate"] == 7.0
    assert run.seconds()[key] == 1.5 and key not in run.curve("profile", "grad_h")


def test_two_processes_cannot_write_one_run(tmp_path):
    path = record(tmp_path, stop_after=2).path
    first = RunWriter.resume(path)
    assert journal.locked(path)
    refused(lambda: RunWriter.resume(path), f"{path} is being written by another process")
    first.close()
    assert not journal.locked(path)
    RunWriter.resume(path).close()


def meanwhile(monkeypatch, module, name, act, before=False):
    """Let another process act once, behind or before a call of a function."""
    function = getattr(module, name)

    def call(*arguments):
        monkeypatch.setattr(module, name, function)
        found = None if before else function(*arguments)
        act()
        return function(*arguments) if before else found

    monkeypatch.setattr(module, name, call)


def test_a_run_is_taken_up_while_another_process_finishes_it(tmp_path, monkeypatch):
    path = record(tmp_path, stop_after=7).path
    meanwhile(monkeypatch, reader, "load", lambda: finish_off(path))
    writer = RunWriter.resume(path)
    assert len(writer.records) == 18
    writer.close()


def test_a_finished_run_is_taken_up_by_two_at_once(tmp_path, monkeypatch):
    path, first = record(tmp_path).path, []
    meanwhile(monkeypatch, reader, "load", lambda: first.append(RunWriter.resume(path)))
    refused(lambda: RunWriter.resume(path), f"{path} is being written by another process")
    first[0].finish("finished")
    assert len(load(path)) == 18 and sorted(each.name for each in path.iterdir()) == [
        "curves.csv", "run.json", "table.csv", "timing.csv"
    ]  # fmt: skip


def test_who_asks_whether_a_run_is_written_is_in_nobodys_way(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    path = record(tmp_path, stop_after=2).path
    with (path / "journal").open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert not journal.locked(path)
        monkeypatch.setattr(journal.time, "sleep", lambda seconds: asking.close())
        RunWriter.resume(path).close()


def test_a_run_that_is_finished_while_it_is_read(tmp_path, monkeypatch):
    whole = load(record(tmp_path).path)
    path = record(tmp_path, stop_after=7).path
    early = load(path)
    meanwhile(monkeypatch, journal, "read", lambda: finish_off(path), before=True)
    late = load(path)
    assert late.texts == whole.texts and late.info["curves"] == whole.info["curves"] and not late.journaled
    assert early.journaled and len(list(early.records())) == len(early.seconds()) == 7
    assert early.curve("profile", "grad_h")


def test_an_altered_table_is_not_gone_on_with(tmp_path):
    path = record(tmp_path).path
    assert load(path).altered() == []
    (path / "table.csv").write_bytes((path / "table.csv").read_bytes().replace(b"inf", b"1.5"))
    (path / "timing.csv").unlink()
    assert load(path).altered() == ["table.csv", "timing.csv"]
    refused(
        lambda: RunWriter.resume(path), f"{path} cannot be gone on with, because table.csv is not as it was written"
    )


def test_an_interrupt_while_the_tables_are_written(tmp_path, monkeypatch):
    """Whether it is the first or a further one, it says what is kept."""

    def interrupted(*arguments):
        raise KeyboardInterrupt

    for first in (False, True):
        writer = record(tmp_path, finish=False)
        monkeypatch.setattr(writer, "_write_table", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught, writer:
            if first:
                raise KeyboardInterrupt
        assert caught.value.__notes__ == [f"18 of 18 points kept in {writer.path}/"]
        assert not journal.locked(writer.path) and finish_off(writer.path) == 0
        assert load(writer.path).info["status"] == "finished"


def test_a_run_without_rows_that_was_there_before_stays(tmp_path):
    path = record(tmp_path, stop_after=0).path
    with pytest.raises(KeyboardInterrupt), RunWriter.resume(path):
        raise KeyboardInterrupt
    assert load(path).info["status"] == "interrupted" and finish_off(path) == 18


def test_a_folder_in_which_no_file_can_be_made(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer_module, "Journal", full)
    refused(lambda: record(tmp_path), "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_long_text_is_read_back(tmp_path):
    with RunWriter(tmp_path, "long", {"gain": [1.0]}, [0]) as writer:
        writer.add(sweep.Row(sweep.Point({"gain": 1.0}, 0), {"text": "a, " * 100_000}))
    assert len(load(writer.path)["text"][0]) == 300_000


def test_every_cut_of_a_journal_loses_one_row_at_most(tmp_path):
    path = record(tmp_path, stop_after=5).path
    content = (path / "journal").read_bytes()
    whole = [repr(row) for row in load(path).rows]
    for size in range(0, len(content), 7):
        (path / "journal").write_bytes(content[:size])
        complete = content[:size].count(b"\n")
        torn = not (size == 0 or content[:size].endswith(b"\n"))
        run = load(path)
        assert len(run) == complete
        assert run.notes == ["the last line of the journal was cut off and is left out"] * torn
        writer = RunWriter.resume(path)
        assert writer.rows == complete
        writer.add(list(rows_of(sample, sample.grid(), [0, 1]))[4])
        writer.close()
        kept = load(path)
        assert kept.notes == [] and len(kept) == complete + (complete < 5)
        if complete == 4:
            assert [repr(row) for row in kept.rows] == whole


def test_a_damaged_line_is_never_data(tmp_path):
    path = record(tmp_path, stop_after=5).path
    content = (path / "journal").read_bytes()
    lines = content.splitlines(keepends=True)
    rng = random.Random(0)
    for _ in range(100):
        at, bit = rng.randrange(len(content)), rng.randrange(8)
        damaged = bytearray(content)
        damaged[at] ^= 1 << bit
        (path / "journal").write_bytes(damaged)
        run = load(path)
        assert len(run) in (3, 4) and len(run.notes) == 1  # 3: the end of a line was hit, and with it the next one
    (path / "journal").write_bytes(b"".join([lines[0], b"\0" * 40 + b"\n", *lines[1:]]))
    assert len(load(path)) == 5 and load(path).notes == ["1 damaged line of the journal left out"]


class FullDisk:
    """A file that takes so many bytes and no more."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = self.file.write(bytes(data[: self.room]))
        self.room -= taken
        return taken

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 1, 20, 100])
def test_a_full_disk_is_one_line_and_spoils_nothing(tmp_path, room):
    rows = rows_of(sample, sample.grid(), [0, 1])
    writer = RunWriter(tmp_path, "sample", sample.grid(), [0, 1])
    writer.add(next(rows))
    true = writer._journal._file
    writer._journal._file = FullDisk(true, room)
    rule = f"cannot write {writer.path}: No space left on device; 1 of 18 points are safe in its journal"
    refused(lambda: writer.add(next(rows)), rule)
    writer._journal._file = true
    assert len(load(writer.path)) == 1 and load(writer.path).notes == []
    writer.close()
    assert finish_off(writer.path) == 17
    assert files(writer.path) == files(record(tmp_path).path)


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
    changed = provenance.git_state(tmp_path, tracked="file")
    said = subprocess.run(["git", "-C", tmp_path, *provenance.DIFF], check=True, capture_output=True).stdout
    assert state["diff"] is None and b"+2" in said
    assert changed == {**state, "dirty": True, "diff": hashlib.sha256(said).hexdigest()[:12]}
    (tmp_path / "file").write_text("3")
    assert provenance.git_state(tmp_path)["diff"] not in (None, changed["diff"])
    (tmp_path / "installed.py").write_text("")
    assert provenance.git_state(tmp_path, tracked="installed.py") is None


@pytest.mark.parametrize(
    ("content", "machine", "simd"),
    [
        ("flags\t\t: fpu sse2 avx avx2 avx512f\n", "x86_64", "avx512f"), ("flags : sse2 avx2 avx\n", "x86_64", "avx2"),
        ("Features\t: fp asimd\n", "aarch64", "neon"), ("", "arm64", "neon"), ("model name : x\n", "riscv64", None),
    ],
)  # fmt: skip
def test_the_vector_instructions_of_a_processor(monkeypatch, tmp_path, content, machine, simd):
    (tmp_path / "cpuinfo").write_text(content)
    monkeypatch.setattr(provenance, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(provenance.platform, "machine", lambda: machine)
    assert provenance.simd() == simd and provenance.cores() >= 1


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
    path = record(tmp_path).path
    for name in ("table.csv", "curves.csv"):
        content = (path / name).read_bytes()
        (path / name).write_bytes(content[:-4])
    run = load(path)
    assert len(run.rows) == 17
    assert run.notes == ["the last line of table.csv was cut off and is left out"]
    assert len(run.curve("profile", "grad_h")) == 15  # the curve of a point that is not in the table does not count
    assert run.notes[1:] == ["the last line of curves.csv was cut off and is left out"]


def test_every_cut_of_a_table_is_readable_or_refused(tmp_path):
    path = record(tmp_path).path
    content = (path / "table.csv").read_bytes()
    whole = load(path).rows
    for size in range(0, len(content), 3):
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
        ("table.csv", "cell,gain,seed,status,error\nrnn,1.0,0\n", "line 2 is damaged (3 fields, expected 5)"),
        ("table.csv", "cell,gain,seed,status,error\nrnn,x,0,ok,\n", "is damaged (row rnn, x, 0)"),
        ("table.csv", "cell,gain,seed,status,error\nrnn,1.0,0.5,ok,\n", "is damaged"),
        ("table.csv", 'cell,gain,seed,status,error\nrnn,1.0,0,"o"k,\n', "line 2 is damaged"),
        ("table.csv", "cell,gain,seed,status,error\nrnn,1.0,0,\udcff,\n", "not UTF-8"),
    ],
)
def test_damaged_files(tmp_path, name, content, part):
    path = record(tmp_path).path
    (path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    refused(lambda: load(path), part)


@pytest.mark.parametrize(("schema", "age"), [(99, "a newer"), (1, "an older")])
def test_another_schema_is_refused(tmp_path, schema, age):
    path = record(tmp_path, stop_after=2).path
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**info, "schema": schema}))
    refused(lambda: load(path), f"written by {age} version (schema {schema}, not 2)")


def test_missing_things(tmp_path):
    path = record(tmp_path).path
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


def test_the_newest_of_one_second_is_the_one_started_last(tmp_path):
    paths = []
    for letters in ("zzz", "aaa"):
        path = record(tmp_path).path
        paths.append(path.rename(path.parent / f"2026-01-01T00-00-00-{letters}"))
    assert find("sample", tmp_path) == paths[1]
    info = paths[1] / "run.json"
    info.write_text(re.sub(r'"started": "....', '"started": "1999', info.read_text()))
    assert find("sample", tmp_path) == paths[0]


def test_runs_by_number(tmp_path):
    paths = []
    for day in (1, 2, 3):
        path = record(tmp_path).path
        paths.append(path.rename(path.parent / f"2026-01-0{day}T00-00-00-a{day}c"))
    assert find("sample@latest", tmp_path) == find("sample@-1", tmp_path) == paths[2]
    assert find("sample@-3", tmp_path) == paths[0]
    assert find("sample@a2c", tmp_path) == find("sample@2026-01-02", tmp_path) == paths[1]
    assert find(f"sample/{paths[1].name}", tmp_path) == find(str(paths[1])) == paths[1]
    assert find("@latest", tmp_path) == paths[2] and find("@-3", tmp_path) == paths[0]
    refused(lambda: find("sampel@-1", tmp_path), "unknown run 'sampel@-1'; did you mean 'sample'?")
    refused(lambda: find("", tmp_path), "unknown run ''")
    refused(lambda: find(str(tmp_path), tmp_path), "is not a run directory (it has no run.json)")
    refused(lambda: find("sample@-4", tmp_path), "run must be sample@-1 to sample@-3, got sample@-4")
    refused(lambda: find("sample@-0", tmp_path), "run must be sample@-1 to sample@-3, got sample@-0")
    refused(lambda: find("sample@", tmp_path), "unknown run 'sample@' (@latest, @-1 to @-3, or")
    refused(lambda: find("sample@lastest", tmp_path), "unknown run 'sample@lastest'; did you mean 'latest'?")


def test_a_run_with_a_name_of_its_own_is_as_old_as_it_says(tmp_path):
    paths = []
    for day in (1, 3):
        path = record(tmp_path).path
        paths.append(path.rename(path.parent / f"2026-01-0{day}T00-00-00-aaa"))
    path = record(tmp_path).path
    named = path.rename(path.parent / "zebra")
    info = named / "run.json"
    info.write_text(re.sub(r'"started": "[^"]{10}', '"started": "2026-01-02', info.read_text()))
    assert runs_of(tmp_path) == [paths[0], named, paths[1]] and find("zebra", tmp_path) == named
    (tmp_path / "sample" / ".zebra.removed").mkdir()
    (tmp_path / "sample" / ".zebra.removed" / "run.json").write_text("{}")
    assert len(runs_of(tmp_path, "sample")) == 3 and runs_of(tmp_path, "sampl") == runs_of(tmp_path / "gone") == []


def test_columns_as_arrays(tmp_path):
    run = load(record(tmp_path).path)
    assert run.column("cell").tolist() == [row["cell"] for row in run.rows]
    assert run.column("gain").dtype == np.float64 and run.column("seed").dtype == np.int64
    rate = run.column("rate")
    assert rate.dtype == np.float64 and np.isnan(rate).sum() == 2  # two points raised an error
    assert run.column("cause")[0] == "weights" and run.column("status")[0] == "nonfinite"
    codes, values = run.codes("cell")
    assert values == ["gru", "lstm", "rnn"] and [values[code] for code in codes] == run.column("cell").tolist()
    refused(lambda: run.column("rat"), "unknown column 'rat'; did you mean 'rate'?")


def test_a_column_of_words_that_float_would_take_is_text(tmp_path):
    @experiment(tag=["a"], seeds=3)
    def tagged(tag, seed):
        return {"word": ["1_0", "infinity", "1"][seed], "number": [1, 2.5, None][seed]}

    run = load(record(tmp_path, exp=tagged).path)
    assert run.column("word").tolist() == ["1_0", "infinity"]
    assert run.column("number").tolist() == [1.0, 2.5] and [row["number"] for row in run.rows] == [1, 2.5]


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

    for target, name in ((provenance, "collect"), (RunWriter, "_write_info")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                RunWriter(tmp_path, "toy", {"gain": [1.0]}, [0])
        assert not list(tmp_path.glob("toy/*"))

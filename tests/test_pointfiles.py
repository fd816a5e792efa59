"""Files of points: from what an experiment returns to the run's directory, through workers, interrupts and copies."""

import doctest
import hashlib
import json
import os
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sandbox import archive, sweep
from sandbox.cli import cli
from sandbox.comparison.reproduce import reproduce
from sandbox.errors import UsageError
from sandbox.experiment import experiment
from sandbox.results import find, journal, load, pointfiles
from sandbox.results.verify import verify
from sandbox.results.writer import RunWriter
from sandbox.study import Spread, carry_out, plan, repetition, resumption
from sandbox.sweep import Point

SOURCE = '''
from pathlib import Path
from sandbox.experiment import experiment
@experiment(cell=["rnn:relu", "gru"], hidden=[4, 8], gain=[1.0], seeds=2)
def toy(cell, hidden, gain, seed):
    """A toy that writes a text, and of one cell a table of bytes."""
    if Path("fail").exists() and hidden == 8:
        raise ValueError("told to")
    more = Path("more").read_text() if Path("more").exists() else ""
    files = {"sample.txt": f"{cell} {hidden} {seed}{more}\\n"}
    if cell == "gru":
        files["model.npz"] = bytes(range(256)) * hidden
    return {"loss": hidden / 3}, {"profile": {"t": [0, 1], "y": [0.5, seed]}}, files
'''
ran = []


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with one experiment."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "toy.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(spread=None, **options):
    ran.clear()
    return load(carry_out(plan("toy", **options), spread or Spread(jobs=1), watch=ran.append))


def go_on(**options):
    ran.clear()
    return load(carry_out(resumption("toy", "latest", **options), Spread(jobs=1), watch=ran.append))


def interrupted(count, **options):
    def stop(row):
        ran.append(row)
        if len(ran) == count:
            raise KeyboardInterrupt

    ran.clear()
    with pytest.raises(KeyboardInterrupt):
        carry_out(plan("toy", **options), Spread(jobs=1), watch=stop)
    return find("toy")


def on_disk(path):
    """Contents of everything in a run's files, by path."""
    return {each.relative_to(path).as_posix(): each.read_bytes() for each in path.glob("files/*/*")}


def call(*arguments):
    done = CliRunner().invoke(cli, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.stdout, done.stderr, done.exit_code


# What an experiment may return -----------------------------------------------------------------------------------


def test_the_examples_are_true():
    assert [doctest.testmod(module).failed for module in (pointfiles, archive)] == [0, 0]


def returned(files, curves=None):
    @experiment(a=[0], seeds=1)
    def giving(a, seed):
        return {"x": 1}, curves, files

    return sweep.execute(giving, Point({"a": 0}, 0))


def test_files_are_bytes_by_name():
    row = returned({"a.txt": "ä\n", "b-1_x.npz": b"\0\1", "c": bytearray(b"c")})
    assert row.files == {"a.txt": "ä\n".encode(), "b-1_x.npz": b"\0\1", "c": b"c"} and row.status == "ok"
    assert returned(None).files == returned({}).files == {} and returned({}, {"p": {"x": [1], "y": [2]}}).curves
    assert returned({"x": "\ud800"}).files == {"x": b"\\ud800"}


NAMES = "at most 64 of a-z, 0-9, _ . -, beginning with a letter, digit or _"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        *(({name: b""}, f"files with plain names ({NAMES}), got {name!r}")
          for name in ("a/b", "..", ".a", "A.txt", "", "a b", "a" * 65, "a.", "-a", 3)),
        ({"a.txt": 3}, "files as bytes or text, got int for a.txt"),
        ({"a.txt": None}, "files as bytes or text, got NoneType for a.txt"),
        ([b""], "files as a dict of contents by name, got list"),
    ],
)  # fmt: skip
def test_what_is_no_file_is_refused(files, message):
    with pytest.raises(UsageError) as caught:
        returned(files)
    assert str(caught.value).startswith("experiment 'giving' must return files ")
    assert str(caught.value).removeprefix("experiment 'giving' must return ") in (
        message,
        message.replace("a" * 65, "a" * 65),
    )


def test_files_have_a_limit(monkeypatch):
    monkeypatch.setattr(sweep, "LARGEST_FILES", 2 * 2**20)
    assert len(returned({"a": bytes(2**20), "b": bytes(2**20)}).files) == 2
    with pytest.raises(UsageError, match=r"files of at most 2 MB a point, got 3 MB \(b is the largest\)"):
        returned({"a": bytes(2**20), "b": bytes(2 * 2**20)})


# Where they are --------------------------------------------------------------------------------------------------


def test_folders_of_points_are_told_apart_on_every_file_system():
    values = ["a", "A", "a:b", "a@b", "a/b", "a_b", "a,b", "", "..", "ä", "x" * 200, "x" * 201, "a\\b", "CON"]
    axes = {"text": values, "one": [1], "n": [-1.5, 1e22, 3], "flag": [True, False]}
    keys = [(text, 1, n, flag, seed) for text in values for n in axes["n"] for flag in (True, False) for seed in (0, 1)]
    names = [pointfiles.folder_of(axes, key).removeprefix("files/") for key in keys]
    assert len({name.lower() for name in names}) == len(keys)
    assert all(len(name) < 140 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.+-@=,") for name in names)
    assert pointfiles.folder_of(axes, ("a:b", 1, -1.5, True, 1)) == "files/text=a@b,n=-1.5,flag=true,seed=1"
    assert pointfiles.folder_of({"cell": ["rnn"]}, ("rnn", 7)) == "files/seed=7"


def test_files_lie_in_the_runs_directory(here):
    found = run()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in on_disk(found.path).items()}
    assert len(sums) == 12 and all(found.info["files"][name] == total for name, total in sums.items())
    assert len(found.info["files"]) == 3 + 12
    assert (found.path / "files" / "cell=rnn@relu,hidden=8,seed=1" / "sample.txt").read_text() == "rnn:relu 8 1\n"
    assert (found.folder(("gru", 4, 1.0, 0)) / "model.npz").read_bytes() == bytes(range(256)) * 4
    assert set(found.files[("gru", 4, 1.0, 0)]) == {"model.npz", "sample.txt"} and len(found.files) == 8
    assert verify(found.path).text == "ok, 8 points" and not list(found.path.rglob(".*"))


def test_the_same_files_however_the_points_run(here):
    first = run()
    whole = on_disk(first.path)
    table = (first.path / "table.csv").read_bytes()
    assert on_disk(run(Spread(jobs=2), force=True).path) == whole
    planned = plan("toy", force=True)
    random.Random(0).shuffle(planned.todo)
    last = load(carry_out(planned, Spread(jobs=1)))
    assert on_disk(last.path) == whole and (last.path / "table.csv").read_bytes() == table
    assert last.info["files"] == first.info["files"] | {"timing.csv": last.info["files"]["timing.csv"]}


def test_the_same_files_on_a_local_dask_cluster(here):
    pytest.importorskip("distributed", reason="Dask is not installed (pip install rnn-sandbox[cluster])")
    whole = on_disk(run().path)
    path = carry_out(plan("toy", force=True), Spread(executor="dask", jobs=1), say=lambda text: None)
    assert on_disk(path) == whole and verify(path).state == "ok"


# What survives ---------------------------------------------------------------------------------------------------


def test_no_record_promises_what_is_not_there(here, monkeypatch):
    promised, append = [], journal.Journal.append

    def checked(own, record):
        folder = own.path.parent / pointfiles.folder_of({"cell": [0, 1], "hidden": [0, 1], "gain": [0]}, record.key)
        assert record.files == pointfiles.digests({each.name: each.read_bytes() for each in folder.iterdir()})
        promised.append(record)
        append(own, record)

    monkeypatch.setattr(journal.Journal, "append", checked)
    run()
    assert len(promised) == 8
    run(flags={"hidden": "8,4"}, seeds=[0])
    assert len(promised) == 8 + 4 and ran == []  # copied ones too


def test_a_file_that_cannot_be_written_ends_the_run_and_leaves_nothing_half(here, monkeypatch):
    replace = os.replace

    def full(source, target):
        if Path(target).name == "model.npz" and "hidden=8" in str(target):
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(UsageError, match="No space left on device; 6 of 8 points are safe in its journal"):
            run()
    path = find("toy")
    assert not list(path.rglob(".*")) and verify(path).text == "unfinished, 6 of 8 points"
    assert on_disk(go_on().path) == on_disk(run(force=True).path)


@pytest.mark.parametrize("count", [1, 6])
def test_an_interrupted_run_goes_on_with_its_files(here, count):
    path = interrupted(count)
    assert verify(path).text == f"unfinished, {count} of 8 points" and len(load(path).files) == count
    found = go_on()
    assert found.path == path and len(ran) == 8 - count and verify(path).state == "ok"
    whole = run(force=True)
    assert on_disk(path) == on_disk(whole.path) and found.files == whole.files
    found = go_on()  # of the finished run
    assert ran == [] and found.files == whole.files and verify(found.path).state == "ok"


def test_a_killed_run_goes_on_with_its_files(here, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "finish", lambda writer, status: writer.close())
        path = interrupted(5)
    assert json.loads((path / "run.json").read_text())["files"] == {}
    assert verify(path).text == "unfinished, 5 of 8 points" and len(load(path).files) == 5
    (path / "files" / "cell=rnn@relu,hidden=4,seed=0" / "sample.txt").write_text("x")
    assert verify(path).text.startswith("damaged: files/cell=rnn@relu,hidden=4,seed=0/sample.txt (it is not as it")
    assert len(go_on().files) == 8 and len(ran) == 4 and verify(path).state == "ok"


def test_points_that_failed_have_no_files_until_they_are_tried_again(here):
    (here / "fail").touch()
    found = run()
    assert len(found.files) == 4 and verify(found.path).state == "ok"
    (here / "fail").unlink()
    found = run(only_failed=True)
    assert len(ran) == 4 and on_disk(found.path) == on_disk(run(force=True).path)


# Points that are done --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("links", [True, False])
def test_files_of_points_that_are_done_are_brought_along(here, monkeypatch, links):
    small = run(flags={"hidden": "4"})
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "not permitted")))
    large = run()
    assert len(ran) == 4 and large.info["reused"] == {small.path.name: 4}
    one, two = small.folder(("gru", 4, 1.0, 1)) / "model.npz", large.folder(("gru", 4, 1.0, 1)) / "model.npz"
    assert one.parent.name == "cell=gru,seed=1" and two.parent.name == "cell=gru,hidden=4,seed=1"
    assert os.path.samefile(one, two) == links
    call("results", "rm", "--yes", str(small.path))
    assert not small.path.exists() and verify(large.path).state == "ok" and not list(large.path.rglob(".*"))
    assert on_disk(large.path) == on_disk(run(force=True).path)


def test_a_file_that_is_there_already_is_brought_again(tmp_path):
    pointfiles.save(tmp_path / "files" / "a", {"x": b"1", "y": b"2"})
    for _ in range(2):
        pointfiles.copy(tmp_path / "files" / "a", tmp_path / "files" / "b", ["x", "y"])
        assert {name: content for name, content in on_disk(tmp_path).items() if "b/" in name} == {
            "files/b/x": b"1", "files/b/y": b"2"}  # fmt: skip
        assert sorted(os.listdir(tmp_path / "files" / "b")) == ["x", "y"]


def test_a_point_whose_file_is_gone_or_changed_is_not_done(here):
    first = run()
    assert run().path == first.path and ran == []
    model = first.folder(("gru", 4, 1.0, 1)) / "model.npz"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + b"x")
    second = run()
    assert second.path != first.path and [row.point.values["cell"] for row in ran] == ["gru"] and len(ran) == 1
    (first.folder(("rnn:relu", 4, 1.0, 1)) / "sample.txt").unlink()
    shutil.rmtree(second.path)
    found = go_on()
    assert found.path == first.path and len(ran) == 2 and verify(first.path).state == "ok"
    assert model.read_bytes() == content and on_disk(first.path) == on_disk(run(force=True).path)


# Commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_verify_looks_at_files_of_points(here, damage):
    for path in (run().path, interrupted(7, force=True)):
        sample = path / "files" / "cell=rnn@relu,hidden=8,seed=1" / "sample.txt"
        sample.write_text("x") if damage == "change" else sample.unlink()
        why = "it is not as it was written" if damage == "change" else "No such file or directory"
        assert verify(path).text == f"damaged: files/cell=rnn@relu,hidden=8,seed=1/sample.txt ({why})"


def test_a_file_that_run_json_promises_otherwise_is_noticed(here):
    path = run().path
    text = (path / "run.json").read_text()
    (path / "run.json").write_text(text.replace('seed=1/model.npz": "', 'seed=1/model.npz": "0', 1))
    assert verify(path).text == "damaged: run.json (it is not as it was written)"


def test_rm_takes_files_of_points_along_and_nothing_else(here):
    path = run().path
    inside = path / "files" / "cell=gru,hidden=4,seed=0" / "mine"
    inside.mkdir()
    out, err, code = call("results", "rm", "--yes", "toy")
    assert (
        code == 2
        and err == f"error: {path.absolute()} must hold files alone to be removed, got a folder in it: files\n"
    )
    inside.rmdir()
    assert call("results", "rm", "--yes", "toy")[2] == 0 and not path.exists()


def test_show_and_run_say_where_the_files_are(here):
    out, _, code = call("run", "toy", "--jobs", "1", "--no-plot")
    path = find("toy")
    line = f" files {path}/files/ (12 files of 8 points: model.npz, sample.txt)"
    assert code == 0 and line in out.splitlines()
    assert line in call("show", "toy")[0].splitlines()
    assert line in call("results", "show", "toy")[0].splitlines()
    assert "files" not in call("show", "toy", "--format", "csv")[0]
    json.loads(call("show", "toy", "--format", "json")[0])


def test_reproduce_compares_files(here):
    first = run()
    again = load(carry_out(repetition(first, "results"), Spread(jobs=1)))
    found = reproduce(first, again)
    assert found.word == "identical"
    assert found.lines()[0] == "identical   8 rows; table.csv and curves.csv have the same bytes, as have 12 files"
    (here / "more").write_text("!")
    found = reproduce(first, load(carry_out(repetition(first, "results"), Spread(jobs=1))))
    assert found.word == "differs" and [each.column for each in found.deviations] == ["sample.txt"]
    assert "the worst: sample.txt at cell gru hidden 4 seed 0, then " in found.lines()[0]
    (here / "more").unlink()
    shutil.rmtree(again.path / "files" / "cell=gru,hidden=8,seed=1")  # what is not there is not read
    assert reproduce(first, load(again.path)).word == "identical"


def test_reproduce_knows_arrays(here):
    text = SOURCE.replace("bytes(range(256)) * hidden", "pack({'a': 1}, {'w': np.array([1.0, float(more or 2)])})")
    (here / "experiments" / "toy.py").write_text("import numpy as np\nfrom sandbox.archive import pack\n"
                                                 + text.replace("{more}", ""))  # fmt: skip
    first = run()

    def again(value):
        (here / "more").write_text(value)
        return reproduce(first, load(carry_out(repetition(first, "results"), Spread(jobs=1))))

    assert again("2.0").word == "identical"
    found = again(repr(2.0 * (1 + 3e-9)))
    assert found.verdict == "within 1e-8" and [each.column for each in found.deviations] == ["model.npz"]
    assert again("2.5").word == again("nan").word == "differs"


# Archives as bytes -----------------------------------------------------------------------------------------------


def test_packed_archives_hold_their_content_alone(tmp_path):
    facts, arrays = {"b": [1, "ä"], "a": np.int64(3)}, {"y": np.arange(6.0).reshape(2, 3), "x": np.float32(0.5)}
    content = archive.pack(facts, arrays)
    turned = {"x": np.array(0.5, ">f4"), "y": np.asfortranarray(arrays["y"])}
    assert archive.pack({"a": 3, "b": [1, "ä"]}, turned) == content
    assert archive.pack(facts, {**arrays, "x": np.float32(0.25)}) != content
    (tmp_path / "a.npz").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert [each.filename for each in file.infolist()] == ["facts.npy", "x.npy", "y.npy"]
        assert {each.date_time for each in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    for source in (content, tmp_path / "a.npz", str(tmp_path / "a.npz")):
        found, read = archive.unpack(source)
        assert found == {"a": 3, "b": [1, "ä"]} and read["x"].dtype == np.float32 and read["x"] == 0.5
        assert read["y"].tolist() == arrays["y"].tolist() and list(read) == ["x", "y"]


def test_what_is_no_archive_is_refused(tmp_path):
    for source in (b"", b"PK", b"x" * 100, archive.pack({}, {})[:-40]):
        with pytest.raises(
            UsageError, match=f"archive must be a file written by archive.pack, got {len(source)} bytes"
        ):
            archive.unpack(source)
    with pytest.raises(UsageError, match="model must exist, got none.npz"):
        archive.unpack("none.npz", "model")

"""Studies: what is done already, going on, only what failed, and the same bytes however the points run."""

import hashlib
import json
import os
import random
from pathlib import Path

import pytest

from sandbox import fingerprint, study
from sandbox.errors import UsageError
from sandbox.results import RunWriter, find, load
from sandbox.selection import Selection
from sandbox.study import Spread, carry_out, plan, resumption

SOURCE = '''
"""Metrics that differ by cell, a curve, a status, and a point that fails as long as a file says so."""
import os
from sandbox.experiment import Setting, experiment
from sandbox.report import Table
@experiment(cell=["rnn", "gru"], hidden=[10, 9], tag=["b", "a"], seeds=2, quick=dict(hidden=[2]),
            settings=(Setting("text"),), table=Table(["rate"]))
def sample(cell, hidden, tag, seed, text):
    """Metrics that differ by cell."""
    if os.path.exists("fail") and (cell, hidden) == ("gru", 9):
        raise ValueError("told to")
    metrics = {"rate": hidden / 3 * (seed + 1), f"gate_{cell}": seed, "none": None}
    if tag == "b":
        metrics = {"first": 1.5} | metrics
    if seed == 1:
        metrics["status"] = "nonfinite: dh"
    return metrics, {"profile": {"lag": range(3), "value": [0.1 * hidden] * 3, f"of_{cell}": [seed] * 3}}
'''


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder with one experiment in it."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "sample.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(spread=None, **options):
    """Run the study and return its run; the points that really ran are in `ran`."""
    ran.clear()
    return load(carry_out(plan("sample", **options), spread, watch=ran.append))


ran = []


def tables(run):
    return {name: (run.path / name).read_bytes() for name in ("table.csv", "curves.csv")}


def refused(call, *parts):
    with pytest.raises(UsageError) as caught:
        call()
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert "\n" not in str(caught.value)


# What is done ----------------------------------------------------------------------------------------------------


def test_points_that_are_done_are_not_run_again():
    first = run()
    assert len(ran) == len(first) == 16 and first.info["statuses"] == {"nonfinite": 8, "ok": 8}
    planned = plan("sample")
    assert planned.todo == [] and planned.complete == first.path
    assert run().path == first.path and ran == []
    again = run(force=True)
    assert again.path != first.path and len(ran) == 16 and tables(again) == tables(first)


def test_a_larger_grid_runs_what_is_new_and_is_as_if_all_were():
    small = run(flags={"hidden": "9"})
    large = run(flags={"hidden": "9,10,11"})
    assert len(small) == 8 and len(ran) == 16 and len(large) == 24
    assert large.info["reused"] == {small.path.name: 8}
    whole = run(flags={"hidden": "9,10,11"}, force=True)
    assert tables(large) == tables(whole) and large.info["curves"] == whole.info["curves"]
    part = run(flags={"hidden": "10", "cell": "gru", "tag": "a"})
    assert ran == [] and part.path != large.path and part.info["reused"]  # the newest run has all of them
    assert tables(part) == tables(run(flags={"hidden": "10", "cell": "gru", "tag": "a"}, force=True))


def test_rows_come_from_several_runs(here):
    run(flags={"hidden": "9"})
    run(flags={"hidden": "10"})
    both = run()
    assert ran == [] and sorted(both.info["reused"].values()) == [8, 8] and len(both) == 16
    assert set(both.seconds()) == set(both.keys)


def test_another_text_of_the_experiment_is_another_point(here):
    run()
    (here / "experiments" / "sample.py").write_text(SOURCE + "# edited\n")
    run()
    assert len(ran) == 16


def test_another_version_of_the_package_is_another_point(monkeypatch):
    run()
    monkeypatch.setattr(study, "code_hash", lambda: "another")
    run()
    assert len(ran) == 16


def test_settings_and_the_files_they_name_belong_to_a_point(here):
    (here / "book").write_text("one")
    run()
    run(settings={"text": "book"})
    assert len(ran) == 16
    run(settings={"text": "book"})
    assert ran == []
    (here / "book").write_text("two")
    run(settings={"text": "book"})
    assert len(ran) == 16


def test_a_text_too_long_for_a_name_is_no_file():
    assert len(run(settings={"text": "word " * 1000})) == 16
    assert run(settings={"text": "word " * 1000}) and ran == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_comes_through_a_pipe_is_never_the_same(here):
    os.mkfifo(here / "pipe")
    for _ in range(2):
        run(settings={"text": "pipe"})
        assert len(ran) == 16


def test_a_file_is_read_once(here, monkeypatch):
    texts = []
    from sandbox.experiment import Experiment

    def parse(experiment, settings):
        texts.append(Path("book").read_text())
        return {"text": texts[-1]}

    monkeypatch.setattr(Experiment, "parse_settings", parse)
    (here / "book").write_text("one")
    planned = plan("sample", settings={"text": "book"})
    (here / "book").write_text("two")
    carry_out(planned)
    assert texts == ["one"] and planned.parsed == {"text": "one"}


def test_what_an_experiment_imports_belongs_to_it(here, monkeypatch):
    monkeypatch.syspath_prepend(str(here / "lib"))
    (here / "lib" / "mine").mkdir(parents=True)
    for name in ("helping.py", "helped.py", "mine/__init__.py", "mine/part.py", "other.py"):
        (here / "lib" / name).write_text("x = 1\n")
    (here / "lib" / "helping.py").write_text("def f():\n    import helped\n")
    source = (b"import os, numpy.linalg, missing\nfrom helping import f\n"
              b"try:\n    from mine.part import x\nexcept ImportError: pass\n")  # fmt: skip
    hashes = [fingerprint.experiment_hash(source)]
    for name in ("helping.py", "helped.py", "mine/part.py"):
        with (here / "lib" / name).open("a") as file:
            file.write("y = 2\n")
        hashes.append(fingerprint.experiment_hash(source))
    assert len(set(hashes)) == 4
    (here / "lib" / "other.py").write_text("x = 2\n")
    assert fingerprint.experiment_hash(source) == hashes[-1]
    alone = b"import math, numpy, sandbox.tasks\n"
    assert fingerprint.experiment_hash(alone) == hashlib.sha256(alone).hexdigest()[:16]


def test_shipped_experiments_that_are_imported_belong_to_it(monkeypatch):
    for source in (b"from sandbox.experiments import length\n", b"import sandbox.experiments.length\n",
                   b"from sandbox import experiments\n"):  # fmt: skip
        assert fingerprint.experiment_hash(source) != hashlib.sha256(source).hexdigest()[:16]


def test_an_altered_run_is_not_relied_upon():
    first = run()
    table = first.path / "table.csv"
    table.write_text(table.read_text().replace("nonfinite,dh", "ok,"))
    run()
    assert len(ran) == 16


def test_a_damaged_run_is_not_relied_upon():
    first = run()
    (first.path / "table.csv").write_text("nonsense\n1,2\n")
    run()
    assert len(ran) == 16
    first = run(flags={"hidden": "11"})
    (first.path / "run.json").write_text("{")
    run(flags={"hidden": "11"})
    assert len(ran) == 8


# What failed -----------------------------------------------------------------------------------------------------


def test_points_that_failed_are_tried_again(here):
    (here / "fail").touch()
    first = run()
    assert first.info["statuses"] == {"error": 4, "nonfinite": 6, "ok": 6}
    (here / "fail").unlink()
    second = run()
    assert {row.point.values["cell"] for row in ran} == {"gru"} and len(ran) == 4
    assert tables(second) == tables(run(force=True))


def test_only_failed_leaves_out_what_was_never_run(here):
    refused(lambda: plan("sample", only_failed=True), "--only-failed must be used after a run")
    (here / "fail").touch()
    run()
    (here / "fail").unlink()
    found = run(flags={"hidden": "9,10,11"}, only_failed=True)
    assert len(ran) == 4 and len(found) == 16 and found.info["points"] == 16
    refused(lambda: plan("sample", only_failed=True, force=True), "--force or by --only-failed, got both")


# Going on --------------------------------------------------------------------------------------------------------


def interrupted(count, **options):
    """Begin a study and stop it after so many points."""

    def stop(row):
        ran.append(row)
        if len(ran) == count:
            raise KeyboardInterrupt

    ran.clear()
    with pytest.raises(KeyboardInterrupt) as caught:
        carry_out(plan("sample", **options), watch=stop)
    assert caught.value.__notes__ == [f"{count} of 16 points kept in {find('sample')}/"]
    return find("sample")


def go_on(run="latest", **options):
    ran.clear()
    return load(carry_out(resumption("sample", run, **options), watch=ran.append))


@pytest.mark.parametrize("count", [1, 7, 15])
def test_an_interrupted_run_goes_on_in_its_directory(count):
    path = interrupted(count)
    found = go_on()
    assert found.path == path and len(ran) == 16 - count and found.info["status"] == "finished"
    assert tables(found) == tables(run(force=True))
    assert go_on(path.name).path == path and ran == []


def test_what_an_interrupted_run_did_is_done_for_a_new_one_too():
    path = interrupted(5)
    found = run()
    assert len(ran) == 11 and found.path != path and tables(found) == tables(run(force=True))


def test_resuming_keeps_grid_selection_and_seeds():
    selection = Selection(where="seed == 3 or hidden < 10", sample=(3, 1))
    ran.clear()
    planned = plan("sample", {"hidden": "9,10,11"}, seeds=[3, 4], selection=selection)
    with pytest.raises(KeyboardInterrupt):
        carry_out(planned, watch=lambda row: (_ for _ in ()).throw(KeyboardInterrupt))
    found = go_on()
    assert len(found) == len(planned.points) == len(ran) + 1
    assert {(row["cell"], row["hidden"], row["tag"]) for row in found.rows} == {
        tuple(point.values.values()) for point in planned.points
    }


def test_resuming_tries_what_failed_and_only_that_if_asked(here):
    (here / "fail").touch()
    interrupted(14)
    (here / "fail").unlink()
    failed = sum(row.failed for row in ran)
    assert failed == 2
    found = go_on(only_failed=True)
    assert len(ran) == 2 and len(found) == 14
    found = go_on()
    assert len(ran) == 2 and tables(found) == tables(run(force=True))


def test_a_run_of_what_failed_goes_on_to_its_whole_grid(here):
    (here / "fail").touch()
    run()
    found = run(flags={"hidden": "9,10,11"}, only_failed=True)
    (here / "fail").unlink()
    found = go_on(only_failed=True)
    assert len(ran) == 4 and len(found) == found.info["points"] == 16 and found.info["status"] == "finished"
    found = go_on()
    assert len(ran) == 8 and len(found) == found.info["points"] == 24 and found.info["status"] == "finished"
    assert tables(found) == tables(run(flags={"hidden": "9,10,11"}, force=True))


def test_resuming_with_other_code_is_refused(here, monkeypatch):
    path = interrupted(5)
    refused(lambda: resumption("vanishing", str(path)), "--resume must be a run of vanishing, got one of sample")
    refused(lambda: resumption("sample", "none"), "unknown run 'none'")
    with monkeypatch.context() as patch:
        patch.setattr(study, "code_hash", lambda: "another")
        refused(
            lambda: resumption("sample", "latest"), "with the code and files it was begun with, got another sandbox"
        )
    (here / "experiments" / "sample.py").write_text(SOURCE + "# edited\n")
    refused(lambda: resumption("sample", "latest"), "got another experiment (start a new run)")


def test_a_run_broken_off_behind_its_last_row_is_finished(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "finish", lambda writer, status: writer.close())  # as a kill there does
        path = run().path
    assert (path / "journal").exists() and len(ran) == 16
    assert go_on().path == path and ran == [] and not (path / "journal").exists()
    assert load(path).info["status"] == "finished"


def test_going_on_with_what_failed_leaves_the_rest_to_do(here):
    path = interrupted(5)
    found = go_on(only_failed=True)
    assert ran == [] and len(found) == 5 and found.info["status"] == "interrupted"
    assert len(go_on()) == 16 and len(ran) == 11 and find("sample") == path


def test_a_run_drained_before_a_failed_point_was_tried_again_is_interrupted(here):
    (here / "fail").touch()
    run()
    (here / "fail").unlink()
    runner = []

    def watch(row):
        runner[0].drain()

    with pytest.raises(KeyboardInterrupt):
        carry_out(resumption("sample", "latest"), Spread(jobs=1), watch=watch, begun=runner.append)
    found = load(find("sample"))
    assert found.info["statuses"]["error"] == 3 and found.info["status"] == "interrupted"


# On what the points run ------------------------------------------------------------------------------------------


def test_the_same_bytes_however_the_points_run(monkeypatch):
    """One process, four workers, points in any order, interrupted and resumed."""
    whole = tables(run(Spread(jobs=1)))
    assert tables(run(Spread(jobs=4), force=True)) == whole
    assert tables(run(Spread(), force=True)) == whole
    for seed in range(3):
        planned = plan("sample", force=True)
        random.Random(seed).shuffle(planned.todo)
        assert tables(load(carry_out(planned))) == whole
    interrupted(6, force=True)
    assert tables(go_on()) == whole


def test_the_same_bytes_on_a_local_dask_cluster():
    pytest.importorskip("distributed", reason="Dask is not installed (pip install rnn-sandbox[cluster])")
    whole = tables(run(Spread(jobs=1)))
    said = []
    path = carry_out(plan("sample", force=True), Spread(executor="dask", jobs=2), say=said.append)
    assert tables(load(path)) == whole and any("dashboard" in line for line in said)


def test_a_timeout_needs_workers_of_ours():
    refused(lambda: Spread(timeout=1.0, executor="dask"), "--timeout-per-point must be left out with --executor dask")
    refused(lambda: Spread(executor="slurm"), "executor must be one of local, dask, got slurm")
    refused(lambda: Spread(scheduler="tcp://x"), "--scheduler must be given together with --executor dask")
    found = run(Spread(jobs=1, timeout=60.0))
    assert len(found) == 16


def test_an_experiment_without_a_file_runs_in_this_process():
    from sandbox.experiment import experiment

    @experiment(a=[1, 2], seeds=1)
    def typed(a, seed):
        return {"pid_free": a * 2}

    found = load(carry_out(plan(typed)))
    assert found.column("pid_free").tolist() == [2.0, 4.0]
    refused(lambda: carry_out(plan(typed, force=True), Spread(jobs=2)), "'typed' must come from a file")
    assert not list(Path("results/typed").glob("*/journal"))


def test_a_study_that_is_drained_is_interrupted():
    runner = []

    def watch(row):
        if len(runner) == 1:
            runner.append("drained")
            runner[0].drain()

    with pytest.raises(KeyboardInterrupt):
        carry_out(plan("sample"), Spread(jobs=1), watch=watch, begun=runner.append)
    info = json.loads((find("sample") / "run.json").read_text())
    assert (info["status"], info["rows"]) == ("interrupted", 1)


def test_times_of_earlier_runs():
    first = run()
    (first.path.parent / "damaged").mkdir()
    (first.path.parent / "damaged" / "run.json").write_text("{")
    times = study.history("sample", "results")
    assert len(times) == 16 and times[0][0].keys() == {"cell", "hidden", "tag"} and times[0][1] > 0
    assert len(study.history("sample", "results", most=5)) == 5 and study.history("none", "results") == []

"""The same work in processes of their own: what they are given, that it is the same, who is missing."""

import csv
import json
import sys

import numpy as np
import pytest

from sandbox import tasks
from sandbox.bench import data, peers, sweep
from sandbox.bench.job import job
from sandbox.bench.parts import PARTS, parts
from sandbox.bench.parts import operations as parts_operations
from sandbox.bench.peers import Peer, Peers, parse_against
from sandbox.bench.scaling import scaling
from sandbox.bench.start import start
from sandbox.bench.step import step
from sandbox.bench.update import update
from sandbox.errors import UsageError
from sandbox.experiment import load
from sandbox.jit import COMPILED
from sandbox.streams import stream
from sandbox.training import Recipe, Trainer, model_for

compiled_only = pytest.mark.skipif(not COMPILED, reason="nothing to time without the compiler")


@pytest.fixture
def nothing(monkeypatch):
    """A library that is installed nowhere."""
    monkeypatch.setattr(peers, "LIBRARIES", {"nothing": "Nothing"})
    monkeypatch.setitem(sys.modules["sandbox.bench.job"].LIBRARIES, "nothing", "Nothing")


# What all are given ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seq_len", [2, 7, 50])
def test_the_batches_of_other_libraries_are_this_projects(seq_len):
    ours, theirs, task = stream("data", 3), data.stream("data", 3), tasks.load("adding")
    for _ in range(2):
        batch, (x, target) = task.draw(ours, 5, seq_len), data.adding(theirs, 5, seq_len)
        np.testing.assert_array_equal(x, batch.x)
        np.testing.assert_array_equal(target, batch.target)


def test_the_loop_of_other_libraries_is_this_projects():
    """The same model behind both loops: the same updates, evaluations and end."""
    recipe = {"updates": 7, "batch": 4, "lr": 0.01, "evaluate_every": 3, "evaluation": 8}
    task = tasks.load("adding")

    def trainer():
        model = model_for(task, 0, cell="rnn", hidden=4)
        return Trainer(model, task, Recipe(**recipe), seq_len=6, seed=0)

    expected, other = trainer(), trainer()
    found = expected.run()

    def loss(x, target):
        output = other.model.forward(x.astype(np.float32))
        return float(np.mean((output - target.astype(np.float32)) ** 2, dtype=np.float64))

    evaluations = []
    plan = {"recipe": recipe, "seed": 0, "T": 6}
    theirs = data.train(plan, lambda x, target: other.step()[0], lambda *b: evaluations.append(0) or loss(*b))
    assert theirs["updates"] == found.updates == 7 and theirs["solved"] is found.solved is False
    assert theirs["loss"] == pytest.approx(found.loss, rel=1e-6)
    assert len(evaluations) == 2 * len(expected.evaluation) == 2 * 4  # at 0, 3, 6 and at the end
    stopped = data.train(plan, lambda x, target: float("nan"), lambda *b: 1.0)
    assert stopped["updates"] == 1
    assert data.train(plan, None, lambda *b: 0.009) == {"updates": 0, "loss": 0.009, "solved": True}


@compiled_only
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_library_that_is_installed_does_the_same_work(library):
    pytest.importorskip(library)
    with Peers([library]) as found:
        assert len(found.found) > 1 and "the same loss and gradients" in found.verify()


# Who is there --------------------------------------------------------------------------------------------------------


def test_libraries_by_name():
    assert parse_against(None) == ["torch", "jax"] and parse_against("none") == []
    assert parse_against("jax, jax") == ["jax"]
    with pytest.raises(UsageError, match="unknown library 'torhc'; did you mean 'torch'"):
        parse_against("torhc")


class Stub:
    """A process that answers what it was told to."""

    def __init__(self, name, shift=0.0):
        self.name, self.shift, self.waits, self.versions = name, shift, [], {}

    def ask(self, what, case):
        return {"loss": 3.0, "W_hh": [[1.0, 2.0 + self.shift]]}


@pytest.mark.parametrize("shift, wrong", [(1e-6, False), (1e-3, True), (float("nan"), True)])
def test_who_does_other_work_is_not_timed(shift, wrong):
    found = Peers()
    found.found = {"ours": Stub("ours"), "torch1": Stub("torch1", shift)}
    if wrong:
        with pytest.raises(RuntimeError, match="torch1 does not do the same work: W_hh of rnn is off by"):
            found.verify()
    else:
        assert found.verify() == "the same loss and gradients of rnn, gru, lstm to 5e-07"


def test_who_had_no_core_is_named():
    found = Peers()
    found.found = {name: Stub(name) for name in ("ours", "torch2")}
    found.found["ours"].waits, found.found["torch2"].waits = [0.0, 0.3, 0.01], [0.5, 0.4, 0.0]
    assert found.waited() == "torch2 40%" and found.waited() == ""


def test_a_process_that_dies_or_fails_is_not_taken_for_a_result():
    peer = Peer("ours")
    peer.greet()
    with pytest.raises(RuntimeError, match="ours failed: KeyError"):
        peer.ask(what="measure", slot="none", seconds=0.1)
    peer.process.kill()
    with pytest.raises(RuntimeError, match="the process of ours ended with code"):
        peer.ask(what="drop")
    peer.process.stdin.write("unread")
    peer.close()
    assert peer.process.stdin.closed and peer.process.stdout.closed


def test_a_library_that_is_missing_is_no_error():
    peer = Peer("nothing")
    peer.greet()
    assert "work_nothing" in peer.missing and peer.process.returncode == 0


# The commands, tiny --------------------------------------------------------------------------------------------------


def printed(capsys, rows, path):
    """Lines of a table, after its CSV was found to hold the rows."""
    with open(path, newline="") as file:
        read = list(csv.DictReader(file))
    assert all(row["machine"] and row["versions"] and row["date"] for row in read)
    assert len([line for line in read if line.get("seed", "") == ""]) == len(rows)
    return capsys.readouterr().out.splitlines()


@compiled_only
def test_step_prints_a_dash_for_who_is_missing(nothing, capsys, tmp_path):
    rows = step(tmp_path / "x.csv", quick=True)
    assert [(row["cell"], row["H"], row["verdict"]) for row in rows] == [("rnn", 4, "-"), ("rnn", 64, "-")]
    for row in rows:
        assert row["ours_s"] > row["limit_s"] > 0 and row["of_limit"] > 0 and "-" in row["goals"]
    lines = printed(capsys, rows, tmp_path / "x.csv")
    (line,) = [line for line in lines if line.split()[:5] == ["rnn", "2", "4", "1", "5"]]
    assert line.split()[6 + (peers.competitors(()).keys() >= {"ours2"}) :][:4] == ["-"] * 4 and "2x jax -" in line


def test_this_project_and_pytorch_run_with_one_thread_and_with_two(monkeypatch):
    monkeypatch.setattr(peers.os, "cpu_count", lambda: 4)
    expected = {
        "ours": ("ours", 1),
        "ours2": ("ours", 2),
        "torch1": ("torch", 1),
        "torch2": ("torch", 2),
        "jax": ("jax", 1),
    }
    assert peers.competitors(["torch", "jax"]) == expected
    monkeypatch.setattr(peers.os, "cpu_count", lambda: 1)
    assert list(peers.competitors(["torch", "jax"])) == ["ours", "torch1", "jax"]


@compiled_only
def test_the_parts_of_a_pass_make_it_up(capsys, tmp_path):
    rows = parts(tmp_path / "x.csv", quick=True)
    for first in (0, len(PARTS)):
        found = {row["part"]: row for row in rows[first : first + len(PARTS)]}
        assert tuple(found) == PARTS and all(row["seconds"] >= 0 for row in found.values())
        assert sum(row["share"] for name, row in found.items() if not name.endswith("step")) == pytest.approx(1)
        assert all((row["of_limit"] is not None) == (name in ("forward", "backward", "gradients"))
                   for name, row in found.items())  # fmt: skip
    printed(capsys, rows, tmp_path / "x.csv")
    count = parts_operations({"cell": "gru", "T": 5, "B": 2, "D": 3, "H": 4})
    assert count == {"forward": 1680.0, "backward": 960.0, "gradients": 1680.0}


@compiled_only
def test_update_says_what_is_python(nothing, capsys, tmp_path):
    first, second = update(tmp_path / "x.csv", quick=True)
    # A median of differences: on a busy machine it may pass the median of what it is a part of.
    assert 0 < first["python_s"] < 2 * first["ours_s"] and first["goals"].startswith("25 us")
    assert "python_s" not in second and second["goals"].startswith("1.15") and second["over_step"] > 0
    assert any("update / step" in line for line in printed(capsys, [first, second], tmp_path / "x.csv"))


@compiled_only
def test_scaling_has_every_figure(capsys, tmp_path):
    rows = scaling(tmp_path / "x.csv", quick=True)
    names = ["exponent of steps", "exponent of sequences", "memory of a gradient", "time with checkpoints"]
    assert [row["measure"] for row in rows] == [*names, "rate of float64"]
    assert all(row["met"] in ("yes", "NO", "?") and row["goal"] for row in rows)
    printed(capsys, rows, tmp_path / "x.csv")


@compiled_only
def test_job_is_the_same_training_in_a_process_of_its_own(nothing, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(peers.os, "cpu_count", lambda: 2)
    ours, two, missing = job(tmp_path / "x.csv", quick=True)
    assert two["loss"] == ours["loss"] and two["threads"] == 2
    assert ours["updates"] == 3 and ours["seconds"] > ours["training_s"] > 0 and np.isfinite(ours["loss"])
    assert "seconds" not in missing
    lines = printed(capsys, [ours, two, missing], tmp_path / "x.csv")
    assert any(line.split()[:4] == ["Nothing", "1", "-", "-"] for line in lines)


def test_start_measures_help_and_a_first_kernel(capsys, tmp_path):
    rows = start(tmp_path / "x.csv", quick=True)
    assert [row["measure"] for row in rows] == ["--help", "first kernel, compiled before"]
    assert all(row["seconds"] > 0 and row["met"] in ("yes", "?", "NO") for row in rows)
    printed(capsys, rows, tmp_path / "x.csv")


def test_a_library_that_is_missing_is_a_dash_among_sweeps(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sweep, "installed", dict)
    monkeypatch.setattr(sweep, "_by", lambda library, files: pytest.fail("run without the library"))
    monkeypatch.setattr(sweep, "_measured", lambda scratch, libraries, quick: [
        sweep._against(library, scratch, quick) for library in libraries])  # fmt: skip
    for against, names in ((None, ["PyTorch"]), ("jax,torch", ["JAX", "PyTorch"]), ("none", [])):
        rows = sweep.sweep(tmp_path / "x.csv", against, quick=True)
        assert [row["measure"] for row in rows] == [f"{name} to ours, jobs 2" for name in names]
        lines = capsys.readouterr().out.splitlines()[4:]
        assert [line.split()[-4:] for line in lines] == [[name, "is", "not", "installed"] for name in names]
        assert all(" -  times as fast" in line and "  -    " in line for line in lines)
        with (tmp_path / "x.csv").open() as file:
            assert [row["measure"] for row in csv.DictReader(file)] == [row["measure"] for row in rows]


def test_a_goal_of_a_sweep_is_a_bound():
    assert [sweep._row("m", figure, "s", "<= 2", "")["met"] for figure in (1.9, 2.0, 2.1)] == ["yes", "yes", "NO"]
    assert [sweep._row("m", figure, "x", ">= 2", "")["met"] for figure in (1.9, 2.0, 2.1)] == ["NO", "yes", "yes"]


def test_a_sweep_is_compared_with_the_same_trainings(monkeypatch, tmp_path):
    """Two files of plans with every seed in one of them, each with the weights that this project starts from."""
    plans, words = [], []
    monkeypatch.setattr(sweep, "installed", lambda: {"torch": "2"})
    monkeypatch.setattr(
        sweep, "_by", lambda library, files: plans.append([json.loads(f.read_text()) for f in files]) or 3
    )
    monkeypatch.setattr(sweep, "_command", lambda *given: words.append(given) or 2.0)
    row = sweep._against("torch", tmp_path, True)
    assert row["figure"] == 1.5 and row["met"] == "NO" and len(plans) == len(words) == 2
    assert [[plan["seed"] for plan in half] for half in plans[0]] == [[0], [1]]
    model = model_for(tasks.load("adding"), 1, cell="lstm", hidden=16)
    with np.load(plans[0][1][0]["start"]) as start:
        np.testing.assert_array_equal(start["W_hh"], model.parameters["layers.0.W_hh"])
        np.testing.assert_array_equal(start["head_W"], model.parameters["head.W"])
    recipe, defaults = plans[0][0][0]["recipe"], load("length").axes
    assert recipe["updates"] == words[0][words[0].index("--updates") + 1]
    for name in ("lr", "batch", "clip", "threshold", "optimiser"):
        assert [recipe[name]] == list(defaults[name].default)
    assert all(recipe[name] == getattr(Recipe(), name) for name in ("evaluate_every", "evaluation"))


def test_a_plan_is_json():
    from sandbox.bench.job import PLAN

    assert json.loads(json.dumps(PLAN)) == PLAN

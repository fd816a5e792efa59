"""Kernels compiled before workers start: small points, once for each combination of texts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sandbox
import sandbox.jit
from sandbox.experiment import load
from sandbox.sweep import Point
from sandbox.warm import warm

ROOT = Path(sandbox.__file__).parents[1]
SOURCE = """
from sandbox.axes import Axis
from sandbox.experiment import experiment
CALLS = []

@experiment(
    cell=Axis(["a", "b", "c"], name="cell"), flip=[False, True], size=[100, 200], rate=[0.5], seeds=1,
    quick=dict({quick}),
)
def shown(cell, flip, size, rate, seed):
    CALLS.append((cell, flip, size, rate, seed))
    if cell == "c":
        raise {error}
    return {{}}
"""


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """A function that loads an experiment which keeps what it was called with; kernels lie in a folder ``cache``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(sandbox.jit, "cache_directory", lambda: tmp_path / "cache")
    monkeypatch.setattr(sandbox.jit, "COMPILED", True)

    def make(quick='size=[3], cell=["a"]', error="ValueError"):
        (tmp_path / "experiments" / "shown.py").write_text(SOURCE.format(quick=quick, error=error))
        return load("shown")

    return make


def calls(experiment):
    return experiment.function.__globals__["CALLS"]


def points(cells="ab", flips=(False, True), sizes=(100, 200), seeds=(5, 6)):
    return [
        Point({"cell": cell, "flip": flip, "size": size, "rate": 0.5 * size}, seed)
        for cell in cells for flip in flips for size in sizes for seed in seeds
    ]  # fmt: skip


def test_one_small_point_for_each_combination_and_never_again(shown):
    experiment = shown()
    assert warm(experiment, points()) == 4
    expected = [(cell, flip, 3, 50.0, 5) for cell in "ab" for flip in (False, True)]
    assert calls(experiment) == expected
    assert warm(experiment, points(seeds=(9,))) == 0
    assert warm(shown(), points(sizes=(7,))) == 0  # loaded anew
    assert warm(shown('size=[3], rate=[0.1], cell=["a"]'), points(cells="a")) == 2  # edited


def test_a_point_that_fails_is_left_to_the_sweep_and_tried_again(shown):
    for error in ("ValueError", "KeyError('c')"):
        experiment = shown(error=error)
        assert warm(experiment, points("ac", (True,))) == 2
        assert warm(experiment, points("ac", (True,))) == 1
        assert [call[0] for call in calls(experiment)] == ["a", "c", "c"]


def test_what_an_experiment_may_not_return_is_left_to_the_sweep(shown):
    experiment = shown()
    experiment.function = lambda **values: [1]
    assert warm(experiment, points("a", (True,))) == 1
    assert list(Path("cache").iterdir()) == []


def test_an_interrupt_is_not_swallowed(shown):
    with pytest.raises(KeyboardInterrupt):
        warm(shown(error="KeyboardInterrupt"), points("c"))


@pytest.mark.parametrize("quick", ["", 'cell=["a"]', "seeds=1"])
def test_without_small_numbers_nothing_runs(shown, quick):
    experiment = shown(quick)
    assert warm(experiment, points()) == 0 and calls(experiment) == []


def test_nothing_runs_where_workers_could_not_have_the_kernels(shown, monkeypatch):
    experiment = shown()
    with monkeypatch.context() as patched:
        patched.setattr(sandbox.jit, "cache_directory", lambda: None)
        assert warm(experiment, points()) == 0
    with monkeypatch.context() as patched:
        patched.setattr(sandbox.jit, "COMPILED", False)
        assert warm(experiment, points()) == 0
    with monkeypatch.context() as patched:
        patched.delitem(sys.modules, "sandbox.jit")
        assert warm(experiment, points()) == 0
    assert calls(experiment) == []


def test_a_cache_that_cannot_be_written(shown, monkeypatch):
    monkeypatch.setattr(sandbox.jit, "cache_directory", lambda: Path("experiments", "shown.py"))
    experiment = shown()
    assert warm(experiment, points("a", (True,))) == 1


def test_it_can_be_stopped(shown):
    experiment = shown()
    answers = iter([False, False, True, True])
    assert warm(experiment, points(), stop=lambda: next(answers)) == 2
    assert len(calls(experiment)) == 2


def test_settings_reach_the_points(shown):
    experiment = shown()
    taken = []
    experiment.function = lambda **values: taken.append(values["text"]) or {}
    assert warm(experiment, points("a", (True,)), {"text": "abc"}) == 1 and taken == ["abc"]


SCRIPT = """
import json, time
from sandbox.experiment import load
from sandbox.sweep import Job, points
from sandbox.warm import warm
from sandbox.workers import Workers

said = {}
for name, larger in (("vanishing", dict(hidden=[7, 20], gain=[0.9], seq_len=[25])),
                     ("length", dict(hidden=[7, 20], seq_len=[25], batch=[5], updates=[12]))):
    experiment = load(name)
    todo = points(experiment, experiment.grid(larger), [3])
    ran, again = warm(experiment, todo), warm(experiment, todo)
    workers = Workers(Job.of(experiment), 2)
    said[name] = ran, again, {row.status for row in workers.run(todo)} == {"ok"}, workers.kernels
print(json.dumps(said))
"""


@pytest.mark.slow
def test_after_it_workers_compile_nothing(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SANDBOX_CACHE_DIR": str(tmp_path / "kernels")}
    ended = subprocess.run([sys.executable, "-c", SCRIPT], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    for cells, (ran, again, fine, kernels) in zip((4, 3), json.loads(ended.stdout).values(), strict=True):
        assert (ran, again, fine, kernels["compiled"]) == (cells, 0, True, 0)
        assert kernels["loaded"] > 20

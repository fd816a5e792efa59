"""Random experiments with random metrics: the same bytes however their points came to be in a run."""

import contextlib
import os
import random
import sys
from pathlib import Path

import pytest

from sandbox import provenance
from sandbox.results import journal, load
from sandbox.results.verify import verify
from sandbox.study import Spread, carry_out, key_of, plan, resumption

ROOT = Path(__file__).parent.parent
SOURCE = r'''
"""Anything a point may return, chosen by the point itself."""
import random
from sandbox.experiment import experiment
VALUES = [None, 0, -1, 1.0, -0.0, 0.1, 1e300, 1e22, 5e-324, float("nan"), float("inf"), -float("inf"), True, False,
          2**62, 1e16, "1e5", "007", "1.50", "-0", "true", "nan", "", "a,b", 'say "x"', "\u00e9\u2211", "1.", "inf",
          "None", " x ", "'", "=1+1", "-", "1_000", "\ud800", "two\nlines", "x" * 50]
NAMES = ["a", "b", "c,d", 'q"q', "Z z", "\u00e9", "none"]
@experiment(word=["p", "q,r", 'q"', "1.0"], n=[1, 10, 9], g=[0.1, 1.0, 1e22], on=[True, False], seeds=3)
def anything(word, n, g, on, seed):
    """Anything."""
    rng = random.Random(repr((word, n, g, on, seed)))
    if rng.random() < 0.1:
        raise ValueError(f"bad {rng.choice(VALUES)}")
    metrics = {name: rng.choice(VALUES) for name in rng.sample(NAMES, rng.randrange(len(NAMES)))}
    if rng.random() < 0.2:
        metrics["status"] = rng.choice(["nonfinite: dh, x", "diverged", "ok : yes"])
    curves = {}
    for name in rng.sample(["c1", "c,2", "\u00e9"], rng.randrange(3)):
        length, series = rng.randrange(4), rng.sample(["s1", "s,2", "s3"], rng.randrange(1, 4))
        curves[name] = {"lag": [rng.choice([0, 1, 0.5, "t"]) for _ in range(length)]}
        curves[name] |= {each: [rng.choice(VALUES) for _ in range(length)] for each in series}
    return (metrics, curves) if curves else metrics
'''
GRID = {"word": ["p", "q,r", 'q"', "1.0"], "n": [1, 10, 9], "g": [0.1, 1.0, 1e22], "on": [True, False]}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder with one experiment in it."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "anything.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def content(path):
    """What must be the same: the tables, and what run.json says of the rows."""
    assert verify(path).text.startswith("ok, ")
    info, tables = load(path).info, ("table.csv", "curves.csv")
    said = {name: info[name] for name in ("rows", "points", "statuses", "layouts", "row_layouts", "curves")}
    return {name: (path / name).read_bytes() for name in tables} | said


def made(flags, seeds=(0, 1, 2), jobs=1, root="results", **options):
    return carry_out(plan("anything", flags, seeds=list(seeds), root=root, **options), Spread(jobs=jobs))


def parts(rng, values):
    return {name: rng.sample(listed, rng.randrange(1, len(listed) + 1)) for name, listed in values.items()}


def interrupted(flags, seeds, rng, **options):
    """Begin a run, interrupt it, and go on with it, until it is done."""
    planned = plan("anything", flags, seeds=list(seeds), root="results", **options)
    while True:
        left = rng.randrange(1, len(planned.points) + 2)

        def watch(row):
            nonlocal left
            left -= 1
            if not left:
                raise KeyboardInterrupt

        try:
            return carry_out(planned, Spread(jobs=1), watch=watch)
        except KeyboardInterrupt:
            planned = resumption("anything", "latest", "results")


@pytest.mark.parametrize("seed", range(8))
def test_reused_interrupted_and_fresh_rows(seed):
    rng = random.Random(seed)
    large = parts(rng, GRID)
    small = parts(rng, large)
    fresh = content(made(small, seeds=(1, 2), root="fresh"))
    made(large)
    reused = made(small, seeds=(1, 2))
    assert load(reused).info["reused"]
    assert content(reused) == fresh
    assert content(interrupted(small, (1, 2), rng, force=True)) == fresh
    assert content(interrupted(large, (0, 1, 2), rng)) == content(made(large, root="fresh"))


def test_rows_from_workers():
    flags = {"word": ["q,r", "1.0"], "g": [0.1, 1e22]}
    fresh = content(made(flags))
    assert content(made(flags, force=True, jobs=2)) == fresh


TRACED = ("/sandbox/results/", "/sandbox/study.py")


class Struck:
    """Raises KeyboardInterrupt at one of the lines that the code of a study executes."""

    def __init__(self, line=0):
        self.left = line

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.call)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before)

    def call(self, frame, event, argument):
        return self.step if any(part in frame.f_code.co_filename.replace("\\", "/") for part in TRACED) else None

    def step(self, frame, event, argument):
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self.step


def carried_out(planned, said, line=0):
    """Carry a study out, struck at a line; return how many lines there were before its end."""
    with Struck(line) as lines:
        with contextlib.suppress(KeyboardInterrupt):
            carry_out(planned, Spread(jobs=1), watch=lambda row: said.add(key_of(row.point)))
        return line - lines.left


def left_behind(root, said):
    """Check what an interrupted study left; return whether there is a run to go on with."""
    paths = list(root.glob("anything/*"))
    assert len(paths) <= 1
    for path in paths:
        run = load(path)
        assert said <= set(run.keys) and verify(path).state in ("ok", "unfinished"), verify(path)
        assert not journal.locked(path)
    assert paths or not said
    return bool(paths)


FEW = {"word": ["q,r"], "n": [9], "g": [0.1, 1e22], "on": [True, False]}


@pytest.mark.skipif(sys.gettrace() is not None, reason="something else traces")
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # between open and with
@pytest.mark.parametrize("share", range(10))
def test_an_interrupt_at_any_line(share, here, monkeypatch):
    """What was said to be safe is there, nothing is damaged, and going on ends the same, interrupted there as well."""
    monkeypatch.setattr(provenance, "collect", dict)  # asks git, which takes a while
    fresh = content(made(FEW, seeds=(0,)))
    lines = carried_out(plan("anything", FEW, seeds=[0], root="whole"), set())
    assert lines > 300
    rng = random.Random(share)
    for line in range(1 + share, lines, 10 if os.environ.get("SANDBOX_ALL_LINES") else 100):
        root, said = here / f"out{line}", set()
        carried_out(plan("anything", FEW, seeds=[0], root=root), said, line)
        if left_behind(root, said):
            carried_out(resumption("anything", "latest", root), said, rng.randrange(1, lines))
            left_behind(root, said)
            carried_out(resumption("anything", "latest", root), said)
        else:
            carried_out(plan("anything", FEW, seeds=[0], root=root), said)
        (path,) = root.glob("anything/*")
        assert content(path) == fresh
        assert sorted(each.name for each in path.iterdir()) == ["curves.csv", "run.json", "table.csv", "timing.csv"]

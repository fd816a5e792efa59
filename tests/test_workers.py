"""Points in worker processes: every point once, whatever becomes of the workers, and no process left behind."""

import doctest
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sandbox.workers
from sandbox.errors import UsageError
from sandbox.experiment import load
from sandbox.sweep import Job, Point, Serial
from sandbox.workers import Auto, Workers, default_jobs

ROOT = Path(sandbox.__file__).parents[1]
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
HEAD = """
import os, signal, subprocess, sys, time
from pathlib import Path
from sandbox.experiment import Setting, experiment
from sandbox.report import progress

def began(a):
    Path(f"new-{a}").write_text(str(os.getpid()))
    os.rename(f"new-{a}", f"began-{a}")

def wait_for(name):
    while not Path(name).exists():
        time.sleep(0.005)
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A function from the body of ``f(a, seed)`` to the job of an experiment that lies in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()

    def make(body, before="", settings=None, declared=""):
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        head = f"{HEAD}{before}\n@experiment(a=[0], seeds=1{declared})\ndef f(a, seed{', text' * bool(declared)}):\n"
        Path("experiments/f.py").write_text(head + lines, "utf-8")
        return Job.of(load("f"), settings)

    return make


def points(count):
    return [Point({"a": a}, seed=0) for a in range(count)]


def by_point(rows):
    """Rows by the value of their point; no point may have two."""
    found = {}
    for row in rows:
        assert row.point.values["a"] not in found
        found[row.point.values["a"]] = row
    return dict(sorted(found.items()))


def gone(pid):
    """Whether a process has ended; one that nobody has asked about yet has."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (ProcessLookupError, FileNotFoundError):
        return True


def wait_until(condition):
    """Wait for at most 20 seconds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def begun():
    """The process of every point that has begun."""
    return {int(path.name[6:]): int(path.read_text()) for path in Path().glob("began-*")}


# Every point once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 3])
def test_many_short_points_in_any_order(job, jobs):
    todo, job = points(300), job("return {'double': 2 * a, 'pid': os.getpid()}")
    random.Random(0).shuffle(todo)
    rows = by_point(Workers(job, jobs).run(todo))
    assert [row.metrics["double"] for row in rows.values()] == list(range(0, 600, 2))
    assert {row.point.seed for row in rows.values()} == {0}
    pids = {row.metrics["pid"] for row in rows.values()}
    assert 1 <= len(pids) <= jobs and os.getpid() not in pids and all(map(gone, pids))


def test_rows_are_those_of_a_sweep_in_one_process(job):
    job = job(
        "if a == 1:\n    raise ValueError('no such thing')\nif a == 2:\n    return {}['gone']\n"
        "return {'n': None, 't': True, 'w': 'ä', 'i': 2**62, 'status': 'nonfinite: here'}, {'p': {'x': [1], 'y': [a]}}"
    )
    here = by_point(Serial(job.load()).run(points(4)))
    there = by_point(Workers(job, 2).run(points(4)))
    assert there[2].error.startswith("KeyError: 'gone' (f.py line ") and there[1].error == "no such thing"
    for a in range(4):
        assert (here[a].metrics, here[a].curves, here[a].status, here[a].error) == (
            there[a].metrics, there[a].curves, there[a].status, there[a].error)  # fmt: skip
    assert list(there[0].metrics) == list("ntwi") and there[0].status == "nonfinite" and there[0].seconds > 0


def test_a_curve_keeps_the_bits_of_its_floats(job):
    patterns = [0, 1 << 63, 0x7FF0 << 48, 0xFFF0 << 48, 0x7FF8 << 48, 0xFFF8000000000123, 1, 0x3FB999999999999A]
    patterns += random.Random(0).choices(range(2**62), k=15_000)
    body = f"import struct\nfloats = struct.unpack('<15008d', struct.pack('<15008Q', *{patterns}))"
    job = job(
        body
        + "\nreturn {}, {'p': {'x': list(range(15008)), 'y': list(floats), 'z': [None, True, 0.5] * 5002 + [1, 'w']}}"
    )
    (row,) = Workers(job, 1).run(points(1))
    curve = row.curves["p"]
    assert list(struct.unpack("<15008Q", struct.pack("<15008d", *curve["y"]))) == patterns
    assert curve["x"] == list(range(15008)) and set(map(type, curve["x"])) == {int}
    assert curve["z"][:3] == [None, True, 0.5] and curve["z"][1] is True and curve["z"][-1] == "w"


def test_workers_never_outnumber_points(job, monkeypatch):
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    assert len(list(Workers(job("return {}"), 8).run(points(2)))) == 2
    assert len(started) == 2
    assert list(Workers(job("return {}"), 8).run([])) == [] and len(started) == 2


def test_a_worker_has_one_thread_and_imports_what_its_parent_can(job, monkeypatch, tmp_path):
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "neighbour.py").write_text("WORD = 'hello'")
    (tmp_path / "sandbox").mkdir()  # a folder of that name where one works is not the package
    (tmp_path / "sandbox" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(str(tmp_path / "beside"))
    names = [f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")]
    job = job(f"return {{name: os.environ[name] for name in {names}}} | {{'word': WORD}}", "from neighbour import WORD")
    (row,) = Workers(job, 1).run(points(1))
    assert row.metrics == {**dict.fromkeys(names, "1"), "word": "hello"}


def test_settings_may_be_of_a_class_of_the_experiment(job):
    job = job("return {'size': text.size}", "class Text:\n    def __init__(self, text):\n        self.size = len(text)",
              declared=", settings=[Setting('text', parse=Text)]")  # fmt: skip
    parsed = load("f").parse_settings({"text": "abc"})
    (row,) = Workers(Job(job.name, job.path, job.source, parsed), 1).run(points(1))
    assert row.metrics == {"size": 3}


def test_what_a_point_prints_goes_to_standard_error(job, capfd, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    job = job("print('one', a)\nos.write(1, b'two\\n')\nsubprocess.run(['echo', 'three'])\nreturn {'read': input()}")
    rows = by_point(Workers(job, 1).run(points(2)))
    assert [row.error.partition(" (")[0] for row in rows.values()] == ["EOFError: EOF when reading a line"] * 2
    out, err = capfd.readouterr()
    assert out == "" and err.split() == ["one", "0", "two", "three", "one", "1", "two", "three"]


# Workers that die ----------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    ("death", "how"),
    [("os.kill(os.getpid(), signal.SIGKILL)", "by signal 9 (SIGKILL)"), ("os._exit(5)", "with exit code 5"),
     ("os._exit(0)", "with exit code 0")],
)  # fmt: skip
def test_a_point_that_kills_its_worker_costs_no_other_point(job, death, how):
    job = job(f"Path(f'try-{{a}}-{{os.getpid()}}').touch()\nif a in (2, 7):\n    {death}\nreturn {{'a_again': a}}")
    rows = by_point(Workers(job, 2).run(points(12)))
    assert [a for a, row in rows.items() if row.status != "ok"] == [2, 7]
    assert {rows[a].status for a in (2, 7)} == {"crashed"} and all(rows[a].failed for a in (2, 7))
    assert {rows[a].error for a in (2, 7)} == {f"worker ended {how}, 2 attempts"}
    assert [len(list(Path().glob(f"try-{a}-*"))) for a in range(12)] == [2 if a in (2, 7) else 1 for a in range(12)]


def test_a_point_that_waited_in_a_dead_worker_has_lost_nothing(job):
    job = job("if a % 5 == 4:\n    os._exit(1)\nreturn {}")
    rows = by_point(Workers(job, 1, attempts=1).run(points(20)))
    assert [row.status for row in rows.values()] == (["ok"] * 4 + ["crashed"]) * 4
    assert rows[4].error == "worker ended with exit code 1, 1 attempt"


def test_a_point_may_cost_more_workers_than_may_fail_to_start(job):
    rows = by_point(Workers(job("os._exit(1)"), 1, attempts=8).run(points(1)))
    assert rows[0].error == "worker ended with exit code 1, 8 attempts"


def test_a_second_attempt_that_succeeds_leaves_no_trace(job):
    job = job(
        "if not Path(f'seen-{a}').exists():\n    Path(f'seen-{a}').touch()\n    os._exit(1)\nreturn {'a_again': a}"
    )
    rows = by_point(Workers(job, 2).run(points(6)))
    assert [(row.status, row.error, row.metrics) for row in rows.values()] == [
        ("ok", "", {"a_again": a}) for a in range(6)
    ]


@posix
def test_workers_killed_at_random_moments(job):
    chance = random.Random(1)
    workers = Workers(job("time.sleep(0.003)\nreturn {'a_again': a}"), 3, attempts=1000)
    rows, killed = [], 0
    for row in workers.run(points(60)):
        rows.append(row)
        if workers._workers and chance.random() < 0.4:
            time.sleep(chance.random() * 0.005)
            chance.choice(workers._workers).process.kill()
            killed += 1
    assert killed > 15
    assert [(a, row.status, row.metrics) for a, row in by_point(rows).items()] == [
        (a, "ok", {"a_again": a}) for a in range(60)
    ]


@posix
@pytest.mark.parametrize("jobs", [1, 8])
def test_workers_that_cannot_start_end_the_sweep(job, monkeypatch, tmp_path, jobs):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho x >> starts\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(UsageError, match=r"first point, got none that did \(worker ended with exit code 3; jobs 1 "):
        list(Workers(job("return {}"), jobs).run(points(100)))
    assert len(Path("starts").read_text().split()) == jobs + sandbox.workers.FAILED_STARTS
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="a process could not be started: No such file"):
        list(Workers(job("return {}"), jobs).run(points(100)))


def test_fewer_processes_than_asked_for_will_do(job, monkeypatch):
    born, worker = [], sandbox.workers._Worker

    def limited(*arguments):
        if born:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        born.append(worker(*arguments))
        return born[0]

    monkeypatch.setattr(sandbox.workers, "_Worker", limited)
    assert [row.status for row in Workers(job("return {}"), 4).run(points(9))] == ["ok"] * 9


def test_an_import_that_ends_the_process_ends_the_sweep():
    with pytest.raises(UsageError, match=r"none that did \(worker ended with exit code 7; jobs 1 needs"):
        list(Workers(Job("f", "f.py", b"import os\nos._exit(7)"), 2).run(points(3)))


def test_a_start_that_fails_once_is_tried_again(job):
    job = job("return {}", "if 'sandbox.workers' not in sys.modules and not Path('seen').exists():\n"
              "    Path('seen').touch()\n    os._exit(1)")  # fmt: skip
    assert [row.status for row in Workers(job, 1).run(points(3))] == ["ok"] * 3
    assert Path("seen").exists()


# Time ----------------------------------------------------------------------------------------------------------------


def test_a_point_that_takes_too_long_is_ended_and_not_tried_again(job):
    job = job("began(a)\nif a == 1:\n    time.sleep(60)\nreturn {}")
    rows = by_point(Workers(job, 2, timeout=0.75).run(points(5)))
    assert [row.status for row in rows.values()] == ["ok", "timeout", "ok", "ok", "ok"]
    assert rows[1].error == "longer than 0.75 s" and rows[1].seconds >= 0.75 and gone(begun()[1])


def test_the_clock_of_an_idle_worker_does_not_run(job):
    body = "began(a)\nif a == 2:\n    time.sleep(60)\nwait_for(f'began-{1 - a}')\nreturn {}"
    rows = by_point(Workers(job(body), 2, timeout=1.5).run(points(3)))  # the other one began its last point earlier
    assert [row.status for row in rows.values()] == ["ok", "ok", "timeout"]


def test_a_busy_parent_does_not_make_a_point_late(job):
    rows = Workers(job("time.sleep(0.05)\nreturn {}"), 1, timeout=1.0).run(points(2))
    assert next(rows).status == "ok"
    time.sleep(1.2)
    assert [row.status for row in rows] == ["ok"]


def test_the_clock_does_not_run_during_imports(job):
    job = job("return {}", "if 'sandbox.workers' not in sys.modules:\n    time.sleep(1.2)")
    assert [row.status for row in Workers(job, 1, timeout=1.0).run(points(2))] == ["ok", "ok"]


# Ending --------------------------------------------------------------------------------------------------------------


def test_draining_finishes_what_runs_and_starts_nothing(job):
    class Handing(Workers):
        def _send_home(self):
            super()._send_home()
            Path("go").touch()

    job = job("began(a)\nif a:\n    wait_for('go')\n    time.sleep(0.3)\nreturn {}")
    workers = Handing(job, 1)
    rows = workers.run(points(6))
    assert next(rows).point.values == {"a": 0}
    wait_until(lambda: 1 in begun())
    assert len(workers._workers[0].tasks) == 2 and workers.running in (0, 1)  # one waits in the worker
    workers.drain()
    assert list(by_point(rows)) == [1]
    assert set(begun()) == {0, 1} and all(map(gone, begun().values())) and workers.running == 0


def test_draining_before_the_start_and_with_nothing_running(job):
    job = job("return {}")
    workers = Workers(job, 2)
    workers.drain()
    assert list(workers.run(points(3))) == []
    workers = Workers(job, 3)
    assert len(list(zip(workers.run(points(3)), [1, 2, 3], strict=False))) == 3
    workers.drain()


@posix
def test_draining_from_a_signal_handler(job):
    workers = Workers(job("began(a)\nwait_for('go')\nreturn {}"), 2)

    def handler(*arguments):
        if len(begun()) == 2:  # the sweep waits for its workers
            assert workers.running == 2
            workers.drain()
            Path("go").touch()

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        rows = by_point(workers.run(points(50)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(rows) == set(begun()) == {0, 1}


def test_closing_the_iterator_leaves_no_process(job):
    body = "began(a)\nif a:\n    time.sleep(60)\nwait_for('began-1')\nwait_for('began-2')\nreturn {}"
    workers = Workers(job(body), 3)
    rows = workers.run(points(10))
    assert next(rows).point.values == {"a": 0}
    rows.close()
    assert all(map(gone, begun().values())) and workers.running == 0


def test_an_exception_of_the_consumer_leaves_no_process(job):
    job = job("began(a)\nif a:\n    time.sleep(60)\nreturn {}")
    with pytest.raises(KeyboardInterrupt):
        for _ in Workers(job, 2).run(points(10)):
            raise KeyboardInterrupt
    assert begun() and all(map(gone, begun().values()))


@posix
def test_an_interrupt_while_waiting_leaves_no_process(job):
    def handler(*arguments):
        if len(begun()) == 2:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(Workers(job("began(a)\ntime.sleep(60)"), 2).run(points(10)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all(map(gone, begun().values()))


@posix
def test_workers_leave_ctrl_c_to_their_parent(job):
    job = job("os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(0.01)\nreturn {'a_again': a}")
    assert [row.metrics for row in Workers(job, 1).run(points(2))] == [{"a_again": 0}, {"a_again": 1}]


@posix
@pytest.mark.parametrize("body", ["time.sleep(60)", "while True:\n    pass"])
def test_workers_end_with_a_parent_that_is_killed(job, body):
    job(f"began(a)\n{body}")
    script = """
from sandbox.experiment import load
from sandbox.sweep import Job, Point
from sandbox.workers import Workers
list(Workers(Job.of(load("f")), 2).run([Point({"a": a}, 0) for a in range(4)]))
"""
    parent = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_until(lambda: len(begun()) == 2)
    parent.kill()
    parent.wait()
    wait_until(lambda: all(map(gone, begun().values())))


# What is wrong with the experiment or the call -----------------------------------------------------------------------


def test_what_an_experiment_may_not_return_is_said_here(job):
    with pytest.raises(UsageError, match="^experiment 'f' must return a dict of metrics, .* got list$"):
        list(Workers(job("return [1]"), 2).run(points(5)))


def test_an_experiment_that_cannot_be_loaded(job):
    with pytest.raises(UsageError, match="^f.py line 1 cannot be imported: ModuleNotFoundError: No module"):
        list(Workers(Job("f", "f.py", b"import no_such_module"), 2).run(points(5)))


def test_what_is_no_failure_of_a_point_ends_the_sweep(job):
    with pytest.raises(RuntimeError, match="^experiment 'f' raised SystemExit: enough$"):
        list(Workers(job("sys.exit('enough')"), 2).run(points(5)))


def test_arguments_are_checked(job):
    job = job("return {}")
    with pytest.raises(UsageError, match="jobs must be a whole number from 1, got 0"):
        Workers(job, 0)
    for timeout in (0, -1, float("nan")):
        with pytest.raises(UsageError, match="timeout must be a number of seconds above 0, got"):
            Workers(job, 1, timeout=timeout)
    with pytest.raises(UsageError, match="must come from a file, got 'f', which did not"):
        Workers(Job("f", "", b""), 1)
    with pytest.raises(UsageError, match="settings of 'f' must be values that can be sent to worker processes, got"):
        Workers(Job("f", "", b"x", {"x": lambda: 1}), 1)


# Notes and counters --------------------------------------------------------------------------------------------------


def test_a_running_point_says_how_far_it_is(job):
    body = "for i in range(1000):\n    progress.note(f'update {i}', str(i))\nreturn {'watched': progress.watched()}"
    job, said = job(body), []
    (row,) = Workers(job, 1, note=said.append).run(points(1))
    assert row.metrics == {"watched": True}
    assert said[0] == ("update 0", "0") and len(said) < 500
    (row,) = Workers(job, 1).run(points(1))
    assert row.metrics == {"watched": False}


def test_kernel_counters_of_all_workers_are_summed(job):
    before = """
class jit:
    counts = {'compiled': 3, 'loaded': 1, 'seconds': 0.5}
    stats = staticmethod(lambda: dict(jit.counts))
if 'sandbox.workers' not in sys.modules:
    sys.modules['sandbox.jit'] = jit
"""
    job = job("began(a)\nwait_for(f'began-{1 - a % 2}')\njit.counts['compiled'] += a\nreturn {}", before)
    workers = Workers(job, 2)
    rows = by_point(workers.run(points(2)))
    assert len(rows) == 2 and workers.kernels == {"compiled": 3 + 3 + 1, "loaded": 2, "seconds": 1.0}
    assert Workers(job, 2).kernels == {"compiled": 0, "loaded": 0, "seconds": 0}


# How many ------------------------------------------------------------------------------------------------------------


def test_cores_of_this_process(monkeypatch):
    monkeypatch.setattr(sandbox.workers, "_quota", lambda: float("inf"))
    if hasattr(os, "sched_getaffinity"):
        assert default_jobs() == len(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert default_jobs() == 64
    for quota, jobs in ((2.0, 2), (1.5, 2), (0.25, 1), (100.0, 64)):
        monkeypatch.setattr(sandbox.workers, "_quota", lambda quota=quota: quota)
        assert default_jobs() == jobs


@pytest.mark.parametrize(
    ("own", "limits", "quota"),
    [
        ("0::/\n", {".": "200000 100000"}, 2.0),
        ("0::/\n", {".": "max 100000"}, float("inf")),
        ("0::/\n", {}, float("inf")),
        ("1:cpu:/old\n0::/a/b\n", {"a": "150000 100000", "a/b": "max 100000"}, 1.5),
        ("0::/a/b\n", {".": "400000 100000", "a/b": "300000 100000"}, 3.0),
        ("1:cpu:/a\n", {"a": "100000 100000"}, float("inf")),
        ("0::/a\n", {"a": "nonsense"}, float("inf")),
    ],
)
def test_the_quota_of_a_control_group(tmp_path, own, limits, quota):
    (tmp_path / "own").write_text(own)
    for folder, text in limits.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "cpu.max").write_text(text + "\n")
    assert sandbox.workers._quota(tmp_path / "own", tmp_path) == quota
    assert sandbox.workers._quota(tmp_path / "none", tmp_path) == float("inf")


# Here first, then in workers -----------------------------------------------------------------------------------------


def pids(executor, count):
    """Whether each point, in order, ran in this process."""
    rows = by_point(executor.run(points(count)))
    assert list(rows) == list(range(count))
    return [row.metrics["pid"] == os.getpid() for row in rows.values()]


PID = "return {'pid': os.getpid()}"


def test_a_long_sweep_moves_to_workers(job):
    job = job(PID)
    auto = Auto(job.load(), job, 2, patience=0, worth=0)
    assert pids(auto, 5) == [True] + [False] * 4
    assert auto.kernels == {"compiled": 0, "loaded": 0, "seconds": 0}


@pytest.mark.parametrize("more", [{"jobs": 1}, {"patience": 1e9}, {"worth": 1e9}, {"count": 2}, {"source": b""}])
def test_a_sweep_that_stays(job, more):
    job = job(PID)
    experiment, count = job.load(), more.pop("count", 5)
    job = Job(job.name, job.path, more.pop("source", job.source))
    auto = Auto(experiment, job, **{"jobs": 2, "patience": 0, "worth": 0} | more)
    assert pids(auto, count) == [True] * count


def test_compiling_is_not_the_pace(job, monkeypatch):
    spent = iter(range(0, 10**9, 10**6))
    monkeypatch.setattr(sandbox.workers, "_compiling", lambda: next(spent))
    job = job(PID)
    assert pids(Auto(job.load(), job, 2, patience=0, worth=0), 5) == [True] * 5


def test_with_a_timeout_all_points_run_in_workers(job):
    job = job("if a == 1:\n    time.sleep(60)\nreturn {}")
    rows = by_point(Auto(job.load(), job, 1, timeout=0.5).run(points(3)))
    assert [row.status for row in rows.values()] == ["ok", "timeout", "ok"]


def test_options_reach_the_workers(job):
    job, said = job("progress.note('x')\nif a:\n    os._exit(1)\nreturn {}"), []
    rows = by_point(Auto(job.load(), job, 2, note=said.append, attempts=1, patience=0, worth=0).run(points(3)))
    assert rows[1].error == "worker ended with exit code 1, 1 attempt" and said[0] == ("x",)


def test_draining_in_either_phase(job):
    job = job("began(a)\nif a:\n    time.sleep(0.2)\nreturn {}")
    auto = Auto(job.load(), job, 2, patience=0, worth=0)
    rows = auto.run(points(9))
    assert next(rows).point.values == {"a": 0} and auto.running == 1
    auto.drain()
    assert list(rows) == [] and set(begun()) == {0}
    auto = Auto(job.load(), job, 2, patience=0, worth=0)
    rows = auto.run(points(9))
    next(rows), next(rows)
    auto.drain()
    list(rows)
    assert len(begun()) < 9 and auto.running == 0


def test_draining_while_kernels_are_compiled(job, monkeypatch):
    job = job("began(a)\nreturn {}")
    auto = Auto(job.load(), job, 2, patience=0, worth=0)
    monkeypatch.setattr(
        sandbox.workers, "warm", lambda *arguments, stop: (auto.drain(), stop()) == (None, True) or 1 / 0
    )
    assert len(list(auto.run(points(5)))) == 1 and set(begun()) == {0}


@pytest.mark.slow
def test_examples_in_docstrings():
    results = doctest.testmod(sandbox.workers)
    assert results.attempted > 0 and results.failed == 0

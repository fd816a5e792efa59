"""Sweeps on Dask: the same rows as here, lost and refused workers, stopping, and what is said."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from concurrent.futures import CancelledError
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandbox import cluster, sweep
from sandbox.cluster import Cluster, flight, surroundings, worker
from sandbox.errors import UsageError
from sandbox.experiment import from_source

ROOT = Path(__file__).parent.parent
EXPERIMENT = """
import os, signal, time
from sandbox.experiment import Setting, experiment

class Offset:
    def __init__(self, size):
        self.size = size

@experiment(n=list(range(12)), wait=[0.0], bad=[-1], act=["none", "die", "exit", "raise", "misshape"], seeds=2,
            settings=(Setting("offset", parse=lambda text: Offset(int(text))),))
def acting(n, wait, bad, act, seed, offset):
    "Acts at one n."
    time.sleep(wait)
    if n == bad:
        if act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if act == "exit":
            raise SystemExit(3)
        if act == "raise":
            raise ValueError("no way")
        if act == "misshape":
            return 3.0
    third = (n + 1) / 3 + (offset.size if offset else 0)
    return {"third": third, "text": f"{n}:{seed}"}, {"curve": {"x": [0, 1], "y": [third, float("nan")]}}
"""


def acting():
    return from_source("acting", "acting.py", EXPERIMENT.encode())


def job(settings=None):
    return sweep.Job.of(acting(), acting().parse_settings(settings or {}))


def points(act="none", seeds=(0, 1), **flags):
    return sweep.points(acting(), acting().grid({"act": act, **flags}), seeds)


def comparable(rows):
    """Rows as text, but for their times, in the order of their points."""
    told = [
        (*row.point.values.values(), row.point.seed, row.metrics, row.curves, row.status, row.error) for row in rows
    ]
    return sorted(map(repr, told))


@pytest.fixture(scope="module")
def running():
    """A client of a cluster of two workers on loopback."""
    pytest.importorskip("distributed")
    with ExitStack() as stack:
        stack.enter_context(surroundings.quiet())
        started = Cluster(job(), jobs=2, say=lambda line: None)
        client = started._client(started._start(stack))
        stack.callback(surroundings.close, client)
        yield client


@pytest.fixture
def on(running):
    """A function which makes an executor on the running cluster; what it says is in its attribute `lines`."""

    def make(settings=None):
        return Cluster(job(settings), scheduler=running.scheduler.address, say=make.lines.append)

    make.lines = []
    return make


# Rows ------------------------------------------------------------------------------------------------------------


def test_the_rows_are_those_of_a_serial_sweep(on):
    here = list(sweep.Serial(acting()).run(points()))
    assert comparable(on().run(points())) == comparable(here)
    assert comparable(on().run(reversed(points()))) == comparable(here)
    assert on.lines == []


def test_settings_may_be_of_a_class_in_the_experiments_file(on):
    rows = list(on({"offset": "7"}).run(points(n=[2], seeds=[0])))
    assert [row.metrics["third"] for row in rows] == [8.0]


def test_no_points_no_rows(on):
    assert list(on().run([])) == []


@pytest.fixture
def sent(monkeypatch):
    """The lists of points that are sent, one for each task."""
    batches, send = [], flight.Flight._send

    def noted(self, points, **how):
        batches.extend(points)
        send(self, points, **how)

    monkeypatch.setattr(flight.Flight, "_send", noted)
    return batches


def test_short_points_travel_together(on, sent):
    rows = list(on().run(points(n=list(range(600)))))
    assert len({(row.point.values["n"], row.point.seed) for row in rows}) == len(rows) == 1200
    assert len(sent) < 200 and max(map(len, sent)) == flight.LARGEST


def test_points_that_turn_out_long_are_shared_anew(on, sent):
    asked = points(n=list(range(300))) + points(n=list(range(20)), wait=0.06, seeds=[0])
    rows = list(on().run(asked))
    assert comparable(rows) == comparable(sweep.Serial(acting()).run(asked))
    assert sum(map(len, sent)) > len(asked)  # what a worker had no time for was sent again


def test_an_error_of_one_point_is_a_row(on):
    rows = list(on().run(points("raise", bad=4)))
    assert [(row.status, row.error) for row in rows if row.failed] == [("error", "no way")] * 2
    assert len(rows) == 24


def test_a_point_that_ends_its_process_is_crashed(on):
    rows = list(on().run(points("exit", bad=4, seeds=[0])))
    assert [(row.status, row.error) for row in rows if row.failed] == [("crashed", "SystemExit: 3")]
    assert len(rows) == 12


def test_a_point_that_kills_its_worker_is_tried_twice_and_costs_nobody_else(on):
    rows = list(on().run(points("die", bad=4, seeds=[0])))
    assert [(row.point.values["n"], row.status) for row in rows if row.failed] == [(4, "crashed")]
    assert [row.error for row in rows if row.failed] == ["its worker died, twice"]
    assert sorted(row.point.values["n"] for row in rows) == list(range(12))


def test_what_an_experiment_may_not_return(on):
    with pytest.raises(UsageError, match="experiment 'acting' must return a dict of metrics"):
        list(on().run(points("misshape", bad=0)))


# Workers ---------------------------------------------------------------------------------------------------------


def test_workers_of_another_version_are_refused(on, monkeypatch):
    theirs = worker.code_hash()
    monkeypatch.setattr(flight, "code_hash", lambda: "0" * 16)
    with pytest.raises(UsageError, match=f"every worker at tcp.* was refused, the first because its code {theirs} is"):
        list(on().run(points()))
    line = f"refused: its code {theirs} is not ours {'0' * 16} (install the same version there)"
    assert on.lines and all(each.startswith("worker tcp://127.0.0.1:") and each.endswith(line) for each in on.lines)
    assert len(set(on.lines)) == len(on.lines)


def test_a_bad_worker_is_done_without(on, running, monkeypatch):
    def becomes(code):
        import sandbox.cluster.worker
        from sandbox.fingerprint import code_hash

        sandbox.cluster.worker.code_hash = (lambda: code) if code else code_hash

    running.wait_for_workers(2)
    bad = min(running.nthreads())
    send, asked = flight.Flight._send, []

    def noted(self, batches, **how):
        before = set(self.sent)
        send(self, batches, **how)
        asked.extend(self.sent[key].workers for key in self.sent.keys() - before if self.bad)

    monkeypatch.setattr(flight.Flight, "_send", noted)
    becomes.__module__ = "__main__"  # so that it is pickled with its code
    running.run(becomes, "f" * 16, workers=[bad])
    try:
        rows = list(on().run(points(wait=0.02)))
    finally:
        running.run(becomes, None, workers=[bad])
    assert comparable(rows) == comparable(sweep.Serial(acting()).run(points(wait=0.02)))
    ours = worker.code_hash()
    assert asked and set(asked) == {frozenset(running.nthreads()) - {bad}}
    assert on.lines == [
        f"worker {bad} refused: its code {'f' * 16} is not ours {ours} (install the same version there)"
    ]


@pytest.fixture
def deserted():
    """A cluster in this process without workers."""
    distributed = pytest.importorskip("distributed")
    how = {"processes": False, "protocol": "tcp", "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with surroundings.quiet(), distributed.LocalCluster(n_workers=0, threads_per_worker=2, **how) as made:
        yield made


def test_a_sweep_waits_for_workers_and_says_so_once(deserted, monkeypatch):
    looks, look = [], flight.Flight._look

    def counted(self):
        look(self)
        looks.append(len(self.threads))
        if len(looks) == 3:
            deserted.scale(1)

    monkeypatch.setattr(flight.Flight, "_look", counted)
    monkeypatch.setattr(flight, "TICK", 0.0)
    lines = []
    rows = list(Cluster(job(), scheduler=deserted.scheduler_address, say=lines.append).run(points()))
    assert looks[:3] == [0, 0, 0] and looks[-1] == 1
    assert lines == [
        f"waiting for workers at {deserted.scheduler_address}",
        "workers with 2 threads run one point at a time (start them with --nthreads 1)",
    ]
    assert len(rows) == 24 and not any(row.failed for row in rows)


def test_a_lost_scheduler(deserted, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT", 0.5)
    address = deserted.scheduler_address
    with pytest.raises(UsageError, match=f"lost the scheduler at {address}"):
        list(Cluster(job(), scheduler=address, say=lambda line: deserted.close()).run(points()))


def test_points_that_wait_for_a_worker_which_is_gone_come_back(running):
    cancelled = []
    client = SimpleNamespace(
        loop=running.loop, status="running", nthreads=lambda: {"tcp://here:1": 1}, cancel=cancelled.extend
    )
    made = flight.Flight(client, job(), [], say=print, draining=lambda: False)
    gone, here = (flight._Sent(name, points(n=[3]), False, frozenset([f"tcp://{name}:1"])) for name in ("gone", "here"))
    made.sent = {"gone": gone, "here": here}
    made._look()
    assert made.sent == {"here": here} and cancelled == ["gone"] and list(made.back) == [gone.points]


def test_tasks_that_a_scheduler_has_forgotten(running):
    made = flight.Flight(SimpleNamespace(loop=running.loop), job(), [], say=print, draining=lambda: False)
    with pytest.raises(OSError, match="it went away, or was restarted"):
        made._receive(flight._Sent(None, points(n=[3]), False, None), CancelledError("acting-1"))


def test_a_result_counts_though_its_worker_died_since(running):
    made = flight.Flight(SimpleNamespace(loop=running.loop), job(), [], say=print, draining=lambda: False)
    rows = list(sweep.Serial(acting()).run(points(n=[3])))
    sent = flight._Sent(SimpleNamespace(status="lost"), points(n=[3]), False, None)
    assert made._receive(sent, ("rows", "tcp://here:1", rows)) == rows


def test_a_failure_that_dask_does_not_tell_of(running):
    client = SimpleNamespace(loop=running.loop, status="running", nthreads=lambda: {"tcp://here:1": 1})
    made = flight.Flight(client, job(), [], say=print, draining=lambda: False)
    failed = SimpleNamespace(status="error", exception=lambda: RuntimeError("lost twice"))
    made.seconds.append(0.1)
    made.sent = {"a": flight._Sent(failed, points(n=[3], seeds=[0]), True, None)}
    assert made._collect() == []  # it may still be told
    made.looked = -flight.TICK
    assert [(row.status, row.error) for row in made._collect()] == [("crashed", "lost twice")]
    assert made.sent == {}


def test_a_cluster_that_can_run_nothing(on, monkeypatch):
    def broken(name, code, batch):
        raise RuntimeError("bad marshal data")

    monkeypatch.setattr(worker, "task", lambda: broken)
    broken.__module__ = "__main__"
    with pytest.raises(UsageError, match=r"the cluster at tcp://.* cannot run a point \(bad marshal data\)"):
        list(on().run(points()))


# Stopping --------------------------------------------------------------------------------------------------------


def forgotten(running):
    """Whether scheduler and workers have nothing of ours left."""

    def left(dask_scheduler):
        return [*dask_scheduler.tasks, *(name for name in dask_scheduler.worker_plugins if name.startswith("acting-"))]

    for _ in range(100):
        if not running.run_on_scheduler(left):
            return True
    return False


def test_a_drained_sweep_finishes_what_runs(on, running):
    executor, rows = on(), []
    for row in executor.run(points(n=list(range(500)), wait=0.15)):
        rows.append(row)
        executor.drain()
    assert 1 <= len(rows) <= 6
    assert len({(row.point.values["n"], row.point.seed) for row in rows}) == len(rows)
    assert forgotten(running)


def test_a_sweep_drained_before_it_began(on):
    executor = on()
    executor.drain()
    assert list(executor.run(points())) == []


def test_a_closed_sweep_leaves_nothing_on_the_cluster(on, running):
    rows = on().run(points(n=list(range(500)), wait=0.05))
    next(rows)
    rows.close()
    assert forgotten(running)
    assert list(rows) == []


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import psutil, test_cluster
from sandbox.cluster import Cluster

rows = Cluster(test_cluster.job(), jobs=2).run(test_cluster.points(n=list(range(300)), wait={wait}))
try:
    for number, row in enumerate(rows):
        if number == 0:
            print("first", flush=True)
except KeyboardInterrupt:
    print("interrupted")
else:
    print(number + 1)
left = [process.cmdline() for process in psutil.Process().children(recursive=True)]
print([command for command in left if "resource_tracker" not in str(command)])
"""


def script(tmp_path, wait):
    """A script without a guard, as a command line."""
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT).format(tests=str(ROOT / "tests"), wait=wait))
    return [sys.executable, str(path)]


def test_a_script_without_a_guard_says_one_line_and_leaves_no_process(tmp_path):
    done = subprocess.run(script(tmp_path, 0.0), capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout == "first\n600\n[]\n"
    assert done.stderr.startswith("dashboard http://127.0.0.1:") and done.stderr.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="has no process groups")
def test_ctrl_c_is_heard_by_the_parent_alone(tmp_path):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(script(tmp_path, 5.0), cwd=ROOT, start_new_session=True, **pipes) as process:
        said = process.stderr.readline()  # workers are there; most of them are in the middle of a point
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (out, process.returncode) == ("interrupted\n[]\n", 0)
    assert said.startswith("dashboard ") and err == ""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="has no signal masks")
def test_workers_never_hear_ctrl_c_not_even_while_they_start(running):
    def blocked():
        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    blocked.__module__ = "__main__"
    assert set(running.run(blocked).values()) == {True}
    assert not blocked()


def test_an_interrupt_waits_for_its_time():
    reached = []
    with pytest.raises(KeyboardInterrupt), surroundings.no_interrupt():
        signal.raise_signal(signal.SIGINT)
        reached.append("end")
    assert reached == ["end"]
    with surroundings.no_interrupt():
        pass


@pytest.mark.slow
def test_kernels_give_the_same_bits_on_dask():
    from sandbox.experiment import load

    vanishing = load("vanishing")
    grid = vanishing.grid({"hidden": "4,5", "seq_len": "12"}, quick=True)
    asked = sweep.points(vanishing, grid, [0, 1])
    here = comparable(sweep.Serial(vanishing).run(asked))
    there = comparable(Cluster(sweep.Job.of(vanishing), jobs=2, say=lambda line: None).run(asked))
    assert here == there


# Without a cluster -----------------------------------------------------------------------------------------------


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError) as caught:
        Cluster(job())
    assert str(caught.value) == "--executor dask needs Dask, which is missing (pip install rnn-sandbox[cluster])"


def test_how_many_jobs():
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match="jobs must be at least 1, got 0"):
        Cluster(job(), jobs=0)
    with pytest.raises(UsageError, match="jobs must be left out with a scheduler, which has its own workers, got 2"):
        Cluster(job(), jobs=2, scheduler="tcp://127.0.0.1:8786")


@pytest.mark.parametrize("address", ["nonsense", "tcp://host", "host:port", "http://127.0.0.1:8787", "tcp://:1", "a:0"])
def test_what_is_no_address(address):
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match=r"running Dask scheduler, tcp://host:port, got "):
        next(Cluster(job(), scheduler=address).run(points()))


def test_nobody_answers(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UsageError, match=rf"got {address} \(no answer within 0.1 s\)"):
            next(Cluster(job(), scheduler=address).run(points()))
    with pytest.raises(UsageError, match=rf"got {address} \(.*refused"):
        next(Cluster(job(), scheduler=address).run(points()))
    with pytest.raises(UsageError, match=r"names no distributed.comm.tls.ca-file"):
        next(Cluster(job(), scheduler=f"tls://{address}").run(points()))


# One worker's part, called here ----------------------------------------------------------------------------------


@pytest.fixture
def work(monkeypatch):
    """`worker.work` as a worker at ``here`` would run it, on points as a list."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(distributed, "get_worker", lambda: SimpleNamespace(address="here"))
    return lambda job, points: worker.work(worker.pack(job), worker.code_hash(), worker.pack_points(points))


def test_a_worker_gives_back_what_it_has_no_time_for(work, monkeypatch):
    assert [len(work(job(), points())[2])] == [24]
    monkeypatch.setattr(worker, "SLICE", 0.0)
    kind, address, rows = work(job(), points())
    assert (kind, address) == ("rows", "here") and [row.point for row in rows] == points()[:1]


def test_a_worker_that_cannot_load_the_experiment(work):
    kind, address, why = work(sweep.Job("acting", "acting.py", b"import nothing_of_that_name"), points())
    assert (kind, address) == ("refused", "here")
    assert why.startswith("it cannot load the experiment (acting.py line 1 cannot be imported: ModuleNotFoundError")


def test_a_worker_without_the_package(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(distributed, "get_worker", lambda: SimpleNamespace(address="here", plugins={}))
    monkeypatch.setitem(sys.modules, "sandbox.cluster.worker", None)
    kind, address, why = worker.task()("name", "code", b"")
    assert (kind, address) == ("refused", "here") and why.startswith("it has no sandbox that knows Dask (")


def test_what_travels_needs_no_package_at_a_scheduler():
    cloudpickle = pytest.importorskip("cloudpickle")
    for sent in (cloudpickle.dumps(worker.task()), cloudpickle.dumps(worker.plugin(b"job"))):
        read = f"import sys, pickle; sys.modules['sandbox'] = None; pickle.loads({sent!r})"
        done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, timeout=60)
        assert done.stderr == ""


def test_settings_are_unpacked_after_the_experiment(monkeypatch):
    packed = worker.pack(sweep.Job.of(acting(), acting().parse_settings({"offset": "7"})))
    monkeypatch.delitem(sys.modules, "sandbox_experiment_acting")
    worker._load.cache_clear()
    assert worker._load(packed)[1]["offset"].size == 7


def test_settings_that_cannot_travel():
    pytest.importorskip("cloudpickle")
    with (
        socket.socket() as open_socket,
        pytest.raises(UsageError, match="settings of 'acting' must be picklable for Dask"),
    ):
        worker.pack(sweep.Job("acting", "acting.py", b"", {"offset": open_socket}))


def test_the_process_is_left_as_it_was(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    spec = sys.modules["__main__"].__spec__
    with surroundings.one_thread(["MALLOC_TRIM_THRESHOLD_"]), surroundings.main_left_alone():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
        os.environ["MALLOC_TRIM_THRESHOLD_"] = "65536"
        assert sys.modules["__main__"].__spec__.name == "sandbox.__main__"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ and "MALLOC_TRIM_THRESHOLD_" not in os.environ
    assert sys.modules["__main__"].__spec__ is spec


def test_a_worker_that_was_given_up_is_started_again():
    started = []
    alive = SimpleNamespace(is_alive=lambda: True, process="old", instantiate="alive")
    given_up = SimpleNamespace(is_alive=lambda: False, process="old", instantiate="given up")
    loop = SimpleNamespace(add_callback=started.append)
    tend = surroundings.Reviver(SimpleNamespace(workers={0: alive, 1: given_up}, loop=loop))
    for times, then in enumerate([[], ["given up"], ["given up"], 2 * ["given up"]], start=1):
        tend()  # one that is dead for the first time is being started by its nanny
        assert started == then, times
    assert (alive.process, given_up.process) == ("old", None)

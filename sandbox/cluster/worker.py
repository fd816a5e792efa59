"""What happens on a Dask worker: points are run, or the worker says why it must not."""

from __future__ import annotations

import functools
import pickle
import signal
import threading
import time
from collections.abc import Callable, Sequence

from sandbox import threads
from sandbox.cluster.surroundings import silence
from sandbox.errors import UsageError, shorten
from sandbox.experiment import Experiment
from sandbox.fingerprint import code_hash
from sandbox.sweep import Job, Point, Row, execute

SLICE = 0.1  # seconds of points in a task: thirty times what a task costs, and soon enough for a progress bar
# Seconds a new process waits: Dask's nanny looks every 0.05 s, and starts none again that it has not seen alive.
SETTLE = 0.3
# One point at a time in a process: nobody promises that experiments share one.
_ALONE = threading.Lock()


def work(job: bytes, code: str, batch: bytes) -> tuple[str, str, object]:
    """Run points of a packed batch until `SLICE` seconds have passed, at least one; called by Dask on a worker.

    Returns
    -------
    tuple
        ``("rows", address, rows)``, ``("refused", address, why)`` when this worker's code is not `code` or cannot load
        the experiment, or ``("wrong", address, message)`` when the experiment breaks a rule.
    """
    from distributed import get_worker

    address, rows = get_worker().address, []
    if code_hash() != code:
        return "refused", address, f"its code {code_hash()} is not ours {code} (install the same version there)"
    with _ALONE:
        _settle()
        started = time.perf_counter()
        try:
            experiment, settings = _load(job)
        except Exception as error:
            return "refused", address, f"it cannot load the experiment ({shorten(str(error), 200)})"
        for point in pickle.loads(batch):
            try:
                with threads.singly():
                    rows.append(execute(experiment, point, settings))
            except UsageError as error:
                return "wrong", address, str(error)
            except SystemExit as error:
                rows.append(Row(point, status="crashed", error=f"SystemExit: {error.code}"))
            if time.perf_counter() - started > SLICE:
                break
    return "rows", address, rows


@functools.cache
def _settle() -> None:
    time.sleep(SETTLE)


@functools.lru_cache(maxsize=2)
def _load(job: bytes) -> tuple[Experiment, dict]:
    """Return experiment and settings; these may be of a class in the experiment's file, so they are unpacked after."""
    name, path, source, settings = pickle.loads(job)
    experiment = Job(name, path, source).load()
    return experiment, pickle.loads(settings)


def dask_setup(worker) -> None:
    """Prepare a worker of our own, which Dask calls by this name: Ctrl-C is for the parent, the log for nobody."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence()


# What is sent to a worker ----------------------------------------------------------------------------------------


def pack(job: Job) -> bytes:
    """Return a job as bytes, which mean nothing to a scheduler.

    Raises
    ------
    UsageError
        When a setting cannot be pickled.
    """
    import cloudpickle

    try:
        settings = cloudpickle.dumps(dict(job.settings))
    except Exception as error:
        told = shorten(str(error), 160)
        raise UsageError(f"settings of '{job.name}' must be picklable for Dask, got {told}") from error
    return pickle.dumps((job.name, job.path, job.source, settings))


def pack_points(points: Sequence[Point]) -> bytes:
    """Return points as bytes."""
    return pickle.dumps(list(points))


def plugin(job: bytes):
    """Return what brings a packed job to every worker: of a local class, which is pickled with its code."""
    from distributed import WorkerPlugin

    class Bringer(WorkerPlugin):
        def __init__(self, job):
            self.job = job

    return Bringer(job)


def task() -> Callable[[str, str, bytes], tuple]:
    """Return what Dask runs: a local function, which is pickled with its code and not by the name of its module.

    It takes the name of the plugin with the job, our code's hash, and packed points; see `work`.
    """

    def run_points(name, code, batch):
        from distributed import get_worker

        worker = get_worker()
        try:
            from sandbox.cluster.worker import work
        except ImportError as error:
            why = f"{error}; install this version of rnn-sandbox there"
            return "refused", worker.address, f"it has no sandbox that knows Dask ({why})"
        return work(worker.plugins[name].job, code, batch)

    return run_points

"""Sweeps on Dask: a cluster on this machine, or one that is running somewhere.

Points travel in tasks of about a tenth of a second, each of at least one point, so that Dask's few milliseconds a task
do not count; a worker gives back what it had no time for. The experiment travels apart, as a plugin, which Dask brings
once to each worker there is and to each that joins. What is sent is pickled with its code and not by the names of this
package: a scheduler needs no sandbox, and a worker without one can say so.

A task whose worker died may have been innocent: others waited in the same worker's queue. Its points are therefore run
once more when all others are done, one alone at a time, and one that dies again is ``crashed``.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import pickle
import secrets
import signal
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType

from sandbox.errors import UsageError, shorten
from sandbox.experiment import Experiment
from sandbox.fingerprint import code_hash
from sandbox.sweep import Job, Point, Row, execute

__all__ = ["Cluster", "dask_setup", "work"]

CONNECT = 10  # seconds until a scheduler counts as not there
SLICE = 0.1  # seconds of points in a task: thirty times what a task costs, and soon enough for a progress bar
LARGEST = 100  # points in a task
QUEUED = 4  # tasks on the cluster for each thread of its workers
TICK = 1.0  # seconds between looks at the workers
DASHBOARD = "127.0.0.1:8787"
# One thread per worker, decided before NumPy is imported.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


# On a worker -----------------------------------------------------------------------------------------------------


def work(job: bytes, code: str, batch: bytes) -> tuple[str, str, object]:
    """Run points of a pickled batch until `SLICE` seconds have passed, at least one; called by Dask on a worker.

    Returns
    -------
    tuple
        ``("rows", address, rows)``, ``("refused", address, why)`` when this worker's code is not `code` or cannot load
        the experiment, or ``("wrong", address, message)`` when the experiment breaks a rule.
    """
    from distributed import get_worker

    address, started, rows = get_worker().address, time.perf_counter(), []
    if code_hash() != code:
        return "refused", address, f"its code {code_hash()} is not ours {code} (install the same version there)"
    try:
        experiment, settings = _load(job)
    except Exception as error:
        return "refused", address, f"it cannot load the experiment ({shorten(str(error), 200)})"
    for point in pickle.loads(batch):
        try:
            rows.append(execute(experiment, point, settings))
        except UsageError as error:
            return "wrong", address, str(error)
        except SystemExit as error:
            rows.append(Row(point, status="crashed", error=f"SystemExit: {error.code}"))
        if time.perf_counter() - started > SLICE:
            break
    return "rows", address, rows


@functools.lru_cache(maxsize=2)
def _load(job: bytes) -> tuple[Experiment, dict]:
    """Return experiment and settings; these may be of a class in the experiment's file, so they are unpacked after."""
    name, path, source, settings = pickle.loads(job)
    experiment = Job(name, path, source).load()
    return experiment, pickle.loads(settings)


def _task() -> Callable:
    """Return what Dask runs: a local function, which is pickled with its code and not by the name of its module."""

    def run_points(name, code, batch):
        from distributed import get_worker

        worker = get_worker()
        try:
            from sandbox.cluster import work
        except ImportError as error:
            why = f"{error}; install this version of rnn-sandbox there"
            return "refused", worker.address, f"it has no sandbox that knows Dask ({why})"
        return work(worker.plugins[name].job, code, batch)

    return run_points


def _plugin(job: bytes):
    """Return what brings the job to every worker: of a local class, for the same reason."""
    from distributed import WorkerPlugin

    class Bringer(WorkerPlugin):
        def __init__(self, job):
            self.job = job

    return Bringer(job)


def dask_setup(worker) -> None:
    """Prepare a worker of our own, which Dask calls by this name: Ctrl-C is the parent's, and so is standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _silence()


# In the parent ---------------------------------------------------------------------------------------------------


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Cluster:
    """Runs points on Dask's workers: an executor as `sandbox.sweep` describes them.

    Parameters
    ----------
    job
        What every worker needs to know.
    scheduler
        Address of a running scheduler, ``tcp://host:port``; without one a cluster is started here, on loopback.
    jobs
        Worker processes of a cluster started here, by default one for each core.
    say
        Called with each line there is to say: where the dashboard is, which worker was refused.

    Raises
    ------
    UsageError
        When Dask is missing, or `jobs` is given with a scheduler. `run` raises it when no scheduler answers, no worker
        has our code, the scheduler is lost, or the experiment breaks a rule.
    """

    def __init__(
        self, job: Job, *, scheduler: str | None = None, jobs: int | None = None, say: Callable[[str], None] = _say
    ):
        try:
            import distributed
        except ImportError as error:
            missing = "--executor dask needs Dask, which is missing (pip install rnn-sandbox[cluster])"
            raise UsageError(missing) from error
        if scheduler is not None and jobs is not None:
            raise UsageError(f"jobs must be left out with a scheduler, which has its own workers, got {jobs}")
        if jobs is not None and jobs < 1:
            raise UsageError(f"jobs must be at least 1, got {jobs}")
        self.job, self.scheduler, self.jobs, self.say = job, scheduler, jobs, say
        self._dask: ModuleType = distributed
        self._draining = False

    def run(self, points: Iterable[Point]) -> Iterator[Row]:
        """Yield the row of every point as it finishes; closing the iterator stops all of them."""
        with ExitStack() as stack:
            stack.enter_context(_quiet())
            client = self._attach(stack) if self.scheduler else self._start(stack)
            stack.callback(_close, client)
            yield from _Sweep(self, client, points).rows()

    def drain(self) -> None:
        """Start no further point; `run` ends with those that are being computed."""
        self._draining = True

    @property
    def draining(self) -> bool:
        """Whether no further point is to start."""
        return self._draining

    def _attach(self, stack: ExitStack):
        """Return a client of the scheduler at the given address."""
        try:
            return self._client(self.scheduler)
        except (OSError, ValueError, ImportError) as error:  # of which TimeoutError is one; TLS without certificates
            asked = f"scheduler must be the address of a running Dask scheduler, got {shorten(self.scheduler, 80)}"
            raise UsageError(f"{asked} ({_reason(error)})") from error

    def _client(self, address):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions that differ: what matters is in the hash
            return self._dask.Client(address, timeout=CONNECT, set_as_default=False)

    def _start(self, stack: ExitStack):
        """Return a client of a new cluster in processes of this machine."""
        import dask

        scratch = tempfile.TemporaryDirectory(prefix="sandbox-dask-", ignore_cleanup_errors=True)
        folder = stack.enter_context(scratch)
        stack.enter_context(_one_thread(dask.config.get("distributed.nanny.pre-spawn-environ")))
        stack.enter_context(_main_left_alone())
        # A dead worker's task comes back at once, to be tried alone; a long kernel is no sign of death.
        settings = {"distributed.scheduler.allowed-failures": 0, "distributed.scheduler.worker-ttl": None}
        stack.enter_context(dask.config.set(settings))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a dashboard's port that is taken: another one is found
            try:
                cluster = self._dask.LocalCluster(
                    n_workers=self.jobs or dask.system.CPU_COUNT,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=DASHBOARD,
                    memory_limit=0,  # nobody is paused at a share of the memory; the system's own limits hold
                    local_directory=folder,
                    preload=[__name__],
                    silence_logs=logging.CRITICAL,
                )
            except (OSError, RuntimeError, TimeoutError) as error:
                raise UsageError(f"Dask's workers could not be started here ({_reason(error)})") from error
        stack.callback(_stop, cluster)
        plots = "" if _has_bokeh() else " (its plots need the package bokeh)"
        self.say(f"dashboard {cluster.dashboard_link}{plots}")
        return self._client(cluster)


@dataclass
class _Sent:
    """Points on the cluster in one task: alone if nothing else is there, on some workers only if others are bad."""

    future: object
    points: list[Point]
    alone: bool
    workers: frozenset[str] | None


class _Sweep:
    """One run: which points wait, which are on the cluster, which workers are no good."""

    def __init__(self, cluster: Cluster, client, points: Iterable[Point]):
        self.cluster, self.client, self.code = cluster, client, code_hash()
        self.fresh = iter(points)
        self.back: deque[list[Point]] = deque()
        self.suspects: deque[tuple[Point, str]] = deque()
        self.sent: dict[str, _Sent] = {}
        self.threads: dict[str, int] = {}
        self.bad: dict[str, str] = {}
        self.pace: float | None = None  # seconds a point takes of late
        self.waiting = self.stopped = False
        self.looked = -TICK
        self.done = cluster._dask.as_completed(loop=client.loop, with_results=True, raise_errors=False)
        self.name, self.number = f"{cluster.job.name}-{secrets.token_hex(4)}", itertools.count()
        self.task = _task()

    def rows(self) -> Iterator[Row]:
        """Yield rows until nothing is left to run."""
        try:
            self._look()
            self.client.register_plugin(_plugin(_pack(self.cluster.job)), name=self.name)
            while self._fill():
                self._wait()
                for future, result in self.done.next_batch(block=False):
                    sent = self.sent.pop(future.key, None)
                    if sent is not None:  # else it was taken back
                        yield from self._receive(sent, result)
        except (OSError, self.cluster._dask.client.ClosedClientError) as error:
            raise UsageError(f"lost the scheduler at {self._where()} ({_reason(error)})") from error
        finally:
            self.done.clear()
            with suppress(OSError, self.cluster._dask.client.ClosedClientError):
                self.client.unregister_worker_plugin(self.name)

    def _where(self) -> str:
        return self.client.scheduler.address if self.client.scheduler else str(self.cluster.scheduler)

    def _fill(self) -> bool:
        """Send what there is room for; return whether anything is on the cluster."""
        if self.cluster.draining:
            self._take_back()
            return bool(self.sent)
        most = max(QUEUED * sum(self._good().values()), QUEUED)
        room = most - len(self.sent)
        if self.sent and room < most / QUEUED:
            return True  # a few at a time: each submission costs a message and a graph
        batches = list(itertools.islice(self._batches(), room))
        if batches:
            self._send(batches)
        elif self.suspects and not self.sent:
            self._send([[self.suspects.popleft()[0]]], alone=True)
        return bool(self.sent)

    def _batches(self) -> Iterator[list[Point]]:
        """Yield the points of one task after another: those given back first, then as many as fit into a slice."""
        while True:
            size = 1 if self.pace is None else max(1, min(LARGEST, int(SLICE / max(self.pace, 1e-6))))
            if self.back:
                batch = self.back.popleft()
                if len(batch) > size:
                    self.back.appendleft(batch[size:])
                    batch = batch[:size]
            else:
                batch = list(itertools.islice(self.fresh, size))
            if not batch:
                return
            yield batch

    def _send(self, batches: list[list[Point]], alone: bool = False) -> None:
        good = frozenset(self._good())
        workers = good if self.bad.keys() & self.threads.keys() else None
        keys = [f"{self.name}-{next(self.number)}" for _ in batches]
        futures = self.client.map(
            self.task, [self.name] * len(keys), [self.code] * len(keys), [pickle.dumps(batch) for batch in batches],
            key=keys, pure=False, retries=1, workers=workers and sorted(workers), batch_size=None,
        )  # fmt: skip
        for future, batch in zip(futures, batches, strict=True):
            self.sent[future.key] = _Sent(future, batch, alone, workers)
        self.done.update(futures)

    def _wait(self) -> None:
        """Wait a moment for results, and look after the workers now and then."""
        if not self.done.has_ready():
            with self.done.thread_condition:
                self.done.thread_condition.wait(0.1)
        if time.monotonic() - self.looked >= TICK:
            self._look()

    def _look(self) -> None:
        """See which workers there are; take back what waits for workers that are gone."""
        self.looked = time.monotonic()
        if self.client.status not in ("running", "newly-created"):
            raise OSError("it has closed the connection")
        self.threads = self.client.nthreads()
        if not self.threads and not self.waiting:
            self.cluster.say(f"waiting for workers at {self._where()}")
        self.waiting = not self.threads
        self._insist_on_good()
        lost = [key for key, sent in self.sent.items() if sent.workers and not sent.workers & self.threads.keys()]
        self._cancel(lost)

    def _good(self) -> dict[str, int]:
        return {address: threads for address, threads in self.threads.items() if address not in self.bad}

    def _insist_on_good(self) -> None:
        if self.threads and not self._good():
            why = next(iter(self.bad[address] for address in self.threads))
            raise UsageError(f"every worker at {self._where()} was refused, the first because {why}")

    def _receive(self, sent: _Sent, result: object) -> Iterator[Row]:
        if sent.future.status != "finished":
            error = result[1] if isinstance(result, tuple) else result
            if not sent.alone:
                self.suspects.extend((point, _reason(error)) for point in sent.points)
                return
            died = isinstance(error, self.cluster._dask.KilledWorker)
            yield Row(sent.points[0], status="crashed", error="its worker died, twice" if died else _reason(error))
            return
        kind, address, told = result
        if kind == "wrong":
            raise UsageError(told)
        if kind == "refused":
            if address not in self.bad:
                self.bad[address] = told
                self.cluster.say(f"worker {address} refused: {told}")
            self.back.append(sent.points)
            self._insist_on_good()
            return
        for row in told:
            self.pace = row.seconds if self.pace is None else 0.8 * self.pace + 0.2 * row.seconds
        if len(told) < len(sent.points):
            self.back.appendleft(sent.points[len(told) :])
        yield from told

    def _take_back(self) -> None:
        """Once, when draining begins: cancel what no worker is computing. What was given back stays undone."""
        if self.stopped:
            return
        self.stopped = True
        with suppress(OSError):
            stacks = self.client.call_stack(futures=[sent.future for sent in self.sent.values()])
            running = {key for stack in stacks.values() for key in stack}
            idle = [key for key, sent in self.sent.items() if key not in running and sent.future.status == "pending"]
            self._cancel(idle)

    def _cancel(self, keys: list[str]) -> None:
        """Take tasks off the cluster; their points wait again."""
        taken = [self.sent.pop(key) for key in keys]
        if taken:
            self.client.cancel([sent.future for sent in taken])
            self.back.extend(sent.points for sent in taken)


def _pack(job: Job) -> bytes:
    import cloudpickle

    try:
        settings = cloudpickle.dumps(dict(job.settings))
    except Exception as error:
        raise UsageError(f"settings of '{job.name}' must be picklable for Dask, got {_reason(error)}") from error
    return pickle.dumps((job.name, job.path, job.source, settings))


def _reason(error: object) -> str:
    return shorten(str(error), 160) or type(error).__name__


def _has_bokeh() -> bool:
    import importlib.util

    return importlib.util.find_spec("bokeh") is not None


# Around a cluster ------------------------------------------------------------------------------------------------


def _close(client) -> None:
    with suppress(OSError, TimeoutError):
        client.close(timeout=2)


def _stop(cluster) -> None:
    """End a local cluster and its processes, also those which are in the middle of a point."""

    async def end_workers():
        import asyncio

        await asyncio.gather(*(nanny.close(timeout=0.5) for nanny in cluster.workers.values()), return_exceptions=True)

    with suppress(OSError, TimeoutError):
        cluster.sync(end_workers)
        cluster.close(timeout=5)


def _silence() -> dict[logging.Logger, int]:
    """Let Dask's loggers say nothing; return the levels they had."""
    loud = ("distributed", "tornado", "asyncio", "bokeh")
    names = {*loud, *(name for name in logging.root.manager.loggerDict if name.split(".")[0] in loud)}
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    for logger in levels:
        logger.setLevel(logging.CRITICAL + 1)
    return levels


@contextmanager
def _quiet() -> Iterator[None]:
    """For a while, keep Dask's log of lost connections and late heartbeats off standard error: we say what matters."""
    levels = _silence()
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


@contextmanager
def _one_thread(also: Iterable[str]) -> Iterator[None]:
    """Limit the threads of processes started meanwhile; undo that, and what Dask sets in this process' environment."""
    names = {*THREADS, *also, "PYTHONHASHSEED"}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _main_left_alone() -> Iterator[None]:
    """Keep spawned processes from importing the caller's script: without a guard it would start this sweep again.

    Python leaves a main module alone whose name says that it is a package's ``__main__``.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    main.__spec__ = ModuleSpec(f"{__package__}.__main__", None)
    try:
        yield
    finally:
        main.__spec__ = spec

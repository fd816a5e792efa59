"""Points in worker processes: the executors `Workers`, and `Auto`, which decides whether they are worth it.

A worker is a Python process of its own with one thread for everything (`sandbox.worker`), not a fork and not one of
`multiprocessing`, which would import ``__main__`` anew and so needs a guard in every script. A thread for each worker
reads its frames into one queue; the generator `Workers.run` takes them out, hands on the next point, and yields rows.

A worker that dies costs its point one attempt, and no other point anything: one that waited in the same worker goes
back to the head of the queue. Workers which die before they have begun a point are replaced only so many times as long
as no point finishes: where none can start, the sweep ends.

>>> import sandbox.warm
>>> from sandbox.experiment import load
>>> from sandbox.sweep import Job, points
>>> vanishing = load("vanishing")
>>> todo = points(vanishing, vanishing.grid(quick=True), [0])
>>> sandbox.warm.warm(vanishing, todo) in range(5)  # no point, where the kernels of all four cells were there
True
>>> sorted(row.point.values["cell"] for row in Workers(Job.of(vanishing), 2).run(todo))
['gru', 'lstm', 'rnn', 'rnn:identity']
"""

from __future__ import annotations

import math
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sandbox.errors import UsageError, shorten
from sandbox.experiment import Experiment
from sandbox.provenance import THREADS, python_path
from sandbox.sweep import Job, Point, Row, Serial
from sandbox.warm import warm
from sandbox.worker import COUNTERS, HELD, read_frame, write_frame

FAILED_STARTS = 4  # beyond the number of jobs, without a row in between, before they are given up
QUICK = 0.02  # s; points shorter than this wait in a worker, a longer one would keep another from an idle worker

Note = Callable[[tuple[str, ...]], None]
_Task = tuple[Point, int]  # a point and the workers it has cost so far


def default_jobs() -> int:
    """Return how many cores this process may use: by its affinity, and by the CPU quota of its control group."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(max(1, min(cores, _quota())))


def _quota(own: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores' worth of time that the control group (version 2) and those around it may use; inf without a limit."""
    try:
        paths = [line[3:] for line in own.read_text().splitlines() if line.startswith("0::")]
    except OSError:
        return math.inf
    limits = [math.inf]
    for path in paths:
        folder = root / path.lstrip("/")
        for group in (folder, *folder.parents):
            with suppress(OSError, ValueError):
                quota, period = (group / "cpu.max").read_text().split()  # "max 100000" where there is no limit
                limits.append(int(quota) / int(period))
            if group == root:
                break
    return min(limits)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Put off interrupts: workers and threads are born with them blocked, and no birth is broken off halfway.

    (By those of other threads it can be. That worker sees its input end, and ends.)
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # asked first: the next call may raise what was pending
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment() -> dict[str, str]:
    return {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": python_path()}


class _Worker:
    """A worker process, the points it has, and a thread that puts what it says into a queue."""

    def __init__(self, greeting: dict, events: queue.SimpleQueue):
        command = [sys.executable, "-P", "-m", "sandbox.worker"]  # -P: a folder "sandbox" where we stand is not meant
        flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows: no Ctrl-C
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), creationflags=flags
        )
        self.tasks: deque[_Task] = deque()
        self.ready = self.proved = self.quick = False
        self.since: float | None = None  # when it began its first task
        self.deadline = math.inf
        self.listener = threading.Thread(target=self._listen, args=(greeting, events), daemon=True)

    def _listen(self, greeting: dict, events: queue.SimpleQueue) -> None:
        try:
            with self.process.stdout as out:
                self.send(greeting)
                while True:
                    frame = read_frame(out)
                    events.put((self, time.monotonic(), frame))
        except (OSError, EOFError):
            pass
        finally:
            events.put((self, time.monotonic(), ("gone",)))

    def send(self, content: object) -> None:
        """Send one frame; a worker that is not there any more is noticed by its listener."""
        with suppress(OSError):
            write_frame(self.process.stdin, content)
            self.process.stdin.flush()

    def end(self) -> str:
        """Make sure that nothing is left of it; return how it ended."""
        self.process.kill()
        code = self.process.wait()
        with suppress(OSError):
            self.process.stdin.close()
        self.listener.join(1.0)  # a process that the worker started may hold the pipe
        if code >= 0:
            return f"with exit code {code}"
        with suppress(ValueError):
            return f"by signal {-code} ({signal.Signals(-code).name})"
        return f"by signal {-code}"


class Workers:
    """Runs points in worker processes.

    Parameters
    ----------
    job
        What to run: an experiment that came from a file.
    jobs
        Number of processes, at most; never more than there are points.
    timeout
        Seconds that a point may take, counted from its start; its row says ``timeout`` and it is not tried again.
    note
        Called with the texts of a running point's `sandbox.report.progress.note`.
    attempts
        How often a point is tried whose worker dies, before its row says ``crashed``.

    Raises
    ------
    UsageError
        Here for arguments that break their rules. While running, when a worker says that the experiment cannot be
        loaded or returned nonsense, or when workers end before they have run anything.
    RuntimeError
        While running, when an experiment raised what ends a process and not a point, such as ``SystemExit``.
    """

    def __init__(
        self, job: Job, jobs: int, *, timeout: float | None = None, note: Note | None = None, attempts: int = 2
    ):
        if jobs < 1:
            raise UsageError(f"jobs must be a whole number from 1, got {jobs}")
        if timeout is not None and not timeout > 0:
            raise UsageError(f"timeout must be a number of seconds above 0, got {timeout}")
        if not job.source:
            hint = f"got '{job.name}', which did not (jobs 1 runs it in this process)"
            raise UsageError(f"an experiment for worker processes must come from a file, {hint}")
        try:
            settings = pickle.dumps(dict(job.settings), protocol=5)
        except Exception as error:
            rule = f"settings of '{job.name}' must be values that can be sent to worker processes"
            raise UsageError(f"{rule}, got {type(error).__name__}: {shorten(str(error), 100)}") from error
        text = (job.name, job.path, job.source)
        self._greeting = {"path": list(sys.path), "job": text, "settings": settings, "noted": note is not None}
        self.jobs, self.timeout, self.attempts, self._note = jobs, timeout, attempts, note
        self.kernels: dict[str, float] = dict.fromkeys(COUNTERS, 0)
        self._events: queue.SimpleQueue = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._pending: deque[_Task] = deque()
        self._draining, self._failed_starts, self._last_end = False, 0, "none started"

    @property
    def running(self) -> int:
        """Number of points in flight."""
        return sum(worker.since is not None for worker in self._workers)

    def drain(self) -> None:
        """Start no further point; `run` ends when those in flight have finished. A signal handler may call this."""
        self._draining = True
        self._events.put(None)

    def run(self, points: Iterable[Point]) -> Iterator[Row]:
        """Yield the row of every point as it finishes, in any order; closing the iterator kills the workers."""
        self._pending = deque((point, 0) for point in points)
        left = len(self._pending)
        try:
            self._employ()
            while left:
                if not self._workers:
                    if self._draining:
                        return
                    why = f"{self._last_end}; jobs 1 needs no workers"
                    raise UsageError(f"workers must reach their first point, got none that did ({why})")
                event = self._next()
                row = self._send_home() if event is None else self._take(*event)
                if row is not None:
                    left -= 1
                    yield row
        finally:
            for worker in self._workers:
                worker.process.kill()
            while self._workers:
                self._workers.pop().end()

    def _next(self) -> tuple | None:
        """Wait for the next event: what a worker says, that a point took too long, or None for a drain."""
        nearest = math.inf
        if self.timeout is not None:
            for worker in self._workers:
                if worker.deadline <= time.monotonic():  # comes behind what is in the queue: that was in time
                    self._events.put((worker, worker.deadline, ("late", worker.tasks[0])))
                    worker.deadline = math.inf
                nearest = min(nearest, worker.deadline)
        while True:
            wait = max(0.0, nearest - time.monotonic()) if nearest < math.inf else None
            if os.name == "nt":  # where waiting cannot be interrupted
                wait = 0.2 if wait is None else min(wait, 0.2)
            try:
                return self._events.get(timeout=wait)
            except queue.Empty:
                if nearest <= time.monotonic():
                    return self._next()

    def _take(self, worker: _Worker, at: float, frame: tuple) -> Row | None:
        """Act upon what a worker said at a time; return the row of a point that is done with."""
        if worker not in self._workers:
            return None
        kind, *content = frame
        if kind == "row":
            return self._finished(worker, *content)
        if kind == "started":
            worker.since = at
            worker.deadline = at + (self.timeout or math.inf)
            worker.proved = True
        elif kind == "ready":
            worker.ready = True
            self._count(content[0])
            self._hand(worker)
        elif kind == "note":
            self._note(content[0])
        elif kind == "refused":
            usage, text = content
            raise UsageError(text) if usage else RuntimeError(text)
        elif kind == "gone":
            return self._lost(worker, at)
        elif kind == "late" and worker.tasks and worker.tasks[0] is content[0]:
            return self._lost(worker, at, late=True)
        return None

    def _finished(self, worker: _Worker, content: tuple, kernels: tuple | None) -> Row:
        point, _ = worker.tasks.popleft()
        row = Row(point, *content)
        worker.since, worker.deadline, worker.quick = None, math.inf, row.seconds < QUICK
        self._count(kernels)
        self._hand(worker)
        if self._failed_starts:
            self._failed_starts = 0
            self._employ()
        return row

    def _lost(self, worker: _Worker, at: float, late: bool = False) -> Row | None:
        """Dismiss a worker that died or took too long, and find others for its points."""
        self._last_end = f"worker ended {worker.end()}"
        self._workers.remove(worker)
        self._failed_starts += not worker.proved
        row = None
        if worker.since is not None:
            point, crashes = worker.tasks.popleft()
            seconds = at - worker.since
            if late:
                row = Row(point, status="timeout", error=f"longer than {self.timeout:g} s", seconds=seconds)
            elif crashes + 1 < self.attempts:
                worker.tasks.appendleft((point, crashes + 1))
            else:
                attempts = f"{crashes + 1} attempt{'s' if crashes else ''}"
                row = Row(point, status="crashed", error=f"{self._last_end}, {attempts}", seconds=seconds)
        self._pending.extendleft(reversed(worker.tasks))
        self._employ()
        return row

    def _employ(self) -> None:
        """Hand points to whoever is idle, and start workers for the rest."""
        for worker in self._workers:
            if worker.ready:
                self._hand(worker)
        coming = sum(not worker.ready for worker in self._workers)
        most = min(len(self._pending), self.jobs + FAILED_STARTS - self._failed_starts)
        while coming < most and len(self._workers) < self.jobs and not self._draining:
            coming += 1
            try:
                with _signals_held():
                    worker = _Worker(self._greeting, self._events)
                    worker.listener.start()
                    self._workers.append(worker)
            except (OSError, RuntimeError) as error:  # too many processes or threads: those there are will have to do
                self._last_end = f"a process could not be started: {getattr(error, 'strerror', error)}"
                return

    def _hand(self, worker: _Worker) -> None:
        """Give a worker its next point, and one to wait where points are short."""
        while self._pending and len(worker.tasks) < 1 + worker.quick and not self._draining:
            worker.tasks.append(self._pending.popleft())
            point = worker.tasks[-1][0]
            worker.send((dict(point.values), point.seed))

    def _send_home(self) -> None:
        """Drain: tell workers to end behind the point they are at, and those without one now."""
        for worker in self._workers:
            if worker.tasks:
                worker.send(None)
            else:
                worker.process.kill()

    def _count(self, news: tuple | None) -> None:
        for name, more in zip(COUNTERS, news or (), strict=False):
            self.kernels[name] += more


class Auto:
    """Runs points in this process, and what is left of a long sweep in worker processes.

    A short sweep never pays for workers, and most kernels are compiled here. Where a timeout is set workers run
    everything, because a point of this process cannot be stopped; an experiment that did not come from a file stays
    here.

    Parameters
    ----------
    experiment
        What to run here.
    job, jobs, timeout, note, attempts
        As of `Workers`; with `jobs` 1 everything runs here.
    patience, worth
        Seconds before workers are thought of at all; seconds of work that must then be left for them.
    """

    def __init__(
        self, experiment: Experiment, job: Job, jobs: int, *, timeout: float | None = None, note: Note | None = None,
        attempts: int = 2, patience: float = 1.0, worth: float = 4.0,
    ):  # fmt: skip
        self.experiment, self.job, self.jobs = experiment, job, jobs
        self.timeout, self.patience, self.worth = timeout, patience, worth
        self._options = {"timeout": timeout, "note": note, "attempts": attempts}
        self._serial, self._workers, self._draining = Serial(experiment, job.settings), None, False

    @property
    def running(self) -> int:
        """Number of points in flight."""
        return self._workers.running if self._workers else 1

    @property
    def kernels(self) -> dict[str, float]:
        """What workers compiled and loaded; what this process did is in `sandbox.jit.stats`."""
        return self._workers.kernels if self._workers else dict.fromkeys(COUNTERS, 0)

    def drain(self) -> None:
        """Start no further point; `run` ends when those in flight have finished. A signal handler may call this."""
        self._draining = True
        self._serial.drain()
        if self._workers is not None:
            self._workers.drain()

    def run(self, points: Iterable[Point]) -> Iterator[Row]:
        """Yield the row of every point as it finishes; closing the iterator stops at once."""
        points, done = list(points), 0
        if self.timeout is None:
            started, compiled = time.perf_counter(), _compiling()
            for row in self._serial.run(points):
                done += 1
                yield row
                seconds = time.perf_counter() - started
                if seconds >= self.patience and self._worthwhile(
                    (seconds - _compiling() + compiled) / done, len(points) - done
                ):
                    break
        rest = points[done:]
        if not rest:
            return
        warm(self.experiment, rest, self.job.settings, stop=lambda: self._draining)
        self._workers = Workers(self.job, self.jobs, **self._options)
        if self._draining:  # said while there was nobody to pass it on to
            self._workers.drain()
        yield from self._workers.run(rest)

    def _worthwhile(self, pace: float, left: int) -> bool:
        return self.jobs > 1 and bool(self.job.source) and left >= 2 and pace * left > self.worth


def _compiling() -> float:
    """Seconds that this process spent on compiling kernels so far."""
    jit = sys.modules.get("sandbox.jit")
    return jit.stats()["seconds"] if jit is not None else 0.0

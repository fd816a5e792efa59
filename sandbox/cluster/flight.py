"""One sweep over a Dask cluster: which points wait, which are on their way, which workers are no good."""

from __future__ import annotations

import itertools
import secrets
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from sandbox.cluster import worker
from sandbox.cluster.surroundings import no_interrupt
from sandbox.errors import UsageError, shorten
from sandbox.fingerprint import code_hash
from sandbox.sweep import Job, Point, Row

LARGEST = 100  # points in a task
ENOUGH = 8  # rows that tell how long a point takes
QUEUED = 4  # tasks on the cluster for each worker, and at first: of a tenth of a second, or of one point
IN_FLIGHT = (
    1000  # tasks on the cluster when it is known what a point takes: a cluster that adapts looks at their number
)
AT_ONCE = 64  # tasks sent in one message, which must not keep results waiting
TICK = 1.0  # seconds between looks at the workers


@dataclass
class _Sent:
    """Points on the cluster in one task: alone if nothing else is there, on some workers only if others are bad."""

    future: object
    points: list[Point]
    alone: bool
    workers: frozenset[str] | None


class Flight:
    """Sends the points of one sweep in tasks, a bounded number at a time, and receives their rows.

    Parameters
    ----------
    client
        Dask's client.
    job, points
        What is to be run.
    say
        Called with each line there is to say.
    draining
        Whether no further point is to start.
    tend
        Called about once a second.
    """

    def __init__(
        self,
        client,
        job: Job,
        points: Iterable[Point],
        *,
        say: Callable[[str], None],
        draining: Callable[[], bool],
        tend: Callable[[], None] = lambda: None,
    ):
        from distributed import as_completed

        self.client, self.job, self.say, self.draining, self.tend = client, job, say, draining, tend
        self.fresh = iter(points)
        self.back: deque[list[Point]] = deque()
        self.suspects: deque[Point] = deque()
        self.sent: dict[str, _Sent] = {}
        self.threads: dict[str, int] = {}  # of each worker there is
        self.bad: dict[str, str] = {}  # workers, and why
        self.seconds: deque[float] = deque(maxlen=31)  # that points took of late
        self.waiting = self.crowded = self.stopped = False
        self.failed: set[str] = set()
        self.looked = -TICK
        self.done = as_completed(loop=client.loop, with_results=True, raise_errors=False)
        self.name, self.number = f"{job.name}-{secrets.token_hex(4)}", itertools.count()
        self.code, self.task = code_hash(), worker.task()

    def rows(self) -> Iterator[Row]:
        """Yield rows until nothing is left to run.

        Raises
        ------
        UsageError
            When no worker has our code, the scheduler is lost, or the experiment breaks a rule.
        """
        from distributed.client import ClosedClientError

        where = self._where()
        try:
            with no_interrupt():
                self._look()
                self.client.register_plugin(worker.plugin(worker.pack(self.job)), name=self.name)
                more = self._fill()
            while more:
                self._wait()
                with no_interrupt():
                    found = self._collect()
                    more = self._fill()
                yield from found
        except (OSError, ClosedClientError) as error:
            raise UsageError(f"lost the scheduler at {where} ({_reason(error)})") from error
        finally:
            self.done.clear()
            with no_interrupt(), suppress(OSError, ClosedClientError):
                self.client.unregister_worker_plugin(self.name)

    def _where(self) -> str:
        return self.client.scheduler.address

    # Sending

    def _fill(self) -> bool:
        """Send what there is room for; return whether there is anything to wait for."""
        if self.draining():
            self._take_back()
            return bool(self.sent)
        if self.bad and not self._good():
            return bool(self.sent or self.suspects or self._keep(next(self._batches(), None)))
        least = max(QUEUED * len(self._good()), QUEUED)
        # Tasks tied to some workers wait at these and not at the scheduler; so few of them.
        most = least if self._size() == 0 or self.bad else max(IN_FLIGHT, least)
        room = min(most - len(self.sent), AT_ONCE)
        if self.sent and room < min(most / 4, AT_ONCE):
            return True  # a few at a time: each submission costs a message and a graph
        batches = list(itertools.islice(self._batches(), room))
        if batches:
            self._send(batches)
        elif self.suspects and not self.sent:
            self._send([[self.suspects.popleft()]], alone=True)
        return bool(self.sent)

    def _batches(self) -> Iterator[list[Point]]:
        """Yield the points of one task after another: those given back first, then as many as fit into a slice."""
        while True:
            size = max(self._size(), 1)
            batch = self.back.popleft() if self.back else list(itertools.islice(self.fresh, size))
            if not batch:
                return
            self._keep(batch[size:])
            yield batch[:size]

    def _size(self) -> int:
        """Return how many points fit into a slice; 0 while too few rows, the first of which are slow, can tell."""
        if len(self.seconds) < ENOUGH:
            return 0
        return max(1, min(LARGEST, int(worker.SLICE / max(statistics.median(self.seconds), 1e-6))))

    def _keep(self, points: list[Point] | None) -> bool:
        """Let points wait in front of the others; return whether there were any."""
        if points:
            self.back.appendleft(points)
        return bool(points)

    def _send(self, batches: list[list[Point]], alone: bool = False) -> None:
        workers = frozenset(self._good()) if self.bad else None
        keys = [f"{self.name}-{next(self.number)}" for _ in batches]
        futures = self.client.map(
            self.task, [self.name] * len(keys), [self.code] * len(keys), list(map(worker.pack_points, batches)),
            key=keys, pure=False, retries=1, workers=workers and sorted(workers),
        )  # fmt: skip
        for future, batch in zip(futures, batches, strict=True):
            self.sent[future.key] = _Sent(future, batch, alone, workers)
        self.done.update(futures)

    # Receiving

    def _wait(self) -> None:
        """Wait a moment for results."""
        if not self.done.has_ready():
            with self.done.thread_condition:
                self.done.thread_condition.wait(0.1)

    def _collect(self) -> list[Row]:
        """Return the rows that are there, and look after the workers now and then."""
        rows: list[Row] = []
        if time.monotonic() - self.looked >= TICK:
            self._look()
            for sent in self._overlooked():
                rows += self._failed(sent, sent.future.exception())
        for future, result in self.done.next_batch(block=False):
            sent = self.sent.pop(future.key, None)
            if sent is not None:  # else it was taken back
                rows += self._receive(sent, result)
        return rows

    def _receive(self, sent: _Sent, result: object) -> list[Row]:
        """Return the rows of a finished task; let those of its points that have none wait for another one."""
        if isinstance(result, BaseException):  # a cancellation, but not ours
            raise OSError("it went away, or was restarted")
        kind, address, told = result
        if isinstance(kind, type):
            return self._failed(sent, address)  # type, exception, traceback
        if kind == "wrong":
            raise UsageError(told)
        if kind == "refused":
            if address not in self.bad:
                self.bad[address] = told
                self.say(f"worker {address} refused: {told}")
                self._look()
            self._keep(sent.points)
            return []
        self.seconds += [row.seconds for row in told]
        self._keep(sent.points[len(told) :])
        return told

    def _overlooked(self) -> list[_Sent]:
        """Return tasks that failed a while ago: of one that fails while its result is fetched Dask says nothing."""
        before, self.failed = self.failed, {key for key, sent in self.sent.items() if sent.future.status == "error"}
        return [self.sent.pop(key) for key in self.failed & before]

    def _failed(self, sent: _Sent, error: BaseException) -> list[Row]:
        """Note points whose task gave nothing as suspects; the second time, alone, the point is crashed."""
        from distributed import KilledWorker

        died = isinstance(error, KilledWorker)
        if not self.seconds and not died:  # nor will the other points
            raise UsageError(f"the cluster at {self._where()} cannot run a point ({_reason(error)})")
        if sent.alone:
            told = "its worker died, twice" if died else _reason(error)
            return [Row(sent.points[0], status="crashed", error=told)]
        self.suspects.extend(sent.points)
        return []

    # Workers

    def _look(self) -> None:
        """See which workers there are; take back what waits for workers that are gone."""
        self.looked = time.monotonic()
        if self.client.status == "closed":
            raise OSError("it has closed the connection")
        self.tend()
        self.threads = self.client.nthreads()
        self.bad = {address: why for address, why in self.bad.items() if address in self.threads}
        if self.bad and not self._good() and not self.seconds:
            first = next(iter(self.bad.values()))
            raise UsageError(f"every worker at {self._where()} was refused, the first because {first}")
        if not self._good() and not self.waiting:
            self.say(f"waiting for workers at {self._where()}")
        self.waiting = not self._good()
        many = max(self.threads.values(), default=1)
        if many > 1 and not self.crowded:
            self.say(f"workers with {many} threads run one point at a time (start them with --nthreads 1)")
            self.crowded = True
        self._cancel([key for key, sent in self.sent.items() if sent.workers and not sent.workers & set(self.threads)])

    def _good(self) -> list[str]:
        return [address for address in self.threads if address not in self.bad]

    # Stopping

    def _take_back(self) -> None:
        """Once, when draining begins: cancel what no worker is computing."""
        if self.stopped or not self.sent:
            return
        self.stopped = True
        try:
            working = self.client.call_stack()  # of all that runs: asked for a task that has just gone, it raises
        except Exception:  # a worker died while it was asked
            working = self.client.processing()
        keys = {key for keys in working.values() for key in keys}
        idle = [key for key, sent in self.sent.items() if key not in keys and sent.future.status == "pending"]
        self._cancel(idle)

    def _cancel(self, keys: list[str]) -> None:
        """Take tasks off the cluster; their points wait again."""
        taken = [self.sent.pop(key) for key in keys]
        if taken:
            self.client.cancel([sent.future for sent in taken])
        for sent in taken:
            self._keep(sent.points)


def _reason(error: object) -> str:
    return shorten(str(error), 160) or type(error).__name__

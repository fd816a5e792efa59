"""Sweeps on Dask: a cluster on this machine, or one that is running somewhere.

Points travel in tasks of about a tenth of a second, each of at least one point, so that Dask's few milliseconds a task
do not count; a worker gives back what it had no time for. The experiment travels apart, as a plugin, which Dask brings
once to each worker there is and to each that joins. What is sent is pickled with its code and not by the names of this
package: a scheduler needs no sandbox, and a worker without one can say so.

A task whose worker died may have been innocent: others waited in the same worker's queue. Its points are therefore run
once more when all others are done, one alone at a time, and one that dies again is ``crashed``.
"""

from __future__ import annotations

import importlib.util
import logging
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

from sandbox.cluster import surroundings
from sandbox.cluster.flight import Flight
from sandbox.errors import UsageError, shorten
from sandbox.sweep import Job, Point, Row

__all__ = ["Cluster"]

CONNECT = 10  # seconds until a scheduler counts as not there
DASHBOARD = "127.0.0.1:8787"


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
        self.draining = False
        self._dask = distributed

    def run(self, points: Iterable[Point]) -> Iterator[Row]:
        """Yield the row of every point as it finishes; closing the iterator stops all of them."""
        with ExitStack() as stack:
            stack.enter_context(surroundings.quiet())
            if self.scheduler is not None:
                self._await()
            with surroundings.no_interrupt():
                cluster = self._start(stack) if self.scheduler is None else None
                client = self._client(cluster or self.scheduler)
                stack.callback(surroundings.close, client)
            own = {"tend": surroundings.Reviver(cluster)} if cluster else {}
            flight = Flight(client, self.job, points, say=self.say, draining=lambda: self.draining, **own)
            yield from flight.rows()

    def drain(self) -> None:
        """Start no further point; `run` ends with those that are being computed."""
        self.draining = True

    def _await(self) -> None:
        """Return when the scheduler answers."""
        import dask

        parsed = _parse(self.scheduler)
        if parsed is None:
            raise self._unfit()
        if parsed[0] == "tls" and not dask.config.get("distributed.comm.tls.ca-file"):
            raise self._unfit("Dask's configuration names no distributed.comm.tls.ca-file")
        try:
            _await_scheduler(*parsed)
        except OSError as error:
            raise self._unfit(str(error)) from error

    def _unfit(self, why: str = "") -> UsageError:
        asked = "scheduler must be the address of a running Dask scheduler, tcp://host:port"
        given = shorten(self.scheduler, 80) or "nothing"
        return UsageError(f"{asked}, got {given}" + (f" ({shorten(why, 160)})" if why else ""))

    def _start(self, stack: ExitStack):
        """Return a new cluster in processes of this machine."""
        import dask

        scratch = tempfile.TemporaryDirectory(prefix="sandbox-dask-", ignore_cleanup_errors=True)
        folder = stack.enter_context(scratch)
        stack.enter_context(surroundings.one_thread(dask.config.get("distributed.nanny.pre-spawn-environ")))
        stack.enter_context(surroundings.main_left_alone())
        settings = {
            "distributed.scheduler.allowed-failures": 0,  # a dead worker's task comes back at once, to be tried alone
            "distributed.scheduler.worker-ttl": None,  # a long kernel is no sign of death
            "distributed.deploy.lost-worker-timeout": "1000h",  # else a worker that dies twice may not be started again
            "distributed.comm.timeouts.connect": f"{CONNECT}s",  # results that died with a worker are made again
        }
        stack.enter_context(dask.config.set(settings))
        with surroundings.unheard(), warnings.catch_warnings():
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
                    preload=["sandbox.cluster.worker"],
                    silence_logs=logging.CRITICAL,
                )
            except (OSError, RuntimeError) as error:
                raise UsageError(f"Dask's workers could not be started here ({shorten(str(error), 160)})") from error
            stack.callback(surroundings.stop, cluster)
        plots = "" if importlib.util.find_spec("bokeh") else " (its plots need the package bokeh)"
        self.say(f"dashboard {cluster.dashboard_link}{plots}")
        return cluster

    def _client(self, cluster):
        """Return a client of a cluster, or of the scheduler at an address."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions that differ: what matters is in the hash
            try:
                return self._dask.Client(cluster, timeout=CONNECT, set_as_default=False)
            except (OSError, ValueError) as error:
                raise self._unfit(str(error)) from error


def _parse(address: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of ``tcp://host:port``, ``tls://host:port`` or ``host:port``; None for others."""
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        known = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port
    except ValueError:  # a port that is no number, or no port's number
        return None
    return (parts.scheme, parts.hostname, parts.port) if known else None


def _await_scheduler(scheme: str, host: str, port: int) -> None:
    """Return when something listens there, which may be about to start, and says what a scheduler would.

    Dask's client would wait without end for a server which is none, and a failed one complains when it is forgotten.

    Raises
    ------
    OSError
        When nothing does after `CONNECT` seconds.
    """
    deadline = time.monotonic() + CONNECT
    while True:
        try:
            with socket.create_connection((host, port), timeout=CONNECT) as found:
                if scheme == "tcp" and not found.recv(1):  # Dask speaks first; with TLS the client does
                    raise OSError("it has closed the connection")
                return
        except TimeoutError as error:
            raise OSError(f"no answer within {CONNECT} s") from error
        except socket.gaierror:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)

"""What is done to this process and its children while a cluster runs, and undone: signals, logs, environment."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec

from sandbox.provenance import THREADS


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Put Ctrl-C and SIGTERM off for a while: an exception in the middle of Dask's own code is lost, or breaks it."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    here = threading.current_thread() is threading.main_thread()  # where handlers run, and may be changed
    handlers = {number: signal.getsignal(number) for number in numbers if here and callable(signal.getsignal(number))}
    caught: list[int] = []
    for number in handlers:
        signal.signal(number, lambda number, frame: caught.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(caught):
            signal.raise_signal(number)


@contextmanager
def unheard() -> Iterator[None]:
    """Keep Ctrl-C from threads that are started meanwhile, and from processes which these start, now or later."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # which, started by one of those threads, would let it hear again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def close(client) -> None:
    """End a client; what it had on the cluster is forgotten there."""
    with no_interrupt(), suppress(OSError):
        client.close(timeout=2)


def stop(cluster) -> None:
    """End a local cluster and its processes, also those which are in the middle of a point."""

    async def end_workers():
        await asyncio.gather(*(nanny.close(timeout=0.5) for nanny in cluster.workers.values()), return_exceptions=True)

    with no_interrupt(), suppress(OSError):
        cluster.sync(end_workers)
        cluster.close(timeout=5)


class Reviver:
    """Starts the workers of a local cluster again that Dask's nannies gave up, as they do when one dies too early."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.dead: set = set()

    def __call__(self) -> None:
        """Look after the workers; one that was dead the last time as well is replaced."""
        workers = self.cluster.workers
        before, self.dead = self.dead, {name for name, nanny in workers.items() if not nanny.is_alive()}
        for name in self.dead & before:
            workers[name].process = None  # whose state is what went wrong
            self.cluster.loop.add_callback(workers[name].instantiate)
        self.dead -= before


def silence() -> dict[logging.Logger, int]:
    """Let Dask's loggers say nothing; return the levels they had."""
    loud = ("distributed", "tornado", "asyncio", "bokeh")
    names = {*loud, *(name for name in logging.root.manager.loggerDict if name.split(".")[0] in loud)}
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    for logger in levels:
        logger.setLevel(logging.CRITICAL + 1)
    return levels


@contextmanager
def quiet() -> Iterator[None]:
    """For a while, keep Dask's log of lost connections and late heartbeats off standard error: we say what matters."""
    levels = silence()
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


@contextmanager
def one_thread(also: Iterable[str]) -> Iterator[None]:
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
def main_left_alone() -> Iterator[None]:
    """Keep spawned processes from importing the caller's script: without a guard it would start this sweep again.

    Python leaves a main module alone whose name says that it is a package's ``__main__``.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    main.__spec__ = ModuleSpec("sandbox.__main__", None)
    try:
        yield
    finally:
        main.__spec__ = spec

"""Threads within one run: who does which sequences, or which columns of a gradient.

Kernels let go of Python's lock, and every number they make is one chain of operations in a written order which a single
thread does from start to end. What is shared out is whole chains: the bits are those of one thread, however many there
are. A thread takes its sequences through all steps; it waits for the others once in a pass, never at a step.

In a sweep every run has one thread, and the points are what runs at once. `SANDBOX_THREADS` overrides all of that.
"""

import contextlib
import functools
import os
import queue
import threading

from sandbox import provenance
from sandbox.errors import UsageError

__all__ = ["count", "parts", "share", "singly", "use"]

VARIABLE = "SANDBOX_THREADS"
WORTH = 2_000_000  # multiply-adds that a further thread is woken for: 20 to 60 us
_chosen: int | None = None


def count() -> int:
    """How many threads one run may have: as `use` said, else `SANDBOX_THREADS`, else one for each core.

    Raises
    ------
    UsageError
        The variable is no whole number from 1.
    """
    return _chosen or _usual(os.environ.get(VARIABLE))


@functools.cache
def _usual(text) -> int:
    if not text:
        return provenance.cores()
    if not (text.isascii() and text.isdigit() and int(text)):
        raise UsageError(f"{VARIABLE} must be a whole number from 1, got {text}")
    return int(text)


def use(threads: int | None) -> None:
    """Let one run have so many threads from now on; None for what `SANDBOX_THREADS` or the machine says."""
    global _chosen
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise UsageError(f"threads must be a whole number from 1, got {threads}")
    _chosen = threads


@contextlib.contextmanager
def singly(when: bool = True):
    """In a sweep: one thread for a run, unless `SANDBOX_THREADS` says more."""
    global _chosen
    before = _chosen
    if when and not os.environ.get(VARIABLE):
        _chosen = 1
    count()  # refuses what the variable must not be before anything runs
    try:
        yield
    finally:
        _chosen = before


def parts(units: int, work: float) -> int:
    """How many threads `units` pieces of work are worth, `work` multiply-adds in all."""
    worth = min(units, int(work // WORTH))
    return 1 if worth < 2 else min(count(), worth)


def share(items: int, unit: int, work: float, do) -> None:
    """Call ``do(first, last)`` for ranges that make up 0 to items, at once on as many threads as pay.

    Parameters
    ----------
    items, unit : int
        Ranges begin at multiples of `unit`.
    work : float
        Multiply-adds of it all.
    do : callable
        Called in this thread for the first range.
    """
    if work < 2 * WORTH or (shares := parts(-(-items // unit), work)) == 1:
        do(0, items)
        return
    units, sent = -(-items // unit), []
    edges = [min(units * n // shares * unit, items) for n in range(shares + 1)]
    try:
        for n, tasks in enumerate(_threads(shares - 1), 1):
            task = _Task(do, *edges[n : n + 2])
            tasks.put(task)
            sent.append(task)
        do(*edges[:2])
    finally:
        for task in sent:
            task.wait()
    for task in sent:
        if task.error is not None:
            raise task.error


class _Task:
    """A range that another thread does. (An executor's futures take 27 us a round, a lock and a queue 7.)"""

    def __init__(self, do, first, last):
        self.do, self.range, self.error = do, (first, last), None
        self.ended, self.end = False, threading.Lock()
        self.end.acquire()

    def run(self):
        try:
            self.do(*self.range)
        except BaseException as error:
            self.error = error
        finally:
            self.ended = True
            self.end.release()

    def wait(self):
        """Until it has ended; an interrupt that comes meanwhile is raised then.

        The range is part of arrays which the caller may go on to use.
        """
        try:
            while not self.ended:
                self.end.acquire()
        except BaseException:
            self.wait()
            raise


_queues: list[queue.SimpleQueue] = []
_growing = threading.Lock()


def _threads(number):
    """The queues of so many further threads, which are started when they are first asked for."""
    with _growing:
        while len(_queues) < number:
            _queues.append(queue.SimpleQueue())
            threading.Thread(target=_serve, args=_queues[-1:], name="sandbox", daemon=True).start()
    return _queues[:number]


def _serve(tasks):
    while True:
        tasks.get().run()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_queues.clear)  # a child has none of its parent's threads

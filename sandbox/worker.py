"""A worker process: runs the points its parent sends, one after another. ``python -m sandbox.worker``, started by
`sandbox.workers` only.

Parent and worker talk in frames, a pickle behind its length, over the worker's standard input and output. Whatever a
point itself prints goes to standard error. When the input ends, its parent is gone, however that died, and the worker
ends at once, in the middle of a point too. It ignores Ctrl-C, which a terminal sends to every process of the group:
the parent decides what becomes of it.

From the parent: first a dict (see `_greet`), then ``(values, seed)`` for each point, and None for "start no further
point". From the worker: ``ready``; ``started``, ``note`` and ``row`` as points run; ``refused`` when it cannot go on.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import struct
import sys
import threading
import time
from collections.abc import Mapping
from typing import BinaryIO

from sandbox import threads
from sandbox.errors import UsageError, shorten
from sandbox.report import progress
from sandbox.sweep import Job, Point, execute

LENGTH = struct.Struct("<Q")
HELD = {signal.SIGINT, signal.SIGTERM}  # the parent starts a worker with these blocked: none comes too early
NOTE_EVERY = 0.2
COUNTERS = ("compiled", "loaded", "seconds")


def write_frame(file: BinaryIO, content: object) -> None:
    """Write one frame to a buffered file; the caller flushes.

    A pickle keeps the bits of every float, and takes lists of 15 000 as fast as arrays made of them (0.2 ms).
    """
    data = pickle.dumps(content, protocol=5)
    file.write(LENGTH.pack(len(data)))
    file.write(data)


def read_frame(file: BinaryIO) -> object:
    """Return the next frame of a buffered file.

    Raises
    ------
    EOFError
        At the end of the file, also in the middle of a frame.
    """
    head = file.read(LENGTH.size)
    data = file.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""
    if not data or len(data) < LENGTH.unpack(head)[0]:
        raise EOFError("the other process has ended")
    return pickle.loads(data)


class _Parent:
    """The other end: what it asks for, and what it is told."""

    def __init__(self):
        self._in, self._out = (os.fdopen(os.dup(fd), mode) for fd, mode in ((0, "rb"), (1, "wb")))
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0), os.close(nothing), os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._lock, self._noted = threading.Lock(), 0.0
        self._asked: queue.SimpleQueue = queue.SimpleQueue()
        self._drained = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                request = read_frame(self._in)
                if request is None:
                    self._drained.set()
                self._asked.put(request)
        finally:
            os._exit(1)

    def ask(self) -> object:
        """Return the next request, None when there is to be no further point."""
        try:
            request = self._asked.get_nowait()  # what was said last leaves together with the next "started"
        except queue.Empty:
            self.flush()
            request = self._asked.get()
        return None if self._drained.is_set() else request

    def tell(self, *content: object, flush: bool = True) -> None:
        """Send one frame."""
        try:
            with self._lock:
                write_frame(self._out, content)
        except OSError:  # nobody there
            os._exit(1)
        if flush:
            self.flush()

    def flush(self) -> None:
        """Send what was written but not yet sent."""
        try:
            with self._lock:
                self._out.flush()
        except OSError:
            os._exit(1)

    def note(self, *texts: str) -> None:
        """Send what the running point says of itself, a few times a second."""
        if time.monotonic() >= self._noted + NOTE_EVERY:
            self._noted = time.monotonic()
            self.tell("note", texts)


class _Kernels:
    """Counts of kernels since the last look, None where nothing changed."""

    def __init__(self):
        self.last = (0, 0, 0.0)

    def news(self) -> tuple | None:
        jit = sys.modules.get("sandbox.jit")
        if jit is None:
            return None
        stats, last = jit.stats(), self.last
        self.last = tuple(stats[name] for name in COUNTERS)
        return None if self.last == last else tuple(now - then for now, then in zip(self.last, last, strict=True))


def _greet(greeting: Mapping, parent: _Parent):
    """Become like the parent; return the experiment and its settings."""
    sys.path[:] = greeting["path"]
    if greeting["noted"]:
        progress.watch(parent.note)
    experiment = Job(*greeting["job"]).load()
    return experiment, pickle.loads(greeting["settings"])  # may hold classes of the experiment's file


def main() -> None:
    """Run points until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
    parent, kernels, name = _Parent(), _Kernels(), ""
    try:
        greeting = parent.ask()
        name = greeting["job"][0]
        experiment, settings = _greet(greeting, parent)
        parent.tell("ready", kernels.news())
        while (request := parent.ask()) is not None:
            parent.tell("started")
            with threads.singly():
                row = execute(experiment, Point(*request), settings)
            content = row.metrics, row.curves, row.status, row.error, row.seconds, row.files
            parent.tell("row", content, kernels.news(), flush=False)
    except UsageError as error:
        parent.tell("refused", True, str(error))
    except BaseException as error:
        parent.tell("refused", False, f"experiment '{name}' raised {type(error).__name__}: {shorten(str(error), 300)}")
    finally:
        parent.flush()
        os._exit(0)


if __name__ == "__main__":
    main()

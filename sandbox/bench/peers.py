"""Processes that do the same work, each with one library and a number of threads: started once, then told what to time.

A library that is not installed has no process; its figures are missing. Before anything is timed, all of them compute
the same gradients from the same numbers, and have to agree.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time

from sandbox import provenance
from sandbox.bench.data import GATES
from sandbox.bench.serve import DISTURBED
from sandbox.errors import UsageError, unknown

__all__ = ["LIBRARIES", "Peer", "Peers", "competitors", "environment", "installed", "parse_against", "whole_process"]

LIBRARIES = {"torch": "PyTorch", "jax": "JAX"}
CHECKED = [{"cell": cell, "D": 3, "H": 8, "B": 4, "T": 11} for cell in GATES]
TOLERANCE = 2e-5  # of the largest element: float32 sums of a few hundred terms in another order


def parse_against(text: str | None) -> list[str]:
    """Libraries from a list with commas; all of them by default, none for `none`.

    Raises
    ------
    UsageError
        A name that is not known.
    """
    names = list(LIBRARIES) if text is None else [name.strip() for name in text.split(",")]
    if names == ["none"]:
        return []
    for name in names:
        if name not in LIBRARIES:
            raise unknown("library", name, (*LIBRARIES, "none"))
    return list(dict.fromkeys(names))


def environment(library: str, threads: int) -> dict[str, str]:
    """Variables of a process: as many threads as asked for; JAX takes what it likes, and keeps what it compiled."""
    found = os.environ | {"PYTHONPATH": provenance.python_path()}
    if library == "jax":
        return found | {"JAX_PLATFORMS": "cpu"}
    return found | dict.fromkeys(provenance.THREADS, str(threads))


def installed() -> dict[str, str]:
    """Versions of the libraries that are installed."""
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def whole_process(command, variables, folder=None) -> tuple[str, str, float, float]:
    """Run a process to its end.

    Returns
    -------
    output, complaints : str
    seconds, cpu : float
        Wall time, and the time of its threads on a core, which a busy machine does not stretch.

    Raises
    ------
    RuntimeError
        It failed.
    """
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder)
    seconds, after = time.perf_counter() - started, os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[1:]))} failed: {done.stderr.strip()[-500:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout, done.stderr, seconds, cpu


def competitors(against) -> dict[str, tuple[str, int]]:
    """Who is measured, by name: which library, with how many threads; JAX takes what it likes."""
    several = (1, 2) if (os.cpu_count() or 1) > 1 else (1,)
    found = {name: ("ours", n) for name, n in zip(("ours", "ours2"), several, strict=False)}
    for library in against:
        found |= {f"torch{n}": (library, n) for n in several} if library == "torch" else {library: (library, 1)}
    return found


class Peer:
    """A process with one library.

    Attributes
    ----------
    name : str
        `ours`, `ours2` (with two threads), `torch1`, `torch2` or `jax`.
    versions : dict
    missing : str or None
        Why there is no process.
    waits : list of float
        Of every measurement: the share of its time for which a thread was ready and had no core.
    """

    def __init__(self, library: str, threads: int = 1, name: str | None = None):
        self.library, self.threads, self.name = library, threads, name or library
        command = [sys.executable, "-m", "sandbox.bench.serve", library, str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(library, threads)
        )
        self.versions: dict = {}
        self.waits: list[float] = []
        self.missing: str | None = None

    def greet(self) -> None:
        """Wait until the library is there, or is known not to be."""
        self.versions = self._read()
        self.missing = self.versions.get("missing")
        if self.missing is not None:
            self.close()

    def ask(self, **request):
        """Send a request and return its answer.

        Raises
        ------
        RuntimeError
            The process failed.
        """
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has died, which reading tells as well
        return self._read()

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.name} ended with code {self.process.wait()}")
        found = json.loads(line)
        if "error" in found:
            raise RuntimeError(f"{self.name} failed: {found['error']}")
        return found

    def measure(self, slot: str, seconds: float) -> float:
        """Seconds per call of what was prepared as `slot`; how long it waited for a core is added to `waits`."""
        found = self.ask(what="measure", slot=slot, seconds=seconds)
        self.waits.append(found["waited"])
        return found["seconds"]

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):  # it has died with a request unread, which closing would send again
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Peers:
    """This project's processes and those of the libraries it is measured against; a context manager.

    Attributes
    ----------
    found : dict of Peer
        Those that are there, `ours` first.
    names : list of str
        All that were asked for.
    """

    def __init__(self, against=()):
        self._plan, self.found = competitors(against), {}
        self.names = list(self._plan)

    def __enter__(self) -> Peers:
        started = []
        try:
            for name, (library, threads) in self._plan.items():
                started.append(Peer(library, threads, name))
            for peer in started:
                peer.greet()
        except BaseException:
            for peer in started:
                peer.process.kill()
                peer.close()
            raise
        self.found = {peer.name: peer for peer in started if peer.missing is None}
        if "ours" not in self.found:
            raise RuntimeError(f"this project's own process failed: {started[0].missing}")
        return self

    def __exit__(self, *error) -> None:
        for peer in self.found.values():
            if any(error):
                peer.process.kill()
            peer.close()

    @property
    def ours(self) -> Peer:
        """This project's process with one thread."""
        if not self.found["ours"].versions.get("compiled", True):
            raise UsageError("kernels must be compiled to be timed, got NUMBA_DISABLE_JIT=1 (unset it)")
        return self.found["ours"]

    def versions(self) -> dict[str, str]:
        """Versions of everything at work."""
        return {name: value for peer in self.found.values() for name, value in peer.versions.items()
                if name != "compiled"}  # fmt: skip

    def waited(self) -> str:
        """Who waited for a core in half of the measurements since the last call, and for which share of the time."""
        shares = {peer.name: statistics.median(peer.waits) for peer in self.found.values() if peer.waits}
        for peer in self.found.values():
            peer.waits.clear()
        return " ".join(f"{name} {share:.0%}" for name, share in shares.items() if share > DISTURBED)

    def verify(self) -> str:
        """Let all compute the same gradients, and say by how much they differ at most; "" if there is one only.

        Raises
        ------
        RuntimeError
            By more than rounding.
        """
        largest = 0.0
        if len(self.found) < 2:
            return ""
        for case in CHECKED:
            expected = self.ours.ask(what="gradients", case=case)
            for peer in list(self.found.values())[1:]:
                found = peer.ask(what="gradients", case=case)
                for name, values in expected.items():
                    apart = _apart(values, found[name])
                    if not apart < TOLERANCE:
                        raise RuntimeError(f"{peer.name} does not do the same work: {name} of {case['cell']} is off "
                                           f"by {apart:.2g} of its largest element")  # fmt: skip
                    largest = max(largest, apart)
        return f"the same loss and gradients of {', '.join(c['cell'] for c in CHECKED)} to {largest:.1g}"


def _apart(expected, found) -> float:
    """The largest difference, as a share of the largest element; infinite for another shape."""
    import numpy as np

    expected, found = np.asarray(expected), np.asarray(found)
    if expected.shape != found.shape:
        return float("inf")
    return float(np.abs(expected - found).max() / np.abs(expected).max())

"""How long it takes to begin: help, a first kernel with everything compiled, and all kernels from an empty cache.

Every figure is the wall time of a whole process. Those from an empty cache are measured once, the others several times,
and their median counts.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from sandbox import provenance
from sandbox.bench.peers import environment, whole_process
from sandbox.bench.table import Report

__all__ = ["start"]

COLUMNS = ("bench", "measure", "seconds", "cpu_s", "goal", "met", "detail")
HEADINGS = [("measure", -44), ("seconds", 8), ("cpu", 6), ("goal", 7), ("met", -4), ("detail", -1)]
FIRST_KERNEL = """
import numpy
from sandbox.layers import Layer
layer = Layer("rnn", 2, 4, rng=None, init="zeros", input_init="zeros", dtype="float32")
layer.forward(numpy.ones((5, 3, 2), numpy.float32))
"""
STATS = "import atexit, sandbox.jit as j, json, sys; from sandbox.cli import cli; sys.argv[0] = 'sandbox'; \
atexit.register(lambda: print('STATS', json.dumps(j.stats()), file=sys.stderr)); cli()"


def start(csv=None, quick: bool = False) -> list[dict]:
    """Measure, and print a row for each figure as it comes.

    Parameters
    ----------
    csv : path, optional
        File for the rows, with the machine's description.
    quick : bool
        Help and the first kernel, twice each; nothing from an empty cache.
    """
    rows = []
    with Report(csv, COLUMNS) as report, tempfile.TemporaryDirectory() as scratch:
        report.describe(provenance.versions())
        report.begin("seconds of whole processes", HEADINGS)
        for measure, found, cpu, goal, detail in _measured(Path(scratch), quick):
            met = "yes" if found <= goal else "?" if cpu <= goal else "NO"
            row = {"bench": "start", "measure": measure, "seconds": found, "cpu_s": cpu, "goal": goal, "met": met,
                   "detail": detail}  # fmt: skip
            rows.append(row)
            report.row([measure, f"{found:.3g}", f"{cpu:.3g}", f"<= {goal:g}", met, detail], row, met == "NO")
        report.line("cpu: seconds on a core; ? where these would meet the goal and the machine was busy", "dim")
    return rows


def _measured(scratch: Path, quick: bool):
    times = 2 if quick else 7
    for title, goal, *words in (("--help", 0.3, "-m", "sandbox", "--help"),
                                ("first kernel, compiled before", 1.0, "-c", FIRST_KERNEL)):  # fmt: skip
        _seconds(scratch, *words)
        found, cpu, _ = zip(*[_seconds(scratch, *words) for _ in range(times)], strict=True)
        yield title, statistics.median(found), statistics.median(cpu), goal, f"median of {times}, best {min(found):.3g}"
    if quick:
        return
    for title, goal, *words in (
        ("first default vanishing, empty cache", 25, "run", "vanishing", "--no-plot", "--out", str(scratch / "out")),
        ("sandbox warm: every cell, both types", 120, "warm"),
    ):
        cache = scratch / words[0]
        found, cpu, said = _seconds(scratch, "-c", STATS, *words, cache=cache)
        counts = json.loads(said.rpartition("STATS ")[2])
        detail = f"{counts['compiled']} kernels, {counts['seconds']:.1f} s of it compiling"
        yield title, found, cpu, goal, detail


def _seconds(scratch: Path, *words: str, cache: Path | None = None) -> tuple[float, float, str]:
    """Wall time of a process, its time on a core, and what it said on standard error."""
    variables = environment("ours", 1) | ({"SANDBOX_CACHE_DIR": os.fspath(cache)} if cache else {})
    _, said, seconds, cpu = whole_process([sys.executable, *words], variables, scratch)
    return seconds, cpu, said

"""What a sweep costs beside its points: overhead per point, two workers against one, listing and comparing results.

Five measurements, each against its goal:

* overhead: 2000 points that do next to nothing, through `sandbox.study` with every file written; wall time less the
  points' own seconds, per point;
* jobs: the default ``length`` sweep as a whole process with ``--jobs 1`` and ``--jobs 2`` in turns, the medians' ratio;
* trainings: 40 small trainings of an LSTM with ``--jobs 2``, against the same 40 in two PyTorch processes of one thread
  each: the same start, data, evaluations and stopping rule, whole processes in turns (no row without PyTorch);
* list: ``sandbox results ls`` over 2000 runs, a whole process;
* compare: ``sandbox compare`` of two tables of half a million rows each, a whole process.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

from sandbox import provenance
from sandbox.bench.job import PLAN, write_start
from sandbox.bench.peers import LIBRARIES, environment, installed, parse_against
from sandbox.bench.table import Report
from sandbox.bench.turns import ratio
from sandbox.errors import UsageError
from sandbox.experiment import from_source
from sandbox.results import RunWriter
from sandbox.study import Spread, carry_out, plan

__all__ = ["sweep"]

TINY = b'''"""A point that does next to nothing."""
from sandbox.experiment import experiment

@experiment(scale=[1.0, 2.0, 3.0, 4.0], seeds=500)
def tiny(scale, seed):
    """A point that does next to nothing."""
    return {"product": scale * seed, "third": seed / 3}, {"line": {"x": [0, 1, 2], "y": [0.0, scale, 2 * scale]}}
'''
COLUMNS = ("bench", "measure", "figure", "unit", "goal", "met", "detail")
HEADINGS = [("measure", -24), ("figure", 8), ("unit", -13), ("goal", 6), ("met", -3), ("detail", -1)]


def sweep(csv=None, against: str | None = None, quick: bool = False) -> list[dict]:
    """Measure, print a table of figures and goals as they come, and return its rows.

    Parameters
    ----------
    csv : path, optional
        File for the rows, with the machine's description in every one.
    against : str, optional
        Libraries that do the same trainings in two processes, with commas; PyTorch by default, `none` for none.
    quick : bool
        Smaller sizes: whether everything works, not what it costs.

    Raises
    ------
    UsageError
        When the CSV cannot be written.
    """
    libraries = ["torch"] if against is None else parse_against(against)
    rows = []
    with Report(csv, COLUMNS) as report, tempfile.TemporaryDirectory() as scratch:
        report.describe(provenance.versions() | installed())
        report.begin("sweeps: what they cost beside their points", HEADINGS)
        for row in _measured(Path(scratch), libraries, quick):
            rows.append(row)
            figure = "-" if row["figure"] is None else f"{row['figure']:.3g}"
            report.row([row["measure"], figure, *(row[name] for name in ("unit", "goal", "met", "detail"))], row,
                       row["met"] == "NO")  # fmt: skip
    return rows


def _measured(scratch: Path, libraries: list[str], quick: bool) -> Iterator[dict]:
    for jobs in (1, 2):
        yield _overhead(scratch, jobs, quick)
    yield _two_jobs(scratch, quick)
    for library in libraries:
        yield _against(library, scratch, quick)
    yield _listing(scratch, 20 if quick else 2000)
    yield _comparing(scratch, 2000 if quick else 500_000)


def _row(measure: str, figure: float | None, unit: str, goal: str, detail: str) -> dict:
    """Return a row; a goal is a bound such as ``<= 2`` or ``>= 1.8``, figures that are missing are None."""
    sense, bound = goal.split()
    is_met = figure is not None and (figure <= float(bound) if sense == "<=" else figure >= float(bound))
    met = "-" if figure is None else "yes" if is_met else "NO"
    return dict(zip(COLUMNS, ("sweep", measure, figure, unit, goal, met, detail), strict=True))


def _overhead(scratch: Path, jobs: int, quick: bool) -> dict:
    experiment, found = from_source("tiny", "tiny.py", TINY), []
    for turn in range(2 if quick else 5):
        planned = plan(experiment, seeds=range(5) if quick else None, root=scratch / f"tiny{jobs}{turn}")
        spent: list[float] = []
        started = time.perf_counter()
        carry_out(planned, Spread(jobs=jobs), watch=lambda row, spent=spent: spent.append(row.seconds))
        wall = time.perf_counter() - started
        found.append(1000 * (wall - sum(spent) / jobs) / len(planned.points))
    detail = f"{len(planned.points)} points, median of {len(found)}, starting workers included"
    return _row(f"overhead, jobs {jobs}", statistics.median(found), "ms a point", "<= 2", detail)


def _two_jobs(scratch: Path, quick: bool) -> dict:
    flags = ["--quick"] if quick else []
    seconds: dict[int, list[float]] = {1: [], 2: []}
    _command("run", "length", *flags, "--force", "--jobs", "1", "--no-plot", "--quick", "--out", scratch / "warm")
    for _ in range(1 if quick else 2):
        for jobs, found in seconds.items():
            words = ("run", "length", *flags, "--force", "--jobs", jobs, "--no-plot", "--out", scratch / "length")
            found.append(_command(*words))
    one, two = (statistics.median(found) for found in seconds.values())
    return _row("length, jobs 2 to 1", one / two, "times as fast", ">= 1.8", f"{one:.1f} s and {two:.1f} s")


def _against(library: str, scratch: Path, quick: bool) -> dict:
    """The same trainings by our workers and in two processes of another library; no figure without it."""
    measure, unit = f"{LIBRARIES[library]} to ours, jobs 2", "times as fast"
    if library not in installed():
        return _row(measure, None, unit, ">= 4", f"{LIBRARIES[library]} is not installed")
    T, updates, seeds = (10, 3, 2) if quick else (50, 300, 40)
    recipe = PLAN["recipe"] | {"updates": updates}
    plans = []
    for seed in range(seeds):
        start = scratch / f"start{seed}.npz"
        write_start(start, PLAN, seed)
        plans.append(PLAN | {"T": T, "recipe": recipe, "seed": seed, "start": str(start)})
    files = scratch / "half0.json", scratch / "half1.json"
    for number, file in enumerate(files):
        file.write_text(json.dumps(plans[number::2]))
    words = ("run", "length", "--cell", "lstm", "--seq-len", T, "--updates", updates, "--seeds", seeds, "--force",
             "--jobs", 2, "--no-plot", "--out", scratch / "trainings")  # fmt: skip
    ours, theirs = [], []
    for turn in range(2 if quick else 7):
        for found, run in ((ours, lambda: _command(*words)), (theirs, lambda: _by(library, files)))[
            :: 1 - 2 * (turn % 2)
        ]:
            found.append(run())
    found = ratio(theirs, ours)
    detail = f"{statistics.median(ours):.3g} s and {statistics.median(theirs):.3g} s, {found}, {seeds} trainings"
    return _row(measure, found.median, unit, ">= 4", detail)


def _by(library: str, files) -> float:
    """Wall time of two processes, each with its half of the trainings."""
    command = [sys.executable, "-m", "sandbox.bench.serve", library, "1", "--job"]
    started = time.perf_counter()
    running = [subprocess.Popen([*command, str(file)], stdout=subprocess.DEVNULL, env=environment(library, 1))
               for file in files]  # fmt: skip
    codes = [process.wait() for process in running]
    if any(codes):
        raise RuntimeError(f"{LIBRARIES[library]}'s trainings ended with codes {codes}")
    return time.perf_counter() - started


def _listing(scratch: Path, count: int) -> dict:
    folder = scratch / "many"
    with redirect_stderr(None):
        path = carry_out(plan(from_source("tiny", "tiny.py", TINY), seeds=[0], root=folder))
    for number in range(1, count):
        stamp = f"2026-01-{1 + number // 1440:02d}T{number // 60 % 24:02d}-{number % 60:02d}-00-aaa"
        shutil.copytree(path, path.parent / stamp)
    seconds = statistics.median(_command("results", "ls", "--out", folder) for _ in range(3))
    return _row("results ls", seconds, "s", "<= 1", f"{count} runs, a whole process")


def _comparing(scratch: Path, rows: int) -> dict:
    paths = [_large(scratch / "large", rows, side) for side in range(2)]
    seconds = statistics.median(_command("compare", *paths) for _ in range(3))
    return _row("compare", seconds, "s", "<= 5", f"two tables of {rows} rows, a whole process")


def _large(root: Path, rows: int, side: int) -> Path:
    """Write a run with a table of so many rows: 2 cells x 5 sizes x 10 lengths, all other rows seeds of these."""
    cells, sizes, lengths = ("gru", "lstm"), (16, 32, 64, 128, 256), tuple(range(10, 101, 10))
    seeds = range(rows // 100)
    grid = {"cell": list(cells), "hidden": list(sizes), "seq_len": list(lengths)}
    writer = RunWriter(root, "large", grid, list(seeds))
    path = writer.path
    writer.finish("finished")
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(info | {"rows": rows}))
    with (path / "table.csv").open("w") as file:
        file.write("cell,hidden,seq_len,seed,loss,half_life,updates,status,error\n")
        for cell in cells:
            for hidden in sizes:
                for length in lengths:
                    file.writelines(
                        f"{cell},{hidden},{length},{seed},{(seed * 7919 + side * 31) % 1000 / 997!r},"
                        f"{length / (1 + seed % 7 + side)!r},{seed % 50},ok,\n"
                        for seed in seeds
                    )
    return path


def _command(*words: object) -> float:
    """Return the wall time of a whole process."""
    environment = os.environ | {"PYTHONPATH": provenance.python_path()}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *map(str, words)], capture_output=True, text=True, env=environment
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise UsageError(f"sandbox {words[0]} must run to be measured, got: {done.stderr.strip()[-300:]}")
    return seconds

"""How time and memory grow: against steps and sequences, with checkpoints, and in float64.

* exponent: the slope of ln time against ln size, by least squares, of a forward and backward pass over two decades;
* memory: the most that one gradient of a model holds at a time (tracemalloc), against states and gates alone;
* checkpoints: a long sequence's gradient with the states of every so many steps kept, against all of them kept;
* float64: the rate, against that of float32.

Times are this project's on one thread, of a process of its own, measured in turns.
"""

from __future__ import annotations

import math
import statistics

from sandbox.bench.data import GATES
from sandbox.bench.peers import Peers
from sandbox.bench.table import Report
from sandbox.bench.turns import Ratio, of_median, ratio, rounds

__all__ = ["scaling", "slope", "timed"]

STEPS, SEQUENCES = (100, 316, 1000, 3162, 10_000), (8, 25, 80, 253, 800)
COLUMNS = ("bench", "measure", "cell", "figure", "low", "high", "goal", "met", "detail")
HEADINGS = [("measure", -22), ("cell", -4), ("figure", -19), ("goal", -12), ("met", -3), ("detail", -1)]


def scaling(csv=None, quick: bool = False) -> list[dict]:
    """Measure, and print a row for each figure as it comes.

    Parameters
    ----------
    csv : path, optional
        File for the rows, with the machine's description.
    quick : bool
        One cell, tiny sizes.
    """
    rows = []
    with Report(csv, COLUMNS) as report, Peers() as peers:
        report.describe(peers.versions())
        report.begin("how time and memory grow; ours on one thread", HEADINGS)
        for cell in ("rnn",) if quick else GATES:
            for row in _measured(cell, peers.ours, quick):
                rows.append(row)
                figure = Ratio(row["figure"], row["low"], row["high"])
                report.row([row["measure"], cell, str(figure), row["goal"], row["met"], row["detail"]], row,
                           row["met"] == "NO")  # fmt: skip
        report.line("medians over rounds taken in turn [95 %]; ? where the interval contains a bound", "dim")
    return rows


def _measured(cell: str, ours, quick: bool):
    count, seconds = (2, 0.002) if quick else (9, 0.1)
    base = {"cell": cell, "D": 2, "H": 4 if quick else 64, "B": 2 if quick else 16, "T": 100}
    shrink = 100 if quick else 1
    for name, letter, sizes in (("steps", "T", STEPS), ("sequences", "B", SEQUENCES)):
        cases = {size: base | {letter: max(1, size // shrink)} for size in sizes}
        times = timed(ours, "step", cases, count, seconds)
        found = of_median([slope([case[letter] for case in cases.values()], turn) for turn in zip(*times.values())])
        ends = f"{letter} {cases[sizes[0]][letter]} to {cases[sizes[-1]][letter]}, " + ", ".join(
            f"{1000 * statistics.median(values):.3g}" for values in times.values()
        )
        yield _row(f"exponent of {name}", cell, found, (0.97, 1.05), ends + " ms")
    held = ours.ask(what="memory", case=base | {"T": max(2, 1000 // shrink)})
    found = Ratio(held["peak"] / held["arrays"])
    detail = f"{held['peak'] / 1e6:.3g} MB against {held['arrays'] / 1e6:.3g} MB of states and gates"
    yield _row("memory of a gradient", cell, found, (None, 1.25), detail)
    long = base | {"T": 10_000 // shrink, "B": max(1, base["B"] // 4)}
    every = max(1, math.isqrt(long["T"]))
    times = timed(ours, "segments", {"whole": long | {"checkpoint_every": None},
                                      "segments": long | {"checkpoint_every": every}}, count, seconds)  # fmt: skip
    yield _row("time with checkpoints", cell, ratio(times["segments"], times["whole"]), (None, 1.35),
               f"T {long['T']}, B {long['B']}, states of every {every} steps")  # fmt: skip
    for H, B in ((4, 2),) if quick else ((64, 32), (128, 32), (256, 64)):
        case = base | {"H": H, "B": B}
        times = timed(ours, "step", {kind: case | {"dtype": kind} for kind in ("float32", "float64")}, count, seconds)
        yield _row("rate of float64", cell, ratio(times["float32"], times["float64"]), (0.45, None), f"H {H}, B {B}")


def timed(ours, kind: str, cases, count: int, seconds: float) -> dict:
    """Seconds by name of the case, `count` rounds."""
    ours.ask(what="drop")
    for name, case in cases.items():
        ours.ask(what="prepare", slot=str(name), kind=kind, case=case)
    return rounds({name: (lambda slot=str(name): ours.measure(slot, seconds)) for name in cases}, count)


def slope(sizes, times) -> float:
    """The exponent a of time = c size^a, by least squares of the logarithms.

    Examples
    --------
    >>> round(slope([1, 10, 100], [3.0, 300.0, 30000.0]), 12)
    2.0
    """
    x, y = [math.log(size) for size in sizes], [math.log(time) for time in times]
    middle, level = statistics.fmean(x), statistics.fmean(y)
    above = math.fsum((a - middle) * (b - level) for a, b in zip(x, y, strict=True))
    return above / math.fsum((a - middle) ** 2 for a in x)


def _row(measure: str, cell: str, found: Ratio, bounds, detail: str) -> dict:
    low, high = bounds
    inside = (low is None or found.median >= low) and (high is None or found.median <= high)
    spans = found.low is not None and any(b is not None and found.low < b < found.high for b in bounds)
    goal = " ".join(filter(None, [low is not None and f">= {low}", high is not None and f"<= {high}"]))
    if low is not None and high is not None:
        goal = f"{low} to {high}"
    return {"bench": "scaling", "measure": measure, "cell": cell, "figure": found.median, "low": found.low,
            "high": found.high, "goal": goal, "met": "?" if spans else "yes" if inside else "NO",
            "detail": detail}  # fmt: skip

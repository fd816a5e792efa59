"""Where self-attention begins to cost more than recurrence: time and memory of one layer against steps.

A forward and backward pass of every kind at one width d. Of a recurrent layer both are linear in T; attention adds
4 T^2 d operations to 8 T d^2 of its projections and 16 T d^2 of its perceptron. Exponents are slopes of ln time and ln
memory against ln T over the steps from 32 d on, where causal attention, half of T^2, is three quarters of a block.

One sequence, whose tape stays in the third-level cache at every length: leaving one costs what no exponent of the work
has. Times are this project's on one thread, of a process of its own, measured in turns.
"""

from __future__ import annotations

import statistics

from sandbox.bench.peers import Peers
from sandbox.bench.scaling import slope, timed
from sandbox.bench.table import Report
from sandbox.bench.turns import of_median

__all__ = ["crossing", "crossover"]

MODELS = ("rnn", "gru", "lstm", "lru", "transformer")
STEPS, WIDTH, BATCH = (32, 128, 512, 1024, 2048, 4096, 8192), 64, 1
COLUMNS = ("bench", "model", "H", "B", "T", "seconds", "bytes", "time_exponent", "memory_exponent", "overtaken_at")


def crossover(csv=None, quick: bool = False) -> list[dict]:
    """Measure, and print a row for each model: times, exponents, and from which T on the Transformer takes longer.

    Parameters
    ----------
    csv : path, optional
        File for a row of each model and length.
    quick : bool
        Tiny sizes.
    """
    steps, width, batch = ((4, 8, 16, 32), 4, 2) if quick else (STEPS, WIDTH, BATCH)
    count, seconds = (2, 0.002) if quick else (7, 0.05)
    rows = []
    with Report(csv, COLUMNS) as report, Peers() as peers:
        report.describe(peers.versions())
        headings = [("model", -11), *((f"T {T} ms", 9) for T in steps), ("exponent", -19), ("memory", 6),
                    ("transformer takes longer", -24)]  # fmt: skip
        report.begin(f"forward and backward pass, {width} units, batch {batch}; one thread", headings)
        cases = {(name, T): {"cell": name, "D": width, "H": width, "B": batch, "T": T}
                 for name in MODELS for T in steps}  # fmt: skip
        times = timed(peers.ours, "body", cases, count, seconds)
        held = {key: peers.ours.ask(what="held", case=case)["peak"] for key, case in cases.items()}
        usual = {key: statistics.median(found) for key, found in times.items()}
        long = [T for T in steps if T >= 32 * width] if not quick else list(steps[-2:])
        for name in MODELS:
            grown = of_median([slope(long, turn) for turn in zip(*(times[name, T] for T in long))])
            memory = slope(long, [held[name, T] for T in long])
            place = crossing(steps, *([usual[each, T] for T in steps] for each in (name, "transformer")))
            said = "" if name == "transformer" else f"from T = {place:.0f} on" if place else "never here"
            report.row([name, *(f"{1000 * usual[name, T]:.3g}" for T in steps), str(grown), f"{memory:.2f}", said])
            for T in steps:
                row = {"bench": "crossover", "model": name, "H": width, "B": batch, "T": T, "seconds": usual[name, T],
                       "bytes": held[name, T], "time_exponent": grown.median, "memory_exponent": memory,
                       "overtaken_at": place if name != "transformer" else None}  # fmt: skip
                rows.append(row)
                report.record(row)
        report.line(
            f"medians over rounds taken in turn; exponents of time [95 %] and memory: from T = {long[0]}", "dim"
        )
    return rows


def crossing(steps, ours, theirs):
    """The T from which on `theirs` take longer than `ours`, between two lengths by a straight line; None if never.

    Examples
    --------
    >>> crossing([10, 20, 40], [1.0, 2.0, 4.0], [0.5, 1.5, 6.0])
    24.0
    """
    ahead = [b - a for a, b in zip(ours, theirs, strict=True)]
    if ahead[-1] <= 0:
        return None
    last = next((at for at in range(len(ahead) - 1, -1, -1) if ahead[at] <= 0), None)
    if last is None:
        return float(steps[0])
    share = -ahead[last] / (ahead[last + 1] - ahead[last])
    return steps[last] + share * (steps[last + 1] - steps[last])

"""One training update on the adding problem: new batch, forward, backward, clipping, Adam.

Two things are asked: how much an update costs beside the pass of the same size alone (`update / step`), and how it
compares with the same update in PyTorch (fused Adam) and JAX (one compiled function). All draw the same batches, each
in its own process, with the same NumPy code.

`python us` is what an update costs apart from its steps, at one unit and one sequence: the time at T = 2, less what two
steps take, which is known from T = 102. What is left is Python, the drawing of the batch, and the calls of kernels.
"""

from __future__ import annotations

import statistics

from sandbox.bench.data import GATES
from sandbox.bench.peers import Peers, parse_against
from sandbox.bench.step import NAMES, compared, fill
from sandbox.bench.table import Report
from sandbox.bench.turns import NONE, Ratio, against_ours, goal_met, ratio, rounds

__all__ = ["CASES", "QUICK", "update"]

SIZES = [(1, 1, 2), (16, 32, 50), (32, 32, 100), (64, 32, 100), (128, 32, 100), (256, 64, 100)]
CASES = [dict(zip("HBT", size, strict=True), cell=cell, D=2) for cell in GATES for size in SIZES]
QUICK = [dict(zip("HBT", size, strict=True), cell="rnn", D=2) for size in ((1, 1, 2), (64, 4, 4))]
COLUMNS = ("bench", "cell", "D", "H", "B", "T", *(f"{name}_s" for name in NAMES), "step_s", "over_step",
           "over_step_low", "over_step_high", "fastest", "ratio", "ratio_low", "ratio_high", "verdict", "python_s",
           "goals", "waited")  # fmt: skip
HEADINGS = [("cell", -4), ("H", 4), ("B", 3), ("T", 4), ("ours ms", 8), ("2 threads", 9), ("torch 1", 8),
            ("torch 2", 8), ("jax", 8), ("fastest / ours", -19), ("", -11), ("step ms", 8), ("update / step", -19),
            ("python us", 9), ("goals", -11), ("waited", -1)]  # fmt: skip
NOTES = (
    "update: new batch, forward, backward, clipping, Adam; step: forward and backward of the layer alone; one thread",
    "python us: an update at one unit and one sequence, less its steps; the goal is 25",
    "~ where the interval contains 1; goals: met or not, ? within noise; waited: who had no core, share of the time",
)
PYTHON = 25e-6


def update(csv=None, against: str | None = None, quick: bool = False) -> list[dict]:
    """Measure and print a row for each size as it comes; see `sandbox.bench.step.step`."""
    libraries = parse_against(against)
    with Report(csv, COLUMNS) as report, Peers(libraries) as peers:
        report.describe(peers.versions())
        report.begin("one training update, adding problem, float32", HEADINGS)
        rows = fill(report, peers, QUICK if quick else CASES, _measured, _texts, quick)
        for text in NOTES:
            report.line(text, "dim")
    return rows


def _measured(case, peers: Peers, count: int, seconds: float) -> dict:
    for peer in peers.found.values():
        peer.ask(what="drop")
        peer.ask(what="prepare", slot="update", kind="update", case=case)
    ours, smallest = peers.ours, case["H"] == 1
    ours.ask(what="prepare", slot="step", kind="step", case=case)
    measures = {name: (lambda peer=peer: peer.measure("update", seconds)) for name, peer in peers.found.items()}
    measures["step"] = lambda: ours.measure("step", seconds)
    if smallest:
        ours.ask(what="prepare", slot="longer", kind="update", case=case | {"T": case["T"] + 100})
        measures["longer"] = lambda: ours.measure("longer", seconds)
    found = rounds(measures, count)
    alone, longer = found.pop("step"), found.pop("longer", None)
    ratios, fastest = against_ours(found)
    best = ratios.get(fastest, NONE)
    row = {"bench": "update", **case, **{f"{name}_s": statistics.median(values) for name, values in found.items()},
           "step_s": statistics.median(alone), **ratio(found["ours"], alone).columns("over_step"),
           "fastest": fastest, **best.columns("ratio"), "verdict": best.verdict if fastest else "-", "goals": "",
           "waited": peers.waited()}  # fmt: skip
    if smallest:
        python = [short - (long - short) / 100 * case["T"] for short, long in zip(found["ours"], longer, strict=True)]
        row["python_s"] = statistics.median(python)
        row["goals"] = f"25 us {'yes' if row['python_s'] <= PYTHON else 'NO'}"
    elif case["H"] >= 64:
        row["goals"] = f"1.15 {goal_met(ratio(alone, found['ours']), 1 / 1.15)}"
    return row


def _texts(row) -> list[str]:
    python = f"{1e6 * row['python_s']:.0f}" if "python_s" in row else ""
    return [row["cell"], *(str(row[name]) for name in "HBT"), *compared(row), f"{1000 * row['step_s']:.3g}",
            str(Ratio.of(row, "over_step")), python, row["goals"], row["waited"]]  # fmt: skip

"""Forward and backward pass of one layer, float32, gradients of all parameters: this project, PyTorch and JAX in turns.

`limit` is the time that the multiply-adds of the pass would take at the peak of one core, measured in the same rounds
by a loop of nothing but multiply-adds on registers: 3 x 2 T B G H (D + H), less the third product of the input, whose
gradient nobody asked for. This project and PyTorch run with one thread and with two, JAX as it comes; the fastest of
this project is compared with the fastest of the others.
"""

from __future__ import annotations

import statistics

from sandbox.bench.data import GATES
from sandbox.bench.peers import Peers, parse_against
from sandbox.bench.table import Report
from sandbox.bench.turns import NONE, Ratio, against_ours, goal_met, ratio, rounds

__all__ = ["CASES", "NAMES", "QUICK", "compared", "fill", "goals", "operations", "step"]

SIZES = [(2, 32, 1, 100), (2, 128, 1, 100), (2, 32, 32, 100), (2, 64, 32, 100), (2, 128, 32, 100),
         (2, 256, 64, 100), (512, 512, 64, 100)]  # fmt: skip
CASES = [dict(zip("DHBT", size, strict=True), cell=cell) for cell in GATES for size in SIZES]
QUICK = [dict(zip("DHBT", size, strict=True), cell="rnn") for size in ((2, 4, 1, 5), (2, 64, 32, 3))]
NAMES = ("ours", "ours2", "torch1", "torch2", "jax")
COLUMNS = ("bench", "cell", "D", "H", "B", "T", *(f"{name}_s" for name in NAMES), "fastest", "ratio", "ratio_low",
           "ratio_high", "verdict", "two_threads", "two_threads_low", "two_threads_high", "limit_s", "of_limit",
           "of_limit_low", "of_limit_high", "goals", "waited")  # fmt: skip
HEADINGS = [("cell", -4), ("D", 4), ("H", 4), ("B", 3), ("T", 4), ("ours ms", 8), ("2 threads", 9), ("torch 1", 8),
            ("torch 2", 8), ("jax", 8), ("fastest / ours", -19), ("", -11), ("1 / 2 threads", 13), ("limit ms", 8),
            ("of limit", 8), ("goals", -35), ("waited", -1)]  # fmt: skip

NOTES = (
    "times: medians of rounds taken in turn; fastest / ours: median ratio [95 %], ~ where that contains 1",
    "limit: the multiply-adds at the peak of one core, measured beside, and what share of it one thread reaches",
    "goals: ratios, met or not, ? within noise",
    "waited: who was ready to run and had no core in half of the rounds, and for which share of the time",
)


def step(csv=None, against: str | None = None, quick: bool = False) -> list[dict]:
    """Measure the grid and print a row for each size as it comes.

    Parameters
    ----------
    csv : path, optional
        File for the rows at full precision, with the machine's description.
    against : str, optional
        Libraries, with commas; `none` for none.
    quick : bool
        Two tiny sizes: whether everything works, not what it costs.

    Returns
    -------
    list of dict
        Rows by the names in `COLUMNS`; times in seconds.
    """
    libraries = parse_against(against)
    with Report(csv, COLUMNS) as report, Peers(libraries) as peers:
        peers.ours  # noqa: B018 - refuses kernels that are not compiled
        report.describe(peers.versions())
        if agreement := peers.verify():
            report.line(agreement, "dim")
        report.begin("forward + backward of one layer, float32", HEADINGS)
        rows = fill(report, peers, QUICK if quick else CASES, _measured, _texts, quick)
        for text in NOTES:
            report.line(text, "dim")
    return rows


def fill(report: Report, peers: Peers, cases, measured, texts, quick: bool) -> list[dict]:
    """Measure each case by ``measured(case, peers, rounds, seconds)``, and print its row as it comes."""
    rows = []
    for case in cases:
        row = measured(case, peers, *((2, 0.005) if quick else (9, 0.25)))
        rows.append(row)
        report.row(texts(row), row, "NO" in row["goals"])
    return rows


def operations(case) -> float:
    """Floating-point operations of a pass: three products of h, two of x."""
    return 2.0 * case["T"] * case["B"] * GATES[case["cell"]] * case["H"] * (3 * case["H"] + 2 * case["D"])


def goals(case, ratios: dict[str, Ratio], of_limit: Ratio, two: Ratio | None) -> dict[str, str]:
    """Which ratios this size has to reach, and whether it does.

    Parameters
    ----------
    ratios : dict of Ratio
        How many times our time each peer takes.
    of_limit : Ratio
        Share of the limit that one thread reaches.
    two : Ratio or None
        How many times two threads' time one takes.
    """
    wanted = {}
    fastest = min(ratios.values(), key=lambda found: found.median, default=None)
    torch = min((found for name, found in ratios.items() if "torch" in name), key=lambda r: r.median, default=None)
    if case["B"] == 1:
        wanted["2x jax"] = goal_met(ratios.get("jax"), 2)
        wanted["5x torch"] = goal_met(torch, 5)
    elif case["H"] <= 256:
        wanted["2x"] = goal_met(fastest, 2)
    else:
        wanted["1.3x"] = goal_met(fastest, 1.3)
    if case["H"] >= 64 and case["B"] >= 32:
        wanted["1.4 limits"] = goal_met(of_limit, 1 / 1.4)
    if case["H"] >= 128 and case["B"] >= 32:
        wanted["1.8 threads"] = goal_met(two, 1.8)
    return wanted


def _measured(case, peers: Peers, count: int, seconds: float) -> dict:
    for peer in peers.found.values():
        peer.ask(what="drop")
        peer.ask(what="prepare", slot="step", kind="step", case=case)
    peers.ours.ask(what="prepare", slot="peak", kind="peak", case=case)
    measures = {name: (lambda peer=peer: peer.measure("step", seconds)) for name, peer in peers.found.items()}
    measures["peak"] = lambda: peers.ours.measure("peak", min(seconds, 0.05))
    found = rounds(measures, count)
    limits = [seconds * operations(case) / 1e9 for seconds in found.pop("peak")]
    ratios, fastest = against_ours(found)
    of_limit, best = ratio(limits, found["ours"]), ratios.get(fastest, NONE)
    two = ratio(found["ours"], found["ours2"]) if "ours2" in found else None
    return {
        "bench": "step", **case, **{f"{name}_s": statistics.median(values) for name, values in found.items()},
        "fastest": fastest, **best.columns("ratio"), "verdict": best.verdict if fastest else "-",
        **(two.columns("two_threads") if two else {}), "limit_s": statistics.median(limits),
        **of_limit.columns("of_limit"),
        "goals": ", ".join(f"{name} {met}" for name, met in goals(case, ratios, of_limit, two).items()),
        "waited": peers.waited(),
    }  # fmt: skip


def compared(row) -> list[str]:
    """The times of all, how many times ours the fastest of the others takes, and which that is, as texts."""
    times = [f"{1000 * row[f'{name}_s']:.3g}" if f"{name}_s" in row else "-" for name in NAMES]
    verdict = f"{row['verdict']} {row['fastest']}" if row["verdict"] not in "~-" else row["verdict"]
    return [*times, str(Ratio.of(row, "ratio")) if row["fastest"] else "-", verdict]


def _texts(row) -> list[str]:
    return [row["cell"], *(str(row[name]) for name in "DHBT"), *compared(row),
            f"{row['two_threads']:.2f}" if "two_threads" in row else "-",
            f"{1000 * row['limit_s']:.3g}", f"{row['of_limit']:.0%}", row["goals"], row["waited"]]  # fmt: skip

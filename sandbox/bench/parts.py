"""Where a layer's forward and backward pass spends its time, and what share of the core's peak each part reaches.

    forward, backward  the time loops; `forward step` and `backward step` are the same loops without their products
    gradients          all weight gradients and bias sums
    packing            of the weights, once in each direction
    Python             the rest

One thread, float32, on kernels that are timed one by one in a process of its own: the best of many passes.
"""

from __future__ import annotations

from sandbox.bench.data import GATES
from sandbox.bench.peers import Peers
from sandbox.bench.step import CASES, QUICK
from sandbox.bench.table import Report

__all__ = ["operations", "parts"]

PARTS = ("forward", "forward step", "backward", "backward step", "gradients", "packing", "Python")
COLUMNS = ("bench", "cell", "D", "H", "B", "T", "part", "seconds", "share", "limit_s", "of_limit")
HEADINGS = [("cell", -4), ("D", 4), ("H", 4), ("B", 3), ("T", 4), *((part, -14) for part in PARTS), ("pass us", 8)]


def parts(csv=None, quick: bool = False) -> list[dict]:
    """Measure the sizes of `sandbox bench step`, and print a row for each as it comes: shares, and shares of the peak.

    Parameters
    ----------
    csv : path, optional
        File for a row of each part.
    quick : bool
        Two tiny sizes, a few passes.
    """
    rows = []
    with Report(csv, COLUMNS) as report, Peers() as peers:
        report.describe(peers.versions())
        report.begin("share of a pass [of the peak of a core]", HEADINGS)
        for case in QUICK if quick else CASES:
            found = _measured(case, peers.ours, 3 if quick else 60)
            rows += found
            whole = sum(row["seconds"] for row in found if not row["part"].endswith("step"))
            texts = [f"{row['share']:.0%}" + (f" [{row['of_limit']:.0%}]" if row["of_limit"] else "") for row in found]
            report.row([case["cell"], *(str(case[name]) for name in "DHBT"), *texts, f"{1e6 * whole:.0f}"])
            for row in found:
                report.record(row)
        report.line("one thread; a step is a loop without its products, and part of it; best of many passes", "dim")
    return rows


def operations(case) -> dict[str, float]:
    """Floating-point operations of the products of each part."""
    each = 2.0 * case["T"] * case["B"] * GATES[case["cell"]] * case["H"]
    return {"forward": each * (case["D"] + case["H"]), "backward": each * case["H"],
            "gradients": each * (case["D"] + case["H"])}  # fmt: skip


def _measured(case, ours, passes: int) -> list[dict]:
    found = ours.ask(what="parts", case=case | {"passes": passes})
    ours.ask(what="prepare", slot="peak", kind="peak", case=case)
    second = ours.measure("peak", 0.05) / 1e9  # of an operation
    whole = found.pop("pass")
    kernels = sum(value for name, value in found.items() if not name.endswith("step"))
    found["Python"] = max(whole - kernels, 0.0)
    limits = {name: count * second for name, count in operations(case).items()}
    return [{"bench": "parts", **case, "part": name, "seconds": found[name], "share": found[name] / whole,
             "limit_s": limits.get(name), "of_limit": limits[name] / found[name] if name in limits else None}
            for name in PARTS]  # fmt: skip

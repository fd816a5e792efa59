"""A whole job: an LSTM learns the adding problem until the mean squared error of held-out sequences is below 0.01.

What is timed is a process from its start to its end: imports, training, evaluations. This project, PyTorch and JAX
start from the same weights, draw the same batches with the same NumPy code, evaluate as often, and stop by the same
rule; what they need in updates differs by rounding alone. Everything that can be compiled before has been: each runs a
job of one update first, and JAX keeps what it compiles in a cache on disk, as this project does.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from sandbox import provenance
from sandbox.bench.peers import LIBRARIES, competitors, environment, installed, parse_against, whole_process
from sandbox.bench.table import Report
from sandbox.bench.turns import Ratio, against_ours, goal_met

__all__ = ["PLAN", "job", "write_start"]

PLAN = {"cell": "lstm", "H": 16, "T": 200, "recipe": {
    "updates": 6000, "batch": 32, "lr": 0.005, "clip": "global", "threshold": 1.0, "optimiser": "adam",
    "evaluate_every": 100, "evaluation": 512}}  # fmt: skip
SEEDS, QUICK_SEEDS = 7, 2
SHOWN = ("seconds", "cpu_s", "updates", "loss", "solved")
COLUMNS = ("bench", "library", "threads", "seed", "seconds", "cpu_s", "training_s", "updates", "loss", "solved",
           "ratio", "ratio_low", "ratio_high", "verdict", "goal")  # fmt: skip
HEADINGS = [("who", -8), ("threads", 7), ("seconds", 8), ("cpu", 7), ("training", 8), ("updates", 7),
            ("us / update", 11), ("solved", 6), ("time / ours", -19), ("", -12), ("goal", -1)]  # fmt: skip


def job(csv=None, against: str | None = None, quick: bool = False) -> list[dict]:
    """Measure, and print a row for each library: medians over seeds.

    Parameters
    ----------
    csv : path, optional
        File for a row of every process, and one of every library's medians (without a seed).
    against : str, optional
        Libraries, with commas; `none` for none.
    quick : bool
        A few updates of a short sequence.
    """
    plan, seeds = PLAN, SEEDS
    if quick:
        plan, seeds = PLAN | {"T": 10, "H": 4, "recipe": PLAN["recipe"] | {"updates": 3, "evaluation": 32}}, QUICK_SEEDS
    who = competitors(parse_against(against))
    with Report(csv, COLUMNS) as report, tempfile.TemporaryDirectory() as scratch:
        report.describe(provenance.versions() | installed())
        title = f"LSTM of {plan['H']} units, adding, {plan['T']} steps, to MSE < 0.01; whole processes, {seeds} seeds"
        found = _runs(report, who, plan, seeds, Path(scratch))
        report.begin(title, HEADINGS)
        rows = _rows(who, found)
        for row in rows:
            report.row(_texts(row), row, row["goal"].endswith("NO"))
        report.line("the same start, batches and stopping rule; time / ours: median ratio over seeds [95 %]", "dim")
        report.line("cpu: seconds on cores; training: without imports; JAX uses as many threads as it likes", "dim")
    return rows


def _runs(report: Report, who, plan, seeds: int, scratch: Path) -> dict[str, list[dict]]:
    """What came of every process, by who did it; those whose library is missing have none."""
    found: dict[str, list[dict]] = {name: [] for name in who}
    warm_up = plan | {"recipe": plan["recipe"] | {"updates": 1}}
    for seed in range(-1, seeds):
        start = scratch / f"start{seed}.npz"
        write_start(start, plan, max(seed, 0))
        file = scratch / "plan.json"
        file.write_text(json.dumps((warm_up if seed < 0 else plan) | {"seed": max(seed, 0), "start": str(start)}))
        order = list(who)[max(seed, 0) % len(who) :] + list(who)[: max(seed, 0) % len(who)]
        for name in order:
            report.say(f"{'warming up' if seed < 0 else f'seed {seed + 1} of {seeds}'}, {name}")
            outcome = _process(*who[name], file, scratch)
            if outcome is None:
                who = {other: value for other, value in who.items() if other != name}
            elif seed >= 0:
                found[name].append(outcome | {"seed": seed})
                report.record({"bench": "job", "library": who[name][0], "threads": who[name][1], "seed": seed,
                               "training_s": outcome["training"],
                               **{key: outcome[key] for key in SHOWN}})  # fmt: skip
    return found


def write_start(path: Path, plan, seed: int) -> None:
    """Write the weights that this project starts from: W_ih, W_hh, b, b_hn, head_W, head_b."""
    import numpy as np

    from sandbox import tasks
    from sandbox.training import model_for

    model = model_for(tasks.load("adding"), seed, cell=plan["cell"], hidden=plan["H"])
    np.savez(path, **{name.replace("head.", "head_").rpartition(".")[2]: value
                      for name, value in model.parameters.items()})  # fmt: skip


def _process(library: str, threads: int, plan: Path, scratch: Path) -> dict | None:
    """Do a job in a process of its own; None without the library."""
    variables = environment(library, threads)
    if library == "jax":
        variables |= {"JAX_COMPILATION_CACHE_DIR": str(scratch / "jax"),
                      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                      "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}  # fmt: skip
    command = [sys.executable, "-m", "sandbox.bench.serve", library, str(threads), "--job", str(plan)]
    said, _, seconds, cpu = whole_process(command, variables)
    outcome = json.loads(said)
    return None if "missing" in outcome else outcome | {"seconds": seconds, "cpu_s": cpu}


def _rows(who, found) -> list[dict]:
    rows = []
    ratios, fastest = against_ours({name: [one["seconds"] for one in outcomes]
                                    for name, outcomes in found.items() if outcomes})  # fmt: skip
    for name, outcomes in found.items():
        row = {"bench": "job", "library": who[name][0], "threads": who[name][1], "goal": "", "verdict": ""}
        if outcomes:
            row |= {"seconds": statistics.median(o["seconds"] for o in outcomes),
                    "cpu_s": statistics.median(o["cpu_s"] for o in outcomes),
                    "training_s": statistics.median(o["training"] for o in outcomes),
                    "updates": statistics.median(o["updates"] for o in outcomes),
                    "loss": statistics.median(o["loss"] for o in outcomes),
                    "solved": sum(o["solved"] for o in outcomes),
                    "per_update_s": statistics.median(o["training"] / o["updates"] for o in outcomes)}  # fmt: skip
        if name in ratios:
            best = ratios[name]
            row |= best.columns("ratio") | {"verdict": best.verdict}
            row["goal"] = f"2x fastest {goal_met(best, 2)}" if name == fastest else ""
        rows.append(row)
    return rows


def _texts(row) -> list[str]:
    who = LIBRARIES.get(row["library"], row["library"]), "any" if row["library"] == "jax" else str(row["threads"])
    if "seconds" not in row:
        return [*who, *"--------", ""]
    figures = [f"{row[name]:.3g}" for name in ("seconds", "cpu_s", "training_s")]
    counts = [f"{row['updates']:.0f}", f"{1e6 * row['per_update_s']:.0f}", str(row["solved"])]
    shown = str(Ratio.of(row, "ratio")) if "ratio" in row else ""
    return [*who, *figures, *counts, shown, row["verdict"], row["goal"]]

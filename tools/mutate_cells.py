"""Break every line of every backward pass, one way at a time, and see a check of tests/test_cells.py turn red.

    python tools/mutate_cells.py                     all cells, the time loop's backward half, the layer's gradients
    python tools/mutate_cells.py lstm scan           some of them
    python tools/mutate_cells.py --survivors         print only what is not killed

Works on a temporary copy of `sandbox/`, with kernels as plain Python (NUMBA_DISABLE_JIT=1) on tiny sizes. A mutant is
one change: a statement dropped, its right-hand side set to zero or negated, an operator swapped, one operand left out,
a comparison or a bound moved, an index moved, a branch always or never taken (`mutation/mutants.py`). It is killed by
the first check that fails on it. Exits 1 if one survives that `EQUIVALENT` of `mutation/targets.py` does not explain.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from mutation.mutants import Mutant, mutants
from mutation.targets import ROOT, targets

TOOLS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Result:
    """What became of a mutant: `killer` is the first failing check, empty if there was none."""

    mutant: Mutant
    killer: str

    @property
    def verdict(self):
        if self.killer:
            return f"killed by {self.killer}"
        reason = self.mutant.reason()
        return f"equivalent: {reason}" if reason else "SURVIVED"


def examine(names):
    """Results of all mutants of the named targets."""
    known = targets()
    todo = [mutant for name in names for mutant in mutants(name, known[name].path, known[name].functions)]
    checks = {name: (known[name].checks, known[name].cases) for name in names}
    processes = min(os.cpu_count() or 1, len(todo))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shutil.copytree(ROOT / "sandbox", folder / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "tests", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        settings = {
            "NUMBA_DISABLE_JIT": "1",
            "PYTHONPATH": os.pathsep.join([str(folder), str(TOOLS)]),
            "OPENBLAS_NUM_THREADS": "1",
        }
        workers = []
        for number in range(processes):
            jobs = folder / f"{number}.json"
            jobs.write_text(json.dumps([checks, [(m.target, m.path, m.source) for m in todo[number::processes]]]))
            command = [sys.executable, "-m", "mutation.examiner", str(jobs)]
            workers.append(
                subprocess.Popen(command, cwd=folder, env=os.environ | settings, stdout=subprocess.PIPE, text=True)
            )
        outputs = [worker.communicate()[0] for worker in workers]
        if any(worker.returncode for worker in workers):
            raise SystemExit("\n".join(["a worker failed:", *outputs]))
    killers = [None] * len(todo)
    for number, output in enumerate(outputs):
        killers[number::processes] = json.loads(output.splitlines()[-1])
    return [Result(mutant, killer) for mutant, killer in zip(todo, killers)]


def table(rows, head):
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        print("  ".join(str(value).ljust(width) for value, width in zip(row, widths)).rstrip())


def shorten(text, width=100):
    return text if len(text) <= width else f"{text[: width // 2]} ... {text[-width // 2 + 5 :]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(targets())}; all by default")
    parser.add_argument("--survivors", action="store_true", help="print only mutants that are not killed")
    arguments = parser.parse_args()
    names = arguments.targets or list(targets())
    if set(names) - set(targets()):
        parser.error(f"TARGET must be one of {', '.join(targets())}, got {' '.join(names)}")
    started = time.perf_counter()
    results = examine(names)
    shown = [each for each in results if not (arguments.survivors and each.killer)]
    table([(each.mutant.target, each.mutant.line, shorten(each.mutant.change), each.verdict) for each in shown],
          ("target", "line", "mutation", "verdict"))  # fmt: skip
    print()
    summary = []
    for name in names:
        mine = [each for each in results if each.mutant.target == name]
        counts = [sum(each.verdict.startswith(word) for each in mine) for word in ("killed", "equivalent", "SURVIVED")]
        summary.append((name, len(mine), *counts))
    table(summary, ("target", "mutants", "killed", "equivalent", "survived"))
    print(f"{len(results)} mutants in {time.perf_counter() - started:.0f} s")
    return int(any(each.verdict == "SURVIVED" for each in results))


if __name__ == "__main__":
    sys.exit(main())

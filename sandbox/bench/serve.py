"""A process that does one library's work: `python -m sandbox.bench.serve LIBRARY THREADS`.

Without more it answers requests, a line of JSON each, on standard input: what to make ready, and how long to time it.
With `--job PLAN` it does a whole job, or a list of them, prints what came of it and ends. What the library itself
prints goes to standard error.
"""

import contextlib
import glob
import importlib
import json
import os
import sys
import time

__all__ = ["best_of", "main"]

TURN, LEAST, PATIENCE = 0.015, 3, 3  # seconds; turns; times the given seconds, where the machine is busy
DISTURBED = 0.02


def waited():
    """Seconds that this process's threads were ready and had no core; 0 where the system does not count them."""
    total = 0
    for path in glob.glob("/proc/self/task/*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError), open(path) as file:
            total += int(file.read().split()[1])
    return total / 1e9


def best_of(run, seconds):
    """Time calls of `run(times)` in short turns for about `seconds` in all; the best turn counts.

    Where that turn had to wait for a core, because other processes are at work, more of them are taken, up to a limit.

    Returns
    -------
    seconds : float
        Per call.
    waited : float
        Share of the best turn's time that a thread of it waited.
    """
    started = time.perf_counter()
    run(1)  # not counted where calls are short: it brings the operands into the caches that they are used from
    count = max(1, int(TURN / (time.perf_counter() - started)))
    best, share, turns, begin = float("inf"), 0.0, 0, time.perf_counter()
    while True:
        before, started = waited(), time.perf_counter()
        run(count)
        spent = time.perf_counter() - started
        delay, turns = waited() - before, turns + 1
        if spent / count < best:
            best, share = spent / count, delay / spent
        elapsed = time.perf_counter() - begin
        enough = elapsed >= seconds and (turns >= LEAST or elapsed >= 2 * seconds)
        if enough and (share <= DISTURBED or elapsed >= PATIENCE * seconds):
            return best, share


def _answer(work, ready, request):
    """Do what a request says, and return what there is to say."""
    what = request["what"]
    if what == "prepare":
        run = ready[request["slot"]] = getattr(work, request["kind"])(request["case"])
        run(1)  # compiles and allocates
        run(1)
        return {}
    if what == "drop":
        ready.clear()
        return {}
    if what in ("held", "memory", "parts"):
        return getattr(work, what)(request["case"])
    if what == "gradients":
        found = work.gradients(request["case"])
        return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in found.items()}
    return dict(zip(("seconds", "waited"), best_of(ready[request["slot"]], request["seconds"]), strict=True))


def main(library, threads, *rest):
    """Serve requests until standard input ends, or do one job."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def say(found):
        answers.write(json.dumps(found) + "\n")
        answers.flush()

    try:
        work = importlib.import_module(f"sandbox.bench.work_{library}")
        versions = work.setup(int(threads))
    except ImportError as error:
        say({"missing": str(error)})
        return
    if rest:
        with open(rest[1], encoding="utf-8") as file:
            plan = json.load(file)
        started = time.perf_counter()
        found = {"jobs": [work.job(one) for one in plan]} if isinstance(plan, list) else work.job(plan)
        say(found | {"training": time.perf_counter() - started})
        return
    say(versions)
    ready = {}
    for line in sys.stdin:
        try:
            say(_answer(work, ready, json.loads(line)))
        except Exception as error:  # the parent says whose it was, and ends
            say({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(130)

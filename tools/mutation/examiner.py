"""The checks, run against one mutant after the other: `python -m mutation.examiner JOBS`, inside a copy of the project.

JOBS is a JSON file: the checks and cases of each target, and the mutants as (target, path, source). What kills each of
them is printed as JSON, an empty text for a survivor.
"""

import _thread
import importlib
import inspect
import json
import signal
import sys
import threading
import time
from pathlib import Path

from mutation.targets import CELL_CHECKS

FIRST = "test_gradient_by_every_number"  # kills most


def work(jobs):
    """Run the checks against each mutant and print the killers."""
    import warnings

    import numpy as np

    signal.signal(signal.SIGINT, signal.default_int_handler)  # the watchdog's; a background job would not hear it
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    targets, todo = json.loads(Path(jobs).read_text())
    modules = {name: importlib.import_module(name) for names, _ in targets.values() for name in names}
    watchdog, examiners, killers = Watchdog(), {}, []
    for target, path, source in todo:
        if target not in examiners:
            original, (names, cases) = Path(path).read_text(), targets[target]
            examiners[target] = Examiner(target, [modules[name] for name in names], cases, watchdog)
            killer = examiners[target].first_failure()
            if killer:
                print(f"{target}: {killer} fails before anything is mutated")
                sys.exit(1)
        install(path, source)
        killers.append(examiners[target].first_failure())
        install(path, original)
    print(json.dumps(killers))


class Watchdog(threading.Thread):
    """Interrupts the main thread when the process has used more processor time than it may: mutants loop for ever."""

    def __init__(self):
        super().__init__(daemon=True)
        self.deadline = float("inf")
        self.start()

    def run(self):
        while True:
            time.sleep(0.02)
            if time.process_time() > self.deadline:
                self.deadline = float("inf")
                _thread.interrupt_main()


class Examiner:
    """The checks of one target, and how long each of them may take."""

    def __init__(self, target, modules, cases, watchdog):
        self.target, self.cases, self.watchdog = target, cases, watchdog
        self.modules, self.is_cell = modules, not cases and modules[0].__name__ in CELL_CHECKS
        self.checks = [[*check, float("inf")] for module in modules for check in found_checks(module)]

    def chosen(self):
        """The cases to be run, as the cell's file now makes them."""
        if not any(takes_case(check) for _, check, *_ in self.checks):
            return []
        every = next(module.cases for module in self.modules if hasattr(module, "cases"))()
        return [case for case in every if str(case) in self.cases or self.is_cell and case.cell.name == self.target]

    def first_failure(self):
        """Name of the first check that fails, or nothing.

        The first call notes how long each check may take, and puts first what kills most, then the short ones.
        """
        chosen, taken = self.chosen(), {}
        for number, (name, function, arguments, limit) in enumerate(self.checks):
            alone = not takes_case(function)
            if alone and self.is_cell:
                continue
            started = time.process_time()
            self.watchdog.deadline = started + limit
            try:
                for case in [None] if alone else chosen:
                    function(**arguments) if alone else function(case, **arguments)
            except KeyboardInterrupt:
                return f"{name} (does not end)"
            except AssertionError:
                return name
            except BaseException as error:  # what pytest.raises misses is no Exception
                return f"{name} ({type(error).__name__})"
            finally:
                self.watchdog.deadline = float("inf")
            taken[number] = time.process_time() - started
        if self.checks and self.checks[0][-1] == float("inf"):
            order = sorted(taken, key=lambda number: (self.checks[number][1].__name__ != FIRST, taken[number]))
            self.checks = [[*self.checks[number][:-1], 0.5 + 5 * taken[number]] for number in order]
        return ""


def found_checks(module):
    """(name, function, arguments) of every check of a module that runs as plain Python and needs no fixture."""
    for function in [value for name, value in vars(module).items() if name.startswith("test_")]:
        marks = getattr(function, "pytestmark", [])
        if "plain_python" not in [mark.name for mark in marks] or function.__module__ != module.__name__:
            continue
        choices = [[]]
        for mark in marks:
            if mark.name == "parametrize":
                names = mark.args[0]
                names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
                rows = [row.values if hasattr(row, "marks") else row if len(names) > 1 else (row,)
                        for row in mark.args[1]]  # fmt: skip
                choices = [[*chosen, *zip(names, row)] for chosen in choices for row in rows]
        for chosen in choices:
            if set(inspect.signature(function).parameters) == {name for name, _ in chosen} | takes_case(function):
                yield function.__name__.removeprefix("test_"), function, dict(chosen)


def takes_case(function):
    return {"case"} & set(inspect.signature(function).parameters)


def install(path, source):
    """Execute a module's new source in its place, and let everyone who imported a name from it have the new one."""
    mutated = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    before = {name: value for name, value in vars(mutated).items() if inspect.isclass(value) or callable(value)}
    exec(compile(source, path, "exec"), mutated.__dict__)
    replaced = {id(old): vars(mutated)[name] for name, old in before.items() if vars(mutated)[name] is not old}
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").partition(".")[0] in ("sandbox", "naive") or is_check(module):
            for name, value in list(vars(module).items()):
                if id(value) in replaced:
                    setattr(module, name, replaced[id(value)])
    importlib.import_module("sandbox.cells").load.cache_clear()


def is_check(module):
    return getattr(module, "__name__", "").startswith("test_")


if __name__ == "__main__":
    work(sys.argv[1])

"""Break every line of every backward pass, one way at a time, and see a check of tests/test_cells.py turn red.

    python tools/mutate_cells.py                     all cells, the time loop's backward half, the layer's gradients
    python tools/mutate_cells.py lstm scan           some of them
    python tools/mutate_cells.py --survivors         print only what is not killed

Works on a temporary copy of `sandbox/`, with kernels as plain Python (NUMBA_DISABLE_JIT=1) on tiny sizes. A mutant is
one change: a statement dropped, its right-hand side set to zero or negated, an operator swapped, one operand left out,
a comparison or a bound moved, an index moved, a branch always or never taken. It is killed by the first check that
fails on it. Exits 1 if one survives that `EQUIVALENT` does not explain.
"""

import _thread
import argparse
import ast
import copy
import importlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parent.parent
CHECKS = "test_cells"
FIRST = "test_gradient_by_every_number"  # kills most

# Functions of scan.py that are not part of a backward pass.
FORWARD = {"forward", "_contiguous", "_add_products", "_zone_out", "no_step_forward", "no_step_backward"}
LAYER = ("_parameter_gradients", "_input_gradient")
CASES = {"scan": ("lstm", "diagonal"), "layers": ("gru", "lstm", "diagonal")}

# Mutants that compute the same: (target, function, line, mutation), the last two as they begin, and the reason.
UNUSED = "without lengths nothing is held: any size will do"
ITSELF = "0, or a truth negated, only leads to a copy of the tape onto itself"
SOONER = "rescales sooner, and rescaling is exact"
PART = "any part will do whose power of two exists, and no exponent is above 1023"
EQUIVALENT = {
    ("scan", "backward", "held = np.empty", "held = np.empty"): "uninitialised memory has no sign",
    ("scan", "backward", "held = np.empty", "np.empty((B"): UNUSED,
    ("scan", "backward", "held = np.empty", "(0, 0, 0)"): UNUSED,
    ("scan", "backward", "in_place =", "in_place ="): ITSELF,
    ("scan", "backward", "if not in_place:", "if not in_place:  ->  if True:"): ITSELF,
    ("scan", "backward", "if panels.shape[0]:", "panels.shape[0]  ->  panels.shape[1]"): "both are 0 or neither is",
    ("scan", "backward", "_clear(dz[t, b]", "_clear"): "ds = 0 has made dz 0 already, but for an infinite tape",
    ("scan", "_inflow", "if power[b] < 0:", "power[b] < 0  ->  power[b] <"): "at 0: the row is multiplied by 2^0",
    ("scan", "_record", "exponent =", "(float_bits(largest) >> 52) - 1023  ->"): "rows are kept in [2, 4), not [1, 2)",
    ("scan", "_record", "if abs(exponent) > FAR:", "if abs(exponent) > FAR:  ->  if True:"): SOONER,
    ("scan", "_record", "if abs(exponent) > FAR:", "abs(exponent) > FAR  ->  abs(exponent) >="): SOONER,
    ("scan", "_rescale", "part =", "min(max(exponent, -1000), 1000)  ->  max(exponent, -1000)"): PART,
    ("scan", "_rescale", "part =", "min(max(exponent, -1000), 1000)  ->  min(max(exponent, -1000), 1001)"): PART,
}


@dataclass(frozen=True)
class Mutant:
    """One change of one line, and the module's source with it."""

    target: str
    path: str
    function: str
    line: int
    code: str
    change: str
    source: str

    def reason(self):
        """Why it computes the same, if it does."""
        return next((reason for entry, reason in EQUIVALENT.items() if explains(entry, self)), "")


def explains(entry, mutant):
    """Whether an entry of `EQUIVALENT` is about this mutant."""
    target, function, code, change = entry
    same_place = (mutant.target, mutant.function) == (target, function) and mutant.code.startswith(code)
    return same_place and mutant.change.startswith(change)


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


# Mutations -------------------------------------------------------------------------------------------------------

SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def constant(value):
    return ast.Constant(value)


def is_zero(node):
    return isinstance(node, ast.Constant) and node.value == 0 or isinstance(node, ast.Name) and node.id == "zero"


def subtract(node, value):
    return ast.BinOp(node, ast.Sub(), constant(value))


def replacements(node, parent):
    """Every node (or list of statements) that can take this one's place."""
    match node:
        case ast.Assign(targets=[ast.Tuple()]) | ast.Assign(value=ast.Call(func=ast.Attribute(attr="empty" | "zeros"))):
            pass
        case ast.Assign(targets=targets, value=value):
            if isinstance(value, ast.Constant) and isinstance(value.value, bool):
                yield ast.Assign(targets, constant(not value.value), lineno=0)
            elif not is_zero(value):
                yield ast.Assign(targets, ast.UnaryOp(ast.USub(), value), lineno=0)
                yield ast.Assign(targets, constant(0), lineno=0)
            if isinstance(targets[0], ast.Subscript):
                yield ast.Pass()
        case ast.AugAssign(target=target, op=op, value=value):
            yield ast.AugAssign(target, SWAPS[type(op)](), value)
            yield ast.Assign([target], value, lineno=0)
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.BinOp(left=left, op=op, right=right):
            yield ast.BinOp(left, SWAPS[type(op)](), right)
            yield left
            yield right
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(SWAPS[type(op)](), values)
            yield from values
        case ast.Compare(left=left, ops=[op], comparators=right):
            yield ast.Compare(left, [SWAPS[type(op)]()], right)
        case ast.Compare(left=left, ops=[first, second], comparators=right):
            yield ast.Compare(left, [SWAPS[type(first)](), second], right)
            yield ast.Compare(left, [first, SWAPS[type(second)]()], right)
        case ast.UnaryOp(operand=ast.Constant(value=value)):  # a negative number
            yield constant(value)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.Call(func=ast.Name(id="range"), args=[last]) if not isinstance(last, ast.IfExp):
            yield ast.Call(node.func, [subtract(last, 1)], [])
            yield ast.Call(node.func, [constant(1), last], [])
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=args):
            yield ast.Call(ast.Name({"min": "max", "max": "min"}[name], ast.Load()), args, [])
            yield from args
        case ast.Call(func=ast.Name(id="abs"), args=[value]):
            yield value
        case ast.Constant(value=int() as value) if not isinstance(value, bool) and not isinstance(parent, ast.UnaryOp):
            yield constant(value + 1)
        case ast.Name(id="zero" | "one" as name, ctx=ast.Load()):
            yield constant({"zero": 1, "one": 2}[name])
        case ast.Name(id="t") if isinstance(parent, ast.Tuple | ast.Subscript):
            yield ast.BinOp(node, ast.Add(), constant(1))
        case _:
            pass
    if isinstance(node, ast.If | ast.While) and not isinstance(node.test, ast.Constant):
        for value in (True, False)[isinstance(node, ast.While) :]:
            yield type(node)(constant(value), node.body, node.orelse)


def places(node):
    """All (parent, field, index or None, child) below a node, in the order of the source."""
    for field, value in ast.iter_fields(node):
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield node, field, index, child
                yield from places(child)


def first_line(node):
    return ast.unparse(node).split("\n")[0]


def mutants(target, path, functions):
    """Every mutant of the named functions of a file."""
    source = (ROOT / path).read_text()
    tree = ast.parse(source)
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in functions]
    for function in bodies:
        line = function.lineno
        for parent, field, index, child in list(places(function)):
            if parent is function and field != "body":
                continue
            line = getattr(child, "lineno", line)
            code = source.split("\n")[line - 1].strip()
            # A number or a name says little without what is around it.
            around = parent if isinstance(child, ast.Constant | ast.Name) and isinstance(parent, ast.expr) else None
            for new in replacements(child, parent):
                before = first_line(around or child)
                put(parent, field, index, copy.deepcopy(new))
                change = f"{before}  ->  {first_line(around or new)}"
                mutated = ast.unparse(ast.fix_missing_locations(tree))
                put(parent, field, index, child)
                yield Mutant(target, path, function.name, line, code, change, mutated)


def put(parent, field, index, node):
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def targets():
    """Target name to (path, functions): every cell, the loop, the layer."""
    cells = sorted(path.stem for path in (ROOT / "sandbox" / "cells").glob("[!_]*.py"))
    found = {name: (f"sandbox/cells/{name}.py", backward_functions(name)) for name in cells}
    scan = ast.parse((ROOT / "sandbox/kernels/scan.py").read_text())
    loop = [node.name for node in scan.body if isinstance(node, ast.FunctionDef) and node.name not in FORWARD]
    return found | {"scan": ("sandbox/kernels/scan.py", loop), "layers": ("sandbox/layers/recurrent.py", LAYER)}


def backward_functions(cell):
    """The functions of a cell's file that are part of its backward pass."""
    tree = ast.parse((ROOT / "sandbox" / "cells" / f"{cell}.py").read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return tuple(name for name in names if name.endswith("backward") or name == "pull_back")


# Running ---------------------------------------------------------------------------------------------------------


def examine(names, processes=None):
    """Results of all mutants of the named targets."""
    known = targets()
    todo = [mutant for name in names for mutant in mutants(name, *known[name])]
    processes = min(processes or os.cpu_count() or 1, len(todo))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shutil.copytree(ROOT / "sandbox", folder / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
        for name in (CHECKS, "naive"):
            shutil.copy(ROOT / "tests" / f"{name}.py", folder)
        settings = {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(folder), "OPENBLAS_NUM_THREADS": "1"}
        workers = []
        for number in range(processes):
            jobs = folder / f"{number}.json"
            jobs.write_text(json.dumps([(m.target, m.path, m.source) for m in todo[number::processes]]))
            command = [sys.executable, str(HERE), "--work", str(jobs)]
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


def work(jobs):
    """In a worker, inside the copy: run the checks against each mutant and print the killers."""
    import warnings

    import numpy as np

    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    sys.path.insert(0, os.getcwd())
    module = importlib.import_module(CHECKS)
    checks = list(found_checks(module))
    watchdog, limits = Watchdog(), {}
    killers = []
    for target, path, source in json.loads(Path(jobs).read_text()):
        if target not in limits:
            original, limits[target] = Path(path).read_text(), {}
            killer = first_failure(module, checks, target, watchdog, limits[target])
            if killer:
                print(f"{target}: {killer} fails before anything is mutated")
                sys.exit(1)
        install(module, path, source)
        killers.append(first_failure(module, checks, target, watchdog, limits[target]))
        install(module, path, original)
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


def found_checks(module):
    """(name, function, arguments) of every check that runs as plain Python: what kills most first, then the short."""
    functions = [value for name, value in vars(module).items() if name.startswith("test_")]
    for function in sorted(functions, key=lambda function: (function.__name__ != FIRST, takes_case(function))):
        marks = getattr(function, "pytestmark", [])
        if "plain_python" not in [mark.name for mark in marks]:
            continue
        choices = [[]]
        for mark in marks:
            if mark.name == "parametrize":
                names = [name.strip() for name in mark.args[0].split(",")]
                values = [value if len(names) > 1 else (value,) for value in mark.args[1]]
                choices = [[*chosen, *zip(names, value)] for chosen in choices for value in values]
        for chosen in choices:
            yield function.__name__.removeprefix("test_"), function, dict(chosen)


def takes_case(function):
    return "case" in inspect.signature(function).parameters


def install(module, path, source):
    """Execute a module's new source in its place."""
    name = path.removesuffix(".py").replace("/", ".")
    mutated = importlib.import_module(name)
    exec(compile(source, path, "exec"), mutated.__dict__)
    module.cells.load.cache_clear()
    if hasattr(mutated, "Layer"):
        module.Layer = mutated.Layer


def first_failure(module, checks, target, watchdog, limits):
    """Name of the first check that fails, or nothing. The first call notes in `limits` how long each check may take."""
    chosen = [case for case in module.cases() if str(case) in CASES.get(target, ()) or case.cell.name == target]
    for number, (name, function, arguments) in enumerate(checks):
        alone = not takes_case(function)
        if alone and target not in CASES:
            continue
        started = time.process_time()
        watchdog.deadline = started + limits.get(number, float("inf"))
        try:
            for case in [None] if alone else chosen:
                function(**arguments) if alone else function(case, **arguments)
        except KeyboardInterrupt:
            return f"{name} (does not end)"
        except AssertionError:
            return name
        except Exception as error:
            return f"{name} ({type(error).__name__})"
        finally:
            watchdog.deadline = float("inf")
        limits.setdefault(number, 0.5 + 5 * (time.process_time() - started))
    return ""


# Output ----------------------------------------------------------------------------------------------------------


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
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return work(arguments.work)
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

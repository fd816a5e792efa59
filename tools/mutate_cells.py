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
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parent.parent
FIRST = "test_gradient_by_every_number"  # kills most
CELL_CHECKS = ("test_cells", "test_noise")
MODEL_CHECKS = ("test_modules", "test_model")
WINDOW_CHECKS = ("test_window",)
ATTENTION, NORM, TRANSFORMER = ("test_attention",), ("test_norm",), ("test_transformer",)
MODEL = ("differentiate", "_run_segments", "_edges", "_mask", "_mean", "_spread", "noise_state", "set_noise_state",
         "_counts", "_within", "_cut")  # fmt: skip
SEQ2SEQ = ("differentiate", "_read", "_write", "noise_state", "set_noise_state", "generators", "_shifted")


@dataclass(frozen=True)
class Target:
    """What is mutated, and by what it has to be noticed.

    Parameters
    ----------
    path : str
    functions : tuple of str
        Their names, wherever in the file they are.
    checks : tuple of str
        Test modules: of these, the checks marked `plain_python` that need no fixture but `case`.
    cases : tuple of str
        The cases (as `str(case)`) on which checks that take one are run.
    """

    path: str
    functions: tuple[str, ...]
    checks: tuple[str, ...] = CELL_CHECKS
    cases: tuple[str, ...] = ()


def functions_of(path, wanted=lambda name: True):
    """Names of the functions at the top level of a file."""
    tree = ast.parse((ROOT / path).read_text())
    return tuple(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and wanted(node.name))


# Functions of scan.py that are not part of a backward pass.
FORWARD = {"forward", "_contiguous", "_add_inputs", "_add_products", "_zone_out"}


def parts():
    """Targets that are no cells. A new one is a line here, with `checks=("test_modules",)` where these check it."""
    return {
        "scan": Target("sandbox/kernels/scan.py", functions_of("sandbox/kernels/scan.py", lambda f: f not in FORWARD),
                       cases=("composite", "diagonal")),
        "layers": Target("sandbox/layers/recurrent.py", ("_parameter_gradients", "_inflow"),
                         cases=("gru-after", "composite", "diagonal")),
        "weights": Target("sandbox/kernels/weights.py", ("settle", "_plain_gradients"),
                          cases=("gru-after", "composite", "diagonal", "lstm1997-all")),
        "column sums": Target("sandbox/kernels/weights.py", ("add_sums",), MODEL_CHECKS),
        "rows": Target("sandbox/kernels/rows.py", functions_of("sandbox/kernels/rows.py"), MODEL_CHECKS),
        "dense": Target("sandbox/layers/dense.py", ("backward",), MODEL_CHECKS),
        "dense kernels": Target("sandbox/kernels/dense.py", functions_of("sandbox/kernels/dense.py"), MODEL_CHECKS),
        "bidirectional": Target("sandbox/layers/bidirectional.py", ("backward", "_parted", "_by_half"),
                                MODEL_CHECKS + ("test_seq2seq",)),
        "stack": Target("sandbox/layers/stack.py", ("backward", "_by_layer", "_hide"), MODEL_CHECKS),
        "model": Target("sandbox/model.py", MODEL, MODEL_CHECKS),
        "encoder": Target("sandbox/seq2seq/encoder.py", ("backward",), ("test_seq2seq",)),
        "decoder": Target("sandbox/seq2seq/decoder.py", ("backward",), ("test_seq2seq",)),
        "seq2seq": Target("sandbox/seq2seq/model.py", SEQ2SEQ, ("test_seq2seq",)),
        "forcing": Target("sandbox/seq2seq/forcing.py", ("mixed",), ("test_seq2seq",)),
        "window": Target("sandbox/layers/window.py", ("backward", "_parameter_gradients", "_given", "_flat", "places"),
                         WINDOW_CHECKS),
        "window kernels": Target("sandbox/kernels/window.py", functions_of("sandbox/kernels/window.py"), WINDOW_CHECKS),
        "attention": Target("sandbox/layers/attention.py", ("backward", "past", "_joined", "_places"), ATTENTION),
        "attention kernels": Target("sandbox/kernels/attention.py", functions_of("sandbox/kernels/attention.py"),
                                    ATTENTION),
        "norm": Target("sandbox/layers/norm.py", ("backward", "gelu_backward", "_elementwise"), NORM),
        "norm kernels": Target("sandbox/kernels/norm.py", functions_of("sandbox/kernels/norm.py"), NORM),
        "transformer": Target("sandbox/layers/transformer.py",
                              ("backward", "_around_backward", "_times", "last", "states"), TRANSFORMER),
    }  # fmt: skip


# Mutants that compute the same: (target, function, line, mutation), the last two as they begin, and the reason.
ITSELF = "0, or a truth negated, only leads to a copy of the tape onto itself"
SOONER = "rescales sooner, and rescaling is exact"
NOTHING = "of no outputs, or no states, there is nothing to add or split"
PART = "any part will do whose power of two exists, and no exponent is above 1023"
SHARED = "by how many threads something is done changes no bit, and plain Python shares nothing out"
MORE_ROWS = "more rows than are asked for are only work"
FILLED = "an array that is filled before it is read may be any"
NO_QUERY = "columns that stand for no query are read by none"
NO_ROWS = "a product of no rows does nothing"
SAVED = "what a single segment, or another head, does not need is only work"
EQUIVALENT = {
    ("layers", "_parameter_gradients", "parts =", ""): SHARED,
    ("layers", "_parameter_gradients", "threads.share(parts", "threads.share(parts, 1"): SHARED,
    ("layers", "_parameter_gradients", "room =", "space.plan[1]  ->"): "plain Python copies no blocks",
    ("weights", "_plain_gradients", "if part:", "if part:  ->  if False:"): SHARED,
    ("dense", "backward", "work =", ""): SHARED,
    ("column sums", "add_sums", "for i in range", "k - 1  ->  k"): "behind the last row there is nothing to add",
    ("window", "backward", "self.last, work =", "self._dz.size"): SHARED,
    ("window", "backward", "rows =", "len(dtrail) * B if inputs else (k - 1) * B  ->  len(dtrail)"): MORE_ROWS,
    ("window", "backward", "rows =", "k - 1  ->  k"): MORE_ROWS,
    ("window", "_parameter_gradients", "parts =", ""): SHARED,
    ("window", "_parameter_gradients", "threads.share(parts", "threads.share(parts, 1"): SHARED,
    ("window kernels", "forward", "count =", "min(TOGETHER, last - at)  ->  last - at"): "rows are done again, alike",
    ("window kernels", "forward", "row[j] =", "row[j] < zero  ->  row[j] <= zero"): "zero is zero",
    ("window kernels", "input_gradient", "if start < end:", "start < end  ->  start <= end"): NO_ROWS,
    ("attention", "backward", "threads.share(", "threads.share("): SHARED,
    ("attention", "backward", "da, product =", "(len(counts), 0)"): "of products there is no such gradient",
    ("attention", "_joined", "kv", "rows[0]  ->  rows[1]"): "keys and values are as many",
    ("attention kernels", "_panels", "return", ""): MORE_ROWS,
    (
        "attention kernels",
        "forward",
        "top[p, l], Z[p, l]",
        "(-np.inf, 0)",
    ): "it is multiplied by 0 at the first chunk",
    ("attention kernels", "forward", "_score(", "min(wide, i)  ->  wide"): NO_QUERY,
    ("attention kernels", "forward", "_hide(", "min(wide, i)  ->  wide"): NO_QUERY,
    ("attention kernels", "weights", "for p in", "panels if n else 0  ->  panels"): "without keys nothing is filled",
    ("attention kernels", "backward", "if n == 0:", "if n == 0:  ->  if False:"): "without keys nothing is added",
    ("attention kernels", "weights", "T, wide =", "VECTORS * "): "as plain Python a panel may be of any width",
    ("attention kernels", "_turn", "for j in", "min(j_first + APART, rows)  ->  rows"): MORE_ROWS,
    ("attention kernels", "_hide", "for j in", ""): "earlier keys are hidden from no query",
    ("attention kernels", "_go_on", "top[l] =", "row[l] > top[l]  ->  row[l] >="): "of two equal numbers any will do",
    ("norm", "backward", "threads.share(", "COST * x.size"): SHARED,
    ("norm", "_elementwise", "threads.share(", "COST * size"): SHARED,
    ("norm", "_elementwise", "size =", "flat[0]"): "all arrays are of one size",
    ("norm", "gelu_backward", "dx =", ""): FILLED,
    ("norm kernels", "normalise", "D, centred", "room[1]"): FILLED,
    ("norm kernels", "input_gradient", "n[j] =", "n[j] = (row[j] - mean) * scale  ->  n[j] = -"): "n only meets itself",
    ("norm kernels", "fill_sines", "rates =", ""): MORE_ROWS,
    ("model", "_run_segments", "several =", ""): SAVED,
    ("model", "_run_segments", "starts, noise =", "copy.deepcopy(states) if several else states  ->  copy"): SAVED,
    ("model", "_run_segments", "starts, noise =", "[self.noise_state()] if several else []  ->  [self"): SAVED,
    ("model", "_run_segments", "sums = np.zeros", "np.zeros((len(counts), self.stack.output_size)) if"): SAVED,
    ("model", "_run_segments", "if several:", "if several:  ->  if True:"): SAVED,
    ("scan", "backward", "in_place =", "in_place ="): ITSELF,
    ("scan", "backward", "if not in_place:", "if not in_place:  ->  if True:"): ITSELF,
    ("scan", "backward", "for b in range(first, last if dy", "dy.size and exponents.size  ->  exponents.size"): NOTHING,
    ("scan", "backward", "if dstates.size or", "if dstates.size or exponents.size:  ->  if True:"): NOTHING,
    ("scan", "backward", "block =", ""): "how many sums are kept changes last bits, which test_threads holds",
    ("scan", "backward", "if zoned.size:", "if zoned.size:  ->  if True:"): NOTHING,
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
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
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
    """Every target by name: all cells, then `parts`."""
    found = {}
    for path in sorted((ROOT / "sandbox" / "cells").glob("[!_]*.py")):
        file = f"sandbox/cells/{path.name}"
        found[path.stem] = Target(file, functions_of(file, lambda f: f.endswith("backward") or f == "pull_back"))
    return found | parts()


# Running ---------------------------------------------------------------------------------------------------------


def examine(names, processes=None):
    """Results of all mutants of the named targets."""
    known = targets()
    todo = [mutant for name in names for mutant in mutants(name, known[name].path, known[name].functions)]
    checks = {name: (known[name].checks, known[name].cases) for name in names}
    processes = min(processes or os.cpu_count() or 1, len(todo))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shutil.copytree(ROOT / "sandbox", folder / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "tests", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        settings = {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(folder), "OPENBLAS_NUM_THREADS": "1"}
        workers = []
        for number in range(processes):
            jobs = folder / f"{number}.json"
            jobs.write_text(json.dumps([checks, [(m.target, m.path, m.source) for m in todo[number::processes]]]))
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

    signal.signal(signal.SIGINT, signal.default_int_handler)  # the watchdog's; a background job would not hear it
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    sys.path.insert(0, os.getcwd())
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

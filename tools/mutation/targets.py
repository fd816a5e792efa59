"""What is mutated, which checks have to notice it, and which mutants compute the same."""

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
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


def targets():
    """Every target by name: all cells, then `parts`."""
    found = {}
    for path in sorted((ROOT / "sandbox" / "cells").glob("[!_]*.py")):
        file = f"sandbox/cells/{path.name}"
        found[path.stem] = Target(file, functions_of(file, lambda f: f.endswith("backward") or f == "pull_back"))
    return found | parts()


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
        "stack": Target("sandbox/layers/stack.py", ("backward", "_hide"), MODEL_CHECKS),
        "checks": Target("sandbox/layers/module.py", ("check_by_layer", "check_pass"), MODEL_CHECKS),
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
    ("attention kernels", "forward", "top[p, l], Z", "(-np.inf, 0)"): "it is multiplied by 0 at the first chunk",
    ("attention kernels", "forward", "_score(", "min(wide, i)  ->  wide"): NO_QUERY,
    ("attention kernels", "forward", "_hide(", "min(wide, i)  ->  wide"): NO_QUERY,
    ("attention kernels", "weights", "for p in", "panels if n else 0  ->  panels"): "without keys nothing is filled",
    ("attention kernels", "backward", "if n == 0:", "if n == 0:  ->  if False:"): "without keys nothing is added",
    ("attention kernels", "weights", "T, wide =", "PANEL_BYTES // "): "as plain Python a panel may be of any width",
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


def explains(entry, mutant):
    """Whether an entry of `EQUIVALENT` is about this mutant."""
    target, function, code, change = entry
    same_place = (mutant.target, mutant.function) == (target, function) and mutant.code.startswith(code)
    return same_place and mutant.change.startswith(change)

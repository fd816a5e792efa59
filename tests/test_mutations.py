"""No backward line may be wrong unnoticed: tools/mutate_cells.py breaks each in turn, and a common check turns red."""

import ast
import sys
import types
from pathlib import Path

import pytest

from sandbox import cells

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import mutate_cells as tool
from mutation import examiner, mutants, targets

# Mutants; 40 of every other cell. An antisymmetric step has one line that computes, and its pull_back.
LEAST = {"rnn": 45, "lstm": 300, "lstm1997": 100, "gru": 85, "janet": 60, "mgu": 85, "minlstm": 60, "antisymmetric": 28,
         "orthogonal": 75, "lru": 115, "lem": 120,
         "scan": 300, "layers": 40, "weights": 90, "rows": 90, "dense": 40, "stack": 45, "checks": 20, "model": 180,
         "window": 130, "window kernels": 200, "attention": 120, "attention kernels": 800, "norm kernels": 290,
         "transformer": 80}  # fmt: skip
# Cells left to the slow leg: all together take minutes. Any other, such as a new one, is broken in every run.
SLOW = set("""antisymmetric ctrnn indrnn janet lstm lstm1997 mgu mingru minimalrnn minlstm orthogonal rnn""".split())


def check(names, least):
    results = tool.examine(names)
    survivors = [f"{each.mutant.target}:{each.mutant.line} {each.mutant.change}" for each in results
                 if each.verdict == "SURVIVED"]  # fmt: skip
    assert not survivors
    for name in names:
        assert sum(each.mutant.target == name for each in results) >= least(name), name
    return results


def each_cell():
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in cells.names()]


@pytest.mark.parametrize("name", each_cell())
def test_every_mutant_of_a_cell_is_killed(name):
    results = check([name], lambda name: LEAST.get(name, 40))
    assert all(each.killer for each in results)  # none explained away


@pytest.mark.slow
def test_every_mutant_of_what_all_cells_share_is_killed_or_explained():
    parts = list(targets.parts())
    results = check(parts, lambda name: LEAST.get(name, 10))
    explained = [each.mutant for each in results if not each.killer]
    unused = [entry for entry in targets.EQUIVALENT if not any(targets.explains(entry, mutant) for mutant in explained)]
    assert not unused  # a reason given for a mutant that is not there any more
    assert len(explained) <= 20 + 0.05 * len(results)


def test_what_is_to_be_mutated_is_there():
    for name, target in targets.parts().items():
        source = ast.parse((targets.ROOT / target.path).read_text())
        there = {node.name for node in ast.walk(source) if isinstance(node, ast.FunctionDef)}
        assert set(target.functions) <= there, name


def test_a_check_that_misses_an_error_kills_as_well():
    """What pytest.raises raises when nothing is raised is no Exception."""
    module = types.ModuleType("test_sample")
    exec(CHECKS, module.__dict__)
    checks = examiner.Examiner("part", [module], (), examiner.Watchdog())
    assert [check[0] for check in checks.checks] == ["good", "bad", "bad"]
    assert checks.first_failure() == "bad (Failed)"
    module.broken = False
    assert checks.first_failure() == ""
    assert [check[0] for check in checks.checks] and all(check[-1] < 60 for check in checks.checks)


CHECKS = """
import pytest

broken = True

@pytest.mark.plain_python
def test_good():
    pass

@pytest.mark.plain_python
@pytest.mark.parametrize("value", [pytest.param((1, 2), id="a pair"), 3])
def test_bad(value):
    assert value in ((1, 2), 3)
    with pytest.raises(ValueError):
        if not broken:
            raise ValueError

@pytest.mark.plain_python
def test_with_a_fixture(tmp_path):
    assert False

def test_compiled_only():
    assert False
"""

SAMPLE = '''
def step_backward(t, dz, ds):
    """Not mutated: 1 + 1."""
    a, b = dz[t, 0], ds[0]
    for j in range(3):
        a[j] = b[j] * (1.0 - a[j])
        b[j] += a[j]
'''


def test_each_line_is_broken_in_each_way(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    (tmp_path / "cell.py").write_text(SAMPLE)
    made = list(mutants.mutants("cell", "cell.py", ["step_backward"]))
    by_line = {line: [mutant.change for mutant in made if mutant.line == line] for line in range(2, 8)}
    assert not by_line[2] and not by_line[3]
    assert by_line[4] == ["(t, 0)  ->  (t + 1, 0)", "(t, 0)  ->  (t, 1)", "ds[0]  ->  ds[1]"]
    assert by_line[5] == ["range(3)  ->  range(3 - 1)", "range(3)  ->  range(1, 3)", "range(3)  ->  range(4)"]
    assert by_line[6] == [
        "a[j] = b[j] * (1.0 - a[j])  ->  a[j] = -(b[j] * (1.0 - a[j]))",
        "a[j] = b[j] * (1.0 - a[j])  ->  a[j] = 0",
        "a[j] = b[j] * (1.0 - a[j])  ->  pass",
        "b[j] * (1.0 - a[j])  ->  b[j] + (1.0 - a[j])",
        "b[j] * (1.0 - a[j])  ->  b[j]",
        "b[j] * (1.0 - a[j])  ->  1.0 - a[j]",
        "1.0 - a[j]  ->  1.0 + a[j]",
        "1.0 - a[j]  ->  1.0",
        "1.0 - a[j]  ->  a[j]",
    ]
    assert by_line[7] == ["b[j] += a[j]  ->  b[j] -= a[j]", "b[j] += a[j]  ->  b[j] = a[j]", "b[j] += a[j]  ->  pass"]
    assert len({mutant.source for mutant in made}) == len(made)
    for mutant in made:
        compile(mutant.source, "cell.py", "exec")


def test_a_mutant_that_nothing_kills_is_said_to_survive():
    mutant = mutants.Mutant("lstm", "", "step_backward", 1, "dc[j] = d * f[j]", "d * f[j]  ->  d", "")
    assert tool.Result(mutant, "").verdict == "SURVIVED"
    assert tool.Result(mutant, "test").verdict == "killed by test"
    mutant = mutants.Mutant("scan", "", "_inflow", 1, "if power[b] < 0:", "power[b] < 0  ->  power[b] <= 0", "")
    assert tool.Result(mutant, "").verdict.startswith("equivalent: ")

"""The commands that measure, and the one that compiles: what they pass on, what they refuse."""

import subprocess
import sys
from types import ModuleType

import pytest
from click.testing import CliRunner

import sandbox.jit
from sandbox.cli import cli
from sandbox.jit import COMPILED


def run(*words):
    found = CliRunner().invoke(cli, list(words))
    return found.exit_code, found.output


@pytest.mark.parametrize("name, given, passed", [
    ("gemm", ["--dtype", "float32", "--seconds", "0.5"], {"dtype": "float32", "seconds": 0.5}),
    ("step", ["--quick"], {"quick": True}),
    ("step", ["--against", "jax", "--csv", "x.csv"], {"csv": "x.csv", "against": "jax", "quick": False}),
    ("update", ["--against", "none"], {"against": "none", "quick": False}), ("job", ["--quick"], {"quick": True}),
    ("start", ["--csv", "x.csv"], {"csv": "x.csv", "quick": False}), ("scaling", ["--quick"], {"quick": True}),
    ("sweep", ["--quick"], {"quick": True}), ("sweep", ["--against", "jax"], {"against": "jax", "quick": False}),
    ("parts", ["--quick"], {"quick": True}), ("crossover", ["--quick"], {"quick": True}),
])  # fmt: skip
def test_bench_passes_on_what_was_given(name, given, passed, monkeypatch):
    calls, module = [], ModuleType(f"sandbox.bench.{name}")
    setattr(module, name, lambda **options: calls.append(options))
    monkeypatch.setitem(sys.modules, f"sandbox.bench.{name}", module)
    assert run("bench", name, *given)[0] == 0
    assert calls == [passed]


def test_what_to_measure_must_be_said():
    code, text = run("bench")
    assert code == 2 and "choose from: crossover, gemm, job, parts, scaling, start, step, sweep, update" in text
    assert run("bench", "step", "--against", "keras") == (
        2,
        "error: unknown library 'keras' (choose from: torch, jax, none)\n",
    )


@pytest.mark.skipif(not COMPILED, reason="nothing to keep without the compiler")
def test_warm_compiles_into_the_cache_once(tmp_path, monkeypatch):
    """Small points of both experiments are run for each cell and type; a second call runs none."""
    ran = []
    monkeypatch.setattr(sandbox.jit, "cache_directory", lambda: tmp_path)
    monkeypatch.setattr("sandbox.warm.execute", lambda *given: ran.append(given[1]) or Done())
    code, text = run("warm", "--cell", "rnn,lstm")
    assert code == 0 and "compiled" in text and str(tmp_path) in text
    assert [(point.values["cell"], point.values["dtype"]) for point in ran] == 2 * [
        ("rnn", "float32"), ("rnn", "float64"), ("lstm", "float32"), ("lstm", "float64"),
    ]  # fmt: skip
    assert {point.values["hidden"] for point in ran} == {4}
    assert run("warm", "--cell", "rnn,lstm")[0] == 0 and len(ran) == 8
    run("warm", "--cell", "gru", "--dtype", "float32")
    assert len(ran) == 10


class Done:
    failed = False


def test_warm_refuses_what_cannot_be_kept(monkeypatch):
    monkeypatch.setattr(sandbox.jit, "COMPILED", True)
    monkeypatch.setattr(sandbox.jit, "cache_directory", lambda: None)
    assert run("warm")[0] == 2 and "the kernel cache must be writable" in run("warm")[1]
    assert run("warm", "--cell", "rnm")[1].startswith("error: unknown cell 'rnm'; did you mean 'rnn'")
    monkeypatch.setattr(sandbox.jit, "COMPILED", False)
    assert "NUMBA_DISABLE_JIT" in run("warm")[1]


def test_the_commands_are_shown_without_anything_heavy():
    code = (
        "import sys; from sandbox.cli import cli; cli(['bench', '--help'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "scaling" in done.stdout and not {"numpy", "numba", "rich"} & set(done.stdout.split())

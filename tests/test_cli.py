"""The command line as its users meet it: output, exit codes, one-line errors."""

import csv
import io
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import sandbox
from sandbox.cli import cli as command

ROOT = Path(sandbox.__file__).parents[1]

TOY = '''
import math
from pathlib import Path
from sandbox.experiment import Axis, Setting, experiment
from sandbox.report import Check, Column, Table

def read(path):
    text = Path(path).read_text(encoding="utf-8")
    if not text:
        raise ValueError(f"--text must be a file with text in it, got {path} (empty)")
    return text

def check(grid, settings):
    if settings.get("text") == "forbidden":
        raise ValueError("--text must not be forbidden")

@experiment(
    cell=Axis(["rnn", "lstm"], kind=str, choices=("rnn", "lstm", "gru")),
    hidden=[4],
    gain=[0.5, 1.0, 2.0],
    source=Axis(["noise"], kind=str, choices=("noise", "text")),
    seeds=3,
    quick=dict(gain=[0.5], seeds=1),
    presets={"paper": dict(hidden=[8], gain=[2.0, 4.0], seeds=2), "wide": dict(hidden=[64])},
    settings=(Setting("text", "a file", implies=("source", "text"), parse=read),),
    check=check,
    table=Table(
        [Column("rate", "rate / step", oracle="theory"), Column("half_life", "half-life"), "cause"],
        spark=("profile", "grad_h"), checks=[Check("rate", "theory", "rate = gain")], subject="a toy",
    ),
)
def toy(cell, hidden, gain, source, seed, text):
    """A toy of a vanishing gradient.

    What describe prints:
        indented.
    """
    rate = gain * (1 + seed / 1000)
    metrics = {"rate": rate, "theory": gain, "half_life": math.log(2) * hidden + seed, "cause": "weights"}
    metrics["gate_" + cell] = 1 / 3
    lags = list(range(20))
    return metrics, {"profile": {"lag": lags, "grad_h": [lag * math.log(rate) for lag in lags]}}
'''

FAILING = '''
from sandbox.experiment import experiment

@experiment(gain=[1.0, 2.0, 3.0], seeds=1)
def failing(gain, seed):
    """Raises at its second point."""
    if gain == 2.0:
        raise ValueError("no way")
    return {"twice": 2 * gain}
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with two experiments of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    for name, text in (("toy", TOY), ("failing", FAILING)):
        (tmp_path / "experiments" / f"{name}.py").write_text(text)
    return tmp_path


def run(*arguments):
    """Run a command line in this process."""
    result = CliRunner().invoke(command, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def only_run(name="toy"):
    (path,) = Path("results", name).iterdir()
    return path


# ------------------------------------------------------------------------------------------------- running


def test_run_prints_a_table_and_writes_a_run(here):
    result = run("run", "toy")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == "toy   a toy, hidden 4, source noise, 3 seeds, mean [95 %]"
    assert lines[1].split() == "cell gain │ rate / step theory half-life cause profile, lag 0 to 19".split()
    assert lines[3].startswith(" rnn    0.5 │ 0.5005 [0.4993 0.5017]")
    assert " check: rate = gain; largest deviation 0.004 over" in "\n".join(lines)
    assert re.fullmatch(r" 18 points in \d+\.\d s( \(.*\))?   results/toy/[\dT-]+-[a-z0-9]{3}/", lines[-1])
    assert result.stderr == ""
    table = list(csv.DictReader(io.StringIO((only_run() / "table.csv").read_text())))
    assert len(table) == 18 and {row["status"] for row in table} == {"ok"}


def test_show_prints_the_same_table(here):
    printed = run("run", "toy").stdout
    path = only_run()
    for name in ("toy", str(path), path.name, path.name[-3:], path.name[:19]):
        result = run("show", name)
        assert (result.exit_code, result.stdout) == (0, printed)
    assert json.loads(run("show", "toy", "--format", "json").stdout)["experiment"] == "toy"
    (here / "experiments" / "toy.py").unlink()
    assert run("show", "toy").stdout == printed


def test_flags_choose_the_grid(here):
    run("run", "toy", "--cell", "all", "--gain", "0.5:1:0.25,2", "--hidden", "2", "--hidden", "3", "--seed", "7,3")
    info = json.loads((only_run() / "run.json").read_text())
    assert info["axes"] == {
        "cell": ["rnn", "lstm", "gru"], "hidden": [2, 3], "gain": [0.5, 0.75, 1.0, 2.0], "source": ["noise"]
    }  # fmt: skip
    assert info["seeds"] == [7, 3] and info["rows"] == 3 * 2 * 4 * 2


def test_quick_and_what_overrides_it(here):
    assert "2 points" in run("run", "toy", "--quick").stdout
    assert "4 points" in run("run", "toy", "--quick", "--seeds", "2").stdout
    assert "6 points" in run("run", "toy", "--quick", "--gain", "1,2,3").stdout


def test_out_and_missing_parents(here):
    assert run("run", "toy", "--quick", "--out", "deep/er").exit_code == 0
    assert len(list(Path("deep/er/toy").iterdir())) == 1 and not Path("results").exists()
    assert run("show", "toy", "--out", "deep/er").exit_code == 0


def test_two_runs_give_the_same_bytes(here):
    run("run", "toy")
    run("run", "toy", "--force")
    first, second = Path("results/toy").iterdir()
    for name in ("table.csv", "curves.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("format", ["csv", "json", "md"])
def test_formats_for_programs_have_nothing_but_the_table_on_stdout(here, format):
    result = run("run", "toy", "--format", format)
    assert "check: rate = gain" in result.stderr and "18 points in" in result.stderr
    if format == "csv":
        assert len(list(csv.DictReader(io.StringIO(result.stdout)))) == 6
    elif format == "json":
        assert len(json.loads(result.stdout)["rows"]) == 6
    else:
        assert all(line.startswith("| ") and line.endswith(" |") for line in result.stdout.splitlines())


def test_dry_run_writes_nothing(here):
    result = run("run", "toy", "--dry-run", "--hidden", "4:8:2")
    assert result.exit_code == 0
    assert result.stdout.startswith("toy: 54 points = 18 combinations x 3 seeds\n")
    assert "hidden  4, 6, 8" in result.stdout and "would write results/toy/<time>-<id>/" in result.stdout
    assert not Path("results").exists()


def test_settings(here):
    (here / "book.txt").write_text("abc")
    result = run("run", "toy", "--quick", "--text", "book.txt")
    assert "source text" in result.stdout and "text book.txt" in result.stdout
    info = json.loads((only_run() / "run.json").read_text())
    assert info["settings"] == {"text": "book.txt"} and info["axes"]["source"] == ["text"]


def test_a_failing_point_is_named_and_the_exit_code_says_so(here):
    result = run("run", "failing")
    assert result.exit_code == 1
    assert " 1 of 3 points not ok, the first: gain 2.0, seed 0: error: no way" in result.stdout
    assert "2.0 │ -" in result.stdout


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run toyy", "unknown experiment 'toyy'; did you mean 'toy'?"),
        ("run toy --hiden 3", "unknown option --hiden; did you mean --hidden?"),
        ("run toy --zzzzz 3", "unknown option --zzzzz of sandbox run toy"),
        ("run --quick toy", "the experiment's name must come first, got --quick"),
        ("run toy --cell lsmt", "unknown cell 'lsmt'; did you mean 'lstm'?"),
        ("run toy --hidden 0", "hidden must be a whole number from 1 to 16384, got 0"),
        ("run toy --hidden -3", "hidden must be a whole number from 1 to 16384, got -3"),
        ("run toy --hidden abc", "hidden must be a whole number from 1 to 16384, got abc"),
        ("run toy --hidden 1e9", "hidden must be a whole number from 1 to 16384, got 1e9"),
        ("run toy --hidden=", "hidden must be a whole number from 1 to 16384, got nothing"),
        ("run toy --hidden", "requires an argument"),
        ("run toy --gain nan", "gain must be a finite number from 0 to 1000, got nan"),
        ("run toy --gain 1:2:0", "gain range must have a step that leads from start to stop"),
        ("run toy --gain 0:1000:0.01", "gain range must have at most 10000 values"),
        ("run toy --hidden 1:9999:1 --gain 0:1:0.0002", "a sweep must have at most 1000000 points"),
        ("run toy --seeds 0", "seeds must be a whole number from 1 to 100000, got 0"),
        ("run toy --seeds abc", "seeds must be a whole number from 1 to 100000, got abc"),
        ("run toy --seed 1,x", "seed must be a whole number from 0 to 4294967295, got x"),
        ("run toy --seed -1", "seed must be a whole number from 0 to 4294967295, got -1"),
        ("run toy --seeds 2 --seed 1", "got both"),
        ("run toy --format xml", "'xml' is not one of"),
        ("run toy --text gone.txt", "cannot read --text gone.txt: No such file or directory"),
        ("run toy --text empty.txt", "--text must be a file with text in it, got empty.txt (empty)"),
        ("run toy --text binary.txt", "codec can't decode"),
        ("run toy --text forbidden", "--text must not be forbidden"),
        ("run toy --text empty.txt --source noise", "--text has no effect because source is noise"),
        ("run toy --out file/below", "--out must be a folder that can be written, got file/below (Not a directory)"),
        ("run toy --out file", "--out must be a folder that can be written, got file"),
        ("run toy --out /proc/nowhere", "--out must be a folder that can be written, got /proc/nowhere"),
        ("run toy surplus", "unexpected extra argument (surplus)"),
        ("show nothing", "unknown run 'nothing' (no runs in results)"),
        ("show experiments", "experiments is not a run directory (it has no run.json)"),
        ("show file", "file is not a run directory (it is a file)"),
        ("show " + "x" * 5000, "unknown run 'xxx"),
        ("describe toyy", "did you mean 'toy'?"),
        ("rum toy", "unknown command 'rum'; did you mean 'run'?"),
        ("toy", "unknown command 'toy' (an experiment: sandbox run toy)"),
        ("describe toy --hidden 4", "--hidden must be given with a cell, got it with experiment toy"),
        ("describe adding --input-size 4", "--input-size must be given with a cell, got it with task adding"),
        ("describe nothing --layers 2", "unknown experiment, cell or task 'nothing'"),
        (
            "zzz",
            "unknown command 'zzz' (choose from: bench, cells, compare, data, describe, env, generate, list, "
            "plot, reproduce, results, run, show, sql, tasks, warm)",
        ),
        ("--zzz", "unknown option --zzz of sandbox"),
        ("bench gemm --dtype int8", "'int8' is not one of"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(here, arguments, message):
    (here / "file").write_text("x")
    (here / "empty.txt").write_text("")
    (here / "binary.txt").write_bytes(b"\xff\xfe\x00")
    before = sorted(here.rglob("*"))
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(r"error: [^\n]+\n", result.stderr)
    assert message in result.stderr
    assert sorted(here.rglob("*")) == before


def test_a_missing_name_lists_the_experiments(here):
    result = run("run")
    assert result.exit_code == 2 and result.stdout == ""
    assert "A toy of a vanishing gradient." in result.stderr


def test_a_file_that_does_not_import(here):
    (here / "experiments" / "broken.py").write_text("x = 1\ndef broken(:\n")
    assert "broken" in run("list").stdout
    result = run("run", "broken")
    assert result.exit_code == 2
    assert result.stderr == f"error: {Path('experiments', 'broken.py')} line 2 cannot be imported: invalid syntax\n"


# ------------------------------------------------------------------------------------------------- the rest


def test_list_names_files_of_ones_own(here):
    lines = run("list").stdout.splitlines()
    assert any(re.fullmatch(r"toy +A toy of a vanishing gradient\. +experiments.toy\.py", line) for line in lines)


def test_describe(here):
    text = run("describe", "toy").stdout
    assert "What describe prints:\n    indented." in text
    assert "hidden units, a whole number from 1 to 16384  [default: 4]" in text
    assert "--text" in text and "columns: rate, half_life, cause" in text
    assert "columns: rate, log10_grad_mid, " in run("describe", "vanishing").stdout  # once, though shown in two ways


def test_describe_says_which_variant_is_at_hand(here):
    for name, shown in (("adding", "sum"), ("adding:hs97", "hs97")):
        assert f"  variants  sum, hs97, mean, centred  [here: {shown}]\n" in run("describe", name).stdout
    assert "  variants  none\n" in run("describe", "copy").stdout


def test_options_of_a_cell_stand_in_a_column(here):
    lines = [line for line in run("describe", "lstm:nog").stdout.splitlines() if "[here: " in line]
    assert lines[0].startswith("  variant      of Greff") and lines[0].endswith("[here: nog]")
    assert lines[-1].startswith("  forget_bias  initial bias")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_an_experiment(here, flag):
    text = run("run", "toy", flag).stdout
    flat = " ".join(text.split())
    assert "What describe prints:\n      indented." in text
    assert "--cell LIST one of rnn, lstm, gru [default: rnn,lstm]" in flat
    assert "--gain LIST factor on the recurrent matrix, a finite number from 0 to 1000 [default: 0.5,1.0,2.0]" in flat
    assert [section in text for section in ("Axes:", "Settings:", "Options:")] == [True] * 3


def test_underscores_and_hyphens_both_work(here):
    (here / "experiments" / "long.py").write_text(
        "from sandbox.experiment import experiment\n"
        "@experiment(seq_len=[2], seeds=1)\n"
        "def long(seq_len, seed):\n    return {'n': seq_len * 2}\n"
    )
    for flag in ("--seq-len", "--seq_len"):
        assert "6" in run("run", "long", flag, "3", "--format", "csv").stdout


def test_help_lists_commands_and_experiments(here):
    text = run("--help").stdout
    assert all(
        name in text for name in ("bench", "cells", "compare", "env", "list", "reproduce", "results", "sql", "tasks")
    )
    assert run().stdout == text
    assert "A toy of a vanishing gradient." in run("run", "--help").stdout


def test_presets(here):
    assert "another grid: paper, wide" in run("run", "toy", "--help").stdout
    plan = run("run", "toy", "--preset", "paper", "--dry-run").stdout
    assert plan.startswith("toy: 8 points = 4 combinations x 2 seeds")
    assert re.search(r"^  hidden +8 ", plan, re.MULTILINE) and re.search(r"^  gain +2.0, 4.0 ", plan, re.MULTILINE)
    assert run("run", "toy", "--preset", "paper", "--gain", "1", "--seeds", "3", "--dry-run").stdout.startswith(
        "toy: 6 points = 2 combinations x 3 seeds"
    )
    assert run("run", "toy", "--preset", "wide", "--dry-run").stdout.startswith("toy: 18 points")
    for flags, line in {
        ("--preset", "papr"): "unknown preset 'papr'; did you mean 'paper'?",
        ("--preset", "x"): "unknown preset 'x' (choose from: paper, wide)",
        ("--preset", ""): "unknown preset '' (choose from: paper, wide)",
        ("--preset", "wide", "--quick"): "the grid must be --quick or --preset wide, got both",
    }.items():
        refused = run("run", "toy", *flags)
        assert (refused.exit_code, refused.stdout, refused.stderr) == (2, "", f"error: {line}\n")
    assert "unknown option --preset" in run("run", "failing", "--preset", "x").stderr
    assert not Path("results").exists()


def test_version(here):
    assert run("--version").stdout == f"rnn-sandbox {sandbox.__version__}\n"


def test_help_imports_nothing_heavy():
    code = "import sys, sandbox.cli; print({'numpy', 'numba', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == "set()\n"


def test_cells_and_env(here):
    options = r"variant=standard\|nig.* peepholes=none\|full forget_bias=1.0"
    assert re.search(rf"^lstm +i f g o +h c +33024 +{options} +Hochreiter", run("cells").stdout, re.MULTILINE)
    text = run("env").stdout
    assert re.search(r"^python +3\.", text, re.MULTILINE) and "rnn-sandbox" in text and "kernel hash" in text


def test_bench_passes_on_what_was_given(here, monkeypatch):
    from types import ModuleType

    given = []
    bench = ModuleType("sandbox.bench.gemm")
    bench.gemm = lambda **options: given.append(options)
    monkeypatch.setitem(sys.modules, "sandbox.bench.gemm", bench)
    run("bench", "gemm")
    run("bench", "gemm", "--dtype", "float32", "--seconds", "0.5")
    assert given == [{}, {"dtype": "float32", "seconds": 0.5}]


def test_kernel_counters_reach_the_table_and_run_json(here, monkeypatch):
    from types import ModuleType

    jit = ModuleType("sandbox.jit")
    recorded = []
    before = {"compiled": 5, "loaded": 2, "seconds": 1.0, "hash": "abc", "cpu": "x"}
    counts = itertools.chain([before], itertools.repeat(before | {"compiled": 17, "loaded": 5, "seconds": 19.24}))
    jit.stats, jit.record = lambda: next(counts), recorded.append
    monkeypatch.setitem(sys.modules, "sandbox.jit", jit)
    result = run("run", "toy", "--quick")
    assert "(compiled 12, loaded 3)" in result.stdout
    assert [(counted["compiled"], counted["loaded"]) for counted in recorded] == [(12, 3)]
    assert result.stderr == "compiled 12 kernels in 18.2 s\n"
    assert json.loads((only_run() / "run.json").read_text())["kernels"]["hash"] == "abc"

"""The commands `compare` and `reproduce` on real runs: tables, exit codes, one-line errors."""

import csv
import io
import json

import click
import pytest
from click.testing import CliRunner

from sandbox.cli import compare as commands
from sandbox.cli.frame import CommandLine
from sandbox.cli.run import run_group

TOY = '''
import os
from sandbox.experiment import Axis, experiment
from sandbox.report import Column, Table

@experiment(
    cell=Axis(["rnn", "lstm"], kind=str, choices=("rnn", "lstm", "gru")),
    gain=[0.5, 1.0, 2.0],
    lr=[0.1],
    seeds=4,
    table=Table([Column("loss", oracle="floor"), Column("speed", better="higher"), "cause"]),
)
def toy(cell, gain, lr, seed):
    """A toy."""
    if os.environ.get("TOY_FAIL"):
        raise ValueError("told to")
    loss = gain + lr * (1 + seed / 10) + float(os.environ.get("TOY_SHIFT", "0"))
    return {"loss": loss, "floor": 0.0, "speed": 1 / loss, "cause": "weights"}, {"c": {"x": [0, 1], "y": [loss, 2.0]}}
'''


@click.group(cls=CommandLine)
def cli():
    """Stands for the whole command line."""


for command in (run_group, *commands.COMMANDS):
    cli.add_command(command)


def call(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder with an experiment and two of its runs, which differ in lr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "toy.py").write_text(TOY)
    for lr in ("0.1", "0.2"):
        assert call("run", "toy", "--lr", lr, "--jobs", 1).exit_code == 0
    return sorted((tmp_path / "results" / "toy").iterdir(), key=lambda path: (path / "run.json").stat().st_mtime_ns)


def test_two_runs_are_compared(runs):
    done = call("compare", *runs)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[:3] == [f"A  {runs[0]}", f"B  {runs[1]}", "differs in  lr: A 0.1, B 0.2"]
    assert lines[3].startswith("toy   B against A, 4 seeds, mean, difference [95 %]")
    assert [line.split()[0] for line in lines[6:18]] == ["loss"] * 6 + ["speed"] * 6
    assert all(" worse " in line for line in lines[6:18])
    assert "12 rows: 12 worse; about 0.6 would show a difference by chance" in done.stdout
    assert "24 pairs of A's 24 and B's 24 rows" in lines[-1]
    assert call("compare", "toy@-2", "toy").stdout == done.stdout.replace(str(runs[0].parents[2]) + "/", "")


def test_by_metric_and_formats(runs):
    done = call("compare", *runs, "--by", "cell", "--metric", "loss", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["cell"], row["verdict"], row["n"]) for row in rows] == [("rnn", "worse", "4"), ("lstm", "worse", "4")]
    assert float(rows[0]["difference"]) == pytest.approx(0.115)
    data = json.loads(call("compare", *runs, "--format", "json").stdout)
    assert len(data["rows"]) == 12 and data["warnings"][2] == "differs in  lr: A 0.1, B 0.2"
    for format, start in (("md", "| metric | cell |"), ("tex", "%"), ("plain", "A  "), ("rich", "A  ")):
        found = call("compare", *runs, "--format", format)
        assert found.exit_code == 0 and found.stdout.startswith(start), format


def test_a_failed_gate_is_exit_1_and_says_where(runs):
    done = call("compare", *runs, "--by", "cell", "--fail-if", "loss > +5%", "--fail-if", "speed worse")
    assert done.exit_code == 1 and done.stdout.startswith("A  ")
    gates = [line for line in done.stderr.splitlines() if line.startswith("failed")]
    assert gates[0].startswith("failed: loss > +5%: cell rnn: A 1.282, B 1.397, +8.97 %") and len(gates) == 4
    assert call("compare", *runs, "--fail-if", "loss > +50%", "--fail-if", "speed better").exit_code == 0
    assert call("compare", *reversed(runs), "--fail-if", "speed better").exit_code == 1
    found = call("compare", *runs, "--metric", "loss", "--better", "loss=higher", "--fail-if", "loss worse")
    assert found.exit_code == 0 and " better " in found.stdout


def test_nothing_matched_is_exit_1(runs):
    call("run", "toy", "--lr", "0.1", "--gain", "7", "--cell", "gru,rnn", "--jobs", 1)
    done = call("compare", runs[0], "toy")
    assert done.exit_code == 1 and done.stdout == ""
    assert done.stderr == "nothing to compare: gain has no common value (A: 0.5, 1.0, 2.0; B: 7.0)\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "compare must have two runs or more, got 0 (or one run and --to published;"),
        (("toy",), "compare must have two runs or more, got 1 (or one run and --to published; cells of one run: "),
        (("toy", "nothing"), "unknown run 'nothing'"),
        (("toy", "toy", "--by", "gian"), "unknown axis 'gian'; did you mean 'gain'?"),
        (("toy", "toy", "--by", "cell,,gain"), "--by must be names with commas between, got cell,,gain"),
        (("toy", "toy", "--metric", "los"), "unknown metric 'los'"),
        (("toy", "toy", "--metric", "cause"), "metric must be numeric, got cause"),
        (("toy", "toy", "--metric", ""), "--metric must be names with commas between, got nothing"),
        (("toy", "toy", "--same", "x"), "--same must be a number from 0"),
        (("toy", "toy", "--better", "loss"), "--better must be METRIC=lower or METRIC=higher, got loss"),
        (("toy", "toy", "--better", "loss=up"), "better side of loss must be lower or higher, got up"),
        (("toy", "toy", "--fail-if", "loss"), "--fail-if must be METRIC"),
        (("toy", "toy", "--fail-if", "los > 5"), "unknown metric 'los'"),
        (("toy", "toy", "--list"), "--list must be given with --to published"),
        (("toy", "--to", "papers"), "--to must be published or published:KEY, got papers"),
        (("toy", "--to", "published:"), "--to must be published or published:KEY, got published:"),
        (("toy", "toy", "--to", "published"), "compare --to published must have one run, got 2"),
        (("toy", "--to", "published", "--fail-if", "loss worse"), "--fail-if must not be given with --to published"),
        (("toy", "--to", "published", "--same", "1%"), "--same must not be given with --to published"),
        (("toy", "--to", "published:tcn_adding600"), "unknown published key 'tcn_adding600'; did you mean"),
        (("toy", "--to", "published:tcn_smnist_GRU"), "--metric must say what stands for 'acc %' of tcn_smnist_GRU"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(runs, arguments, said):
    done = call("compare", *arguments)
    assert done.exit_code == 2 and done.stdout == ""
    assert done.stderr.startswith(f"error: {said}") and done.stderr.count("\n") == 1


def test_published_numbers(runs):
    done = call("compare", "toy", "--to", "published")
    assert done.exit_code == 1 and done.stderr.startswith("no published number fits results/toy/")
    done = call("compare", "toy", "--to", "published:tcn_adding600_GRU", "--metric", "loss", "--by", "cell")
    assert done.exit_code == 0 and "tcn_adding600_GRU: adding T=600 loss; GRU; 70K parameters" in done.stdout
    done = call("compare", "--to", "published", "--list", "adding", "gru")
    assert done.exit_code == 0 and [line.split()[0] for line in done.stdout.splitlines()] == [
        "key",
        "tcn_adding600_GRU",
    ]
    assert call("compare", "--to", "published", "--list", "no such words").exit_code == 1


def test_a_run_is_reproduced(runs):
    done = call("reproduce", runs[0], "--jobs", 1)
    assert done.exit_code == 0, done.output
    verdict, changed, then, now = done.stdout.splitlines()
    assert verdict == "identical   24 rows; table.csv and curves.csv have the same bytes"
    assert changed == "changed  nothing that was recorded"
    assert then == f"then {runs[0]}/" and now.startswith("now  results/toy/")


def test_another_result_differs_and_says_what_has_changed(runs, monkeypatch):
    (runs[0].parents[2] / "experiments" / "toy.py").write_text(TOY + "\n# edited\n")
    monkeypatch.setenv("TOY_SHIFT", "1e-9")
    monkeypatch.setenv("SANDBOX_NO_PLOT", "yes")
    done = call("reproduce", runs[0], "--jobs", 1)
    assert done.exit_code == 0 and done.stdout.startswith("within 1e-8   24 rows; largest relative deviation ")
    assert "changed  SANDBOX_NO_PLOT: then 1, now yes" in done.stdout
    assert "changed  code of the experiment: then " in done.stdout
    monkeypatch.setenv("TOY_SHIFT", "1e-3")
    assert call("reproduce", runs[0], "--jobs", 1).exit_code == 1
    assert call("reproduce", runs[0], "--jobs", 1, "--within", "0.01").exit_code == 0


def test_a_run_that_cannot_be_made_again(runs):
    (runs[0].parents[2] / "experiments" / "toy.py").unlink()
    done = call("reproduce", runs[0])
    assert done.exit_code == 2 and done.stderr.startswith("error: unknown experiment 'toy'")


def test_a_run_without_rows_is_refused(runs):
    info = json.loads((runs[1] / "run.json").read_text())
    empty = runs[1].with_name("2199-01-01T00-00-00-aaa")
    empty.mkdir()
    (empty / "journal").touch()
    (empty / "run.json").write_text(json.dumps({**info, "status": "running", "rows": 0, "started": "2199-01-01"}))
    for arguments in (("compare", runs[0], "toy"), ("reproduce", "toy")):
        done = call(*arguments)
        said = "error: results/toy/2199-01-01T00-00-00-aaa must have rows to be compared, got none (broken off)\n"
        assert (done.exit_code, done.stderr, done.stdout) == (2, said, "")


def test_a_part_of_a_grid_is_made_again_as_a_part(runs, monkeypatch):
    monkeypatch.setenv("TOY_FAIL", "1")
    call("run", "toy", "--lr", "0.3", "--jobs", 1)
    monkeypatch.delenv("TOY_FAIL")
    assert call("run", "toy", "--lr", "0.1,0.3", "--gain", "2,8", "--only-failed", "--jobs", 1).exit_code == 0
    done = call("reproduce", "toy", "--jobs", 1)
    assert done.exit_code == 0 and done.stdout.startswith("identical"), done.output

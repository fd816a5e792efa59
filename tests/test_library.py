"""Studies from Python: running, loading, and runs as columns, tables and data frames."""

import doctest
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import sandbox
from sandbox import library
from sandbox.errors import UsageError
from sandbox.experiment import experiment
from sandbox.report import Table
from sandbox.results import Run, reader

SOURCE = '''
import os
from sandbox.experiment import Setting, experiment

@experiment(
    cell=["rnn", "lstm"], hidden=[4, 8], gain=[0.5, 1.0], seeds=2,
    quick=dict(hidden=[2], seeds=1), presets={"paper": dict(hidden=[64])}, settings=[Setting("text", "a text")],
)
def widths(cell, hidden, gain, seed, text):
    """Product of width and gain."""
    with open("calls", "a") as calls:
        calls.write(f"{cell} {hidden} {gain} {seed} {text}\\n")
    if os.path.exists("broken") and hidden == 8:
        raise ValueError("out of luck")
    return {"product": hidden * gain, "said": text}, {"decay": {"lag": [0, 1], "norm": [gain, gain / 2]}}
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "widths.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here):
    return sandbox.run("widths", jobs=1)


def calls():
    """How often the experiment was called so far."""
    path = Path("calls")
    return len(path.read_text().splitlines()) if path.exists() else 0


def refused(call, said):
    with pytest.raises(UsageError) as caught:
        call()
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert calls() == 0


def test_examples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [doctest.testmod(module, optionflags=doctest.ELLIPSIS) for module in (library, reader)]
    assert [result.failed for result in found] == [0, 0] and all(result.attempted >= 3 for result in found)


# ------------------------------------------------------------------------------------------------------- running


def test_a_study(here):
    run = sandbox.run("widths", cell="lstm", hidden=[4, 16], gain="0.5:1:0.25", seeds=3, text="hello", jobs=1)
    assert isinstance(run, sandbox.Run) and isinstance(run, Run) and len(run) == calls() == 2 * 3 * 3
    assert run.axes == {"cell": ["lstm"], "hidden": [4, 16], "gain": [0.5, 0.75, 1.0]}
    assert run["product"].tolist() == [hidden * gain for hidden in (4, 16) for gain in (0.5, 0.75, 1.0) for _ in "123"]
    assert set(run["said"]) == {"hello"} and run.info["status"] == "finished"
    assert run.info["command"] == (
        "sandbox.run('widths', cell='lstm', hidden=[4, 16], gain='0.5:1:0.25', text='hello', seeds=3, jobs=1)"
    )
    assert sandbox.load("widths@latest").path == sandbox.load(run.path).path == run.path


def test_what_is_done_is_not_run_again(here):
    first = sandbox.run("widths", jobs=1)
    assert calls() == 16
    assert sandbox.run("widths", jobs=1).path == first.path and calls() == 16
    assert len(sandbox.run("widths", hidden=[8, 16], jobs=1)) == 16 and calls() == 24
    sandbox.run("widths", force=True, hidden=4, jobs=1)
    assert calls() == 32


def test_arrays_of_values(here):
    run = sandbox.run("widths", hidden=np.array([3, 5]), gain=np.float64(0.5), seed=np.arange(2, 4), jobs=np.int64(1))
    assert run.axes["hidden"] == [3, 5] and run.info["seeds"] == [2, 3] and run.axes["gain"] == [0.5]
    assert run.info["command"] == "sandbox.run('widths', hidden=[3, 5], gain=0.5, seed=[2, 3], jobs=1)"
    json.dumps(run.info)


@pytest.mark.parametrize("pairs", ["hidden,gain", ["hidden", "gain"], [("hidden", "gain")], ["hidden,gain"]])
def test_axes_that_vary_together(here, pairs):
    run = sandbox.run("widths", cell="rnn", zip=pairs, seeds=1, jobs=1)
    assert list(zip(run["hidden"], run["gain"], strict=True)) == [(4, 0.5), (8, 1.0)]


def test_a_part_of_the_grid(here):
    run = sandbox.run("widths", where="cell != 'rnn' or hidden < 8", seed=[7], jobs=1)
    assert len(run) == 6 and set(run["seed"]) == {7}
    for sample in (3, (3, 0), "3:0"):
        assert len(sandbox.run("widths", sample=sample, seeds=2, jobs=1)) == 6
    assert len(sandbox.run("widths", quick=True, jobs=1)) == 4
    assert sandbox.run("widths", preset="paper", cell="rnn", jobs=1).axes["hidden"] == [64]


def test_points_that_failed_are_run_again_alone(here):
    (here / "broken").touch()
    run = sandbox.run("widths", jobs=1)
    assert sorted(set(run["status"])) == ["error", "ok"] and calls() == 16
    (here / "broken").unlink()
    again = sandbox.run("widths", only_failed=True, jobs=1)
    assert calls() == 24 and set(again["status"]) == {"ok"} and len(again) == 16


def test_an_interrupt_keeps_what_is_done_and_resume_goes_on(here, monkeypatch):
    def interrupted(*arguments, watch, **options):
        def stop(row):
            if calls() == 5:
                raise KeyboardInterrupt
            watch(row)

        return carry_out(*arguments, watch=stop, **options)

    carry_out = library.study.carry_out
    with monkeypatch.context() as patch:
        patch.setattr(library.study, "carry_out", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sandbox.run("widths", jobs=1)
    broken = sandbox.load("widths")
    assert repr(broken).startswith("<run of widths: 5 of 16 points, interrupted, results")
    whole = sandbox.run("widths", resume="latest", jobs=1)
    assert whole.path == broken.path and len(whole) == calls() == 16 and whole.info["status"] == "finished"


def test_workers_give_the_same_rows(here):
    one = sandbox.run("widths", hidden=4, jobs=1)
    two = sandbox.run("widths", hidden=4, jobs=2, force=True)
    assert (one.path / "table.csv").read_bytes() == (two.path / "table.csv").read_bytes() and one.path != two.path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hiden": 3}, "unknown axis, setting or option 'hiden'; did you mean 'hidden'?"),
        ({"seds": 3}, "unknown axis, setting or option 'seds'; did you mean 'seeds'?"),
        ({"hidden": "x"}, "hidden must be a whole number"),
        ({"hidden": []}, "the list is empty"),
        ({"cell": "lsmt"}, "unknown cell 'lsmt'; did you mean 'lstm'?"),
        ({"text": 3}, "text must be a text, got 3"),
        ({"seeds": 0}, "seeds must be a whole number from 1"),
        ({"seeds": 2, "seed": [1]}, "got both"),
        ({"preset": "papr"}, "unknown preset 'papr'; did you mean 'paper'?"),
        ({"zip": "hidden,gian"}, "unknown axis 'gian'; did you mean 'gain'?"),
        ({"zip": 3}, "zip must be names of axes, got 3"),
        ({"where": "hiden > 3"}, "hiden"),
        ({"where": True}, "where must be a text, got True"),
        ({"sample": "many"}, "--sample must be K or K:SEED, got many"),
        ({"jobs": 0}, "jobs must be a whole number from 1 to 4096, got 0"),
        ({"timeout_per_point": -1}, "timeout_per_point must be a finite number above 0, got -1"),
        ({"executor": "spark"}, "executor must be one of local, dask"),
        ({"out": ""}, "out must be a folder, got ''"),
        ({"force": True, "only_failed": True}, "got both"),
        ({"resume": "latest", "hidden": 3}, "resume must be given without hidden"),
        ({"resume": "latest", "seeds": 3}, "resume must be given without seeds"),
        ({"resume": "latest"}, "unknown run 'latest'"),
    ],
)
def test_what_breaks_a_rule_is_refused_before_anything_runs(here, options, said):
    refused(lambda: sandbox.run("widths", **options), said)
    assert not list(here.glob("results"))


def test_experiments_that_are_none(here):
    refused(lambda: sandbox.run("width"), "unknown experiment 'width'; did you mean 'widths'?")
    refused(lambda: sandbox.run(len), "experiment must be a name or a decorated function, got <built-in")
    refused(lambda: sandbox.load("widths"), "unknown run 'widths' (no runs in results)")


def test_an_experiment_of_a_notebook_runs_every_time_anew(here):
    def made(factor):
        @experiment(hidden=[1, 2], seeds=1, table=Table(["n"]))
        def scaled(hidden, seed):
            """Not in a file of its own."""
            return {"n": factor * hidden}

        return scaled

    assert sandbox.run(made(1))["n"].tolist() == [1.0, 2.0]
    assert sandbox.run(made(10))["n"].tolist() == [10.0, 20.0]  # the code is another, and nothing tells
    refused(lambda: sandbox.run(made(1), only_failed=True), "only_failed must be used with an experiment from a file")
    refused(lambda: sandbox.run(made(1), resume="latest"), "resume must be used with an experiment from a file")
    refused(lambda: sandbox.run(made(1), jobs=2), "experiment 'scaled' must come from a file")


def test_an_imported_experiment_is_the_one_of_its_file(here, monkeypatch):
    monkeypatch.syspath_prepend(here / "experiments")
    monkeypatch.delitem(sys.modules, "widths", raising=False)
    import widths

    assert widths.widths.source == b""
    first = sandbox.run(widths.widths, hidden=4, jobs=1)
    assert sandbox.run("widths", hidden=4, jobs=1).path == first.path and calls() == 8


# ------------------------------------------------------------------------------------------------- a run as data


def test_columns(run):
    assert run.columns == ["cell", "hidden", "gain", "seed", "product", "said", "status", "error"] == list(run)
    assert len(run) == 16 and "product" in run and "nothing" not in run
    assert run["hidden"].dtype == np.int64 and run["product"].dtype == np.float64
    assert run["cell"].tolist() == ["lstm"] * 8 + ["rnn"] * 8
    with pytest.raises(UsageError, match="unknown column 'prodct'; did you mean 'product'"):
        run["prodct"]


def test_data_frames(run):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = run.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and list(frame) == run.columns and len(frame) == 16
    assert frame.groupby("cell")["product"].mean().to_dict() == {"lstm": 4.5, "rnn": 4.5}
    table = run.to_polars()
    assert isinstance(table, polars.DataFrame) and table.columns == run.columns and table.shape == (16, 8)
    assert table["hidden"].dtype == polars.Int64 and table["cell"].dtype == polars.String
    assert table["product"].to_list() == frame["product"].to_list() == run["product"].tolist()


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_without_the_package_one_line(run, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError) as caught:
        getattr(run, f"to_{name}")()
    assert str(caught.value) == f"to_{name} needs {name}, which is missing (pip install {name})"


def test_what_is_shown(run):
    from io import StringIO

    from rich.console import Console

    assert repr(run) == f"<run of widths: 16 of 16 points, finished, {run.path}>"
    assert run.report().run == str(run.path) and run.table.startswith("widths   2 seeds, mean")
    assert len(run.table.splitlines()) == 1 + 2 + 8 + 1
    wide, narrow = StringIO(), StringIO()
    Console(file=wide, width=200, color_system=None).print(run)
    Console(file=narrow, width=40, color_system=None).print(run)
    assert [line.rstrip() for line in wide.getvalue().splitlines()] == run.table.splitlines()
    paths = str(run.path)
    assert all(len(line) <= 40 or paths in line for line in narrow.getvalue().splitlines())
    html = run._repr_html_()
    assert html.count("<tr>") == 9 and "widths" in html and "<script" not in html


def test_curves_in_long_form(run):
    frame = run.curves_frame("decay")
    assert list(frame) == ["cell", "hidden", "gain", "seed", "lag", "norm"]
    assert {len(column) for column in frame.values()} == {32}
    assert frame["norm"].tolist() == [gain / (1 + lag) for gain, lag in zip(frame["gain"], frame["lag"], strict=True)]
    assert frame["lag"].dtype == np.float64 and frame["hidden"].dtype == np.int64
    with pytest.raises(UsageError, match="unknown curve 'decy'; did you mean 'decay'"):
        run.curves_frame("decy")


def test_curves_of_which_some_rows_have_none(tmp_path, monkeypatch):
    @experiment(kind=["both", "one", "none", "text"], seeds=1)
    def uneven(kind, seed):
        """Series that differ from row to row."""
        curves = {"both": {"lag": [0], "a": [1.0], "b": [2]}, "one": {"lag": [0, 1], "b": [None, math.inf]}, "none": {}}
        return {"n": 1}, ({"c": {"lag": [0], "b": ["x"]}, "d": curves["one"]} if kind == "text" else
                          {"d": curves[kind]} if curves[kind] else {})  # fmt: skip

    monkeypatch.chdir(tmp_path)
    run = sandbox.run(uneven)
    frame = run.curves_frame("d")
    assert frame["kind"].tolist() == ["both", "one", "one", "text", "text"]
    assert frame["lag"].tolist() == [0.0, 0.0, 1.0, 0.0, 1.0]
    assert [repr(value) for value in frame["a"].tolist()] == ["1.0", "nan", "nan", "nan", "nan"]
    assert [repr(value) for value in frame["b"].tolist()] == ["2.0", "nan", "inf", "nan", "inf"]
    assert run.curves_frame("c")["b"].tolist() == ["x"]


def test_the_example_of_the_results_page_runs(tmp_path, monkeypatch, capsys):
    page = (Path(sandbox.__file__).parents[1] / "docs" / "results.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(example, scope)
    assert scope["again"].path == scope["run"].path and len(scope["run"]) == 12
    assert "half-life" in capsys.readouterr().out


def test_the_results_page_knows_every_key_of_run_json(run):
    page = (Path(sandbox.__file__).parents[1] / "docs" / "results.md").read_text()
    table = page.partition("## run.json")[2].partition("\n## ")[0]
    first = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)`", first)) == set(run.info)

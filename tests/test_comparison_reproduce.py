"""A run made again: identical, within 1e-k, or differs; and what has changed around it."""

import math

import pytest
from comparison_runs import made

from sandbox.comparison.reproduce import reproduce

GRID = {"cell": ["rnn", "lstm"], "gain": [0.5, 1.0]}


def written(tmp_path, name, factor=1.0, curve=None, where=None, **info):
    """A run in a folder of its own; `factor` is what the loss of one row is multiplied by."""

    def metrics(row):
        off = factor if (row["cell"], row["gain"], row["seed"]) == (where or ("lstm", 0.5, 1)) else 1.0
        return {"loss": (1.5 + row["seed"]) * off, "t": None, "name": "x"}

    run = made(GRID, metrics, path=tmp_path / name, **info)
    run.path.mkdir()
    (run.path / "table.csv").write_text("\n".join(map(repr, run.column("loss").tolist())))
    lines = [f"rnn,0.5,0,profile,{x},grad,{1.0 + x}" for x in range(5)] if curve is None else curve
    (run.path / "curves.csv").write_text(
        "cell,gain,seed,curve,x,series,value\n" + "".join(f"{line}\n" for line in lines)
    )
    return run


def test_the_same_bytes_are_identical(tmp_path):
    a, b = written(tmp_path, "a"), written(tmp_path, "b", cpu="another")
    found = reproduce(a, b)
    assert found.verdict == found.word == "identical"
    assert found.lines() == [
        "identical   12 rows; table.csv and curves.csv have the same bytes", "changed  cpu: then a cpu, now another",
    ]  # fmt: skip
    assert reproduce(a, a).lines()[1:] == ["changed  nothing that was recorded"]


@pytest.mark.parametrize(("size", "verdict"), [(3e-10, "within 1e-9"), (1.5e-7, "within 1e-6"), (2e-6, "differs")])
def test_rounding_is_within_and_more_differs(tmp_path, size, verdict):
    a, b = written(tmp_path, "a"), written(tmp_path, "b", 1 + size)
    found = reproduce(a, b)
    assert found.verdict == verdict
    (worst,) = found.deviations
    assert worst.column == "loss" and worst.size == pytest.approx(size, rel=1e-3)
    assert worst.where == "cell lstm gain 0.5 seed 1"
    assert f"the worst: loss at cell lstm gain 0.5 seed 1, then 2.5, now {2.5 * (1 + size)!r}" in found.lines()[0]
    assert reproduce(a, b, tolerance=1e-5).word == "within"
    assert reproduce(a, b, tolerance=1e-12).word == "differs"


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_number_beside_none_differs(tmp_path, factor):
    found = reproduce(written(tmp_path, "a"), written(tmp_path, "b", factor))
    assert found.word == "differs" and found.deviations[0].size == math.inf
    assert "largest relative deviation loss without bound" in found.lines()[0]


def test_curves_count(tmp_path):
    a = written(tmp_path, "a")
    near = [f"rnn,0.5,0,profile,{x},grad,{(1.0 + x) * (1 + 1e-9 * (x == 3))!r}" for x in range(5)]
    found = reproduce(a, written(tmp_path, "b", curve=near))
    assert found.verdict in ("within 1e-9", "within 1e-8") and found.deviations[0].column == "profile.grad"
    assert found.deviations[0].where == "rnn 0.5 0 3"
    assert reproduce(a, written(tmp_path, "c", curve=near[:3])).word == "differs"
    other = [line.replace("rnn", "gru") for line in near]
    assert reproduce(a, written(tmp_path, "d", curve=other)).deviations[0].column == "curves.csv"
    text = [line.replace(",4.0", ",x") for line in near]
    assert reproduce(a, written(tmp_path, "e", curve=text)).word == "differs"


def test_missing_rows_metrics_and_statuses_differ(tmp_path):
    a, b = written(tmp_path, "a"), written(tmp_path, "b", 1 + 1e-12)
    for values in b.columns.values():
        del values[0]
    found = reproduce(a, b)
    assert found.word == "differs" and found.rows == 11
    assert "rows without bound" in found.lines()[0] and "then there, now missing" in found.lines()[0]

    c = written(tmp_path, "c", 1 + 1e-12)
    c.metrics.remove("t")
    assert [each.column for each in reproduce(a, c).deviations] == ["t", "loss"]

    d = written(tmp_path, "d", 1 + 1e-12)
    d.columns["status"][4], d.columns["name"][5] = "nonfinite", "y"
    assert [each.column for each in reproduce(a, d).deviations] == ["status", "name", "loss"]

    e = made({"cell": ["gru"], "gain": [3.0]}, lambda row: {"loss": 1.0}, path=tmp_path / "e")
    e.path.mkdir()
    found = reproduce(a, e)
    assert found.word == "differs" and "cell has no common value (then: rnn, lstm; now: gru)" in found.lines()[0]


def test_a_run_that_was_broken_off_is_compared_as_far_as_it_goes(tmp_path):
    a, b = written(tmp_path, "a", status="interrupted"), written(tmp_path, "b")
    for values in a.columns.values():
        del values[-2:]
    (a.path / "table.csv").write_text("half")
    found = reproduce(a, b)
    assert found.verdict == "identical" and found.rows == 10
    assert found.lines()[0] == "identical   10 rows; then interrupted: only the rows it has are compared, and no curves"


def test_equal_values_in_other_bytes_are_within_the_smallest(tmp_path):
    a, b = written(tmp_path, "a"), written(tmp_path, "b")
    (b.path / "table.csv").write_text("other")
    found = reproduce(a, b)
    assert found.verdict == "within 1e-16" and "every value is the same, the files are not" in found.lines()[0]

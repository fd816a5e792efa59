"""Points of a grid and running them: order, failures, and the shapes an experiment may return."""

import numpy as np
import pytest

from sandbox import sweep
from sandbox.experiment import Axis, UsageError, experiment


def wrap(function):
    """Declare `function` over two gains."""
    return experiment(gain=[1.0, 2.0], seeds=2)(function)


def rows_of(experiment, grid, seeds, order=None, settings=None):
    """Run the points of a grid one after another, in another order if one is given."""
    listed = sweep.points(experiment, grid, seeds)
    chosen = listed if order is None else [listed[at] for at in order]
    return sweep.Serial(experiment, settings).run(chosen)


@experiment(mode=["b", "a"], gain=[2.0, 1.0], seeds=2)
def plain(mode, gain, seed):
    """Nothing special."""
    return {"product": gain * seed}


def only(returned):
    """Run one point of an experiment which returns `returned`."""

    def constant(gain, seed):
        return returned

    return sweep.execute(wrap(constant), sweep.Point({"gain": 1.0}, 0))


def test_points_in_declared_order_with_the_seed_innermost():
    listed = sweep.points(plain, {"gain": [2.0, 1.0], "mode": ["b", "a"]}, [3, 7])
    flat = [(*point.values.values(), point.seed) for point in listed]
    assert flat[:3] == [("b", 2.0, 3), ("b", 2.0, 7), ("b", 1.0, 3)]
    assert flat[-1] == ("a", 1.0, 7)
    assert len(flat) == len(set(flat)) == sweep.count(plain.grid(), [3, 7]) == 8


def test_a_grid_no_one_means_to_run():
    grid = {"gain": list(range(10_000)), "mode": list(range(10_000))}
    with pytest.raises(UsageError, match="at most 1000000 points, got 100000000"):
        sweep.count(grid, [0])


def test_rows_arrive_as_they_finish():
    rows = rows_of(plain, plain.grid(), [0, 1])
    first = next(rows)
    assert (first.point.values, first.point.seed, first.status) == ({"mode": "b", "gain": 2.0}, 0, "ok")
    assert first.seconds >= 0
    assert len(list(rows)) == 7


def test_order_changes_nothing_but_the_order():
    straight = list(rows_of(plain, plain.grid(), [0, 1]))
    turned = list(rows_of(plain, plain.grid(), [0, 1], order=range(7, -1, -1)))
    assert [row.point for row in turned] == [row.point for row in reversed(straight)]
    assert [row.metrics for row in turned] == [row.metrics for row in reversed(straight)]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("no\n  way"), "no way"),
        (ZeroDivisionError("division by zero"), "division by zero"),
        (FloatingPointError(), "FloatingPointError"),
        (ValueError("bad \udcff"), "bad \\udcff"),
        (MemoryError(), "MemoryError"),
        (UsageError("x must have shape (T, B, 8)"), "x must have shape (T, B, 8)"),
    ],
)
def test_a_failing_point_does_not_stop_the_sweep(error, message):
    @wrap
    def failing(gain, seed):
        if gain == 1.0:
            raise error
        return {"gain_again": gain}

    rows = list(rows_of(failing, failing.grid(), [0]))
    assert [row.status for row in rows] == ["error", "ok"] and rows[0].error == message
    assert [row.failed for row in rows] == [True, False]
    assert rows[0].metrics == {}


def test_a_bug_names_its_line():
    @wrap
    def buggy(gain, seed):
        return {}["missing"] if gain == 1.0 else {}

    rows = list(rows_of(buggy, buggy.grid(), [0]))
    line = buggy.function.__code__.co_firstlineno + 2
    assert [row.status for row in rows] == ["error", "ok"]
    assert rows[0].error == f"KeyError: 'missing' (test_sweep.py line {line})"


def test_a_drained_sweep_ends_after_the_running_point():
    serial = sweep.Serial(plain)
    rows = serial.run(sweep.points(plain, plain.grid(), [0, 1]))
    next(rows)
    serial.drain()
    assert list(rows) == []


def test_a_job_holds_the_text_of_the_file_as_it_was(tmp_path, monkeypatch):
    from sandbox.experiment import load

    monkeypatch.chdir(tmp_path)
    file = tmp_path / "experiments" / "kept.py"
    file.parent.mkdir()
    lines = [
        "from sandbox.experiment import experiment",
        "@experiment(a=[1])",
        "def kept(a, seed):",
        "    return {'b': 1}",
    ]
    file.write_text("\n".join(lines))
    job = sweep.Job.of(load("kept"))
    file.write_text("broken(")
    assert sweep.execute(job.load(), sweep.Point({"a": 1}, 0)).metrics == {"b": 1}


def test_settings_reach_the_experiment():
    from sandbox.experiment import Setting

    @experiment(gain=[1.0], settings=(Setting("text"),))
    def reading(gain, seed, text):
        return {"length": len(text)}

    assert next(rows_of(reading, reading.grid(), [0], settings={"text": "abc"})).metrics == {"length": 3}


def test_text_that_no_file_can_hold_is_escaped():
    assert only({"text": "a\udcff\nb"}).metrics == {"text": "a\\udcff b"}


def test_metrics_become_plain_python():
    row = only(
        {
            "single": np.float32(0.1), "double": np.float64(0.1), "whole": np.int64(3), "array": np.array(2.0),
            "flag": np.True_, "text": "two\nlines", "missing": None, "status": "nonfinite: dh at t=13",
        }
    )  # fmt: skip
    assert row.metrics == {
        "single": float(np.float32(0.1)), "double": 0.1, "whole": 3, "array": 2.0,
        "flag": True, "text": "two lines", "missing": None,
    }  # fmt: skip
    assert [type(value) for value in row.metrics.values()] == [float, float, int, float, bool, str, type(None)]
    assert (row.status, row.error) == ("nonfinite", "dh at t=13") and not row.failed
    assert all(sweep.Row(row.point, status=status).failed for status in ("error", "crashed", "timeout"))


def test_curves_become_lists_in_the_order_given():
    row = only(({"a": 1}, {"profile": {"lag": np.arange(3), "grad_h": np.float32([1, 2, 0.5]), "grad_c": [1, 2, 3]}}))
    assert row.curves == {"profile": {"lag": [0, 1, 2], "grad_h": [1.0, 2.0, 0.5], "grad_c": [1, 2, 3]}}
    assert list(row.curves["profile"]) == ["lag", "grad_h", "grad_c"]


@pytest.mark.parametrize(
    ("returned", "part"),
    [
        (3.0, "a dict of metrics, or metrics and curves and files, got float"),
        (None, "got NoneType"),
        (({}, {}, {}, {}), "got tuple"),
        ({"gain": 1.0}, "names of their own, got gain, which is an axis"),
        ({"seed": 1}, "got seed, which is an axis"),
        ({"error": 1.0}, "got error, which every table has"),
        ({"a": [1, 2]}, "numbers, text or None as metrics, got list for a"),
        ({"a": np.ones(2)}, "got ndarray for a"),
        ({"a": 1j}, "got complex for a"),
        ({"a": 2**64}, "whole numbers below 2**63"),
        ({3: 1}, "one-line names, got 3"),
        ({"": 1}, "one-line names"),
        (({}, 3), "curves as a dict of dicts"),
        (({}, {"p": [1, 2]}), "curves as a dict of dicts"),
        (({}, {"p": {"lag": [0, 1]}}), "an x and at least one series, got lag for p"),
        (({}, {"p": {"lag": [0, 1], "g": [1]}}), "one length, got 1 for g and 2 for lag in curve p"),
        (({}, {"p": {"lag": [0], "g": np.ones((1, 1))}}), "flat columns"),
        (({}, {"p": {"lag": [0], "g": "x"}}), "flat columns"),
    ],
)
def test_what_an_experiment_may_not_return(returned, part):
    with pytest.raises(UsageError) as caught:
        only(returned)
    assert str(caught.value).startswith("experiment 'constant' must return ")
    assert part in str(caught.value)


def test_an_axis_value_keeps_its_kind():
    @experiment(depth=Axis([1, 2], minimum=1), flip=[False, True], seeds=1)
    def typed(depth, flip, seed):
        return {"kinds": f"{type(depth).__name__} {type(flip).__name__} {type(seed).__name__}"}

    assert {row.metrics["kinds"] for row in rows_of(typed, typed.grid(), [0])} == {"int bool int"}

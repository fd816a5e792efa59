"""Lines below a table: how far along an axis something holds, and rank correlations."""

import doctest
import math
from types import SimpleNamespace

import numpy as np
import pytest

import sandbox.report.remarks
from sandbox.report import Column, Correlation, Reach, Table
from sandbox.report.remarks import correlation_lines, rank_correlation, reach_lines

REACH = Reach("seq_len", "solved", "longest")


def run(rows, metrics=("solved",), **axes):
    """What the lines look at of a run; rows in canonical order, as they are read back."""
    rows = sorted(rows, key=lambda row: tuple(row[axis] for axis in (*axes, "seed")))
    return SimpleNamespace(axes=axes, metrics=list(metrics), rows=rows)


def solved(table, seeds=(0, 1), **axes):
    """A run from {(cell, seq_len): values of `solved` over seeds}."""
    rows = [{"cell": cell, "seq_len": T, "seed": seed, "solved": value}
            for (cell, T), values in table.items() for seed, value in zip(seeds, values)]  # fmt: skip
    axes = {"cell": ["rnn", "lstm", "gru"], "seq_len": [200, 50, 100], **axes}
    return run(rows, **axes)


def test_examples_in_docstrings():
    results = doctest.testmod(sandbox.report.remarks)
    assert results.attempted > 0 and results.failed == 0


def test_reach_is_the_largest_value_that_holds_in_the_order_of_the_grid():
    found = solved({
        ("gru", 50): (1.0, 1.0), ("gru", 100): (1.0, 0.0), ("gru", 200): (0.0, 0.0),
        ("lstm", 50): (0.0, 0.0), ("lstm", 100): (1.0, 1.0), ("lstm", 200): (1.0, 1.0),
        ("rnn", 50): (0.0, 0.0), ("rnn", 100): (0.0, 0.0), ("rnn", 200): (0.0, 0.0),
    })  # fmt: skip
    assert reach_lines(found, REACH) == ["longest: rnn none, lstm 200, gru 100"]
    above = Reach("seq_len", "solved", level=0.75)
    assert reach_lines(found, above) == ["largest seq_len with solved >= 0.75: rnn none, lstm 200, gru 50"]


def test_reach_counts_what_is_missing_or_not_finite_as_not_reached():
    found = solved({("rnn", 50): (1.0, None), ("rnn", 100): (1.0, math.nan), ("lstm", 50): (None, None)}, (0, 1))
    assert reach_lines(found, REACH) == ["longest: rnn 100, lstm none"]
    assert reach_lines(found, Reach("seq_len", "solved", "all", 1.0)) == ["all: rnn none, lstm none"]


def test_reach_of_one_combination_has_no_name():
    rows = {("rnn", 50): (1.0,), ("rnn", 100): (0.0,)}
    assert reach_lines(solved(rows, cell=["rnn"]), REACH) == ["longest: 50"]
    assert reach_lines(solved(rows, cell=["rnn"], seq_len=[50]), REACH) == ["longest: 50"]


def test_reach_names_several_axes_in_the_order_of_the_grid():
    rows = [{"bias": bias, "flag": flag, "seq_len": 10, "seed": 0, "solved": 1.0}
            for bias in (0.5, 1.0) for flag in (False, True)]  # fmt: skip
    found = run(rows, bias=[1.0, 0.5], flag=[True, False], seq_len=[10])
    line = "longest: 1.0 true 10, 1.0 false 10, 0.5 true 10, 0.5 false 10"
    assert reach_lines(found, REACH) == [line]


def test_no_reach_without_its_axis_or_metric():
    found = solved({("rnn", 50): (1.0,)})
    for nothing in (None, Reach("hidden", "solved"), Reach("seq_len", "score")):
        assert reach_lines(found, nothing) == []


def correlation(*pairs, text=""):
    rows = [{"gain": 1.0, "seed": seed, **{name: v for name, v in zip("xy", pair) if v != "absent"}}
            for seed, pair in enumerate(pairs)]  # fmt: skip
    return correlation_lines(run(rows, "xy", gain=[1.0]), Table(["x"], correlations=[Correlation("x", "y", text)]))


def test_correlation_of_all_rows_that_have_both():
    assert correlation((1, 1.0), (2, 3.0), (3, 2.0)) == ["x and y: rank correlation 0.50 over 3 rows"]
    assert correlation((1, 1), (2, 2), (3, 9), text="these") == ["these: rank correlation 1.00 over 3 rows"]
    kept = [(1, 9.0), (2, 4.0), (3, 1.0), (math.nan, 0.0), (9, math.inf), (None, 1.0), (5, "absent"), ("x", 2.0)]
    assert correlation(*kept) == ["x and y: rank correlation -1.00 over 3 rows"]


def test_correlation_for_each_value_of_an_axis():
    values = {"rnn": [(1, 1.0), (2, 2.0), (3, 3.0)], "lstm": [(1, 3.0), (2, 2.0), (3, 1.0)], "gru": [(1, 1.0)]}
    rows = [{"cell": cell, "seed": seed, "x": x, "y": y} for cell, pairs in values.items()
            for seed, (x, y) in enumerate(pairs)]  # fmt: skip
    table = Table(["x"], correlations=[Correlation("x", "y", "these", by="cell")])
    found = run(rows, "xy", cell=["rnn", "lstm", "gru"])
    assert correlation_lines(found, table) == ["these: rank correlation rnn 1.00 (3 rows), lstm -1.00 (3 rows)"]
    one = run([row for row in rows if row["cell"] == "rnn"], "xy", cell=["rnn"])
    assert correlation_lines(one, table) == ["these: rank correlation 1.00 over 3 rows"]


def test_no_correlation_of_too_few_rows_or_of_a_constant():
    assert correlation((1, 1.0), (2, 2.0)) == []
    assert correlation((1, 1.0), (2, 2.0), (3, math.nan)) == []
    assert correlation((1, 1.0), (1, 2.0), (1, 3.0)) == []
    assert correlation() == []


def test_equal_values_share_their_rank():
    # Ranks 1.5 1.5 3 4 and 1 2.5 2.5 4.
    assert rank_correlation([1, 1, 2, 3], [0, 5, 5, 9]) == pytest.approx(
        np.corrcoef([1.5, 1.5, 3, 4], [1, 2.5, 2.5, 4])[0, 1], rel=1e-14
    )
    assert rank_correlation([0.0, -0.0, 1.0], [1, 1, 2]) == pytest.approx(1.0, rel=1e-15)


def test_ranks_do_not_mind_sizes():
    assert rank_correlation([1e-300, 1e300, 1.0], [-1e308, 1e308, 0.0]) == 1.0
    rng = np.random.default_rng(0)
    xs, ys = rng.normal(size=50), rng.normal(size=50)
    ranks = [np.argsort(np.argsort(v)) for v in (xs, ys)]
    assert rank_correlation(list(xs), list(ys)) == pytest.approx(np.corrcoef(*ranks)[0, 1], rel=1e-12)


def test_a_table_with_both_survives_json():
    table = Table([Column("x")], reach=REACH, correlations=[Correlation("x", "y", "z")])
    assert Table.from_dict(table.as_dict()) == table

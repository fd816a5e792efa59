"""Runs compared: what is matched, what is paired, which word a row gets, and what is said of the rest."""

import io
import json
import math

import numpy as np
import pytest
from comparison_runs import MadeRun, made, trials

from sandbox.comparison import Gate, NothingMatched, compare, match, report
from sandbox.comparison.report import top, write
from sandbox.comparison.verdicts import MOST_SEEDS, WORDS, Margin
from sandbox.errors import UsageError
from sandbox.report import Column, Table
from sandbox.report.statistics import EXACT_PAIRS, detectable_effect, pairs_needed

GRID = {"cell": ["rnn", "lstm"], "gain": [2.0, 0.5], "hidden": [4]}


def base(row):
    """One metric that every row has its own value of."""
    return {"loss": 1.0 + row["gain"] + row["seed"] / 10 + (row["cell"] == "lstm")}


def shifted(by):
    return lambda row: {"loss": base(row)["loss"] + by}


def words(comparison):
    return [WORDS[code] for outcome in comparison.outcomes for code in outcome.verdict]


def shown(comparison, format="plain"):
    out, err = io.StringIO(), io.StringIO()
    write(report(comparison), top(comparison), format, out, err)
    return out.getvalue() + err.getvalue()


# Matching ----------------------------------------------------------------------------------------------------------


def test_rows_are_paired_on_equal_axes_and_seeds_whatever_their_order():
    a = made(GRID, base)
    b = made({"gain": [0.5, 2], "cell": ["lstm", "rnn"], "hidden": [4.0]}, shifted(0.25), seeds=(2, 0, 1))
    found = match(a, b)
    assert found.axes == ["cell", "gain", "hidden"] and found.fixed == {}
    assert len(found.in_a) == 12
    for name in ("cell", "gain", "hidden", "seed"):
        pairs = zip(np.array(a.columns[name])[found.in_a], np.array(b.columns[name])[found.in_b], strict=True)
        assert all(x == y for x, y in pairs)
    assert compare(a, b, by=["cell"]).outcomes[0].difference == pytest.approx([0.25, 0.25])


def test_a_single_value_that_differs_is_a_configuration_difference():
    a = made({**GRID, "lr": [0.1], "old": [True]}, base)
    b = made({**GRID, "lr": [0.2], "new": ["x"]}, base)
    found = match(a, b)
    assert found.fixed == {"lr": (0.1, 0.2), "old": (True, None), "new": (None, "x")}
    assert found.axes == ["cell", "gain", "hidden"] and found.varying == ["cell", "gain"]
    assert top(compare(a, b))[2:] == [
        "differs in  lr: A 0.1, B 0.2", "differs in  old: A true, B none", "differs in  new: A none, B x",
    ]  # fmt: skip


def test_one_value_against_several_is_matched():
    found = match(made({**GRID, "lr": [0.1]}, base), made({**GRID, "lr": [0.2, 0.1]}, base))
    assert found.fixed == {} and len(found.in_a) == 12
    assert found.alone(0) is None
    assert found.alone(1).startswith("12 rows of 4 combinations: cell rnn gain 2.0 lr 0.2 (3 seeds), ")
    assert found.alone(1).endswith(" and 1 more")


@pytest.mark.parametrize(
    ("axes", "seeds", "said"),
    [
        ({**GRID, "gain": [1.0, 4.0, 8.0, 16.0]}, (0,),
         "gain has no common value (A: 2.0, 0.5; B: 1.0, 4.0, 8.0 and 1 more)"),
        (GRID, (7, 8), "seed has no common value (A: 0, 1, 2; B: 7, 8)"),
        ({**GRID, "new": [1, 2]}, (0,), "only B has an axis new, with 2 values (1, 2)"),
    ],
)  # fmt: skip
def test_nothing_matched_names_the_axis(axes, seeds, said):
    with pytest.raises(NothingMatched) as error:
        compare(made(GRID, base), made(axes, lambda row: {"loss": 1.0}, seeds=seeds))
    assert str(error.value) == f"nothing to compare: {said}"


def test_no_combination_in_common():
    a = made(GRID, base, keep=lambda row: (row["cell"] == "rnn") == (row["gain"] == 2.0))
    b = made(GRID, base, keep=lambda row: (row["cell"] == "rnn") != (row["gain"] == 2.0))
    with pytest.raises(NothingMatched, match="no combination of cell, gain, hidden, seed is in both runs"):
        compare(a, b)


def test_two_rows_for_one_point_are_refused():
    double = made(GRID, base)
    for values in double.columns.values():
        values.append(values[0])
    with pytest.raises(UsageError, match="results/sample/a must have one row per point and seed"):
        compare(made(GRID, base), double)


def test_true_is_not_one():
    with pytest.raises(NothingMatched, match="flag has no common value"):
        match(made({"flag": [True, False]}, lambda row: {"loss": 1}), made({"flag": [1, 0]}, lambda row: {"loss": 1}))


def test_keys_of_many_long_axes_do_not_overflow():
    axes = {f"axis{at}": list(range(300)) for at in range(10)}
    seeds = np.arange(300)
    columns = {**{name: np.roll(seeds, at) for at, name in enumerate(axes)}, "seed": seeds, "loss": seeds * 1.0}
    columns["status"] = ["ok"] * 300
    a, b = MadeRun(axes, columns, range(300)), MadeRun(axes, {**columns, "loss": seeds * 2.0}, range(300))
    found = match(a, b)
    assert (found.in_a == found.in_b).all() and len(found.in_a) == 300


def test_numbers_of_combinations_beyond_two_to_the_64_stay_apart():
    """With 256 values each, the first of ten axes would leave no trace in 64 bits."""
    axes = {f"axis{at}": list(range(256)) for at in range(10)}
    zeros, rows = np.zeros(256, np.int64), np.arange(256)
    columns = {**dict.fromkeys(axes, zeros), "axis0": rows, "seed": zeros, "loss": rows * 1.0, "status": ["ok"] * 256}
    a = MadeRun(axes, columns, [0])
    a.codes = lambda name: (columns[name], list(range(256)))
    assert (match(a, a).in_b == rows).all()


# What is compared ---------------------------------------------------------------------------------------------------


def test_by_gives_the_rows_and_seeds_are_averaged_first():
    a = made(GRID, base)
    b = made(GRID, lambda row: {"loss": base(row)["loss"] + row["seed"] * (1 if row["gain"] == 2.0 else 3)})
    (found,) = compare(a, b, by=["cell"]).outcomes
    assert found.n.tolist() == [3, 3]  # seeds, not six pairs
    assert found.difference.tolist() == pytest.approx([2.0, 2.0])  # of 0, 2 and 4
    assert found.low.tolist() == pytest.approx([2.0 - 4.302652729911275 * 2 / math.sqrt(3)] * 2)
    assert found.where(found.kept) == [{"cell": "rnn"}, {"cell": "lstm"}]
    assert compare(a, b).by == ["cell", "gain"]
    assert [row["gain"] for row in compare(a, b).outcomes[0].where(np.arange(4))] == [2.0, 0.5, 2.0, 0.5]


def test_a_small_difference_beside_large_numbers_is_not_rounded_away():
    grid = {"cell": ["rnn"], "gain": [1.0, 2.0, 3.0]}
    a = made(grid, lambda row: {"loss": 1.0 if row["gain"] == 1.0 else 1e16})
    b = made(grid, lambda row: {"loss": 1.125 if row["gain"] == 1.0 else 1e16})
    (found,) = compare(a, b, by=["cell"], same="0").outcomes
    assert found.difference[0] == pytest.approx(0.125 / 3, rel=1e-12)


def test_by_must_be_a_matched_axis():
    a, b = made({**GRID, "lr": [1]}, base), made({**GRID, "lr": [2]}, base)
    with pytest.raises(UsageError, match=r"by must be an axis that is matched, got lr \(in these runs 1 and 2\)"):
        compare(a, b, by=["lr"])
    with pytest.raises(UsageError, match="unknown axis 'gian'; did you mean 'gain'"):
        compare(a, b, by=["gian"])


def test_metrics_are_those_of_the_declared_table_that_are_numbers():
    def several(row):
        return {"loss": 1.0, "other": 2.0, "name": "x", "flag": True}

    table = Table([Column("other"), Column("name"), Column("absent"), Column("flag")]).as_dict()
    assert compare(made(GRID, several, table=table), made(GRID, several)).metrics == ["other", "flag"]
    assert compare(made(GRID, several), made(GRID, several)).metrics == ["loss", "other", "flag"]
    assert compare(made(GRID, several), made(GRID, several), metric=["loss"], extra=["flag"]).metrics == [
        "loss",
        "flag",
    ]
    for metric, said in (("los", "unknown metric 'los'"), ("name", "metric must be numeric, got name")):
        with pytest.raises(UsageError, match=said):
            compare(made(GRID, several), made(GRID, several), metric=[metric])
    with pytest.raises(UsageError, match="metric must be in every run, got other"):
        compare(made(GRID, several), made(GRID, base), metric=["other"])
    with pytest.raises(UsageError, match="runs must share a numeric metric, got name in A"):
        compare(made(GRID, lambda row: {"name": "x"}), made(GRID, base))


def test_the_better_side_is_given_declared_or_usual():
    def several(row):
        return {"loss": 1.0 + row["seed"], "cosine": 2.0 + row["seed"], "rate": 3.0, "score": 0.5}

    table = Table([Column("loss"), Column("cosine", better="higher"), Column("rate"), "score"]).as_dict()
    a = made({**GRID, "task": ["adding"]}, several, table=table)
    assert compare(a, a).sides == {"loss": "lower", "cosine": "higher", "rate": None, "score": "lower"}
    assert compare(a, a, better={"rate": "lower"}).sides["rate"] == "lower"
    unknown = made({**GRID, "task": ["of mine"]}, several)
    assert compare(unknown, unknown).sides["score"] is None
    for better, said in (
        ({"loss": "up"}, "must be lower or higher, got up"),
        ({"lss": "lower"}, "unknown metric 'lss'"),
    ):
        with pytest.raises(UsageError, match=said):
            compare(a, a, better=better)


def test_columns_say_which_side_is_better():
    assert Column("loss").side == "lower" and Column("solved").side == "higher" and Column("rate").side is None
    assert Column("loss", better="higher").side == "higher"
    assert (
        Table.from_dict(json.loads(json.dumps(Table([Column("x", better="lower")]).as_dict()))).columns[0].side
        == "lower"
    )
    with pytest.raises(UsageError, match=r"better must be lower or higher, got up \(column x\)"):
        Column("x", better="up")


# Words --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("differences", "better", "word"),
    [
        ([0, 0, 0], "lower", "same"),
        ([0.3, 0.4, 0.5], "lower", "worse"),
        ([0.3, 0.4, 0.5], "higher", "better"),
        ([-0.3, -0.4, -0.5], "lower", "better"),
        ([0.3, 0.4, 0.5], None, "higher"),
        ([-0.3, -0.4, -0.5], None, "lower"),
        ([0.3, -0.4, 0.5], "lower", "inconclusive"),
        ([0.0003, 0.0004, 0.0005], "lower", "same"),  # of 1: within 1 %, though the interval excludes 0
        ([0.5], "lower", "inconclusive"),
        ([0], "lower", "same"),
        ([0.5, 0.5], "lower", "worse"),
    ],
)
def test_the_word_of_a_row(differences, better, word):
    a = np.ones((1, len(differences)))
    found = compare(trials(a), trials(a + np.array([differences])), better={"loss": better} if better else {})
    if better is None:
        a, b = (trials(values) for values in (a, a + np.array([differences])))
        for run in (a, b):
            run.columns["rate"] = run.columns.pop("loss")
            run.metrics = ["rate"]
        found = compare(a, b)
    assert words(found) == [word]


def test_the_margin_is_a_share_of_a_or_absolute():
    a = np.full((1, 3), 10.0)
    b = a + [[0.3, 0.31, 0.32]]
    for same, word in (("1%", "worse"), ("5%", "same"), ("0.3", "worse"), ("0.5", "same"), ("0", "worse")):
        assert words(compare(trials(a), trials(b), same=same)) == [word], same
    assert words(compare(trials(-a), trials(-b), same="5%")) == ["same"]  # of the absolute value
    for text in ("", "-1", "x%", "1e999", "nan", "% 5"):
        with pytest.raises(UsageError, match="--same must be a number from 0, such as 1% or 0.05, got"):
            Margin.read(text)


def test_what_would_decide():
    a = np.zeros((3, 2))
    (found,) = compare(trials(a), trials(np.array([[1.0, 3.0], [1.0, -1.0], [1.0, 1.1]]))).outcomes
    assert found.needed.tolist() == [pairs_needed(2**0.5), MOST_SEEDS + 1, 0]
    (alone,) = compare(trials(a[:, :1]), trials(a[:, :1] + 1)).outcomes
    assert alone.needed.tolist() == [2, 2, 2] and np.isnan(alone.low).all()


def test_huge_and_tiny_numbers_keep_their_intervals():
    a = np.array([[1e300, 2e300, 3e300], [1e-300, 2e-300, 3e-300], [1.7e308, 1.6e308, 1.7e308]])
    (found,) = compare(trials(a), trials(a * 0.5)).outcomes
    assert np.isfinite([found.a, found.b, found.difference, found.low, found.high]).all()
    assert found.difference[:2] == pytest.approx(-a[:2].mean(axis=1) / 2, rel=1e-12)
    assert words(compare(trials(a), trials(a * 0.5)))[2] == "better"


# What has no pair ---------------------------------------------------------------------------------------------------


def test_rows_without_a_result_or_a_number_are_no_pairs_and_are_counted():
    def gaps(row):
        if row["seed"] == 0 and row["cell"] == "rnn":
            return {"loss": None, "status": "error"}
        return {"loss": math.inf if row["seed"] == 1 and row["gain"] == 2.0 else base(row)["loss"]}

    found = compare(made(GRID, base), made(GRID, gaps, status="interrupted", points=99))
    (outcome,) = found.outcomes
    assert outcome.n.tolist() == [1, 2, 2, 3] and outcome.total.tolist() == [3, 3, 3, 3]
    assert outcome.missing == (0, 2)
    text = shown(found)
    assert "B is interrupted: 12 of 99 points" in text
    assert "2 pairs of A and B left out: a row without a result" in text
    assert "loss: of 12 pairs without a finite number: A 0, B 2" in text
    assert [row[8] for row in report(found).rows] == ["1/3", "2/3", "2/3", "3"]


def test_a_number_of_a_row_that_failed_does_not_count():
    def broken(row):
        return {"loss": 99.0 if row["seed"] else 1.0, "status": ("timeout", "error", "crashed")[row["seed"]]}

    a = made(GRID, base)
    with pytest.raises(NothingMatched, match=r"\(12 without a result\)"):
        compare(a, made(GRID, broken))
    half = made(GRID, lambda row: {"loss": 99.0, "status": "error" if row["seed"] else "nonfinite"})
    assert compare(a, half).outcomes[0].n.tolist() == [1, 1, 1, 1]


def test_no_numbers_at_all_is_nothing_matched():
    with pytest.raises(NothingMatched, match="none of 12 pairs has finite numbers of loss"):
        compare(made(GRID, base), made(GRID, lambda row: {"loss": None}), metric=["loss"])


def test_seeds_with_unequal_numbers_of_pairs_are_said():
    ragged = made(GRID, base, keep=lambda row: row["seed"] or row["gain"] == 2.0)
    found = compare(made(GRID, base), ragged, by=["cell"])
    assert found.outcomes[0].uneven == 2
    assert "loss: seeds have unequal numbers of pairs in 2 rows" in shown(found)
    assert "only in A: 2 rows of 2 combinations: cell rnn gain 0.5 (1 seed), cell lstm gain 0.5 (1 seed)" in shown(
        found
    )


# The report ---------------------------------------------------------------------------------------------------------


def test_a_run_against_itself_is_the_same():
    a = made(GRID, base)
    found = compare(a, a)
    assert words(found) == ["same"] * 4 and top(found)[2:] == []
    assert "4 rows: 4 same; about 0.2 would show a difference by chance" in shown(found)
    assert "n needed" not in shown(found).splitlines()[3]


def test_three_runs_are_rows_of_their_own():
    b, c = made(GRID, shifted(1.0), path="b"), made(GRID, shifted(-1.0), path="c", cpu="another")
    found = compare(made(GRID, base), b, c, by=["cell"])
    rows = report(found).rows
    assert [row[1:4] for row in rows] == [
        ["rnn", "B", "worse"], ["rnn", "C", "better"], ["lstm", "B", "worse"], ["lstm", "C", "better"],
    ]  # fmt: skip
    assert "environment  cpu: A a cpu, B a cpu, C another" in shown(found)
    assert "sample   loss of B and C against A, 3 seeds" in shown(found)
    assert "12 pairs of A's 12 and B's 12 rows, 12 pairs of A's 12 and C's 12 rows" in shown(found)


def test_the_environment_is_listed_where_it_differs():
    here = {
        "versions": {"numpy": "2.4.0", "numba": "0.62"}, "cpu": "a cpu", "kernels": {"hash": "abc", "compiled": 7},
        "git": {"source": {"commit": "0123456789abcdef", "dirty": True}, "working_directory": None},
        "environment": {"NUMBA_NUM_THREADS": "1"}, "settings": {"text": "a.txt"}, "inputs": {"text": "11"},
        "code": {"sandbox": "c1", "experiment": "e1"}, "selection": {"where": "gain > 1"},
    }  # fmt: skip
    found = top(compare(made(GRID, base, **here), made(GRID, base, path="b")))
    assert found == [
        "A  results/sample/a", "B  b",
        "differs in  text: A a.txt, B none", "differs in  content of text: A 11, B none",
        "differs in  --where: A gain > 1, B none",
        "environment  numba: A 0.62, B none", "environment  NUMBA_NUM_THREADS: A 1, B none",
        "environment  code of the sandbox: A c1, B none", "environment  code of the experiment: A e1, B none",
        "environment  commit of the source: A 0123456789ab with uncommitted changes, B none",
    ]  # fmt: skip


def test_a_commit_is_said_once_where_both_folders_are_one_repository():
    def run(commit, other):
        return made(GRID, base, git={"source": {"commit": commit}, "working_directory": {"commit": other}})

    found = top(compare(run("a1", "a1"), run("b1", "b1")))[2:]
    assert found == ["environment  commit of the source: A a1, B b1"]
    found = top(compare(run("a1", "c1"), run("b1", "d1")))[2:]
    assert found[1] == "environment  commit of the working directory: A c1, B d1"


def test_different_experiments_are_compared_with_a_warning():
    other = made(GRID, base, experiment="other")
    text = shown(compare(made(GRID, base), other))
    assert (
        "different experiments are compared: sample, other" in text
        and "differs in  experiment: A sample, B other" in text
    )


def test_machine_formats_keep_the_table_alone_and_every_fact():
    found = compare(made(GRID, base), made(GRID, shifted(0.5), path="b", cpu="another"), by=["cell"])
    out, err = io.StringIO(), io.StringIO()
    write(report(found), top(found), "csv", out, err)
    header, first, *_ = out.getvalue().splitlines()
    assert header == (
        "metric,cell,run,verdict,a,a_low,a_high,a_n,b,b_low,b_high,b_n,difference,difference_low,difference_high,"
        "difference_n,n,wins_ties_losses,seeds_needed"
    )
    assert first.startswith("loss,rnn,B,worse,2.35,,,3,2.85,,,3,") and first.endswith(",3,3,0/0/3,")
    assert err.getvalue().splitlines()[:3] == ["A  results/sample/a", "B  b", "environment  cpu: A a cpu, B another"]
    out = io.StringIO()
    write(report(found), top(found), "json", out, io.StringIO())
    data = json.loads(out.getvalue())
    assert data["warnings"][2] == "environment  cpu: A a cpu, B another" and data["rows"][0]["verdict"] == "worse"


def test_people_see_a_part_of_a_long_table_and_are_told():
    values = np.random.default_rng(0).normal(size=(30, 3))
    found = compare(trials(values), trials(values + 1))
    assert report(found, most=10).rows == report(found).rows[:10] and len(report(found).rows) == 30
    three = compare(trials(values), trials(values + 1), trials(values + 2))
    assert report(three, most=7).rows == report(three).rows[:7]
    assert report(found, most=10).warnings[0] == "the first 10 of 30 rows; --format csv has all of them, --by fewer"


def test_half_a_million_rows_take_no_loop_over_rows():
    """No time is measured: Python code that ran once for each row would be seen by the interpreter's own count."""
    import cProfile
    import pstats

    values = np.random.default_rng(0).normal(size=(20_000, 25))
    a, b = trials(values), trials(values + np.random.default_rng(1).normal(size=values.shape))
    codes = np.repeat(np.arange(20_000), 25)
    for run in (a, b):
        run.codes = lambda name: (codes, list(range(20_000)))
    for pairs in range(2, EXACT_PAIRS + 1):  # once for all comparisons
        detectable_effect(pairs)
    profile = cProfile.Profile()
    profile.enable()
    found = compare(a, b)
    profile.disable()
    assert found.rows == 20_000
    calls = pstats.Stats(profile).total_calls
    assert calls < 500_000, calls  # a few for each of the 20 000 groups


# Gates --------------------------------------------------------------------------------------------------------------


def gate(text, b, a=None, **options):
    found = compare(made(GRID, base) if a is None else a, b, by=["cell"], **options)
    return Gate.read(text).check(found)


@pytest.mark.parametrize(
    ("text", "by", "fails"),
    [
        ("loss > +5%", 0.1, False), ("loss > +5%", 0.2, True), ("loss>5%", 0.2, True), ("loss >= 0.25", 0.25, True),
        ("loss > 0.25", 0.25, False), ("loss < -5%", -0.2, True), ("loss <= -0.25", -0.25, True),
        ("loss < -.3", -0.25, False), ("loss worse", 0.5, True), ("loss worse", -0.5, False),
        ("loss better", -0.5, True),
        ("loss differs", 0.5, True), ("loss differs", 0.0, False), ("loss inconclusive", 0.5, False),
        ("loss > 1e-1", 0.2, True),
    ],
)  # fmt: skip
def test_gates(text, by, fails):
    found = gate(text, made(GRID, shifted(by)))
    assert bool(found) is fails
    if fails:
        assert len(found) >= 1 and found[0].startswith(f"failed: {text}: cell rnn: A 2.35, B ")


def test_per_cent_are_of_the_absolute_value():
    a = np.full((1, 3), -10.0)
    for text, by, fails in (("loss > +5%", 0.1, False), ("loss > +5%", 0.6, True), ("loss < -5%", -0.6, True)):
        assert bool(Gate.read(text).check(compare(trials(a), trials(a + by)))) is fails


def test_a_gate_names_its_rows_and_counts_the_rest():
    values = np.random.default_rng(0).normal(size=(30, 3)) + 10
    found = Gate.read("loss > 0").check(compare(trials(values), trials(values + 1)))
    assert len(found) == 6 and found[-1] == "failed: loss > 0: and 25 more rows"
    mean = values[0].mean()
    assert found[0] == f"failed: loss > 0: trial 0: A {mean:.4g}, B {mean + 1:.4g}, +{100 / mean:.3g} %"


def test_what_was_not_compared_has_not_passed():
    def lost(row):
        return {"loss": math.nan if row["cell"] == "rnn" else 1.0, "t": None}

    b = made(GRID, lost)
    assert gate("loss > +5%", b) == ["failed: loss > +5%: cell rnn: B has no number beside A's"]
    a = made(GRID, lambda row: {"loss": 1.0, "t": None})
    assert gate("t > 0", b, a, metric=["loss"], extra=["t"]) == ["failed: t > 0: no row of t could be compared"]


def test_words_must_suit_the_metric():
    rate = made(GRID, lambda row: {"rate": 1.0 + row["seed"]})
    higher = made(GRID, lambda row: {"rate": 3.0 + row["seed"]})
    assert gate("rate higher", higher, rate) and gate("rate differs", higher, rate)
    with pytest.raises(UsageError, match=r"--fail-if must suit the metric, got rate worse \(it has no better side"):
        gate("rate worse", higher, rate)
    with pytest.raises(UsageError, match="--fail-if must say better or worse of loss"):
        gate("loss higher", made(GRID, base))


@pytest.mark.parametrize(
    "text", ["", "loss", "loss > ", "loss > five", "> 5", "loss != 5", "loss wors", "loss > 1e999"]
)
def test_what_is_no_gate_is_refused_in_a_line(text):
    with pytest.raises(
        UsageError, match="--fail-if must be METRIC >, >=, <, <= and a number or per cent, or METRIC and"
    ):
        Gate.read(text)


def test_a_gate_reads_metrics_with_spaces_and_signs():
    assert Gate.read("some metric >= -1.5e-3%") == Gate("some metric >= -1.5e-3%", "some metric", ">=", -1.5e-5, True)
    assert Gate.read(" loss  <+2 ") == Gate("loss <+2", "loss", "<", 2.0, False)

"""Which points of a grid are selected: zipped axes, conditions, samples, and the limits of all three."""

import doctest
import hashlib
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import estimate, selection, sweep, where
from sandbox.axes import Axis
from sandbox.errors import UsageError
from sandbox.experiment import experiment
from sandbox.selection import Selection, read, select

GRID = {"cell": ["lstm", "gru"], "hidden": [64, 32], "lr": [0.1, 0.2], "flip": [True, False]}
AXES = {
    "cell": Axis(kind=str, choices=("lstm", "gru", "rnn"), name="cell"),
    "hidden": Axis(kind=int, name="hidden"),
    "lr": Axis(kind=float, name="lr"),
    "flip": Axis(kind=bool, name="flip"),
}
EVERYTHING = [(*values, seed) for values in itertools.product(*GRID.values()) for seed in (0, 1)]


def flat(chosen):
    return [(*values, seed) for values, seed in chosen]


def taken(grid=GRID, seeds=(0, 1), axes=AXES, **fields):
    return flat(select(grid, seeds, Selection(**fields), axes))


def wide(*lengths):
    return {f"a{at}": list(range(length)) for at, length in enumerate(lengths)}


# Flags -------------------------------------------------------------------------------------------------------------


def test_no_flag_selects_everything():
    assert read([], None, None, AXES) == Selection()
    assert taken() == EVERYTHING


def test_flags_are_read():
    found = read([" hidden , lr", "cell,flip"], " cell == 'lstm' ", "20:7", AXES)
    assert found == Selection((("hidden", "lr"), ("cell", "flip")), "cell == 'lstm'", (20, 7))
    assert read([], None, "20", AXES).sample == (20, 0)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((["hidden"], None, None), "--zip must name at least two axes, got hidden alone"),
        (([""], None, None), "unknown axis ''"),
        ((["hidden,hiden"], None, None), "unknown axis 'hiden'; did you mean 'hidden'?"),
        ((["hidden,lr,hidden"], None, None), "--zip must name an axis once, got hidden again in hidden,lr,hidden"),
        ((["hidden,lr", "cell,lr"], None, None), "--zip must name an axis once, got lr again in cell,lr"),
        (([], "", None), "--where must be a condition"),
        (([], "hidden == 'a'", None), "--where must compare values of one kind"),
        (([], "cell == 'lsmt'", None), "unknown cell 'lsmt'; did you mean 'lstm'?"),
        (([], None, ""), "--sample must be K or K:SEED, got nothing"),
        (([], None, "a"), "--sample must be K or K:SEED, got a"),
        (([], None, "5:"), "--sample must be K or K:SEED, got 5:"),
        (([], None, "5:1:2"), "--sample must be K or K:SEED, got 5:1:2"),
        (([], None, "-5"), "--sample must be K or K:SEED, got -5"),
        (([], None, "9" * 5000), "--sample must be K or K:SEED, got 999"),
        (([], None, "0"), "--sample must be a whole number from 1 to 1000000, got 0"),
        (([], None, "5:4294967296"), "--sample seed must be a whole number from 0 to 4294967295, got 4294967296"),
    ],
)
def test_flags_that_are_refused(flags, message):
    with pytest.raises(UsageError) as caught:
        read(*flags, AXES)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kept", [Selection(), Selection((("a", "b"), ("c", "d")), "a < 3", (5, 1)), Selection(where="seed == 0")]
)
def test_a_selection_survives_json(kept):
    assert Selection.from_dict(json.loads(json.dumps(kept.as_dict()))) == kept


@pytest.mark.parametrize(
    "data",
    [None, {}, [], {"zips": [], "where": ""}, {"zips": 3, "where": "", "sample": None},
     {"zips": [[1]], "where": "", "sample": None}, {"zips": [], "where": None, "sample": None},
     {"zips": [], "where": "", "sample": [5]}, {"zips": [], "where": "", "sample": [0, 0]},
     {"zips": [], "where": "", "sample": ["5", 0]}],
)  # fmt: skip
def test_what_is_no_selection(data):
    with pytest.raises(UsageError, match="^selection must be zips, where and sample, got "):
        Selection.from_dict(data)


# Zips --------------------------------------------------------------------------------------------------------------


def test_zipped_axes_vary_together_where_the_first_of_them_stands():
    grid = {"a": [1, 2, 3], "b": ["x", "y"], "c": [10, 20, 30], "d": [True]}
    for zipped in (("a", "c"), ("c", "a")):
        assert taken(grid, [0], None, zips=(zipped,)) == [
            (1, "x", 10, True, 0), (1, "y", 10, True, 0), (2, "x", 20, True, 0), (2, "y", 20, True, 0),
            (3, "x", 30, True, 0), (3, "y", 30, True, 0),
        ]  # fmt: skip


def test_neighbours_and_several_groups():
    grid = {"a": [1, 2], "b": [3, 4], "c": [5, 6, 7], "d": [8, 9, 0]}
    pairs = taken(grid, [0], None, zips=(("b", "a"), ("c", "d")))
    assert pairs == [(a, b, c, d, 0) for a, b in ((1, 3), (2, 4)) for c, d in ((5, 8), (6, 9), (7, 0))]
    assert taken(grid | {"c": [5, 6], "d": [8, 9]}, [0], None, zips=(("a", "b", "c", "d"),)) == [
        (1, 3, 5, 8, 0), (2, 4, 6, 9, 0),
    ]  # fmt: skip


def test_zipped_lists_have_one_length():
    with pytest.raises(UsageError, match=r"^--zip must pair lists of one length, got 2 of hidden, 3 of lr \(a value"):
        taken(GRID | {"lr": [0.1, 0.2, 0.3]}, zips=(("hidden", "lr"),))
    with pytest.raises(UsageError, match="unknown axis 'nothing'"):
        taken(zips=(("hidden", "nothing"),))


# Conditions --------------------------------------------------------------------------------------------------------


def test_a_condition_thins_the_grid_and_keeps_its_order():
    found = taken(where="cell != 'gru' or hidden < 64 and flip")
    assert found == [row for row in EVERYTHING if row[0] != "gru" or (row[1] < 64 and row[3])]


def test_a_condition_may_ask_for_the_seed():
    found = taken(where="seed == 0 or cell == 'gru' and lr < 0.15")
    assert found == [row for row in EVERYTHING if row[4] == 0 or (row[0] == "gru" and row[2] < 0.15)]


def test_a_condition_sees_zipped_axes_in_their_columns():
    found = taken(zips=(("cell", "flip"),), where="flip == (cell == 'lstm') and hidden == 32 and lr == 0.2")
    assert found == [("lstm", 32, 0.2, True, 0), ("lstm", 32, 0.2, True, 1),
                     ("gru", 32, 0.2, False, 0), ("gru", 32, 0.2, False, 1)]  # fmt: skip


def test_without_axes_kinds_are_those_of_the_values():
    assert taken(axes=None, where="cell == 'gru' and lr > 0.1 and flip and seed in (1,)") == [
        row for row in EVERYTHING if row[0] == "gru" and row[2] > 0.1 and row[3] and row[4] == 1
    ]


def test_a_condition_that_leaves_nothing():
    with pytest.raises(UsageError, match="^--where must leave at least one point, got none of 32$"):
        taken(where="hidden > 64 and seed >= 0")
    with pytest.raises(UsageError, match="none of 32"):
        taken(where="hidden > 64", sample=(3, 0))


# Samples -----------------------------------------------------------------------------------------------------------


def test_a_sample_keeps_order_and_all_seeds():
    found = taken(sample=(5, 0))
    assert len(found) == 10
    assert found == [row for row in EVERYTHING if row in set(found)]
    assert all((*row[:4], 1 - row[4]) in set(found) for row in found)


def test_the_same_sample_every_time_everywhere():
    chosen = select(wide(10, 10), [0], Selection(sample=(3, 0)))
    assert [values for values, _ in chosen] == [(4, 7), (4, 9), (7, 4)]
    everything = itertools.product(range(10), range(10))
    ranks = {pair: hashlib.sha256("0\x1fa0\x1fa1\x1f{}\x1f{}".format(*pair).encode()).digest() for pair in everything}
    assert sorted(sorted(ranks, key=ranks.get)[:3]) == [values for values, _ in chosen]
    assert flat(select(wide(10, 10), [0], Selection(sample=(3, 1)))) != flat(chosen)


def test_a_sample_larger_than_the_grid_is_the_grid():
    assert taken(sample=(16, 3)) == taken(sample=(1_000_000, 3)) == EVERYTHING


GRIDS = st.lists(st.integers(1, 7), min_size=1, max_size=4).map(lambda lengths: wide(*lengths))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(GRIDS, st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_a_larger_sample_contains_the_smaller_one(grid, fewer, more, seed):
    small, large = (taken(grid, [0], None, sample=(count, seed)) for count in (min(fewer, more), max(fewer, more)))
    everything = taken(grid, [0], None)
    assert set(small) <= set(large) and len(set(small)) == len(small) == min(len(everything), min(fewer, more))
    assert large == [row for row in everything if row in set(large)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(GRIDS, st.integers(1, 40), st.integers(0, 5))
def test_another_value_of_an_axis_changes_little(grid, count, seed):
    before = taken(grid, [0], None, sample=(count, seed))
    after = taken({**grid, "a0": [-1, *grid["a0"]]}, [0], None, sample=(count, seed))
    old = [row for row in after if row[0] != -1]
    assert set(old) <= set(before)  # the new combinations take places, the old ones keep their order among themselves


def test_a_sample_of_many_is_that_of_all_ranks():
    """The list of candidates is cut down on the way; the outcome is the same."""
    grid = wide(100, 100)
    nested = [set(taken(grid, [0], None, sample=(count, 0))) for count in (1, 10, 1000, 9999)]
    assert [len(found) for found in nested] == [1, 10, 1000, 9999]
    assert nested[0] < nested[1] < nested[2] < nested[3]


def test_a_sample_is_spread_over_the_grid():
    found = taken(wide(10, 100), [0], None, sample=(500, 0))
    shares = [sum(row[0] == value for row in found) for value in range(10)]
    assert min(shares) > 35 and max(shares) < 65  # 50 +- 3 standard deviations


def test_the_condition_comes_before_the_sample():
    found = taken(where="hidden == 64 and seed == 1", sample=(3, 0))
    assert len(found) == 3 and all(row[1] == 64 and row[4] == 1 for row in found)


def test_values_of_every_kind_have_a_rank():
    grid = {"text": ["a", "\udc80", "é", ""], "flip": [True, False], "gain": [1.0, 1e300]}
    assert len(taken(grid, [0], None, sample=(3, 0))) == 3


# Limits ------------------------------------------------------------------------------------------------------------


def test_a_sweep_has_a_most(monkeypatch):
    with pytest.raises(UsageError, match="a sweep must have at most 1000000 points, got 1002000"):
        taken(wide(1002, 500), [0, 1], None)
    with pytest.raises(UsageError, match="at most 1000000 points, got 1200000"):
        taken(wide(1000, 1000), range(200), None, sample=(6000, 0))
    monkeypatch.setattr(selection, "MOST_POINTS", 100)
    with pytest.raises(UsageError, match="at most 100 points, got more"):
        taken(wide(100, 100), [0], None, where="a0 > 1")
    assert len(taken(wide(100, 100), [0], None, where="a0 == 1")) == 100


def test_a_grid_before_it_is_thinned_has_one_too():
    huge = wide(5000, 5000)
    for fields in ({"where": "a0 < 3"}, {"sample": (3, 0)}):
        with pytest.raises(UsageError, match="at most 20000000 combinations before it is thinned, got 25000000"):
            taken(huge, [0], None, **fields)
    with pytest.raises(UsageError, match="at most 20000000 points before it is thinned, got 30000000"):
        taken(wide(1000, 1000), range(30), None, where="seed == 0 and a0 == 0")
    assert len(taken(wide(5000, 5000), [0], None, zips=(("a0", "a1"),))) == 5000


def test_a_large_grid_is_walked_lazily():
    walked = selection.combinations(wide(4000, 5000), [0], Selection(where="a0 >= 0"))
    assert next(walked)[0] == (0, 0)


# Sweeps ------------------------------------------------------------------------------------------------------------


@experiment(cell=["lstm", "gru"], hidden=[64, 32], lr=[0.1, 0.2], seeds=2)
def declared(cell, hidden, lr, seed):
    """Nothing."""
    return {}


def test_points_of_a_sweep():
    chosen = Selection(zips=(("hidden", "lr"),), where="cell == 'gru' or seed == 1")
    listed = sweep.points(declared, declared.grid(), [0, 1], chosen)
    assert [(*point.values.items(), point.seed) for point in listed] == [
        (("cell", cell), ("hidden", hidden), ("lr", lr), seed)
        for cell, hidden, lr, seed in [
            ("lstm", 64, 0.1, 1), ("lstm", 32, 0.2, 1), ("gru", 64, 0.1, 0), ("gru", 64, 0.1, 1), ("gru", 32, 0.2, 0),
            ("gru", 32, 0.2, 1),
        ]
    ]  # fmt: skip
    assert sweep.count(declared.grid(), [0, 1], chosen) == sweep.count(declared.grid(), [0, 1], chosen, AXES) == 6


def test_the_grid_may_list_its_axes_in_any_order():
    grid = dict(reversed(declared.grid().items()))
    assert sweep.points(declared, grid, [0]) == sweep.points(declared, declared.grid(), [0])


def test_counting_refuses_what_running_would():
    for wrong in (Selection(where="hidden > 99"), Selection(where="hiden > 99"), Selection(zips=(("hidden", "x"),))):
        for ask in (lambda s: sweep.count(GRID, [0], s), lambda s: sweep.points(declared, declared.grid(), [0], s)):
            with pytest.raises(UsageError):
                ask(wrong)


@pytest.mark.parametrize("module", [where, selection, estimate], ids=lambda module: module.__name__)
def test_examples_in_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted and not found.failed

"""How long points will take: means, the power law between them, the schedule, and what is said of it."""

import itertools
import math
import random

import pytest

from sandbox.errors import UsageError
from sandbox.estimate import Estimate, estimate, told
from sandbox.sweep import Point


def points(*rows, seeds=1):
    return [Point(row, seed) for row in rows for seed in range(seeds)]


def seconds(row, history, jobs=1):
    return estimate(points(row), history, jobs).seconds


def grid(**axes):
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def test_points_that_were_run_take_the_mean_of_their_times():
    history = [({"cell": "lstm", "hidden": 32}, 1.0), ({"cell": "lstm", "hidden": 32}, 3.0)]
    found = estimate(points({"cell": "lstm", "hidden": 32}, seeds=3), history, 1)
    assert found == Estimate(6.0, known=2, exact=3, points=3, jobs=1)


def test_without_history_nothing_is_known():
    assert estimate(points({"a": 1}), [], 2) == Estimate(None, 0, 0, 1, 2)
    assert estimate([], [({"a": 1}, 2.0)], 2).seconds == 0.0


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0, None, "2"])
def test_rows_that_say_nothing_are_left_out(wrong):
    history = [({"a": 1, "b": "x"}, 2.0), ({"a": 1, "b": "x"}, wrong), ({"a": 1}, 9.0), ({"a": None, "b": "x"}, 9.0)]
    found = estimate(points({"a": 1, "b": "x"}), history, 1)
    assert (found.seconds, found.known) == (2.0, 1)


def test_axes_the_points_do_not_have_are_ignored():
    assert seconds({"a": 1}, [({"a": 1, "old": "x"}, 2.0), ({"a": 1, "old": "y"}, 4.0)]) == 3.0


def test_a_power_law_is_found_between_and_beyond_what_was_run():
    def law(row):
        return 1e-3 * row["seq_len"] * row["hidden"] ** 2

    history = [(row, law(row)) for row in grid(seq_len=[50, 100, 200], hidden=[16, 32, 64, 128])]
    for row in grid(seq_len=[75, 150, 400], hidden=[24, 90, 256]):
        assert seconds(row, history) == pytest.approx(law(row), rel=0.1)


def test_axes_that_were_run_together_are_told_apart():
    rng = random.Random(0)
    history = []
    for _ in range(60):
        size = 2 ** rng.uniform(3, 7)
        row = {"seq_len": size * 2 ** rng.uniform(-1, 1), "hidden": size, "batch": size * 2 ** rng.uniform(-1, 1)}
        history.append((row, 1e-3 * row["hidden"] ** 2 * row["batch"]))
    for row in grid(seq_len=[16.0, 64.0], hidden=[16.0, 64.0], batch=[16.0, 64.0]):
        assert seconds(row, history) == pytest.approx(1e-3 * row["hidden"] ** 2 * row["batch"], rel=0.05)


def test_near_rows_count_most():
    history = [({"seq_len": 1}, 1.0), ({"seq_len": 10}, 1.0), ({"seq_len": 100}, 100.0)]
    assert seconds({"seq_len": 11}, history) == pytest.approx(1.1, rel=0.05)
    # One row is far off the law; that the axes make up for each other does not bring it near.
    rows = [row for row in grid(seq_len=[10, 20, 40], batch=[10, 20, 40]) if row != {"seq_len": 20, "batch": 20}]
    history = [(row, row["seq_len"] * row["batch"] * (100 if row["seq_len"] < row["batch"] / 2 else 1)) for row in rows]
    assert seconds({"seq_len": 20, "batch": 20}, history) == pytest.approx(400, rel=0.5)


def test_an_axis_of_which_one_value_was_run_follows_the_work():
    history = [({"seq_len": 100, "gain": 1.0, "updates": 10}, 2.0)]
    assert seconds({"seq_len": 300, "gain": 1.0, "updates": 10}, history) == pytest.approx(6.0)
    assert seconds({"seq_len": 100, "gain": 3.0, "updates": 10}, history) == pytest.approx(2.0)
    assert seconds({"seq_len": 100, "gain": 2.0, "updates": 40}, history) == pytest.approx(8.0)


def test_two_noisy_rows_bend_the_law_little():
    history = [({"gain": 1.0}, 1.0), ({"gain": 1.01}, 3.0)]  # a slope of 110 in logarithms
    assert 1.0 < seconds({"gain": 2.0}, history) < 3.0


def test_what_was_run_too_small_is_not_extrapolated_without_end():
    history = [({"x": 1.0, "y": 1.0}, 1e-3), ({"x": 2.0, "y": 2.0}, 1.0)]
    assert seconds({"x": 1e300, "y": 1e300}, history) <= 1e6
    assert seconds({"x": 1e-300, "y": 1e-300}, history) > 1e-12
    assert seconds({"x": 4.0}, [({"x": 1.0}, 1e-3), ({"x": 2.0}, 1e3)]) <= 8000  # to the third power at most


def test_the_nearest_rows_are_those_with_the_fewest_other_words():
    history = [
        ({"cell": "rnn", "dtype": "float32", "flip": True}, 1.0),
        ({"cell": "rnn", "dtype": "float64", "flip": True}, 2.0),
        ({"cell": "lstm", "dtype": "float32", "flip": False}, 10.0),
    ]
    assert seconds({"cell": "rnn", "dtype": "float64", "flip": False}, history) == pytest.approx(2.0)
    assert seconds({"cell": "lstm", "dtype": "float32", "flip": True}, history) == pytest.approx(math.sqrt(10))
    assert seconds({"cell": "gru", "dtype": "bfloat16", "flip": False}, history) == pytest.approx(10.0)
    everywhere = [(row, 4.0) for row, _ in history]
    assert seconds({"cell": "new", "dtype": "new", "flip": False}, everywhere) == pytest.approx(4.0)


def test_groups_share_the_law_and_keep_their_level():
    history = [(row, row["seq_len"] ** 2.0) for row in grid(cell=["rnn"], seq_len=[10, 20, 40, 80])]
    history += [({"cell": "lstm", "seq_len": 10}, 500.0)]
    assert seconds({"cell": "lstm", "seq_len": 20}, history) == pytest.approx(2000.0, rel=0.1)


def test_numbers_without_a_logarithm_are_words():
    history = [({"dropout": 0.0}, 1.0), ({"dropout": 0.5}, 3.0)]
    assert seconds({"dropout": 0.25}, history) == pytest.approx(math.sqrt(3))
    assert seconds({"shift": -1}, [({"shift": 10**400}, 3.0), ({"shift": -2}, 3.0)]) == pytest.approx(3.0)


def test_when_everything_differs_from_everything_there_is_an_answer():
    rng = random.Random(0)
    rows = [{f"x{at}": rng.random() < 0.5 for at in range(40)} for _ in range(40)]
    assert seconds(rows[0], [(row, 5.0) for row in rows[1:]]) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("times", "jobs", "wall"),
    [
        ([3.0, 3.0, 2.0, 2.0, 2.0], 2, 7.0),  # Graham's example: the best is 6, the longest first gives 7
        ([1.0, 1.0, 1.0, 9.0], 2, 9.0),
        ([1.0, 2.0, 3.0, 4.0], 1, 10.0),
        ([1.0, 2.0], 10**15, 2.0),
    ],
)
def test_the_wall_time_is_that_of_a_schedule(times, jobs, wall):
    history = [({"at": str(at)}, time) for at, time in enumerate(times)]
    assert estimate(points(*(row for row, _ in history)), history, jobs).seconds == pytest.approx(wall)


def test_there_is_a_worker():
    with pytest.raises(UsageError, match="jobs must be a whole number from 1, got 0"):
        estimate(points({"a": 1}), [], 0)


def test_large_sweeps_count_every_point():
    """Rows are thinned where there are too many to compare each with each: the outcome stays near."""
    rows = [{"cell": cell, "seq_len": length} for cell in "ab" for length in range(1, 1001)]
    history = [(row, 1e-2 * row["seq_len"]) for row in rows]
    found = estimate(points(*({**row, "seq_len": row["seq_len"] + 1000} for row in rows), seeds=2), history, 1)
    assert found.points == 4000 and found.exact == 0
    assert found.seconds == pytest.approx(4 * sum(1e-2 * length for length in range(1001, 2001)), rel=0.05)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (Estimate(130.0, 75, 20, 20, 2), "about 2 min 10 s on 2 jobs, from 75 finished points"),
        (Estimate(9.0, 1, 5, 20, 1), "about 9 s on 1 job, from 1 finished point (15 of 20 guessed from others)"),
        (Estimate(None, 0, 0, 20, 1), "no estimate, because there is no finished point to go by"),
        (Estimate(0.0, 0, 0, 0, 1), "nothing left to run"),
    ],
)  # fmt: skip
def test_what_is_told(given, text):
    assert told(given) == text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0.4, "less than 1 s"), (1.4, "about 1 s"), (59.4, "about 59 s"), (59.6, "about 1 min"),
        (66, "about 1 min 10 s"), (119, "about 2 min"), (3594, "about 59 min 50 s"), (3596, "about 1 h"),
        (3700, "about 1 h 2 min"),
        (86_390, "about 1 day"), (100_000, "about 1 day 4 h"), (200_000, "about 2 days 8 h"),
        (1e9, "about 11574 days 2 h"),
    ],
)  # fmt: skip
def test_times_in_two_units(time, text):
    assert told(Estimate(time, 1, 1, 1, 1)).split(" on ")[0] == text

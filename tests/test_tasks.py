"""Tasks: every file's generator, baseline, oracle and success rule; what each sequence looks like; names and errors."""

import doctest
import re
import subprocess
import sys
from dataclasses import replace

import naive
import numpy as np
import pytest
from click.testing import CliRunner

from sandbox import tasks, vocabulary
from sandbox.cli import cli
from sandbox.errors import UsageError
from sandbox.streams import stream

ALL = [f"{name}:{variant}" if variant else name for name in tasks.names() for variant in tasks.variants(name) or [""]]
every_task = pytest.mark.parametrize("name", ALL)

# How far the oracle may be from the optimum: sampling of a finite batch (Reber), a series' interpolation or washout.
ORACLE_TOLERANCE = {"mackey_glass": 1e-8, "lorenz": 1e-6, "embedded_reber": 0.006, "embedded_reber:continual": 0.006}
# The answer of the predictor that `baseline` names, where that is a constant.
CONSTANTS = {"adding": 1.0, "adding:hs97": 0.5, "adding:mean": 0.5, "adding:centred": 0.0, "multiplication": 0.25}
EXACT_BASELINES = ("copy", "echo", "noise_free_lag", "latch", "temporal_order")
ROWS = {"lorenz": 300, "mackey_glass": 500, "narma10": 1000, "sine": 2000, "copy": 500}


def draw(name, batch=None, seq_len=None, seed=0):
    task = tasks.load(name)
    base = task.name.partition(":")[0]
    batch = batch or ROWS.get(base, 10_000 if task.head == "last" else 3000)
    return task, task.draw(stream("data", seed), batch, seq_len or task.seq_len)


def without_memory(task, batch):
    """The output of the predictor that the docstring of `baseline` names."""
    base = task.name.partition(":")[0]
    shape = (*batch.target.shape[: 1 if task.head == "last" else 2], task.output_size)
    if task.name in CONSTANTS:
        return np.full(shape, CONSTANTS[task.name])
    if base in ("sine", "mackey_glass", "lorenz"):
        return batch.x
    if base == "narma10":
        return (0.387 + 0.375 * batch.x / np.sqrt(48) - 0.387) / 0.108
    if base in ("echo", "latch", "temporal_order"):
        return np.zeros(shape)
    if base == "counting":  # after S, a, and the letters that end with probability 1 / mean n
        q = 2 / ((len(batch.x) - 1) // (task.input_size - 1) + 1)
        table = np.full((task.input_size, task.output_size), -50.0)
        table[0, 0], table[1, :2] = 50, 50
        for letter in range(2, task.input_size):
            table[letter, letter - 1], table[letter, letter] = np.log((1 - q) / q), -np.log((1 - q) / q)
        return batch.x @ table
    known = task.oracle(batch)
    if base == "copy":
        known[-10:] = np.where(np.arange(9) < 8, 0.0, -50.0)
    elif base == "noise_free_lag":
        known[-1] = np.where(np.arange(13) > 10, 0.0, -50.0)
    else:
        assert base == "embedded_reber", "a new task needs its baseline's predictor here"
        known[batch.scored] = np.where(np.isin(np.arange(7), (1, 2)), 0.0, -50.0)
    return known


# Every task ------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@every_task
@pytest.mark.parametrize("extra", [0, 7])
def test_shapes_and_types(name, extra):
    task = tasks.load(name)
    T, B = task.minimum + extra, 3
    batch = task.draw(stream("data", 1), B, T)
    steps = T + 20 if task.name == "copy" else T
    assert batch.x.shape == (steps, B, task.input_size)
    assert batch.x.dtype == np.float64 and batch.x.flags.c_contiguous and np.isfinite(batch.x).all()
    lead = (B,) if task.head == "last" else (steps, B)
    if task.loss == "softmax":
        assert batch.target.shape == lead and batch.target.dtype == np.int64
        assert (batch.target >= 0).all() and (batch.target < task.output_size).all()
    else:
        assert batch.target.shape == (*lead, task.output_size) and batch.target.dtype == np.float64
        assert task.loss == "mse" or np.isin(batch.target, (0.0, 1.0)).all()
    assert batch.target.flags.c_contiguous
    for mask in (batch.mask, batch.scored):
        assert mask is None or (task.head == "every" and mask.shape == (steps, B) and mask.dtype == bool)
    assert batch.mask is None or batch.mask.any()
    if batch.lengths is not None:
        assert batch.lengths.shape == (B,) and batch.lengths.dtype == np.int64
        assert (batch.lengths >= 1).all() and (batch.lengths <= steps).all()
        assert not batch.x[np.arange(steps)[:, None] >= batch.lengths].any()
    assert task.oracle(batch).shape == (*lead, task.output_size)
    assert task.loss in ("softmax", "mse", "binary") and task.head in ("last", "every")
    assert task.paper and task.rule and task.minimum <= task.seq_len


@every_task
def test_the_oracle_reaches_the_optimum_and_is_solved(name):
    task, batch = draw(name)
    output = task.oracle(batch)
    loss = naive.losses(task, output, batch).mean()
    tolerance = ORACLE_TOLERANCE.get(task.name, 1e-20)
    assert loss == pytest.approx(task.optimum(task.seq_len), abs=tolerance)
    assert task.solved(loss, task.score(output, batch)) is True
    assert task.optimum(task.seq_len) < 0.95 * task.baseline(task.seq_len)


@every_task
def test_the_baseline_is_what_its_predictor_reaches_and_is_not_solved(name):
    task, batch = draw(name)
    output = without_memory(task, batch)
    losses = naive.losses(task, output, batch)
    known = task.name.partition(":")[0] in EXACT_BASELINES
    assert losses.mean() == pytest.approx(task.baseline(task.seq_len), rel=1e-3 if known else 0.03)
    assert task.solved(losses.mean(), task.score(output, batch)) is False
    assert task.baseline.__doc__


@pytest.mark.plain_python
@every_task
def test_what_is_no_number_has_no_score(name):
    task = tasks.load(name)
    batch = task.draw(stream("data", 2), 3, task.seq_len)
    output = task.oracle(batch)
    if task.head == "every":
        output[~batch.looked_at()] = np.nan
        assert np.isfinite(task.score(output, batch))  # what is not looked at does not matter
        t, b = np.argwhere(batch.looked_at())[-1]
        output[t, b, -1] = np.nan
    else:
        output[-1, -1] = np.nan
    assert np.isnan(task.score(output, batch)) and not task.solved(np.nan, task.score(output, batch))


@every_task
def test_one_step_alone_does_not_beat_the_baseline(name):
    task, batch = draw(name, seed=1)
    slack = 0.95 if task.head == "every" and task.loss == "mse" else 0.97  # a x_t is a little better than x_t
    assert naive.loss_by_present_input(task, batch) > slack * task.baseline(task.seq_len)


@pytest.mark.plain_python
@every_task
def test_a_stream_gives_the_same_bytes_again(name):
    task = tasks.load(name)
    first, again, other = (task.draw(stream("data", seed), 4, task.minimum + 3) for seed in (5, 5, 6))
    for field in ("x", "target", "mask", "lengths", "scored"):
        value, same = getattr(first, field), getattr(again, field)
        assert (value is None) == (same is None) and (value is None or value.tobytes() == same.tobytes())
    assert first.x.tobytes() != other.x.tobytes()
    assert any((first.x[:, 0] != first.x[:, b]).any() for b in range(1, 4))


class Counted(np.random.Generator):
    """A generator that counts the uniforms it is asked for."""

    drawn = 0

    def random(self, size=None):
        self.drawn += int(np.prod(size if size is not None else 1))
        return super().random(size)


@every_task
def test_what_is_taken_from_the_stream_depends_on_the_size_only(name):
    task = tasks.load(name)
    taken = set()
    for seed in range(5):
        rng = Counted(stream("data", seed).bit_generator)
        task.draw(rng, 6, task.minimum + 20)
        untouched = stream("data", seed).bit_generator
        assert rng.bit_generator.state == untouched.advance(rng.drawn).state  # nothing but uniforms was drawn
        taken.add(rng.drawn)
    assert len(taken) == 1


@every_task
def test_sizes_that_are_refused(name):
    task = tasks.load(name)
    for seq_len in (task.minimum - 1, 0, -1, 30.0, True, "30", None):
        with pytest.raises(UsageError) as error:
            task.draw(stream("data", 0), 2, seq_len)
        rule = f"seq_len must be a whole number from {task.minimum} for task {task.name}"
        assert str(error.value) == f"{rule}, got {seq_len!r}"
    for batch in (0, -3, 2.5):
        with pytest.raises(UsageError, match=re.escape(f"batch must be a whole number from 1, got {batch}")):
            task.draw(stream("data", 0), batch, task.minimum)
    task.check(task.minimum)


@every_task
def test_streams_continue_where_they_stopped(name):
    task = tasks.load(name)
    if task.stream is None:
        return
    whole = task.stream(stream("data", 3), 4).take(12)
    pieces = task.stream(stream("data", 3), 4)
    first, second = pieces.take(5), pieces.take(7)
    drawn = task.draw(stream("data", 3), 4, 12)
    for field in ("x", "target", "mask", "scored"):
        joined, expected = np.concatenate([getattr(first, field), getattr(second, field)]), getattr(whole, field)
        np.testing.assert_array_equal(joined, expected)
        np.testing.assert_array_equal(getattr(drawn, field), expected)


def test_only_the_continual_task_has_a_stream():
    assert [name for name in ALL if tasks.load(name).stream] == ["embedded_reber:continual"]


class Constant:
    """A generator that always draws the same number."""

    def __init__(self, number):
        self.number = number

    def random(self, shape):
        return np.full(shape, self.number)


def test_whole_numbers_are_uniform_and_stay_below_their_bound():
    counts = np.bincount(tasks.whole(stream("data", 0), 0, 8, 80_000))
    assert len(counts) == 8 and abs(counts - 10_000).max() < 400
    highs = np.arange(2, 3000)
    for number, expected in ((0.0, np.ones(2998)), (1 - 2.0**-53, highs - 1), (0.5, 1 + (highs - 1) // 2)):
        drawn = tasks.whole(Constant(number), 1, highs, 2998)
        np.testing.assert_array_equal(drawn, expected)
    assert drawn.dtype == np.int64


# What sequences look like ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "first", "second"),
    [("sum", (0, 30), (30, 60)), ("centred", (0, 30), (30, 60)), ("hs97", (1, 30), (1, 30)), ("mean", (0, 6), (6, 30))],
)
def test_where_the_markers_are(variant, first, second):
    _, batch = draw(f"adding:{variant}", seq_len=60)
    marked = np.argwhere(batch.x[:, :, 1].T == 1)[:, 1].reshape(-1, 2)
    for column, (low, high) in zip(marked.T, (first, second), strict=True):
        assert column.min() >= low and column.max() < high
    if variant == "hs97":
        assert (marked[:, 0] < marked[:, 1]).all() and (marked[:, 0] < 11).all()
        assert set(np.unique(marked)) == set(range(1, 30))
        assert (batch.x[[0, -1], :, 1] == -1).all() and (np.abs(batch.x[1:-1, :, 1]).sum(0) == 2).all()
    else:
        assert (set(marked[:, 0]), set(marked[:, 1])) == (set(range(*first)), set(range(*second)))
        assert (batch.x[:, :, 1].sum(0) == 2).all()
    assert batch.x[:, :, 0].min() == pytest.approx(-1 if variant in ("hs97", "centred") else 0, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("adding:sum", lambda a, b: a + b),
        ("adding:hs97", lambda a, b: 0.5 + (a + b) / 4),
        ("adding:mean", lambda a, b: (a + b) / 2),
        ("adding:centred", lambda a, b: a + b),
        ("multiplication", lambda a, b: a * b),
    ],
)
def test_what_is_made_of_the_marked_numbers(name, target):
    _, batch = draw(name, batch=50, seq_len=24)
    for b in range(50):
        first, second = (batch.x[t, b, 0] for t in range(24) if batch.x[t, b, 1] == 1)
        assert batch.target[b, 0] == target(first, second)


def test_baselines_of_the_literature():
    def at(name, *lengths):
        return [tasks.load(name).baseline(length) for length in lengths]

    copy = [0.17329, 0.09452, 0.06498, 0.03999, 0.02039]
    assert at("copy", 100, 200, 300, 500, 1000) == pytest.approx(copy, abs=5e-6)
    assert at("adding", 100) + at("adding:hs97", 9) + at("adding:centred", 9) == [1 / 6, 1 / 24, 2 / 3]
    assert at("multiplication", 9) == [7 / 144]
    assert at("temporal_order", 100) + at("temporal_order:3", 9) == [np.log(4), np.log(8)]
    long = 10_000
    assert at("embedded_reber", 200) == pytest.approx([8 * np.log(2) / 11], rel=1e-6)
    assert tasks.load("embedded_reber").optimum(200) == pytest.approx(7 * np.log(2) / 11, rel=1e-6)
    assert at("embedded_reber:continual", long) == pytest.approx([8 * np.log(2) / 12], rel=1e-3)


def test_monte_carlo_of_the_adding_baseline():
    _, batch = draw("adding")
    assert ((batch.target - 1) ** 2).mean() == pytest.approx(1 / 6, abs=0.004)
    task, batch = draw("adding:mean")
    assert task.score(without_memory(task, batch), batch) == pytest.approx(0.36, abs=0.012)
    task, batch = draw("adding:hs97")
    assert task.score(without_memory(task, batch), batch) == pytest.approx(0.92**2, abs=0.012)


def test_copy_layout():
    task, batch = draw("copy", batch=2, seq_len=4)
    shown = batch.x.argmax(2)
    np.testing.assert_array_equal(batch.x.sum(2), 1)
    assert (shown[:10] < 8).all() and (shown[10:13] == 8).all() and (shown[13] == 9).all() and (shown[14:] == 8).all()
    np.testing.assert_array_equal(batch.target, np.concatenate([np.full((14, 2), 8), shown[:10]]))
    assert batch.mask is None and batch.scored[-10:].all() and not batch.scored[:-10].any()
    assert task.score(without_memory(task, batch), batch) < 0.5
    assert task.score(task.oracle(batch), batch) == 1.0


@pytest.mark.parametrize(
    ("variant", "places"),
    [("2", [(10, 20), (50, 60)]), ("3", [(10, 20), (33, 43), (66, 76)]), ("varied", [(10, 20), (40, 50)])],
)
def test_temporal_order(variant, places):
    task, batch = draw(f"temporal_order:{variant}", batch=4000, seq_len=100)
    lengths = np.full(4000, 100) if batch.lengths is None else batch.lengths
    shares = [[] for _ in places]
    for b, length in enumerate(lengths):
        shown = batch.x[:length, b].argmax(1)
        relevant = np.flatnonzero((shown == 4) | (shown == 5))
        assert shown[0] == 6 and shown[-1] == 7 and (shown[1:-1] < 6).all() and len(relevant) == len(places)
        assert batch.target[b] == int("".join(str(s - 4) for s in shown[relevant]), 2)
        for t, share in zip(relevant, shares, strict=True):
            share.append(t / length)
    for share, (low, high) in zip(shares, places, strict=True):
        assert min(share) > (low - 2) / 100 and max(share) <= high / 100
        assert max(share) - min(share) > 0.099
    assert set(batch.target) == set(range(2 ** len(places)))
    if variant == "varied":
        assert set(lengths) == set(range(40, 101))
    else:
        assert batch.lengths is None


def test_latch():
    _, batch = draw("latch:two_sequence", seq_len=110)
    sign = 2 * batch.target[:, 0] - 1
    np.testing.assert_array_equal(batch.x[:3, :, 0], np.broadcast_to(sign, (3, len(sign))))
    assert set(batch.lengths) == set(range(100, 111))
    noise = batch.x[3:100, :, 0]
    assert noise.var() == pytest.approx(0.2, rel=0.01) and abs(noise.mean()) < 0.01
    _, batch = draw("latch")
    assert (batch.x[:3, :, 0] - (2 * batch.target[:, 0] - 1)).std() == pytest.approx(0.2, rel=0.02)
    assert batch.x[3:].std() == pytest.approx(0.2, rel=0.01) and batch.lengths is None


def test_noise_free_lag():
    _, batch = draw("noise_free_lag", batch=40, seq_len=15)
    shown, target = batch.x.argmax(2), batch.target
    for b in range(40):
        assert shown[0, b] in (11, 12) and list(shown[1:, b]) == [*range(10), 0, 1, 2, 10]
        np.testing.assert_array_equal(target[:-1, b], shown[1:, b])
        assert target[-1, b] == shown[0, b]
    assert batch.mask[:, 0].tolist() == [True] * 13 + [False, True]
    recall = draw("noise_free_lag:recall", batch=40, seq_len=15)[1]
    np.testing.assert_array_equal(recall.x, batch.x)
    np.testing.assert_array_equal(recall.mask, batch.scored)
    assert recall.mask.sum() == 40 and recall.mask[-1].all()


@pytest.mark.parametrize(("name", "lag", "symbols"), [("echo", 10, 8), ("echo:3", 3, 8), ("echo:30", 30, 8)])
def test_echo(name, lag, symbols):
    task, batch = draw(name, batch=200, seq_len=40)
    shown = batch.x.argmax(2)
    np.testing.assert_array_equal(batch.x.sum(2), 1)
    np.testing.assert_array_equal(np.unique(shown), np.arange(symbols))
    np.testing.assert_array_equal(batch.target[lag:], shown[:-lag])
    assert not batch.mask[:lag].any() and batch.mask[lag:].all()
    assert task.minimum == lag + 1 and task.baseline(40) == pytest.approx(np.log(symbols), rel=1e-15)


def test_an_echo_of_any_lag_and_of_any_number_of_symbols():
    from sandbox.tasks.echo import lagged

    task = lagged(1, symbols=2)
    batch = task.draw(stream("data", 0), 3, 2)
    np.testing.assert_array_equal(batch.target[1], batch.x[0].argmax(1))
    assert task.score(task.oracle(batch), batch) == 1 and (task.input_size, task.output_size) == (2, 2)
    assert refusal(lagged, 0) == "lag must be at least 1, got 0"
    assert refusal(lagged, 3, 1) == "symbols must be at least 2, got 1"
    assert refusal(lagged(5).check, 5) == "seq_len must be a whole number from 6 for task echo:5, got 5"


INSIDE = "(?:T*VPX)*T*V(?:V|PS)"
EMBEDDED = re.compile(f"B([TP])B(?:TS*X(?:S|X{INSIDE})|P{INSIDE})E\\1E")


def test_embedded_reber_strings():
    task, batch = draw("embedded_reber", batch=2000, seq_len=60)
    letters, outer = np.array(list("BTPSXVE")), []
    for b in range(2000):
        count = batch.mask[:, b].sum()
        shown, target = letters[batch.x[:count, b].argmax(1)], letters[batch.target[:count, b]]
        assert (shown[1:] == target[:-1]).all() and batch.mask[:count, b].all()
        text = "".join([*shown, target[-1]])
        if count < 60:
            assert EMBEDDED.fullmatch(text), text
            assert np.flatnonzero(batch.scored[:, b]) == [count - 2] and not batch.x[count:, b].any()
            outer.append(text[1] == "T")
    lengths = batch.mask.sum(0) + 1
    assert lengths.min() == 9 and lengths.mean() == pytest.approx(12, abs=0.25) and len(outer) > 1990
    assert np.mean(outer) == pytest.approx(0.5, abs=0.04)
    assert task.score(without_memory(task, batch), batch) == pytest.approx(0.5, abs=0.04)


def test_continual_strings_follow_each_other():
    task, batch = draw("embedded_reber:continual", batch=3, seq_len=3000)
    for b in range(3):
        text = "".join(np.array(list("BTPSXVE"))[batch.x[:, b].argmax(1)])
        strings = re.findall(f"{EMBEDDED.pattern}", text)
        whole = EMBEDDED.sub("", text)
        assert len(strings) > 200 and len(whole) < 60  # what remains is the last string, not yet over
    assert batch.mask.all() and batch.lengths is None
    assert abs(batch.scored.sum() - 3 * 3000 / 12) < 30


@pytest.mark.parametrize(("variant", "letters"), [("anbn", "ab"), ("anbncn", "abc")])
def test_counting_strings(variant, letters):
    task, batch = draw(f"counting:{variant}", batch=2000, seq_len=26)
    counts = set()
    for b, length in enumerate(batch.lengths):
        text = "".join(np.array(list("S" + letters))[batch.x[:length, b].argmax(1)])
        n = (length - 1) // len(letters)
        assert text == "S" + "".join(letter * n for letter in letters)
        legal = ["".join(np.array([*letters, "T"])[row > 0]) for row in batch.target[:length, b]]
        ends = [*letters[2:], "T"]
        assert legal == ["a", *["ab"] * n, *(s for a, e in zip(letters[1:], ends) for s in [a] * (n - 1) + [e])]
        assert batch.mask[:, b].sum() == length and batch.mask[:length, b].all() and not batch.target[length:, b].any()
        counts.add(n)
    assert counts == set(range(1, 25 // len(letters) + 1))
    output = task.oracle(batch)
    output[5, 0] *= -1  # one step of one string wrong, if it lasts that long
    assert task.score(output, batch) == 1 - 1 / 2000 * (batch.lengths[0] > 5)


# Series ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sine", "mackey_glass", "lorenz", "narma10"])
def test_series_are_normalised_and_start_late(name):
    _, batch = draw(name)
    for values in (batch.x, batch.target[batch.mask]):
        assert abs(values.mean()) < 0.04 and values.std() == pytest.approx(1, abs=0.02)
    assert not batch.mask[:10].any() and batch.mask[-1].all()
    assert name == "narma10" or (batch.x[1:] == batch.target[:-1]).all()


def test_sine_has_the_periods_it_should():
    _, batch = draw("sine", batch=2000, seq_len=400)
    crossings = np.count_nonzero(np.diff(np.sign(batch.x[:, :, 0]), axis=0), axis=0) / 399 / 2
    assert crossings.min() == pytest.approx(1 / 40, abs=0.003) and crossings.max() == pytest.approx(1 / 10, abs=0.003)
    assert crossings.mean() == pytest.approx(1 / 16, abs=0.002)
    assert np.abs(batch.x).max() == pytest.approx(np.sqrt(2), abs=1e-6)


def test_mackey_glass_obeys_its_equation():
    _, batch = draw("mackey_glass", batch=2, seq_len=30)
    rng, small = stream("data", 0), 0.01
    start, first = 0.5 + rng.random(2), 250 + np.floor(50 * rng.random(2))
    for b in range(2):
        x = [start[b]] * 1701
        for n in range(1700, 1700 + 33_000):  # Euler steps of a hundredth, at the middle for the delayed term
            delayed = (x[n - 1700] + x[n - 1699]) / 2
            x.append(x[n] + small * (0.2 * delayed / (1 + delayed**10) - 0.1 * (x[n] + x[-1]) / 2))
        expected = (np.array(x[1700 + 100 * int(first[b]) :: 100][:30]) - 0.93) / 0.226
        np.testing.assert_allclose(batch.x[:, b, 0], expected, atol=0.03)


def test_lorenz_obeys_its_equations():
    _, batch = draw("lorenz", batch=3, seq_len=60)
    x, y, z = stream("data", 0).random((3, 3)) * 20 + [[-10], [-10], [15]]

    def slope(s):
        return np.array([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])

    state = np.array([x, y, z])
    for n in range(60 * 60):  # thousandths of a unit, by Heun's rule
        if n >= 50 * 60 and n % 60 == 0:
            np.testing.assert_allclose(batch.x[n // 60 - 50, :, 0], state[0] / 7.93, atol=0.02)
        middle = state + 0.001 * slope(state)
        state = state + 0.0005 * (slope(state) + slope(middle))


def test_narma_is_what_the_paper_says_and_no_linear_filter_follows_it():
    _, batch = draw("narma10", batch=60, seq_len=800)
    u, y = batch.x[:, :, 0] / np.sqrt(48) + 0.25, batch.target[:, :, 0] * 0.108 + 0.387
    assert u.min() >= 0 and u.max() < 0.5
    for t in range(9, 200):
        past = np.where(t - 1 - np.arange(10)[:, None] >= 0, y[t - 1 - np.arange(10)], 0)
        expected = 0.3 * past[0] + 0.05 * past[0] * past.sum(0) + 1.5 * u[t - 9] * u[t] + 0.1
        np.testing.assert_allclose(y[t], np.minimum(expected, 1), atol=1e-14)
    windows = np.stack([u[100 - k : 800 - k].ravel() for k in range(50)] + [np.ones(700 * 60)], axis=1)
    wanted = y[100:].ravel()
    left = wanted - windows @ np.linalg.lstsq(windows, wanted, rcond=None)[0]
    assert left.std() / wanted.std() == pytest.approx(0.386, abs=0.01)


def test_nrmse_is_in_standard_deviations_of_the_counted_targets():
    task, batch = draw("narma10", batch=20, seq_len=60)
    counted = batch.target[30:]
    assert task.score(np.full_like(batch.target, counted.mean()), batch) == pytest.approx(1, rel=1e-12)
    assert task.score(batch.target + 0.5 * counted.std(), batch) == pytest.approx(0.5, rel=1e-12)
    flat = replace(batch, target=np.ones_like(batch.target))
    assert np.isnan(task.score(batch.target, flat))  # no spread to measure by


# Names -----------------------------------------------------------------------------------------------------------


def refusal(function, *arguments):
    with pytest.raises(UsageError) as error:
        function(*arguments)
    return str(error.value)


def test_names_and_variants():
    assert tasks.names() == [
        "adding", "copy", "counting", "echo", "embedded_reber", "latch", "lorenz", "mackey_glass", "multiplication",
        "narma10", "noise_free_lag", "sine", "temporal_order",
    ]  # fmt: skip
    assert tasks.variants("temporal_order") == ["2", "3", "varied"] and tasks.variants("copy") == []
    assert tasks.canonical("adding:sum") == tasks.canonical("adding") == "adding"
    assert tasks.canonical("adding:hs97") == tasks.load("adding:hs97").name == "adding:hs97"
    assert tasks.load("adding:sum") is tasks.load("adding")
    assert refusal(tasks.load, "ading") == "unknown task 'ading'; did you mean 'adding'?"
    assert refusal(tasks.load, "adding:hs79") == "unknown variant of task adding 'hs79'; did you mean 'hs97'?"
    assert refusal(tasks.load, "adding:") == (
        "unknown variant of task adding '' (choose from: sum, hs97, mean, centred)")  # fmt: skip
    assert refusal(tasks.load, "copy:x") == "unknown variant of task copy 'x' (choose from: none)"
    assert refusal(tasks.load, "__init__").startswith("unknown task '__init__'")


def test_the_axis_takes_variants():
    axis = vocabulary.declare("task", ["adding"])
    assert axis.resolve("adding:sum,adding:mean,copy") == ["adding", "adding:mean", "copy"]
    assert axis.resolve("all") == tasks.names()
    assert refusal(axis.resolve, "cpy") == "unknown task 'cpy'; did you mean 'copy'?"
    assert refusal(axis.resolve, "temporal_order:4").startswith("unknown variant of task temporal_order '4'")


def test_a_broken_file_is_named_with_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(tasks, "__path__", [str(tmp_path)])
    (tmp_path / "broken_task.py").write_text("import numpy\n1 / 0\n")
    (tmp_path / "typed_task.py").write_text("TASK = {'a': 3}\n")
    expected = f"{tmp_path}/broken_task.py line 2 cannot be imported: ZeroDivisionError: division by zero"
    assert refusal(tasks.load, "broken_task") == expected
    assert "TASK must be a Task or a dict of them, got int" in refusal(tasks.load, "typed_task")


def test_looking_at_tasks_does_not_import_the_kernels():
    code = (
        "import sys; from sandbox import tasks\n"
        "for name in tasks.names():\n"
        "    for variant in tasks.variants(name) or ['']:\n"
        "        task = tasks.load(f'{name}:{variant}'.strip(':'))\n"
        "        task.baseline(task.seq_len), task.optimum(task.seq_len)\n"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_lists_them():
    result = CliRunner().invoke(cli, ["tasks"])
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert lines[0].split() == ["task", "variants", "loss", "head", "seq_len", "baseline", "solved", "paper"]
    assert [line.split()[0] for line in lines[1:]] == tasks.names()
    assert re.search(r"^adding +sum\|hs97\|mean\|centred +mse +last +100 +0\.1667 +mean squared error < 0\.01 +Le, ",
                     result.output, re.MULTILINE)  # fmt: skip


def test_examples_in_docstrings():
    results = doctest.testmod(tasks)
    assert results.failed == 0 and results.attempted >= 5

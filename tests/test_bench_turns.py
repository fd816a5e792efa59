"""What may be said of figures measured in turns, and how tables of them are printed."""

import csv
import io
import math

import pytest

from sandbox.bench import turns
from sandbox.bench.scaling import _row, slope
from sandbox.bench.serve import best_of, waited
from sandbox.bench.step import goals, operations
from sandbox.bench.table import Report
from sandbox.bench.turns import Ratio, against_ours, goal_met, ratio, rounds
from sandbox.errors import UsageError


def test_every_figure_is_taken_once_a_round_and_nobody_is_always_first():
    calls = []
    measures = {name: (lambda name=name: calls.append(name) or len(calls)) for name in "abc"}
    found = rounds(measures, 3)
    assert "".join(calls) == "abcbcacab"
    assert found == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}


def test_a_ratio_is_the_median_of_those_within_rounds():
    found = ratio([2.0, 20.0, 8.0], [1.0, 10.0, 2.0])
    assert found == Ratio(2.0) and str(found) == "2" and found.verdict == "~"


@pytest.mark.parametrize("n, k", [(1, 0), (5, 0), (6, 1), (8, 1), (9, 2), (11, 2), (12, 3), (15, 4), (20, 6), (25, 8)])
def test_the_interval_is_that_of_the_sign_test(n, k):
    """Conover's table: the k-th smallest and largest enclose the median at 95 % or more."""
    assert turns._order(n) == k
    outside = sum(math.comb(n, below) for below in range(k)) / 2 ** (n - 1)
    assert outside <= 0.05 < outside + math.comb(n, k) / 2 ** (n - 1)
    found = ratio(range(n, 0, -1), [1.0] * n)
    assert (found.low, found.high) == ((k, n + 1 - k) if k else (None, None))


def test_nothing_is_ranked_within_noise():
    assert Ratio(1.3, 0.99, 2.0).verdict == "~" and Ratio(1.3, 1.0, 2.0).verdict == "~"
    assert Ratio(1.3, 1.01, 2.0).verdict == "1.3x" and Ratio(0.25, 0.2, 0.9).verdict == "slower 4.0x"


def test_a_goal_is_met_missed_or_within_noise():
    assert [goal_met(found, 2) for found in (Ratio(2.5, 2.1, 3), Ratio(2.5, 1.9, 3), Ratio(1.5, 1.9, 1.95), Ratio(2.0),
                                             Ratio(1.9), None)] == ["yes", "?", "NO", "yes", "NO", "-"]  # fmt: skip


def test_operations_are_those_of_the_products():
    """issue's table: an LSTM of 512 units takes 289 ms at 232 GFLOP/s, a GRU of 256 takes 32.7 ms."""
    lstm = {"cell": "lstm", "D": 512, "H": 512, "B": 64, "T": 100}
    gru = {"cell": "gru", "D": 2, "H": 256, "B": 64, "T": 100}
    assert operations(lstm) / 232e9 == pytest.approx(0.289, rel=2e-3)
    assert operations(gru) / 232e9 == pytest.approx(0.0327, rel=2e-3)
    assert operations({**gru, "D": 0}) == 3 * 2 * 100 * 64 * 256 * 3 * 256


def test_the_goals_of_a_size():
    ratios = {"torch1": Ratio(6.0), "torch2": Ratio(4.0), "jax": Ratio(1.5)}

    def wanted(H, B):
        return goals({"H": H, "B": B}, ratios, Ratio(0.72), Ratio(1.85))

    assert wanted(32, 1) == {"2x jax": "NO", "5x torch": "NO"}
    assert wanted(32, 32) == {"2x": "NO"} and wanted(64, 32) == {"2x": "NO", "1.4 limits": "yes"}
    assert wanted(512, 64) == {"1.3x": "yes", "1.4 limits": "yes", "1.8 threads": "yes"}
    assert goals({"H": 32, "B": 32}, {}, Ratio(0.1), None) == {"2x": "-"}
    assert goals({"H": 512, "B": 64}, {}, Ratio(0.7), None) == {"1.3x": "-", "1.4 limits": "NO", "1.8 threads": "-"}
    assert goals({"H": 128, "B": 32}, {}, Ratio(0.7), Ratio(1.6, 1.5, 1.9))["1.8 threads"] == "?"


def test_the_fastest_of_this_project_is_compared():
    found = {"ours": [4.0, 4.0, 5.0], "ours2": [2.0, 3.0, 2.0], "torch1": [4.0, 6.0, 4.0]}
    assert against_ours(found) == ({"torch1": Ratio(2.0)}, "torch1")
    assert against_ours({"ours": [1.0], "jax": [3.0], "torch1": [2.0]})[1] == "torch1"
    assert against_ours({"ours": [1.0]}) == ({}, "")


def test_a_ratio_is_three_columns_of_a_row():
    found = Ratio(2.0, 1.5, 2.5)
    assert found.columns("of_limit") == {"of_limit": 2.0, "of_limit_low": 1.5, "of_limit_high": 2.5}
    assert Ratio.of({"ratio": 1, **found.columns("of_limit")}, "of_limit") == found


def test_an_exponent_is_the_slope_of_the_logarithms():
    assert slope([1, 10, 100], [3.0, 30.0, 300.0]) == pytest.approx(1)
    assert slope([1, 2, 4, 8], [5.0] * 4) == 0
    assert _row("x", "rnn", Ratio(1.0, 0.98, 1.04), (0.97, 1.05), "")["met"] == "yes"
    assert _row("x", "rnn", Ratio(1.0, 0.96, 1.04), (0.97, 1.05), "")["met"] == "?"
    low = _row("x", "rnn", Ratio(0.4, 0.39, 0.41), (0.45, None), "")
    assert low["met"] == "NO" and low["goal"] == ">= 0.45"
    assert _row("x", "rnn", Ratio(1.3), (None, 1.35), "")["goal"] == "<= 1.35"


def test_what_is_timed_is_the_best_turn_per_call(monkeypatch):
    """A clock that the work itself moves on: 2 ms a call, every third call 50 ms more."""
    now, calls = [0.0], []

    def run(times):
        calls.append(times)
        now[0] += 0.002 * times + (0.05 if len(calls) % 3 == 0 else 0)

    monkeypatch.setattr("sandbox.bench.serve.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("sandbox.bench.serve.waited", lambda: 0.0)
    seconds, share = best_of(run, 0.2)
    assert seconds == pytest.approx(0.002) and share == 0
    assert calls[0] == 1 and set(calls[1:]) == {7} and len(calls) > 5


def test_who_had_to_wait_is_measured_longer(monkeypatch):
    now, calls = [0.0], []

    def run(times):
        calls.append(times)
        now[0] += 0.01 * times

    monkeypatch.setattr("sandbox.bench.serve.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("sandbox.bench.serve.waited", lambda: now[0] / 2)
    assert best_of(run, 0.1)[1] == pytest.approx(0.5)
    busy = len(calls)
    monkeypatch.setattr("sandbox.bench.serve.waited", lambda: 0.0)
    calls.clear()
    best_of(run, 0.1)
    assert busy >= 2 * len(calls)


def test_waiting_is_a_time():
    assert 0 <= waited() <= waited()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def write(stream, monkeypatch, path=None):
    monkeypatch.setattr("sandbox.bench.table.sys.stdout", stream)
    with Report(path, ["a", "b"]) as report:
        report.describe({"numpy": "2.4"})
        report.say("measuring this")
        report.say("measuring that")
        report.begin("title", [("a", -3), ("b", 5)])
        report.row(["x", "1.5"], {"a": "x", "b": 1.4999999999999998, "other": 3})
        report.row(["y", "-"], {"a": "y"}, missed=True)
        report.line("note")
    return stream.getvalue()


def test_in_a_pipe_a_table_is_plain_and_its_csv_says_where_it_was_measured(monkeypatch, tmp_path):
    path = tmp_path / "x.csv"
    lines = write(io.StringIO(), monkeypatch, path).splitlines()
    assert "numpy 2.4" in lines[0] and "cores" in lines[0] and "load" in lines[0]
    assert lines[1:2] == [""] and lines[2:] == ["title", "a        b", "x      1.5", "y        -", "note"]
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["a"], row["b"]) for row in rows] == [("x", "1.4999999999999998"), ("y", "")]
    assert all(row["versions"] == "numpy 2.4" and "cores" in row["machine"] and row["date"] for row in rows)


def test_on_a_terminal_a_table_has_colours(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = write(Terminal(), monkeypatch)
    assert all(part in text for part in ("\x1b[", "measuring", "1.5", "note"))


def test_on_a_narrow_terminal_no_figure_is_cut(monkeypatch):
    for name, value in (("TERM", "xterm-256color"), ("COLUMNS", "20")):
        monkeypatch.setenv(name, value)
    stream = Terminal()
    monkeypatch.setattr("sandbox.bench.table.sys.stdout", stream)
    with Report(None, ["a"]) as report:
        report.begin("title", [("measure", -20), ("seconds", 12), ("detail", -1)])
        report.row(["a long name of it", "0.0123456789", "median of 7 rounds"])
    text = stream.getvalue().replace("\n", "")
    assert "0.0123456789" in text and "median of 7 rounds" in text and "\u2026" not in text


def test_who_interrupts_is_told_where_the_rows_are(monkeypatch, tmp_path):
    monkeypatch.setattr("sandbox.bench.table.sys.stdout", io.StringIO())
    for path, args in ((tmp_path / "x.csv", (f"the rows measured so far are in {tmp_path / 'x.csv'}",)), (None, ())):
        with pytest.raises(KeyboardInterrupt) as caught, Report(path, ["a"]) as report:
            report.record({"a": 1})
            raise KeyboardInterrupt
        assert caught.value.args == args
    assert (tmp_path / "x.csv").read_text().splitlines()[1].startswith("1,")


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(UsageError, match="--csv must be a file that can be written"):
        Report(tmp_path / "missing" / "x.csv", ["a"])

"""Reports: statistics over seeds, four significant digits, sparklines, and one table in six formats."""

import csv
import doctest
import io
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import sandbox.report.spec
import sandbox.report.statistics
from sandbox.experiment import UsageError
from sandbox.report import Check, Column, Table, build, summarise, t_quantile, write
from sandbox.report.build import agreement, condense, mean_curve, verdict_on
from sandbox.report.layout import lines
from sandbox.report.numbers import align, axis_column, number_column, sparkline_column
from sandbox.report.statistics import steps
from sandbox.results import Run, format_value

TABLE = Table(
    [Column("rate", "rate / step", oracle="theory"), Column("tiny", "|dL/dh|", interval=False), "cause", "absent"],
    spark=("profile", "grad_h"),
    checks=[Check("rate", "theory", "rate = gain")],
    note="a note",
    subject="gradient",
)


class FakeRun(Run):
    """A run with its curves in memory."""

    def __init__(self, path, info, metrics, rows):
        names = [*info["axes"], "seed", *metrics, "status", "error"]
        super().__init__(path, info, metrics, {name: [format_value(row.get(name)) for row in rows] for name in names})

    def curve(self, name, series):
        return self.info["_curves"]


def make_run(table=TABLE, seeds=(0, 1, 2), cells=("rnn", "lstm"), **info):
    """Return a run of two cells: the linear one agrees with its oracle up to 1e-3 times the seed."""
    axes = {"cell": list(cells), "hidden": [4], "gain": [2.0, 0.5], "dtype": ["float64"]}
    rows, curves = [], {}
    for cell in sorted(cells):
        for gain in (0.5, 2.0):
            for seed in seeds:
                rows.append({
                    "cell": cell, "hidden": 4, "gain": gain, "dtype": "float64", "seed": seed,
                    "rate": gain + 1e-3 * seed if cell == "rnn" else [math.nan, 0.25, 0.75][seed],
                    "theory": gain if cell == "rnn" else None,
                    "tiny": 1.23456e-7 * gain, "cause": "weights" if seed < 2 else "gates", "status": "ok",
                })  # fmt: skip
                curves[cell, 4, gain, "float64", seed] = (list(range(32)), [lag * math.log(gain) for lag in range(32)])
    content = {
        "experiment": "sample", "axes": axes, "seeds": list(seeds), "points": len(rows), "status": "finished",
        "curves": {"profile": {"x": "lag", "series": ["grad_h"]}}, "_curves": curves, "settings": {},
        "seconds": 6.12, "kernels": {"compiled": 0, "loaded": 9}, "table": table.as_dict() if table else None,
    }  # fmt: skip
    return FakeRun(Path("results/sample/run"), {**content, **info}, ["rate", "theory", "tiny", "cause"], rows)


def plain(run, width=None, unicode=True):
    return [line.text.rstrip() for line in lines(build(run), width, unicode)]


def written(run, format, encoding="utf-8", tty=False):
    """Return what `write` puts on standard output and on standard error."""
    buffer, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(buffer, encoding=encoding, newline="")
    out.isatty = lambda: tty
    write(build(run), format, out, err)
    out.flush()
    return buffer.getvalue().decode(encoding), err.getvalue()


@pytest.mark.parametrize("module", [sandbox.report.spec, sandbox.report.statistics])
def test_examples_in_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted > 0 and results.failed == 0


# ---------------------------------------------------------------------------------------------- statistics


def test_t_quantile_against_scipy():
    stats = pytest.importorskip("scipy.stats")
    for df in [*range(1, 201), 201, 500, 10_000]:
        assert t_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=0, abs=1e-9)


def test_t_quantile_against_a_printed_table():
    assert [round(t_quantile(df), 3) for df in (1, 2, 4, 9, 30)] == [12.706, 4.303, 2.776, 2.262, 2.042]


def test_interval_by_hand():
    summary = summarise([1.0, 2.0, 4.0])
    deviation = math.sqrt(((4 / 3) ** 2 + (1 / 3) ** 2 + (5 / 3) ** 2) / 2)
    half = 4.302652729749464 * deviation / math.sqrt(3)
    assert summary.mean == pytest.approx(7 / 3, abs=1e-15)
    assert (summary.low, summary.high) == pytest.approx((7 / 3 - half, 7 / 3 + half), abs=1e-14)
    assert (summary.n, summary.total, summary.whole) == (3, 3, False)


def test_one_value_has_no_interval():
    summary = summarise([0.1])
    assert (summary.mean, summary.low, summary.high, summary.n) == (0.1, None, None, 1)


def test_non_finite_values_are_left_out_and_counted():
    summary = summarise([1.0, math.nan, 3.0, math.inf, None])
    assert (summary.mean, summary.n, summary.total) == (2.0, 2, 5)
    assert summarise([math.nan, None]).mean is None


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e200, 1.7e308])
def test_extreme_values_do_not_overflow(scale):
    summary = summarise([scale, scale, scale])
    assert (summary.mean, summary.low, summary.high) == (scale, scale, scale)


def test_the_order_of_values_does_not_matter():
    values = [1e16, 1.0, -1e16, 3.0, 1e-3]
    assert summarise(values) == summarise(values[::-1])


def test_text_over_seeds():
    assert agreement(["weights", "weights"]) == "weights"
    assert agreement(["gates", "weights", "weights", "gates", "weights"]) == "weights 3, gates 2"
    assert agreement(["b", "a", None]) == "a 1, b 1"
    assert agreement([True, True]) == "true"
    assert agreement([None]) is None


# ------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.76123, "0.7612"), (9.99996, "10.00"), (99.996, "100.0"), (1234.5, "1234"), (0.00123456, "0.001235"),
        (1.23456e-6, "1.235e-06"), (123456.0, "1.235e+05"), (0.0, "0.0"), (-0.76123, "-0.7612"),
        (-1e-320, "-1.000e-320"),
    ],
)  # fmt: skip
def test_four_significant_digits(value, text):
    assert number_column([summarise([value])], True) == [text]


def test_whole_numbers_stay_whole():
    assert number_column([summarise([13]), summarise([7])], True) == ["13", " 7"]
    assert number_column([summarise([13, 13])], True) == ["13 [13 13]"]
    assert number_column([summarise([1, 2])], False) == ["1.500"]


def test_digits_of_an_interval_are_those_of_its_mean_and_aligned():
    column = number_column([summarise([0.75, 0.76, 0.77]), summarise([10.0, 11.0]), summarise([math.nan])], True)
    assert column == [" 0.7600 [0.7352  0.7848]", "10.50   [4.15   16.85]  ", " -                      "]


def test_missing_seeds_are_counted_in_the_cell():
    column = number_column([summarise([1.0, math.nan]), summarise([1.0, 1.0])], False)
    assert column == ["1.000 1/2", "1.000    "]


def test_decimal_points_stand_below_each_other():
    assert align(["1.25", "10", "-0.5"]) == [" 1.25", "10   ", "-0.5 "]
    assert axis_column([0.5, 1.25, 2.0]) == ["0.50", "1.25", "2.00"]
    assert axis_column([1e-05, 0.5]) == ["1e-05  ", "    0.5"]
    assert axis_column(["a", "bc"]) == ["a", "bc"]


def test_sparklines_share_one_scale():
    assert sparkline_column([[0, 1, 2, 3, 4, 5, 6, 7]]) == ["▁▂▃▄▅▆▇█"]
    assert sparkline_column([[0, -7], [0, -1]]) == ["█▁", "█▇"]
    assert sparkline_column([[0, 7]], unicode=False) == ["_#"]
    assert sparkline_column([[1.0, 1.0], []]) == ["▅▅", "-"]
    assert sparkline_column([[0.0, math.nan, math.inf, 1.0]]) == ["▁xx█"]
    assert sparkline_column([[-1.7e308, 1.7e308]]) == ["▁█"]


def test_curves_are_averaged_and_condensed():
    assert mean_curve([[1.0, 2.0, 3.0], [3.0, math.nan]]) == [2.0, 2.0, 3.0]
    assert math.isnan(mean_curve([[math.inf, None]])[0])
    assert condense([1, 2, 3], 16) == (1, 2, 3)
    assert condense(range(32), 16)[:2] == (0.5, 2.5)
    assert len(condense(range(17), 16)) == 16 and sum(condense(range(33), 11)) == 11 * 16


# ------------------------------------------------------------------------------------------------- the table


def test_the_whole_table():
    assert plain(make_run()) == [
        "sample   gradient, hidden 4, float64, 3 seeds, mean [95 %]",
        " cell  gain │ rate / step                  theory    |dL/dh|  cause               profile, lag 0 to 31",
        "────────────┼" + "─" * 89,
        " rnn    2.0 │ 2.001  [ 1.999  2.003]       2.000   2.469e-07  weights 2, gates 1  ▅▅▅▅▆▆▆▆▇▇▇▇████",
        " rnn    0.5 │ 0.5010 [ 0.4985 0.5035]      0.5000  6.173e-08  weights 2, gates 1  ▄▄▄▄▃▃▃▃▂▂▂▂▁▁▁▁",
        " lstm   2.0 │ 0.500  [-2.677  3.677]  2/3  -       2.469e-07  weights 2, gates 1  ▅▅▅▅▆▆▆▆▇▇▇▇████",
        " lstm   0.5 │ 0.500  [-2.677  3.677]  2/3  -       6.173e-08  weights 2, gates 1  ▄▄▄▄▃▃▃▃▂▂▂▂▁▁▁▁",
        " a note",
        " check: rate = gain; largest deviation 0.002 over 6 rows",
        " 12 points in 6.1 s (compiled 0, loaded 9)   results/sample/run/",
    ]


def test_all_lines_of_the_table_are_equally_wide():
    report = build(make_run())
    widths = {len(line.text) for line in lines(report) if line.role in ("head", "rule", "row")}
    assert len(widths) == 1


def test_ascii():
    assert all(line.isascii() for line in plain(make_run(), unicode=False))
    assert "+---" in plain(make_run(), unicode=False)[2]
    out, _ = written(make_run(), "plain", encoding="ascii")
    assert "####" in out or "###" in out


def test_one_point_still_shows_its_main_axes():
    run = make_run(seeds=(0,), cells=("rnn",))
    run.rows[:] = run.rows[:1]
    run.info["axes"]["gain"] = [0.5]
    text = plain(run)
    assert text[0] == "sample   gradient, float64, seed 0"
    assert text[1].startswith(" cell  hidden  gain │ rate / step")
    assert "0.5000 │" not in text[3] and "[" not in text[3]


def test_a_run_without_a_table_shows_every_metric():
    text = plain(make_run(table=None))
    assert [name in text[1] for name in ("rate", "theory", "tiny", "cause")] == [True] * 4
    assert "profile" not in text[1]


def test_a_run_without_rows():
    run = make_run(status="interrupted", points=12)
    run.rows.clear()
    text = plain(run)
    assert text[1].split()[:2] == ["cell", "gain"] and " run interrupted: 0 of 12 points" in text


def test_points_that_are_not_ok_are_counted_and_the_first_is_named():
    run = make_run()
    run.rows[4] |= {"status": "nonfinite", "error": "dh at t=13"}
    run.rows[5] |= {"status": "error", "error": "x"}
    line = " 2 of 12 points not ok, the first: cell lstm, gain 2.0, seed 1: nonfinite: dh at t=13"
    assert line in plain(run)
    out, err = written(run, "csv")
    assert "not ok" not in out and line.strip() in err


def test_notes_of_the_reader_are_shown():
    run = make_run()
    run.notes.append("the last line of table.csv was cut off and is left out")
    assert " the last line of table.csv was cut off and is left out" in plain(run)


def test_status_can_be_a_column():
    assert "status" in plain(make_run(table=Table(["rate", "status"])))[1]


def test_check_without_an_oracle():
    run = make_run(cells=("lstm",))
    assert " check: no row has an exact value to compare with" in plain(run)


def test_settings_stand_in_the_title():
    assert "text book.txt" in plain(make_run(settings={"text": "book.txt"}))[0]


def test_damaged_table_description():
    with pytest.raises(UsageError, match="its table cannot be read"):
        build(FakeRun(Path("x"), make_run().info | {"table": {"columns": [{"nonsense": 1}]}}, [], []))


def test_times_come_from_the_mean_factor_and_its_interval():
    rate = summarise([0.5, 0.6, 0.7])
    half = steps(rate, "half-life")
    assert half.mean == pytest.approx(math.log(0.5) / math.log(0.6)) and half.n == 3
    assert (half.low, half.high) == pytest.approx(tuple(math.log(0.5) / math.log(r) for r in (rate.low, rate.high)))
    around = steps(summarise([0.9, 1.3]), "doubling time")
    assert around.mean == pytest.approx(math.log(2) / math.log(1.1)) and around.low is None
    assert steps(summarise([1.0, 1.0]), "half-life").mean == math.inf
    for values in ([0.0], [math.nan], [math.inf], []):
        assert steps(summarise(values), "half-life").mean is None


def test_one_infinity_in_every_seed_is_the_mean():
    inf, nan = math.inf, math.nan
    assert (summarise([inf, inf]).mean, summarise([inf, inf]).n, summarise([inf, inf]).low) == (inf, 2, None)
    assert summarise([-inf]).mean == -inf
    for values in ([inf, -inf], [inf, nan], [nan, nan], [inf, None], [None, None], []):
        assert summarise(values).mean is None


def test_table_survives_json():
    assert Table.from_dict(json.loads(json.dumps(TABLE.as_dict()))) == TABLE
    assert Table.from_dict(json.loads(json.dumps(Table().as_dict()))) == Table()


# ------------------------------------------------------------------------------------------------- formats


def test_csv_has_full_precision():
    out, err = written(make_run(), "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == [
        "cell", "hidden", "gain", "dtype", "rate", "rate_low", "rate_high", "rate_n",
        "theory", "theory_low", "theory_high", "theory_n", "tiny", "tiny_low", "tiny_high", "tiny_n", "cause",
    ]  # fmt: skip
    assert float(rows[1]["rate"]) == summarise([0.5, 0.501, 0.502]).mean
    assert rows[2]["theory"] == "" and rows[2]["theory_n"] == "0" and rows[2]["rate_n"] == "2"
    assert err.splitlines()[-1].startswith("12 points in 6.1 s")


def test_json_is_valid_without_nan():
    run = make_run()
    for seed in range(3):
        run.info["_curves"]["rnn", 4, 2.0, "float64", seed] = ([0, 1], [math.nan, 1.0])
    out, _ = written(run, "json")
    data = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert data["rows"][0]["rate"]["mean"] == summarise([2.0, 2.001, 2.002]).mean
    assert data["rows"][2]["theory"] == {"mean": None, "low": None, "high": None, "n": 0}
    assert data["checks"] == [{"text": "rate = gain", "deviation": pytest.approx(0.002), "rows": 6, "known": 6}]
    assert data["experiment"] == "sample" and len(data["rows"][1]["profile"]) == 16
    assert data["rows"][0]["profile"] == [None, 1.0]


def test_markdown():
    out, err = written(make_run(), "md")
    first, second, third, *_ = out.splitlines()
    assert first.startswith(r"| cell | gain | rate / step | theory | \|dL/dh\| | cause |")
    assert second.startswith("| --- | ---: | ---: |")
    assert third.startswith("| rnn | 2.0 | 2.001 [1.999 2.003] | 2.000 |")
    assert "check" not in out and "check" in err


def test_plain_in_a_pipe_and_rich_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)
    piped, _ = written(make_run(), None)
    screen, _ = written(make_run(), None, tty=True)
    assert "\x1b[" not in piped and "\x1b[" in screen
    assert piped.splitlines() == plain(make_run())
    monkeypatch.setenv("COLUMNS", "40")
    forced, _ = written(make_run(), "rich")
    assert forced.splitlines() == piped.splitlines()  # no terminal: no colour, and nothing cut to 80 columns


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    screen, _ = written(make_run(), "rich", tty=True)
    assert "\x1b[36m" not in screen


def test_sixty_columns_of_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    screen, _ = written(make_run(), None, tty=True)
    assert re.sub("\x1b\\[[0-9;]*m", "", screen).splitlines() == plain(make_run(), 60)


def test_unknown_format():
    with pytest.raises(ValueError, match="format must be one of rich, plain, csv, md, tex, json, got xml"):
        written(make_run(), "xml")


# ------------------------------------------------------------------------------------------------- progress


def test_progress_is_silent_off_a_terminal():
    from sandbox.report.progress import bar

    stream = io.StringIO()
    with bar(3, lambda: None, stream) as progress:
        progress.advance()
    assert stream.getvalue() == ""


def test_progress_tells_compiling_from_running(monkeypatch):
    from sandbox.report import progress

    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    stream.isatty = lambda: True
    stats = {"compiled": 2, "seconds": 5.0}  # by importing the experiment
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock.now)
    with progress.bar(10, lambda: stats, stream) as shown:
        assert shown.doing() == "running" and shown.pace(0, 10) == ""
        stats["compiled"] = 3
        assert shown.doing() == "compiling kernels (first run only), 3 done"
        clock.now, stats["seconds"] = 30.0, 33.0
        shown.advance()
        assert shown.doing() == "running"
        assert shown.pace(1, 100) == "0.5/s, 3:18 left"
    assert "points" in stream.getvalue()


def shown_at(width, monkeypatch, *texts, compiled=2):
    """The last picture of the bar and the note below it, as lines of a terminal so wide."""
    from sandbox.report import progress

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    stream.isatty = lambda: True
    stats = {"compiled": 2, "seconds": 0.0}
    with progress.bar(1500, lambda: stats, stream) as shown:
        assert progress.watched()
        shown.advance()
        stats["compiled"] = compiled
        progress.note(*texts)
        stream.seek(0), stream.truncate()
        shown.progress.refresh()
        raw = stream.getvalue()
        drawn = [line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw).replace("\r", "\n").split("\n") if line]
        shown.advance()
        stream.seek(0), stream.truncate()
        shown.progress.refresh()
        assert not any(text in stream.getvalue() for text in texts)  # gone with its point
    assert not progress.watched()
    return drawn


LONG = "update 100000/100000  loss 0.00123 (baseline 0.167)  |dL/dw| 1.2e-05  at most 59:59 left"
SHORT = "100000/100000 loss 0.0012/0.17, |dL/dw| 1.2e-05, 59:59 left"


@pytest.mark.parametrize(("width", "note"), [(60, SHORT), (80, SHORT), (120, LONG)])
@pytest.mark.parametrize("compiled", [2, 14])
def test_a_note_is_a_line_of_its_own_and_nothing_wraps(width, note, compiled, monkeypatch):
    lines = shown_at(width, monkeypatch, LONG, SHORT, compiled=compiled)
    assert [line.rstrip() for line in lines[1:]] == [note]
    assert len(lines) == 2 and all(len(line) <= width for line in lines)
    assert "1/1500 points" in lines[0] and lines[0].rstrip().endswith("left")
    assert lines[0].startswith("running" if compiled == 2 else "compil")


def test_a_note_that_fits_nowhere_is_cut(monkeypatch):
    _, note = shown_at(40, monkeypatch, LONG, SHORT)
    assert len(note) == 40 and note == SHORT[:39] + "…"


def test_a_note_that_nobody_sees_goes_nowhere():
    from sandbox.report import progress

    assert not progress.watched()
    progress.note("nobody")
    with progress.bar(3, lambda: None, io.StringIO()):
        assert not progress.watched()
        progress.note("nobody")


def test_a_note_goes_to_whoever_watches():
    from sandbox.report import progress

    said = []
    progress.watch(lambda *texts: said.append(texts))
    try:
        assert progress.watched()
        progress.note("long", "short")
    finally:
        progress.watch(None)
    progress.note("later")
    assert said == [("long", "short")] and not progress.watched()


def test_a_verdict_stands_beside_its_rival():
    table = Table([Column("rate", oracle="theory", better="higher", verdict=True)])
    report = build(make_run(table))
    keys = [field.key for field in report.fields]
    assert keys[-3:] == ["rate", "theory", "rate_verdict"]
    verdicts = {(row[0], row[2]): row[-1] for row in report.rows}
    assert verdicts == {("rnn", 2.0): "inconclusive", ("rnn", 0.5): "inconclusive", ("lstm", 2.0): None,
                        ("lstm", 0.5): None}  # fmt: skip
    assert any(line.startswith("verdict: better, worse if") for line in report.remarks)
    assert Table.from_dict(table.as_dict()) == table
    assert not any("verdict" in line for line in build(make_run()).remarks)


@pytest.mark.parametrize(
    ("differences", "side", "verdict"),
    [
        ([0.1, 0.12, 0.11], "higher", "better"),
        ([0.1, 0.12, 0.11], "lower", "worse"),
        ([-0.1, -0.12], "lower", "inconclusive"),
        ([-0.1, -0.12, -0.11], "lower", "better"),
        ([-0.1, 0.12, -0.11], "lower", "inconclusive"),
        ([0.1], "higher", "better (1 seed)"),
        ([0.0], "higher", "inconclusive"),
        ([], "higher", None),
        ([math.nan, math.nan], "higher", None),
    ],
)
def test_verdicts(differences, side, verdict):
    assert verdict_on(differences, side) == verdict


def test_a_verdict_needs_an_oracle_and_a_better_side():
    for arguments in (dict(better="higher"), dict(oracle="theory")):
        with pytest.raises(UsageError, match="verdict must be False without an oracle and a better side"):
            Column("rate", verdict=True, **arguments)

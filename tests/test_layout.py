"""Reports on screens of any width: what is wrapped where, what stays whole, and what columns of text do."""

import doctest
import math

import pytest
from test_report import make_run, plain

import sandbox.report.wrapping
from sandbox.report import Summary, build, summarise
from sandbox.report.build import Field, Report
from sandbox.report.layout import lines
from sandbox.report.numbers import number_text
from sandbox.report.wrapping import facts, fill, pad, printable, size, words

LONG = "no gradient left after step 17 of 100 (|dL/dh| 1.2e-320), which is below what float32 can say; stopped early"


def test_examples_in_docstrings():
    results = doctest.testmod(sandbox.report.wrapping)
    assert results.attempted == 2 and results.failed == 0


# ------------------------------------------------------------------------------------------------- wrapping


def test_places_on_a_screen():
    assert (size("abc"), size("é"), size("e\u0301"), size("日本"), size("│▁█"), size("ﾊ"), size("")) == (
        3, 1, 1, 4, 3, 1, 0,
    )  # fmt: skip
    assert pad("日", 4) == "日  " and pad("日", 4, right=True) == "  日" and pad("abc", 2) == "abc"


def test_text_that_would_move_the_cursor_is_escaped():
    assert printable("a\tb\u3000c\r\nd") == "a b c  d"
    assert printable("\x1b[2J\x07\u202e\x9b") == "\\x1b[2J\\x07\\u202e\\x9b"
    assert printable("naïve ∂ 日本 ▁") == "naïve ∂ 日本 ▁"


def test_pieces_are_put_into_lines_and_never_broken():
    assert fill(words("one two  three"), 8) == ["one two", "three"]
    assert fill(words("one two  three"), 8, " ", "   ") == [" one two", "   three"]
    assert fill(words("a aaaaaaaaaaaa b"), 5, rest="  ") == ["a", "  aaaaaaaaaaaa", "  b"]
    assert fill([], 5, "x") == ["x"] and fill(words("日本 日本"), 8) == ["日本", "日本"]
    assert fill(words("日本 日本"), 9) == ["日本 日本"]


def test_facts_stay_together():
    assert facts("hidden 64, mean [95 %], how long a lag, 5 seeds") == [
        "hidden 64, ", "mean [95 %], ", "how ", "long ", "a ", "lag, ", "5 seeds",
    ]  # fmt: skip
    assert "".join(facts("a, b, , c,d")) == "a, b, , c,d" and facts("") == []


# --------------------------------------------------------------------------------------------- side by side


def test_what_does_not_fit_follows_in_panels_with_the_axes():
    assert plain(make_run(), 70)[1:13] == [
        " cell  gain │ rate / step                  theory    |dL/dh|",
        "────────────┼───────────────────────────────────────────────",
        " rnn    2.0 │ 2.001  [ 1.999  2.003]       2.000   2.469e-07",
        " rnn    0.5 │ 0.5010 [ 0.4985 0.5035]      0.5000  6.173e-08",
        " lstm   2.0 │ 0.500  [-2.677  3.677]  2/3  -       2.469e-07",
        " lstm   0.5 │ 0.500  [-2.677  3.677]  2/3  -       6.173e-08",
        "",
        " cell  gain │ cause               profile, lag 0 to 31",
        "────────────┼─────────────────────────────────────────",
        " rnn    2.0 │ weights 2, gates 1  ▅▅▅▅▆▆▆▆▇▇▇▇████",
        " rnn    0.5 │ weights 2, gates 1  ▄▄▄▄▃▃▃▃▂▂▂▂▁▁▁▁",
        " lstm   2.0 │ weights 2, gates 1  ▅▅▅▅▆▆▆▆▇▇▇▇████",
    ]


def test_a_table_that_fits_is_not_touched():
    full = plain(make_run())
    assert plain(make_run(), len(full[1])) == full
    assert len(plain(make_run(), len(full[1]) - 1)) > len(full)


@pytest.mark.parametrize("width", range(15, 105, 5))
def test_no_line_is_wider_than_the_terminal(width):
    shown = lines(build(make_run()), width)
    assert max(size(line.text) for line in shown) <= max(width, size("   results/sample/run/"))
    assert max(size(line.text.rstrip()) for line in shown if line.role != "last") <= max(width, 5 + 16)  # a curve


@pytest.mark.parametrize("width", [40, 60, 100, None])
def test_nothing_is_left_out(width):
    def bag(texts):
        return {word for text in texts for word in text.replace("[", " ").replace("]", " ").split()}

    report = build(make_run())
    cells = [number_text(cell, True) for row in report.rows for cell in row if isinstance(cell, Summary)]
    assert bag(cells) | bag(["weights 2, gates 1 ▄▄▄▄▃▃▃▃▂▂▂▂▁▁▁▁"]) <= bag(plain(make_run(), width))


def make_report(fields, rows, title="", **more):
    """A report of these columns, `name: kind` or `name: Field`."""
    fields = [
        kind if isinstance(kind, Field) else Field(name, name, kind, numeric=kind == "number", interval=True)
        for name, kind in fields.items()
    ]
    return Report("run", "made", title, fields, rows, [0], "finished", last="last", **more)


def shown(report, width=None, unicode=True):
    return [line.text.rstrip() for line in lines(report, width, unicode)]


def test_headings_are_wrapped_down_to_the_rule_where_that_makes_room():
    report = make_report({"cell": "axis", "share of units in saturation": "number", "b": "number"}, [["rnn", 0.5, 12]])
    assert shown(report, 26)[1:4] == [
        "      │ share of",
        "      │ units in",
        " cell │ saturation  b",
    ]
    assert shown(report, 40)[1] == " cell │ share of units in saturation  b"


def test_a_long_text_is_wrapped_in_its_cell():
    report = make_report({"cell": "axis", "loss": "number", "error": "text"}, [["rnn", 0.5, LONG], ["gru", 0.25, None]])
    assert shown(report, 60)[1:-1] == [
        " cell │ loss    error",
        "──────┼─────────────────────────────────",
        " rnn  │ 0.5000  no gradient left after",
        "      │         step 17 of 100 (|dL/dh|",
        "      │         1.2e-320), which is",
        "      │         below what float32 can",
        "      │         say; stopped early",
        " gru  │ 0.2500  -",
    ]
    assert LONG in shown(report)[3]  # in a pipe a row is a line


def test_a_long_text_axis():
    report = make_report({"text": "axis", "loss": "number"}, [["a b " * 50, 0.5], ["/a/very/long/path" * 12, 0.125]])
    text = shown(report, 60)
    assert [line.split() for line in text if size(line) > 60] == [["/a/very/long/path" * 12]]
    assert sum("a b a b" in line for line in text) == 4
    assert "   loss  0.5000" in text and "   loss  0.1250" in text


def test_blocks_where_the_axes_leave_no_room():
    axes = {f"axis {at}": "axis" for at in range(12)}
    report = make_report(
        {**axes, "rate": "number", "a much longer heading": "number", "error": "text", "curve": "spark"},
        [[*range(12), summarise([0.25, 0.5]), 1.5e-7, LONG, (0.0, 1.0)], [*range(12), None, math.nan, None, ()]],
    )
    assert shown(report, 48)[1:-1] == [
        "────────────────────────────────────────────────",
        " axis 0 0  axis 1 1  axis 2 2  axis 3 3",
        " axis 4 4  axis 5 5  axis 6 6  axis 7 7",
        " axis 8 8  axis 9 9  axis 10 10  axis 11 11",
        "   rate                   0.375 [-1.213 1.963]",
        "   a much longer heading  1.500e-07",
        "   error",
        "     no gradient left after step 17 of 100",
        "     (|dL/dh| 1.2e-320), which is below what",
        "     float32 can say; stopped early",
        "   curve                  ▁█",
        "────────────────────────────────────────────────",
        " axis 0 0  axis 1 1  axis 2 2  axis 3 3",
        " axis 4 4  axis 5 5  axis 6 6  axis 7 7",
        " axis 8 8  axis 9 9  axis 10 10  axis 11 11",
        "   rate                   -",
        "   a much longer heading  nan",
        "   error                  -",
        "   curve                  -",
        "────────────────────────────────────────────────",
    ]


def test_a_value_stands_below_a_name_that_leaves_it_no_room():
    axes = {f"axis {at}": "axis" for at in range(12)}
    report = make_report(
        {**axes, "rate": "number", "a heading that is much longer": "number"}, [[*range(12), 1.5, 2.5]]
    )
    assert shown(report, 34)[6:-2] == [
        "   rate  1.500",
        "   a heading that is much longer",
        "     2.500",
    ]


def test_an_interval_stays_with_its_mean_in_a_block():
    axes = {f"axis {at}": "axis" for at in range(12)}
    report = make_report({**axes, "a heading": "number"}, [[*range(12), summarise([0.25, 0.5])]])
    assert shown(report, 30)[-4:-2] == ["   a heading", "     0.375 [-1.213 1.963]"]
    assert shown(report, 20)[-5:-2] == ["   a heading", "     0.375 [-1.213", "     1.963]"]  # numbers are whole
    tiny = make_report({**axes, "a heading of length": "number"}, [[*range(12), summarise([0.25e-300, 0.5e-300])]])
    assert shown(tiny, 50)[-4:-2] == ["   a heading of length", "     3.750e-301 [-1.213e-300 1.963e-300]"]


def test_a_verdict_in_a_block_is_coloured_without_its_name():
    axes = {f"axis {at}": "axis" for at in range(12)}
    report = make_report({**axes, "verdict": "verdict"}, [[*range(12), "worse by far"]])
    for width, coloured in ((30, "worse by far"), (12, "worse")):
        parts = [
            line.text[a:b].strip() for line in lines(report, width) for a, b, what in line.spans if what == "worse"
        ]
        assert parts[0] == coloured and " ".join(parts) == "worse by far"


def test_blocks_are_preferred_where_they_are_shorter():
    many = {f"metric {at}": "number" for at in range(6)}
    row = [summarise([0.25, 0.5])] * 6
    one, several = (make_report({"cell": "axis", **many}, [["rnn", *row]] * count) for count in (1, 20))
    assert shown(one, 40)[2:4] == [" cell rnn", "   metric 0  0.375 [-1.213 1.963]"]
    assert shown(several, 40)[3] == " rnn  │ 0.375 [-1.213 1.963]"
    assert len(shown(several, 40)) == 1 + 6 * 22 + 5 + 1


def test_the_title_keeps_facts_together():
    report = make_report({"cell": "axis"}, [], "how long a lag can be learnt, hidden 64, batch 32, mean [95 %]")
    assert shown(report, 38)[:3] == [
        "made   how long a lag can be learnt,",
        "   hidden 64, batch 32, mean [95 %]",
        " cell",
    ]
    assert shown(report, 28)[1] == "   learnt, hidden 64,"


def test_warnings_and_remarks_are_wrapped():
    report = make_report({"cell": "axis"}, [], warnings=[LONG], remarks=["a\nb \x1b[2J"])
    assert shown(report, 40)[3:7] == [
        " no gradient left after step 17 of 100",
        "   (|dL/dh| 1.2e-320), which is below",
        "   what float32 can say; stopped early",
        " a b \\x1b[2J",
    ]


def test_wide_characters_stand_in_columns():
    report = make_report({"cell": "axis", "Verlust": "number"}, [["日本", 0.5], ["e\u0301te", 0.25], ["x", 1]])
    assert shown(report)[1:6] == [
        " cell │ Verlust",
        "──────┼────────",
        " 日本 │  0.5000",
        " e\u0301te  │  0.2500",
        " x    │  1",
    ]


def test_a_table_without_rows_axes_or_metrics():
    assert shown(make_report({"cell": "axis", "loss": "number"}, []), 5)[1:3] == ["─────", " last"]
    assert shown(make_report({"loss": "number"}, [[1.5], [2.5]]), 20)[1:5] == [" loss", "──────", " 1.500", " 2.500"]
    assert shown(make_report({"cell": "axis"}, [["rnn"]]), 20)[1:4] == [" cell", "─────", " rnn"]
    assert shown(make_report({}, []), 20) == ["made", "", "", " last"]


def test_bare_numbers_and_nothing_in_a_column_of_numbers():
    report = make_report({"n": "number"}, [[3], [None], [0.25], [summarise([1, 2])]])
    assert shown(report)[3:7] == [" 3", " -", " 0.2500", " 1.500  [-4.853 7.853]"]


VERDICTS = {"cell": "axis", "verdict": "verdict"}


@pytest.mark.parametrize("width", [None, 12])
def test_verdicts_are_coloured(width):
    rows = [["a", "better"], ["b", "worse"], ["c", "inconclusive, 12 seeds"], ["d", "same"], ["e", None], ["f", "odd"]]
    report = make_report(VERDICTS, rows)
    spans = [(line.text[start:stop].strip(), what) for line in lines(report, width) for start, stop, what in line.spans]
    assert [span for span in spans if span[1] in ("better", "worse", "same")] == [
        ("better", "better"), ("worse", "worse"), ("same", "same"),
    ]  # fmt: skip
    assert ("made", "name") in spans
    assert [text for text, what in spans if what == "inconclusive"] == (
        ["inconclusive, 12 seeds"] if width is None else ["inconclusive,", "12", "seeds"]
    )

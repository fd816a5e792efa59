"""Reports for papers and notebooks: LaTeX and HTML, character by character."""

import csv
import doctest
import io
import json
import math
from html.parser import HTMLParser

import pytest
from test_layout import make_report
from test_report import make_run, written

import sandbox.report.tex
from sandbox.report import build, summarise, write
from sandbox.report.build import Field
from sandbox.report.html import html
from sandbox.report.tex import escape, tex


def test_examples_in_docstrings():
    results = doctest.testmod(sandbox.report.tex)
    assert results.attempted > 0 and results.failed == 0


# ---------------------------------------------------------------------------------------- for other programs


def machine_readable(format, *rows, kinds):
    out = io.StringIO()
    write(make_report(kinds, list(rows)), format, out, io.StringIO())
    return out.getvalue()


def test_bare_numbers_have_no_interval_in_csv_and_json():
    kinds = {"a": "axis", "n": "number", "v": "verdict"}
    rows = [["x", 3, "same"], ["y", None, None], ["z", math.nan, "a\rb"]]
    text = machine_readable("csv", *rows, kinds=kinds)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["a", "n", "n_low", "n_high", "n_n", "v"],
        ["x", "3.0", "", "", "1", "same"],
        ["y", "", "", "", "0", ""],
        ["z", "nan", "", "", "1", "a\rb"],
    ]
    data = json.loads(machine_readable("json", *rows, kinds=kinds), parse_constant=lambda name: pytest.fail(name))
    assert [row["n"] for row in data["rows"]] == [3, None, None]


# --------------------------------------------------------------------------------------------------- LaTeX


def test_tex():
    out, err = written(make_run(), "tex")
    assert out.splitlines() == [
        "% sample   gradient, hidden 4, float64, 3 seeds, mean [95 %]",
        r"\begin{tabular}{lrrrrl}",
        r"\toprule",
        r"cell & gain & rate / step & theory & \textbar{}dL/dh\textbar{} & cause \\",
        r"\midrule",
        r"rnn & $2.0$ & $2.001\,[1.999, 2.003]$ & $2.000$ & $2.469\times10^{-7}$ & weights 2, gates 1 \\",
        r"rnn & $0.5$ & $0.5010\,[0.4985, 0.5035]$ & $0.5000$ & $6.173\times10^{-8}$ & weights 2, gates 1 \\",
        r"lstm & $2.0$ & $0.500\,[-2.677, 3.677]$ ($2/3$) & -- & $2.469\times10^{-7}$ & weights 2, gates 1 \\",
        r"lstm & $0.5$ & $0.500\,[-2.677, 3.677]$ ($2/3$) & -- & $6.173\times10^{-8}$ & weights 2, gates 1 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert "check: rate = gain" in err and "12 points in 6.1 s" in err


def test_every_special_character_is_escaped():
    assert escape("#$%&_{}") == r"\#\$\%\&\_\{\}"
    assert escape("~^\\|<>") == (
        r"\textasciitilde{}\textasciicircum{}\textbackslash{}\textbar{}\textless{}\textgreater{}"
    )
    assert escape("a\nb\x1b") == r"a b\textbackslash{}x1b" and escape("∂ 'x'") == "∂ 'x'"


def test_numbers_of_every_kind_in_tex():
    fields = {"lr": Field("lr", "lr", "axis", numeric=True), "x_1": "number", "yes": "text"}
    rows = [
        [1e-5, summarise([1.5e-7, 2.5e-7]), "[1] 50 %"],
        [-0.5, summarise([math.inf, math.inf]), None],
        [64, summarise([-math.inf]), "-"],
        [1e20, summarise([13]), "*"],
        [0.1, None, "a"],
        [0.1, math.nan, "a"],
    ]
    assert tex(make_report(fields, rows, "50 %\n\\end{x}")).splitlines() == [
        r"% made   50 % \end{x}",
        r"\begin{tabular}{rrl}",
        r"\toprule",
        r"lr & x\_1 & yes \\",
        r"\midrule",
        r"$1\times10^{-5}$ & $2.000\times10^{-7}\,[-4.353\times10^{-7}, 8.353\times10^{-7}]$ & [1] 50 \% \\",
        r"$-0.5$ & $\infty$ & -- \\",
        r"$64$ & $-\infty$ & - \\",
        r"$1\times10^{20}$ & $13$ & * \\",
        r"$0.1$ & -- & a \\",
        r"$0.1$ & $\mathrm{NaN}$ & a \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_a_row_does_not_begin_with_an_argument_of_the_one_before():
    rows = tex(make_report({"a": "axis"}, [["[2] x"], ["*"], ["x[1]"]])).splitlines()[5:8]
    assert rows == [r"{[}2] x \\", r"{*} \\", r"x[1] \\"]


# ---------------------------------------------------------------------------------------------------- HTML


class Outline(HTMLParser):
    """The text of every element that has any, with its tag; fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.styles, self.tags = [], [], [], set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.add(tag)
        assert {name for name, _ in attributes} <= {"style"}
        self.styles += [value for _, value in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.found.append((self.open[-1], data.strip()))

    def texts(self, *tags):
        return [text for tag, text in self.found if tag in tags]


def test_html_has_everything():
    outline = Outline(html(build(make_run(status="interrupted"))))
    assert outline.texts("b", "div") == [
        "sample", "gradient, hidden 4, float64, 3 seeds, mean [95 %]", "run interrupted: 12 of 12 points", "a note",
        "check: rate = gain; largest deviation 0.002 over 6 rows",
        "12 points in 6.1 s (compiled 0, loaded 9)   results/sample/run/",
    ]  # fmt: skip
    assert outline.texts("th") == ["cell", "gain", "rate / step", "theory", "|dL/dh|", "cause", "profile, lag 0 to 31"]
    cells = outline.texts("td", "span")
    assert len(cells) == 4 * (7 + 1)  # an interval has a span of its own
    assert cells[-8:] == [
        "lstm", "0.5", "0.500", "[-2.677 3.677] 2/3", "-", "6.173e-08", "weights 2, gates 1", "▄▄▄▄▃▃▃▃▂▂▂▂▁▁▁▁",
    ]  # fmt: skip
    assert outline.tags == {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "span"}  # no style, no script


def test_html_is_readable_in_light_and_dark():
    """No colour is set for plain text or the background; those of verdicts keep 3 to 1 against white and black."""
    rows = [[word, word] for word in ("better", "worse", "inconclusive, 12 seeds", "same")]
    outline = Outline(html(make_report({"cell": "axis", "verdict": "verdict"}, rows, warnings=["careful"])))
    colours = [part[6:] for style in outline.styles for part in style.split(";") if part.startswith("color:")]
    assert len(colours) == 3 + 1 and not any("background" in style for style in outline.styles)
    assert outline.texts("span") == ["better", "worse", "inconclusive, 12 seeds"]
    for colour in colours:
        red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2  # WCAG 2.1, relative luminance
        assert 1.05 / (light + 0.05) > 3 and (light + 0.05) / 0.05 > 3


@pytest.mark.parametrize(
    "hostile", ['<script>alert("x")</script>', "</td></table>", "&amp;", "' onclick='x", "a\x1b[2J\nb"]
)
def test_html_escapes_everything(hostile):
    kinds = {"a": "axis", hostile: "text", "v": "verdict", "n": "number"}
    report = make_report(kinds, [[hostile, hostile, hostile, 1.5]], hostile, warnings=[hostile], remarks=[hostile])
    outline = Outline(html(report))
    assert outline.tags <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "span"}
    shown = hostile.replace("\x1b", "\\x1b").replace("\n", " ")
    assert [text for _, text in outline.found].count(shown) == 7 and "\x1b" not in html(report)


def test_a_long_table_in_html_is_shortened_and_says_so():
    report = make_report({"a": "axis"}, [[at] for at in range(1000)])
    assert len(Outline(html(report)).texts("td")) == 500
    assert "990 more rows are not shown" in Outline(html(report, most=10)).texts("div")
    assert "more" not in html(report, most=1000)
    assert Outline(html(make_report({}, []))).texts("div") == ["last"]

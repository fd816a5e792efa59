"""What a terminal shows, as its emulator sees it: nothing broken at the edge, and every number whole on one line."""

import csv
import io
import math
import re
import sys

import pytest
from test_cli_process import call, here, in_terminal  # noqa: F401 (a fixture)
from test_layout import LONG, make_report
from test_report import FakeRun, make_run

from sandbox.cli.frame import print_columns
from sandbox.report import Column, Table, build, summarise, write

pyte = pytest.importorskip("pyte")

# A number as a word of its own: no digit, letter or point before or behind it.
NUMBER = re.compile(r"(?<![\w.+-])[+-]?\d+(?:\.\d+)?(?:e[+-]\d+)?(?![\w.])")


class Terminal:
    """A screen so wide that keeps all its lines, and what was written on it."""

    def __init__(self, width, height=2000):
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.Stream(self.screen)
        self.written = 0

    def feed(self, text):
        self.written += text.count("\n")
        self.stream.feed(text.replace("\r\n", "\n").replace("\n", "\r\n"))
        assert self.screen.cursor.y < self.screen.lines - 1  # nothing has scrolled away
        return self

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display[: self.screen.cursor.y]]

    @property
    def broken(self):
        """How many lines the terminal has broken at its edge."""
        return self.screen.cursor.y - self.written


def on_screen(report, width, monkeypatch, format=None):
    """Return the terminal after a report was written to it in colour."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = io.StringIO()
    out.isatty = lambda: True
    write(report, format, out, io.StringIO())
    assert "\x1b[" in out.getvalue()
    return Terminal(width).feed(out.getvalue())


def numbers_of_csv(report):
    """Every number of the machine-readable table but the counts of seeds, with the largest of its cell beside it."""
    out = io.StringIO()
    write(report, "csv", out, io.StringIO())
    found = []
    for row in csv.DictReader(io.StringIO(out.getvalue())):
        for field in report.fields:
            ends = ("", "_low", "_high") if field.interval else ("",)
            cells = [row.get(field.key + end) for end in ends] if field.kind in ("axis", "number") else []
            values = [float(cell) for cell in cells if cell and NUMBER.fullmatch(cell)]
            found += [(value, max(map(abs, values))) for value in values]
    return found


def whole_numbers(lines):
    return [float(number) for line in lines for number in NUMBER.findall(line)]


def assert_every_number_is_there(report, lines):
    """Each number of the CSV is on a line as a whole, with the four digits that a table shows."""
    shown = sorted(whole_numbers(lines))
    numbers = numbers_of_csv(report)
    assert numbers
    for value, scale in numbers:
        near = min(shown, key=lambda number: abs(number - value))
        assert abs(near - value) <= 0.5001e-3 * scale, f"{value} is nowhere, the nearest is {near}"


def forty_axes(varying, points=5):
    """A run with 40 axes of which `varying` vary, and numbers which are unlike each other in every digit."""
    axes = {f"axis_{at}": [1000 + at, 2000 + at] if at < varying else [3000 + at] for at in range(40)}
    axes = {name: [value / 8 for value in values] if name[-1] in "37" else values for name, values in axes.items()}
    rows = []
    for point in range(points):
        at = {name: values[(point >> place % 3) % len(values)] for place, (name, values) in enumerate(axes.items())}
        for seed in range(3):
            x = math.sqrt(2 + point) * (1 + seed / 7)
            metrics = {"rate": -x, "tiny": x * 1e-7, "huge": x**40, "updates": 1237 * point + seed, "cause": LONG}
            rows.append({**at, "seed": seed, **metrics, "status": "ok", "error": ""})
    table = Table(["rate", Column("tiny", "a heading that says at length what it is"), "huge", "updates", "cause"])
    info = {"axes": axes, "seeds": [0, 1, 2], "curves": {}, "table": table.as_dict()}
    return build(
        FakeRun("results/forty/run", make_run().info | info, ["rate", "tiny", "huge", "updates", "cause"], rows)
    )


@pytest.mark.parametrize("varying", [1, 3, 12, 40])
@pytest.mark.parametrize("width", [40, 60, 80])
def test_forty_axes(varying, width, monkeypatch):
    report = forty_axes(varying)
    terminal = on_screen(report, width, monkeypatch)
    assert terminal.broken == 0
    assert_every_number_is_there(report, terminal.lines)


@pytest.mark.parametrize("varying", [1, 12, 40])
def test_forty_axes_in_a_pipe(varying):
    report, out = forty_axes(varying), io.StringIO()
    write(report, None, out, io.StringIO())
    assert_every_number_is_there(report, out.getvalue().splitlines())
    assert len(out.getvalue().splitlines()) == 2 + 1 + len(report.rows) + 1  # a row is a line


def test_forced_colour_in_a_pipe_does_not_wrap(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    report, out = forty_axes(12), io.StringIO()
    write(report, "rich", out, io.StringIO())
    assert "\x1b[" in out.getvalue() and len(out.getvalue().splitlines()) == 2 + 1 + len(report.rows) + 1


def test_the_emulator_sees_what_is_cut():
    report, out = forty_axes(12), io.StringIO()
    write(report, None, out, io.StringIO())
    terminal = Terminal(60).feed(out.getvalue())
    assert terminal.broken > 0
    with pytest.raises(AssertionError, match="is nowhere"):
        assert_every_number_is_there(report, terminal.lines)


@pytest.mark.parametrize("width", range(30, 110, 8))
def test_every_width(width, monkeypatch):
    report = build(make_run())
    terminal = on_screen(report, width, monkeypatch)
    assert terminal.broken == 0
    assert_every_number_is_there(report, terminal.lines)


WIDE = [
    "日本語のセル",
    "e\u0301te\u0301",
    "ﾊﾝｶｸ",
    "Größe ∂h/∂t",
    "\U0001f9e0 brain",
    "한국어 문장 하나 둘 셋 넷 다섯 여섯 일곱 여덟",
]


@pytest.mark.parametrize("width", [30, 40, 60])
def test_wide_unicode(width, monkeypatch):
    rows = [[cell, 16 * at + 1, summarise([at / 7, at / 3]), cell * 2] for at, cell in enumerate(WIDE)]
    kinds = {"cell 名前": "axis", "hidden": "axis", "損失": "number", "原因": "text"}
    report = make_report(kinds, rows, "深層学習, hidden 64, 形 日本, 乱数 種 と その 平均", remarks=["備考 " * 20])
    terminal = on_screen(report, width, monkeypatch)
    assert terminal.broken == 0
    assert_every_number_is_there(report, terminal.lines)
    shown = "".join(terminal.lines).replace(" ", "")
    assert all(cell.replace(" ", "") in shown for cell in WIDE[:1] + WIDE[2:5])


def test_bars_stand_below_each_other_beside_wide_characters(monkeypatch):
    rows = [[cell, summarise([at / 7, at / 3])] for at, cell in enumerate(WIDE[:5])]
    terminal = on_screen(make_report({"名": "axis", "loss": "number"}, rows), 60, monkeypatch)
    bars = [
        {x for x, character in line.items() if character.data and character.data in "│┼"}
        for y, line in sorted(terminal.screen.buffer.items())
        if 1 <= y <= 2 + len(rows)
    ]
    assert len(bars) == 2 + len(rows) and all(bar == bars[0] and len(bar) == 1 for bar in bars)


def test_text_from_outside_does_not_steer_the_terminal(monkeypatch):
    hostile = "\x1b[2J\x1b[1;1Hgone\r\x07\x9b5A\u202e"
    report = make_report({"cell": "axis", "loss": "number", "error": "text"}, [[hostile, 0.125, hostile]], hostile)
    for width in (40, 200):
        terminal = on_screen(report, width, monkeypatch)
        assert terminal.broken == 0 and terminal.lines[0].startswith("made")
        assert_every_number_is_there(report, terminal.lines)


def test_colours_reach_the_screen(monkeypatch):
    rows = [["rnn", summarise([0.25, 0.5]), "worse"], ["gru", summarise([0.5, 0.25]), "better"]]
    report = make_report({"cell": "axis", "loss": "number", "verdict": "verdict"}, rows, warnings=["careful"])
    screen = on_screen(report, 60, monkeypatch).screen

    def colour(y, text):
        return {screen.buffer[y][screen.display[y].index(text) + at].fg for at in range(len(text))}

    assert [colour(3, "rnn"), colour(3, "worse"), colour(4, "better")] == [{"cyan"}, {"red"}, {"green"}]
    assert colour(3, "0.375") == {"default"} and colour(5, "careful") == {"brown"}  # ANSI's yellow


# ------------------------------------------------------------------------------------------- the command itself

EXPERIMENT = '''
from sandbox.experiment import experiment
from sandbox.report import Column, Table

@experiment(
    {axes}, seeds=2,
    table=Table(["loss", Column("norm", "norm of the gradient"), "why"], spark=("profile", "y"), subject="∂ of 日本"),
)
def many({names}, seed):
    """Many axes."""
    x, why = (a0 * 1.37 + seed) ** 0.5, "because of 1.25 reasons " * 4
    return {{"loss": x, "norm": x * 1e-9, "why": why}}, {{"profile": {{"x": [0, 1], "y": [0, x]}}}}
'''


def test_the_command_on_a_terminal(here):  # noqa: F811
    names = [f"a{at}" for at in range(40)]
    axes = ", ".join(f"{name}={[at + 11, at + 111] if at in (0, 1) else [at + 11]}" for at, name in enumerate(names))
    (here / "experiments" / "many.py").write_text(EXPERIMENT.format(axes=axes, names=", ".join(names)), "utf-8")
    varying = [f"--{name}={at + 11},{at + 511}" for at, name in enumerate(names) if 2 <= at < 4]
    piped, _, code = call("run", "many", *varying, "--format", "csv", "--no-plot")
    assert code == 0
    numbers = [cell for row in csv.reader(io.StringIO(piped)) for cell in row if NUMBER.fullmatch(cell)]
    assert len(numbers) > 16 * 40
    losses = {float(row["loss"]) for row in csv.DictReader(io.StringIO(piped))}
    for width in (60, 40):
        terminal = Terminal(width).feed(in_terminal(width, "show", "many"))
        assert terminal.broken == 0
        shown = whole_numbers(terminal.lines)
        assert all(any(abs(loss - number) <= 0.5e-3 * loss for number in shown) for loss in losses)
        assert {11, 111, 512 + 1, 513 + 1} <= set(shown)


def test_files_of_points_on_a_narrow_terminal(here):  # noqa: F811
    files = '{"notes.txt": why, "more.txt": ""}'
    text = EXPERIMENT.format(axes="a0=[1]", names="a0").replace("[0, x]}}", f"[0, x]}}}}, {files}")
    (here / "experiments" / "many.py").write_text(text, "utf-8")
    assert call("run", "many", "--no-plot")[2] == 0
    terminal = Terminal(60).feed(in_terminal(60, "show", "many"))
    assert terminal.broken == 0
    assert terminal.lines[-1].endswith("more.txt, notes.txt)")


# --------------------------------------------------------------------------------------------- lists of names


def columns_on_screen(rows, width, monkeypatch, capsys, err=False):
    """What `print_columns` shows on a terminal so wide, without one at width None."""
    stream = sys.stderr if err else sys.stdout
    if width is not None:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(stream, "isatty", lambda: True)
    print_columns(rows, err)
    out = capsys.readouterr()[err]
    if width is None:
        return out.splitlines()
    terminal = Terminal(width).feed(out)
    assert terminal.broken == 0
    return terminal.lines


LIST = [("vanishing", "How fast the gradient of a loss dies on its way back.", ""), ("length", "How long a lag.", "")]


@pytest.mark.parametrize("err", [False, True])
def test_a_list_on_a_narrow_terminal(monkeypatch, capsys, err):
    assert columns_on_screen(LIST, 40, monkeypatch, capsys, err) == [
        "vanishing  How fast the gradient of a",
        "           loss dies on its way back.",
        "length     How long a lag.",
    ]


def test_a_list_in_a_pipe(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    assert columns_on_screen(LIST, None, monkeypatch, capsys) == [
        "vanishing  How fast the gradient of a loss dies on its way back.",
        "length     How long a lag.",
    ]


def test_columns_that_have_no_room_follow_below_each_other(monkeypatch, capsys):
    rows = [("task", "variants", "seq_len", "solved"), ("adding", "sum|hs97|mean|centred", "100", "mean squared " * 3)]
    assert columns_on_screen(rows, 50, monkeypatch, capsys) == [
        "task    variants",
        "        seq_len",
        "        solved",
        "adding  sum|hs97|mean|centred",
        "        100",
        "        mean squared mean squared mean squared",
    ]
    assert columns_on_screen([("x " * 15, "a b " * 8, "日本 " * 3)], 24, monkeypatch, capsys) == [
        "x x x x x x x x x x x x",
        "  x x x",
        "    a b a b a b a b a b",
        "      a b a b a b",
        "    日本 日本 日本",
    ]

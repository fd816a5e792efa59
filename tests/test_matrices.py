"""Pictures of matrices: which cell is where, which panels there are, and the same bytes from the same data."""

import itertools
import json
import math

import pytest
from click.testing import CliRunner

from sandbox.cli import cli
from sandbox.errors import UsageError
from sandbox.report import Picture
from sandbox.report.choice import picture_of, picture_of_curve
from sandbox.report.matrices import MOST_NAMES, heat_maps, matrices
from sandbox.report.panels import MOST_PANELS, NothingToDraw
from sandbox.report.picture import render, save
from sandbox.results import RunWriter, load
from sandbox.sweep import Point, Row

pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")

WORDS = {"phone": ["F", "OW", "N", "END"], "is": ["IH", "Z", "END"]}
NAMES = ("step", "source", "weight", "row_name", "column_name", "example")
PICTURE = Picture(curve="alignment", series="weight", matrix="source", labels=("row_name", "column_name"),
                  each="example", x="letter", y="phone", limits=(0, 1), title="where it looks")  # fmt: skip


def alignment(score, seed, words=WORDS, turned=False):
    """Cells of one matrix a word, in this order or turned round."""
    cells = [
        (i, j, (i + 1) * (j + 1) / 100 + seed / 10 + (score == "dot") / 100, phone, letter, word)
        for word, phones in words.items()
        for i, phone in enumerate(phones)
        for j, letter in enumerate(word)
    ]
    if turned:
        cells.reverse()
    return {"alignment": dict(zip(NAMES, map(list, zip(*cells)), strict=True))}


def square(size, seed):
    values = [[math.nan if (i, j) == (0, 1) else (i - j) / size for j in range(size)] for i in range(size)]
    places = list(itertools.product(range(size), repeat=2))
    columns = {"row": [i for i, _ in places], "column": [j for _, j in places]}
    return {"m": columns | {"weight": [values[i][j] for i, j in places]}}


def made(folder, function, picture=PICTURE, seeds=(0, 1), fails=(), **axes):
    shown = {"picture": picture.as_dict() if picture else None}
    with RunWriter(folder, "looks", axes, seeds, **shown) as writer:
        for values in itertools.product(*axes.values()):
            for seed in seeds:
                point, bad = Point(dict(zip(axes, values, strict=True)), seed), (*values, seed) in fails
                curves = {} if bad else function(**point.values, seed=seed)
                writer.add(Row(point, {}, curves, status="error" if bad else "ok"))
    return load(writer.path)


def test_a_cell_stands_in_its_row_and_column(tmp_path):
    content = matrices(made(tmp_path, alignment, score=["dot", "additive"]), PICTURE)
    assert [panel.title for panel in content.panels] == [
        "score dot, phone", "score dot, is", "score additive, phone", "score additive, is"
    ]  # fmt: skip
    phone, short = content.panels[2:]
    assert (phone.rows, phone.columns) == (["F", "OW", "N", "END"], list("phone"))
    assert phone.values == [[(i + 1) * (j + 1) / 100 for j in range(5)] for i in range(4)]
    assert (short.rows, short.columns, len(short.values), len(short.values[0])) == (
        ["IH", "Z", "END"],
        ["i", "s"],
        3,
        2,
    )
    assert (content.x, content.y, content.label, content.limits) == ("letter", "phone", "weight", (0, 1))
    assert (content.title, content.facts, content.notes) == ("looks: where it looks", "seed 0", [])
    assert content.abreast == 2 and content.named == (True, True)


def test_cells_may_come_in_any_order(tmp_path):
    def turned(score, seed):
        return alignment(score, seed, {"phone": WORDS["phone"]}, turned=True)

    content = matrices(made(tmp_path, turned, score=["dot"]), PICTURE)
    (panel,) = content.panels
    assert panel.rows == ["F", "OW", "N", "END"] and panel.columns == list("phone")
    assert panel.values[3][0] == 4 / 100 + 1 / 100


def test_what_is_not_finite_or_not_there_is_a_gap(tmp_path):
    def ragged(size, seed):
        curve = square(size, seed)["m"]
        return {"m": {name: values[:-1] for name, values in curve.items()}}

    run = made(tmp_path, ragged, None, size=[3])
    content = matrices(run, picture_of(run))
    ((top, middle, bottom),) = [panel.values for panel in content.panels]
    assert top[0] == 0 and math.isnan(top[1]) and middle == [1 / 3, 0, -1 / 3] and math.isnan(bottom[2])
    assert content.limits == (-2 / 3, 2 / 3) and content.panels[0].rows == ["0", "1", "2"]
    assert content.named == (False, False) and (content.x, content.y) == ("column", "row")


def test_a_point_without_all_of_it_is_left_out(tmp_path):
    def partly(score, seed):
        curve = alignment(score, seed)["alignment"]
        return {"alignment": {name: curve[name] for name in NAMES if score != "dot" or name != "row_name"}}

    content = matrices(made(tmp_path, partly, score=["dot", "additive"]), PICTURE)
    assert [panel.title for panel in content.panels] == ["score additive, phone", "score additive, is"]


def test_the_first_seed_with_a_result_is_shown(tmp_path):
    run = made(tmp_path, alignment, score=["dot"], seeds=(3, 5), fails=[("dot", 3)])
    content = matrices(run, PICTURE)
    assert content.facts.endswith("seed 5") and content.panels[0].values[0][0] == 1 / 100 + 5 / 10 + 1 / 100


def test_more_matrices_than_fit_are_said(tmp_path):
    run = made(tmp_path, square, None, size=list(range(2, 20)))
    content = matrices(run, picture_of(run))
    assert len(content.panels) == MOST_PANELS and content.notes == [f"{MOST_PANELS} of 18 matrices shown"]
    assert content.panels[0].title == "size 2" and content.panels[-1].title == "size 19"


def test_a_picture_of_equal_values_and_one_of_none(tmp_path):
    run = made(tmp_path, lambda size, seed: {"m": {"row": [0], "column": [0], "weight": [2.0]}}, None, size=[1])
    assert matrices(run, picture_of(run)).limits == (1.5, 2.5)
    run = made(tmp_path, lambda size, seed: {"m": {"row": [0], "column": [0], "weight": [None]}}, None, size=[1])
    with pytest.raises(NothingToDraw, match="m has no finite value to draw"):
        matrices(run, picture_of(run))
    for word, message in (("weight", "has no curve 'alignment'"), ("source", "unknown series of curve 'm' 'source'")):
        picture = Picture(curve="alignment" if word == "weight" else "m", series="weight", matrix="source")
        with pytest.raises(NothingToDraw, match=message):
            matrices(run, picture)


def test_what_is_drawn(tmp_path):
    drawing = heat_maps(matrices(made(tmp_path, alignment, score=["dot", "additive"]), PICTURE))
    *panels, bar = drawing.axes
    assert len(panels) == 4 and bar.get_ylabel() == "weight"
    assert [axes.get_title(loc="left") for axes in panels][1] == "score dot, is"
    image = panels[0].images[0]
    assert image.get_cmap().name == "viridis" and image.get_clim() == (0, 1)
    assert image.get_array()[1, 2] == 6 / 100 + 1 / 100
    assert [tick.get_text() for tick in panels[0].get_xticklabels()] == list("phone")
    assert [tick.get_text() for tick in panels[0].get_yticklabels()] == WORDS["phone"]
    assert panels[0].get_ylim() == (3.5, -0.5)  # the first row above
    assert [axes.get_xlabel() for axes in panels] == ["", "", "letter", "letter"]
    assert [axes.get_ylabel() for axes in panels] == ["phone", "", "phone", ""]


def test_names_and_numbers_that_have_no_room_are_left_out(tmp_path):
    run = made(tmp_path, square, None, size=[60])
    (axes, _) = heat_maps(matrices(run, picture_of(run))).axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "10", "20", "30", "40", "50"]
    word = "abcdefghij" * 8

    def long(score, seed):
        return alignment(score, seed, {word: ["a rather long name of a row"]})

    (axes, _) = heat_maps(matrices(made(tmp_path, long, score=["dot"]), PICTURE)).axes
    assert len(axes.get_xticklabels()) == 40 <= 2 * MOST_NAMES and axes.get_xticklabels()[0].get_rotation() == 0
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a rather long..."]
    turned = Picture(curve="alignment", series="weight", matrix="source", labels=("", "row_name"))
    (axes, _) = heat_maps(matrices(made(tmp_path, long, score=["dot"]), turned)).axes
    assert {tick.get_rotation() for tick in axes.get_xticklabels()} == {90}


@pytest.mark.parametrize("format", ["png", "svg"])
def test_the_same_data_gives_the_same_bytes(tmp_path, format):
    content = matrices(made(tmp_path, alignment, score=["dot"]), PICTURE)
    drawn = render(content, format)
    assert drawn == render(content, format) and len(drawn) > 5000
    assert (drawn[:4] == b"\x89PNG") == (format == "png")


def test_plot_draws_what_was_declared_or_what_names_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = made("results", alignment, score=["dot"])
    done = CliRunner().invoke(cli, ["plot", "looks"])
    assert done.exit_code == 0 and (run.path / "looks.png").read_bytes() == render(matrices(run, PICTURE), "png")
    declared = Picture.from_dict(json.loads(json.dumps(PICTURE.as_dict())))
    assert declared == PICTURE == picture_of_curve(run, "alignment")
    run = made("results", alignment, Picture(metric="loss", against="score"), score=["dot"])
    found = picture_of_curve(run, "alignment")
    assert found == Picture(curve="alignment", series="weight", matrix="source", labels=("row_name", "column_name"),
                            each="example")  # fmt: skip
    assert CliRunner().invoke(cli, ["plot", "looks", "--curve", "alignment"]).exit_code == 0
    assert save(run, picture=found).exists() and (run.path / "alignment.png").exists()


@pytest.mark.parametrize(
    "parts",
    [
        dict(series=["weight", "other"]), dict(series=[["weight"], ["other"]], y=["a", "b"]), dict(log=True),
        dict(baseline="b"), dict(theory="b"), dict(events="b"), dict(labels=("a",)), dict(labels=("a", "b", "c")),
    ],
)  # fmt: skip
def test_what_a_matrix_cannot_have(parts):
    with pytest.raises(UsageError, match="a matrix must be one series of a curve with two labels, without lines"):
        Picture(**{"curve": "c", "series": "weight", "matrix": "column", **parts})


def test_what_needs_a_matrix():
    for parts in (dict(labels=("a", "b")), dict(each="a")):
        with pytest.raises(UsageError, match="a picture must have a matrix to have labels"):
            Picture(curve="c", series="weight", **parts)
    with pytest.raises(UsageError, match="a matrix must be one series"):
        Picture(metric="loss", against="score", matrix="column")
    with pytest.raises(UsageError, match="must be texts"):
        Picture(curve="c", series="weight", matrix=3)

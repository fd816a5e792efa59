"""Pictures: what is drawn of a run, how it looks, the same bytes from the same data, and what the command line says."""

import builtins
import doctest
import itertools
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import sandbox.report.picture
import sandbox.report.spec
from sandbox.cli import cli
from sandbox.errors import UsageError
from sandbox.experiment import experiment
from sandbox.report import Picture, Table, choice
from sandbox.report.choice import picture_of
from sandbox.report.panels import MOST_LINES, MOST_PANELS, STRETCHES, WINDOW, NothingToDraw, plan
from sandbox.report.picture import COLOURS, MARKERS, decade_ticks, default_path, figure, render, save, save_quietly
from sandbox.results import RunWriter, load
from sandbox.sweep import Point, Row

pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")

PROFILE = Picture(
    curve="profile", series="log10_grad", x="lag (steps)", y="log10 norm of dL/dh (1)", theory="rate_exact"
)
TRAINING = Picture(
    curve="training", series=[["loss", "validation_loss"], ["gradient_norm"]], x="update", log=True,
    y=["loss (MSE)", "gradient norm"], baseline="baseline", events="clipped",
)  # fmt: skip
LENGTH = Picture(metric="solved", against="seq_len", y="success rate (share of seeds)")
FORECAST = Picture(curve="forecast", series=("actual", "predicted"), seed="first", x="time (steps)", y="x(t)")


def profile(cell, gain, seed, lags=21, **others):
    """A gradient that decays by `gain` a step, a little faster for later seeds."""
    rate = gain * (1 - seed / 100 * (cell != "linear"))
    return {"rate": rate, "rate_exact": gain if cell == "linear" else None}, {
        "profile": {"lag": list(range(lags)), "log10_grad": [lag * math.log10(rate) for lag in range(lags)]}
    }


def training(cell, seed, updates=50, **others):
    """A loss that falls but for a plain network, which becomes infinite half way; every seventh update is clipped."""
    falls = [0.1 * (1 + seed / 10) * (1.0 if cell == "rnn" else 0.9**at) for at in range(updates)]
    loss = [math.inf if cell == "rnn" and at > updates // 2 else value for at, value in enumerate(falls)]
    curves = {"update": list(range(updates)), "loss": loss, "validation_loss": [1.1 * value for value in loss]}
    curves |= {"gradient_norm": [1 + at % 7 for at in range(updates)]}
    curves |= {"clipped": [int(at % 7 == 6) for at in range(updates)]}
    return {"baseline": 1 / 6}, {"training": curves}


def length(cell, seq_len, seed, **others):
    """Solved up to a length that depends on the cell, by some seeds only at its end."""
    return {"solved": seq_len < {"rnn": 30, "lstm": 300}[cell] + 100 * seed, "loss": seq_len / 7}, {}


def forecast(cell, seed, **others):
    actual = [math.sin(at / 5) for at in range(100)]
    return {}, {"forecast": {"t": list(range(100)), "actual": actual, "predicted": [0.9 * v + seed for v in actual]}}


def make_run(folder, function, picture, seeds=(0, 1, 2), table=None, name="sample", **axes):
    """Write a run of `function` over a grid, and read it back."""
    shown = {"picture": picture.as_dict() if picture else None, "table": table.as_dict() if table else None}
    with RunWriter(folder, name, axes, seeds, **shown) as writer:
        for values in itertools.product(*axes.values()):
            for seed in seeds:
                point = Point(dict(zip(axes, values)), seed)
                try:
                    writer.add(Row(point, *function(**point.values, seed=seed)))
                except ArithmeticError as error:
                    writer.add(Row(point, status="error", error=str(error)))
    return load(writer.path)


def planned(run):
    return plan(run, picture_of(run))


def drawn(run):
    """The figure of a run, laid out."""
    with sandbox.report.picture._matplotlib():
        drawing = figure(planned(run))
        drawing.draw_without_rendering()
    return drawing


def texts(drawing):
    """All text of a figure that can be seen."""
    from matplotlib.text import Text

    return [each.get_text() for each in drawing.findobj(Text) if each.get_visible() and each.get_text()]


def with_gid(drawing, gid):
    return drawing.findobj(lambda artist: artist.get_gid() == gid)


@pytest.fixture
def profiles(tmp_path):
    return make_run(tmp_path, profile, PROFILE, cell=["linear", "lstm"], gain=[0.5, 0.9], hidden=[4])


# ------------------------------------------------------------------------------------------------- declarations


@pytest.mark.parametrize("module", [sandbox.report.spec, sandbox.report.picture])
def test_examples_in_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted > 0 and results.failed == 0


@pytest.mark.parametrize(
    "picture", [PROFILE, TRAINING, LENGTH, FORECAST, Picture(metric="m", against="a", limits=(0, 2))]
)
def test_a_picture_survives_run_json(picture):
    assert Picture.from_dict(json.loads(json.dumps(picture.as_dict()))) == picture


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "must have a curve with series, or a metric"),
        ({"curve": "c"}, "must have a curve with series"),
        ({"curve": "c", "series": "s", "metric": "m", "against": "a"}, "not both"),
        ({"metric": "m"}, "must have an axis which it is drawn against"),
        ({"curve": "c", "series": "s", "against": "a"}, "a curve has none"),
        ({"curve": "c", "series": ["s"], "y": ["a", "b"]}, "a picture of 1 panels must have 1 values of y"),
        ({"curve": "c", "series": [["s"], ["t"]], "log": [True]}, "a picture of 2 panels"),
        ({"curve": "c", "series": "s", "seed": "last"}, "must be mean or first, got last"),
        ({"curve": "c", "series": [[1]]}, "must be texts"),
        ({"metric": "m", "against": "a", "limits": (1, 0)}, "two rising numbers"),
    ],
)
def test_a_picture_that_contradicts_itself(parts, message):
    with pytest.raises(UsageError, match=message):
        Picture(**parts)


def test_an_experiment_checks_its_picture():
    def width(hidden, seed):
        return {"n": hidden}

    assert experiment(hidden=[1], picture=Picture(metric="n", against="hidden"))(width).picture.metric == "n"
    with pytest.raises(UsageError, match="unknown axis 'hiden'; did you mean 'hidden'"):
        experiment(hidden=[1], picture=Picture(metric="n", against="hiden"))(width)
    with pytest.raises(UsageError, match="picture of 'width' must be a Picture, got 'n'"):
        experiment(hidden=[1], picture="n")(width)


# ------------------------------------------------------------------------------------------------- what is drawn


def test_a_curve_has_a_mean_an_interval_and_the_theory_dashed(profiles):
    content = planned(profiles)
    (facet,) = content.facets
    assert content.keys == [("linear, 0.5", 0), ("linear, 0.9", 1), ("lstm, 0.5", 2), ("lstm, 0.9", 3)]
    assert content.key_title == "cell, gain" and content.scales[0].log
    assert content.facts == "hidden 4, mean of log10 over 3 seeds"
    lines = [line for line in facet.panels[0] if line.kind == "data"]
    theory = [line for line in facet.panels[0] if line.kind == "theory"]
    assert len(lines) == 4 and len(theory) == 2
    assert theory[1].x == [0, 20] and theory[1].y == pytest.approx([0, 20 * math.log10(0.9)])
    ends = [20 * math.log10(0.9 * (1 - seed / 100)) for seed in range(3)]
    assert lines[3].y[-1] == pytest.approx(sum(ends) / 3)
    half = 4.302652729911275 * math.sqrt(sum((end - sum(ends) / 3) ** 2 for end in ends) / 2 / 3)
    assert lines[3].high[-1] - lines[3].y[-1] == pytest.approx(half)


def test_what_the_figure_of_profiles_says(profiles):
    drawing = drawn(profiles)
    said = texts(drawing)
    # The label's "log10" is gone: the ticks are powers of ten themselves.
    for text in ("sample", "lag (steps)", "norm of dL/dh (1)", "cell, gain", "lstm, 0.9", "theory", "95 % interval"):
        assert text in said
    assert "$10^{-2}$" in said and "log10 norm of dL/dh (1)" not in said
    assert len(with_gid(drawing, "line")) == 4 and len(with_gid(drawing, "interval")) == 4
    assert [line.get_color() for line in with_gid(drawing, "line")] == list(COLOURS[:4])
    assert [line.get_marker() for line in with_gid(drawing, "markers")] == list(MARKERS[:4])
    assert [line.get_linestyle() for line in with_gid(drawing, "theory")] == ["--", "--"]


def test_nothing_overlaps(tmp_path):
    names = ["lstm:forget_bias=3.0,peepholes=all,coupled=true,output_gate=none", "rnn"]
    run = make_run(tmp_path, profile, PROFILE, cell=names, gain=[0.1 * at for at in range(1, 7)])
    drawing = drawn(run)
    (legend,) = drawing.legends
    boxes = [axes.get_tightbbox() for axes in drawing.axes]
    key, whole = legend.get_window_extent(), drawing.bbox
    heads = [text.get_window_extent() for text in drawing.texts if text.get_text()]
    assert len(boxes) == 2
    for one, other in itertools.combinations([*boxes, key, *heads], 2):
        assert not one.padded(-1).overlaps(other)
    for box in [*boxes, key, *heads]:
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1


def test_one_seed_and_one_point(tmp_path):
    run = make_run(tmp_path, profile, PROFILE, seeds=[7], cell=["lstm"], gain=[0.5])
    drawing = drawn(run)
    assert not with_gid(drawing, "interval") and not drawing.legends
    assert "cell lstm, gain 0.5, seed 7" in texts(drawing)
    short = make_run(tmp_path, lambda **point: profile(lags=1, **point), PROFILE, cell=["lstm"], gain=[0.5])
    (line,) = with_gid(drawn(short), "markers")
    assert list(line.get_xdata()) == [0] and line.get_markevery() == [0]
    single = make_run(tmp_path, length, LENGTH, seeds=[0], cell=["rnn"], seq_len=[50])
    assert "sequence length (steps)" in texts(drawn(single))


def test_training_curves_are_stacked_with_baseline_and_clip_events(tmp_path):
    run = make_run(tmp_path, training, TRAINING, cell=["rnn", "lstm"])
    content = planned(run)
    (facet,) = content.facets
    loss, norms = facet.panels
    assert [line.style for line in loss if line.kind == "data"] == [0, 1, 0, 1] and len(norms) == 2
    assert [line.y for line in loss if line.kind == "baseline"] == [[math.log10(1 / 6)] * 2]
    assert content.styles == ["loss", "validation loss"]
    assert facet.events == {0: [(float(at), 1.0) for at in range(6, 50, 7)]} | {1: facet.events[0]}
    # The plain network is infinite from update 26 on.
    assert [line.stop for line in loss if line.kind == "data"] == [25, 25, None, None]
    drawing = drawn(run)
    said = texts(drawing)
    assert {"loss (MSE)", "gradient norm", "update", "baseline", "validation loss"} <= set(said)
    assert "ticks: clipped; \u00d7: nothing finite after" in said
    assert len(drawing.axes) == 2 and len(with_gid(drawing.axes[1], "events")) == 2
    assert len(with_gid(drawing, "stop")) == 2 and len(with_gid(drawing.axes[0], "baseline")) == 1
    # The ticks stand below the lowest value.
    (low, high), shown = drawing.axes[1].get_ylim(), [value for line in norms for value in line.low]
    top = max(path.vertices[1][1] for path in with_gid(drawing, "events")[-1].get_paths())
    assert low + top * (high - low) < min(shown)


def test_series_of_a_single_line_have_the_colours(tmp_path):
    content = planned(make_run(tmp_path, training, TRAINING, cell=["lstm"]))
    assert content.keys == [("loss", 0), ("validation loss", 1), ("gradient norm", 2)] and content.styles == []


def test_success_against_length(tmp_path):
    run = make_run(tmp_path, length, LENGTH, cell=["rnn", "lstm"], seq_len=[200, 10, 50])
    content = planned(run)
    assert content.log_x and content.ticks == [10, 50, 200] and content.scales[0].limits == (0, 1)
    first, second = content.facets[0].panels[0]
    assert first.y == pytest.approx([1, 2 / 3, 1 / 3]) and second.y == [1, 1, 1]
    drawing = drawn(run)
    axes = drawing.axes[0]
    assert axes.get_xscale() == "log" and [label.get_text() for label in axes.get_xticklabels()] == ["10", "50", "200"]
    assert axes.get_ylim() == pytest.approx((-0.04, 1.04))
    for interval in with_gid(drawing, "interval"):  # a share is nowhere below 0 or above 1
        assert 0 <= min(interval.get_ydata()) and max(interval.get_ydata()) <= 1
    narrow = make_run(tmp_path, length, LENGTH, cell=["rnn"], seq_len=[10, 100])
    assert not planned(narrow).log_x


def test_an_axis_without_numbers_has_points_side_by_side(tmp_path):
    picture = Picture(metric="loss", against="cell", log=True)
    run = make_run(tmp_path, length, picture, cell=["rnn", "lstm"], seq_len=[10, 20])
    content = planned(run)
    assert content.categories == ["rnn", "lstm"] and not content.connected
    assert content.facets[0].panels[0][0].y == [math.log10(10 / 7)] * 2
    assert {line.get_linestyle() for line in with_gid(drawn(run), "line")} == {"None"}


def test_theory_and_baseline_of_a_metric(tmp_path):
    picture = Picture(metric="rate", against="gain", theory="rate_exact", baseline="rate")
    run = make_run(tmp_path, profile, picture, cell=["linear", "lstm"], gain=[0.5, 0.9])
    kinds = [(line.kind, line.y) for line in planned(run).facets[0].panels[0] if line.kind != "data"]
    assert ("theory", pytest.approx([0.5, 0.9])) in kinds and [kind for kind, _ in kinds].count("theory") == 1


def test_predictions_of_the_first_seed_against_actual(tmp_path):
    run = make_run(tmp_path, forecast, FORECAST, seeds=[3, 4], cell=["rnn", "lstm"])
    content = planned(run)
    kinds = [line.kind for line in content.facets[0].panels[0]]
    assert sorted(kinds) == ["data", "data", "reference"]  # the cells have the same series to predict
    assert content.facts == "seed 3" and content.facets[0].panels[0][1].y[0] == 3
    drawing = drawn(run)
    (actual,) = with_gid(drawing, "reference")
    assert actual.get_color() == "black" and actual.get_linestyle() == "--" and "actual" in texts(drawing)
    assert not with_gid(drawing, "interval")


def test_the_first_seed_is_the_first_that_ran(tmp_path):
    def fails(seed, **others):
        return forecast(seed=seed, **others) if seed else 1 / 0

    assert planned(make_run(tmp_path, fails, FORECAST, cell=["rnn"])).facts == "cell rnn, seed 1"


# ------------------------------------------------------------------------------------------------- many and missing


def test_lines_that_do_not_fit_are_spread_over_panels(tmp_path):
    axes = dict(cell=["a", "b", "c", "d", "e"], gain=[0.5, 0.7, 0.9], hidden=[1, 2, 3, 4])
    run = make_run(tmp_path, profile, PROFILE, seeds=[0], **axes)
    content = planned(run)
    assert [facet.title for facet in content.facets][:2] == ["gain 0.5, hidden 1", "gain 0.5, hidden 2"]
    assert len(content.facets) == 12 and [label for label, _ in content.keys] == ["a", "b", "c", "d", "e"]
    assert content.notes == []
    drawing = drawn(run)
    assert len({axes.get_ylim() for axes in drawing.axes}) == 1 and len(with_gid(drawing, "line")) == 60
    apart = make_run(tmp_path, profile, replace(PROFILE, apart=True), seeds=[0], **axes)
    assert len({axes.get_ylim() for axes in drawn(apart).axes}) > 1
    few = make_run(tmp_path, profile, PROFILE, seeds=[0], cell=["a", "b", "c", "d"], gain=[0.5, 0.7, 0.9])
    assert [facet.title for facet in planned(few).facets] == ["gain 0.5", "gain 0.7", "gain 0.9"]


def test_what_is_left_out_is_named(tmp_path):
    gains = [at / 100 for at in range(1, 41)]
    content = planned(make_run(tmp_path, profile, PROFILE, seeds=[0], cell=["rnn"], gain=gains))
    assert len(content.keys) == MOST_LINES and content.keys[0][0] == "0.01" and content.keys[-1][0] == "0.4"
    assert content.notes[-1].startswith("8 of 40 lines shown, left out: 0.02; 0.03;")
    assert len(content.notes[-1]) < 200
    cells = [chr(97 + at) for at in range(10)]
    content = planned(make_run(tmp_path, profile, PROFILE, seeds=[0], cell=cells, gain=gains))
    assert len(content.facets) == MOST_PANELS
    assert max(len([line for line in facet.panels[0] if line.kind == "data"]) for facet in content.facets) == MOST_LINES


def test_long_curves_are_averaged_inside_each_seed_first(tmp_path):
    def noisy(seed, **others):
        return {}, {"profile": {"lag": list(range(1000)), "grad": [(-1) ** at + 10.0 * seed for at in range(1000)]}}

    run = make_run(tmp_path, noisy, Picture(curve="profile", series="grad"), seeds=[0, 1], cell=["rnn"])
    content = planned(run)
    (line,) = content.facets[0].panels[0]
    assert len(line.x) == STRETCHES and (line.x[0], line.x[-1]) == (0, 999) and line.x == sorted(line.x)
    assert line.y[60] == pytest.approx(5, abs=0.2) and line.y[0] == 6
    assert "each point of a curve is a mean over about 8 neighbouring ones" in content.notes


def test_of_long_predictions_the_end_is_shown_as_it_is(tmp_path):
    def wave(seed, **others):
        values = [math.sin(at) for at in range(5000)]
        return {}, {"forecast": {"t": list(range(5000)), "actual": values, "predicted": values}}

    content = planned(make_run(tmp_path, wave, FORECAST, cell=["rnn"]))
    (actual, line) = content.facets[0].panels[0]
    assert line.x == list(range(5000 - WINDOW, 5000)) and line.y == actual.y == [math.sin(x) for x in line.x]
    assert content.notes == ["the last 400 of 5000 points"] and content.keys == [("predicted", 0)]


def test_predictions_that_would_hide_each_other_have_panels(tmp_path):
    content = planned(make_run(tmp_path, forecast, FORECAST, cell=["a", "b", "c", "d"]))
    assert [facet.title for facet in content.facets] == ["cell a", "cell b", "cell c", "cell d"]
    assert [[line.kind for line in facet.panels[0]] for facet in content.facets] == [["reference", "data"]] * 4
    assert content.keys == [("predicted", 0)] and content.key_title == ""


def test_gaps_and_seeds_that_stop(tmp_path):
    def holes(cell, seed, **others):
        values = [math.nan if at == 5 else math.inf if seed == 1 and at > 7 else 1.0 + seed for at in range(10)]
        return {}, {"profile": {"lag": list(range(10)), "grad": [values, [math.nan] * 10][cell == "dead"]}}

    picture = Picture(curve="profile", series="grad")
    run = make_run(tmp_path, holes, picture, seeds=[0, 1], cell=["rnn", "dead"])
    content = planned(run)
    alive, dead = content.facets[0].panels[0]
    assert alive.y[:5] == [1.5] * 5 and math.isnan(alive.y[5]) and alive.y[8:] == [1.0, 1.0]
    assert alive.partial == [False] * 5 + [True, False, False, True, True] and alive.stop is None
    assert "dotted: not all seeds are finite or went so far" in content.notes
    assert all(map(math.isnan, dead.y)) and dead.stop is None
    (dotted, _), (whole, _) = (with_gid(drawn(run), gid) for gid in ("partial", "line"))
    assert [math.isnan(value) for value in whole.get_ydata()] == alive.partial
    assert list(dotted.get_ydata()[7:]) == [1.5, 1.0, 1.0]
    shut = make_run(tmp_path, holes, picture, seeds=[0, 1], cell=["dead"])
    with pytest.raises(NothingToDraw, match="profile has no finite value to draw"):
        planned(shut)


@pytest.mark.parametrize("value", [0.0, 1e-320, 1e-200, 1e308, -1e308, 5, 1 + 1e-15])
@pytest.mark.parametrize("log", [True, False])
def test_values_of_any_size(tmp_path, value, log):
    def flat(seed, **others):
        return {}, {"c": {"x": [0, 1, 2, 3], "y": [value, value, -value, 1.0 + seed]}}

    run = make_run(tmp_path, flat, Picture(curve="c", series="y", log=log), cell=["rnn"])
    assert render(planned(run), "png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-40.0, 20.5, ["$10^{-40}$", "$10^{-30}$", "$10^{-20}$", "$10^{-10}$", "$10^{0}$", "$10^{10}$", "$10^{20}$"]),
        (-1.3, 0.2, ["0.1", "0.2", "0.5", "1"]),
        (0.0, 0.1, ["1", "1.1", "1.2"]),
        (-3000.2, -3000.0, ["$10^{-3000.15}$", "$10^{-3000.1}$", "$10^{-3000.05}$"]),
    ],
)
def test_ticks_of_a_logarithmic_axis(low, high, labels):
    places, found = decade_ticks(low, high, 8)
    assert found == labels and all(low <= place <= high for place in places)


def test_names_in_any_language_and_dollars(tmp_path):
    names = ["_hidden", "каша", "日本語", "$x^{2$", "a" * 200, ""]
    run = make_run(tmp_path, profile, PROFILE, table=Table([], subject="∂ℓ/∂h $"), cell=names, gain=[0.5])
    said = texts(drawn(run))
    assert {" _hidden", "каша", "$x^{2$", "(none)", "sample: ∂ℓ/∂h $"} <= set(said)
    assert max(len(line) for text in said for line in text.split("\n")) < 80
    assert render(planned(run), "svg") and render(planned(run), "png")


# ------------------------------------------------------------------------------------------------- defaults


def test_without_a_declaration_the_table_s_curve_or_a_metric_along_an_axis_is_drawn(tmp_path):
    run = make_run(tmp_path, profile, None, cell=["rnn", "lstm"], gain=[0.5, 0.9])
    assert picture_of(run) == Picture(curve="profile", series="log10_grad")
    run = make_run(tmp_path, training, None, table=Table([], spark=("training", "gradient_norm")), cell=["rnn", "lstm"])
    assert picture_of(run) == Picture(curve="training", series="gradient_norm")
    run = make_run(tmp_path, length, None, table=Table(["loss"]), cell=["rnn", "lstm"], seq_len=[10, 50])
    assert picture_of(run) == Picture(metric="loss", against="seq_len")
    run = make_run(tmp_path, length, None, table=Table(["loss"]), cell=["rnn", "lstm"], seq_len=[10])
    assert picture_of(run) == Picture(metric="loss", against="cell")
    run = make_run(tmp_path, length, None, cell=["rnn"], seq_len=[10])
    assert picture_of(run) is None


def test_what_the_run_does_not_have(tmp_path, profiles):
    for picture, message in [
        (Picture(curve="profil", series="x"), "has no curve 'profil'"),
        (Picture(curve="profile", series="log10_grid"), "did you mean 'log10_grad'"),
        (Picture(metric="rat", against="gain"), "unknown metric 'rat'; did you mean 'rate'"),
        (Picture(metric="rate", against="gian"), "unknown axis 'gian'; did you mean 'gain'"),
    ]:
        with pytest.raises(UsageError, match=message):
            plan(profiles, picture)
    for damaged in ({"curve": 5, "series": ["x"]}, {"what": 1}, {"curve": "c", "series": 7}):
        profiles.info["picture"] = damaged
        with pytest.raises(UsageError, match="run.json is damaged"):
            picture_of(profiles)


# ------------------------------------------------------------------------------------------------- bytes


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_data_gives_the_same_bytes(tmp_path, profiles, suffix):
    first = save(profiles, tmp_path / f"a.{suffix}").read_bytes()
    assert save(profiles, tmp_path / f"b.{suffix}").read_bytes() == first
    # Another process, another order of hashes, another user's matplotlibrc.
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\naxes.facecolor: red\nxtick.direction: in\n")
    code = "import sys; from sandbox.report.picture import save; from sandbox.results import load; "
    code += "save(load(sys.argv[1]), sys.argv[2])"
    env = {"PYTHONHASHSEED": "7", "MATPLOTLIBRC": str(tmp_path), "PYTHONPATH": str(Path(sandbox.__file__).parents[1])}
    command = [sys.executable, "-c", code, str(profiles.path), str(tmp_path / f"c.{suffix}")]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / f"c.{suffix}").read_bytes() == first
    assert not re.search(rb"Matplotlib v|<dc:date|Software|tIME|<text", first)


def test_other_data_gives_other_bytes_and_settings_of_the_user_stay(tmp_path, profiles):
    import matplotlib

    with matplotlib.rc_context({"lines.linewidth": 3.25}):
        first = render(planned(profiles), "png")
        assert matplotlib.rcParams["lines.linewidth"] == 3.25
    other = make_run(tmp_path / "other", profile, PROFILE, cell=["linear", "lstm"], gain=[0.5, 0.8], hidden=[4])
    assert render(planned(other), "png") != first


def test_nothing_is_left_half_written(tmp_path, profiles, monkeypatch):
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    monkeypatch.setattr(sandbox.report.picture.os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(UsageError, match="cannot write .*a.png: full"):
        save(profiles, target)
    assert target.read_bytes() == b"old" and not list(tmp_path.glob(".*"))


# ------------------------------------------------------------------------------------------------- the command line

EXPERIMENT = '''
from sandbox.experiment import experiment
from sandbox.report import Picture

@experiment(gain=[0.5, 0.7], seeds=2, picture=Picture({picture}))
def decay(gain, seed):
    """Decay."""
    {body}
    return {{"rate": gain}}, {{"profile": {{"lag": [0, 1, 2], "grad": [1, gain, gain**2]}}}}
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SANDBOX_NO_PLOT")
    write_experiment()
    return tmp_path


def write_experiment(picture="curve='profile', series='grad', log=True", body="pass"):
    Path("experiments").mkdir(exist_ok=True)
    Path("experiments", "decay.py").write_text(EXPERIMENT.format(picture=picture, body=body))


def call(*arguments):
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def pictures():
    return sorted(Path("results").rglob("*.png"))


def test_a_run_draws_its_picture_and_says_where(here):
    result = call("run", "decay")
    (path,) = pictures()
    assert path.name == "decay.png" and path.parent.parent == Path("results/decay")
    assert result.stdout.splitlines()[-1] == f" picture {path}" and (result.exit_code, result.stderr) == (0, "")
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "curves.csv", "decay.png", "run.json", "table.csv", "timing.csv",
    ]  # fmt: skip
    assert json.loads((path.parent / "run.json").read_text())["picture"]["curve"] == "profile"
    assert call("show", "decay").stdout == result.stdout
    drawn = path.read_bytes()
    path.unlink()
    assert "picture" not in call("show", "decay").stdout
    assert call("plot", "decay").stdout == f"picture {path}\n" and path.read_bytes() == drawn


@pytest.mark.parametrize("format", ["csv", "json", "md"])
def test_formats_for_programs_say_nothing_of_the_picture(here, format):
    result = call("run", "decay", "--format", format)
    assert len(pictures()) == 1 and ".png" not in result.stdout + result.stderr


def test_no_plot(here, monkeypatch):
    assert "picture" not in call("run", "decay", "--no-plot").stdout and not pictures()
    monkeypatch.setenv("SANDBOX_NO_PLOT", "1")
    assert "picture" not in call("run", "decay").stdout and not pictures()


def test_plot_writes_where_it_is_told(here):
    call("run", "decay", "--no-plot", "--out", "deep")
    for name in ("a.png", "a.svg", "b.SVG"):
        assert call("plot", "decay", "--results", "deep", "--out", name).stdout == f"picture {name}\n"
    assert (
        Path("a.png").read_bytes().startswith(b"\x89PNG") and Path("a.svg").read_bytes() == Path("b.SVG").read_bytes()
    )
    assert not list(Path("deep").rglob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("plot decay --out a.pdf", "--out must be a file ending in .png or .svg, got a.pdf"),
        ("plot decay --out a", "--out must be a file ending in .png or .svg, got a"),
        ("plot decay --out gone/a.png", "--out must be a file that can be written, got gone/a.png (no folder gone)"),
        ("plot decay --out folder.png", "--out must be a file that can be written, got folder.png (a directory)"),
        ("plot dekay", "unknown run 'dekay'; did you mean 'decay'?"),
        ("plot decay --results nowhere", "unknown run 'decay' (no runs in nowhere)"),
        ("plot", "missing argument 'RUN'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(here, arguments, message):
    call("run", "decay", "--no-plot")
    Path("folder.png").mkdir()
    before = sorted(here.rglob("*"))
    result = call(*arguments.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", result.stderr) and message in result.stderr
    assert sorted(here.rglob("*")) == before


def test_a_run_without_anything_to_draw_says_nothing(here):
    Path("experiments", "lonely.py").write_text(
        "from sandbox.experiment import experiment\n@experiment(gain=[1.0], seeds=1)\n"
        "def lonely(gain, seed):\n    return {'n': gain}\n"
    )
    result = call("run", "lonely")
    assert (result.exit_code, result.stderr, pictures()) == (0, "", []) and "picture" not in result.stdout
    assert "holds nothing to draw" in call("plot", "lonely").stderr
    write_experiment(body="raise ValueError('no')")
    result = call("run", "decay")
    assert (result.exit_code, result.stderr) == (1, "")


@pytest.mark.parametrize("picture", ["curve='profle', series='grad'", "curve='profile', series='grid'"])
def test_a_misspelt_picture_costs_a_line_and_not_the_run(here, picture):
    write_experiment(picture)
    result = call("run", "decay")
    assert result.exit_code == 0 and "4 points" in result.stdout
    assert re.fullmatch(r"no picture: [^\n]+\n", result.stderr)


def test_a_failure_of_any_kind_costs_a_line_and_not_the_run(here, monkeypatch):
    def broken(*arguments):
        raise ZeroDivisionError("some\nbug")

    monkeypatch.setattr(sandbox.report.picture, "figure", broken)
    result = call("run", "decay")
    assert (result.exit_code, result.stderr) == (0, "no picture: ZeroDivisionError: some bug\n")
    assert "4 points" in result.stdout and "picture" not in result.stdout and not list(here.rglob(".*.new"))


def test_an_interrupt_while_drawing_keeps_the_results(here, monkeypatch):
    def slow(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(sandbox.report.picture, "figure", slow)
    result = call("run", "decay")
    (path,) = Path("results/decay").iterdir()
    assert (result.exit_code, result.stderr) == (130, f"interrupted: while drawing; the results are in {path}/\n")


def test_without_matplotlib(here, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(f"No module named {name!r}")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    result = call("run", "decay")
    assert result.exit_code == 0 and "picture" not in result.stdout and "4 points" in result.stdout
    assert result.stderr == "no picture: Matplotlib is missing (pip install rnn-sandbox[plot], or --no-plot)\n"
    assert call("run", "decay", "--no-plot", "--force").stderr == ""
    result = call("plot", "decay")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: plot needs Matplotlib, which is missing (pip install rnn-sandbox[plot])\n"


def test_a_backend_that_matplotlib_does_not_know_is_one_line(here):
    call("run", "decay", "--no-plot")
    command = [sys.executable, "-m", "sandbox", "plot", "decay"]
    env = {**os.environ, "MPLBACKEND": "nonsense", "PYTHONPATH": str(Path(sandbox.__file__).parents[1])}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: Matplotlib cannot be imported: [^\n]*'nonsense' is not[^\n]*\n", done.stderr)


def test_a_run_without_a_picture_does_not_import_matplotlib(here):
    code = "import sys; from sandbox.cli import cli\ntry: cli(['run', 'decay', '--no-plot'])\n"
    code += "finally: print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False" and done.stderr == ""


def test_default_path_stays_in_the_run_s_folder(profiles):
    profiles.info["experiment"] = "../../etc/x"
    assert default_path(profiles) == profiles.path / "x.png"


def test_save_quietly_returns_the_path(profiles, capsys):
    assert save_quietly(profiles, sys.stderr) == profiles.path / "sample.png" and capsys.readouterr().err == ""


def test_a_curve_that_is_no_default_can_be_drawn(tmp_path, monkeypatch):
    """Training curves with clip events and predictions beside what came, of a run that declares another picture."""
    monkeypatch.chdir(tmp_path)
    flags = ["--quick", "--task", "sine", "--cell", "gru", "--seq-len", "20", "--no-plot"]
    assert CliRunner().invoke(cli, ["run", "length", *flags]).exit_code == 0
    for curve in ("training", "forecast", "evaluation"):
        done = CliRunner().invoke(cli, ["plot", "length", "--curve", curve])
        assert done.exit_code == 0, done.output
        assert Path(done.output.split()[1]).name == f"{curve}.png"
    found = load(next(tmp_path.glob("results/length/*")))
    training = choice.picture_of_curve(found, "training")
    assert training.series == (("loss",), ("gradient_norm",)) and training.events == "clipped" and training.baseline
    forecast = choice.picture_of_curve(found, "forecast")
    assert forecast.seed == "first" and forecast.series == (("actual", "predicted"),)
    with pytest.raises(UsageError, match="unknown curve 'trainin'; did you mean 'training'"):
        choice.picture_of_curve(found, "trainin")

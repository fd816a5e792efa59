"""Axes, the grammar of flags, the decorator, and finding experiments without importing them."""

import doctest
import math
import time
from pathlib import Path

import numpy as np
import pytest

import sandbox.axes
import sandbox.experiment
from sandbox import cells
from sandbox.axes import Axis
from sandbox.errors import did_you_mean
from sandbox.experiment import Experiment, Setting, UsageError, discover, experiment, load, resolve_seeds
from sandbox.report import Column, Table
from sandbox.vocabulary import WELL_KNOWN, declare

GAIN = declare("gain", [1.0])
HIDDEN = declare("hidden", [64])
CELL = declare("cell", Axis(["rnn"], kind=str, choices=lambda: ["gru", "lstm", "rnn"]))


def refused(call, *parts):
    """Assert that `call` raises a one-line UsageError containing all parts."""
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


@pytest.mark.parametrize("module", [sandbox.axes, sandbox.experiment])
def test_examples_in_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted > 0 and results.failed == 0


# ------------------------------------------------------------------------------------------------- grammar


@pytest.mark.parametrize(
    ("axis", "text", "values"),
    [
        (HIDDEN, "32,64", [32, 64]),
        (HIDDEN, " 32 , 64 ", [32, 64]),
        (HIDDEN, "16:64:16", [16, 32, 48, 64]),
        (HIDDEN, "16:63:16", [16, 32, 48]),
        (HIDDEN, "64:16:-16", [64, 48, 32, 16]),
        (HIDDEN, "8:8:1", [8]),
        (HIDDEN, "64,32,64", [64, 32]),
        (GAIN, "0.5:1.5:0.25", [0.5, 0.75, 1.0, 1.25, 1.5]),
        (GAIN, "0.1:0.5:0.1", [0.1, 0.2, 0.3, 0.4, 0.5]),
        (GAIN, "0.7:0.1:-0.2", [0.7, 0.5, 0.3, 0.1]),
        (GAIN, "0.5:1:0.25,2", [0.5, 0.75, 1.0, 2.0]),
        (GAIN, "1e-3:3e-3:1e-3", [0.001, 0.002, 0.003]),
        (GAIN, "1,1.0,.5", [1.0, 0.5]),
        (GAIN, "-0.0", [0.0]),
        (CELL, "all", ["gru", "lstm", "rnn"]),
        (CELL, "lstm,all", ["lstm", "gru", "rnn"]),
    ],
)
def test_flag_grammar(axis, text, values):
    resolved = axis.resolve(text)
    assert resolved == values
    assert [type(value) for value in resolved] == [axis.kind] * len(values)
    assert all(math.copysign(1, value) > 0 for value in resolved if axis.kind is float)


def test_decimal_ranges_have_no_rounding_noise():
    assert [repr(value) for value in GAIN.resolve("0:1:0.1")] == [f"{tenth / 10}" for tenth in range(11)]


@pytest.mark.parametrize("text", ["0", "-3", "abc", "1e9", "1.5", "16385", "nan", "1_0", "9" * 5000])
def test_hidden_out_of_rule(text):
    message = refused(lambda: HIDDEN.resolve(text), "hidden must be a whole number from 1 to 16384, got")
    assert len(message) < 120


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-0.1", "1e400", "1001", "x", "1e"])
def test_gain_out_of_rule(text):
    refused(lambda: GAIN.resolve(text), f"gain must be a finite number from 0 to 1000, got {text}")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("1:2:0", "a step that leads from start to stop, got 1:2:0"),
        ("1:2:-1", "a step that leads from start to stop"),
        ("2:1:1", "a step that leads from start to stop"),
        ("0:1", "gain range must be start:stop:step, got 0:1"),
        ("0:1:1:1", "gain range must be start:stop:step"),
        ("0:1:x", "got x (step of a range)"),
        ("0:1:1e-9", "gain range must have at most 10000 values, got 0:1:1e-9"),
        ("0:1:1e-9999", "at most 10000 values"),
        ("0:2000:1", "got 2000"),
        ("nan:1:1", "got nan"),
        ("all", "'all' needs an axis with choices"),
        ("", "got nothing"),
        (",", "got nothing"),
        ("1,,2", "got nothing"),
    ],
)
def test_broken_flags(text, part):
    refused(lambda: GAIN.resolve(text), part)


def test_a_list_of_too_many_values():
    refused(lambda: HIDDEN.resolve("1:9000:1,9001:16000:1"), "at most 10000 values")


def test_unknown_choice_names_the_nearest():
    refused(lambda: CELL.resolve("lsmt"), "unknown cell 'lsmt'; did you mean 'lstm'?")
    refused(lambda: CELL.resolve("zzz"), "unknown cell 'zzz' (choose from: gru, lstm, rnn)")


def test_values_from_python():
    assert GAIN.resolve([1, np.float64(0.5), np.float32(2)]) == [1.0, 0.5, 2.0]
    assert HIDDEN.resolve(np.array([4, 8])) == [4, 8]
    assert HIDDEN.resolve(range(1, 3)) == [1, 2]
    assert HIDDEN.resolve(7) == [7]
    refused(lambda: HIDDEN.resolve([]), "the list is empty")
    refused(lambda: HIDDEN.resolve([True]), "got true")
    refused(lambda: HIDDEN.resolve([4.0]), "got 4.0")
    refused(lambda: GAIN.resolve([float("nan")]), "got nan")


def test_axes_without_a_house_rule():
    assert declare("depth", [1, 2]).kind is int
    assert declare("slope", [1, 2.5]).default == (1.0, 2.5)
    assert declare("flip", [True, False]).resolve("true") == [True]
    mode = declare("mode", ["a", "b"])
    refused(lambda: mode.resolve("c"), "unknown mode 'c'")
    bits = declare("bits", Axis([1], choices=[1, 2, 4], help="width"))
    assert bits.resolve("all") == [1, 2, 4]
    refused(lambda: bits.resolve("3"), "bits must be one of 1, 2, 4, got 3")
    path = declare("name", Axis(["any"], kind=str))
    assert path.resolve("thing") == ["thing"]


@pytest.mark.parametrize("default", [[], "rnn", 3, [1, "a"], [None], [[1]]])
def test_bad_defaults(default):
    refused(lambda: declare("depth", default), "default of axis 'depth' must be")


def test_defaults_must_meet_their_own_rule():
    refused(lambda: declare("hidden", [0]), "hidden must be a whole number from 1 to 16384, got 0")
    refused(lambda: declare("lr", [0.0]), "lr must be a finite number above 0, got 0.0")


def test_choices_are_looked_up_late():
    calls = []
    axis = declare("cell", Axis(["rnn"], kind=str, choices=lambda: calls.append(1) or ["rnn"]))
    assert not calls
    assert axis.resolve("all") == ["rnn"] and calls


def test_cells_are_found_by_file_name():
    assert WELL_KNOWN["cell"].allowed() == cells.names()
    assert all(not name.startswith("_") for name in cells.names())


def test_did_you_mean():
    assert did_you_mean("vanishng", ["vanishing", "exploding"]) == "; did you mean 'vanishing'?"
    assert did_you_mean("q", ["vanishing"]) == ""


@pytest.mark.parametrize(
    ("count", "listed", "seeds"), [(3, None, [0, 1, 2]), ("2", None, [0, 1]), (None, "7,3,7", [7, 3])]
)
def test_seeds(count, listed, seeds):
    assert resolve_seeds(count, listed) == seeds


@pytest.mark.parametrize(
    ("count", "listed", "part"),
    [
        ("0", None, "seeds must be a whole number from 1 to 100000, got 0"),
        ("abc", None, "seeds must be a whole number"),
        ("1,2", None, "(--seed takes a list)"),
        (None, "1,x", "seed must be a whole number from 0 to 4294967295, got x"),
        (None, "-1", "got -1"),
        (None, "", "got nothing"),
        ("2", "1", "got both"),
    ],
)
def test_bad_seeds(count, listed, part):
    refused(lambda: resolve_seeds(count, listed), part)


# ----------------------------------------------------------------------------------------------- decorator


def make(**extra):
    declaration = {"source": ["noise"], "gain": [0.5, 1.0], "seeds": 2, **extra}

    @experiment(**declaration)
    def sample(source, gain, seed):
        """First line.

        More.
        """
        return {"product": gain * seed}

    return sample


SOURCE = Axis(["noise"], kind=str, choices=("noise", "text", "series"))
SETTINGS = (
    Setting("text", "a file", implies=("source", "text"), parse=lambda path: Path(path).read_text()),
    Setting("csv", "a table", implies=("source", "series"), requires="column"),
    Setting("column", "its column", requires="csv"),
)


def make_with_settings(check=None):
    @experiment(source=SOURCE, seeds=1, settings=SETTINGS, check=check, quick={"source": "noise"})
    def sample(source, seed, text, csv, column):
        return {"length": len(text or ""), "column": column}

    return sample


def test_experiment_stays_a_function():
    sample = make(source=SOURCE)
    assert isinstance(sample, Experiment)
    assert sample(source="noise", gain=2.0, seed=3) == {"product": 6.0}
    assert (sample.name, sample.summary, sample.path.name) == ("sample", "First line.", "test_experiment.py")
    assert list(sample.axes) == ["source", "gain"]
    assert repr(sample) == "<experiment sample(source, gain, seed)>"


def test_settings_default_to_none_when_called():
    sample = make_with_settings()
    assert sample(source="noise", seed=0) == {"length": 0, "column": None}
    assert sample(source="noise", seed=0, text="abc") == {"length": 3, "column": None}


def test_grid_defaults_quick_and_flags():
    sample = make(source=SOURCE, quick={"gain": [0.25], "seeds": 1})
    assert sample.grid() == {"source": ["noise"], "gain": [0.5, 1.0]}
    assert sample.grid(quick=True)["gain"] == [0.25]
    assert sample.grid({"gain": "1:2:1"}, quick=True)["gain"] == [1.0, 2.0]
    refused(lambda: sample.grid({"gian": "1"}), "unknown axis 'gian'; did you mean 'gain'?")


def test_presets_are_further_grids_by_name():
    seen = []
    sample = make(source=SOURCE, quick={"gain": [0.25], "seeds": 1}, check=lambda grid, settings: seen.append(grid),
                  presets={"paper": {"gain": (2.0, 4.0), "seeds": 9}, "small": {"source": ["text"]}})  # fmt: skip
    assert sample.grid(preset="paper") == {"source": ["noise"], "gain": [2.0, 4.0]} == seen[-1]
    assert sample.grid({"gain": "1"}, preset="paper")["gain"] == [1.0]
    assert sample.grid(preset="small") == {"source": ["text"], "gain": [0.5, 1.0]}
    assert sample.overrides(preset="paper")["seeds"] == 9 and sample.overrides(quick=True)["seeds"] == 1
    assert sample.overrides() == {}
    refused(lambda: sample.grid(preset="papr"), "unknown preset 'papr'; did you mean 'paper'?")
    refused(lambda: sample.grid(preset="x"), "unknown preset 'x' (choose from: paper, small)")
    refused(lambda: sample.grid(quick=True, preset="paper"), "the grid must be --quick or --preset paper, got both")
    refused(lambda: make(source=SOURCE).grid(preset="paper"), "unknown preset 'paper' (choose from: none)")


@pytest.mark.parametrize(
    ("axis", "rule"),
    [
        (Axis([0.5], minimum=0, below=1), "a finite number from 0 to below 1"),
        (Axis([1], minimum=0, below=8), "a whole number from 0 to below 8"),
        (Axis([0.5], below=1), "a finite number below 1"),
        (Axis([0.5], above=0, below=1), "a finite number above 0 and below 1"),
        (Axis([0.5], above=0, maximum=1), "a finite number above 0 up to 1"),
    ],
)
def test_a_rule_in_words_names_every_bound(axis, rule):
    share = declare("share", axis)
    assert share.rule() == rule
    bound = axis.below if axis.below is not None else axis.maximum + 1
    refused(lambda: share.resolve(str(bound)), f"share must be {rule}, got {bound}")
    assert share.resolve(list(axis.default)) == list(axis.default)


@pytest.mark.parametrize(
    ("declaration", "part"),
    [
        ({"depth": [1]}, "got missing depth"),
        ({"gain": None}, "default of axis 'gain'"),
        ({"quick": {"hidden": [1]}}, "must name declared axes, got hidden"),
        ({"quick": {"seeds": 0}}, "seeds must be"),
        ({"presets": {"paper": {"hidden": [1]}}}, "preset paper of 'sample' must name declared axes, got hidden"),
        ({"presets": {"paper": {"seeds": 0}}}, "seeds must be"),
        ({"preset": [1]}, "names of their own, got preset"),
        ({"seeds": 0}, "seeds must be a whole number"),
        ({"table": {"rows": []}}, "must be a Table"),
        ({"out": [1]}, "names of their own, got out"),
        ({"error": [1.0]}, "names of their own, got error"),
        ({"timeout_per_point": [1.0]}, "names of their own, got timeout_per_point"),
        ({"settings": (Setting("gain"),)}, "names of their own, got gain"),
    ],
)
def test_contradicting_declarations(declaration, part):
    refused(lambda: make(**{"source": SOURCE, **declaration}), part)


def test_signature_must_match():
    def function(hidden, seed, extra):
        """One parameter too many."""

    refused(lambda: experiment(hidden=[1])(function), "function 'function' must take exactly", "undeclared extra")
    refused(lambda: experiment(seeds=1)(function), "at least one axis")
    implied = Setting("text", implies=("source", "text"))
    refused(lambda: experiment(hidden=[1], settings=[implied])(lambda hidden, seed, text: 0), "must imply a declared")


def test_a_setting_implies_an_axis():
    sample = make_with_settings()
    assert sample.grid(settings={"text": "f"})["source"] == ["text"]
    assert sample.grid(settings={"text": "f"}, quick=True)["source"] == ["text"]
    assert sample.grid({"source": "noise,text"}, {"text": "f"})["source"] == ["noise", "text"]
    refused(lambda: sample.grid({"source": "noise"}, {"text": "f"}), "--text has no effect because source is noise")
    refused(lambda: sample.grid(settings={"csv": "f"}), "--csv must be given together with --column")
    refused(lambda: sample.grid(settings={"txt": "f"}), "unknown setting 'txt'; did you mean 'text'?")


def test_check_sees_grid_and_texts():
    seen = []
    sample = make_with_settings(check=lambda grid, settings: seen.append((grid, settings)))
    sample.grid({"source": "all"}, {"text": "f"})
    assert seen == [({"source": ["noise", "text", "series"]}, {"text": "f"})]


def test_settings_are_parsed_once_and_named_when_they_fail(tmp_path):
    sample = make_with_settings()
    (tmp_path / "book.txt").write_text("abc")
    parsed = sample.parse_settings({"text": str(tmp_path / "book.txt"), "column": "x"})
    assert parsed == {"text": "abc", "csv": None, "column": "x"}
    refused(lambda: sample.parse_settings({"text": "gone.txt"}), "cannot read --text gone.txt: No such file")


def test_table_is_kept():
    table = Table([Column("product")])
    assert make(source=SOURCE, table=table).table is table


# ----------------------------------------------------------------------------------------------- discovery

PLAIN = '''
from sandbox.experiment import experiment

@experiment(hidden=[2], seeds=1)
def {name}(hidden, seed):
    """{summary}"""
    return {{"value": {value}}}
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty ./experiments, and no shipped ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sandbox.experiment, "_shipped_folders", lambda: [tmp_path / "shipped"])
    (tmp_path / "shipped").mkdir()
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


def write(folder, name, text=PLAIN, summary="One line.", value="hidden"):
    text = text.format(name=name, summary=summary, value=value) if "{name}" in text else text
    (folder / f"{name}.py").write_text(text)


def test_own_files_hide_shipped_ones(folder):
    write(folder.parent / "shipped", "alpha", summary="Shipped.")
    write(folder.parent / "shipped", "beta", summary="Shipped too.")
    write(folder, "alpha", summary="Mine.")
    write(folder, "_private")
    (folder / "not-a-name.py").write_text("")
    found = discover()
    assert list(found) == ["alpha", "beta"]
    assert (found["alpha"].summary(), found["alpha"].shipped) == ("Mine.", False)
    assert found["beta"].shipped
    assert load("alpha").summary == "Mine."


def test_one_folder_seen_twice_counts_once(folder, monkeypatch):
    write(folder, "alpha")
    monkeypatch.setattr(sandbox.experiment, "_shipped_folders", lambda: [folder])
    assert discover()["alpha"].shipped


def test_shipped_folder_exists_without_installation():
    assert all(folder.name == "experiments" for folder in sandbox.experiment._shipped_folders())


def test_summaries_need_no_import(folder):
    (folder / "loud.py").write_text('raise SystemExit\ndef loud():\n    """Loud."""\n')
    (folder / "broken.py").write_text("x = 1\ndef broken(:\n")
    (folder / "empty.py").write_text("")
    (folder / "binary.py").write_bytes(b"\x00\x01")
    summaries = {name: found.summary() for name, found in discover().items()}
    assert summaries["loud"] == "Loud."
    assert summaries["broken"] == "(line 2: invalid syntax)"
    assert summaries["empty"] == "(no function empty in it)"
    assert summaries["binary"].startswith("(")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("x = 1\ndef wrong(:\n", "line 2 cannot be imported: invalid syntax"),
        ("\nimport no_such_module_here\n", "line 2 cannot be imported: ModuleNotFoundError: No module named"),
        ("def f():\n    return {}['a']\nf()\n", "line 2 cannot be imported: KeyError: 'a'"),
        ("wrong = 3\n", "must define a function wrong under @experiment, got int"),
        ("", "must define a function wrong under @experiment, got NoneType"),
        (PLAIN.replace("hidden=[2]", "hidden=[0]"), "line 4 cannot be imported: hidden must be a whole number"),
    ],
)
def test_files_that_do_not_import(folder, text, part):
    write(folder, "wrong", text)
    refused(lambda: load("wrong"), "experiments/wrong.py", part)


def test_unknown_experiment_names_the_nearest_and_the_list(folder):
    write(folder, "vanishing")
    write(folder, "zeta")
    refused(lambda: load("vanishng"), "unknown experiment 'vanishng'; did you mean 'vanishing'?", "vanishing, zeta")


def test_an_edit_within_the_same_second_is_seen(folder, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    write(folder, "alpha", value="1")
    first = load("alpha")(hidden=1, seed=0)
    write(folder, "alpha", value="2")
    assert (first, load("alpha")(hidden=1, seed=0)) == ({"value": 1}, {"value": 2})


def test_listing_is_fast(folder):
    for index in range(50):
        write(folder, f"number{index}")
    started = time.perf_counter()
    assert len([found.summary() for found in discover().values()]) == 50
    assert time.perf_counter() - started < 1


def test_variants_of_a_cell_have_one_spelling_and_one_row():
    text = "rnn,rnn:tanh,rnn:activation=tanh,rnn:relu,lstm:forget_bias=1,lstm,lstm:forget_bias=2.0,lstm:forget_bias=2"
    assert WELL_KNOWN["cell"].default == () and declare("cell", ["rnn"]).resolve(text) == [
        "rnn", "rnn:relu", "lstm", "lstm:forget_bias=2"]  # fmt: skip
    refused(
        lambda: declare("cell", ["rnn"]).resolve("lstm:forget_bias=1_0"), "forget_bias must be a finite number, got 1_0"
    )


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\x1b[31m", "\0"])
def test_a_text_stays_on_its_line(text):
    with pytest.raises(UsageError, match="tag must be a non-empty text, got '.*' .a line break or another character"):
        Axis(kind=str, name="tag").resolve(["good", text])

"""What an experiment says of the data it reads: part of what a point is, kept, shown, and said once to people."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import sandbox
from sandbox.cli import cli
from sandbox.comparison.reproduce import reproduce
from sandbox.errors import UsageError
from sandbox.experiment import experiment
from sandbox.results import find, load
from sandbox.study import Spread, carry_out, plan, repetition, resumption

NOTE = "words are not fetched (sandbox data fetch words, 1 MB): generated words in their place"
SOURCE = f'''
from pathlib import Path
from sandbox.experiment import Setting, experiment

def data(grid, settings):
    with Path("asked").open("a") as file:
        file.write("x")
    if "shorten" in settings:
        raise ValueError("--shorten must be a number, got nothing")
    fetched = Path("fetched").exists()
    found = {{}}
    if "words" in grid["about"]:
        found["words"] = ("words 1.1", "") if fetched else ("generated words", "{NOTE}")
    if "names" in grid["about"]:
        found["names"] = ("names 2.0", "")
    return found

@experiment(about=["words", "names"], size=[1, 2], seeds=1, data=data, settings=[Setting("shorten", "a number")])
def toy(about, size, seed, shorten):
    """A toy that reads words."""
    return {{"loss": size / 3}}
'''
ran = []


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with one experiment, whose data is not there."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "toy.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(**options):
    ran.clear()
    return load(carry_out(plan("toy", **options), Spread(jobs=1), watch=ran.append))


def call(*arguments):
    done = CliRunner().invoke(cli, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.stdout, done.stderr, done.exit_code


def test_a_point_of_a_stand_in_is_another_point(here):
    first = run()
    assert len(ran) == 4 and first.info["data"] == {"words": "generated words", "names": "names 2.0"}
    assert run().path == first.path and ran == []
    (here / "fetched").touch()
    second = run()
    assert len(ran) == 4 and second.info["data"] == {"words": "words 1.1", "names": "names 2.0"}
    assert run(flags={"about": "words"}).info["reused"] == {second.path.name: 2} and ran == []
    (here / "fetched").unlink()
    assert run().path == first.path and ran == []


def test_points_that_do_not_read_what_differs_are_done(here):
    first = run(flags={"about": "names"})
    assert first.info["data"] == {"names": "names 2.0"}
    assert run().info["reused"] == {first.path.name: 2} and len(ran) == 2
    (here / "fetched").touch()
    assert len(run(flags={"about": "names"})) == 2 and ran == []


def test_resuming_with_other_data_is_refused(here):
    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(plan("toy"), Spread(jobs=1), watch=stop)
    assert len(resumption("toy", "latest").todo) == 3
    (here / "fetched").touch()
    with pytest.raises(UsageError) as caught:
        resumption("toy", "latest")
    rule = "must be resumed with the data it was begun with, got words 1.1 instead of generated words"
    assert str(caught.value) == f"{find('toy')} {rule} (start a new run)"


def test_reproduce_and_compare_say_that_the_data_differs(here):
    first = run()
    (here / "fetched").touch()
    again = load(carry_out(repetition(first, "results"), Spread(jobs=1)))
    line = "data words: then generated words, now words 1.1"
    assert f"changed  {line}" in reproduce(first, again).lines()
    assert call("compare", first.path.name, again.path.name)[0].splitlines()[2] == (
        "differs in  data words: A generated words, B words 1.1"
    )
    assert not any("data" in line for line in reproduce(first, first).lines()[1:])


def test_the_note_is_said_once_to_people_and_the_label_stands_above_the_table(here):
    out, err, code = call("run", "toy", "--jobs", "1", "--no-plot")
    assert code == 0 and err.splitlines().count(NOTE) == 1 and NOTE not in out
    assert out.splitlines()[0] == "toy   data generated words and names 2.0, seed 0"
    out, err, _ = call("run", "toy", "--format", "json")
    json.loads(out)
    assert err.splitlines()[0] == NOTE and err.count(NOTE) == 1
    assert NOTE in call("run", "toy", "--dry-run")[1].splitlines()
    assert NOTE in call("reproduce", "toy", "--jobs", "1")[1].splitlines()
    (here / "fetched").touch()
    assert call("run", "toy", "--jobs", "1", "--no-plot")[1] == ""


def test_the_library_says_it_too(here, capsys):
    sandbox.run("toy", jobs=1)
    assert capsys.readouterr() == ("", f"{NOTE}\n")
    sandbox.run("toy", jobs=1, progress=False)
    assert capsys.readouterr() == ("", "")


def test_data_is_asked_for_by_runs_alone(here):
    for arguments in (("--help",), ("list",), ("run", "--help"), ("run", "toy", "--help")):
        assert call(*arguments)[2] == 0
    assert not Path("asked").exists()
    run()
    assert Path("asked").read_text() == "x"
    for arguments in (("show", "toy"), ("results", "ls"), ("results", "verify")):
        assert call(*arguments)[2] == 0
    assert Path("asked").read_text() == "x"


def test_describe_says_which_data_there_is(here):
    lines = [line.split() for line in call("describe", "toy")[0].splitlines()]
    assert ["data", "words", "generated", "words", *NOTE.split()] in lines
    assert ["data", "names", "names", "2.0"] in lines


def test_what_data_refuses_is_one_line(here):
    assert call("run", "toy", "--shorten", "x") == ("", "error: --shorten must be a number, got nothing\n", 2)
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("said", "got"),
    [
        (["words"], "got list"),
        ({"words": "words 1.1"}, "got 'words 1.1' of words"),
        ({"words": ("words 1.1",)}, "got ('words 1.1',) of words"),
        ({"words": ("words 1.1", None)}, "got ('words 1.1', None) of words"),
        ({"words": ("words\n1.1", "")}, "got ('words\\n1.1', '') of words"),
        ({"words": (" ", "")}, "got no label of words"),
        ({3: ("words 1.1", "")}, "got ('words 1.1', '') of 3"),
    ],
)
def test_what_data_may_not_return(said, got):
    @experiment(a=[1], data=lambda grid, settings: said)
    def reading(a, seed):
        """Reads."""
        return {"x": 1}

    with pytest.raises(UsageError) as caught:
        reading.reads(reading.grid())
    rule = "data of experiment 'reading' must be (label, note) by source, two lines of text"
    assert str(caught.value).startswith(rule) and str(caught.value).endswith(got)


def test_without_a_declaration_nothing_is_read(here):
    from sandbox.experiment import load as load_experiment

    vanishing = load_experiment("vanishing")
    assert vanishing.reads(vanishing.grid()) == {}
    assert "data" not in call("describe", "vanishing")[0].splitlines()

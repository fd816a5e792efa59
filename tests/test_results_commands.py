"""The commands over the folder of all results: listing, finding, verifying and removing runs."""

import csv
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from sandbox import sweep
from sandbox.cli import cli
from sandbox.experiment import experiment
from sandbox.results import RunWriter, journal, load
from sandbox.results.csvfile import TABLES
from sandbox.results.verify import seal, verify


@experiment(cell=["rnn", "lstm", "gru"], hidden=[8, 16], gain=[1.0], seeds=2)
def toy(cell, hidden, gain, seed):
    """Metrics that differ by cell, texts with commas, a failing point and curves."""
    if (cell, hidden, seed) == ("gru", 16, 1):
        raise ValueError("no, way")
    metrics = {"loss": gain * hidden / 3, "cause": "a, b", f"gate_{cell}": seed}
    return metrics, {"profile": {"lag": [0, 1], "norm": [1.0, 0.1 * seed]}}


@experiment(width=[*range(1, 21)], tag=["short"], seeds=1)
def wide(width, tag, seed):
    """Twenty values on an axis."""
    return {"n": width}


def record(root="results", exp=toy, stop_after=None, status="finished", name=None, grid=None):
    """Write a run, as a kill leaves it after `stop_after` points; return its directory."""
    grid = {**exp.grid(), **(grid or {})}
    writer = RunWriter(root, exp.name, grid, list(range(exp.seeds)), command=f"sandbox run {exp.name}")
    points = sweep.points(exp, grid, range(exp.seeds))
    for row in sweep.Serial(exp).run(points[:stop_after]):
        writer.add(row)
    if stop_after is None or status != "finished":
        writer.finish(status)
    writer.close()
    return writer.path if name is None else writer.path.rename(writer.path.with_name(name))


def call(*arguments, **extra):
    """Run a command line; return what it prints, its complaints and its exit code."""
    done = CliRunner().invoke(cli, arguments, **extra)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.stdout, done.stderr, done.exit_code


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ------------------------------------------------------------------------------------------------------------ ls


def test_runs_are_listed_newest_last(here):
    record(name="2026-01-02T00-00-00-aaa")
    record(exp=wide, name="2026-01-01T00-00-00-bbb")
    out, err, code = call("results", "ls", "--format", "json")
    first, second = json.loads(out)
    assert (code, err) == (0, "") and first["started"] < second["started"]  # started, whatever the directory is called
    assert (first["run"], first["status"]) == ("toy/2026-01-02T00-00-00-aaa", "finished")
    assert (first["done"], first["points"], first["failed"]) == (12, 12, 1) and first["seconds"] >= 0
    assert first["varied"] == {"cell": ["rnn", "lstm", "gru"], "hidden": [8, 16]}
    assert first["error"] is None and second["done"] == 20
    header, one, two = call("results", "ls")[0].splitlines()
    assert header.split() == ["run", "status", "points", "failed", "seconds", "varied"]
    assert one.startswith("toy/2026-01-02T00-00-00-aaa") and one.endswith("  cell rnn,lstm,gru; hidden 8,16")
    assert two.split()[1:4] == ["finished", "20/20", "0"] and two.endswith("  width 1..20 (20)")
    assert call("results", "ls", "wide")[0].splitlines()[1:] == [two.replace("toy", "wide")]


def test_runs_of_every_state_are_listed(here):
    record(name="2026-01-01T00-00-00-aaa")
    record(stop_after=5, name="2026-01-02T00-00-00-bbb")
    record(stop_after=11, status="interrupted", name="2026-01-03T00-00-00-ccc")
    damaged = record(name="2026-01-04T00-00-00-ddd")
    (damaged / "run.json").write_text("{")
    with RunWriter("results", "toy", toy.grid(), [0, 1]) as writer:
        for row in sweep.Serial(toy).run(sweep.points(toy, toy.grid(), [0, 1])[:3]):
            writer.add(row)
        out, err, code = call("results", "ls", "--format", "csv")
        rows = {row["run"][-3:]: row for row in csv.DictReader(io.StringIO(out))}
        running = rows.pop(writer.path.name[-3:])
    states = {name: (row["status"], row["done"], row["points"], row["failed"]) for name, row in rows.items()}
    assert states == {
        "aaa": ("finished", "12", "12", "1"), "bbb": ("broken off", "5", "12", ""),
        "ccc": ("interrupted", "11", "12", "0"), "ddd": ("damaged", "", "", ""),
    }  # fmt: skip
    assert (running["status"], running["done"]) == ("running", "3")
    assert "run.json is damaged" in rows["ddd"]["error"] and rows["ddd"]["started"] == "2026-01-04T00:00:00"
    assert (err, code) == ("", 0)


def test_a_list_of_nothing(here):
    assert call("results", "ls") == ("", "no runs in results\n", 0)
    assert call("results", "ls", "--format", "json")[0] == "[]\n"
    record()
    assert call("results", "ls", "tyo") == ("", "error: unknown experiment 'tyo'; did you mean 'toy'?\n", 2)


def test_listing_imports_nothing_heavy(here, tmp_path):
    record()
    code = (
        "import sys\nfrom sandbox.cli import cli\n"
        "try: cli(['results', 'ls'])\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'rich', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and "finished" in done.stdout


# ---------------------------------------------------------------------------------------------------- path, show


def test_a_path_and_nothing_else(here):
    first, second = record(name="2026-01-01T00-00-00-aaa"), record(name="2026-01-02T00-00-00-bbb")
    assert call("results", "path", "toy") == (f"{second}\n", "", 0)
    for run in ("toy@-2", "aaa", "toy/2026-01-01T00-00-00-aaa", "2026-01-01", "@-2", str(first)):
        assert call("results", "path", run)[0] == f"{first}\n"
    out, err, code = call("results", "path", "toy@-3")
    assert (out, err, code) == ("", "error: run must be toy@-1 to toy@-2, got toy@-3\n", 2)
    assert "is not a run directory" in call("results", "path", "results")[1]


def test_show_is_the_same_command(here):
    record()
    assert call("results", "show", "toy", "--format", "csv") == call("show", "toy", "--format", "csv")
    assert call("results", "show", "toy")[2] == 0


# ------------------------------------------------------------------------------------------------------------ rm


def test_runs_are_removed_all_or_none(here):
    record(name="2026-01-01T00-00-00-aaa"), record(name="2026-01-02T00-00-00-bbb"), record(exp=wide)
    assert call("results", "rm", "aaa", "zzz", "--yes")[2] == 2
    assert call("results", "rm", "aaa", "wide")[1:] == (
        "error: --yes must be given where nobody can be asked, got it not\n", 2
    )  # fmt: skip
    assert len(list(here.glob("results/*/*/run.json"))) == 3
    out, err, code = call("results", "rm", "aaa", "wide", "toy@-2", "-y")
    assert (err, code) == ("", 0) and out.splitlines()[0] == "removed toy/2026-01-01T00-00-00-aaa"
    assert len(out.splitlines()) == 2  # one run, named twice
    assert [path.name for path in here.glob("results/*")] == ["toy"]
    assert [path.name for path in here.glob("results/toy/*")] == ["2026-01-02T00-00-00-bbb"]
    assert call("results", "rm", "toy", "-y")[2] == 0 and list(here.glob("results/*")) == []


def test_what_is_written_or_no_run_stays(here):
    done = record(name="2026-01-01T00-00-00-aaa")
    with RunWriter("results", "toy", toy.grid(), [0, 1]) as writer:
        writer.add(next(sweep.Serial(toy).run(sweep.points(toy, toy.grid(), [0]))))
        out, err, code = call("results", "rm", "aaa", "toy", "--yes")
        assert "is being written by another process" in err and code == 2 and done.exists()
    (done / "mine").mkdir()
    assert "must hold files alone to be removed, got a folder in it: mine" in call("results", "rm", "aaa", "-y")[1]
    (here / "project").mkdir()
    (here / "project" / "run.json").write_text("[]")
    assert "is not a run directory" in call("results", "rm", "project", "-y")[1]
    os.symlink(writer.path, here / "link")
    assert "got a link to it" in call("results", "rm", "link", "-y")[1]
    assert call("results", "rm", "results", "-y")[2] == 2
    assert (here / "project" / "run.json").exists() and (done / "table.csv").exists() and writer.path.exists()


def test_a_damaged_run_and_one_by_its_path_can_be_removed(here, monkeypatch):
    path = record()
    (path / "run.json").write_text("{")
    monkeypatch.chdir(path)
    assert call("results", "rm", ".", "--yes")[2] == 0
    assert list(here.glob("results/*")) == []


@pytest.mark.parametrize(("typed", "left"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_people_are_asked(here, monkeypatch, typed, left):
    record()
    monkeypatch.setattr("sandbox.cli.results._is_terminal", lambda: True)
    out, err, code = call("results", "rm", "toy", input=typed)
    assert "toy/" in out and "12 points" in out and "remove this run? [y/N]:" in out
    assert len(list(here.glob("results/*/*/run.json"))) == left
    assert (code, err.strip()) == ((0, "") if left == 0 else (130, "interrupted: nothing was removed"))


# -------------------------------------------------------------------------------------------------------- verify


def test_what_is_as_it_was_written_is_ok(here):
    record(), record(exp=wide), record(stop_after=4), record(stop_after=4, status="interrupted")
    out, err, code = call("results", "verify")
    said = sorted(line.partition("  ")[2].strip() for line in out.splitlines())
    assert said == ["ok, 12 points", "ok, 20 points"] + ["unfinished, 4 of 12 points"] * 2
    assert (err, code) == ("", 0)
    assert call("results", "verify", "wide")[0].endswith("ok, 20 points\n")
    assert call("results", "verify", "--out", "nowhere") == ("", "no runs in nowhere\n", 0)


def test_a_run_that_goes_on_and_one_whose_end_was_cut_off(here):
    with RunWriter("results", "toy", toy.grid(), [0, 1]) as writer:
        for row in sweep.Serial(toy).run(sweep.points(toy, toy.grid(), [0, 1])):
            writer.add(row)
            if writer.rows == 5:
                assert verify(writer.path).text == "running, 5 of 12 points"
    assert verify(writer.path).text == "ok, 12 points"
    path = record(stop_after=5)
    content = (path / journal.NAME).read_bytes()
    (path / journal.NAME).write_bytes(content[:-3])
    verdict = verify(path)
    assert (verdict.state, verdict.text) == (
        "unfinished", "unfinished, 4 of 12 points; the last line of the journal was cut off"
    )  # fmt: skip
    (path / journal.NAME).unlink()
    assert verify(path).text == "damaged: journal (it is missing)"


def flips(content, count, rng):
    """`count` copies of `content` with one byte changed, or one for each byte if that is fewer."""
    places = range(len(content)) if len(content) <= count else sorted(rng.sample(range(len(content)), count))
    for at in places:
        changed = bytearray(content)
        changed[at] ^= rng.randrange(1, 256)
        yield at, bytes(changed)


def same_content(before, after):
    """Whether two texts of run.json are the same JSON: only white space between items can differ then."""
    try:
        return json.dumps(json.loads(after)) == json.dumps(json.loads(before))
    except ValueError:
        return False


@pytest.mark.parametrize("name", [*TABLES, "run.json"])
def test_any_byte_that_changes_in_a_finished_run_is_noticed(here, name):
    path = record()
    content = (path / name).read_bytes()
    assert verify(path).state == "ok"
    for at, changed in flips(content, 250, random.Random(0)):
        if name == "run.json" and same_content(content, changed):
            assert content[at : at + 1].isspace()
            continue
        (path / name).write_bytes(changed)
        verdict = verify(path)
        assert verdict.state == "damaged" and name in verdict.text and "\n" not in verdict.text, (at, verdict)
    (path / name).unlink()
    assert verify(path).state == "damaged"


@pytest.mark.parametrize("name", [*TABLES, "run.json", "journal"])
def test_any_byte_that_changes_in_an_interrupted_run_is_noticed(here, name):
    path = record(stop_after=5, status="interrupted")
    content = (path / name).read_bytes()
    for at, changed in flips(content, 100, random.Random(1)):
        if name != "run.json" or not same_content(content, changed):
            (path / name).write_bytes(changed)
            assert verify(path).state == "damaged", at


def rewrite(path, name, change):
    """Change a table and make its checksum fit, as a hand that knows better would."""
    lines = (path / name).read_text().splitlines(keepends=True)
    content = "".join(change(lines)).encode()
    (path / name).write_bytes(content)
    info = json.loads((path / "run.json").read_text())
    info["files"][name] = hashlib.sha256(content).hexdigest()
    info["seal"] = seal(info)
    (path / "run.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("table.csv", lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "table.csv (rows out of order"),
        ("table.csv", lambda lines: [*lines[:2], lines[1], *lines[2:]], "table.csv (rows out of order"),
        ("table.csv", lambda lines: lines[:-1], "table.csv (11 rows, 12 in run.json"),
        ("table.csv", lambda lines: [line.replace("16,", "17,") for line in lines], "17, 1.0, 0 is not in the grid"),
        ("table.csv", lambda lines: [line.replace("loss", "lost") for line in lines], "its columns are not those"),
        ("table.csv", lambda lines: [line.replace(",ok,", ",odd,") for line in lines], "or other statuses"),
        ("table.csv", lambda lines: [*lines[:-1], "rnn\n"], "table.csv line 13 is damaged"),
        ("timing.csv", lambda lines: [*lines[:2], *lines[3:]], "timing.csv (its rows are not those of table.csv)"),
        ("timing.csv", lambda lines: [lines[0], "gru,8,1.0,0,soon\n", *lines[2:]], "timing.csv (its rows"),
        ("curves.csv", lambda lines: [lines[0], *lines[3:5], *lines[1:3]], "curves.csv (its points"),
        ("curves.csv", lambda lines: [line.replace("gru,8", "gru,9") for line in lines], "curves.csv (its points"),
        ("curves.csv", lambda lines: [line.replace("norm", "form") for line in lines], "curves.csv (its curves"),
    ],
)
def test_tables_must_fit_together_whatever_their_checksums(here, name, change, said):
    path = record()
    rewrite(path, name, change)
    out, err, code = call("results", "verify", "toy")
    assert said in out and ": damaged: " not in out and code == 1 and err == ""
    assert out.startswith(f"toy/{path.name}  damaged: ") and str(here) not in out


def test_a_finished_run_has_all_its_points(here):
    path = record()
    info = json.loads((path / "run.json").read_text())
    info["points"] = 13
    (path / "run.json").write_text(json.dumps({**info, "seal": seal(info)}))
    assert verify(path).text == "damaged: table.csv (12 of 13 points in a finished run)"
    info |= {"points": 12, "files": {}}
    (path / "run.json").write_text(json.dumps({**info, "seal": seal(info)}))
    assert verify(path).text == "damaged: run.json (it has no checksums)"


def test_checksums_follow_a_run_that_goes_on(here):
    path = record(stop_after=5, status="interrupted")
    before = load(path).info["files"]
    with RunWriter.resume(path) as writer:
        assert json.loads((path / "run.json").read_text())["files"] == {}
        for row in sweep.Serial(toy).run(sweep.points(toy, toy.grid(), [0, 1])[5:]):
            writer.add(row)
    assert verify(path).text == "ok, 12 points" and load(path).info["files"] != before


def test_a_copy_of_a_run_is_as_good(here):
    path = record()
    copied = shutil.copytree(path, here / "elsewhere" / "backup")
    assert verify(copied).state == "ok"
    assert call("results", "verify", str(copied))[0] == "elsewhere/backup  ok, 12 points\n"


def test_a_locked_run_is_told_by_its_lock(here):
    fcntl = pytest.importorskip("fcntl")
    path = record(stop_after=3)
    assert not journal.locked(path)
    with (path / journal.NAME).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "running" in call("results", "ls")[0] and "running, 3 of 12" in call("results", "verify")[0]
    assert "broken off" in call("results", "ls")[0]


@pytest.mark.parametrize("width", [60, 70, 80, 100, 200])
def test_a_list_fits_its_terminal(here, monkeypatch, capsys, width):
    from sandbox.cli import results

    record(grid={"gain": [value / 8 for value in range(40)]}, stop_after=1)
    whole = call("results", "ls")[0]
    assert whole.endswith("  cell rnn,lstm,gru; hidden 8,16; gain 0.0..4.875 (40)\n")
    monkeypatch.setattr(results.shutil, "get_terminal_size", lambda: os.terminal_size((width, 24)))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    results.ls_command.callback(None, "results", "plain")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert " ".join(lines).split() == whole.split()  # no word and no number is cut
    assert (len(lines) == 2) == (width == 200)
    if width == 60:
        assert lines[0].split() == ["run", "status"] and lines[1].split() == ["points", "failed", "seconds", "varied"]


def test_sql_without_its_package_says_how_to_get_it(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    said = "error: sql needs DuckDB, which is missing (pip install rnn-sandbox[sql])\n"
    assert call("sql", "SELECT 1") == ("", said, 2)

"""Questions in SQL: what the tables hold, of which types, and that a query only reads."""

import json
import math
import sys

import pytest
from click.testing import CliRunner

from sandbox import sql, sweep
from sandbox.cli import cli
from sandbox.errors import UsageError
from sandbox.experiment import experiment
from sandbox.results import RunWriter, journal, load

pytest.importorskip("duckdb")


@experiment(cell=["rnn", "lstm"], hidden=[8, 16], gain=[0.5, 1.0], bias=[False, True], seeds=2)
def toy(cell, hidden, gain, bias, seed):
    """Metrics of every kind, one of which only LSTMs have, and a curve."""
    if (cell, hidden, gain, bias, seed) == ("lstm", 16, 1.0, True, 1):
        raise ValueError("no, way")
    metrics = {"loss": gain * hidden / 3 + seed, "steps": hidden * seed, "solved": seed == 1, "cause": '1, "a"'}
    metrics["half life"] = math.inf if cell == "rnn" else math.nan
    if cell == "lstm":
        metrics |= {"forget": 0.9, "LOSS": 1}
    return metrics, {"profile": {"lag": [0, 1], "norm": [1.0, None if seed else 0.5]}}


@experiment(tag=["1", "2"], level=[1, 2], seeds=1)
def tagged(tag, level, seed):
    """Texts that look like numbers on an axis; `level` is whole here."""
    return {"n": level, "word": ["1_0", "x"][level - 1]}


def write(root, exp, name, age, stop_after=None, status="finished", settings=None, grid=None, seeds=None):
    """Write a run of a given age in days; return its directory."""
    grid, seeds = {**exp.grid(), **(grid or {})}, seeds or list(range(exp.seeds))
    writer = RunWriter(root, exp.name, grid, seeds, settings=settings or {}, command=f"sandbox run {exp.name}")
    writer.info["started"] = f"2026-01-{age:02}T12:30:00.000+00:00"
    for row in sweep.Serial(exp).run(sweep.points(exp, grid, seeds)[:stop_after]):
        writer.add(row)
    if stop_after is None or status != "finished":
        writer.finish(status)
    writer.close()
    return writer.path.rename(writer.path.with_name(name))


def ask(text, root):
    """Return the rows of an answer that has no notes."""
    answer = sql.query(text, root)
    assert answer.notes == []
    return answer.rows


def types(table, root):
    return {row[0]: row[1] for row in ask(f"DESCRIBE {table}", root)}


def test_one_run_as_it_is_read(tmp_path):
    path = write(tmp_path, toy, "2026-01-01T00-00-00-aaa", 1)
    run = load(path)
    answer = sql.query("SELECT * FROM toy ORDER BY cell, hidden, gain, bias, seed", tmp_path)
    assert answer.names[:7] == ["run", "started", "cell", "hidden", "gain", "bias", "seed"]
    assert answer.names[-2:] == ["status", "error"] and len(answer.rows) == len(run) == 32
    names = {"LOSS": "LOSS_2"}
    for row, values in zip(run.rows, answer.rows, strict=True):
        found = dict(zip(answer.names, values, strict=True))
        assert found["run"] == "toy/2026-01-01T00-00-00-aaa" and str(found["started"]) == "2026-01-01 12:30:00"
        for name, value in row.items():
            same = found[names.get(name, name)]
            assert repr(same) == repr(None if value == "" else value), name


def test_every_column_has_the_type_of_its_values(tmp_path):
    write(tmp_path, toy, "aaa", 1), write(tmp_path, tagged, "bbb", 2)
    assert types("toy", tmp_path) == {
        "run": "VARCHAR", "started": "TIMESTAMP", "cell": "VARCHAR", "hidden": "BIGINT", "gain": "DOUBLE",
        "bias": "BOOLEAN", "seed": "BIGINT", "loss": "DOUBLE", "steps": "BIGINT", "solved": "BOOLEAN",
        "cause": "VARCHAR", "half life": "DOUBLE", "forget": "DOUBLE", "LOSS_2": "BIGINT", "status": "VARCHAR",
        "error": "VARCHAR",
    }  # fmt: skip
    assert types("tagged_all", tmp_path) == {
        "run": "VARCHAR", "started": "TIMESTAMP", "tag": "VARCHAR", "level": "BIGINT", "seed": "BIGINT",
        "n": "BIGINT", "word": "VARCHAR", "status": "VARCHAR", "error": "VARCHAR",
    }  # fmt: skip
    assert types("toy_curves", tmp_path) == {
        "run": "VARCHAR", "cell": "VARCHAR", "hidden": "BIGINT", "gain": "DOUBLE", "bias": "BOOLEAN", "seed": "BIGINT",
        "curve": "VARCHAR", "x": "BIGINT", "series": "VARCHAR", "value": "DOUBLE",
    }  # fmt: skip
    assert types("runs", tmp_path) == sql.RUNS
    for table, columns in sql.tables(tmp_path).items():
        assert list(types(table, tmp_path)) == columns


def test_the_newest_row_of_each_point(tmp_path):
    write(tmp_path, toy, "2026-01-09T00-00-00-old", 2, grid={"cell": ["rnn"]}, seeds=[0])
    write(tmp_path, toy, "2026-01-01T00-00-00-new", 5, grid={"cell": ["rnn"], "hidden": [8, 32]}, seeds=[0, 1])
    assert ask("SELECT count(*) FROM toy_all", tmp_path) == [(8 + 16,)]
    # 8 x seed 0 twice; 16 is old alone, 32 and seed 1 new alone
    assert ask("SELECT hidden, right(run, 3), count(*) FROM toy GROUP BY ALL ORDER BY ALL", tmp_path) == [
        (8, "new", 8), (16, "old", 4), (32, "new", 8),
    ]  # fmt: skip
    assert ask("SELECT right(run, 3), status, done FROM runs ORDER BY started", tmp_path) == [
        ("old", "finished", 8), ("new", "finished", 16),
    ]  # fmt: skip


def test_rows_of_other_settings_are_other_points(tmp_path):
    for age, text in enumerate(("a.txt", "b.txt", "b.txt"), start=1):
        write(tmp_path, tagged, f"r{age}", age, settings={"text": text})
    write(tmp_path, tagged, "r4", 4)
    rows = ask("SELECT text, right(run, 2), count(*) FROM tagged GROUP BY ALL ORDER BY ALL", tmp_path)
    assert rows == [("a.txt", "r1", 4), ("b.txt", "r3", 4), (None, "r4", 4)]


def test_runs_with_other_columns_are_put_together_by_name(tmp_path):
    @experiment(tag=["1"], level=[0.5], width=[3], seeds=1)
    def tagged_later(tag, level, width, seed):
        """The same experiment, an axis and a metric later."""
        return {"more": 1.5, "word": "y"}

    tagged_later.name = "tagged"
    write(tmp_path, tagged, "r1", 1), write(tmp_path, tagged_later, "r2", 2)
    assert types("tagged", tmp_path)["level"] == "DOUBLE"
    found = ask("SELECT level, width, n, more, word FROM tagged ORDER BY ALL", tmp_path)
    assert found == [(0.5, 3, None, 1.5, "y"), *[(1.0, None, 1, None, "1_0")] * 2, *[(2.0, None, 2, None, "x")] * 2]


def test_what_is_not_finished_counts_and_what_is_torn_does_not(tmp_path):
    path = write(tmp_path, toy, "aaa", 1, stop_after=5)
    content = (path / journal.NAME).read_bytes()
    (path / journal.NAME).write_bytes(content[:-20])
    write(tmp_path, toy, "bbb", 2, stop_after=3, status="interrupted")
    write(tmp_path, toy, "ccc", 3)
    (tmp_path / "toy" / "ccc" / "run.json").write_text("{")
    answer = sql.query("SELECT right(run, 3), count(*) FROM toy_all GROUP BY ALL ORDER BY ALL", tmp_path)
    assert answer.rows == [("aaa", 4), ("bbb", 3)]
    assert answer.notes[0].startswith("left out: ") and "ccc" in answer.notes[0] and len(answer.notes) == 2
    assert answer.notes[1] == "toy/aaa: the last line of the journal was cut off and is left out"
    assert ask("SELECT right(run, 3), status FROM runs ORDER BY ALL", tmp_path) == [
        ("aaa", "broken off"), ("bbb", "interrupted"), ("ccc", "damaged"),
    ]  # fmt: skip
    curves = sql.query("SELECT right(run, 3), count(*) FROM toy_curves GROUP BY ALL ORDER BY ALL", tmp_path)
    assert curves.rows == [("aaa", 8), ("bbb", 6)]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_table_or_curve_file_gives_whole_rows_alone(tmp_path, cut):
    path = write(tmp_path, toy, "aaa", 1)
    for name in ("table.csv", "curves.csv"):
        content = (path / name).read_bytes()
        (path / name).write_bytes(content[:-cut])
    whole = load(path).rows
    answer = sql.query("SELECT cell, hidden, gain, bias, seed, status FROM toy", tmp_path)
    assert len(answer.rows) == len(whole) < 32 and {row[-1] for row in answer.rows} == {"ok", "error"} - (
        {"error"} if all(row["status"] == "ok" for row in whole) else set()
    )
    assert any("cut off" in note for note in answer.notes)
    lines = (path / "curves.csv").read_text().count("\n") - 1
    assert sql.query("SELECT count(*) FROM toy_curves", tmp_path).rows == [(lines,)]


def test_curves_are_those_of_the_file(tmp_path):
    path = write(tmp_path, toy, "aaa", 1)
    found = ask("SELECT cell, hidden, gain, bias, seed, x, value FROM toy_curves WHERE series = 'norm'", tmp_path)
    expected = load(path).curve("profile", "norm")
    assert sorted(found, key=repr) == sorted(
        ((*key, x, value) for key, curve in expected.items() for x, value in zip(*curve, strict=True)), key=repr
    )


def test_a_damaged_curve_file_is_named(tmp_path):
    path = write(tmp_path, toy, "aaa", 1)
    (path / "curves.csv").write_text((path / "curves.csv").read_text() + "rnn,8\n")
    answer = sql.query("SELECT count(*) FROM toy_curves", tmp_path)
    assert answer.rows == [(0,)] and "curves.csv line" in answer.notes[0]


# ------------------------------------------------------------------------------------------------- reading alone


@pytest.mark.parametrize(
    "text",
    [
        "COPY toy TO 'stolen.csv'", "EXPORT DATABASE 'stolen'", "ATTACH 'stolen.db'", "SELECT * FROM 'secret.csv'",
        "SELECT * FROM read_csv('secret.csv')", "SELECT * FROM read_text('secret.csv')", "SELECT * FROM glob('*')",
        "SET enable_external_access = true", "SET temp_directory = 'stolen'", "SET memory_limit = '9GB'",
        "INSTALL httpfs",
        "COPY toy FROM 'secret.csv'",
    ],
)  # fmt: skip
def test_a_query_reaches_no_file(tmp_path, monkeypatch, text):
    path = write(tmp_path / "results", toy, "aaa", 1)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(UsageError) as caught:
        sql.query(f"SELECT count(*) FROM toy; {text}")
    assert "\n" not in str(caught.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["results", "secret.csv"]
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_changes_stay_in_memory(tmp_path):
    write(tmp_path, toy, "aaa", 1)
    assert ask("CREATE TABLE mine AS SELECT * FROM toy; DELETE FROM mine; SELECT count(*) FROM mine", tmp_path) == [
        (0,)
    ]
    with pytest.raises(UsageError, match="unknown table 'mine'"):
        ask("SELECT * FROM mine", tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT * FROM tyo", "unknown table 'tyo'; did you mean 'toy'?"),
        ("SELECT los FROM toy", 'SQL: Binder Error: Referenced column "los" not found in FROM clause! Candidate'),
        ("SELEC 1", 'SQL: Parser Error: syntax error at or near "SELEC"'),
        ("SELECT count(* FROM toy", "SQL: Parser Error: "),
        ("SELECT now()", "SQL: a time with a time zone must be cast"),
        ("SELECT '\udcff'", "an SQL query must be UTF-8 text, got SELECT '"),
        ("SELECT CAST('x' AS INTEGER)", "SQL: Conversion Error: Could not convert string 'x' to INT32"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, text, said):
    write(tmp_path / "results", toy, "aaa", 1)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["sql", text])
    assert done.exit_code == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {said}") and "LINE 1" not in done.stderr


def test_data_frame_packages_are_not_needed(monkeypatch, tmp_path):
    for name in ("pandas", "pyarrow", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    write(tmp_path, toy, "aaa", 1), write(tmp_path, toy, "bbb", 2, stop_after=2)
    assert ask("SELECT count(*), count(forget) FROM toy_all", tmp_path) == [(34, 15)]
    assert ask("SELECT count(*) FROM toy_curves", tmp_path) == [(66,)]


# -------------------------------------------------------------------------------------------------- how it looks


@pytest.fixture
def call(tmp_path, monkeypatch):
    write(tmp_path / "results", toy, "aaa", 1)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        done = CliRunner().invoke(cli, ["sql", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


BY_CELL = 'SELECT cell, gain, avg(loss) AS loss, max("half life") AS life FROM toy GROUP BY ALL ORDER BY ALL'


def test_a_table_for_people(call):
    assert call(BY_CELL).splitlines() == [
        f"sql   {BY_CELL}",
        " cell  gain │  loss  life",
        "────────────┼────────────",
        " lstm   0.5 │ 2.500   nan",
        " lstm   1.0 │ 4.238   nan",
        " rnn    0.5 │ 2.500   inf",
        " rnn    1.0 │ 4.500   inf",
        " 4 rows",
    ]


def test_numbers_for_programs_are_whole(call):
    lines = call(BY_CELL, "--format", "csv").splitlines()
    assert lines[0] == "cell,gain,loss,life" and lines[2].split(",")[::3] == ["lstm", "nan"]
    exact = (4 * 8 / 3 + 2 + 3 * 16 / 3 + 1) / 7  # seven points of eight
    assert float(lines[2].split(",")[2]) == pytest.approx(exact, rel=1e-15) and len(lines[2].split(",")[2]) > 10
    records = json.loads(call(BY_CELL, "--format", "json"))
    assert records[0] == {"cell": "lstm", "gain": 0.5, "loss": 2.5, "life": None} and len(records) == 4
    assert call("SELECT 1 AS a, 2 AS a, NULL AS b", "--format", "json").split() == [
        "[", "{", '"a":', "1,", '"a_2":', "2,", '"b":', "null", "}", "]",
    ]  # fmt: skip
    assert call("SELECT 1 AS a, NULL AS b, true AS c, 0.1 AS d", "--format", "csv") == "a,b,c,d\n1,,true,0.1\n"


def test_markdown_and_nothing(call):
    assert call("SELECT cell, count(*) AS n FROM toy GROUP BY ALL ORDER BY ALL", "--format", "md").splitlines() == [
        "| cell | n |", "| --- | ---: |", "| lstm | 16 |", "| rnn | 16 |",
    ]  # fmt: skip
    assert call("SELECT cell FROM toy WHERE false").splitlines()[-1] == " 0 rows"
    assert call("SELECT cell FROM toy WHERE false", "--format", "csv") == "cell\n"


def test_without_a_query_the_tables_are_listed(call):
    lines = dict(line.split("  ", 1) for line in call().splitlines())
    assert list(lines) == ["toy", "toy_all", "toy_curves", "runs"]
    assert lines["toy"].strip().startswith("run, started, cell, hidden, gain, bias, seed, loss, steps, solved")
    assert call(" ") == call()

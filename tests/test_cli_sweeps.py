"""Flags of a sweep on the command line: which points, on what, plans, going on; and two thousand random lines."""

import json
import os
import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.cli import cli as command

TOY = '''
import os
from sandbox.experiment import Setting, experiment
from sandbox.report import Column, Table
@experiment(cell=["rnn", "gru"], hidden=[4, 8], gain=[0.5, 2.0], seeds=2, quick=dict(hidden=[2], gain=[0.5], seeds=1),
            presets={"paper": dict(hidden=[16])}, settings=(Setting("text", "a word"),),
            table=Table([Column("rate", better="higher"), "cause"], spark=("profile", "y")))
def toy(cell, hidden, gain, seed, text):
    """A toy."""
    if os.path.exists("fail") and hidden == 8:
        raise ValueError("told to")
    metrics = {"rate": gain * (1 + seed / 9), "cause": "weights", f"gate_{cell}": hidden / 3}
    return metrics, {"profile": {"x": [0, 1], "y": [gain, seed]}}
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with one experiment; sweeps run in this process unless they ask for workers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "toy.py").write_text(TOY)
    return tmp_path


def run(*arguments):
    result = CliRunner().invoke(command, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def runs():
    return sorted(Path("results/toy").glob("*/run.json"), key=lambda path: json.loads(path.read_text())["started"])


def rows(path):
    return [line.split(",")[:4] for line in (path.parent / "table.csv").read_text().splitlines()[1:]]


def test_part_of_a_grid(here):
    run("run", "toy", "--zip", "hidden,gain", "--where", "cell=='gru' or seed==0")
    (path,) = runs()
    assert rows(path) == [
        ["gru", "4", "0.5", "0"], ["gru", "4", "0.5", "1"], ["gru", "8", "2.0", "0"], ["gru", "8", "2.0", "1"],
        ["rnn", "4", "0.5", "0"], ["rnn", "8", "2.0", "0"],
    ]  # fmt: skip
    info = json.loads(path.read_text())
    assert info["selection"] == {"zips": [["hidden", "gain"]], "where": "cell=='gru' or seed==0", "sample": None}
    assert (info["points"], info["rows"], info["status"]) == (6, 6, "finished")


def test_a_sample_is_a_part_of_a_larger_one(here):
    run("run", "toy", "--sample", "2")
    run("run", "toy", "--sample", "5")
    small, large = runs()
    assert len(rows(small)) == 4 and len(rows(large)) == 10
    assert {tuple(row) for row in rows(small)} < {tuple(row) for row in rows(large)}
    assert json.loads(large.read_text())["reused"] == {small.parent.name: 4}


def test_a_plan_says_what_is_done_and_what_is_left(here):
    plan = run("run", "toy", "--dry-run").stdout
    assert plan.startswith("toy: 16 points = 8 combinations x 2 seeds\n")
    assert "\ndone: 0 of 16\n" in plan and re.search(r"\nleft: .*unknown|\nleft: no", plan)
    assert "would write results/toy/<time>-<id>/: table.csv (16 rows)" in plan and not Path("results").exists()
    run("run", "toy", "--hidden", "4")
    folder = runs()[0].parent
    plan = run("run", "toy", "--dry-run", "--where", "seed==1 or hidden==4", "--zip", "cell,gain").stdout
    assert plan.startswith("toy: 6 points = 4 combinations x 2 seeds, thinned\n")
    assert "--zip    cell,gain" in plan and "--where  seed==1 or hidden==4" in plan
    assert f"\ndone: 4 of 6 (4 in {folder}/)\n" in plan and re.search(r"\nleft: .* from 8 finished points", plan)
    plan = run("run", "toy", "--dry-run", "--hidden", "4").stdout
    assert "done: 8 of 8" in plan and "left" not in plan and f"would show {folder}/" in plan
    assert len(runs()) == 1


def test_what_is_done_is_shown_and_not_run(here):
    first = run("run", "toy")
    second = run("run", "toy")
    folder = runs()[0].parent
    assert len(runs()) == 1 and second.stdout == first.stdout and second.exit_code == 0
    assert second.stderr == f"all 16 points are done in {folder}/ (--force runs them again)\n"
    run("run", "toy", "--force")
    assert len(runs()) == 2
    run("run", "toy", "--text", "word")
    assert len(runs()) == 3


def test_what_failed_is_run_again(here):
    (here / "fail").touch()
    failed = run("run", "toy")
    assert failed.exit_code == 1 and "8 of 16 points not ok" in failed.stdout
    again = run("run", "toy", "--only-failed", "--hidden", "8,16")
    assert again.exit_code == 1 and len(rows(runs()[-1])) == 8
    (here / "fail").unlink()
    assert run("run", "toy", "--resume", runs()[0].parent.name).exit_code == 0
    assert len(runs()) == 2 and json.loads(runs()[0].read_text())["statuses"] == {"ok": 16}


def test_nothing_has_failed(here):
    run("run", "toy", "--hidden", "8")
    run("run", "toy", "--hidden", "4")
    for flags in ((), ("--dry-run",)):
        result = run("run", "toy", "--only-failed", "--hidden", "4,8,16", *flags)
        assert (result.exit_code, result.stdout) == (0, "") and len(runs()) == 2
        assert result.stderr == "none of the 16 points that were run has failed: nothing to do\n"


def test_copied_points_are_told(here):
    first = run("run", "toy", "--hidden", "8")
    second = run("run", "toy", "--hidden", "8,16")
    assert "copied" not in first.stderr
    assert second.stderr.startswith(f"8 of 16 points are done, copied from {runs()[0].parent}/\n")


def test_a_run_goes_on(here):
    run("run", "toy")
    assert run("run", "toy", "--resume", "latest").stderr.startswith("all 16 points are done in ")
    assert "would show" in run("run", "toy", "--resume", "-1", "--dry-run").stdout


def test_a_run_that_is_interrupted_says_how_to_go_on(here, monkeypatch):
    from sandbox import study

    def interrupted(planned, *arguments, **options):
        def watch(row):
            raise KeyboardInterrupt

        options["watch"] = watch
        return carry_out(planned, *arguments, **options)

    carry_out = study.carry_out
    run("run", "toy", "--hidden", "16")
    with monkeypatch.context() as patch:
        patch.setattr(study, "carry_out", interrupted)
        result = run("run", "toy", "--hidden", "4", "--out", "elsewhere")
        (path,) = Path("elsewhere/toy").iterdir()
        command = "sandbox run toy --resume {} --out elsewhere"
        kept = f"interrupted: {{}} of 8 points kept in {path}/ ({command} goes on)\n"
        assert (result.exit_code, result.stderr) == (130, kept.format(1, "latest"))
        run("run", "toy", "--hidden", "8", "--out", "elsewhere")  # now another one is the latest
        result = run("run", "toy", "--resume", path.name, "--out", "elsewhere")
        assert (result.exit_code, result.stderr) == (130, kept.format(2, path.name))
    result = run("run", "toy", "--resume", path.name, "--only-failed", "--out", "elsewhere")
    assert result.exit_code == 0 and "are done" not in result.stderr and "run interrupted: 2 of 8" in result.stdout


def test_workers(here):
    alone = run("run", "toy", "--jobs", "1")
    assert run("run", "toy", "--jobs", "2", "--force").exit_code == 0
    assert run("run", "toy", "--timeout-per-point", "30", "--force", "-j", "1").exit_code == 0
    tables = {path.with_name("table.csv").read_bytes() for path in runs()}
    assert len(runs()) == 3 and len(tables) == 1 and alone.exit_code == 0


def test_a_point_that_takes_too_long(here):
    text = TOY.replace("    metrics =", "    while hidden == 8 and gain == 2.0 and seed: pass\n    metrics =")
    (here / "experiments" / "toy.py").write_text(text)
    result = run("run", "toy", "--timeout-per-point", "0.3", "--jobs", "2", "--cell", "gru")
    assert result.exit_code == 1 and "1 of 8 points not ok" in result.stdout
    assert "hidden 8, gain 2.0, seed 1: timeout: longer than 0.3 s" in result.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--zip hidden", "--zip must"),
        ("--zip hidden,gian", "unknown axis 'gian'; did you mean 'gain'?"),
        ("--hidden 4 --zip hidden,gain", "--zip"),
        ("--where hidden<", "--where must"),
        ("--where hiden==4", "unknown axis 'hiden'; did you mean 'hidden'?"),
        ("--where hidden<1", "--where must leave at least one point"),
        ("--sample 0", "--sample must be"),
        ("--sample x", "--sample must be K or K:SEED, got x"),
        ("--jobs 0", "0 is not in the range"),
        ("--jobs two", "'two' is not a valid whole number"),
        ("--executor slurm", "'slurm' is not one of"),
        ("--scheduler tcp://localhost:1", "--scheduler must be given together with --executor dask"),
        ("--timeout-per-point 0", "is not in the range"),
        ("--timeout-per-point 5 --executor dask", "--timeout-per-point must be left out with --executor dask"),
        ("--resume latest", "unknown run 'latest'"),
        ("--resume latest --hidden 4", "--resume must be given without --hidden"),
        ("--resume latest --only-failed --quick", "--resume must be given without --quick"),
        ("--force --only-failed", "points must be chosen by --force or by --only-failed, got both"),
        ("--only-failed", "--only-failed must be used after a run"),
    ],
)
def test_bad_flags(here, flags, message):
    result = run("run", "toy", *flags.split())
    assert result.exit_code == 2 and result.stdout == ""
    assert re.fullmatch(r"error: [^\n]+\n", result.stderr) and message in result.stderr
    assert not Path("results").exists()


def test_a_bad_default_of_jobs_names_its_variable(here, monkeypatch):
    monkeypatch.setenv("SANDBOX_JOBS", "x")
    said = run("run", "toy", "--dry-run").stderr
    assert said == "error: invalid value for '--jobs' / '-j': 'x' is not a valid whole number (from SANDBOX_JOBS)\n"


def test_help_has_sections(here):
    text = run("run", "toy", "--help").stdout
    assert [title in text for title in ("Axes:", "Settings:", "Which points:", "On what:", "Options:")] == [True] * 5
    flags = ("--zip", "--where", "--sample", "--force", "--only-failed", "--resume", "--jobs", "--executor")
    assert all(flag in text for flag in flags)


# Random command lines --------------------------------------------------------------------------------------------

WORDS = [
    "toy",
    "toy@latest",
    "toy@-1",
    "toy@-9",
    "tpy",
    "nothing",
    "vanishing",
    ".",
    "",
    "-",
    "--",
    "\x00",
    "é",
    "a,b",
    "1:2:3",
]
RUNS = ["toy", "toy@latest", "toy@-2", "latest", "results", "toy@", "@", "x" * 300]
AXES = {
    "--cell": ["rnn", "gru,rnn", "all", "lsmt", "", ",", "gru,"],
    "--hidden": ["2", "2,3", "2:6:2", "6:2:2", "0", "-1", "1e3", "nan", "99999999999", "2::", ":", "1:2:0"],
    "--gain": ["1", "0.5:1:0.25", "inf", "-0.0", "1e-400", "0x10", "1_0"],
    "--seeds": ["1", "2", "0", "-1", "1.5", "100000000", "a"],
    "--seed": ["0", "3,4", "0:4:2", "-1", "4294967296"],
    "--text": ["word", "", "\n"],
    "--preset": ["paper", "papr"],
    "--zip": ["hidden,gain", "cell,hidden,gain", "hidden", "hidden,hidden", "x,y", "", ","],
    "--where": ["hidden<4", "cell=='rnn' and seed<1", "hidden", "(((", "1/0>1", "cell<1", "", "hidden in (2,4)",
                "not not seed==0", "seed==0 or", "__import__('os')", "hidden**99>1", "'" * 7, "gain*1e308*1e308>1"],
    "--sample": ["1", "3:7", "0", "-1", "1:1:1", "x", "9" * 30],
    "--resume": RUNS,
    "--jobs": ["1", "0", "x", "-3"],
    "--executor": ["local", "slurm"],
    "--scheduler": ["tcp://nowhere", ""],
    "--timeout-per-point": ["0", "-1", "x", "nan"],
    "--out": ["results", "elsewhere", "", "experiments/toy.py", "/proc/nowhere", "\x00"],
    "--format": ["plain", "rich", "csv", "md", "tex", "json", "xml"],
}  # fmt: skip
SWITCHES = ["--quick", "--dry-run", "--force", "--only-failed", "--no-plot", "--help", "--nonsense", "-x", "-j"]
COMPARE = {
    "--by": ["cell", "cell,hidden", "x", "", "seed"],
    "--metric": ["rate", "rate,gate_gru", "cause", "x", ""],
    "--same": ["1%", "0", "-1", "x", "1e400"],
    "--better": ["rate=lower", "rate=up", "rate", "=", "x=lower"],
    "--fail-if": ["rate > +5%", "rate worse", "rate >", "> 5", "rate < -1e400", "x > 1", "rate = 5", "", "rate > 5%%"],
    "--to": ["published", "published:init_gain_glorot", "published:", "x"],
    "--format": AXES["--format"],
    "--out": AXES["--out"],
}
LINES = {
    "run": (["toy"], AXES, SWITCHES),
    "compare": ([], COMPARE, ["--list", "--help", "--nonsense"]),
    "show": ([], {"--format": AXES["--format"], "--out": AXES["--out"]}, ["--help", "--nonsense"]),
    "describe": ([], {"--hidden": ["4", "0", "x"], "--layers": ["2", "99"]}, ["--help"]),
    "reproduce": ([], {"--within": ["1", "2", "x"], "--jobs": ["1", "0"], "--out": AXES["--out"]}, ["--help"]),
    "list": ([], {}, ["--help", "surplus"]),
    "results": (["ls", "show", "path", "rm", "verify", "lss"], {"--out": AXES["--out"]}, ["--help", "--yes"]),
    "sql": ([], {"--out": AXES["--out"], "--format": AXES["--format"]}, ["--help"]),
}  # fmt: skip
SQL = [
    "SELECT cell, avg(rate) FROM toy GROUP BY cell", "SELECT", "DROP TABLE toy", "COPY toy TO 'x.csv'", "", ";", "\x00",
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT count(*) FROM runs", "SELECT 1; SELECT 2", "ATTACH 'x.db'",
]  # fmt: skip


def random_line(rng):
    name = rng.choice([*LINES, "run", "run", "compare", "rnu", ""])
    first, options, switches = LINES.get(name, ([], {}, []))
    line = [name]
    if first and rng.random() < 0.95:
        line.append(rng.choice(first))
    if name in ("compare", "show", "reproduce", "results", "describe"):
        line += rng.choices([*RUNS, *WORDS], k=rng.choice([0, 1, 1, 2, 2, 3]))
    if name == "sql":
        line.append(rng.choice(SQL))
    for flag in rng.sample(sorted(options), k=min(len(options), rng.choice([0, 1, 1, 2, 3]))):
        line += [flag, rng.choice(options[flag])] if rng.random() < 0.95 else [flag]
    line += rng.sample(switches, k=min(len(switches), rng.choice([0, 0, 0, 1, 2])))
    line += rng.choices(WORDS, k=rng.choice([0, 0, 0, 0, 1]))
    return line


def check_lines(count, seed):
    """Every line gives a result or one line and exit code 2; nothing is written where there was an error."""
    rng, codes = random.Random(seed), {}
    for _ in range(count):
        line = random_line(rng)
        result = CliRunner(env={"SANDBOX_NO_PLOT": "1"}).invoke(command, line)
        assert result.exception is None or isinstance(result.exception, SystemExit), (line, result.exception)
        assert result.exit_code in (0, 1, 2), (line, result.exit_code)
        assert "Traceback" not in result.output, line
        if result.exit_code == 2 and line != ["run"] and line[:1] != [""]:
            assert re.fullmatch(r"error: [^\n]+\n", result.stderr), (line, result.stderr)
        codes[result.exit_code] = codes.get(result.exit_code, 0) + 1
    assert not [path for path in Path().rglob("*") if path.name in ("x.csv", "x.db")]
    assert Path("experiments/toy.py").read_text() == TOY
    return codes


def test_random_lines(here):
    codes = check_lines(150, seed=0)
    assert set(codes) >= {0, 2}


@pytest.mark.slow
def test_two_thousand_random_lines(here):
    codes = check_lines(2000, seed=int(os.environ.get("SANDBOX_FUZZ_SEED", "1")))
    print(codes)
    assert codes[0] > 200 and codes[2] > 800

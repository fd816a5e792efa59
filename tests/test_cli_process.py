"""The command line as a process: interrupts, kills, closed pipes, and terminals of any width and encoding."""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sandbox

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and terminals")
ROOT = Path(sandbox.__file__).parents[1]

EXPERIMENT = '''
import os
import time
from sandbox.experiment import experiment
from sandbox.report import Column, Table

class Reluctant:
    def __del__(self):
        print("here", flush=True)
        time.sleep(60)

@experiment(
    gain=[1.0, 2.0, 3.0, 4.0], seeds=1,
    table=Table(["twice", "third", Column("much", "a much longer heading")], spark=("profile", "y"), subject="∂"),
)
def {name}(gain, seed):
    """{name}."""
    if gain == 3.0:
        {third}
    return {{"twice": 2 * gain, "third": gain / 3, "much": 1e-9 * gain}}, {{"profile": {{"x": [0, 1], "y": [0, gain]}}}}
'''

THIRD_POINT = {
    "quick": "pass",
    "slow": "time.sleep(60)",
    "breaks": "open('begun', 'w').close()\n        while not os.path.exists('go'): time.sleep(0.01)",
    "buggy": "raise KeyError('bug')",
    "reluctant": "Reluctant(); time.sleep(60)",
    "text": "exec('print(\"here\", flush=True); time.sleep(60)')",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with experiments that differ in what their third point does."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    for name, third in THIRD_POINT.items():
        (tmp_path / "experiments" / f"{name}.py").write_text(EXPERIMENT.format(name=name, third=third), "utf-8")
    return tmp_path


def start(*arguments, env=None, **streams):
    """Start a command line."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "", **(env or {})}
    return subprocess.Popen([sys.executable, "-m", "sandbox", *arguments], env=env, encoding="utf-8", **pipes)


def finish(process):
    """Return output, errors and exit code of a process that should end soon."""
    out, err = process.communicate(timeout=30)
    return out, err, process.returncode


def call(*arguments, **options):
    return finish(start(*arguments, **options))


def wait_for_rows(name, count):
    """Wait until `count` rows of the experiment's only run are on disk, for at most ten seconds."""
    deadline = time.monotonic() + 10
    while not any(rows.read_bytes().count(b"\n") == count for rows in Path("results", name).glob("*/journal")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def only_run(name):
    (path,) = Path("results", name).iterdir()
    return path


# ------------------------------------------------------------------------------------------------- interrupts


FINISHING = "finishing the points that are running; Ctrl-C again stops at once\n"


def kept(name, count=2):
    path = only_run(name)
    return f"interrupted: {count} of 4 points kept in {path}/ (sandbox run {name} --resume latest goes on)\n"


def interrupt_twice(process):
    """Press Ctrl-C, wait until that was heard, and press it again."""
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == FINISHING
    process.send_signal(signal.SIGINT)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_first_interrupt_lets_running_points_finish(here, jobs):
    process = start("run", "breaks", "--jobs", str(jobs))
    while not Path("begun").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == FINISHING
    Path("go").touch()
    out, err, code = finish(process)
    if jobs == 1 or code:
        assert (out, err, code) == ("", kept("breaks", 3), 130)
        out, err, code = call("run", "breaks", "--resume", "latest")
    # A second worker may have had the fourth point by then: nothing is left to interrupt.
    assert code == 0 and "4 points in" in out and len(list(Path("results/breaks").iterdir())) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_finished_rows(here, number, code):
    process = start("run", "slow")
    wait_for_rows("slow", 2)
    interrupt_twice(process) if number == signal.SIGINT else process.send_signal(number)
    result = finish(process)
    path = only_run("slow")
    assert result == ("", kept("slow"), code)
    rows = (path / "table.csv").read_text().splitlines()
    assert rows[0] == "gain,seed,twice,third,much,status,error" and len(rows) == 3
    assert json.loads((path / "run.json").read_text())["status"] == "interrupted"
    assert " run interrupted: 2 of 4 points" in call("show", "slow")[0]


def test_an_interrupt_before_the_first_row_leaves_nothing(here):
    (here / "experiments" / "loading.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(60)\n")
    process = start("run", "loading")
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == ("", "interrupted: nothing was kept\n", 130)
    assert not Path("results").exists()


@pytest.mark.parametrize("name", ["reluctant", "text"])
def test_an_interrupt_where_python_would_lose_it(here, name):
    # In a destructor an exception goes nowhere; through the exec of a text it changes how Python exits.
    process = start("run", name)
    assert process.stdout.readline() == "here\n"
    interrupt_twice(process)
    assert finish(process) == ("", kept(name), 130)


def test_an_ignored_signal_stays_ignored(here):
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and background jobs do; children inherit it
    try:
        process = start("run", "slow")
    finally:
        signal.signal(signal.SIGINT, previous)
    wait_for_rows("slow", 2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.terminate()
    assert finish(process)[2] == 143


def test_a_killed_run_can_be_read(here):
    process = start("run", "slow")
    wait_for_rows("slow", 2)
    process.kill()
    assert finish(process)[2] == -signal.SIGKILL
    out, _, code = call("show", "slow")
    assert code == 0 and " run unfinished: 2 of 4 points" in out and "profile" in out


def test_a_bug_in_an_experiment_costs_its_point(here):
    out, err, code = call("run", "buggy")
    assert code == 1 and err == ""
    assert "1 of 4 points not ok, the first: gain 3.0, seed 0: error: KeyError: 'bug' (buggy.py line 19)" in out
    assert "4 points" in call("show", "buggy")[0]


def test_a_closed_pipe_is_no_error_message(here):
    process = start("run", "quick")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=30) == 141
    assert len((only_run("quick") / "table.csv").read_text().splitlines()) == 5


def test_two_runs_at_once_have_directories_of_their_own(here):
    processes = [start("run", "quick", "--force") for _ in range(3)]
    assert [finish(process)[2] for process in processes] == [0] * 3
    assert len(list(Path("results/quick").glob("*/table.csv"))) == 3


# ------------------------------------------------------------------------------------------------- terminals


def in_terminal(columns, *arguments, **env):
    """Run a command line on a terminal of a given width; return what it shows."""
    pty, fcntl, termios = map(pytest.importorskip, ("pty", "fcntl", "termios"))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {"TERM": "xterm", "COLUMNS": str(columns), **env}
    process = start(*arguments, env=env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:
        pass  # the other end is closed
    os.close(master)
    assert process.wait(timeout=30) == 0
    return shown.decode().replace("\r\n", "\n")


def test_sixty_columns_cut_no_number(here):
    shown = in_terminal(60, "run", "quick")
    assert "\x1b[" in shown and "/4" in shown  # colour and a progress bar
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    table = [line for line in text.splitlines() if "│" in line]
    wide = [line for line in call("show", "quick")[0].splitlines() if "│" in line]
    assert all(len(line) <= 60 for line in table)
    numbers = {number for line in wide for number in line.split()} - {"│"}
    assert numbers - set(" ".join(table).split()) == set()
    assert {"0.3333", "1.000e-09", "▁▃"} <= numbers


def test_sixty_columns_hold_the_live_line_of_a_training_run(here):
    flags = "length --cell rnn --seq-len 40 --updates 3000 --seeds 1 --no-plot"
    shown = in_terminal(60, "run", *flags.split())
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", shown).split("\n")
    notes = [line for line in lines if "|dL/dw|" in line]
    assert notes and all(len(line) <= 60 for line in notes)
    assert re.fullmatch(r"[0-9]+/3000 loss \S+/0\.17, \|dL/dw\| \S+, [0-9]+:[0-9]{2} left", notes[0])
    assert "|dL/dw|" not in call("run", *flags.split())[1]


def test_no_color(here):
    call("run", "quick")
    assert "\x1b[36m" in in_terminal(120, "show", "quick", NO_COLOR="")
    assert "\x1b[36m" not in in_terminal(120, "show", "quick", NO_COLOR="1")


def test_no_escape_codes_and_no_bar_in_a_pipe(here):
    out, err, code = call("run", "quick", env={"COLUMNS": "20"})
    assert code == 0 and "\x1b" not in out and err == ""
    assert max(map(len, out.splitlines())) > 60


def test_a_terminal_without_unicode(here):
    out, _, code = call("run", "quick", env={"PYTHONIOENCODING": "ascii"})
    assert code == 0 and out.isascii() and "+---" in out and "_#" in out and r"\u2202" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("delay", "twice"), [(1.0, True), (1.5, False), (2.0, True), (2.5, False), (3.0, True), (4.0, True), (5.0, False)]
)
def test_an_interrupt_during_a_cold_compile(tmp_path, delay, twice):
    """At any moment, once or twice: one line at the end, exit 130, no half-built library crashes on the way out."""
    env = {"SANDBOX_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    flags = ["--seeds", "1", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "sandbox", "run", "vanishing", *flags]
    process = subprocess.Popen(
        command, env=os.environ | env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    if twice:
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert re.fullmatch(f"({re.escape(FINISHING)})?interrupted: [^\n]+\n", err), err


def test_products_have_one_thread_wherever_they_run(here, monkeypatch):
    """The bits of a BLAS depend on the number of its threads: rows of this process and of workers would differ."""
    text = EXPERIMENT.format(name="threads", third="pass").replace(
        '"twice": 2 * gain', '"twice": int(os.environ.get("OPENBLAS_NUM_THREADS", 0))'
    )
    (here / "experiments" / "threads.py").write_text(text, "utf-8")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    for jobs in ("1", "2"):
        call("run", "threads", "--jobs", jobs, "--force", "--no-plot")
    tables = [path.read_text() for path in Path("results/threads").glob("*/table.csv")]
    assert len(tables) == 2 and tables[0] == tables[1] and "\n1.0,0,1," in tables[0]

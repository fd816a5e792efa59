"""The Makefile and its set-up, with a stand-in for Python that records its calls and installs nothing."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PARTS = ["Makefile", "setup.cfg", "setup.py", "pyproject.toml", "constraints.txt", "tools"]

# Checks (-c) and scripts run on the real interpreter, after the lines in $TREE/prelude.
STAND_IN = """\
#!/bin/sh
tree='{tree}'
here=$(dirname "$0")
case "$1 $2" in
"-m venv")
    echo "venv" >>"$tree/calls"
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip")
    echo "pip user=$PIP_USER target=$PIP_TARGET path=$PYTHONPATH" >>"$tree/calls"
    if [ -f "$tree/slow" ]; then sleep 0.5; fi
    if [ -f "$tree/no-index" ]; then echo "ERROR: the index is away"; exit 1; fi
    cp "$tree/sandbox-stand-in" "$here/sandbox" ;;
"-m pytest")
    shift 2
    echo "pytest path=$PYTHONPATH $*" >>"$tree/calls" ;;
-c*)
    exec '{python}' -c "$(cat "$tree/prelude" 2>/dev/null)
$2" ;;
*)
    exec '{python}' "$@" ;;
esac
"""
SANDBOX = """\
#!/bin/sh
echo "sandbox $*"
case "$*" in *broken*) exit 3 ;; esac
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


class Tree:
    """A copy of the project's set-up files in `path`, whose name has a blank in it."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
            copy(ROOT / part, path / part)
        self.python = self.script("python-stand-in", STAND_IN.format(tree=path, python=sys.executable))
        self.script("sandbox-stand-in", SANDBOX)

    def script(self, name, text):
        file = self.path / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    def start(self, *words, path=None, **env):
        env = {"PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"], **env}
        if not path:
            env.setdefault("PYTHON", str(self.python))
        command = ["make", *words]
        return subprocess.Popen(
            command, cwd=self.path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def make(self, *words, **kw):
        process = self.start(*words, **kw)
        process.out, process.err = process.communicate(timeout=60)
        return process

    @property
    def calls(self):
        """First words of the recorded calls."""
        file = self.path / "calls"
        return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def stamp(self):
        return self.path / ".venv" / ".installed"


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "a tree")


def own_lines(text):
    """What the set-up itself said on stderr, without make's closing line."""
    return [line for line in text.splitlines() if not line.startswith("make")]


def test_make_alone_lists_every_target_and_sets_nothing_up(tree):
    done = tree.make()
    listed = {line.split()[1] for line in done.out.splitlines()}
    (phony,) = re.findall(r"^\.PHONY: (help .*)$", (ROOT / "Makefile").read_text(), re.M)
    assert done.returncode == 0
    assert listed == set(phony.split())
    assert not (tree.path / ".venv").exists()


def test_experiment_passes_name_and_flags_on(tree):
    done = tree.make("experiment", "NAME=vanishing", "ARGS=--cell lstm --hidden 32,64")
    assert (done.returncode, done.out) == (0, "sandbox run vanishing --cell lstm --hidden 32,64\n")


@pytest.mark.parametrize("env", [{}, {"NAME": "a-host", "ARGS": "--help"}])
def test_experiment_without_name_lists_and_exits_2(tree, env):
    done = tree.make("experiment", **env)
    assert (done.returncode, done.out) == (2, "sandbox list\n")


def test_failure_of_the_command_is_make_s_failure(tree):
    done = tree.make("experiment", "NAME=broken")
    assert done.returncode == 2
    assert "Error 3" in done.err


def test_second_call_does_no_set_up(tree):
    first = tree.make("test")
    second = tree.make("test", "ARGS=-k gru")
    assert tree.calls == ["venv", "pip", "pytest", "pytest"]
    assert (tree.path / "calls").read_text().endswith("pytest path= -k gru\n")
    assert len(own_lines(first.err)) == 2
    assert second.err == ""


@pytest.mark.parametrize("name", ["Makefile", "setup.cfg", "pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed_into_the_same_environment(tree, name):
    tree.make("test")
    later = tree.stamp.stat().st_mtime + 1
    os.utime(tree.path / name, (later, later))
    os.utime(tree.stamp, (later - 2, later - 2))
    tree.make("test")
    assert tree.calls == ["venv", "pip", "pytest", "pip", "pytest"]


def test_failed_set_up_shows_why_leaves_no_stamp_and_starts_afresh(tree):
    (tree.path / "no-index").touch()
    failed = tree.make("test")
    assert failed.returncode == 2
    assert "ERROR: the index is away" in failed.err
    assert own_lines(failed.err)[-1].startswith("set-up stopped: `-m pip install` failed")
    assert not tree.stamp.exists()
    leftover = tree.path / ".venv" / "half-installed"
    leftover.touch()
    (tree.path / "no-index").unlink()
    assert tree.make("test").returncode == 0
    assert tree.calls == ["venv", "pip", "venv", "pip", "pytest"]
    assert not leftover.exists()


def test_failed_refresh_starts_afresh(tree):
    tree.make("test")
    os.utime(tree.stamp, (0, 0))
    (tree.path / "no-index").touch()
    assert tree.make("test").returncode == 2
    (tree.path / "no-index").unlink()
    tree.make("test")
    assert tree.calls == ["venv", "pip", "pytest", "pip", "venv", "pip", "pytest"]


def test_copied_folder_gets_its_own_environment(tree):
    tree.make("test")
    shutil.copytree(tree.path, tree.path.with_name("copy"))
    tree.path = tree.path.with_name("copy")
    tree.make("test")
    assert tree.stamp.read_text() == f"{tree.path}\n"


def test_environment_made_by_hand_is_never_emptied(tree):
    venv = tree.path / ".venv"
    venv.mkdir()
    (venv / "precious").touch()
    done = tree.make("test")
    assert done.returncode == 2
    assert own_lines(done.err) == [
        "set-up stopped: .venv was made by hand and has no Python 3.11 to 3.13 with pip: move it away"
    ]
    (venv / "bin").mkdir()
    shutil.copy2(tree.python, venv / "bin" / "python")
    (tree.path / "no-index").touch()
    assert tree.make("test").returncode == 2
    (tree.path / "no-index").unlink()
    assert tree.make("test").returncode == 0
    assert tree.calls == ["pip", "pip", "pytest"]
    assert (venv / "precious").exists()


def test_two_calls_at_once_set_up_once(tree):
    (tree.path / "slow").touch()
    both = [tree.start("test"), tree.start("test")]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(tree.calls) == ["pip", "pytest", "pytest", "venv"]
    assert sum("waiting for another make" in text for text in said) == 1


@pytest.mark.parametrize(
    ("prelude", "line"),
    [
        ("import sys; sys.modules['ensurepip'] = None", r"has no venv module; .*apt install python3\.\d+-venv\)"),
        ("import sys; sys.modules['venv'] = None", r"has no venv module; .*apt install python3\.\d+-venv\)"),
        ("import sys; sys.version_info = (3, 10, 4)", r"Python 3\.11, 3\.12 or 3\.13 is needed, PYTHON=.* is 3\..*"),
        ("import sys; sys.version_info = (3, 14, 0)", r"Python 3\.11, 3\.12 or 3\.13 is needed, PYTHON=.* is 3\..*"),
        ("raise SystemExit(127)", r"Python 3\.11, 3\.12 or 3\.13 is needed, PYTHON=.* is no working Python"),
    ],
)
def test_unusable_python_gets_one_line(tree, prelude, line):
    (tree.path / "prelude").write_text(prelude)
    done = tree.make("test")
    assert done.returncode == 2
    (said,) = own_lines(done.err)
    assert re.fullmatch(f"set-up stopped: .*{line}", said)
    assert not (tree.path / ".venv").exists()


def test_candidate_that_exists_but_fails_is_passed_over(tree, tmp_path):
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ["python3", "python3.13"]:
        (shims / name).write_text("#!/bin/sh\necho no such version >&2\nexit 127\n")
        (shims / name).chmod(0o755)
    (shims / "python3.12").symlink_to(tree.python)
    done = tree.make("test", path=shims)
    assert (done.returncode, tree.calls) == (0, ["venv", "pip", "pytest"])
    assert "no such version" not in done.err


def test_environment_variables_that_would_lead_astray_are_dropped(tree):
    tree.make("test", PIP_USER="1", PIP_TARGET="/elsewhere", PYTHONPATH="/elsewhere")
    text = (tree.path / "calls").read_text()
    assert "pip user=0 target= path=\n" in text
    assert "pytest path= \n" in text


def test_every_requirement_is_pinned_within_its_range():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    wanted = [Requirement(line) for block in lines for line in block.splitlines() if line]
    text = (ROOT / "constraints.txt").read_text()
    pins = dict(line.split("==") for line in text.splitlines() if not line.startswith("#"))
    assert wanted
    for requirement in wanted:
        assert requirement.specifier.contains(pins[requirement.name]), requirement
    assert "://" not in text and "--" not in text


def test_experiments_are_found_under_the_package():
    try:
        metadata.distribution("rnn-sandbox")
    except metadata.PackageNotFoundError:
        pytest.skip("rnn-sandbox is not installed: pip install -e .")
    assert [Path(path).resolve() for path in import_module("sandbox.experiments").__path__] == [ROOT / "experiments"]

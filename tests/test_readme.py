"""The README's walk-throughs are run as they are printed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(first_line):
    """The Python code block of the README which starts with this line."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (found,) = [text for text in blocks if text.startswith(first_line)]
    return found


def run(*command, cwd, **environment):
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_cell_of_the_readme_passes_every_common_check(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__", ".*", "results", "build", "dist", "*.egg-info", "docs")
    shutil.copytree(ROOT, tmp_path / "checkout", ignore=ignored)
    (tmp_path / "checkout" / "sandbox" / "cells" / "fastrnn.py").write_text(block('"""FastRNN'))
    # As plain Python, so that nothing has to be compiled for one more hash of the sources.
    python = [sys.executable, "-P", "-m"]
    environment = {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(tmp_path / "checkout")}
    tests = [*python, "pytest", "-m", "plain_python", "-k", "fastrnn", "-p", "no:cacheprovider", "tests/test_cells.py"]
    printed = run(*tests, cwd=tmp_path / "checkout", **environment)
    assert int(re.search(r"(\d+) passed", printed)[1]) >= 5
    flags = ["--quick", "--cell", "fastrnn", "--out", str(tmp_path / "results"), "--format", "csv"]
    printed = run(*python, "sandbox", "run", "vanishing", *flags, cwd=tmp_path / "checkout", **environment)
    assert "fastrnn" in printed


def test_the_experiment_of_the_readme_runs_from_any_folder(tmp_path):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "saturation.py").write_text(block('"""How hard'))
    printed = run(sys.executable, "-m", "sandbox", "list", cwd=tmp_path)
    assert "saturation" in printed
    printed = run(
        sys.executable, "-m", "sandbox", "run", "saturation", "--gain", "1,8", "--format", "csv", cwd=tmp_path
    )
    header, low, high = printed.strip().split("\n")
    share = header.split(",").index("saturated")
    assert float(low.split(",")[share]) < float(high.split(",")[share])
    assert list((tmp_path / "results" / "saturation").glob("*/table.csv"))


def test_the_python_example_of_the_readme_runs():
    scope = {}
    exec(block("import numpy as np"), scope)
    assert scope["rate"] == pytest.approx(0.9, abs=1e-10)


def test_the_training_example_of_the_readme_runs(capsys):
    scope = {}
    exec(block("from sandbox import tasks"), scope)
    printed = capsys.readouterr().out.splitlines()
    said = re.search(r"# (True .*)", block("from sandbox import tasks"))[1].split()
    assert printed[-1].split()[:2] == said[:2]
    assert [f"{float(word):.4f}" for word in printed[-1].split()[2:]] == said[2:]


def test_the_examples_of_the_training_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "training.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        lines = example.rstrip().split("\n")
        scope = {}
        exec("\n".join(lines[:-1]), scope)
        found = eval(lines[-1].partition("  #")[0], scope)
    assert found is True  # resumed with the same bits


def test_every_command_of_the_readme_is_understood():
    training = (ROOT / "docs" / "training.md").read_text()
    commands = re.findall(r"^sandbox (.*?)(?: +#.*)?$", README, re.MULTILINE)
    commands += re.findall(r"^\$ sandbox (.*)$", training, re.MULTILINE) + re.findall(r"`sandbox (run .*?)`", training)
    assert len(commands) >= 5
    for command in commands:
        words = shlex.split(command)
        # What goes on from an earlier run needs one; `compare` and the like have tests of their own.
        if words[0] == "run" and not {"NAME", "--resume", "--only-failed"} & set(words):
            run(sys.executable, "-m", "sandbox", *words, "--dry-run", cwd=ROOT)

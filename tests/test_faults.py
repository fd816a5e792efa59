"""What a study survives: kills at any moment, a full disk, folders that cannot be written, two runs at once."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox import results

ROOT = Path(__file__).parent.parent
WORK = '''
"""Real work without kernels: a hash that takes its time."""
import hashlib
from sandbox.experiment import experiment
@experiment(rounds=[20_000, 30_000], salt=["a", "b", "c", "d", "e", "f"], seeds=5, quick=dict(rounds=[10], seeds=1))
def work(rounds, salt, seed):
    """A hash that takes its time."""
    digest = hashlib.pbkdf2_hmac("sha256", salt.encode(), str(seed).encode(), rounds)
    values = [byte / 255 for byte in digest]
    metrics = {"first": values[0], f"of_{salt}": values[1]}
    return metrics, {"bytes": {"place": list(range(len(values))), "value": values}}
'''
# Every row is said once it is safe.
DRIVER = """
import os, sys
from sandbox import study
out, jobs, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
planned = study.resumption("work", "latest", out) if resume else study.plan(
    "work", {"rounds": os.environ.get("ROUNDS", "20000,30000")}, root=out, force=True
)
def said(row):
    print(*study.key_of(row.point), flush=True)
print("done", study.carry_out(planned, study.Spread(jobs=jobs), watch=said), flush=True)
"""
POINTS = 60


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with one experiment in it."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "work.py").write_text(WORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def drive(out, *resume, jobs=2, **options):
    command = [sys.executable, "-c", DRIVER, str(out), str(jobs), *resume]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def only_run(out):
    (path,) = Path(out).glob("work/*")
    return path


def tables(path):
    return {name: (path / name).read_bytes() for name in ("table.csv", "curves.csv")}


def children(pid):
    """Processes that a process has started."""
    with contextlib.suppress(OSError):
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def undisturbed(here):
    process = drive(here / "whole", jobs=1)
    process.communicate()
    path = only_run(here / "whole")
    run = results.load(path)
    return path, dict(zip(run.keys, run.rows, strict=True))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the workers of a process are found in /proc")
def test_kills_at_fifty_random_moments(here, monkeypatch):
    """Parent and workers die by SIGKILL; after resuming every point is there once, and no torn row was ever data."""
    monkeypatch.setenv("ROUNDS", "80000,120000")
    whole, rows = undisturbed(here)
    rng, moments, sweeps, torn, parents = random.Random(4), 0, 0, 0, 0
    while moments < 50:
        out, resume, sweeps = here / f"out{sweeps}", (), sweeps + 1
        said = set()
        while True:
            process = drive(out, *resume)
            if moments < 50:
                moments += 1
                time.sleep(rng.uniform(0.2, 1.2))
                victims = children(process.pid)
                rng.shuffle(victims)
                kind = rng.choice(["parent", "worker", "all"])
                for pid in {"parent": [process.pid], "worker": victims[:1], "all": [*victims, process.pid]}[kind]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        parents += pid == process.pid
            lines = process.communicate(timeout=120)[0].splitlines()
            said |= {line for line in lines if not line.startswith("done")}
            if not list(out.glob("work/*/run.json")):
                continue  # killed before there was a run
            path = only_run(out)
            run = results.load(path)
            torn += bool(run.notes)
            assert all(rows[key] == {name: row.get(name) for name in rows[key]} for key, row in zip(run.keys, run.rows))
            assert said <= {" ".join(map(str, key)) for key in run.keys}  # what was said to be safe is there
            resume = ("resume",)
            if any(line.startswith("done") for line in lines):
                break
        assert len(run) == len(set(run.keys)) == POINTS
        assert tables(path) == tables(whole)
        assert not (path / "journal").exists()
    print(f"{moments} moments, {parents} parents killed, {sweeps} sweeps, {torn} torn lines seen")
    assert parents >= 15


def test_workers_die_with_their_parent(here):
    if not Path("/proc/self/task").exists():
        pytest.skip("the workers of a process are found in /proc")
    process = drive(here / "out")
    process.stdout.readline()
    workers = children(process.pid)
    assert len(workers) == 2
    process.kill()
    process.communicate()
    for _ in range(100):
        left = [pid for pid in workers if running(pid)]
        if not left:
            break
        time.sleep(0.05)
    assert left == []


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def limited(size):
    """Files of this process may have so many bytes: what a full disk or a quota does to a write."""

    def limit():
        import resource  # Windows has none

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.skipif(os.name == "nt", reason="needs limits of a process")
def test_a_quota_that_is_used_up(here):
    """One line, and what was reported as written is there."""
    whole, rows = undisturbed(here)
    process = drive(here / "out", preexec_fn=limited(60_000))
    lines, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "File too large" in err and "points are safe in its journal" in err
    path = only_run(here / "out")
    run = results.load(path)
    said = lines.splitlines()
    assert 3 <= len(said) < POINTS and {" ".join(map(str, key)) for key in run.keys} == set(said)
    process = drive(here / "out", "resume")
    process.communicate(timeout=120)
    assert process.returncode == 0 and tables(path) == tables(whole)


@pytest.fixture
def small_disk(here):
    """A file system of 60 kB."""
    folder = here / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(here, small_disk):
    whole, _ = undisturbed(here)
    process = drive(small_disk)
    lines, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "No space left on device" in err and "points are safe in its journal" in err
    said = set(lines.splitlines())
    path = only_run(small_disk)
    assert said == {" ".join(map(str, key)) for key in results.load(path).keys} and 3 <= len(said) < POINTS
    assert json.loads((path / "run.json").read_text())["status"] == "running"  # there was no room to say otherwise
    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    process = drive(small_disk, "resume")
    process.communicate(timeout=120)
    assert process.returncode == 0 and tables(path) == tables(whole)


def command(*words):
    done = subprocess.run([sys.executable, "-m", "sandbox", *words], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs permissions of folders")
def test_a_folder_that_cannot_be_written(here):
    (here / "file").write_text("")
    if os.geteuid() == 0:  # root may write everywhere but here
        out = "/proc/results"
    else:
        (here / "locked").mkdir(mode=0o555)
        out = "locked/results"
    for folder in (out, "file/results"):
        code, stdout, err = command("run", "work", "--quick", "--out", folder)
        assert (code, stdout) == (2, "") and err.count("\n") == 1
        assert err.startswith(f"error: --out must be a folder that can be written, got {folder}")


def test_two_runs_at_once_into_one_folder(here):
    whole, _ = undisturbed(here)
    processes = [drive(here / "out", jobs=1) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=120)
    paths = list((here / "out").glob("work/*"))
    assert len(paths) == 2 and all(tables(path) == tables(whole) for path in paths)


@pytest.mark.skipif(os.name == "nt", reason="needs locks")
def test_resuming_a_run_that_goes_on_is_refused(here):
    process = drive(here / "out", jobs=1)
    process.stdout.readline()
    code, _, err = command("run", "work", "--resume", "latest", "--out", "out")
    process.kill()
    process.communicate()
    assert code == 2 and err.endswith("is being written by another process\n") and err.count("\n") == 1

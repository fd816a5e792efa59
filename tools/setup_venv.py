"""Make or refresh the virtual environment: setup_venv.py PYTHON STAMP EXTRAS FILE...

STAMP lies in the environment and is written last, with this folder's path in it, so that neither an interrupted set-up
nor a copied folder passes for a finished one. A file lock keeps two calls of make apart; the kernel drops it when its
holders are gone, pip included.
"""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from shutil import rmtree

ROOT = os.getcwd()
# pip's index, proxy and certificate settings count; those that install elsewhere, or something else, do not.
STRAY = "TARGET PREFIX ROOT PYTHON DRY_RUN NO_DEPS EDITABLE REQUIREMENT REQUIRE_HASHES NO_BUILD_ISOLATION"
FIXED = {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", "PIP_NO_INPUT": "1"}


def belongs_here(stamp):
    return stamp.exists() and stamp.read_text().rstrip("\n") == ROOT


def works(venv):
    """Whether `venv` holds a Python of a supported version that has pip."""
    check = "import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))"
    try:
        return subprocess.run([venv / "bin/python", "-c", check], capture_output=True).returncode == 0
    except OSError:
        return False


def take_lock(path):
    lock = open(path, "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another make that is setting up the same environment", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        pass  # a file system without locks
    return lock


def run(command, log, lock):
    """Run `command` quietly; where it fails, show what it printed and stop with one line."""
    env = {k: v for k, v in os.environ.items() if k not in {f"PIP_{name}" for name in STRAY.split()}} | FIXED
    with open(log, "w+", errors="replace") as output:
        code = subprocess.run(command, stdout=output, stderr=output, env=env, pass_fds=[lock.fileno()]).returncode
        if code:
            output.seek(0)
            sys.stderr.write(output.read())
            step = " ".join(map(str, command[1:4]))
            sys.exit(f"set-up stopped: `{step}` failed, see above; run make again once that is mended")


def main(python, stamp, extras, *inputs):
    stamp = Path(stamp)
    venv = stamp.parent
    ours = venv / ".made-by-make"
    log = venv / "setup.log"
    lock = take_lock(f"{venv}.lock")
    if belongs_here(stamp) and all(stamp.stat().st_mtime >= os.stat(path).st_mtime for path in inputs):
        return  # by the make we waited for

    start = time.monotonic()
    if ours.exists() and not (belongs_here(stamp) and works(venv)):
        if Path(sys.prefix) == venv.resolve():  # started by the Python of the environment that is about to go
            python = sys._base_executable
        for child in venv.iterdir():
            if child.is_dir() and not child.is_symlink():
                rmtree(child)
            elif child != ours:
                child.unlink()
    stamp.unlink(missing_ok=True)

    if ours.exists() or not venv.exists():
        venv.mkdir(exist_ok=True)
        ours.touch()
    elif not works(venv):
        sys.exit(f"set-up stopped: {venv} was made by hand and has no Python 3.11 to 3.13 with pip: move it away")
    if not (venv / "bin").exists():
        version = ".".join(map(str, sys.version_info[:3]))
        print(f"setting up {venv} with Python {version}, this once; it takes a minute or less", file=sys.stderr)
        run([python, "-m", "venv", venv], log, lock)
    else:
        print(f"bringing {venv} up to date", file=sys.stderr)
    install = [venv / "bin/python", "-m", "pip", "install", "-q", "-c", "constraints.txt", "-e", f".[{extras}]"]
    run(install, log, lock)

    fresh = stamp.with_name("stamp.new")
    fresh.write_text(f"{ROOT}\n")
    fresh.replace(stamp)
    print(f"ready after {time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("set-up interrupted; the next make starts it again")
    except OSError as error:
        sys.exit(f"set-up stopped: {error}")

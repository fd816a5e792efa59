"""Where a result came from: versions, machine, commits and the variables that steer the libraries underneath."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

DISTRIBUTIONS = ("numpy", "numba", "llvmlite", "rnn-sandbox")
ENVIRONMENT = ("NUMBA_", "NPY_", "OPENBLAS_", "OMP_", "SANDBOX_")


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the distributions results depend on; None for one that is missing."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    if found["rnn-sandbox"] is None:  # a checkout that is not installed
        from sandbox import __version__

        found["rnn-sandbox"] = __version__
    return found


def cpu_name() -> str:
    """Return the processor's marketing name, or the machine type where the system does not tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def environment() -> dict[str, str]:
    """Return the environment variables that steer kernels, BLAS and threads."""
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(ENVIRONMENT)}


def git_state(folder: Path, tracked: str | None = None) -> dict[str, object] | None:
    """Return ``{"commit", "dirty"}`` of the repository around `folder`, or None when there is none.

    With `tracked`, the name of a file in `folder`, only a repository which tracks that file counts: a package
    installed inside somebody's repository is not that repository's source.
    """
    if tracked is not None and _git(folder, "ls-files", "--error-unmatch", "--", tracked) is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None else {"commit": commit, "dirty": bool(status)}


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git here
    return done.stdout.strip() if done.returncode == 0 else None


def collect() -> dict[str, object]:
    """Return everything of this module as one JSON-ready dict."""
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "git": {
            "source": git_state(Path(__file__).parent, tracked=Path(__file__).name),
            "working_directory": git_state(Path.cwd()),
        },
        "environment": environment(),
    }

"""Where a result came from: versions, machine, commits and the variables that steer the libraries underneath."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from pathlib import Path

DISTRIBUTIONS = ("numpy", "numba", "llvmlite", "rnn-sandbox")
CPUINFO = Path("/proc/cpuinfo")
DIFF = ("diff", "--full-index", "--no-ext-diff", "--no-color", "HEAD")  # binary files by their hashes
# Widest first: what the processor calls them, what is said.
SIMD = {"avx512f": "avx512f", "avx2": "avx2", "avx": "avx", "sse4_2": "sse4.2", "sse2": "sse2",
        "sve": "sve", "asimd": "neon", "neon": "neon"}  # fmt: skip
# One thread in every process that runs points: the bits of a BLAS depend on their number (numpy#25100).
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")
ENVIRONMENT = ("NUMBA_", "NPY_", "OPENBLAS_", "OMP_", "SANDBOX_")


def python_path() -> str:
    """Return the ``PYTHONPATH`` with which another process finds this package, and what is in ours."""
    return os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]))


def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the distributions results depend on; None for one that is missing."""
    import importlib.metadata  # not for those who only list runs

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
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def simd() -> str | None:
    """Return the processor's widest vector instructions that kernels may use, such as ``avx2``; None if unknown."""
    flags = (_cpuinfo("flags") or _cpuinfo("Features") or "").split()
    known = next((name for flag, name in SIMD.items() if flag in flags), None)
    return known or ("neon" if platform.machine().lower() in ("arm64", "aarch64") else None)


def cores() -> int:
    """Return the number of cores that this process may use, by its affinity."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo(name: str) -> str:
    """Return one entry of the first processor that Linux tells about; empty elsewhere."""
    try:
        with CPUINFO.open(encoding="utf-8", errors="replace") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
    except OSError:
        return ""


def environment() -> dict[str, str]:
    """Return the environment variables that steer kernels, BLAS and threads."""
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(ENVIRONMENT)}


def git_state(folder: Path, tracked: str | None = None) -> dict[str, object] | None:
    """Return ``{"commit", "dirty", "diff"}`` of the repository around `folder`, or None when there is none.

    `diff` is the beginning of the SHA-256 of what ``git diff --full-index HEAD`` prints, None in a clean tree: it says
    whether two runs had the same changes. With `tracked`, the name of a file in `folder`, only a repository which
    tracks that file counts: a package installed inside somebody's repository is not that repository's source.
    """
    if tracked is not None and _git(folder, "ls-files", "--error-unmatch", "--", tracked) is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    diff = _git(folder, *DIFF) if dirty else None
    digest = hashlib.sha256(diff).hexdigest()[:12] if diff else None
    return {"commit": commit.decode().strip(), "dirty": dirty, "diff": digest}


def _git(folder: Path, *arguments: str) -> bytes | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git here
    return done.stdout if done.returncode == 0 else None


def collect() -> dict[str, object]:
    """Return everything of this module as one JSON-ready dict."""
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "simd": simd(),
        "cores": cores(),
        "git": {
            "source": git_state(Path(__file__).parent, tracked=Path(__file__).name),
            "working_directory": git_state(Path.cwd()),
        },
        "environment": environment(),
    }

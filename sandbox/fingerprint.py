"""Which code makes the numbers: two short hashes that say whether two places would give the same row.

One is of the package and of the compiler's versions, the other of an experiment's file. The CPU is in neither: bits do
not depend on it, as long as it has fused multiply-add.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
from pathlib import Path

# What shows results, or decides where and when points run, but no number: an edit there makes no row stale.
# `experiments` come with the job, and lie in the package only where it is installed.
PRESENTS = {
    "__main__", "bench", "cli", "cluster", "comparison", "estimate", "experiments", "fingerprint", "provenance",
    "report", "results", "warm", "worker", "workers",
}  # fmt: skip
COMPILERS = ("numba", "llvmlite", "numpy")


@functools.cache
def code_hash() -> str:
    """Return 16 hexadecimal digits over all that decides numbers.

    That is every source of the package but those of `PRESENTS`, the versions of Numba, llvmlite and NumPy, and whether
    kernels are compiled: plain Python rounds a fused multiply-add twice.
    """
    package = Path(__file__).parent
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    digest = hashlib.sha256()
    for name in sorted(files):
        if decides_numbers(name):
            digest.update(name.encode() + b"\0" + _text(files[name].read_bytes()) + b"\0")
    facts = [*(f"{name} {_version(name)}" for name in COMPILERS), "compiled" if _compiled() else "plain Python"]
    digest.update("\0".join(facts).encode())
    return digest.hexdigest()[:16]


def experiment_hash(source: bytes) -> str:
    """Return 16 hexadecimal digits over the text of an experiment's file."""
    return hashlib.sha256(_text(source)).hexdigest()[:16]


def decides_numbers(name: str) -> bool:
    """Return whether the source `name`, as ``layers/stack.py``, has a part in the numbers of a row."""
    unit = name.split("/")[0].removesuffix(".py")
    return unit not in PRESENTS and not unit.startswith(("bench_", "results_"))


def _text(source: bytes) -> bytes:
    """Return the text with one kind of line end: a checkout on Windows may have the other."""
    return source.replace(b"\r\n", b"\n")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _compiled() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")

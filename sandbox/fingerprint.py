"""What decides the numbers of a study, as hashes: two equal ones mean the same bits.

Counted are the sources of everything on the way to a number and the versions of the compiler and of NumPy; not the
processor, whose vectors do not matter to the bits (docs/how-it-works.md), and not what only carries numbers about,
compares or shows them. Whether kernels are compiled counts: as plain Python they promise no bits.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
from pathlib import Path

__all__ = ["code_hash", "experiment_hash"]

# Modules and folders that no number passes through on its way from a point to its row.
AROUND = {
    "__main__", "bench", "cli", "cluster", "comparison", "estimate", "fingerprint", "library", "provenance", "report",
    "results", "selection", "sql", "study", "where", "worker", "workers", "warm",
}  # fmt: skip
DISTRIBUTIONS = ("numba", "llvmlite", "numpy")


@functools.cache
def code_hash() -> str:
    """Return 16 hexadecimal digits for this package and what it computes with."""
    package, found = Path(__file__).parent, hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[0] not in AROUND:
            found.update("/".join(parts).encode() + b"\0" + path.read_bytes() + b"\0")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in DISTRIBUTIONS]
    compiled = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
    found.update("\0".join([*versions, f"compiled {compiled}"]).encode())
    return found.hexdigest()[:16]


def experiment_hash(source: bytes) -> str:
    """Return 16 hexadecimal digits for the text of an experiment's file."""
    return hashlib.sha256(source).hexdigest()[:16]

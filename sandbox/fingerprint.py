"""Which code makes the numbers: two short hashes that say whether two places would give the same row.

One is of the package and of the compiler's versions, the other of an experiment's file and of what that imports. The
CPU is in neither: bits do not depend on it, as long as it has fused multiply-add.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

# What shows results, or decides where and when points run, but no number: an edit there makes no row stale.
# `experiments` come with the job, and lie in the package only where it is installed.
PRESENTS = {
    "__main__", "bench", "cli", "cluster", "comparison", "estimate", "experiments", "fingerprint", "library",
    "provenance", "report", "results", "selection", "sql", "study", "warm", "where", "worker", "workers",
}  # fmt: skip
COMPILERS = ("numba", "llvmlite", "numpy")
SHIPPED = "sandbox.experiments"
INSTALLED = {"site-packages", "dist-packages"}


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
    """Return 16 hexadecimal digits over the text of an experiment's file and of what it imports of its author's.

    Installed packages are their authors', and the standard library: an edit there is not seen.
    """
    digest = hashlib.sha256(_text(source))
    for name, text in sorted(_imported(source).items()):
        digest.update(b"\0" + name.encode() + b"\0" + text)
    return digest.hexdigest()[:16]


def _imported(source: bytes) -> dict[str, bytes]:
    """Return ``{file: text}`` of modules that a text imports, and those import, wherever the import stands.

    Of a package it is every file: which of them are imported only running them would tell.
    """
    found: dict[str, bytes] = {}
    open_texts, seen = [source], set(sys.stdlib_module_names) | {"sandbox", "__main__"}
    while open_texts:
        for name in sorted(_names(open_texts.pop()) - seen):
            seen.add(name)
            for label, path in _files(name).items():
                found[label] = _text(path.read_bytes())
                open_texts.append(found[label])
    return found


def _names(text: bytes) -> set[str]:
    """Return the packages and modules that a text imports; of this package only `sandbox.experiments`."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return set()
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {SHIPPED if f"{name}.".startswith(f"{SHIPPED}.") else name.partition(".")[0] for name in names}


def _files(name: str) -> dict[str, Path]:
    """Return the Python files of a module or package of the user's own, by their names inside it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return {}
    own = Path(spec.origin) if spec is not None and spec.has_location else None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec is not None else []
    if any(INSTALLED & set(path.parts) for path in [*folders, own] if path is not None and name != SHIPPED):
        return {}
    found = {path: folder for folder in folders for path in folder.rglob("*.py")}
    if not folders and own is not None and own.suffix == ".py":
        found = {own: own.parent}
    return {f"{name}/{path.relative_to(folder).as_posix()}": path for path, folder in found.items()}


def decides_numbers(name: str) -> bool:
    """Return whether the source `name`, as ``layers/stack.py``, has a part in the numbers of a row."""
    unit = name.split("/")[0].removesuffix(".py")
    return unit not in PRESENTS


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

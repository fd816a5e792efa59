"""The hash of the code that decides numbers: what is in it, and what is not."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import fingerprint


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of four files in place of the real one; returns a function which hashes it anew."""
    texts = {"cells/gru.py": "a = 1\n", "streams.py": "b = 2\n", "cli/run.py": "c = 3\n", "results.py": "d = 4\n"}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(fingerprint, "__file__", str(tmp_path / "fingerprint.py"))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    return fingerprint.code_hash.__wrapped__


def test_sixteen_hexadecimal_digits_and_always_the_same():
    assert len(fingerprint.code_hash()) == 16 and int(fingerprint.code_hash(), 16)
    assert fingerprint.code_hash.__wrapped__() == fingerprint.code_hash()


@pytest.mark.parametrize(
    ("name", "matters"),
    [("cells/gru.py", True), ("streams.py", True), ("cli/run.py", False), ("results.py", False), ("new.py", True)],
)
def test_an_edit_matters_where_numbers_are_made(package, tmp_path, name, matters):
    before = package()
    (tmp_path / name).write_text("e = 5\n")
    assert (package() != before) == matters


def test_a_file_under_another_name_is_another_code(package, tmp_path):
    before = package()
    (tmp_path / "streams.py").rename(tmp_path / "brooks.py")
    assert package() != before


def test_line_ends_do_not_matter(package, tmp_path):
    before = package()
    (tmp_path / "streams.py").write_bytes(b"b = 2\r\n")
    assert package() == before
    assert fingerprint.experiment_hash(b"a\r\nb\r\n") == fingerprint.experiment_hash(b"a\nb\n")


def test_compilers_and_whether_they_are_used(package, monkeypatch):
    compiled = package()
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert package() != compiled
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    assert package() == compiled
    monkeypatch.setattr(fingerprint, "_version", lambda name: "0.1" if name == "llvmlite" else "missing")
    other = package()
    monkeypatch.setattr(fingerprint, "_version", lambda name: "0.2" if name == "llvmlite" else "missing")
    assert compiled != other != package()


def test_what_presents_exists_and_the_rest_decides():
    assert fingerprint.decides_numbers("kernels/gemm.py") and fingerprint.decides_numbers("sweep.py")
    assert fingerprint.decides_numbers("reporting.py") and fingerprint.decides_numbers("cells/results.py")
    for name in (
        "report/build.py",
        "cluster/flight.py",
        "results/reader.py",
        "bench/sweep.py",
        "study.py",
        "__main__.py",
    ):
        assert not fingerprint.decides_numbers(name)
    package = Path(fingerprint.__file__).parent
    units = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert fingerprint.PRESENTS - {"experiments"} <= units


def test_it_imports_no_compiler():
    code = "import sys; from sandbox.fingerprint import code_hash; code_hash(); print('numba' in sys.modules)"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=60)
    assert done.stdout == "False\n"


def test_an_experiments_text():
    one, other = fingerprint.experiment_hash(b"a = 1\n"), fingerprint.experiment_hash(b"a = 2\n")
    assert len(one) == 16 and one != other and one == fingerprint.experiment_hash(b"a = 1\n")

"""The compiler front: what a second process loads, when machine code is stale, and what a broken cache costs.

Most tests start processes on a copy of the package with one more kernel file, so that a source can be edited.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import sandbox
from sandbox.jit import COMPILED, by_type, float_bits, fma, from_float_bits, inline, kernel, registers

X86 = platform.machine().lower() in ("x86_64", "amd64")

TINY = """
import numpy as np

from sandbox.jit import addressed, intrinsic, kernel, lean, types
from sandbox.kernels.activations import tanh

STEP = types.void(types.int64, types.Array(types.float64, 1, "C"))


def double(n, x):
    x[n] += x[n]


def triple(n, x):
    x[n] *= 3.0


def allocating(n, x):
    x[n] = np.ones(3)[n]


@kernel
def curve(x):
    y = np.empty_like(x)
    for i in range(x.size):
        y[i] = tanh(x[i])
    return y


@intrinsic
def call(typingctx, step, n, x):
    return addressed(step, n, x)


@lean
def repeat(step, x, times):
    for _ in range(times):
        call(step, 0, x)


@lean
def copying(x):
    return x.copy()[0]
"""

CURVE = """
import json
import numpy as np
from sandbox import jit
from sandbox.kernels.tiny import curve
y = curve(np.linspace(-3.0, 3.0, 13))
print(json.dumps({"y": y.tolist(), **jit.stats()}))
"""

EXPECTED = np.tanh(np.linspace(-3.0, 3.0, 13))


def start(root, code, cwd=None, **environment):
    """A fresh interpreter that imports the package in `root`; a variable given as None is removed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "SANDBOX_"))}
    merged = {**kept, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    merged = {name: str(value) for name, value in merged.items() if value is not None}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=merged,
                            cwd=cwd or root)  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err[-2000:]
    return SimpleNamespace(err=err, **json.loads(out.splitlines()[-1]))


def run(root, code=CURVE, **environment):
    return finish(start(root, code, **environment))


def assert_right(result):
    np.testing.assert_allclose(result.y, EXPECTED, rtol=1e-15, atol=0)
    assert result.err == ""


def copy_package(root):
    shutil.copytree(Path(sandbox.__file__).parent, root / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "sandbox" / "kernels" / "tiny.py").write_text(TINY)
    return root


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package that no test edits."""
    return copy_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def first(package, tmp_path_factory):
    """The first process on an empty cache, and that cache."""
    cache = tmp_path_factory.mktemp("cache")
    result = run(package, SANDBOX_CACHE_DIR=cache)
    result.cache = cache
    return result


@pytest.fixture
def warm(first, tmp_path):
    """A copy of a cache that holds `curve`."""
    return Path(shutil.copytree(first.cache, tmp_path / "warm"))


# Across processes ------------------------------------------------------------------------------------------------


def test_a_second_process_compiles_nothing(package, first):
    assert_right(first)
    assert first.compiled == 1 and first.loaded == 0 and first.seconds > 0
    second = run(package, SANDBOX_CACHE_DIR=first.cache)
    assert_right(second)
    assert (second.compiled, second.loaded, second.seconds) == (0, 1, 0.0)
    assert second.y == first.y and second.hash == first.hash


def test_one_loop_serves_every_first_class_step_and_both_are_cached(package, tmp_path):
    code = """
import json
import numpy as np
from sandbox import jit
from sandbox.kernels.tiny import STEP, double, repeat, triple
steps = [jit.first_class(step, STEP) for step in (double, triple)]
assert jit.first_class(double, STEP) is steps[0]
values = []
for step in steps:
    x = np.ones(1)
    repeat(step, x, 5)
    values.append(x[0])
print(json.dumps({"values": values, "loops": len(repeat.signatures), **jit.stats()}))
"""
    first, second = (run(package, code, SANDBOX_CACHE_DIR=tmp_path) for _ in range(2))
    assert first.values == second.values == [32.0, 243.0]
    assert (first.compiled, first.loaded, first.loops) == (3, 0, 1)
    assert (second.compiled, second.loaded, second.loops) == (0, 3, 1)


def test_what_allocates_or_is_laid_out_otherwise_is_refused_when_it_is_compiled(package, tmp_path):
    code = """
import json
import numpy as np
from sandbox import jit
from sandbox.kernels.tiny import STEP, allocating, copying, double, repeat
said = []
for wrong in (lambda: jit.first_class(allocating, STEP), lambda: copying(np.ones(3)),
              lambda: repeat(jit.first_class(double, STEP), np.ones((4, 2))[:, 0], 1)):
    try:
        wrong()
        said.append("nothing")
    except Exception as error:
        said.append(f"{type(error).__name__}: {error}")
print(json.dumps({"said": said}))
"""
    allocating, copying, strided = run(package, code, SANDBOX_CACHE_DIR=tmp_path).said
    assert "TypingError" in allocating and "NRT" in copying and "TypingError" in strided


def test_an_edit_in_another_file_changes_the_next_process(tmp_path):
    root, cache = copy_package(tmp_path), tmp_path / "cache"
    before = run(root, SANDBOX_CACHE_DIR=cache)
    source = root / "sandbox" / "kernels" / "activations.py"
    text = source.read_text()
    body = text.index("def _tanh_double")
    constant = re.compile(r"fma\(.*?(\d+\.\d{8,})").search(text, body)
    source.write_text(f"{text[: constant.start(1)]}{float(constant[1]) * 1.001!r}{text[constant.end(1) :]}")
    after = run(root, SANDBOX_CACHE_DIR=cache)
    assert after.hash != before.hash and after.compiled == 1
    assert after.y != before.y
    np.testing.assert_allclose(after.y, before.y, rtol=1e-2)
    source.write_text(text)
    again = run(root, SANDBOX_CACHE_DIR=cache)
    assert again.y == before.y and (again.compiled, again.hash) == (0, before.hash)


STEP = """
import json
import numpy as np
from sandbox import Layer, jit
layer = Layer("rnn", 1, 1, rng=None, init="zeros", input_init="zeros")
layer.parameters["b"][:] = 1.0
other = Layer("lstm", 1, 1, rng=None, init="zeros", input_init="zeros")
y = [float(each.forward(np.zeros((1, 1, 1))).y[0, 0, 0]) for each in (layer, other)]
print(json.dumps({"y": y, **jit.stats()}))
"""


def test_an_edit_of_a_cell_recompiles_this_cell(tmp_path):
    root, cache = copy_package(tmp_path), tmp_path / "cache"
    before = run(root, STEP, SANDBOX_CACHE_DIR=cache)
    source = root / "sandbox" / "cells" / "rnn.py"
    text = source.read_text()
    source.write_text(text.replace("a[j] = tanh(a[j])", "a[j] = tanh(a[j]) + a[j]"))
    after = run(root, STEP, SANDBOX_CACHE_DIR=cache)
    assert after.y == [before.y[0] + 1, before.y[1]] and after.hash != before.hash
    assert (
        after.compiled == 2 and after.loaded == 6
    )  # both steps of a cell; the loop and what packs the weights; the other cell's


def test_an_edit_of_a_users_own_kernel_changes_the_next_process(package, tmp_path):
    code = "import json, mine; from sandbox import jit; print(json.dumps({'y': mine.scaled(2.0), **jit.stats()}))"
    text = "from sandbox.jit import kernel\n@kernel\ndef scaled(x):\n    return 3.0 * x\n"
    (tmp_path / "mine.py").write_text(text)
    paths = os.pathsep.join([str(package), str(tmp_path)])
    environment = {"SANDBOX_CACHE_DIR": tmp_path / "cache", "PYTHONPATH": paths}
    first, second = run(package, code, **environment), run(package, code, **environment)
    (tmp_path / "mine.py").write_text(text.replace("3.0", "5.0"))
    third = run(package, code, **environment)
    assert [(r.y, r.compiled) for r in (first, second, third)] == [(6.0, 1), (6.0, 0), (10.0, 1)]


def test_processes_that_start_together_on_an_empty_cache_are_both_right(package, tmp_path):
    together = [start(package, CURVE, SANDBOX_CACHE_DIR=tmp_path) for _ in range(2)]
    for result in [finish(process) for process in together]:
        assert_right(result)
    later = run(package, SANDBOX_CACHE_DIR=tmp_path)
    assert_right(later)
    assert later.compiled == 0


BOTH_TYPES = """
import json
import numpy as np
from sandbox import jit
from sandbox.kernels.tiny import curve
x = np.linspace(-3.0, 3.0, 13)
y, single = curve(x), curve(x.astype(np.float32))
assert single.dtype == np.float32 and abs(single - y).max() < 1e-6, single
print(json.dumps({"y": y.tolist(), **jit.stats()}))
"""


def test_machine_code_of_another_type_is_never_run(package, tmp_path):
    """Processes that save float32 and float64 at once may both write the first data file: the later one stays."""
    first = run(package, BOTH_TYPES, SANDBOX_CACHE_DIR=tmp_path)
    one, two = sorted((tmp_path / first.folder).glob("*.nbc"))
    one_bytes = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(one_bytes)
    assert_right(run(package, BOTH_TYPES, SANDBOX_CACHE_DIR=tmp_path))


# The CPU and the options -----------------------------------------------------------------------------------------

PLACE = """
import json
from sandbox import jit
print(json.dumps({"name": jit.cache_directory().name, "registers": jit.registers(), "cpu": jit.stats()["cpu"]}))
"""


@pytest.mark.skipif(not X86, reason="names of x86 processors")
def test_each_cpu_and_option_has_its_own_cache_and_the_cpu_its_own_registers(package, tmp_path):
    variants = [{}, {"NUMBA_CPU_NAME": "host"}, {"NUMBA_BOUNDSCHECK": "1"}, {"NUMBA_CPU_NAME": "haswell"},
                {"NUMBA_CPU_NAME": "skylake-avx512"}, {"NUMBA_CPU_NAME": "generic"}]  # fmt: skip
    running = [start(package, PLACE, SANDBOX_CACHE_DIR=tmp_path, **variant) for variant in variants]
    plain, host, checked, haswell, skylake, generic = map(finish, running)
    assert plain.registers == host.registers == checked.registers and plain.cpu == host.cpu
    assert len({r.name for r in (plain, checked, haswell, skylake, generic)}) == 5
    assert haswell.registers == [32, 16] and haswell.cpu == "haswell"
    assert skylake.registers == [64, 32] or skylake.registers == [32, 16]  # LLVM prefers 256 bits on some
    assert generic.registers == [16, 16]


@pytest.mark.skipif(not X86, reason="names of x86 processors")
def test_kernels_of_a_named_cpu_use_no_instruction_it_lacks(package, tmp_path):
    code = CURVE.replace("print(", "assembly = ''.join(curve.inspect_asm().values())\nprint(").replace(
        "**jit", '"zmm": assembly.count("zmm"), "ymm": assembly.count("ymm"), **jit'
    )
    variants = [{"NUMBA_CPU_NAME": "haswell"}, {"NUMBA_CPU_NAME": "generic"}]
    haswell, generic = map(finish, [start(package, code, SANDBOX_CACHE_DIR=tmp_path, **env) for env in variants])
    assert haswell.zmm == 0 and haswell.ymm > 0
    assert generic.zmm == generic.ymm == 0
    assert haswell.y == generic.y


# A cache that is broken, missing or full -------------------------------------------------------------------------

DAMAGE = {
    "empty index": ("*.nbi", lambda data: b""),
    "garbage index": ("*.nbi", lambda data: b"\x00garbage" * 9),
    "truncated index": ("*.nbi", lambda data: data[: len(data) * 2 // 3]),
    "index of a length beyond all memory": ("*.nbi", lambda data: b"\x8d" + b"\xff" * 8 + data),
    "empty kernel": ("*.nbc", lambda data: b""),
    "truncated kernel": ("*.nbc", lambda data: data[: len(data) // 2]),
    "kernel of zeros": ("*.nbc", lambda data: bytes(len(data))),
    "kernel with a hole": ("*.nbc", lambda data: data[:4096] + bytes(len(data) - 4096)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_cache_is_rebuilt(damage, package, first, warm):
    pattern, spoil = DAMAGE[damage]
    (path,) = (warm / first.folder).glob(pattern)
    path.write_bytes(spoil(path.read_bytes()))
    rebuilt = run(package, SANDBOX_CACHE_DIR=warm)
    assert_right(rebuilt)
    assert (rebuilt.compiled, rebuilt.loaded) == (1, 0)
    assert run(package, SANDBOX_CACHE_DIR=warm).compiled == 0


def test_a_kernel_file_that_vanished_is_rebuilt(package, first, warm):
    (path,) = (warm / first.folder).glob("*.nbc")
    path.unlink()
    rebuilt = run(package, SANDBOX_CACHE_DIR=warm)
    assert_right(rebuilt)
    assert rebuilt.compiled == 1


def test_without_a_writable_cache_one_notice_and_right_numbers(package, tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    code = (
        CURVE
        + "jit.record(jit.stats()); curve(np.zeros(3, np.float32)); assert 'none' in jit.describe()['kernel cache']\n"
    )
    result = run(package, code + "print(json.dumps({'y': y.tolist(), **jit.stats()}))",
                 SANDBOX_CACHE_DIR=file / "below")  # fmt: skip
    np.testing.assert_allclose(result.y, EXPECTED, rtol=1e-15, atol=0)
    assert (result.compiled, result.loaded) == (2, 0)
    (line,) = result.err.splitlines()
    assert line.startswith("notice: ") and "SANDBOX_CACHE_DIR" in line
    assert file.read_text() == "not a folder"


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are POSIX")
def test_a_disk_that_fills_up_costs_the_cache_and_not_the_result(package, tmp_path):
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    result = run(package, full + CURVE.replace("print(", "jit.record(jit.stats()); print("), SANDBOX_CACHE_DIR=tmp_path)
    np.testing.assert_allclose(result.y, EXPECTED, rtol=1e-15, atol=0)
    assert len(result.err.splitlines()) <= 1 and "Traceback" not in result.err
    later = run(package, SANDBOX_CACHE_DIR=tmp_path)
    assert_right(later)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the XDG folder")
def test_the_cache_follows_xdg_and_home_and_is_never_a_folder_named_tilde(package, tmp_path):
    directory = "from sandbox import jit; import json; print(json.dumps({'directory': str(jit.cache_directory())}))"
    homeless = "import pwd\ndef nobody(uid): raise KeyError(uid)\npwd.getpwuid = nobody\n"
    work = tmp_path / "work"
    work.mkdir()
    nowhere = {"HOME": None, "XDG_CACHE_HOME": None, "cwd": work}
    running = [start(package, directory, XDG_CACHE_HOME=tmp_path / "xdg"),
               start(package, directory, XDG_CACHE_HOME=None, HOME=tmp_path / "home"),
               start(package, homeless + CURVE, **nowhere)]  # fmt: skip
    xdg, home, lost = map(finish, running)
    assert Path(xdg.directory).parent == tmp_path / "xdg" / "rnn-sandbox"
    assert Path(home.directory).parent == tmp_path / "home" / ".cache" / "rnn-sandbox"
    np.testing.assert_allclose(lost.y, EXPECTED, rtol=1e-15, atol=0)
    assert list(work.iterdir()) == []


def test_old_caches_are_pruned_to_the_newest_and_nothing_else_is(package, first, warm):
    old = [warm / f"{n:016x}" for n in range(12)]
    for n, directory in enumerate(old):
        directory.mkdir()
        (directory / "kernel.nbc").write_text("")
        os.utime(directory, (1e9 + n, 1e9 + n))
    os.utime(warm / first.folder, (1, 1))
    others = [warm / "notes", warm / "0123456789abcdef0"]
    for directory in others:
        directory.mkdir()
        os.utime(directory, (1, 1))
    result = run(package, SANDBOX_CACHE_DIR=warm)
    assert result.compiled == 0
    left = {path.name for path in warm.iterdir()} - {path.name for path in others}
    assert left == {first.folder, *(path.name for path in old[-7:])}
    assert all(path.exists() for path in others)


def test_the_current_cache_survives_a_clock_that_runs_behind(package, first, warm):
    future = [warm / f"{n:016x}" for n in range(12)]
    for directory in future:
        directory.mkdir()
        os.utime(directory, (4e9, 4e9))
    assert run(package, SANDBOX_CACHE_DIR=warm).compiled == 0
    assert (warm / first.folder).exists() and sum(path.exists() for path in future) <= 8


# What is said about a run ----------------------------------------------------------------------------------------

DESCRIBE = "import json; from sandbox import jit; print(json.dumps({'said': jit.describe()}))"


def test_the_counts_of_the_last_recorded_run_are_described(package, first, warm):
    before = run(package, DESCRIBE, SANDBOX_CACHE_DIR=warm)
    assert before.said["last run"] == "none yet" and before.said["cached kernels"].startswith("1 (")
    assert before.said["kernel hash"] == first.hash and before.said["kernels"] == "compiled"
    run(package, CURVE.replace("print(", "jit.record(jit.stats()); print("), SANDBOX_CACHE_DIR=warm)
    after = run(package, DESCRIBE, SANDBOX_CACHE_DIR=warm)
    assert after.said["last run"] == "compiled 0 in 0.0 s, loaded 1"
    for damaged in ("", "{", "{}", "null"):
        (warm / first.folder / "last.json").write_text(damaged)
    assert run(package, DESCRIBE, SANDBOX_CACHE_DIR=warm).said["last run"] == "none yet"


def test_a_kernel_that_fails_to_compile_does_not_stop_the_clock(package, tmp_path):
    code = """
import json
import numpy as np
from sandbox import jit
from sandbox.kernels.tiny import curve
try:
    curve("no array")
except Exception as error:
    assert "typing" in type(error).__name__.lower(), error
curve(np.zeros(1))
print(json.dumps(jit.stats()))
"""
    result = run(package, code, SANDBOX_CACHE_DIR=tmp_path)
    assert result.compiled == 1 and result.seconds > 0


def test_without_the_compiler_kernels_are_plain_python(package, first, tmp_path):
    code = CURVE.replace("print(", "jit.record(jit.stats()); said = jit.describe(); print(")
    code = code.replace("**jit", "**said, **jit")
    result = run(package, code, SANDBOX_CACHE_DIR=tmp_path, NUMBA_DISABLE_JIT="1")
    np.testing.assert_allclose(result.y, first.y, rtol=1e-15, atol=0)
    assert (result.compiled, result.loaded) == (0, 0)
    assert result.kernels == "plain Python (NUMBA_DISABLE_JIT)"
    assert getattr(result, "last run") == "none yet"


# Building blocks -------------------------------------------------------------------------------------------------


def _third_single(x):
    return x * np.float32(1 / 3)


def _third_double(x):
    """third"""
    return x * (1 / 3)


third = by_type(inline(_third_single), inline(_third_double))


@kernel
def thirds(x):
    return np.array([third(x[0]), third(x[1])])


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_by_type_chooses_the_body_and_keeps_the_type(dtype):
    x = np.array([0.1, 7.3], dtype)
    for y in (thirds(x), np.array([third(v) for v in x])):
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, x * dtype(1 / 3))
    assert third.__doc__ == "third"


@kernel
def fma_rows(rows, out):
    for i in range(rows.shape[0]):
        out[i] = fma(rows[i, 0], rows[i, 1], rows[i, 2])


@kernel
def bits_of(x, out):
    for i in range(x.size):
        out[i] = float_bits(x[i])


@kernel
def floats_of(bits, out):
    for i in range(bits.size):
        out[i] = from_float_bits(bits[i])


def rounded_once(a, b, c, dtype):
    """a b + c, exactly computed and rounded to the nearest `dtype`, ties to even."""
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    near = dtype(float(exact))  # float() of a fraction rounds once; for float32 its neighbours are looked at as well
    around = [np.nextafter(near, dtype(-np.inf)), near, np.nextafter(near, dtype(np.inf))]
    gaps = [abs(Fraction(float(value)) - exact) for value in around]
    nearest = [value for value, gap in zip(around, gaps, strict=True) if gap == min(gaps)]
    return next((v for v in nearest if int(v.view(f"i{v.itemsize}")) % 2 == 0), nearest[0])


TIE = (24929.0, 673 * 2.0**-24, 2.0**-60)  # 1 + 2^-24 + 2^-60: a float32 must round up, by way of float64 it is a tie


@pytest.mark.skipif(not COMPILED, reason="plain Python rounds twice, and says so")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_rounds_once(dtype):
    rng, half = np.random.default_rng(0), 2.0 ** (-13 if dtype is np.float32 else -30)
    rows = rng.standard_normal((200, 3))
    rows[:100, 2] = -(rows[:100, 0].astype(dtype) * rows[:100, 1].astype(dtype))  # only what a product lost is left
    rows[0] = 1 + half, 1 - half, -1.0
    rows[1] = TIE
    rows, out = rows.astype(dtype), np.empty(200, dtype)
    fma_rows(rows, out)
    assert out[0] == -half * half and rows[0, 0] * rows[0, 1] + rows[0, 2] == 0
    np.testing.assert_array_equal(out, [rounded_once(*row, dtype) for row in rows])


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fma_of_exact_values_keeps_type_and_specials(dtype):
    rows = np.array([[2, 3, 4], [0.5, -8, 1], [np.inf, 1, 0], [np.nan, 1, 0], [-0.0, 1, -0.0]], dtype)
    out = np.empty(5, dtype)
    fma_rows(rows, out)
    np.testing.assert_array_equal(out, [10, -3, np.inf, np.nan, 0.0])
    assert np.signbit(out[4])
    assert type(fma(*rows[0])) is dtype


@pytest.mark.plain_python
@pytest.mark.parametrize(("real", "whole"), [(np.float32, np.int32), (np.float64, np.int64)])
def test_the_bits_of_a_float_go_to_and_fro(real, whole):
    tiny = np.finfo(real).smallest_subnormal
    x = np.array([0.0, -0.0, 1.0, -1.5, tiny, np.finfo(real).max, np.inf, -np.inf, np.nan], real)
    bits, back = np.empty(x.size, whole), np.empty(x.size, real)
    bits_of(x, bits)
    np.testing.assert_array_equal(bits, x.view(whole))
    floats_of(bits, back)
    np.testing.assert_array_equal(back.view(whole), bits)
    assert [from_float_bits(float_bits(v)).view(whole) for v in x] == bits.tolist()


@pytest.mark.plain_python
def test_registers_are_those_of_a_real_machine():
    size, count = registers()
    assert (size, count) in ((64, 32), (32, 16), (16, 16), (16, 32))

"""The one module that imports Numba: decorators, the kernel cache, and what the target CPU's registers look like.

Everything compiled in this project goes through four decorators:

* `kernel`: a function from arrays to arrays, compiled at its first call for the types it is called with, kept on disk;
* `lean`: the same for one that allocates nothing, without counting references;
* `inline`: a scalar building block, always inlined into the kernels that use it;
* `first_class`: a function compiled for a given signature that can be handed to a kernel as an argument, so that one
  time loop serves every cell without being compiled again (Numba otherwise types a jitted argument by its identity),
  and that one matrix product serves all kernels.

No `fastmath` anywhere: a kernel's bits are decided by its source alone. `error_model="numpy"` because with Python's
model a division may raise and does not vectorise.

Numba notices neither a change in a function that lives in another file nor a change of compiler options, so the cache
directory is named by a hash of every kernel and cell source, the compiler's versions, the options and the CPU.

Environment: `SANDBOX_CACHE_DIR` moves the cache; `NUMBA_DISABLE_JIT=1` runs every kernel as plain Python;
`NUMBA_CPU_NAME` compiles for a named CPU (its own feature set, not the host's).
"""

import contextlib
import errno
import functools
import hashlib
import json
import os
import pickle
import platform
import re
import shutil
import struct
import sys
import time
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config, sigutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.ccallback import CFunc
from numba.core.codegen import initialize_llvm
from numba.extending import intrinsic, overload

from sandbox.folders import user_cache

__all__ = [
    "COMPILED", "addressed", "by_type", "cache_directory", "cgutils", "describe", "first_class", "float_bits", "fma",
    "from_float_bits", "inline", "intrinsic", "ir", "kernel", "lean", "plain_call", "record", "registers", "stats",
    "types",
]  # fmt: skip

if config.CPU_NAME in ("", "host"):
    config.CPU_NAME = None
if config.CPU_NAME and "NUMBA_CPU_FEATURES" not in os.environ:
    # Numba pairs a named CPU with the *host's* features; a haswell with AVX-512 would emulate nothing.
    config.CPU_FEATURES = ""

# LLVM gives up on a loop that needs more than 8 pairwise alias checks; an LSTM step over its gates and states needs 12.
# And it would check the whole batch at once, where the gates of different rows do interleave: it must check row by row.
LLVM_OPTIONS = ("-runtime-memory-check-threshold=256", "-hoist-runtime-checks=false")
for _option in LLVM_OPTIONS:
    llvm.set_option("", _option)

# Nobody asks for a kernel's C function (`first_class` makes its own): a twentieth of the time of compiling.
OPTIONS = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
# Said of what is called: else Numba lets it inherit the opposite from an inlined caller that it is first compiled for,
# and a product's tiles are then inlined, and optimised anew, at every place that calls it: 50 s of compiling.
CALLED = {"forceinline": False}
UNCOUNTED = {"_nrt": False}  # no references are counted: see `lean`
COMPILED = not config.DISABLE_JIT
KEPT_CACHES = 8
CORRUPT = (EOFError, pickle.UnpicklingError, ValueError, KeyError, IndexError, AttributeError, ImportError, TypeError,
           RuntimeError, struct.error, OverflowError, MemoryError)  # fmt: skip


# The CPU ---------------------------------------------------------------------------------------------------------


@functools.cache
def registers() -> tuple[int, int]:
    """Bytes in one vector register and the number of such registers of the CPU that kernels are compiled for.

    The compiler is asked, by compiling one wide addition and reading which registers it used: a feature list is known
    for the host only, and not for a CPU named by `NUMBA_CPU_NAME`.
    """
    vector = ir.VectorType(ir.FloatType(), 16)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [vector.as_pointer()]), "probe")
    builder = ir.IRBuilder(function.append_basic_block())
    value = builder.load(function.args[0])
    builder.store(builder.fadd(value, value), function.args[0])
    builder.ret_void()
    initialize_llvm()
    target = llvm.Target.from_default_triple().create_target_machine(cpu=cpu_name(), features=_cpu_features())
    assembly = target.emit_assembly(llvm.parse_assembly(str(module)))
    if "zmm" in assembly:
        return 64, 32
    if "ymm" in assembly:
        return 32, 16
    return 16, 32 if re.search(r"\bv\d+\.4s", assembly) else 16


def cpu_name() -> str:
    """Name of the CPU that kernels are compiled for, as LLVM says it."""
    return config.CPU_NAME or llvm.get_host_cpu_name()


def _cpu_features() -> str:
    return llvm.get_host_cpu_features().flatten() if config.CPU_FEATURES is None else config.CPU_FEATURES


# The cache -------------------------------------------------------------------------------------------------------


@functools.cache
def source_hash(cells=True) -> str:
    """Hash of all that decides machine code: sources, compiler versions, options and CPU.

    The cache is named by it without the cells: a cell's steps call nothing but kernels, and their own file is in the
    stamp of what is kept of them, so that editing one cell leaves the others' machine code where it is.
    """
    package = Path(__file__).parent
    digest = hashlib.sha256()
    sources = [*package.glob("kernels/*.py"), *(package.glob("cells/*.py") if cells else ())]
    for path in [Path(__file__), *sorted(sources)]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    settings = {k: v for k, v in sorted(os.environ.items())
                if k.startswith("NUMBA_") and k not in ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")}  # fmt: skip
    facts = [numba.__version__, llvmlite.__version__, np.__version__, platform.python_version(), platform.machine(),
             sys.platform, cpu_name(), _cpu_features(), repr(OPTIONS), repr(LLVM_OPTIONS), repr(settings)]  # fmt: skip
    digest.update("\0".join(facts).encode())
    return digest.hexdigest()[:16]


@functools.cache
def cache_directory() -> Path | None:
    """This version's kernel cache, made if missing; None, with one notice, where none can be written."""
    override = os.environ.get("SANDBOX_CACHE_DIR")
    directory = (Path(override) if override else user_cache()) / source_hash(cells=False)
    probe = directory / f".{os.getpid()}"
    try:
        if not directory.is_absolute() and not override:
            raise OSError(errno.ENOENT, "no home directory")  # a folder called ~ would be left wherever one works
        directory.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
        os.utime(directory)
    except OSError as error:
        print(f"notice: kernels are compiled anew in every process because the cache {directory} cannot be written "
              f"({error.strerror}); set SANDBOX_CACHE_DIR to a writable folder", file=sys.stderr)  # fmt: skip
        return None
    _prune(directory)
    return directory


def _prune(current: Path) -> None:
    """Remove the caches of older versions but the newest few: each edit of a kernel makes a new one."""
    named_by_hash = [path for path in current.parent.iterdir() if re.fullmatch(r"[0-9a-f]{16}", path.name)]
    by_age = []
    for path in named_by_hash:
        try:
            by_age.append((path.stat().st_mtime, path))
        except OSError:  # another process pruned it meanwhile
            continue
    for _, path in sorted(by_age, reverse=True)[KEPT_CACHES:]:
        if path != current:
            shutil.rmtree(path, ignore_errors=True)


class _Locator(_CacheLocator):
    """Keeps a function's machine code in `cache_directory()`, keyed by its own file's content as well.

    The directory's name covers this package; the stamp covers a kernel that a user wrote in a file outside of it.
    """

    def __init__(self, function, path):
        self._path = Path(path)
        self._line = function.__code__.co_firstlineno

    def get_cache_path(self):
        return str(cache_directory() or "")

    def get_source_stamp(self):
        return hashlib.sha256(self._path.read_bytes()).hexdigest()

    def get_disambiguator(self):
        return hashlib.sha256(f"{self._path}:{self._line}".encode()).hexdigest()[:10]

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file)


class _Implementation(CompileResultCacheImpl):
    _locator_classes = [_Locator]


class _Cache(FunctionCache):
    """Numba's on-disk cache which counts, survives a corrupt file, and does without a directory."""

    _impl_class = _Implementation
    compiled = loaded = 0
    seconds = 0.0

    def __init__(self, function):
        super().__init__(function)
        self._started = {}

    def load_overload(self, sig, target_context):
        try:
            found = super().load_overload(sig, target_context) if cache_directory() else None
            if found is not None and found.signature.args != sigutils.normalize_signature(sig)[0]:
                raise KeyError(sig)  # two processes took the same file name at once, and the other one wrote last
        except CORRUPT:
            found = None
            self._write(self.flush)
        if found is not None:
            _Cache.loaded += 1
        else:
            self._started[sig] = time.perf_counter(), _Cache.seconds
        return found

    def save_overload(self, sig, data):
        _Cache.compiled += 1
        started, seconds = self._started.pop(sig)
        _Cache.seconds = seconds + time.perf_counter() - started  # kernels compiled meanwhile are within
        if cache_directory():
            self._write(super().save_overload, sig, data)

    def _write(self, write, *arguments):
        try:
            write(*arguments)
        except OSError as error:
            _say_uncached(error.strerror)


@functools.cache
def _say_uncached(reason):
    print(f"notice: kernels could not be kept in {cache_directory()} ({reason}); set SANDBOX_CACHE_DIR to a folder "
          "with room", file=sys.stderr)  # fmt: skip


def stats() -> dict:
    """What this process compiled and loaded so far.

    Returns
    -------
    dict
        `compiled` and `loaded` (numbers of kernels, one for each type they were asked for), `seconds` (spent
        compiling), `hash` (of all that decides machine code), `folder` (the cache's
        name) and `cpu`.
    """
    return {"compiled": _Cache.compiled, "loaded": _Cache.loaded, "seconds": round(_Cache.seconds, 3),
            "hash": source_hash(), "folder": source_hash(cells=False), "cpu": cpu_name()}  # fmt: skip


def record(counts: dict) -> None:
    """Keep what a run counted (see `stats`) beside the kernels, for `sandbox env` of a later process to show."""
    directory = cache_directory()
    if directory is None or not COMPILED:
        return
    scratch = directory / f".last.{os.getpid()}"
    with contextlib.suppress(OSError):  # a full disk: the results are what matters
        scratch.write_text(json.dumps(counts))
        os.replace(scratch, directory / "last.json")


def describe() -> dict[str, str]:
    """What kernels are compiled for, where they are kept, and what the last recorded process compiled and loaded."""
    size, count = registers()
    directory = cache_directory()
    facts = {
        "numba": f"{numba.__version__} (llvmlite {llvmlite.__version__})",
        "target cpu": cpu_name(),
        "vector registers": f"{count} of {8 * size} bits",
        "kernels": "compiled" if COMPILED else "plain Python (NUMBA_DISABLE_JIT)",
        "kernel hash": source_hash(),
        "kernel cache": str(directory) if directory else "none (not writable)",
    }
    if directory:
        files = list(directory.glob("*.nbc"))
        facts["cached kernels"] = f"{len(files)} ({sum(f.stat().st_size for f in files) / 1e6:.1f} MB)"
        try:
            last = json.loads((directory / "last.json").read_text())
            facts["last run"] = f"compiled {last['compiled']} in {last['seconds']} s, loaded {last['loaded']}"
        except (OSError, ValueError, KeyError, TypeError):
            facts["last run"] = "none yet"
    return facts


# Decorators ------------------------------------------------------------------------------------------------------


def kernel(function):
    """Compile a function of arrays and scalars at its first call with each set of types, and keep it on disk."""
    return _kept(function)


def lean(function):
    """As `kernel`, of a function that makes no array and returns none: without counting references.

    An atomic addition for every view of an array is half the time of a small network's step. An allocation is an error
    when such a function is compiled.
    """
    return _kept(function, **UNCOUNTED)


def _kept(function, **options):
    dispatcher = numba.njit(**OPTIONS, **CALLED, **options)(function)
    if COMPILED:
        dispatcher._cache = _Cache(function)
    return dispatcher


def inline(function):
    """Compile a building block which is inlined into every kernel that calls it (by LLVM, after typing)."""
    return numba.njit(**OPTIONS, forceinline=True)(function)


@functools.cache
def first_class(function, signature):
    """The function compiled for one signature, as something that a kernel can take as an argument and call.

    That is its address: a number is handed over in no time. Of Numba's own first-class functions each costs 3 us at
    every call of a kernel, which was a third of a small network's pass.
    """
    if not COMPILED:
        return function
    options = {**OPTIONS, **UNCOUNTED}
    compiled = CFunc(function, sigutils.normalize_signature(signature), locals={}, options=options)
    compiled._cache = _Cache(function)
    compiled.compile()
    _compiled.append(compiled)
    return compiled.address


_compiled = []  # what addresses point into


def addressed(function, *kinds):
    """Type and code of an intrinsic that calls what `first_class` made, for arguments of these types.

    Each needs an intrinsic of its own, with as many parameters: a tuple of arrays is long to compile.
    """

    def codegen(context, builder, signature, args):
        values = [context.get_value_type(kind) for kind in kinds]
        pointer = ir.FunctionType(context.get_value_type(types.none), values).as_pointer()
        builder.call(builder.inttoptr(args[0], pointer), args[1:])
        return context.get_dummy_value()

    def fits(kind):  # what functions are compiled for here: anything else would be read as if it were that
        array = isinstance(kind, types.Array) and kind.layout == "C" and kind.mutable
        return array or isinstance(kind, types.CPointer) or kind == types.int64

    return (types.void(function, *kinds), codegen) if all(map(fits, (function, *kinds))) else None


def plain_call(function, *arguments):
    """The same without the compiler."""
    function(*arguments)


def by_type(single, double):
    """One name for two bodies: `single` where the argument is a float32, `double` where it is a float64.

    Both are `inline` functions of one scalar. Works in kernels and in plain Python.
    """
    plain_single, plain_double = (getattr(body, "py_func", body) for body in (single, double))

    @functools.wraps(plain_double)
    def choose(x):
        return plain_single(x) if isinstance(x, np.float32) else plain_double(x)

    choose.__name__ = choose.__qualname__ = plain_double.__name__.strip("_").removesuffix("_double")

    @overload(choose, jit_options={**OPTIONS, "forceinline": True})
    def _choose(x):
        if x == types.float32:
            return lambda x: single(x)
        if x == types.float64:
            return lambda x: double(x)
        return None

    return choose


# Scalar instructions ---------------------------------------------------------------------------------------------
#
# Each has a plain-Python body and an instruction of the compiler; kernels call the one name.


def fma(a, b, c):
    """a * b + c with one rounding. (Plain Python rounds twice: in float64 always, in float32 where it meets a tie.)"""
    if isinstance(a, np.float32):
        return np.float32(np.float64(a) * np.float64(b) + np.float64(c))
    return a * b + c


def float_bits(x):
    """The bits of a float as an integer of the same width."""
    return np.float32(x).view(np.int32) if isinstance(x, np.float32) else np.float64(x).view(np.int64)


def from_float_bits(bits):
    """The float which has the bits of this integer of the same width."""
    return np.int32(bits).view(np.float32) if isinstance(bits, np.int32) else np.int64(bits).view(np.float64)


_BITS = {types.float32: types.int32, types.float64: types.int64}
_FLOAT = {integer: real for real, integer in _BITS.items()}


@intrinsic
def _fma(typingctx, a, b, c):
    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return (a(a, a, a), codegen) if a in _BITS and a == b == c else None


@intrinsic
def _float_bits(typingctx, x):
    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return (_BITS[x](x), codegen) if x in _BITS else None


@intrinsic
def _from_float_bits(typingctx, bits):
    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return (_FLOAT[bits](bits), codegen) if bits in _FLOAT else None


overload(fma)(lambda a, b, c: lambda a, b, c: _fma(a, b, c))
overload(float_bits)(lambda x: lambda x: _float_bits(x))
overload(from_float_bits)(lambda bits: lambda bits: _from_float_bits(bits))

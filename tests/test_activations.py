"""The stated errors, the special values, the vector instructions and the bits of `sandbox.kernels.activations`."""

import doctest
import hashlib
import os
import platform
import re
import subprocess
import sys

import mpmath
import numba
import numpy as np
import pytest
from scipy import special

from sandbox import jit
from sandbox.kernels import activations, normal

TYPES = [np.float32, np.float64]
# Largest error in ulp (float32, float64), with a little room above what the module's docstring says was measured.
BOUNDS = {
    "exp": (0.8, 0.8),
    "log": (0.86, 0.86),
    "tanh": (1.4, 1.4),
    "sigmoid": (2.0, 2.0),
    "softplus": (1.65, 1.65),
    "sinpi": (1.0, 1.0),
}
NAMES = [*BOUNDS, "normal_quantile"]
HOMES = {"normal_quantile": normal}  # those which live in another module
# Plain Python rounds an fma twice, and takes 20 us per element.
EXTRA_ULP = 0 if jit.COMPILED else 1
POINTS = 40_000 if jit.COMPILED else 40
LONG_DOUBLE_IS_LONG = np.finfo(np.longdouble).nmant >= 63

every_function_and_type = pytest.mark.parametrize("dtype", TYPES, ids=["float32", "float64"])
every_function = pytest.mark.parametrize("name", BOUNDS)


def on_array(name):
    return getattr(HOMES.get(name, activations), f"{name}_array")


def points(name, dtype, count, rng):
    """Dense and random inputs: where the function bends, over all magnitudes, and up to where it saturates."""
    double = dtype == np.float64
    sign = rng.choice([-1.0, 1.0], count)
    tiny, largest = (-740.0, 709.7) if double else (-100.0, 88.7)
    magnitudes = sign * np.exp(rng.uniform(tiny, np.log(largest), count))
    if name == "log":
        parts = [rng.uniform(0.5, 2.0, count), np.linspace(0.7, 1.42, count), np.exp(rng.uniform(tiny, largest, count)),
                 1.0 + sign * np.exp(rng.uniform(-36.0 if double else -16.0, -0.01, count))]  # fmt: skip
    elif name == "sinpi":
        parts = [np.linspace(-1.1, 1.1, count), rng.uniform(-100.0, 100.0, count), magnitudes]
    else:
        parts = [magnitudes, np.linspace(-1.5, 1.5, count), rng.normal(size=count), rng.uniform(-8.0, 8.0, count),
                 rng.uniform(-40.0, 40.0, count), rng.uniform(tiny, largest, count)]  # fmt: skip
    return np.concatenate(parts).astype(dtype)


def exact_mp(name, x):
    """One value to 60 digits, by the definition of the function."""
    x = mpmath.mpf(float(x))
    return {
        "exp": lambda: mpmath.exp(x),
        "log": lambda: mpmath.log(x),
        "tanh": lambda: mpmath.tanh(x),
        "sigmoid": lambda: 1 / (1 + mpmath.exp(-x)),
        "softplus": lambda: mpmath.log1p(mpmath.exp(x)),
        "sinpi": lambda: mpmath.sinpi(x),
    }[name]()


def exact_long_double(name, x):
    """All values with 64 significant bits."""
    x = x.astype(np.longdouble)
    if name == "exp":
        return np.exp(x)
    if name == "log":
        return np.log(x)
    if name == "tanh":
        return np.tanh(x)
    e = np.exp(-np.abs(x))
    if name == "sigmoid":
        return np.where(x < 0, e, 1) / (1 + e)
    if name == "softplus":
        return np.maximum(x, 0) + np.log1p(e)
    r = x - 2 * np.round(x / 2)
    r = np.where(np.abs(r) > 0.5, np.copysign(1, r) - r, r)
    return np.sin((np.longdouble(np.pi) + np.longdouble(1.2246467991473532e-16)) * r)


def largest_ulp_error_mp(y, exact):
    worst = mpmath.mpf(0)
    info = np.finfo(y.dtype)
    for value, true in zip(y, exact, strict=True):
        exponent = max(mpmath.frexp(abs(true))[1] - 1, info.minexp) if true else info.minexp
        worst = max(worst, abs(mpmath.mpf(float(value)) - true) / mpmath.mpf(2) ** (exponent - info.nmant))
    return float(worst)


def largest_ulp_error(y, exact):
    info = np.finfo(y.dtype)
    exponent = np.maximum(np.frexp(np.abs(exact))[1] - 1, info.minexp)
    return float(np.max(np.abs(y - exact) / np.ldexp(np.longdouble(1), exponent - info.nmant)))


@pytest.mark.plain_python
@every_function_and_type
@every_function
def test_error_against_sixty_digits(name, dtype):
    mpmath.mp.dps = 60
    x = points(name, dtype, 250 if jit.COMPILED else 12, np.random.default_rng(1))
    error = largest_ulp_error_mp(on_array(name)(x), [exact_mp(name, value) for value in x])
    assert error <= BOUNDS[name][dtype == np.float64] + EXTRA_ULP


@pytest.mark.skipif(not LONG_DOUBLE_IS_LONG, reason="long double is no longer than double here")
@every_function_and_type
@every_function
def test_error_on_dense_points(name, dtype):
    x = points(name, dtype, POINTS, np.random.default_rng(2))
    with np.errstate(under="ignore"):
        exact = exact_long_double(name, x)
        error = largest_ulp_error(on_array(name)(x), exact)
    assert error <= BOUNDS[name][dtype == np.float64] + EXTRA_ULP


@pytest.mark.skipif(not jit.COMPILED, reason="too many points for plain Python")
@every_function
def test_float32_against_float64_on_bit_patterns_of_all_kinds(name):
    """A long double is not needed to check a float32; 2**20 patterns at an even distance reach every exponent."""
    x = (np.arange(2**20, dtype=np.uint32) * np.uint32(4093)).view(np.float32)
    x = x[np.isfinite(x) & ((x > 0) | (name != "log"))]
    exact = on_array(name)(x.astype(np.float64))
    y = on_array(name)(x)
    finite = np.abs(exact) < float(np.finfo(np.float32).max)
    assert np.array_equal(np.isfinite(y), finite)
    assert largest_ulp_error(y[finite], exact[finite]) <= BOUNDS[name][0]


@pytest.mark.plain_python
@every_function_and_type
@pytest.mark.parametrize("name", NAMES)
def test_type_and_shape_are_kept(name, dtype):
    for shape in [(), (0,), (5,), (2, 3, 4)]:
        x = np.full(shape, 0.25, dtype)
        before = x.copy()
        y = on_array(name)(x)
        assert y.dtype == dtype
        assert y.shape == shape
        assert np.array_equal(x, before)
        assert not np.shares_memory(x, y)
    assert type(getattr(HOMES.get(name, activations), name)(dtype(0.25))) is dtype


@pytest.mark.plain_python
@every_function_and_type
@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("exp", [(np.inf, np.inf), (-np.inf, 0.0), (0.0, 1.0), (-0.0, 1.0), (-1e4, 0.0), (1e4, np.inf)]),
        ("log", [(np.inf, np.inf), (0.0, -np.inf), (-0.0, -np.inf), (1.0, 0.0), (-1.0, np.nan), (-np.inf, np.nan),
                 (-1e-38, np.nan)]),
        ("tanh", [(np.inf, 1.0), (-np.inf, -1.0), (0.0, 0.0), (-0.0, -0.0), (25.0, 1.0), (-25.0, -1.0), (1e30, 1.0)]),
        ("sigmoid", [(np.inf, 1.0), (-np.inf, 0.0), (0.0, 0.5), (-0.0, 0.5), (1e4, 1.0), (-1e4, 0.0)]),
        ("softplus", [(np.inf, np.inf), (-np.inf, 0.0), (1e4, 1e4), (-1e4, 0.0)]),
        ("sinpi", [(np.inf, np.nan), (-np.inf, np.nan), (0.0, 0.0), (-0.0, -0.0), (1.0, 0.0), (-1.0, -0.0), (2.0, 0.0),
                   (0.5, 1.0), (-0.5, -1.0), (1.5, -1.0), (2.5, 1.0), (2.0**22 + 0.5, 1.0), (2.0**23 + 1.0, 0.0),
                   (1e30, 0.0), (-1e30, -0.0)]),
        ("normal_quantile", [(0.5, np.inf), (-0.5, -np.inf), (0.0, 0.0), (-0.0, -0.0), (0.75, np.nan), (-0.75, np.nan),
                             (np.inf, np.nan), (-np.inf, np.nan)]),
    ],
)  # fmt: skip
def test_special_values(name, pairs, dtype):
    x, expected = np.array([*pairs, (np.nan, np.nan)], dtype).T
    y = on_array(name)(np.ascontiguousarray(x))
    assert np.array_equal(y, expected, equal_nan=True)
    zero = expected == 0
    assert np.array_equal(np.signbit(y[zero]), np.signbit(expected[zero]))


@pytest.mark.plain_python
@every_function_and_type
def test_exp_overflows_and_vanishes_where_it_should(dtype):
    largest, smallest = float(np.finfo(dtype).max), float(np.finfo(dtype).smallest_subnormal)
    mpmath.mp.dps = 60
    with np.errstate(over="ignore"):
        last = dtype(float(mpmath.log(largest)))
    while mpmath.exp(float(last)) > largest:
        last = np.nextafter(last, dtype(0))
    assert np.isfinite(activations.exp_array(np.array([last])))
    assert activations.exp_array(np.array([np.nextafter(last, dtype(np.inf))])) == np.inf
    half = float(mpmath.log(mpmath.mpf(smallest) / 2))
    x = np.array([half * (1 - 1e-6), half * (1 + 1e-6)], dtype)
    for name in ("exp", "sigmoid", "softplus"):
        assert np.array_equal(on_array(name)(x), np.array([smallest, 0.0], dtype))


@pytest.mark.plain_python
@every_function_and_type
def test_subnormal_inputs(dtype):
    tiny = np.finfo(dtype).smallest_subnormal * np.array([1, 2, 3, 1000], dtype)
    both = np.concatenate([tiny, -tiny])
    assert np.array_equal(activations.tanh_array(both), both)
    assert np.array_equal(activations.exp_array(both), np.ones(8, dtype))
    assert np.array_equal(activations.sigmoid_array(both), np.full(8, 0.5, dtype))
    assert np.array_equal(activations.sinpi_array(both), (np.pi * both.astype(np.longdouble)).astype(dtype))
    assert np.allclose(activations.log_array(tiny), [float(mpmath.log(float(value))) for value in tiny], rtol=1e-6)


@every_function_and_type
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "softplus"])
def test_monotone(name, dtype):
    """Also at the seams between two formulas, where every neighbouring float is looked at."""
    low, high = (1e-30, 50.0) if name == "log" else (-50.0, 50.0)
    grids = [np.linspace(low, high, POINTS)]
    integer = {np.float32: np.int32, np.float64: np.int64}[dtype]
    for seam in (0.625, 0.6931472, 0.5, 1.0, np.sqrt(0.5), np.sqrt(2), 0.34657359, 1e-3):
        if name != "log":
            grids.append(-(dtype(seam).view(integer) + np.arange(50, -50, -1, dtype=integer)).view(dtype))
        grids.append((dtype(seam).view(integer) + np.arange(-50, 50, dtype=integer)).view(dtype))
    slack = 2 * np.finfo(dtype).eps  # an error below 2 ulp may turn neighbours round, and no more than that
    for x in grids:
        y = on_array(name)(x.astype(dtype)).astype(np.float64)
        assert np.all(np.diff(y) >= -slack * np.abs(y[1:]))


@pytest.mark.plain_python
@every_function_and_type
def test_symmetries_hold_to_the_bit(dtype):
    x = np.exp(np.random.default_rng(3).uniform(-20, 4, POINTS)).astype(dtype)
    assert np.array_equal(activations.tanh_array(-x), -activations.tanh_array(x))
    assert np.array_equal(activations.sinpi_array(-x), -activations.sinpi_array(x))
    assert np.array_equal(activations.sigmoid_array(x), 1 - activations.sigmoid_array(-x))
    q = x[x < 0.5]
    assert np.array_equal(normal.normal_quantile_array(-q), -normal.normal_quantile_array(q))
    k = np.arange(-40, 41).astype(dtype) / 8  # exact, and so is the sum with an even number
    assert np.array_equal(activations.sinpi_array(k + 2**15), activations.sinpi_array(k))


@pytest.mark.plain_python
def test_gates_nearly_closed_keep_their_digits():
    x = np.linspace(-700.0, -25.0, 50)
    assert np.allclose(activations.sigmoid_array(x), np.exp(x), rtol=1e-10, atol=0)
    assert np.allclose(activations.softplus_array(x), np.exp(x), rtol=1e-10, atol=0)


def test_normal_quantile_against_scipy():
    rng = np.random.default_rng(4)
    tail = np.exp(rng.uniform(np.log(2.0**-53), np.log(0.5), POINTS))
    q = 0.5 - tail
    below = q > 0.25  # there 1/2 - q is exact, and the comparison is of the same number
    y, expected = normal.normal_quantile_array(q[below]), -special.ndtri(0.5 - q[below])
    assert np.max(np.abs(y / expected - 1)) <= 1e-12
    q = rng.uniform(-0.4, 0.4, POINTS)
    y, expected = normal.normal_quantile_array(q), special.ndtri(q + 0.5)
    assert np.max(np.abs(y - expected)) <= 1e-12


@pytest.mark.plain_python
def test_normal_quantile_against_forty_digits():
    """The error of z is that of Phi(z) over the density at z."""
    mpmath.mp.dps = 40
    rng = np.random.default_rng(5)
    count = 150 if jit.COMPILED else 15
    tails = np.concatenate([2.0 ** -rng.uniform(1, 54, count), 0.075 + rng.uniform(-1e-3, 1e-3, count)])
    q = np.concatenate([rng.uniform(-0.5, 0.5, count), 0.5 - tails, tails - 0.5, np.exp(rng.uniform(-60, -1, count))])
    q = q[np.abs(q) < 0.5]
    worst = 0
    for q_, z_ in zip(q, normal.normal_quantile_array(q), strict=True):
        z = -abs(mpmath.mpf(float(z_)))
        if z < -0.5:
            difference = mpmath.ncdf(z) - (0.5 - abs(mpmath.mpf(float(q_))))
        else:
            difference = mpmath.erf(z / mpmath.sqrt(2)) / 2 + abs(mpmath.mpf(float(q_)))
        worst = max(worst, abs(difference / mpmath.npdf(z) / z))
        assert (z_ < 0) == (q_ < 0)
    assert worst <= 1e-15
    single = normal.normal_quantile_array(q.astype(np.float32))
    assert np.array_equal(single, normal.normal_quantile_array(q.astype(np.float32).astype(float)).astype("f4"))


@pytest.mark.skipif(not jit.COMPILED, reason="JIT is off: there is nothing to compare with")
@every_function_and_type
@pytest.mark.parametrize("name", NAMES)
def test_plain_python_agrees_with_compiled(name, dtype):
    """The scalar functions called from Python run as Python; warnings are errors, so inf and NaN raise none."""
    x = points(name, dtype, 10, np.random.default_rng(6))
    if name == "normal_quantile":
        x = x[np.abs(x) <= 0.5]
    with_bits_set = np.array([-1], {np.float32: np.int32, np.float64: np.int64}[dtype]).view(dtype)
    limits = np.array([0.0, -0.0, 0.5, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e4, -1e4, 1e-40, 1e38], dtype)
    x = np.concatenate([x, limits, with_bits_set, -with_bits_set, [np.finfo(dtype).max, np.finfo(dtype).tiny]])
    plain = np.array([getattr(HOMES.get(name, activations), name)(dtype(value)) for value in x])
    compiled = on_array(name)(x)
    assert plain.dtype == dtype
    assert np.allclose(plain, compiled, rtol=4 * np.finfo(dtype).eps, atol=0, equal_nan=True)
    assert np.array_equal(np.signbit(plain), np.signbit(compiled)) or name == "log"  # of a NaN's sign nothing is said


@pytest.mark.skipif(not jit.COMPILED, reason="JIT is off: there is no assembly")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.skipif(jit.registers()[0] < 32, reason="compiling for a CPU without AVX2: fma is a call")
@every_function_and_type
@every_function
def test_a_plain_loop_becomes_vector_instructions(name, dtype, monkeypatch):
    f = getattr(HOMES.get(name, activations), name)

    def loop(x, y):
        for i in range(x.size):
            y[i] = f(x[i])

    array = numba.types.Array(numba.from_dtype(np.dtype(dtype)), 1, "C")
    compiled = numba.njit([(array, array)], **jit.OPTIONS)(loop)
    assembly = compiled.inspect_asm(compiled.signatures[0])
    body = assembly[assembly.index("\n_ZN") :].split(".Lfunc_end0")[0]
    register, suffix = ("zmm" if jit.registers()[0] == 64 else "ymm"), ("ps" if dtype == np.float32 else "pd")
    packed = len(re.findall(rf"\tvfn?m\w+{suffix}\s.*%{register}", body))
    calls = []
    monkeypatch.setattr(activations, "fma", lambda a, b, c: calls.append(a) or jit.fma(a, b, c))
    f(dtype(0.7))
    assert packed >= len(calls) > 0
    assert "call" not in body
    assert not re.findall(r"vpextr|vpinsr|vcvtt?s[sd]2si", body)  # lanes taken apart
    assert not re.findall(r"vcvt[ps]s2[ps]d", body)  # a constant without its type, which makes a float32 a float64


GOLDEN = {
    "exp": "8e793a4e005df987",
    "log": "6caed81e7fd86a20",
    "tanh": "a1553c4b29f42b35",
    "sigmoid": "9ce1bf7e8767f1f8",
    "softplus": "08cb14350b296535",
    "sinpi": "20e47fb7319db204",
    "normal_quantile": "06ac8563aedff8f2",
}


def digest(name):
    """SHA-256 of both types' results at exactly representable points and at bit patterns of all kinds."""
    result = hashlib.sha256()
    for dtype, integer, step in ((np.float32, np.uint32, 65_519), (np.float64, np.uint64, 281_474_976_710_597)):
        grid = np.arange(-(2**15), 2**15).astype(dtype) / dtype(2**10)
        patterns = (np.arange(2**16, dtype=integer) * integer(step)).view(dtype)
        if name == "normal_quantile":
            grid, patterns = grid / dtype(64), patterns[np.abs(patterns) <= 0.5]
        y = on_array(name)(np.concatenate([grid, patterns]))
        result.update(np.where(np.isnan(y), dtype(np.nan), y).tobytes())
    return result.hexdigest()[:16]


@pytest.mark.skipif(not jit.COMPILED, reason="plain Python rounds fma twice")
@pytest.mark.parametrize("name", NAMES)
def test_bits_are_the_same_everywhere(name):
    """Change these with the formulas, never because a machine disagrees."""
    assert digest(name) == GOLDEN[name]


@pytest.mark.skipif(not jit.COMPILED, reason="JIT is off")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 CPUs")
@pytest.mark.parametrize(
    ("cpu", "names"),
    [
        ("haswell", ["tanh", "log"]),
        pytest.param("generic", NAMES, marks=pytest.mark.slow),
        pytest.param("haswell", NAMES, marks=pytest.mark.slow),
        pytest.param("skylake-avx512", NAMES, marks=pytest.mark.slow),
    ],
    ids=["haswell", "all-generic", "all-haswell", "all-skylake-avx512"],
)
def test_bits_of_another_cpu(cpu, names):
    if cpu == "skylake-avx512" and jit.registers()[0] < 64:
        pytest.skip("this machine cannot run AVX-512")
    code = f"from test_activations import digest; print(*map(digest, {names}))"
    environment = {**os.environ, "NUMBA_CPU_NAME": cpu, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [GOLDEN[name] for name in names]


@pytest.mark.plain_python
def test_examples_in_docstrings():
    results = [doctest.testmod(module) for module in (activations, normal)]
    assert [result.failed for result in results] == [0, 0]
    assert sum(result.attempted for result in results) >= 7

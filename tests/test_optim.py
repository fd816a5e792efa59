"""Optimisers against PyTorch's stored and live values and their equations; schedules against their formulas."""

import doctest
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from sandbox import optim
from sandbox.errors import UsageError

HERE = Path(__file__).parent
# What the stored runs "<name> set" were made with.
SET = {
    "momentum": dict(momentum=0.5),
    "nesterov": dict(momentum=0.5),
    "rmsprop": dict(alpha=0.8, eps=0.01),
    "adam": dict(betas=(0.7, 0.8), eps=0.01),
    "adamw": dict(betas=(0.7, 0.8), eps=0.01, weight_decay=0.3),
}


def stored():
    with np.load(HERE / "data" / "torch_optimisers.npz") as file:
        return dict(file)


def message(function, *arguments, **named):
    """The message of the one-line UsageError which a call must raise."""
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# PyTorch ---------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("run", [*optim.NAMES, *(f"{name} set" for name in SET)])
def test_five_updates_are_pytorchs(run):
    arrays, name = stored(), run.split()[0]
    x = arrays["start"].copy()
    optimiser = optim.make(name, x.size, x.dtype, decay=arrays["decay"], **(SET[name] if " " in run else {}))
    for gradient, lr, after in zip(arrays["gradients"], arrays["lrs"], arrays[f"{run}/after"], strict=True):
        optimiser.step(x, gradient, lr)
        np.testing.assert_allclose(x, after, rtol=1e-12, atol=1e-14)
    assert optimiser.updates == 5


def test_stored_values_are_what_pytorch_says_today():
    pytest.importorskip("torch", reason="PyTorch is not installed: its stored optimiser values are not computed again")
    spec = importlib.util.spec_from_file_location("make_torch_values", HERE.parent / "tools" / "make_torch_values.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    live, kept = module.optimisers(), stored()
    assert live.keys() == kept.keys()
    for name, value in live.items():
        np.testing.assert_allclose(kept[name], value, rtol=1e-13, atol=1e-15, err_msg=name)


# Optimisers ------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("name", optim.NAMES)
def test_float32_agrees_with_float64_and_stays_float32(name):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(9).astype(np.float32)
    wide, gradients = x.astype(float), rng.standard_normal((20, 9)).astype(np.float32)
    single, double = optim.make(name, 9, "float32"), optim.make(name, 9, np.float64)
    for gradient in gradients:
        kept = gradient.copy()
        single.step(x, gradient, 0.01)
        double.step(wide, gradient.astype(float), 0.01)
        np.testing.assert_array_equal(gradient, kept)
    assert x.dtype == np.float32
    assert {value.dtype.name for key, value in single.state().items() if key not in ("updates", "powers")} <= {
        "float32"
    }
    np.testing.assert_allclose(x, wide, rtol=1e-4, atol=1e-5)


def written_out(name, x, gradients, lr):
    """The equations on whole arrays in x's dtype, which round after every operation; settings are the defaults."""
    real, v, s, powers = x.dtype.type, np.zeros_like(x), np.zeros_like(x), [1.0, 1.0]
    for g in gradients:
        if name in ("sgd", "momentum", "nesterov"):
            v = (real(0.9) * v if name != "sgd" else 0 * v) + g
            x = x - real(lr) * (g + real(0.9) * v if name == "nesterov" else v)
        elif name == "rmsprop":
            s = real(0.99) * s + real(1 - 0.99) * (g * g)
            x = x - real(lr) * (g / (np.sqrt(s) + real(1e-8)))
        else:
            powers = [powers[0] * 0.9, powers[1] * 0.999]
            v, s = v + real(1 - 0.9) * (g - v), real(0.999) * s + real(1 - 0.999) * (g * g)
            root = real(np.sqrt(1 - powers[1]))
            kept = x * real(1 - lr * 0.01) if name == "adamw" else x
            x = kept - real(lr / (1 - powers[0])) * (v / (np.sqrt(s) / root + real(1e-8)))
    return x


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", optim.NAMES)
def test_updates_have_the_bits_of_the_written_order(name, dtype):
    rng = np.random.default_rng(3)
    x, gradients = rng.standard_normal(21).astype(dtype), rng.standard_normal((6, 21)).astype(dtype)
    expected = written_out(name, x, gradients, 0.03)
    optimiser = optim.make(name, 21, dtype)
    for gradient in gradients:
        optimiser.step(x, gradient, 0.03)
    assert expected.dtype == x.dtype
    np.testing.assert_array_equal(x, expected)


@pytest.mark.plain_python
@pytest.mark.parametrize("name", optim.NAMES)
def test_each_element_has_its_own_update_of_any_vector_length(name):
    rng = np.random.default_rng(1)
    start, gradients = rng.standard_normal(37), rng.standard_normal((4, 37))
    whole, x = optim.make(name, 37, "float64"), start.copy()
    one, y = optim.make(name, 1, "float64"), start[20:21].copy()
    for gradient in gradients:
        whole.step(x, gradient, 0.1)
        one.step(y, gradient[20:21].copy(), 0.1)
    assert x[20] == y[0]


@pytest.mark.plain_python
def test_the_first_update_of_adam_is_lr_times_the_sign():
    x = np.zeros(3)
    optim.make("adam", 3, "float64", eps=1e-300).step(x, np.array([1e-20, -3.0, 1e10]), 0.25)
    np.testing.assert_allclose(x, [-0.25, 0.25, -0.25], rtol=1e-14)


def test_decay_shrinks_what_it_is_given_and_nothing_else():
    decay, x = np.array([True, False]), np.array([2.0, 2.0])
    optimiser = optim.make("adamw", 2, "float64", decay=decay, weight_decay=0.5)
    decay[:] = ~decay  # a copy was taken
    optimiser.step(x, np.zeros(2), 0.1)
    assert x.tolist() == [2 * (1 - 0.1 * 0.5), 2.0]
    everything = np.array([2.0, 2.0])
    optim.make("adamw", 2, "float64", weight_decay=0.5).step(everything, np.zeros(2), 0.1)
    assert everything.tolist() == [1.9, 1.9]
    for name in optim.NAMES[:-1]:  # the others do not decay
        y = np.array([2.0, 2.0])
        optim.make(name, 2, "float64", decay=np.array([True, False])).step(y, np.zeros(2), 0.1)
        assert y.tolist() == [2.0, 2.0]


def test_powers_multiplied_up_are_as_good_as_pow():
    optimiser, x = optim.make("adam", 1, "float64"), np.zeros(1)
    worst = 0.0
    for t in range(1, 20001):
        optimiser.step(x, np.ones(1), 1e-3)
        for power, beta in zip(optimiser.state()["powers"], (0.9, 0.999)):
            exact = -math.expm1(t * math.log(beta))
            worst = max(worst, abs((1 - power) / exact - 1))
    assert 0 < worst < 1e-13
    assert np.isfinite(x[0]) and x[0] == pytest.approx(-20, rel=1e-6)


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", optim.NAMES)
def test_a_restored_optimiser_goes_on_with_the_same_bits(name, dtype):
    rng = np.random.default_rng(2)
    x, gradients = rng.standard_normal(11).astype(dtype), rng.standard_normal((8, 11)).astype(dtype)
    whole = optim.make(name, 11, dtype)
    for gradient in gradients[:4]:
        whole.step(x, gradient, 0.05)
    state, y, resumed = whole.state(), x.copy(), optim.make(name, 11, dtype)
    for gradient in gradients[4:]:
        whole.step(x, gradient, 0.05)
    resumed.restore(state)  # what state() gave is a copy: the steps since have not changed it
    for gradient in gradients[4:]:
        resumed.step(y, gradient, 0.05)
    np.testing.assert_array_equal(y, x)
    assert resumed.updates == whole.updates == 8
    assert whole.state().keys() == state.keys()
    assert all(isinstance(value, (int, np.ndarray)) for value in state.values())


def test_a_step_allocates_nothing_that_depends_on_the_size():
    import tracemalloc

    optimiser, x, gradient = optim.make("adamw", 100_000, "float64"), np.ones(100_000), np.ones(100_000)
    optimiser.step(x, gradient, 0.1)
    tracemalloc.start()
    optimiser.step(x, gradient, 0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000


def test_bad_settings_are_one_line():
    make = optim.make
    assert message(make, "adm", 3, "float64") == "unknown optimiser 'adm'; did you mean 'adam'?"
    assert message(make, "momentum", 3, "float64", momentun=0.5) == (
        "unknown setting of momentum 'momentun'; did you mean 'momentum'?")  # fmt: skip
    assert message(make, "sgd", 3, "float64", eps=1) == "unknown setting of sgd 'eps' (choose from: none)"
    for wrong in (1, -0.1, math.nan, "0.9", True):
        for name, key in (("momentum", "momentum"), ("nesterov", "momentum"), ("rmsprop", "alpha")):
            said = message(make, name, 3, "float64", **{key: wrong})
            assert said == f"{key} must be a number from 0 and below 1, got {wrong!r}"
        assert "each of betas must be" in message(make, "adam", 3, "float64", betas=(0.9, wrong))
    assert message(make, "adam", 3, "float64", betas=0.9) == "betas must be two numbers, got 0.9"
    for wrong in (0, -1e-8, math.inf, math.nan):
        assert "eps must be a finite number above 0, got" in message(make, "adamw", 3, "float64", eps=wrong)
    assert "weight_decay must be a finite number from 0" in message(make, "adamw", 3, "float64", weight_decay=-1)
    assert "dtype must be float32 or float64, got int64" in message(make, "sgd", 3, "int64")
    assert "size must be a whole number from 0, got -1" in message(make, "sgd", -1, "float64")
    for wrong in (np.ones(3), np.ones(4, bool)):
        assert "decay must be a bool array of shape (3,)" in message(make, "adamw", 3, "float64", decay=wrong)


def test_bad_steps_and_states_are_one_line():
    optimiser, x = optim.make("adam", 3, "float64"), np.ones(3)
    for wrong in (0, -1.0, math.nan, math.inf, "0.1", None, True):
        assert message(optimiser.step, x, x, wrong).startswith("lr must be a finite number above 0, got ")
    for wrong, got in ((np.ones(4), "float64 (4,)"), (np.ones(3, "f4"), "float32 (3,)"), ([1.0] * 3, "list")):
        assert message(optimiser.step, wrong, x, 0.1) == f"vector must be a float64 array of shape (3,), got {got}"
        assert message(optimiser.step, x, wrong, 0.1) == f"gradient must be a float64 array of shape (3,), got {got}"
    assert x.tolist() == [1.0] * 3 and optimiser.updates == 0
    state = optimiser.state()
    assert "state of momentum must have updates, velocity, got" in message(
        optim.make("momentum", 3, "float64").restore, state
    )
    for size, dtype in ((4, "float64"), (3, "float32")):
        assert "state first of adam must be a" in message(optim.make("adam", size, dtype).restore, state)


# Schedules -------------------------------------------------------------------------------------------------------

FORMULAS = {
    "constant": lambda t: 0.2,
    "step:10:0.5": lambda t: 0.2 * 0.5 ** (t // 10),
    "step:1:.9": lambda t: 0.2 * 0.9**t,
    "cosine": lambda t: 0.2 * (1 + math.cos(math.pi * t / 40)) / 2,
    "cosine:0.1": lambda t: 0.2 * (0.1 + 0.9 * (1 + math.cos(math.pi * t / 40)) / 2),
    "cosine:0": lambda t: 0.2 * (1 + math.cos(math.pi * t / 40)) / 2,
    "cosine:1": lambda t: 0.2,
    "inverse:5": lambda t: 0.2 / (1 + t / 5),
    "inverse:2.5e1": lambda t: 0.2 / (1 + t / 25),
}


@pytest.mark.plain_python
@pytest.mark.parametrize("text", FORMULAS)
def test_schedules_are_their_formulas(text):
    rate = optim.schedule(text, 0.2, 40)
    values = [rate(t) for t in range(40)]
    assert values == pytest.approx([FORMULAS[text](t) for t in range(40)], rel=1e-13)
    assert values[0] == 0.2 and all(type(value) is float and value > 0 for value in values)
    assert [rate(t) for t in (39, 3, 17)] == [values[t] for t in (39, 3, 17)]  # no memory: a resumed run goes on
    assert optim.schedule(text, 0.2, 40)(31) == values[31]


@pytest.mark.parametrize("text", FORMULAS)
def test_warm_up_is_linear_and_the_schedule_begins_after_it(text):
    rate, plain = optim.schedule(f"{text}+warmup:8", 0.2, 48), optim.schedule(text, 0.2, 40)
    assert [rate(t) for t in range(8)] == pytest.approx([0.2 * (t + 1) / 8 for t in range(8)], rel=1e-15)
    assert [rate(t) for t in range(8, 48)] == [plain(t) for t in range(40)]


def test_ends_of_schedules():
    assert optim.schedule("cosine:0.25", 0.2, 40)(40) == optim.schedule("cosine:0.25", 0.2, 40)(1003) == 0.05
    assert optim.schedule("cosine", 0.2, 40)(40) == 0.0
    assert optim.schedule("cosine+warmup:8", 0.2, 4)(3) == 0.1  # a run that ends while it warms up
    assert optim.schedule("cosine+warmup:4", 0.2, 4)(4) == 0.2


def test_bad_schedules_are_one_line():
    make = optim.schedule
    grammar = (
        "schedule must be constant, step:EVERY:FACTOR, cosine, cosine:FLOOR or inverse:TAU, each also with +warmup:N"
    )
    for text in ("", "cos", "step", "step:10", "step:1:2:3", "constant:1", "cosine:0.1:2", "inverse", "warmup:3", None,
                 "constant+warm:3", "+warmup:3"):  # fmt: skip
        assert message(make, text, 0.1, 10) == f"{grammar}, got '{text}'"
    for text, name in (("step:0:0.5", "EVERY"), ("step:1.5:0.5", "EVERY"), ("step:x:0.5", "EVERY"),
                       ("constant+warmup:0", "N"), ("constant+warmup:", "N"), ("cosine+warmup:-3", "N"),
                       ("constant+warmup:3+warmup:4", "N")):  # fmt: skip
        assert f"{name} in schedule '{text}' must be a whole number from 1, got" in message(make, text, 0.1, 10)
    for text, name in (("step:2:0", "FACTOR"), ("step:2:-1", "FACTOR"), ("step:2:nan", "FACTOR"), ("inverse:0", "TAU"),
                       ("inverse:1e999", "TAU"), ("inverse:", "TAU")):  # fmt: skip
        assert f"{name} in schedule '{text}' must be a finite number above 0, got" in message(make, text, 0.1, 10)
    assert "FLOOR in schedule 'cosine:-1' must be a finite number from 0, got '-1'" in message(
        make, "cosine:-1", 0.1, 10
    )
    assert "FLOOR in schedule 'cosine:2' must be at most 1, a share of lr" in message(make, "cosine:2", 0.1, 10)
    assert "FACTOR in schedule 'step:2:3' must be at most 1" in message(make, "step:2:3", 0.1, 10)
    for wrong in (0, -1, math.nan, math.inf, "x"):
        assert "lr must be a finite number above 0, got" in message(make, "constant", wrong, 10)
    for wrong in (0, -1, 2.5, True):
        assert "updates must be a whole number from 1, got" in message(make, "constant", 0.1, wrong)
    assert "update must be a whole number from 0, got -1" in message(make("step:2:.5", 0.1, 10), -1)


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(optim)
    assert result.failed == 0 and result.attempted >= 5

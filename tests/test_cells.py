"""The common checks: every cell found in `sandbox/cells`, with every choice of its options, by existing.

A check which takes nothing but a `case` and is marked `plain_python` is also what `tools/mutate_cells.py` runs against
mutated backward passes. Gradients are compared with complex steps through the looped `reference` (tests/naive.py).
"""

import itertools
import re
import sys
from dataclasses import dataclass
from unittest import mock

import naive
import numpy as np
import pytest

from sandbox import cells
from sandbox.jit import COMPILED
from sandbox.layers import Layer

TINY = (4, 3, 2, 3)  # T, B, D, H
STEPS = 200  # enough for every cell's gradient to leave float32's range
SIZES = [(1, 1, 1, 1), (5, 3, 2, 7), (3, 9, 4, 33), (6, 1, 3, 16), (3, 18, 1, 8), (2, 5, 40, 65)]
DTYPES = ("float64", "float32")
ROUNDING = {"float64": 1e-14, "float32": 2e-6}


@dataclass(frozen=True)
class Case:
    """A cell and one choice of each of its options."""

    cell: cells.Cell
    options: tuple = ()

    def __str__(self):
        return "-".join([self.cell.name, *(str(value) for _, value in self.options)])

    def layer(self, D, H, dtype="float64", **arguments):
        arguments = {"rng": np.random.default_rng(1), **dict(self.options), **arguments}
        with mock.patch.object(cells, "load", lambda name: self.cell):
            return Layer(self.cell.name, D, H, dtype=dtype, **arguments)


# Cells which cannot fade (-1) or grow (1) without limit when all their parameters are small, or the recurrent ones
# large.
ORTHOGONAL = ("orthogonal-modrelu", "orthogonal-tanh", "orthogonal-identity")
BLOCKS = ("lstm1997-all", "lstm1997-gates", "lstm1997-none")
STAYS = {
    -1: (
        *("lstm-nfg-none", "lstm-nfg-full", *BLOCKS),  # without a forget gate c passes on all of its gradient
        *("antisymmetric", *ORTHOGONAL),  # h itself passes on whole; W_hh keeps all lengths
    ),
    1: (
        "rnn-sigmoid",  # a small slope
        *("antisymmetric", *ORTHOGONAL),  # imaginary eigenvalues; W_hh keeps all lengths
        *("lru", "mingru", "minlstm"),  # no recurrent product, and what is kept is a share
        "minimalrnn",  # a product that only moves a gate changes nothing where the gate mixes 0 with 0
        *("lstm-fgr-none", "lstm-fgr-full"),  # gates which are open at rest drive each other into saturation
        *BLOCKS,  # draws its own weights, which are small
    ),
}


def cases():
    found = [cells.load(name) for name in cells.names()] + list(naive.CELLS)
    for cell in found:
        choices = {name: option.choices for name, option in cell.options.items() if option.choices}
        for values in itertools.product(*choices.values()):
            yield Case(cell, tuple(zip(choices, values)))


class Problem:
    """A layer with random numbers in all its parameters, an input, and a scalar L of all outputs and last states.

    `noise` are the layer's arguments of this kind; `training` says whether passes draw masks.
    """

    def __init__(self, case, size, dtype="float64", seed=0, training=False, **noise):
        T, B, D, H = self.size = size
        rng = np.random.default_rng([seed, *size])
        self.case, self.layer, self.training = case, case.layer(D, H, dtype, **noise), training
        self.cell = self.layer.cell
        for name in self.cell.constants:  # a factor that is 1 by default may be forgotten
            self.layer.options[name] *= 1.25
        for value in self.layer.parameters.values():
            scale = 0.5 if value.ndim == 1 else len(value) ** -0.5
            value[:] = (scale * rng.standard_normal(value.shape)).astype(np.float32)  # the same numbers in both types
        draw = lambda *shape: rng.standard_normal(shape).astype(np.float32).astype(dtype)
        self.x, self.dy = draw(T, B, D), draw(T, B, self.layer.output_size)
        self.start = {name: draw(B, H) for name in self.cell.states}
        self.dlast = {name: draw(B, H) for name in self.cell.states}

    def drop_inflow(self):
        """Only the last states count."""
        self.dy = None

    def forward(self, lengths=None):
        return self.layer.forward(self.x, self.start, lengths, training=self.training)

    def backward(self, **arguments):
        return self.layer.backward(self.dy, self.dlast, **arguments)

    def gradients(self, lengths=None):
        """Everything L can be differentiated by, flat arrays by name, copied."""
        self.forward(lengths)
        found = self.backward()
        return {name: value.copy() for name, value in (
            ("x", found.x),
            *((f"start {name}", value) for name, value in found.start.items()),
            *found.parameters.items(),
        )}  # fmt: skip

    def inputs(self):
        start = {f"start {name}": value for name, value in self.start.items()}
        return {"x": self.x, **start, **self.layer.parameters}

    def loss(self, flat, lengths=None):
        """L by the looped reference from all inputs as one flat vector, complex or real."""
        inputs = naive.unpack(flat, self.inputs())
        x, start = inputs.pop("x"), [inputs.pop(f"start {name}") for name in self.cell.states]
        trail = naive.run(self.cell, self.layer.options, inputs, x, start, lengths, **self.masks())
        y = np.concatenate(trail[: self.cell.outputs, 1:], axis=-1)
        return (y * self.dy).sum() + (trail[:, -1] * np.stack(list(self.dlast.values()))).sum()

    def masks(self):
        """The masks of the last forward pass, as `naive.run` takes them."""
        mask, kept = self.layer._mask, self.layer._kept
        return {"mask": mask.astype("float64") if mask.size else None, "kept": kept if kept.size else None,
                "share": self.layer.zoneout}  # fmt: skip


@pytest.fixture(params=list(cases()), ids=str)
def case(request):
    return request.param


def stacked(arrays):
    return np.stack(list(arrays.values()))


def close(actual, expected, tolerance, what=""):
    """Relative to the largest number: single elements may cancel."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, what
    assert np.isfinite(actual).all(), what
    error, scale = np.abs(actual - expected).max(), np.abs(expected).max()
    assert error <= tolerance * scale, f"{what}: error {error:.2e} at magnitude {scale:.2e}"


def same(actual, expected, what=""):
    """Bit by bit. As plain Python the product is NumPy's, whose order of summation depends on the shape."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    if not COMPILED:
        return close(actual, expected, 10 * ROUNDING[actual.dtype.name], what)
    assert actual.dtype == expected.dtype and actual.shape == expected.shape, what
    assert (actual == expected).all(), f"{what}: differs in {(actual != expected).sum()} of {actual.size} numbers"


# Forward ---------------------------------------------------------------------------------------------------------


def check_forward(case, size, dtype, lengths=None, **noise):
    problem = Problem(case, size, dtype, **noise)
    states = stacked(problem.forward(lengths).states)
    inputs = {name: value.astype("float64") for name, value in problem.inputs().items()}
    x, start = inputs.pop("x"), [inputs.pop(f"start {name}") for name in problem.cell.states]
    expected = naive.run(problem.cell, problem.layer.options, inputs, x, start, lengths, **problem.masks())
    assert states.dtype == dtype
    close(states, expected, 2 * ROUNDING[dtype], "states")


@pytest.mark.plain_python
def test_forward_is_the_looped_reference(case):
    for dtype in DTYPES:
        check_forward(case, TINY, dtype)
        check_forward(case, TINY, dtype, lengths=[4, 0, 2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_forward_of_other_sizes(case, size, dtype):
    check_forward(case, size, dtype)


@pytest.mark.plain_python
def test_two_halves_are_the_whole(case):
    for dtype in DTYPES:
        for cut in (1, 3):
            check_halves(Problem(case, TINY, dtype), cut)


def check_halves(problem, cut):
    layer = problem.layer
    states = stacked(problem.forward().states).copy()
    whole = problem.gradients()
    first = layer.forward(problem.x[:cut], problem.start)
    same(stacked(first.states), states[:, : cut + 1], "states of the first half")
    middle = {name: value.copy() for name, value in first.last_states().items()}
    second = layer.forward(problem.x[cut:], middle)
    same(stacked(second.states), states[:, cut:], "states of the second half")
    late = layer.backward(problem.dy[cut:], problem.dlast)
    late_parameters = layer.gradient.copy()
    layer.forward(problem.x[:cut], problem.start)
    early = layer.backward(problem.dy[:cut], late.start)
    same(np.concatenate([early.x, late.x]), whole["x"], "x")
    for name, value in early.start.items():
        same(value, whole[f"start {name}"], f"start {name}")
    for name, value in naive.unpack(layer.gradient + late_parameters, layer.parameters).items():
        close(value, whole[name], 10 * ROUNDING[value.dtype.name], name)


@pytest.mark.plain_python
def test_gradients_of_segments_add_up_to_the_whole(case):
    for dtype, cuts, lengths in itertools.product(DTYPES, ([2], [1, 3]), (None, [4, 0, 2])):
        check_segments(Problem(case, TINY, dtype), cuts, lengths)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_segments_of_a_larger_batch_add_up_to_the_whole(case, dtype):
    check_segments(Problem(case, (40, 9, 4, 33), dtype), [7, 31], [40, 0, 3, 7, 8, 20, 31, 32, 39])


def check_segments(problem, cuts, lengths=None):
    """From the last segment to the first, each run again with the states, and the noise, that it started with."""
    layer, edges = problem.layer, [0, *cuts, problem.size[0]]
    segments, starts, marks = list(itertools.pairwise(edges)), [problem.start], []
    state = layer.noise.bit_generator if layer.noise else mock.Mock()
    before = state.state
    whole = problem.gradients(lengths)
    state.state = before

    def forward(n):
        first, last = segments[n]
        left = None if lengths is None else np.clip(np.array(lengths) - first, 0, last - first)
        return layer.forward(problem.x[first:last], starts[n], left, training=problem.training, resume=n > 0)

    for n in range(len(segments)):
        marks.append(state.state)
        starts.append({name: value.copy() for name, value in forward(n).last_states().items()})
    flow, dx = problem.dlast, []
    for n in range(len(segments) - 1, -1, -1):
        state.state = marks[n]
        forward(n)
        found = layer.backward(problem.dy[slice(*segments[n])], flow, accumulate=n < len(cuts))
        flow = found.start
        dx.insert(0, found.x)
    same(np.concatenate(dx), whole["x"], "x")
    for name, value in flow.items():
        same(value, whole[f"start {name}"], f"start {name}")
    for name, value in layer.gradients.items():
        same(value, whole[name], name)


@pytest.mark.plain_python
def test_nothing_flows_back_in_time(case):
    T = TINY[0]
    for dtype in DTYPES:
        problem = Problem(case, TINY, dtype)
        before = stacked(problem.forward().states).copy()
        for t in range(T):
            problem = Problem(case, TINY, dtype)
            problem.x[t] += 1
            after = stacked(problem.forward().states)
            same(after[:, : t + 1], before[:, : t + 1], f"states before a change at {t}")
            assert (after[:, t + 1] != before[:, t + 1]).any()
        problem = Problem(case, TINY, dtype)
        problem.forward()
        problem.dy[2:] = 0
        dx = problem.layer.backward(problem.dy).x
        assert (dx[2:] == 0).all() and dx[1].any()


@pytest.mark.plain_python
def test_rows_of_a_batch_do_not_see_each_other(case):
    check_rows(case, TINY, "float64")
    check_rows(case, TINY, "float32")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(3, 9, 4, 33), (2, 19, 3, 17)], ids=str)
def test_rows_of_larger_batches_do_not_see_each_other(case, size, dtype):
    check_rows(case, size, dtype)


def check_rows(case, size, dtype):
    problem = Problem(case, size, dtype)
    states = stacked(problem.forward().states).copy()
    found = problem.backward(every_state=True)
    whole = np.array(found.x), stacked(found.start), stacked(found.states)
    for few in [[b] for b in range(size[1])] + [[size[1] - 1, 0]]:
        some = {name: value[few] for name, value in problem.start.items()}
        alone = problem.layer.forward(problem.x[:, few], some)
        same(stacked(alone.states), states[:, :, few], f"states of rows {few}")
        some = {name: value[few] for name, value in problem.dlast.items()}
        found = problem.layer.backward(problem.dy[:, few], some, every_state=True)
        same(found.x, whole[0][:, few], f"dx of rows {few}")
        same(stacked(found.start), whole[1][:, few], f"start of rows {few}")
        same(stacked(found.states), whole[2][:, :, few], f"dstates of rows {few}")


# Backward --------------------------------------------------------------------------------------------------------


def check_gradient_by_number(problem, lengths=None):
    point, found = naive.pack(problem.inputs()), problem.gradients(lengths)
    expected = naive.unpack(naive.gradient(lambda flat: problem.loss(flat, lengths), point), problem.inputs())
    largest = max(np.abs(value).max() for value in expected.values())
    for name, value in found.items():
        if value.size == 1 and expected[name].any():  # one number alone: all of it may cancel
            assert abs(value - expected[name]).max() <= 1e-13 * max(abs(expected[name]).max(), 0.01 * largest), name
        elif expected[name].any():
            close(value, expected[name], 1e-13, name)
        else:
            assert not value.any(), name


@pytest.mark.plain_python
def test_gradient_by_every_number(case):
    check_gradient_by_number(Problem(case, TINY))
    check_gradient_by_number(Problem(case, (1, 1, 1, 1)))


@pytest.mark.plain_python
def test_gradient_by_every_number_with_lengths(case):
    check_gradient_by_number(Problem(case, TINY), lengths=[4, 0, 2])
    check_gradient_by_number(Problem(case, (3, 1, 2, 2)), lengths=[1])


@pytest.mark.plain_python
def test_gradient_by_every_number_where_all_is_zero(case):
    problem = Problem(case, TINY)
    for value in problem.inputs().values():
        value[:] = 0
    check_gradient_by_number(problem)


@pytest.mark.plain_python
@pytest.mark.parametrize("size", SIZES[:2], ids=str)
def test_gradient_along_a_random_direction_small(case, size):
    check_direction(case, size)


@pytest.mark.parametrize("size", [*SIZES[2:], (40, 2, 3, 5)], ids=str)
def test_gradient_along_a_random_direction(case, size):
    check_direction(case, size)


def check_direction(case, size):
    """Over all inputs at once, then over each of them alone, so that an error has a name."""
    problem = Problem(case, size)
    inputs, found = problem.inputs(), problem.gradients()
    point, rng = naive.pack(inputs), np.random.default_rng(3)
    for chosen in [*([name] for name in inputs), list(inputs)]:
        direction = {name: rng.standard_normal(value.shape) * (name in chosen) for name, value in inputs.items()}
        expected = naive.directional_derivative(problem.loss, point, naive.pack(direction))
        terms = np.concatenate([np.ravel(found[name] * direction[name]) for name in inputs])
        # Relative to the sum of the terms' magnitudes: they may cancel.
        assert abs(terms.sum() - expected) <= 1e-13 * np.abs(terms).sum(), chosen


@pytest.mark.plain_python
def test_gradients_in_float32(case):
    check_single(case, TINY)


@pytest.mark.parametrize("size", [(5, 3, 2, 7), (3, 9, 4, 33), (2, 5, 40, 65)], ids=str)
def test_gradients_in_float32_of_other_sizes(case, size):
    check_single(case, size)


def check_single(case, size):
    compare_single(*(Problem(case, size, dtype) for dtype in ("float32", "float64")))


def compare_single(single, double):
    close(stacked(single.forward().states), stacked(double.forward().states), 1e-5, "states")
    expected = double.gradients()
    for name, value in single.gradients().items():
        assert value.dtype == np.float32, name
        close(value, expected[name], 3e-5, name)


@pytest.mark.plain_python
def test_gradients_of_every_state_are_products_of_step_jacobians(case):
    check_every_state(case, TINY)


@pytest.mark.parametrize("size", [(12, 2, 2, 9), (1, 1, 1, 1)], ids=str)
def test_gradients_of_every_state_of_other_sizes(case, size):
    check_every_state(case, size)


def check_every_state(case, size):
    problem = Problem(case, size)
    trail = stacked(problem.forward().states).copy()
    found = problem.backward(every_state=True)
    last = stacked(problem.dlast)
    for b in range(size[1]):
        profile, exponents = naive.scaled_profile(
            problem.cell, problem.layer.options, problem.layer.parameters, problem.x[:, b], trail[:, :, b], last[:, b],
            problem.dy[:, b])  # fmt: skip
        expected = np.ldexp(profile, exponents[:, None, None])
        for t in range(size[0] + 1):
            close(stacked(found.states)[:, t, b], expected[t], 1e-13, f"dL/ds_{t} of row {b}")
    for name, value in found.start.items():
        np.testing.assert_array_equal(value, found.states[name][0])


@pytest.mark.plain_python
def test_backward_is_linear(case):
    one, other = Problem(case, TINY, seed=0), Problem(case, TINY, seed=1)
    one.forward()
    gradients = []
    for dy, dlast in (
        (one.dy, one.dlast),
        (other.dy, other.dlast),
        (2 * one.dy - 3 * other.dy, {name: 2 * one.dlast[name] - 3 * other.dlast[name] for name in one.dlast}),
        (one.dy, None),
        (None, one.dlast),
        (None, None),
    ):
        found = one.layer.backward(dy, dlast, keep_tape=True, every_state=True)
        gradients.append([found.x, one.layer.gradient.copy(), stacked(found.start), stacked(found.states)])
    for a, b, both, by_y, by_last, nothing in zip(*gradients):
        close(both, 2 * a - 3 * b, 1e-13, "2 L - 3 M")
        close(by_y + by_last, a, 1e-13, "the part through y and the part through the last states")
        assert not nothing.any()


@pytest.mark.plain_python
def test_auxiliary_states_are_left_without_a_gradient(case):
    problem = Problem(case, TINY)
    problem.forward()
    ds = problem.backward().start["h"].base
    assert ds.shape == (len(problem.cell.states) + len(problem.cell.auxiliary), *TINY[1::2])
    assert not ds[len(problem.cell.states) :].any()


@pytest.mark.plain_python
def test_a_batch_is_the_sum_of_its_rows(case):
    """A gradient of the parameters forgets nothing and counts nothing twice, in more than one block of sequences."""
    problem = Problem(case, (3, 10, 2, 3))
    expected, total = problem.gradients(), 0
    for b in range(10):
        problem.layer.forward(problem.x[:, [b]], {name: value[[b]] for name, value in problem.start.items()})
        problem.layer.backward(problem.dy[:, [b]], {name: value[[b]] for name, value in problem.dlast.items()})
        total = total + problem.layer.gradient
    for name, value in naive.unpack(total, problem.layer.parameters).items():
        close(value, expected[name], 1e-13, name)


@pytest.mark.plain_python
def test_exponents_do_not_need_every_state(case):
    problem = Problem(case, TINY)
    problem.dy *= 2.0**-100
    problem.dlast = {name: value * 2.0**-100 for name, value in problem.dlast.items()}
    problem.forward()
    full = problem.backward(log_scale=True, every_state=True, keep_tape=True)
    assert (problem.backward(log_scale=True).exponents == full.exponents).all() and (full.exponents < -50).any()


# Sequences of several lengths ------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_padded_is_unpadded(case):
    check_padding(case, TINY, [4, 0, 2], "float64")
    check_padding(case, TINY, [1, 4, 3], "float32")


@pytest.mark.parametrize("dtype", DTYPES)
def test_padded_is_unpadded_in_a_larger_batch(case, dtype):
    check_padding(case, (7, 10, 3, 17), [7, 0, 1, 3, 6, 7, 2, 5, 4, 1], dtype)


def check_padding(case, size, lengths, dtype):
    problem = Problem(case, size, dtype)
    for b, length in enumerate(lengths):
        problem.dy[length:, b] = 0
    run = problem.forward(lengths)
    states, last = stacked(run.states).copy(), stacked(run.last_states()).copy()
    found = problem.gradients(lengths)
    total = np.zeros_like(problem.layer.vector)
    for b, length in enumerate(lengths):
        assert not found["x"][length:, b].any(), f"dx in the padding of row {b}"
        same(last[:, b], states[:, length, b], "last states")
        start = {name: value[[b]] for name, value in problem.start.items()}
        if length == 0:
            same(states[:, -1, b], np.concatenate(list(start.values())), "states of an empty row")
            for name, value in problem.dlast.items():
                same(found[f"start {name}"][b], value[b], "start of an empty row")
            continue
        alone = problem.layer.forward(problem.x[:length, [b]], start)
        same(stacked(alone.states)[:, :, 0], states[:, : length + 1, b], f"states of row {b}")
        assert (states[:, length:, b] == states[:, length, None, b]).all()
        gradients = problem.layer.backward(
            problem.dy[:length, [b]], {name: value[[b]] for name, value in problem.dlast.items()})  # fmt: skip
        same(gradients.x[:, 0], found["x"][:length, b], f"dx of row {b}")
        for name, value in gradients.start.items():
            same(value[0], found[f"start {name}"][b], f"start {name} of row {b}")
        total += problem.layer.gradient
    for name, value in naive.unpack(total, problem.layer.parameters).items():
        close(value, found[name], 10 * ROUNDING[dtype], name)


@pytest.mark.plain_python
def test_content_of_padding_changes_nothing(case):
    problem, lengths = Problem(case, TINY), np.array([4, 0, 2])
    states = stacked(problem.forward(lengths).states).copy()
    before = problem.gradients(lengths)
    for b, length in enumerate(lengths):
        problem.x[length:, b] = [1e6, -1e6]
    np.testing.assert_array_equal(stacked(problem.forward(lengths).states), states)
    for name, value in problem.gradients(lengths).items():
        np.testing.assert_array_equal(value, before[name], name)


@pytest.mark.plain_python
def test_full_lengths_are_no_lengths(case):
    problem = Problem(case, TINY)
    plain = problem.gradients()
    for name, value in problem.gradients(lengths=[4, 4, 4]).items():
        np.testing.assert_array_equal(value, plain[name], name)


# Numbers at the edge ---------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@np.errstate(all="ignore")  # scalars of plain Python warn where compiled ones do not
def test_saturation_stays_finite(case):
    for dtype, magnitude in itertools.product(DTYPES, (1e3, 1e30)):
        problem = Problem(case, TINY, dtype)
        problem.x[:] *= magnitude
        assert np.isfinite(stacked(problem.forward().states)).all(), magnitude
        for name, value in problem.gradients().items():
            assert np.isfinite(value).all(), f"{name} at {magnitude}"


@pytest.mark.plain_python
def test_inputs_stay_as_they_are(case):
    for lengths in (None, np.array([4, 0, 2])):
        problem = Problem(case, TINY)
        arrays = [problem.x, problem.dy, *problem.start.values(), *problem.dlast.values(), problem.layer.vector]
        arrays += [] if lengths is None else [lengths]
        before = [array.copy() for array in arrays]
        problem.forward(lengths)
        problem.backward(keep_tape=True, log_scale=True)
        problem.backward(every_state=True)
        for array, copy in zip(arrays, before):
            np.testing.assert_array_equal(array, copy)


@pytest.mark.plain_python
def test_keeping_the_tape_changes_no_gradient(case):
    for dtype, lengths in itertools.product(DTYPES, (None, [4, 0, 2])):
        problem = Problem(case, TINY, dtype)
        run = problem.forward(lengths)
        states, gates = stacked(run.states).copy(), stacked(run.gates).copy()
        results = []
        for keep in (True, True, False):
            found = problem.backward(keep_tape=keep, every_state=True)
            results.append([stacked(found.states), stacked(found.start), found.x, found.z.copy(),
                            problem.layer.gradient.copy()])  # fmt: skip
            np.testing.assert_array_equal(stacked(run.states), states)
            if keep:
                np.testing.assert_array_equal(stacked(run.gates), gates)
        for first, second, in_place in zip(*results):
            np.testing.assert_array_equal(first, second)
            np.testing.assert_array_equal(first, in_place)


@pytest.mark.plain_python
def test_a_backward_step_does_not_read_the_states_it_has_made(case):
    """Zoneout may have changed them since; auxiliary states, and those multiplied within a step, stay as they are."""
    problem = Problem(case, (1, 3, 2, 3))
    expected, within = problem.gradients(), {p.source for p in problem.cell.products if p.stage == 1}
    for name, value in problem.forward().states.items():
        if name not in within:
            value[1] = np.nan
    found = problem.backward()
    np.testing.assert_array_equal(found.x, expected["x"])
    for name, value in [*found.parameters.items(), *((f"start {name}", value) for name, value in found.start.items())]:
        np.testing.assert_array_equal(value, expected[name], name)


# Magnitudes carried apart ----------------------------------------------------------------------------------------


def unscaled(states, exponents):
    """float64 of states (S, T + 1, B, H) times 2^exponents (T + 1, B)."""
    return np.ldexp(stacked(states).astype("float64"), exponents[None, :, :, None])


def check_exact_scaling(problem, lengths=None):
    problem.forward(lengths)
    plain = problem.backward(every_state=True, keep_tape=True)
    scaled = problem.backward(every_state=True, keep_tape=True, log_scale=True)
    assert scaled.x is None and scaled.parameters is None
    np.testing.assert_array_equal(unscaled(scaled.states, scaled.exponents), stacked(plain.states))
    np.testing.assert_array_equal(np.ldexp(scaled.z.astype("float64"), scaled.exponents[1:, :, None, None]), plain.z)
    return scaled.exponents


@pytest.mark.plain_python
def test_scaled_backward_is_the_plain_one_to_the_last_bit(case):
    for dtype, lengths in itertools.product(DTYPES, (None, [4, 0, 2])):
        problem = Problem(case, TINY, dtype)
        check_exact_scaling(problem, lengths)
        problem.dlast = {name: value * 2.0**-60 for name, value in problem.dlast.items()}
        problem.dy *= 2.0**-50
        assert check_exact_scaling(problem, lengths).min() < -40
        problem.dlast = {name: value * 2.0**120 for name, value in problem.dlast.items()}
        problem.dy *= 2.0**90
        problem.dy[1] *= 2.0**-30
        assert check_exact_scaling(problem, lengths).max() > 40


def fading(case, T, dtype):
    """Every parameter small: what is left is the leak of gates near 1/2, or next to nothing."""
    problem = Problem(case, (T, 2, 1, 2), dtype)
    problem.layer.vector *= 0.02
    for value in problem.inputs().values():
        value[:] = abs(value)  # a rectifier would otherwise pass nothing
    return problem


def growing(case, T, dtype):
    """At rest with all parameters 0 but the recurrent ones, which are large."""
    problem = Problem(case, (T, 2, 1, 2), dtype)
    problem.layer = case.layer(1, 2, dtype, init="orthogonal", gain=16, input_init="zeros")
    for name in set(problem.layer.cell.per_unit) & set(problem.layer.parameters):
        problem.layer.parameters[name][:] = 4
    for value in (problem.x, *problem.start.values()):
        value[:] = 0
    return problem


def check_profile(problem, tolerance):
    """Against the product of step Jacobians, which carries its magnitude apart as well."""
    layer, cell, (T, B, *_) = problem.layer, problem.cell, problem.size
    trail = stacked(problem.forward().states).astype("float64")
    found = problem.backward(every_state=True, log_scale=True)
    parameters = {name: value.astype("float64") for name, value in layer.parameters.items()}
    for b in range(B):
        profile, exponents = naive.scaled_profile(
            cell, layer.options, parameters, problem.x[:, b].astype("float64"), trail[:, :, b],
            stacked(problem.dlast)[:, b], np.zeros((T, 1)) if problem.dy is None else problem.dy[:, b])  # fmt: skip
        shift = (found.exponents[:, b] - exponents)[:, None]
        actual = np.ldexp(stacked(found.states)[:, :, b].astype("float64"), shift)
        for t in range(T, -1, -1):
            close(actual[:, t], profile[t], tolerance, f"dL/ds_{t}")
    return found.exponents


def check_beyond_range(problem, sign, tolerance):
    problem.drop_inflow()
    problem.forward()
    with np.errstate(all="ignore"):
        plain = stacked(problem.backward().start)
    if sign > 0 and dict(problem.case.options).get("activation") in ("relu", "modrelu"):
        assert not plain.any()  # at rest a rectifier passes nothing
        return
    limits, stays = np.finfo(plain.dtype), str(problem.case) in STAYS[sign]
    # Where nothing fades or grows without limit, the states wander, and rounding with them.
    exponents = check_profile(problem, 30 * tolerance if stays else tolerance)
    left = (sign * exponents[0] > -np.log2(limits.smallest_subnormal)).all()
    if not stays:
        # Not always 0 exactly: the smallest subnormal times a little more than 1/2 is rounded up to itself.
        assert not np.isfinite(plain).any() if sign > 0 else (np.abs(plain) < limits.tiny).all()
        assert left
    else:
        assert not left, "no exception any more"


@pytest.mark.plain_python
@pytest.mark.parametrize("make, sign", [(fading, -1), (growing, 1)])
def test_scaled_backward_goes_on_where_float32_ends(case, make, sign):
    check_beyond_range(make(case, STEPS, "float32"), sign, 3e-4)


@pytest.mark.plain_python
def test_a_late_inflow_outweighs_what_has_faded(case):
    """dy at a step where the gradient of the last output has left float32's range: each is seen at its own scale."""
    problem = fading(case, STEPS, "float32")
    problem.dy[:-1] = 0
    problem.dy[9] = np.eye(2, problem.dy.shape[-1])  # a unit of its own in each row
    exponents = check_profile(problem, 3e-4)
    if str(case) not in STAYS[-1]:
        assert (exponents[11] < -128).all() and (np.abs(exponents[10]) < 40).all()


@pytest.mark.plain_python
def test_a_late_inflow_of_zeros_changes_nothing(case):
    """dy may be given for every step and be zero at most of them."""
    for make in (fading, growing):
        problem = make(case, STEPS, "float32")
        problem.dy[:-1] = 0
        check_profile(problem, 3e-4)


@pytest.mark.plain_python
def test_inflow_at_every_step_with_scaling(case):
    check_profile(growing(case, STEPS, "float32"), 3e-4)
    problem = fading(case, 30, "float64")
    check_exact_scaling(problem)
    check_profile(problem, 1e-12)


@pytest.mark.parametrize("make, sign", [(fading, -1), (growing, 1)])
def test_scaled_backward_over_2000_steps(case, make, sign):
    check_beyond_range(make(case, 2000, "float64"), sign, 1e-10)


def powers(exponent, T, dtype, inflow=(), last=1.0):
    """Gradients of h_t = 2^exponent h_{t-1}, a batch with another unit's dL/dh_T = last in each of its three rows.

    `inflow` lists (t, unit, value) of dy in every row. Everything is a power of two, hence exact: the return value is
    log2 of dL/dh_t (T + 1, B, H), -inf for 0.
    """
    linear = Case(cells.load("rnn"), (("activation", "identity"),))
    layer = linear.layer(1, 3, dtype, init="identity", gain=2.0**exponent, input_init="zeros")
    layer.forward(np.zeros((T, 3, 1), dtype))
    dy = np.zeros((T, 3, 3), dtype)
    for t, unit, value in inflow:
        dy[t, :, unit] = value
    found = layer.backward(
        dy if inflow else None, {"h": (last * np.eye(3)).astype(dtype)}, every_state=True, log_scale=True)  # fmt: skip
    mantissas, shifts = np.frexp(found.states["h"])
    assert np.isin(mantissas, (0, 0.5)).all()
    return np.where(mantissas == 0, -np.inf, found.exponents[:, :, None] + shifts - 1)


@pytest.mark.plain_python
def test_gradients_to_1e_minus_3000():
    """dL/dh_0 = g^T exactly, 2^-12000 = 1e-3612 and 2^4000 = 1e1204, and every other unit's is 0 exactly."""
    for exponent, dtype in itertools.product((-6, 2), DTYPES):
        logs = powers(exponent, 2000, dtype)
        for row in range(3):
            np.testing.assert_array_equal(logs[::-1, row, row], exponent * np.arange(2001))
        assert (logs[:, ~np.eye(3, dtype=bool)] == -np.inf).all()


@pytest.mark.plain_python
def test_scaled_backward_from_the_ends_of_the_range():
    for dtype, largest, smallest in (("float64", 1023, -1074), ("float32", 127, -149)):
        for last in (largest, smallest):
            for exponent in (-6, 2):
                logs = powers(exponent, 50, dtype, last=2.0**last)
                np.testing.assert_array_equal(logs[::-1, 1, 1], last + exponent * np.arange(51))


@pytest.mark.plain_python
def test_what_an_inflow_meets_is_kept_while_it_can_be_written_beside_it():
    """Row 0: a unit faded to 2^-1044, subnormal, beside an inflow of 1 to another; later it is lost as a whole."""
    T = 200
    logs = powers(-6, T, "float64", [(T - 174 - 1, 1, 1.0)])
    np.testing.assert_array_equal(logs[T - 174, 0], [-1044, 0, -np.inf])
    logs = powers(-6, T, "float64", [(T - 180 - 1, 1, 1.0)])
    np.testing.assert_array_equal(logs[T - 180, 0], [-np.inf, 0, -np.inf])
    # The other way round: an inflow of 1 to a row of 2^2000 is lost, not turned into something else.
    logs = powers(4, 600, "float64", [(99, 1, 1.0)])
    np.testing.assert_array_equal(logs[100, 0], [2000, -np.inf, -np.inf])
    logs = powers(4, 600, "float64", [(399, 1, 1.0)])
    np.testing.assert_array_equal(logs[400, 0], [800, 0, -np.inf])


@pytest.mark.plain_python
@np.errstate(all="ignore")
def test_rows_without_a_magnitude_are_left_alone(case):
    """0, infinity and NaN: no scale is made up for them, and no other row sees them."""
    for dtype in DTYPES:
        problem = Problem(case, (4, 4, 2, 3), dtype)
        problem.forward()
        expected = stacked(problem.backward(every_state=True, keep_tape=True).states).copy()
        problem.dy[:, :3] = 0
        for value in problem.dlast.values():
            value[:3] = np.array([0, np.inf, np.nan], dtype)[:, None]
        plain = problem.backward(every_state=True, keep_tape=True)
        scaled = problem.backward(every_state=True, log_scale=True)
        assert not scaled.exponents[:, 0].any() and not scaled.exponents[-1, 1:3].any()
        np.testing.assert_array_equal(unscaled(scaled.states, scaled.exponents), stacked(plain.states))
        np.testing.assert_array_equal(stacked(plain.states)[:, :, 3], expected[:, :, 3])


# What a cell declares --------------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_declaration(case):
    layer = case.layer(2, 3)
    cell = layer.cell
    assert cell.states[0] == "h" and set(cell.gates) <= set(cell.tape)
    steps = [
        step
        for pair in (cell.step_forward, cell.step_backward)
        for step in (pair if isinstance(pair, tuple) else (pair,))
    ]
    assert cell.paper and cell.reference.__doc__ and all(step.__doc__ for step in steps)
    assert {name for columns in cell.biases.values() for name in columns} <= set(cell.tape)
    assert set(cell.memory) <= {name for columns in cell.biases.values() for name in columns}
    assert layer.weights["W_ih"].shape == (2, 3 * len(cell.gates))
    for product in cell.products:
        assert layer.weights[product.weight].shape == (3, 3 * len(product.columns))
        assert product.stage == 0 or isinstance(cell.step_forward, tuple)


def test_every_file_is_a_case():
    found = {str(case).split("-")[0] for case in cases()}
    assert found == {*cells.names(), *(cell.name for cell in naive.CELLS)} and {"rnn", "lstm", "gru"} <= found
    assert [str(case) for case in cases() if case.cell.name == "rnn"] == [
        "rnn-tanh", "rnn-relu", "rnn-identity", "rnn-sigmoid",
    ]  # fmt: skip


@pytest.mark.parametrize("text, message", [
    ("def step(:", "line 1 cannot be imported: invalid syntax"),
    ("import numpy\n\n1 / 0", "line 3 cannot be imported: ZeroDivisionError: division by zero"),
    ("x = 1", "cannot be imported: AttributeError: module 'sandbox.cells.broken' has no attribute 'CELL'"),
    ("CELL = 3", "cannot be imported: TypeError: CELL must be a Cell, got int"),
])  # fmt: skip
def test_a_broken_cell_file_is_one_line(monkeypatch, tmp_path, text, message):
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.setattr(cells, "__path__", [str(tmp_path)])
    monkeypatch.setattr(cells, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ValueError, match=re.escape(message)):
        cells.load.__wrapped__("broken")
    sys.modules.pop("sandbox.cells.broken", None)

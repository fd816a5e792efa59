"""A linear recurrence run in chunks is the loop: states, gates and every gradient, whatever the number of chunks."""

from dataclasses import replace

import naive
import numpy as np
import pytest
from test_cells import Case, same

from sandbox import cells
from sandbox.cells import Cell
from sandbox.chunked import Chunked
from sandbox.errors import UsageError
from sandbox.kernels.activations import sigmoid
from sandbox.kernels.prefix import prefix_products, prefix_products_complex

# A cell with another decay at every step, in the tape: h_t = f h_{t-1} + (1 - f) n, f and n from the input.


def step_forward(t, first, last, z, states, weights, flags):
    """z[t]: pre-activation of f to f; n stays as it is."""
    one = z.dtype.type(1)
    for b in range(first, last):
        f, n, h_prev, h = z[t, b, 0], z[t, b, 1], states[0, t, b], states[0, t + 1, b]
        for j in range(z.shape[3]):
            f[j] = sigmoid(f[j])
            h[j] = f[j] * h_prev[j] + (one - f[j]) * n[j]


def step_backward(t, first, last, dz, states, weights, flags, ds, dweights):
    """dz[t]: f n to their dL/dz; ds: dL/dh_t to dL/dh_{t-1}."""
    one = dz.dtype.type(1)
    for b in range(first, last):
        f, n, h_prev, dh = dz[t, b, 0], dz[t, b, 1], states[0, t, b], ds[0, b]
        for j in range(dz.shape[3]):
            dz_f = dh[j] * (h_prev[j] - n[j]) * f[j] * (one - f[j])
            n[j] = dh[j] * (one - f[j])
            dh[j] = dh[j] * f[j]
            f[j] = dz_f


def reference(x, h, W_ih, b):
    """One step in NumPy."""
    f, n = np.split(x @ W_ih + b, 2, axis=-1)
    f = 1 / (1 + np.exp(-f))
    return (f * h + (1 - f) * n,)


GATED = Cell(
    paper="made for tests: a gate that sees the input alone",
    gates=("f", "n"),
    states=("h",),
    products=(),
    step_forward=step_forward,
    step_backward=step_backward,
    reference=reference,
    decay=lambda gates, weights, options: (gates["f"],),
    name="gated",
)
LINEAR = [GATED] + [cells.load(name) for name in cells.names() if cells.load(name).decay is not None]
D, H = 3, 5


@pytest.fixture(params=LINEAR, ids=lambda cell: cell.name)
def cell(request, monkeypatch):
    monkeypatch.setattr(cells, "load", lambda name: request.param)
    return request.param


def results(cell, T, B, dtype="float64", **how):
    """States, gates and gradients of a layer with random parameters; of the loop itself without `how`."""
    rng = np.random.default_rng([T, B])
    layer = Case(cell).layer(D, H, dtype)
    layer.vector += 0.3 * rng.standard_normal(layer.vector.size).astype(dtype)
    draw = lambda *shape: rng.standard_normal(shape).astype(dtype)
    start, end = ({name: draw(B, H) for name in cell.states} for _ in range(2))
    x, dy = draw(T, B, D), draw(T, B, layer.output_size)
    runner = Chunked(layer, **how) if how else layer
    run = runner.forward(x, start)
    found = {"y": run.y.copy()}
    found |= {f"state {name}": value.copy() for name, value in run.states.items()}
    found |= {f"gate {name}": value.copy() for name, value in run.gates.items()}
    gradients = runner.backward(dy, end, every_state=True)
    found |= {"x": gradients.x, "z": gradients.z, **layer.gradients}
    found |= {f"start {name}": value for name, value in gradients.start.items()}
    return found | {f"dL/d{name}": value for name, value in gradients.states.items()}


def check(cell, T, B, dtype="float64", tolerance=1e-12, **how):
    expected, found = results(cell, T, B, dtype), results(cell, T, B, dtype, **how)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.dtype == dtype and value.shape == expected[name].shape, name
        assert np.abs(value - expected[name]).max() <= tolerance * np.abs(expected[name]).max(), name


@pytest.mark.plain_python
@pytest.mark.parametrize("T, B, chunks", [(7, 2, 3), (6, 1, 2), (5, 2, 1), (3, 2, 8), (1, 1, 1), (9, 1, 9)])
def test_chunks_are_the_loop(cell, T, B, chunks):
    check(cell, T, B, chunks=chunks)


@pytest.mark.parametrize("T, B, chunks", [(1000, 2, 7), (999, 1, 64), (500, 4, 2)])
def test_chunks_are_the_loop_over_long_sequences(cell, T, B, chunks):
    check(cell, T, B, chunks=chunks, threads=2)
    check(cell, T, B, "float32", 1e-4, chunks=chunks)


def test_one_chunk_has_the_bits_of_the_loop(cell):
    expected = results(cell, 20, 3)
    for name, value in results(cell, 20, 3, chunks=1).items():
        np.testing.assert_array_equal(value, expected[name], name)


@pytest.mark.plain_python
def test_threads_change_no_bit(cell):
    expected = results(cell, 9, 2, chunks=4)
    for threads in (2, 3):
        for name, value in results(cell, 9, 2, chunks=4, threads=threads).items():
            same(value, expected[name], name)


@pytest.mark.plain_python
def test_gradients_are_those_of_the_reference(cell):
    """Not only of the loop: dL/dx of L = sum of y after all steps, by complex step."""
    layer = Case(cell).layer(D, H)
    x = np.random.default_rng(0).standard_normal((5, 1, D))
    runner = Chunked(layer, 2)
    runner.forward(x)
    found = runner.backward(np.ones((5, 1, layer.output_size))).x
    start = [np.zeros((1, H))] * len(cell.states)
    loss = lambda flat: naive.run(cell, layer.options, layer.parameters, flat.reshape(x.shape), start)[:, 1:].sum()
    np.testing.assert_allclose(found.ravel(), naive.gradient(loss, x.ravel()), rtol=1e-12, atol=1e-14)


@pytest.mark.plain_python
def test_parameters_are_read_at_every_pass_and_nothing_is_left_of_the_last(cell):
    layer = Case(cell).layer(D, H)
    runner = Chunked(layer, 3)
    for T in (7, 2, 8):
        layer.vector += 0.1
        x = np.random.default_rng(T).standard_normal((T, 2, D))
        y = runner.forward(x).y
        runner.backward(dy=np.ones_like(y), inputs=False)
        gradient = layer.gradient.copy()
        np.testing.assert_allclose(y, layer.forward(x).y, rtol=0, atol=1e-14)
        layer.backward(dy=np.ones_like(y))
        np.testing.assert_allclose(gradient, layer.gradient, rtol=1e-12, atol=1e-13)


@pytest.mark.plain_python
def test_inputs_stay_as_they_are(cell):
    layer = Case(cell).layer(D, H)
    x, start = np.ones((6, 2, D)), {"h": np.ones((2, H))}
    dy, vector = np.ones((6, 2, layer.output_size)), layer.vector.copy()
    runner = Chunked(layer, 3)
    runner.forward(x, start)
    runner.backward(dy, start)
    assert (x == 1).all() and (start["h"] == 1).all() and (dy == 1).all()
    np.testing.assert_array_equal(layer.vector, vector)


@pytest.mark.plain_python
def test_bad_input_is_one_line(cell):
    layer = Case(cell).layer(D, H)
    runner = Chunked(layer, 2)
    for text, attempt in (
        ("chunks must be a whole number from 1, got 0", lambda: Chunked(layer, 0)),
        ("threads must be a whole number from 1, got 1.5", lambda: Chunked(layer, 2, 1.5)),
        ("backward must follow a forward pass", runner.backward),
        (f"x must have shape (T, B, {D}) because input_size={D}, got (4, 2, 9)",
         lambda: runner.forward(np.ones((4, 2, 9)))),
        ("unknown state of cell", lambda: runner.forward(np.ones((4, 2, D)), {"k": np.ones((2, H))})),
        ("dy must be float64 of shape", lambda: runner.forward(np.ones((4, 2, D))) and runner.backward(np.ones(3))),
        ("zoneout must be 0 to run in chunks, got 0.5",
         lambda: Chunked(Case(cell).layer(D, H, zoneout=0.5, noise=np.random.default_rng(0)), 2)),
        ("cell must be a diagonal linear recurrence to be run in chunks",
         lambda: Chunked(Case(replace(cell, decay=None)).layer(D, H), 2)),
    ):  # fmt: skip
        with pytest.raises(UsageError) as error:
            attempt()
        assert text in str(error.value) and "\n" not in str(error.value)
    runner.forward(np.ones((4, 2, D)))
    runner.backward()
    with pytest.raises(UsageError, match="backward must follow"):
        runner.backward()


@pytest.mark.plain_python
def test_running_products():
    a = np.random.default_rng(0).standard_normal((2, 6, 4))
    real, re, im = a[0].copy(), *a.copy()
    prefix_products(real)
    np.testing.assert_allclose(real, np.cumprod(a[0], axis=0), rtol=1e-14)
    prefix_products_complex(re, im)
    np.testing.assert_allclose(re + 1j * im, np.cumprod(a[0] + 1j * a[1], axis=0), rtol=1e-13)

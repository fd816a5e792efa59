"""Initialisations: shapes, exact properties, distributions, and the gains their docstrings state."""

import numpy as np
import pytest
from scipy import stats

from sandbox import inits
from sandbox.kernels.linalg import largest_singular_value, spectral_radius
from sandbox.streams import stream

SQUARE = ("radius", "pascanu_smart_tanh")


def draw(name, rows, columns, seed=0, gain=1.0):
    return inits.initialise(name, stream("init", seed), rows, columns, gain)


def test_names_are_the_functions_of_the_module_in_order():
    assert inits.names() == (
        "orthogonal", "gaussian", "glorot", "identity", "scaled_identity", "small", "saxe", "pascanu_sigmoid",
        "pascanu_basic_tanh", "pascanu_smart_tanh", "pytorch", "radius", "sigma", "zeros")  # fmt: skip
    assert all(getattr(inits, name).__doc__ for name in inits.names())


@pytest.mark.plain_python
@pytest.mark.parametrize("name", inits.names())
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 5), (5, 2), (1, 4)])
def test_shape_type_and_gain(name, shape):
    if name in SQUARE and shape[0] != shape[1]:
        with pytest.raises(ValueError, match=rf"^rows and columns must be equal for init '{name}', got \d and \d"):
            draw(name, *shape)
        return
    W = draw(name, *shape)
    assert W.shape == shape and W.dtype == np.float64 and W.flags.c_contiguous and np.isfinite(W).all()
    np.testing.assert_array_equal(draw(name, *shape, gain=0.25), 0.25 * W)
    np.testing.assert_array_equal(draw(name, *shape, gain=1.3), 1.3 * W)


@pytest.mark.parametrize("name", inits.names())
def test_one_stream_gives_one_matrix_and_other_seeds_give_others(name):
    np.testing.assert_array_equal(draw(name, 6, 6, seed=4), draw(name, 6, 6, seed=4))
    drawn = name not in ("identity", "scaled_identity", "zeros")
    assert (draw(name, 6, 6, seed=4) != draw(name, 6, 6, seed=5)).any() == drawn


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (64, 64), (256, 256), (30, 7), (7, 30)])
def test_orthogonal(shape):
    W = draw("orthogonal", *shape)
    gram = W.T @ W if shape[0] >= shape[1] else W @ W.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), rtol=0, atol=1e-13)


def test_orthogonal_is_uniform_over_rotations_and_reflections():
    samples = np.array([draw("orthogonal", 3, 3, seed) for seed in range(600)])
    # Each entry of a uniform 3 x 3 orthogonal matrix is U(-1, 1) (Archimedes); without the sign rule R's signs leak in.
    for i in range(3):
        for j in range(3):
            assert stats.kstest(samples[:, i, j], "uniform", args=(-1, 2)).pvalue > 0.001
    reflections = np.mean(np.linalg.det(samples) < 0)
    assert abs(reflections - 0.5) < 4 * 0.5 / np.sqrt(600)


def test_gaussian_has_the_circular_laws_radius():
    W = draw("gaussian", 200, 200)
    assert stats.kstest(W.ravel() * np.sqrt(200), "norm").pvalue > 0.01
    radii = [spectral_radius(draw("gaussian", 200, 200, seed)) for seed in range(8)]
    assert np.mean(radii) == pytest.approx(1.0, abs=0.05)
    assert draw("gaussian", 400, 100).var() == pytest.approx(1 / 400, rel=0.03, abs=0)


@pytest.mark.parametrize("shape", [(200, 200), (50, 300)])
def test_glorot(shape):
    bound = np.sqrt(6 / sum(shape))
    W = draw("glorot", *shape)
    assert 0.999 * bound < np.abs(W).max() <= bound
    assert W.var() == pytest.approx(2 / sum(shape), rel=0.03, abs=0)
    assert stats.kstest(W.ravel(), "uniform", args=(-bound, 2 * bound)).pvalue > 0.01


@pytest.mark.parametrize("rows", [200, 30])
def test_pytorch_follows_the_hidden_size_for_both_matrices(rows):
    bound = 1 / np.sqrt(200)
    W = draw("pytorch", rows, 200)
    assert 0.999 * bound < np.abs(W).max() <= bound
    assert stats.kstest(W.ravel(), "uniform", args=(-bound, 2 * bound)).pvalue > 0.01


@pytest.mark.parametrize(("name", "gain"), [
    ("orthogonal", 1), ("identity", 1), ("scaled_identity", 0.01), ("saxe", 1.1), ("pascanu_smart_tanh", 0.95),
    ("radius", 1), ("zeros", 0),
])  # fmt: skip
def test_gains_that_are_exact(name, gain):
    assert spectral_radius(draw(name, 64, 64)) == pytest.approx(gain, abs=1e-12)


@pytest.mark.parametrize(("name", "gain"), [
    ("gaussian", 1), ("glorot", 1), ("pytorch", 3**-0.5), ("sigma", 0.5), ("small", 0.001 * 16),
    ("pascanu_sigmoid", 0.01 * 16), ("pascanu_basic_tanh", 0.1 * 16),
])  # fmt: skip
def test_gains_that_hold_for_wide_matrices(name, gain):
    matrices = [draw(name, 256, 256, seed) for seed in range(3)]
    one_step = np.mean([np.sqrt((W**2).sum() / 256) for W in matrices])
    assert one_step == pytest.approx(gain, rel=0.03 if name == "sigma" else 0.01, abs=0)
    # The radius of a random matrix is still about sqrt(ln N / 4 N) above its limit.
    assert gain < np.mean([spectral_radius(W) for W in matrices]) < 1.09 * gain


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (64, 64), (40, 9), (9, 40)])
def test_sigma_and_radius_are_exactly_one_by_lapack_as_well(shape):
    W = draw("sigma", *shape)
    assert np.linalg.norm(W, 2) == pytest.approx(1.0, abs=1e-13)
    assert largest_singular_value(W) == pytest.approx(1.0, abs=1e-13)
    if shape[0] == shape[1]:
        assert np.abs(np.linalg.eigvals(draw("radius", *shape))).max() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("shape", [(64, 64), (30, 7), (7, 30)])
def test_saxe_is_an_isometry_but_for_its_factor(shape):
    np.testing.assert_allclose(np.linalg.svd(draw("saxe", *shape), compute_uv=False), 1.1, rtol=1e-14)
    np.testing.assert_array_equal(draw("saxe", *shape), 1.1 * draw("orthogonal", *shape))


@pytest.mark.parametrize("name, deviation", [("small", 0.001), ("pascanu_sigmoid", 0.01), ("pascanu_basic_tanh", 0.1)])
@pytest.mark.parametrize("shape", [(200, 200), (6, 3000)])
def test_normal_numbers_of_one_deviation_whatever_the_width(name, deviation, shape):
    W = draw(name, *shape)
    assert W.std() == pytest.approx(deviation, rel=0.02)
    assert stats.kstest(W.ravel() / deviation, "norm").pvalue > 0.01


def test_pascanus_matrices_at_his_width():
    """Oracle j: N(0, .1) of his code is a standard deviation at H = 50, where it makes the gain .707."""
    one_step = [np.sqrt((draw("pascanu_basic_tanh", 50, 50, seed) ** 2).sum() / 50) for seed in range(20)]
    assert np.mean(one_step) == pytest.approx(0.70711, rel=0.01)
    sparse = draw("pascanu_smart_tanh", 50, 50)
    assert ((sparse != 0).sum(1) == 15).all()
    assert np.abs(np.linalg.eigvals(sparse)).max() == pytest.approx(0.95, abs=1e-12)
    where = np.mean([draw("pascanu_smart_tanh", 50, 50, seed) != 0 for seed in range(200)], axis=0)
    assert np.abs(where - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 200)  # no place is preferred
    kept = sparse[sparse != 0]
    assert stats.kstest(kept / kept.std(), "norm").pvalue > 0.01
    assert (draw("pascanu_smart_tanh", 15, 15) != 0).all()


@pytest.mark.plain_python
def test_schemes():
    assert inits.scheme("irnn") == ("identity", "small")
    assert inits.scheme("irnn_short") == ("scaled_identity", "small")
    assert inits.scheme("pascanu_smart_tanh") == ("pascanu_smart_tanh", "pascanu_sigmoid")
    for name in inits.names():
        assert inits.scheme(name) == inits.SCHEMES.get(name, (name, "glorot"))
    for recurrent, entering in map(inits.scheme, inits.SCHEMES):
        assert draw(recurrent, 4, 4).shape == (4, 4) and draw(entering, 2, 4).shape == (2, 4)
    with pytest.raises(ValueError, match="^unknown init 'irn'; did you mean 'irnn'?"):
        inits.scheme("irn")


@pytest.mark.plain_python
def test_identity_and_zeros():
    np.testing.assert_array_equal(draw("identity", 2, 3), [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(draw("scaled_identity", 2, 2), [[0.01, 0], [0, 0.01]])
    np.testing.assert_array_equal(draw("zeros", 2, 3), np.zeros((2, 3)))


@pytest.mark.plain_python
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("orthogonl", (2, 2), "unknown init 'orthogonl'; did you mean 'orthogonal'?"),
        ("names", (2, 2), "unknown init 'names'"),
        ("xyz", (2, 2), "unknown init 'xyz' (choose from: orthogonal, gaussian, glorot"),
        ("glorot", (0, 2), "rows and columns must be at least 1, got 0 and 2"),
        ("radius", (2, 3), "rows and columns must be equal for init 'radius', got 2 and 3 (init 'sigma' takes"),
    ],
)
def test_bad_names_and_sizes(name, shape, message):
    with pytest.raises(ValueError) as error:
        draw(name, *shape)
    assert str(error.value).startswith(message)

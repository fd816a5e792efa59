"""Pascanu's regulariser: exact for orthogonal matrices, its gradient by complex step, any magnitude."""

import doctest

import numpy as np
import pytest
from naive import gradient

from sandbox import Layer, inits, omega, stream
from sandbox.errors import UsageError

T, B, H = 6, 3, 4


def reference(dz, phi, W, form, norms):
    """The definition, one group at a time, complex-safe in W."""
    terms = []
    for t in range(len(dz) - 1):
        v = dz[t + 1] @ W.T * phi[t]
        for rows in [slice(None)] if norms == "step" else [slice(b, b + 1) for b in range(dz.shape[1])]:
            if not dz[t + 1][rows].any():
                continue
            square = (v[rows] ** 2).sum() / (dz[t + 1][rows] ** 2).sum()
            terms.append(((np.sqrt(square) if form == "paper" else square) - 1) ** 2)
    return sum(terms) / len(terms)


def problem(seed=0, dtype="float64"):
    rng = np.random.default_rng(seed)
    dz, phi = rng.standard_normal((T, B, H)), rng.random((T, B, H))
    dz[3], dz[4, 1] = 0, 0  # a step that does not count, and a row
    return dz.astype(dtype), phi.astype(dtype), rng.standard_normal((H, H)).astype(dtype)


@pytest.mark.plain_python
@pytest.mark.parametrize("norms", omega.NORMS)
@pytest.mark.parametrize("form", omega.FORMS)
def test_value_and_gradient_are_those_of_the_definition(form, norms):
    dz, phi, W = problem()
    f = lambda flat: reference(dz, phi, flat.reshape(H, H), form, norms)
    value, dW = omega.omega(dz, phi, W, form, norms=norms)
    assert type(value) is float and value == pytest.approx(f(W.ravel()), rel=1e-12)
    np.testing.assert_allclose(dW.ravel(), gradient(f, W.ravel()), rtol=1e-12, atol=1e-12)
    assert reference(dz, phi, W, form, "step") != pytest.approx(reference(dz, phi, W, form, "row"), rel=1e-3)


@pytest.mark.plain_python
def test_steps_are_the_default():
    dz, phi, W = problem()
    assert omega.omega(dz, phi, W)[0] == omega.omega(dz, phi, W, "paper", norms="step")[0]


@pytest.mark.parametrize("norms", omega.NORMS)
@pytest.mark.parametrize("gain", [0.5, 0.9, 1.0, 1.3, 4.0])
def test_oracle_n_of_a_scaled_orthogonal_matrix(gain, norms):
    W = inits.initialise("orthogonal", stream("init", 0), 16, 16, gain)
    dz, phi = np.random.default_rng(1).standard_normal((9, 5, 16)), np.ones((9, 5, 16))
    close = lambda x: pytest.approx(x, rel=0, abs=1e-12 * max(1, gain**4))
    assert omega.omega(dz, phi, W, "paper", norms=norms)[0] == close((gain - 1) ** 2)
    assert omega.omega(dz, phi, W, "code", norms=norms)[0] == close((gain**2 - 1) ** 2)
    assert omega.omega(dz[-2:], phi[-2:], W, norms=norms)[0] == close((gain - 1) ** 2)


@pytest.mark.parametrize("norms", omega.NORMS)
@pytest.mark.parametrize("form", omega.FORMS)
def test_the_scale_of_the_gradient_does_not_matter(form, norms):
    dz, phi, W = problem()
    value, dW = omega.omega(dz, phi, W, form, norms=norms)
    falling = np.ldexp(dz, np.linspace(-660, 660, T).astype(int)[:, None, None])  # 1e-200 to 1e200 in one sequence
    for scaled in (np.ldexp(dz, -664), np.ldexp(dz, 664), falling):
        again, other = omega.omega(scaled, phi, W, form, norms=norms)
        assert again == value
        np.testing.assert_array_equal(other, dW)
    for factor in (1e-200, 1e200):
        again, other = omega.omega(dz * factor, phi, W, form, norms=norms)
        assert again == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(other, dW, rtol=1e-11, atol=1e-13)


def test_a_matrix_of_any_size_keeps_the_ratio():
    dz, phi, _ = problem()
    value, dW = omega.omega(dz, np.ones_like(phi), 1e-200 * np.eye(H))
    assert value == 1.0  # (1e-200 - 1)^2
    assert np.isfinite(dW).all() and np.trace(dW) == pytest.approx(-2.0, rel=1e-12)  # -2 tr sum u^T u / steps
    value, dW = omega.omega(dz, np.ones_like(phi), 1e150 * np.eye(H))
    assert value == pytest.approx(1e300, rel=1e-12) and np.trace(dW) == pytest.approx(2e150, rel=1e-12)


@pytest.mark.plain_python
@pytest.mark.parametrize("form", omega.FORMS)
def test_float32_agrees_with_float64(form):
    dz, phi, W = problem(dtype="float32")
    value, dW = omega.omega(dz, phi, W, form)
    wide, wide_dW = omega.omega(dz.astype(float), phi.astype(float), W.astype(float), form)
    assert dW.dtype == np.float32 and value == pytest.approx(wide, rel=1e-5)
    np.testing.assert_allclose(dW, wide_dW, atol=1e-5 * np.abs(wide_dW).max())
    small = omega.omega(np.ldexp(dz, -120), phi, W, form)
    assert small[0] == value and (small[1] == dW).all()


@pytest.mark.plain_python
def test_what_does_not_count_and_what_has_no_derivative():
    dz, phi, W = problem()
    for nothing in (np.zeros_like(dz), dz[:1], dz[:0], dz[:, :0]):
        value, dW = omega.omega(nothing, phi[: len(nothing), : nothing.shape[1]], W)
        assert value == 0.0 and dW.shape == (H, H) and not dW.any()
    for form in omega.FORMS:
        value, dW = omega.omega(dz, np.zeros_like(phi), W, form)
        assert value == 1.0 and not dW.any()  # r = 0 in each step that counts
    for form in omega.FORMS:
        value, dW = omega.omega(dz, phi, W, form)
        phi[2] = np.nan  # beside dz[3], which is zero
        again, other = omega.omega(dz, phi, W, form)
        assert again == value and (other == dW).all()
        phi[2] = 1
    value, _ = omega.omega(np.concatenate([dz, 0 * dz]), np.concatenate([phi, phi]), W)
    assert value == omega.omega(dz, phi, W)[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_gives_nan(bad):
    dz, phi, W = problem()
    dz[2, 1, 0] = bad
    value, dW = omega.omega(dz, phi, W)
    assert np.isnan(value) and np.isnan(dW).any()


def test_from_a_backward_pass_it_is_the_ratio_of_successive_gradients():
    layer = Layer("rnn", 2, 5, rng=stream("init", 0))
    rng = np.random.default_rng(2)
    run = layer.forward(rng.standard_normal((7, 3, 2)))
    phi = 1 - run.y**2
    found = layer.backward(dstates={"h": rng.standard_normal((3, 5))}, keep_tape=True)
    dz = np.ascontiguousarray(found.z[:, :, 0])
    norms = np.sqrt((dz**2).sum((1, 2)))  # only the last step feeds the loss: dL/dz_t is v_t
    value, _ = omega.omega(dz, phi, layer.parameters["W_hh"])
    assert value == pytest.approx(((norms[:-1] / norms[1:] - 1) ** 2).mean(), rel=1e-12)


def test_bad_input_is_one_line():
    dz, phi, W = problem()

    def message(*arguments, **named):
        with pytest.raises(UsageError) as caught:
            omega.omega(*arguments, **named)
        return str(caught.value)

    assert message(dz, phi, W, "papr") == "unknown form 'papr'; did you mean 'paper'?"
    assert message(dz, phi, W, norms="rows") == "unknown choice of norms 'rows'; did you mean 'row'?"
    assert "dz must be a float32 or float64 array of shape (T, B, H), got float64 (3, 4)" in message(dz[0], phi, W)
    assert "phi must be a float64 array of shape (6, 3, 4), like dz, got float64 (5, 3, 4)" in message(dz, phi[1:], W)
    assert "W must be a float64 array of shape (4, 4), like dz, got float32" in message(dz, phi, W.astype("f4"))


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(omega)
    assert result.failed == 0 and result.attempted >= 2

"""Pascanu's regulariser: keep the gradient's size on its way back through a plain RNN.

    z_t = h_{t-1} W + x_t W_ih + b,  h_t = phi(z_t)
    v_t = (dz_{t+1} W^T) phi'(z_t)       what of dL/dz_{t+1} arrives at z_t, dz_t = dL/dz_t
    r_t = |v_t| / |dz_{t+1}|
    Omega = mean over t of (r_t - 1)^2         "paper": Pascanu, Mikolov & Bengio 2013, eq. 9
                           (r_t^2 - 1)^2       "code": what the authors' program (trainingRNNs, RNN.py) computes

The paper sums over t; the mean, which the program takes, does not grow with the length. For W = gQ and phi' = 1,
r_t = g. The gradient is the *immediate* derivative by W, as in the paper's eq. 10: dz and phi' count as constants.

Norms are over all rows of a step by default, since the paper's E is one number and its dE/dx_t one vector. The
program divides row by row and takes the mean over all pairs (t, row): that is `norms="row"`. It leaves pairs with
|dL/dh|^2 below 1e-20 out, here only exact zeros are, since ratios of small vectors are as exact as any; and its vectors
are dL/dh_{t+1} and dL/dh_t, h being its state, where the paper's state is z.
"""

import numpy as np

from sandbox.errors import UsageError, unknown
from sandbox.kernels.gemm import add_product, add_transposed_product, pack
from sandbox.kernels.omega import normalise, penalise
from sandbox.kernels.reductions import total

__all__ = ["FORMS", "NORMS", "omega"]

FORMS = ("paper", "code")
NORMS = ("step", "row")


def omega(dz, phi, W, form="paper", *, norms="step"):
    """Value of the regulariser and its immediate derivative by the recurrent matrix.

    Parameters
    ----------
    dz : (T, B, H)
        dL/dz_t, by the pre-activations; of any magnitude, because only ratios matter. Steps (or rows) in which it is
        zero do not count.
    phi : (T, B, H)
        phi'(z_t).
    W : (H, H)
        Input-major, h @ W. All three of one dtype, float32 or float64.
    form : {"paper", "code"}
    norms : {"step", "row"}
        See the module's text.

    Returns
    -------
    value : float
        0 if no step counts; NaN where dz is not finite.
    dW : (H, H) array
        Where r_t is 0, which has no derivative in the paper's form, the step adds nothing.

    Raises
    ------
    UsageError
        For an unknown form or choice of norms, shapes or dtypes that do not fit.

    Examples
    --------
    >>> value, dW = omega(np.ones((3, 1, 1)), np.ones((3, 1, 1)), np.array([[1.5]]))
    >>> value, dW.tolist()
    (0.25, [[1.0]])
    """
    if form not in FORMS:
        raise unknown("form", form, FORMS)
    if norms not in NORMS:
        raise unknown("choice of norms", norms, NORMS)
    dz, phi, W = np.asarray(dz), np.asarray(phi), np.asarray(W)
    _check(dz, phi, W)
    T, B, H = dz.shape
    dW, pairs = np.zeros((H, H), dz.dtype), max(T - 1, 0)
    groups = pairs if norms == "step" else pairs * B
    if not (groups and B and H):
        return 0.0, dW
    U, V = np.empty((pairs * B, H), dz.dtype), np.zeros((pairs * B, H), dz.dtype)
    grouped = [np.ascontiguousarray(a).reshape(groups, -1) for a in (U, V, dz[1:], phi[:-1])]
    counted = normalise(grouped[2], grouped[0])
    if not counted:
        return 0.0, dW
    add_product(U, 0, pack(np.ascontiguousarray(W), transpose=True), V, 0, H)
    terms = np.empty(groups)
    penalise(grouped[0], grouped[1], grouped[3], form == "code", 1.0 / counted, terms)
    add_transposed_product(V, U, 0, H, dW, 0)
    return float(total(terms)) / counted, dW


def _check(dz, phi, W):
    if dz.dtype not in (np.float32, np.float64) or dz.ndim != 3:
        raise UsageError(f"dz must be a float32 or float64 array of shape (T, B, H), got {dz.dtype} {dz.shape}")
    for name, value, shape in (("phi", phi, dz.shape), ("W", W, (dz.shape[2], dz.shape[2]))):
        if value.dtype != dz.dtype or value.shape != shape:
            rule = f"a {dz.dtype} array of shape {shape}, like dz"
            raise UsageError(f"{name} must be {rule}, got {value.dtype} {value.shape}")

"""The parts of Pascanu's regulariser around its two products, on groups of rows.

    U, V  (groups, size)  U = dz / |dz| per group, V = (U W^T) phi' elementwise, r = |V| per group

Normalised first, so that neither 1e-200 nor 1e200 meets a square.
"""

import numpy as np

from sandbox.jit import kernel
from sandbox.kernels.clipping import factors
from sandbox.kernels.reductions import norm


@kernel
def normalise(dz, U):
    """U[g] = dz[g] / |dz[g]| in dz's dtype; zeros where |dz[g]| is 0, NaN where it is not finite.

    Returns how many groups are not zero.
    """
    counted = 0
    for g in range(dz.shape[0]):
        row, unit = dz[g], U[g]
        length = norm(row)
        first, second = 0.0, 0.0
        if not np.isfinite(length):
            second = np.nan
        elif length > 0.0:
            first, second = factors(length, 1.0)
        counted += 1 if length != 0.0 else 0
        for j in range(row.size):
            unit[j] = (float(row[j]) * first) * second
    return counted


@kernel
def penalise(U, V, phi, squared, share, terms):
    """V: U W^T to dOmega/d(U W^T); terms (groups,): the groups' terms, zero where U is.

    With r = |V phi| the term is (r - 1)^2, and (r - 1) / r 2 V phi phi its derivative, or `squared` (r^2 - 1)^2 and
    (r^2 - 1) 4 V phi phi; derivatives times `share`. At r = 0, where the first has none, it is 0.
    """
    for g in range(V.shape[0]):
        row, slope = V[g], phi[g]
        seen = False
        for j in range(row.size):
            row[j] = row[j] * slope[j]
            seen = seen or U[g, j] != 0
        r = norm(row)
        excess = r * r - 1.0 if squared else r - 1.0
        terms[g] = excess * excess if seen else 0.0
        unit = 1.0 if squared else r
        factor = (4.0 if squared else 2.0) * (excess * share)
        for j in range(row.size):
            row[j] = factor * ((float(row[j]) / unit) * float(slope[j])) if unit > 0.0 and seen else 0.0

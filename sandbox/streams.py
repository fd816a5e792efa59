"""Named random streams, and draws from them that have the same bits on every machine.

A stream is keyed by what it is for and by the seed, and by nothing else: another cell in the sweep, another flag or
another width shifts no other draw, and all cells see the same data. Its integers and uniforms are PCG64's (O'Neill
2014), which are exact everywhere. Normal variates are uniforms mapped by this project's own inverse normal
distribution function, because `Generator.standard_normal` calls the machine's libm in its tails.
"""

import operator

import numpy as np

from sandbox.errors import UsageError, shorten, unknown
from sandbox.kernels.normal import normal_quantile_array

__all__ = ["PURPOSES", "normal", "stream", "uniform"]

PURPOSES = ("init", "data", "test", "dropout", "order", "probe")


def stream(purpose: str, seed: int) -> np.random.Generator:
    """Return the generator of one purpose and seed, independent of those of every other purpose and seed.

    Parameters
    ----------
    purpose
        One of `PURPOSES`: parameters, inputs and targets, those held out, dropout masks, order of examples, measuring
        vectors.
    seed
        A non-negative integer, the replicate's number.

    Raises
    ------
    UsageError
        For an unknown purpose or a seed that is negative or not an integer.

    Examples
    --------
    >>> int(stream("init", 0).integers(1000)), int(stream("data", 0).integers(1000))
    (112, 641)
    """
    if purpose not in PURPOSES:
        raise unknown("stream", purpose, PURPOSES)
    try:
        entropy = operator.index(seed)
    except TypeError:
        entropy = -1
    if entropy < 0 or isinstance(seed, bool):
        raise UsageError(f"seed must be a whole number from 0, got {shorten(repr(seed))}")
    key = np.random.SeedSequence(entropy, spawn_key=tuple(purpose.encode()))
    return np.random.Generator(np.random.PCG64(key))


def uniform(rng: np.random.Generator, shape, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Draw float64 from U[low, high): low + (high - low) u with u a multiple of 2^-53."""
    return low + (high - low) * rng.random(shape)


def normal(rng: np.random.Generator, shape) -> np.ndarray:
    """Draw float64 from N(0, 1), as the normal quantile of p = u + 2^-54, u uniform.

    The half step makes p symmetric about 1/2 and keeps it off 0 and 1; p - 1/2 is exact. No draw exceeds 8.3.
    """
    u = rng.random(shape)
    return normal_quantile_array((u.ravel() - 0.5) + 2.0**-54).reshape(u.shape)  # flat: compiled for one shape only

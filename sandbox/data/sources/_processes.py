"""What stand-ins of series are made of: waves, and noise that remembers."""

import numpy as np

__all__ = ["persistent", "wave"]


def wave(steps, period, phase=0.0):
    """Return a sine of this period, in steps, at steps 0, 1, ...: (N,)."""
    from sandbox.kernels.activations import sinpi_array

    turns = np.arange(steps) / period + phase
    return sinpi_array(2.0 * (turns - np.floor(turns)))


def persistent(rng, shape, memory):
    """Return a_t = memory a_{t-1} + e_t, of variance 1: (N,) or (N, C), `memory` one number or C."""
    from sandbox.streams import normal

    memory = np.asarray(memory, np.float64)
    noise = normal(rng, shape) * np.sqrt(1.0 - memory * memory)
    noise[0] /= np.sqrt(1.0 - memory * memory)
    for t in range(1, len(noise)):
        noise[t] += memory * noise[t - 1]
    return noise

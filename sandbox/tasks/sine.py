"""Sine: forecast the next value of a sine of unknown frequency and phase.

    x_t = sqrt(2) sin(2 pi (f t + phi)),   f ~ U[1/40, 1/10) turns a step,   phi ~ U[0, 1),   target x_{t+1}

Mean 0, variance 1. The value alone does not say whether it rises or falls, nor how fast. The first `WASHOUT` steps do
not count. Loss: squared error.
"""

import numpy as np

from sandbox.tasks import Batch, Task, nrmse, score_below, washed_out

WASHOUT, SLOW, FAST = 10, 1 / 40, 1 / 10
MEAN_COSINE = 0.9153547206473413  # of 2 pi f: (sin(2 pi FAST) - sin(2 pi SLOW)) / (2 pi (FAST - SLOW))


def sample(rng, batch, seq_len):
    """Draw frequencies and phases."""
    from sandbox.kernels.activations import sinpi_array

    frequency, phase = SLOW + (FAST - SLOW) * rng.random(batch), rng.random(batch)
    turns = np.arange(seq_len + 1)[:, None] * frequency + phase
    x = np.sqrt(2.0) * sinpi_array(2.0 * (turns - np.floor(turns)))[:, :, None]
    mask = washed_out(seq_len, batch, WASHOUT)
    return Batch(x[:-1].copy(), x[1:].copy(), mask)


def baseline(seq_len):
    """Persistence, the present value as forecast: 2 - 2 E cos(2 pi f) = 0.169."""
    return 2.0 - 2.0 * MEAN_COSINE


def oracle(batch):
    """x_{t+1} = 2 c x_t - x_{t-1}, with c = cos(2 pi f) fitted to all steps so far."""
    x, forecast = batch.x, np.zeros_like(batch.x)
    products, squares = np.zeros(x.shape[1:]), np.zeros(x.shape[1:])
    for t in range(2, len(x)):
        products += x[t - 1] * (x[t] + x[t - 2])
        squares += x[t - 1] ** 2
        forecast[t] = products / squares * x[t] - x[t - 1]
    return forecast


TASK = Task(
    paper="-",
    input_size=1,
    output_size=1,
    loss="mse",
    head="every",
    sample=sample,
    baseline=baseline,
    oracle=oracle,
    optimum=lambda seq_len: 0.0,
    score_name="nrmse",
    score=nrmse,
    solved=score_below(0.05),
    rule="NRMSE < 0.05",
    minimum=WASHOUT + 1,
    seq_len=100,
)

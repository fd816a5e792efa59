"""Mackey-Glass: forecast the next value of a chaotic series whose equation has a delay of 17.

    dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t)

Integrated by the trapezoid rule with a step of 0.1, explicit here because the delayed term is known. Each row starts
from a constant history U[0.5, 1.5) and is observed once per unit of time, from a time in [250, 300) on. Input x_t,
target x_{t+1}, both (x - 0.93) / 0.226: mean 0, variance 1. The first `WASHOUT` steps do not count, because the delayed
value has not been seen until then. Loss: squared error.

Mackey & Glass 1977; as a benchmark: Jaeger & Haas 2004.
"""

import numpy as np

from sandbox.tasks import Batch, Task, nrmse, score_below, washed_out, whole

PER_UNIT, DELAY, WASHOUT = 10, 170, 20
CENTRE, SCALE = 0.93, 0.226
HALF = 0.5 / PER_UNIT
DECAY, GAIN = (1 - 0.1 * HALF) / (1 + 0.1 * HALF), HALF / (1 + 0.1 * HALF)
PERSISTENCE = 0.02147  # measured on 4 million steps


def production(x):
    """Return 0.2 x / (1 + x^10), without a power function."""
    square = x * x
    fourth = square * square
    return 0.2 * x / (1.0 + fourth * fourth * square)


def sample(rng, batch, seq_len):
    """Integrate fresh orbits, a delay at a time."""
    start, first = 0.5 + rng.random(batch), whole(rng, 250, 300, batch)
    steps = (300 + seq_len) * PER_UNIT
    x = np.empty((DELAY + 1 + steps + DELAY, batch))
    x[: DELAY + 1] = start
    for n in range(DELAY, DELAY + steps, DELAY):
        delayed = production(x[n - DELAY : n + 1])
        source = GAIN * (delayed[:-1] + delayed[1:])
        for i in range(DELAY):
            x[n + i + 1] = DECAY * x[n + i] + source[i]
    times = DELAY + PER_UNIT * (first + np.arange(seq_len + 1)[:, None])
    x = ((x[times, np.arange(batch)] - CENTRE) / SCALE)[:, :, None]
    return Batch(x[:-1].copy(), x[1:].copy(), washed_out(seq_len, batch, WASHOUT))


def baseline(seq_len):
    """Persistence, the present value as forecast: an NRMSE of 0.146."""
    return PERSISTENCE


def oracle(batch):
    """Interpolate the values 17 to 16 units ago by a cubic through four observations, and integrate a unit."""
    x, forecast = CENTRE + SCALE * batch.x, np.zeros_like(batch.x)
    s = np.arange(PER_UNIT + 1) / PER_UNIT  # from t - 17 to t - 16
    a, b, c, d = s * (1 - s) * (s - 2) / 6, (s * s - 1) * (s - 2) / 2, s * (s + 1) * (2 - s) / 2, s * (s * s - 1) / 6
    for t in range(18, len(x)):
        value, (p, q, r, u) = x[t], x[t - 18 : t - 14]
        delayed = [production(a[i] * p + b[i] * q + c[i] * r + d[i] * u) for i in range(PER_UNIT + 1)]
        for i in range(PER_UNIT):
            value = DECAY * value + GAIN * (delayed[i] + delayed[i + 1])
        forecast[t] = (value - CENTRE) / SCALE
    return forecast


TASK = Task("Mackey & Glass 1977; Jaeger & Haas 2004", 1, 1, "mse", "every", sample, baseline, oracle,
            lambda seq_len: 0.0, "nrmse", nrmse, score_below(0.02), "NRMSE < 0.02",
            WASHOUT + 1, 200)  # fmt: skip

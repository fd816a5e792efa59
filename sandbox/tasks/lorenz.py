"""Lorenz: forecast the next value of one coordinate of a chaotic flow.

    dx/dt = 10 (y - x)      dy/dt = x (28 - z) - y      dz/dt = x y - 8/3 z

Integrated by the classical Runge-Kutta rule with a step of 0.02 from x, y ~ U[-10, 10), z ~ U[15, 35), and observed
every 0.06 after 50 observations which are thrown away. Input x_t / 7.93, target x_{t+1} / 7.93: mean 0, variance 1. y
and z are not seen; only the past of x tells them. The first `WASHOUT` steps do not count. Loss: squared error.

Lorenz 1963, eqs. 25-27.
"""

import numpy as np

from sandbox.tasks import Batch, Task, nrmse, score_below, washed_out

STEP, PER_OBSERVATION, SCALE = 0.02, 3, 7.93
UNSEEN, WASHOUT = 50, 30  # observations
PERSISTENCE = 0.0970  # measured on 2 million steps


def slope(state):
    """Return the derivative of x, y, z: (3, B)."""
    x, y, z = state
    return np.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])


def advance(state):
    """Return the state one observation later."""
    for _ in range(PER_OBSERVATION):
        k1 = slope(state)
        k2 = slope(state + 0.5 * STEP * k1)
        k3 = slope(state + 0.5 * STEP * k2)
        k4 = slope(state + STEP * k3)
        state = state + STEP / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)
    return state


def sample(rng, batch, seq_len):
    """Integrate fresh orbits."""
    state = 20.0 * rng.random((3, batch)) - np.array([[10.0], [10.0], [-15.0]])
    observed = []
    for t in range(UNSEEN + seq_len + 1):
        if t >= UNSEEN:
            observed.append(state[0] / SCALE)
        state = advance(state)
    x = np.stack(observed)[:, :, None]
    return Batch(x[:-1].copy(), x[1:].copy(), washed_out(seq_len, batch, WASHOUT))


def baseline(seq_len):
    """Persistence, the present value as forecast: an NRMSE of 0.311."""
    return PERSISTENCE


def oracle(batch):
    """Integrate a copy; each observation sets its x and moves its y by 1.5 times the surprise (Luenberger observer)."""
    state, forecast = np.repeat([[0.0], [0.0], [25.0]], batch.x.shape[1], axis=1), np.zeros_like(batch.x)
    for t, seen in enumerate(SCALE * batch.x[:, :, 0]):
        state = advance(np.stack([seen, state[1] + 1.5 * (seen - state[0]), state[2]]))
        forecast[t] = state[0][:, None] / SCALE
    return forecast


TASK = Task("Lorenz 1963, eqs. 25-27", 1, 1, "mse", "every", sample, baseline, oracle, lambda seq_len: 0.0, "nrmse",
            nrmse, score_below(0.1), "NRMSE < 0.1", WASHOUT + 1, 150)  # fmt: skip

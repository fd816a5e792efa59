"""NARMA10: follow a nonlinear moving average of order ten, driven by noise.

    y_{t+1} = 0.3 y_t + 0.05 y_t (y_t + ... + y_{t-9}) + 1.5 u_{t-9} u_t + 0.1,   u_t ~ U[0, 0.5)

with y and u zero before the start. Input (u_t - 0.25) sqrt(48), target (y_{t+1} - 0.387) / 0.108: mean 0, variance 1
within a few percent. y is cut off at 1, where it would run away: 3 rows in 1000 of 200 steps touch that. The first
`WASHOUT` steps, in which the sum fills up, do not count. Loss: squared error. The best linear filter of the last 50
inputs has an NRMSE of 0.386 (0.149 squared): what is below has memory and is nonlinear.

Atiya & Parlos 2000, eq. 86.
"""

import numpy as np

from sandbox.tasks import Batch, Task, nrmse, score_below, washed_out

ORDER, WASHOUT = 10, 30
CENTRE, SCALE = 0.387, 0.108


def follow(u):
    """Return y_{t+1} for every step: inputs u and outputs (T, B)."""
    y, silent = [np.zeros(u.shape[1])] * ORDER, np.zeros(u.shape[1])
    for t in range(len(u)):
        window = y[-1]
        for past in y[-2 : -ORDER - 1 : -1]:
            window = window + past
        early = u[t - ORDER + 1] if t >= ORDER - 1 else silent
        y.append(np.clip(0.3 * y[-1] + 0.05 * y[-1] * window + 1.5 * early * u[t] + 0.1, 0.0, 1.0))
    return np.stack(y[ORDER:])


def sample(rng, batch, seq_len):
    """Draw inputs and follow them."""
    u = 0.5 * rng.random((seq_len, batch))
    x, target = (u - 0.25) * np.sqrt(48.0), (follow(u) - CENTRE) / SCALE
    mask = washed_out(seq_len, batch, WASHOUT)
    return Batch(x[:, :, None], target[:, :, None], mask)


def baseline(seq_len):
    """Answer E[y_{t+1} | u_t] = 0.387 + 0.375 (u_t - 0.25): a variance of about 1.01 less 0.375^2 / (48 0.108^2)."""
    return 0.757


def oracle(batch):
    """Run the recursion on the inputs, keeping ten outputs and ten inputs."""
    return ((follow(batch.x[:, :, 0] / np.sqrt(48.0) + 0.25) - CENTRE) / SCALE)[:, :, None]


TASK = Task(
    paper="Atiya & Parlos 2000, eq. 86",
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
    solved=score_below(0.35),
    rule="NRMSE < 0.35",
    minimum=WASHOUT + 1,
    seq_len=200,
)

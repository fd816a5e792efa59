"""Adding problem: two numbers of a long sequence are marked; give their sum at its end.

Each step has two inputs: a number, independent and uniform, and a marker, 1 at two steps t1 and t2 and 0 elsewhere;
steps are counted from 0. Variant, numbers, target and where the markers are:

=========  =======  =======================  ========================================================================
`sum`      [0, 1)   x1 + x2                  t1 in [0, T//2), t2 in [T//2, T): one in each half
`hs97`     [-1, 1)  1/2 + (x1 + x2) / 4      t1 in [1, 11), t2 in [1, T//2) but t1; first and last step are marked -1
                                             (in the paper T varies by a tenth, and t1 may be 0, with x1 = 0 then)
`mean`     [0, 1)   (x1 + x2) / 2            t1 in [0, T//10), t2 in [T//10, T//2)
`centred`  [-1, 1)  x1 + x2                  as `sum`
=========  =======  =======================  ========================================================================

Loss: squared error. Score: share of answers off by more than 0.04 (`mean`: 0.2, a squared error of 0.04).
Hochreiter & Schmidhuber 1997, experiment 4 (`hs97`); Pascanu, Mikolov & Bengio 2013 (`mean`); Le et al. 2015 (`sum`).
"""

import numpy as np

from sandbox.tasks import Batch, Task, below, off_by, score_below, whole


def mark(rng, batch, seq_len, variant):
    """Draw the steps (B,) of both markers."""
    half = seq_len // 2
    if variant == "hs97":
        first = whole(rng, 1, min(11, half), batch)
        second = whole(rng, 1, half - 1, batch)
        return first, second + (second >= first)
    early, late = (seq_len // 10, half) if variant == "mean" else (half, seq_len)
    return whole(rng, 0, early, batch), whole(rng, early, late, batch)


def problem(paper, variant, combine, variance, rule, solved, low=0.0, minimum=2, tolerance=0.04):
    """Declare a task whose target is `combine` of two marked numbers from U[low, 1)."""

    def sample(rng, batch, seq_len):
        x, rows = np.zeros((seq_len, batch, 2)), np.arange(batch)
        x[:, :, 0] = low + (1.0 - low) * rng.random((seq_len, batch))
        first, second = mark(rng, batch, seq_len, variant)
        x[first, rows, 1] = x[second, rows, 1] = 1.0
        if variant == "hs97":
            x[0, :, 1] = x[-1, :, 1] = -1.0
        return Batch(x, combine(x[first, rows, 0], x[second, rows, 0])[:, None])

    def baseline(seq_len):
        """Answer the mean of the targets every time: their variance."""
        return variance

    def oracle(batch):
        """Keep both marked numbers."""
        marked = np.ascontiguousarray((batch.x[:, :, 1] == 1.0).T)
        kept = batch.x[:, :, 0].T[marked].reshape(-1, 2)
        return combine(kept[:, 0], kept[:, 1])[:, None]

    return Task(paper, 2, 1, "mse", "last", sample, baseline, oracle, lambda seq_len: 0.0, "error_rate",
                off_by(tolerance), solved, rule, minimum, 100)  # fmt: skip


TASK = {
    "sum": problem("Le, Jaitly & Hinton 2015", "sum", lambda a, b: a + b, 1 / 6,
                   "mean squared error < 0.01", below(0.01)),
    "hs97": problem("Hochreiter & Schmidhuber 1997, experiment 4", "hs97", lambda a, b: 0.5 + (a + b) / 4, 1 / 24,
                    "less than 1 % off by more than 0.04", score_below(0.01), -1.0, 6),
    "mean": problem("Pascanu, Mikolov & Bengio 2013", "mean", lambda a, b: (a + b) / 2, 1 / 24,
                    "less than 1 % off by more than 0.2", score_below(0.01), minimum=10, tolerance=0.2),
    "centred": problem("Le, Jaitly & Hinton 2015, numbers from U[-1, 1)", "centred", lambda a, b: a + b, 2 / 3,
                       "mean squared error < 0.005", below(0.005), -1.0),
}  # fmt: skip

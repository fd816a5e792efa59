"""Latching: the first three inputs tell the class, what follows is noise; say the class at the end.

One input x_t, class s = -1 or +1 with equal probability, e_t ~ N(0, 1) independent:

==============  ===================  ====================  ================================================
variant         t < 3                t >= 3                length
==============  ===================  ====================  ================================================
`bengio`        s + 0.2 e_t          0.2 e_t               T
`two_sequence`  s                    sqrt(0.2) e_t         each row its own, from 10 T / 11 to T
==============  ===================  ====================  ================================================

Target 1 for s = +1 and 0 for s = -1, a single logistic output. In Bengio et al. the values of the first inputs are
learned as well; experiment 3a fits the targets by squared error.

Bengio, Simard & Frasconi 1994; Hochreiter & Schmidhuber 1997, experiment 3a (its two-sequence problem).
"""

import numpy as np

from sandbox.tasks import Batch, Task, accuracy, ln, reached, whole

TOLD = 3


def latch(paper, noise, noise_first, varied):
    """Declare the task with Gaussian noise of standard deviation `noise` after, `noise_first` on, the first inputs."""

    def sample(rng, batch, seq_len):
        from sandbox.streams import normal

        label = whole(rng, 0, 2, batch)
        lengths = whole(rng, max(TOLD + 1, 10 * seq_len // 11) if varied else seq_len, seq_len + 1, batch)
        x = noise * normal(rng, (seq_len, batch))
        x[:TOLD] *= noise_first / noise
        x[:TOLD] += 2.0 * label - 1.0
        x[np.arange(seq_len)[:, None] >= lengths] = 0.0
        return Batch(x[:, :, None], label.astype(np.float64)[:, None], lengths=lengths if varied else None)

    def baseline(seq_len):
        """Both classes with equal probability: ln 2."""
        return ln(2)

    def oracle(batch):
        """Add up the first three inputs; times 50 this is the log odds 2 s / 0.2^2 of `bengio`."""
        return 50.0 * (batch.x[0] + batch.x[1] + batch.x[2])

    return Task(paper, 1, 1, "binary", "last", sample, baseline, oracle, lambda seq_len: 0.0, "accuracy", accuracy,
                reached(0.99), "at least 99 % right", TOLD + 1, 100)  # fmt: skip


TASK = {
    "bengio": latch("Bengio, Simard & Frasconi 1994", 0.2, 0.2, varied=False),
    "two_sequence": latch("Hochreiter & Schmidhuber 1997, experiment 3a", float(np.sqrt(0.2)), 0.0, varied=True),
}

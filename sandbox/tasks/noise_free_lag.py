"""Noise-free time lag: predict every next symbol of one of two sequences that differ in their first and last symbol.

With s = x or y at equal probability, T inputs and their targets:

    input    s    a_1  a_2  ...  a_{T-2}  e
    target   a_1  a_2  a_3  ...  e        s

The paper has a symbol of its own for each step, so that its network grows with the lag. Here they are ten, taken in
turn, and the last one is e, which tells that s is due. When e is due cannot be told without counting all steps; that
prediction does not count. Score: share of sequences whose last target is right.

===========  ==========================================
`all`        every prediction counts in the loss
`recall`     the last one only
===========  ==========================================

Hochreiter & Schmidhuber 1997, experiment 2a.
"""

import numpy as np

from sandbox.tasks import Batch, Task, accuracy, ln, logits, one_hot, reached, whole

CYCLE, LAST, SYMBOLS = 10, 10, 13  # a_1 to a_10, e, then x and y


def lag(recall_only):
    """Declare the task."""

    def sample(rng, batch, seq_len):
        symbols = np.repeat((np.arange(seq_len + 1) - 1)[:, None] % CYCLE, batch, axis=1)
        symbols[seq_len - 1] = LAST
        symbols[0] = symbols[seq_len] = LAST + 1 + whole(rng, 0, 2, batch)
        mask, scored = np.full((seq_len, batch), not recall_only), np.zeros((seq_len, batch), bool)
        mask[-1] = scored[-1] = True
        mask[-2] = False
        return Batch(one_hot(symbols[:-1], SYMBOLS), symbols[1:], mask, scored=scored)

    def baseline(seq_len):
        """All but s known, x and y with equal probability: ln 2 / (T - 1), or ln 2 where only the recall counts."""
        return ln(2) if recall_only else ln(2) / (seq_len - 1)

    def oracle(batch):
        """Keep the first symbol; otherwise the next one follows from the present one."""
        shown = batch.x.argmax(axis=2)
        following = np.where(shown < CYCLE, (shown + 1) % CYCLE, 0)
        return logits(one_hot(np.where(shown == LAST, shown[0], following), SYMBOLS))

    return Task("Hochreiter & Schmidhuber 1997, experiment 2a", SYMBOLS, SYMBOLS, "softmax", "every", sample, baseline,
                oracle, lambda seq_len: 0.0, "accuracy", accuracy, reached(0.99), "at least 99 % recalled",
                2, 100)  # fmt: skip


TASK = {"all": lag(recall_only=False), "recall": lag(recall_only=True)}

"""Temporal order: which of X and Y came first, second (and third) in a long sequence of distractors?

One-hot inputs: distractors a, b, c, d, then X, Y, E, B. A sequence of length L starts with E and ends with B; at two
(three) steps stands X or Y, elsewhere a random distractor. The class is the order: XX, XY, YX, YY (8 of three).

=========  =======================================================  ==============================
variant    steps of the relevant symbols, both ends included        source
=========  =======================================================  ==============================
`2`        [L/10, L/5], [L/2, 3L/5]                                 experiment 6a, L = 100
`3`        [L/10, L/5], [33 L/100, 43 L/100], [66 L/100, 76 L/100]  experiment 6b, L = 100
`varied`   [L/10, L/5], [2L/5, L/2]; rows have their own L, from    Pascanu, Mikolov & Bengio 2013
           2/5 `seq_len` to `seq_len`: 20 to 50 for 50
=========  =======================================================  ==============================

Hochreiter & Schmidhuber 1997, experiments 6a and 6b, where L itself varies by a tenth.
"""

import numpy as np

from sandbox.tasks import Batch, Task, accuracy, ln, logits, one_hot, reached, whole

DISTRACTORS, X, START, END = 4, 4, 6, 7  # Y is X + 1
HS97 = "Hochreiter & Schmidhuber 1997, experiment "


def order(paper, places, varied=False):
    """Declare the task with relevant symbols at `places`: bounds in hundredths of the length."""
    classes = 2 ** len(places)

    def sample(rng, batch, seq_len):
        rows, steps = np.arange(batch), np.arange(seq_len)[:, None]
        lengths = whole(rng, 2 * seq_len // 5 if varied else seq_len, seq_len + 1, batch)
        shown = whole(rng, 0, DISTRACTORS, (seq_len, batch))
        label = np.zeros(batch, np.int64)
        for low, high in places:
            relevant = whole(rng, 0, 2, batch)
            shown[whole(rng, low * lengths // 100, high * lengths // 100 + 1, batch), rows] = X + relevant
            label = 2 * label + relevant
        shown[0], shown[lengths - 1, rows] = START, END
        shown = np.where(steps < lengths, shown, -1)
        return Batch(one_hot(shown, 8), label, lengths=lengths if varied else None)

    def baseline(seq_len):
        """All classes with equal probability: ln 4 (ln 8)."""
        return ln(classes)

    def oracle(batch):
        """Shift a register by one bit at every X or Y."""
        label = np.zeros(batch.x.shape[1], np.int64)
        for x in batch.x:
            label = np.where(x[:, X] + x[:, X + 1] > 0, 2 * label + (x[:, X + 1] > 0), label)
        return logits(one_hot(label, classes))

    return Task(paper, 8, classes, "softmax", "last", sample, baseline, oracle, lambda seq_len: 0.0, "accuracy",
                accuracy, reached(0.99), "at least 99 % right", *((25, 50) if varied else (10, 100)))  # fmt: skip


TASK = {
    "2": order(f"{HS97}6a", [(10, 20), (50, 60)]),
    "3": order(f"{HS97}6b", [(10, 20), (33, 43), (66, 76)]),
    "varied": order("Pascanu, Mikolov & Bengio 2013", [(10, 20), (40, 50)], varied=True),
}

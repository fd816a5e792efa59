"""Counting: predict which symbols may follow in a^n b^n, or in a^n b^n c^n.

A string is S, n times a, n times b (n times c), T, with n uniform from 1 to the largest that `seq_len` has room for,
(T - 1) // 2 (or // 3). Inputs S a b (c), one-hot; logistic outputs a b (c) T with the target 1 for every symbol that
may come next:

    after S: a      after an a: a or b      after the k-th b: b while k < n, then T (c)      after the k-th c: c, then T

Rows are single strings, zeros after them. Score: share of strings with every output right at every step; the paper
tests n up to 1000, which is a larger `seq_len` here.

Gers & Schmidhuber 2001.
"""

import numpy as np

from sandbox.tasks import Batch, Task, ln, logits, one_hot, reached, share, whole


def accepted(output, batch):
    """Share of strings whose legal symbols are all told from the others."""
    wrong = ((output > 0) != (batch.target > 0.5)) & batch.mask[:, :, None]
    return 1.0 - share(wrong.any(axis=(0, 2)), output[batch.mask])


def counting(letters):
    """Declare the task with strings of `letters` different letters."""

    def legal(shown, last):
        """Indicators of what may follow symbol `shown` (0 is S); the last of a run of b or c is followed by another."""
        target = one_hot(np.where(shown >= 2, shown - 1 + last, shown - 1 + (shown == 0)), letters + 1)
        target[:, :, 1] += shown == 1  # after an a also b
        return target

    def sample(rng, batch, seq_len):
        step = np.arange(seq_len)[:, None]
        n = whole(rng, 1, (seq_len - 1) // letters + 1, batch)
        mask = step <= letters * n
        shown = np.where(mask, (step + n - 1) // n, -1)
        return Batch(one_hot(shown, letters + 1), legal(shown, step % n == 0) * mask[:, :, None], mask, letters * n + 1)

    def baseline(seq_len):
        """Know the present symbol only: after a b (or c) the run ends with probability q = 1 / mean n."""
        mean = ((seq_len - 1) // letters + 1) / 2
        q = 1 / mean
        entropy = -q * ln(q) - (1 - q) * ln(1 - q) if q < 1 else 0.0
        return (letters - 1) * mean * 2 * entropy / ((letters + 1) * (letters * mean + 1))

    def oracle(batch):
        """Count the a, count down from there."""
        shown = np.where(batch.x.any(axis=2), batch.x.argmax(axis=2), -1)
        run, number, last = np.zeros(shown.shape[1], np.int64), 0, np.zeros(shown.shape, bool)
        for t in range(1, len(shown)):
            run = np.where(shown[t] == shown[t - 1], run + 1, 1)
            number = np.where(shown[t] == 1, run, number)
            last[t] = run == number
        return logits(legal(shown, last))

    return Task("Gers & Schmidhuber 2001", letters + 1, letters + 1, "binary", "every", sample, baseline,
                oracle, lambda seq_len: 0.0, "accepted", accepted, reached(0.99), "at least 99 % accepted",
                1 + 2 * letters, 10 * letters + 1)  # fmt: skip


TASK = {"anbn": counting(2), "anbncn": counting(3)}

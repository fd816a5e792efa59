"""Echo: say at every step which symbol was shown `lag` steps ago.

Inputs are random symbols, independent of each other, one-hot; at step t the target is the symbol of step t - lag. The
first `lag` steps have none and do not count. So what is needed lies exactly `lag` steps back, whatever the length of
the sequence: a window of k inputs answers all of it for lag < k and nothing beyond. What else has the answer must hold
the last lag + 1 symbols at every step. Score: share of right answers; chance is 1 / symbols.

The variants are lags; `lagged` makes the task of any other.

The symbols' version of short-term memory as Jaeger 2001 measures it (GMD report 152).
"""

import numpy as np

from sandbox.errors import UsageError
from sandbox.tasks import Batch, Task, accuracy, ln, logits, one_hot, reached, washed_out, whole


def lagged(lag, symbols=8):
    """Declare the task whose answer lies `lag` steps back."""
    for name, value, least in (("lag", lag, 1), ("symbols", symbols, 2)):
        if value < least:
            raise UsageError(f"{name} must be at least {least}, got {value}")

    def sample(rng, batch, seq_len):
        shown = whole(rng, 0, symbols, (seq_len, batch))
        target = np.zeros_like(shown)
        target[lag:] = shown[: seq_len - lag]
        return Batch(one_hot(shown, symbols), target, washed_out(seq_len, batch, lag))

    def baseline(seq_len):
        """All symbols with equal probability: ln symbols."""
        return ln(symbols)

    def oracle(batch):
        """Keep lag + 1 symbols."""
        answer = np.zeros(batch.target.shape, np.int64)
        answer[lag:] = batch.x.argmax(axis=2)[: len(answer) - lag]
        return logits(one_hot(answer, symbols))

    return Task("Jaeger 2001, Short term memory in echo state networks", symbols, symbols, "softmax", "every", sample,
                baseline, oracle, lambda seq_len: 0.0, "accuracy", accuracy, reached(0.99), "at least 99 % right",
                lag + 1, 2 * lag + 20, name=f"echo:{lag}")  # fmt: skip


TASK = {str(lag): lagged(lag) for lag in (10, 3, 30)}

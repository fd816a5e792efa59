"""A sequence of random symbols, to be written backwards: what is read last is written first.

Generated, and so always there. Each position has to be kept, or found again, on its own; the longer the sequence, the
more there is to keep. (Sutskever, Vinyals & Le 2014, section 3.3, reversed their sources because what a decoder writes
first is then near; here it is as near as it gets, and the end is twice as far as in a copy.)
"""

import numpy as np

from sandbox.alphabet import END, START
from sandbox.corpora import Corpus
from sandbox.tasks import Batch, Task, accuracy, ln, logits, reached, whole

__all__ = ["batch_of", "corpus"]

LONGEST = 20


def batch_of(rng, lengths, letters) -> Batch:
    """Draw sources of these lengths (B,), symbols from 0 to letters - 1, and what is to be written: START + 1 + symbol.

    >>> from sandbox.streams import stream
    >>> batch = batch_of(stream("data", 0), np.array([3, 1]), letters=4)
    >>> batch.x.T.tolist(), batch.target.T.tolist()
    ([[1, 3, 3], [1, 0, 0]], [[5, 5, 3, 0], [3, 0, 0, 0]])
    """
    longest = int(lengths.max())
    live = np.arange(longest)[:, None] < lengths
    x = np.where(live, whole(rng, 0, letters, live.shape), 0)
    return Batch(x, _backwards(x, lengths), np.arange(longest + 1)[:, None] <= lengths, lengths)


def _backwards(x, lengths):
    """The target (S + 1, B) of a source (S, B)."""
    place = lengths - 1 - np.arange(len(x) + 1)[:, None]
    symbols = x[np.clip(place, 0, None), np.arange(len(lengths))] + START + 1
    return np.where(place >= 0, symbols, END)


def corpus(letters: int = 10) -> Corpus:
    """Lengths uniform from 1 to `seq_len`.

    The loss of a writer who sees only the symbol it wrote last: with m = (seq_len + 1) / 2 the mean length it is
    m ln letters + m ln m - (m - 1) ln(m - 1) for the m + 1 symbols of a row.
    """

    def sample(rng, batch, seq_len):
        return batch_of(rng, whole(rng, 1, seq_len + 1, batch), letters)

    def baseline(seq_len):
        m = (seq_len + 1) / 2
        ends = m * ln(m) - (m - 1) * ln(m - 1) if m > 1 else 0.0
        return (m * ln(letters) + ends) / (m + 1)

    def oracle(batch):
        return logits(np.arange(letters + START + 1) == _backwards(batch.x, batch.lengths)[..., None])

    task = Task("generated", 1, letters + START + 1, "softmax", "decoder", sample, baseline, oracle,
                lambda seq_len: 0.0, "token_accuracy", accuracy, reached(0.999), "token accuracy >= .999", 1, LONGEST,
                symbols=letters, name="reverse")  # fmt: skip
    return Corpus(task, "generated", facts={"letters": letters})

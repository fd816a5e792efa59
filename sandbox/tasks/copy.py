"""Copy problem: repeat ten symbols after a long blank.

T = `seq_len` is the number of blanks; a sequence has T + 20 steps:

    input    10 symbols of 8   T - 1 blanks, delimiter   10 blanks
    target   T + 10 blanks                               the 10 symbols

Symbols 0 to 7, blank 8, delimiter 9, one-hot inputs; 9 output classes. Loss: cross-entropy averaged over all T + 20
steps. Score: accuracy on the last 10.

Hochreiter & Schmidhuber 1997 in spirit; this form: Arjovsky, Shah & Bengio 2016.
"""

import numpy as np

from sandbox.tasks import Batch, Task, accuracy, ln, logits, one_hot, reached, whole

SYMBOLS, KEPT = 8, 10
BLANK, DELIMITER = SYMBOLS, SYMBOLS + 1


def sample(rng, batch, seq_len):
    """Draw the symbols; everything else is the same in all sequences."""
    steps = seq_len + 2 * KEPT
    symbols = whole(rng, 0, SYMBOLS, (KEPT, batch))
    shown, target = np.full((steps, batch), BLANK), np.full((steps, batch), BLANK)
    shown[:KEPT], shown[-KEPT - 1], target[-KEPT:] = symbols, DELIMITER, symbols
    scored = np.zeros((steps, batch), bool)
    scored[-KEPT:] = True
    return Batch(one_hot(shown, SYMBOLS + 2), target, scored=scored)


def baseline(seq_len):
    """Blanks at the right steps, then all 8 symbols with equal probability: 10 ln 8 / (T + 20)."""
    return KEPT * ln(SYMBOLS) / (seq_len + 2 * KEPT)


def oracle(batch):
    """Keep the symbols and count steps from the delimiter."""
    answer = np.full(batch.x.shape[:2], BLANK)
    answer[-KEPT:] = batch.x[:KEPT].argmax(axis=2)
    return logits(one_hot(answer, SYMBOLS + 1))


TASK = Task(
    paper="Arjovsky, Shah & Bengio 2016",
    input_size=SYMBOLS + 2,
    output_size=SYMBOLS + 1,
    loss="softmax",
    head="every",
    sample=sample,
    baseline=baseline,
    oracle=oracle,
    optimum=lambda seq_len: 0.0,
    score_name="accuracy",
    score=accuracy,
    solved=reached(0.99),
    rule="at least 99 % of the recalled symbols right",
    minimum=1,
    seq_len=100,
)

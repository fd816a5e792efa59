"""Embedded Reber grammar: predict the next symbol; the second-last one of a string repeats its second one.

A string is B, T or P, a Reber string, the same T or P, E; alternatives have equal probability:

    Reber string:  B -> 1    1: T 2 | P 3    2: S 2 | X 4    3: T 3 | V 5    4: X 3 | S 6    5: P 4 | V 6    6: E

One-hot inputs, softmax over B T P S X V E. A string has 12 symbols on average, 9 at least, and is cut off after
`seq_len` predictions; zeros after its E do not count. `continual`: string after string, in streams that go on.
Score: share of outer symbols predicted right. Hochreiter & Schmidhuber 1997, experiment 1; Gers et al. 2000.
"""

import numpy as np

from sandbox.tasks import Batch, Task, accuracy, ln, logits, one_hot, reached

B, T, P, S, X, V, E = range(7)
OUTER, RECALL, DONE = 1, 9, 11  # states: before the outer symbol, before its repetition, after the string
GRAMMAR = np.array([  # [state, alternative]: symbol, next state
    [(B, 1), (B, 1)], [(T, 2), (P, 2)], [(B, 3), (B, 3)], [(T, 4), (P, 5)], [(S, 4), (X, 6)], [(T, 5), (V, 7)],
    [(X, 5), (S, 8)], [(P, 6), (V, 8)], [(E, 9), (E, 9)], [(T, 10), (P, 10)], [(E, 11), (E, 11)], [(B, 11), (B, 11)],
])  # fmt: skip


class _Strings:
    def __init__(self, rng, batch, grammar):
        self.rng, self.grammar = rng, grammar
        self.state, self.symbol, self.outer = (np.full(batch, first) for first in (OUTER, B, 0))

    def take(self, seq_len):
        trail = [(self.symbol, self.state)]
        for chosen in (self.rng.random((seq_len, self.state.size)) < 0.5).astype(np.int64):
            chosen = np.where(self.state == RECALL, self.outer, chosen)
            self.outer = np.where(self.state == OUTER, chosen, self.outer)
            self.symbol, self.state = self.grammar[self.state, chosen].T
            trail.append((self.symbol, self.state))
        symbols, states = np.array(trail).swapaxes(0, 1)
        x = one_hot(np.where(states[:-1] == DONE, -1, symbols[:-1]), 7)
        return Batch(x, symbols[1:].copy(), states[:-1] != DONE, scored=states[:-1] == RECALL)


def _reber(paper, grammar, seq_len, share):
    def baseline(seq_len, forgotten=True):
        """Know the grammar, forget the outer symbol: 8 ln 2 / 11 = 0.504 a prediction (continual: 8 ln 2 / 12)."""
        at, choices, count = np.eye(12)[OUTER], 0.0, 0.0
        for _ in range(seq_len):
            before, at, count = at, np.zeros(12), count + (1.0 - at[DONE])
            for state, p in enumerate(before):
                choices += p * (grammar[state, 0, 0] != grammar[state, 1, 0] and (state != RECALL or forgotten))
                for following in grammar[state, :, 1]:
                    at[following] += p / 2
        return float(ln(2) * choices / count)

    def oracle(batch):
        """Follow the grammar from the first B on and keep the outer symbol: equal logits for what is allowed."""
        state, outer, legal = np.zeros(batch.x.shape[1], np.int64), 0, []
        for shown in batch.x.argmax(axis=2):
            chosen = (shown == grammar[state, 1, 0]).astype(np.int64)
            outer, state = np.where(state == OUTER, chosen, outer), grammar[state, chosen, 1]
            alternatives = np.where(state == RECALL, outer, [[0], [1]])
            legal.append(one_hot(grammar[state, alternatives, 0], 7).max(axis=0))
        return logits(np.stack(legal))

    return Task(paper, 7, 7, "softmax", "every", lambda rng, batch, T: _Strings(rng, batch, grammar).take(T), baseline,
                oracle, lambda T: baseline(T, forgotten=False), "accuracy", accuracy, reached(share),
                f"at least {100 * share:g} % of the outer symbols right", 8, seq_len,
                None if grammar is GRAMMAR else lambda rng, batch: _Strings(rng, batch, grammar))  # fmt: skip


TASK = {"single": _reber("Hochreiter & Schmidhuber 1997, experiment 1", GRAMMAR, 40, 0.99),
        "continual": _reber("Gers et al. 2000", np.where(GRAMMAR == DONE, 0, GRAMMAR), 100, 0.95)}  # fmt: skip

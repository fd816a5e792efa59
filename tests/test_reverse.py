"""The reverse task, and what attention makes of it."""

import doctest

import numpy as np
import pytest
from naive import losses

from experiments.attention import attention
from sandbox import corpora
from sandbox.alphabet import END
from sandbox.corpora import reverse
from sandbox.streams import stream

TASK = corpora.load("reverse").task


def test_what_is_to_be_written_is_the_source_backwards():
    batch = TASK.draw(stream("data", 0), 50, 12)
    assert batch.x.shape == (batch.lengths.max(), 50) and batch.target.shape == (batch.lengths.max() + 1, 50)
    assert set(batch.lengths) == set(range(1, 13)) and set(batch.x[0]) == set(range(10))
    for b, n in enumerate(batch.lengths):
        assert batch.target[:, b].tolist() == [*(batch.x[:n, b][::-1] + 2), *[END] * (len(batch.target) - n)]
        assert batch.mask[:, b].tolist() == [True] * (n + 1) + [False] * (len(batch.target) - n - 1)
        assert not batch.x[n:, b].any()


def test_the_oracle_is_right_and_the_baseline_what_one_symbol_says():
    batch = TASK.draw(stream("data", 0), 4000, 20)
    assert losses(TASK, TASK.oracle(batch), batch).mean() < 1e-12
    # The best table of the next symbol by the last one, START among them, learned from what it is tested on.
    last = np.concatenate([np.ones((1, 4000), int), batch.target[:-1]])[batch.mask]
    counts = np.zeros((12, 12))
    np.add.at(counts, (last, batch.target[batch.mask]), 1)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    loss = -np.log(shares[last, batch.target[batch.mask]]).mean()
    assert abs(loss - TASK.baseline(20)) < 0.005
    assert abs(TASK.baseline(1) - np.log(10) / 2) < 1e-15


def test_the_examples():
    result = doctest.testmod(reverse)
    assert result.attempted and not result.failed


@pytest.mark.slow
def test_attention_takes_over_where_a_vector_of_fixed_size_breaks():
    """A third of the default's updates: the published band is .3 at twice the median."""
    settings = dict(cell="gru", hidden=32, seq_len=20, batch=32, lr=0.005, updates=1000, dtype="float32", seed=0)
    none, general = (attention(attention=kind, **settings)[0] for kind in ("none", "general"))
    assert general["exact_twice"] - none["exact_twice"] >= 0.3
    assert general["reach"] >= 18 > 8 >= none["reach"] >= 3
    assert general["aligned"] > 0.8 and none["aligned"] is None

"""Who says it: twelve numbers of each moment of a vowel in, one of nine speakers out; 7 to 29 steps.

Source: `vowels`, the cepstra of Kudo, Toyama & Shimbo 1999 ("Japanese Vowels", in aeon). Division: the source's own,
270 utterances to learn from and 370 held out. Channels are standardised by those learned from. Rival: the nearest
neighbour among the utterances, stretched to the longest one's length. The fact `mean_over_time` is what
the nearest neighbour of the mean over time gets right, which knows nothing of order and length.
"""

import numpy as np

from sandbox import data
from sandbox.corpora import Corpus
from sandbox.kernels.reductions import dot, mean
from sandbox.rivals import classes as rivals
from sandbox.shapes import classification


def corpus(path: str | None = None) -> Corpus:
    """The task; `path` is a file of one's own."""
    found = data.load("vowels", path)
    known, asked = found.records
    speakers = sorted(set(known[1]))
    labels = np.array([speakers.index(speaker) for speaker in (*known[1], *asked[1])], np.int64)
    rows = [np.asarray(rows, np.float64) for rows in (*known[0], *asked[0])]
    count = len(known[0])
    centre, spread = _scale(np.concatenate(rows[:count]))
    rows = [(each - centre) / spread for each in rows]
    parts = np.arange(count), np.arange(count, len(rows))
    task = classification("vowels", rows, labels, len(speakers), parts=parts, paper=found.label)
    longest = max(map(len, rows))
    stretched = np.array([each[np.arange(longest) * len(each) // longest].ravel() for each in rows])
    means = np.array([[mean(np.ascontiguousarray(channel)) for channel in each.T] for each in rows])
    centre, spread = _scale(means[:count])
    scores = [rivals.right(rivals.nearest_neighbour(x[:count], labels[:count], x[count:]), labels[count:])
              for x in (stretched, (means - centre) / spread)]  # fmt: skip
    facts = {"classes": [str(speaker) for speaker in speakers], "mean_over_time": scores[1],
             "majority": rivals.majority(labels[:count], labels[count:])}  # fmt: skip
    return Corpus(task, found.label, "nearest neighbour", scores[0], facts=facts)


def _scale(rows):
    """Mean and standard deviation of each column, (D,)."""
    columns = [np.ascontiguousarray(column) for column in rows.T]
    centre = np.array([mean(column) for column in columns])
    away = [column - middle for column, middle in zip(columns, centre, strict=True)]
    spread = np.sqrt(np.array([dot(each, each) / len(each) for each in away]))
    return centre, np.where(spread > 0, spread, 1.0)

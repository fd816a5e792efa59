"""Which digit a picture shows: its pixels in one after the other, by rows, or all at once; one of ten classes out.

Source: `digits`, 1 797 pictures of 8 x 8 (scikit-learn), or MNIST's files in a folder of one's own. Division: a fifth
at random is held out (`shapes.split`). Rival: the nearest neighbour among the pictures learned from, which sees all
pixels at once.
"""

import numpy as np

from sandbox import data
from sandbox.corpora import Corpus
from sandbox.errors import UsageError
from sandbox.rivals import classes as rivals
from sandbox.shapes import classification, split


def corpus(path: str | None = None, steps: int | None = None) -> Corpus:
    """The task.

    Parameters
    ----------
    path : str, optional
        A folder with MNIST's files.
    steps : int, optional
        Steps of a sequence: one for each pixel by default, 8 for one for each row of 8 x 8, 1 for all at once.

    Raises
    ------
    UsageError
        A picture cannot be divided into so many steps.
    """
    found = data.load("digits", path)
    images, labels = np.asarray(found.records[0], np.float64), np.asarray(found.records[1], np.int64)
    flat = images.reshape(len(images), -1)
    steps = flat.shape[1] if steps is None else steps
    if steps < 1 or flat.shape[1] % steps:
        raise UsageError(f"steps must divide the {flat.shape[1]} pixels of a picture, got {steps}")
    learned, held_out = parts = split(len(flat))
    classes = int(labels.max()) + 1
    task = classification("digits", list(flat.reshape(len(flat), steps, -1)), labels, classes, parts=parts,
                          paper=found.label)  # fmt: skip
    guessed = rivals.nearest_neighbour(flat[learned], labels[learned], flat[held_out])
    facts = {"classes": [str(label) for label in range(classes)],
             "majority": rivals.majority(labels[learned], labels[held_out])}  # fmt: skip
    return Corpus(task, found.label, "nearest neighbour", rivals.right(guessed, labels[held_out]), facts=facts)

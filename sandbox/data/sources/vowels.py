"""Nine men say two Japanese vowels, /ae/: who is it? 270 utterances to learn from, 370 held out, of 7 to 29 steps.

From aeon 1.6.0: "Japanese Vowels" of the UCI archive (Kudo, Toyama and Shimbo 1999), 12 cepstral coefficients a step.
In its place: smooth paths between two points which depend on the speaker, with noise that has a memory.

Records: ((utterances, speakers), (utterances, speakers)): a list of (T, 12) float64 arrays and an int64 array (N,) from
0, first to learn from, then held out.
"""

import numpy as np

from sandbox.data import Source, generator

CHANNELS, SPEAKERS, TRAIN, TEST, SHORTEST, LONGEST = 12, 9, 270, 370, 7, 29
PATH = "aeon/datasets/data/JapaneseVowels/JapaneseVowels_{}.ts"


def read(members):
    """Read both files."""
    return tuple(series(members.text(PATH.format(part))) for part in ("TRAIN", "TEST"))


def series(text):
    """Return the utterances and labels of a text in the format .ts.

    After ``@data`` a line has the channels with colons between, each its values with commas between, and at the end the
    label, one of those that ``@classLabel true`` lists.
    """
    head, _, body = text.partition("@data")
    classes = next(line.split()[2:] for line in head.splitlines() if line.lower().startswith("@classlabel"))
    utterances, labels = [], []
    for line in filter(None, map(str.strip, body.splitlines())):
        *channels, label = line.split(":")
        utterances.append(np.array([[float(value) for value in channel.split(",")] for channel in channels]).T.copy())
        labels.append(classes.index(label.strip()))
    return utterances, np.array(labels, np.int64)


def generate():
    """Let each speaker go from one point to another at a pace of his own."""
    from sandbox.streams import normal

    rng = generator("vowels")
    start, end = normal(rng, (2, SPEAKERS, CHANNELS))
    start, end = 0.25 * start, start * 0.25 + 0.2 * end  # what the two have in common says less than the way between
    pace = 0.5 + rng.random(SPEAKERS)
    parts = []
    for size in (TRAIN, TEST):
        labels = np.floor(SPEAKERS * rng.random(size)).astype(np.int64)
        if size == TRAIN:
            labels = np.repeat(np.arange(SPEAKERS), TRAIN // SPEAKERS)
        lengths = np.floor(SHORTEST + (LONGEST + 1 - SHORTEST) * rng.random(size)).astype(np.int64)
        utterances = []
        for speaker, length in zip(labels, lengths, strict=True):
            along = np.clip(np.arange(length) / (length - 1) * pace[speaker], 0.0, 1.0)
            along = along * along * (3.0 - 2.0 * along)
            path = start[speaker] + along[:, None] * (end[speaker] - start[speaker]) + 0.15 * normal(rng, CHANNELS)
            noise = 0.08 * normal(rng, (int(length), CHANNELS))
            for t in range(1, length):
                noise[t] += 0.7 * noise[t - 1]
            utterances.append(path + noise)
        parts.append((utterances, labels))
    return tuple(parts)


SOURCE = Source(
    holds="270 + 370 utterances, 12 channels, 9 speakers",
    licence="CC BY 4.0",
    beat="nearest neighbour .962; mean over time alone .935",
    read=read,
    generate=generate,
    stand_in="generated utterances",
)

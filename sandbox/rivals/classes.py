"""Rivals: what a network must beat, methods that count or compare, each learned from and asked for the same division.

    naive Bayes             argmax_c ln (n_c + 1) + sum over s of ln (n_cs + a) / (N_c + a V)
    most frequent class     argmax_c n_c
    most frequent tag       argmax_t n_ts of each token s, one tag for those never seen
    nearest neighbour       the class of argmin_k |x - x_k|^2

n_c sequences of class c have N_c symbols together, n_cs of them s; V symbols were seen, others count nothing; a is 1
where nothing else is said. Counts are whole numbers, and of equals the first one wins. (Manning, Raghavan & Schütze
2008, eqs. 13.3 and 13.7; Cover & Hart 1967.)
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sandbox.alphabet import Alphabet
from sandbox.kernels import gemm
from sandbox.kernels.activations import log_array
from sandbox.kernels.reductions import dot

__all__ = [
    "majority", "most_frequent", "most_frequent_tag", "naive_bayes", "nearest_neighbour", "ngrams",
    "right",
]  # fmt: skip

EDGE = "\n"
ADDED = (1.0, 0.3, 0.1, 0.03)  # to the counts of naive Bayes
TRIED_ON = 5  # one sequence in so many says which of them serves best
ROWS = 256  # whose distances to all that is known are in memory at once


def right(found: np.ndarray, wanted: np.ndarray) -> float:
    """Share of answers that are the wanted ones.

    >>> right(np.array([1, 2, 3, 4]), np.array([1, 2, 0, 4]))
    0.75
    """
    return int(np.count_nonzero(found == wanted)) / found.size if found.size else float("nan")


def ngrams(text: str, orders: Sequence[int] = (1, 2, 3)) -> list[str]:
    """All runs of so many characters of a text between two line breaks, which mark its ends.

    >>> ngrams("ab", [2])
    ['\\na', 'ab', 'b\\n']
    """
    text = EDGE + text + EDGE
    return [text[first : first + order] for order in orders for first in range(len(text) - order + 1)]


def most_frequent(labels: np.ndarray) -> int:
    """The class that most of the labels (N,) have."""
    return int(np.bincount(labels).argmax())


def majority(labels: np.ndarray, asked: np.ndarray) -> float:
    """Share of the labels asked for (M,) that are the most frequent one of those known (N,).

    >>> majority(np.array([1, 1, 0]), np.array([0, 0, 1, 0]))
    0.25
    """
    return right(np.full(len(asked), most_frequent(labels)), asked)


def naive_bayes(sequences: Sequence[Sequence[str]], labels: np.ndarray, asked: Sequence[Sequence[str]],
                added: float | None = None) -> np.ndarray:  # fmt: skip
    """Classes (M,) of the sequences that are asked for.

    Parameters
    ----------
    sequences, asked : lists of N and of M sequences of symbols
    labels : (N,) int64
    added : float, optional
        a; where not given, that of `ADDED` which gets most of every fifth sequence right when the others are counted,
        of equals the first.
    """
    if added is None:
        tried = np.arange(len(sequences)) % TRIED_ON == TRIED_ON - 1
        rows, others = np.flatnonzero(tried), np.flatnonzero(~tried)
        known, unknown = ([sequences[row] for row in chosen] for chosen in (others, rows))
        hits = [np.count_nonzero(naive_bayes(known, labels[others], unknown, each) == labels[rows]) for each in ADDED]
        added = ADDED[hits.index(max(hits))]
    alphabet, classes = Alphabet.of(sequences), int(labels.max()) + 1
    codes = np.concatenate([alphabet.encode(sequence) for sequence in sequences])
    owners = np.repeat(labels, [len(sequence) for sequence in sequences])
    counts = np.bincount(codes * classes + owners, minlength=len(alphabet) * classes).reshape(-1, classes)
    totals = np.bincount(owners, minlength=classes) + added * len(alphabet)
    weights = log_array(counts + added) - log_array(totals)
    prior = log_array(np.bincount(labels) + 1.0)
    found = np.zeros(len(asked), np.int64)
    for number, sequence in enumerate(asked):
        score = prior.copy()
        for symbol in sequence:
            if symbol in alphabet.numbers:
                score += weights[alphabet.numbers[symbol]]
        found[number] = score.argmax()
    return found


def most_frequent_tag(sentences: Sequence[Sequence[str]], tags: Sequence[np.ndarray], asked: Sequence[Sequence[str]],
                      unseen: int) -> list[np.ndarray]:  # fmt: skip
    """Tags of each sentence's tokens that are asked for: that which a token has most often, `unseen` for a new one.

    Parameters
    ----------
    sentences, asked : lists of sequences of tokens
    tags : list of (T_i,) int64
        Of the sentences.
    unseen : int
    """
    counts: dict = {}
    for sentence, row in zip(sentences, tags, strict=True):
        for token, tag in zip(sentence, row.tolist(), strict=True):
            counts.setdefault(token, Counter())[tag] += 1
    best = {token: min(count, key=lambda tag: (-count[tag], tag)) for token, count in counts.items()}
    return [np.array([best.get(token, unseen) for token in sentence], np.int64) for sentence in asked]


def nearest_neighbour(known: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Classes (M,) of the rows of `asked` (M, D): those of the nearest among the rows known (N, D).

    |x - x_k|^2 is |x_k|^2 - 2 x . x_k and what all k have in common.
    """
    known, asked = (np.ascontiguousarray(rows, np.float64) for rows in (known, asked))
    squares, panels = np.array([dot(row, row) for row in known]), gemm.pack(known, transpose=True)
    found = []
    for first in range(0, len(asked), ROWS):
        rows = np.ascontiguousarray(-2 * asked[first : first + ROWS])
        distances = np.repeat(squares[None], len(rows), axis=0)
        gemm.add_product(rows, 0, panels, distances, 0, len(known))
        found.append(distances.argmin(axis=1))
    return labels[np.concatenate(found)]

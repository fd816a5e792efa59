"""A sequence for a sequence without memory: what each letter most often stands for among those around it.

Letters and symbols of a pair are aligned in order; each letter stands for none, one or two symbols:

    log p = sum over letters a of  log n(k | a) + sum over its k symbols s of  log t(s | a)

with n and t counted on the best alignments under the n and t before (hard expectation-maximisation; the fertilities n
are those of Brown et al. 1993, model 3). The first alignment spreads the symbols evenly over the letters.
"""

from collections.abc import Sequence

import numpy as np

from sandbox.kernels.activations import log_array
from sandbox.shapes import padded

__all__ = ["align", "rules"]

ROUNDS = 4
CHUNK = 10_000  # pairs of similar length that are aligned at once
ADDED = 0.1  # to every count
NEVER = -1e30
WIDEST = 4  # letters on either side
TRIED_ON = 5  # one pair in so many says how many letters are worth looking at
EDGE = "\0"


def rules(sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], reach: int | None = None):
    """The function that writes for each letter what it most often stands for between the same `reach` letters on
    either side; where it was never seen between them, between one fewer, and so on.

    Parameters
    ----------
    sources, targets : list of (N_i,) and (M_i,) int64
    reach : int, optional
        Where not given, that from 1 to `WIDEST` which writes most of every fifth pair without a mistake when counted on
        the others, of equals the smallest.

    Returns
    -------
    callable (source (N,) int64) -> tuple of int

    Examples
    --------
    >>> write = rules([np.array([0, 1]), np.array([1])], [np.array([5, 6, 7]), np.array([6, 7])])
    >>> write(np.array([1, 0]))
    (6, 7, 5)
    """
    pairs = [(_text(source), _text(target), [] if many is None else many.tolist()) for source, target, many
             in zip(sources, targets, align(sources, targets), strict=True)]  # fmt: skip
    if reach is None:
        levels = _levels([pair for row, pair in enumerate(pairs) if row % TRIED_ON != TRIED_ON - 1], WIDEST)
        tried = pairs[TRIED_ON - 1 :: TRIED_ON]
        right = [[_written(text, levels[: each + 1]) == target for text, target, _ in tried].count(True)
                 for each in range(1, WIDEST + 1)]  # fmt: skip
        reach = 1 + right.index(max(right))
    levels = _levels(pairs, reach)
    return lambda source: tuple(ord(symbol) - 1 for symbol in _written(_text(source), levels))


def _text(codes):
    """Numbers as text, which is compared, cut and kept faster than anything else; none of its letters is `EDGE`."""
    return "".join(chr(code + 1) for code in codes.tolist())


def _windows(text, reach):
    """Each letter with so many on either side; `EDGE` beyond the ends."""
    wide = EDGE * reach + text + EDGE * reach
    return [wide[place : place + 2 * reach + 1] for place in range(len(text))]


def _levels(pairs, reach):
    """What is written most often, of equals the smallest, for each window, with none to `reach` letters on either side;
    a window that says no more than the narrower ones is left out."""
    levels = []
    for width in range(reach + 1):
        seen = {}
        for text, target, many in pairs:
            at = 0
            for window, count in zip(_windows(text, width), many, strict=False):
                written = target[at : at + count]
                counts = seen.setdefault(window, {})
                counts[written] = counts.get(written, 0) + 1
                at += count
        found = {}
        for window, counts in seen.items():
            written = next(iter(counts)) if len(counts) == 1 else min(counts, key=lambda each: (-counts[each], each))
            if not width or _looked_up(window, levels) != written:
                found[window] = written
        levels.append(found)
    return levels


def _looked_up(window, levels):
    """What the letter in the middle of a window stands for by the widest level that knows."""
    middle = len(window) // 2
    for width in range(len(levels) - 1, -1, -1):
        found = levels[width].get(window[middle - width : middle + width + 1])
        if found is not None:
            return found
    return ""


def _written(text, levels):
    return "".join(_looked_up(window, levels) for window in _windows(text, len(levels) - 1))


# Alignment -------------------------------------------------------------------------------------------------------


def align(sources: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """How many symbols each letter stands for, (N_i,) of each pair; None for a pair with more than two a letter.

    >>> [many.tolist() for many in align([np.array([0, 1]), np.array([1])], [np.array([5, 6, 7]), np.array([6, 7])])]
    [[1, 2], [2]]
    """
    letters, symbols = (1 + max((int(codes.max()) for codes in side if len(codes)), default=0)
                        for side in (sources, targets))  # fmt: skip
    rows = [row for row in range(len(sources)) if len(targets[row]) <= 2 * len(sources[row])]
    rows.sort(key=lambda row: (len(sources[row]), len(targets[row])))
    chunks = [rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK)]
    pairs = [(*padded([sources[row] for row in chunk]), *padded([targets[row] for row in chunk])) for chunk in chunks]
    found = [_evenly(x, n, m) for x, n, _, m in pairs]
    for _ in range(ROUNDS):
        log_t, log_n = _counted(pairs, found, letters, symbols)
        found = [_best(*pair, log_t, log_n) for pair in pairs]
    out = [None] * len(sources)
    for chunk, (_, n, _, _), many in zip(chunks, pairs, found, strict=True):
        for b, row in enumerate(chunk):
            out[row] = many[: n[b], b]
    return out


def _evenly(x, n, m):
    """The first alignment (N, B)."""
    places = np.clip(np.arange(len(x) + 1)[:, None], 0, n)
    ends = places * m // np.clip(n, 1, None)
    return ends[1:] - ends[:-1]


def _counted(pairs, found, letters, symbols):
    """log t (letters, symbols) and log n (letters, 3) of alignments."""
    together, fertility = np.zeros(letters * symbols), np.zeros(letters * 3)
    for (x, n, y, _), many in zip(pairs, found, strict=True):
        columns, at = np.arange(len(n)), np.zeros(len(n), np.int64)
        for i, a in enumerate(x):
            fertility += np.bincount((a * 3 + many[i])[i < n], minlength=letters * 3)
            for k in range(2):
                written = y[np.clip(at + k, 0, len(y) - 1), columns]
                together += np.bincount((a * symbols + written)[many[i] > k], minlength=letters * symbols)
            at = at + many[i]
    return _log_shares(together.reshape(letters, symbols)), _log_shares(fertility.reshape(letters, 3))


def _log_shares(counts):
    """log of each row's shares, `ADDED` to every count; counts are whole, so that any order adds them up exactly."""
    totals = np.zeros(len(counts))
    for column in counts.T:
        totals += column
    shares = (counts + ADDED) / (totals + ADDED * counts.shape[1])[:, None]
    return log_array(np.ascontiguousarray(shares).ravel()).reshape(counts.shape)


def _best(x, n, y, m, log_t, log_n):
    """The most probable alignment (N, B), by dynamic programming over letters for all pairs of a chunk at once."""
    columns = np.arange(len(n))
    value = np.full((len(y) + 1, len(n)), NEVER)
    value[0] = 0.0
    choices = np.zeros((len(x), *value.shape), np.int64)
    for i, a in enumerate(x):
        symbol = log_t[a, y]
        new, choice = value + log_n[a, 0], choices[i]
        options = ((1, value[:-1] + log_n[a, 1] + symbol), (2, value[:-2] + log_n[a, 2] + symbol[:-1] + symbol[1:]))
        for many, option in options:
            better = option > new[many:]
            new[many:] = np.where(better, option, new[many:])
            choice[many:] = np.where(better, many, choice[many:])
        live = i < n
        value = np.where(live, new, value)
        choice[:] = np.where(live, choice, 0)
    found, at = np.zeros(x.shape, np.int64), m.copy()
    for i in range(len(x) - 1, -1, -1):
        found[i] = choices[i, at, columns]
        at = at - found[i]
    return found

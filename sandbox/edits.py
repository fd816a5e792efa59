"""How far what was written is from what was wanted: edits of one sequence into another."""

from collections.abc import Sequence

__all__ = ["distance", "scores"]


def distance(one: Sequence, other: Sequence) -> int:
    """Fewest insertions, deletions and replacements that make one sequence the other (Levenshtein 1966).

    >>> distance("kitten", "sitting")
    3
    """
    before = list(range(len(other) + 1))
    for i, symbol in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (symbol != wanted)))
        before = row
    return before[-1]


def scores(written: Sequence[Sequence], accepted: Sequence[Sequence[Sequence]]) -> tuple[float, float]:
    """How right sequences are of which each may be written in several ways.

    Parameters
    ----------
    written : list of sequences
    accepted : list of lists of sequences
        All right ways to write each.

    Returns
    -------
    exact : float
        Share of the sequences that are one of their right ways.
    error_rate : float
        Edits to the nearest right way, added up, by the number of symbols of those ways, of equally near ones the
        shortest. It may be above 1.

    Examples
    --------
    >>> scores(["ab", "ca"], [["b", "ab"], ["cat"]])
    (0.5, 0.2)
    """
    exact = edits = symbols = 0
    for answer, ways in zip(written, accepted, strict=True):
        nearest, length = min((distance(answer, way), len(way)) for way in ways)
        exact, edits, symbols = exact + (nearest == 0), edits + nearest, symbols + length
    return (exact / len(written) if written else float("nan")), (edits / symbols if symbols else float("nan"))

"""Which points of a grid a sweep runs: axes that vary together, a condition, a sample.

A grid is walked one combination of axes at a time, the last axis fastest, so that one that is far too large to run can
be thinned without being held in memory. First axes are zipped, then the condition is asked, then the sample is taken.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sandbox.axes import Axis, Scalar, show_scalar
from sandbox.errors import UsageError, shorten, unknown
from sandbox.where import Predicate, parse

__all__ = ["MOST_POINTS", "Selection", "combinations", "read", "select"]

MOST_POINTS = 1_000_000
MOST_WALKED = 20_000_000

Grid = Mapping[str, Sequence[Scalar]]
Combination = tuple[Scalar, ...]
_COUNT = Axis(kind=int, minimum=1, maximum=MOST_POINTS, name="--sample")
_SEED = Axis(kind=int, minimum=0, maximum=2**32 - 1, name="--sample seed")


@dataclass(frozen=True)
class Selection:
    """What is taken of a grid; everything unless said otherwise.

    Attributes
    ----------
    zips
        Groups of axes that vary together: first value with first value, second with second.
    where
        A condition over axes and ``seed``; see `sandbox.where`.
    sample
        How many combinations of axes to take, each with all its seeds, and the seed of that choice.

    Raises
    ------
    UsageError
        When the sample is none.
    """

    zips: tuple[tuple[str, ...], ...] = ()
    where: str = ""
    sample: tuple[int, int] | None = None

    def __post_init__(self):
        if self.sample is not None:
            count, seed = self.sample
            _COUNT.check(count), _SEED.check(seed)

    def as_dict(self) -> dict[str, object]:
        """Return the selection as JSON has it."""
        sample = None if self.sample is None else list(self.sample)
        return {"zips": [list(names) for names in self.zips], "where": self.where, "sample": sample}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Selection:
        """Return the selection that `as_dict` was asked of.

        Raises
        ------
        UsageError
            When `data` is something else.
        """
        try:
            zips, where, sample = data["zips"], data["where"], data["sample"]
            texts = [where, *(name for names in zips for name in names)]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError
            return cls(tuple(map(tuple, zips)), where, None if sample is None else tuple(sample))
        except (TypeError, KeyError, ValueError) as error:
            raise UsageError(f"selection must be zips, where and sample, got {shorten(repr(data), 80)}") from error


def read(zips: Sequence[str], where: str | None, sample: str | None, axes: Mapping[str, Axis]) -> Selection:
    """Return the selection that flags describe: ``--zip a,b`` (repeatable), ``--where EXPR``, ``--sample K[:SEED]``.

    Raises
    ------
    UsageError
        For an unknown axis, one that is zipped twice or alone, and what `sandbox.where` or `--sample` do not take.

    Examples
    --------
    >>> read(["hidden,lr"], None, "20:1", {"hidden": Axis(kind=int), "lr": Axis(kind=float)})
    Selection(zips=(('hidden', 'lr'),), where='', sample=(20, 1))
    """
    groups = [tuple(name.strip() for name in text.split(",")) for text in zips]
    _check_zips(groups, axes)
    if where is not None:
        parse(where, _names(axes))
    return Selection(tuple(groups), "" if where is None else where.strip(), None if sample is None else _sample(sample))


def _sample(text: str) -> tuple[int, int]:
    parts = [part.strip() for part in text.split(":")]
    if len(parts) > 2 or not all(re.fullmatch("[0-9]{1,18}", part) for part in parts):
        raise UsageError(f"--sample must be K or K:SEED, got {shorten(text) or 'nothing'}")
    count, seed = map(int, [*parts, "0"][:2])
    return count, seed


def _check_zips(zips: Sequence[Sequence[str]], axes: Mapping[str, object]) -> None:
    seen: set[str] = set()
    for names in zips:
        for name in names:
            if name not in axes:
                raise unknown("axis", name, axes)
            if name in seen:
                raise UsageError(f"--zip must name an axis once, got {name} again in {','.join(names)}")
            seen.add(name)
        if len(names) < 2:
            raise UsageError(f"--zip must name at least two axes, got {names[0]} alone")


def _names(axes: Mapping[str, Axis | type]) -> dict[str, Axis | type]:
    return {**axes, "seed": int}


def select(
    grid: Grid, seeds: Sequence[int], selection: Selection, axes: Mapping[str, Axis] | None = None
) -> list[tuple[Combination, int]]:
    """Return the points that are selected: one value per axis, in the grid's column order, and a seed; seeds fastest.

    Raises
    ------
    UsageError
        See `combinations`.
    """
    return [(values, seed) for values, chosen in combinations(grid, seeds, selection, axes) for seed in chosen]


def combinations(
    grid: Grid, seeds: Sequence[int], selection: Selection, axes: Mapping[str, Axis] | None = None
) -> Iterator[tuple[Combination, Sequence[int]]]:
    """Yield the combinations of axes that are selected, in the grid's order, each with those of its seeds that are.

    Parameters
    ----------
    grid, seeds
        Values per axis, in column order; seeds.
    selection
        What to take.
    axes
        Kinds and spellings of the values for the condition; read off the grid when left out.

    Raises
    ------
    UsageError
        For lists of unequal length that are zipped, a selection that leaves nothing, more than `MOST_POINTS` points,
        and a grid of more than `MOST_WALKED` combinations to begin with.
    """
    _check_zips(selection.zips, grid)
    groups = _grouped(grid, selection.zips)
    total = math.prod(len(listed) for _, listed in groups)
    kinds = {name: type(values[0]) for name, values in grid.items()} if axes is None else axes
    places = {name: place for place, name in enumerate([*grid, "seed"])}
    test = parse(selection.where, _names(kinds), places) if selection.where else None
    _check_size(total, seeds, selection, test)
    found = _walk(groups, list(grid))
    chosen = ((values, seeds) for values in found) if test is None else _passing(found, seeds, test)
    if selection.sample is not None:
        chosen = _sampled(chosen, list(grid), *selection.sample)
    points = 0
    for values, its_seeds in chosen:
        points += len(its_seeds)
        if points > MOST_POINTS:
            raise _too_many("more")
        yield values, its_seeds
    if not points:
        raise UsageError(f"--where must leave at least one point, got none of {total * len(seeds)}")


def _too_many(shown: object) -> UsageError:
    return UsageError(f"a sweep must have at most {MOST_POINTS} points, got {shown}")


def _check_size(total: int, seeds: Sequence[int], selection: Selection, test: Predicate | None) -> None:
    """Refuse before the walk what would be refused at its end, and a walk that takes too long."""
    if test is None:
        most = total if selection.sample is None else min(total, selection.sample[0])
        if most * len(seeds) > MOST_POINTS:
            raise _too_many(most * len(seeds))
    asked = total * len(seeds) if test is not None and "seed" in test.uses else total
    if asked > MOST_WALKED:
        what = "combinations" if asked == total else "points"
        raise UsageError(f"a grid must have at most {MOST_WALKED} {what} before it is thinned, got {asked}")


def _grouped(grid: Grid, zips: Sequence[Sequence[str]]) -> list[tuple[tuple[str, ...], list[Combination]]]:
    """Return the axes as groups that vary together, each where its first axis stands, with their tuples of values."""
    groups = []
    for name in grid:
        names = next((names for names in zips if name in names), (name,))
        if name != next(axis for axis in grid if axis in names):
            continue  # its group stands at an earlier axis
        lengths = {axis: len(grid[axis]) for axis in names}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{length} of {axis}" for axis, length in lengths.items())
            raise UsageError(f"--zip must pair lists of one length, got {shown} (a value given twice counts once)")
        groups.append((tuple(names), list(zip(*(grid[axis] for axis in names), strict=True))))
    return groups


def _walk(groups: Sequence[tuple[tuple[str, ...], list[Combination]]], columns: Sequence[str]) -> Iterator[Combination]:
    """Yield every combination in column order, without holding them."""
    order = [name for names, _ in groups for name in names]
    if len(groups) == len(columns):
        return itertools.product(*([values for (values,) in listed] for _, listed in groups))
    flat = map(tuple, map(itertools.chain.from_iterable, itertools.product(*(listed for _, listed in groups))))
    return flat if order == list(columns) else map(operator.itemgetter(*map(order.index, columns)), flat)


def _passing(
    found: Iterator[Combination], seeds: Sequence[int], test: Predicate
) -> Iterator[tuple[Combination, Sequence[int]]]:
    holds = test.holds
    if "seed" not in test.uses:
        yield from ((values, seeds) for values in found if holds(values))
        return
    for values in found:
        chosen = [seed for seed in seeds if holds((*values, seed))]
        if chosen:
            yield values, chosen


def _sampled(
    chosen: Iterator[tuple[Combination, Sequence[int]]], columns: Sequence[str], count: int, seed: int
) -> list[tuple[Combination, Sequence[int]]]:
    """Return the `count` combinations of lowest rank, in the order they came.

    The rank is a hash of the combination's own text: taking more adds to what was taken, and another value of an axis
    only puts new combinations among the old ones.
    """

    start = "\x1f".join([str(seed), *columns, ""]).encode()
    lowest: list[tuple] = []
    bound = b"\xff" * 33
    for place, (values, seeds) in enumerate(chosen):
        text = "\x1f".join(map(show_scalar, values)).encode(errors="surrogatepass")
        rank = hashlib.sha256(start + text, usedforsecurity=False).digest()
        if rank < bound:
            lowest.append((rank, place, values, seeds))
            if len(lowest) > 2 * count + 1000:
                lowest.sort()
                del lowest[count:]
                bound = lowest[-1][0]
    lowest = sorted(sorted(lowest)[:count], key=operator.itemgetter(1))
    return [(values, seeds) for _, _, values, seeds in lowest]

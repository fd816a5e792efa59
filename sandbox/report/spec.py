"""What an experiment's table shows, as plain data that survives a trip through ``run.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Column:
    """One metric of the table.

    Parameters
    ----------
    metric
        Name of the metric, or ``"status"``.
    title
        Heading; the metric's name with spaces when left out.
    interval
        Show the 95 % interval beside the mean.
    oracle
        Metric holding the exact value where one is known; shown in a column of its own when any row has one.
    shown_as
        Shows the mean and interval of a factor per step as ``"half-life"`` or ``"doubling time"`` in steps. Taken over
        seeds one by one such times would average to nothing near a factor of 1, where they change sign.
    """

    metric: str
    title: str | None = None
    interval: bool = True
    oracle: str | None = None
    shown_as: str | None = None

    @property
    def key(self) -> str:
        """What the column is called in machine-readable output."""
        return self.metric if self.shown_as is None else self.shown_as.replace("-", "_").replace(" ", "_")

    @property
    def heading(self) -> str:
        """The title, or what to show for want of one."""
        return self.title or self.shown_as or self.metric.replace("_", " ")


@dataclass(frozen=True)
class Check:
    """A comparison with an exact value: the largest ``|value - oracle|`` is printed below the table."""

    value: str
    oracle: str
    text: str = ""


@dataclass(frozen=True)
class Table:
    """What the report of an experiment shows.

    Parameters
    ----------
    columns
        The metrics, most important first; a plain string stands for ``Column(string)``.
    spark
        ``(curve, series)`` drawn as a small profile in the last column.
    checks
        Exact values to compare with.
    note
        A line below the table.
    subject
        What the numbers are about, in the title line.

    Examples
    --------
    >>> Table(["rate", Column("half_life", "half-life")], subject="gradient by lag").columns[0].heading
    'rate'
    """

    columns: Sequence[Column | str] = field(default_factory=tuple)
    spark: tuple[str, str] | None = None
    checks: Sequence[Check] = ()
    note: str = ""
    subject: str = ""

    def __post_init__(self):
        columns = tuple(Column(column) if isinstance(column, str) else column for column in self.columns)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "checks", tuple(self.checks))
        object.__setattr__(self, "spark", tuple(self.spark) if self.spark else None)

    def as_dict(self) -> dict:
        """Return the table's description as JSON-ready data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> Table:
        """Return the table that `as_dict` described.

        Raises
        ------
        TypeError
            When `data` was not written by `as_dict`.
        """
        columns = [Column(**column) for column in data.get("columns", ())]
        checks = [Check(**check) for check in data.get("checks", ())]
        return cls(**{**data, "columns": columns, "checks": checks})

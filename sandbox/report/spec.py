"""What an experiment's table and picture show, as plain data that survives a trip through ``run.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from sandbox.errors import UsageError

# The better side of metrics that mean the same wherever they occur; `Column(better=...)` says it of others.
USUALLY_BETTER = {
    "loss": "lower", "loss_ratio": "lower", "solved": "higher", "updates_to_success": "lower",
    "sequences_to_success": "lower", "diverged": "lower", "accuracy": "higher", "accepted": "higher",
    "error_rate": "lower", "nrmse": "lower", "seconds": "lower",
}  # fmt: skip
SIDES = ("lower", "higher")


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
    better
        Which values are better when runs are compared: ``"lower"`` or ``"higher"``; left out, what `USUALLY_BETTER`
        says of the metric, else neither.
    verdict
        A further column says whether the metric is better or worse than the oracle, which is then what a simple method
        reaches: `verdict_on`.

    Raises
    ------
    UsageError
        When `better` is something else, or a verdict has no oracle or no better side.
    """

    metric: str
    title: str | None = None
    interval: bool = True
    oracle: str | None = None
    shown_as: str | None = None
    better: str | None = None
    verdict: bool = False

    def __post_init__(self):
        if self.better not in (None, *SIDES):
            raise UsageError(f"better must be lower or higher, got {self.better} (column {self.metric})")
        if self.verdict and (self.oracle is None or self.side is None):
            raise UsageError(f"verdict must be False without an oracle and a better side (column {self.metric})")

    @property
    def side(self) -> str | None:
        """The better side, declared or usual; None where neither is."""
        return self.better or USUALLY_BETTER.get(self.metric)

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
class Reach:
    """The largest value of an axis at which a metric's mean over seeds is at least `level`: a line below the table."""

    axis: str
    metric: str
    text: str = ""
    level: float = 0.5


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two metrics over all rows, or those of each value of an axis: a line below."""

    x: str
    y: str
    text: str = ""
    by: str | None = None


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
    reach
        How far along an axis a metric holds, for each combination of the others.
    correlations
        Pairs of metrics.
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
    reach: Reach | None = None
    correlations: Sequence[Correlation] = ()
    note: str = ""
    subject: str = ""

    def __post_init__(self):
        columns = tuple(Column(column) if isinstance(column, str) else column for column in self.columns)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "checks", tuple(self.checks))
        object.__setattr__(self, "correlations", tuple(self.correlations))
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
        reach = Reach(**data["reach"]) if data.get("reach") else None
        pairs = [Correlation(**pair) for pair in data.get("correlations", ())]
        return cls(**{**data, "columns": columns, "checks": checks, "reach": reach, "correlations": pairs})


@dataclass(frozen=True)
class Picture:
    """What the picture of an experiment shows: a curve over its own x, or a metric against an axis.

    One line for each combination of the other axes: the mean over seeds with its 95 % t interval. More lines than fit
    are spread over small panels. With `matrix` a heat map for each combination, of the first seed.

    Parameters
    ----------
    curve, series
        A curve and what is drawn of it. Several series share one panel; a sequence of sequences is one panel each,
        above one another: ``series=[["loss", "validation_loss"], ["gradient_norm"]]``.
    metric, against
        A metric and the axis it is drawn against.
    x, y
        Labels with units; `y` is one per panel where there are several.
    title
        Stands above the picture; the table's subject when left out.
    log
        Logarithmic y, one for all panels or one for each. A series whose name begins with ``log10_`` always is.
        Means and intervals are then those of the logarithm.
    limits
        Range of y in the first panel, such as ``(0, 1)`` for a share; values that are all 0 or 1 have it anyway.
    theory
        Metric with the exact value: of the factor per unit of x for a curve, of the metric otherwise. Dashed.
    baseline
        Metric with the level to beat, drawn across the first panel.
    events
        A series that is 1 where something happened and 0 elsewhere: ticks below the last panel.
    reference
        The series that the others should equal: black and dashed, once where all lines have the same.
    seed
        ``"mean"``, or ``"first"`` for the first seed alone.
    apart
        Each small panel has a range of y of its own, where values are of different units.
    matrix
        The series that says in which column a value stands; the curve's x says in which row. The one `series` is drawn
        as colour, over `limits` or else all its values. The curve is in long form, an entry for each cell:
        ``{"step": [0, 0, 1, 1], "source": [0, 1, 0, 1], "weight": [0.9, 0.1, 0.2, 0.8]}``.
    labels
        Of a matrix: series with the names of rows and of columns, the same in all cells of one; empty for numbers.
    each
        Of a matrix: a series with one value for all cells of a matrix, where a point has several. Their titles.

    Raises
    ------
    UsageError
        When the parts do not fit together.

    Examples
    --------
    >>> Picture(curve="training", series=[["loss"], ["gradient_norm"]], events="clipped", log=True).log
    (True, True)
    >>> Picture(curve="alignment", series="weight", matrix="source", x="input", y="output").series
    (('weight',),)
    """

    curve: str | None = None
    series: Sequence[str] | Sequence[Sequence[str]] = ()
    metric: str | None = None
    against: str | None = None
    x: str = ""
    y: str | Sequence[str] = ()
    title: str = ""
    log: bool | Sequence[bool] = False
    limits: tuple[float, float] | None = None
    theory: str | None = None
    baseline: str | None = None
    events: str | None = None
    reference: str = "actual"
    seed: str = "mean"
    apart: bool = False
    matrix: str | None = None
    labels: tuple[str, str] = ("", "")
    each: str | None = None

    def __post_init__(self):
        series = [self.series] if isinstance(self.series, str) else list(self.series)
        stacked = any(not isinstance(entry, str) for entry in series)
        panels = [(entry,) if isinstance(entry, str) else tuple(entry) for entry in series] if stacked else [series]
        panels = tuple(tuple(panel) for panel in panels if panel)
        count = len(panels) or 1
        labels = (self.y,) if isinstance(self.y, str) else tuple(self.y)
        log = (self.log,) * count if isinstance(self.log, bool) else tuple(self.log)
        object.__setattr__(self, "series", panels)
        object.__setattr__(self, "y", tuple(label for label in labels if label or count > 1))
        object.__setattr__(self, "log", log)
        object.__setattr__(self, "limits", tuple(self.limits) if self.limits else None)
        if (self.curve is None) == (self.metric is None) or bool(panels) != (self.curve is not None):
            raise UsageError("a picture must have a curve with series, or a metric, and not both")
        if (self.metric is None) != (self.against is None):
            raise UsageError("a picture of a metric must have an axis which it is drawn against, and a curve has none")
        object.__setattr__(self, "labels", tuple(self.labels))
        lines = (self.theory, self.baseline, self.events)
        if self.matrix is None and (any(self.labels) or self.each is not None):
            raise UsageError("a picture must have a matrix to have labels of rows and columns, or several of them")
        single = len(panels) == 1 and len(panels[0]) == 1 and len(self.labels) == 2
        if self.matrix is not None and not (single and not any(lines) and not any(log)):
            raise UsageError("a matrix must be one series of a curve with two labels, without lines and logarithms")
        words = [self.curve, self.metric, self.against, self.matrix, self.each, *lines]
        words = [word for word in words if word is not None] + [
            self.x,
            self.title,
            self.reference,
            *self.y,
            *self.labels,
        ]
        if not all(isinstance(word, str) for word in [*words, *(name for panel in panels for name in panel)]):
            raise UsageError("names and labels of a picture must be texts")
        if self.limits is not None and not (len(self.limits) == 2 and float(self.limits[0]) < float(self.limits[1])):
            raise UsageError(f"limits of a picture must be two rising numbers, got {self.limits}")
        if len(self.y) not in (0, count) or len(log) != count:
            raise UsageError(f"a picture of {count} panels must have {count} values of y and log, or one of log")
        if self.seed not in ("mean", "first"):
            raise UsageError(f"seed of a picture must be mean or first, got {self.seed}")

    def as_dict(self) -> dict:
        """Return the picture's description as JSON-ready data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> Picture:
        """Return the picture that `as_dict` described.

        Raises
        ------
        TypeError, UsageError
            When `data` was not written by `as_dict`.
        """
        return cls(**data)

"""What to draw of a run: what its experiment declared, or else what suits its curves and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.errors import UsageError, unknown
from sandbox.report.build import table_of, varying
from sandbox.report.panels import is_number, is_numeric
from sandbox.report.spec import Picture

if TYPE_CHECKING:
    from sandbox.results import Run

MATRIX = ("row_name", "column_name", "example")  # series beside the weights of a matrix


def picture_of(run: Run) -> Picture | None:
    """Return what the run's experiment declared, or else what suits the run; None where there is nothing.

    Raises
    ------
    UsageError
        When the description in ``run.json`` is damaged.
    """
    if run.info.get("picture"):
        try:
            return Picture.from_dict(run.info["picture"])
        except (TypeError, AttributeError, UsageError) as error:
            raise UsageError(f"{run.path / 'run.json'} is damaged (its picture cannot be read)") from error
    table, curves = table_of(run), run.info["curves"]
    drawable = [(name, next(iter(curve.get("series", ())), "")) for name, curve in curves.items()]
    name, series = table.spark or next(iter(drawable), ("", ""))
    if not table.spark and name and _is_matrix(curves[name]):
        return _matrix(run, name)
    if series in curves.get(name, {}).get("series", ()):
        return Picture(curve=name, series=series)
    axes = varying(run)
    axis = next((axis for axis in axes if is_numeric(run.axes[axis])), next(iter(axes), None))
    metrics = [column.metric for column in table.columns if any(is_number(row.get(column.metric)) for row in run.rows)]
    return Picture(metric=metrics[0], against=axis) if metrics and axis is not None else None


def picture_of_curve(run: Run, name: str) -> Picture:
    """Return what suits one curve of a run: declared, or read off the names of its series.

    A curve with `actual` shows everything else beside it, of the first seed; one with `clipped` shows its loss above
    the gradient's norm, with a tick where clipping acted. One with `weight` is a matrix whose first series has the
    columns; `row_name`, `column_name` and `example` are its labels and what it is one of.

    Raises
    ------
    UsageError
        When the run has no such curve.
    """
    if name not in run.info["curves"]:
        raise unknown("curve", name, list(run.info["curves"]) or ["none"])
    declared, curve = picture_of(run), run.info["curves"][name]
    if declared is not None and declared.curve == name:
        return declared
    if "actual" in curve["series"]:
        return Picture(curve=name, series=curve["series"], seed="first", x=curve["x"])
    if {"loss", "gradient_norm", "clipped"} <= set(curve["series"]):
        baseline = "baseline" if "baseline" in run.metrics else None
        return Picture(curve=name, series=[["loss"], ["gradient_norm"]], x=curve["x"], y=["loss", "gradient norm"],
                       log=True, baseline=baseline, events="clipped")  # fmt: skip
    if _is_matrix(curve):
        return _matrix(run, name)
    return Picture(curve=name, series=curve["series"][0], x=curve["x"])


def _is_matrix(curve: dict) -> bool:
    return "weight" in curve.get("series", ())[1:]


def _matrix(run: Run, name: str) -> Picture:
    series = run.info["curves"][name]["series"]
    rows, columns, each = (word if word in series else "" for word in MATRIX)
    return Picture(curve=name, series="weight", matrix=series[0], labels=(rows, columns), each=each or None)

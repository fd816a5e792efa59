"""Reports: a run's rows aggregated over seeds and shown as a table.

`Table`, `Column`, `Check`, `Reach`, `Correlation` and `Picture` say what an experiment shows; `build` makes a `Report`
of a run; `write` prints it; `sandbox.report.picture` draws.
"""

from sandbox.report.build import Report, build
from sandbox.report.formats import FORMATS, write
from sandbox.report.spec import Check, Column, Correlation, Picture, Reach, Table
from sandbox.report.statistics import Summary, summarise, t_quantile

__all__ = [
    "FORMATS", "Check", "Column", "Correlation", "Picture", "Reach", "Report", "Summary", "Table", "build", "summarise",
    "t_quantile", "write",
]  # fmt: skip

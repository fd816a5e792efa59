"""Run directories: what a sweep leaves on disk, and reading it back.

``results/<experiment>/<time>-<id>/`` holds

==============  ==================================================================================================
``table.csv``   axes, seed, metrics, status, error; one row per point and seed
``curves.csv``  axes, seed, curve, x, series, value; long form
``timing.csv``  axes, seed, seconds; apart, because everything in the other two is reproducible
``run.json``    the command, grid, versions, machine, commits, kernels, start, end, status, what is shown
``files/``      what points gave beside numbers, such as trained models: ``files/cell=lstm,seed=0/model.npz``
``journal``     only while the run is not complete: a checksummed line per finished point
==============  ==================================================================================================

A finished point is one line of the journal, written at once. The CSVs are made from it when the run ends, also by
Ctrl-C, and replaced as a whole, so that none of them is ever half there: rows in canonical order (axes in column order,
then seed), metric columns in the order of their first row. Their bytes depend on the results alone. Floats are the
shortest text that reads back as the same number; a missing value is empty.
"""

from sandbox.results.folder import find, runs_of
from sandbox.results.reader import Run, load, read_info
from sandbox.results.values import format_value, parse_value
from sandbox.results.writer import SCHEMA, RunWriter

__all__ = ["SCHEMA", "Run", "RunWriter", "find", "format_value", "load", "parse_value", "read_info", "runs_of"]

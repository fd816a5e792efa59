"""Runs in memory, with the columns that comparing looks at."""

import itertools
import math
from pathlib import Path

import numpy as np


class MadeRun:
    """What `sandbox.results.load` returns, from rows."""

    def __init__(self, axes, metrics, rows, seeds, path="results/sample/a", **info):
        self.path, self.metrics = Path(path), list(metrics)
        self._rows = rows
        self.info = {
            "schema": 2, "experiment": "sample", "axes": axes, "seeds": list(seeds), "settings": {}, "command": "x",
            "versions": {"numpy": "2.4.0"}, "cpu": "a cpu", "platform": "Linux", "git": {"source": None},
            "environment": {}, "kernels": {"hash": "abc", "compiled": 1}, "table": None, "status": "finished",
            "points": len(rows), "rows": len(rows), **info,
        }  # fmt: skip

    @property
    def axes(self):
        return self.info["axes"]

    def __len__(self):
        return len(self._rows)

    def column(self, name):
        values = [row.get(name) for row in self._rows]
        if name == "seed":
            return np.array(values, np.int64)
        kinds = {type(value) for value in values}
        if name in self.axes and len(kinds) == 1 and kinds <= {int, float, bool}:
            return np.array(values)
        if name in self.metrics and kinds <= {int, float, type(None)}:
            return np.array([math.nan if value is None else value for value in values], float)
        found = np.empty(len(values), object)
        found[:] = values
        return found

    def codes(self, name):
        places = {}
        codes = [places.setdefault(row[name], len(places)) for row in self._rows]
        return np.array(codes, np.int64), list(places)


def made(axes, metric, seeds=(0, 1, 2), keep=lambda row: True, **info):
    """Return a run over a grid; `metric` gives metrics (and perhaps a status) from a row of axes and seed."""
    rows, names = [], {}
    for values in itertools.product(*axes.values()):
        for seed in seeds:
            row = {**dict(zip(axes, values, strict=True)), "seed": seed}
            if keep(row):
                found = metric(row)
                names |= {name: None for name in found if name != "status"}
                rows.append({**row, "status": "ok", **found})
    return MadeRun(axes, names, rows, seeds, **info)

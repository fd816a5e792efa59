"""Runs in memory, with the columns that comparing looks at."""

import itertools
import math
from pathlib import Path

import numpy as np


class MadeRun:
    """What `sandbox.results.load` returns, from columns: ``{name: values}`` of axes, seed, metrics and status."""

    def __init__(self, axes, columns, seeds, path="results/sample/a", **info):
        self.path, self.columns, self.files = Path(path), columns, {}
        self.metrics = [name for name in columns if name not in (*axes, "seed", "status")]
        self.info = {
            "schema": 2, "experiment": "sample", "axes": axes, "seeds": list(seeds), "settings": {}, "command": "x",
            "versions": {"numpy": "2.4.0"}, "cpu": "a cpu", "platform": "Linux", "git": {"source": None},
            "environment": {}, "kernels": {"hash": "abc", "compiled": 1}, "table": None, "status": "finished",
            "points": len(columns["seed"]), "rows": len(columns["seed"]), **info,
        }  # fmt: skip

    @property
    def axes(self):
        """The grid."""
        return self.info["axes"]

    def __len__(self):
        return len(self.columns["seed"])

    def column(self, name):
        """A column as an array: numbers as numbers, anything else as objects."""
        values = self.columns[name]
        if isinstance(values, np.ndarray):
            return values
        kinds = {type(value) for value in values}
        if name in self.metrics and kinds <= {int, float, type(None)}:
            return np.array([math.nan if value is None else value for value in values], float)
        if name == "seed" or (len(kinds) == 1 and kinds <= {int, float, bool}):
            return np.array(values, np.int64 if name == "seed" else None)
        found = np.empty(len(values), object)
        found[:] = values
        return found

    def codes(self, name):
        """Codes of the rows and the distinct values of an axis."""
        places = {}
        values = self.columns[name]
        codes = [places.setdefault(value, len(places)) for value in getattr(values, "tolist", lambda: values)()]
        return np.array(codes, np.int64), list(places)


def made(axes, metrics, seeds=(0, 1, 2), keep=lambda row: True, **info):
    """Return a run over a grid; `metrics` gives them (and perhaps a status) from a row of axes and seed."""
    rows = []
    for values in itertools.product(*axes.values()):
        for seed in seeds:
            row = {**dict(zip(axes, values, strict=True)), "seed": seed}
            if keep(row):
                rows.append({**row, **metrics(row)})
    names = dict.fromkeys([*axes, "seed", *(name for row in rows for name in row)])
    columns = {name: [row.get(name) for row in rows] for name in names}
    columns["status"] = [row.get("status", "ok") for row in rows]
    return MadeRun(axes, columns, seeds, **info)


def trials(values, **info):
    """Return a run with the metric ``loss`` from an array (trials, seeds): as many comparisons in one."""
    count, seeds = values.shape
    columns = {"trial": np.repeat(np.arange(count), seeds), "seed": np.tile(np.arange(seeds), count),
               "loss": values.reshape(-1).astype(float)}  # fmt: skip
    status = np.empty(count * seeds, object)
    status[:] = "ok"
    return MadeRun({"trial": list(range(count))}, {**columns, "status": status}, range(seeds), **info)

"""Prices of five shares at the beginning of each month, 2000 to 2010: a lesson, since nothing is to be gained here.

From vega-datasets 0.9.0 (BSD). Levels follow one another so closely that any model seems to fit; what counts are
returns ln p_t - ln p_{t-1}, and for those the best forecast is next to nothing. In its place: random walks.

Records: dict from firm to a float64 array of its prices; one firm is listed from 2004 on.
"""

import numpy as np

from sandbox.data import Source, generator, rows
from sandbox.data.sources._processes import persistent

FIRMS = {"AAA": 123, "BBB": 123, "CCC": 123, "DDD": 123, "EEE": 68}


def read(members):
    """Read the CSV file, whose rows are in order of time for each firm."""
    found = {}
    for row in rows(members.text("vega_datasets/_data/stocks.csv")):
        found.setdefault(row["symbol"], []).append(float(row["price"]))
    return {firm: np.array(found[firm]) for firm in sorted(found)}


def generate():
    """Let returns be normal, with a common part and months that are all wilder or calmer."""
    from sandbox.kernels.activations import exp_array
    from sandbox.streams import normal

    rng, months = generator("stocks"), max(FIRMS.values())
    wild = exp_array(0.35 * persistent(rng, months, 0.8))
    market = normal(rng, months)
    found = {}
    for firm, length in FIRMS.items():
        returns = 0.006 + 0.05 * wild * (market + 1.4 * normal(rng, months))
        levels = returns[-length:].copy()
        for t in range(1, length):
            levels[t] += levels[t - 1]
        found[firm] = np.floor(4000.0 * exp_array(levels) + 0.5) / 100.0
    return found


SOURCE = Source(
    holds="5 firms, 560 monthly prices",
    licence="BSD-3-Clause",
    beat="random walk of log prices: expect no gain",
    read=read,
    generate=generate,
    stand_in="generated prices",
)

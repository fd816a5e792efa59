"""The gradient of a loss at the last step with respect to every earlier state, and what can be read off it.

The loss is L = sum_b v_b . h_T[b] with a random unit vector v_b for every sequence b, so that

    dL/ds_t[b] = v_b^T  d h_T[b] / d s_t[b],     lag = T - t

for every state s. States are coordinates of their own: dL/dc_t of an LSTM holds h_t fixed. A profile is the mean over
the batch of ln ||dL/ds_t[b]||: the logarithm is taken first, because the mean of norms follows the largest one and
grows at another rate (Newman 1986). The magnitude is carried as an exact power of two beside the vector, so a profile
goes on to 1e-3000 where a plain backward pass has long been at zero.
"""

from dataclasses import dataclass

import numpy as np

from sandbox.kernels import gemm
from sandbox.kernels.activations import exp_array, log_array
from sandbox.kernels.reductions import dot, linear_fit, mean, norm, row_norms
from sandbox.layers import Layer
from sandbox.streams import normal

__all__ = ["Profile", "Rate", "first_lags", "fit_rate", "gradient_profile", "probe", "weight_shares"]

LN2 = 0.6931471805599453
LN10 = 2.302585092994046
FLAT = 1e-5  # a change of ln(norm) below this over all lags of a fit is rounding, in float32 too


@dataclass(frozen=True)
class Rate:
    """A straight line through ln(norm) against lag.

    Attributes
    ----------
    rate : float
        Factor per step, exp(slope); 0 where the gradient is exactly zero from lag 1 on.
    r_squared : float
        Share of the variance of ln(norm) on the line.
    half_life : float
        Steps until the norm has halved, -ln 2 / slope; infinite at rate 1, negative (doubling) above.
    lags : int
        How many lags the line goes through.
    """

    rate: float
    r_squared: float
    half_life: float
    lags: int

    def columns(self, suffix=""):
        """As columns of a results table."""
        return {f"rate{suffix}": self.rate, f"rate_r2{suffix}": self.r_squared, f"rate_lags{suffix}": self.lags,
                f"half_life{suffix}": self.half_life}  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """Mean ln ||dL/ds_t|| by lag.

    Attributes
    ----------
    lag : (T + 1,) int
        T - t, from 0 to T.
    ln_norm : dict of (T + 1,)
        By state: the mean over the sequences whose gradient is not exactly zero; -inf where all are.
    alive : dict of (T + 1,)
        By state: the share of such sequences. Below 1, the mean is over what is left (units of a ReLU die for good).
    """

    lag: np.ndarray
    ln_norm: dict[str, np.ndarray]
    alive: dict[str, np.ndarray]

    def log10(self, state="h"):
        """log10 of the norm by lag."""
        return self.ln_norm[state] / LN10

    def rate(self, state="h"):
        """Fit of the per-step factor over lags 1 to T (at lag 0 the loss has reached h alone)."""
        return fit_rate(self.lag[1:], self.ln_norm[state][1:])


def probe(rng, batch, hidden, dtype="float64"):
    """Random unit vectors v_b, uniform on the sphere: (batch, hidden)."""
    vectors = normal(rng, (batch, hidden))
    return (vectors / row_norms(vectors)[:, None]).astype(dtype)


def gradient_profile(layer: Layer, x, v, states=None) -> Profile:
    """Profile of dL/ds_t over all lags, log-scaled; leaves the layer's tape in place.

    Parameters
    ----------
    layer : Layer
    x : (T, B, D) array of the layer's dtype
    v : (B, H) array
        dL/dh_T, one row per sequence; see `probe`.
    states : dict of (B, H) arrays, optional
        Start states.

    Examples
    --------
    >>> from sandbox.streams import stream
    >>> layer = Layer("rnn:identity", 1, 8, rng=stream("init", 0), gain=0.9)
    >>> profile = gradient_profile(layer, np.zeros((50, 2, 1)), probe(stream("probe", 0), 2, 8))
    >>> round(profile.rate().rate, 12)
    0.9
    """
    run = layer.forward(x, states)
    gradients = layer.backward(dstates={"h": v}, keep_tape=True, every_state=True, log_scale=True, parameters=False)
    lag = np.arange(run.x.shape[0] + 1)
    ln_norm, alive = {}, {}
    for name, rows in gradients.states.items():
        means, shares = _mean_log_norms(rows, gradients.exponents)
        ln_norm[name], alive[name] = means[::-1], shares[::-1]
    return Profile(lag, ln_norm, alive)


def _mean_log_norms(rows, exponents):
    """Mean over the non-zero of B of ln(||rows[t, b]|| 2^exponents[t, b]) for rows (T + 1, B, H), and their share."""
    steps, batch, hidden = rows.shape
    norms = row_norms(rows.reshape(steps * batch, hidden))
    logs, alive = log_array(norms).reshape(steps, batch) + exponents * LN2, (norms != 0).reshape(steps, batch)
    means = [mean(row[live]) if live.any() else -np.inf for row, live in zip(logs, alive, strict=True)]
    return np.array(means), np.array([np.count_nonzero(live) / batch for live in alive])


def fit_rate(lag, ln_norm) -> Rate:
    """Least-squares line through ln_norm (n,) against lag (n,), over the finite points.

    NaN with fewer than two finite points, unless all are -inf: then the rate is 0 and the half-life too.
    """
    finite = np.isfinite(ln_norm)
    lags = int(np.count_nonzero(finite))
    if (ln_norm == -np.inf).all():
        return Rate(0.0, float("nan"), 0.0, lags)
    slope, _, r_squared = linear_fit(lag[finite].astype(np.float64), ln_norm[finite])
    half_life = float("inf") if abs(slope) * lags < FLAT else -LN2 / slope
    return Rate(float(exp_array(np.array([slope]))[0]), float(r_squared), float(half_life), lags)


def weight_shares(layer: Layer, gradients) -> np.ndarray:
    """Share of dL/dW_hh that each step contributes: (T,), sums to 1.

    dL/dW_hh = sum_t C_t with C_t = h_{t-1}^T dz_t; the share of t is the projection <C_t, dW> / <dW, dW>, which is
    negative where a step works against the sum. NaN where dL/dW_hh is zero or not finite, or there is none. Of a W_hh
    that is derived from parameters the weight itself is meant.

    Parameters
    ----------
    layer : Layer
    gradients : Gradients
        Of a plain backward pass (not log-scaled) with keep_tape=True.
    """
    T, B, G, H = gradients.z.shape
    shares = np.full(T, np.nan)
    total, h = layer.weight_gradients.get("W_hh"), layer.last.states["h"]
    scale = 0.0 if total is None else norm(total)
    if not 0 < scale < np.inf:
        return shares
    runs = [run[1:] for run in layer.product_runs if run[0].weight == "W_hh"]
    contribution, direction = np.empty_like(total), total / scale  # scaled: a tiny gradient's products do not underflow
    for t in range(T):
        contribution[:] = 0
        for source, target, count in runs:
            z = gradients.z[t].reshape(B, G * H)
            gemm.add_transposed_product(h[t], z, target * H, count * H, contribution, source * H)
        shares[t] = dot(contribution / scale, direction)
    return shares


def first_lags(rows) -> dict[str, int | None]:
    """First lag at which a gradient has left the normal range of its dtype, in any sequence of the batch.

    Parameters
    ----------
    rows : (T + 1, B, H) array
        dL/ds_t of a plain backward pass.

    Returns
    -------
    dict
        `subnormal`: largest element below the smallest normal number but not 0; `zero`: all elements 0; `overflow`:
        an element infinite or NaN. None where that never happens.
    """
    largest = np.abs(rows[::-1]).max(axis=2)  # NaN spreads
    tiny = np.finfo(rows.dtype).tiny
    found = {"subnormal": (largest > 0) & (largest < tiny), "zero": largest == 0, "overflow": ~np.isfinite(largest)}
    return {name: int(np.argmax(hit.any(axis=1))) if hit.any() else None for name, hit in found.items()}

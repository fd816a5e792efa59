"""Mean and 95 % t interval over seeds, with sums in a written order and no library function whose bits vary.

For a whole number n of degrees of freedom the probability that ``|t|`` stays below t is a finite sum
(Abramowitz & Stegun 1964, 26.7.3 and 26.7.4). With ``s = t / sqrt(n + t^2)`` and ``c = sqrt(n / (n + t^2))``::

    n odd    2/pi (atan(t / sqrt(n)) + s (c + 2/3 c^3 + ... + (2*4*...*(n-3)) / (3*5*...*(n-2)) c^(n-2)))
    n even   s (1 + 1/2 c^2 + (1*3)/(2*4) c^4 + ... + (1*3*...*(n-3)) / (2*4*...*(n-2)) c^(n-2))

Above n = 200 the expansion of the quantile around the normal one (26.7.5) is exact to 1e-12.

The power of a paired t test is the upper tail of the noncentral t. With X = Z + delta normal and S^2 = chi^2_df / df::

    P(X > t S) = integral of Phi(delta - t s) f(s) ds,   f(s) = 2 (df/2)^(df/2) / Gamma(df/2) s^(df-1) exp(-df s^2/2)

The trapezoid rule in u = ln s converges exponentially, because the integrand falls off that fast on both sides.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

_Z = 1.959963984540054  # the normal quantile at 0.975


@dataclass(frozen=True)
class Summary:
    """Mean of the finite values, the 95 % interval around it, and how many of `total` values were finite.

    `low` and `high` are None where there is no interval (fewer than two finite values), `mean` where there is no value.
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    total: int
    whole: bool = False


def summarise(values: Sequence[float | int | bool | None]) -> Summary:
    """Return mean and t interval ``mean +- t(0.975, n-1) s / sqrt(n)`` over the finite values.

    Non-finite and missing values are left out and counted: `n` of `total`. Only where every value is the same infinity,
    as a half-life at rate 1, is that the mean.

    Examples
    --------
    >>> summary = summarise([1.0, 2.0, 3.0, float("nan")])
    >>> summary.mean, round(summary.high, 6), summary.n, summary.total
    (2.0, 4.484138, 3, 4)
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    n, total = len(finite), len(values)
    if not finite:
        if values and values[0] is not None and all(value == values[0] for value in values):
            return Summary(float(values[0]), None, None, total, total)
        return Summary(None, None, None, 0, total)
    whole = all(isinstance(value, int) for value in finite)
    # A power of two in front keeps sums and squares of huge and tiny values in range without rounding anything.
    exponent = max(math.frexp(value)[1] for value in finite)
    scaled = [math.ldexp(value, -exponent) for value in finite]
    mean = min(max(math.fsum(scaled) / n, min(scaled)), max(scaled))  # rounded, but never outside the values
    if n == 1:
        return Summary(float(finite[0]), None, None, 1, total, whole)
    deviations = [value - mean for value in scaled]
    half = t_quantile(n - 1) * math.sqrt(math.fsum(d * d for d in deviations) / (n - 1)) / math.sqrt(n)
    low, high = (_unscale(edge, exponent) for edge in (mean - half, mean + half))
    return Summary(_unscale(mean, exponent), low, high, n, total, whole)


def steps(rate: Summary, shown_as: str) -> Summary:
    """Return the half-life or doubling time, in steps, of a factor per step and of the ends of its interval.

    No interval where it contains 1: the time is then anything beyond both ends.

    Examples
    --------
    >>> steps(summarise([0.5, 0.5]), "half-life").mean
    1.0
    """
    sign = {"half-life": -1.0, "doubling time": 1.0}[shown_as]

    def time(factor: float) -> float | None:
        if not 0 < factor < math.inf:
            return None
        change = math.log(factor)
        return math.inf if abs(change) < 1e-9 else sign * math.log(2) / change

    mean = None if rate.mean is None else time(rate.mean)
    ends = [None, None]
    if mean is not None and rate.low is not None and 0 < rate.low and not rate.low <= 1 <= rate.high:
        ends = sorted(time(end) for end in (rate.low, rate.high))
    return Summary(mean, ends[0], ends[1], rate.n, rate.total)


def _unscale(value: float, exponent: int) -> float:
    """Return ``value * 2**exponent``, infinite instead of an error where it overflows."""
    half = exponent // 2
    return value * 2.0**half * 2.0 ** (exponent - half)


@functools.lru_cache
def t_quantile(df: int) -> float:
    """Return the 0.975 quantile of Student's t with a whole number of degrees of freedom.

    Examples
    --------
    >>> round(t_quantile(4), 6)
    2.776445
    """
    if df > 200:
        return _expanded_quantile(df)
    low, high = 1.9, 13.0  # the quantile falls from 12.706 at one degree of freedom to 1.960
    for _ in range(60):
        middle = (low + high) / 2
        if _central_probability(middle, df) < 0.95:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _central_probability(t: float, df: int) -> float:
    """Return the probability that Student's t lies between -t and t."""
    sine = t / math.sqrt(df + t * t)
    cosine2 = df / (df + t * t)
    odd = df % 2
    terms = [1.0]
    for k in range(2 + odd, df - 1, 2):
        terms.append(terms[-1] * cosine2 * (k - 1) / k)
    if not odd:
        return sine * math.fsum(terms)
    angle = _arctangent(t / math.sqrt(df))
    return 2 / math.pi * (angle + (sine * math.sqrt(cosine2) * math.fsum(terms) if df > 1 else 0.0))


def _arctangent(x: float) -> float:
    """Return atan(x) by halving the angle four times and summing its series."""
    for _ in range(4):
        x = x / (1 + math.sqrt(1 + x * x))
    terms, power = [], x
    for k in range(1, 32, 2):
        terms.append(power / k if k % 4 == 1 else -power / k)
        power *= x * x
    return 16 * math.fsum(terms)


def _expanded_quantile(df: int) -> float:
    z2 = _Z * _Z
    terms = (
        _Z,
        _Z * (z2 + 1) / (4 * df),
        _Z * ((5 * z2 + 16) * z2 + 3) / (96 * df**2),
        _Z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * df**3),
        _Z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / (92160 * df**4),
    )
    return math.fsum(terms)


# ------------------------------------------------------------------------------------------------ how many seeds decide

POWER = 0.8
_Z_POWER = 0.8416212335729143  # the normal quantile at POWER
EXACT_PAIRS = 200  # beyond, the required number is the expansion around the normal one


def power(effect: float, pairs: int) -> float:
    """Return the power at 5 % of a paired t test on `pairs` differences whose mean is `effect` standard deviations.

    As R's ``power.t.test(delta=effect, sd=1, type="paired")``: the chance of a significant difference with the right
    sign, upper tail of the noncentral t with noncentrality ``effect * sqrt(pairs)``.

    Examples
    --------
    >>> round(power(1.0, 10), 4)
    0.8031
    """
    df = pairs - 1
    critical, shift = t_quantile(df), effect * math.sqrt(pairs)
    # ln s is spread over about 1 / sqrt(2 df), with a tail to the left that falls off as s^df.
    width = 1 / math.sqrt(2 * df)
    low, high = -max(9 * width, 36 / df), min(9 * width, 3.0)
    constant = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)
    step = min(width / 8, 1 / (4 * abs(shift) + 1))  # Phi goes from 1 to 0 within 1 / shift of ln s
    count = math.ceil((high - low) / step)
    terms = []
    for k in range(count + 1):
        u = low + k * step
        s = math.exp(u)
        density = math.exp(constant + df * (u - s * s / 2))
        terms.append(density * math.erfc((critical * s - shift) / math.sqrt(2)) / 2)
    return min(step * math.fsum(terms), 1.0)


@functools.cache
def detectable_effect(pairs: int) -> float:
    """Return the effect, in standard deviations, that a paired t test on `pairs` differences finds with power `POWER`.

    Examples
    --------
    >>> round(detectable_effect(10), 4)
    0.996
    """
    effect = (t_quantile(pairs - 1) + _Z_POWER) / math.sqrt(pairs)
    low, high = 0.0, math.inf
    for _ in range(60):  # secant steps kept inside a bracket
        missing = power(effect, pairs) - POWER
        low, high = (low, effect) if missing > 0 else (effect, high)
        nudge = effect * 1e-6
        slope = (power(effect + nudge, pairs) - power(effect, pairs)) / nudge
        new = effect - missing / slope if slope > 0 else math.nan
        if not low < new < high:
            new = (low + high) / 2 if high < math.inf else 2 * low
        if abs(new - effect) <= 1e-12 * effect:
            break
        effect = new
    return effect


def pairs_expansion(effect: float) -> float:
    """Return `pairs_needed` as a real number, by the normal quantiles; `effect`, positive, may be an array.

    Examples
    --------
    >>> round(pairs_expansion(0.2), 2)
    198.14
    """
    return ((_Z + _Z_POWER) / effect) ** 2 + _Z * _Z / 2


def pairs_needed(effect: float) -> int | None:
    """Return the smallest number of pairs, 2 at least, whose paired t test at 5 % has power `POWER` for `effect`.

    `effect` is the mean difference in standard deviations of the differences. None without an effect. Above
    `EXACT_PAIRS` the number is the expansion ``(z.975 + z.8)^2 / effect^2 + z.975^2 / 2``, which may be off by one.

    Examples
    --------
    >>> pairs_needed(1.0), pairs_needed(-0.5), pairs_needed(0.0)
    (10, 34, None)
    """
    effect = abs(effect)
    if not effect > 1e-100:
        return None
    guess = pairs_expansion(effect)
    if guess > EXACT_PAIRS:
        return math.ceil(guess)
    pairs = max(math.ceil(guess), 2)  # never too many: the expansion lies below the exact number
    while detectable_effect(pairs) > effect:
        pairs += 1
    return pairs

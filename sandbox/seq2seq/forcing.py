"""Teacher forcing with a schedule: how many of the decoder's inputs are the right ones.

A decoder that has only ever read right symbols has never seen what follows a mistake of its own. Scheduled sampling
(Bengio et al. 2015) lets it read some of its own answers, more of them as it learns. One after the other that would
take a pass for each step; here it takes two for all of them (Mihaylova & Martins 2019): the answers are those of a pass
with right inputs.
"""

import math

import numpy as np

from sandbox.errors import UsageError, shorten, unknown
from sandbox.kernels.activations import exp_array

__all__ = ["mixed", "schedule"]


def schedule(text):
    """Share of right inputs as a function of how many updates have been made; None where all are right for ever.

        SHARE                a number from 0 to 1; 1 is plain teacher forcing, 0 has every input be the model's own
        linear:N             max(0, 1 - t / N)                              (Bengio et al. 2015, section 2.4)
        linear:N:LEAST       max(LEAST, 1 - (1 - LEAST) t / N)
        sigmoid:K            K / (K + exp(t / K))                           (inverse sigmoid decay, the same)

    Raises
    ------
    UsageError
        For a text that is none of these, or a number out of range.

    Examples
    --------
    >>> share = schedule("linear:4:0.5")
    >>> [share(update) for update in (0, 2, 4, 8)]
    [1.0, 0.75, 0.5, 0.5]
    """
    name, *numbers = str(text).split(":")
    if name == "linear" and len(numbers) in (1, 2):
        length, least = _number(text, numbers[0], 1), _number(text, numbers[1], 0, 1) if numbers[1:] else 0.0
        return lambda update: max(least, 1.0 - (1.0 - least) * (update / length))
    if name == "sigmoid" and len(numbers) == 1:
        rate = _number(text, numbers[0], 1)
        return lambda update: rate / (rate + float(exp_array(np.array([update / rate]))[0]))
    if numbers or name in ("linear", "sigmoid"):
        raise unknown("schedule of forcing", text, ("linear:N", "linear:N:LEAST", "sigmoid:K"))
    share = _number(text, name, 0, 1)
    return None if share == 1 else lambda update: share


def _number(text, part, low, high=math.inf):
    try:
        value = float(part)
    except ValueError:
        value = math.nan
    if not low <= value <= high or value == math.inf:
        rule = f"a number from {low}" + (f" to {high}" if high < math.inf else "")
        hint = "linear:N, linear:N:LEAST and sigmoid:K are schedules"
        raise UsageError(f"forcing must have {rule}, got {shorten(str(text))} ({hint})")
    return value


def mixed(inputs, answers, share, rng):
    """Inputs (T, B) with some of them, from the second step on, replaced by the answer of the step before.

    Each keeps the right symbol with probability `share`; one uniform number decides on it.
    """
    own = rng.random((len(inputs) - 1, inputs.shape[1])) >= share
    found = inputs.copy()
    found[1:] = np.where(own, answers[:-1], inputs[1:])
    return found

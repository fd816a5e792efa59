"""Where single precision gives out: the same parameters and inputs run in float32, without log-scaling."""

import numpy as np

from sandbox.diagnostics.gradients import first_lags

__all__ = ["float32_limits"]


def float32_limits(layer, x, v, profile) -> dict[str, float | int | None]:
    """Columns that say at which lag a float32 backward pass leaves its range, beside the float64 log-scaled value.

    For each of `subnormal`, `zero` and `overflow`: `float32_<what>_lag`, the first lag where that happens to dL/dh of
    any sequence (None: never), and `log10_grad_at_<what>`, log10 of what the norm really is there.
    `float32_forward_overflow` is the first step at which a state itself is not finite.

    Parameters
    ----------
    layer : Layer
        Of any dtype; its parameters are rounded to float32.
    x : (T, B, D) array
    v : (B, H) array
    profile : Profile
        Of the same layer and input.
    """
    single = layer.astype("float32")
    run = single.forward(x.astype("float32"))
    finite = np.ones(x.shape[0] + 1, bool)
    for state in run.states.values():
        finite &= np.isfinite(state).all(axis=(1, 2))
    rows = single.backward(dstates={"h": v.astype("float32")}, every_state=True, parameters=False, inputs=False)
    columns = {"float32_forward_overflow": None if finite.all() else int(np.argmin(finite))}
    for what, lag in first_lags(rows.states["h"]).items():
        columns[f"float32_{what}_lag"] = lag
        columns[f"log10_grad_at_{what}"] = None if lag is None else float(profile.log10()[lag])
    return columns

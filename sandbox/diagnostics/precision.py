"""Where numbers leave their range: in the run itself, and in the same run in single precision without log-scaling."""

import numpy as np

from sandbox.diagnostics.gradients import first_lags

__all__ = ["float32_limits", "nonfinite_status"]


def nonfinite_status(run, gradients) -> dict[str, str]:
    """Column `status`, `nonfinite: <tensor> ...`, naming the first tensor that is not finite; empty if all are.

    Parameters
    ----------
    run : Trajectory
    gradients : Gradients
        Of a plain backward pass through it.
    """
    step, name = _first_overflow(run)
    if step is not None:
        return {"status": f"nonfinite: {name} at step {step}"}
    spoilt = [name for name, gradient in gradients.parameters.items() if not np.isfinite(gradient).all()]
    return {"status": f"nonfinite: dL/d{spoilt[0]}"} if spoilt else {}


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
    columns = {"float32_forward_overflow": _first_overflow(single.forward(x.astype("float32")))[0]}
    rows = single.backward(dstates={"h": v.astype("float32")}, every_state=True, parameters=False, inputs=False)
    for what, lag in first_lags(rows.states["h"]).items():
        columns[f"float32_{what}_lag"] = lag
        columns[f"log10_grad_at_{what}"] = None if lag is None else float(profile.log10()[lag])
    return columns


def _first_overflow(run):
    """The first step at which a state is not finite, and the state's name; None for both if there is none."""
    found = []
    for name, state in run.states.items():
        finite = np.isfinite(state).all(axis=(1, 2))
        if not finite.all():
            found.append((int(np.argmin(finite)), name))
    return min(found, default=(None, None))

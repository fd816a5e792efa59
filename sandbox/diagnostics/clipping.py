"""What gradient clipping does to the direction of a step."""

import numpy as np

from sandbox.diagnostics.gradients import LN10
from sandbox.errors import unknown
from sandbox.kernels.activations import log_array
from sandbox.kernels.reductions import cosine, norm

__all__ = ["CLIPS", "clip", "clip_cosines"]

CLIPS = ("global", "tensor", "value")


def clip(gradients, threshold, how="global"):
    """Gradients limited to a threshold, by name; those within it are returned as they are.

        global  g <- g min(1, c / ||g||), one norm over all parameters (Pascanu et al. 2013, alg. 1)
        tensor  the same for each parameter's own norm
        value   each element into [-c, c]

    Only the first keeps the direction. A norm that is not finite scales nothing: what to do then
    is the caller's choice.

    Parameters
    ----------
    gradients : dict of arrays
    threshold : float
        c, above 0.
    how : {"global", "tensor", "value"}
    """
    if how not in CLIPS:
        raise unknown("clip", how, CLIPS)
    if how == "value":
        return {name: np.clip(g, -threshold, threshold) for name, g in gradients.items()}
    norms = {name: norm(g) for name, g in gradients.items()}
    if how == "global":
        norms = dict.fromkeys(norms, norm(np.array(list(norms.values()))))
    return {name: (g * np.float64(threshold / norms[name])).astype(g.dtype) if threshold < norms[name] < np.inf else g
            for name, g in gradients.items()}  # fmt: skip


def clip_cosines(gradients, threshold) -> dict[str, float]:
    """Columns `log10_grad_norm` and `cosine_<how>`: the cosine between the whole gradient before and after clipping.

    The logarithm, because a mean of norms over seeds would be the norm of one. Cosines are NaN where the gradient is
    zero or not finite.
    """
    flat = _flat(gradients)
    cosines = {f"cosine_{how}": float(cosine(flat, _flat(clip(gradients, threshold, how)))) for how in CLIPS}
    return {"log10_grad_norm": float(log_array(np.array([norm(flat)]))[0]) / LN10} | cosines


def _flat(gradients):
    return np.concatenate([g.ravel() for g in gradients.values()])

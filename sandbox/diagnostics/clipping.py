"""What gradient clipping does to the direction of a step."""

import numpy as np

from sandbox.clipping import CLIPS, clip
from sandbox.diagnostics.gradients import LN10
from sandbox.kernels.activations import log_array
from sandbox.kernels.reductions import cosine, norm

__all__ = ["clip_cosines"]


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

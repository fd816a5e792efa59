"""Rates known exactly, to hold a measured one against; read off the parameters, not off the name of an init."""

import numpy as np

from sandbox.kernels import gemm
from sandbox.kernels.activations import sigmoid

__all__ = ["exact_rates", "upper_rate"]


def exact_rates(layer) -> dict[str, float]:
    """Per-step factor of dL/ds by state, for those that theory gives without an approximation.

    * linear recurrence with W_hh^T W_hh = g^2 I, up to rounding: g;
    * all weights zero, plain RNN: dL/dh by 0;
    * all weights zero, LSTM with one forget bias: dL/dc by f = sigmoid(b_f), dL/dh by 0, since h reaches nothing;
    * all weights zero, GRU with one update bias: z = sigmoid(b_z), by h_t = (1 - z) n + z h_{t-1}.
    """
    name, parameters, H = layer.cell.name, layer.parameters, layer.hidden_size
    if name not in ("rnn", "lstm", "gru"):
        return {}
    if name == "rnn" and layer.options["activation"] == "identity":
        gain = _orthogonal_gain(parameters["W_hh"].astype(np.float64), 1000 * np.finfo(layer.dtype).eps)
        return {} if gain is None else {"h": gain}
    if parameters["W_hh"].any() or parameters["W_ih"].any():
        return {}
    if name == "rnn":
        return {"h": 0.0}
    at = layer.cell.gates.index("f" if name == "lstm" else "z") * H
    bias = parameters["b"][at : at + H].astype(np.float64)
    if (bias != bias[0]).any():
        return {}
    kept = float(sigmoid(bias[0]))
    return {"h": 0.0, "c": kept} if name == "lstm" else {"h": kept}


def _orthogonal_gain(W, tolerance):
    """g if W^T W = g^2 I up to rounding, else None."""
    gram = gemm.multiply(np.ascontiguousarray(W.T), W)
    square = gram[0, 0]
    off = np.abs(gram - square * np.eye(len(W))).max()
    return float(np.sqrt(square)) if off <= tolerance * square else None


def upper_rate(layer, sigma_max) -> float | None:
    """Bound on the per-step factor of a plain RNN: sigma_max(W_hh) max|phi'| (Pascanu et al. 2013); None for others.

    The largest slope of tanh, relu and the identity is 1, that of the sigmoid 1/4.
    """
    if layer.cell.name != "rnn":
        return None
    return sigma_max * (0.25 if layer.options["activation"] == "sigmoid" else 1.0)

"""Rates known exactly, to hold a measured one against; read off the parameters, not off the name of an init."""

import numpy as np

from sandbox.kernels import gemm
from sandbox.kernels.activations import sigmoid

__all__ = ["exact_rates", "upper_rate"]


def exact_rates(layer) -> dict[str, float]:
    """Per-step factor of dL/ds by state, for those that theory gives without an approximation.

    * linear recurrence with W_hh^T W_hh = g^2 I, up to rounding: g;
    * all weights zero, plain RNN: dL/dh by 0;
    * all weights zero, LSTM of any variant with one forget bias: dL/dc by f = sigmoid(b_f), by 1 without a forget gate;
      dL/dh, and dL/dgate where gates recur, by 0, since they reach nothing;
    * all weights zero, GRU with one update bias: z = sigmoid(b_z), by h_t = (1 - z) n + z h_{t-1}.
    """
    name, parameters = layer.cell.name, layer.parameters
    if name not in ("rnn", "lstm", "gru"):
        return {}
    if name == "rnn" and layer.options["activation"] == "identity":
        gain = _orthogonal_gain(parameters["W_hh"].astype(np.float64), 1000 * np.finfo(layer.dtype).eps)
        return {} if gain is None else {"h": gain}
    if any(value.any() for key, value in parameters.items() if key not in layer.cell.biases):
        return {}
    if name == "rnn":
        return {"h": 0.0}
    kept = _kept(layer, "f" if name == "lstm" else "z")
    if kept is None:
        return {}
    return {"h": kept} if name == "gru" else {**dict.fromkeys(layer.cell.states, 0.0), "c": kept}


def _kept(layer, gate):
    """Value of a gate that sees nothing but its bias, if it is the same for all units: 1 for one that is left out."""
    if gate not in layer.cell.gates:
        return 1.0
    H, at = layer.hidden_size, layer.cell.biases["b"].index(gate) * layer.hidden_size
    bias = layer.parameters["b"][at : at + H].astype(np.float64)
    return None if (bias != bias[0]).any() else float(sigmoid(bias[0]))


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

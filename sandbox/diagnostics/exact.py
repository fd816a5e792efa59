"""Rates that are known exactly, to hold a measured one against."""

from sandbox.kernels.activations import sigmoid

__all__ = ["exact_rates", "upper_rate"]

LARGEST_SLOPE = {"tanh": 1.0, "relu": 1.0, "identity": 1.0}


def exact_rates(layer, init, gain) -> dict[str, float]:
    """Per-step factor of dL/ds by state, for those that theory gives without an approximation.

    * linear recurrence with W_hh = gain Q, Q orthogonal: the gain;
    * LSTM with all weights zero: dL/dc by f = sigmoid(b_f), dL/dh by 0, since h reaches nothing;
    * GRU with all weights zero: z = sigmoid(0), by h_t = (1 - z) n + z h.
    """
    name = layer.cell.name
    if name == "rnn" and layer.options["activation"] == "identity" and init in ("orthogonal", "identity"):
        return {"h": float(gain)}
    if layer.parameters["W_hh"].any() or layer.parameters["W_ih"].any():
        return {}
    if name == "lstm":
        return {"h": 0.0, "c": float(sigmoid(layer.options["forget_bias"]))}
    return {"rnn": {"h": 0.0}, "gru": {"h": float(sigmoid(0.0))}}.get(name, {})


def upper_rate(layer, sigma_max) -> float | None:
    """Bound on the per-step factor of a plain RNN: sigma_max(W_hh) max|phi'| (Pascanu et al. 2013); None for others."""
    if layer.cell.name != "rnn":
        return None
    return sigma_max * LARGEST_SLOPE[layer.options["activation"]]

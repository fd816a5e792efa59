"""Statistics of gates over a run, and of what the input brings to them."""

import numpy as np

from sandbox.kernels import gemm
from sandbox.kernels.reductions import mean, norm

__all__ = ["gate_means", "input_drive"]


def gate_means(layer, run) -> dict[str, float]:
    """Mean of every gate over time, batch and units, as columns `mean_i`, `mean_f` ...

    Steps beyond a row's length do not count. (For the plain RNN the one gate is h itself.)

    Parameters
    ----------
    layer : Layer
    run : Trajectory
        Of a forward pass whose gates are still in place.
    """
    T, B = run.x.shape[:2]
    lengths = np.full(B, T) if run.lengths is None else run.lengths
    live = np.arange(T)[:, None] < lengths
    return {f"mean_{name}": float(mean(np.ascontiguousarray(run.gates[name][live]))) for name in layer.cell.gates}


def input_drive(layer, x) -> float:
    """Root mean square of x W_ih: how hard the input pushes the pre-activations.

    It falls with the hidden size under Glorot's initialisation and differs between sources; units that are pushed less
    saturate less, and their gradients die more slowly. Compare rows of one drive, or say that it differs.
    """
    z = gemm.multiply(x.reshape(-1, x.shape[2]), layer.parameters["W_ih"])
    return float(norm(z) / np.sqrt(z.size))

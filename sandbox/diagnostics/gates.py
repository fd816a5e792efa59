"""Statistics of gates over a run."""

import numpy as np

from sandbox.kernels.reductions import mean

__all__ = ["gate_means"]


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

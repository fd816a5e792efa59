"""Statistics of gates over a run, and of what the input brings to them."""

import numpy as np

from sandbox.kernels import gemm
from sandbox.kernels.activations import log_array
from sandbox.kernels.reductions import mean, norm

__all__ = ["gate_means", "input_drive", "memory_times"]


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


def memory_times(layer, run, suffix="") -> dict[str, float]:
    """Columns `keep` and `tau`: what the gate that keeps the past is, and how many steps that makes.

    For every unit the mean gate f over time and batch, and its time constant -1 / ln f in steps; `keep` is the mean
    over units, `tau` the median, because a few units that keep everything would decide a mean. Of a cell without such a
    gate nothing. A gate that is 1 keeps for ever: `inf`.

    Parameters
    ----------
    layer : Layer
    run : Trajectory
        Of a forward pass whose gates are still in place.
    suffix : str
        Appended to the columns' names.
    """
    keeping = [name for name, sign in layer.cell.memory.items() if sign > 0]
    if not keeping:
        return {}
    T, B = run.x.shape[:2]
    live = np.arange(T)[:, None] < (np.full(B, T) if run.lengths is None else run.lengths)
    gate = run.gates[keeping[0]][live].astype("float64")
    means = np.array([mean(np.ascontiguousarray(gate[:, unit])) for unit in range(gate.shape[1])])
    with np.errstate(divide="ignore"):
        times = np.sort(1.0 / abs(log_array(means)))  # not -1 / ln f, which of ln 1 = 0 would be -inf
    middle = len(times) // 2
    median = times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2
    return {f"keep{suffix}": float(mean(means)), f"tau{suffix}": float(median)}


def input_drive(layer, x) -> float:
    """Root mean square of x W_ih: how hard the input pushes the pre-activations.

    It falls with the hidden size under Glorot's initialisation and differs between sources; units that are pushed less
    saturate less, and their gradients die more slowly. Compare rows of one drive, or say that it differs.
    """
    z = gemm.multiply(x.reshape(-1, x.shape[2]), layer.parameters["W_ih"])
    return float(norm(z) / np.sqrt(z.size))

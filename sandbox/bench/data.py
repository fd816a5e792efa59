"""What every library is given: parameters, inputs and sequences of the adding problem, from NumPy alone.

The processes of other libraries import this module and nothing else of the project: they must not pay for its compiler.
`stream` and `adding` repeat what `sandbox.streams` and `sandbox.tasks.adding` draw; a test holds them together.

A case is a dictionary: cell ("rnn", "gru" or "lstm"), D inputs, H units, B sequences, T steps, dtype.
"""

import math

import numpy as np

__all__ = ["GATES", "adding", "arrays", "parameters", "stream", "train"]

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def stream(purpose, seed):
    """The generator of one purpose and seed, as `sandbox.streams.stream` makes it."""
    key = np.random.SeedSequence(seed, spawn_key=tuple(purpose.encode()))
    return np.random.Generator(np.random.PCG64(key))


def adding(rng, batch, seq_len):
    """The adding problem, markers in either half: x (T, B, 2) and target (B, 1), float64."""
    x, rows, half = np.zeros((seq_len, batch, 2)), np.arange(batch), seq_len // 2
    x[:, :, 0] = 0.0 + (1.0 - 0.0) * rng.random((seq_len, batch))
    first = np.floor(rng.random(batch) * half).astype(np.int64)
    second = (half + np.floor(rng.random(batch) * (seq_len - half))).astype(np.int64)
    x[first, rows, 1] = x[second, rows, 1] = 1.0
    return x, (x[first, rows, 0] + x[second, rows, 0])[:, None]


def parameters(case):
    """Parameters of one layer from U[-1, 1) / sqrt(H) by the project's names: W_ih (D, G H), W_hh (H, G H), b, b_hn.

    Gates are in PyTorch's order.
    """
    D, H, width = case["D"], case["H"], GATES[case["cell"]] * case["H"]
    shapes = {"W_ih": (D, width), "W_hh": (H, width), "b": (width,)} | ({"b_hn": (H,)} if case["cell"] == "gru" else {})
    rng = np.random.default_rng(1)
    return {name: _uniform(rng, shape, H**-0.5, case) for name, shape in shapes.items()}


def arrays(case):
    """Input x (T, B, D) and dL/dy (T, B, H), both U[-1, 1)."""
    rng, T, B = np.random.default_rng(2), case["T"], case["B"]
    return _uniform(rng, (T, B, case["D"]), 1.0, case), _uniform(rng, (T, B, case["H"]), 1.0, case)


def _uniform(rng, shape, bound, case):
    return ((2 * rng.random(shape) - 1) * bound).astype(case.get("dtype", "float32"))


def train(plan, update, loss):
    """The loop of `sandbox.training.Trainer.run`: evaluate every so often, stop when solved.

    Parameters
    ----------
    plan : dict
        seed, T, recipe (updates, batch, evaluate_every, evaluation ...).
    update, loss : functions of x and target
        Change the model by one batch and return the loss before; the loss alone.
    """
    recipe, seed, T = plan["recipe"], plan["seed"], plan["T"]
    batch, test, rng = recipe["batch"], stream("test", seed), stream("data", seed)
    held_out = [adding(test, batch, T) for _ in range(-(-recipe["evaluation"] // batch))]

    def evaluate():
        return sum(loss(*example) for example in held_out) / len(held_out)

    done, found = 0, evaluate()
    while found >= 0.01 and done < recipe["updates"]:
        value = update(*adding(rng, batch, T))
        done += 1
        if not math.isfinite(value):
            break
        if done % recipe["evaluate_every"] == 0:
            found = evaluate()
    if done % recipe["evaluate_every"]:
        found = evaluate()
    return {"updates": done, "loss": found, "solved": found < 0.01}

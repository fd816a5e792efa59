"""The work that is timed, done by this project."""

import tracemalloc

import numpy as np

from sandbox import provenance, tasks, threads
from sandbox.bench import data
from sandbox.bench.gemm import CHAINS, _fma_chains
from sandbox.jit import COMPILED, registers
from sandbox.layers import Layer
from sandbox.training import Recipe, Trainer, model_for

__all__ = ["gradients", "job", "memory", "peak", "segments", "setup", "step", "update"]


def setup(number):
    """Versions of what is at work; a run has so many threads."""
    threads.use(number)
    versions = provenance.versions()
    return {name: versions[name] for name in ("numba", "numpy")} | {"compiled": COMPILED}


def step(case):
    """Forward and backward pass of one layer, gradients of all parameters."""
    layer, (x, dy) = _layer(case), data.arrays(case)

    def run(times):
        for _ in range(times):
            layer.forward(x)
            layer.backward(dy, inputs=False)

    return run


def gradients(case):
    """The loss sum(y dy), and its gradient by every parameter."""
    layer, (x, dy) = _layer(case), data.arrays(case)
    y = layer.forward(x).y
    loss = np.sum(y.astype(np.float64) * dy)
    return {"loss": loss, **layer.backward(dy, inputs=False).parameters}


def _layer(case):
    layer = Layer(case["cell"], case["D"], case["H"], rng=None, init="zeros", input_init="zeros",
                  dtype=case.get("dtype", "float32"))  # fmt: skip
    for name, value in data.parameters(case).items():
        layer.parameters[name][:] = value
    return layer


def update(case):
    """A training update on the adding problem: new batch, forward, backward, clipping, Adam."""
    task, recipe = tasks.load("adding"), Recipe(batch=case["B"], evaluation=case["B"], updates=10**9)
    model = model_for(task, 0, cell=case["cell"], hidden=case["H"], dtype=case.get("dtype", "float32"))
    trainer = Trainer(model, task, recipe, seq_len=case["T"], seed=0)

    def run(times):
        for _ in range(times):
            trainer.step()

    return run


def segments(case):
    """Gradient of a model's last output, with the states of every so many steps kept only, if the case says so."""
    model = model_for(tasks.load("adding"), 0, cell=case["cell"], hidden=case["H"])
    x, target = data.adding(data.stream("data", 0), case["B"], case["T"])
    x, target = x.astype(model.dtype), target.astype(model.dtype)

    def run(times):
        for _ in range(times):
            model.differentiate(x, target, loss="mse", checkpoint_every=case["checkpoint_every"])

    return run


def memory(case):
    """Bytes that a model which is not warm holds at most while it differentiates; those of its states and gates."""
    x, target = data.adding(data.stream("data", 0), case["B"], case["T"])
    x, target = x.astype(np.float32), target.astype(np.float32)
    for T in (2, case["T"]):  # the code that is loaded by the first is not counted
        model = model_for(tasks.load("adding"), 0, cell=case["cell"], hidden=case["H"])
        tracemalloc.start()
        model.differentiate(x[:T], target, loss="mse")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    cell = model.stack.layers[0].cell
    rows = case["T"] * len(cell.tape) + (case["T"] + 1) * len(cell.states)
    return {"peak": found, "arrays": rows * case["B"] * case["H"] * model.dtype.itemsize}


def peak(case):
    """As many multiply-adds on registers as make 1e9 operations; one thread."""
    dtype = np.dtype(case.get("dtype", "float32"))
    out = np.zeros(registers()[0] // dtype.itemsize, dtype)
    half, chain = dtype.type(0.5), round(1e9 / (2 * CHAINS * out.size))

    def run(times):
        for _ in range(times):
            _fma_chains(out, half, chain)

    return run


def job(plan):
    """Train on the adding problem until the mean squared error of held-out sequences is below 0.01."""
    task = tasks.load("adding")
    model = model_for(task, plan["seed"], cell=plan["cell"], hidden=plan["H"])
    recipe = Recipe(**plan["recipe"])
    found = Trainer(model, task, recipe, seq_len=plan["T"], seed=plan["seed"]).run()
    return {"updates": found.updates, "loss": found.loss, "solved": found.solved}

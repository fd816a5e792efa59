"""The work that is timed, done by this project."""

import inspect
import math
import time
import tracemalloc

import numpy as np

from sandbox import provenance, tasks, threads
from sandbox.bench import data
from sandbox.bench.gemm import CHAINS, fma_chains
from sandbox.jit import COMPILED, registers
from sandbox.kernels import scan, weights
from sandbox.layers import Layer, bodies
from sandbox.training import Recipe, Trainer, model_for

__all__ = ["body", "gradients", "held", "job", "memory", "parts", "peak", "segments", "setup", "step", "update"]

# Where the loops take what says which products there are.
_FORWARD, _BACKWARD = (list(inspect.signature(getattr(loop, "py_func", loop)).parameters)
                       for loop in (scan.forward, scan.backward))  # fmt: skip
FORWARD_INPUTS, FORWARD_PLAN, BACKWARD_PLAN = _FORWARD.index("inputs"), _FORWARD.index("plan"), _BACKWARD.index("plan")


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


def body(case):
    """Forward and backward pass of what a model can be made of, by any of its names."""
    made, x, dy = _body(case)

    def run(times):
        for _ in range(times):
            made.forward(x)
            made.backward(dy, inputs=False)

    return run


def _body(case):
    """The body, x and dL/dy."""
    made = bodies.body(case["cell"], case["D"], case["H"], rng=data.stream("init", 0), dtype="float32")
    return made, *data.arrays(case | {"H": made.output_size})


def held(case):
    """Bytes that a body which is not warm holds at most in a forward and backward pass."""
    for T in (2, case["T"]):  # the code that is loaded by the first is not counted
        made, x, dy = _body(case)
        tracemalloc.start()
        made.forward(np.ascontiguousarray(x[:T]))
        made.backward(np.ascontiguousarray(dy[:T]), inputs=False)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return {"peak": found}


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


def parts(case):
    """Seconds that the kernels of a forward and backward pass take, the best of many passes each, and the whole pass.

    `forward step` and `backward step` are the two loops without their products: the cell, biases, what flows in.
    """
    layer, (x, dy) = _layer(case), data.arrays(case)
    best = dict.fromkeys(("packing", "forward", "backward", "gradients", "pass"), math.inf)
    seen = {}

    def timed(name, kernel):
        def call(*arguments):
            started = time.perf_counter()
            kernel(*arguments)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - started
            seen[name] = list(arguments)

        return call

    names = {"prepare": (weights, "packing"), "pack_all": (weights, "packing"), "gradients": (weights, "gradients"),
             "forward": (scan, "forward"), "backward": (scan, "backward")}  # fmt: skip
    kernels = {attribute: getattr(module, attribute) for attribute, (module, _) in names.items()}
    try:
        for attribute, (module, name) in names.items():
            setattr(module, attribute, timed(name, kernels[attribute]))
        for _ in range(case["passes"]):
            spent, started = {}, time.perf_counter()
            layer.forward(x)
            layer.backward(dy, inputs=False)
            spent["pass"] = time.perf_counter() - started
            best = {name: min(least, spent[name]) for name, least in best.items()}
    finally:
        for attribute, (module, _) in names.items():
            setattr(module, attribute, kernels[attribute])
    forth, back = seen["forward"], seen["backward"]
    forth[FORWARD_INPUTS], forth[FORWARD_PLAN], back[BACKWARD_PLAN] = (
        tables[:0] for tables in (forth[FORWARD_INPUTS], forth[FORWARD_PLAN], back[BACKWARD_PLAN]))  # fmt: skip
    for name, kernel, arguments in (("forward", scan.forward, forth), ("backward", scan.backward, back)):
        best[f"{name} step"] = math.inf
        for _ in range(case["passes"]):
            layer.forward(x)  # a tape and a caches' content as the loop finds them
            started = time.perf_counter()
            kernel(*arguments)
            best[f"{name} step"] = min(best[f"{name} step"], time.perf_counter() - started)
    return best


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
            fma_chains(out, half, chain)

    return run


def job(plan):
    """Train on the adding problem until the mean squared error of held-out sequences is below 0.01."""
    task = tasks.load("adding")
    model = model_for(task, plan["seed"], cell=plan["cell"], hidden=plan["H"])
    recipe = Recipe(**plan["recipe"])
    found = Trainer(model, task, recipe, seq_len=plan["T"], seed=plan["seed"]).run()
    return {"updates": found.updates, "loss": found.loss, "solved": found.solved}

"""The work that is timed, done by JAX on the CPU: one compiled function, `lax.scan` over time.

The input product of all steps is taken out of the scan, as in the other two. XLA uses the threads it likes.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from sandbox.bench import data

__all__ = ["gradients", "job", "setup", "step", "update"]


def setup(threads):
    """Versions; the number of threads is XLA's own choice."""
    jax.config.update("jax_platforms", "cpu")
    return {"jax": jax.__version__}


def _rnn(w, z, states):
    h = jnp.tanh(z + states[0] @ w["W_hh"])
    return (h,), h


def _gru(w, z, states):
    (h,) = states
    z_r, z_z, z_n = jnp.split(z, 3, -1)
    h_r, h_z, h_n = jnp.split(h @ w["W_hh"], 3, -1)
    r, u = jax.nn.sigmoid(z_r + h_r), jax.nn.sigmoid(z_z + h_z)
    h = (1 - u) * jnp.tanh(z_n + r * (h_n + w["b_hn"])) + u * h
    return (h,), h


def _lstm(w, z, states):
    i, f, g, o = jnp.split(z + states[0] @ w["W_hh"], 4, -1)
    c = jax.nn.sigmoid(f) * states[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


CELLS = {"rnn": (_rnn, 1), "gru": (_gru, 1), "lstm": (_lstm, 2)}


def _run(cell, w, x):
    """Outputs (T, B, H) of a layer."""
    one, count = CELLS[cell]
    start = (jnp.zeros((x.shape[1], w["W_hh"].shape[0]), x.dtype),) * count
    return jax.lax.scan(lambda states, z: one(w, z, states), start, x @ w["W_ih"] + w["b"])[1]


def _prepared(case):
    x, dy = map(jnp.asarray, data.arrays(case))
    w = {name: jnp.asarray(value) for name, value in data.parameters(case).items()}
    compute = jax.jit(jax.value_and_grad(lambda w, x, dy: jnp.sum(_run(case["cell"], w, x) * dy)))
    return lambda: compute(w, x, dy)


def step(case):
    """Forward and backward pass of one layer, gradients of all parameters."""
    compute = _prepared(case)

    def run(times):
        for _ in range(times):
            jax.block_until_ready(compute())

    return run


def gradients(case):
    """The loss sum(y dy), and its gradient by every parameter."""
    loss, found = _prepared(case)()
    return {"loss": float(loss), **{name: np.asarray(value) for name, value in found.items()}}


def _loss(cell, w, x, target):
    return jnp.mean((_run(cell, w, x)[-1] @ w["head_W"] + w["head_b"] - target) ** 2)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4, 5))
def _update(cell, lr, threshold, w, first, second, count, x, target):
    """Gradient, clipping by the global norm, Adam."""
    loss, g = jax.value_and_grad(partial(_loss, cell))(w, x, target)
    norm = jnp.sqrt(sum(jnp.sum(value**2) for value in g.values()))
    g = {name: value * jnp.minimum(1.0, threshold / norm) for name, value in g.items()}
    first = {name: 0.9 * m + 0.1 * g[name] for name, m in first.items()}
    second = {name: 0.999 * s + 0.001 * g[name] ** 2 for name, s in second.items()}
    rate, root = lr / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)
    w = {name: value - rate * first[name] / (jnp.sqrt(second[name]) / root + 1e-8) for name, value in w.items()}
    return w, first, second, loss


class _Training:
    def __init__(self, cell, start, lr, threshold):
        self.settings = cell, lr, threshold
        self.w = {name: jnp.asarray(value, jnp.float32) for name, value in start.items()}
        self.first, self.second = ({name: jnp.zeros_like(value) for name, value in self.w.items()} for _ in range(2))
        self.count, self.evaluate = 0, jax.jit(partial(_loss, cell))

    def update(self, x, target):
        self.count += 1
        self.w, self.first, self.second, loss = _update(
            *self.settings, self.w, self.first, self.second, np.float32(self.count), x.astype(np.float32),
            target.astype(np.float32))  # fmt: skip
        return float(loss)

    def loss(self, x, target):
        return float(self.evaluate(self.w, x.astype(np.float32), target.astype(np.float32)))


def update(case):
    """A training update on the adding problem: new batch, forward, backward, clipping, Adam."""
    start = data.parameters(case | {"D": 2}) | {"head_W": np.full((case["H"], 1), 0.1), "head_b": np.zeros(1)}
    training, rng = _Training(case["cell"], start, 1e-3, 1.0), data.stream("data", 0)

    def run(times):
        for _ in range(times):
            training.update(*data.adding(rng, case["B"], case["T"]))

    return run


def job(plan):
    """Train on the adding problem until the mean squared error of held-out sequences is below 0.01."""
    with np.load(plan["start"]) as file:
        start = {name: file[name] for name in file.files}
    training = _Training(plan["cell"], start, plan["recipe"]["lr"], plan["recipe"]["threshold"])
    return data.train(plan, training.update, training.loss)

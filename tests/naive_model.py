"""A whole model in NumPy, complex-safe: layers looped over time by `reference`, heads, losses, and noise drawn again.

Gradients of a model are compared with complex steps through `Network.loss`.
"""

import naive
import numpy as np


class Network:
    """The model that `model`'s shape describes, with masks of its own drawing.

    Parameters
    ----------
    model : Model
        Read for its shape only: cells, options, head, rates. Parameters are given to `loss`.
    x, target, lengths, mask, states
        As for `Model.differentiate`.
    seed : int, optional
        Of the generator that the model was given as `noise`; draws none if it is None.
    window : int, optional
        Derivatives stop at every multiple of it, but in rows that have ended.
    """

    def __init__(self, model, x, target, *, lengths=None, mask=None, states=None, seed=None, window=None):
        self.model, self.x, self.target, self.states = model, np.asarray(x), target, states
        T, B = self.x.shape[:2]
        self.lengths = np.full(B, T) if lengths is None else np.asarray(lengths)
        self.live = np.arange(T)[:, None] < self.lengths
        self.mask = self.live if mask is None else self.live & mask
        self.window = window or T
        self.masks = [self.draw(number, seed) for number in range(len(model.stack.layers))]

    def draw(self, number, seed):
        """Masks of a layer: what it sees of the layer below, then for each half of h and of the states."""
        (T, B), stack = self.x.shape[:2], self.model.stack
        if seed is None:
            return 1.0, [(None, None) for _ in halves(stack.layers[number])]
        sites = np.random.default_rng(seed).spawn(2 * len(stack.layers))
        seen, found = 1.0, []
        if stack.dropout and number:
            size = stack.layers[number].input_size
            seen = (sites[2 * number + 1].random((T, B, size)) >= stack.dropout) / (1 - stack.dropout)
        for half in halves(stack.layers[number]):
            shape, hidden, kept, rng = (B, half.hidden_size), None, None, sites[2 * number]
            if half.recurrent_dropout:
                hidden = (rng.random(shape) >= half.recurrent_dropout) / (1 - half.recurrent_dropout)
            if half.zoneout:
                kept = rng.random((T, len(half.cell.states), *shape)) < half.zoneout
                kept = kept.swapaxes(0, 1).astype(float)
            found.append((hidden, kept))
        return seen, found

    def loss(self, flat, name, reduction="mean"):
        """The loss at the parameters in one flat vector, real or complex."""
        return reduced(name, self.output(flat), self.target, self.mask, self.model.head, reduction)

    def output(self, flat):
        """(B, O), or (T, B, O) for the head `every`."""
        parameters, model = naive.unpack(flat, self.model.parameters), self.model
        y = self.x if model.embedding is None else parameters["embedding.W"][self.x]
        own = []
        for number, layer in enumerate(model.stack.layers):
            seen, masks = self.masks[number]
            start = None if self.states is None else self.states[number]
            outputs, last = self.layer(layer, f"layers.{number}", parameters, y * seen, start, masks)
            y = y + outputs if model.stack.residual and number else outputs
            own.append(last)
        W, b = parameters["head.W"], parameters["head.b"]
        if model.head == "every":
            return y @ W + b
        if model.head == "last":
            return (sum(own) if model.stack.residual else own[-1]) @ W + b
        means = [y[:length, b].sum(0) / max(length, 1) for b, length in enumerate(self.lengths)]
        return np.stack(means) @ W + b

    def layer(self, layer, name, parameters, x, start, masks):
        """Outputs after every step, and the last ones."""
        if not hasattr(layer, "halves"):
            return self.run(layer, own(parameters, name), x, start, *masks[0])
        forth, forth_last = self.run(layer.forth, own(parameters, f"{name}.forth"), x, start, *masks[0])
        back, back_last = self.run(layer.back, own(parameters, f"{name}.back"), self.reversed(x), start, *masks[1])
        merge = np.add if layer.merge == "sum" else lambda one, other: np.concatenate([one, other], -1)
        return merge(forth, self.reversed(back)), merge(forth_last, back_last)

    def reversed(self, x):
        x = x.copy()
        for b, length in enumerate(self.lengths):
            x[:length, b] = x[:length, b][::-1]
        return x

    def run(self, layer, parameters, x, start, hidden, kept):
        """A cell over all windows: outputs (T, B, O H), and the last ones (B, O H)."""
        if not hasattr(layer, "cell"):
            found = perceptron(layer.window, parameters, x, start, self.lengths, self.window)
            return found[0], found[1]["h"]
        B, H, outputs = x.shape[1], layer.hidden_size, []
        given = start or {}
        start = np.stack([given.get(state, np.zeros((B, H))) for state in layer.cell.states])
        for first in range(0, len(x), self.window):
            start = np.where((self.lengths <= first)[:, None], start, start.real)
            part = slice(first, first + self.window)
            trail = naive.run(layer.cell, layer.options, parameters, x[part], start, self.lengths - first, hidden,
                              None if kept is None else kept[:, part])  # fmt: skip
            start = trail[:, -1]
            outputs.append(np.concatenate(trail[: layer.cell.outputs, 1:], -1))
        return np.concatenate(outputs), np.concatenate(start[: layer.cell.outputs], -1)


def perceptron(window, parameters, x, start=None, lengths=None, cut=None):
    """Outputs (T, B, H) of a perceptron over a window of inputs, a step at a time, and its last states by name."""
    (T, B, D), W, b = x.shape, parameters["W"], parameters["b"]
    h, past = np.zeros((B, W.shape[1])), np.zeros((B, (window - 1) * D))
    if start is not None:
        h, past = start.get("h", h), start.get("x", past)
    past, outputs = [past[:, n * D : (n + 1) * D] for n in range(window - 1)], []
    lengths = np.full(B, T) if lengths is None else lengths
    for t, x_t in enumerate(x):
        live = (t < lengths)[:, None]
        if t % (cut or T) == 0:
            h, *past = (np.where(live, value.real, value) for value in (h, *past)) if cut else (h, *past)
        z = np.concatenate([x_t, *past[::-1]], -1) @ W + b
        h = np.where(live, np.where(z.real > 0, z, 0), h)
        past = [np.where(live, new, old) for new, old in zip([*past[1:], x_t], past)]
        outputs.append(h)
    return np.stack(outputs), {"h": h, "x": np.concatenate([np.zeros((B, 0)), *past], -1)}


def halves(layer):
    return getattr(layer, "halves", [layer])


def own(parameters, name):
    """The parameters of one layer."""
    return {key.removeprefix(f"{name}."): value for key, value in parameters.items() if key.startswith(f"{name}.")}


def reduced(name, output, target, mask, head, reduction):
    """A loss over the rows that count."""
    if name == "softmax":
        top = output.real.max(-1, keepdims=True)
        log_sum = np.log(np.exp(output - top).sum(-1)) + top[..., 0]
        terms = (log_sum - np.take_along_axis(output, target[..., None], -1)[..., 0])[..., None]
    elif name == "mse":
        terms = (output - target) ** 2
    else:
        terms = np.log(1 + np.exp(output)) - target * output
    mask = mask if head == "every" else np.ones(output.shape[:-1], bool)
    total, rows = (terms * mask[..., None]).sum(), mask.reshape(-1, mask.shape[-1])
    divisor = {"mean": mask.sum() * terms.shape[-1], "sum": 1, "sequences": rows.any(0).sum()}[reduction]
    return total / max(divisor, 1)

"""The work that is timed, done by PyTorch on the CPU: its own fused layers and optimiser."""

import numpy as np
import torch

from sandbox.bench import data

__all__ = ["gradients", "job", "setup", "step", "update"]

LAYERS = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


def setup(threads):
    """Limit the threads; returns versions."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    return {"torch": torch.__version__}


def step(case):
    """Forward and backward pass of one layer, gradients of all parameters."""
    layer, (x, dy) = _layer(case), map(torch.from_numpy, data.arrays(case))
    weights = list(layer.parameters())

    def run(times):
        for _ in range(times):
            torch.autograd.grad(layer(x)[0], weights, dy)

    return run


def gradients(case):
    """The loss sum(y dy), and its gradient by every parameter, by the project's names."""
    layer, (x, dy) = _layer(case), map(torch.from_numpy, data.arrays(case))
    y = layer(x)[0]
    loss = (y.detach().double() * dy).sum().item()
    W_ih, W_hh, b, b_hh = (d.numpy() for d in torch.autograd.grad(y, list(layer.parameters()), dy))
    found = {"loss": loss, "W_ih": W_ih.T, "W_hh": W_hh.T, "b": b}
    return found | ({"b_hn": b_hh[2 * case["H"] :]} if case["cell"] == "gru" else {})


def _layer(case):
    layer = LAYERS[case["cell"]](case["D"], case["H"])
    _give(layer, data.parameters(case))
    return layer


def _give(layer, values):
    """Set a layer's parameters; the second bias is zero but for the GRU's b_hn."""
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.from_numpy(np.ascontiguousarray(values["W_ih"].T)))
        layer.weight_hh_l0.copy_(torch.from_numpy(np.ascontiguousarray(values["W_hh"].T)))
        layer.bias_ih_l0.copy_(torch.from_numpy(values["b"]))
        layer.bias_hh_l0.zero_()
        if "b_hn" in values:
            layer.bias_hh_l0[-len(values["b_hn"]) :].copy_(torch.from_numpy(values["b_hn"]))


class _Training:
    """A layer with a linear head on its last output, Adam and clipping by the global norm."""

    def __init__(self, case, lr, threshold):
        self.layer, self.head = LAYERS[case["cell"]](2, case["H"]), torch.nn.Linear(case["H"], 1)
        self.weights = [*self.layer.parameters(), *self.head.parameters()]
        self.optimiser, self.threshold = torch.optim.Adam(self.weights, lr=lr, fused=True), threshold

    def loss(self, x, target):
        x, target = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(target.astype(np.float32))
        return torch.nn.functional.mse_loss(self.head(self.layer(x)[0][-1]), target)

    def update(self, x, target):
        self.optimiser.zero_grad()
        loss = self.loss(x, target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, self.threshold)
        self.optimiser.step()
        return loss.item()


def update(case):
    """A training update on the adding problem: new batch, forward, backward, clipping, Adam."""
    training, rng = _Training(case, 1e-3, 1.0), data.stream("data", 0)

    def run(times):
        for _ in range(times):
            training.update(*data.adding(rng, case["B"], case["T"]))

    return run


def job(plan):
    """Train on the adding problem until the mean squared error of held-out sequences is below 0.01."""
    recipe = plan["recipe"]
    training = _Training(plan, recipe["lr"], recipe["threshold"])
    with np.load(plan["start"]) as start, torch.no_grad():
        _give(training.layer, {name: start[name] for name in start.files if not name.startswith("head")})
        training.head.weight.copy_(torch.from_numpy(np.ascontiguousarray(start["head_W"].T)))
        training.head.bias.copy_(torch.from_numpy(start["head_b"]))

    def loss(*batch):
        with torch.no_grad():
            return training.loss(*batch).item()

    return data.train(plan, training.update, loss)

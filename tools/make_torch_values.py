"""Make the stored values of PyTorch that tests compare with, on small random numbers, all float64.

tests/data/torch_values.npz: outputs and gradients of PyTorch's own RNN, LSTM and GRU. Arrays are named `network/array`
and keep PyTorch's layout; tests/test_layers.py maps them to this project's.
tests/data/torch_optimisers.npz: a vector after each of five updates by PyTorch's optimisers, `name/after`, with what
went in; tests/test_optim.py repeats them.
tests/data/torch_attention.npz: outputs and gradients of MultiheadAttention, LayerNorm and TransformerEncoderLayer,
`module/array`; tests/test_transformer.py maps them.

Needs PyTorch (2.13.0 made the stored files), which no other part of the project does.
"""

import sys
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent.parent / "tests" / "data"
T, B, D, H = 4, 3, 5, 6
LENGTHS = (4, 2, 1)


def values():
    """All arrays by name."""
    import torch

    networks = {
        "tanh": torch.nn.RNN(D, H, nonlinearity="tanh"),
        "relu": torch.nn.RNN(D, H, nonlinearity="relu"),
        "lstm": torch.nn.LSTM(D, H),
        "gru": torch.nn.GRU(D, H),
    }
    found = {}
    for number, (name, network) in enumerate(networks.items()):
        network.double()
        for lengths in (None, LENGTHS):
            arrays = run(torch, network, np.random.default_rng(number), lengths)
            found |= {f"{name}{'' if lengths is None else ' packed'}/{key}": value for key, value in arrays.items()}
    return found


def run(torch, network, rng, lengths):
    """One forward and backward pass of L = sum(y dy) + sum(h_n dh_n) (+ sum(c_n dc_n))."""

    def draw(*shape):
        return torch.tensor(rng.standard_normal(shape), requires_grad=True)

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.tensor(0.5 * rng.standard_normal(parameter.shape)))
    network.zero_grad()
    states = ["h", "c"] if isinstance(network, torch.nn.LSTM) else ["h"]
    x, start = draw(T, B, D), [draw(1, B, H) for _ in states]
    dy, dlast = rng.standard_normal((T, B, H)), [rng.standard_normal((1, B, H)) for _ in states]
    flowing = x if lengths is None else torch.nn.utils.rnn.pack_padded_sequence(x, list(lengths))
    y, last = network(flowing, tuple(start) if len(states) == 2 else start[0])
    if lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y)
    last = list(last) if len(states) == 2 else [last]
    loss = (y * torch.tensor(dy)).sum() + sum((a * torch.tensor(b)).sum() for a, b in zip(last, dlast))
    loss.backward()
    arrays = {"x": x, "y": y, "dy": dy, "dx": x.grad}
    for name, first, final, gradient in zip(states, start, last, dlast):
        arrays |= {f"{name}_0": first[0], f"{name}_n": final[0], f"d{name}_n": gradient[0], f"d{name}_0": first.grad[0]}
    for name, parameter in network.named_parameters():
        arrays |= {name: parameter, f"d{name}": parameter.grad}
    return {key: value.detach().numpy().copy() if torch.is_tensor(value) else value for key, value in arrays.items()}


UPDATES, SIZE = 5, 7


def optimisers():
    """Arrays by name: `start`, `gradients`, `lrs`, `decay`, and `name/after` (updates, size) for each optimiser."""
    import torch

    rng = np.random.default_rng(10)
    start, gradients = rng.standard_normal(SIZE), rng.standard_normal((UPDATES, SIZE))
    decay, lrs = np.arange(SIZE) % 3 > 0, 0.1 / (1 + np.arange(UPDATES))
    SGD, RMSprop, Adam, AdamW = torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adam, torch.optim.AdamW
    makers = {
        "sgd": lambda groups: SGD(groups, lr=1.0),
        "momentum": lambda groups: SGD(groups, lr=1.0, momentum=0.9),
        "nesterov": lambda groups: SGD(groups, lr=1.0, momentum=0.9, nesterov=True),
        "rmsprop": lambda groups: RMSprop(groups, lr=1.0),
        "adam": lambda groups: Adam(groups, lr=1.0),
        "adamw": lambda groups: AdamW(groups, lr=1.0),
        "momentum set": lambda groups: SGD(groups, lr=1.0, momentum=0.5),
        "nesterov set": lambda groups: SGD(groups, lr=1.0, momentum=0.5, nesterov=True),
        "rmsprop set": lambda groups: RMSprop(groups, lr=1.0, alpha=0.8, eps=0.01),
        "adam set": lambda groups: Adam(groups, lr=1.0, betas=(0.7, 0.8), eps=0.01),
        "adamw set": lambda groups: AdamW(groups, lr=1.0, betas=(0.7, 0.8), eps=0.01, weight_decay=0.3),
    }
    found = {"start": start, "gradients": gradients, "lrs": lrs, "decay": decay}
    for name, maker in makers.items():
        tensors = [torch.tensor(start[part], requires_grad=True) for part in (decay, ~decay)]
        optimiser = maker([{"params": tensors[:1]}, {"params": tensors[1:], "weight_decay": 0.0}])
        after = np.empty((UPDATES, SIZE))
        for t in range(UPDATES):
            for part, tensor, group in zip((decay, ~decay), tensors, optimiser.param_groups):
                tensor.grad, group["lr"] = torch.tensor(gradients[t][part]), float(lrs[t])
            optimiser.step()
            for part, tensor in zip((decay, ~decay), tensors):
                after[t][part] = tensor.detach().numpy()
        found[f"{name}/after"] = after
    return found


S, HEADS, INNER = 6, 3, 24  # a width of 6 for three heads, and a perceptron four times as wide
MASKS = {"": (None, False), " padded": (LENGTHS, False), " causal": (None, True), " both": (LENGTHS, True)}


def attention():
    """All arrays by name; of padded sequences nothing flows into steps behind their length."""
    import torch

    def gelu(x):
        return torch.nn.functional.gelu(x, approximate="tanh")

    def layer(norm_first):
        return torch.nn.TransformerEncoderLayer(S, HEADS, INNER, 0.0, activation=gelu, norm_first=norm_first)

    modules = {
        "norm": torch.nn.LayerNorm(S),
        "attention": torch.nn.MultiheadAttention(S, HEADS),
        "pre": layer(True),
        "post": layer(False),
    }
    found = {}
    for number, (name, module) in enumerate(modules.items()):
        rng = np.random.default_rng(20 + number)
        with torch.no_grad():
            for key, parameter in module.double().named_parameters():
                parameter.copy_(torch.tensor(0.5 * rng.standard_normal(parameter.shape)))
                found[f"{name}/{key}"] = parameter.numpy().copy()
        for suffix, masks in MASKS.items() if name != "norm" else [("", (None, False))]:
            arrays = run_attention(torch, module, rng, *masks)
            found |= {f"{name}{suffix}/{key}": value for key, value in arrays.items()}
    return found


def run_attention(torch, module, rng, lengths, causal):
    """One forward and backward pass of L = sum(y dy)."""
    module.zero_grad()
    x, dy = torch.tensor(rng.standard_normal((T, B, S)), requires_grad=True), rng.standard_normal((T, B, S))
    live = np.arange(T)[:, None] < np.array([T] * B if lengths is None else lengths)
    dy *= live[..., None]
    padding = None if lengths is None else torch.tensor(~live.T)
    later = torch.ones(T, T, dtype=torch.bool).triu(1) if causal else None
    if isinstance(module, torch.nn.LayerNorm):
        y = module(x)
    elif isinstance(module, torch.nn.MultiheadAttention):
        y, _ = module(x, x, x, key_padding_mask=padding, attn_mask=later)
    else:
        y = module(x, src_mask=later, src_key_padding_mask=padding)
    (y * torch.tensor(dy)).sum().backward()
    arrays = {"x": x, "y": y, "dy": dy, "dx": x.grad}
    arrays |= {f"d{name}": parameter.grad for name, parameter in module.named_parameters()}
    return {key: value.detach().numpy().copy() if torch.is_tensor(value) else value for key, value in arrays.items()}


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    for name, make in {"values": values, "optimisers": optimisers, "attention": attention}.items():
        file, arrays = DATA / f"torch_{name}.npz", make()
        np.savez(file, **arrays)
        print(f"{len(arrays)} arrays in {file}", file=sys.stderr)

"""Make tests/data/torch_values.npz: outputs and gradients of PyTorch's own RNN, LSTM and GRU on small random numbers.

Needs PyTorch (2.13.0 made the stored file), which no other part of the project does. Arrays are named
`network/array` and keep PyTorch's layout; tests/test_layers.py maps them to this project's.
"""

import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parent.parent / "tests" / "data" / "torch_values.npz"
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


if __name__ == "__main__":
    arrays = values()
    TARGET.parent.mkdir(exist_ok=True)
    np.savez(TARGET, **arrays)
    print(f"{len(arrays)} arrays in {TARGET}", file=sys.stderr)

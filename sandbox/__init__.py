"""A CPU sandbox for recurrent neural networks: hand-written derivatives, compiled kernels, gradients as tables.

>>> from sandbox import Layer, stream
>>> layer = Layer("gru", input_size=3, hidden_size=16, rng=stream("init", 0))
"""

import importlib

__version__ = "0.1.0"

# Looked up at first use: `sandbox --help` must not wait for a compiler to be imported.
_HOMES = {
    "Axis": "sandbox.experiment",
    "Cell": "sandbox.cells",
    "Layer": "sandbox.layers",
    "Model": "sandbox.model",
    "Recipe": "sandbox.training",
    "Run": "sandbox.results",
    "Setting": "sandbox.experiment",
    "Trainer": "sandbox.training",
    "UsageError": "sandbox.errors",
    "fit": "sandbox.training",
    "gradient_profile": "sandbox.diagnostics.gradients",
    "load": "sandbox.library",
    "run": "sandbox.library",
    "stream": "sandbox.streams",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'sandbox' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

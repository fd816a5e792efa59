"""Layers: what is between a kernel and a model. Every part owns its parameters, its workspace and its checks."""

from sandbox.layers.attention import Attention, MultiHead
from sandbox.layers.bidirectional import Bidirectional
from sandbox.layers.dense import Dense, Embedding
from sandbox.layers.norm import LayerNorm
from sandbox.layers.recurrent import Gradients, Layer, Trajectory
from sandbox.layers.stack import Stack
from sandbox.layers.transformer import Transformer
from sandbox.layers.window import Window

__all__ = ["Attention", "Bidirectional", "Dense", "Embedding", "Gradients", "Layer", "LayerNorm", "MultiHead", "Stack",
           "Trajectory", "Transformer", "Window"]  # fmt: skip

"""Layers: what is between a kernel and a model. Every part owns its parameters, its workspace and its checks."""

from sandbox.layers.attention import Attention
from sandbox.layers.bidirectional import Bidirectional
from sandbox.layers.dense import Dense, Embedding
from sandbox.layers.recurrent import Gradients, Layer, Trajectory
from sandbox.layers.stack import Stack
from sandbox.layers.window import Window

__all__ = ["Attention", "Bidirectional", "Dense", "Embedding", "Gradients", "Layer", "Stack", "Trajectory", "Window"]

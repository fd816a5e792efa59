"""Layers: what is between a kernel and a model. Every part owns its parameters, its workspace and its checks."""

from sandbox.layers.recurrent import Gradients, Layer, Trajectory

__all__ = ["Gradients", "Layer", "Trajectory"]

"""Measurements of speed: of the kernels (`gemm`) and of sweeps and their results (`sweep`)."""

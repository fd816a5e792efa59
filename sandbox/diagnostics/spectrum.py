"""Radius and norm of the recurrent matrix: two columns, because neither follows from the other."""

from sandbox.kernels.linalg import largest_singular_value, spectral_radius

__all__ = ["recurrent_spectrum"]


def recurrent_spectrum(layer) -> dict[str, float | None]:
    """Columns `spectral_radius` and `sigma_max`: the largest over the (H, H) blocks that act on h; None without any.

    For a plain RNN sigma_max max|phi'| < 1 suffices for gradients to vanish, and spectral_radius max|phi'| > 1 is
    needed for them to explode (Pascanu, Mikolov & Bengio 2013, section 2.1). Neither says so of a gated cell.
    """
    blocks = [block.astype("float64") for block in layer.recurrent_blocks().values()]
    return {"spectral_radius": max(map(spectral_radius, blocks), default=None),
            "sigma_max": max(map(largest_singular_value, blocks), default=None)}  # fmt: skip

"""Handwritten digits of 8x8 pixels: 1 797 images.

From scikit-learn 1.9.1 (or an installed one, which is not imported): the test part of the UCI set "Optical recognition
of handwritten digits" (Alpaydin and Kaynak 1998), where a pixel counts the black ones of 4x4. In its place: strokes,
moved, slanted, scaled and blurred.

Records: (images (N, 8, 8) float64 from 0 to 1, labels (N,) int64).
"""

import csv
import gzip
import io
import zlib

import numpy as np

from sandbox.data import Source, generator
from sandbox.files import read_mnist

IMAGES = 1797
# Strokes from point to point, (row, column) in a square of side 1.
STROKES = {
    0: [(0, 0.5), (0.2, 0.05), (0.8, 0.05), (1, 0.5), (0.8, 0.95), (0.2, 0.95), (0, 0.5)],
    1: [(0.25, 0.2), (0, 0.55), (1, 0.55)],
    2: [(0.2, 0.05), (0, 0.5), (0.25, 0.9), (1, 0.05), (1, 0.95)],
    3: [(0, 0.1), (0.1, 0.85), (0.45, 0.4), (0.75, 0.95), (1, 0.4), (0.9, 0.05)],
    4: [(1, 0.7), (0, 0.7), (0.65, 0.0), (0.65, 1.0)],
    5: [(0, 0.9), (0, 0.15), (0.45, 0.1), (0.5, 0.8), (0.85, 0.85), (1, 0.1)],
    6: [(0, 0.75), (0.4, 0.1), (0.9, 0.1), (1, 0.6), (0.75, 0.95), (0.5, 0.6), (0.6, 0.1)],
    7: [(0, 0.05), (0, 0.95), (1, 0.35)],
    8: [(0.5, 0.5), (0.2, 0.1), (0, 0.5), (0.2, 0.9), (0.5, 0.5), (0.8, 0.05), (1, 0.5), (0.8, 0.95), (0.5, 0.5)],
    9: [(0.4, 0.9), (0.5, 0.3), (0.25, 0.05), (0, 0.5), (0.15, 0.9), (1, 0.75)],
}  # fmt: skip


def read(members):
    """Read the packed CSV file: 64 counts from 0 to 16 and the label in each line."""
    try:
        text = gzip.decompress(members.read("sklearn/datasets/data/digits.csv.gz")).decode("ascii")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise members.damaged(error) from error
    table = np.array([[int(float(field)) for field in row] for row in csv.reader(io.StringIO(text))])
    return table[:, :64].reshape(-1, 8, 8) / 16.0, table[:, 64].copy()


def drawn(points, thickness):
    """Return 8x8 pixels of strokes between points (P, 2) in pixels: 1 on a stroke, 0 from `thickness` on."""
    at = np.arange(8) + 0.5
    row, column = np.repeat(at, 8), np.concatenate([at] * 8)
    nearest = np.full(64, np.inf)
    for (r, c), (r2, c2) in zip(points[:-1], points[1:], strict=True):
        down, right = r2 - r, c2 - c
        along = np.clip(((row - r) * down + (column - c) * right) / max(down**2 + right**2, 1e-9), 0.0, 1.0)
        nearest = np.minimum(nearest, (row - r - along * down) ** 2 + (column - c - along * right) ** 2)
    return np.clip(1.5 * (1.0 - np.sqrt(nearest) / thickness), 0.0, 1.0).reshape(8, 8)


def generate():
    """Draw digits whose points tremble, and add noise; pixels are whole sixteenths as in the archive."""
    from sandbox.streams import normal

    rng = generator("digits")
    labels = np.floor(10 * rng.random(IMAGES)).astype(np.int64)
    images = np.zeros((IMAGES, 8, 8))
    for image, label in zip(images, labels, strict=True):
        points = np.array(STROKES[int(label)]) + 0.06 * normal(rng, (len(STROKES[int(label)]), 2))
        height, width, slant, up, left, thickness = rng.random(6)
        rows = 0.6 + up + (5.2 + 1.6 * height) * points[:, 0]
        slanted = points[:, 1] + (0.5 * slant - 0.25) * (0.5 - points[:, 0])
        columns = 1.2 + 1.2 * left + (3.4 + 1.6 * width) * slanted
        image[:] = drawn(list(zip(rows, columns, strict=True)), 1.1 + 0.5 * thickness)
    noisy = np.clip(images + 0.05 * normal(rng, images.shape) * (images > 0), 0.0, 1.0)
    return np.floor(16.0 * noisy + 0.5) / 16.0, labels


def own(path):
    """Read a folder with MNIST's IDX files, whatever size the images have."""
    images, labels = read_mnist(path)
    return images / 255.0, labels


SOURCE = Source(
    holds="1 797 images of 8x8",
    licence="BSD-3-Clause; data CC BY 4.0",
    beat="nearest neighbour .989",
    read=read,
    generate=generate,
    stand_in="generated digits",
    option="mnist",
    own=own,
)

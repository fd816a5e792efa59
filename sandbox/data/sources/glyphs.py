"""Pictures of characters and what Unicode calls them: 28x28 pixels and a caption of words.

From DejaVu Sans, a free font that comes with Matplotlib (extra `plot`), and `unicodedata`; no archive. A picture which
several characters share is there once, with the name of the first. In its place: shapes drawn by arithmetic, with
captions of the same kind.

Records: (images (N, 28, 28) uint8, captions: list of lists of words).
"""

import functools
import unicodedata

import numpy as np

from sandbox.data import Source, choose, generator

SIDE, POINTS, FONT = 28, 20, "fonts/ttf/DejaVuSans.ttf"
PICTURES = 4000
SHAPES = ("CIRCLE", "SQUARE", "DIAMOND", "TRIANGLE", "CROSS", "BAR")
SIZES = {"SMALL": 4.0, "LARGE": 8.5}
FILLS = ("BLACK", "WHITE")
PLACES = {"": (14, 14), "UPPER": (9, 14), "LOWER": (19, 14), "LEFT": (14, 9), "RIGHT": (14, 19)}
MARKS = {"": None, "DOT ABOVE": (2, 14), "DOT BELOW": (26, 14)}


@functools.cache
def _font():
    """Path of the font; None without Matplotlib, which is not imported."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("matplotlib")
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return next((path for folder in folders if (path := Path(folder) / "mpl-data" / FONT).is_file()), None)


@functools.cache
def present():
    """Return the label: Matplotlib's version, which decides how the font is drawn; None without it."""
    from importlib.metadata import version

    from sandbox.files import digest

    path = _font()
    return path and f"DejaVu Sans, matplotlib {version('matplotlib')}@{digest(path.read_bytes())}"


def read():
    """Draw every named character of the font that fits, in the middle of its picture."""
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(_font()))
    font.set_size(POINTS, 72)
    images, captions, seen = [], [], set()
    for code in sorted(font.get_charmap()):
        name = unicodedata.name(chr(code), "")
        if not name:
            continue
        font.set_text(chr(code), 0)
        font.draw_glyphs_to_bitmap(antialiased=True)
        drawn = np.asarray(font.get_image())
        if not drawn.size or not drawn.max() or max(drawn.shape) > SIDE:
            continue
        image = np.zeros((SIDE, SIDE), np.uint8)
        top, left = ((SIDE - size) // 2 for size in drawn.shape)
        image[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
        if image.tobytes() not in seen:
            seen.add(image.tobytes())
            images.append(image)
            captions.append(name.replace("-", " ").split())
    return np.stack(images), captions


def inside(shape, down, right, size):
    """Return how far inside a shape points are, in pixels: at most 0 outside."""
    height, width = abs(down), abs(right)
    if shape == "CIRCLE":
        return size - np.sqrt(down * down + right * right)
    if shape == "SQUARE":
        return 0.85 * size - np.maximum(height, width)
    if shape == "DIAMOND":
        return (1.2 * size - height - width) / np.sqrt(2.0)
    if shape == "TRIANGLE":
        return np.minimum(0.8 * size - down, (down + size - 1.8 * width) / 2.06)
    if shape == "CROSS":
        return np.minimum(size - np.maximum(height, width), 0.32 * size - np.minimum(height, width))
    return np.minimum(0.3 * size - height, size - width)  # a bar


def generate():
    """Draw a shape of a size and fill at a place, perhaps turned, with a dot or not; its caption says so."""
    rng = generator("glyphs")
    at = np.arange(SIDE) + 0.0
    images, captions = np.zeros((PICTURES, SIDE, SIDE), np.uint8), []
    for image in images:
        shape, size, fill, place, mark = (choose(rng, list(each)) for each in (SHAPES, SIZES, FILLS, PLACES, MARKS))
        turned = shape in ("TRIANGLE", "BAR") and rng.random() < 0.5
        jitter = 2.0 * rng.random(3) - 1.0
        down, right = at[:, None] - PLACES[place][0] - jitter[0], at[None, :] - PLACES[place][1] - jitter[1]
        depth = inside(
            shape, right if turned else down, down if turned else right, SIZES[size] * (1.0 + 0.08 * jitter[2])
        )
        depth = depth if fill == "BLACK" else np.minimum(depth, 1.8 - depth)
        if MARKS[mark]:
            row, column = MARKS[mark]
            depth = np.maximum(depth, inside("CIRCLE", at[:, None] - row, at[None, :] - column, 1.8))
        image[:] = np.floor(255.0 * np.clip(depth, 0.0, 1.0))
        where, dot = f"AT {place}" if place else "", f"WITH {mark}" if mark else ""
        captions.append(f"{fill} {size} {'TURNED' * turned} {shape} {where} {dot}".split())
    return images, captions


SOURCE = Source(
    holds="5 313 pictures of 28x28",
    licence="Bitstream Vera (free)",
    beat="trigrams without the picture 3.27 bits a symbol; the nearest picture's name: 55 % of the words wrong",
    read=read,
    generate=generate,
    stand_in="generated shapes",
    present=present,
    missing="needs Matplotlib, which is missing (pip install rnn-sandbox[plot])",
)

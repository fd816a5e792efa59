"""One to many: the picture of a character, the words of its Unicode name.

Source: glyphs of a font, 28 x 28 grey values (from 0 to 1), and the names of Unicode's character database; of pictures
that are the same one is kept. Names with a word that occurs less than three times are left out. A fifth of the pictures
is held out; since every name stands for one picture, so are their names: what must be learned is words and how they are
put together. The score is what a word costs, in bits, the end of a name counted as a word.

The rival are trigrams of words (`sandbox.rivals.trigrams`), which do not see the picture. Beside it stands, with its
word error rate (edits to the name, by its words), the name of the nearest picture (Euclidean), which is never exact.
"""

from collections import Counter

import numpy as np

from sandbox import data
from sandbox.alphabet import END, Alphabet
from sandbox.corpora import Corpus
from sandbox.corpora._pairs import RESERVED
from sandbox.edits import scores
from sandbox.kernels.gemm import multiply
from sandbox.kernels.reductions import dot
from sandbox.rivals.trigrams import Trigrams, bits
from sandbox.shapes import evenly, split, transduction

__all__ = ["corpus"]

LEAST = 3


def corpus(path=None, most: int | None = None) -> Corpus:
    """Pictures to words; `most` is the most pictures that are held out.

    Facts
    -----
    symbols : Alphabet
    prompts, titles : lists
        The pictures (1, 784) that are held out, and what they are called.
    right : callable (number of the picture, written) -> bool
    accepted : list
        Of each picture the one right name.
    rival_error, reference : float
        Word error rate of the nearest pictures' names, and the share of them that is right.
    """
    found = data.load("glyphs", path)
    pictures, names = found.records
    counts = Counter(word for name in names for word in name)
    rows = [row for row, name in enumerate(names) if name and all(counts[word] >= LEAST for word in name)]
    pictures, names = pictures[rows], [names[row] for row in rows]
    pixels = pictures.reshape(len(rows), 1, -1) / 255.0
    symbols = Alphabet.of(names, reserved=RESERVED)
    codes = [symbols.encode(name) for name in names]
    learned, held_out = split(len(codes))
    held_out = evenly(held_out, most)
    task = transduction("captions", pixels, [np.concatenate([code, [END]]) for code in codes], None, len(symbols),
                        parts=(learned, held_out), paper="Unicode character database")  # fmt: skip
    wanted = [tuple(codes[row].tolist()) for row in held_out]
    accepted = [[name] for name in wanted]
    near = learned[nearest(pixels[held_out, 0], pixels[learned, 0])]
    exact, error_rate = scores([tuple(codes[row].tolist()) for row in near], accepted)
    facts = {"symbols": symbols, "prompts": list(pixels[held_out]),
             "titles": [" ".join(names[row]) for row in held_out],
             "right": lambda number, name: name == wanted[number],
             "accepted": accepted, "rival_error": error_rate, "between": " ", "longest": max(map(len, codes)),
             "reference": exact}  # fmt: skip
    model = Trigrams([codes[row] for row in learned], len(symbols))
    rival = bits([model.cost(codes[row]) for row in held_out], [codes[row] for row in held_out])
    return Corpus(task, found.label, "trigrams", rival, facts=facts)


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Row number (N,) of the other that is nearest to each point, of equals the first.

    |a - b|^2 - |a|^2 = |b|^2 - 2 a b

    Parameters
    ----------
    points, others : (N, D) and (M, D) float64
    """
    products = multiply(np.ascontiguousarray(points), np.ascontiguousarray(others.T))
    squares = np.array([dot(other, other) for other in np.ascontiguousarray(others)])
    return np.argmin(squares - 2.0 * products, axis=1)

"""One to many: a language, a surname of it, letter by letter.

Source: surnames by language, in small letters. A fifth of all is held out. The score is what a letter costs, in bits,
the end of a name counted as a letter: the negative log-likelihood of the names that are held out.

The rival are trigrams, one model for each language, each letter's chance interpolated with that after fewer letters
(Witten & Bell 1991):

    p(s | h) = (c(h s) + u(h) p(s | h without its first)) / (c(h) + u(h)),    p(s) at last 1 / V

with c counts and u(h) how many different letters follow h. The same models are the judge of names that a network
writes: the language under which a name is most probable.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from sandbox import data
from sandbox.alphabet import END, START, Alphabet
from sandbox.corpora import Corpus
from sandbox.corpora._pairs import RESERVED
from sandbox.kernels.activations import log_array
from sandbox.kernels.reductions import total
from sandbox.shapes import evenly, split, transduction
from sandbox.tasks import ln

__all__ = ["Trigrams", "corpus"]

ORDER = 3
EACH = 20  # names to write in each language


class Trigrams:
    """Letter trigrams of names.

    Parameters
    ----------
    names : list of (N_i,) int64
        Without `END`.
    letters : int
        V: how many there are, the reserved ones among them.
    """

    def __init__(self, names: Sequence[np.ndarray], letters: int):
        self.letters, self.counts = letters, defaultdict(Counter)
        for name in names:
            for history, letter in _steps(name):
                for first in range(ORDER):
                    self.counts[history[first:]][letter] += 1
        self.totals = {history: found.total() for history, found in self.counts.items()}

    def chance(self, history: tuple, letter: int) -> float:
        """p(letter | history); a history of up to two letters."""
        shorter = self.chance(history[1:], letter) if history else 1.0 / self.letters
        found = self.counts.get(history)
        if not found:
            return shorter
        return (found[letter] + len(found) * shorter) / (self.totals[history] + len(found))

    def cost(self, name: np.ndarray) -> float:
        """-log p of a name and its end, in nats."""
        chances = np.array([self.chance(*step) for step in _steps(name)])
        return -float(total(log_array(chances)))


def _steps(name):
    """What each letter of a name follows, and the letter."""
    letters = (START,) * (ORDER - 1) + (*name.tolist(), END)
    return [(letters[at - ORDER + 1 : at], letters[at]) for at in range(ORDER - 1, len(letters))]


def corpus(path=None, most: int | None = 2000) -> Corpus:
    """Languages to surnames; `path` is a file of one's own, `most` the most names that are held out.

    Facts
    -----
    symbols : Alphabet
    prompts, titles : lists
        What to write for, each language `EACH` times, and what it is called.
    right : callable (number of the prompt, written) -> bool
        Whether the judge takes what was written for a name of the prompt's language.
    cost : callable (loss, all that was written) -> float
    reference : float
        Share of the names held out that the judge gives their own language.
    """
    found = data.load("names", path)
    languages = tuple(sorted(found.records))
    pairs = sorted({(number, unicodedata.normalize("NFC", name.lower())) for number, language in enumerate(languages)
                    for name in found.records[language] if name})  # fmt: skip
    symbols = Alphabet.of((name for _, name in pairs), reserved=RESERVED)
    codes, labels = [symbols.encode(name) for _, name in pairs], [np.array([number]) for number, _ in pairs]
    learned, held_out = split(len(codes))
    held_out = evenly(held_out, most)
    task = transduction("naming", labels, [np.concatenate([code, [END]]) for code in codes], len(languages),
                        len(symbols), parts=(learned, held_out), paper="Faker")  # fmt: skip
    models = [Trigrams([codes[row] for row in learned if pairs[row][0] == number], len(symbols))
              for number in range(len(languages))]  # fmt: skip

    def judge(name):
        costs = [model.cost(np.asarray(name, np.int64)) for model in models]
        return costs.index(min(costs))

    nats = total(np.array([models[pairs[row][0]].cost(codes[row]) for row in held_out]))
    letters = total(np.array([len(codes[row]) + 1.0 for row in held_out]))
    prompts = [np.array([number]) for number in range(len(languages)) for _ in range(EACH)]
    judged = [judge(codes[row]) == pairs[row][0] for row in held_out].count(True) / len(held_out)
    facts = {"symbols": symbols, "prompts": prompts, "titles": [languages[prompt[0]] for prompt in prompts],
             "right": lambda number, name: judge(name) == prompts[number][0], "cost": lambda loss, _: loss / ln(2),
             "between": "", "longest": max(map(len, codes)), "reference": judged}  # fmt: skip
    return Corpus(task, found.label, "trigrams", float(nats / letters) / ln(2), "lower", facts)

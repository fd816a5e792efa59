"""One to many: a language, a surname of it, letter by letter.

Source: surnames by language, in small letters. A fifth of all is held out. The score is what a letter costs, in bits,
the end of a name counted as a letter: the negative log-likelihood of the names that are held out.

The rival are trigrams, one model for each language (`sandbox.rivals.trigrams`). The same models are the judge of names
that a network writes: the language under which a name is most probable.
"""

import unicodedata

import numpy as np

from sandbox import data
from sandbox.alphabet import END, Alphabet
from sandbox.corpora import Corpus
from sandbox.corpora._pairs import RESERVED
from sandbox.rivals.trigrams import Trigrams, bits
from sandbox.shapes import evenly, split, transduction

__all__ = ["corpus"]

EACH = 20  # names to write in each language


def corpus(path=None, most: int | None = 2000) -> Corpus:
    """Languages to surnames; `path` is a file of one's own, `most` the most names that are held out.

    Facts
    -----
    symbols : Alphabet
    prompts, titles : lists
        What to write for, each language `EACH` times, and what it is called.
    right : callable (number of the prompt, written) -> bool
        Whether the judge takes what was written for a name of the prompt's language.
    rival_error : None
        Nothing that is written has one right way.
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

    rival = bits([models[pairs[row][0]].cost(codes[row]) for row in held_out], [codes[row] for row in held_out])
    prompts = [np.array([number]) for number in range(len(languages)) for _ in range(EACH)]
    judged = [judge(codes[row]) == pairs[row][0] for row in held_out].count(True) / len(held_out)
    facts = {"symbols": symbols, "prompts": prompts, "titles": [languages[prompt[0]] for prompt in prompts],
             "right": lambda number, name: judge(name) == prompts[number][0], "rival_error": None,
             "between": "", "longest": max(map(len, codes)), "reference": judged}  # fmt: skip
    return Corpus(task, found.label, "trigrams", rival, facts=facts)

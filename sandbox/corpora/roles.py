"""What each token of a program is: tokens in, at each the role it has; half of the identifiers need what comes behind.

Source: `roles`, Python's own standard library, its tokens with roles read off the syntax tree. A sequence is a logical
line, those longer than 64 tokens in pieces. Division: a fifth of the files at random is held out (`shapes.split`).
Scored are identifiers alone: what is an operator, a keyword, a number or a string can be read off the token. Rival:
each token's most frequent role; of a new one that of most identifiers. Of the identifiers held out, a quarter was never
learned: a network reads rare ones by their spelling (`sandbox.spelling`). The fact `spelled` is what the most frequent
tag gets right if it is told no more and no less than the network, which leaves context as the only difference;
`neighbours` is what naive Bayes makes of a token and those before and behind it, told the same.
"""

import numpy as np

from sandbox import data, spelling
from sandbox.corpora import Corpus
from sandbox.errors import UsageError
from sandbox.rivals import classes as rivals
from sandbox.shapes import split, tagging

PLAIN = ("KEYWORD", "NUM", "OP", "STR")  # no identifiers


def corpus(path: str | None = None, longest: int = 64, least: int = 5) -> Corpus:
    """The task; `longest` is a piece's length, `least` how often a token must occur to have a number of its own."""
    found = data.load("roles", path)
    parts = [[], []]
    sentences, roles = [], []
    for part, files in enumerate(split(len(found.records))):
        for number in files:
            for line in found.records[number]:
                for first in range(0, len(line), longest):
                    tokens, tags = zip(*line[first : first + longest], strict=True)
                    parts[part].append(len(sentences))
                    sentences.append(tokens)
                    roles.append(tags)
    return tagged("roles", found, sentences, roles, parts, least, PLAIN if path is None else ())


def tagged(name, found, sentences, tags, parts, least, plain=()) -> Corpus:
    """A corpus of sentences with tags: which words are told apart, the steps that are scored, and the rivals.

    Parameters
    ----------
    found : data.Found
    sentences, tags : lists of tuples of str
    parts : (learned, held out)
        Row numbers.
    least : int
        As for `spelling.numbered`.
    plain : tuple of str
        Tags that are not scored.
    """
    learned, held_out = parts = [np.array(part, np.int64) for part in parts]
    if not len(learned) or not len(held_out):
        raise UsageError(f"data of {name} must have two sentences at least, got {len(sentences)}")
    classes = sorted({tag for row in tags for tag in row})
    if len(classes) < 2:
        raise UsageError(f"tags of {name} must be two at least, got {', '.join(classes) or 'none'}")
    codes = [np.array([classes.index(tag) for tag in row], np.int64) for row in tags]
    alphabet, words = spelling.numbered(sentences, learned, least)
    counts = np.array([tag not in plain for tag in classes])
    task = tagging(name, words, codes, len(classes), parts=parts, symbols=len(alphabet), paper=found.label,
                   scored=(lambda target: counts[target]) if plain else None)  # fmt: skip
    known, wanted = (np.concatenate([codes[row] for row in rows]) for rows in parts)
    unseen = rivals.most_frequent(known[counts[known]])
    guessed, spelled = (np.concatenate(rivals.most_frequent_tag(
        [rows[row] for row in learned], [codes[row] for row in learned], [rows[row] for row in held_out], unseen))
        for rows in (sentences, [row.tolist() for row in words]))  # fmt: skip
    seen = counts[wanted]
    around = [[each for row in rows for each, tag in zip(neighbours(words[row]), codes[row].tolist(), strict=True)
               if counts[tag]] for rows in parts]  # fmt: skip
    beside = rivals.naive_bayes(around[0], known[counts[known]], around[1])
    facts = {"alphabet": alphabet, "classes": classes, "spelled": rivals.right(spelled[seen], wanted[seen]),
             "neighbours": rivals.right(beside, wanted[seen]),
             "rival_all": rivals.right(guessed, wanted) if plain else None,
             "majority": rivals.majority(known[counts[known]], wanted[seen])}  # fmt: skip
    return Corpus(task, found.label, "most frequent tag", rivals.right(guessed[seen], wanted[seen]), facts=facts)


def neighbours(words: np.ndarray) -> list[tuple[str, ...]]:
    """Each token of a sentence (T,) with the ones before and behind it, which are other symbols there than in place.

    >>> neighbours(np.array([7, 5]))
    [('<', '7', '>5'), ('<7', '5', '>')]
    """
    wide = ["", *map(str, words.tolist()), ""]
    return [(f"<{before}", here, f">{behind}") for before, here, behind in zip(wide, wide[1:], wide[2:], strict=False)]

"""Sentences and the mean of twenty people's ratings from -4 (bad) to 4 (good).

From the source distribution of vaderSentiment 3.3.2 (Hutto and Gilbert 2014): snippets of film reviews, and as further
parts tweets, product reviews and newspaper editorials; MIT, the snippets third parties'. A text that comes several
times is there once, with its mean rating. In its place: sentences of good and bad words, stressed or negated.

Records: list of (text, rating), in the order of the file.
"""

import math

from sandbox.data import Source, choose, generator
from sandbox.data.members import tarred
from sandbox.errors import UsageError, shorten
from sandbox.files import read_pairs

FILES = {
    "movies": "movieReviewSnippets",
    "tweets": "tweets",
    "amazon": "amazonReviewSnippets",
    "nyt": "nytEditorialSnippets",
}
ARCHIVE = "additional_resources/hutto_ICWSM_2014.tar.gz"
SENTENCES = 4000
GOOD = {"charming": 2.0, "brilliant": 3.1, "funny": 1.9, "moving": 1.6, "fine": 0.9, "superb": 3.2, "fresh": 1.2,
        "clever": 1.8, "warm": 1.1, "gripping": 2.2, "solid": 1.0, "delightful": 2.9}  # fmt: skip
BAD = {"dull": -1.8, "awful": -3.1, "clumsy": -1.5, "tired": -1.1, "flat": -1.2, "dreadful": -3.2, "messy": -1.3,
       "hollow": -1.6, "silly": -0.9, "boring": -2.2, "lifeless": -2.1, "painful": -2.4}  # fmt: skip
DEGREES = {"": 1.0, "very": 1.3, "truly": 1.35, "rather": 0.8, "almost": 0.6, "a little": 0.5}
SUBJECTS = {
    "movies": ("the film", "the plot", "this story", "the cast", "the ending", "the dialogue", "the second half"),
    "tweets": ("today", "my team", "the new song", "this phone", "the weather", "monday", "the bus"),
    "amazon": ("the camera", "the battery", "this cable", "the manual", "the sound", "the case", "the screen"),
    "nyt": ("the bill", "the budget", "the senate", "the court's ruling", "the mayor's plan", "the debate"),
}  # fmt: skip
FILLERS = ("on the whole", "i think", "in the end", "for once", "as ever", "to be fair", "by all accounts")


def once(pairs):
    """Return every text once, with the mean of its ratings."""
    ratings = {}
    for text, rating in pairs:
        ratings.setdefault(text, []).append(rating)
    return [(text, math.fsum(values) / len(values)) for text, values in ratings.items()]


def read(members, part):
    """Read one of the four files of the archive inside the archive: number, rating and text with tabs between."""
    inner = tarred(members.read(ARCHIVE), members.damaged)
    lines = inner.read(f"{FILES[part]}_GroundTruth.txt").decode("utf-8", "replace").splitlines()
    fields = [line.split("\t", 2) for line in lines if line.strip()]
    return once((text.strip(), float(rating)) for _, rating, text in fields)


def clause(rng, part):
    """Draw a clause and its rating: a negation turns it over and takes a quarter off (Hutto and Gilbert: 0.74)."""
    words = GOOD if rng.random() < 0.5 else BAD
    word, degree = choose(rng, list(words)), choose(rng, list(DEGREES))
    negated = rng.random() < 0.3
    rating = words[word] * DEGREES[degree] * (-0.74 if negated else 1.0)
    return " ".join(f"{choose(rng, SUBJECTS[part])} is {'not ' * negated}{degree} {word}".split()), rating


def generate(part):
    """Make sentences of one or two clauses; of two joined by "but" the second weighs more."""
    rng, found = generator(f"sentiment {part}"), []
    while len(found) < SENTENCES:
        text, rating = clause(rng, part)
        if rng.random() < 0.5:
            other, second = clause(rng, part)
            but = rng.random() < 0.5
            text, rating = (
                f"{text} {'but' if but else 'and'} {other}",
                0.25 * rating + 0.75 * second if but else 0.5 * (rating + second),
            )
        if rng.random() < 0.5:
            text = f"{choose(rng, FILLERS)} {text}"
        noisy = rating + 0.6 * (rng.random() + rng.random() - 1.0)
        found.append((f"{text}.", min(4.0, max(-4.0, noisy))))
    return once(found)


def own(path):
    """Read a file of texts and ratings with a tab between."""
    found = []
    for number, (text, rating) in enumerate(read_pairs(path), 1):
        try:
            value = float(rating)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UsageError(f"each line of {shorten(path, 200)} must have a number right of the tab, got "
                             f"'{shorten(rating)}' in line {number}")  # fmt: skip
        found.append((text, value))
    return once(found)


SOURCE = Source(
    holds="movies 10 603, tweets 4 200, Amazon 3 697, NYT 5 119 sentences",
    licence="MIT; snippets of third parties",
    beat="naive Bayes: movies .778 (majority .495), tweets .849 (.709)",
    read=read,
    generate=generate,
    stand_in="generated sentences",
    parts=("movies", "tweets", "amazon", "nyt"),
    option="tsv",
    own=own,
)

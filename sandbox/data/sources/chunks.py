"""Sentences of newspaper English with parts of speech and chunks: 823 to learn from, 77 held out.

From the source distribution of libwapiti 0.2.1 (BSD): an excerpt of the CoNLL-2000 shared task (Tjong Kim Sang and
Buchholz 2000), whose text may not be passed on. Small: a demonstration. In its place: sentences of a small grammar in
which a third of the words can be two parts of speech.

Records: (train, test), each a list of sentences, each a list of (word, part of speech, chunk).
"""

from sandbox.data import Source, choose, generator
from sandbox.errors import UsageError, shorten
from sandbox.files import read_conll

TRAIN, TEST = 823, 77
LEXICON = {
    "DT": "the a this every some no".split(),
    "JJ": "old new quick slow large small net open light public early".split(),
    "NN": "bank market report price share offer rise fall plan cost deal trade fund light open drop gain vote".split(),
    "NNS": "banks shares prices plans offers costs deals funds gains votes drops".split(),
    "NNP": "Rockwell Boeing Tulsa Sears London Friday Miller Corp.".split(),
    "VBD": "said rose fell bought sold offered planned dropped gained cut".split(),
    "VBZ": "says rises falls plans offers costs deals gains votes drops".split(),
    "VB": "buy sell offer plan drop cut trade rise fall fund vote".split(),
    "MD": "will would may can must".split(),
    "IN": "of in for with by from at on".split(),
    "RB": "not also sharply early still only".split(),
    "PRP": "it they he she".split(),
    "CD": "two ten 1989 3.5 70".split(),
}  # fmt: skip
NOUN_PHRASES = ("DT NN", "DT JJ NN", "NNS", "JJ NNS", "NNP", "NNP NNP", "PRP", "CD NNS", "DT NN NN", "DT JJ JJ NN")
VERB_PHRASES = ("VBD", "VBZ", "MD VB", "RB VBD", "MD RB VB")


def read(members):
    """Read both files of the archive."""
    return tuple(sentences(members.text(f"cwapiti/dat/ch{part}.txt")) for part in ("train", "test"))


def sentences(text):
    """Return the sentences of a text in the format of CoNLL-2000."""
    return [[tuple(line.split()) for line in block.splitlines()] for block in text.strip().split("\n\n") if block]


def phrase(rng, tags, kind):
    """Draw the words of a chunk."""
    return [(choose(rng, LEXICON[tag]), tag, f"{'I' if at else 'B'}-{kind}") for at, tag in enumerate(tags.split())]


def sentence(rng):
    """Draw a sentence: subject, verb, perhaps an object and phrases with a preposition."""
    words = phrase(rng, choose(rng, NOUN_PHRASES), "NP") + phrase(rng, choose(rng, VERB_PHRASES), "VP")
    if rng.random() < 0.8:
        words += phrase(rng, choose(rng, NOUN_PHRASES), "NP")
    while rng.random() < 0.5:
        words += phrase(rng, "IN", "PP") + phrase(rng, choose(rng, NOUN_PHRASES), "NP")
    if rng.random() < 0.3:
        words += [(",", ",", "O"), *phrase(rng, choose(rng, NOUN_PHRASES), "NP"), *phrase(rng, "VBD", "VP")]
    return [*words, (".", ".", "O")]


def generate():
    """Draw as many sentences as the archive has."""
    rng = generator("chunks")
    return tuple([sentence(rng) for _ in range(size)] for size in (TRAIN, TEST))


def own(path):
    """Read a CoNLL file; its last fifth, one sentence at least, is held out. The last two columns are the tags."""
    found = read_conll(path)
    if len(found[0][0]) < 3:
        raise UsageError(f"each row of {shorten(path, 200)} must have a token, its part of speech and its chunk, got "
                         "a token and one tag (corpus roles learns one tag)")  # fmt: skip
    if len(found) < 2:
        raise UsageError(f"{shorten(path, 200)} must have at least two sentences, one to hold out, got one")
    held = max(1, len(found) // 5)
    triples = [[(row[0], row[-2], row[-1]) for row in each] for each in found]
    return triples[:-held], triples[-held:]


SOURCE = Source(
    holds="823 + 77 sentences",
    licence="BSD-2-Clause; text not redistributable",
    beat="most frequent tag .818, of phrases .751; with the words beside .890 and .891",
    read=read,
    generate=generate,
    stand_in="generated sentences",
    option="conll",
    own=own,
)

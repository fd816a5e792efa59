"""Surnames of 13 languages written in Latin letters; part `all`: of the 77 locales that have any.

From Faker 40.54.0 (MIT): literals of its sources, read as syntax and never run. The 13 are the languages whose own
country has 400 surnames there or more: one locale for each, from 400 (Finnish, French) to 2 379 (Irish). A name that
two languages share is in both. In its place: invented names of 13 invented languages.

Records: dict from language code (part `all`: locale) to a sorted list of names.
"""

import ast
import re

from sandbox.data import Source, choose, generator
from sandbox.errors import UsageError, shorten
from sandbox.files import read_pairs

LATIN = ("de_DE", "en_GB", "es_ES", "et_EE", "fi_FI", "fr_FR", "ga_IE", "hr_HR", "it_IT", "nl_NL", "sk_SK", "sv_SE",
         "zu_ZA")  # fmt: skip
PATH = "faker/providers/person/{}/__init__.py"
SIZES = (400, 500, 1000, 500, 400, 400, 1500, 800, 1100, 1000, 1400, 500, 800)
CONSONANTS, VOWELS = "bcdfghjklmnprstvwz", "aeiou"


def surnames(text):
    """Return the texts in every ``last_names...`` of a provider's source."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and re.fullmatch(r"last_names(_\w+)?", target.id):
            found.update(_texts(node.value))
    return sorted(found)


def _texts(value):
    """The texts of a tuple, list or dict, or of ``OrderedDict(((text, weight), ...))``."""
    if isinstance(value, ast.Call) and value.args:
        value = value.args[0]
    for entry in value.keys if isinstance(value, ast.Dict) else getattr(value, "elts", []):
        if isinstance(entry, ast.Tuple) and entry.elts:
            entry = entry.elts[0]
        if isinstance(entry, ast.Constant) and isinstance(entry.value, str):
            yield entry.value


def read(members, part):
    """Read the surnames of 13 languages, or of all locales."""
    if part == "latin":
        return {locale[:2]: surnames(members.text(PATH.format(locale))) for locale in LATIN}
    names = members.matching(PATH.format(r"[a-z]{2,3}_[A-Z]{2}").replace(".py", r"\.py"))
    found = {name.split("/")[3]: surnames(members.text(name)) for name in names}
    return {locale: texts for locale, texts in found.items() if texts}


def generate(part):
    """Invent languages: each has favourite consonants, vowels and endings; names have one to three syllables."""
    rng, found = generator("names"), {}
    for number, size in enumerate(SIZES):
        consonants = "".join(choose(rng, CONSONANTS) for _ in range(7)) + CONSONANTS
        vowels = 2 * "".join(choose(rng, VOWELS) for _ in range(3)) + VOWELS
        endings = [
            "",
            *(choose(rng, vowels) + choose(rng, consonants) + choose(rng, ["", "a", "i", "o"]) for _ in range(6)),
        ]
        closed, names = 0.1 + 0.5 * rng.random(), set()
        while len(names) < size:
            syllables = [choose(rng, consonants) + choose(rng, vowels) +
                         (choose(rng, consonants) if rng.random() < closed else "")
                         for _ in range(1 + int(3 * rng.random()))]  # fmt: skip
            names.add(("".join(syllables) + choose(rng, endings)).capitalize())
        found[f"x{number + 1:02d}"] = sorted(names)
    return found


def own(path):
    """Read a file of categories and names with a tab between."""
    found = {}
    for category, name in read_pairs(path):
        found.setdefault(category, set()).add(name)
    if len(found) < 2:
        raise UsageError(f"{shorten(path, 200)} must have at least two categories left of the tab, got one")
    return {category: sorted(found[category]) for category in sorted(found)}


SOURCE = Source(
    holds="11 757 surnames of 13 languages; all: 30 986 of 77 locales",
    licence="MIT",
    beat="naive Bayes on runs of two to four characters .827 (majority .215)",
    read=read,
    generate=generate,
    stand_in="generated names",
    parts=("latin", "all"),
    option="tsv",
    own=own,
)

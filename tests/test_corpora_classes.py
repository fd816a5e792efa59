"""Corpora of classes and tags on tiny inputs, and what simple methods reach against counts by hand; no network."""

from collections import Counter

import numpy as np
import pytest

from sandbox import corpora, data, experiment, shapes, spelling
from sandbox.alphabet import RARE
from sandbox.errors import UsageError
from sandbox.families import classes
from sandbox.rivals import classes as rivals
from sandbox.training import fit, model_for

NAMES = {"x": ["anna", "bea", "vaniv", "nan", "ana"], "y": ["otto", "bob", "toto", "tom", "oto"]}
TEXTS = [(f"{word} {thing}!", rating) for word, rating in (("good", 1.5), ("bad", -2.0), ("so-so", 0.0))
         for thing in ("film", "plot", "Film", "cast")]  # fmt: skip
IMAGES = np.eye(4)[np.arange(20) % 4].reshape(20, 2, 2), np.arange(20) % 4
SPEECH = tuple(([np.full((2 + n % 3, 2), n % 2) + 0.1 * np.arange(2 + n % 3)[:, None] for n in range(size)],
                np.arange(size) % 2) for size in (8, 4))  # fmt: skip
LINE = [("x", "STORE"), ("=", "OP"), ("f", "CALL"), ("(", "OP"), ("x", "LOAD"), (")", "OP")]
FILES = [[LINE, LINE[:3] * 3, [(f"new{number}", "STORE")]] for number in range(5)]
CHUNKS = ([[("the", "DT", "B-NP"), ("dog", "NN", "I-NP"), ("runs", "VBZ", "B-VP")]] * 3 + [[]],
          [[("the", "DT", "B-NP"), ("cat", "NN", "I-NP")]])  # fmt: skip
TINY = {"names": NAMES, "sentiment": TEXTS, "digits": IMAGES, "vowels": SPEECH, "roles": FILES, "chunks": CHUNKS}


@pytest.fixture
def tiny(monkeypatch):
    """All sources with a few records."""
    found = lambda name, path=None: data.Found(TINY[name.partition(":")[0]], f"tiny {name}", False)
    monkeypatch.setattr(data, "load", found)
    corpora._load.cache_clear()
    yield corpora.load
    corpora._load.cache_clear()


# Rivals ----------------------------------------------------------------------------------------------------------


def test_naive_bayes_is_what_one_counts_by_hand():
    # class 0: "ab", "a" (a 2, b 1); class 1: "bb" (b 2); V = 2.  ln (n_c + 1) + sum ln (n + 1) / (N + V):
    # "b": 3 * 2/5 = 1.2 against 2 * 3/4 = 1.5; "a": 3 * 3/5 against 2 * 1/4; "": 3 against 2; "z" as "".
    found = rivals.naive_bayes(["ab", "a", "bb"], np.array([0, 0, 1]), ["b", "a", "", "z", "bz"])
    assert found.tolist() == [1, 0, 0, 0, 1]
    # "aabbbb": 3 (3/5)^2 (2/5)^4 = .0276 against 2 (1/4)^2 (3/4)^4 = .0396, "aaabbbb" .0166 against .0099
    assert rivals.naive_bayes(["ab", "a", "bb"], np.array([0, 0, 1]), ["aabbbb", "aaabbbb"]).tolist() == [1, 0]
    # 3 against 2 (3/4 : 2/5)^16 (1/4 : 3/5)^11 = 3.07
    assert rivals.naive_bayes(["ab", "a", "bb"], np.array([0, 0, 1]), [16 * "b" + 11 * "a"]).tolist() == [1]


def classes_by_formula(known, labels, asked, added):
    scores, symbols = [], set("".join(known))
    for label in range(3):
        text = "".join(name for name, own in zip(known, labels, strict=True) if own == label)
        shares = {s: np.log((text.count(s) + added) / (len(text) + added * len(symbols))) for s in symbols}
        scores.append([np.log((labels == label).sum() + 1) + sum(shares.get(s, 0) for s in each) for each in asked])
    return np.argmax(scores, axis=0)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(3)
    draw = lambda count: ["".join("abcde"[k] for k in rng.integers(0, 5, 7)) for _ in range(count)]
    return draw(60), rng.integers(0, 3, 60), draw(40)


@pytest.mark.parametrize("added", [1.0, 0.1])
def test_naive_bayes_agrees_with_the_formula_in_numpy(drawn, added):
    known, labels, asked = drawn
    found = rivals.naive_bayes(known, labels, asked, added)
    assert np.array_equal(found, classes_by_formula(known, labels, asked, added))


def test_what_is_added_to_counts_is_what_serves_on_those_learned_from():
    rng = np.random.default_rng(4)  # long sequences over many symbols, each seldom: to add little is best
    letters = [
        [chr(300 + 40 * label + k) for k in range(40)] + [chr(900 + k) for k in range(400)] for label in range(3)
    ]
    labels = np.arange(90) % 3
    known = ["".join(letters[label][k] for k in rng.integers(0, 440, 5 + 60 * (label == 0))) for label in labels]
    tried = np.arange(90) % 5 == 4
    right = [np.count_nonzero(classes_by_formula([known[row] for row in np.flatnonzero(~tried)], labels[~tried],
                                                 [known[row] for row in np.flatnonzero(tried)], added) == labels[tried])
             for added in rivals.ADDED]  # fmt: skip
    best = rivals.ADDED[right.index(max(right))]
    assert best < 1 and right[0] < max(right)
    asked = ["".join(letters[label][k] for k in rng.integers(0, 440, 9)) for label in labels]
    found = [rivals.naive_bayes(known, labels, asked, added) for added in (None, best, 1.0)]
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_runs_of_characters_know_the_ends():
    assert rivals.ngrams("ab", (1, 2)) == ["\n", "a", "b", "\n", "\na", "ab", "b\n"]
    assert rivals.ngrams("a", (3,)) == ["\na\n"] and rivals.ngrams("", (3,)) == []


def test_the_most_frequent_class_and_tag():
    assert rivals.most_frequent(np.array([2, 1, 1, 2, 0])) == 1  # the first of equals
    assert rivals.majority(np.array([1, 1, 0]), np.array([0, 1, 2, 1])) == 0.5
    sentences, tags = [["a", "b", "a"], ["a", "c"]], [np.array([2, 1, 0]), np.array([0, 1])]
    found = rivals.most_frequent_tag(sentences, tags, [["a", "b", "new"], ["c"]], unseen=5)
    assert [row.tolist() for row in found] == [[0, 1, 5], [1]]
    assert rivals.most_frequent_tag([["a", "a"]], [np.array([3, 2])], [["a"]], unseen=0)[0].tolist() == [2]


def test_nearest_neighbours():
    rng = np.random.default_rng(0)
    known, asked, labels = rng.normal(size=(50, 3)), rng.normal(size=(300, 3)), rng.integers(0, 4, 50)
    distances = ((asked[:, None] - known[None]) ** 2).sum(axis=-1)
    assert np.array_equal(rivals.nearest_neighbour(known, labels, asked), labels[distances.argmin(axis=1)])
    assert rivals.nearest_neighbour(np.array([[0.0], [2.0]]), np.array([7, 8]), np.array([[1.0]])).tolist() == [7]


# Spelling --------------------------------------------------------------------------------------------------------


def test_a_rare_word_is_read_by_its_spelling():
    sentences = [["the", "singing", "the", "ringing", "_a1"], ["the", "sad", "X9", "cat_x"], ["the", "bringing", "dry"]]
    alphabet, numbers = spelling.numbered(sentences, [0, 1], 2)
    # twice: "the"; of the others the shape a with ending "ng"; sad and dry have neither, nor has the shape a alone
    assert alphabet.symbols == ("\0a~ng", "the", RARE)
    assert [row.tolist() for row in numbers] == [[1, 0, 1, 0, 2], [1, 2, 2, 2], [1, 0, 2]]
    alphabet, numbers = spelling.numbered([["Al", "Bo", "Cy"], ["Di", "new"]], [0], 2)
    assert alphabet.symbols == ("\0Aa", RARE) and [row.tolist() for row in numbers] == [[0, 0, 0], [0, 1]]


def test_shapes_of_words():
    shaped = {
        "readLines": "aAa",
        "__init__": "__a__",
        "MAX_2": "A_0",
        "Émile": "Aa",
        "naïve-ß": "a-a",
        "3,000.5": "0,0.0",
    }
    assert {word: spelling.shape(word) for word in shaped} == shaped


# Corpora ---------------------------------------------------------------------------------------------------------


def test_names(tiny):
    chosen = tiny("names")
    learned, held_out = shapes.split(10)
    names, labels = sum(NAMES.values(), []), np.repeat([0, 1], 5)
    (batch,) = chosen.task.held_out(99, chosen.task.seq_len)
    decoded = {
        "".join(chosen.facts["alphabet"].decode(row[:n])) for row, n in zip(batch.x.T, batch.lengths, strict=True)
    }
    seen = set(chosen.facts["alphabet"].symbols)
    assert decoded == {"".join(s if s in seen else RARE for s in names[row]) for row in held_out}
    assert sorted(batch.target) == sorted(labels[held_out]) and chosen.facts["classes"] == ["x", "y"]
    counts = Counter("".join(names[row] for row in learned))
    assert seen == {letter for letter, count in counts.items() if count > 1} | {RARE} and "v" not in seen
    assert chosen.rival == "naive Bayes" and 0 <= chosen.rival_score <= 1 and chosen.label == "tiny names"
    assert tiny("names:all").label == "tiny names:all"


def test_sentiment_takes_each_text_once_and_zero_as_positive(tiny):
    chosen = tiny("sentiment", least=1)
    batches = chosen.task.held_out(99, 9)
    # "film" and "Film" are one text in lower case: nine texts, one of them held out
    assert sum(len(batch.target) for batch in batches) == 1
    words = set(chosen.facts["alphabet"].symbols)
    assert {"good", "so", "-", "!"} <= words and "Film" not in words
    drawn = chosen.task.draw(np.random.default_rng(0), 60, 9)
    good = [chosen.facts["alphabet"].decode(column)[0] != "bad" for column in drawn.x.T]
    assert np.array_equal(drawn.target, np.array(good).astype(int))
    assert tiny("sentiment:tweets").label == "tiny sentiment:tweets"


def test_digits_in_steps(tiny):
    for steps, shape in ((None, (4, 4, 1)), (2, (2, 4, 2)), (1, (1, 4, 4))):
        chosen = tiny("digits") if steps is None else tiny("digits", steps=steps)
        (batch,) = chosen.task.held_out(99, 99)
        assert batch.x.shape == shape and np.array_equal(
            batch.x.transpose(1, 0, 2).reshape(4, 4).argmax(1), batch.target
        )
        assert chosen.rival_score == 1.0
    with pytest.raises(UsageError, match=r"steps must divide the 4 pixels of a picture, got 3"):
        tiny("digits", steps=3)


def test_vowels_are_standardised_by_what_is_learned_from(tiny):
    chosen = tiny("vowels")
    batches = chosen.task.held_out(2, 9)
    assert sum(len(batch.target) for batch in batches) == 4 and chosen.task.input_size == 2
    known = np.concatenate(SPEECH[0][0])
    x = np.concatenate([batch.x[: batch.lengths[b], b] for batch in batches for b in range(2)])
    wanted = np.concatenate(sorted(SPEECH[1][0], key=len))
    np.testing.assert_allclose(x, (wanted - known.mean(axis=0)) / known.std(axis=0), rtol=1e-12)
    assert chosen.rival_score == 1.0 and chosen.facts["mean_over_time"] == 1.0


def test_roles_are_divided_by_file_and_scored_on_identifiers(tiny):
    chosen = tiny("roles", longest=6, least=1)
    batches = chosen.task.held_out(99, 6)
    assert sum(int(batch.mask.sum()) for batch in batches) == 16  # one file, the line of 9 tokens in two pieces
    assert sum(batch.answers() for batch in batches) == 10 and chosen.task.seq_len == 6
    # x is stored more often than read, new ones are taken for what most identifiers are, stored: one LOAD is missed
    assert chosen.rival_score == 9 / 10 and chosen.facts["rival_all"] == 15 / 16
    assert chosen.facts["majority"] == 5 / 10


def test_parts_of_chunks_are_columns(tiny):
    words, phrases = tiny("chunks"), tiny("chunks:phrases")
    assert words.facts["classes"] == ["DT", "NN", "VBZ"] and phrases.facts["classes"] == ["B-NP", "B-VP", "I-NP"]
    # "cat" was never seen; DT, NN and VBZ are learned equally often, and the first one is said
    assert words.rival_score == 0.5 and phrases.rival_score == 1.0 and words.facts["rival_all"] is None
    with pytest.raises(UsageError, match="unknown part of chunks 'pso'; did you mean 'pos'"):
        tiny("chunks:pso")


@pytest.mark.parametrize("name", TINY)
def test_training_twice_gives_the_same_bits(name, tiny):
    def train():
        corpora._load.cache_clear()
        task = tiny(name).task
        model = model_for(task, 0, cell="gru", hidden=3, embedding=2)
        found = fit(model, task, updates=3, batch=2, until_solved=False)
        return model.vector.copy(), found.loss, found.score

    one, two = train(), train()
    assert np.array_equal(one[0], two[0]) and one[1:] == two[1:] and np.isfinite(one[1])


@pytest.mark.parametrize("name", ["names", "sentiment", "digits", "vowels", "chunks"])
def test_stand_ins_have_the_same_shape(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(data.members, "installed", lambda package: None)
    corpora._load.cache_clear()
    chosen = corpora.load(name)
    assert chosen.label.startswith("generated") and chosen.facts["majority"] < 0.6 < chosen.rival_score < 1
    corpora._load.cache_clear()


# Experiments -----------------------------------------------------------------------------------------------------


def test_a_perceptron_and_an_rnn_of_one_step_learn_the_same_bits(tiny):
    one_to_one = experiment.load("one_to_one")
    rows = [one_to_one(corpus="digits", model=model, hidden=5, batch=4, lr=0.01, updates=20, dtype="float32", seed=1)[0]
            for model in ("mlp", "rnn:relu", "gru")]  # fmt: skip
    assert rows[0]["loss"] == rows[1]["loss"] != rows[2]["loss"] and rows[0]["accuracy"] == rows[1]["accuracy"]
    assert rows[1]["parameters"] == rows[0]["parameters"] + 25 and rows[0]["data"] == "tiny digits"


def test_a_model_with_two_outputs_for_each_unit_has_a_head_of_its_own(tiny):
    row, _ = experiment.load("one_to_one")(corpus="digits", model="lru", hidden=5, batch=4, lr=0.01, updates=2,
                                           dtype="float32", seed=1)  # fmt: skip
    assert np.isfinite(row["loss"])


def test_a_second_direction_sees_what_comes_behind(monkeypatch):
    # An a is of the class of the symbol behind it: with one direction nobody can know.
    rng = np.random.default_rng(0)
    lines = [[("a", f"T{bit}") for bit in row[1:]] + [("z", "END")] for row in rng.integers(0, 2, (60, 6))]
    files = []
    for line in lines:
        tags = [tag for _, tag in line]
        files.append([[step for tag in tags[:-1] for step in (("a", tag), (tag.lower(), "OP"))]])
    monkeypatch.setattr(data, "load", lambda name, path=None: data.Found(files, "made", False))
    tagging, found = experiment.load("tagging"), {}
    for direction in ("forward", "both"):
        corpora._load.cache_clear()
        metrics, _ = tagging(corpus="roles", model="gru", direction=direction, layers=1, hidden=8, embedding=4,
                             batch=16, lr=0.02, updates=60, dtype="float32", seed=0)  # fmt: skip
        found[direction] = metrics
    corpora._load.cache_clear()
    assert found["both"]["accuracy"] == 1.0 > 0.75 > found["forward"]["accuracy"]
    assert found["forward"]["accuracy_all"] > found["forward"]["accuracy"]
    assert found["both"]["rival"] == found["both"]["spelled"] < 0.7
    assert found["forward"]["neighbours"] == found["both"]["neighbours"] == 1.0


@pytest.mark.parametrize(
    ("name", "flags", "settings", "text"),
    [
        (
            "many_to_one",
            {},
            {"tsv": "x.tsv"},
            r"corpus must be names or sentiment with --tsv, got names, sentiment, dig",
        ),
        ("many_to_one", {"corpus": "vowels"}, {"mnist": "x"}, r"corpus must be digits with --mnist, got vowels"),
        ("one_to_one", {}, {"mnist": "no/such"}, "no/such"),
        ("tagging", {"corpus": "chunks"}, {"conll": "no.conll"}, "no.conll"),
        (
            "tagging",
            {"model": "mlp:3"},
            {},
            "direction must be forward for model mlp:3, whose window ends at the present",
        ),
        ("tagging", {"corpus": "digits"}, {}, "unknown corpus 'digits'"),
        ("many_to_one", {"head": "every"}, {}, "unknown head 'every'"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_does(name, flags, settings, text):
    with pytest.raises(UsageError, match=text):
        experiment.load(name).grid(flags, settings)


def test_files_of_ones_own(tmp_path):
    pairs, conll = tmp_path / "own.tsv", tmp_path / "own.conll"
    pairs.write_text("".join(f"{key}\t{name}\n" for key, names in NAMES.items() for name in names))
    conll.write_text("".join("a X\nb OP\n\n" for _ in range(6)))
    assert classes.load("names", str(pairs)).label.startswith("own.tsv@")
    own = classes.load("roles", str(conll))
    assert sum(batch.answers() for batch in own.task.held_out(9, 9)) == 2  # of one's own all tags are scored
    with pytest.raises(UsageError, match="own.conll must have a token, its part of speech and its chunk, got a token"):
        classes.load("chunks", str(conll))


@pytest.mark.parametrize(
    ("corpus", "content", "text"),
    [
        ("roles", "a X\nb Y\n", "data of roles must have two sentences at least, got 1 in FILE"),
        ("roles", "a X\n\nb X\n", "tags of roles must be two at least, got X in FILE"),
        ("chunks", "a X B\n\nb X B\n", "tags of chunks must be two at least, got X in FILE"),
        ("chunks:phrases", "a X\n\nb Y\n", "each row of FILE must have a token, its part of speech and its chunk, got "
                                              "a token and one tag (corpus roles learns one tag)"),
        ("sentiment", "well\t1\nfine\t2\n", "classes of sentiment must be two at least, got one in FILE"),
        ("sentiment", "well\t1\n", "data of sentiment must have two sequences at least, got 1 in FILE"),
    ],
)  # fmt: skip
def test_own_files_that_no_task_can_be_made_of(corpus, content, text, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(content)
    option = "tsv" if corpus == "sentiment" else "conll"
    with pytest.raises(UsageError) as error:
        classes.check({"corpus": [corpus], "model": ["gru"]}, {option: str(path)})
    assert str(error.value).replace(str(path), "FILE") == text


def test_what_a_grid_reads(monkeypatch, tmp_path):
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    found = classes.reads({"corpus": ["chunks", "chunks:phrases", "sentiment:tweets"]}, {})
    assert list(found) == ["chunks", "sentiment:tweets"]
    assert found["chunks"][0] == "generated sentences" and "chunks is not fetched" in found["chunks"][1]
    pairs = tmp_path / "own.tsv"
    pairs.write_text("x\tanna\ny\totto\n")
    ((label, note),) = classes.reads({"corpus": ["names"]}, {"tsv": str(pairs)}).values()
    assert label.startswith("own.tsv@") and note == ""

"""Pairs: what they are divided into, what counts as right, what methods without memory reach, and what models write."""

import itertools

import numpy as np
import pytest

from sandbox import corpora, data, edits, shapes
from sandbox.alphabet import END, Alphabet
from sandbox.corpora import captions, naming, pronunciation, transliteration
from sandbox.errors import UsageError
from sandbox.families import pairs
from sandbox.families.transcription import (
    alignment,
    beside,
    by_length,
    held_against,
    model_for,
    transcribe,
    written_for,
)
from sandbox.rivals import letters, trigrams
from sandbox.streams import stream
from sandbox.training import Recipe, Trainer


def codes(*words):
    return [np.array([ord(letter) - ord("a") for letter in word]) for word in words]


@pytest.fixture
def given(monkeypatch):
    """Records in the place of those that `data.load` finds."""

    def give(records):
        monkeypatch.setattr(data, "load", lambda name, path=None: data.Found(records, "by hand", False))

    return give


# Edits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "edits_"),
    [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("flaw", "lawn", 2), ("ab", "ba", 2), ("sunday", "saturday", 3),
     ((1, 2, 3), (1, 3), 1), ("abcd", "abcd", 0)],
)  # fmt: skip
def test_edits_counted_by_hand(one, other, edits_):
    assert edits.distance(one, other) == edits.distance(other, one) == edits_


def test_either_of_two_ways_is_right():
    ways = [[("T", "AH"), ("T", "EY", "AH")]]
    assert edits.scores([("T", "AH")], ways) == edits.scores([("T", "EY", "AH")], ways) == (1.0, 0.0)
    assert edits.scores([("T", "EY")], ways) == (0.0, 1 / 2)  # one edit from both: the shorter one counts
    assert edits.scores([("EY", "AH")], ways) == (0.0, 1 / 2)
    assert edits.scores([("T", "EY", "AH", "Z")], ways) == (0.0, 1 / 3)
    assert edits.scores(["ab", "x"], [["ab"], ["cd"]]) == (0.5, 2 / 4)
    assert all(np.isnan(edits.scores([], [])))


# A letter between two --------------------------------------------------------------------------------------------


def test_letters_are_aligned_with_none_one_and_two_symbols():
    sources = codes("ab", "b", "a", "ba", "aab", "cab", "bca", "c", "bc")  # a is 5, b is 6 7, c is silent
    targets = [np.array(sum(([[5], [6, 7], []][letter] for letter in source), []), np.int64) for source in sources]
    found = letters.align(sources, targets)
    assert [many.tolist() for many in found] == [[[1, 2, 0][letter] for letter in source] for source in sources]


def test_the_best_alignment_is_the_best_of_all():
    rng = stream("probe", 5)
    log_t, log_n = np.log(rng.random((3, 8))), np.log(rng.random((3, 3)))
    sources = [np.floor(3 * rng.random(n)).astype(np.int64) for n in (1, 2, 3, 4, 4)]
    targets = [5 + np.floor(3 * rng.random(m)).astype(np.int64) for m in (2, 0, 5, 4, 7)]

    def value(source, target, many):
        ends = np.cumsum(many)
        return sum(log_n[a, k] + log_t[a, target[end - k : end]].sum()
                   for a, k, end in zip(source, many, ends, strict=True))  # fmt: skip

    found = letters._best(*shapes.padded(sources), *shapes.padded(targets), log_t, log_n)
    for b, (source, target) in enumerate(zip(sources, targets, strict=True)):
        ways = [many for many in itertools.product(range(3), repeat=len(source)) if sum(many) == len(target)]
        best = max(ways, key=lambda many: value(source, target, many))
        assert tuple(found[: len(source), b]) == best and not found[len(source) :, b].any()


def test_more_than_two_symbols_a_letter_are_left_out():
    sources, targets = codes("a", "ab", "b"), [np.array([5, 5, 5]), np.array([5, 6]), np.array([6])]
    found = letters.align(sources, targets)
    assert found[0] is None and [many.tolist() for many in found[1:]] == [[1, 1], [1]]
    assert letters.rules(sources, targets)(np.array([0, 1])) == (5, 6)


def test_the_neighbours_decide_and_without_them_the_letter():
    # c is 8 before e and 9 before a; cc was never seen, and 9 is what c most often is
    words, said = ("ce", "ca", "ca", "ace", "aca", "ea"), {"a": 1, "e": 2}
    targets = [np.array([said.get(letter, 8 if word[at + 1 : at + 2] == "e" else 9) for at, letter in enumerate(word)])
               for word in words]  # fmt: skip
    write = letters.rules(codes(*words), targets)
    assert write(codes("ce")[0]) == (8, 2) and write(codes("ca")[0]) == (9, 1)
    assert write(codes("acca")[0]) == (1, 9, 9, 1)
    assert write(codes("aza")[0]) == (1, 1)  # z was never seen
    assert letters.rules(codes(*words), targets, reach=0)(codes("ce")[0]) == (9, 2)


def said_far(words):
    """c is 8 before an e that is two letters on, and 9 elsewhere; other letters are their numbers."""
    return [np.array([ord(letter) - 97 if letter != "c" else 8 if word[at + 2 : at + 3] == "e" else 9
                      for at, letter in enumerate(word)]) for word in words]  # fmt: skip


def test_as_many_letters_on_either_side_as_pairs_left_out_ask_for():
    words = [f"c{b}{c}{d}" for b in "abd" for c in "abe" for d in "abd"]
    write, near = (letters.rules(codes(*words), said_far(words), reach) for reach in (None, 1))
    assert [write(source) for source in codes("caea", "caba")] == [(8, 0, 4, 0), (9, 0, 1, 0)]
    assert near(codes("caea")[0]) == (9, 0, 4, 0)
    assert letters.rules(codes("ab", "b"), [np.array([5, 6]), np.array([6])])(codes("ba")[0]) == (6, 5)


@pytest.mark.parametrize("reach", [0, 1, 2, 3])
def test_windows_back_off_one_letter_on_either_side_at_a_time(reach):
    rng = np.random.default_rng(5)
    sources = [rng.integers(0, 4, rng.integers(1, 9)) for _ in range(120)]
    targets = [rng.integers(2, 5, rng.integers(0, 2 * len(source) + 1)) for source in sources]
    counts = {}
    for source, target, many in zip(sources, targets, letters.align(sources, targets), strict=True):
        at, wide = 0, [-1] * reach + source.tolist() + [-1] * reach
        for place, count in enumerate(many.tolist()):
            written, at = tuple(target[at : at + count].tolist()), at + count
            for width in range(reach + 1):
                window = tuple(wide[place + reach - width : place + reach + width + 1])
                counts.setdefault(window, []).append(written)

    def expected(source):
        wide, found = [-1] * reach + source.tolist() + [-1] * reach, ()
        for place in range(len(source)):
            windows = [tuple(wide[place + reach - width : place + reach + width + 1]) for width in range(reach, -1, -1)]
            seen = next((counts[window] for window in windows if window in counts), [()])
            found += min(set(seen), key=lambda written: (-seen.count(written), written))
        return found

    write = letters.rules(sources, targets, reach=reach)
    asked = [rng.integers(0, 5, 9) for _ in range(40)]
    assert [write(source) for source in asked] == [expected(source) for source in asked]


# Corpora ---------------------------------------------------------------------------------------------------------

LETTERS = "abcdefghij"
WORDS = [one + other for one in LETTERS for other in LETTERS]


def test_words_are_divided_and_any_pronunciation_is_right(given):
    given({word: [tuple(word.upper()), (*word.upper(), "Z")] for word in WORDS})
    corpus = pronunciation.corpus()
    letters, phones = corpus.facts["letters"], corpus.facts["symbols"]
    held = {"".join(letters.decode(source)) for source in corpus.facts["sources"]}
    batch = corpus.task.draw(stream("data", 0), 500, corpus.task.seq_len)
    learned = {"".join(letters.decode(batch.x[: batch.lengths[b], b])) for b in range(500)}
    assert len(held) == 20 and not held & learned and held | learned <= set(WORDS)
    for word, ways in zip(corpus.facts["sources"], corpus.facts["accepted"], strict=True):
        said = "".join(letters.decode(word)).upper()
        assert [phones.decode(way) for way in ways] == [list(said), [*said, "Z"]]
    assert phones.symbols[:2] == ("<end>", "<start>") and (batch.target[2] == END).all()  # the first is learned
    for number in (0, 1):
        written = [ways[number] for ways in corpus.facts["accepted"]]
        assert edits.scores(written, corpus.facts["accepted"]) == (1.0, 0.0)
    assert corpus.rival_score == 1.0 and corpus.facts["rival_error"] == 0.0 and corpus.label == "by hand"
    assert len(pronunciation.corpus(most=7).facts["sources"]) == 7


def test_what_no_rule_gives_counts_against_the_rival(given):
    held_out = shapes.split(len(WORDS))[1]
    odd = {WORDS[row] for row in held_out[:5]}
    given({word: [(*word.upper(), "Z") if word in odd else tuple(word.upper())] for word in WORDS})
    corpus = pronunciation.corpus()
    assert corpus.rival_score == 15 / 20 and corpus.facts["rival_error"] == 5 / (15 * 2 + 5 * 3)
    assert corpus.rival == "letter in context"


def test_names_that_differ_in_capitals_alone_are_one(given):
    given([("Ab", "АБ"), ("aB", "аб"), ("AB", "ав"), ("Å", "О"), ("A\u030a", "о"), ("b", "б"), ("bb", "бб")])
    corpus = transliteration.corpus()
    assert sum(len(batch.lengths) for batch in corpus.task.held_out(9, 9)) == 1
    assert corpus.task.symbols == len(corpus.facts["letters"]) == 3
    ways = transliteration.ways_of(data.load("transliteration").records)
    assert ways == {"ab": ["аб", "ав"], "å": ["о"], "b": ["б"], "bb": ["бб"]}


def test_one_pair_is_not_enough(tmp_path):
    path = tmp_path / "one.tsv"
    path.write_text("a\tb\n", encoding="utf-8")
    for corpus in (pronunciation.corpus, transliteration.corpus):
        with pytest.raises(UsageError, match="must have two sequences at least, got 1"):
            corpus(str(path))
    path.write_text("x\ta\ny\tb\n", encoding="utf-8")
    assert naming.corpus(str(path)).facts["titles"][::20] == ["x", "y"]


def test_the_nearest_picture_by_hand():
    points, others = np.array([[0.0, 0.0], [3.0, 4.0], [1.0, 1.0]]), np.array([[2.0, 2.0], [0.0, 0.0], [2.0, 2.0]])
    assert captions.nearest(points, others).tolist() == [1, 0, 0]  # of equally near ones the first


def test_captions_and_the_name_of_the_nearest_picture(given):
    images = np.zeros((22, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(22) * 10
    names = [["DOT", "LIGHT" if row < 10 else "DARK"] for row in range(20)] + [["RARE"], ["DOT", "RARE"]]
    given((images, names))
    corpus = captions.corpus()
    assert corpus.facts["symbols"].symbols == ("<end>", "<start>", "DARK", "DOT", "LIGHT")
    held_out = shapes.split(20)[1]
    assert [prompt[0, 0] for prompt in corpus.facts["prompts"]] == [10 * row / 255.0 for row in held_out]
    learned = shapes.split(20)[0]
    near = [min(learned, key=lambda other: (abs(other - row), other)) for row in held_out]
    wrong = sum(names[one] != names[other] for one, other in zip(held_out, near, strict=True))
    assert corpus.facts["rival_error"] == wrong / (2 * len(held_out))
    model = trigrams.Trigrams([corpus.facts["symbols"].encode(names[row]) for row in learned], 5)
    costs = [model.cost(corpus.facts["symbols"].encode(names[row])) for row in held_out]
    assert corpus.rival_score == pytest.approx(sum(costs) / np.log(2) / (3 * len(held_out)))
    dark = tuple(corpus.facts["symbols"].encode(["DOT", "DARK"]))
    for number, title in enumerate(corpus.facts["titles"]):
        assert corpus.facts["right"](number, dark) == (title == "DOT DARK")
    model = model_for(corpus.task, 0, hidden=4, kind="vector")
    metrics, _ = written_for(corpus, model, 1.0, 0)
    written = transcribe(model, corpus.facts["prompts"], steps=4)
    assert metrics["error_rate"] == edits.scores(written, corpus.facts["accepted"])[1] > metrics["rival_error"]
    assert corpus.task.held_out(3, 1)[0].x.shape == (1, 3, 784) and corpus.task.symbols is None


def test_a_trigram_by_hand():
    model = trigrams.Trigrams([np.array([2, 3])], 4)  # a name "ab" of letters a, b, END and START
    one = (1 + 3 * 0.25) / (3 + 3)
    two = (1 + one) / (1 + 1)
    assert model.chance((), 2) == one and model.chance((1,), 2) == two and model.chance((1, 1), 2) == (1 + two) / 2
    assert model.chance((3, 3), 2) == model.chance((3,), 2) == (0 + one) / (1 + 1)  # b b was never seen, b once
    for history in [(), (1,), (3,), (1, 2), (3, 3), (0, 1)]:
        assert sum(model.chance(history, letter) for letter in range(4)) == pytest.approx(1, abs=1e-15)
    steps = [((1, 1), 2), ((1, 2), 3), ((2, 3), 0)]
    assert model.cost(np.array([2, 3])) == pytest.approx(-sum(np.log(model.chance(*step)) for step in steps))


def test_names_and_their_judge(given):
    given({"vowels": ["a" * n + "e" * m for n in range(1, 6) for m in range(1, 6)],
           "others": ["b" * n + "c" * m for n in range(1, 6) for m in range(1, 6)]})  # fmt: skip
    corpus = naming.corpus()
    facts, symbols = corpus.facts, corpus.facts["symbols"]
    assert facts["reference"] == 1.0 and facts["titles"] == ["others"] * 20 + ["vowels"] * 20
    assert facts["right"](0, tuple(symbols.encode("bbc"))) and not facts["right"](0, tuple(symbols.encode("aea")))
    assert facts["right"](20, tuple(symbols.encode("aea")))
    batches = corpus.task.held_out(4, 1)
    assert all(batch.x.shape[0] == 1 for batch in batches) and corpus.task.symbols == 2
    assert 0 < corpus.rival_score < np.log2(len(symbols))


@pytest.mark.parametrize("name", ["pronunciation", "transliteration", "naming", "captions"])
def test_a_corpus_is_the_same_twice(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    one, two = (getattr(corpora, name).corpus(most=12) for _ in range(2))
    assert one.rival_score == two.rival_score and 0 < one.rival_score and one.label == two.label
    for batch, same in zip(one.task.held_out(5, 1), two.task.held_out(5, 1), strict=True):
        assert np.array_equal(batch.x, same.x) and np.array_equal(batch.target, same.target)
    drawn, again = (corpus.task.draw(stream("data", 3), 6, 1) for corpus in (one, two))
    assert np.array_equal(drawn.x, again.x) and np.array_equal(drawn.target, again.target)


# What models write -----------------------------------------------------------------------------------------------


def trained(corpus, updates, **arguments):
    model = model_for(corpus.task, 0, **arguments)
    recipe = Recipe(updates=updates, batch=16, lr=0.02, evaluate_every=1000, until_solved=False)
    return model, Trainer(model, corpus.task, recipe, seq_len=1, seed=0).run()


def test_an_encoder_decoder_learns_to_spell(given):
    given([(word, word.upper()[::-1]) for word in WORDS])
    corpus = transliteration.corpus()
    model, fit = trained(corpus, 250, hidden=16, attention="dot", direction="both")
    metrics, curves, files = held_against(corpus, model)
    assert metrics["exact"] > 0.8 and metrics["exact"] <= 1 - metrics["error_rate"] and metrics["data"] == "by hand"
    assert metrics["exact_beam"] > 0.8 and metrics["parameters"] == model.vector.size
    assert curves["by_length"] == {"length": [2], "exact": [metrics["exact"]], "sources": [20]}
    again, _ = trained(corpus, 250, hidden=16, attention="dot", direction="both")
    assert np.array_equal(again.vector, model.vector) and held_against(corpus, again) == (metrics, curves, files)
    found = curves["alignment"]
    assert len(set(found["word"])) == 3 and set(found["word"]) <= set(WORDS)
    assert all(len(column) == 3 * 3 * 2 for column in found.values())  # three words, three symbols, two letters
    assert files["alignment.tsv"].startswith("\t") and files["alignment.tsv"].count("\n") == 3 * 4 + 2


def test_an_alignment_has_a_column_for_each_letter_and_a_row_for_each_symbol(given):
    given({word: [tuple(word.upper())] for word in WORDS})
    corpus = pronunciation.corpus()
    letters, symbols = corpus.facts["letters"], corpus.facts["symbols"]
    model = model_for(corpus.task, 0, hidden=4, attention="additive")
    curve, text = alignment(model, letters.encode("aba"), symbols.encode("BA").tolist(), letters, symbols)
    assert curve["step"] == [1, 1, 1, 2, 2, 2, 3, 3, 3] and curve["position"] == 3 * [1, 2, 3]
    assert "".join(curve["letter"]) == 3 * "aba" and curve["written"] == ["B"] * 3 + ["A"] * 3 + ["<end>"] * 3
    weights = np.array(curve["weight"]).reshape(3, 3)
    assert weights.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-6) and (weights > 0).all()
    assert set(curve["word"]) == {"aba"}
    rows = [line.split("\t") for line in text.splitlines()]
    assert rows[0] == ["", "a", "b", "a"] and [row[0] for row in rows[1:]] == ["B", "A", "<end>"]
    assert rows[2][2] == f"{weights[1, 1]:.3f}"


def test_what_is_written_does_not_depend_on_the_batch(given):
    given({word * times: [tuple((word * times).upper())] for word in WORDS for times in (1, 2, 3)})
    corpus = pronunciation.corpus()
    model, _ = trained(corpus, 30, hidden=8, attention="general")
    sources = corpus.facts["sources"]
    whole = transcribe(model, sources, steps=9)
    assert len({len(source) for source in sources}) == 3 and len(set(whole)) > 5
    assert transcribe(model, sources, steps=9, batch=7) == whole
    assert transcribe(model, sources, steps=9, how="beam", width=1) == whole
    assert transcribe(model, sources, steps=9, how="sampled", rng=stream("probe", 0), temperature=0) == whole
    assert [transcribe(model, [source], steps=9)[0] for source in sources[:5]] == whole[:5]
    with pytest.raises(UsageError, match="unknown decoding 'beem'; did you mean 'beam'"):
        transcribe(model, sources, steps=9, how="beem")


def test_one_for_many_in_three_ways(given):
    given({"aa": [word + "a" for word in WORDS], "bb": [word + "bb" for word in WORDS]})
    corpus = naming.corpus()
    model, fit = trained(corpus, 120, hidden=12, kind="vector")
    metrics, files = written_for(corpus, model, fit.loss, 0)
    assert (
        metrics["error_rate"] is None
        and metrics["bits"] == pytest.approx(fit.loss / np.log(2))
        and metrics["rival"] == corpus.rival_score
    )
    assert metrics["different_greedy"] == metrics["different_beam"] == 2 / 40 < metrics["different_sampled"]
    assert metrics["right_sampled"] > 0.6 and written_for(corpus, model, fit.loss, 0) == (metrics, files)
    assert written_for(corpus, model, fit.loss, 1)[1] != files
    assert files["written.tsv"].splitlines()[0] == "\tgreedy\tsampled\tbeam"


def test_curves_and_tables_by_hand():
    written, accepted = ["a", "b", "cc"], [["a"], ["x", "y"], ["dd", "cc"]]
    assert by_length(written, accepted, ["1", "2", "33"]) == {
        "length": [1, 2], "exact": [0.5, 1.0], "sources": [2, 1],
    }  # fmt: skip
    symbols = Alphabet(("<end>", "<start>", "a", "b"))
    text = beside(["one", "two"], {"greedy": [(2,), (3, 2)], "beam": [(), (3,)]}, symbols, "-")
    assert text == "\tgreedy\tbeam\none\ta\t\ntwo\tb-a\tb\n"


# What experiments declare ----------------------------------------------------------------------------------------


def test_a_file_stands_in_for_one_corpus(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("cat\tK AE T\nat\tAE T\n", encoding="utf-8")
    both = {"corpus": ["pronunciation", "transliteration"], "forcing": ["1"]}
    with pytest.raises(UsageError, match="corpus must be one with --tsv, got pronunciation, transliteration"):
        pairs.check(both, {"tsv": str(path)})
    pairs.check({"corpus": ["pronunciation"]}, {"tsv": str(path)})
    ((label, note),) = pairs.reads({"corpus": ["pronunciation"]}, {"tsv": str(path)}).values()
    assert label.startswith("own.tsv@") and note == ""
    assert pairs.load("pronunciation", 5, str(path)).facts["symbols"].symbols[2:] == ("AE", "K", "T")
    with pytest.raises(UsageError, match="it has no format for files of one's own"):
        pairs.check({"corpus": ["captions"]}, {"tsv": str(path)})
    with pytest.raises(UsageError, match="lineal"):
        pairs.check({"corpus": ["pronunciation"], "forcing": ["lineal:3"]}, {})
    path.write_text("cat\n", encoding="utf-8")
    with pytest.raises(UsageError, match="must have two fields with a tab between, got 1 in line 1"):
        pairs.check({"corpus": ["pronunciation"]}, {"tsv": str(path)})


def test_stand_ins_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    found = pairs.reads({"corpus": ["pronunciation", "naming"]}, {})
    assert [label for label, _ in found.values()] == ["generated words", "generated names"]
    assert all("is not fetched" in note for _, note in found.values())


def test_a_file_of_one_source_is_refused_before_anything_runs(tmp_path):
    path = tmp_path / "one.tsv"
    path.write_text("cat\tK AE T\ncat\tK AA T\n", encoding="utf-8")
    with pytest.raises(UsageError, match="data of pronunciation must have two sequences at least, got 1"):
        pairs.check({"corpus": ["pronunciation"], "held_out": [5]}, {"tsv": str(path)})

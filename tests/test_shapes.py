"""From sequences to tasks: alphabets, the division, batches of each shape, and what a network without memory gets."""

import numpy as np
import pytest

from sandbox import corpora, shapes
from sandbox.alphabet import RARE, Alphabet
from sandbox.errors import UsageError
from sandbox.streams import stream
from sandbox.training import Recipe, Trainer, fit, model_for

WORDS = ["abba", "b", "cab", "aa", "bc", "acb", "cc", "ba", "abc", "cba"]
ALPHABET = Alphabet.of(WORDS)
CODES = [ALPHABET.encode(word) for word in WORDS]
LABELS = np.array([len(word) % 2 for word in WORDS])


def test_an_alphabet_goes_there_and_back():
    assert ALPHABET.symbols == ("a", "b", "c") and len(ALPHABET) == 3
    assert "".join(ALPHABET.decode(ALPHABET.encode("bacca"))) == "bacca"
    with pytest.raises(UsageError, match=r"symbols must be of the alphabet, got 'd' \(it has a b c\)"):
        ALPHABET.encode("bad")


def test_rare_symbols_share_a_number():
    alphabet = Alphabet.of(["aab", "abbc"], least=2, reserved=("<end>", "<start>"))
    assert alphabet.symbols == ("<end>", "<start>", "a", "b", RARE)
    assert alphabet.encode("abcd").tolist() == [2, 3, 4, 4]


def test_a_symbol_that_means_something_else_is_refused():
    with pytest.raises(UsageError, match="symbols must be none of <end>, <start>, got <start>"):
        Alphabet.of([["<start>", "a"]], reserved=("<end>", "<start>"))
    with pytest.raises(UsageError, match="symbols must be none of <rare>, got <rare>"):
        Alphabet.of([[RARE, "a"]], least=2)
    assert Alphabet.of([[RARE, "a"]]).symbols == (RARE, "a")


def test_the_division_is_always_the_same_and_misses_nothing():
    learned, held_out = shapes.split(50)
    assert sorted([*learned, *held_out]) == list(range(50)) and len(held_out) == 10
    assert np.array_equal(shapes.split(50)[1], held_out) and not np.array_equal(held_out, np.arange(40, 50))


def test_padding_and_cutting():
    x, lengths = shapes.padded(CODES[:3])
    assert x.shape == (4, 3) and lengths.tolist() == [4, 1, 3] and not x[1:, 1].any()
    x, lengths = shapes.padded([np.ones((2, 5)), np.ones((4, 5))], longest=3)
    assert x.shape == (3, 2, 5) and lengths.tolist() == [2, 3] and not x[2, 0].any()


def test_a_class_of_each_sequence():
    task = shapes.classification("words", CODES, LABELS, 2, symbols=3)
    learned, held_out = shapes.split(len(WORDS))
    batch = task.draw(stream("data", 1), 40, 9)
    rows = {"".join(ALPHABET.decode(batch.x[: batch.lengths[b], b])) for b in range(40)}
    assert rows == {WORDS[row] for row in learned}
    assert all(batch.target[b] == batch.lengths[b] % 2 for b in range(40))
    batches = task.held_out(1, 9)
    assert [int(batch.lengths[0]) for batch in batches] == sorted(len(WORDS[row]) for row in held_out)
    assert task.draw(stream("data", 1), 40, 2).x.shape == (2, 40)
    counts = np.bincount(LABELS[learned]) + 1
    expected = -np.log(counts[LABELS[held_out]] / counts.sum()).mean()
    assert task.baseline(9) == pytest.approx(expected, rel=1e-12)


def test_a_class_of_each_step():
    tags = [(code == 1).astype(np.int64) for code in CODES]
    task = shapes.tagging("words", CODES, tags, 2, symbols=3, scored=lambda tag: tag == 1)
    batch = task.draw(stream("data", 1), 20, 9)
    live = np.arange(len(batch.x))[:, None] < batch.lengths
    assert np.array_equal(batch.target[live], (batch.x == 1)[live]) and np.array_equal(batch.mask, live)
    assert np.array_equal(batch.scored, live & (batch.x == 1))
    assert batch.answers() == batch.scored.sum()


def test_a_sequence_for_a_sequence():
    targets = [np.append(code[::-1] + 2, 0) for code in CODES]
    task = shapes.transduction("words", CODES, targets, 3, 5)
    batch = task.draw(stream("data", 1), 20, 9)
    for b in range(20):
        source = batch.x[: batch.lengths[b], b]
        target = batch.target[batch.mask[:, b], b]
        assert np.array_equal(target, np.append(source[::-1] + 2, 0))
    assert batch.target.shape == batch.mask.shape == (batch.lengths.max() + 1, 20)


TEXT = np.arange(103) * 7 % 11


def test_a_text_in_contiguous_tracks():
    task = shapes.language("text", TEXT, TEXT[:31], 11)
    source = task.stream(stream("data", 1), 4)
    one, two = source.take(5), source.take(6)
    assert one.x.shape == (5, 4) and np.array_equal(one.target[:-1], one.x[1:])
    assert np.array_equal(one.target[-1], two.x[0])
    drawn = task.draw(stream("data", 1), 4, 5)
    assert np.array_equal(drawn.target[:-1], drawn.x[1:])


@pytest.mark.parametrize(("batch", "seq_len"), [(4, 3), (2, 50), (64, 10)])
def test_what_is_held_out_of_a_text_is_read_once(batch, seq_len):
    found = shapes.language("text", TEXT, TEXT[:31], 11).held_out(batch, seq_len)
    x = np.concatenate([each.x for each in found])
    assert all(len(each.x) <= seq_len for each in found) and x.size > 31 - x.shape[1] - 1
    assert np.array_equal(x.T.ravel(), TEXT[: x.size])
    assert np.array_equal(np.concatenate([each.target for each in found]).T.ravel(), TEXT[1 : x.size + 1])


def test_a_series_is_predicted_behind_what_is_learned_from():
    values = np.arange(40.0)[:, None] / 40
    values[7] = np.nan
    task = shapes.forecasting("series", values, 30, horizon=2, score=lambda output, batch: 0.0, baseline=1.0)
    batch = task.draw(stream("data", 1), 300, 9)
    assert batch.target[batch.mask].max() < 30 / 40 and batch.target[batch.mask].max() > 29 / 40 - 1e-9
    same = batch.mask[:, :, None] & (batch.x > 0)
    np.testing.assert_allclose(batch.target[same] - batch.x[same], 2 / 40, atol=1e-12)
    (held_out,) = task.held_out(5, 9)
    steps = np.flatnonzero(held_out.mask[:, 0])
    assert held_out.x.shape == (40, 1, 1) and steps.tolist() == list(range(28, 38))


def test_a_window_longer_than_the_text_is_refused():
    task = shapes.language("text", TEXT, TEXT[:31], 11)
    assert task.draw(stream("data", 1), 4, 102).x.shape == (102, 4)
    for seq_len in (103, 150):
        with pytest.raises(UsageError, match=f"seq_len must be below the 103 symbols of text .*, got {seq_len}"):
            task.draw(stream("data", 1), 4, seq_len)


def test_a_text_of_one_symbol_is_refused():
    with pytest.raises(UsageError, match="text held out of dull must have two different symbols, got 1"):
        shapes.language("dull", TEXT, np.zeros(9, np.int64), 11)
    with pytest.raises(UsageError, match="data of words must have two sequences at least, got 1"):
        shapes.classification("words", CODES[:1], LABELS[:1], 2, symbols=3)
    with pytest.raises(UsageError, match="classes of words must be two at least, got one"):
        shapes.classification("words", CODES, np.ones(len(CODES), int), 2, symbols=3)


RECIPE = dict(updates=4, batch=3, evaluate_every=2, until_solved=False)


@pytest.mark.parametrize("carry", [True, False])
def test_a_language_model_learns_and_goes_on_with_the_same_bits(carry, tmp_path):
    task = shapes.language("text", TEXT, TEXT[:31], 11, carry=carry)

    def trainer():
        model = model_for(task, 0, cell="gru", hidden=6, embedding=4)
        return Trainer(model, task, Recipe(**{**RECIPE, "updates": 60, "lr": 0.02}), seq_len=8, seed=0)

    one, two = trainer(), trainer()
    found = one.run()
    assert found.loss < 0.5 * found.baseline
    for _ in range(7):
        two.step()
    two.save(tmp_path / "half.npz")
    three = trainer()
    three.load(tmp_path / "half.npz")
    assert three.run().loss == found.loss and np.array_equal(three.model.vector, one.model.vector)


def test_answers_of_batches_of_different_size_count_the_same():
    task = shapes.classification("words", CODES, LABELS, 2, symbols=3, parts=(np.arange(5), np.arange(3, 10)))
    model = model_for(task, 0, cell="gru", hidden=3)
    scores = [Trainer(model, task, Recipe(**{**RECIPE, "batch": size}), seq_len=4, seed=0).evaluate()[1]
              for size in (7, 3, 2, 1)]  # fmt: skip
    assert scores == pytest.approx([scores[0]] * 4, abs=1e-15)


def test_a_model_whose_states_grow_follows_no_stream():
    for carry in (True, False):
        task = shapes.language("text", TEXT, TEXT[:31], 11, carry=carry)
        model = model_for(task, 0, cell="transformer:heads=2", hidden=4)
        if carry:
            with pytest.raises(
                UsageError, match=r"model must be recurrent or a window for task text.*transformer:heads"
            ):
                Trainer(model, task, Recipe(**RECIPE), seq_len=5, seed=0)
        else:
            assert fit(model, task, Recipe(**RECIPE), seq_len=5).updates == 4


def test_a_model_of_another_alphabet():
    task = shapes.classification("words", CODES, LABELS, 2, symbols=3)
    other = shapes.classification("words", CODES, LABELS, 2, symbols=4)
    with pytest.raises(UsageError, match="model must read 3 symbols a step and have 2 outputs .* got 4 symbols and 2"):
        fit(model_for(other, 0, cell="rnn", hidden=2), task, Recipe(**RECIPE))


def test_a_corpus_is_of_the_file_as_it_is_now(tmp_path, monkeypatch):
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path / "data"))
    own = tmp_path / "own.tsv"
    own.write_text("x\tann\nx\tbob\ny\tana\ny\tzoe\nx\tleo\n")
    first = corpora.load("names", path=str(own))
    assert corpora.load("names", path=str(own)) is first
    own.write_text("x\tann\nx\tbob\ny\tana\ny\tzoe\nx\tleo\nz\tzed\n")
    assert corpora.load("names", path=str(own)).facts["classes"] == ["x", "y", "z"]
    vowels = corpora.load("vowels")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "fetched.whl").write_text("")
    assert corpora.load("vowels") is not vowels


def test_a_corpus_that_is_not_there():
    with pytest.raises(UsageError, match="unknown corpus 'nmes'"):
        corpora.load("nmes")

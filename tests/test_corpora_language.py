"""Texts, chorales and series: what they are made into, what counting and least squares reach, what networks write."""

from collections import Counter

import numpy as np
import pytest

from sandbox import corpora, data, shapes
from sandbox.alphabet import RARE
from sandbox.corpora import characters, chorales, series, words
from sandbox.decoding import LanguageModel, sampled
from sandbox.errors import UsageError
from sandbox.experiment import load
from sandbox.families import texts
from sandbox.midi import midi
from sandbox.model import Model
from sandbox.rivals.forecasts import free_running, horizons, naive, network, origins, ridge, rmse
from sandbox.rivals.ngrams import kneser_ney, markov, witten_bell
from sandbox.sources import topics
from sandbox.stopping import EarlyStopping
from sandbox.streams import stream
from sandbox.training import Recipe, Trainer, model_for


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Records in the place of those that `data.load` finds; without a call only stand-ins are found."""
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path / "data"))

    def give(records):
        monkeypatch.setattr(data, "load", lambda name, path=None: data.Found(records, "by hand", False))

    return give


# Counting --------------------------------------------------------------------------------------------------------


def test_witten_bell_counted_by_hand():
    train, held_out = np.array([0, 1, 0, 0, 2]), np.array([0, 1, 2, 0])
    # order 1: c = 3 1 1 of 5, 3 kinds of 3 symbols: (3 + 1) / 8, (1 + 1) / 8, (1 + 1) / 8
    first = np.log([2 / 8, 2 / 8, 4 / 8])
    np.testing.assert_allclose(witten_bell(train, held_out, 3, 1), first, rtol=1e-15)
    # after 0: 1, 0 and 2 once each; after 1: 0 once; after 2: nothing, which leaves order 1
    second = np.log([(1 + 3 * 2 / 8) / (3 + 3), (0 + 1 * 2 / 8) / (1 + 1), 4 / 8])
    np.testing.assert_allclose(witten_bell(train, held_out, 3, 2), second, rtol=1e-15)


def naive_witten_bell(train, held_out, symbols, order):
    """The module's equation by dictionaries."""
    grams = [Counter(tuple(train[i : i + k]) for i in range(len(train) - k + 1)) for k in range(order + 1)]

    def p(k, context, symbol):
        if k == 0:
            return 1 / symbols
        followed = {gram: count for gram, count in grams[k].items() if gram[:-1] == context}
        lower = p(k - 1, context[1:], symbol)
        total = sum(followed.values())
        return lower if not total else (followed.get((*context, symbol), 0) + len(followed) * lower) / (
            total + len(followed))  # fmt: skip

    found = []
    for i in range(1, len(held_out)):
        k = min(order, i + 1)
        found.append(np.log(p(k, tuple(held_out[i - k + 1 : i]), held_out[i])))
    return found


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_witten_bell_is_its_equation(order):
    rng = stream("probe", 0)
    train, held_out = (np.floor(4 * rng.random(size) ** 2).astype(np.int64) for size in (60, 30))
    expected = naive_witten_bell(train.tolist(), held_out.tolist(), 5, order)
    np.testing.assert_allclose(witten_bell(train, held_out, 5, order), expected, rtol=1e-13)


def test_witten_bell_gives_shares():
    train, before = np.array([0, 1, 2, 0, 1, 1, 0]), [2, 0, 1]
    shares = [np.exp(witten_bell(train, np.array([*before, symbol]), 4, 3)[-1]) for symbol in range(4)]
    assert sum(shares) == pytest.approx(1, rel=1e-14)


def test_kneser_ney_counted_by_hand():
    train, held_out = np.array([0, 1, 0, 0, 2]), np.array([0, 1, 2, 0])
    # pairs 01 10 00 02: before 0 stood 1 and 0, before 1 and 2 one symbol; D = 2 / (2 + 2) of 2 1 1
    first = [(c - 0.5 + 0.5 * 3 / 3) / 4 for c in (2, 1, 1)]
    # each pair once, D = 1: after 0 1 2 nothing is left of c but 3, 1 and no kinds
    second = np.log([1 * 3 * first[1] / 3, 1 * 1 * first[2] / 1, first[0]])
    np.testing.assert_allclose(kneser_ney(train, held_out, 3, 2), second, rtol=1e-15)


def naive_kneser_ney(train, symbols, order):
    """p(history, symbol) of the module's equation by dictionaries."""
    grams = [Counter(tuple(train[i : i + k]) for i in range(len(train) - k + 1)) for k in range(order + 1)]
    counts = [Counter(gram[1:] for gram in grams[k + 1]) if k < order else grams[k] for k in range(order)]
    counts = [None, *counts[1:], grams[order]]
    discounts = [None]
    for found in counts[1:]:
        once, twice = (sum(count == times for count in found.values()) for times in (1, 2))
        discounts.append(once / (once + 2 * twice) if once else 0.5)

    def p(history, symbol, k=0):
        lower = 1 / symbols if k == 0 else p(history, symbol, k - 1)
        if k == 0:
            return lower
        context = tuple(history[len(history) - k + 1 :])
        followed = {gram: count for gram, count in counts[k].items() if gram[:-1] == context}
        total, D = sum(followed.values()), discounts[k]
        if not total:
            return lower
        return (max(followed.get((*context, symbol), 0) - D, 0) + D * len(followed) * lower) / total

    return lambda history, symbol: p(history, symbol, min(order, len(history) + 1))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_kneser_ney_is_its_equation(order):
    rng = stream("probe", 0)
    train, held_out = (np.floor(4 * rng.random(size) ** 2).astype(np.int64).tolist() for size in (60, 30))
    p = naive_kneser_ney(train, 5, order)
    expected = [np.log(p(held_out[:at], held_out[at])) for at in range(1, len(held_out))]
    np.testing.assert_allclose(kneser_ney(np.array(train), np.array(held_out), 5, order), expected, rtol=1e-13)


def test_kneser_ney_gives_shares():
    train, before = np.array([0, 1, 2, 0, 1, 1, 0]), [2, 0, 1]
    shares = [np.exp(kneser_ney(train, np.array([*before, symbol]), 4, 3)[-1]) for symbol in range(4)]
    assert sum(shares) == pytest.approx(1, rel=1e-14)
    often = np.array([0, 0, 0, 1, 1, 1])  # nothing occurs once: half is taken off all the same
    np.testing.assert_allclose(kneser_ney(often, np.array([0, 2]), 3, 1), np.log([0.5 * 2 / 3 / 6]), rtol=1e-14)


def test_markov_counted_by_hand():
    train, held_out = [np.array([0, 1, 1]), np.array([1, 1]), np.array([], int)], [np.array([1, 0]), np.array([0])]
    # beginning: 0 once, 1 once; after 1: 1 twice; a = 1: each of 2 symbols once more
    costs = -np.log([2 / 4, 1 / 4, 2 / 4])
    assert markov(train, held_out, 2, 1.0) == pytest.approx(costs.mean(), rel=1e-14)


# Texts -----------------------------------------------------------------------------------------------------------


def test_a_text_of_ones_own_by_character(tmp_path):
    content = "abba cab\n" * 30
    (tmp_path / "own.txt").write_text(content)
    corpus = characters.corpus("text", str(tmp_path / "own.txt"), order=2)
    alphabet, train, held_out = (corpus.facts[name] for name in ("alphabet", "train", "held_out"))
    assert "".join(alphabet.decode(np.concatenate([train, held_out]))) == content and len(held_out) == 27
    assert corpus.label.startswith("own.txt@") and corpus.rival == "2-gram"
    bits = -witten_bell(train, held_out, len(alphabet), 2).mean() / np.log(2)
    assert corpus.rival_score == pytest.approx(bits, rel=1e-14)
    stronger = -kneser_ney(train, held_out, len(alphabet), 6).mean() / np.log(2)
    assert corpus.facts["kneser_ney"] == pytest.approx(stronger, rel=1e-14)
    assert (corpus.task.symbols, corpus.task.output_size) == (5, 5)
    assert len(characters.corpus("text", str(tmp_path / "own.txt"), most=100).facts["train"]) == 90


def test_a_text_of_many_symbols_has_rare_ones(given):
    seldom = "".join(chr(0x4E00 + number) for number in range(300))
    given(seldom + "abc" * 50)
    alphabet = characters.corpus().facts["alphabet"]
    assert alphabet.symbols == ("a", "b", "c", RARE)


def test_what_stands_in_for_shakespeare(given):
    corpus = characters.corpus(most=5000)
    assert corpus.label == topics()[1]
    assert "".join(corpus.facts["alphabet"].decode(corpus.facts["train"])) == topics()[0][:4500]


def test_words_and_marks():
    assert words.tokens("O, 'tis\n2 été-days!") == ["o", ",", "'tis", "été", "days", "!"]
    assert words.tokens("12 - 3") == []


def test_seldom_words_are_one(given):
    given("the cat, the dog. " * 9 + "the emu " * 2 + "the cat " * 3)
    corpus = words.corpus(least=3)
    alphabet = corpus.facts["alphabet"]
    assert alphabet.symbols == (",", ".", "cat", "dog", "the", RARE)
    learned = words.tokens("the cat, the dog. " * 9)
    assert alphabet.decode(corpus.facts["train"])[: len(learned) - 1] == learned[:-1]
    held_out = corpus.facts["held_out"]
    assert corpus.facts["rare"] == np.mean(held_out == len(alphabet) - 1)
    perplexity = np.exp(-witten_bell(corpus.facts["train"], held_out, len(alphabet), 2).mean())
    assert corpus.rival_score == pytest.approx(perplexity, rel=1e-14)
    stronger = np.exp(-kneser_ney(corpus.facts["train"], held_out, len(alphabet), 3).mean())
    assert corpus.facts["kneser_ney"] == pytest.approx(stronger, rel=1e-14)


def test_likeliest_words(given):
    given("the cat, the dog. " * 20)
    corpus = words.corpus(least=3)
    model = model_for(corpus.task, 0, cell="gru", hidden=3, dtype="float64")
    alphabet = corpus.facts["alphabet"]
    before = corpus.facts["train"][:5]
    found = words.continuations(model, alphabet, "The dog.", before, most=3)
    logits = model.forward(alphabet.encode(["the", "cat", ",", "the", "dog", "the", "dog", "."])[:, None])[-1, 0]
    shares = np.exp(logits) / np.exp(logits).sum()
    order = [number for number in np.argsort(-shares) if alphabet.symbols[number] != RARE][:3]
    assert [word for word, _ in found] == [alphabet.symbols[number] for number in order]
    np.testing.assert_allclose([share for _, share in found], shares[order], rtol=1e-13)
    lines = words.table(model, alphabet, ["The dog."], before).splitlines()
    assert len(lines) == 6 and lines[0] == "prompt,rank,word,probability"
    word = f'"{found[0][0]}"' if found[0][0] == "," else found[0][0]
    assert lines[1] == f"The dog.,1,{word},{found[0][1]}"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: characters.corpus("text"), "source text must be given together with --text FILE"),
        (lambda: characters.corpus("shakespeare", "README.md"), "source text must be given together with --text FILE"),
        (lambda: words.prompts("to be | |"), "prompt must have words, and between two bars too"),
        (lambda: series.corpus("weather"), "unknown source 'weather'"),
        (lambda: series.corpus("series"), "source series must be given a file and its column"),
        (lambda: series.corpus("seattle", "own.csv", "x"), "source series must be given a file and its column"),
    ],
)
def test_what_is_refused(call, message, given):
    with pytest.raises(UsageError, match=message):
        call()


def test_texts_that_are_no_texts(tmp_path, given):
    own = tmp_path / "own.txt"
    own.write_bytes(b"caf\xe9 caf\xe9")
    with pytest.raises(UsageError, match=r"own.txt must be UTF-8 text, got byte 0xe9"):
        texts.check({"source": ["text"], "text_length": [9]}, {"text": str(own)}, "characters")
    own.write_text("aaaaaaaaaaaaaaaaaaaaaaaa")
    with pytest.raises(UsageError, match="must have at least two different characters, got 24 times"):
        characters.corpus("text", str(own))
    own.write_text("1 2 3")
    with pytest.raises(UsageError, match="text of words must have words, got 0"):
        words.corpus("text", str(own))


@pytest.mark.parametrize(("content", "corpus"), [("a b", "characters"), ("a b c d e f g h i j k", "words")])
def test_a_text_too_short_to_divide_is_refused_before_anything_runs(tmp_path, content, corpus):
    own = tmp_path / "own.txt"
    own.write_text(content)
    with pytest.raises(UsageError, match="text .* must have two different symbols, got .* in .*own.txt"):
        texts.check({"source": ["text"], "text_length": [1000]}, {"text": str(own)}, corpus)


def test_windows_that_start_from_nothing_fit_into_the_text(tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("ab" * 25)
    grid, mine = {"source": ["text", "shakespeare"], "text_length": [1000], "seq_len": [8, 45]}, {"text": str(own)}
    texts.check(grid, mine, "characters")
    with pytest.raises(UsageError, match="seq_len must be below the 45 symbols to learn from, got 45"):
        texts.check(grid, mine, "characters", apart=True)
    texts.check(grid | {"seq_len": [44]}, mine, "characters", apart=True)
    with pytest.raises(UsageError, match="seq_len must be below the 900 symbols to learn from, got 900"):
        texts.check({"source": ["shakespeare"], "text_length": [1000], "seq_len": [900]}, {}, "characters", apart=True)
    with pytest.raises(UsageError, match="text_length must be a whole number from 100"):
        load("crossover").grid({"text_length": "-5"}, {})


def test_a_text_that_never_ends_is_not_for_a_transformer():
    for name in ("characters", "words"):
        with pytest.raises(UsageError, match=f"recurrent or a window for {name}, .* got transformer:post"):
            load(name).grid({"model": "transformer:post"}, {})
        load(name).grid({"model": "all"}, {})
    load("crossover").grid({"model": "transformer:post"}, {})


def test_a_file_of_ones_own_beside_other_sources(tmp_path, given):
    own = tmp_path / "own.txt"
    own.write_text("ab" * 25)
    assert texts.load("characters", "text", 100, str(own)).label.startswith("own.txt@")
    assert texts.load("characters", "python", 300, str(own)).label.startswith("python-")
    assert series.load("stocks", str(own), "x").label == "generated prices"


def test_vectors_of_symbols_are_as_large_as_noise():
    task = shapes.language("text", np.arange(50) % 7, np.arange(20) % 7, 7)
    plain = model_for(task, 0, hidden=3, embedding=16)
    larger = texts.spread(model_for(task, 0, hidden=3, embedding=16))
    assert np.array_equal(larger.embedding.parameters["W"], 4 * plain.embedding.parameters["W"])
    assert np.array_equal(larger.stack.vector, plain.stack.vector)


# Chorales --------------------------------------------------------------------------------------------------------

PIECES = [np.array([[60 + n, 55, -1, 40], [62, 55 + n, 50, -1], [62, 57, 50, 41]]) for n in range(6)]


def test_voices_come_in_turn(given):
    given(PIECES)
    facts = chorales.corpus().facts
    alphabet = facts["alphabet"]
    symbols = chorales.serial(PIECES[1], alphabet)
    assert alphabet.decode(symbols[:6]) == ["S61", "A55", "T-1", "B40", "S62", "A56"]
    assert np.array_equal(chorales.steps(symbols, alphabet), PIECES[1])
    raised = chorales.steps(chorales.serial(PIECES[1], chorales.corpus(transposed=2).facts["alphabet"], 2),
                            chorales.corpus(transposed=2).facts["alphabet"])  # fmt: skip
    assert np.array_equal(raised, np.where(PIECES[1] < 0, -1, PIECES[1] + 2))


def test_each_symbol_is_asked_for_after_those_before(given):
    given(PIECES)
    corpus = chorales.corpus(transposed=1)
    alphabet, task = corpus.facts["alphabet"], corpus.task
    (held_out,) = shapes.split(len(PIECES))[1]
    (batch,) = task.held_out(9, task.seq_len)
    symbols = chorales.serial(PIECES[held_out], alphabet)
    assert np.array_equal(batch.target[:, 0], symbols) and batch.x[0, 0] == len(alphabet) == task.symbols - 1
    assert np.array_equal(batch.x[1:, 0], symbols[:-1]) and batch.mask is not None and batch.mask.all()
    assert np.array_equal(chorales.opening(PIECES[held_out][:2], alphabet)[:, 0], batch.x[:9, 0])
    batch = task.draw(stream("data", 0), 200, 99)
    drawn = {tuple(column) for column in batch.target.T.tolist()}
    others = [piece for number, piece in enumerate(PIECES) if number != held_out]
    expected = {tuple(chorales.serial(piece, alphabet, shift).tolist()) for piece in others for shift in (-1, 0, 1)}
    assert drawn == expected


def test_the_rival_of_chorales_is_a_chain_for_each_voice(given):
    given(PIECES)
    learned, held_out = shapes.split(len(PIECES))
    expected = 0.0
    for voice in range(4):
        pitches = sorted({pitch for piece in PIECES for pitch in piece[:, voice].tolist()})
        counts = {(before, after): 0.5 for before in [None, *pitches] for after in pitches}
        for row in learned:
            line = PIECES[row][:, voice].tolist()
            for pair in zip([None, *line], line, strict=False):
                counts[pair] += 1
        line = PIECES[held_out[0]][:, voice].tolist()
        for before, after in zip([None, *line], line, strict=False):
            share = counts[before, after] / sum(counts[before, other] for other in pitches)
            expected -= np.log(share) / len(line)
    assert chorales.corpus().rival_score == pytest.approx(expected, rel=1e-13)


def test_what_is_held_out_is_not_learned_in_another_key(given, rng_pieces):
    held_out = shapes.split(len(rng_pieces))[1]
    copied = next(row for row in range(len(rng_pieces)) if row not in held_out)
    rng_pieces[copied] = np.concatenate([rng_pieces[copied][:5], rng_pieces[held_out[0]][3:12] + 2])
    given(rng_pieces)
    learned = chorales.corpus().facts["learned"]
    assert copied not in learned and len(learned) == len(rng_pieces) - len(held_out) - 1
    rng_pieces[copied] = rng_pieces[copied][:12]  # seven steps in common
    given(rng_pieces)
    assert copied in chorales.corpus().facts["learned"]


@pytest.fixture
def rng_pieces():
    rng = stream("probe", 5)
    return [50 + np.floor(20 * rng.random((14, 4))).astype(np.int64) for _ in range(12)]


@pytest.mark.parametrize("keys", [0, 2])
def test_the_n_gram_of_chorales_sees_all_voices_all_copies_and_no_other_chorale(given, rng_pieces, keys):
    given(rng_pieces)
    facts = chorales.corpus(transposed=keys).facts
    alphabet = facts["alphabet"]

    def serial(row, shift=0):
        return chorales.serial(rng_pieces[row], alphabet, shift).tolist()

    copies = [(row, shift) for row in facts["learned"] for shift in range(-keys, keys + 1) if shift]
    start, joined = [len(alphabet)] * 7, []
    for row, shift in [*((row, 0) for row in facts["learned"]), *copies]:
        joined += [*start, *serial(row, shift)]
    p = naive_kneser_ney(joined, len(alphabet) + 1, 7)
    costs = [-np.log(p([*start, *each[:at]], each[at])) for each in map(serial, facts["held_out"])
             for at in range(len(each))]  # fmt: skip
    assert facts["ngram"] == pytest.approx(4 * np.mean(costs), rel=1e-12)


def test_a_sample_has_each_voice_in_its_turn(given):
    given(PIECES)
    corpus = chorales.corpus()
    alphabet, model = corpus.facts["alphabet"], model_for(corpus.task, 0, cell="gru", hidden=3)
    writer = chorales.InTurn(LanguageModel(model), alphabet)
    prompt = chorales.opening(PIECES[0][:2], alphabet)
    found = sampled(writer, *writer.start(prompt), steps=40, rng=stream("probe", 1), temperature=2.0, end=None)
    assert [name[0] for name in alphabet.decode(found.symbols[:, 0])] == list("SATB" * 10)


# MIDI ------------------------------------------------------------------------------------------------------------


def read_midi(content):
    """Ticks to a quarter, microseconds to a quarter, and the notes (on, off, pitch) of each further track."""
    assert content[:8] == b"MThd\0\0\0\6"
    kind, count, ticks = (int.from_bytes(content[at : at + 2], "big") for at in (8, 10, 12))
    assert kind == 1
    place, tracks, tempo = 14, [], None
    for _ in range(count):
        assert content[place : place + 4] == b"MTrk"
        end = place + 8 + int.from_bytes(content[place + 4 : place + 8], "big")
        place, now, sounding, found, ended = place + 8, 0, {}, [], False
        while place < end:
            wait = 0
            while True:
                wait, more, place = wait << 7 | content[place] & 127, content[place] & 128, place + 1
                if not more:
                    break
            now, status = now + wait, content[place]
            if status == 0xFF:
                size = content[place + 2]
                if content[place + 1] == 0x51:
                    tempo = int.from_bytes(content[place + 3 : place + 3 + size], "big")
                ended = content[place + 1] == 0x2F
                place += 3 + size
            elif status >> 4 == 0xC:
                place += 2
            else:
                pitch = content[place + 1]
                if status >> 4 == 9:
                    assert content[place + 2] > 0 and pitch not in sounding
                    sounding[pitch] = now
                else:
                    assert status >> 4 == 8
                    found.append((sounding.pop(pitch), now, pitch))
                place += 3
        assert ended and not sounding and place == end
        tracks.append((found, now))
    assert place == len(content)
    return ticks, tempo, tracks[1:]


def test_midi_files_are_read_back():
    voices = np.array([[60, -1], [60, 40], [62, 40], [-1, 40], [62, 41]])
    ticks, tempo, tracks = read_midi(midi(voices, per_quarter=2, tempo=120))
    half = ticks // 2
    assert tempo == 500_000
    assert tracks[0] == ([(0, 2 * half, 60), (2 * half, 3 * half, 62), (4 * half, 5 * half, 62)], 5 * half)
    assert tracks[1] == ([(half, 4 * half, 40), (4 * half, 5 * half, 41)], 5 * half)


def test_a_long_note_has_a_distance_of_three_bytes():
    ((found, _),) = read_midi(midi(np.full((100, 1), 72)))[2]
    assert found == [(0, 48_000, 72)]


# Series ----------------------------------------------------------------------------------------------------------


def made(steps=120, seed=0, *, channels=2, calendar=None, gaps=True):
    """A series of a sine, noise and gaps: (N, 1, D) values."""
    rng = stream("probe", seed)
    values = 5 + 3 * np.sin(np.arange(steps) / 3)[:, None, None] + rng.random((steps, 1, channels))
    if gaps:
        values[[20, 21, steps - 9], 0, 0] = np.nan
    return series.of_values(values, calendar=calendar), values


def test_a_series_is_standardised_by_what_is_learned_from():
    found, values = made()
    learned = values[:96]
    assert found.first == 96 and found.naive == 1 and found.calendar == 0
    assert found.centre == pytest.approx(np.nanmean(learned[:, 0, 0])) and found.unit == pytest.approx(
        np.nanstd(learned[:, 0, 0])
    )
    assert found.x[20, 0, 0] == found.x[21, 0, 0] == found.x[19, 0, 0]
    np.testing.assert_allclose(found.centre + found.unit * found.x[22:100, 0, 0], values[22:100, 0, 0], rtol=1e-13)
    goal = found.goal[:, 0]
    assert np.flatnonzero(np.isnan(goal)).tolist() == [19, 20, 110, 119]
    assert np.sqrt(np.nanmean(goal[:95] ** 2)) == pytest.approx(1)
    np.testing.assert_allclose(found.in_units(goal[30:40]), np.diff(values[30:41, 0, 0]), rtol=1e-11)
    np.testing.assert_allclose(found.levels(found.goal)[30:40, 0], values[31:41, 0, 0], rtol=1e-12)
    learned, held_out = found.parts()
    assert np.flatnonzero(held_out[:, 0]).tolist() == [*range(95, 110), *range(111, 119)]
    assert np.count_nonzero(learned) == 95 - 2


def test_what_is_tried_on_is_learned_from():
    found, _ = made()
    tried = found.learned()
    assert len(tried.x) == 96 and tried.first == 76 and tried.step == found.step
    assert np.array_equal(tried.goal[:95], found.goal[:95], equal_nan=True)


def test_returns_are_not_differences():
    values = stream("probe", 3).random((50, 2, 1)) - 0.4
    found = series.of_values(values, naive=0)
    np.testing.assert_allclose(found.in_units(found.goal[:-1]), values[1:, :, 0], rtol=1e-12)
    assert found.centre == 0


@pytest.mark.parametrize("calendar", [None, series.waves(120, 7.0)])
def test_ridge_regression_is_the_normal_equations(calendar):
    found, _ = made(calendar=calendar)
    lags, D = 3, found.x.shape[2]
    known = [0, 1] if calendar is not None else list(range(D))

    def row(t):
        now = [found.x[t - lag, 0, channel] for lag in range(lags) for channel in known]
        return [*now, *found.x[t, 0, 2:], 1.0]

    steps = [t for t in range(lags - 1, 95) if np.isfinite(found.goal[t, 0])]
    A, y = np.array([row(t) for t in steps]), found.goal[steps, 0]

    def weights(A, y, penalty):
        return np.linalg.solve(A.T @ A + penalty * np.eye(A.shape[1]), A.T @ y)

    cut = int(len(y) * 0.8)
    penalties = [10.0**power for power in range(-6, 6)]
    errors = [np.mean((A[cut:] @ weights(A[:cut], y[:cut], penalty) - y[cut:]) ** 2) for penalty in penalties]
    fitted = ridge(found, lags)
    assert fitted.penalty == penalties[int(np.argmin(errors))]
    np.testing.assert_allclose(fitted.weights, weights(A, y, fitted.penalty), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(fitted.along(found.x)[steps[5] - lags + 1, 0], A[5] @ fitted.weights, rtol=1e-12)
    assert fitted(found.x[:50])[0] == fitted.along(found.x)[50 - lags, 0]


def test_forecasts_that_are_fed_back():
    calendar = series.waves(120, 7.0)
    found, _ = made(calendar=calendar)
    model = model_for(shapes.forecasting("s", found.x, found.first, goal=found.goal, score=rmse, baseline=1.0), 0,
                      cell="gru", hidden=3, dtype="float64")  # fmt: skip
    starts, context, horizon = origins(found, 4, 10, most=3), 10, 4
    assert starts.tolist() == [95, 105, 115]
    squares = np.full((3, horizon), np.nan)
    for number, start in enumerate(starts):  # one origin at a time, with the states carried on
        output, states = model.forward(found.x[start - 9 : start + 1]), model.last.states()
        row = found.x[start].copy()
        for ahead in range(horizon):
            row[0, 0] += found.step * output[-1, 0, 0]
            row[0, -2:] = calendar[start + ahead + 1]
            if found.known[start + ahead + 1, 0]:
                squares[number, ahead] = (row[0, 0] - found.x[start + ahead + 1, 0, 0]) ** 2
            output, states = model.forward(row[None], states), model.last.states()
    expected = found.unit * np.sqrt(np.nanmean(squares, axis=0))
    np.testing.assert_allclose(free_running(found, starts, horizon, context, network(model)), expected, rtol=1e-10)


def test_the_simple_forecast_stays_where_it_is():
    found, values = made(gaps=False)
    curve = horizons(found, 3, 5, naive=naive, again=naive)
    starts = origins(found, 3, 5)
    expected = [np.sqrt(np.mean((values[starts + k, 0, 0] - values[starts, 0, 0]) ** 2)) for k in (1, 2, 3)]
    np.testing.assert_allclose(curve["naive"], expected, rtol=1e-12)
    assert curve["ahead"].tolist() == [1, 2, 3] and np.array_equal(curve["naive"], curve["again"])


def test_a_series_that_stands_still_as_long_as_it_is_learned_from():
    values = np.array([3.0] * 50 + [4.0, 5.0, 4.0, 3.0, 3.0])[:, None, None]
    found = series.of_values(values)
    assert found.first == 44 and found.step == found.unit == 1.0
    assert found.goal[49:54, 0].tolist() == [1.0, 1.0, -1.0, -1.0, 0.0]


def test_returns_that_are_fed_back_do_not_add_up():
    values = stream("probe", 4).random((60, 2, 1)) - 0.4
    found = series.of_values(values, naive=0)
    starts = origins(found, 2, 5)
    expected = [np.sqrt(np.mean(values[starts + k] ** 2)) for k in (1, 2)]
    np.testing.assert_allclose(horizons(found, 2, 5, naive=naive)["naive"], expected, rtol=1e-12)


def test_no_origin_where_there_is_no_room():
    found, _ = made()
    model = Model(found.x.shape[2], 1, cell="rnn", hidden=3, head="every", rng=stream("init", 0))
    said = horizons(found, 30, 5, naive=naive, rmse=network(model))
    assert not len(origins(found, 30, 5)) and np.isnan(said["naive"]).all() and np.isnan(said["rmse"]).all()


def test_several_series_are_held_out_side_by_side():
    goal = np.arange(60.0).reshape(30, 2)
    goal[25, 1] = np.nan
    task = shapes.forecasting("two", np.zeros((30, 2, 3)), 24, goal=goal, score=rmse, baseline=1.0)
    (batch,) = task.held_out(5, 9)
    assert batch.x.shape == (30, 2, 3) and np.flatnonzero(batch.mask[:, 1]).tolist() == [23, 24, 26, 27, 28, 29]
    drawn = task.draw(stream("data", 0), 100, 4)
    assert {int(value) % 2 for value in drawn.target[0, :, 0]} == {0, 1} and drawn.target.max() < 2 * 23


def test_shares_are_returns_that_end_together(given):
    given({"A": np.array([1.0, 2.0, 1.0, 4.0, 8.0, 8.0]), "B": np.array([3.0, 3.0, 6.0])})
    found, unit, label = series.DATA["stocks"]()
    returns = found.in_units(found.goal)[:-1] / 100
    np.testing.assert_allclose(returns[:, 0], np.log([1 / 2, 4, 2, 1]), atol=1e-15)
    assert np.isnan(returns[:2, 1]).all()
    np.testing.assert_allclose(returns[2:, 1], np.log([1, 2]), atol=1e-15)
    assert (unit, label, found.naive) == ("%", "by hand", 0)


def test_gaps_of_beijing_are_not_forecast_or_are_zeros(given):
    values = 5 + stream("probe", 5).random((200, 7))
    values[[24, 50, 170], 0] = np.nan
    given(values)
    found, _, _ = series.DATA["beijing"]()
    assert np.flatnonzero(~found.known[:, 0]).tolist() == [24, 50, 170] and found.x.shape == (200, 1, 11)
    zeros, _, _ = series.DATA["beijing:zeros"]()
    assert zeros.known.all() and len(zeros.x) == 176
    level = zeros.centre + zeros.unit * zeros.x[:, 0, 0]
    np.testing.assert_allclose(level[[0, 26, 146]], 0, atol=1e-12)


@pytest.mark.parametrize("source", ["seattle", "sunspots", "mackey_glass", "stocks"])
def test_rivals_of_a_series(source, given):
    corpus = series.corpus(source)
    found, task = corpus.facts["series"], corpus.task
    held_out, goal = found.parts()[1], found.goal
    errors = found.in_units(goal[held_out])
    assert corpus.rival_score == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-12)
    (batch,) = task.held_out(1, 1)
    assert task.score(np.zeros(batch.target.shape), batch) == pytest.approx(corpus.rival_score, rel=1e-12)
    said = np.full(goal.shape, np.nan)
    said[corpus.facts["ridge"].lags - 1 :] = corpus.facts["ridge"].along(found.x)
    assert corpus.facts["ridge_score"] == pytest.approx(task.score(said[:, :, None], batch), rel=1e-12)
    assert corpus.facts["tried"].held_out(1, 1)[0].x.shape[0] == found.first


def test_a_column_of_ones_own(tmp_path, given):
    own = tmp_path / "own.csv"
    own.write_text("day,sold\n" + "".join(f"{day},{day * 7 % 13}\n" for day in range(60)))
    corpus = series.corpus("series", str(own), "sold")
    assert corpus.label.startswith("own.csv:sold@") and corpus.facts["unit"] == "sold"
    grid, settings = {"source": ["series", "stocks"]}, {"csv": str(own), "column": "sold"}
    read = series.reads(grid, settings)
    assert read["series"] == (corpus.label, "") and read["stocks"][0] == "generated prices" and read["stocks"][1]
    series.files(grid, settings)
    own.write_text("day,sold\n" + "1,2\n2,3\n" * 9 + "3,3\n")
    with pytest.raises(UsageError, match="column 'sold' of .*own.csv must have at least 20 values, .* got 19"):
        series.files(grid, settings)
    for unit in (1e-101, 1e101):
        own.write_text("day,sold\n" + "".join(f"{day},{unit * (day % 7)}\n" for day in range(60)))
        with pytest.raises(UsageError, match="must have a largest absolute value from 1e-100 to 1e.100, got 6e"):
            series.files(grid, settings)
    own.write_text('day,"sold\nhere"\n' + "".join(f"{day},{day * 7 % 13}\n" for day in range(60)))
    read = series.reads(grid, settings | {"column": "sold\nhere"})
    assert read["series"][0].startswith("own.csv:sold here@")
    own.write_text("day,sold\n1,2\n2,x\n")
    with pytest.raises(UsageError, match="must be a number in each line, got 'x' in line 3"):
        series.files(grid, settings)


# Training --------------------------------------------------------------------------------------------------------


def test_early_stopping_keeps_what_was_best(tmp_path):
    found, _ = made()
    task = shapes.forecasting("s", found.x, found.first, goal=found.goal, score=lambda o, b: 0.0, baseline=1.0)
    recipe = Recipe(updates=200, batch=2, lr=0.05, evaluate_every=5)
    model = model_for(task, 0, cell="rnn", hidden=6)
    trainer = EarlyStopping(model, task, recipe, seq_len=20, seed=0, patience=3)
    fit = trainer.run()
    losses = [loss for _, loss, _ in trainer.evaluation]
    assert trainer.best == (5 * int(np.argmin(losses)), min(losses)) and 0 < fit.updates < 200
    assert fit.updates == trainer.best[0] + 15 and losses[-1] > min(losses)
    assert Trainer(model, task, recipe, seq_len=20, seed=0).evaluate()[0] == min(losses)
    with pytest.raises(UsageError, match="checkpoint must be None with early stopping"):
        trainer.save(tmp_path / "half.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "point", "files"),
    [
        ("characters", dict(source="shakespeare", text_length=2000, seq_len=8, batch=4), ["model.npz", "sample.txt"]),
        ("words", dict(source="shakespeare", text_length=2000, seq_len=8, batch=4), ["continuations.csv", "model.npz"]),
        ("forecasting", dict(source="sunspots", seq_len=8, batch=4, horizon=2), []),
        ("music", dict(chorales=6, transposed=1, temperature=1.0, batch=2), ["sample.mid"]),
    ],
)
def test_the_same_bits_twice(name, point, files, given):
    experiment = load(name)

    def made_by():
        metrics, curves, *rest = experiment(model="gru", hidden=3, layers=1, recurrent_dropout=0.1, lr=0.01, updates=3,
                                            dtype="float32", seed=1, **point)  # fmt: skip
        return metrics, {key: {column: list(values) for column, values in curve.items()}
                         for key, curve in curves.items()}, *rest  # fmt: skip

    one = made_by()
    corpora._load.cache_clear()
    two = made_by()
    assert repr(one) == repr(two)
    kept = one[2] if len(one) > 2 else {}
    assert sorted(kept) == files and all(kept.values())


def test_the_work_of_causal_attention_is_that_of_the_steps_it_sees(given):
    short, long = (load("crossover").function(
        "transformer", "python", 300, T, 3500, 1, 8, 1, 0.01, "float32", 0, None)[0] for T in (1, 5))  # fmt: skip
    seen = [1 + 2 + 3 + 4 + 5, 5 * 1]  # keys of all queries, each in a score and in a mean
    assert (long["work"] - short["work"]) * 5 == 2 * (seen[0] - seen[1]) * long["hidden"]

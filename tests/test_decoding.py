"""Writing symbol by symbol, held against enumeration of all that could be written."""

import itertools

import numpy as np
import pytest

from sandbox import decoding
from sandbox.alphabet import END
from sandbox.decoding import LanguageModel, beam, greedy, matches, sampled
from sandbox.errors import UsageError
from sandbox.jit import COMPILED
from sandbox.kernels import sampling
from sandbox.model import Model
from sandbox.seq2seq import Seq2Seq
from sandbox.streams import stream


class Chain:
    """Writes by tables of probabilities (O,), the one of all symbols written so far, else of the last one."""

    def __init__(self, tables, B=1):
        with np.errstate(divide="ignore"):
            self.logits = {key: np.log(np.asarray(table)) for key, table in tables.items()}
        self.B, self.steps = B, 0

    def start(self):
        return [()] * self.B, np.ones(self.B, np.int64)

    def step(self, symbols, states):
        self.steps += 1
        states = [(*state, int(symbol)) for state, symbol in zip(states, symbols, strict=True)]
        return np.stack([self.table(state[1:], state[-1:]) for state in states]), states

    def table(self, all_of_it, last):
        """Of what has ended, too, something must be said."""
        return self.logits.get(all_of_it, self.logits.get(last, np.zeros(4)))

    def select(self, states, rows):
        return [states[row] for row in rows]


def chance(chain, path):
    """log p of a sequence."""
    return sum(chain.logits.get(path[:t], chain.logits.get(path[:t][-1:]))[symbol] for t, symbol in enumerate(path))


def every_path(chain, steps, symbols=4):
    """All sequences that end, or are as long as they may be."""
    for length in range(1, steps + 1):
        for path in itertools.product(range(symbols), repeat=length):
            ended = path[-1] == END
            if END not in path[:-1] and (ended or length == steps):
                yield path


def refused(message, function, *arguments, **named):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **named)
    assert str(caught.value) == message


# After 2 comes one of many, after 3 an end: greedy takes 2, and 3 is better.
TRAP = {(): [0.0, 0.0, 0.6, 0.4], (2,): [0.1, 0.0, 0.45, 0.45], (3,): [0.9, 0.0, 0.05, 0.05]}
trap = Chain(TRAP)


def random_chain(seed, symbols=4, B=1):
    """A table for each last symbol."""
    tables = np.random.default_rng(seed).random((symbols, symbols)) ** 3 + 1e-3
    tables /= tables.sum(-1, keepdims=True)
    return Chain({(): tables[1]} | {(n,): table for n, table in enumerate(tables)}, B)


def written(decoded, b=0):
    """A row up to its end, that included."""
    return tuple(int(n) for n in decoded.symbols[:, b])[: decoded.lengths[b] + 1]


# Probabilities -----------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_softmax(dtype):
    logits = (10 * np.random.default_rng(0).standard_normal((5, 9))).astype(dtype)
    for temperature in (1.0, 0.3, 4.0):
        found = sampling.log_softmax(logits, temperature)
        wide = logits.astype(np.float64) / temperature
        expected = wide - np.log(np.exp(wide - wide.max(1, keepdims=True)).sum(1, keepdims=True)) - wide.max(
            1, keepdims=True)  # fmt: skip
        assert found.dtype == np.float64 and np.abs(found - expected).max() < 1e-13


@pytest.mark.plain_python
def test_log_softmax_of_extremes():
    with np.errstate(over="ignore"):  # as plain Python
        found = sampling.log_softmax(np.array([[1e308, -1e308, 1e308], [-np.inf, 3.0, -np.inf]]), 1.0)
        cold = sampling.log_softmax(np.array([[1.0, 200.0]]), 1e-308)
    np.testing.assert_array_equal(found, [[-np.log(2), -np.inf, -np.log(2)], [-np.inf, 0, -np.inf]])
    np.testing.assert_array_equal(cold, [[-np.inf, 0]])


@pytest.mark.plain_python
def test_draw_is_the_inverse_of_what_is_added_up():
    with np.errstate(divide="ignore"):
        shares = np.log([0.0, 0.25, 0.0, 0.5, 0.25, 0.0])
    uniforms = np.array([0.0, 0.2499, 0.26, 0.74, 0.76, 0.999, 1.0])
    found = sampling.draw(np.tile(shares, (len(uniforms), 1)), uniforms)
    assert found.tolist() == [1, 1, 3, 3, 4, 4, 4]  # the last has no sum above it


# Greedy and sampled --------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_greedy_takes_the_likeliest_symbol():
    decoded = greedy(trap, *trap.start(), steps=4)
    assert decoded.symbols[:, 0].tolist() == [2, 2, 2, 2] and decoded.lengths.tolist() == [4]  # of 2 and 3 the lower
    assert abs(decoded.log_probability[0] - np.log(0.6 * 0.45**3)) < 1e-14
    for seed in range(5):
        chain = random_chain(seed)
        decoded, path = greedy(chain, *chain.start(), steps=6), ()
        while len(path) < 6 and (not path or path[-1] != END):
            path += (int(chain.logits[path[-1:]].argmax()),)
        assert written(decoded) == path[: decoded.lengths[0] + 1]
        assert abs(decoded.log_probability[0] - chance(chain, path)) < 1e-13


@pytest.mark.plain_python
def test_rows_end_one_by_one_and_writing_with_the_last():
    tables = {(): [0.1, 0, 0.8, 0.1], (1,): [0.1, 0, 0.1, 0.8], (2,): [0.8, 0.1, 0.1, 0], (3,): [0, 0, 1, 0]}
    chain = Chain(tables, B=2)
    states, symbols = chain.start()
    states[1] = (1,)  # the second row begins with what follows 1
    decoded = greedy(chain, states, symbols, steps=9)
    assert decoded.symbols.T.tolist() == [[2, END, END], [3, 2, END]] and decoded.lengths.tolist() == [1, 2]
    assert np.abs(decoded.log_probability - np.log([0.8 * 0.8, 0.8 * 0.8])).max() < 1e-14
    assert chain.steps == 3


@pytest.mark.plain_python
def test_without_an_end_all_steps_are_written():
    chain = random_chain(3, B=2)
    decoded = greedy(chain, *chain.start(), steps=7, end=None)
    assert decoded.symbols.shape == (7, 2) and decoded.lengths.tolist() == [7, 7]


@pytest.mark.plain_python
def test_sampling_is_one_uniform_a_row_and_step():
    chain, rng, again = random_chain(1, B=3), stream("data", 5), stream("data", 5)
    decoded = sampled(chain, *chain.start(), steps=5, rng=rng, temperature=2.0, end=None)
    last, total = np.ones(3, int), np.zeros(3)
    for symbols in decoded.symbols:
        shares = np.exp(np.stack([chain.logits[(n,)] / 2 for n in last]))
        shares /= shares.sum(1, keepdims=True)
        expected = (shares.cumsum(1) > again.random(3)[:, None]).argmax(1)
        np.testing.assert_array_equal(symbols, expected)
        last, total = symbols, total + np.log(shares[range(3), symbols])
    assert np.abs(decoded.log_probability - total).max() < 1e-13
    assert rng.random() == again.random()


def test_sampled_shares():
    chain = random_chain(2, B=4000)
    decoded = sampled(chain, *chain.start(), steps=1, rng=stream("data", 0), end=None)
    shares = np.bincount(decoded.symbols[0], minlength=4) / 4000
    assert np.abs(shares - np.exp(chain.logits[()])).max() < 0.03


@pytest.mark.plain_python
def test_cold_sampling_and_the_best_alone_are_greedy():
    for seed in range(4):
        chain = random_chain(seed, B=2)
        expected = greedy(chain, *chain.start(), steps=6)
        for arguments in ({"temperature": 0}, {"temperature": 1e-6}, {"top_k": 1}, {"temperature": 5.0, "top_k": 1}):
            found = sampled(chain, *chain.start(), steps=6, rng=stream("data", seed), **arguments)
            np.testing.assert_array_equal(found.symbols, expected.symbols)
            np.testing.assert_array_equal(found.lengths, expected.lengths)


@pytest.mark.plain_python
def test_top_k_leaves_the_others_out():
    chain = Chain({(): [0.1, 0.3, 0.3, 0.3]} | {(n,): [0.1, 0.3, 0.3, 0.3] for n in range(4)}, B=50)
    decoded = sampled(chain, *chain.start(), steps=4, rng=stream("data", 1), top_k=2, end=None)
    assert set(decoded.symbols.ravel()) == {1, 2}  # of three equal ones the first two
    np.testing.assert_allclose(decoded.log_probability, 4 * np.log(0.5))


# Beam search ---------------------------------------------------------------------------------------------------------


@pytest.mark.plain_python
def test_beam_finds_what_greedy_misses():
    best = beam(trap, *trap.start(), steps=4, width=2, normalisation=0)
    assert written(best) == (3, END) and best.symbols.shape == (2, 1)
    assert abs(best.log_probability[0] - np.log(0.4 * 0.9)) < 1e-14
    assert best.log_probability > greedy(trap, *trap.start(), steps=4).log_probability


@pytest.mark.plain_python
@pytest.mark.parametrize("normalisation", [0, 0.7, 1])
def test_a_wide_beam_finds_the_best_of_all(normalisation):
    """With a place for everything nothing is lost; ties have no chance in random tables."""
    steps = 4
    for seed in range(4):
        chain = random_chain(seed)
        paths = list(every_path(chain, steps))
        scores = [chance(chain, path) / len(path) ** normalisation for path in paths]
        best = paths[int(np.argmax(scores))]
        decoded = beam(chain, *chain.start(), steps=steps, width=4**steps, normalisation=normalisation)
        assert written(decoded) == best
        assert abs(decoded.log_probability[0] - chance(chain, best)) < 1e-13


def naive_beam(chain, steps, width, normalisation):
    """One row's beam search with lists."""
    live, done = [(0.0, ())], []
    places = width
    for step in range(steps):
        following = [(score + chain.logits.get(path, chain.logits.get(path[-1:]))[symbol], (*path, symbol))
                     for score, path in live for symbol in range(4)]  # fmt: skip
        following.sort(key=lambda found: -found[0])
        chosen = [found for found in following[:places] if found[0] > -np.inf]
        live = [found for found in chosen if found[1][-1] != END and step < steps - 1]
        ended = [found for found in chosen if found not in live]
        done += ended
        places -= len(ended)
        if not live or not places:
            break
    return max(done, key=lambda found: found[0] / len(found[1]) ** normalisation)


@pytest.mark.plain_python
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_beam_of_each_row_is_the_one_with_lists(width):
    chains = [random_chain(seed) for seed in range(6)]
    for normalisation in (0, 1):
        for chain in chains:
            score, path = naive_beam(chain, 6, width, normalisation)
            decoded = beam(chain, *chain.start(), steps=6, width=width, normalisation=normalisation)
            assert written(decoded) == path[: len(path) - (path[-1] != END)] + path[-1:] * (path[-1] != END)
            assert abs(decoded.log_probability[0] - score) < 1e-13


@pytest.mark.plain_python
def test_beam_of_width_one_is_greedy():
    for model, start in writers():
        one, other = (write(model, *start, steps=6) for write in (greedy, lambda *a, **n: beam(*a, width=1, **n)))
        length = len(other.symbols)
        np.testing.assert_array_equal(one.symbols[:length], other.symbols)
        assert (one.symbols[length:] == END).all()
        np.testing.assert_array_equal(one.lengths, other.lengths)
        np.testing.assert_array_equal(one.log_probability, other.log_probability)


@pytest.mark.plain_python
def test_beam_of_rows_together_is_that_of_each_alone():
    model = writer(attention="general")
    x, lengths = np.array([[0, 1, 2], [1, 1, 0], [2, 0, 0]]), np.array([3, 2, 1])
    together = beam(model, *model.start(x, lengths), steps=5, width=3)
    for b in range(3):
        alone = beam(model, *model.start(x[:, [b]], lengths[[b]]), steps=5, width=3)
        assert written(together, b) == written(alone)
        assert abs(together.log_probability[b] - alone.log_probability[0]) <= 1e-12  # products as plain Python


def test_equal_sequences_are_taken_in_the_order_of_their_symbols():
    even = Chain({(): [0.0, 0.0, 0.5, 0.5], (2,): [1.0, 0, 0, 0], (3,): [1.0, 0, 0, 0]})
    for width in (1, 2, 3):
        assert written(beam(even, *even.start(), steps=3, width=width)) == (2, END)


@pytest.mark.plain_python
def test_what_is_not_a_number_ends():
    chain = Chain({(): [np.nan] * 4, (0,): [np.nan] * 4})
    assert np.isnan(beam(chain, *chain.start(), steps=3).log_probability).all()
    assert np.isnan(greedy(chain, *chain.start(), steps=3).log_probability).all()


# Models --------------------------------------------------------------------------------------------------------------


def writer(attention="none"):
    model = Seq2Seq(3, 4, symbols=3, hidden=5, rng=stream("init", 0), attention=attention, dtype="float64")
    model.vector[:] = np.random.default_rng(4).standard_normal(model.vector.size)
    return model


def language_model(**arguments):
    model = Model(3, 6, symbols=6, hidden=5, head="every", rng=stream("init", 1), dtype="float64", **arguments)
    model.vector[:] = np.random.default_rng(3).standard_normal(model.vector.size)
    return model


def writers():
    x = np.array([[0, 1, 2], [1, 1, 0]])
    for attention in ("none", "additive"):
        model = writer(attention)
        yield model, model.start(x, np.array([2, 1, 0]))
    text = LanguageModel(language_model(layers=2))
    yield text, text.start(np.array([[1, 2], [3, 4]]))
    for seed in range(5):
        chain = random_chain(seed, B=2)
        yield chain, chain.start()


@pytest.mark.plain_python
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_text_goes_on_as_if_it_had_been_read_whole(cell):
    model, prompt = language_model(cell=cell), np.array([[1, 2], [3, 4], [5, 0]])
    text = LanguageModel(model)
    decoded = greedy(text, *text.start(prompt), steps=5, end=None)
    whole = np.concatenate([prompt, decoded.symbols])
    output = model.forward(whole[:-1])[len(prompt) - 1 :]
    np.testing.assert_array_equal(output.argmax(-1), decoded.symbols)
    states, last = text.start(prompt[:1])
    assert states is None and last.tolist() == [1, 2]
    assert text.select(None, np.array([0])) is None
    first, _ = text.start(whole[:4])
    again = greedy(text, *text.start(whole[3:5], first), steps=3, end=None)
    np.testing.assert_array_equal(again.symbols, decoded.symbols[2:])


@pytest.mark.plain_python
@pytest.mark.parametrize("cell", ["lstm", "mlp:3", "transformer:heads=1"])
def test_what_a_beam_says_of_a_text_is_what_the_model_says(cell):
    """Whatever the body carries from step to step is chosen with the rows."""
    model, prompt = language_model(cell=cell), np.array([[1, 2], [3, 4], [5, 0]])
    text = LanguageModel(model)
    decoded = beam(text, *text.start(prompt), steps=5, width=3, end=None)
    output = model.forward(np.concatenate([prompt, decoded.symbols[:-1]]))[len(prompt) - 1 :]
    shares = sampling.log_softmax(output.reshape(10, 6), 1.0)[np.arange(10), decoded.symbols.ravel()]
    assert np.abs(decoded.log_probability - shares.reshape(5, 2).sum(0)).max() < 1e-11


def test_writing_twice_gives_the_same_bits():
    for model, start in writers():
        for write in (greedy, beam, lambda *a, **n: sampled(*a, rng=stream("data", 3), temperature=0.7, **n)):
            one, other = (write(model, *start, steps=6) for _ in range(2))
            for name in ("symbols", "lengths", "log_probability"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.plain_python
def test_matches():
    target = np.array([[2, 2, 3, 2], [3, 3, 0, 3], [0, 0, 0, 2], [0, 0, 0, 0]])
    short = np.array([[2, 2, 3, 2], [3, 2, 0, 3], [0, 0, 0, 2]])
    assert matches(short, target).tolist() == [True, False, True, True]
    longer = np.concatenate([target[:3], np.full((2, 4), 2)])
    assert matches(longer, target).tolist() == [False] * 4
    mask = np.arange(4)[:, None] < [3, 2, 2, 3]
    assert matches(longer, target, mask).tolist() == [True] * 4
    assert matches(short, target, mask).tolist() == [True, False, True, True]


@pytest.mark.plain_python
def test_what_is_refused():
    start = trap.start()
    for steps in (0, 2.5):
        for write in (greedy, beam):
            refused(f"steps must be a whole number from 1, got {steps}", write, trap, *start, steps=steps)
    rng = stream("data", 0)
    for value in (-1, np.inf, np.nan, True, "hot"):
        refused(f"temperature must be a finite number from 0, got {value}", sampled, trap, *start, steps=1, rng=rng,
                temperature=value)  # fmt: skip
        refused(f"normalisation must be a finite number from 0, got {value}", beam, trap, *start, steps=1,
                normalisation=value)  # fmt: skip
    refused("top_k must be a whole number from 1, got 0", sampled, trap, *start, steps=1, rng=rng, top_k=0)
    refused("width must be a whole number from 1, got 0", beam, trap, *start, steps=1, width=0)
    refused("rng must be a numpy.random.Generator, got int (stream('data', seed) makes one)", sampled, trap, *start,
            steps=1, rng=3)  # fmt: skip
    make = lambda **arguments: LanguageModel(Model(3, 3, rng=stream("init", 0), **arguments))
    refused("model must read symbols and have head every to go on with a text, got head every", make, head="every")
    refused("model must read symbols and have head every to go on with a text, got head last", make, symbols=3)
    refused("direction must be forward to go on with a text, got both", make, symbols=3, head="every",
            direction="both")  # fmt: skip
    text = LanguageModel(language_model())
    for prompt in (np.zeros((0, 2), int), np.zeros(3, int)):
        refused(f"prompt must have shape (T, B) with at least one symbol, got {prompt.shape}", text.start, prompt)
    assert COMPILED in (True, False) and decoding.__all__

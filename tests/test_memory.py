"""What a pass holds in memory, what checkpoints save, and how a run that does not fit is refused."""

import io
import os
import tracemalloc

import numpy as np
import pytest

from sandbox import memory
from sandbox.errors import UsageError
from sandbox.layers import Layer
from sandbox.model import HEADS, Model
from sandbox.streams import stream


def batch(head, T, B, outputs=1):
    rng = np.random.default_rng(0)
    x, shape = rng.standard_normal((T, B, 2), np.float32), (T, B) if head == "every" else (B,)
    return x, rng.standard_normal((*shape, outputs), np.float32)


def measured(x, target, model, **arguments):
    """Loss, and the most bytes held at a time while a model that is not warm differentiates."""
    tracemalloc.start()
    try:
        loss = model.differentiate(x, target, loss="mse", **arguments).loss
        return loss, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def make(head="last", **arguments):
    noise = stream("dropout", 0) if {"dropout", "recurrent_dropout"} & set(arguments) else None
    return Model(2, 1, hidden=64, head=head, rng=stream("init", 0), noise=noise, **arguments)


def states_and_gates(model, T, B):
    halves = [half for layer in model.stack.layers for half in getattr(layer, "halves", [layer])]
    rows = sum(T * len(half.cell.tape) + (T + 1) * len(half.cell.states) for half in halves)
    return rows * B * 64 * model.dtype.itemsize


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("arguments", [
    {"cell": "lstm"}, {"cell": "gru"}, {"cell": "gru", "layers": 2}, {"cell": "lstm", "layers": 3, "residual": True},
], ids=str)  # fmt: skip
def test_a_pass_holds_little_more_than_states_and_gates(arguments, head):
    T, B = 1000, 16
    make(head, **arguments).differentiate(*batch(head, 10, B), loss="mse")  # code that is loaded is not counted
    model = make(head, **arguments)
    _, peak = measured(*batch(head, T, B), model)
    assert 1 < peak / states_and_gates(model, T, B) < 1.25


@pytest.mark.parametrize("arguments", [
    {"cell": "lstm", "layers": 2, "dropout": 0.2}, {"cell": "gru", "recurrent_dropout": 0.2},
    {"cell": "lstm", "direction": "both"}, {"cell": "lstm", "direction": "both", "merge": "sum"},
], ids=str)  # fmt: skip
def test_so_it_does_with_dropout_and_in_both_directions(arguments):
    T, B = 1000, 16
    make(**arguments).differentiate(*batch("last", 10, B), loss="mse")
    model = make(**arguments)
    _, peak = measured(*batch("last", T, B), model)
    assert peak / states_and_gates(model, T, B) < 1.25


@pytest.mark.parametrize("head", HEADS)
def test_checkpoints_save_memory_and_change_no_bit(head):
    T, B = 4096, 4
    x, target = batch(head, T, B)
    make(head).differentiate(x[:10], target[:10] if head == "every" else target, loss="mse")
    models = make(head), make(head)
    (loss, whole), (same, least) = measured(x, target, models[0]), measured(x, target, models[1], checkpoint_every=128)
    assert same == loss
    np.testing.assert_array_equal(models[1].gradient, models[0].gradient)
    assert least < whole / 10


@pytest.mark.slow
@pytest.mark.parametrize("head", ["last", "every"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_sequence_of_100_000_steps_in_100_megabytes(cell, head):
    """Input, target and parameters included."""
    T, whole, segments = 100_000, make(head, cell=cell), make(head, cell=cell)
    tracemalloc.start()
    x, target = batch(head, T, 1)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    loss, peak = measured(x, target, segments, checkpoint_every=300)
    assert held + peak + 2 * segments.vector.nbytes < 1e8
    assert whole.differentiate(x, target, loss="mse").loss == loss
    np.testing.assert_array_equal(segments.gradient, whole.gradient)
    assert np.isfinite(loss) and segments.gradient.all()


# Refused -----------------------------------------------------------------------------------------------------------


def test_a_pass_that_does_not_fit_says_how_much_it_needs(monkeypatch):
    model = make(cell="lstm", dtype="float64")
    x, target = np.zeros((1000, 8, 2)), np.zeros((8, 1))
    needed = states_and_gates(model, 1000, 8)
    monkeypatch.setattr(memory, "free", lambda: 12_345_678)
    with pytest.raises(UsageError) as caught:
        model.differentiate(x, target, loss="mse")
    assert needed == 24_584_192 and str(caught.value) == (
        "states and gates of seq_len=1000, batch=8, hidden=64 in float64 must fit into memory, "
        "got 24.6 MB needed and 12.3 MB free (use checkpoint_every or a smaller batch)"
    )
    model.differentiate(x, target, loss="mse", checkpoint_every=100)
    monkeypatch.setattr(memory, "free", lambda: needed)
    model.differentiate(x, target, loss="mse")


def test_a_workspace_that_is_there_needs_no_more(monkeypatch):
    layer = Layer("gru", 2, 3, rng=stream("init", 0))
    layer.forward(np.zeros((50, 2, 2)))
    monkeypatch.setattr(memory, "free", lambda: 0)
    layer.forward(np.zeros((50, 2, 2)))
    layer.forward(np.zeros((24, 4, 2)))  # states have one row more than gates
    with pytest.raises(UsageError, match="needed and 0 B free"):
        layer.forward(np.zeros((51, 2, 2)))


def test_where_the_system_does_not_say_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: None)
    memory.require(10**30, "everything", "hint")


def test_free_memory_is_what_a_container_leaves(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_free_in_system", lambda: 5000)

    def group(folder="", **files):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / folder / f"memory.{name}").write_text(text)

    assert memory.free() == 5000  # no groups
    group("memory", limit_in_bytes="9000\n", usage_in_bytes="7000\n", stat="cache 9\ntotal_inactive_file 300\n")
    assert memory.free() == 2300
    group("memory", usage_in_bytes="9400\n")
    assert memory.free() == 0
    group("memory", limit_in_bytes="9223372036854771712\n")  # version 1 knows no word for none
    assert memory.free() == 5000
    group(max="4000\n", current="3000\n", stat="anon 7\ninactive_file 200\n")
    assert memory.free() == 1200
    group(max="max\n")
    assert memory.free() == 5000
    monkeypatch.setattr(memory, "_free_in_system", lambda: None)
    group(max="4000\n")
    assert memory.free() == 1200


def test_free_memory_is_what_the_system_says(monkeypatch):
    monkeypatch.setattr(memory, "_free_in_container", lambda: None)
    pages = {"SC_AVPHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)

    def meminfo(text):
        def opened(path):
            if text is None:
                raise FileNotFoundError(path)
            return io.StringIO(text)

        monkeypatch.setattr("builtins.open", opened)

    meminfo("MemTotal:       16000 kB\nMemAvailable:    5000 kB\nHugePages_Total:       0\n")
    assert memory.free() == 5_120_000
    for text in (None, "", "MemTotal:  16000 kB\n", "MemAvailable: many kB\n", " kB\n"):
        meminfo(text)
        assert memory.free() == 4_096_000
    monkeypatch.setattr(os, "sysconf", {}.__getitem__)
    with pytest.raises(KeyError):  # not what `sysconf` raises for a name it does not know
        memory.free()
    for error in (ValueError, OSError):
        monkeypatch.setattr(os, "sysconf", lambda name, error=error: (_ for _ in ()).throw(error))
        assert memory.free() is None


def test_there_is_free_memory_here():
    found = memory.free()
    assert found is None or found > 10_000_000


@pytest.mark.parametrize("size, text", [
    (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1234, "1.23 kB"), (99_950, "100 kB"), (999_499, "999 kB"),
    (999_500, "1 MB"), (25_600_000, "25.6 MB"), (999_600_000, "1 GB"), (10**12, "1 TB"), (12 * 10**14, "1.2e+03 TB"),
])  # fmt: skip
def test_numbers_of_bytes_as_people_read_them(size, text):
    assert memory.show(size) == text

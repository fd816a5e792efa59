"""Threads within one run: what is shared out, that bits do not depend on it, and who has how many."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import sandbox
from sandbox import cells, threads
from sandbox.errors import UsageError
from sandbox.jit import COMPILED
from sandbox.layers import Dense, Layer
from sandbox.streams import stream

NUMBERS = (2, 3, 5)


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Any work is worth a thread."""
    monkeypatch.setattr(threads, "WORTH", 1)
    monkeypatch.delenv(threads.VARIABLE, raising=False)
    yield
    threads.use(None)


# What is shared out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", (1, *NUMBERS))
@pytest.mark.parametrize("items, unit", [(1, 8), (8, 8), (9, 8), (37, 8), (64, 8), (5, 1), (0, 8)])
def test_ranges_make_up_the_whole_and_begin_at_units(number, items, unit):
    threads.use(number)
    found = []
    threads.share(items, unit, 1e9, lambda first, last: found.append((first, last, threading.get_ident())))
    found.sort()
    assert [first for first, *_ in found] == [0, *(last for _, last, _ in found[:-1])] and found[-1][1] == items
    assert all(first % unit == 0 for first, *_ in found)
    assert len(found) == len({thread for *_, thread in found}) == max(1, min(number, -(-items // unit)))


def test_little_work_wakes_nobody(monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 1000)
    threads.use(4)
    assert [threads.parts(100, work) for work in (0, 999, 1999, 2000, 3500, 1e9)] == [1, 1, 1, 2, 3, 4]
    assert threads.parts(2, 1e9) == 2 and threads.parts(0, 1e9) == 1
    found = []
    threads.share(100, 1, 1999, lambda *ends: found.append(ends))
    assert found == [(0, 100)]


def test_an_error_of_any_thread_is_raised_after_all_have_ended():
    threads.use(3)
    ended = []

    def fail(where):
        def do(first, last):
            if first == where:
                raise ValueError(f"at {first}")
            threading.Event().wait(0.02)
            ended.append(first)

        return do

    for where in (0, 1, 2):
        ended.clear()
        with pytest.raises(ValueError, match=f"at {where}"):
            threads.share(3, 1, 1e9, fail(where))
        assert sorted(ended) == [first for first in (0, 1, 2) if first != where]
    threads.share(3, 1, 1e9, lambda first, last: ended.append(first))  # and they go on working


def test_an_interrupt_waits_for_the_others_however_often_it_comes():
    threads.use(2)
    ended, go = [], threading.Event()

    class Interrupting:
        """A lock whose first wait is interrupted."""

        def __init__(self, lock):
            self.lock, self.times = lock, 0

        def acquire(self):
            self.times += 1
            if self.times == 2:  # the first one is the task's own
                go.set()
                raise KeyboardInterrupt("twice")
            return self.lock.acquire()

        def release(self):
            self.lock.release()

    def do(first, last):
        if first == 0:
            raise KeyboardInterrupt("once")
        go.wait(10)
        ended.append(first)

    lock = threading.Lock
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads.threading, "Lock", lambda: Interrupting(lock()))
        with pytest.raises(KeyboardInterrupt, match="twice"):
            threads.share(2, 1, 1e9, do)
    assert ended == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_threads_of_its_own():
    script = """
import os
from sandbox import threads
threads.WORTH = 1
threads.use(2)
found = []
threads.share(2, 1, 9, lambda *ends: found.append(ends))
child = os.fork()
threads.share(2, 1, 9, lambda *ends: found.append(ends))
assert sorted(found) == [(0, 1), (0, 1), (1, 2), (1, 2)]
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)


# Bits ----------------------------------------------------------------------------------------------------------------


def passes(name, dtype, size, **options):
    """All that a pass forward and backward makes, as bytes."""
    T, B, D, H = size
    layer = Layer(name, D, H, rng=stream("init", 0), dtype=dtype, noise=stream("dropout", 0), **options)
    rng = np.random.default_rng(1)
    draw = lambda *shape: rng.standard_normal(shape).astype(dtype)
    run = layer.forward(draw(T, B, D), lengths=rng.integers(0, T + 1, B), training=True)
    dy, dlast = draw(T, B, layer.output_size), draw(B, layer.output_size)
    scaled = layer.backward(dy, dlast=dlast, keep_tape=True, every_state=True, log_scale=True)
    arrays = [*run.states.values(), scaled.exponents, *scaled.states.values()]
    found = layer.backward(dy, dlast=dlast, every_state=True)
    arrays += [found.x, layer.gradient, *found.start.values(), *found.states.values()]
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


@pytest.mark.parametrize("name", [*cells.names(), "gru:before", "lstm:fgr:full"])
def test_bits_do_not_depend_on_the_number_of_threads(name):
    """Sequences that no number divides, columns that fill no panel, lengths, noise."""
    noise = {"zoneout": 0.1} if name not in ("lem", "lstm:fgr:full") else {}
    if name not in ("lru", "mingru", "minlstm", "indrnn"):
        noise["recurrent_dropout"] = 0.3
    for dtype in ("float32", "float64"):
        threads.use(1)
        expected = passes(name, dtype, (5, 37, 3, 45), **noise)
        for number in NUMBERS:
            threads.use(number)
            assert passes(name, dtype, (5, 37, 3, 45), **noise) == expected, number


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_of_a_dense_layer_do_not_depend_on_the_number_of_threads(dtype):
    def made():
        layer, rng = Dense(19, 67, rng=stream("init", 0), dtype=dtype), np.random.default_rng(2)
        y = layer.forward(rng.standard_normal((11, 41, 19)).astype(dtype))
        dx = layer.backward(rng.standard_normal(y.shape).astype(dtype))
        return y.tobytes() + dx.tobytes() + layer.gradient.tobytes()

    threads.use(1)
    expected = made()
    for number in NUMBERS:
        threads.use(number)
        assert made() == expected, number


@pytest.mark.skipif(not COMPILED, reason="plain Python shares out nothing of a gradient")
def test_a_gradient_is_shared_out(monkeypatch):
    """Else the tests above would compare one thread with one."""
    threads.use(3)
    seen = []
    share = threads.share
    monkeypatch.setattr(threads, "share", lambda items, unit, work, do: (
        seen.append(min(threads.parts(-(-items // unit), work), items)), share(items, unit, work, do)))  # fmt: skip
    passes("lstm", "float32", (5, 37, 3, 45))
    assert seen == [3] * 4  # forward, two loops backward, one of them with gradients


# How many ------------------------------------------------------------------------------------------------------------


def test_the_variable_decides_unless_the_program_does(monkeypatch):
    assert threads.count() == threads.provenance.cores()
    monkeypatch.setenv(threads.VARIABLE, "7")
    assert threads.count() == 7
    threads.use(2)
    assert threads.count() == 2
    threads.use(None)
    for text in ("0", "-1", "two", "1.5", "²"):
        monkeypatch.setenv(threads.VARIABLE, text)
        with pytest.raises(UsageError, match=f"SANDBOX_THREADS must be a whole number from 1, got {text}"):
            threads.count()
    for number in (0, -1, True, 2.0, "2"):
        with pytest.raises(UsageError, match="threads must be a whole number from 1"):
            threads.use(number)


def test_runs_of_a_sweep_have_one_thread_unless_told_otherwise(monkeypatch):
    threads.use(4)
    with threads.singly():
        assert threads.count() == 1
    with threads.singly(False):
        assert threads.count() == 4
    assert threads.count() == 4
    threads.use(None)
    monkeypatch.setenv(threads.VARIABLE, "3")
    with threads.singly():
        assert threads.count() == 3
    monkeypatch.setenv(threads.VARIABLE, "many")
    with pytest.raises(UsageError, match="got many"), threads.singly():
        pass


COUNTING = '''
from sandbox import threads
from sandbox.experiment import experiment

@experiment(n=[1], seeds=1)
def counting(n, seed):
    """How many threads a point has."""
    return {"threads": threads.count()}
'''


def test_a_point_alone_has_all_cores_and_the_points_of_a_sweep_one_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "counting.py").write_text(COUNTING)
    threads.use(5)
    alone = sandbox.run("counting", out=tmp_path / "a", progress=False)
    assert alone["threads"].tolist() == [5]
    for number, jobs in enumerate((1, 2)):
        run = sandbox.run("counting", n=[2, 3, 4], jobs=jobs, out=tmp_path / f"b{number}", progress=False)
        assert run["threads"].tolist() == [1, 1, 1]
    assert threads.count() == 5

"""Where a fixed context vector breaks and attention takes over: sequences written backwards, by their length."""

import numpy as np

from sandbox import corpora
from sandbox.corpora.reverse import batch_of
from sandbox.decoding import greedy, matches
from sandbox.experiment import experiment
from sandbox.kernels.reductions import mean
from sandbox.report import Column, Picture, Table
from sandbox.seq2seq import Seq2Seq
from sandbox.streams import stream
from sandbox.training import Recipe, Trainer

SAMPLES = 100  # of each length


@experiment(
    attention=["none", "dot", "general", "additive"],
    cell=["gru"], hidden=[48], seq_len=[20], batch=[32], lr=[0.003], updates=[3000], dtype=["float32"],
    seeds=3, quick=dict(hidden=[4], seq_len=[4], batch=[4], updates=[4], seeds=2),
    presets={"long": dict(seq_len=[40], hidden=[64], updates=[10_000])},
    table=Table(
        [Column("exact", "exact, as trained", better="higher"), Column("exact_twice", "at 2 medians", better="higher"),
         Column("exact_beyond", "at 3 medians", better="higher"), Column("score", "right symbols", better="higher"),
         Column("loss", oracle="baseline"), Column("aligned", interval=False), Column("parameters", interval=False)],
        note="exact: to the last symbol, written alone; trained on lengths up to seq_len, two medians\nright symbols, "
             "loss: given the right ones before; baseline: sees only the one before; aligned: looks at what it writes",
        subject="sequences written backwards",
    ),
    picture=Picture(curve="by_length", series=["exact_match"], x="length of the source (symbols)", y="exact match",
                    limits=(0, 1)),
)  # fmt: skip
def attention(attention, cell, hidden, seq_len, batch, lr, updates, dtype, seed):
    """What attention adds to an encoder-decoder when sequences grow longer.

    Every point trains an encoder and a decoder to write random symbols backwards; without attention all of a source
    goes through the encoder's last state. All see the same data, lengths uniform up to seq_len. Then each writes
    sources of one length after the other alone, taking the likeliest symbol. Curves: exact match by length; the weights
    of attention for one source. aligned: share of steps which look most at the symbol they write.
    """
    task = corpora.load("reverse").task
    model = Seq2Seq(hidden, task.output_size, symbols=task.symbols, cell=cell, hidden=hidden, attention=attention,
                    dtype=dtype, rng=stream("init", seed))  # fmt: skip
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine:0.05", until_solved=False, evaluation=256)
    fit = Trainer(model, task, recipe, seq_len=seq_len, seed=seed).run()
    half, rng, exact, curves, aligned = max(1, seq_len // 2), stream("probe", seed), {}, {}, None
    for n in range(1, 3 * half + 1):
        test = batch_of(rng, np.full(SAMPLES, n), task.symbols)
        written = greedy(model, *model.start(test.x, test.lengths), steps=n + 1).symbols
        exact[n] = np.count_nonzero(matches(written, test.target)) / SAMPLES
        if attention != "none" and n == half:
            weights = model.alignment(test.x, test.target, test.lengths)[:n]
            aligned = np.count_nonzero(weights.argmax(axis=2) == np.arange(n)[::-1, np.newaxis]) / (n * SAMPLES)
            curves["alignment"] = {"step": np.repeat(np.arange(n), n), "position": np.arange(n * n) % n,
                                   "weight": weights[:, 0].ravel().astype(np.float64)}  # fmt: skip
    found = {"exact": float(mean(np.array([exact[n] for n in range(1, 2 * half + 1)]))), "exact_twice": exact[2 * half],
             "exact_beyond": exact[3 * half], "aligned": aligned, "parameters": model.vector.size}  # fmt: skip
    curves["by_length"] = {"length": np.array(list(exact)), "exact_match": np.array(list(exact.values()))}
    return fit.columns() | found, fit.curves | curves

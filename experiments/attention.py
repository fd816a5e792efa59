"""Where a fixed context vector breaks and attention takes over: sequences written backwards, by their length."""

import numpy as np

from sandbox import corpora
from sandbox.corpora.reverse import batch_of
from sandbox.decoding import greedy, matches
from sandbox.experiment import experiment
from sandbox.families.transcription import model_for
from sandbox.kernels.reductions import mean
from sandbox.report import Column, Picture, Table
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
         Column("exact_beyond", "at 3 medians", better="higher"), Column("reach", "half right up to", better="higher"),
         Column("loss", oracle="baseline", verdict=True), "score", "aligned", Column("parameters", interval=False)],
        note="exact: written alone, to the last symbol; learned: up to seq_len, two medians; baseline: sees one symbol",
        subject="sequences written backwards",
    ),
    picture=Picture(curve="by_length", series="exact", x="length of the source", y="exact match", limits=(0, 1)),
)  # fmt: skip
def attention(attention, cell, hidden, seq_len, batch, lr, updates, dtype, seed):
    """What attention adds to an encoder-decoder when sequences grow longer.

    Every point trains an encoder and a decoder to write random symbols backwards; without attention all of a source
    goes through the encoder's last state. All see the same data, lengths uniform up to seq_len. Then each writes alone,
    the likeliest symbol at each step. Curves: exact match by length; weights of attention for one source. aligned:
    share of steps which look most at the symbol they write or at its neighbours.
    """
    task = corpora.load("reverse").task
    model = model_for(task, seed, cell=cell, hidden=hidden, attention=attention, dtype=dtype)
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine:0.05", until_solved=False, evaluation=256)
    fit = Trainer(model, task, recipe, seq_len=seq_len, seed=seed).run()
    half, rng, exact, curves, aligned = max(1, seq_len // 2), stream("probe", seed), [], {}, None
    for n in range(1, 3 * half + 1):
        test = batch_of(rng, np.full(SAMPLES, n), task.symbols)
        written = greedy(model, *model.start(test.x, test.lengths), steps=n + 1).symbols
        exact.append(np.count_nonzero(matches(written, test.target)) / SAMPLES)
        if attention != "none" and n == half:
            weights = model.alignment(test.x, test.target, test.lengths)[:n]
            off = abs(weights.argmax(axis=2) - np.arange(n)[::-1, np.newaxis])
            aligned = np.count_nonzero(off <= 1) / off.size
            curves["alignment"] = {"step": 1 + np.repeat(np.arange(n), n), "position": 1 + np.arange(n * n) % n,
                                   "weight": weights[:, 0].ravel().astype(np.float64)}  # fmt: skip
    curves["by_length"] = {"length": np.arange(1, 3 * half + 1), "exact": np.array(exact)}
    reach = max((n for n in range(1, 3 * half + 1) if exact[n - 1] >= 0.5), default=0)
    found = {"exact": float(mean(curves["by_length"]["exact"][: 2 * half])), "exact_twice": exact[2 * half - 1],
             "exact_beyond": exact[-1], "reach": reach, "aligned": aligned,
             "parameters": model.vector.size}  # fmt: skip
    return fit.columns() | found, fit.curves | curves

"""Which gate does the work: the LSTM variants of Greff et al. on a task of accumulation and one that needs resets."""

import numpy as np

from sandbox import tasks
from sandbox.diagnostics.gates import memory_times
from sandbox.experiment import experiment
from sandbox.kernels.reductions import norm
from sandbox.report import Column, Picture, Table
from sandbox.training import Recipe, Trainer, check, model_for

FULL = ["lstm:full", "lstm", *(f"lstm:{variant}:full" for variant in "nig nfg nog niaf noaf cifg fgr".split())]


@experiment(
    cell=FULL,
    task=["adding:centred", "embedded_reber:continual"],
    seq_len=[50],
    hidden=[12], init=["orthogonal"],
    batch=[32], lr=[0.005], updates=[1500],
    dtype=["float32"],
    seeds=3, quick=dict(cell=["lstm", "lstm:nfg"], hidden=[3], seq_len=[12], batch=[4], updates=[4], seeds=1),
    presets={"paper": dict(hidden=[100], updates=[20_000], seeds=10),
             "resets": dict(cell=["lstm", "lstm:nfg"], task=["embedded_reber:continual"], seq_len=[72], lr=[0.01],
                            updates=[4000], batch=[8], seeds=5)},
    check=check,
    table=Table(
        [Column("loss", oracle="baseline"), Column("score"),
         Column("keep_before", "forget gate before", interval=False),
         Column("keep_after", "after", interval=False), Column("tau_before", "tau before", interval=False),
         Column("tau_after", "after", interval=False), Column("cell_norm", "|c|", interval=False),
         Column("parameters", interval=False)],
        note="tau: -1/ln f in steps, median over units; |c|: root mean square of c at the end of held-out sequences",
        subject="LSTM variants (Greff et al. 2015; the first is the standard one, the second without peepholes)",
    ),
    picture=Picture(curve="evaluation", series="loss", x="update", y="loss on held-out sequences", log=True),
)  # fmt: skip
def gating(cell, task, seq_len, hidden, init, batch, lr, updates, dtype, seed):
    """Which gate does the work.

    Trains every variant to the last update, without stopping when solved. Of a continual task each update is one window
    of `seq_len` steps of streams whose states are carried on, so that what is never forgotten piles up in c.
    """
    chosen = tasks.load(task)
    model = model_for(chosen, seed, cell=cell, hidden=hidden, init=init, dtype=dtype)
    trainer = Trainer(model, chosen, Recipe(updates=updates, batch=batch, lr=lr, until_solved=False),
                      seq_len=seq_len, seed=seed)  # fmt: skip
    trainer.evaluate()
    (layer,) = model.stack.layers
    metrics = memory_times(layer, layer.last, "_before")
    fit = trainer.run()
    metrics |= memory_times(layer, layer.last, "_after")
    c = layer.last.states.get("c", layer.last.states["h"])[-1]
    metrics |= {"cell_norm": float(norm(c) / np.sqrt(c.size)), "parameters": model.vector.size}
    return fit.columns() | metrics, fit.curves

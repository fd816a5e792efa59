"""What truncated backpropagation leaves of the gradient, and of what is learned with it."""

from sandbox import tasks
from sandbox.experiment import experiment
from sandbox.kernels.reductions import cosine, norm
from sandbox.report import Column, Picture, Table
from sandbox.training import Recipe, Trainer, check, model_for


@experiment(
    cell=["rnn", "lstm", "gru"],
    window=[5, 10, 20, 30, 60],
    task=["adding"],
    seq_len=[60],
    hidden=[16], init=["orthogonal"],
    batch=[32], lr=[0.005], updates=[1000],
    dtype=["float32"],
    seeds=3, quick=dict(window=[3, 12], hidden=[3], seq_len=[12], batch=[4], updates=[4], seeds=1),
    presets={"paper": dict(task=["narma10"], window=[10, 25, 50, 100, 200], seq_len=[200], hidden=[64],
                           updates=[20_000], seeds=5)},
    check=check,
    table=Table(
        [Column("cosine_before", "cosine at start", better="higher"),
         Column("ratio_before", "norm ratio", interval=False), Column("cosine_after", "cosine after", better="higher"),
         Column("ratio_after", "norm ratio", interval=False),
         Column("loss", oracle="baseline"), Column("score")],
        note="cosine and ratio of norms of the truncated gradient to the full one, on one batch that was held out",
        subject="truncated backpropagation through time",
    ),
    picture=Picture(metric="loss", against="window", x="window (steps)", y="loss on held-out sequences", log=True,
                    baseline="baseline"),
)  # fmt: skip
def truncation(cell, window, task, seq_len, hidden, init, batch, lr, updates, dtype, seed):
    """What truncated backpropagation leaves of the gradient.

    The forward pass carries the states through all steps; the gradient is cut between windows of `window` steps. A
    window as long as the sequence is the full gradient.
    """
    chosen = tasks.load(task)
    model = model_for(chosen, seed, cell=cell, hidden=hidden, init=init, dtype=dtype)
    recipe = Recipe(updates=updates, batch=batch, lr=lr, window=window, until_solved=False)
    trainer = Trainer(model, chosen, recipe, seq_len=seq_len, seed=seed)
    before = compared(trainer, "_before")
    fit = trainer.run()
    return fit.columns() | before | compared(trainer, "_after"), fit.curves


def compared(trainer, suffix):
    """Columns `cosine` and `ratio` of the truncated gradient and the full one."""
    full, cut = trainer.gradient(window=None), trainer.gradient()
    size = norm(full)
    return {f"cosine{suffix}": float(cosine(cut, full)), f"ratio{suffix}": float(norm(cut) / size) if size else None}

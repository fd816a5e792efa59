"""How long a lag a cell can learn: success, updates and loss against the length of the sequence."""

from sandbox import cells, tasks
from sandbox.axes import Axis
from sandbox.experiment import experiment
from sandbox.report import Column, Picture, Reach, Table
from sandbox.training import Recipe, Trainer, check, model_for


@experiment(
    cell=["rnn", "lstm", "gru"],
    task=["adding"],
    seq_len=[50, 100, 200],
    hidden=[16],
    init=["orthogonal"], gain=[1.0],
    chrono=Axis([False], help="gates start with memory times spread up to seq_len (Tallec & Ollivier 2018)"),
    batch=[32], optimiser=["adam"], lr=[0.005], clip=["global"], threshold=[1.0],
    updates=[3000],
    dtype=["float32"],
    seeds=3, quick=dict(hidden=[4], seq_len=[12], batch=[4], updates=[6], seeds=2),
    presets={
        "paper": dict(task=["adding"], seq_len=[150, 200, 300, 400], hidden=[100], batch=[16], lr=[0.001],
                      updates=[100_000], seeds=5),
        "centred": dict(cell=["rnn", "lstm"], task=["adding:centred"], seq_len=[100], updates=[8000], init=["glorot"],
                        seeds=5),
        "order": dict(cell=["rnn", "lstm"], task=["temporal_order"], seq_len=[50, 75, 100], init=["glorot"],
                      chrono=[True], lr=[0.02], seeds=5),
        "lag": dict(task=["noise_free_lag:recall"], seq_len=[50, 100, 200], init=["pytorch"], chrono=[True], seeds=5),
        "irnn": dict(cell=["rnn:relu"], init=["identity"], seq_len=[200], hidden=[64], lr=[0.001], updates=[10_000],
                     seeds=5),
        "copy": dict(cell=["rnn", "rnn:identity", "lstm"], task=["copy"], seq_len=[100], hidden=[64], batch=[20],
                     lr=[0.002], updates=[10_000], seeds=1),
        "series": dict(cell=["rnn", "lstm", "gru"], task=["mackey_glass", "narma10"], seq_len=[200], hidden=[32],
                       batch=[16], updates=[2000]),
    },
    check=check,
    table=Table(
        [Column("solved", "solved", interval=False), Column("updates_to_success", "updates to success"),
         Column("sequences_to_success", "sequences", interval=False), Column("loss", oracle="baseline"),
         Column("score"), Column("clip_share", "clipped", interval=False)],
        reach=Reach("seq_len", "solved", "longest seq_len solved by half of the seeds"),
        note="loss and score are those of the last evaluation on held-out sequences; baseline: no memory",
        subject="learning against length",
    ),
    picture=Picture(metric="solved", against="seq_len", x="sequence length (steps)", y="share of seeds that solved it"),
)  # fmt: skip
def length(cell, task, seq_len, hidden, init, gain, chrono, batch, optimiser, lr, clip, threshold, updates, dtype,
           seed):  # fmt: skip
    """How long a lag a cell can learn.

    Every point trains one layer of a cell on a task until an evaluation on held-out sequences counts as solved by the
    task's rule (`sandbox tasks`), or to the last update. All cells see the same data. Columns: docs/columns.md.
    """
    chosen = tasks.load(task)
    times = {"chrono": seq_len} if chrono and cells.parse(cell)[0].memory else {}  # a cell without such gates: as ever
    model = model_for(chosen, seed, cell=cell, hidden=hidden, init=init, gain=gain, dtype=dtype, **times)
    recipe = Recipe(updates=updates, batch=batch, optimiser=optimiser, lr=lr, clip=clip, threshold=threshold)
    trainer = Trainer(model, chosen, recipe, seq_len=seq_len, seed=seed)
    fit, facts = trainer.run(), {"score_name": chosen.score_name, "parameters": model.vector.size}
    return fit.columns() | facts, fit.curves | trainer.forecast()

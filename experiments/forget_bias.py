"""What the forget gate's initial bias decides: how soon a lag is learned, and what the gate has become."""

from sandbox import tasks
from sandbox.axes import Axis
from sandbox.diagnostics.gates import memory_times
from sandbox.experiment import experiment
from sandbox.report import Column, Picture, Reach, Table
from sandbox.training import Recipe, Trainer, check, model_for


@experiment(
    bias=Axis(["0", "1", "2", "4", "chrono"], choices=("-1", "0", "1", "2", "3", "4", "5", "chrono"),
              help="initial forget bias; chrono: ln u with u ~ U[1, seq_len - 1], the input gate's is -ln u"),
    task=["adding"],
    seq_len=[100, 200],
    hidden=[16], init=["orthogonal"],
    batch=[32], lr=[0.005], updates=[4000],
    dtype=["float32"],
    seeds=5, quick=dict(bias=["0", "chrono"], hidden=[3], seq_len=[12], batch=[4], updates=[4], seeds=1),
    presets={"paper": dict(seq_len=[200, 400, 750], hidden=[128], batch=[50], lr=[0.001], updates=[20_000], seeds=5),
             "long": dict(bias=["0", "1", "chrono"], seq_len=[300], updates=[8000])},
    check=check,
    table=Table(
        [Column("solved", interval=False), Column("updates_to_success", "updates to success"),
         Column("loss", oracle="baseline"), Column("keep_before", "f before", interval=False),
         Column("keep_after", "after", interval=False), Column("tau_before", "tau before", interval=False),
         Column("tau_after", "after", interval=False)],
        reach=Reach("seq_len", "solved", "longest seq_len solved by half of the seeds"),
        note="f: mean forget gate; tau: -1/ln f in steps, median over units; before and after training",
        subject="LSTM by initial forget bias",
    ),
    picture=Picture(curve="evaluation", series="loss", x="update", y="loss on held-out sequences", log=True,
                    baseline="baseline"),
)  # fmt: skip
def forget_bias(bias, task, seq_len, hidden, init, batch, lr, updates, dtype, seed):
    """What the forget gate's initial bias decides.

    A bias b makes the gate sigmoid(b) before anything is learned: memories last -1/ln sigmoid(b) steps, 1.4 for 0, 3.2
    for 1, 55 for 4. The chrono initialisation (Tallec & Ollivier 2018) spreads them up to the sequence length.
    """
    chosen = tasks.load(task)
    start = {"chrono": seq_len} if bias == "chrono" else {}
    cell = "lstm" if bias == "chrono" else f"lstm:forget_bias={bias}"
    model = model_for(chosen, seed, cell=cell, hidden=hidden, init=init, dtype=dtype, **start)
    trainer = Trainer(model, chosen, Recipe(updates=updates, batch=batch, lr=lr), seq_len=seq_len, seed=seed)
    trainer.evaluate()
    (layer,) = model.stack.layers
    before = memory_times(layer, layer.last, "_before")
    fit = trainer.run()
    return fit.columns() | before | memory_times(layer, layer.last, "_after"), fit.curves

"""What more layers and a second direction bring."""

from sandbox import tasks
from sandbox.experiment import experiment
from sandbox.kernels.reductions import norm
from sandbox.report import Column, Picture, Table
from sandbox.training import Recipe, Trainer, check, model_for


@experiment(
    cell=["rnn", "lstm", "gru"],
    layers=[1, 2, 3],
    direction=["forward", "both"],
    task=["temporal_order"],
    seq_len=[40],
    hidden=[12], dropout=[0.0], init=["orthogonal"],
    batch=[32], lr=[0.005], updates=[1000],
    dtype=["float32"],
    seeds=3, quick=dict(layers=[1, 2], hidden=[3], seq_len=[12], batch=[4], updates=[4], seeds=1),
    presets={"paper": dict(task=["narma10"], seq_len=[200], layers=[1, 2, 4, 8], hidden=[64], updates=[20_000],
                           seeds=5)},
    check=check,
    table=Table(
        [Column("solved", interval=False), Column("updates_to_success", "updates to success"),
         Column("loss", oracle="baseline"), Column("score"),
         Column("grad_bottom", "|dL/dW| bottom / top", interval=False), Column("parameters", interval=False)],
        note="bottom / top: norm of the gradient by the lowest layer's weights, by that of the highest's, at the start",
        subject="layers and directions",
    ),
    picture=Picture(metric="loss", against="layers", x="layers", y="loss on held-out sequences", log=True,
                    baseline="baseline"),
)  # fmt: skip
def depth(cell, layers, direction, task, seq_len, hidden, dropout, init, batch, lr, updates, dtype, seed):
    """What more layers and a second direction bring.

    In direction both each layer has a twin that runs from the end of the sequence to its start, so that the output has
    seen the sequence in both orders, with twice the parameters.
    """
    chosen = tasks.load(task)
    model = model_for(chosen, seed, cell=cell, hidden=hidden, layers=layers, direction=direction, dropout=dropout,
                      init=init, dtype=dtype)  # fmt: skip
    trainer = Trainer(model, chosen, Recipe(updates=updates, batch=batch, lr=lr, until_solved=False),
                      seq_len=seq_len, seed=seed)  # fmt: skip
    trainer.gradient()
    bottom, top = (norm(layer.gradient) for layer in (model.stack.layers[0], model.stack.layers[-1]))
    fit = trainer.run()
    ratio = {"grad_bottom": bottom / top if top else None, "parameters": model.vector.size}
    return fit.columns() | ratio, fit.curves

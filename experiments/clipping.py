"""What clipping saves: divergence, success and the cliff, without it, with three ways of it, and with Omega."""

import numpy as np

from sandbox import tasks
from sandbox.axes import Axis
from sandbox.diagnostics.cliff import loss_along_gradient
from sandbox.experiment import experiment
from sandbox.report import Column, Picture, Table
from sandbox.training import Recipe, Trainer, check, model_for


@experiment(
    clip=Axis(["none", "global", "tensor", "value", "omega"], choices=("none", "global", "tensor", "value", "omega"),
              help="gradient clipping; omega: global and Pascanu's regulariser"),
    init=["orthogonal", "pascanu_basic_tanh", "pascanu_smart_tanh"], gain=[1.0],
    threshold=[1.0],
    omega=Axis([1.0], minimum=0, maximum=1000, help="weight of the regulariser where clip is omega"),
    task=["temporal_order:varied"],
    seq_len=[50],
    hidden=[100],
    batch=[20], optimiser=["sgd"], lr=[0.01], updates=[4000],
    dtype=["float32"],
    seeds=3, quick=dict(init=["orthogonal"], hidden=[3], seq_len=[25], batch=[4], updates=[4], seeds=1),
    presets={"paper": dict(hidden=[50], seq_len=[200], updates=[500_000], omega=[4.0], seeds=5)},
    check=check,
    table=Table(
        [Column("solved", interval=False), Column("diverged", interval=False),
         Column("updates_to_success", "updates to success", interval=False), Column("loss", oracle="baseline"),
         Column("clip_share", "clipped", interval=False), Column("clip_p50", "|dL/dw| median", interval=False),
         Column("clip_max", "largest", interval=False), Column("cliff", interval=False, better="lower")],
        note="diverged: a number is not finite, or the loss ends above twice the baseline; cliff: the largest loss "
             "within 0.2 along the gradient, by the loss at its foot",
        subject="a tanh network under SGD",
    ),
    picture=Picture(curve="cliff", series="loss", x="distance along the gradient", y="loss", log=True),
)  # fmt: skip
def clipping(clip, init, gain, threshold, omega, task, seq_len, hidden, batch, optimiser, lr, updates, dtype, seed):
    """What clipping saves.

    The cliff is the loss along the direction of its own gradient, from where training ended, on one batch: where it is
    steep a step of the learning rate times the gradient, unclipped, lands far away.
    """
    chosen = tasks.load(task)
    model = model_for(chosen, seed, cell="rnn", hidden=hidden, init=init, gain=gain, dtype=dtype)
    weight, clip = (omega, "global") if clip == "omega" else (0.0, clip)
    recipe = Recipe(updates=updates, batch=batch, optimiser=optimiser, lr=lr, clip=clip, threshold=threshold,
                    omega=weight, evaluate_every=250)  # fmt: skip
    trainer = Trainer(model, chosen, recipe, seq_len=seq_len, seed=seed)
    fit = trainer.run()
    diverged = fit.status.startswith("nonfinite") or not fit.loss <= 2 * fit.baseline
    distance, loss = loss_along_gradient(model, chosen, trainer.held_out[0], np.arange(-20, 21) / 100)
    cliff = {"distance": distance, "loss": loss}
    foot = loss[len(loss) // 2]
    metrics = {"diverged": float(diverged), "cliff": float(loss.max() / foot) if foot > 0 else None}
    return fit.columns() | metrics, fit.curves | {"cliff": cliff}

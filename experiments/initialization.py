"""What initialisation decides: the gradient's rate at the start beside the loss after training."""

import numpy as np

from sandbox import tasks
from sandbox.diagnostics.gradients import gradient_profile, probe
from sandbox.diagnostics.spectrum import recurrent_spectrum
from sandbox.experiment import experiment
from sandbox.kernels.activations import log_array
from sandbox.report import Column, Correlation, Picture, Table
from sandbox.streams import stream
from sandbox.training import Recipe, Trainer, check, model_for


@experiment(
    cell=["rnn", "lstm", "gru"],
    init=["orthogonal", "gaussian", "identity", "pytorch"],
    gain=[0.5, 1.0, 1.5],
    task=["adding"],
    seq_len=[30],
    hidden=[16],
    batch=[32], lr=[0.005], updates=[1000],
    dtype=["float32"],
    seeds=3, quick=dict(init=["orthogonal"], gain=[1.0], hidden=[3], seq_len=[12], batch=[4], updates=[4], seeds=1),
    presets={"paper": dict(seq_len=[150], hidden=[100], gain=[0.5, 0.8, 1.0, 1.2, 1.5], updates=[20_000], seeds=5)},
    check=check,
    table=Table(
        [Column("rate", "gradient rate / step at start"),
         Column("log10_grad_end", "log10 |dL/dh| at lag T", interval=False),
         Column("spectral_radius", "radius", interval=False), Column("sigma_max", interval=False),
         Column("loss", "loss after", oracle="baseline"), Column("solved", interval=False)],
        correlations=[Correlation("rate_distance", "loss", "|ln rate| at the start and loss after it", by="cell")],
        subject="initialisation and what is learned from it",
    ),
    picture=Picture(curve="evaluation", series="loss", x="update", y="loss on held-out sequences", log=True,
                    baseline="baseline"),
)  # fmt: skip
def initialization(cell, init, gain, task, seq_len, hidden, batch, lr, updates, dtype, seed):
    """What initialisation decides.

    The rate is the factor per step of ||dL/dh_t|| on the task's own inputs, L = v . h_T with a random unit vector v,
    fitted over all lags in the log-scaled backward pass; 1 neither vanishes nor explodes.
    """
    chosen = tasks.load(task)
    model = model_for(chosen, seed, cell=cell, hidden=hidden, init=init, gain=gain, dtype=dtype)
    trainer = Trainer(model, chosen, Recipe(updates=updates, batch=batch, lr=lr, until_solved=False), seq_len=seq_len,
                      seed=seed)  # fmt: skip
    layer, x = model.stack.layers[0].astype("float64"), trainer.held_out[0].x
    profile = gradient_profile(layer, x, probe(stream("probe", seed), x.shape[1], hidden))
    rate, metrics = profile.rate().rate, recurrent_spectrum(layer)
    metrics |= {"rate": rate, "log10_grad_end": profile.log10()[-1]}
    metrics["rate_distance"] = float(abs(log_array(np.array([rate]))[0])) if rate > 0 else None
    fit = trainer.run()
    return metrics | fit.columns(), fit.curves | {"profile": {"lag": profile.lag, "log10_grad_h": profile.log10()}}

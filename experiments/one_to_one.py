"""One vector in, one class out: recurrence without a second step is a perceptron."""

from sandbox.experiment import experiment
from sandbox.families import classes
from sandbox.report import Picture, Table
from sandbox.training import Recipe, Trainer, model_for


@experiment(
    corpus=classes.corpus(["digits"]),
    model=["mlp", "rnn:relu", "gru"],
    hidden=[32, 128],
    batch=[32], lr=[0.003], updates=[2000],
    dtype=["float32"],
    seeds=3, quick=dict(hidden=[4], batch=[4], updates=[4], seeds=1),
    settings=[classes.SETTINGS["mnist"]], data=classes.reads, check=classes.check,
    table=Table(
        [*classes.FIRST, *classes.REST],
        note="mlp and rnn:relu are the same function of one step: what follows h = 0 is W_hh times nothing",
        subject="a picture as one vector",
    ),
    picture=Picture(metric="accuracy", against="hidden", x="hidden units", y="accuracy on held-out pictures",
                    baseline="rival"),
)  # fmt: skip
def one_to_one(corpus, model, hidden, batch, lr, updates, dtype, seed, mnist):
    """One vector in, one class out: recurrence without a second step is a perceptron.

    The sequence has one step, all pixels of a picture. Of one seed all heads of one size start with the same weights,
    and the input matrices of mlp and rnn:relu: these two learn the same to the bit, and the recurrent matrix stays as
    it was drawn.
    """
    chosen = classes.load(corpus, mnist, steps=1)
    network, perceptron = (model_for(chosen.task, seed, cell=cell, hidden=hidden, dtype=dtype)
                           for cell in (model, "mlp"))  # fmt: skip
    for name in ("head.W", "head.b"):
        if network.parameters[name].shape == perceptron.parameters[name].shape:  # an lru gives two numbers a unit
            network.parameters[name][:] = perceptron.parameters[name]
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine", evaluate_every=max(1, updates // 10))
    fit = Trainer(network, chosen.task, recipe, seq_len=1, seed=seed).run()
    return classes.columns(fit, chosen, network), fit.curves

"""A class at each step: what a second direction, which has seen what comes behind, is worth."""

from sandbox.experiment import experiment
from sandbox.families import classes
from sandbox.report import Column, Picture, Table
from sandbox.training import Recipe, Trainer, model_for


@experiment(
    corpus=classes.corpus(["roles", "chunks", "chunks:phrases"]),
    model=["rnn", "gru"],
    direction=["forward", "both"],
    layers=[1], hidden=[64], embedding=classes.EMBEDDING,
    batch=[32], lr=[0.005], updates=[1000],
    dtype=["float32"],
    seeds=3, quick=dict(corpus=["chunks"], model=["gru"], hidden=[4], embedding=[3], batch=[4], updates=[4], seeds=1),
    settings=[classes.SETTINGS["conll"]], data=classes.reads, check=classes.check,
    table=Table(
        [*classes.FIRST, Column("spelled", interval=False), Column("neighbours", interval=False),
         Column("accuracy_all", oracle="rival_all", better="higher", interval=False), *classes.REST],
        note="roles: accuracy on identifiers, accuracy all on all tokens; chunks: on all words; spelled: the rival's "
             "method on what the network reads; neighbours: naive Bayes on that and on the tokens beside",
        subject="a class at each step",
    ),
    picture=Picture(curve="evaluation", series="score", x="update", y="accuracy on held-out tokens", limits=(0, 1)),
)  # fmt: skip
def tagging(corpus, model, direction, layers, hidden, embedding, batch, lr, updates, dtype, seed, conll):
    """A class at each step: what a second direction, which has seen what comes behind, is worth.

    Whether a name is stored or read, called or an attribute, is often said by the token behind it. In direction both a
    second layer runs from the end to the start, with as many parameters again. The learning rate falls along a cosine.
    """
    chosen = classes.load(corpus, conll)
    task = chosen.task
    network = model_for(task, seed, cell=model, hidden=hidden, embedding=embedding, direction=direction, layers=layers,
                        dtype=dtype)  # fmt: skip
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine", evaluate_every=max(1, updates // 5))
    trainer = Trainer(network, task, recipe, seq_len=task.seq_len, seed=seed)
    fit = trainer.run()
    return classes.columns(fit, chosen, network) | {
        "accuracy_all": classes.accuracy_of_all(network, trainer.held_out), "rival_all": chosen.facts["rival_all"],
        **{name: chosen.facts[name] for name in ("spelled", "neighbours")},
    }, fit.curves  # fmt: skip

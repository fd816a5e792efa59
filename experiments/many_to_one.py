"""A sequence in, one class out: names by characters, sentences by words, pictures by pixels, utterances."""

from sandbox.axes import Axis
from sandbox.experiment import experiment
from sandbox.families import classes
from sandbox.report import Picture, Table
from sandbox.training import Recipe, Trainer, model_for


@experiment(
    corpus=classes.corpus(["names", "sentiment", "digits", "vowels"], "names:all", "sentiment:tweets",
                          "sentiment:amazon", "sentiment:nyt"),
    model=["rnn", "gru"],
    head=Axis(["last", "mean"], kind=str, choices=("last", "mean"), help="output after the last step, or of the mean"),
    direction=["forward"], layers=[1], hidden=[128], embedding=classes.EMBEDDING,
    recurrent_dropout=[0.0], zoneout=[0.0],
    batch=[32], lr=[0.003], updates=[2000],
    dtype=["float32"],
    seeds=3, quick=dict(corpus=["names", "vowels"], model=["gru"], hidden=[4], embedding=[3], batch=[4], updates=[4],
                        seeds=1),
    presets={"names": dict(corpus=["names"], model=["gru"], head=["last"], direction=["both"], recurrent_dropout=[0.5],
                           zoneout=[0.2], batch=[64], lr=[0.004], updates=[4000]),
             "sentiment": dict(corpus=["sentiment"], model=["mlp", "mlp:3", "gru"], head=["mean"], lr=[0.001],
                               updates=[1200]),
             "gates": dict(corpus=["digits"], model=["rnn", "gru", "lstm"], head=["last"])},
    settings=[classes.SETTINGS["tsv"], classes.SETTINGS["mnist"]], data=classes.reads, check=classes.check,
    table=Table(
        [*classes.FIRST, *classes.REST],
        note="accuracy: on held-out sequences after the last update; majority: the most frequent class alone",
        subject="a class of a sequence",
    ),
    picture=Picture(curve="evaluation", series="score", x="update", y="accuracy on held-out sequences", limits=(0, 1)),
)  # fmt: skip
def many_to_one(corpus, model, head, direction, layers, hidden, embedding, recurrent_dropout, zoneout, batch, lr,
                updates, dtype, seed, tsv, mnist):  # fmt: skip
    """A sequence in, one class out.

    Trains a network on sequences of different length and looks at those held out. With the head `last` all that it
    knows of a sequence is what it has kept at its end; with `mean` it is the mean over all steps. The learning rate
    falls along a cosine.
    """
    chosen = classes.load(corpus, tsv or mnist)
    task = chosen.task
    network = model_for(task, seed, cell=model, hidden=hidden, embedding=embedding, head=head, direction=direction,
                        layers=layers, recurrent_dropout=recurrent_dropout, zoneout=zoneout, dtype=dtype)  # fmt: skip
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine", evaluate_every=max(1, updates // 10))
    fit = Trainer(network, task, recipe, seq_len=task.seq_len, seed=seed).run()
    return classes.columns(fit, chosen, network), fit.curves

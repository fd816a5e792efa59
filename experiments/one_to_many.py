"""One for many: a language and its surnames, a picture and its caption; three ways to write what was learned."""

from sandbox.axes import Axis
from sandbox.experiment import experiment
from sandbox.families import pairs
from sandbox.families.transcription import model_for, written_for
from sandbox.report import Column, Picture, Table
from sandbox.training import Recipe, Trainer


@experiment(
    corpus=pairs.corpus("naming", "captions"),
    cell=["gru"], hidden=[256], recurrent_dropout=[0.4], batch=[64], lr=[0.004], updates=[2000],
    temperature=Axis([1.0], kind=float, minimum=0, help="of what is sampled"),
    held_out=pairs.HELD_OUT,
    seeds=3, quick=dict(hidden=[3], batch=[4], updates=[4], held_out=[4], seeds=1),
    presets={"temperature": dict(corpus=["naming"], temperature=[0.5, 0.8, 1.0, 1.2])},
    settings=[pairs.SETTING], data=pairs.reads, check=pairs.check,
    table=Table(
        [Column("bits", "bits a symbol", oracle="rival", better="lower", verdict=True),
         Column("error_rate", "words wrong", oracle="rival_error", interval=False),
         *(Column(f"right_{how}", f"right: {how}", interval=False) for how in ("greedy", "sampled", "beam")),
         *(Column(f"different_{how}", f"different: {how}", interval=False) for how in ("greedy", "sampled")),
         Column("parameters", interval=False)],
        note="rival: trigrams, of each language, or of words without the picture; rival error: the nearest picture's "
             "name; right: taken for a name of its language by trigrams, or every word of a caption",
        subject="one for many",
    ),
    picture=Picture(curve="evaluation", series="loss", x="update", y="loss on held-out sequences (nats a symbol)"),
)  # fmt: skip
def one_to_many(corpus, cell, hidden, recurrent_dropout, batch, lr, updates, temperature, held_out, seed, tsv):
    """One for many.

    Trains a decoder that starts from one vector, then lets it write: the likeliest symbol at each step, one drawn at
    random, the best of a beam of 4. `written.tsv` has some of each. Columns: docs/columns.md.
    """
    chosen = pairs.load(corpus, held_out, tsv)
    model = model_for(chosen.task, seed, cell=cell, hidden=hidden, kind="vector", recurrent_dropout=recurrent_dropout)
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine", until_solved=False,
                    evaluate_every=max(1, updates // 10))  # fmt: skip
    fit = Trainer(model, chosen.task, recipe, seq_len=chosen.task.seq_len, seed=seed).run()
    metrics, files = written_for(chosen, model, fit.loss, seed, temperature)
    return fit.columns() | metrics, fit.curves, files

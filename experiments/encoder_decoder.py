"""A sequence for a sequence of another length: what a vector of fixed size holds of it, and what attention adds."""

from sandbox.experiment import experiment
from sandbox.families import pairs
from sandbox.families.transcription import held_against, model_for
from sandbox.report import Column, Picture, Table
from sandbox.training import Recipe, Trainer


@experiment(
    corpus=pairs.corpus("pronunciation", "transliteration"),
    attention=pairs.ATTENTION, direction=["both"], cell=["gru"], hidden=[64], recurrent_dropout=[0.2],
    forcing=pairs.FORCING, batch=[64], lr=[0.005], updates=[4000],
    held_out=pairs.HELD_OUT,
    seeds=3, quick=dict(corpus=["transliteration"], hidden=[3], batch=[4], updates=[4], held_out=[4], seeds=1),
    presets={
        "full": dict(corpus=["pronunciation"], hidden=[128], recurrent_dropout=[0.1], updates=[8000],
                     held_out=[25_000]),
        "scores": dict(attention=["none", "dot", "general", "additive"]),
        "direction": dict(direction=["forward", "both"]),
        "forcing": dict(forcing=["1", "0.75", "linear:4000:0.5"]),
    },
    settings=[pairs.SETTING], data=pairs.reads, check=pairs.check,
    table=Table(
        [Column("exact", "exact", oracle="rival", better="higher", verdict=True),
         Column("exact_beam", "beam of 4", interval=False), Column("error_rate", "symbols wrong"),
         Column("loss", oracle="baseline", interval=False), Column("parameters", interval=False)],
        note="exact: share of held-out sequences without a mistake; rival: what a letter most often "
             "stands for among those around it; baseline: shares of symbols",
        subject="encoder-decoder",
    ),
    picture=Picture(curve="alignment", series="weight", matrix="position", labels=("written", "letter"), each="word",
                    x="read", y="written", limits=(0, 1), title="where attention looks while a word is written"),
)  # fmt: skip
def encoder_decoder(corpus, attention, direction, cell, hidden, recurrent_dropout, forcing, batch, lr, updates,
                    held_out, seed, tsv):  # fmt: skip
    """A sequence for a sequence of another length.

    Trains an encoder-decoder with teacher forcing, then lets it write what was held out, greedily and with a beam.
    `alignment.tsv` says where attention looked while three of them were written. Columns: docs/columns.md.
    """
    chosen = pairs.load(corpus, held_out, tsv)
    model = model_for(chosen.task, seed, cell=cell, hidden=hidden, direction=direction, attention=attention,
                      forcing=forcing, recurrent_dropout=recurrent_dropout)  # fmt: skip
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine", until_solved=False,
                    evaluate_every=max(1, updates // 10))  # fmt: skip
    fit = Trainer(model, chosen.task, recipe, seq_len=chosen.task.seq_len, seed=seed).run()
    metrics, curves, files = held_against(chosen, model)
    return fit.columns() | metrics, fit.curves | curves, files

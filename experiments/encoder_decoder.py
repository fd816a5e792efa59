"""A sequence for a sequence of another length: what a vector of fixed size holds of it, and what attention adds."""

from sandbox import corpora, data
from sandbox.axes import Axis, Setting
from sandbox.errors import UsageError
from sandbox.experiment import experiment
from sandbox.report import Column, Picture, Table
from sandbox.training import Recipe, Trainer
from sandbox.transcription import held_against, model_for

SOURCES = {"pronunciation": "cmudict", "transliteration": "transliteration"}


def check(grid, settings):
    """A file of one's own stands in for one corpus."""
    if "tsv" in settings and len(grid["corpus"]) > 1:
        raise UsageError("corpus must be one with --tsv, transliteration (characters on both sides) or pronunciation "
                         f"(symbols with blanks between on the right), got {' and '.join(grid['corpus'])}")  # fmt: skip


@experiment(
    corpus=Axis(list(SOURCES), kind=str, choices=tuple(SOURCES), help="what is written"),
    attention=Axis(["none", "dot"], choices=("none", "dot", "general", "additive"), help="score of the attention"),
    direction=["both"], cell=["gru"], hidden=[64],
    forcing=Axis(["1"], kind=str, help="share of right decoder inputs: 1, 0.5, linear:N, linear:N:LEAST, sigmoid:K"),
    recurrent_dropout=[0.0], batch=[64], lr=[0.005], updates=[3000],
    held_out=Axis([2000], kind=int, minimum=1, help="most sequences that are held out"),
    seeds=3, quick=dict(hidden=[3], batch=[4], updates=[4], held_out=[4], seeds=1),
    presets={
        "full": dict(corpus=["pronunciation"], hidden=[128], updates=[15_000], held_out=[25_000]),
        "scores": dict(attention=["none", "dot", "general", "additive"]),
        "direction": dict(direction=["forward", "both"]),
        "forcing": dict(forcing=["1", "0.75", "linear:3000:0.5"]),
    },
    settings=[Setting("tsv", "pairs of one's own, one in each line with a tab between", metavar="FILE")],
    check=check,
    table=Table(
        [Column("exact", "words right", oracle="rival", better="higher", verdict=True),
         Column("exact_beam", "with a beam of 4", interval=False), Column("error_rate", "symbols wrong"),
         Column("loss", oracle="baseline"), Column("parameters", interval=False)],
        note="rival: what each letter most often stands for between its two neighbours",
        subject="encoder-decoder",
    ),
    picture=Picture(curve="by_length", series="exact", x="length of the source", y="share right", limits=(0, 1)),
)  # fmt: skip
def encoder_decoder(corpus, attention, direction, cell, hidden, forcing, recurrent_dropout, batch, lr, updates,
                    held_out, seed, tsv):  # fmt: skip
    """A sequence for a sequence of another length.

    Trains an encoder-decoder with teacher forcing, and lets it write what was held out: greedily, and with a beam.
    A file holds where attention looked while one word was written. Columns: docs/columns.md.
    """
    chosen = corpora.load(corpus, most=held_out, **({"path": tsv} if tsv else {}))
    model = model_for(chosen.task, seed, cell=cell, hidden=hidden, direction=direction, attention=attention,
                      forcing=forcing, recurrent_dropout=recurrent_dropout)  # fmt: skip
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine", until_solved=False,
                    evaluate_every=max(1, updates // 10))  # fmt: skip
    fit = Trainer(model, chosen.task, recipe, seq_len=chosen.task.seq_len, seed=seed).run()
    metrics, curves, files = held_against(chosen, model)
    return fit.columns() | metrics, fit.curves | curves, files

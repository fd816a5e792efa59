"""A language model of words beside n-grams: perplexity on held-out text, and the likeliest next words after prompts."""

from sandbox.axes import Setting
from sandbox.corpora.words import prompts, table
from sandbox.experiment import experiment
from sandbox.families import texts
from sandbox.kernels.activations import exp
from sandbox.report import Column, Picture, Table
from sandbox.saved import save_model
from sandbox.training import Recipe, Trainer, model_for

PROMPTS = "my lord | if i | the king of | what is the"


@experiment(
    model=["gru", "lstm"],
    source=texts.source(),
    text_length=texts.length(),
    hidden=[128], layers=[1], recurrent_dropout=[0.0],
    seq_len=[35], batch=[32], lr=[0.003], updates=[1000],
    dtype=["float32"],
    seeds=3, quick=dict(model=["gru"], text_length=[3000], hidden=[4], seq_len=[8], batch=[4], updates=[6], seeds=2),
    presets={"full": dict(model=["gru"], text_length=[5_000_000], hidden=[192], updates=[2000])},
    settings=[texts.SETTING, Setting("prompt", "words to go on from, | between", parse=prompts, metavar="TEXT")],
    data=texts.reads,
    check=lambda grid, settings: texts.check(grid, settings, "words"),
    table=Table(
        [Column("perplexity", oracle="rival_perplexity", better="lower", verdict=True),
         Column("kneser_ney", interval=False), Column("accuracy"),
         Column("loss", interval=False), Column("words", interval=False), Column("rare", interval=False),
         Column("parameters", interval=False)],
        note="the last tenth of the text is held out; rival: bigrams, smoothed by Witten and Bell's method; "
             "kneser ney: trigrams, by theirs; continuations.csv has the likeliest next words after prompts",
        subject="the next word",
    ),
    picture=Picture(curve="evaluation", series=["perplexity"], x="update", y="perplexity on held-out text",
                    log=True, baseline="rival_perplexity"),
)  # fmt: skip
def words(model, source, text_length, hidden, layers, recurrent_dropout, seq_len, batch, lr, updates, dtype, seed,
          text, prompt):  # fmt: skip
    """A language model of words beside n-grams.

    Words that are seldom are one symbol, for the model and its rival. Batches go on where the one before stopped; the
    gradient passes through seq_len words. The learning rate falls along a cosine.
    """
    found = texts.load("words", source, text_length, text)
    shape = dict(cell=model, hidden=hidden, layers=layers, recurrent_dropout=recurrent_dropout, dtype=dtype)
    network = texts.spread(model_for(found.task, seed, embedding=min(64, hidden), **shape))
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine:0.05", evaluate_every=max(1, updates // 10))
    fit = Trainer(network, found.task, recipe, seq_len=seq_len, seed=seed).run()
    fit.curves["evaluation"]["perplexity"] = [float(exp(loss)) for loss in fit.curves["evaluation"]["loss"]]
    alphabet, before = found.facts["alphabet"], found.facts["train"][-seq_len:]  # what a state is made of by reading
    file = table(network, alphabet, prompt or prompts(PROMPTS), before)
    metrics = {"perplexity": float(exp(fit.loss)), "rival_perplexity": found.rival_score, "accuracy": fit.score,
               "kneser_ney": found.facts["kneser_ney"], "loss": fit.loss, "words": len(alphabet),
               "rare": found.facts["rare"], **texts.columns(fit, found, network)}  # fmt: skip
    kept = save_model(network, shape, alphabet, "word", data=found.label, loss=fit.loss, before=before.tolist())
    return metrics, fit.curves, {"model.npz": kept, "continuations.csv": file}

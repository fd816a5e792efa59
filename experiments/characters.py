"""A language model of characters beside n-grams: bits a character on held-out text, and a sample of what it writes."""

from sandbox.alphabet import RARE
from sandbox.decoding import LanguageModel, sampled
from sandbox.experiment import experiment
from sandbox.families import texts
from sandbox.report import Column, Picture, Table
from sandbox.saved import save_model
from sandbox.streams import stream
from sandbox.tasks import ln
from sandbox.training import Recipe, Trainer, model_for


@experiment(
    model=["gru", "lstm"],
    source=texts.source(),
    text_length=texts.length(),
    hidden=[128], layers=[1], recurrent_dropout=[0.0],
    seq_len=[100], batch=[32], lr=[0.004], updates=[3000],
    dtype=["float32"],
    seeds=3, quick=dict(model=["gru"], text_length=[3000], hidden=[4], seq_len=[12], batch=[4], updates=[6], seeds=2),
    presets={"full": dict(model=["gru"], hidden=[384], lr=[0.003], updates=[3000])},
    settings=[texts.SETTING], data=texts.reads,
    check=lambda grid, settings: texts.check(grid, settings, "characters"),
    table=Table(
        [Column("bits_per_char", "bits/char", oracle="rival_bits", better="lower", verdict=True),
         Column("kneser_ney", interval=False), Column("accuracy"), Column("parameters", interval=False)],
        note="the last tenth of the text is held out; rival bits: 5-gram, smoothed by Witten and Bell's method; "
             "kneser ney: 6-gram, smoothed by theirs",
        subject="the next character",
    ),
    picture=Picture(curve="evaluation", series=["bits_per_char"], x="update", y="bits/char on held-out text",
                    baseline="rival_bits"),
)  # fmt: skip
def characters(model, source, text_length, hidden, layers, recurrent_dropout, seq_len, batch, lr, updates, dtype, seed,
               text):  # fmt: skip
    """A language model of characters beside n-grams.

    Batches go on where the one before stopped, with the states that were left there; the gradient passes through
    seq_len characters. The learning rate falls along a cosine. `sample.txt` is what the model writes after the
    beginning of the held-out text; `sandbox generate` goes on with others.
    """
    found = texts.load("characters", source, text_length, text)
    shape = dict(cell=model, hidden=hidden, layers=layers, recurrent_dropout=recurrent_dropout, dtype=dtype)
    network = texts.spread(model_for(found.task, seed, embedding=min(32, hidden), **shape))
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine:0.05", evaluate_every=max(1, updates // 10))
    fit = Trainer(network, found.task, recipe, seq_len=seq_len, seed=seed).run()
    fit.curves["evaluation"]["bits_per_char"] = [loss / ln(2) for loss in fit.curves["evaluation"]["loss"]]
    alphabet, prompt = found.facts["alphabet"], found.facts["held_out"][:seq_len, None]
    writer = LanguageModel(network)
    written = sampled(writer, *writer.start(prompt), steps=600, rng=stream("probe", seed), temperature=0.8, end=None)
    sample = "".join(alphabet.decode([*prompt[:, 0], *written.symbols[:, 0]])).replace(RARE, "?")
    bits = fit.loss / ln(2)
    metrics = {"bits_per_char": bits, "rival_bits": found.rival_score, "kneser_ney": found.facts["kneser_ney"],
               "accuracy": fit.score, **texts.columns(fit, found, network)}  # fmt: skip
    kept = save_model(network, shape, alphabet, "character", data=found.label, bits_per_char=bits,
                      before=found.facts["train"][-seq_len:].tolist())  # fmt: skip
    return metrics, fit.curves, {"model.npz": kept, "sample.txt": sample}

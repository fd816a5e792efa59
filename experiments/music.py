"""A language model of four-part chorales beside Markov chains: nats a step, and a continuation as a MIDI file."""

import numpy as np

from sandbox import corpora, data
from sandbox.axes import Axis
from sandbox.corpora.chorales import VOICES, InTurn, opening, steps
from sandbox.decoding import LanguageModel, sampled
from sandbox.experiment import experiment
from sandbox.families.texts import columns, spread
from sandbox.midi import midi
from sandbox.report import Column, Picture, Table
from sandbox.streams import stream
from sandbox.training import Recipe, Trainer, model_for

PROMPT, WRITTEN = 8, 56  # steps of a held-out chorale that a sample begins with, and of what follows


@experiment(
    model=["gru", "lstm"],
    chorales=Axis([1000], kind=int, minimum=5, maximum=1000, help="most chorales, from the first"),
    transposed=Axis([0], kind=int, minimum=0, maximum=11, help="keys up and keys down that each is learned in as well"),
    hidden=[128], layers=[1], recurrent_dropout=[0.0],
    batch=[16], lr=[0.003], updates=[600],
    temperature=Axis([0.8], kind=float, above=0, help="of the sample"),
    dtype=["float32"],
    seeds=3, quick=dict(model=["gru"], chorales=[6], hidden=[4], batch=[2], updates=[3], seeds=2),
    presets={"full": dict(model=["gru"], transposed=[5], hidden=[256], updates=[2000])},
    data=lambda grid, settings: data.told(["chorales"]),
    table=Table(
        [Column("nats_per_step", oracle="rival_nats", better="lower", verdict=True),
         Column("ngram_nats", "7-gram", interval=False), Column("accuracy"), Column("parameters", interval=False)],
        note="-ln p of a quarter note's four pitches, in chorales that are held out; rival: a Markov chain for each "
             "voice; sample.mid goes on from the beginning of a chorale",
        subject="four voices, one after the other",
    ),
    picture=Picture(curve="evaluation", series=["nats_per_step"], x="update", y="nats a step", baseline="rival_nats"),
)  # fmt: skip
def music(model, chorales, transposed, hidden, layers, recurrent_dropout, batch, lr, updates, temperature, dtype, seed):
    """A language model of four-part chorales beside Markov chains.

    A step's soprano, alto, tenor and bass are four symbols, so that the sum of their -ln p is that of the whole step.
    The gradient passes through whole chorales. `sample.mid` is a continuation.
    """
    corpus = corpora.load("chorales", transposed=transposed, most=chorales)
    task, alphabet = corpus.task, corpus.facts["alphabet"]
    network = spread(model_for(task, seed, cell=model, hidden=hidden, layers=layers, dtype=dtype,
                               recurrent_dropout=recurrent_dropout, embedding=min(32, hidden)))  # fmt: skip
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine:0.05", evaluate_every=max(1, updates // 10))
    fit, voices = Trainer(network, task, recipe, seq_len=task.seq_len, seed=seed).run(), len(VOICES)
    fit.curves["evaluation"]["nats_per_step"] = [voices * loss for loss in fit.curves["evaluation"]["loss"]]
    piece = corpus.facts["pieces"][corpus.facts["held_out"][0]]
    writer = InTurn(LanguageModel(network), alphabet)
    found = sampled(writer, *writer.start(opening(piece[:PROMPT], alphabet)), steps=voices * WRITTEN, end=None,
                    rng=stream("probe", seed), temperature=temperature)  # fmt: skip
    sample = np.concatenate([piece[:PROMPT], steps(found.symbols[:, 0], alphabet)])
    return {"nats_per_step": voices * fit.loss, "rival_nats": corpus.rival_score,
            "ngram_nats": corpus.facts["ngram"], "accuracy": fit.score,
            **columns(fit, corpus, network)}, fit.curves, {"sample.mid": midi(sample)}  # fmt: skip

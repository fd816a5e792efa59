"""Recurrence or attention: quality and cost against the length of the context, on one text and parameter budget."""

from dataclasses import replace

import numpy as np

from sandbox.axes import Axis
from sandbox.experiment import experiment
from sandbox.families import texts
from sandbox.kernels.reductions import total
from sandbox.report import Column, Picture, Table
from sandbox.tasks import ln
from sandbox.training import Recipe, Trainer, model_within


@experiment(
    model=["rnn", "gru", "lstm", "lru", "transformer"],
    source=texts.source(),
    text_length=texts.length(200_000),
    seq_len=[16, 64, 256],
    parameters=Axis([24_000], kind=int, minimum=500, help="most parameters; the width is the largest that fits"),
    layers=[1],
    characters=Axis([4096], kind=int, minimum=1, help="characters in one update: sequences of it are this / seq_len"),
    updates=[600], lr=[0.005],
    dtype=["float32"],
    seeds=3, quick=dict(model=["gru", "transformer"], text_length=[2000], seq_len=[8, 16], parameters=[3500],
                        characters=[32], updates=[4], seeds=1),
    presets={"full": dict(text_length=[texts.MOST], parameters=[100_000], updates=[4000], lr=[0.003])},
    settings=[texts.SETTING], data=texts.reads,
    check=lambda grid, settings: texts.check(grid, settings, "characters", apart=True),
    table=Table(
        [Column("bits_per_char", "bits/char", oracle="rival_bits", better="lower", verdict=True),
         Column("hidden", interval=False), Column("parameters_used", "parameters", interval=False),
         Column("work", "multiply-adds/char", interval=False), Column("kept", "kept/char", interval=False)],
        note="work: of a forward pass, of attention (T + 1) hidden; kept: numbers for the backward pass; rival: 5-gram",
        subject="recurrence or attention; times: sandbox bench crossover",
    ),
    picture=Picture(metric="bits_per_char", against="seq_len", x="length of the context (characters)", y="bits/char"),
)  # fmt: skip
def crossover(model, source, text_length, seq_len, parameters, layers, characters, updates, lr, dtype, seed, text):
    """Recurrence or attention.

    All models have the same budget of parameters and see the same number of characters, in windows of `seq_len` that
    start from nothing: what a model makes of a longer context is its own doing.
    """
    found = texts.load("characters", source, text_length, text)
    task = replace(found.task, stream=None)
    network = texts.spread(model_within(parameters, task, seed, cell=model, layers=layers, embedding=16, dtype=dtype))
    recipe = Recipe(updates=updates, batch=max(1, characters // seq_len), lr=lr, schedule="cosine:0.05+warmup:50",
                    evaluate_every=updates)  # fmt: skip
    fit = Trainer(network, task, recipe, seq_len=seq_len, seed=seed).run()
    hidden, lookup = network.stack.output_size, network.embedding.vector.size  # no product
    matrices = np.array([value.size for value in network.parameters.values() if value.ndim > 1], float)
    attended = (seq_len + 1) * hidden * layers if model.startswith("transformer") else 0  # step t sees t, twice
    return {"bits_per_char": fit.loss / ln(2), "rival_bits": found.rival_score, "hidden": hidden,
            "parameters_used": network.vector.size, "kept": network.columns, "data": found.label,
            "work": int(total(matrices)) - lookup + attended, **fit.ending()}, fit.curves  # fmt: skip

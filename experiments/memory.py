"""How far back a network with a window remembers, and one with recurrence: accuracy by the lag of what is needed."""

from sandbox.axes import Axis
from sandbox.experiment import experiment
from sandbox.report import Column, Picture, Reach, Table
from sandbox.tasks.echo import lagged
from sandbox.training import Recipe, Trainer, model_for


def check(grid, settings):
    """Refuse a sequence that ends before the first answer is due."""
    lagged(max(grid["lag"])).check(min(grid["seq_len"]))


@experiment(
    model=["mlp", "mlp:4", "mlp:16", "rnn", "gru", "lstm"],
    lag=Axis([1, 3, 4, 8, 15, 16, 24, 32], kind=int, minimum=1, maximum=100_000, help="steps back to what is asked"),
    symbols=Axis([8], kind=int, minimum=2, maximum=1000, help="different symbols; chance is one in so many"),
    seq_len=[64],
    hidden=[64], init=["orthogonal"],
    batch=[32], lr=[0.005], updates=[500],
    dtype=["float32"],
    seeds=3, quick=dict(model=["mlp:2", "rnn"], lag=[1, 2], hidden=[4], seq_len=[8], batch=[4], updates=[4], seeds=1),
    presets={"long": dict(lag=[1, 4, 8, 16, 32, 64, 128], seq_len=[256], hidden=[128], updates=[10_000], seeds=5)},
    check=check,
    table=Table(
        [Column("accuracy", oracle="chance", verdict=True), Column("updates_to_success", "updates to 99 %"),
         Column("updates_done", "updates", interval=False), Column("parameters", interval=False)],
        reach=Reach("lag", "accuracy", "longest lag with an accuracy of at least 0.9", level=0.9),
        note="mlp:k sees the answer for lag < k; beyond that it guesses, and one verdict in twenty is chance too",
        subject="which symbol was shown lag steps ago",
    ),
    picture=Picture(metric="accuracy", against="lag", x="lag (steps)", y="accuracy on held-out sequences",
                    limits=(0, 1.05), baseline="chance"),
)  # fmt: skip
def memory(model, lag, symbols, seq_len, hidden, init, batch, lr, updates, dtype, seed):
    """How far back a network with a window remembers, and one with recurrence.

    The inputs are random symbols, and at every step the one of `lag` steps ago is asked for. mlp:k is a perceptron with
    one hidden layer over the last k inputs; all models have the same number of hidden units, see the same data, and are
    trained until 99 % of the answers on held-out sequences are right, or to the last update.
    """
    task = lagged(lag, symbols)
    network = model_for(task, seed, cell=model, hidden=hidden, init=init, dtype=dtype)
    recipe = Recipe(updates=updates, batch=batch, lr=lr, evaluate_every=50, evaluation=128)
    fit = Trainer(network, task, recipe, seq_len=seq_len, seed=seed).run()
    columns = fit.columns()
    return {"accuracy": columns.pop("score"), "chance": 1 / symbols, **columns,
            "parameters": network.vector.size}, fit.curves  # fmt: skip

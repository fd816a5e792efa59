"""Forecasting real series, one step ahead and free-running, beside the same again and a ridge regression."""

from sandbox.axes import Axis
from sandbox.corpora.series import DATA, files, load, reads
from sandbox.experiment import experiment
from sandbox.report import Column, Picture, Table
from sandbox.rivals.forecasts import horizons, naive, network
from sandbox.sources import SETTINGS
from sandbox.stopping import EarlyStopping
from sandbox.training import Recipe, Trainer, model_for


@experiment(
    model=["gru", "mlp:24"],
    source=Axis(["seattle", "beijing", "beijing:zeros", "sunspots", "mackey_glass", "stocks"], kind=str,
                choices=tuple(DATA), help="the series; one's own: series (--csv FILE --column NAME)"),
    hidden=[32], layers=[1], recurrent_dropout=[0.0],
    seq_len=[64], batch=[32], lr=[0.002], updates=[1000],
    horizon=Axis([12], kind=int, minimum=1, maximum=1000, help="steps of the free-running forecast"),
    dtype=["float32"],
    seeds=3, quick=dict(model=["gru"], source=["seattle"], hidden=[3], seq_len=[8], batch=[4], updates=[6],
                        horizon=[3], seeds=2),
    settings=SETTINGS[1:],
    data=reads, check=files,
    table=Table(
        [Column("rmse", oracle="naive_rmse", better="lower", verdict=True), Column("ridge_rmse", interval=False),
         Column("rmse_ahead", "rmse at horizon", oracle="naive_ahead", better="lower"),
         Column("ridge_ahead", interval=False), Column("unit"), Column("parameters", interval=False)],
        note="naive: the same as now, of stocks a return of 0 (where no gain is to be expected); ridge: linear in the "
             "last 24 steps; at horizon: so many steps ahead, each forecast from the forecasts before it",
        subject="the next value",
    ),
    picture=Picture(curve="forecast", series=["actual", "predicted"], x="step of the last 200", y="value", seed="first",
                    apart=True),
)  # fmt: skip
def forecasting(model, source, hidden, layers, recurrent_dropout, seq_len, batch, lr, updates, horizon, dtype, seed,
                csv, column):  # fmt: skip
    """Forecasting real series beside the same again and a ridge regression.

    The network says by how much the next value differs from this one (of stocks: the return itself). It learns from
    random windows of seq_len steps until the last fifth of what is learned from gains no more, and keeps what was best
    there; then it runs through the whole series. Errors are in the series' unit.
    """
    corpus = load(source, csv, column)
    facts, series, ridge = corpus.facts, corpus.facts["series"], corpus.facts["ridge"]
    trained = model_for(corpus.task, seed, cell=model, hidden=hidden, layers=layers, dtype=dtype, head_init="zeros",
                        recurrent_dropout=recurrent_dropout)  # fmt: skip
    recipe = Recipe(updates=updates, batch=batch, lr=lr, schedule="cosine:0.05", evaluate_every=max(1, updates // 40))
    stopping = EarlyStopping(trained, facts["tried"], recipe, seq_len=seq_len, seed=seed, patience=8)
    fit, tester = stopping.run(), Trainer(trained, corpus.task, recipe, seq_len=seq_len, seed=seed)
    loss, score = tester.evaluate()
    ahead = horizons(series, horizon, max(seq_len, ridge.lags), rmse=network(trained), ridge=ridge, naive=naive)
    curves = fit.curves | {"horizon": ahead, "forecast": series.shown(tester.forecast()["forecast"]["predicted"])}
    return {"rmse": score, "naive_rmse": corpus.rival_score, "ridge_rmse": facts["ridge_score"], "unit": facts["unit"],
            **{f"{name}_ahead": ahead[name][-1] for name in ("rmse", "naive", "ridge")}, "loss": loss,
            "updates_kept": stopping.best[0], "parameters": trained.vector.size, "data": corpus.label,
            **fit.ending()}, curves  # fmt: skip

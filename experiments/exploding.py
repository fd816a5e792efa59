"""How fast the gradient of a loss at the last step grows on its way back, and what clipping makes of it."""

from sandbox import sources
from sandbox.diagnostics.clipping import clip_cosines
from sandbox.diagnostics.exact import exact_rates, upper_rate
from sandbox.diagnostics.gates import input_drive
from sandbox.diagnostics.gradients import gradient_profile, probe
from sandbox.diagnostics.precision import float32_limits, nonfinite_status
from sandbox.diagnostics.spectrum import recurrent_spectrum
from sandbox.experiment import experiment
from sandbox.layers import Layer
from sandbox.report import Check, Column, Picture, Table
from sandbox.streams import stream

BATCH, THRESHOLD = 16, 1.0


@experiment(
    cell=["rnn", "rnn:identity", "lstm", "gru"],
    hidden=[64], seq_len=[200],
    gain=[1.5, 2.0, 4.0],
    init=["orthogonal"], source=["noise"], dtype=["float64"],
    seeds=5, quick=dict(hidden=[4], seq_len=[12], gain=[4.0], seeds=2),
    settings=sources.SETTINGS,
    check=sources.check,
    table=Table(
        [Column("rate", "growth / step", oracle="rate_exact"), Column("rate", shown_as="doubling time"),
         Column("float32_overflow_lag", "float32 overflow", interval=False),
         Column("log10_grad_norm", "log10 |dL/dW|", interval=False),
         Column("cosine_global", "cos clip global", interval=False, better="higher"),
         Column("cosine_value", "cos clip value", interval=False, better="higher")],
        spark=("profile", "log10_grad_h"),
        checks=[Check("rate", "rate_exact", "dL/dh by the gain a step if W = gain Q is linear")],
        note="cos clip: cosine between dL/dW before and after clipping at 1, by its norm or element by element",
        subject="d loss(T) / d h(t) at initialisation",
    ),
    picture=Picture(curve="profile", series="log10_grad_h", x="lag (steps)", y="norm of dL/dh(t)", theory="rate_exact"),
)  # fmt: skip
def exploding(cell, hidden, seq_len, gain, init, source, dtype, seed, text, csv, column):
    """How fast the gradient of a loss at the last step grows on its way back, and what clipping makes of it.

    L = v . h_T with a random unit vector v. Growth is the factor per step of ||dL/dh_t||, fitted to the mean of its
    logarithm over lags 1 to T. `init` and `gain` are those of W_hh; W_ih is Glorot's but for schemes (irnn), which
    name both. Clipping by the norm keeps the direction, clipping every element turns it. Columns: docs/columns.md.
    """
    x, data = sources.inputs(source, stream("data", seed), seq_len, BATCH, text=text, csv=csv, column=column)
    x = x.astype(dtype)
    layer = Layer(cell, x.shape[2], hidden, rng=stream("init", seed), dtype=dtype, init=init, gain=gain)
    v = probe(stream("probe", seed), BATCH, hidden, dtype)
    profile = gradient_profile(layer, x, v)
    spectrum, rate, exact = recurrent_spectrum(layer), profile.rate(), exact_rates(layer)
    metrics = {"rate_exact": exact.get("h"), "rate_bound": upper_rate(layer, spectrum["sigma_max"])}
    metrics |= rate.columns() | {"log10_grad_end": profile.log10()[seq_len], "input_drive": input_drive(layer, x)}
    metrics |= float32_limits(layer, x, v, profile) | spectrum
    run, gradients = layer.last, layer.backward(dstates={"h": v})
    metrics |= clip_cosines(gradients.parameters, THRESHOLD) | {"data": data} | nonfinite_status(run, gradients)
    return metrics, {"profile": {"lag": profile.lag, "log10_grad_h": profile.log10()}}

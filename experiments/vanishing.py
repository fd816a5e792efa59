"""How fast the gradient of a loss at the last step dies on its way back."""

from sandbox import sources
from sandbox.diagnostics.exact import exact_rates, upper_rate
from sandbox.diagnostics.gates import gate_means, input_drive
from sandbox.diagnostics.gradients import gradient_profile, probe, weight_shares
from sandbox.diagnostics.precision import float32_limits, nonfinite_status
from sandbox.diagnostics.spectrum import recurrent_spectrum
from sandbox.experiment import experiment
from sandbox.layers import Layer
from sandbox.report import Check, Column, Picture, Table
from sandbox.streams import stream

BATCH = 16


@experiment(
    cell=["rnn", "rnn:identity", "lstm", "gru"],
    hidden=[64], seq_len=[200],
    gain=[0.8, 1.0, 1.25],
    init=["orthogonal"], source=["noise"], dtype=["float64"],
    seeds=5, quick=dict(hidden=[4], seq_len=[12], gain=[0.8], seeds=2),
    settings=sources.SETTINGS,
    check=sources.check,
    table=Table(
        [Column("rate", "rate / step", oracle="rate_exact"), Column("rate", shown_as="half-life"),
         Column("log10_grad_mid", "log10 at T/2", interval=False),
         Column("rate_c", "dL/dc rate", interval=False, oracle="rate_c_exact"),
         Column("float32_subnormal_lag", "float32 subnormal", interval=False)],
        spark=("profile", "log10_grad_h"),
        checks=[Check("rate", "rate_exact", "dL/dh by the gain a step if W = gain Q is linear, by z in a GRU of zeros"),
                Check("rate_c", "rate_c_exact", "dL/dc by f a step in an LSTM of zeros")],
        subject="d loss(T) / d h(t) at initialisation",
    ),
    picture=Picture(curve="profile", series="log10_grad_h", x="lag (steps)", y="norm of dL/dh(t)", theory="rate_exact"),
)  # fmt: skip
def vanishing(cell, hidden, seq_len, gain, init, source, dtype, seed, text, csv, column):
    """How fast the gradient of a loss at the last step dies on its way back.

    L = v . h_T with a random unit vector v; the rate is the factor per step of ||dL/dh_t||, fitted to the mean of its
    logarithm over lags 1 to T. `init` and `gain` are those of W_hh, W_ih is Glorot's but for schemes (irnn), which
    name both; with init zeros all weights are zero, so that only gates and biases act. Columns: docs/columns.md.
    """
    x, data = sources.inputs(source, stream("data", seed), seq_len, BATCH, text=text, csv=csv, column=column)
    x, input_init = x.astype(dtype), "zeros" if init == "zeros" else None
    layer = Layer(cell, x.shape[2], hidden, rng=stream("init", seed), dtype=dtype, init=init, gain=gain,
                  input_init=input_init)  # fmt: skip
    v = probe(stream("probe", seed), BATCH, hidden, dtype)
    profile, spectrum, exact = gradient_profile(layer, x, v), recurrent_spectrum(layer), exact_rates(layer)
    gradients = layer.backward(dstates={"h": v}, keep_tape=True)
    shares = weight_shares(layer, gradients)
    metrics, curve = {"rate_bound": upper_rate(layer, spectrum["sigma_max"])}, {"lag": profile.lag}
    for state, suffix in [("h", ""), *((name, f"_{name}") for name in layer.cell.states[1:])]:
        metrics |= profile.rate(state).columns(suffix) | {f"rate{suffix}_exact": exact.get(state)}
        curve |= {f"log10_grad_{state}": profile.log10(state), f"alive_{state}": profile.alive[state]}
    metrics |= {"log10_grad_mid": profile.log10()[seq_len // 2], "log10_grad_end": profile.log10()[seq_len],
                "alive_end": profile.alive["h"][seq_len], "input_drive": input_drive(layer, x)}  # fmt: skip
    metrics |= float32_limits(layer, x, v, profile) | spectrum | gate_means(layer, layer.last) | {"data": data}
    metrics |= nonfinite_status(layer.last, gradients)
    return metrics, {"profile": curve, "weight": {"lag": profile.lag[:-1], "share": shares[::-1]}}

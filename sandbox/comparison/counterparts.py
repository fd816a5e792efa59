"""Which of our rows a published number can stand beside, and what is known to differ all the same.

A row fits where its axes are what the paper did: the task, the length, the kind of network. Size, optimiser and the
like may differ and are then listed. What is not here does not fit anything that an experiment measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Axes that an experiment does not have because it never varies them.
IMPLIED: dict[str, dict[str, str]] = {"clipping": {"cell": "rnn"}, "forget_bias": {"cell": "lstm"}}

_ANY = ".*"
_RNN = "rnn"
_LSTM = "lstm(:forget_bias=.*)?"
_GRU = "gru(:.*)?"
_BLOCKS = "lstm1997(:.*)?"  # memory blocks without a forget gate
_PAIRS = "lstm1997:block=2(:.*)?"
_HS97 = f"{_BLOCKS}|lstm(:nfg|:forget_bias=.*)?"
_SGD = {"optimiser": "sgd", "batch": 1}
_ADAM = {"optimiser": "adam", "lr": 0.005, "batch": 32, "clip": "global", "threshold": 1.0}
_GREFF = {
    "V": "lstm:full", "NP": "lstm", "NIG": "lstm:nig:full", "NFG": "lstm:nfg:full", "NOG": "lstm:nog:full",
    "NIAF": "lstm:niaf:full", "NOAF": "lstm:noaf:full", "CIFG": "lstm:cifg:full",
}  # fmt: skip
_SYMBOLS = "theirs has a symbol of its own for each step, ours ten in turn"
_LENGTHS = "theirs L ~ U[50, 200], ours U[80, 200]"


@dataclass(frozen=True)
class Counterpart:
    """A published row and ours.

    Parameters
    ----------
    key
        Of the published row.
    metric
        Our column.
    where
        What our axes must be: a regular expression for text, a number, or ``(lowest, highest)``.
    protocol
        What the paper's were; listed where ours differ.
    scale, offset, per
        Ours in the paper's unit: scale * metric + offset, divided by the axis `per`.
    note
        A difference that no axis tells.
    theory
        A number which depends on nothing but the axes of `where`.
    """

    key: str
    metric: str
    where: Mapping[str, object]
    protocol: Mapping[str, object] = field(default_factory=dict)
    scale: float = 1.0
    offset: float = 0.0
    per: str = ""
    note: str = ""
    theory: bool = False


def _hs97(key: str, task: str, seq_len: object, **protocol: object) -> Counterpart:
    """Sequences to success of the memory blocks of 1997."""
    where = {"task": task, "cell": _HS97, "seq_len": seq_len}
    note = _SYMBOLS if task == "noise_free_lag" else ""
    return Counterpart(key, "sequences_to_success", where, {"cell": "lstm1997", **_SGD, **protocol}, note=note)


def _reber() -> list[Counterpart]:
    found = []
    for blocks, rate in (("4x1", 0.1), ("3x2", 0.1), ("3x2", 0.2), ("4x1", 0.5), ("3x2", 0.5)):
        key = f"hs97_reber_lstm{blocks}_lr{rate:g}".replace("lr0", "lr")
        protocol = {"cell": "lstm1997", **_SGD, "lr": rate, "hidden": 4 if blocks == "4x1" else 6}
        where = {"task": "embedded_reber", "cell": _HS97}
        note = "theirs: every symbol right in training and test strings, ours: the task's rule"
        found += [
            Counterpart(key, "solved", where, protocol, scale=100.0, note=note),
            Counterpart(f"{key}_n", "sequences_to_success", where, protocol, note=note),
        ]
    return found


def _pascanu(key: str, metric: str, seq_len: int, note: str, scale=1.0, offset=0.0, **protocol: object) -> Counterpart:
    """The plain tanh network under SGD with clipping and the regulariser, on temporal order."""
    where = {"task": "temporal_order:varied", "cell": _RNN, "seq_len": seq_len, "clip": "omega"}
    known = {"optimiser": "sgd", "lr": 0.01, "batch": 20, "threshold": 1.0, **protocol}
    return Counterpart(key, metric, where, known, scale=scale, offset=offset, note=note)


def _theory(key: str, task: str, **where: object) -> Counterpart:
    """The loss of a predictor without memory."""
    return Counterpart(key, "baseline", {"task": task, **where}, theory=True)


def _initial(key: str, init: str, **where: object) -> Counterpart:
    note = "theirs the limit for many units of the radius of a random matrix"
    return Counterpart(key, "spectral_radius", {"cell": _RNN, "init": init, "gain": 1.0, **where}, note=note)


def _trained(key: str, metric: str, task: str, seq_len: int, cell: str, note: str = "", **protocol) -> Counterpart:
    return Counterpart(key, metric, {"task": task, "seq_len": seq_len, "cell": cell}, protocol, note=note)


_MEDIAN = "theirs a median over seeds, ours a mean"
_RESETS = {"hidden": 12, "lr": 0.01, "optimiser": "adam"}

COUNTERPARTS: tuple[Counterpart, ...] = (
    *_reber(),
    _hs97("hs97_2a_lstm_p100", "noise_free_lag", 100, lr=1.0),
    Counterpart("hs97_2a_bptt_p100", "solved", {"task": "noise_free_lag", "cell": _RNN, "seq_len": 100}, scale=100.0,
                note=_SYMBOLS),
    *(_hs97(f"hs97_adding_T{T}", "adding:hs97", T, lr=0.5, hidden=4) for T in (100, 500, 1000)),
    _hs97("hs97_mult_nseq140", "multiplication", 100, lr=0.1, hidden=4),
    _hs97("hs97_torder2", "temporal_order", (100, 110), lr=0.5, hidden=4),
    _hs97("hs97_torder3", "temporal_order:3", (100, 110), lr=0.1, hidden=6),
    _trained("np_adding_T100_lstm", "loss", "adding:centred", 100, _LSTM, _MEDIAN, **_ADAM, hidden=8, updates=8000),
    _trained("np_adding_T100_rnn", "loss", "adding:centred", 100, _RNN, **_ADAM, hidden=8, updates=5000),
    _trained("np_torder2_T50", "score", "temporal_order", 50, _BLOCKS, optimiser="adam", lr=0.02, batch=32, hidden=4),
    Counterpart("np_reber", "sequences_to_success", {"task": "embedded_reber", "cell": _BLOCKS},
                {"optimiser": "adam", "lr": 0.01, "batch": 1, "hidden": 8, "threshold": 5.0}),
    _trained("np_lag_p50", "sequences_to_success", "noise_free_lag(:recall)?", 50, _LSTM,
             f"{_MEDIAN}; theirs weights the last step by 100; {_SYMBOLS}", optimiser="adam", lr=0.02, hidden=16),
    Counterpart("np_cerg_forget", "score", {"task": "embedded_reber:continual", "cell": _LSTM}, _RESETS),
    Counterpart("np_cerg_noforget", "score", {"task": "embedded_reber:continual", "cell": f"lstm:nfg|{_BLOCKS}"},
                _RESETS),
    *(_trained(f"np_greff_{name}", "loss", "adding:centred", 50, cell, _MEDIAN, **_ADAM, hidden=12, updates=1500)
      for name, cell in _GREFF.items()),
    _pascanu("pascanu_single_model_50_200", "solved", 200, _LENGTHS, 100.0, hidden=50, omega=4.0,
             init="pascanu_basic_tanh", updates=5_000_000),
    _pascanu("cs728_stuck", "loss", 200, f"{_LENGTHS}; weight .5, 1 and 2 alike", hidden=50, updates=50_000),
    _pascanu("cs728_short", "score", 50, "theirs the best validation error, ours the last", -100.0, 100.0, hidden=100,
             omega=0.5, updates=10_000),
    *(_trained(f"tcn_adding600_{name}", "loss", "adding", 600, cell)
      for name, cell in (("LSTM", _LSTM), ("GRU", _GRU), ("RNN", _RNN))),
    *(_trained(f"tcn_copy1000_{name}", "loss", "copy", 1000, cell)
      for name, cell in (("LSTM", _LSTM), ("GRU", _GRU), ("RNN", _RNN))),
    *(_theory(f"copy_baseline_T{T}", "copy", seq_len=T) for T in (100, 200, 300, 500, 1000, 2000)),
    *(_trained(f"lem_adding_{T}", "updates_to_success", "adding", T, "lem(:.*)?", optimiser="adam", hidden=128,
               batch=50)
      for T in (2000, 5000, 10_000)),
    *(Counterpart(f"lstm_fbias_{b}", "tau_before", {"bias": str(b), "cell": _LSTM},
                  note="theirs a constant gate with zero weights, ours the median of units that see their inputs")
      for b in range(6)),
    _initial("init_gain_glorot", "glorot"),
    _initial("init_gain_torch", "pytorch"),
    _initial("init_gain_pascanu_basic", "pascanu_basic_tanh", hidden=50),
    _theory("oracle_adding_baseline", "adding"),
    _theory("oracle_adding_hs97", "adding:hs97"),
    _theory("oracle_mult_baseline", "multiplication"),
    _theory("oracle_torder_plateau", "temporal_order(:varied)?"),
    _theory("oracle_torder3_plateau", "temporal_order:3"),
    Counterpart("oracle_reber_ce", "loss", {"task": "embedded_reber", "cell": _ANY}, note="theirs the optimum"),
    Counterpart("oracle_opnorm_t1", "sigma_max", {"cell": _RNN, "init": "gaussian"}, per="gain",
                note="theirs the limit for many units"),
    Counterpart("oracle_orth_grad", "rate", {"cell": "rnn:identity", "init": "orthogonal"}, per="gain"),
    *(Counterpart(f"count_hs97_{name}", "parameters", {"task": task, "cell": cell, "hidden": hidden})
      for name, task, cell, hidden in (
          ("adding", "adding:hs97", _PAIRS, 4), ("torder2", "temporal_order", _PAIRS, 4),
          ("torder3", "temporal_order:3", _PAIRS, 6),
          ("reber4x1", "embedded_reber", "lstm1997((?!:block).)*", 4),
          ("reber3x2", "embedded_reber", _PAIRS, 6))),
)  # fmt: skip

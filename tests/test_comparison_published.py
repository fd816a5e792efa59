"""A run beside published numbers: what fits, what does not, and what is said to differ."""

import io
import math

import pytest
from comparison_runs import made

from sandbox.cells import canonical as canonical_cell
from sandbox.comparison import NothingMatched, published
from sandbox.comparison.counterparts import COUNTERPARTS
from sandbox.comparison.report import write
from sandbox.errors import UsageError
from sandbox.tasks import canonical as canonical_task

TABLE = published.entries()
TRAINED = {"cell": ["rnn", "lstm", "gru"], "task": ["adding:hs97", "copy"], "seq_len": [100, 200], "hidden": [4],
           "lr": [0.5], "batch": [32], "optimiser": ["adam"]}  # fmt: skip


def results(row):
    """What training leaves; the LSTM has not solved it from its first seed."""
    found = {
        "sequences_to_success": None if row["seed"] == 0 else 1000.0 * row["seed"],
        "solved": float(row["seed"] > 0),
    }
    return found | {
        "loss": 0.01,
        "baseline": {"copy": 10 * math.log(8) / (row["seq_len"] + 20)}.get(row["task"], 1 / 24),
    }


def keys(run, **options):
    return [fit.entry["key"] for fit in published.beside(run, TABLE, **options)]


def shown(run, fits):
    out = io.StringIO()
    write(published.report(run, fits), [], "plain", out, out)
    return out.getvalue()


def test_the_file_is_found_and_every_counterpart_is_in_it():
    assert len(TABLE) == 235 and published.shipped().name == "published.csv"
    assert {each.key for each in COUNTERPARTS} <= TABLE.keys()
    assert len({(each.key, each.metric) for each in COUNTERPARTS}) == len(COUNTERPARTS)
    for each in COUNTERPARTS:
        float(TABLE[each.key]["value"])  # nothing fits a number that is none


def test_counterparts_speak_of_tasks_and_cells_that_there_are():
    """A literal name is what the run's axes hold: the canonical one."""
    for each in COUNTERPARTS:
        for axis, canonical in (("task", canonical_task), ("cell", canonical_cell)):
            for name in str(each.where.get(axis, "")).split("|"):
                plain = name.partition("(")[0]
                if plain and plain.replace(":", "").replace("_", "").replace("=", "").isalnum():
                    assert canonical(plain) == plain, each
        assert "cell" not in each.protocol or canonical_cell(each.protocol["cell"]) == each.protocol["cell"]


def test_what_fits_is_shown_and_nothing_else():
    run = made(TRAINED, results, experiment="length")
    assert keys(run) == ["hs97_adding_T100", "copy_baseline_T100", "copy_baseline_T200", "oracle_adding_hs97"]
    adding, *theory, _ = published.beside(run, TABLE)
    ((where, found),) = adding.rows
    assert where["cell"] == "lstm" and where["seq_len"] == 100 and where["task"] == "adding:hs97"
    assert (found.mean, found.n, found.total) == (1500.0, 2, 3)
    assert adding.differences == ["cell lstm (theirs lstm1997)", "optimiser adam (theirs sgd)", "batch 32 (theirs 1)"]
    for fit in theory:
        ((where, found),) = fit.rows
        assert found.mean == pytest.approx(float(fit.entry["value"]), rel=1e-5) and "cell" not in where


def test_rows_that_failed_are_left_out():
    def broken(row):
        return {"sequences_to_success": 10.0 ** row["seed"], "status": "crashed" if row["seed"] else "ok"}

    run = made({"cell": ["lstm"], "task": ["adding:hs97"], "seq_len": [100]}, broken, experiment="length")
    (fit,) = published.beside(run, TABLE)
    assert (fit.rows[0][1].mean, fit.rows[0][1].total) == (1.0, 1)


@pytest.mark.parametrize("changed", [{"task": ["adding"]}, {"seq_len": [101]}, {"cell": ["gru", "lstm:nig"]}])
def test_another_task_length_or_cell_does_not_fit(changed):
    run = made({**TRAINED, "task": ["adding:hs97"], **changed}, results, experiment="length")
    assert "hs97_adding_T100" not in keys(run, metric=["sequences_to_success", "baseline"])


def test_the_implied_cell_of_an_experiment():
    axes = {"clip": ["global", "omega"], "init": ["pascanu_basic_tanh"], "task": ["temporal_order:varied"],
            "seq_len": [200], "hidden": [50], "lr": [0.01], "batch": [20], "threshold": [1.0], "omega": [4.0],
            "optimiser": ["sgd"], "updates": [500_000]}  # fmt: skip
    run = made(axes, lambda row: {"solved": float(row["seed"] > 0), "loss": 1.0}, experiment="clipping")
    (success, _) = published.beside(run, TABLE)
    assert success.rows[0][1].mean == pytest.approx(200 / 3) and success.rows[0][0]["clip"] == "omega"
    assert success.differences == ["updates 500000 (theirs 5000000)", "theirs L ~ U[50, 200], ours U[80, 200]"]
    with pytest.raises(NothingMatched):
        published.beside(made(axes, lambda row: {"solved": 1.0}, experiment="mine"), TABLE)


def test_seeds_are_averaged_first_and_by_is_heard():
    axes = {"cell": ["rnn"], "init": ["gaussian"], "gain": [1.0, 2.0], "hidden": [4, 8]}
    run = made(
        axes, lambda row: {"sigma_max": row["gain"] * (2 + row["seed"] * row["hidden"] / 10)}, experiment="vanishing"
    )
    (fit,) = published.beside(run, TABLE)
    assert fit.entry["key"] == "oracle_opnorm_t1" and len(fit.rows) == 4
    (fit,) = published.beside(run, TABLE, by=["gain"])
    assert [where["gain"] for where, _ in fit.rows] == [1.0, 2.0]
    assert all(found.n == 3 and found.mean == pytest.approx(2.6) for _, found in fit.rows)
    with pytest.raises(UsageError, match="unknown axis 'gian'"):
        published.beside(run, TABLE, by=["gian"])


def test_a_key_shows_that_row_with_what_is_different():
    run = made(TRAINED, results, experiment="length")
    (fit,) = published.beside(run, TABLE, "hs97_adding_T500", by=["cell"])
    assert fit.metric == "sequences_to_success" and len(fit.rows) == 3
    assert fit.differences[0] == (
        "task adding:hs97, copy, cell rnn, lstm, gru, seq_len 100, 200 (theirs adding T=500, LSTM 2x2)"
    )
    (fit,) = published.beside(run, TABLE, "tcn_smnist_LSTM", metric=["loss"], by=["cell"])
    assert fit.differences == ["theirs: Seq. MNIST acc %, LSTM"]
    assert "87.20" in shown(run, [fit])
    (text,) = published.beside(run, TABLE, "rin_adding_T400_lstm", metric=["loss"], by=[])
    assert " no " in shown(run, [text]) and len(text.rows) == 1


def test_what_is_asked_wrongly_is_said_in_a_line():
    run = made(TRAINED, results, experiment="length")
    for key, options, said in (
        ("hs97_addng_T500", {}, "unknown published key 'hs97_addng_T500'; did you mean 'hs97_adding_T500'?"),
        ("zzz", {}, r"unknown published key 'zzz' \(see sandbox compare --to published --list\)"),
        ("tcn_smnist_LSTM", {}, "--metric must say what stands for 'acc %' of tcn_smnist_LSTM, got nothing"),
        ("tcn_smnist_LSTM", {"metric": ["los"]}, "unknown metric 'los'"),
    ):
        with pytest.raises(UsageError, match=said):
            published.beside(run, TABLE, key, **options)


def test_nothing_fits_and_the_nearest_are_named():
    run = made({"cell": ["lstm"], "task": ["mackey_glass"]}, lambda row: {"loss": 1.0}, experiment="length")
    with pytest.raises(NothingMatched) as error:
        published.beside(run, TABLE)
    assert str(error.value).startswith("no published number fits results/sample/a; name one with --to published:KEY")
    assert "mg_esn_tau17_3000" in str(error.value)


def test_the_table_and_what_stands_below():
    run = made(TRAINED, results, experiment="length")
    text = shown(run, published.beside(run, TABLE))
    assert "hs97_adding_T100: adding T=100; LSTM 2x2; 93 parameters; lr .5;" in text
    assert "differs: cell lstm (theirs lstm1997), optimiser adam (theirs sgd), batch 32 (theirs 1)" in text
    assert " 2/3  74000 " in text and "Hochreiter&Schmidhuber LSTM 1997" in text


def test_rows_of_ones_own_come_first_and_a_damaged_file_is_named(tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    header = ",".join(published.COLUMNS)
    (folder / "published.csv").write_text(f"{header}\nmine,me,2026,adding,LSTM,10,loss,0.5,mine,own\n")
    table = published.entries(tmp_path)
    assert table["mine"]["value"] == "0.5" and len(table) == 236
    for text in ("a,b\n1,2\n", f"{header}\n1,2\n", f'{header}\n"1'):
        (folder / "published.csv").write_text(text)
        with pytest.raises(UsageError, match=r"published\.csv"):
            published.entries(tmp_path)


def test_search_wants_every_word():
    found = [row["key"] for row in published.search(TABLE, ["ADDING", "gru"])]
    assert found == ["tcn_adding600_GRU"] and published.search(TABLE, ["nothing has this"]) == []

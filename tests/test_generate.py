"""Language models as files, and the command that lets one of a run go on with a text."""

import doctest
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from sandbox import archive, saved
from sandbox.alphabet import RARE, Alphabet
from sandbox.cli import cli
from sandbox.decoding import LanguageModel, greedy
from sandbox.errors import UsageError
from sandbox.model import Model
from sandbox.results import find, load
from sandbox.saved import load_model, save_model, written
from sandbox.streams import stream

SOURCE = '''
from sandbox.experiment import experiment
from sandbox.model import Model
from sandbox.report import Column, Table
from sandbox.saved import save_model
from sandbox.streams import stream

@experiment(cell=["gru", "lstm"], hidden=[3], rate=[0.5, 1.0], seeds=1, table=Table([Column("bits", better="lower")]))
def writer(cell, hidden, rate, seed):
    """An untrained model of five characters."""
    model = Model(4, 5, symbols=5, head="every", cell=cell, hidden=hidden, rng=stream("init", seed))
    files = {"model.npz": save_model(model, dict(cell=cell, hidden=hidden), "abc \\n", label="five")}
    bits = float("nan") if rate == 0.5 and cell == "gru" else rate + (cell == "gru")
    return {"bits": bits}, {}, files if cell != "lstm" or rate != 1.0 else {}
'''


CHOSEN = "model of cell lstm, rate 0.5, seed 0: bits 0.5, the best of 3 (--point chooses another)\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "writer.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments):
    done = CliRunner().invoke(cli, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.stdout, done.stderr, done.exit_code


def made(symbols=5, unit_cell="gru", **arguments):
    """An untrained model and what it was made with beside its sizes."""
    arguments = {"cell": unit_cell, "hidden": 4, **arguments}
    rngs = {"rng": stream("init", 1), "noise": stream("dropout", 1)}
    return Model(3, symbols, symbols=symbols, head="every", **arguments, **rngs), arguments


def refused(function, *parts):
    with pytest.raises(UsageError) as caught:
        function()
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


# Files -----------------------------------------------------------------------------------------------------------


def test_the_example_is_true():
    assert doctest.testmod(saved).failed == 0


@pytest.mark.parametrize(
    "arguments",
    [dict(), dict(unit_cell="lstm", layers=2, dropout=0.5, zoneout=0.1), dict(dtype="float64"),
     dict(unit_cell="mlp:3")],
)  # fmt: skip
def test_a_model_comes_back_as_it_was(tmp_path, arguments):
    model, given = made(**arguments)
    content = save_model(model, given, Alphabet(tuple("abcd\n")), label="mine")
    assert content == save_model(model, {**given, "rng": 3, "noise": None, "embedding": 3}, "abcd\n", label="mine")
    (tmp_path / "model.npz").write_bytes(content)
    for source in (content, tmp_path / "model.npz"):
        back = load_model(source)
        assert back.model.vector.dtype == model.dtype and back.model.vector.tolist() == model.vector.tolist()
        assert (back.alphabet.symbols, back.unit, back.facts["label"]) == (tuple("abcd\n"), "character", "mine")
        x = np.array([[0], [3], [1]])
        assert back.model.forward(x).tolist() == model.forward(x).tolist()


def test_arguments_must_make_the_model():
    model, given = made(layers=2)
    refused(
        lambda: save_model(model, {**given, "layers": 1}, "abcde"),
        "arguments must be those that the model was made with",
    )
    refused(lambda: save_model(model, {**given, "cell": "lstm"}, "abcde"), "arguments must be those")
    refused(lambda: save_model(model, {**given, "cell": "lsmt"}, "abcde"), "did you mean 'lstm'?")
    refused(lambda: save_model(model, given, "abcd"), "alphabet must have a symbol for each", "got 4 of them, 5 inputs")
    refused(lambda: save_model(model, given, "abcde", unit="letter"), "unknown unit 'letter'")
    last = Model(3, 5, symbols=5, head="last", cell="gru", hidden=4, rng=stream("init", 1))
    refused(lambda: save_model(last, given, "abcde"), "head every")


@pytest.mark.parametrize(
    ("facts", "arrays", "part"),
    [
        ({"kind": "image"}, {}, "got kind image, version 1 in "),
        ({"version": 2}, {}, "got kind language, version 2 in "),
        ({"unit": "letter"}, {}, "do not fit the model"),
        ({"alphabet": list("abcda")}, {}, "do not fit the model"),
        ({"alphabet": list("abc")}, {}, "do not fit the model"),
        ({"alphabet": 3}, {}, "not iterable"),
        ({"arguments": {"cell": "lstm"}}, {}, "missing 2 required"),
        ({"arguments": None}, {}, "NoneType"),
        ({}, {"vector": np.zeros(3, np.float32)}, "do not fit the model"),
        ({}, {"vector": np.zeros(167)}, "do not fit the model"),
    ],
)  # fmt: skip
def test_a_file_with_another_content_is_refused(tmp_path, facts, arrays, part):
    model, given = made()
    found, there = archive.unpack(save_model(model, given, "abcde"))
    path = tmp_path / "model.npz"
    path.write_bytes(archive.pack(found, there))
    assert load_model(path).unit == "character"
    path.write_bytes(archive.pack({**found, **facts}, {**there, **arrays}))
    refused(lambda: load_model(path), "model must be a ", part, str(path))


def test_a_file_without_facts_or_without_a_vector_is_refused(tmp_path):
    model, given = made()
    found, there = archive.unpack(save_model(model, given, "abcde"))
    for name in ("alphabet", "unit", "arguments"):
        content = archive.pack({key: value for key, value in found.items() if key != name}, there)
        refused(lambda content=content: load_model(content), f"(no '{name}')")
    refused(lambda: load_model(archive.pack(found, {})), "(no 'vector')")
    refused(lambda: load_model(b"nonsense"), "model must be a file written by saved.save_model, got 8 bytes")
    refused(lambda: load_model(tmp_path / "none"), "model must exist")


# Going on --------------------------------------------------------------------------------------------------------


def test_prompts_are_taken_apart_and_texts_put_together():
    model, given = made()
    characters = load_model(save_model(model, given, "abc \n"))
    assert characters.encode("ab ")[0].tolist() == [0, 1, 3] and characters.spell([0, 3, 4]) == "a \n"
    refused(lambda: characters.encode("abX"), "--prompt must be of characters that the model has seen, got 'X'",
            "(leave it out or write it in others: a b c ' ' \\n)")  # fmt: skip
    refused(lambda: characters.encode(""), "--prompt must have characters to go on from, got nothing")
    words = load_model(save_model(model, given, ["!", ",", "is't", "thou", RARE], unit="word"))
    numbers, strange = words.encode("Is't Thou, quux?")
    assert numbers.tolist() == [2, 3, 1, 4, 4] and strange == ["quux", "?"]
    assert words.spell([3, 1, 2, 0]) == " thou, is't!"
    refused(lambda: words.encode(" 12 "), "--prompt must have words to go on from, got 12")
    assert characters.usual_start() == "\n" and words.usual_start() == "!"


def test_what_is_written_is_that_of_decoding():
    model, given = made()
    found = load_model(save_model(model, given, "abcde"))
    writer = LanguageModel(model)
    likeliest = greedy(writer, *writer.start(np.array([[2], [1]])), steps=20, end=None).symbols[:, 0].tolist()
    assert written(found, [2, 1], 20, top_k=1).tolist() == likeliest
    assert written(found, [2, 1], 20, width=1).tolist() == likeliest
    assert written(found, [2, 1], 20, temperature=1e-6).tolist() == likeliest
    drawn = [written(found, [2, 1], 20, seed=seed).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]) == 20
    assert written(found, [2, 1], 50)[:20].tolist() == drawn[0]


def test_a_rare_symbol_is_never_written():
    model, given = made()
    model.parameters["head.b"][4] = 50.0
    rare = load_model(save_model(model, given, ["a", "b", "c", "d", RARE]))
    plain = load_model(save_model(model, given, "abcde"))
    for options in (dict(), dict(top_k=1), dict(width=2)):
        assert 4 not in written(rare, [4, 0], 40, **options) and set(written(plain, [4, 0], 40, **options)) == {4}


# The command -----------------------------------------------------------------------------------------------------


def test_a_model_of_a_run_goes_on_with_a_text(here):
    assert call("run", "writer", "--jobs", "1", "--no-plot", "--cell", "gru", "--rate", "1.0")[2] == 0
    out, err, code = call("generate", "writer", "--prompt", "ab", "--length", "30")
    assert (code, err, len(out)) == (0, "", 33) and out.startswith("ab") and set(out) <= set("abc \n")
    path = find("writer") / "files" / "seed=0" / "model.npz"
    assert call("generate", str(path), "--prompt", "ab", "--length", "30") == (out, "", 0)
    assert call("generate", "writer", "--prompt", "ab", "--length", "30", "--seed", "1")[0] != out
    text = load_model(path)
    numbers = written(text, text.encode("\n")[0], 400, temperature=0.8)
    assert call("generate", "writer")[0] == text.spell(numbers) + "\n"
    numbers = written(text, text.encode("a")[0], 12, width=3)
    assert (
        call("generate", "writer", "--prompt", "a", "--length", "12", "--beam", "3")[0] == f"a{text.spell(numbers)}\n"
    )


def test_the_best_point_writes_unless_another_is_asked_for(here):
    assert call("run", "writer", "--jobs", "1", "--no-plot", "--seeds", "2")[2] == 0
    out, err, _ = call("generate", "writer", "--length", "5")
    assert err == CHOSEN.replace("of 3", "of 6")
    out, err, _ = call("generate", "writer", "--length", "5", "--point", "cell=gru, rate=1")
    assert err == "model of cell gru, rate 1.0, seed 0: bits 2, the best of 2 (--point chooses another)\n"
    again, err, _ = call("generate", "writer", "--length", "50", "--point", "cell=gru,rate=1.0,seed=1")
    folder = find("writer") / "files" / "cell=gru,rate=1.0,seed=1"
    assert err == "" and again == call("generate", str(folder / "model.npz"), "--length", "50")[0]
    assert call("generate", "writer", "--length", "5", "--point", "rate=.5,cell=gru")[1] == (
        "model of cell gru, rate 0.5, seed 0: no bits, the first of 2 (--point chooses another)\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperature", "0"], "invalid value for '--temperature': 0.0 is not in the range x>0"),
        (["--temperature", "-1"], "invalid value for '--temperature': -1.0 is not in the range x>0"),
        (["--temperature", "nan"], "--temperature must be a finite number above 0, got nan"),
        (["--temperature", "inf"], "--temperature must be a finite number above 0, got inf"),
        (["--top-k", "0"], "invalid value for '--top-k': 0 is not in the range x>=1"),
        (["--length", "0"], "invalid value for '--length': 0 is not in the range 1<=x<=1000000"),
        (["--beam", "2", "--seed", "1"], "--seed must be left out with --beam, which draws nothing"),
        (["--beam", "2", "--top-k", "1"], "--top-k must be left out with --beam, which draws nothing"),
        (["--prompt", "aé"], "--prompt must be of characters that the model has seen, got 'é' "
                             "(leave it out or write it in others: a b c ' ' \\n)"),
        (["--point", "gate=1"], "unknown axis 'gate'; did you mean 'rate'?"),
        (["--point", "rate=x"], "--point must fit a point that kept a model, got rate=x (there: rate 0.5, 1.0)"),
        (["--point", "rate"], "--point must be AXIS=VALUE with commas between, got rate"),
        (["--point", "cell=gru,rate=2"],
         "--point must fit a point that kept a model, got rate=2 (there: rate 0.5, 1.0)"),
        (["--point", "cell=lstm,rate=1.0"],
         "--point must fit a point that kept a model, got rate=1.0 (there: rate 0.5)"),
    ],
)  # fmt: skip
def test_what_generate_refuses_is_one_line(here, arguments, message):
    call("run", "writer", "--jobs", "1", "--no-plot")
    out, err, code = call("generate", "writer", *arguments)
    assert (out, code) == ("", 2) and err.removeprefix(CHOSEN) == f"error: {message}\n"


def test_runs_and_files_without_a_model(here):
    call("run", "writer", "--jobs", "1", "--no-plot", "--cell", "lstm", "--rate", "1.0")
    path = find("writer")
    rule = f"error: {path} must hold a model to go on with a text, got no model.npz among its files\n"
    assert call("generate", "writer") == ("", rule, 2)
    assert call("generate", "none")[1].startswith("error: unknown run 'none'")
    assert call("generate", "experiments/writer.py")[1].startswith("error: model must be a file written by")
    rule = "error: --point must be given with a run, got it with the file experiments/writer.py\n"
    assert call("generate", "experiments/writer.py", "--point", "cell=gru")[1] == rule


def test_a_model_that_was_changed_or_removed_is_refused(here):
    call("run", "writer", "--jobs", "1", "--no-plot", "--cell", "gru", "--rate", "1.0")
    run = load(find("writer"))
    (key,) = run.files
    model = run.folder(key) / "model.npz"
    model.write_bytes(model.read_bytes() + b"x")
    assert call("generate", "writer")[1] == f"error: {model} must be as it was written, got another content or none\n"
    shutil.rmtree(model.parent)
    assert call("generate", "writer")[2] == 2


def test_words_that_the_model_has_not_seen_are_said(here):
    model, given = made()
    content = save_model(model, given, [",", "lord", "my", "the", RARE], unit="word")
    (here / "model.npz").write_bytes(content)
    out, err, code = call("generate", "model.npz", "--prompt", "My quux", "--length", "3")
    assert (err, code) == ("read as rare, not seen by the model: quux\n", 0)
    assert out.startswith("My quux") and RARE not in out
    numbers = written(load_model(content), [0], 3, temperature=0.8)
    assert (
        call("generate", "model.npz", "--length", "3")[0] == load_model(content).spell(numbers).removeprefix(" ") + "\n"
    )


@pytest.mark.parametrize("more", [(), ("--beam", "2"), ("--top-k", "1")])
def test_a_model_whose_training_diverged_writes_nothing(here, more):
    model, given = made()
    model.parameters["head.b"][1] = np.nan
    (here / "model.npz").write_bytes(save_model(model, given, "abcde"))
    message = "model must give finite numbers to go on with a text, got nan (training diverged)"
    assert call("generate", "model.npz", *more) == ("", f"error: {message}\n", 2)


def test_an_interrupt_writes_nothing(here, monkeypatch):
    call("run", "writer", "--jobs", "1", "--no-plot", "--cell", "gru", "--rate", "1.0")

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(saved, "written", stop)
    assert call("generate", "writer") == ("", "interrupted: nothing was written\n", 130)

"""Conditions over axes: what they mean, by Python's own eval, and what they may not be."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import vocabulary, where
from sandbox.axes import Axis
from sandbox.errors import UsageError

NAMES = {
    "cell": Axis(("lstm", "gru"), kind=str, choices=("lstm", "gru", "rnn"), name="cell"),
    "hidden": Axis((8,), kind=int, name="hidden"),
    "gain": Axis((1.0,), kind=float, name="gain"),
    "chrono": Axis((True,), kind=bool, name="chrono"),
    "word": str,
    "seed": int,
}
ROW = {"cell": "lstm", "hidden": 32, "gain": 0.5, "chrono": True, "word": "not", "seed": 3}


def holds(text, **values):
    return where.parse(text, NAMES)(ROW | values)


@pytest.mark.parametrize(
    "text",
    [
        "cell == 'lstm'",
        'cell!="gru"',
        "'lstm'==cell",
        "hidden<=32 and hidden>=32",
        "20 <= hidden < 40 < 1e2 != seed",
        "not hidden < 32 and not not chrono",
        "cell in ('gru', 'lstm')",
        "cell in ('lstm')",
        "hidden in (16, 2*16,)",
        "hidden not in (16, seed, gain)",
        "8 < hidden in (seed, 32)",
        "chrono in (true, False)",
        "chrono == (hidden > 3)",
        "false or true",
        "hidden < 3 or cell == 'lstm' and gain == .5",
        "(hidden < 3 or cell == 'lstm') and gain == 5e-1",
        "hidden / 10 - 3 == 0.2 + -0.0 or hidden % 5 == 2",
        "2 - 1 - 1 == 0 and 8 / 2 / 2 == 2 and 1 + 2 * 3 == 7",
        "- - 3 == + seed",
        "min(hidden, 4, seed) == 3 and max(hidden, 4) == 32 and abs(-gain) == gain",
        "word == 'not' and word != 'a\tb' and word != \"it's\"",
        " \n hidden==0032\t",
        "(" * 30 + "chrono" + ")" * 30,
        "(chrono) and " * 40 + "abs(1) == 1",
    ],
)
def test_what_holds(text):
    assert holds(text) is True
    assert holds(f"not ({text})" if not text.startswith("((") else text.replace("chrono", "not chrono")) is False


def test_and_binds_tighter_than_or_and_not_tighter_than_both():
    assert holds("true or true and false") is True
    assert holds("not true or true") is True
    assert holds("not (true or true)") is False


def test_a_text_is_brought_to_the_spelling_of_its_axis():
    cell = Axis(("rnn",), kind=str, choices=("rnn",), accept=lambda text: text.replace("rnn:tanh", "rnn"), name="cell")
    for text in ("cell == 'rnn:tanh'", "'rnn:tanh' == cell", "cell in ('rnn:tanh', 'rnn')", "'rnn:tanh' in (cell,)"):
        assert where.parse(text, {"cell": cell})({"cell": "rnn"}) is True


def test_what_a_condition_uses_is_known():
    assert where.parse("hidden < 3 or (cell == 'gru' and -gain < 0)", NAMES).uses == {"hidden", "cell", "gain"}
    assert where.parse("1 < 2", NAMES).uses == frozenset()


def test_places_stand_for_names():
    test = where.parse("hidden < seed", {"hidden": int, "seed": int}, {"hidden": 1, "seed": 2})
    assert test(("gru", 3, 4)) is True and test(("gru", 4, 3)) is False


def test_names_of_axes_may_be_words_of_the_language():
    names = {"min": int, "abs": float, "true": int}
    assert where.parse("min(min, 3) == min and abs == 2 and true == 5", names)({"min": 1, "abs": 2.0, "true": 5})


def test_nothing_divided_by_nothing_is_no_error():
    assert holds("1 / (hidden - 32) == 1e999 and -1 / (hidden - 32) == -1e999")
    assert holds("gain / 0 > 1e308 and gain / -0.0 < -1e308 and 0 / 0 != 0 / 0")
    assert not holds("0 / 0 == 0 / 0 or 0 / 0 < 1 or hidden % 0 < 1 or hidden % 0 >= 1")
    assert not holds("0 / 0 in (0 / 0, 1)") and holds("0 / 0 not in (0 / 0, 1)")
    assert not holds("0 / 0 / 0 == 1e999 or 0 / 0 / 0 == -1e999")
    assert holds("1e308 * 10 == 1e999 and 1e999 - 1e999 != 0")


def test_whole_numbers_are_compared_exactly_however_large():
    large = 2**53
    assert holds(f"hidden == {large + 1} and hidden > {large}", hidden=large + 1)
    assert not holds(f"hidden == {large}", hidden=large + 1)
    assert holds("hidden + 1 > 1e308", hidden=10**400) and holds("hidden < " + "9" * 9000, hidden=10**280)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--where must be a condition such as \"cell!='rnn' or seq_len<=100\", got nothing"),
        (" \n", "got nothing"),
        (3, "got int"),
        ("1<2 " * 3000, "--where must have at most 10000 characters, got 12000"),
        ("(" * 31 + "chrono", "--where must be nested at most 30 deep, got one more ( (character 31)"),
        ("abs(" * 31 + "1", "nested at most 30 deep"),
        ("hiden < 3", "unknown axis 'hiden'; did you mean 'hidden'? (--where, character 1)"),
        ("cell == lstm", "(--where, character 9: text stands in quotes, 'lstm')"),
        ("cell == 'lsmt'", "unknown cell 'lsmt'; did you mean 'lstm'? (--where, character 9)"),
        ("'lsmt' == cell", "unknown cell 'lsmt'; did you mean 'lstm'? (--where, character 1)"),
        ("cell in ('gru', 'lsmt')", "did you mean 'lstm'? (--where, character 17)"),
        ("hidden", "--where must be true or false, got hidden (character 1: hidden is a number)"),
        ("(hidden + 1)", "got (hidden + 1) (character 1: (hidden + 1) is a number)"),
        ("hidden == '32'", "one kind, got hidden == '32' (character 11: hidden is a number, '32' is text)"),
        ("hidden in (32, 'a')", "one kind, got hidden in 'a' (character 16: hidden is a number, 'a' is text)"),
        ("1 < hidden == chrono", "hidden is a number, chrono is true or false"),
        ("cell < 'lstm'", "--where must have numbers around <, got cell (character 1: cell is text)"),
        ("chrono >= true", "must have numbers around >=, got chrono"),
        ("hidden + cell == 3", "must have numbers around +, got cell (character 10: cell is text)"),
        ("cell * 2 == 3", "must have numbers around *, got cell"),
        ("-chrono == 3", "must have a number after a sign, got chrono (character 2"),
        ("max(1, chrono) < 3", "must have numbers in max(), got chrono (character 8"),
        ("abs(1, 2) < 3", "must have one value in abs(), got 2 (character 1)"),
        ("not hidden", "must have a condition after not, got hidden (character 5"),
        ("chrono and seed", "must have conditions around and, got seed (character 12"),
        ("seed or chrono", "must have conditions around or, got seed (character 1"),
        ("hidden = 3", "comparisons, got = (character 8: equality is ==)"),
        ("chrono & chrono", "got & (character 8: write and)"),
        ("!chrono", "got ! (character 1: write not, or != between values)"),
        ("cell == 'lstm", "got ' (character 9: no closing quote)"),
        ("cell in ['lstm']", "got [ (character 9: lists stand in ( ))"),
        ("cell in 'lstm'", "must have a list such as (1, 2) after in, got 'lstm' (character 9)"),
        ("hidden in ()", "must have a value, got ) (character 12)"),
        ("hidden in (1 2)", "must have a , or a ) in a list, got 2 (character 14)"),
        ("hidden in (1,) == true", "must have and, or, or ) after a list, got == (character 16)"),
        ("hidden <", "must have a value, got the end (character 9)"),
        ("hidden < and 3", "must have a value, got and (character 10)"),
        ("(hidden < 3", "must have a ) for the ( at character 1, got the end (character 12)"),
        ("hidden < 3)", "must have an operator or nothing after hidden < 3, got ) (character 11)"),
        ("hidden is 3", "after hidden, got is (character 8)"),
        ("hidden not 3", "after hidden, got not (character 8)"),
        ("hidden ** 2 < 3", "must have a value, got * (character 9)"),
        ("hidden < 1_000", "must have numbers such as 100 or 1e-3, got 1_000 (character 10)"),
        ("hidden < 1..2", "numbers such as 100 or 1e-3, got 1..2 (character 10)"),
        ("hidden.real < 3", "numbers such as 100 or 1e-3, got .real (character 7)"),
        ("__import__('os')", "unknown axis '__import__' (choose from: cell"),
        ("hidden < 3 \x1b[2J", r"got '\x1b' (character 12)"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(UsageError) as caught:
        where.parse(text, NAMES)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_messages_name_what_was_given():
    with pytest.raises(UsageError, match="^--fail-if must be a condition"):
        where.parse("", NAMES, what="--fail-if")


# Random conditions against Python ---------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.sampled_from(["hidden", "gain", "seed", "0", "1", "2.5", ".5e1", "1e-3", "1e308", "-3", "+2", "7"])
)
TEXTS = st.sampled_from(["word", "'a'", '"not"', "'b c'", "''", '"it\'s"'])
OPERATORS = ("==", "!=", "<", "<=", ">", ">=")


def _numbers(inner):
    pairs = st.tuples(inner, st.sampled_from("+-*"), inner).map(" ".join)
    calls = st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})")
    return st.one_of(pairs, pairs.map("({})".format), calls, inner.map("abs({})".format), inner.map("-({})".format))


NUMERIC = st.recursive(NUMBERS, _numbers, max_leaves=6)


def _listed(values):
    items = st.lists(values, min_size=1, max_size=3).map(lambda listed: f"({', '.join(listed)},)")
    return st.tuples(values, st.sampled_from(["in", "not in"]), items).map(" ".join)


def _chain(values, operators):
    pairs = st.lists(st.tuples(st.sampled_from(operators), values).map(" ".join), min_size=1, max_size=3)
    return st.tuples(values, pairs.map(" ".join)).map(" ".join)


SIMPLE = st.one_of(
    st.sampled_from(["chrono", "True", "False"]),
    _chain(NUMERIC, OPERATORS),
    _chain(TEXTS, OPERATORS[:2]),
    _listed(NUMERIC),
    _listed(TEXTS),
)


def _conditions(inner):
    joined = st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join)
    equal = st.tuples(inner, st.sampled_from(["==", "!="]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})")
    return st.one_of(joined, joined.map("({})".format), inner.map("not {}".format), equal.map("({})".format))


CONDITIONS = st.recursive(SIMPLE, _conditions, max_leaves=6)
ROWS = st.fixed_dictionaries(
    {
        "hidden": st.integers(-3, 4),
        "gain": st.sampled_from([0.0, 0.5, 1.0, 2.5, 1e308]),
        "seed": st.integers(0, 3),
        "chrono": st.booleans(),
        "word": st.sampled_from(["a", "not", "b c", "", "it's"]),
    }
)
PLAIN = {"hidden": int, "gain": float, "seed": int, "chrono": bool, "word": str}


@settings(max_examples=500, deadline=None, derandomize=True)
@given(CONDITIONS, ROWS)
def test_random_conditions_mean_what_they_mean_in_python(text, row):
    found = where.parse(text, PLAIN)(row)
    assert found is bool(eval(text, {"__builtins__": {"min": min, "max": max, "abs": abs}}, dict(row)))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_division_is_that_of_numpy(a, b):
    import numpy as np

    names = {"a": float, "b": float, "quotient": float, "rest": float}
    row = {"a": a, "b": b}
    with np.errstate(all="ignore"):
        row["quotient"] = float(np.float64(a) / np.float64(b))
        row["rest"] = float(np.float64(a) % np.float64(b))
    for name, text in (("quotient", "a / b"), ("rest", "a % b")):
        assert where.parse(f"{text} == {name}", names)(row) is not math.isnan(row[name])


PIECES = st.sampled_from(
    ["cell", "hidden", "chrono", "word", "and", "or", "not", "in", "(", ")", ",", "==", "<", "!=", "+", "-", "*", "/",
     "%", "'lstm'", "'", '"', "1", "2.5", "1e5", "true", "min", "abs", "=", ".", "é", "²", "\n", "\x00", "lambda", "["]
)  # fmt: skip


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=14).map(" ".join), st.lists(PIECES).map("".join)))
def test_random_text_is_a_condition_or_an_error_of_one_line(text):
    try:
        found = where.parse(text, NAMES)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert found(ROW) in (True, False)


@pytest.mark.parametrize(
    "text",
    ["(" * 5000, "not " * 2000 + "chrono", "-" * 5000 + "1 < 2", "1" + "+1" * 4000 + " > 0", "1" + "<1" * 3000,
     " or ".join(["chrono"] * 1000), "hidden in (" + "seed+1," * 1000 + ")", "hidden*" * 1000 + "1 < 0",
     "abs(" * 2000, ")" * 5000, "9" * 9999, "(" * 30 + "1" + ")" * 30 + "<2"],
)  # fmt: skip
def test_long_and_deep_texts_do_not_run_out_of_anything(text):
    try:
        found = where.parse(text, NAMES)
    except UsageError as error:
        assert len(str(error)) < 200
    else:
        assert found(ROW) in (True, False)


def test_every_condition_of_the_documentation_is_understood():
    text = (Path(__file__).parents[1] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    table = text.partition("| written | means |")[2].partition("\n\n")[0]
    found = [code for line in table.splitlines() for code in re.findall("`([^`]+)`", line.partition(" | ")[0])]
    assert len(found) > 15
    for condition in [*found, *re.findall('--where "(.*?)"', text)]:
        where.parse(condition, {**vocabulary.WELL_KNOWN, "chrono": bool, "seed": int})

"""Conditions over axes, such as ``cell!='rnn' and 50<=seq_len<200``: read, checked and compiled without Python's eval.

::

    condition    conjunction {or conjunction}
    conjunction  negation {and negation}
    negation     {not} comparison
    comparison   sum {(== | != | < | <= | > | >=) sum} [[not] in list]
    list         ( sum {, sum} [,] )
    sum          product {(+ | -) product}
    product      signed {(* | / | %) signed}
    signed       {+ | -} value
    value        number | 'text' | "text" | true | false | axis | (min | max | abs) list | ( condition )

Every value is a number, a text, or true or false, and what does not go together is refused before anything runs. A
text that is compared with an axis must be one the axis can have, and is brought to the axis' own spelling. Arithmetic
is that of float64: x/0 is inf or nan, x%0 is nan, and no comparison with nan holds but !=.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sandbox.axes import Axis, Scalar
from sandbox.errors import UsageError, shorten, unknown

__all__ = ["Predicate", "parse"]

MOST_CHARACTERS = 10_000
MOST_NESTED = 30  # each level is thirteen calls of the reader, and Python allows a thousand
_DIGITS = 300  # a whole number with more is a float, which may be inf

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<sign>==|!=|<=|>=|[<>()+\-*/%,])"
)
_HINTS = {
    "=": ": equality is ==", "&": ": write and", "|": ": write or", "!": ": write not, or != between values",
    "[": ": lists stand in ( )", "{": ": lists stand in ( )", "'": ": no closing quote", '"': ": no closing quote",
}  # fmt: skip
_WORDS = {"and", "or", "not", "in"}
_TRUTH = {"true": True, "True": True, "false": False, "False": False}

_NUMBER, _TEXT, _BOOL = "a number", "text", "true or false"
_KINDS = {int: _NUMBER, float: _NUMBER, str: _TEXT, bool: _BOOL}
_EQUALITIES = {"==": operator.eq, "!=": operator.ne}
_ORDERINGS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_COMPARISONS = _EQUALITIES | _ORDERINGS

Row = Mapping[str, Scalar] | Sequence[Scalar]
Test = Callable[[Row], bool]


@dataclass(frozen=True)
class Predicate:
    """A condition that is ready to be asked: ``predicate({"cell": "lstm", "hidden": 32})``.

    Attributes
    ----------
    text
        As it was written.
    uses
        Names that occur in it.
    holds
        The compiled condition: the same as calling the predicate, without a call in between.
    """

    text: str
    uses: frozenset[str]
    holds: Test

    def __call__(self, values: Row) -> bool:
        """Return whether the condition holds for one value per name."""
        return self.holds(values)


def parse(
    text: str, names: Mapping[str, Axis | type], places: Mapping[str, int] | None = None, what: str = "--where"
) -> Predicate:
    """Return the predicate that a text describes.

    Parameters
    ----------
    text
        The condition.
    names
        Name to ``int``, ``float``, ``str`` or ``bool``, or to an `Axis`, which is also asked for its texts.
    places
        Where each name's value stands when the predicate is to be asked with tuples instead of mappings.
    what
        What messages call the text.

    Raises
    ------
    UsageError
        For what is not in the grammar, an unknown name, values that do not go together, and a text that is too long or
        too deeply nested.

    Examples
    --------
    >>> few = parse("cell in ('lstm', 'gru') and 32 < hidden <= 2 * 64", {"cell": str, "hidden": int})
    >>> few({"cell": "gru", "hidden": 128}), few({"cell": "rnn", "hidden": 128})
    (True, False)
    """
    if not isinstance(text, str) or not text.strip():
        shown = "nothing" if isinstance(text, str) else type(text).__name__
        raise UsageError(f"{what} must be a condition such as \"cell!='rnn' or seq_len<=100\", got {shown}")
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{what} must have at most {MOST_CHARACTERS} characters, got {len(text)}")
    reader = _Reader(text, names, places or {name: name for name in names}, what)
    holds = reader.whole()
    return Predicate(text, frozenset(reader.uses), holds)


@dataclass(frozen=True)
class _Token:
    kind: str  # "number", "name", "text", "sign", "end"
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class _Value:
    """A piece of a condition: its kind, where it stands, how to get it; a known value, or an axis, if it is one."""

    kind: str
    start: int
    end: int
    get: Callable[[Row], Scalar]
    known: Scalar | None = None
    axis: Axis | None = None


class _Reader:
    """Recursive descent: a method per line of the grammar, each returning a compiled piece."""

    def __init__(self, text: str, names: Mapping[str, Axis | type], places: Mapping[str, object], what: str):
        self.text, self.names, self.places, self.what = text, names, places, what
        self.tokens, self.at, self.depth = self._tokens(), 0, 0
        self.uses: set[str] = set()

    # Errors ------------------------------------------------------------------------------------------------------

    def _wrong(self, rule: str, got: str, at: int, hint: str = "") -> UsageError:
        shown = shorten(got) if shorten(got).isprintable() else repr(shorten(got))
        return UsageError(f"{self.what} must {rule}, got {shown} (character {at + 1}{hint})")

    def _named(self, error: UsageError, at: int, hint: str = "") -> UsageError:
        return UsageError(f"{error} ({self.what}, character {at + 1}{hint})")

    def _expected(self, rule: str) -> UsageError:
        token = self.tokens[self.at]
        return self._wrong(f"have {rule}", token.text or "the end", token.start)

    def _shown(self, value: _Value) -> str:
        return shorten(self.text[value.start : value.end], 30)

    def _need(self, kind: str, value: _Value, rule: str) -> _Value:
        if value.kind != kind:
            shown = self._shown(value)
            raise self._wrong(rule, shown, value.start, f": {shown} is {value.kind}")
        return value

    # Tokens ------------------------------------------------------------------------------------------------------

    def _tokens(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self.text):
            if self.text[at].isspace():
                at += 1
                continue
            match = _TOKEN.match(self.text, at)
            if match is None:
                character = self.text[at]
                if character.isdigit() or character == ".":
                    raise self._wrong("have numbers such as 100 or 1e-3", self.text[at:].split()[0], at)
                hint = _HINTS.get(character, "")
                raise self._wrong("be made of axes, values and comparisons", character, at, hint)
            tokens.append(_Token(match.lastgroup, match[0], at, match.end()))
            at = match.end()
        return [*tokens, _Token("end", "", len(self.text), len(self.text))]

    def _next(self, *texts: str) -> str | None:
        """Take the next token and return its text if it is one of these; a text in quotes never is."""
        text = self.tokens[self.at].text
        if text not in texts:
            return None
        self.at += 1
        return text

    @property
    def _end(self) -> int:
        """Where the piece read last ends."""
        return self.tokens[self.at - 1].end

    # Truth -------------------------------------------------------------------------------------------------------

    def whole(self) -> Test:
        """Return the test for all of the text."""
        value = self._condition()
        if self.tokens[self.at].kind != "end":
            raise self._expected(f"an operator or nothing after {self._shown(value)}")
        return self._need(_BOOL, value, "be true or false").get

    def _condition(self) -> _Value:
        return self._joined("or", self._conjunction, _any)

    def _conjunction(self) -> _Value:
        return self._joined("and", self._negation, _all)

    def _joined(self, word: str, read: Callable[[], _Value], join: Callable[[list[Test]], Test]) -> _Value:
        parts = [read()]
        while self._next(word):
            parts.append(read())
        if len(parts) == 1:
            return parts[0]
        tests = [self._need(_BOOL, part, f"have conditions around {word}").get for part in parts]
        return _Value(_BOOL, parts[0].start, self._end, join(tests))

    def _negation(self) -> _Value:
        start, nots = self.tokens[self.at].start, 0
        while self._next("not"):
            nots += 1
        value = self._comparison()
        if not nots:
            return value
        test = self._need(_BOOL, value, "have a condition after not").get
        return _Value(_BOOL, start, self._end, (lambda row: not test(row)) if nots % 2 else test)

    def _comparison(self) -> _Value:
        left = first = self._sum()
        tests: list[Test] = []
        while word := self._next(*_COMPARISONS):
            right = self._sum()
            if word in _ORDERINGS:
                self._need(_NUMBER, left, f"have numbers around {word}")
            left, right = self._alike(left, word, right)
            tests.append(_compare(_COMPARISONS[word], left, right))
            left = right
        if self.tokens[self.at].text == "in" or self._negated_in():
            tests.append(self._membership(left))
        if not tests:
            return first
        return _Value(_BOOL, first.start, self._end, _all(tests))

    def _negated_in(self) -> bool:
        token, after = self.tokens[self.at], self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        return token.kind == after.kind == "name" and (token.text, after.text) == ("not", "in")

    def _membership(self, left: _Value) -> Test:
        negated = self._next("not") is not None
        self._next("in")
        pairs = [self._alike(left, "in", item) for item in self._list("in")]
        get, items = pairs[0][0].get, [item for _, item in pairs]
        if all(item.known is not None for item in items):
            listed = frozenset(item.known for item in items if item.known == item.known)  # nan is in no list
            inside = lambda row: get(row) in listed
        else:
            inside = _any([_compare(operator.eq, first, item) for first, item in pairs])
        if self.tokens[self.at].text in (*_COMPARISONS, "in"):
            raise self._expected("and, or, or ) after a list")
        return (lambda row: not inside(row)) if negated else inside

    def _alike(self, left: _Value, word: str, right: _Value) -> tuple[_Value, _Value]:
        """Check that two values can be compared; give a text the spelling of the axis it is compared with."""
        if left.kind != right.kind:
            one, other = self._shown(left), self._shown(right)
            hint = f": {one} is {left.kind}, {other} is {right.kind}"
            raise self._wrong("compare values of one kind", f"{one} {word} {other}", right.start, hint)
        return self._spelt(left, right.axis), self._spelt(right, left.axis)

    def _spelt(self, value: _Value, axis: Axis | None) -> _Value:
        if axis is None or not isinstance(value.known, str):
            return value
        try:
            spelt = axis.check(value.known)
        except UsageError as error:
            raise self._named(error, value.start) from error
        return replace(value, known=spelt, get=lambda row: spelt)

    # Values ------------------------------------------------------------------------------------------------------

    def _sum(self) -> _Value:
        return self._calculated(self._product, _SUMS)

    def _product(self) -> _Value:
        return self._calculated(self._signed, _PRODUCTS)

    def _calculated(self, read: Callable[[], _Value], operations: Mapping[str, Callable]) -> _Value:
        first, rest = read(), []
        while word := self._next(*operations):
            rule = f"have numbers around {word}"
            if not rest:
                self._need(_NUMBER, first, rule)
            rest.append((operations[word], self._need(_NUMBER, read(), rule)))
        if not rest:
            return first
        known = first.known is not None and all(value.known is not None for _, value in rest)
        get = _fold(first.get, [(operation, value.get) for operation, value in rest])
        return _number(first.start, self._end, get, known)

    def _signed(self) -> _Value:
        start, minus, signs = self.tokens[self.at].start, 0, 0
        while word := self._next("+", "-"):
            minus, signs = minus + (word == "-"), signs + 1
        value = self._value()
        if not signs:
            return value
        get = self._need(_NUMBER, value, "have a number after a sign").get
        negative = minus % 2
        return _number(start, self._end, (lambda row: -get(row)) if negative else get, value.known is not None)

    def _value(self) -> _Value:
        token = self.tokens[self.at]
        if self._next("("):
            value = self._nested(token, self._condition)
            if not self._next(")"):
                raise self._expected(f"a ) for the ( at character {token.start + 1}")
            return replace(value, start=token.start, end=self._end)
        if token.kind in ("end", "sign") or (token.kind == "name" and token.text in _WORDS):
            raise self._expected("a value")
        self.at += 1
        if token.kind == "number":
            number = int(token.text) if token.text.isdigit() and len(token.text) <= _DIGITS else float(token.text)
            return _known(_NUMBER, token, number)
        if token.kind == "text":
            return _known(_TEXT, token, token.text[1:-1])
        if token.text in _FUNCTIONS and self.tokens[self.at].text == "(":
            return self._call(token)
        if token.text in _TRUTH and token.text not in self.names:
            return _known(_BOOL, token, _TRUTH[token.text])
        return self._axis(token)

    def _axis(self, token: _Token) -> _Value:
        name = token.text
        if name not in self.names:
            axes = (axis for axis in self.names.values() if isinstance(axis, Axis) and axis.kind is str)
            known = any(name in (axis.allowed() or ()) for axis in axes)
            quoted = f": text stands in quotes, '{name}'" if known else ""  # which a shell takes away
            raise self._named(unknown("axis", name, self.names), token.start, quoted)
        self.uses.add(name)
        declared = self.names[name]
        axis = declared if isinstance(declared, Axis) else None
        kind = _KINDS[declared.kind if axis is not None else declared]
        return _Value(kind, token.start, token.end, operator.itemgetter(self.places[name]), axis=axis)

    def _call(self, token: _Token) -> _Value:
        arguments = self._nested(token, lambda: self._list(token.text))
        if token.text == "abs" and len(arguments) > 1:
            raise self._wrong("have one value in abs()", str(len(arguments)), token.start)
        gets = [self._need(_NUMBER, value, f"have numbers in {token.text}()").get for value in arguments]
        known = all(value.known is not None for value in arguments)
        if token.text == "abs":
            return _number(token.start, self._end, lambda row: abs(gets[0](row)), known)
        choose = _FUNCTIONS[token.text]
        return _number(token.start, self._end, lambda row: choose([get(row) for get in gets]), known)

    def _list(self, after: str) -> list[_Value]:
        if not self._next("("):
            raise self._expected(f"a list such as (1, 2) after {after}")
        values = [self._sum()]
        while self._next(",") and self.tokens[self.at].text != ")":
            values.append(self._sum())
        if not self._next(")"):
            raise self._expected("a , or a ) in a list")
        return values

    def _nested(self, token: _Token, read: Callable):
        if self.depth == MOST_NESTED:
            raise self._wrong(f"be nested at most {MOST_NESTED} deep", "one more (", token.start)
        self.depth += 1
        value = read()
        self.depth -= 1
        return value


# Compiled pieces: none is deeper than the text is nested, so that none runs out of Python's stack ------------------


def _known(kind: str, token: _Token, value: Scalar) -> _Value:
    return _Value(kind, token.start, token.end, lambda row: value, known=value)


def _number(start: int, end: int, get: Callable[[Row], float], known: bool) -> _Value:
    """Return a number calculated from others: at once, if those are known."""
    if not known:
        return _Value(_NUMBER, start, end, get)
    number = get(())
    return _Value(_NUMBER, start, end, lambda row: number, known=number)


def _compare(operation: Callable, left: _Value, right: _Value) -> Test:
    get, other, known = left.get, right.get, right.known
    if known is not None:
        return lambda row: operation(get(row), known)
    return lambda row: operation(get(row), other(row))


def _all(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda row: first(row) and second(row)

    def every(row):
        for test in tests:
            if not test(row):
                return False
        return True

    return every


def _any(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda row: first(row) or second(row)

    def some(row):
        for test in tests:
            if test(row):
                return True
        return False

    return some


def _fold(first: Callable[[Row], float], rest: list[tuple[Callable, Callable[[Row], float]]]):
    def folded(row):
        total = _real(first(row))
        for operation, get in rest:
            total = operation(total, _real(get(row)))
        return total

    return folded


def _real(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number of an axis without bounds
        return math.inf if number > 0 else -math.inf


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)


def _remainder(a: float, b: float) -> float:
    return a % b if b else math.nan


_SUMS = {"+": operator.add, "-": operator.sub}
_PRODUCTS = {"*": operator.mul, "/": _divide, "%": _remainder}
_FUNCTIONS = {"min": min, "max": max, "abs": abs}

"""The ways in which a function can be broken by one change: statements, operators, operands, bounds, branches."""

import ast
import copy
from dataclasses import dataclass

from mutation.targets import EQUIVALENT, ROOT, explains

SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one line, and the module's source with it."""

    target: str
    path: str
    function: str
    line: int
    code: str
    change: str
    source: str

    def reason(self):
        """Why it computes the same, if it does."""
        return next((reason for entry, reason in EQUIVALENT.items() if explains(entry, self)), "")


def constant(value):
    return ast.Constant(value)


def is_zero(node):
    return isinstance(node, ast.Constant) and node.value == 0 or isinstance(node, ast.Name) and node.id == "zero"


def subtract(node, value):
    return ast.BinOp(node, ast.Sub(), constant(value))


def replacements(node, parent):
    """Every node (or list of statements) that can take this one's place."""
    match node:
        case ast.Assign(targets=[ast.Tuple()]) | ast.Assign(value=ast.Call(func=ast.Attribute(attr="empty" | "zeros"))):
            pass
        case ast.Assign(targets=targets, value=value):
            if isinstance(value, ast.Constant) and isinstance(value.value, bool):
                yield ast.Assign(targets, constant(not value.value), lineno=0)
            elif not is_zero(value):
                yield ast.Assign(targets, ast.UnaryOp(ast.USub(), value), lineno=0)
                yield ast.Assign(targets, constant(0), lineno=0)
            if isinstance(targets[0], ast.Subscript):
                yield ast.Pass()
        case ast.AugAssign(target=target, op=op, value=value):
            yield ast.AugAssign(target, SWAPS[type(op)](), value)
            yield ast.Assign([target], value, lineno=0)
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.BinOp(left=left, op=op, right=right):
            yield ast.BinOp(left, SWAPS[type(op)](), right)
            yield left
            yield right
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(SWAPS[type(op)](), values)
            yield from values
        case ast.Compare(left=left, ops=[op], comparators=right):
            yield ast.Compare(left, [SWAPS[type(op)]()], right)
        case ast.Compare(left=left, ops=[first, second], comparators=right):
            yield ast.Compare(left, [SWAPS[type(first)](), second], right)
            yield ast.Compare(left, [first, SWAPS[type(second)]()], right)
        case ast.UnaryOp(operand=ast.Constant(value=value)):  # a negative number
            yield constant(value)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.Call(func=ast.Name(id="range"), args=[last]) if not isinstance(last, ast.IfExp):
            yield ast.Call(node.func, [subtract(last, 1)], [])
            yield ast.Call(node.func, [constant(1), last], [])
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=args):
            yield ast.Call(ast.Name({"min": "max", "max": "min"}[name], ast.Load()), args, [])
            yield from args
        case ast.Call(func=ast.Name(id="abs"), args=[value]):
            yield value
        case ast.Constant(value=int() as value) if not isinstance(value, bool) and not isinstance(parent, ast.UnaryOp):
            yield constant(value + 1)
        case ast.Name(id="zero" | "one" as name, ctx=ast.Load()):
            yield constant({"zero": 1, "one": 2}[name])
        case ast.Name(id="t") if isinstance(parent, ast.Tuple | ast.Subscript):
            yield ast.BinOp(node, ast.Add(), constant(1))
        case _:
            pass
    if isinstance(node, ast.If | ast.While) and not isinstance(node.test, ast.Constant):
        for value in (True, False)[isinstance(node, ast.While) :]:
            yield type(node)(constant(value), node.body, node.orelse)


def places(node):
    """All (parent, field, index or None, child) below a node, in the order of the source."""
    for field, value in ast.iter_fields(node):
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield node, field, index, child
                yield from places(child)


def first_line(node):
    return ast.unparse(node).split("\n")[0]


def mutants(target, path, functions):
    """Every mutant of the named functions of a file."""
    source = (ROOT / path).read_text()
    tree = ast.parse(source)
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in functions]
    for function in bodies:
        line = function.lineno
        for parent, field, index, child in list(places(function)):
            if parent is function and field != "body":
                continue
            line = getattr(child, "lineno", line)
            code = source.split("\n")[line - 1].strip()
            # A number or a name says little without what is around it.
            around = parent if isinstance(child, ast.Constant | ast.Name) and isinstance(parent, ast.expr) else None
            for new in replacements(child, parent):
                before = first_line(around or child)
                put(parent, field, index, copy.deepcopy(new))
                change = f"{before}  ->  {first_line(around or new)}"
                mutated = ast.unparse(ast.fix_missing_locations(tree))
                put(parent, field, index, child)
                yield Mutant(target, path, function.name, line, code, change, mutated)


def put(parent, field, index, node):
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node

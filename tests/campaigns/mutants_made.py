"""Mutants of a module: small faults, one at a time, each in one expression or statement of its text.

Operators: a comparison, `and`/`or`, arithmetic, an integer or a boolean is replaced; a condition is negated; a
statement is deleted; None is returned; a keyword argument is dropped; what `with` enters is not entered (a lock, a
suppression); a shield around an awaitable is taken off. Left alone: texts (people read them), fractions (nearly all are
seconds of patience), annotations, what only a type checker or Windows sees (a campaign needs POSIX), f-strings,
messages for debugging, sizes of caches.
"""

import ast
import random
from collections.abc import Container, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

_SWAPPED: Final[dict[type[Any], type[Any]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_ELSEWHERE: Final = ("sys.platform == 'win32'",)
_Change: TypeAlias = tuple[str, ast.AST, ast.AST, str]
"""The operator's name, the node where the replaced text begins, the one where it ends, the new text."""


class Mutant(NamedTuple):
    """A module with one fault.

    Attributes:
        operator: What was done.
        line: First line that differs, from 1.
        last_line: Last line of the text that was replaced.
        was: The first line that differs, as it was, without indentation.
        became: The same line with the fault.
        text: The whole module.

    """

    operator: str
    line: int
    last_line: int
    was: str
    became: str
    text: str


def mutants(text: str, of: Container[str] | None = None) -> list[Mutant]:
    """Return all mutants of a module that compile, in the order of its lines.

    Args:
        text: The module.
        of: Lines without indentation; only these are changed. Default: every line.

    """
    made: dict[str, Mutant] = {}
    lines = text.encode().splitlines(keepends=True)
    for operator, first, last, new in _changes(ast.parse(text)):
        if of is not None and lines[first.lineno - 1].decode().strip() not in of:  # type: ignore[attr-defined]
            continue
        mutant = _mutant(lines, operator, first, last, new)
        if mutant and mutant.text != text:
            made.setdefault(mutant.text, mutant)
    return sorted(made.values(), key=lambda each: (each.line, each.operator, each.text))


def sample(text: str, number: int | None, seed: str) -> list[Mutant]:
    """Return some mutants of a module; a larger sample with the same seed has those of a smaller one, too."""
    every = mutants(text)
    random.Random(seed).shuffle(every)
    return every[:number]


def _mutant(lines: list[bytes], operator: str, first: ast.AST, last: ast.AST, new: str) -> Mutant | None:
    start, end = first.lineno - 1, last.end_lineno - 1  # type: ignore[attr-defined]
    before = lines[start][: first.col_offset]  # type: ignore[attr-defined]
    after = lines[end][last.end_col_offset :]  # type: ignore[attr-defined]
    replaced = before + new.encode() + after
    changed = b"".join([*lines[:start], replaced, *lines[end + 1 :]]).decode()
    try:
        compile(changed, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    was, became = (each.decode().strip() for each in (lines[start], replaced.splitlines()[0]))
    return Mutant(operator, start + 1, end + 1, was, became, changed)


def _changes(tree: ast.Module) -> Iterator[_Change]:
    for node in _mutable(tree):
        yield from _operators(node)
        yield from _conditions(node)
        yield from _statements(node)
        yield from _calls(node)


def _mutable(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may be changed."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            is_elsewhere = isinstance(child, ast.If) and ast.unparse(child.test) in _ELSEWHERE
            if is_elsewhere and isinstance(node, ast.Module):
                for one in child.orelse:
                    yield from _mutable(one)
                continue
            is_typing = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            is_debugging = isinstance(child, ast.Expr) and ".debug(" in ast.unparse(child)
            is_alias = isinstance(child, ast.AnnAssign) and ast.unparse(child.annotation) == "TypeAlias"
            called = ast.unparse(child.func) if isinstance(child, ast.Call) else ""
            is_left_alone = called.rpartition(".")[2] in {"TypeVar", "ParamSpec", "lru_cache"}
            if (
                isinstance(child, ast.AST)
                and not isinstance(child, ast.JoinedStr)
                and not (is_typing or is_debugging or is_alias or is_left_alone)
            ):
                yield from _mutable(child)


def _operators(node: ast.AST) -> Iterator[_Change]:
    operator = getattr(node, "op", None)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        swapped = _SWAPPED[type(node.ops[0])]()
        yield _whole("compare", node, ast.Compare(node.left, [swapped], node.comparators))
    elif isinstance(node, ast.BoolOp):
        yield _whole("boolean", node, ast.BoolOp(_SWAPPED[type(node.op)](), node.values))
    elif isinstance(node, ast.BinOp) and type(operator) in _SWAPPED:
        yield _whole("arithmetic", node, ast.BinOp(node.left, _SWAPPED[type(node.op)](), node.right))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _whole("negate", node, node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _whole("constant", node, ast.Constant(not node.value))
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield _whole("constant", node, ast.Constant(node.value + 1))


def _conditions(node: ast.AST) -> Iterator[_Change]:
    tests = [node.test] if isinstance(node, ast.If | ast.While | ast.IfExp) else getattr(node, "ifs", [])
    for test in tests:
        # What `_operators` negates already: `is`, `==`, `in`, `not`.
        is_done = (
            isinstance(test, ast.Compare)
            and len(test.ops) == 1
            and not isinstance(test.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE)
        ) or isinstance(test, ast.UnaryOp | ast.Constant)
        if not is_done:
            yield _whole("negate", test, ast.UnaryOp(ast.Not(), test))


def _statements(node: ast.AST) -> Iterator[_Change]:
    match node:
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield ("delete", node, node, "pass")
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ("delete", node, node, "pass")
        case ast.Break():
            yield ("loop", node, node, "continue")
        case ast.Continue():
            yield ("loop", node, node, "break")
        case ast.Return(value=ast.expr() as value) if not (
            isinstance(value, ast.Constant) and value.value is None
        ):
            yield ("return", node, node, "return None")
        case ast.With(items=items) | ast.AsyncWith(items=items):
            for item in items:
                if item.optional_vars is None:
                    manager = "__import__('contextlib').nullcontext()"
                    yield ("with", item.context_expr, item.context_expr, manager)


def _calls(node: ast.AST) -> Iterator[_Change]:
    if not isinstance(node, ast.Call):
        return
    for keyword in node.keywords:
        if keyword.arg:
            others = [each for each in node.keywords if each is not keyword]
            yield _whole(f"drop {keyword.arg}", node, ast.Call(node.func, node.args, others))
    if ast.unparse(node.func).rpartition(".")[2].strip("_") == "shield" and len(node.args) == 1:
        yield _whole("unshield", node, node.args[0])


def _whole(operator: str, node: ast.expr, new: ast.expr) -> _Change:
    return (operator, node, node, f"({ast.unparse(new)})")

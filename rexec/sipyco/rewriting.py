"""Changes the imports of the reference library in a source text to ours; all else stays as it is, byte for byte."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from devicedb.output import lines_of
from rexec.sipyco._counterparts import COUNTERPARTS, REFERENCE, missing

_NAMED: Final = re.compile(rf"{REFERENCE}(\.\w+)+")


@dataclass(frozen=True)
class Remark:
    """What has no counterpart, or must be looked at."""

    line: int
    text: str


@dataclass(frozen=True)
class Rewritten:
    """A source text with our imports.

    Args:
        text: The text.
        changes: How many statements and names were changed.
        remarks: What was left as it is.

    """

    text: str
    changes: int
    remarks: list[Remark]


@dataclass(frozen=True)
class _Edit:
    start: tuple[int, int]
    """Line from 1, and column in characters from 0."""
    end: tuple[int, int]
    text: str


def rewrite(source: str) -> Rewritten:
    """Return a source text whose imports of the reference library are those of ours.

    Args:
        source: Of a module, in Python 3.

    Raises:
        SyntaxError: It is no Python 3.

    """
    lines = lines_of(source)
    tree = ast.parse(source)
    finder = _ImportVisitor(lines, _module_tokens(source))
    finder.visit(tree)
    for edit in sorted(finder.edits, key=lambda edit: edit.start, reverse=True):
        _apply(lines, edit)
    return Rewritten("".join(lines), len(finder.edits), sorted(finder.remarks, key=lambda each: each.line))


def _apply(lines: list[str], edit: _Edit) -> None:
    (first, begin), (last, end) = edit.start, edit.end
    lines[first - 1 : last] = [lines[first - 1][:begin] + edit.text + lines[last - 1][end:]]


def _module_tokens(source: str) -> dict[int, list[tokenize.TokenInfo]]:
    """Return the tokens of each `from … import` up to its `import`, by the line and column of `from`."""
    found: dict[int, list[tokenize.TokenInfo]] = {}
    current: list[tokenize.TokenInfo] | None = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.string == "from" and current is None:
            current = []
            found[token.start[0] << 20 | token.start[1]] = current
        elif current is not None and token.string == "import":
            current = None
        elif current is not None and token.type in (tokenize.NAME, tokenize.OP):
            current.append(token)
        elif token.type == tokenize.NEWLINE:
            current = None
    return found


class _ImportVisitor(ast.NodeVisitor):
    def __init__(self, lines: list[str], tokens: dict[int, list[tokenize.TokenInfo]]) -> None:
        self.edits: list[_Edit] = []
        self.remarks: list[Remark] = []
        self._lines = lines
        self._tokens = tokens

    def _at(self, line: int, column: int) -> tuple[int, int]:
        """Return a position in characters; the syntax tree counts bytes of UTF-8."""
        return line, len(self._lines[line - 1].encode()[:column].decode())

    def _span(self, node: ast.stmt | ast.expr) -> tuple[tuple[int, int], tuple[int, int]]:
        start = self._at(node.lineno, node.col_offset)
        return start, self._at(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        package, _, module = (node.module or "").partition(".")
        if package != REFERENCE or node.level:
            return
        lacking = [
            (alias, text)
            for alias in node.names
            if (text := missing(alias.name) if not module else _lacking(module, alias.name)) is not None
        ]
        if lacking:
            self.remarks += [Remark(alias.lineno, text) for alias, text in lacking]
            return
        if module:
            self._replace_module(node, COUNTERPARTS[module])
            return
        homes = {COUNTERPARTS[alias.name].rpartition(".")[0] for alias in node.names}
        same = all(COUNTERPARTS[alias.name].endswith(f".{alias.name}") for alias in node.names)
        if len(homes) == 1 and same:
            self._replace_module(node, homes.pop())
            return
        start, end = self._span(node)
        margin = self._lines[start[0] - 1][: start[1]]
        alone = not margin.strip() and not self._lines[end[0] - 1][end[1] :].strip()
        parts = ["from {} import {}".format(*_taken(alias)) for alias in node.names]
        line = self._lines[start[0] - 1]
        between = line[len(line.rstrip("\r\n")) :] + margin if alone else "; "
        self.edits.append(_Edit(start, end, between.join(parts)))

    def _replace_module(self, node: ast.ImportFrom, name: str) -> None:
        line, column = self._at(node.lineno, node.col_offset)
        tokens = self._tokens[line << 20 | column]
        self.edits.append(_Edit(tokens[0].start, tokens[-1].end, name))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            package, _, module = alias.name.partition(".")
            if package != REFERENCE:
                continue
            if not module:
                self.remarks.append(
                    Remark(node.lineno, f"import {REFERENCE}: import the modules that are used")
                )
            elif (text := missing(module)) is not None:
                self.remarks.append(Remark(node.lineno, text))
            else:
                start = self._at(alias.lineno, alias.col_offset)
                end = (start[0], start[1] + len(alias.name))
                self.edits.append(_Edit(start, end, COUNTERPARTS[module]))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.value.id == REFERENCE and node.attr in COUNTERPARTS:
            self.edits.append(_Edit(*self._span(node), COUNTERPARTS[node.attr]))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and _NAMED.fullmatch(node.value):
            self.remarks.append(
                Remark(node.lineno, f"the text {node.value!r} names a module: is it imported by it?")
            )


def _lacking(module: str, name: str) -> str | None:
    """Return why a name that is imported has no counterpart; None if it has one."""
    return missing(module) or (None if name == "*" else missing(module, name))


def _taken(alias: ast.alias) -> Iterator[str]:
    """Yield where a module of ours is, and as what it is imported."""
    home, _, name = COUNTERPARTS[alias.name].rpartition(".")
    bound = alias.asname or alias.name
    yield home
    yield name if bound == name else f"{name} as {bound}"

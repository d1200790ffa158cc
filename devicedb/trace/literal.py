"""Draws a file that only assigns one display of constants to `device_db`, in pieces and without running it.

The syntax tree of a display takes some fifty times the memory of its text. A piece of whole lines that parses as a
display of its own and ends with a comma has the same nodes in the whole display, so the trees of the pieces are enough.
Where anything is out of the ordinary (another statement, a name, a key that is written twice), the file is run.
"""

import ast
import re
import warnings
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring_ascii
from math import isfinite
from typing import Any, Final

from devicedb.trace.instrument import is_literal
from devicedb.trace.sites import SiteTable

PIECE: Final = 1 << 13
"""Bytes of source after which a piece ends at the next entry."""
MAX_DEPTH: Final = 40
"""Levels of displays; the picture of a file that is run leaves out what is deeper than 60."""
_MAX_BITS: Final = 10_000
"""Longer integers may have no decimal digits."""

_OPENING: Final = re.compile(rb"^device_db[ \t]*=[ \t]*\{[ \t]*(?:#[^\n]*)?\n", re.MULTILINE)
_CLOSING: Final = re.compile(rb"^\}", re.MULTILINE)
_AFTER: Final = re.compile(rb",(?:[ \t\n]|#[^\n]*\n)*")
"""After the last value of a piece that another follows."""
_INDENT: Final = re.compile(rb"^([ \t]*)[\"']", re.MULTILINE)


class NotLiteralError(Exception):
    """The file must be run."""


def draw_literal(
    source: bytes, file: str, sites: SiteTable, write: Callable[[list[str]], None]
) -> dict[str, Any]:
    """Return the picture's root, without its pairs; see `devicedb.trace.picture`.

    Args:
        source: The file's content.
        file: Its name, for the parser.
        sites: Gets the sites.
        write: Called with the pairs of the root, in order, as JSON.

    Raises:
        NotLiteralError: The file must be run, which also names its errors. Some pairs may have been written.

    """
    source = source.replace(b"\r\n", b"\n")
    head = source[: source.find(b"\n", source.find(b"\n") + 1)]
    opening = _OPENING.search(source)
    closing = opening and _CLOSING.search(source, opening.end())
    if not opening or not closing or b"\r" in source or b"coding" in head:
        raise NotLiteralError
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of the parser: running the file shows them at the right lines
            drawing = _Drawing(sites)
            root = drawing.outline(source, file, opening.end(), closing.start())
            for text, lines_before, is_last in _pieces(source, opening.end(), closing.start()):
                write(drawing.piece(text, lines_before, is_last))
    except (SyntaxError, ValueError, Warning, RecursionError, MemoryError):
        raise NotLiteralError from None
    return root


def _pieces(source: bytes, start: int, stop: int) -> Iterator[tuple[str, int, bool]]:
    """Cut the entries before lines that begin as the first entry; the parser tells whether that was right.

    Yields the text of a piece, the number of lines before it, and whether it is the last.
    """
    indent = _INDENT.search(source, start, stop)
    boundary = re.compile(rb",\n(?=" + (indent[1] if indent else b"") + rb"[\"'])")
    line = source.count(b"\n", 0, start)
    while True:
        cut = boundary.search(source, start + PIECE, stop)
        end = cut.end() if cut else stop
        yield source[start:end].decode(), line, cut is None
        if cut is None:
            return
        line += source.count(b"\n", start, end)
        start = end


class _Drawing:
    """Draws displays as `Painter` draws what running them makes, as JSON at once."""

    def __init__(self, sites: SiteTable) -> None:
        self.sites = sites
        self.lines_before = 0
        self.containers = 0
        self.names: set[object] = set()

    def outline(self, source: bytes, file: str, start: int, stop: int) -> dict[str, Any]:
        """Return the root; the file without the entries must be one assignment, and doc strings."""
        lines = source.count(b"\n", start, stop)
        tree = ast.parse(source[:start] + b"\n" * lines + source[stop:], file)
        others = [each for each in tree.body if not _is_constant_statement(each)]
        if len(others) != 1 or not isinstance(statement := others[0], ast.Assign):
            raise NotLiteralError
        value = statement.value
        is_display = isinstance(value, ast.Dict) and not value.keys and len(statement.targets) == 1
        first = source.count(b"\n", 0, start)
        if not is_display or (value.lineno, value.end_lineno) != (first, first + lines + 1):
            raise NotLiteralError
        return {"d": [], "s": self.site(value), "i": self.number()}

    def piece(self, text: str, lines_before: int, is_last: bool) -> list[str]:
        """Return the pairs of a piece."""
        node = ast.parse(f"{{\n{text}}}", mode="eval").body
        lines = text.count("\n")
        whole = (1, lines + 2, 1)
        if not isinstance(node, ast.Dict) or (node.lineno, node.end_lineno, node.end_col_offset) != whole:
            raise NotLiteralError
        if not is_last:
            end = node.values[-1] if node.values else node
            rest = text.encode().split(b"\n")[(end.end_lineno or 0) - 2 :]
            if not _AFTER.fullmatch(b"\n".join(rest)[end.end_col_offset or 0 :]):
                raise NotLiteralError
        self.lines_before = lines_before - 1
        return self.pairs(node, self.names, 0)

    def site(self, node: ast.expr) -> int:
        """Number the place of a node."""
        before = self.lines_before
        last = node.end_lineno or node.lineno
        return self.sites.append(
            (0, node.lineno + before, node.col_offset, last + before, node.end_col_offset or 0)
        )

    def number(self) -> int:
        """Number a container, before what it holds."""
        self.containers += 1
        return self.containers - 1

    def pairs(self, node: ast.Dict, seen: set[object], depth: int) -> list[str]:
        """Return key and value nodes of a display; a value without a site of its own has that of its slot."""
        found = []
        site, draw = self.site, self.node
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or key.value in seen:
                raise NotLiteralError
            seen.add(key.value)
            name = _text(key.value)
            found.append(f"[[{name},{site(key)}],{draw(value, None, depth + 1)}]")
        return found

    def node(self, node: ast.expr, site: int | None, depth: int) -> str:
        """Return the node of a value; `site` is that of the list that holds it."""
        if isinstance(node, ast.Constant):
            word = _WORDS.get(node.value) if node.value is None or type(node.value) is bool else None
            if word is not None:
                return f"[{word},{self.site(node) if site is None else site}]"
            return f"[{_text(node.value)},{self.site(node)}]"
        if isinstance(node, ast.Dict) and depth < MAX_DEPTH:
            where, number = self.site(node), self.number()
            return f'{{"d":[{",".join(self.pairs(node, set(), depth))}],"s":{where},"i":{number}}}'
        if isinstance(node, ast.List | ast.Tuple) and depth < MAX_DEPTH and node.elts:
            kind = "list" if isinstance(node, ast.List) else "tuple"
            where, number = self.site(node) if site is None else site, self.number()
            items = ",".join([self.node(each, where, depth + 1) for each in node.elts])
            return f'{{"l":[{items}],"k":"{kind}","s":{where},"i":{number}}}'
        if isinstance(node, ast.UnaryOp) and is_literal(node):
            return f"[{_text(ast.literal_eval(node))},{self.site(node)}]"
        raise NotLiteralError


_WORDS: Final = {None: "null", True: "true", False: "false"}


def _text(value: object) -> str:
    """Return a str, int or float as JSON."""
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(value)  # type: ignore[arg-type]
    if (kind is int and value.bit_length() <= _MAX_BITS) or (kind is float and isfinite(value)):  # type: ignore
        return repr(value)
    raise NotLiteralError


def _is_constant_statement(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)

"""A file's text and syntax tree, to find literals by their place and edit what is written there."""

import ast
import io
import tokenize
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from devicedb.model.fix import Edit
from devicedb.output import lines_of

Stretch = tuple[int, int, int, int]
"""First line and UTF-8 column, last line and column, as syntax trees count."""


class UneditableError(Exception):
    """Why a place is left alone; the message completes "left: …"."""


@dataclass(frozen=True)
class SourceText:
    """A file, decoded by its own encoding; line ends are kept as they are."""

    text: str
    encoding: str
    mark: bytes = b""
    """The byte order mark, if the file has one."""

    @classmethod
    def of(cls, data: bytes) -> "SourceText":
        """Decode a file.

        Raises:
            UneditableError: Its encoding is unknown, or does not give back the same bytes.

        """
        mark = BOM_UTF8 if data.startswith(BOM_UTF8) else b""
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data[len(mark) :]).readline)
            text = data[len(mark) :].decode(encoding)
            if text.encode(encoding) == data[len(mark) :]:
                return cls(text, encoding, mark)
        except (SyntaxError, ValueError, LookupError):
            pass
        raise UneditableError("its encoding cannot be written back")

    def encode(self) -> bytes:
        """Return the bytes of the file; UneditableError if its encoding lacks a character."""
        try:
            return self.mark + self.text.encode(self.encoding)
        except ValueError:
            raise UneditableError(f"its encoding, {self.encoding}, lacks a character of the edit") from None

    @cached_property
    def lines(self) -> list[str]:
        """The lines with their ends."""
        return lines_of(self.text)

    @cached_property
    def starts(self) -> list[int]:
        """Offset of each line, and of the end."""
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line))
        return starts

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; UneditableError if there is none."""
        try:
            return ast.parse(self.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise UneditableError("the file cannot be parsed") from None

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node that each node is part of."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def _by_stretch(self) -> dict[Stretch, list[ast.expr | ast.keyword]]:
        found: dict[Stretch, list[ast.expr | ast.keyword]] = {}
        for node in self.parents:
            if isinstance(node, ast.expr | ast.keyword):
                found.setdefault(stretch(node), []).append(node)
        return found

    def at(self, place: Stretch) -> ast.expr | ast.keyword | None:
        """Return the outermost expression, or keyword of a call, that is exactly there."""
        found = self._by_stretch.get(place)
        return found[0] if found else None

    def span(self, node: ast.expr | ast.keyword) -> tuple[int, int]:
        """Return the offsets of a node's first character and of the one after its last."""
        line, column, end_line, end_column = stretch(node)
        return self._offset(line, column), self._offset(end_line, end_column)

    def _offset(self, line: int, column: int) -> int:
        text = self.lines[line - 1]
        return self.starts[line - 1] + len(text.encode()[:column].decode())

    def edit(self, file: str, start: int, end: int, text: str) -> Edit:
        """Return the edit that replaces the characters from `start` to `end`."""
        return Edit(file, *self._position(start), *self._position(end), text)

    def _position(self, offset: int) -> tuple[int, int]:
        from bisect import bisect_right

        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def edited(self, edits: Sequence[Edit]) -> "SourceText":
        """Return the file with edits made; they must not overlap."""
        text, end = [], len(self.text)
        for each in sorted(edits, key=lambda edit: (edit.line, edit.column), reverse=True):
            stop = self.starts[each.end_line - 1] + each.end_column - 1
            text += [self.text[stop:end], each.text]
            end = self.starts[each.line - 1] + each.column - 1
        return SourceText("".join([self.text[:end], *reversed(text)]), self.encoding, self.mark)


def stretch(node: ast.expr | ast.keyword) -> Stretch:
    """Return where a node is."""
    return node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0


def is_one_token(text: str) -> bool:
    """Whether a literal is written as one string or number, with a sign at most: nothing joined, no comment inside."""
    try:
        found = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return False
    kinds = [each.type for each in found if each.string.strip()]
    return kinds in ([tokenize.STRING], [tokenize.NUMBER], [tokenize.OP, tokenize.NUMBER])

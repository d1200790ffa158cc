"""Turns the repair that a rule proposes into exact edits, or says why the place is left alone.

Edited is what is written literally and once: a constant in a dict or list, at the top level of the checked file.
"""

import ast
import re
from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Any, Final

from devicedb.check.source import SourceText, Stretch, UneditableError, is_one_token
from devicedb.model.database import CheckedDatabase
from devicedb.model.facts import FileFacts
from devicedb.model.fix import Change, Edit, Fix, Insert, Remove, Repair, Replace
from devicedb.model.located import Node

Piece = tuple[int, int, str]
"""Offsets of the characters to replace, and what replaces them."""

_MAKERS: Final[tuple[tuple[tuple[type[ast.AST], ...], str], ...]] = (
    ((ast.For, ast.AsyncFor, ast.While), "a loop makes it"),
    ((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), "a comprehension makes it"),
    ((ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda), "a function makes it"),
    ((ast.ClassDef,), "a class makes it"),
)


class FixMaker:
    """Makes the fixes of one check."""

    def __init__(
        self, facts: FileFacts, db: CheckedDatabase, read: Callable[[str], bytes], shown: str
    ) -> None:
        self.facts = facts
        self.db = db
        self.read = read
        self.shown = shown
        self.source: SourceText | None = None
        self.users: dict[Any, set[str]] | None = None

    def fix(self, repair: Repair, entries: Collection[str]) -> Fix:
        """Return the edits of a repair.

        Args:
            repair: What to do.
            entries: Names of all entries for which the same repair is proposed.

        """
        pieces: list[Piece] = []
        try:
            for change in repair.changes:
                pieces += self.pieces(change, entries)
            edits = self.edits(pieces)
        except UneditableError as reason:
            return Fix(repair.title, (), str(reason))
        return Fix(repair.title, edits)

    def edits(self, pieces: list[Piece]) -> tuple[Edit, ...]:
        """Return pieces as edits, sorted."""
        source = self.source
        assert source is not None  # noqa: S101  # made by `pieces`
        pieces.sort()
        if any(end > start for (_, end, _), (start, _, _) in pairwise(pieces)):
            raise UneditableError("its changes overlap")
        edits = tuple(source.edit(self.shown, *piece) for piece in pieces)
        source.edited(edits).encode()
        return edits

    def pieces(self, change: Change, entries: Collection[str]) -> list[Piece]:
        """Return what a change replaces; UneditableError if it cannot be made exactly."""
        place = self.facts.place(change.site)
        if place is None:
            raise UneditableError("where it is made is not known")
        if place.file != self.facts.path:
            raise UneditableError(f"it is made in another file, {place.file}")
        if self.source is None:
            self.source = SourceText.of(self.read(place.file))
        where = (place.line, place.column, place.end_line, place.end_column)
        others = sorted(self.users_of(change.site) - set(entries))
        if others:
            raise UneditableError(f"{others[0]!r} uses the same text, which is right there")
        if isinstance(change, Replace):
            return [_replace(self.source, where, change)]
        if isinstance(change, Remove):
            return _remove(self.source, where, change)
        return [_insert(self.source, where, change)]

    def users_of(self, site: int) -> set[str]:
        """Return the entries with a key or value that was made at the place of a site."""
        sites = self.facts.picture.get("sites", ())
        if self.users is None:
            self.users = {}
            for name, entry in self.db.entries.items():
                for each in {entry.key_site, *_sites(entry.node, set())}:
                    if 0 <= each < len(sites):
                        self.users.setdefault(tuple(sites[each]), set()).add(name)
        return self.users.get(tuple(sites[site]), set())


def _sites(node: Node, seen: set[int]) -> set[int]:
    found: set[int] = set()
    if id(node) not in seen:
        seen.add(id(node))
        found |= {node.site, *node.key_sites.values()}
        for child in node.children.values():
            found |= _sites(child, seen)
    return found


def _replace(source: SourceText, where: Stretch, change: Replace) -> Piece:
    node = source.at(where)
    constant = node.operand if isinstance(node, ast.UnaryOp) else node
    if node is None or not isinstance(constant, ast.Constant):
        raise UneditableError(_computed(node))
    start, end = source.span(node)
    text = source.text[start:end]
    if not is_one_token(text) or ast.literal_eval(text) != change.old:
        raise UneditableError("it is not written as one literal")
    _check_written_here(source, node)
    if isinstance(above := source.parents[node], ast.Dict) and node in above.keys:
        _check_set_once(source, change.old)
    return start, end, _literal(change.new, _quote_of(source, node))


def _remove(source: SourceText, where: Stretch, change: Remove) -> list[Piece]:
    display, index = _item(source, where, change.key)
    _, end = source.span(display.values[index])
    first, _ = source.span(display.keys[index])  # type: ignore[arg-type]  # _item has found it there
    text = source.text
    comma = _comma(text, first, end)
    line = max(text.rfind("\n", 0, first), text.rfind("\r", 0, first)) + 1
    rest = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n)").match(text, comma or end)
    if comma and text[end : comma - 1].strip(" \t"):  # a comment stands between the item and its comma
        return [(first, end, ""), (comma - 1, comma, "")]
    if rest and not text[line:first].strip(" \t"):
        return [(line, rest.end(), "")]
    if comma:
        end = comma + len(text[comma:]) - len(text[comma:].lstrip(" \t"))
        is_last_of_line = text[end : end + 1] in {"\r", "\n"}
        return [((len(text[:first].rstrip(" \t")) if is_last_of_line else first), end, "")]
    if index:
        _, last = source.span(display.values[index - 1])
        if re.fullmatch(r"\s*,\s*", text[last:first]):
            return [(last, end, "")]
    return [(first, end, "")]


def _comma(text: str, first: int, end: int) -> int | None:
    """The offset behind the comma of an item from `first` to `end`, None if it is the last one and has none.

    Raises:
        UneditableError: It is in parentheses: the syntax tree does not tell where they are.

    """
    before = text[:first].rstrip()[-1:]
    behind = re.compile(r"(?:\s|#[^\r\n]*)*(.)").match(text, end)
    if before == "(" or behind is None or behind[1] not in ",}":
        raise UneditableError("it is written in parentheses")
    return behind.end() if behind[1] == "," else None


def _insert(source: SourceText, where: Stretch, change: Insert) -> Piece:
    node = source.at(where)
    if not isinstance(node, ast.Dict):
        raise UneditableError(_computed(node))
    _check_written_here(source, node)
    if not node.keys or None in node.keys:
        raise UneditableError("** makes it" if node.keys else "it is empty")
    text = source.text
    places = [source.span(key)[0] for key in node.keys if key is not None]
    place = next((each for each in reversed(places) if not _has_comment_above(text, each)), places[0])
    quote = _quote_of(source, node)
    new = f"{_literal(change.key, quote)}: {_literal(change.value, quote)},"
    line = max(text.rfind("\n", 0, place), text.rfind("\r", 0, place)) + 1
    if text[line:place].strip(" \t"):
        return place, place, f"{new} "
    end = "\r\n" if text[:line].endswith("\r\n") else text[line - 1]
    return place, place, f"{new}{end}{text[line:place]}"


def _has_comment_above(text: str, place: int) -> bool:
    lines = text[:place].splitlines()
    return len(lines) > 1 and not lines[-1].strip() and lines[-2].strip().startswith("#")


def _item(source: SourceText, where: Stretch, key: str) -> tuple[ast.Dict, int]:
    """The dict display that a key is written in, and its index there."""
    node = source.at(where)
    if not isinstance(node, ast.Constant):
        raise UneditableError(_computed(node))
    display = source.parents[node]
    if not isinstance(display, ast.Dict) or node not in display.keys or node.value != key:
        raise UneditableError("it is not written as a key of a dict")
    _check_written_here(source, node)
    return display, display.keys.index(node)


def _check_written_here(source: SourceText, node: ast.expr | ast.keyword) -> None:
    """Refuse what is not part of a display at the top level."""
    above = source.parents[node]
    if isinstance(node, ast.Constant | ast.UnaryOp):
        in_slice = isinstance(above, ast.Subscript) and isinstance(above.ctx, ast.Store)
        set_item = isinstance(above, ast.Assign) and all(isinstance(t, ast.Subscript) for t in above.targets)
        if isinstance(above, ast.Assign | ast.AnnAssign) and not set_item:
            raise UneditableError("it is the value of a variable")
        if not isinstance(above, ast.Dict | ast.List | ast.Tuple) and not in_slice and not set_item:
            raise UneditableError(_computed(above))
    child: ast.AST = node
    while not isinstance(child, ast.Module):
        for kinds, reason in _MAKERS:
            if isinstance(child, kinds):
                raise UneditableError(reason)
        if isinstance(child, ast.Call) and not _merges(child):
            raise UneditableError("a call makes it")
        child = source.parents[child]


def _check_set_once(source: SourceText, key: Any) -> None:
    """Refuse a key of a display that a statement sets again."""
    for node in source.parents:
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            if isinstance(node.slice, ast.Constant) and node.slice.value == key:
                raise UneditableError(f"line {node.lineno} sets it again")


def _merges(call: ast.Call) -> bool:
    """Whether a call takes over the items of a dict: `x.update(...)`, `dict(...)`."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"update", "dict"}


def _computed(node: ast.AST | None) -> str:
    if isinstance(node, ast.keyword):
        return "dict() or another call makes it"
    if isinstance(node, ast.Call):
        return "a call makes it"
    if isinstance(node, ast.JoinedStr):
        return "an f-string makes it"
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return "a comprehension makes it"
    return "it is computed"


def _quote_of(source: SourceText, node: ast.expr | ast.keyword) -> str:
    """The quote of the string, or of the strings around."""
    while not isinstance(node, ast.Dict | ast.stmt):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return source.text[source.span(node)[1] - 1]
        node = source.parents[node]  # type: ignore[assignment]
    keys = node.keys if isinstance(node, ast.Dict) else []
    named = (key for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
    return next((source.text[source.span(key)[1] - 1] for key in named), '"')


def _literal(value: Any, quote: str) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_literal(each, quote) for each in value)}]"
    if isinstance(value, str) and value.isprintable() and not set(value) & {quote, "\\"}:
        return f"{quote}{value}{quote}"
    return repr(value)

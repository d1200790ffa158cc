"""Makes mutants of the databases of the corpus: one fault each, at a known line, with the rule that must find it."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devicedb.rules.examples import split

CORPUS = Path(__file__).with_name("corpus")
ARTIQ = "artiq.coredevice."


@dataclass(frozen=True)
class Mutant:
    """A database with one fault: `code` must be reported in line `line` of `file`."""

    database: str
    code: str
    what: str
    file: str
    line: int
    files: Mapping[str, str]


@dataclass(frozen=True)
class Written:
    """An entry as a file writes it: a display, or a call of dict."""

    node: ast.Dict | ast.Call
    keys: dict[str, ast.expr] = field(default_factory=dict)
    values: dict[str, ast.expr] = field(default_factory=dict)

    def constant(self, key: str) -> Any:
        """The value of a field that is written as a constant, else None."""
        value = self.values.get(key)
        return value.value if isinstance(value, ast.Constant) else None

    @property
    def kind(self) -> str:
        """The type of the entry, "" where it is computed or there is none."""
        return str(self.constant("type") or "")


class Text:
    """One file of a database, and edits of it."""

    def __init__(self, database: str, name: str, files: Mapping[str, str]) -> None:
        self.database = database
        self.name = name
        self.files = files
        self.text = files[name]
        self.tree = ast.parse(self.text)
        self.starts = [0]
        for line in self.text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def span(self, node: ast.expr) -> tuple[int, int]:
        """Offsets of a node; the corpus is ASCII."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self.starts[node.lineno - 1] + node.col_offset
        return start, self.starts[node.end_lineno - 1] + node.end_col_offset

    def edited(self, code: str, what: str, line: int, start: int, end: int, new: str) -> Mutant:
        """The mutant in which a stretch of the text is another."""
        text = self.text[:start] + new + self.text[end:]
        return Mutant(self.database, code, what, self.name, line, {**self.files, self.name: text})

    def replaced(self, code: str, what: str, node: ast.expr, new: str) -> Mutant:
        """The mutant in which a node is another."""
        return self.edited(code, what, node.lineno, *self.span(node), new)

    def removed(self, code: str, entry: Written, key: str, line: int) -> Mutant:
        """The mutant in which a field of an entry is not there."""
        if isinstance(entry.node, ast.Dict):
            start = self.span(entry.keys[key])[0]
        else:
            start = self.text.rindex(key, 0, self.span(entry.values[key])[0])
        end = self.span(entry.values[key])[1]
        end += re.match(r"\s*,?[ ]*", self.text[end:]).end()  # type: ignore[union-attr]
        return self.edited(code, f"remove {key}", line, start, end, "")

    def inserted(self, code: str, entry: Written, key: str, value: str) -> Mutant:
        """The mutant in which an entry has a further field, in its first line."""
        start = self.span(entry.node)[0]
        start += 1 if isinstance(entry.node, ast.Dict) else len("dict(")
        pair = f'"{key}": {value}, ' if isinstance(entry.node, ast.Dict) else f"{key}={value}, "
        return self.edited(code, f"add {key}", entry.node.lineno, start, start, pair)

    def appended(self, code: str, what: str, new: str, line: int | None = None) -> Mutant:
        """The mutant with more at its end."""
        end = len(self.text)
        return self.edited(code, what, line or len(self.starts), end, end, new + "\n")

    def key_edited(self, code: str, what: str, entry: Written, key: str, new: str) -> Mutant:
        """The mutant in which the key of a field is another."""
        if isinstance(entry.node, ast.Dict):
            return self.replaced(code, what, entry.keys[key], f'"{new}"')
        start = self.text.rindex(key, 0, self.span(entry.values[key])[0])
        return self.edited(code, what, entry.values[key].lineno, start, start + len(key), new)


def displays(tree: ast.AST) -> Iterator[Written]:
    """Every dict that a file writes as a display with constant keys, or as a call of dict."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = {k.value: k for k in node.keys if isinstance(k, ast.Constant) and isinstance(k.value, str)}
            values = {
                k.value: v
                for k, v in zip(node.keys, node.values, strict=True)
                if isinstance(k, ast.Constant) and isinstance(k.value, str)
            }
            yield Written(node, dict(keys), values)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
            given = {each.arg: each.value for each in node.keywords if each.arg}
            yield Written(node, dict(given), given)


def texts() -> Iterator[Text]:
    """Every Python file of every database of the corpus."""
    for path in sorted(CORPUS.glob("*.ddb")):
        files = split(path.read_text(encoding="utf-8"))
        for name, text in files.items():
            if name.endswith(".py") and text.strip():
                yield Text(path.stem, name, files)


def mutants() -> Iterator[Mutant]:
    """Every mutant of every database."""
    from tests.devicedb import mutations, mutations_between

    for text in texts():
        for entry in displays(text.tree):
            for mutate in mutations.ENTRY:
                yield from mutate(text, entry)
        for mutate_file in mutations.FILE:
            yield from mutate_file(text)
    for path in sorted(CORPUS.glob("*.ddb")):
        for mutate_database in mutations_between.DATABASE:
            yield from mutate_database(path.stem, split(path.read_text(encoding="utf-8")))

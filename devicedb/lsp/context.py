"""Where a position is: in which string, as a key or a value of which dict, or as an argument of which call.

A syntax tree would not do: text that is being typed has none. Brackets, strings and punctuation are enough, and a
bracket that closes before the position is skipped in one step.
"""

import ast
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

ROOT: Final = "device_db"

_TEXT: Final = (
    r"[rRbBuUfF]{0,2}+(?:"
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)'
    r"|'''(?:[^'\\]|\\.|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\r\n]|\\.)*+"?'
    r"|'(?:[^'\\\r\n]|\\.)*+'?)"
)
_COMMENT: Final = r"\#[^\r\n]*+"


def _balanced(depth: int) -> str:
    """Pattern of a bracket that closes again, with so many levels of brackets inside."""
    inner = f"|{_balanced(depth - 1)}" if depth else ""
    return rf"""[\[({{](?>[^\[\](){{}}"'\#]++|(?:{_TEXT})|{_COMMENT}{inner})*+[\])}}]"""


_BALANCED: Final = re.compile(_balanced(5), re.DOTALL)
_TOKEN: Final = re.compile(
    rf"(?P<text>{_TEXT})|(?P<comment>{_COMMENT})|(?P<word>[^\W\d]\w*+)|(?P<mark>[^\w\s])|(?P<end>\r\n|\r|\n)|\d[\w.]*+",
    re.DOTALL,
)
_INDEX: Final = re.compile(r"\[\s*([\"'])(.*)\1\s*\]", re.DOTALL)
"""An index that is one string."""
_CLOSED: Final = re.compile(r"[rRbBuUfF]*(\"\"\"|'''|\"|')(?:.*)\1\Z", re.DOTALL)


class Role(Enum):
    """What a word at a position is for."""

    KEY = "key"
    VALUE = "value"
    ARGUMENT = "argument"
    """The first argument of a call, or its argument `key`."""


@dataclass
class Bracket:
    """An open bracket: a dict (also `dict(...)`), a call, or a list of values."""

    kind: str
    """"dict", "call" or "list"."""
    path: tuple[str, ...]
    """The names that lead to it: `("device_db", "camera", "arguments")`; it starts with "" for another variable."""
    call: str = ""
    """Name of the function of a call."""
    is_keyword_dict: bool = False
    """Written `dict(key=value)`."""
    key: str = ""
    is_value: bool = False
    """Whether what follows is a value, not a key."""
    index: int = 0
    """Number of commas so far."""
    items: dict[str, str] = field(default_factory=dict)
    """Keys with their values; "" for a value that is no plain string."""


@dataclass(frozen=True)
class Context:
    """What is at a position."""

    role: Role
    text: str
    """The string there, or what is there of a word."""
    offset: int
    """The position."""
    typed: str
    """What of the text stands before the position."""
    start: int
    end: int
    """Offsets of the text, quotes left out: what a completion replaces."""
    is_quoted: bool
    """Whether the position is in a string."""
    key: str
    """The key whose value is here."""
    bracket: Bracket
    entry: Bracket | None
    """The dict of the entry around."""

    @property
    def is_name(self) -> bool:
        """Whether a name of the database is defined here."""
        return self.role is Role.KEY and self.bracket.path == (ROOT,)

    @property
    def is_alias(self) -> bool:
        """Whether the value of a name is here; a string is the target of an alias."""
        return self.role is Role.VALUE and self.bracket.kind == "dict" and self.bracket.path == (ROOT,)

    @property
    def is_of_arguments(self) -> bool:
        """Whether this is in the arguments of an entry."""
        return self.bracket.path[-1] == "arguments" and self.entry is not None


def context_at(source: str, offset: int) -> Context | None:
    """Return what is at an offset, None in a comment and outside of all brackets and assignments."""
    return _BracketScan(source, offset).result()


class _BracketScan:
    def __init__(self, source: str, offset: int) -> None:
        self.source = source
        self.offset = offset
        self.open: list[Bracket] = []
        self.statement: list[str] = []
        self.last = ""  # the token before
        self.found: Context | None = None
        self.is_found = False
        self.depth = 0  # of brackets that must close until all keys around the position are known

    def result(self) -> Context | None:
        position = 0
        while token := _TOKEN.search(self.source, position):
            start, end = token.span()
            if not self.is_found and start >= self.offset and not (token["text"] and start == self.offset):
                self.find_between()
            if self.is_found and (self.found is None or len(self.open) <= self.depth):
                return self.found
            text = token[0]
            if token["comment"]:
                if start < self.offset <= end:
                    return None
            elif token["end"]:
                if not self.open:
                    self.statement.clear()
            else:
                if token["text"]:
                    self.string(text, start, end)
                elif token["word"]:
                    self.word(text, start, end)
                elif text in "([{":
                    is_whole = text == "{" and not self.open and self.statement[:1] == [ROOT]
                    skipped = None if is_whole else _BALANCED.match(self.source, start)
                    if skipped and (skipped.end() <= self.offset or self.is_found):
                        end, text = skipped.end(), skipped[0]
                    else:
                        self.enter(text)
                elif text in ")]}":
                    if self.open:
                        self.open.pop()
                elif self.open:
                    self.mark(text)
                if not self.open:
                    self.statement.append(text)
                self.last = text
            position = end
        if not self.is_found:
            self.find_between()
        return self.found

    def string(self, text: str, start: int, end: int) -> None:
        closed = _CLOSED.match(text)
        quote = closed[1] if closed else re.sub(r"[rRbBuUfF]*", "", text, count=1)[:1]
        first = start + text.index(quote) + len(quote)
        last = end - len(quote) if closed else end
        if not self.is_found and (start <= self.offset < end or first <= self.offset <= last):
            # A string that is not closed may have taken in what belongs behind it.
            content = self.source[first:last] if closed else self.source[first:last].rstrip(" ,)]}")
            self.find(
                _value(text, content), first, last if closed else max(first, self.offset), is_quoted=True
            )
        if self.open:
            self.take(_value(text, self.source[first:last]), is_text=True)

    def word(self, text: str, start: int, end: int) -> None:
        if not self.is_found and start < self.offset <= end:
            self.find(text[: self.offset - start], start, end, is_quoted=False)
        if self.open:
            self.take(text, is_text=False)

    def take(self, text: str, *, is_text: bool) -> None:
        """Note a key, or a value."""
        bracket = self.open[-1]
        if bracket.kind == "dict" and not bracket.is_value and is_text != bracket.is_keyword_dict:
            bracket.key = text
        elif bracket.kind == "dict" and bracket.is_value and self.last in {":", "="}:
            bracket.items[bracket.key] = text if is_text else ""
        elif bracket.kind == "call" and not is_text:
            bracket.key = text

    def mark(self, text: str) -> None:
        bracket = self.open[-1]
        if text == ",":
            bracket.is_value = bracket.kind == "list"
            bracket.index += 1
            if bracket.kind != "list":
                bracket.key = ""
        elif bracket.kind == "dict" and text == ("=" if bracket.is_keyword_dict else ":"):
            bracket.is_value = True
            bracket.items[bracket.key] = ""

    def enter(self, text: str) -> None:
        around = self.open[-1] if self.open else None
        path: tuple[str, ...] = ("",)
        key = ""
        if around is not None:
            path, key = around.path, around.key
            if around.kind == "dict" and around.is_value:
                path = (*path, key)
        elif self.statement[:1] == [ROOT]:
            path = self.target()
        is_word = self.last.isidentifier() and bool(around or self.statement)
        if text == "{":
            self.open.append(Bracket("dict", path))
        elif text == "[":
            if around is None and self.statement == [ROOT]:  # device_db["name"]
                self.open.append(Bracket("dict", (ROOT,)))
            else:
                self.open.append(Bracket("list", around.path if around else path, key=key, is_value=True))
        elif is_word and self.last == "dict":
            self.open.append(Bracket("dict", path, is_keyword_dict=True))
        elif is_word:
            self.open.append(Bracket("call", path, call=self.last))
        else:
            self.open.append(Bracket("list", around.path if around else path, key=key, is_value=True))

    def target(self) -> tuple[str, ...]:
        """What a statement that begins with `device_db` assigns to."""
        index = self.statement[1] if len(self.statement) > 1 else ""
        if not index.startswith("["):
            return (ROOT,)
        name = _INDEX.fullmatch(index)
        return (ROOT, _value(name[0], name[2]) if name else "")

    def find(self, text: str, start: int, end: int, *, is_quoted: bool) -> None:
        self.is_found = True
        typed = self.source[start : self.offset]
        if not self.open:
            if self.statement[:1] == [ROOT] and self.last == "=" and len(self.target()) == 2:
                bracket = Bracket("dict", (ROOT,))
                self.found = Context(
                    Role.VALUE,
                    text,
                    self.offset,
                    typed,
                    start,
                    end,
                    is_quoted,
                    self.target()[1],
                    bracket,
                    entry=None,
                )
            return
        bracket = self.open[-1]
        entry_at = next((i for i, each in enumerate(self.open) if is_entry(each)), None)
        self.depth = len(self.open) if entry_at is None else entry_at
        entry = None if entry_at is None else self.open[entry_at]
        role = Role.VALUE if bracket.is_value else Role.KEY
        if bracket.kind == "call":
            if bracket.index and bracket.key != "key":
                return
            role = Role.ARGUMENT
        self.found = Context(
            role, text, self.offset, typed, start, end, is_quoted, bracket.key, bracket, entry
        )

    def find_between(self) -> None:
        self.find("", self.offset, self.offset, is_quoted=False)
        if self.last not in _BEGINNINGS:
            self.found = None


_BEGINNINGS: Final = frozenset({"{", "[", "(", ",", ":", "="})


def is_entry(bracket: Bracket) -> bool:
    """Whether a bracket is the dict of an entry: one of the database, or any dict that is in no other."""
    return bracket.kind == "dict" and len(bracket.path) == (2 if bracket.path[0] == ROOT else 1)


def _value(token: str, content: str) -> str:
    """The text that a string stands for; its content where that cannot be told."""
    if "\\" not in token:
        return content
    try:
        value = ast.literal_eval(token)
    except (SyntaxError, ValueError):
        return content
    return value if isinstance(value, str) else content

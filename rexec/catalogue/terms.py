"""The text of a query as terms, each with its place in the text: `class=Ramsey phase>0.1 "bad fit"`. Pure."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from devicedb.printable import printable
from rexec.results.errors import ResultsError

OPERATORS: Final = ("<=", ">=", "!=", "=", "<", ">", "~")

MOST_TERMS: Final = 50
"""Maximum number of terms of a query."""

MOST_WORDS: Final = 200
"""Maximum number of values of one term (`rid=1,2,3`)."""

BACKWARDS: Final = "the range ends before it begins"

_JOINING: Final = {
    "and": "all terms must be true, without a word between them",
    "or": "alternatives are commas, such as class=Ramsey,Rabi",
    "not": "what must not be true is !=, such as class!=Ramsey",
}
"""Words of other languages of queries, and what is written here instead."""

_NAME: Final = re.compile(r'"(?P<quoted>[^"]*)"|(?P<plain>[^\s=<>!~"]+)')
_OPERATOR: Final = re.compile(r"\s*(?P<operator><=|>=|!=|==|=|<|>|~)\s*")
_VALUE: Final = re.compile(r'(?:[^\s"]|"[^"]*")+')
_PIECE: Final = re.compile(r'"(?P<quoted>[^"]*)"|(?P<comma>,)|(?P<plain>[^",]+)')


class QueryError(ResultsError):
    """Raised when a query is not understood; the text says where, and what is known."""


@dataclass(frozen=True)
class Word:
    """A value as it was written.

    Attributes:
        text: The text, without quotes.
        is_quoted: Whether it was in quotes: then it is text, whatever it looks like.
        place: Where it begins in the query.

    """

    text: str
    is_quoted: bool
    place: int


@dataclass(frozen=True)
class Term:
    """One condition.

    Attributes:
        name: What it is about; "" for free text.
        operator: One of `OPERATORS`.
        words: The values; one of them must fit.
        place: Where it begins in the query.

    """

    name: str
    operator: str
    words: tuple[Word, ...]
    place: int


def refusal(query: str, place: int, what: str) -> QueryError:
    """Return the error that says what is wrong at a place of a query."""
    rest = query[place : place + 40]
    here = f"at {printable(rest)!r}" if rest.strip() else "at its end"
    return QueryError(f"query not understood {here} (character {place + 1}): {what}")


def terms(query: str) -> Iterator[Term]:
    """Yield the terms of a query.

    Raises:
        QueryError: It is none.

    """
    place = 0
    count = 0
    while True:
        place += len(query[place:]) - len(query[place:].lstrip())
        if place >= len(query):
            return
        count += 1
        if count > MOST_TERMS:
            raise refusal(query, place, f"it has over {MOST_TERMS} terms")
        name = _NAME.match(query, place)
        if name is None:
            raise refusal(query, place, _missing_name(query, place))
        operator = _OPERATOR.match(query, name.end())
        if operator is None:
            if name.end() < len(query) and not query[name.end()].isspace():
                raise refusal(query, name.end(), _missing_name(query, name.end()))
            text = name["plain"] if name["quoted"] is None else name["quoted"]
            if name["quoted"] is None and text.casefold() in _JOINING:
                raise refusal(
                    query, place, f'{_JOINING[text.casefold()]}; "{text}" in quotes looks for the word'
                )
            yield Term("", "~", (Word(text, True, place),), place)
            place = name.end()
            continue
        value = _VALUE.match(query, operator.end())
        if value is None:
            if query[operator.end() : operator.end() + 1] == '"':
                raise refusal(query, operator.end(), 'a quote (") is never closed')
            raise refusal(query, operator.end(), f"a value is missing after {operator['operator']}")
        if value.end() < len(query) and query[value.end()] == '"':
            raise refusal(query, value.end(), 'a quote (") is never closed')
        given = name["plain"] if name["quoted"] is None else name["quoted"]
        sign = "=" if operator["operator"] == "==" else operator["operator"]
        yield Term(given, sign, _words(query, value, operator.end(), sign), place)
        place = value.end()


def pattern(query: str, word: Word) -> Callable[[str], bool]:
    """Return whether a text is a word; `*` in a word without quotes stands for any characters.

    Raises:
        QueryError: It has too many `*`.

    """
    if word.is_quoted or "*" not in word.text:
        return lambda text: text == word.text
    parts = word.text.split("*")
    if len(parts) > 4:
        raise refusal(query, word.place, "a value has at most three *")

    def fits(text: str) -> bool:
        if not text.startswith(parts[0]):
            return False
        place = len(parts[0])
        for part in parts[1:-1]:
            place = text.find(part, place)
            if place < 0:
                return False
            place += len(part)
        return text.endswith(parts[-1]) and len(text) - len(parts[-1]) >= place

    return fits


def _missing_name(query: str, place: int) -> str:
    if query[place] == '"':
        return 'a quote (") is never closed'
    return f"a name is missing before {query[place]}; write NAME=VALUE, with one of {' '.join(OPERATORS)}"


def _words(query: str, value: "re.Match[str]", start: int, operator: str) -> tuple[Word, ...]:
    """Return the values of a term, between commas; text that is looked for may have commas."""
    if operator == "~":
        text = value[0].replace('"', "")
        if not text:
            raise refusal(query, start, "the text to look for is empty")
        return (Word(text, True, start),)
    words: list[Word] = []
    text, quoted, begin = "", False, start
    for piece in _PIECE.finditer(value[0]):
        if piece["comma"]:
            words.append(Word(text, quoted, begin))
            text, quoted, begin = "", False, start + piece.end()
        else:
            quoted = quoted or piece["quoted"] is not None
            text += piece["plain"] if piece["quoted"] is None else piece["quoted"]
    words.append(Word(text, quoted, begin))
    if len(words) > MOST_WORDS:
        raise refusal(query, start, f"a term has at most {MOST_WORDS} values")
    for word in words:
        if not word.text and not word.is_quoted:
            raise refusal(query, word.place, "a value is missing between commas")
    return tuple(words)

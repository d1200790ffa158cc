"""What notebooks show of an object: a heading, facts, and a table. All text is escaped; there is no script in it."""

from collections.abc import Iterable, Sequence
from html import escape

from devicedb.printable import printable

__all__ = ["facts", "heading", "table", "text_block"]


def heading(text: str, detail: str = "") -> str:
    """Return a line with a name in bold, and what is said of it."""
    return f"<div><b>{_cell(text)}</b> {_cell(detail)}</div>"


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """Return names and values as a table without borders; those without a value are left out."""
    return table((), [(name, value) for name, value in rows if value not in (None, "")])


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table, its cells aligned to the left."""
    top = "".join(f'<th style="text-align:left">{_cell(each)}</th>' for each in headings)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{_cell(each)}</td>' for each in row) + "</tr>"
        for row in rows
    )
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if headings else ''}<tbody>{body}</tbody></table>"


def text_block(text: str) -> str:
    """Return text as it is, in lines."""
    return f"<pre>{escape(printable(text, keep=chr(10) + chr(9)))}</pre>"


def _cell(value: object) -> str:
    return escape(printable(str(value)))

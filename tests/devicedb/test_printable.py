"""Text from elsewhere, shown: no character of it controls a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicedb.printable import printable


@given(st.text(st.characters()))
def test_what_is_shown_is_printable(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    printable(text).encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("camera", "camera"),
        ("größe µ 光", "größe µ 光"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r", "a\\nb\\r"),
        ("\u202eabc", "\\u202eabc"),
        ("\ud800", "\\ud800"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_line_breaks_may_be_kept() -> None:
    assert printable("a\n\tb\x07", keep="\n\t") == "a\n\tb\\x07"

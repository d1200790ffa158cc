"""Makes text from elsewhere (peers, files, instruments) safe to show at a terminal, in a log or on a page."""

import re
from typing import Final

__all__ = ["LINES", "inset", "printable"]

LINES: Final = "\n\t"
"""What text of several lines keeps when it is made printable."""


def printable(text: str, keep: str = "") -> str:
    r"""Return text in which each character that is not printable stands as its escape, as `repr` writes it.

    Control characters move the cursor, change colours or start a new line of a log; bidirectional controls reorder
    what stands around them; lone surrogates cannot be encoded.

    Args:
        text: Any text.
        keep: Characters to leave as they are: `LINES` where several lines are shown.

    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def inset(text: str) -> str:
    """Return a message with all its lines but the first indented (those that are not), printable otherwise.

    A line break that a stranger wrote into it then begins no line that looks like another message.
    """
    return re.sub(r"\n(?! )", "\n    ", printable(text, keep=LINES))


def _escape(char: str) -> str:
    return repr(char)[1:-1]

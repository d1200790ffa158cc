"""The errors that a user can act on, and how they look on one line of a terminal."""

from typing import Final

EXPECTED_ERRORS: Final[tuple[type[Exception], ...]] = ()
"""Base classes of every error that bad input or a bad peer can cause; their text is the whole message."""


def render(error: Exception) -> str:
    """Return the message of an expected error for the terminal."""
    return str(error)

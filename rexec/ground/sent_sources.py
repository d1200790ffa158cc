"""Tells a run which source text it sends to controllers, so that it can keep that with its results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

Note: TypeAlias = Callable[[str], None]

_notes: Final[list[Note]] = []
"""Every operation on it is atomic, so that no lock can be held by a thread that a fork left behind."""


@contextmanager
def noting_sources(note: Note) -> Iterator[None]:
    """Have something called with each source text that this process sends to a controller meanwhile.

    Args:
        note: Called from the thread that has sent it; the same text may come again.

    """
    _notes.append(note)
    try:
        yield
    finally:
        _notes.remove(note)


def note_sent(text: str) -> None:
    """Tell of a source text that was sent."""
    for note in _notes:
        note(text)

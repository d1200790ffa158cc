"""Prints text at a terminal; what a terminal would obey is shown as an escape (see `devicedb.printable`)."""

import errno
import os
import sys
import threading
import traceback
from types import TracebackType

from devicedb.output import print_document
from devicedb.printable import LINES, inset, printable

__all__ = ["say", "say_document", "say_error", "say_lines", "say_unbuffered", "show_failures"]


def say(text: object = "", *, flush: bool = False) -> None:
    """Print one line; line breaks in it are escaped, too.

    Args:
        text: The line; strangers may have written parts of it.
        flush: Whether to write it at once.

    """
    print(printable(str(text)), flush=flush)


def say_lines(text: str, *, end: str = "\n", flush: bool = False) -> None:
    """Print text of several lines. Its line breaks are obeyed: a stranger's part of it must have none."""
    print(printable(text, keep=LINES), end=end, flush=flush)


def say_document(text: str, *, end: str = "\n") -> None:
    """Print what programs read (see `print_document`), without what a terminal would obey."""
    print_document(printable(text, keep=LINES) + end)


def say_unbuffered(text: str) -> None:
    """Print as `say_lines` does, but past the buffer of standard output.

    A thread that waits in a write for a reader holds the lock of the buffer, for which the end of a program waits, too.
    """
    encoded = f"{printable(text, keep=LINES)}\n".replace("\n", os.linesep).encode(
        sys.stdout.encoding, sys.stdout.errors or "strict"
    )
    buffer = sys.stdout.buffer
    pipe = getattr(buffer, "raw", buffer)  # without a buffer (python -u), it is the pipe itself
    left = memoryview(encoded)
    while left:
        written = pipe.write(left)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        left = left[written:]


def say_error(text: object) -> None:
    """Print a message to standard error; all but its first line are indented (see `devicedb.printable.inset`)."""
    print(inset(str(text)), file=sys.stderr)


def show_failures() -> None:
    """Print the tracebacks of this process, also those of threads, as `say_lines` prints text."""
    sys.excepthook = _shown
    threading.excepthook = _shown_thread


def _shown(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    if sys.stderr is not None:
        text = "".join(traceback.format_exception(kind, error, frames))
        print(printable(text, keep=LINES), end="", file=sys.stderr, flush=True)


def _shown_thread(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_type is not SystemExit and failure.exc_value is not None and sys.stderr is not None:
        name = failure.thread.name if failure.thread is not None else "?"
        say_error(f"exception in thread {name}:")
        _shown(failure.exc_type, failure.exc_value, failure.exc_traceback)

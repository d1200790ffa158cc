"""What to do when whoever reads a program's output has gone, as `| head` does."""

import os
import select
import sys
from typing import Final

READER_GONE: Final = 141
"""Exit status: what a shell shows of a program that a closed pipe has ended."""


def reader_has_gone() -> bool:
    """Return whether nobody reads standard output any more; what is still to be written there is then dropped.

    A BrokenPipeError alone does not tell: the broken pipe may be any other connection of the program.
    """
    output = sys.stdout.fileno()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        gone = True
    else:
        gone = _is_broken(output)  # what failed before may have been dropped
    if gone:
        # The interpreter flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return gone


def _is_broken(pipe: int) -> bool:
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))

"""What to do when a program's standard streams are closed, full, or read by nobody any more, as after `| head`."""

import errno
import os
import select
import sys
from typing import Final

READER_GONE: Final = 141
"""Exit status: what a shell shows of a program that a closed pipe has ended."""

_MODES: Final = {"stdin": "r", "stdout": "w", "stderr": "w"}


def prepare_standard_streams() -> None:
    """Make standard streams that nothing can go wrong with: none is missing, and none refuses a character.

    A program that was started with closed ones (`>&-`) gets some that lead nowhere: the next file that is opened would
    otherwise take the number of a closed stream, and a result file would be the standard output of every process that
    is started after it. What the encoding of a stream does not have (µ in ASCII) is written as an escape; what is in
    another encoding can be read.
    """
    for number, (name, mode) in enumerate(_MODES.items()):
        stream = getattr(sys, name)
        if stream is not None:
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace" if mode == "w" else "surrogateescape")
            continue
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere == number:
            os.set_inheritable(nowhere, True)
        else:
            os.dup2(nowhere, number)
            os.close(nowhere)
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))


def lost_output() -> OSError | None:
    """Return why standard output takes nothing more, None if it does; what was still to be written is then dropped.

    An error that came before does not tell: it may have been of any other file or connection of the program.
    """
    try:
        output = sys.stdout.fileno()
    except OSError:
        return None  # something else than a file, where no output is lost
    lost: OSError | None = None
    try:
        sys.stdout.flush()
    except OSError as error:
        lost = error
    else:
        if _is_broken(output):  # what failed before may have been dropped
            lost = BrokenPipeError()
    if lost is not None:
        # The interpreter flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return lost


def is_full(error: Exception) -> bool:
    """Return whether a write failed because there is no space: what failed is not always tried again by a flush."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _is_broken(pipe: int) -> bool:
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))  # type: ignore[attr-defined, unused-ignore]

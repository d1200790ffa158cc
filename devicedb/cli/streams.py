"""Standard streams that are closed, full, or no longer read (`| head`)."""

import errno
import os
import select
import sys
from typing import Final

READER_GONE: Final = 141
"""Exit status of a program that SIGPIPE has ended, as a shell shows it."""

_REFUSALS: Final = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES", "EBUSY", "EDQUOT", "EEXIST", "EFBIG", "EIO", "EISDIR", "ELOOP", "EMFILE", "EMLINK", "ENAMETOOLONG",
        "ENFILE", "ENODEV", "ENOENT", "ENOSPC", "ENOTDIR", "ENOTEMPTY", "ENXIO", "EOPNOTSUPP", "EPERM", "EROFS",
        "ESTALE", "ETXTBSY", "EXDEV",
    )
    if hasattr(errno, name)
)  # fmt: skip
"""Errors of file systems that a user can do something about."""
_MODES: Final = {"stdin": "r", "stdout": "w", "stderr": "w"}


def prepare_standard_streams() -> None:
    """Replace missing standard streams, and make all of them accept every character.

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
    """Return why standard output fails, None if it works. Unwritten output is dropped if it fails.

    The exception that ended the program does not tell, because it may be about another file or connection.
    """
    try:
        output = sys.stdout.fileno()
    except OSError:
        return None  # not a file: no output can be lost
    lost: OSError | None = None
    try:
        sys.stdout.flush()
    except OSError as error:
        # Windows says EINVAL of a pipe whose reader is gone.
        lost = BrokenPipeError() if os.name == "nt" and error.errno == errno.EINVAL else error
    else:
        if _is_broken(output):  # the failed output may already be dropped
            lost = BrokenPipeError()
    if lost is not None:
        # The interpreter flushes again at exit, and would print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return lost


def is_full(error: Exception) -> bool:
    """Return whether a write failed for lack of space; a later flush does not always fail again."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def is_about_a_file(error: OSError) -> bool:
    """Return whether an error names a file, and why the file system refuses what was asked."""
    return isinstance(error.filename, str | bytes) and error.errno in _REFUSALS


def _is_broken(pipe: int) -> bool:
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))  # type: ignore[attr-defined, unused-ignore]

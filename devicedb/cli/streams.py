"""Standard streams that are closed, full, or no longer read (`| head`)."""

import errno
import io
import os
import select
import stat
import sys
from typing import Any, Final, TextIO

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


class _Pipe(io.FileIO):
    """A pipe on Windows: when the reader leaves, one write fails, with EPIPE if it waits then, else with EINVAL."""

    is_broken = False

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPIPE):
                raise
            self.is_broken = True
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a person reads a stream or writes into it.

    `isatty` says so of NUL on Windows, too.
    """
    found = stream is not None and stream.isatty()
    if sys.platform == "win32" and stream is not None and found:
        import ctypes
        import msvcrt

        handle = ctypes.c_void_p(msvcrt.get_osfhandle(stream.fileno()))
        found = bool(ctypes.windll.kernel32.GetConsoleMode(handle, ctypes.byref(ctypes.c_ulong())))
    return found


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
            if _is_in_code_page(name, stream):
                stream.reconfigure(encoding="utf-8", errors="surrogateescape")
            if os.name == "nt" and mode == "w" and stream is getattr(sys, f"__{name}__"):
                _tell_of_readers(name, stream)
            continue
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere == number:
            os.set_inheritable(nowhere, True)
        else:
            os.dup2(nowhere, number)
            os.close(nowhere)
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))


def _is_in_code_page(name: str, stream: Any) -> bool:
    """Return whether this is standard input, no terminal, that Windows decodes by the code page, which nobody chose."""
    if os.name != "nt" or name != "stdin" or os.environ.get("PYTHONIOENCODING"):
        return False
    return hasattr(stream, "reconfigure") and not stream.isatty()


def _tell_of_readers(name: str, stream: Any) -> None:
    """Replace a stream that is a pipe by one that says when its reader is gone, as on POSIX."""
    if not stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
        return
    pipe = _Pipe(stream.fileno(), "w", closefd=False)
    buffer: Any = pipe if stream.write_through else io.BufferedWriter(pipe)
    told = io.TextIOWrapper(
        buffer,
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    setattr(sys, name, told)


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
        lost = error
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
        buffer = getattr(sys.stdout, "buffer", None)
        return bool(getattr(getattr(buffer, "raw", buffer), "is_broken", False))
    poll = select.poll()
    # macOS says POLLHUP of a pipe without a reader, and nothing where no event is asked for.
    poll.register(pipe, select.POLLOUT)  # type: ignore[attr-defined, unused-ignore]
    broken = select.POLLERR | select.POLLHUP  # type: ignore[attr-defined, unused-ignore]
    return any(event & broken for _, event in poll.poll(0))

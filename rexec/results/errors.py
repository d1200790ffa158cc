"""What can go wrong with results in a way that a user can act on."""

import os

from devicedb.errors import ExpectedError


class ResultsError(ExpectedError):
    """Raised when results cannot be written or read; its text is the whole message."""


class ResultsNotWritable(ResultsError):
    """Raised at the start of a run when its file could not be written at the end."""


class JournalDamaged(ResultsError):
    """Raised when a file is not a journal, or of a version that this release does not read."""


class ResultsMismatch(ResultsError):
    """Raised when a file that was just written does not hold what the journal holds."""


def reason(error: OSError) -> str:
    """Return why a file cannot be used, in the system's words, or in one line of the HDF5 library's."""
    return os.strerror(error.errno) if error.errno else " ".join(str(error).split())


def hint(error: OSError) -> str:
    """Return what to do where a file cannot be used, to follow the reason; empty where nothing is known."""
    if os.name != "nt" or not isinstance(error, PermissionError):
        return ""
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str)]
    if any(os.path.isfile(name) and not os.access(name, os.W_OK) for name in names):
        return "; it is read-only (`attrib -R` changes that), or a program has it open"
    return "; close the program that has it open"


class ValueSuperseded(ResultsError):
    """Raised when a value that a reader needs was superseded, and its bytes in the journal hold another one."""

"""Errors of experiment files and arguments, and the exceptions of the experiment language."""

import sys
from typing import Any

from devicedb.errors import ExpectedError


class ExperimentError(ExpectedError):
    """Base of what a wrong experiment file or wrong arguments can cause; the text is the whole message."""


class ExperimentFileError(ExperimentError):
    """The file of an experiment cannot be read, compiled or imported."""


class ExperimentImportError(ExperimentError):
    """Importing the file of an experiment raised; the original error is the cause."""


class ExperimentClassError(ExperimentError):
    """A file has no experiment class, has several, or lacks the one that was asked for."""


class ArgumentError(ExperimentError):
    """An argument is missing, unknown, or has a value that its processor refuses."""


class NeedsMasterError(ExperimentError):
    """An experiment asked for something that only a master with its queue can do."""


class CancelledArgsError(Exception):
    """Raised out of `interactive` when the person cancelled the request for arguments."""


class DefaultMissing(Exception):
    """Raised by the `default()` of an argument that has none."""


class TerminationRequested(Exception):
    """Raised by `scheduler.pause()` when the user has asked the run to end."""


class NoDefault:
    """Stands for "no default value given" where None is a value."""


def termination_exception() -> type[Exception]:
    """Return the class to raise for a requested termination.

    `except TerminationRequested` of this package catches it, and that of `artiq.experiment` if ARTIQ is loaded.
    """
    core: Any = sys.modules.get("artiq.language.core")
    theirs = getattr(core, "TerminationRequested", None)
    if theirs is TerminationRequested or not isinstance(theirs, type) or not issubclass(theirs, Exception):
        return TerminationRequested
    return type(
        "TerminationRequested", (TerminationRequested, theirs), {"__doc__": TerminationRequested.__doc__}
    )


def is_termination(error: BaseException) -> bool:
    """Whether an exception is TerminationRequested, of this package or of ARTIQ."""
    return any(each.__name__ == "TerminationRequested" for each in type(error).__mro__)

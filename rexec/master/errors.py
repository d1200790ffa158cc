"""Errors of a master."""

from devicedb.errors import ExpectedError


class MasterError(ExpectedError):
    """Raised when a master cannot start; its text is the whole message."""


class NotServedError(Exception):
    """Raised to a client whose request needs a master that runs experiments."""

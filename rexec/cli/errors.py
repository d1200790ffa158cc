"""The errors of commands."""

from devicedb.errors import ExpectedError


class CommandError(ExpectedError):
    """Raised when a command cannot do what its arguments ask for."""

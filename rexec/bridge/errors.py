"""Errors of a bridge."""

from devicedb.errors import ExpectedError


class BridgeError(ExpectedError):
    """Raised when a bridge cannot start; its text is the whole message."""

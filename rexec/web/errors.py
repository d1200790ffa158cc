"""Errors of the page."""

from devicedb.errors import ExpectedError


class WebError(ExpectedError):
    """The page cannot be served."""

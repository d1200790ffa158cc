"""Why something cannot be recorded. The text is the whole message."""

from devicedb.errors import ExpectedError


class RecordingError(ExpectedError):
    """Raised when a recording cannot be written, or a file is no recording."""

"""Notes which line of a device database prints, and to which stream. Runs in the child process."""

import io
import os
import sys
from typing import Any, Final

MAX_NOTES: Final = 20
MAX_TEXT: Final = 200


class NotingStream(io.TextIOWrapper):
    """A standard stream that notes the laboratory's line that writes to it."""

    notes: list[dict[str, Any]]
    folder: str
    stream: str

    def write(self, text: str) -> int:
        """Write, and note the innermost line of the laboratory's own files."""
        if text.strip() and len(self.notes) < MAX_NOTES:
            frame = sys._getframe(1)  # noqa: SLF001
            while frame is not None and not self._is_own(frame.f_code.co_filename):
                frame = frame.f_back  # type: ignore[assignment]
            if frame is not None:
                place = {"file": frame.f_code.co_filename, "line": frame.f_lineno}
                self.notes.append({"stream": self.stream, "text": text.strip()[:MAX_TEXT], **place})
        return super().write(text)

    def _is_own(self, file: str) -> bool:
        return file.startswith(self.folder) and "site-packages" not in file


def note_prints(path: str) -> list[dict[str, Any]]:
    """Replace the standard streams of this process; return the list that their notes go to.

    Args:
        path: The device database. Its folder has the laboratory's own files.

    """
    notes: list[dict[str, Any]] = []
    for name in ("stdout", "stderr"):
        old = getattr(sys, name)
        stream = NotingStream(
            open(old.fileno(), "wb", buffering=0, closefd=False),
            encoding=old.encoding,
            errors="backslashreplace",
            write_through=True,
        )
        stream.notes, stream.stream = notes, name
        stream.folder = os.path.dirname(path) + os.sep
        setattr(sys, name, stream)
    return notes

"""Reads what a controller prints: keeps the last lines, and logs all of them under the controller's name."""

import logging
import re
import threading
from collections import deque
from typing import IO, Final

_RECORD: Final = re.compile(
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)(<(?P<lines>\d{1,4})>)?:(?P<rest>.*)", re.S
)


class Output:
    """The output of one process, read by a thread of its own until it ends.

    Args:
        name: Of the controller; the logger is `controller.NAME`.
        stream: The output.
        keep: How many lines at the end are kept.

    """

    def __init__(self, name: str, stream: IO[bytes], keep: int = 20) -> None:
        self._logger = logging.getLogger(f"controller.{name}")
        self._stream = stream
        self._last: deque[str] = deque(maxlen=keep)
        self._level = logging.INFO
        self._more = 0
        self._thread = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._thread.start()

    def tail(self, wait: float = 1.0) -> list[str]:
        """Return the last lines; waits up to `wait` seconds for the output to end."""
        self._thread.join(wait)
        return list(self._last)

    def close(self, wait: float = 1.0) -> None:
        """Wait for the end of the output and close it."""
        self._thread.join(wait)
        if not self._thread.is_alive():
            self._stream.close()

    def _read(self) -> None:
        for raw in iter(self._stream.readline, b""):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            self._last.append(line)
            level, text = self._parsed(line)
            self._logger.log(level, "%s", text)

    def _parsed(self, line: str) -> tuple[int, str]:
        """Return level and text of a line: `LEVEL:name:text`, `LEVEL<n>:name:…` for n lines, or anything."""
        if self._more > 0:
            self._more -= 1
            return self._level, line
        record = _RECORD.fullmatch(line)
        if record is None:
            return logging.INFO, line
        self._level = logging.getLevelNamesMapping()[record["level"]]
        self._more = int(record["lines"] or 1) - 1
        return self._level, record["rest"]

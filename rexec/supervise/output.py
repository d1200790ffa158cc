"""Reads the output of a controller, logs it under the controller's name, and keeps the last lines."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import IO, Final

from rexec.wire.logs import PRINTED, records

LONGEST: Final = 65536
"""Bytes after which a line is split, because a program may print without line ends."""


class Output:
    """The output of one process, read by its own thread until end of file.

    Records are logged by the logger `controller.NAME` with these attributes: `controller`, the name of the controller;
    `said_by`, the name of the logger in the controller; `said`, the text without that name.

    Args:
        name: Name of the controller.
        stream: The output.
        keep: Number of last lines to keep.
        ended: Called in the reading thread when the output ends.

    """

    def __init__(
        self, name: str, stream: IO[bytes], keep: int = 20, ended: Callable[[], None] = lambda: None
    ) -> None:
        self._name = name
        self._logger = logging.getLogger(f"controller.{name}")
        self._stream = stream
        self._ended = ended
        self._last: deque[str] = deque(maxlen=keep)
        self._thread = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._thread.start()

    def tail(self, wait: float = 1.0) -> list[str]:
        """Wait up to `wait` seconds for the output to end, and return its last lines."""
        self._thread.join(wait)
        return list(self._last)

    def close(self, wait: float = 1.0) -> None:
        """Wait up to `wait` seconds for the output to end, and close it."""
        self._thread.join(wait)
        if not self._thread.is_alive():
            self._stream.close()

    def _read(self) -> None:
        for record in records(self._lines()):
            text = record.text if record.name == PRINTED else f"{record.name}:{record.text}"
            extra = {"controller": self._name, "said_by": record.name, "said": record.text}
            self._logger.log(record.level, "%s", text, extra=extra)
        self._ended()

    def _lines(self) -> Iterator[str]:
        while raw := self._stream.readline(LONGEST):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            self._last.append(line)
            yield line

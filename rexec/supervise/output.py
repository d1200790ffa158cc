"""Reads what a controller prints: keeps the last lines, and logs all of it under the controller's name."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import IO, Final

from rexec.wire.logs import PRINTED, records

LONGEST: Final = 65536
"""Bytes after which a line is cut in two: a program may print for ever without ending one."""


class Output:
    """The output of one process, read by a thread of its own until it ends.

    Records are logged by the logger `controller.NAME` with the attributes `controller`, its name, `said_by`, the name
    of the logger inside the controller, and `said`, the text alone.

    Args:
        name: Of the controller.
        stream: The output.
        keep: How many lines at the end are kept.
        ended: Called when the output ends, in its thread.

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
        """Return the last lines; waits up to `wait` seconds for the output to end."""
        self._thread.join(wait)
        return list(self._last)

    def close(self, wait: float = 1.0) -> None:
        """Wait for the end of the output and close it."""
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

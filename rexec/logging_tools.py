"""Log records of several lines, and of other programs, under the names that the ecosystem's programs import."""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any, Final

from rexec.common_args import LineCountFormatter as MultilineFormatter
from rexec.wire.logs import LogLine, Reader

__all__ = ["LogParser", "MultilineFormatter", "SourceFilter", "log_with_name", "multiline_log_config"]

_LINE_LIMIT: Final = 1 << 16


def log_with_name(name: str, *args: Any, **kwargs: Any) -> None:
    """Log in the name of another logger.

    Args:
        name: Of the logger.
        args: As `logging.Logger.log` takes them: level, message and its arguments.
        kwargs: As `logging.Logger.log` takes them.

    """
    logging.getLogger(name).log(*args, **kwargs)


def multiline_log_config(level: int) -> None:
    """Send the log of the whole program to standard error, in the form that `LogParser` reads.

    Args:
        level: The lowest level that is shown.

    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MultilineFormatter())
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(handler)


class SourceFilter(logging.Filter):
    """Gives each record the attribute `source`, and drops records of this program below a level.

    Args:
        local_level: Lowest level of records of this program; those of other sources pass.
        local_source: Source of records of this program.

    """

    def __init__(self, local_level: int, local_source: str) -> None:
        super().__init__()
        self.local_level = local_level
        self.local_source = local_source

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown."""
        if not hasattr(record, "source"):
            record.source = self.local_source
        return vars(record)["source"] != self.local_source or record.levelno >= self.local_level


class LogParser:
    """Logs what another program wrote to its standard error, with the attribute `source`.

    Args:
        source_cb: Returns the source, such as `controller(lamp)`.

    """

    def __init__(self, source_cb: Callable[[], str]) -> None:
        self.source_cb = source_cb
        self._reader = Reader()

    def line_input(self, msg: str) -> None:
        """Take a line, without its end; the record that it completes is logged."""
        record = self._reader.feed(msg)
        if record is not None:
            self._log(record)

    async def stream_task(self, stream: asyncio.StreamReader) -> None:
        """Take the lines of a stream until it ends; one over 64 KiB is cut, what is not UTF-8 is escaped."""
        rest = b""
        while chunk := await stream.read(_LINE_LIMIT):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LINE_LIMIT:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self.line_input(line.decode("utf-8", "backslashreplace").rstrip("\r"))
        if rest:
            self.line_input(rest.decode("utf-8", "backslashreplace"))
        last = self._reader.flush()
        if last is not None:
            self._log(last)

    def _log(self, record: LogLine) -> None:
        log_with_name(record.name, record.level, "%s", record.text, extra={"source": self.source_cb()})

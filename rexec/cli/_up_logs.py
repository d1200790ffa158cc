"""The output of controllers under `rexec up`: to files, and to a master's logging port."""

import contextlib
import logging
import logging.handlers
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from devicedb.printable import inset
from rexec.cli.errors import CommandError
from rexec.ground.file_names import file_name
from rexec.laboratory import LiveSnapshot, News
from rexec.laboratory.reader import SnapshotReader
from rexec.supervise.forward import LogForwarder
from rexec.wire.tls import SimpleSSLConfig

logger = logging.getLogger(__name__)

_CONTROLLERS: Final = logging.getLogger("controller")
"""The parent of the loggers of all controllers."""
_STATES: Final = logging.getLogger("rexec.up")
"""Takes each change of a controller's state, for the master; prints nothing."""
_STATES.propagate = False
_STATES.addHandler(logging.NullHandler())
_STATES.setLevel(logging.INFO)


class LineFormatter(logging.Formatter):
    """Indents all but the first line of a record, and escapes what a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return inset(super().format(record))


class LogFile(logging.handlers.RotatingFileHandler):
    """A log file that is made anew when its folder was removed, and says once that it cannot be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=1_000_000, backupCount=4, encoding="utf-8")
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        before = self._lost
        self._look()
        super().emit(record)
        if before and self._lost == before:
            logger.warning("%s is written again; %d records were lost", self.baseFilename, before)
            self._lost = 0

    def _look(self) -> None:
        """Close the file if its name leads elsewhere; it is then opened anew."""
        if self.stream is None:
            return
        try:
            there, open_one = os.stat(self.baseFilename), os.fstat(self.stream.fileno())
            is_same = (there.st_ino, there.st_dev) == (open_one.st_ino, open_one.st_dev)
        except OSError:
            is_same = False
        if not is_same:
            with contextlib.suppress(OSError):
                self.stream.close()
            self.stream = None

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._lost += 1
        if self._lost == 1:
            logger.error("%s cannot be written: %s", self.baseFilename, error.strerror or error)


def log_files(folder: Path | None, names: Iterable[str]) -> None:
    """Write the output of each controller to its own rotating file; CommandError if one cannot be opened."""
    if folder is None:
        return
    _CONTROLLERS.setLevel(logging.DEBUG)
    for name in names:
        log = logging.getLogger(f"controller.{name}")
        if log.handlers:
            continue
        path = folder / file_name(name, suffix=".log")
        try:
            handler = LogFile(path)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror or error}") from error
        handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(message)s"))
        # The logger of "cam" is the parent of the logger of "cam.b", whose records belong in another file.
        handler.addFilter(_of(log.name))
        log.addHandler(handler)


def _of(name: str) -> Callable[[logging.LogRecord], bool]:
    return lambda record: record.name == name


@contextmanager
def forwarded(
    host: str | None, port: int, ssl_config: SimpleSSLConfig | None, laboratory: LiveSnapshot
) -> Iterator[None]:
    """Send the output of controllers and the snapshot's log to a master's logging port, while the context lasts."""
    if host is None:
        yield
        return
    forwarder = LogForwarder(host, port, f"ctlmgr({socket.gethostname()})", ssl_config=ssl_config)
    _CONTROLLERS.setLevel(logging.DEBUG)
    logging.getLogger("rexec.supervise").setLevel(logging.INFO)
    loggers = (_CONTROLLERS, logging.getLogger("rexec"), _STATES)
    for each in loggers:
        each.addHandler(forwarder)
    try:
        with SnapshotReader(laboratory, _forward, 0.1, ["log"]):
            yield
    finally:
        for each in loggers:
            each.removeHandler(forwarder)
        forwarder.close()


def _forward(news: News) -> None:
    for fact in news.parts["log"].changed.values() if "log" in news.parts else ():
        _STATES.log(fact.level, "%s", fact.text)

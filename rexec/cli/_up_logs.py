"""Where `rexec up` puts the output of controllers: files, and a master's logging port."""

import logging
import logging.handlers
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rexec.cli._up_display import STATES
from rexec.cli.errors import CommandError
from rexec.supervise.forward import LogForwarder
from rexec.wire.tls import SimpleSSLConfig

_CONTROLLERS: Final = logging.getLogger("controller")
"""The parent of the loggers of all controllers."""
_UNSAFE: Final = re.compile(r"[^\w.-]")
_OWN: Final = (logging.getLogger("rexec"), STATES)


def log_files(folder: Path | None, names: Iterable[str]) -> None:
    """Keep the output of controllers in files that are rotated, one each; CommandError where they cannot be opened."""
    if folder is None:
        return
    _CONTROLLERS.setLevel(logging.DEBUG)
    for name in names:
        log = logging.getLogger(f"controller.{name}")
        if log.handlers:
            continue
        path = folder / f"{re.sub(_UNSAFE, '_', name)}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handler = logging.handlers.RotatingFileHandler(
                path, maxBytes=1_000_000, backupCount=4, encoding="utf-8"
            )
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror or error}") from error
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)


@contextmanager
def forwarded(host: str | None, port: int, ssl_config: SimpleSSLConfig | None) -> Iterator[None]:
    """Send the output of controllers, and what happens to them, to the logging port of a master meanwhile."""
    if host is None:
        yield
        return
    forwarder = LogForwarder(host, port, f"ctlmgr({socket.gethostname()})", ssl_config=ssl_config)
    _CONTROLLERS.setLevel(logging.DEBUG)
    logging.getLogger("rexec.supervise").setLevel(logging.INFO)
    loggers = (_CONTROLLERS, *_OWN)
    for each in loggers:
        each.addHandler(forwarder)
    try:
        yield
    finally:
        for each in loggers:
            each.removeHandler(forwarder)
        forwarder.close()

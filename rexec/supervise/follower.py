"""Follows a device database: what it says now is what a supervisor runs."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from devicedb import DeviceDBError
from rexec.supervise.selection import Selection, Selector
from rexec.supervise.sources import FileSource, MasterSource
from rexec.supervise.supervisor import Supervisor

logger = logging.getLogger(__name__)

LOOK_AGAIN: Final = 30.0
"""Seconds after which hosts that are not this machine, as things are, are looked up again."""


class Follower:
    """Makes a supervisor run what a source says, in a thread of its own.

    Args:
        source: Where the device database is.
        selector: What of it is to run here.
        supervisor: Who runs it.
        chosen: Called with each selection before it is run; what it raises as OSError is logged.

    """

    def __init__(
        self,
        source: FileSource | MasterSource,
        selector: Selector,
        supervisor: Supervisor,
        chosen: Callable[[Selection], None],
    ) -> None:
        self._source = source
        self._selector = selector
        self._supervisor = supervisor
        self._chosen = chosen
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follows the device database", daemon=True)

    def start(self, selection: Selection) -> None:
        """Run a selection, then whatever becomes of it."""
        self._selection = selection
        self._thread.start()

    def close(self) -> None:
        """Follow no longer; a change that is being carried out is finished."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        self._take(self._selection)
        looked = time.monotonic()
        while not self._end.wait(0.5):
            # A name server or an interface may come up after this program.
            is_due = not self._selection.is_final and time.monotonic() > looked + LOOK_AGAIN
            if self._source.poll() or is_due:
                looked = time.monotonic()
                try:
                    self._take(self._selector.select(self._source.database))
                except DeviceDBError as error:
                    logger.error("%s. The controllers go on as before", error)

    def _take(self, selection: Selection) -> None:
        try:
            self._chosen(selection)
        except OSError as error:
            logger.error("%s", error)
        self._selection = selection
        self._supervisor.follow(selection)

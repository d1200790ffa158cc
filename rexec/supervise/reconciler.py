"""Makes the running controllers match a device database that changes."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from devicedb import DeviceDBError
from rexec.ground.waits import join_all
from rexec.supervise.selection import ControllerSelection, Selector
from rexec.supervise.sources import FileSource, MasterSource

logger = logging.getLogger(__name__)

LOOK_AGAIN: Final = 30.0
"""Seconds between look-ups of hosts that are not this machine at present."""


class Reconciler:
    """Polls a device database in its own thread and has its controllers run.

    Args:
        source: Source of the device database.
        selector: Selects the controllers of this machine.
        run: Called with each selection; returns when its controllers run.

    """

    def __init__(
        self,
        source: FileSource | MasterSource,
        selector: Selector,
        run: Callable[[ControllerSelection], None],
    ) -> None:
        self._source = source
        self._selector = selector
        self._take = run
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def start(self, selection: ControllerSelection) -> None:
        """Run a selection, and all later ones."""
        self._selection = selection
        self._thread.start()

    def close(self) -> None:
        """Stop polling, after the change in progress."""
        self._end.set()
        join_all([self._thread])

    def _run(self) -> None:
        self._take_on(self._selection)
        looked = time.monotonic()
        while not self._end.wait(0.5):
            # A name server or a network interface may start later than this program.
            is_due = not self._selection.is_final and time.monotonic() > looked + LOOK_AGAIN
            if self._source.poll() or is_due:
                looked = time.monotonic()
                try:
                    self._take_on(self._selector.select(self._source.database))
                except DeviceDBError as error:
                    logger.error("%s. The controllers keep running", error)

    def _take_on(self, selection: ControllerSelection) -> None:
        self._selection = selection
        self._take(selection)

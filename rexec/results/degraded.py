"""What of a run is not as it was asked for, kept in its journal, so that the result file and `results show` say it."""

import logging
import threading
from collections.abc import Iterator
from typing import Any, Final

from rexec.ground import forks
from rexec.results.errors import ResultsError
from rexec.results.fold import one_line
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal

_log = logging.getLogger(__name__)


class DegradedStates:
    """The degraded states of one run: a line each, each once, in the order in which they came.

    States may be added before there is a journal (`keep_in`). Methods may be called from any thread; in a forked
    process they do nothing.
    """

    def __init__(self) -> None:
        self._generation: Final = forks.generation
        self._lock: Final = threading.RLock()
        self._states: dict[str, bool] = {}
        self._waiting: list[dict[str, Any]] = []
        """What is not in the journal yet."""
        self._journal: Journal | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._states))

    @property
    def is_unkept(self) -> bool:
        """Whether something that the experiment asked to be kept was not kept."""
        return any(list(self._states.values()))

    def add(self, text: str, *, unkept: bool = False) -> None:
        """Say that something is not as it was asked for.

        Args:
            text: What, and why, in one line.
            unkept: Whether something that was to be kept was not.

        """
        self._change(one_line(text), unkept)

    def remove(self, text: str) -> None:
        """Say that it is as it was asked for again; a text that was not added is no error."""
        self._change(one_line(text), None)

    def keep_in(self, journal: Journal) -> None:
        """Keep the states in a journal from now on, those from before now, too.

        :meta private:
        """
        with self._lock:
            self._journal = journal
            self._settle()

    def settle(self) -> None:
        """Try once more to keep what a full disk has refused."""
        with self._lock:
            self._settle()

    def _change(self, text: str, unkept: bool | None) -> None:
        if forks.generation != self._generation:
            return
        with self._lock:
            before = self._states.get(text)
            if unkept != before:
                # First what the journal lacks: after Ctrl-C between the two, the next call says it once more.
                self._waiting.append({"text": text, "holds": unkept is not None})
                if unkept is None:
                    del self._states[text]
                else:
                    self._states[text] = unkept or bool(before)
            self._settle()

    def _settle(self) -> None:
        if self._journal is None:
            return
        try:
            while self._waiting:
                self._journal.put(Record(Kind.NOTE, "degraded", value=self._waiting[0]))
                del self._waiting[0]
        except ResultsError as error:
            _log.info("%d degraded states are not in the journal yet: %s", len(self._waiting), error)

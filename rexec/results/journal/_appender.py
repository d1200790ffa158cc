"""Appends numbers to one list of a run, without the steps that are the same for each of them."""

from typing import TYPE_CHECKING, Any

from rexec.ground.clock import wall_clock
from rexec.ground.reentry import refuse_reentry
from rexec.results.errors import ResultsError
from rexec.results.journal.records import short_append

if TYPE_CHECKING:
    from rexec.results.journal.writer import Journal


class Appender:
    """What `Journal.appender` returns. Its methods may be called from any thread.

    Args:
        journal: The journal.
        number: That of the list's name.
        items: The list in memory.

    """

    __slots__ = ("_is_stopped", "_items", "_journal", "_number")

    def __init__(self, journal: "Journal", number: int, items: list[Any]) -> None:
        self._journal = journal
        self._number = number
        self._items = items
        self._is_stopped = False

    def append(self, value: Any) -> bool:
        """Append a value in journal and memory, or raise and do it in neither.

        Returns:
            Whether it was appended. It was not, and nothing was done, where only a long record can say it, or once this
            was stopped.

        Raises:
            ResultsError: It cannot be kept.

        """
        journal, items = self._journal, self._items
        lock = journal.lock
        if lock._is_owned():  # type: ignore[attr-defined]  # noqa: SLF001 - here first, because a call takes long
            refuse_reentry(lock, ResultsError)
        with lock:
            data = short_append(self._number, wall_clock() - journal.since, value)
            if data is None or self._is_stopped:
                return False
            file, count = journal.file, len(items)
            start = file.size
            try:
                file.write_small(data)
                items.append(value)
            except BaseException:
                if file.size > start:  # a signal, after it was kept
                    items[count:] = [value]
                raise
        return True

    def stop(self) -> None:
        """Append nothing from now on: the list is changed in other ways, or is another one."""
        with self._journal.lock:
            self._is_stopped = True

"""Leases: a process tells the controllers that it uses them; an exclusive lease keeps others out.

A lease ends with its holder's connection or process. The controller decides how it is kept (`_lease_ways`): in the
table of a server of ours, in a table shipped to a stock one with remote execution, or in a lock file of this machine.
"""

import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Final

from devicedb import DeviceDatabase, Endpoint
from rexec.devices._lease_ways import LeaseWay, clients_of, lease_way, users_of
from rexec.devices.errors import DeviceBusy, DeviceUnreachable, where
from rexec.devices.manager import LOOK
from rexec.devices.uses import DeviceUser
from rexec.wire.errors import CallTimeout, WireError

__all__ = ["DeviceLeases", "clients_of", "is_exclusive", "users_in_words", "users_of"]

logger = logging.getLogger(__name__)

RENEW: Final = 5.0
"""Seconds between two looks whether the leases are still there."""

LAST: Final = 2.0
"""Seconds to ask all controllers who has shared them; a controller that does not answer in time is left out."""

_PROCESS: Final = uuid.uuid4().hex
"""The id of this process and its forks as a holder. Secret, because a client that knows it can end the lease."""


@dataclass
class _OwnLease:
    """A lease that this process has."""

    way: LeaseWay
    exclusive: bool
    others: dict[str, DeviceUser]
    """Others that have used the device meanwhile, by name. Replaced as a whole, never changed."""
    waiting: list[DeviceUser] = field(default_factory=list)
    """Others that wait for it."""


class DeviceLeases:
    """The leases of this process.

    Args:
        database: The device database.
        wait: Seconds to wait for a device that another client has alone, or that this one wants alone.
        waiting: Called with what it waits for, in words, and with None after the wait.
        holder: Id of the holder; None: that of this process, which never waits for itself.

    """

    def __init__(
        self,
        database: DeviceDatabase,
        wait: float = 0.0,
        waiting: Callable[[str | None], None] = lambda text: None,
        holder: str | None = None,
    ) -> None:
        self._database = database
        self._wait = wait
        self._waiting = waiting
        self._pid = os.getpid()
        self._id = holder or f"{_PROCESS}{self._pid}"
        self._kept: dict[str, _OwnLease] = {}
        self._keeper: threading.Thread | None = None
        self._asked: SimpleQueue[threading.Event] = SimpleQueue()
        """Set once all controllers were asked, one a look."""
        self._is_closed = False
        self.troubles: list[str] = []
        """Leases that were lost to others, in words."""

    def take(
        self, endpoint: Endpoint, exclusive: bool, before_waiting: Callable[[], None] = lambda: None
    ) -> None:
        """Tell a controller that this process uses it, unless that is known.

        Args:
            endpoint: Endpoint of the controller or of a target of it.
            exclusive: Use it alone.
            before_waiting: Called once if it has to be waited for.

        Raises:
            DeviceBusy: It is not free after the time to wait.
            DeviceUnreachable: It is to be had alone, but cannot be asked.

        """
        name = endpoint.controller
        kept = self._kept.get(name)
        if kept is not None and (kept.exclusive or not exclusive):
            return
        others: dict[str, DeviceUser] = {}
        try:
            way = kept.way if kept is not None else lease_way(self._database, endpoint, self._id)
            if way is None:
                self._trouble(
                    endpoint, exclusive, "a stock controller without remote execution cannot be told"
                )
                return
            try:
                others = self._granted(way, endpoint, exclusive, before_waiting)
            except BaseException as error:
                if exclusive or not _is_late(error):
                    if kept is None:
                        way.close()
                    raise
                logger.info("%s is in a call, and is told later who uses it", name)
        except DeviceBusy:
            raise
        except Exception as error:  # a remote one, too
            self._trouble(endpoint, exclusive, f"{type(error).__name__}: {error}")
            return
        self._kept[name] = _OwnLease(way, exclusive, others)
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="leases", daemon=True)
            self._keeper.start()

    def _trouble(self, endpoint: Endpoint, exclusive: bool, reason: str) -> None:
        text = f"no lease of {endpoint.controller}: {reason}"
        if exclusive and not endpoint.best_effort:
            raise DeviceUnreachable(f"{where(endpoint)}: it is to be used alone, but there is {text}")
        logger.info("%s", text)

    def _granted(
        self, way: LeaseWay, endpoint: Endpoint, exclusive: bool, before_waiting: Callable[[], None]
    ) -> dict[str, DeviceUser]:
        """Wait for a lease; return those who share it."""
        deadline = time.monotonic() + self._wait
        told = 0.0
        try:
            while True:
                try:
                    in_the_way = way.take(exclusive, LAST)
                    if not in_the_way:
                        return _named(way.shared() or ())
                except WireError as error:
                    # A stock controller answers nobody while it is in a call.
                    if not _is_late(error) or time.monotonic() >= deadline:
                        raise
                    in_the_way = []
                if time.monotonic() >= deadline:
                    raise DeviceBusy(_refusal(endpoint, exclusive, in_the_way, self._wait))
                if not told:
                    before_waiting()
                text = f"waits for {endpoint.controller}: {users_in_words(in_the_way) or 'it is in a call'}"
                self._waiting(text)
                if time.monotonic() > told:
                    logger.warning("%s", text)
                    told = time.monotonic() + 60.0
                time.sleep(max(0.0, min(LOOK, deadline - time.monotonic())))
        finally:
            self._waiting(None)

    def shared(self) -> dict[str, list[DeviceUser]]:
        """Return who else has used the devices since this process has, by controller."""
        if self._keeper is not None and os.getpid() == self._pid:  # a child has no thread that asks
            answered = threading.Event()
            self._asked.put(answered)
            answered.wait(LAST)
        return {name: list(kept.others.values()) for name, kept in self._kept.items() if kept.others}

    def waiting(self) -> set[int | None]:
        """Return the processes that wait for devices of this one, as of the last look."""
        return {user.pid for kept in self._kept.values() for user in kept.waiting}

    def _keep(self) -> None:
        """Renew the leases in a thread of its own: a stock controller in a long call answers after it."""
        while not self._is_closed:
            answered = None
            with contextlib.suppress(Empty):
                answered = self._asked.get(timeout=RENEW)
            for name, kept in list(self._kept.items()):
                try:
                    found = kept.way.shared()
                    if found is None:
                        found = self._again(name, kept)
                    kept.others = {**kept.others, **_named(found)}
                    kept.waiting = [user for user in found if user.is_waiting]
                except Exception as error:  # a remote one, too
                    logger.debug("lease of %s: %s: %s", name, type(error).__name__, error)
            if answered is not None:
                answered.set()

    def _again(self, name: str, kept: _OwnLease) -> list[DeviceUser]:
        """Take a lost lease again; return who shares it."""
        in_the_way = kept.way.take(kept.exclusive, None)
        if not in_the_way:
            return kept.way.shared() or []
        text = (
            f"the lease of {name} was lost while its controller was not reached; {in_the_way[0]} has it now"
        )
        if text not in self.troubles:
            self.troubles.append(text)
            logger.warning("%s", text)
        return in_the_way

    def close(self) -> None:
        """End the leases."""
        self._is_closed = True
        self._asked.put(threading.Event())  # wakes the thread
        kept, self._kept = self._kept, {}
        if os.getpid() != self._pid:  # a child has none
            return
        for each in kept.values():
            try:
                each.way.close()
            except (WireError, OSError) as error:
                logger.debug("a lease was not closed: %s", error)


def _is_late(error: BaseException | None) -> bool:
    """Return whether a server that was there did not answer in time."""
    return isinstance(error, CallTimeout) or (error is not None and _is_late(error.__cause__))


def is_exclusive(entry: Mapping[str, Any]) -> bool:
    """Return whether the raw entry of a controller says that its device is used by one client at a time."""
    return entry.get("exclusive") is True


def _named(users: Iterable[DeviceUser]) -> dict[str, DeviceUser]:
    return {f"{user} {user.pid}": user for user in users if not user.is_waiting}


def users_in_words(users: Sequence[DeviceUser]) -> str:
    """Return who uses a device: the first user, since when, how many more there are, and how many wait."""
    using = [user for user in users if not user.is_waiting]
    if not using:
        return ""
    first = using[0]
    since = f", since {time.time() - first.since:.0f} s" if first.since is not None else ""
    more = f" (and {len(using) - 1} more)" if len(using) > 1 else ""
    waits = len(users) - len(using)
    return f"{first}{since}{more}{f'; {waits} more wait' if waits > 1 else '; 1 more waits' if waits else ''}"


def _refusal(endpoint: Endpoint, exclusive: bool, users: list[DeviceUser], waited: float) -> str:
    why = "it is to be used alone, and is used by" if exclusive else "it is used alone by"
    after = f" after {waited:g} s" if waited else ""
    stopped = next((user for user in users if user.is_stopped), None)
    advice = (
        f"Continue that process (kill -CONT {stopped.pid}) or end it"
        if stopped is not None
        else "Wait for it with --wait-for-devices SECONDS"
    )
    return f"{where(endpoint)}: {why} {users_in_words(users)}{after}. {advice}"

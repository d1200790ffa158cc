"""Serves notifiers: each subscriber gets the structure, then every change of it, as long as it keeps up."""

import logging
from collections.abc import Hashable, Mapping
from typing import Any, Final

from rexec.wire._limits import Limits
from rexec.wire._line_queue import WHOLE, Line
from rexec.wire._notifier import Callback, Mod, ModAction, Notifier
from rexec.wire._pyon_parts import V1, V2
from rexec.wire._snapshots import Snapshots
from rexec.wire._stream_server import StreamServer
from rexec.wire._subscription import Subscription
from rexec.wire.errors import ConnectionBroken

_log = logging.getLogger(__name__)
BANNER: Final = b"ARTIQ sync_struct\n"
_NO_ENCODING: Final = "what it follows has no encoding"
_MORE_STALE: Final = 1000
"""Keys of which a subscriber may need the latest value, beyond those that the structure has."""


class Publisher(StreamServer):
    """Serves notifiers to subscribers. Belongs to the event loop on which `start` was awaited.

    A subscriber that falls behind by more than `backlog` no longer gets every change: where the structure is a dict,
    the key that changes then is no longer followed change by change, what waits of it is dropped, and its latest
    value is sent once all else is; any other structure is sent anew as a whole. `status` counts what was dropped.

    Args:
        notifiers: By name.
        backlog: Most bytes that wait for one subscriber, beside one line.
        pyon_v1: Write for subscribers of before sipyco 1.10 (the protocol has no way to find out).
        limits: What subscribers can make the server hold, beside that.

    """

    def __init__(
        self,
        notifiers: Mapping[str, Notifier],
        *,
        backlog: int = 64 << 20,
        pyon_v1: bool = False,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(BANNER, limits)
        self.notifiers = dict(notifiers)
        self.backlog = backlog
        self._syntax = V1 if pyon_v1 else V2
        self._snapshots = Snapshots(lambda name: self.notifiers[name].raw_view, self._syntax)
        for name, notifier in self.notifiers.items():
            notifier.publish = self._publisher(name)

    def _publisher(self, name: str) -> Callback:
        return lambda mod: self._publish(name, mod)

    def _line(self, value: Any) -> bytes:
        return self._syntax.text(value) + b"\n"

    def has(self, name: str) -> bool:
        """Return whether there is a notifier of this name."""
        return name in self.notifiers

    def forget_loop(self) -> None:
        """Forget what an event loop that has ended was to do."""
        super().forget_loop()
        self._snapshots.clear()

    def subscribed(self, subscription: Subscription) -> None:
        """Let a new subscriber (`subscription`) begin once there is a snapshot of the structure."""

        def ready(lines: list[Line] | None) -> None:
            if lines is None:
                subscription.fail(ConnectionBroken(_NO_ENCODING))
            else:
                subscription.begin(lines)

        self._snapshots.give(subscription.name, WHOLE, ready)

    def publish(self, notifier: Notifier, mod: Mod) -> None:
        """Send a modification to the subscribers of a notifier.

        Args:
            notifier: One of those that this publisher serves.
            mod: The modification.

        """
        for name, one in self.notifiers.items():
            if one is notifier:
                self._publish(name, mod)

    def _publish(self, name: str, mod: Mod) -> None:
        if not self.subscriptions(name) and not self._snapshots.is_awaited(name):
            self._snapshots.drop(name)
            return
        try:
            line = self._line(mod)
        except BaseException:
            self._snapshots.drop(name)  # the structure has changed
            raise
        part = self._part(name, mod)
        self._snapshots.changed(name, part, mod, line)
        self.send(name, line, part)

    def enqueue(self, subscription: Subscription, line: bytes, part: Any) -> None:
        """Add a modification to those that wait; if these are too many, send a value anew later.

        Args:
            subscription: The subscriber.
            line: The modification, encoded.
            part: The part of the structure that it changes, which is what is sent anew.

        """
        if part in subscription.stale or WHOLE in subscription.stale:
            subscription.dropped += 1
        elif subscription.lines and subscription.lines.size + len(line) > self.backlog:
            self._fall_behind(subscription, part)
        else:
            subscription.put(line, part)

    def _part(self, name: str, mod: Mod) -> Any:
        """Return the key at the root that a modification is about, where there is one that can be set anew."""
        if not isinstance(self.notifiers[name].raw_view, dict):
            return WHOLE
        part = mod["path"][0] if mod["path"] else mod["i" if mod["action"] == ModAction.pop.value else "key"]
        return part if isinstance(part, Hashable) else WHOLE

    def _fall_behind(self, subscription: Subscription, part: Any) -> None:
        if not subscription.dropped:
            _log.warning(
                "%s follows %r too slowly: of what changes fastest it gets the latest value only",
                subscription.peer,
                subscription.name,
            )
        subscription.drop(part)
        subscription.dropped += 1
        subscription.stale[part] = None
        if len(subscription.stale) > _MORE_STALE + len(self.notifiers[subscription.name].raw_view):
            # Most of these keys are gone again: the whole structure is less.
            subscription.drop()
            subscription.stale = {WHOLE: None}

    def refill(self, subscription: Subscription) -> None:
        """Bring a subscriber (`subscription`) that fell behind up to date, one key at a time."""
        if not subscription.stale or subscription.awaits_snapshot:
            return
        self.flush(subscription.name)  # the values below have it
        part = next(iter(subscription.stale))
        # Whether the subscriber ever heard of a key that is gone is not known: it cannot be told to delete it.
        key = part if part is not WHOLE and part in self.notifiers[subscription.name].raw_view else WHOLE

        def ready(lines: list[Line] | None) -> None:
            if subscription.failure is not None:
                return
            self.flush(subscription.name)  # the lines have it
            subscription.awaits_snapshot = False
            is_gone = key is not WHOLE and key not in self.notifiers[subscription.name].raw_view
            if lines is None and not is_gone:
                subscription.fail(ConnectionBroken(_NO_ENCODING))
            elif lines is None or (key is not WHOLE and WHOLE in subscription.stale):
                subscription.loop.call_soon(self.refill, subscription)
            else:
                subscription.stale = {each: None for each in subscription.stale if key not in (WHOLE, each)}
                subscription.put_first(lines, key)

        subscription.awaits_snapshot = True
        self._snapshots.give(subscription.name, key, ready)

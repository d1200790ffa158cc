"""Structures that others follow: a publisher sends every change of a structure to its subscribers."""

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from enum import Enum
from operator import getitem
from typing import Any, Final

from rexec.wire import pyon, pyon_v1
from rexec.wire._limits import Limits
from rexec.wire._stream_client import Follower, connect_lines
from rexec.wire._stream_server import WHOLE, StreamServer, Subscription
from rexec.wire.tls import SimpleSSLConfig

__all__ = ["ModAction", "Notifier", "Publisher", "Subscriber", "process_mod", "update_from_dict"]

_log = logging.getLogger(__name__)
_BANNER: Final = b"ARTIQ sync_struct\n"

Mod = dict[str, Any]
Callback = Callable[[Mod], Any]


class ModAction(Enum):
    """What a modification does; the value is the word on the wire."""

    init = "init"
    append = "append"
    insert = "insert"
    pop = "pop"
    setitem = "setitem"
    delitem = "delitem"


class Notifier:
    """Wraps a structure of dicts, lists and arrays; changes made through it are published.

    Args:
        backing_struct: The structure.
        root: Notifier of the whole structure (internal).
        path: Keys from the root to this part (internal).

    """

    def __init__(self, backing_struct: Any, root: "Notifier | None" = None, path: Sequence[Any] = ()) -> None:
        self.raw_view = backing_struct
        """The structure itself, to be read."""
        self.root = self if root is None else root
        self.publish: Callback | None = None
        """Called with every modification of the root."""
        self._backing_struct = backing_struct
        self._path = list(path)

    def _changed(self, action: ModAction, **what: Any) -> None:
        if self.root.publish is not None:
            self.root.publish({"action": action.value, "path": self._path, **what})

    def append(self, x: Any) -> None:
        """Append to a list."""
        self._backing_struct.append(x)
        self._changed(ModAction.append, x=x)

    def insert(self, i: int, x: Any) -> None:
        """Insert into a list."""
        self._backing_struct.insert(i, x)
        self._changed(ModAction.insert, i=i, x=x)

    def pop(self, i: int = -1) -> Any:
        """Remove from a list, and return what was there."""
        result = self._backing_struct.pop(i)
        self._changed(ModAction.pop, i=i)
        return result

    def __setitem__(self, key: Any, value: Any) -> None:
        self._backing_struct[key] = value
        self._changed(ModAction.setitem, key=key, value=value)

    def __delitem__(self, key: Any) -> None:
        del self._backing_struct[key]
        self._changed(ModAction.delitem, key=key)

    def __getitem__(self, key: Any) -> "Notifier":
        return Notifier(getitem(self._backing_struct, key), self.root, [*self._path, key])


def process_mod(target: Any, mod: Mapping[str, Any]) -> None:
    """Apply a modification (not `init`) to a structure or a Notifier.

    Args:
        target: The whole structure.
        mod: The modification, as on the wire.

    Raises:
        ValueError: The action is unknown.
        LookupError: The path leads nowhere.
        TypeError: The part of the structure does not allow it.

    """
    for key in mod["path"]:
        target = getitem(target, key)
    action = ModAction(mod["action"])
    if action is ModAction.append:
        target.append(mod["x"])
    elif action is ModAction.insert:
        target.insert(mod["i"], mod["x"])
    elif action is ModAction.pop:
        target.pop(mod["i"])
    elif action is ModAction.setitem:
        target[mod["key"]] = mod["value"]
    elif action is ModAction.delitem:
        del target[mod["key"]]
    else:
        raise ValueError(f"{action.value} is no modification of a part")


def update_from_dict(target: Notifier, source: Mapping[Any, Any]) -> None:
    """Make the dict of a Notifier equal to another one, publishing only what differs.

    Args:
        target: Notifier of a dict.
        source: What it shall be.

    """
    current = target.raw_view
    for key in [key for key in current if key not in source]:
        del target[key]
    for key, value in source.items():
        if key not in current or not _same(current[key], value):
            target[key] = value


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return bool(type(a) is type(b) and a == b)
    except ValueError:
        return False  # arrays compare item by item: publishing again is right, too


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
        super().__init__(_BANNER, limits)
        self.notifiers = dict(notifiers)
        self.backlog = backlog
        self._pyon_v1 = pyon_v1
        for name, notifier in self.notifiers.items():
            notifier.publish = self._publisher(name)

    def _publisher(self, name: str) -> Callback:
        return lambda mod: self._publish(name, mod)

    def _line(self, value: Any) -> bytes:
        text = pyon_v1.encode(value) if self._pyon_v1 else pyon.encode(value)
        return text.encode("ascii") + b"\n"

    def _init(self, name: str) -> bytes:
        return self._line({"action": ModAction.init.value, "struct": self.notifiers[name].raw_view})

    def subscribed(self, name: str) -> list[bytes] | None:
        """Return what a new subscriber gets first."""
        return [self._init(name)] if name in self.notifiers else None

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
        subscribers = self.subscriptions(name)
        if not subscribers:
            return
        line = self._line(mod)
        part = self._part(name, mod)
        for subscription in subscribers:
            if part in subscription.stale or WHOLE in subscription.stale:
                subscription.dropped += 1
            elif subscription.lines and subscription.size + len(line) > self.backlog:
                self._fall_behind(subscription, part)
            else:
                subscription.put(line, part)

    def _part(self, name: str, mod: Mod) -> Any:
        """Return the key at the root that a modification is about, where there is one that can be set anew."""
        if not isinstance(self.notifiers[name].raw_view, dict):
            return WHOLE
        part = mod["path"][0] if mod["path"] else mod["key"]
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

    def refill(self, subscription: Subscription) -> None:
        """Bring a subscriber that fell behind up to date, one key at a time."""
        if not subscription.stale:
            return
        part = next(iter(subscription.stale))
        struct = self.notifiers[subscription.name].raw_view
        if part is WHOLE or part not in struct:
            # Whether the subscriber ever heard of a key that is gone is not known: it cannot be told to delete it.
            subscription.stale.clear()
            subscription.put(self._init(subscription.name))
            return
        del subscription.stale[part]
        mod = {"action": ModAction.setitem.value, "path": [], "key": part, "value": struct[part]}
        subscription.put(self._line(mod), part)


class Subscriber(Follower):
    """Follows a structure of a publisher.

    Args:
        notifier_name: Name of the notifier.
        target_builder: Called with the whole structure at first (and after a gap); returns what changes are then
            applied to: the structure itself, or something with the same methods.
        notify_cb: Called with each modification after it was applied; a function or several.
        disconnect_cb: Called when the connection is lost.

    """

    def __init__(
        self,
        notifier_name: str,
        target_builder: Callable[[Any], Any],
        notify_cb: Callback | Iterable[Callback] | None = None,
        disconnect_cb: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(f"subscriber to {notifier_name!r}", notify_cb or [], disconnect_cb)
        self.notifier_name = notifier_name
        self.target_builder = target_builder
        self._target: Any = None

    async def connect(
        self,
        host: str,
        port: int,
        before_receive_cb: Callable[[], Any] | None = None,
        ssl_config: SimpleSSLConfig | None = None,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - part of the error's text
    ) -> None:
        """Connect; changes are applied from then on by the event loop.

        Args:
            host: Name or address.
            port: TCP port.
            before_receive_cb: Called when connected, before anything is received.
            ssl_config: TLS, if any.
            timeout: Longest time for connecting, in seconds.

        Raises:
            ConnectionFailed: No connection could be made.

        """
        protocol = await connect_lines(host, port, ssl_config, self._received, self._lost, timeout)
        if before_receive_cb is not None:
            before_receive_cb()
        self._protocol = protocol
        protocol.write(_BANNER + self.notifier_name.encode("ascii") + b"\n")

    def _received(self, mod: Any) -> None:
        if not isinstance(mod, dict) or "action" not in mod:
            raise ValueError(f"no modification: {mod!r:.80}")
        if mod["action"] == ModAction.init.value:
            self._target = self.target_builder(mod["struct"])
        else:
            process_mod(self._target, mod)
        self._notify(mod)

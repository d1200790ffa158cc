"""Whole structures as lines: encoded once for all who begin to follow at about the same time, and piece by piece.

The structure may change while it is encoded. A change of a key that the text does not have yet will be in it; a change
of one that it has is noted and sent behind it; the key that is being encoded is encoded anew, unless something was only
appended to it. So text and changes together are what the structure is, at every moment.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Final

from rexec.wire._line_queue import WHOLE, Line
from rexec.wire._pyon_parts import V1, Syntax, has_plain_keys, parts

_log = logging.getLogger(__name__)

_LARGE: Final = 1 << 16
"""Bytes of a line below which encoding it again costs less than keeping it."""
_KEEP: Final = 5.0
"""Seconds for which a snapshot is kept."""
_TURN: Final = 0.002
"""Seconds of a turn of the event loop that encoding takes."""
_ATTEMPTS: Final = 5
"""Attempts to encode a key piece by piece; a key that changes more often is encoded at once."""

Ready = Callable[[list[Line] | None], None]
"""Gets the lines; None if there are none: the structure cannot be encoded."""


class _Gone(Exception):
    """The key that a snapshot is of is not in the structure any more."""


class _Snapshot:
    """A structure as a line in the making, or one key of it, and the changes since.

    Args:
        struct: The structure.
        key: The key; WHOLE: all of them.
        syntax: The version of PYON.

    """

    def __init__(self, struct: Any, key: Any, syntax: Syntax) -> None:
        self.waiting: list[Ready] = []
        self.is_done = False
        self._struct = struct
        self._only = key
        self._is_by_key = (
            key is WHOLE and type(struct) is dict and (syntax is V1 or has_plain_keys(struct) or not struct)
        )
        self._syntax = syntax
        self.begin()

    def begin(self) -> None:
        """Begin, or begin anew."""
        self.text = bytearray()
        self._since: list[tuple[Any, Line]] = []
        self._since_size = 0
        self._begun: set[int] = set()
        self._order = deque(self._struct if self._is_by_key else [self._only])
        self._pending = set(self._order)
        self._current: Any = None
        self._is_outdated = False
        self._work = self._encoding()

    def lines(self) -> list[Line]:
        """Return what the structure is now."""
        return [self.text, *(line for _, line in self._since)]

    def go_on(self) -> None:
        """Encode for a while."""
        end = time.perf_counter() + _TURN
        for _ in self._work:
            if time.perf_counter() > end:
                return
        self.is_done = True

    def changed(self, part: Any, mod: Mapping[str, Any], line: Line) -> bool:
        """Note a change of a key; return False if the snapshot is of no use any more."""
        if not self._is_by_key:
            if self._only is not WHOLE and part is not WHOLE and part != self._only:
                return True
            part = self._only
        elif part is WHOLE:
            return False
        if part in self._pending:
            return True
        if self._current is not None and self._current[0] == part and not self._is_append(mod):
            self._is_outdated = True
            return True
        self._since.append((part, line))
        self._since_size += len(line)
        return not self.is_done or self._since_size <= len(self.text)

    def _is_append(self, mod: Mapping[str, Any]) -> bool:
        """Return whether a change is an append to a list whose text has been begun: the text is without it."""
        if mod["action"] != "append":
            return False
        target = self._struct
        for key in mod["path"]:
            target = target[key]
        return id(target) in self._begun

    def _encoding(self) -> Iterator[None]:
        """Encode, and stop after each piece of work."""
        one: dict[str, Any] = {"action": "init"}
        if self._only is not WHOLE:
            one = {"action": "setitem", "path": [], "key": self._only}
        self.text += self._syntax.text(one)[:-1] + self._syntax.comma
        self.text += (b'"struct"' if self._only is WHOLE else b'"value"') + self._syntax.colon
        self.text += b"{" if self._is_by_key else b""
        comma = b""
        while self._order:
            key = self._order.popleft()
            self._pending.discard(key)
            self._current = (key,)
            if (yield from self._encode_key(key, comma)):
                comma = self._syntax.comma
            self._current = None
        self.text += b"}}\n" if self._is_by_key else b"}\n"

    def _encode_key(self, key: Any, comma: bytes) -> Generator[None, None, bool]:
        """Encode a key, anew if it changes meanwhile; return False if it is gone."""
        start = len(self.text)
        for attempt in range(_ATTEMPTS):
            if attempt:
                del self.text[start:]
                self._since = [each for each in self._since if each[0] != key]
            self._begun.clear()
            self._is_outdated = False
            if key is not WHOLE and key not in self._struct:
                if self._is_by_key:
                    return False
                raise _Gone
            if self._is_by_key:
                self.text += comma + self._syntax.text(key) + self._syntax.colon
            value = self._struct if key is WHOLE else self._struct[key]
            if attempt == _ATTEMPTS - 1:
                self.text += self._syntax.text(value)
                break
            for part in parts(value, self._syntax, self._begun):
                self.text += part
                yield
                if self._is_outdated:
                    break
            if not self._is_outdated:
                break
        return True


class Snapshots:
    """The snapshots in the making, and the last ones. Belongs to an event loop.

    Args:
        structs: Returns the structure of a name.
        syntax: The version of PYON.

    """

    def __init__(self, structs: Callable[[str], Any], syntax: Syntax) -> None:
        self._structs: Final = structs
        self._syntax: Final = syntax
        self._snapshots: dict[str, dict[Any, _Snapshot]] = {}

    def give(self, name: str, key: Any, ready: Ready) -> None:
        """Call a function with the lines that tell what a structure is, once there are; perhaps at once.

        Args:
            name: Of the structure.
            key: Key that the lines are about; WHOLE: all of it.
            ready: The function.

        """
        snapshots = self._snapshots.setdefault(name, {})
        snapshot = snapshots.get(key)
        if snapshot is None:
            snapshot = snapshots[key] = _Snapshot(self._structs(name), key, self._syntax)
            snapshot.waiting.append(ready)
            self._go_on(name, key, snapshot)
        elif snapshot.is_done:
            ready(snapshot.lines())
        else:
            snapshot.waiting.append(ready)

    def changed(self, name: str, part: Any, mod: Mapping[str, Any], line: bytes) -> None:
        """Note a modification that was made."""
        for key, snapshot in list(self._snapshots.get(name, {}).items()):
            if not snapshot.changed(part, mod, line):
                self._drop(name, key, snapshot)

    def is_awaited(self, name: str) -> bool:
        """Return whether somebody waits for a snapshot of a structure."""
        return any(each.waiting for each in self._snapshots.get(name, {}).values())

    def drop(self, name: str) -> None:
        """Forget what a structure was: it has changed in a way that is not told."""
        for key, snapshot in list(self._snapshots.get(name, {}).items()):
            self._drop(name, key, snapshot)

    def clear(self) -> None:
        """Forget all, and who waits: for another event loop."""
        self._snapshots.clear()

    def _drop(self, name: str, key: Any, snapshot: _Snapshot) -> None:
        if snapshot.is_done:
            self._forget(name, key, snapshot)
        else:
            snapshot.begin()

    def _forget(self, name: str, key: Any, snapshot: _Snapshot) -> None:
        snapshots = self._snapshots.get(name, {})
        if snapshots.get(key) is snapshot:
            del snapshots[key]

    def _go_on(self, name: str, key: Any, snapshot: _Snapshot) -> None:
        """Encode for one turn of the event loop; at the end, give the lines to those who wait."""
        if self._snapshots.get(name, {}).get(key) is not snapshot:
            return  # of an event loop that has ended
        loop = asyncio.get_running_loop()
        lines: list[Line] | None = None
        try:
            snapshot.go_on()
            if not snapshot.is_done:
                loop.call_soon(self._go_on, name, key, snapshot)
                return
            lines = snapshot.lines()
        except _Gone:
            pass
        except Exception as error:  # of a registered type's encoding, for one
            _log.error("%r cannot be sent to those who begin to follow it: %s", name, error)
        waiting, snapshot.waiting = snapshot.waiting, []
        if lines is None or len(snapshot.text) < _LARGE:
            self._forget(name, key, snapshot)
        else:
            loop.call_later(_KEEP, self._forget, name, key, snapshot)
        for ready in waiting:
            ready(lines)

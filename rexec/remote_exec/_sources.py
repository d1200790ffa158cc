"""Source texts that clients sent, where Python's own tracebacks find their lines."""

import hashlib
import linecache
import threading
from collections import Counter, OrderedDict
from typing import Final

_holders: Final[Counter[str]] = Counter()
_lock: Final = threading.Lock()


class Sources:
    """The source texts of one connection: each has a file name of its own, and lines until it is dropped.

    Args:
        limit: Most characters that are kept at a time; the oldest texts lose their lines first.

    """

    def __init__(self, limit: int = 8_000_000) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, int] = OrderedDict()

    def add(self, text: str) -> str:
        """Keep a text and return the file name to compile it under; the same text has the same name.

        Args:
            text: Python source.

        """
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        name = f"<rexec {digest}>"
        with _lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return name
            _holders[name] += 1
            # Without a modification time linecache never looks for a file of that name.
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
            self._kept[name] = len(text)
            self._size += len(text)
            while self._size > self._limit and len(self._kept) > 1:
                self._forget(*self._kept.popitem(last=False))
        return name

    def drop(self) -> None:
        """Forget all texts; those that another connection sent too stay for that one."""
        with _lock:
            while self._kept:
                self._forget(*self._kept.popitem())

    def _forget(self, name: str, size: int) -> None:
        self._size -= size
        _holders[name] -= 1
        if _holders[name] <= 0:
            del _holders[name]
            linecache.cache.pop(name, None)

"""Keeps the source texts of clients in `linecache`, so that Python's tracebacks show their lines."""

import hashlib
import linecache
import threading
from collections import Counter, OrderedDict
from typing import Final

_holders: Final[Counter[str]] = Counter()
_lock: Final = threading.Lock()


class Sources:
    """The source texts of one connection, each under its own file name.

    Args:
        limit: Maximum characters to keep; the oldest texts are forgotten first.

    """

    def __init__(self, limit: int = 8_000_000) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[str, int] = OrderedDict()

    def add(self, text: str) -> str:
        """Keep a text and return the file name for `compile`; equal texts have equal names.

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
            # With the modification time None, linecache never looks for a file of that name.
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
            self._kept[name] = len(text)
            self._size += len(text)
            while self._size > self._limit and len(self._kept) > 1:
                self._forget(*self._kept.popitem(last=False))
        return name

    def drop(self) -> None:
        """Forget all texts, except those that another connection also sent."""
        with _lock:
            while self._kept:
                self._forget(*self._kept.popitem())

    def _forget(self, name: str, size: int) -> None:
        self._size -= size
        _holders[name] -= 1
        if _holders[name] <= 0:
            del _holders[name]
            linecache.cache.pop(name, None)

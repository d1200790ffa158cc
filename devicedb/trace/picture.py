"""The picture of a device database that the child process hands to its parent: plain JSON, with sites.

A node of the picture is one of

* `[value, site]` for a str, an int, a finite or other float, a bool or None;
* `{"d": [[key node, child node], ...], "s": site, "i": number}` for a dict;
* `{"l": [child node, ...], "k": kind, "s": site, "i": number}` for a list, tuple, set or frozenset;
* `{"o": [name of the type, text], "s": site}` for any other object;
* `{"r": number}` for a container drawn before.

A site is an index into the table of sites, -1 where nothing is known.

The pairs of a root that is a dict are written one a line, so that neither process holds the whole picture.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from devicedb.trace.recorder import SiteRecorder, SlotSites
from devicedb.trace.tags import PLAIN, site_of

MAX_DEPTH: Final = 60
MAX_TEXT: Final = 200
_LARGEST: Final = 10**4000
"""Above this, Python refuses to convert an int to decimal digits."""


class Painter:
    """Draws values; use one for each picture, because it remembers drawn containers."""

    def __init__(self, recorder: SiteRecorder) -> None:
        self.recorder = recorder
        self.drawn: dict[int, int] = {}
        self.kept: list[Any] = []

    def root(self, value: Any, site: int | None, write: Callable[[Any], None]) -> Any:
        """Return the node of `device_db`; the pairs of a dict are not in it, but given to `write`."""
        if not isinstance(value, dict):
            return self.node(value, site)
        record = self.recorder.record(value)
        where = record.site if record is not None else site
        number = self._number(value)
        for pair in self._pairs(value, record, where, 0):
            write(pair)
        return {"d": [], "s": _known(where), "i": number}

    def node(self, value: Any, site: int | None, depth: int = 0) -> Any:
        """Return the node of a value; `site` is where its container says that it was made."""
        kind = type(value)
        if value is None or kind is bool:
            return [value, _known(site)]
        if kind in PLAIN or kind in (str, int, float):
            own = site_of(value)
            plain = PLAIN.get(kind, kind)(value)
            if plain.__class__ is int and not -_LARGEST < plain < _LARGEST:
                return {"o": ["int", "a number of thousands of digits"], "s": _known(own or site)}
            return [plain, _known(site if own is None else own)]
        if isinstance(value, dict | list | tuple | set | frozenset):
            return self._container(value, site, depth)
        return {"o": [kind.__name__, _text(value)], "s": _known(site)}

    def _container(self, value: Any, site: int | None, depth: int) -> Any:
        if id(value) in self.drawn:
            return {"r": self.drawn[id(value)]}
        record = self.recorder.record(value)
        where = record.site if record is not None else site
        if depth > MAX_DEPTH:
            return {"o": [type(value).__name__, "nested too deeply to be read"], "s": _known(where)}
        number = self._number(value)
        if not isinstance(value, dict):
            kind = next(k for k in (list, tuple, set, frozenset) if isinstance(value, k)).__name__
            children = [self.node(each, where, depth + 1) for each in value]
            return {"l": children, "k": kind, "s": _known(where), "i": number}
        pairs = list(self._pairs(value, record, where, depth))
        return {"d": pairs, "s": _known(where), "i": number}

    def _number(self, value: Any) -> int:
        number = self.drawn[id(value)] = len(self.drawn)
        self.kept.append(value)
        return number

    def _pairs(
        self, value: dict[Any, Any], record: SlotSites | None, where: int | None, depth: int
    ) -> Iterator[list[Any]]:
        for key, child in value.items():
            key_site, value_site = record.slot(key) if record is not None else (None, None)
            # The place of a later assignment to a slot is more useful than the key's first place.
            key_node = self.node(key, key_site if key_site is not None else where, depth + 1)
            yield [key_node, self.node(child, value_site if value_site is not None else where, depth + 1)]


def _known(site: int | None) -> int:
    return -1 if site is None else site


def _text(value: Any) -> str:
    """A short text of an object; its repr may raise."""
    try:
        return repr(value)[:MAX_TEXT]
    except Exception as error:  # repr of a laboratory's class
        return f"<its repr raises {type(error).__name__}>"

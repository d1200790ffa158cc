"""The files in which a child process hands the picture of a device database to its parent.

The pairs of the root are lines of their own and the sites are numbers, so that neither process holds the whole picture
of a large database as objects.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from devicedb.trace.sites import SiteTable

_PAIRS: Final = ".pairs"
_SITES: Final = ".sites"


class JSONLines:
    """Values that are decoded anew by each iteration."""

    def __init__(self, lines: bytes) -> None:
        self.lines = lines

    def __iter__(self) -> Iterator[Any]:
        decode = json.JSONDecoder().decode
        start = 0
        while (end := self.lines.find(b"\n", start)) >= 0:
            yield decode(self.lines[start:end].decode("ascii"))
            start = end + 1


@contextmanager
def pairs_file(result: str) -> Iterator[Callable[[list[str]], None]]:
    """Write pairs of the root, each as JSON, with the function that this gives."""
    with open(result + _PAIRS, "w", encoding="ascii") as sink:

        def write(pairs: list[str]) -> None:
            sink.writelines(f"{pair}\n" for pair in pairs)

        yield write


def write_result(result: str, answer: dict[str, Any], sites: SiteTable) -> None:
    """Write everything else; that the file `result` exists says that the child came to its end."""
    with open(result + _SITES, "wb") as table:
        table.write(sites.tobytes())
    with open(result, "w", encoding="ascii") as sink:
        sink.write(json.dumps(answer, separators=(",", ":")))


def read_result(result: str) -> dict[str, Any]:
    """Return the picture; the pairs of a root that is a dict are `JSONLines`."""
    picture: dict[str, Any] = json.loads(_read(result))
    picture["sites"] = SiteTable(_read(result + _SITES))
    root = picture.get("root")
    if isinstance(root, dict) and "d" in root:
        root["d"] = JSONLines(_read(result + _PAIRS))
    return picture


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()

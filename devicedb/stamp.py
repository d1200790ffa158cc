"""Detects changes of a device database file."""

from pathlib import Path

Stamp = frozenset[tuple[str, int, int]]
"""Name, time of the last change in ns, and size in bytes of each file."""


def stamp(path: Path) -> Stamp:
    """Return a value that differs after a change of the file, or of a sibling that it may import."""
    found = set()
    for each in {path, *path.parent.glob("*.py")}:
        try:
            state = each.stat()
        except OSError:
            continue
        found.add((each.name, state.st_mtime_ns, state.st_size))
    return frozenset(found)

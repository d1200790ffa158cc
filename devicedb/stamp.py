"""Whether a device database may have changed since it was looked at last."""

from pathlib import Path


def stamp(path: Path) -> frozenset[tuple[str, int, int]]:
    """Return what is another value when a device database file has changed, or one beside it that it may import."""
    found = set()
    for each in {path, *path.parent.glob("*.py")}:
        try:
            state = each.stat()
        except OSError:
            continue
        found.add((each.name, state.st_mtime_ns, state.st_size))
    return frozenset(found)

"""Compares two snapshots of a master's datasets, and returns the changes between them."""

from collections.abc import Mapping
from typing import Any

from rexec.datasets import Entry
from rexec.datasets.changes import DatasetChange
from rexec.datasets.values import same


def entry_of(published: Any) -> Entry:
    """Return a published dataset as (persist, value, metadata); ARTIQ 7 publishes no metadata."""
    persist, value, *metadata = published
    return bool(persist), value, dict(metadata[0]) if metadata else {}


def differences(held: Mapping[str, Any], present: Mapping[str, Any]) -> list[DatasetChange]:
    """Return the changes that turn `held` into `present`.

    Args:
        held: The last known datasets, as published.
        present: The present datasets, as published.

    Returns:
        Deletions, then new values; for a list that has only grown, the appended items.

    """
    made = [DatasetChange("delete", key) for key in held if key not in present]
    for key, published in present.items():
        if key not in held:
            made.append(DatasetChange("set", key))
            continue
        before, now = entry_of(held[key]), entry_of(published)
        if before[0] == now[0] and before[2] == now[2]:
            if same(before[1], now[1]):
                continue
            added = _added(before[1], now[1])
            if added:
                made += [DatasetChange("append", key, None, item) for item in added]
                continue
        made.append(DatasetChange("set", key))
    return made


def _added(before: Any, now: Any) -> list[Any]:
    """Return the items appended to a list; an empty list if anything else has changed."""
    if type(before) is not list or type(now) is not list or not 0 < len(before) < len(now):
        return []
    return now[len(before) :] if same(before, now[: len(before)]) else []

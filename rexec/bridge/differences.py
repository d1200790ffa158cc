"""What changed between two pictures of a master's datasets, as the changes that lead from one to the other."""

from collections.abc import Mapping
from typing import Any

from rexec.datasets import Entry
from rexec.datasets.changes import Change
from rexec.datasets.values import same


def entry_of(published: Any) -> Entry:
    """Return a dataset as masters of any release publish it as (persist, value, metadata); ARTIQ 7 has no metadata."""
    persist, value, *metadata = published
    return bool(persist), value, dict(metadata[0]) if metadata else {}


def differences(held: Mapping[str, Any], present: Mapping[str, Any]) -> list[Change]:
    """Return what has to be done with `held` to make it `present`.

    Args:
        held: Datasets as they were published when they were received last.
        present: Datasets as they are published now.

    Returns:
        Deletions, then what was set; a list that has only grown is told by what was appended to it.

    """
    made = [Change("delete", key) for key in held if key not in present]
    for key, published in present.items():
        if key not in held:
            made.append(Change("set", key))
            continue
        before, now = entry_of(held[key]), entry_of(published)
        if before[0] == now[0] and before[2] == now[2]:
            if same(before[1], now[1]):
                continue
            added = _added(before[1], now[1])
            if added:
                made += [Change("append", key, None, item) for item in added]
                continue
        made.append(Change("set", key))
    return made


def _added(before: Any, now: Any) -> list[Any]:
    """Return what was appended to a list, nothing where more than that has changed."""
    if type(before) is not list or type(now) is not list or not 0 < len(before) < len(now):
        return []
    return now[len(before) :] if same(before, now[: len(before)]) else []

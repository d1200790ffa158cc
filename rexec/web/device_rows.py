"""The devices of a laboratory as the page shows them: one row each, made of the facts of the snapshot."""

import json
from typing import Any, Final, NamedTuple

from rexec.laboratory import ControllerFact, EntryFact, LiveSnapshot
from rexec.web.clock import VersionClock
from rexec.web.labels import LONG, bounded, label


class _Row(NamedTuple):
    version: int
    row: dict[str, Any]
    facts: tuple[EntryFact, ControllerFact | None, list[str]]
    """What the row was made of."""


class DeviceRows:
    """Rows by device, each with the version of its last change.

    Args:
        laboratory: The snapshot.
        clock: Counts the changes.

    """

    def __init__(self, laboratory: LiveSnapshot, clock: VersionClock) -> None:
        self._laboratory: Final = laboratory
        self._clock: Final = clock
        self._rows: dict[str, _Row] = {}
        self._origin: dict[str, Any] = {}
        self._origin_version = 0
        self._gone_version = 0

    def tell(self, **state: Any) -> None:
        """Say where the devices are from (`database`), since when they were examined, and what is wrong."""
        state = {**self._origin, **state}
        if state != self._origin:
            self._origin, self._origin_version = state, self._clock.tick()

    def refresh(self) -> None:
        """Take over what the snapshot says now."""
        now = self._laboratory.snapshot()
        entries, controllers = now["entries"], now["controllers"]
        aliases: dict[str, list[str]] = {}
        for name, entry in entries.items():
            if entry.kind == "alias" and isinstance(entry.raw, str):
                aliases.setdefault(entry.raw, []).append(name)
        facts = {
            name: (entry, controllers.get(name), aliases.get(name, []))
            for name, entry in entries.items()
            if entry.kind != "alias" or entry.error
        }
        if any(name not in facts for name in self._rows):
            self._rows = {name: each for name, each in self._rows.items() if name in facts}
            self._gone_version = self._clock.tick()
        for name, found in facts.items():
            known = self._rows.get(name)
            # Most facts are those of a second ago, the same objects: comparing them costs nothing.
            if known is None or known.facts != found:
                row = device_row(*found)
                version = known.version if known and known.row == row else self._clock.tick()
                self._rows[name] = _Row(version, row, found)

    def since(self, version: int) -> dict[str, Any] | None:
        """Return what is new after a version; None: nothing."""
        is_whole = version < max(self._gone_version, 1)
        rows = [each.row for each in self._rows.values() if is_whole or each.version > version]
        if not rows and self._origin_version <= version and not is_whole:
            return None
        return {"rows": rows, "is_whole": is_whole, **self._origin}


def device_row(entry: EntryFact, fact: ControllerFact | None, aliases: list[str]) -> dict[str, Any]:
    """Return a device as a page shows it; its texts have no characters that a screen obeys."""
    row: dict[str, Any] = {
        "name": label(entry.name), "place": entry.place, "kind": bounded(entry.kind, 40),
        "address": bounded(entry.address), "controller": bounded(entry.controller),
        "target": bounded(entry.target or ""), "aliases": [label(each) for each in aliases[:20]],
        "entry": _as_json(entry.raw),
        "state": "wrong" if entry.error else "", "cause": "", "message": bounded(entry.error, LONG),
        "severity": "error" if entry.error else "ok", "users": [],
    }  # fmt: skip
    if fact is None:
        return row
    severity = "ok" if fact.diagnosis is None else fact.diagnosis.severity
    if fact.status is not None and fact.status.state in ("waiting", "frozen"):
        severity = "error"
    elif fact.status is not None and fact.status.state != "up" and severity == "ok":
        severity = "warning"
    row |= {
        "state": fact.state,
        "cause": fact.cause,
        "severity": severity,
        "left_out": bounded(fact.left_out),
    }
    row["message"] = bounded(fact.message, LONG)
    row["users"] = [{"text": bounded(str(each)), "since": each.since} for each in fact.users[:20]]
    if fact.diagnosis is not None:
        row["milliseconds"] = fact.diagnosis.milliseconds
        row["description"] = bounded(str(fact.diagnosis.details.get("description") or ""))
    if fact.status is not None:
        row |= {"pid": fact.status.pid, "since": fact.status.since or None, "restarts": fact.status.restarts}
        row |= {"retry_at": fact.status.retry_at, "memory": fact.memory, "is_kept": True}
    return row


def _as_json(raw: Any) -> str:
    try:
        text = json.dumps(raw, indent=1, default=repr, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"an entry of type {type(raw).__name__}"
    return bounded(text, LONG)

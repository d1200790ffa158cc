"""What changed between two runs, as a pure function of what their files say of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rexec.results.journal._encode import encode

_ABSENT: Final = object()


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same in two runs.

    Attributes:
        section: "argument", "device", "code", "version" or "run".
        name: What it is.
        old: What it was in the first, as text; None: it was not there.
        new: What it is in the second, as text; None: it is not there.

    """

    section: str
    name: str
    old: str | None
    new: str | None


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """Return what changed from one run to the other.

    Args:
        one: Identity of the first run (`Run.identity`).
        other: Identity of the second.

    """
    found: list[Difference] = []
    found += _compare("run", _facts(one), _facts(other))
    found += _compare("argument", _arguments(one), _arguments(other))
    found += _devices(one.get("device_db") or {}, other.get("device_db") or {})
    found += _code(one, other)
    found += _compare("version", one.get("versions") or {}, other.get("versions") or {})
    return found


@dataclass(frozen=True)
class Varying:
    """One thing that is not the same in all of several runs.

    Attributes:
        section: "argument", "device", "code", "version" or "run".
        name: What it is.
        values: What it is in each run, as text; None: it is not there.

    """

    section: str
    name: str
    values: tuple[str | None, ...]


def varying(identities: Sequence[Mapping[str, Any]]) -> list[Varying]:
    """Return what is not the same in all of several runs: what differs from the first one in any other.

    Args:
        identities: Identity of each run (`Run.identity`).

    """
    rows: dict[tuple[str, str], list[str | None]] = {}
    for number, identity in enumerate(identities[1:], start=1):
        for each in differences(identities[0], identity):
            row = rows.setdefault((each.section, each.name), [each.old] * len(identities))
            row[number] = each.new
    return [Varying(section, name, tuple(values)) for (section, name), values in rows.items()]


def _facts(identity: Mapping[str, Any]) -> dict[str, Any]:
    names = ("class_name", "file", "artiq_version", "person", "host", "device_db_origin", "simulated")
    return {name: identity[name] for name in names if identity.get(name)}


def _arguments(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments = (identity.get("expid") or {}).get("arguments")
    return arguments if isinstance(arguments, dict) else {}


def _devices(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    """Compare entries field by field, so that one changed port reads as that."""
    for name in _names(one, other):
        old, new = one.get(name, _ABSENT), other.get(name, _ABSENT)
        if isinstance(old, dict) and isinstance(new, dict):
            for difference in _compare("device", old, new):
                yield Difference("device", f"{name}.{difference.name}", difference.old, difference.new)
        else:
            yield from _compare("device", _one(name, old), _one(name, new))


def _code(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    old, new = one.get("git") or {}, other.get("git") or {}
    yield from _compare("code", _commit(old), _commit(new))
    gone = sorted(set(one.get("sources") or {}) - set(other.get("sources") or {}))
    come = sorted(set(other.get("sources") or {}) - set(one.get("sources") or {}))
    if gone or come:
        yield Difference("code", "sources", _heads(gone), _heads(come))


def _commit(git: Mapping[str, Any]) -> dict[str, Any]:
    facts = {f"git {name}": git[name] for name in ("commit", "branch", "dirty") if name in git}
    return facts | ({"git diff": f"{len(git['diff'].splitlines())} lines"} if git.get("diff") else {})


def _heads(digests: list[str]) -> str | None:
    return ", ".join(digest[:12] for digest in digests) or None


def _one(name: str, value: Any) -> dict[str, Any]:
    return {} if value is _ABSENT else {name: value}


def _compare(section: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    for name in _names(one, other):
        old, new = one.get(name, _ABSENT), other.get(name, _ABSENT)
        if (old is _ABSENT) != (new is _ABSENT) or encode(old) != encode(new):
            yield Difference(section, str(name), _text(old), _text(new))


def _names(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    return [*one, *(name for name in other if name not in one)]


def _text(value: Any) -> str | None:
    return None if value is _ABSENT else str(value) if isinstance(value, str) else repr(value)

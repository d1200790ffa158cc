"""The lines of an audit: JSON, each with a number, the hash of the line before it, and its own hash.

A line is `{"n":12,"time":"…","prev":"…","kind":"call",…,"hash":"…"}`; `hash` is the SHA-256 of the line without that
field. The files of one audit are NAME.jsonl, and before it NAME.000001.jsonl, NAME.000002.jsonl and so on. NAME.head
beside them holds number and hash of the last line, so that a truncation at the end is noticed.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

FIRST: Final = "0" * 64
"""The hash before the first line."""
_END: Final = re.compile(rb',"hash":"([0-9a-f]{64})"\}\Z')
_ROTATED: Final = re.compile(r"(.+)\.\d{6,}\.jsonl")
_HEAD: Final = re.compile(rb'\{"n":\s*(\d+),"hash":"([0-9a-f]{64})"\}\s*\Z')


def make_line(
    number: int, before: str, kind: str, facts: Mapping[str, Any], when: float
) -> tuple[bytes, str]:
    """Return a line, its line end included, and its hash.

    Args:
        number: Of the line; the first one has 1.
        before: Hash of the line before it.
        kind: What it records.
        facts: What else is in it; its values are JSON's.
        when: Seconds since the epoch.

    """
    moment = datetime.fromtimestamp(when, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    fields = {"n": number, "time": moment, "prev": before, "kind": kind, **facts}
    body = json.dumps(fields, separators=(",", ":")).encode()
    digest = sha256(body).hexdigest()
    return b'%b,"hash":"%b"}\n' % (body[:-1], digest.encode()), digest


def read_line(line: bytes) -> dict[str, Any]:
    """Return the fields of a line, `hash` included.

    Raises:
        ValueError: It is no line of an audit, or was changed.

    """
    line = line.rstrip(b"\n")
    found = _END.search(line)
    if found is None:
        raise ValueError("it is no line of an audit")
    if sha256(line[: found.start()] + b"}").hexdigest().encode() != found[1]:
        raise ValueError("it was changed: its hash is another")
    try:
        fields = json.loads(line)
    except RecursionError as error:  # whoever can write a file can calculate a hash
        raise ValueError("it is nested too deeply") from error
    if not (
        isinstance(fields, dict) and type(fields.get("n")) is int and isinstance(fields.get("prev"), str)
    ):
        raise ValueError("it has no number, or no hash of the line before")
    return fields


def head_text(number: int, digest: str) -> bytes:
    """Return the contents of a head file; all have one length."""
    return b'{"n":%12d,"hash":"%b"}\n' % (number, digest.encode())


def read_head(path: Path) -> tuple[int, str] | None:
    """Return number and hash in the head file of an audit; None where there is none.

    Raises:
        ValueError: It is damaged.
        OSError: It cannot be read.

    """
    try:
        text = head_of(path).read_bytes()
    except FileNotFoundError:
        return None
    found = _HEAD.match(text)
    if found is None:
        raise ValueError("it is damaged")
    return int(found[1]), found[2].decode()


def head_of(path: Path) -> Path:
    """Return the head file of an audit."""
    return path.with_suffix(".head")


def rotated(path: Path) -> list[Path]:
    """Return the rotated files of an audit, the oldest first."""
    form = re.compile(re.escape(path.stem) + r"\.(\d{6,})" + re.escape(path.suffix))
    found = [(int(match[1]), each) for each in path.parent.iterdir() if (match := form.fullmatch(each.name))]
    return [each for _, each in sorted(found)]


def is_rotated(path: Path) -> str:
    """Return the name of the audit that a rotated file belongs to; empty for any other file."""
    found = _ROTATED.fullmatch(path.name)
    return f"{found[1]}.jsonl" if found else ""


def next_rotated(path: Path) -> Path:
    """Return the name under which the file of an audit is put away."""
    before = rotated(path)
    number = int(before[-1].name.removesuffix(path.suffix).rpartition(".")[2]) + 1 if before else 1
    return path.with_name(f"{path.stem}.{number:06}{path.suffix}")


def files_of(path: Path) -> list[Path]:
    """Return the files of an audit, the oldest first."""
    return [*rotated(path), *([path] if path.exists() else [])]

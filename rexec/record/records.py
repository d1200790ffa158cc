"""The records of a recording: from what was said on a connection, to bytes, and back (docs/reference/recording.md)."""

import logging
import zlib
from collections.abc import Iterator
from typing import Any, Final

from rexec.record.errors import RecordingError
from rexec.wire.tap import Exchange, dump_raw, load_raw

logger = logging.getLogger(__name__)

MAGIC: Final = b"REXEC RECORDING 1\n"
_HEAD: Final = 64
"""Most bytes of the line before a record."""


def framed(record: dict[str, Any]) -> bytes:
    """Return a record as it stands in the file: checksum and length, line end, contents."""
    body = dump_raw(record)
    return b"%08x %d\n%b" % (zlib.crc32(body), len(body), body)


def read_records(data: bytes, name: str) -> Iterator[dict[str, Any]]:
    """Yield the complete records of a recording. A warning says how many bytes are left over.

    Args:
        data: Contents of the file.
        name: The file, for messages.

    Raises:
        RecordingError: It is no recording.

    """
    if not data.startswith(MAGIC):
        raise RecordingError(f"{name} is no recording: it does not begin with {MAGIC.decode().strip()!r}")
    at = len(MAGIC)
    while at < len(data):
        end = data.find(b"\n", at, at + _HEAD)
        head = data[at:end].split(b" ") if end >= 0 else []
        try:
            checksum, length = int(head[0], 16), int(head[1])
            body = data[end + 1 : end + 1 + length]
            if length < 1 or len(body) != length or zlib.crc32(body) != checksum:
                raise ValueError("it is not whole")
            record = load_raw(body)
        except (IndexError, ValueError, TypeError) as error:
            logger.warning(
                "%s: %d of %d bytes are left over after the last whole record: %s",
                name, len(data) - at, len(data), error,
            )  # fmt: skip
            return
        if isinstance(record, dict):
            yield record
        at = end + 1 + length


def record_of(controller: str, number: int, exchange: Exchange, began: float) -> dict[str, Any] | None:
    """Return the record of an exchange; None for requests of the method list, which are not recorded.

    Args:
        controller: Name.
        number: Of the connection.
        exchange: What was said.
        began: When the recording began (`time.monotonic`).

    """
    request, answer = exchange.request, exchange.answer
    if not isinstance(request, dict) or not isinstance(answer, dict):
        return unread(controller, number, exchange, began)
    if request.get("action") != "call":
        return None
    record = {
        "kind": "call",
        "controller": controller,
        "target": exchange.target,
        "connection": number,
        "encoding": exchange.encoding,
        "began": exchange.began - began,
        "seconds": exchange.seconds,
        "name": request.get("name"),
        "args": tuple(request.get("args", ())),
        "kwargs": request.get("kwargs", {}),
    }
    if answer.get("status") == "ok":
        return {**record, "ret": answer.get("ret")}
    return {**record, "exception": answer.get("exception")}


def unread(controller: str, number: int, exchange: Exchange, began: float) -> dict[str, Any]:
    """Return the record of an exchange that could not be read."""
    return {
        "kind": "unread",
        "controller": controller,
        "target": exchange.target,
        "connection": number,
        "began": exchange.began - began,
        "problem": exchange.problem or "no message of the protocol",
    }

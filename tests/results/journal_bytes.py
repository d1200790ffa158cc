"""Records of a journal as bytes, for tests that put journals together."""

from rexec.results.journal._encode import Buffer
from rexec.results.journal.records import Kind, Record, change_parts, frame, key_parts, short_append


def joined(kind: Kind, parts: list[Buffer]) -> bytes:
    """Return a record that holds these parts."""
    return b"".join(map(bytes, frame(kind, parts)))


def a_set(value: object, time: float = 5.0) -> bytes:
    """Return a record that sets the dataset that `NAME` defines."""
    return joined(Kind.SET, change_parts(Record(Kind.SET, "x", time, value, {}), 0))


NAME = joined(Kind.KEY, key_parts(0, "x"))
SET = a_set([])
SHORT = short_append(0, 1.0, 2.5) or b""

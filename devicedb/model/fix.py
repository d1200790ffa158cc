"""What mends a finding: a rule proposes a `Repair`, the check turns it into the edits of a `Fix`.

A rule knows the sites of a database, not its source. `devicedb.check.edits` looks at the source there, and makes
exact edits of what is written literally, or says why it leaves the place alone.
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Replace:
    """Write another string, number or list for a value, or another name for a key."""

    site: int
    """Site of the value, or of the key."""
    old: str | int | float
    new: str | int | float | tuple[str, ...]
    """A tuple is written as a list."""


@dataclass(frozen=True)
class Remove:
    """Remove a key with its value from a dict."""

    site: int
    """Site of the key."""
    key: str


@dataclass(frozen=True)
class Insert:
    """Add a key with its value to a dict."""

    site: int
    """Site of the dict."""
    key: str
    value: str


Change: TypeAlias = Replace | Remove | Insert


@dataclass(frozen=True)
class Repair:
    """What a rule can mend without judgement.

    Attributes:
        title: What it does, in the imperative: 'write "target_name" for "target"'.
        changes: All are made, or none.

    """

    title: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Edit:
    """Replacement of a stretch of a file.

    Lines and columns are those of `Finding`: from 1, in characters (code points, after decoding the file by its own
    encoding, without a byte order mark); the end column is exclusive. Lines end at CR LF, LF or CR. Where both ends
    are equal, text is inserted. A place at column 1 of the line after the last one is the end of the file.
    """

    file: str
    """As the finding names it."""
    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True)
class Fix:
    """The edits that mend a finding; an editor offers them as one quick fix.

    Attributes:
        title: What they do: 'write "target_name" for "target"'.
        edits: They do not overlap and are sorted by place; apply all of them or none. Empty: see `refusal`.
        refusal: Why a rule that knows the remedy does not edit this place, for example because a loop makes the value.

    """

    title: str
    edits: tuple[Edit, ...] = ()
    refusal: str = ""

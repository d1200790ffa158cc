"""Names and texts from elsewhere as a page shows them: each name has its own label, and texts are bounded."""

import hashlib
import re
from typing import Final

from devicedb.printable import LINES, printable

MOST: Final = 300
"""Characters of a name that a page shows."""
LONG: Final = 4000
"""Characters of a text that is read rather than looked through."""

_ENDS_LIKE_A_CHECKSUM: Final = re.compile(r"#[0-9a-f]{12}\Z")


def label(name: str) -> str:
    """Return a name as a page shows it.

    A long name is cut, and control characters are escaped. Such a label ends with "#" and a part of the name's SHA-256,
    so that two names never share one, and the address of a page finds the same name again.
    """
    shown = printable(name[:MOST])
    if shown == name and not _ENDS_LIKE_A_CHECKSUM.search(name):
        return name
    checksum = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{shown}{'…' if len(name) > MOST else ''}#{checksum}"


def bounded(text: str, most: int = MOST) -> str:
    """Return the beginning of a text, without characters that a screen obeys."""
    return printable(text[:most], keep=LINES) + ("…" if len(text) > most else "")

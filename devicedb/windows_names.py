"""Names that Windows takes for something else than a file in the folder."""

import errno
import os
import re
from pathlib import PurePath
from typing import Final

DEVICES: Final = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE
)
"""Names that are devices on Windows, whatever their suffix."""

REFUSED: Final = (
    'Windows has devices, drives and streams of such names, refuses or shortens them (CON, NUL, : * ? " < > |, a dot '
    "or a space at the end)"
)
"""Why a name is refused, for messages."""

_CHARACTERS: Final = frozenset(':*?"<>|')
_IS_WINDOWS: Final = os.name == "nt"


def is_refused_here(name: str) -> bool:
    """Return whether this is Windows, and it has a device, a drive or a stream of that name, refuses or shortens it."""
    if not _IS_WINDOWS or name in (".", ".."):
        return False
    return DEVICES.match(name) is not None or not _CHARACTERS.isdisjoint(name) or name[-1:] in (".", " ")


def path_is_refused_here(path: PurePath) -> bool:
    """Return whether this is Windows, and a path has such a name, of a file or of a folder."""
    return any(map(is_refused_here, path.relative_to(path.anchor).parts))


def check_path(path: PurePath) -> None:
    """Raise OSError if Windows, on which this runs, does not take a path as a file of that name."""
    if path_is_refused_here(path):
        raise OSError(errno.EINVAL, f"{REFUSED}; name another", str(path))

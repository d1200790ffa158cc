"""Names that Windows takes for something else than a file in the folder."""

import os
import re
from typing import Final

DEVICES: Final = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9¹²³]) *(\.|$)", re.IGNORECASE
)
"""Names that are devices on Windows, whatever their suffix."""

REFUSED: Final = (
    'Windows has devices, drives and streams of such names, or refuses them (CON, NUL, : * ? " < > |)'
)
"""Why a name is refused, for messages."""

_CHARACTERS: Final = frozenset(':*?"<>|')
_IS_WINDOWS: Final = os.name == "nt"


def is_refused_here(name: str) -> bool:
    """Return whether this is Windows, and it has a device, a drive or a stream of that name, or refuses it."""
    return _IS_WINDOWS and (DEVICES.match(name) is not None or not _CHARACTERS.isdisjoint(name))

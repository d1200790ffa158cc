"""Writes a picture: the file is whole, or as it was."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from devicedb.whole_file import write_whole
from rexec.results.errors import ResultsError

SUFFIXES: Final = frozenset({".png", ".svg", ".pdf"})
"""Suffixes of picture files."""

_CHUNK: Final = 1000
"""Points of a line that are drawn at a time: a noisy line then takes a third of the memory."""


def check_suffix(target: Path) -> None:
    """Raise ResultsError unless the name of a picture has one of the suffixes."""
    if target.suffix not in SUFFIXES:
        raise ResultsError(f"cannot write the picture {target}: its name must end in .png, .svg or .pdf")


def render(target: Path, figure: Callable[[], Any]) -> None:
    """Draw a picture into a file; its suffix decides what kind of picture it is.

    Args:
        target: The file.
        figure: Returns the figure.

    Raises:
        ResultsError: It cannot be written.

    """
    import matplotlib

    picture = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"agg.path.chunksize": _CHUNK}):
        # A name in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure().savefig(picture, format=target.suffix[1:])
    try:
        write_whole(target, picture.getvalue())
    except OSError as error:
        raise ResultsError(f"cannot write the picture {target}: {error.strerror or error}") from error

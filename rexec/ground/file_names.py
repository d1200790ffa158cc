"""Names of datasets, classes and controllers as file names: the one place that knows what file systems take."""

import hashlib
import os
import unicodedata
from collections.abc import Container
from typing import Final

from devicedb.windows_names import DEVICES

LIMIT: Final = 255 - 40
"""Most bytes of a name: file systems take 255; 40 are left for the names of temporary files (`.NAME.123.tmp`)."""

_PLAIN: Final = frozenset(" !#$&'()+,;@[]{}-_.")
"""Punctuation that Windows, macOS and Linux all take. `=` is ours, `~` belongs to the short names of Windows."""

_IS_WINDOWS: Final = os.name == "nt"

_LONG: Final = 260
"""Characters of a path, with the final zero, that Windows takes by default."""


def file_name(text: str, *, prefix: str = "", suffix: str = "", taken: Container[str] = ()) -> str:
    """Return a file name for any text; no two texts have the same, also where a file system ignores case.

    Lower-case letters, digits and most punctuation stand for themselves. Anything else is percent-encoded UTF-8. Names
    with capitals end in `=` and the positions of these (a number in base 36). What is longer than `LIMIT` is cut, and
    ends in `==` and 128 bits of the text's SHA-256.

    Args:
        text: Any text, also an empty one or one with lone surrogates.
        prefix: What stands before it and is unique in the folder already (the number of a run). Capitals then need no
            mark.
        suffix: What stands behind it, with its dot.
        taken: Names (without prefix and suffix) that have another meaning in the folder.

    """
    pieces = [_piece(char) for char in text] or ["%"]
    for end in (0, -1):
        # A leading dot hides a file; Windows drops dots and spaces at the end.
        if pieces[end] in {".", " "}:
            pieces[end] = _escaped(pieces[end])
    name = "".join(pieces)
    if name in taken or DEVICES.match(prefix + name + suffix):
        pieces[0] = _escaped(text[0])
        name = "".join(pieces)
    mark = "" if prefix else _capitals(text)
    room = LIMIT - len((prefix + suffix).encode())
    if len((name + mark).encode()) <= room:
        return prefix + name + mark + suffix
    mark = "==" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    room -= len(mark)
    kept = ""
    for piece in pieces:
        room -= len(piece.encode())
        if room < 0:
            break
        kept += piece
    return prefix + kept + mark + suffix


def _piece(char: str) -> str:
    if char.isascii():
        return char if char.isalnum() or char in _PLAIN else _escaped(char)
    return char if _is_itself_everywhere(char) else _escaped(char)


def _escaped(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _is_itself_everywhere(char: str) -> bool:
    """Return whether no file system takes a letter for another one: by case, or by Unicode's normal forms."""
    return (
        unicodedata.category(char) in {"Ll", "Lo", "Nd"}
        and not "\u1100" <= char <= "\u11ff"  # parts of Hangul syllables compose
        and char == char.casefold() == char.upper().casefold()
        and char == unicodedata.normalize("NFKD", char)
    )


def _capitals(text: str) -> str:
    """Return the positions of the ASCII capitals as a number; letters beyond ASCII are escaped."""
    number = 0
    for char in reversed([char for char in text if char.isascii() and char.isalpha()]):
        number = 2 * number + char.isupper()
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return f"={digits}" if digits else ""


def long_path_hint(path: os.PathLike[str]) -> str:
    """Return what to say, behind an error, of a path that is too long for Windows as it is set up; mostly nothing."""
    length = len(os.path.abspath(path))
    if not _IS_WINDOWS or length < _LONG:
        return ""
    return (
        f". The path has {length} characters: Windows takes {_LONG - 1}, unless LongPathsEnabled is set to 1 under "
        r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
    )

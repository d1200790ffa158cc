"""Names of controllers as names of units and programs; no two controllers have the same."""

import hashlib
from typing import Final

PREFIX: Final = "controller-"

_LIMIT: Final = 200
"""Most bytes of an escaped name: a file name has 255, of which suffixes and temporary names need some."""

_UNIT_PLAIN: Final = frozenset("_.:")
_PROGRAM_PLAIN: Final = frozenset("_-")


def systemd_name(name: str) -> str:
    r"""Return the name of a unit, without suffix: `controller-` and what `systemd-escape NAME` prints.

    A slash becomes a dash. Any other byte that is neither an ASCII letter nor a digit nor one of `_.:` becomes `\xHH`;
    so does a first dot. A name that is too long is cut; it ends in `\x5f\x5f` (which the escaping never makes of `__`)
    and 128 bits of the name's SHA-256.
    """
    pieces = [
        "-" if char == "/" else char if _is_plain(char, _UNIT_PLAIN) else _escaped(char, "\\x")
        for char in name
    ]
    if name.startswith("."):
        pieces[0] = "\\x2e"
    return PREFIX + _cut(pieces, name, "\\x5f\\x5f")


def program_name(name: str) -> str:
    """Return a name for supervisord and Compose: letters, digits, `_`, `-`; any other byte becomes `.HH`.

    A name that is too long is cut, and ends in `..` and 128 bits of the name's SHA-256.
    """
    pieces = [char if _is_plain(char, _PROGRAM_PLAIN) else _escaped(char, ".") for char in name]
    return PREFIX + _cut(pieces, name, "..")


def _is_plain(char: str, punctuation: frozenset[str]) -> bool:
    return char.isascii() and (char.isalnum() or char in punctuation)


def _escaped(char: str, mark: str) -> str:
    return "".join(f"{mark}{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))


def _cut(pieces: list[str], name: str, mark: str) -> str:
    whole = "".join(pieces)
    if len(whole) <= _LIMIT:
        return whole
    end = mark + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    room = _LIMIT - len(end)
    kept = ""
    for piece in pieces:
        if len(kept) + len(piece) > room:
            break
        kept += piece
    return kept + end

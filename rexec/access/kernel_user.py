"""The user of a loopback connection, as the kernel of this machine tells it (Linux)."""

import socket
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from rexec.access.socket_diag import socket_user

_IS_LINUX: Final[bool] = sys.platform.startswith("linux")
_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
"""Prefix of an IPv4 address in IPv6."""
_ESTABLISHED: Final = "01"


def user_of_peer(ours: Any, theirs: Any) -> str | None:
    """Return the login name of the process at the other end of a connection of this machine.

    Args:
        ours: Address of our end, as of `socket.getsockname`.
        theirs: Address of the other end, as of `socket.getpeername`.

    Returns:
        The name; None if the connection is not of loopback, has ended, or the system does not tell.

    """
    if not _IS_LINUX or not is_loopback(theirs):
        return None
    try:
        user = _asked(ours, theirs)
    except OSError:
        user = _looked_up(ours, theirs)
    return None if user is None else user_name(user)


def _asked(ours: Any, theirs: Any) -> int | None:
    """Return the user of the other end, as the kernel answers; None if it has ended.

    Raises:
        OSError: The kernel does not tell.

    """
    here, there = _packed(ours), _packed(theirs)
    form = 0 if here[0] and there[0] else 1
    local, remote = (there[form], theirs[1]), (here[form], ours[1])
    try:
        return socket_user(local, remote)
    except OSError:
        # A kernel that shows our own end tells all: the other one has ended.
        socket_user(remote, local)
        return None


def _looked_up(ours: Any, theirs: Any) -> int | None:
    """Return the user of the other end from the tables in /proc."""
    wanted = {(_hexadecimal(theirs, form), _hexadecimal(ours, form)) for form in (4, 6)}
    for line in _lines():
        fields = line.split()
        # A socket that its process has closed has no inode, and would show the user 0, which is root.
        if (
            len(fields) > 9
            and (fields[1], fields[2]) in wanted
            and fields[3] == _ESTABLISHED
            and fields[9] != "0"
        ):
            return int(fields[7])
    return None


def is_loopback(address: Any) -> bool:
    """Return whether an address of a TCP socket is of loopback, 127.0.0.0/8 or ::1."""
    try:
        four, six = _packed(address)
    except (OSError, TypeError, IndexError):
        return False
    return four[:1] == b"\x7f" or six == b"\0" * 15 + b"\x01"


@lru_cache(maxsize=64)
def user_name(uid: int) -> str:
    """Return the login name of a user, "uid 1234" where it has none."""
    import pwd

    try:
        return str(pwd.getpwuid(uid).pw_name)  # type: ignore[attr-defined, unused-ignore]
    except KeyError:
        return f"uid {uid}"


def _lines() -> Iterator[str]:
    for table in _TABLES:
        try:
            text = Path(table).read_text(encoding="ascii", errors="replace")
        except OSError:
            continue  # without IPv6, or /proc
        yield from text.splitlines()[1:]


def _hexadecimal(address: Any, form: int) -> str:
    """Return address and port as the tables of IPv4 or IPv6 write them; empty where there is no such form."""
    packed = _packed(address)[form == 6]
    # The kernel prints words of 32 bits as numbers of this machine.
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{address[1]:04X}"


def _packed(address: Any) -> tuple[bytes, bytes]:
    """Return the bytes of an address in IPv4, empty where it has none, and in IPv6."""
    text = str(address[0]).partition("%")[0]
    if ":" not in text:
        four = socket.inet_pton(socket.AF_INET, text)
        return four, _MAPPED + four
    six = socket.inet_pton(socket.AF_INET6, text)
    return (six[12:] if six.startswith(_MAPPED) else b""), six

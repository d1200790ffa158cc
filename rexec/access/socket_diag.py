"""Asks the kernel for the user of one TCP socket of this machine, by netlink (Linux, `man 7 sock_diag`).

The tables in /proc have every socket of the machine: to read them takes some 20 ms, a question some 15 µs.
"""

import socket
import struct
from typing import Final

_SOCK_DIAG: Final = 4
"""The netlink protocol NETLINK_SOCK_DIAG."""
_BY_FAMILY: Final = 20
"""Type of question and answer, SOCK_DIAG_BY_FAMILY."""
_REQUEST: Final = 1
_HEADER: Final = struct.Struct("=IHHII")
_QUESTION: Final = struct.Struct("=BBBBI")
_ANSWER: Final = struct.Struct("=BBBB48sIIIII")
_ANY_STATE: Final = 0xFFFFFFFF
_ANY_COOKIE: Final = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
"""And any interface."""
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
"""Begin of an address of IPv4 in IPv6."""
_ESTABLISHED: Final = 1
_PATIENCE: Final = 1.0

Address = tuple[bytes, int]
"""Bytes of an address, and its port."""


def socket_user(local: Address, remote: Address) -> int | None:
    """Return the user of an established socket that a process holds; None if there is none.

    Args:
        local: Its own address.
        remote: The address that it is connected to, of the same IP version.

    Raises:
        OSError: The kernel does not tell.

    """
    family = socket.AF_INET if len(local[0]) == 4 else socket.AF_INET6
    ends = _ends(local[1], remote[1], local[0], remote[0])
    question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE) + ends + _ANY_COOKIE
    length = _HEADER.size + len(question)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:  # type: ignore[attr-defined, unused-ignore]
        kernel.settimeout(_PATIENCE)
        kernel.sendto(_HEADER.pack(length, _BY_FAMILY, _REQUEST, 1, 0) + question, (0, 0))
        answer = kernel.recv(4096)
    if len(answer) < _HEADER.size + _ANSWER.size or _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
        raise OSError("the kernel shows no such socket")
    _, state, _, _, found, *_, user, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    # The kernel also finds who listens at that address. A socket that its process has closed has no inode, and would
    # show the user 0, which is root.
    mapped = _ends(local[1], remote[1], _MAPPED + local[0], _MAPPED + remote[0])
    is_it = found[: len(ends)] in (ends, mapped) and state == _ESTABLISHED and inode
    return int(user) if is_it else None


def _ends(local_port: int, remote_port: int, local: bytes, remote: bytes) -> bytes:
    """Return both ends as the kernel writes them, in the network's order."""
    return struct.pack("!HH16s16s", local_port, remote_port, local, remote)

"""A child process never speaks on a connection of its parent.

After `os.fork` both processes hold the same sockets and the same epoll descriptors: a child that writes, reads, ends
TLS, or only removes a socket from its event loop disturbs the parent. So in the child each watched descriptor is
replaced by a socket that is connected to nobody. Whatever object still holds it there finds a connection that has
ended.
"""

import os
import socket
import weakref
from typing import Final, NoReturn


class OfOneProcess:
    """Base of what has a connection of its own, and cannot be sent to another process."""

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled.

        Raises:
            TypeError: Always.

        """
        raise TypeError(
            f"{type(self).__name__} cannot be pickled, because its connection belongs to this process: make one in "
            "each process, for example in the initializer of a pool"
        )


_watched: Final[weakref.WeakSet[socket.socket]] = weakref.WeakSet()
_nowhere: list[int] = []
"""Descriptor of the socket that children get; made beforehand, since a child may be out of descriptors."""


def keep_from_children(sock: socket.socket) -> None:
    """Have children of this process lose a socket when they are forked."""
    if not hasattr(os, "register_at_fork"):
        return
    if not _nowhere:
        _nowhere.append(socket.socket().detach())
        os.register_at_fork(after_in_child=_lose_sockets)
    _watched.add(sock)


def _lose_sockets() -> None:
    for sock in list(_watched):
        number = sock.fileno()
        if number != -1:
            os.dup2(_nowhere[0], number, inheritable=False)
    _watched.clear()

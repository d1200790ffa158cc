"""What Winsock can and Python's socket module lacks: waiting for any number of sockets, and a refusal at once."""

import socket
import sys

if sys.platform == "win32":  # pragma: no cover - exercised on Windows only
    import ctypes
    import math
    import selectors
    import struct
    from ctypes import wintypes
    from typing import Any, Final

    _ws2 = ctypes.WinDLL("ws2_32", use_last_error=True)
    _ws2.WSAPoll.argtypes = (ctypes.c_void_p, wintypes.ULONG, ctypes.c_int)
    _ws2.WSAIoctl.argtypes = (
        *(ctypes.c_size_t, wintypes.DWORD, ctypes.c_void_p, wintypes.DWORD),
        *(ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p),
    )

    _READ: Final = 0x0100
    _WRITE: Final = 0x0010
    _ENTRY: Final = struct.Struct("Phh0P")
    """WSAPOLLFD: socket, events that are wanted, events that are there."""

    class PollSelector(selectors.SelectSelector):
        """Waits with WSAPoll, because `select` takes no more than 512 sockets."""

        def __init__(self) -> None:
            super().__init__()
            self._entries = bytearray()
            self._keys: list[selectors.SelectorKey] | None = None

        def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
            self._keys = None
            return super().register(fileobj, events, data)

        def unregister(self, fileobj: Any) -> selectors.SelectorKey:
            self._keys = None
            return super().unregister(fileobj)

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            keys = self._keys
            if keys is None:
                keys = self._keys = list(self.get_map().values())
                self._entries = bytearray(_ENTRY.size * len(keys))
                for place, key in enumerate(keys):
                    wanted = (_READ if key.events & selectors.EVENT_READ else 0) | (
                        _WRITE if key.events & selectors.EVENT_WRITE else 0
                    )
                    _ENTRY.pack_into(self._entries, place * _ENTRY.size, key.fd, wanted, 0)
            place_of = (ctypes.c_char * len(self._entries)).from_buffer(self._entries)
            milliseconds = -1 if timeout is None else max(0, math.ceil(timeout * 1000))
            count = _ws2.WSAPoll(place_of, len(keys), milliseconds)
            del place_of
            if count < 0:
                raise ctypes.WinError(ctypes.get_last_error())
            if count == 0:
                return []
            found = memoryview(self._entries).cast("h")[struct.calcsize("P") // 2 + 1 :: _ENTRY.size // 2]
            return [(key, _events(what) & key.events) for key, what in zip(keys, found, strict=True) if what]

    def _events(what: int) -> int:
        """Return events as selectors name them; an error is seen by whoever reads or writes."""
        return (selectors.EVENT_READ if what & ~_WRITE else 0) | (
            selectors.EVENT_WRITE if what & ~_READ else 0
        )

    _INITIAL_RTO: Final = 0x98000011
    _NO_RETRANSMISSION: Final = struct.pack("HBx", 0xFFFF, 0xFE)
    """TCP_INITIAL_RTO_PARAMETERS: the usual time until a retransmission, and none at all."""

    def refused_at_once(sock: socket.socket, address: str) -> None:
        """Have a connection to a closed port of this machine fail at once; otherwise Windows asks for 2 s.

        Does nothing for other addresses, and on versions without this setting (before 10.1709).
        """
        if address == "::1" or address.startswith("127."):
            size = wintypes.DWORD()
            order = ctypes.create_string_buffer(_NO_RETRANSMISSION, 4)
            _ws2.WSAIoctl(sock.fileno(), _INITIAL_RTO, order, 4, None, 0, ctypes.byref(size), None, None)

else:
    from selectors import DefaultSelector as PollSelector

    def refused_at_once(sock: socket.socket, address: str) -> None:
        """Do nothing: other systems know a refusal from a silence."""


__all__ = ["PollSelector", "refused_at_once"]

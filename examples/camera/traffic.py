"""How many bytes have arrived on the connections of this process to a port: the system's own count."""

import os
import socket
import struct
import sys
from pathlib import Path

# struct tcp_info of linux/tcp.h: tcpi_bytes_received is the u64 at this offset.
_BYTES_RECEIVED = 128


def bytes_received(port: int) -> int | None:
    """Return the number of bytes received so far from servers on a port; None where the system does not tell.

    Args:
        port: TCP port of the servers.

    """
    if not sys.platform.startswith("linux"):
        return None
    total = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if not os.readlink(entry).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as connection:
                if connection.family not in (socket.AF_INET, socket.AF_INET6):
                    continue
                if connection.type != socket.SOCK_STREAM or connection.getpeername()[1] != port:
                    continue
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
        except OSError:
            continue  # closed meanwhile, or no connection over TCP
        total += struct.unpack_from("Q", info, _BYTES_RECEIVED)[0]
    return total

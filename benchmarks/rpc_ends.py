"""The two ends of each peer that `benchmarks/rpc.py` measures; each runs in a process of its own.

Run by the interpreter that has the peer's library: this one, or that of the reference library.
"""

import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

LOCAL = "127.0.0.1"
CPU_TIME = 2**64 - 1
"""In the place of a size: asks a raw server for its CPU time."""
_SCRATCH = 1 << 20


class Driver:
    """What every server offers: a small call, and arrays both ways."""

    def __init__(self) -> None:
        self._arrays: dict[int, Any] = {}

    def ping(self) -> bool:
        """Return at once."""
        return True

    def get(self, size: int) -> Any:
        """Return an array of a size in bytes."""
        if size not in self._arrays:
            self._arrays = {size: np.ones(size, np.uint8)}
        return self._arrays[size]

    def put(self, array: Any) -> int:
        """Take an array."""
        return len(array)

    def cpu(self) -> float:
        """Return the seconds of CPU that the server has used."""
        return time.process_time()


def _tuned(connection: socket.socket) -> socket.socket:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _accepted(port: int) -> Iterator[socket.socket]:
    with socket.create_server((LOCAL, port)) as listener:
        while True:
            yield _tuned(listener.accept()[0])


def _receive(sock: socket.socket, size: int) -> Any:
    """Return bytes in memory of their own, as whoever wants to keep them needs it."""
    data = np.empty(size, np.uint8)
    view = memoryview(data)
    while len(view):
        count = sock.recv_into(view)
        if count == 0:
            raise EOFError
        view = view[count:]
    return data


# The floor: the same bytes over the same kind of socket, without a protocol.


def raw_server(port: int) -> None:
    """Answer 16-byte requests (bytes to receive, bytes to send) as fast as sockets do."""
    driver = Driver()
    for connection in _accepted(port):
        request = bytearray(16)
        with contextlib.suppress(OSError, EOFError):
            while connection.recv_into(request, 16, socket.MSG_WAITALL) == 16:
                up, down = (int.from_bytes(request[i : i + 8], "little") for i in (0, 8))
                if up == CPU_TIME:
                    connection.sendall(time.process_time_ns().to_bytes(8, "little"))
                    continue
                if up:
                    _receive(connection, up)
                connection.sendall(driver.get(down) if down else b"k")


class RawClient:
    """Asks a raw server."""

    def __init__(self, port: int) -> None:
        self._sock = _tuned(socket.create_connection((LOCAL, port)))

    def _ask(self, up: int, down: int) -> None:
        self._sock.sendall(up.to_bytes(8, "little") + down.to_bytes(8, "little"))

    def ping(self) -> None:
        """Exchange one byte."""
        self._ask(0, 0)
        _receive(self._sock, 1)

    def get(self, size: int) -> Any:
        """Receive bytes."""
        self._ask(0, size)
        return _receive(self._sock, size)

    def put(self, array: Any) -> None:
        """Send bytes."""
        self._ask(len(array), 0)
        self._sock.sendall(array)
        _receive(self._sock, 1)

    def cpu(self) -> float:
        """Return the server's CPU time."""
        self._ask(CPU_TIME, 0)
        return int.from_bytes(bytes(_receive(self._sock, 8)), "little") * 1e-9


# What a reference end costs by itself: the other end knows the bytes beforehand, and does nothing with what it gets.


def _pyon(v2: bool) -> Callable[[Any], bytes]:
    from rexec.wire import pyon, pyon_v1

    encode = pyon.encode if v2 else pyon_v1.encode
    return lambda value: encode(value).encode("ascii") + b"\n"


class BareClient:
    """Sends lines to a pc_rpc server, made before the time is taken, and throws the answers away."""

    def __init__(self, port: int) -> None:
        self._sock = _tuned(socket.create_connection((LOCAL, port)))
        self._scratch = bytearray(_SCRATCH)
        self._sock.sendall(b"ARTIQ pc_rpc\n")
        v2 = b"pyon_v2" in self._line()
        self._encode = _pyon(v2)
        self._sock.sendall(b"drv pyon_v2\n" if v2 else b"drv\n")
        self._line()
        self._known: dict[tuple[str, int], bytes] = {}

    def _line(self) -> bytes:
        """Return the end of the next line (all of it where it is short)."""
        while True:
            count = self._sock.recv_into(self._scratch)
            if count == 0:
                raise EOFError
            if self._scratch[count - 1] == 10:
                return bytes(self._scratch[max(count - 4096, 0) : count])

    def _call(self, name: str, size: int, *args: Any) -> bytes:
        if (name, size) not in self._known:
            self._known = {
                (name, size): self._encode({"action": "call", "name": name, "args": args, "kwargs": {}})
            }
        self._sock.sendall(self._known[name, size])
        return self._line()

    def ping(self) -> None:
        """Exchange a small call."""
        self._call("ping", 0)

    def get(self, size: int) -> None:
        """Receive an array."""
        self._call("get", size, size)

    def put(self, array: Any) -> None:
        """Send an array."""
        self._call("put", len(array), array)

    def cpu(self) -> float:
        """Return the server's CPU time."""
        return float(self._call("cpu", 0).rpartition(b'"ret":')[2].strip(b" }\n"))


def bare_server(port: int) -> None:
    """Answer a pc_rpc client with lines made before the time is taken (at the first call of each size)."""
    v2 = True
    encode = _pyon(v2)
    driver = Driver()
    scratch = bytearray(_SCRATCH)
    answers: dict[bytes, bytes] = {}
    for connection in _accepted(port):
        try:
            _read_line(connection, scratch)
            connection.sendall(encode({"targets": ["drv"], "description": None, "features": ["pyon_v2"]}))
            v2 = b"pyon_v2" in _read_line(connection, scratch)
            encode = _pyon(v2)
            connection.sendall(encode({"ping", "get", "put", "cpu"}))
            while True:
                request = _read_line(connection, scratch)
                if b'"cpu"' in request:
                    connection.sendall(encode({"status": "ok", "ret": time.process_time()}))
                    continue
                if request not in answers:
                    ret = driver.get(_size_in(request)) if b'"get"' in request else True
                    answers = {request: encode({"status": "ok", "ret": ret})}
                connection.sendall(answers[request])
        except (OSError, EOFError):
            connection.close()


def _read_line(connection: socket.socket, scratch: bytearray) -> bytes:
    """Return the first bytes of a line that has been received to its end."""
    begin = b""
    while True:
        count = connection.recv_into(scratch)
        if count == 0:
            raise EOFError
        begin = begin or bytes(scratch[: min(count, 200)])
        if scratch[count - 1] == 10:
            return begin


def _size_in(request: bytes) -> int:
    return int("".join(map(chr, filter(b"0123456789".__contains__, request.partition(b'"args":')[2]))))


# The peers.


def serve(kind: str, port: int) -> None:
    """Run one server until it is killed."""
    if kind.startswith("rexec"):
        from rexec.wire.pc_rpc import simple_server_loop

        if kind == "rexec-asyncio":
            sys.modules["uvloop"] = None  # type: ignore[assignment]
        simple_server_loop({"drv": Driver()}, LOCAL, port)
    elif kind == "reference":
        from sipyco.pc_rpc import simple_server_loop as loop

        loop({"drv": Driver()}, LOCAL, port)
    elif kind == "rpyc":
        _serve_rpyc(port)
    elif kind == "bare":
        bare_server(port)
    else:
        raw_server(port)


def _serve_rpyc(port: int) -> None:
    import rpyc
    from rpyc.utils.server import ThreadedServer

    class Service(rpyc.Service):  # type: ignore[misc]
        driver = Driver()
        exposed_ping = driver.ping
        exposed_cpu = driver.cpu

        def exposed_get(self, size: int) -> bytes:
            return bytes(self.driver.get(size).data)

        def exposed_put(self, data: bytes) -> int:
            return len(data)

    ThreadedServer(Service, hostname=LOCAL, port=port).start()


def _rpyc_client(port: int) -> Any:
    import rpyc

    root = rpyc.connect(LOCAL, port).root

    class Adapter:
        ping = staticmethod(root.ping)
        cpu = staticmethod(root.cpu)

        @staticmethod
        def get(size: int) -> Any:
            return np.frombuffer(root.get(size), np.uint8)

        @staticmethod
        def put(array: Any) -> Any:
            return root.put(bytes(array.data))

    return Adapter()


def client_of(kind: str, port: int) -> Any:
    """Return an object with ping, get, put and cpu."""
    if kind == "rexec":
        from rexec.wire.pc_rpc import Client

        return Client(LOCAL, port, "drv")
    if kind == "reference":
        from sipyco.pc_rpc import Client as Reference

        return Reference(LOCAL, port, "drv")
    if kind == "rpyc":
        return _rpyc_client(port)
    return BareClient(port) if kind == "bare" else RawClient(port)


def work(kind: str, port: int) -> None:
    """Be a client that measures when told to.

    In: lines "METHOD SIZE COUNT". Out: seconds a call by the clock, seconds of CPU a call here, and in the server.
    """
    client = client_of(kind, port)
    print("ready", flush=True)
    array = np.ones(0, np.uint8)
    for line in sys.stdin:
        method, size, count = line.split()
        if len(array) != int(size):
            array = np.ones(int(size), np.uint8)
        arguments = {"ping": (), "get": (int(size),), "put": (array,)}[method]
        call = getattr(client, method)
        server, here, begin = client.cpu(), time.process_time(), time.perf_counter()
        for _ in range(int(count)):
            call(*arguments)
        figures = time.perf_counter() - begin, time.process_time() - here, client.cpu() - server
        print(*(figure / int(count) for figure in figures), flush=True)


if __name__ == "__main__":
    {"serve": serve, "work": work}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))

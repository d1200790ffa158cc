"""Remote calls side by side: this project, the reference library, RPyC, and a raw socket exchange as the floor.

`python benchmarks/rpc.py [--json FILE]`. Peers that are not there are left out, and it says so: RPyC comes with the
extra `bench`, the reference library with REXEC_PEER_PYTHON=…/bin/python (an interpreter that has it). Rounds are
interleaved, so that whatever else the machine does meets all alike; figures are medians.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = str(Path(__file__).resolve())
LOCAL = "127.0.0.1"
MB = 1_000_000
SERVERS = {"rexec", "rexec-asyncio", "reference", "rpyc", "raw"}


def receive(sock: socket.socket, view: memoryview) -> None:
    """Fill a buffer from a socket."""
    while len(view):
        view = view[sock.recv_into(view) :]


class Driver:
    """What every server offers: a small call, and arrays both ways."""

    def __init__(self) -> None:
        self._arrays: dict[int, Any] = {}

    def ping(self) -> bool:
        """Return at once."""
        return True

    def get(self, size: int) -> Any:
        """Return an array of a size in bytes."""
        import numpy as np

        if size not in self._arrays:
            self._arrays = {size: np.ones(size, np.uint8)}
        return self._arrays[size]

    def put(self, array: Any) -> int:
        """Take an array."""
        return len(array)


def serve(kind: str, port: int) -> None:
    """Run one server, in a process of its own."""
    if kind.startswith("rexec"):
        from rexec.wire.pc_rpc import simple_server_loop

        if kind == "rexec-asyncio":
            sys.modules["uvloop"] = None  # type: ignore[assignment]
        simple_server_loop({"drv": Driver()}, LOCAL, port)
    elif kind == "reference":
        from sipyco.pc_rpc import simple_server_loop as loop

        loop({"drv": Driver()}, LOCAL, port)
    elif kind == "rpyc":
        import rpyc
        from rpyc.utils.server import ThreadedServer

        class Service(rpyc.Service):  # type: ignore[misc]
            driver = Driver()

            def exposed_ping(self) -> bool:
                return True

            def exposed_get(self, size: int) -> bytes:
                return bytes(self.driver.get(size).data)

            def exposed_put(self, data: bytes) -> int:
                return len(data)

        ThreadedServer(Service, hostname=LOCAL, port=port).start()
    else:
        raw_server(port)


def raw_server(port: int) -> None:
    """Answer 16-byte requests (bytes to send, bytes to receive) as fast as sockets do."""
    buffers: dict[int, bytearray] = {}
    with socket.create_server((LOCAL, port)) as listener:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = bytearray(16)
            with contextlib.suppress(OSError, ValueError):
                while connection.recv_into(request, 16, socket.MSG_WAITALL) == 16:
                    up, down = (int.from_bytes(request[i : i + 8], "little") for i in (0, 8))
                    if up:
                        receive(connection, memoryview(buffers.setdefault(up, bytearray(up))))
                    connection.sendall(buffers.setdefault(down, bytearray(down)) if down else b"k")


class RawClient:
    """The floor: the same bytes, without a protocol."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection((LOCAL, port))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _ask(self, up: int, down: int, data: Any = b"") -> bytearray:
        self._sock.sendall(up.to_bytes(8, "little") + down.to_bytes(8, "little"))
        if len(data):
            self._sock.sendall(data)
        answer = bytearray(down or 1)
        receive(self._sock, memoryview(answer))
        return answer

    def ping(self) -> None:
        """Exchange one byte."""
        self._ask(0, 0)

    def get(self, size: int) -> Any:
        """Receive bytes."""
        return self._ask(0, size)

    def put(self, array: Any) -> None:
        """Send bytes."""
        self._ask(len(array), 0, array)


def client_of(kind: str, port: int) -> Any:
    """Return an object with ping, get and put."""
    if kind == "rexec":
        from rexec.wire.pc_rpc import Client

        return Client(LOCAL, port, "drv")
    if kind == "reference":
        from sipyco.pc_rpc import Client as Reference

        return Reference(LOCAL, port, "drv")
    if kind == "rpyc":
        import rpyc

        root = rpyc.connect(LOCAL, port).root

        class Adapter:
            ping = staticmethod(root.ping)
            get = staticmethod(root.get)

            @staticmethod
            def put(array: Any) -> Any:
                return root.put(bytes(array.data))

        return Adapter()
    return RawClient(port)


def work(kind: str, port: int) -> None:
    """Be a client that measures when told to: a line "METHOD SIZE COUNT" in, the seconds for each call out."""
    import numpy as np

    client = client_of(kind, port)
    print("ready", flush=True)
    for line in sys.stdin:
        method, size, count = line.split()
        array = np.ones(int(size), np.uint8)
        arguments = {"ping": (), "get": (int(size),), "put": (array,)}[method]
        call = getattr(client, method)
        call(*arguments)
        begin = time.perf_counter()
        for _ in range(int(count)):
            call(*arguments)
        print((time.perf_counter() - begin) / int(count), flush=True)


@dataclass(frozen=True)
class Peer:
    """A client and a server that are measured together."""

    name: str
    client: str
    server: str


class Pair:
    """A running peer."""

    def __init__(self, peer: Peer) -> None:
        with socket.create_server((LOCAL, 0)) as probe:
            port = probe.getsockname()[1]
        self.server = subprocess.Popen(command(peer.server, "serve", port))
        wait_for(port)
        self.client = subprocess.Popen(
            command(peer.client, "work", port), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._line() != "ready":
            raise RuntimeError(f"{peer.name}: the client did not start")

    def _line(self) -> str:
        return self.client.stdout.readline().strip() if self.client.stdout else ""

    def measure(self, method: str, size: int, count: int) -> float:
        """Return seconds for each call."""
        if self.client.stdin is None:
            raise RuntimeError("the client has no input")
        self.client.stdin.write(f"{method} {size} {count}\n")
        self.client.stdin.flush()
        return float(self._line() or "nan")

    def stop(self) -> None:
        """End both processes."""
        for process in (self.client, self.server):
            process.kill()
            process.communicate()


def command(kind: str, role: str, port: int) -> list[str]:
    """Return the command line of one end."""
    python = os.environ["REXEC_PEER_PYTHON"] if kind == "reference" else sys.executable
    return [python, HERE, f"--{role}", kind, "--port", str(port)]


def wait_for(port: int) -> None:
    """Wait until a server listens."""
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((LOCAL, port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def peers() -> Iterator[Peer]:
    """Yield what can be measured here."""
    yield Peer("raw socket", "raw", "raw")
    yield Peer("rexec (uvloop)", "rexec", "rexec")
    yield Peer("rexec (asyncio)", "rexec", "rexec-asyncio")
    if os.environ.get("REXEC_PEER_PYTHON"):
        yield Peer("reference", "reference", "reference")
        yield Peer("rexec client, reference server", "rexec", "reference")
        yield Peer("reference client, rexec server", "reference", "rexec")
    else:
        print("without the reference library: REXEC_PEER_PYTHON is not set", file=sys.stderr)
    if importlib.util.find_spec("rpyc"):
        yield Peer("RPyC", "rpyc", "rpyc")
    else:
        print("without RPyC: install the extra `bench`", file=sys.stderr)


def tasks(sizes: list[int]) -> Iterator[tuple[str, int, int]]:
    """Yield (method, size in MB, calls a round)."""
    yield "ping", 0, 1500
    for size in sizes:
        for method in ("get", "put"):
            yield method, size, max(1, min(20, 32 // size))


def is_possible(peer: Peer, method: str, size: int) -> bool:
    """Whether this can be measured in reasonable time; reference servers take 4 MiB in one line."""
    if not {"reference", "rpyc"} & {peer.client, peer.server}:
        return True
    return size <= 64 and not (method == "put" and peer.server == "reference" and size > 2)


def many_clients(total: int, calling: int, seconds: float) -> dict[str, float]:
    """Return figures of a server of ours with many connections, some of which call."""
    from rexec.wire.pc_rpc import Client

    with socket.create_server((LOCAL, 0)) as probe:
        port = probe.getsockname()[1]
    server = subprocess.Popen(command("rexec", "serve", port))
    times: list[float] = []
    failures: list[Exception] = []
    clients: list[Any] = []
    try:
        wait_for(port)
        clients = [Client(LOCAL, port, "drv") for _ in range(total)]
        until = time.perf_counter() + seconds

        def call(client: Any) -> None:
            try:
                while (begin := time.perf_counter()) < until:
                    client.ping()
                    times.append(time.perf_counter() - begin)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=call, args=(client,)) for client in clients[:calling]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for client in clients:
            client.close_rpc()
        server.kill()
        server.wait()
    ordered = sorted(times)
    return {
        "connected": total,
        "calling": calling,
        "calls": len(times),
        "failures": len(failures),
        "median_ms": statistics.median(ordered) * 1e3,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
    }


def main() -> None:
    """Measure, print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 4, 16, 64, 256], help="MB")
    parser.add_argument("--clients", type=int, default=1000, help="0: leave this part out")
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    parser.add_argument("--serve", choices=sorted(SERVERS), help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.port)
        return
    if arguments.work:
        work(arguments.work, arguments.port)
        return
    figures: dict[str, dict[str, float]] = {}
    chosen = list(peers())
    running = {peer.name: Pair(peer) for peer in chosen}
    try:
        for method, size, count in tasks(arguments.sizes):
            label = method if method == "ping" else f"{method} {size} MB"
            found: dict[str, list[float]] = {
                peer.name: [] for peer in chosen if is_possible(peer, method, size)
            }
            for _ in range(arguments.rounds):
                for name in found:
                    found[name].append(running[name].measure(method, size * MB, count))
            figures[label] = {name: statistics.median(values) for name, values in found.items()}
            show(label, size, figures[label])
    finally:
        for pair in running.values():
            pair.stop()
    crowd = many_clients(arguments.clients, max(arguments.clients // 10, 1), 5.0) if arguments.clients else {}
    if crowd:
        print("many clients:", ", ".join(f"{key} {value:.4g}" for key, value in crowd.items()))
    if arguments.json:
        machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.system()}
        data = {"machine": machine, "seconds_a_call": figures, "many_clients": crowd}
        arguments.json.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def show(label: str, size: int, figures: dict[str, float]) -> None:
    """Print one row a peer, with ratios to the floor and to the reference library."""
    print(label)
    raw, reference = figures.get("raw socket"), figures.get("reference")
    for name, seconds in figures.items():
        value = f"{size * MB / seconds / MB:9.0f} MB/s" if size else f"{seconds * 1e6:9.1f} µs"
        ratios = f"{raw / seconds:8.2f} of raw" if raw else ""
        ratios += f"{reference / seconds:10.2f} x reference" if reference else ""
        print(f"  {name:32}{value}{ratios}", flush=True)


if __name__ == "__main__":
    main()

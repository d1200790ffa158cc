"""Remote calls side by side: this project, the reference library, RPyC, and a raw socket exchange as the floor.

`python benchmarks/rpc.py [--json FILE] [--markdown FILE]`. Peers that are not there are left out, and it says so: RPyC
comes with the extra `bench`, the reference library with REXEC_PEER_PYTHON=…/bin/python (an interpreter that has it).

Rounds are interleaved, so that whatever else the machine does meets all alike. Times are medians; a ratio is the median
of the ratios of the same round. CPU is what both processes used for a call, which other work disturbs least.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENDS = str(Path(__file__).resolve().with_name("rpc_ends.py"))
LOCAL = "127.0.0.1"
MB = 1_000_000
BATCH = 0.15
"""Seconds that one peer's share of a round shall take."""
MOST_CALLS = 2000
SLOW = 0.7
"""A call of this many seconds is measured in three rounds only."""
VERY_SLOW = 3.0
"""And one of this many once."""
STOCK_SIZES = 64
"""Largest array, in MB, that is sent to or from a reference end: beyond, one call takes many seconds."""
STOCK_REQUEST = 2
"""Largest array, in MB, that fits into the 4 MiB of a line that a reference server reads."""
RAW, OURS, PLAIN, REFERENCE = "raw socket", "rexec (uvloop)", "rexec (asyncio)", "reference"
BEGIN, END = "<!-- figures of benchmarks/rpc.py -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Peer:
    """A client and a server that are measured together."""

    name: str
    client: str
    server: str

    def can(self, method: str, size: int) -> bool:
        """Whether this is possible, in reasonable time."""
        if not {"reference", "rpyc"} & {self.client, self.server}:
            return True
        return size <= STOCK_SIZES and not (
            method == "put" and self.server == "reference" and size > STOCK_REQUEST
        )


@dataclass
class Figures:
    """What was measured of one peer in one row, a value a round, in seconds a call."""

    wall: list[float] = field(default_factory=list)
    client_cpu: list[float] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)

    def add(self, figures: tuple[float, float, float]) -> None:
        """Add a round."""
        for values, figure in zip((self.wall, self.client_cpu, self.server_cpu), figures, strict=True):
            values.append(figure)

    @property
    def seconds(self) -> float:
        """Median time of a call."""
        return statistics.median(self.wall)

    @property
    def cpu(self) -> tuple[float, float]:
        """Median CPU of a call: client, server."""
        return statistics.median(self.client_cpu), statistics.median(self.server_cpu)

    def faster_than(self, other: "Figures | None") -> float | None:
        """Return how many times as fast as another, the median over the rounds."""
        if other is None:
            return None
        return statistics.median(b / a for a, b in zip(self.wall, other.wall, strict=False))


Row = dict[str, Figures]


class Pair:
    """A running peer."""

    def __init__(self, peer: Peer) -> None:
        with socket.create_server((LOCAL, 0)) as probe:
            port = probe.getsockname()[1]
        self.peer = peer
        self.server = subprocess.Popen(command(peer.server, "serve", port))
        wait_for(port)
        self.client = subprocess.Popen(
            command(peer.client, "work", port), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._line() != "ready":
            raise RuntimeError(f"{peer.name}: the client did not start")

    def _line(self) -> str:
        return self.client.stdout.readline().strip() if self.client.stdout else ""

    def measure(self, method: str, size: int, count: int) -> tuple[float, float, float]:
        """Return seconds a call: by the clock, of CPU in the client, of CPU in the server."""
        if self.client.stdin is None:
            raise RuntimeError("the client has no input")
        self.client.stdin.write(f"{method} {size} {count}\n")
        self.client.stdin.flush()
        answer = self._line()
        if not answer:
            raise RuntimeError(f"{self.peer.name}: the client ended during {method} of {size} bytes")
        wall, client, server = map(float, answer.split())
        return wall, client, server

    def stop(self) -> None:
        """End both processes."""
        for process in (self.client, self.server):
            process.kill()
            process.communicate()


def command(kind: str, role: str, port: int) -> list[str]:
    """Return the command line of one end."""
    python = os.environ["REXEC_PEER_PYTHON"] if kind == "reference" else sys.executable
    return [python, ENDS, role, kind, str(port)]


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
    yield Peer(RAW, "raw", "raw")
    yield Peer(OURS, "rexec", "rexec")
    yield Peer(PLAIN, "rexec", "rexec-asyncio")
    if os.environ.get("REXEC_PEER_PYTHON"):
        yield Peer(REFERENCE, "reference", "reference")
        yield Peer("rexec client, reference server", "rexec", "reference")
        yield Peer("bare client, reference server", "bare", "reference")
        yield Peer("reference client, rexec server", "reference", "rexec")
        yield Peer("reference client, bare server", "reference", "bare")
    else:
        print("without the reference library: REXEC_PEER_PYTHON is not set", file=sys.stderr)
    if importlib.util.find_spec("rpyc"):
        yield Peer("RPyC", "rpyc", "rpyc")
    else:
        print("without RPyC: install the extra `bench`", file=sys.stderr)


def row(running: list[Pair], method: str, size: int, rounds: int) -> Row:
    """Measure one kind of call with every peer that can do it."""
    taking_part = [pair for pair in running if pair.peer.can(method, size)]
    bytes_ = size * MB
    counts: dict[str, int] = {}
    wanted: dict[str, int] = {}
    for pair in taking_part:
        seconds = pair.measure(method, bytes_, 1)[0]  # memory, caches and prepared lines
        if seconds < SLOW:
            seconds = pair.measure(method, bytes_, 1 if size else 50)[0]
        counts[pair.peer.name] = max(1, min(MOST_CALLS, round(BATCH / seconds)))
        wanted[pair.peer.name] = rounds if seconds < SLOW else min(rounds, 3 if seconds < VERY_SLOW else 1)
    found: Row = {pair.peer.name: Figures() for pair in taking_part}
    for number in range(rounds):
        for pair in taking_part:
            if number < wanted[pair.peer.name]:
                found[pair.peer.name].add(pair.measure(method, bytes_, counts[pair.peer.name]))
    return found


def crowd(kind: str, total: int, calling: int, seconds: float) -> dict[str, float]:
    """Return figures of a server with many connections, some of which call one call after another."""
    from rexec.wire.pc_rpc import AsyncioClient

    with socket.create_server((LOCAL, 0)) as probe:
        port = probe.getsockname()[1]
    server = subprocess.Popen(command(kind, "serve", port))
    times: list[float] = []
    failures: list[Exception] = []

    async def call(client: Any, until: float) -> None:
        try:
            while (begin := time.perf_counter()) < until:
                await client.ping()
                times.append(time.perf_counter() - begin)
        except Exception as error:
            failures.append(error)

    async def run() -> None:
        clients: list[Any] = []
        try:
            for _ in range(total):
                client = AsyncioClient()
                await client.connect_rpc(LOCAL, port, "drv")
                clients.append(client)
            until = time.perf_counter() + seconds
            await asyncio.gather(*(call(client, until) for client in clients[:calling]))
            for client in clients[calling:]:  # those that only listened are still there
                try:
                    await client.ping()
                except Exception as error:
                    failures.append(error)
        finally:
            for client in clients:
                await client.close_rpc()

    try:
        wait_for(port)
        asyncio.run(run())
    finally:
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
        "longest_ms": ordered[-1] * 1e3,
    }


def show(label: str, size: int, figures: Row) -> None:
    """Print one line a peer, with ratios to the floor and to the reference library."""
    print(label)
    raw, reference = figures.get(RAW), figures.get(REFERENCE)
    for name, found in figures.items():
        value = f"{size / found.seconds:9.0f} MB/s" if size else f"{found.seconds * 1e6:9.1f} µs"
        of_raw, of_reference = found.faster_than(raw), found.faster_than(reference)
        ratios = "" if of_raw is None else f"{of_raw:8.2f} of raw"
        ratios += "" if of_reference is None else f"{of_reference:8.2f} x reference"
        client, server = (seconds * 1e3 for seconds in found.cpu)
        print(f"  {name:32}{value}{ratios:31}   CPU ms {client:8.3f} + {server:8.3f}", flush=True)


def flatness(table: dict[tuple[str, int], Row]) -> dict[str, float]:
    """Return the highest throughput of each direction over its lowest, for arrays of every size."""
    found: dict[str, float] = {}
    for method in ("get", "put"):
        for name in (RAW, OURS, PLAIN):
            rates = [
                size / figures[name].seconds for (kind, size), figures in table.items() if kind == method
            ]
            if rates:
                found[f"{method}, {name}"] = max(rates) / min(rates)
    return found


def markdown(table: dict[tuple[str, int], Row], crowds: dict[str, dict[str, float]]) -> str:
    """Return the figures as tables."""
    names = list(next(iter(table.values())))
    lines = ["| | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for (method, size), figures in table.items():
        cells = [_cell(name, size, figures) for name in names]
        lines.append(f"| {_label(method, size)} | " + " | ".join(cells) + " |")
    lines += ["", "CPU of a call, client + server, in milliseconds:", ""]
    lines += ["| | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for (method, size), figures in table.items():
        both = [figures[name].cpu if name in figures else None for name in names]
        cells = ["" if cpu is None else f"{cpu[0] * 1e3:.3g} + {cpu[1] * 1e3:.3g}" for cpu in both]
        lines.append(f"| {_label(method, size)} | " + " | ".join(cells) + " |")
    lines += ["", "Highest throughput over lowest, over all sizes of arrays:", ""]
    lines += [f"* {name}: {factor:.2f}" for name, factor in flatness(table).items()]
    if crowds:
        lines += ["", "Many clients:", ""]
    for name, one in crowds.items():
        lines.append(
            f"* {name}: {one['connected']} connected, {one['calling']} calling: {one['calls']} calls, "
            f"{one['failures']} failures, median {one['median_ms']:.1f} ms, p99 {one['p99_ms']:.1f} ms, "
            f"longest {one['longest_ms']:.1f} ms"
        )
    return "\n".join(lines)


def _label(method: str, size: int) -> str:
    return f"{method} {size} MB" if size else method


def _cell(name: str, size: int, figures: Row) -> str:
    if name not in figures:
        return ""
    found = figures[name]
    value = f"{size / found.seconds:.0f} MB/s" if size else f"{found.seconds * 1e6:.0f} µs"
    of_raw, of_reference = found.faster_than(figures.get(RAW)), found.faster_than(figures.get(REFERENCE))
    ratios = [] if name == RAW or of_raw is None else [f"{of_raw:.2f} raw"]
    ratios += [] if name == REFERENCE or of_reference is None else [f"{of_reference:.1f} ref"]
    return value + (f" ({', '.join(ratios)})" if ratios else "")


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 2, 4, 16, 64, 256], help="MB")
    parser.add_argument("--methods", nargs="*", default=["ping", "get", "put"])
    parser.add_argument("--clients", type=int, default=1000, help="0: leave this part out")
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    parser.add_argument("--markdown", type=Path, help="put the tables between the marks in this page")
    return parser


def main() -> None:
    """Measure, print tables."""
    arguments = get_argparser().parse_args()
    table: dict[tuple[str, int], Row] = {}
    running: list[Pair] = []
    with contextlib.ExitStack() as stack:
        for peer in peers():
            running.append(Pair(peer))
            stack.callback(running[-1].stop)
        for size in [0, *arguments.sizes]:
            for method in arguments.methods:
                if (size == 0) != (method == "ping"):
                    continue
                table[method, size] = row(running, method, size, arguments.rounds)
                show(_label(method, size), size, table[method, size])
    for name, factor in flatness(table).items():
        print(f"highest throughput over lowest: {name} {factor:.2f}")
    crowds: dict[str, dict[str, float]] = {}
    if arguments.clients:
        for name, kind in ((OURS, "rexec"), (PLAIN, "rexec-asyncio")):
            crowds[name] = crowd(kind, arguments.clients, max(arguments.clients // 10, 1), 4.0)
            print(f"many clients, {name}:", ", ".join(f"{k} {v:.4g}" for k, v in crowds[name].items()))
    if arguments.json:
        write_json(arguments.json, table, crowds)
    if arguments.markdown:
        before, begin, rest = arguments.markdown.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise SystemExit(f"{arguments.markdown} has no lines {BEGIN!r} and {END!r}")
        text = f"{before}{begin}\n\n{markdown(table, crowds)}\n\n{end}{after}"
        arguments.markdown.write_text(text, encoding="utf-8")


def write_json(path: Path, table: dict[tuple[str, int], Row], crowds: dict[str, dict[str, float]]) -> None:
    """Write everything that was measured."""
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.system()}
    rows = {
        _label(method, size): {name: vars(found) for name, found in figures.items()}
        for (method, size), figures in table.items()
    }
    data = {"machine": machine, "seconds_a_call": rows, "many_clients": crowds}
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

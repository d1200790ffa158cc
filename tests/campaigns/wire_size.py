"""Sends one large value each way and prints its cost in memory: `python -m tests.campaigns.wire_size --megabytes 1024`.

Figures are peaks of resident memory, above what the process had before, in payloads; the payload itself is one of them.
Exit status 1 where an end of ours needs more than 2.5. With REXEC_PEER_PYTHON also between ours and the reference
library's ends, with smaller values, for its blocking client copies all it has at every 4096 bytes; what the reference's
own end needs is not counted.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.interop.peer import SCRIPT, payload

LIMIT: Final = 2.5
LOCAL: Final = "127.0.0.1"
MB: Final = 1_000_000
KINDS: Final = ("array", "bytes")


def peak() -> int:
    """Return the highest resident memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Driver:
    """Gives and takes values, and tells what memory that took."""

    def __init__(self) -> None:
        self._before = peak()

    def give(self, kind: str, size: int) -> Any:
        """Return a value."""
        return payload(kind, size)

    def take(self, value: Any) -> int:
        """Take a value; return its size."""
        return len(value)

    def used(self) -> int:
        """Return the growth of the peak since the start, in bytes."""
        return peak() - self._before


def serve() -> None:
    """Be the server: print the port, serve until killed."""
    import asyncio

    from rexec.wire.pc_rpc import Server

    async def run() -> None:
        payload("array", 1000)  # NumPy and the like are there before the memory is looked at
        server = Server({"drv": Driver()})
        await server.start(LOCAL, 0)
        print(server.port, flush=True)
        await server.wait_terminate()

    asyncio.run(run())


def call(port: int, direction: str, kind: str, size: int, *, aio: bool) -> None:
    """Be the client: print the seconds and the growth of memory."""
    from rexec.wire.pc_rpc import Client

    payload("array", 1000)
    with Client(LOCAL, port, "drv") as client:
        before = peak()
        begin = time.perf_counter()
        if direction == "down":
            assert (_aio(port, "give", kind, size) if aio else len(client.give(kind, size))) == size
        else:
            value = payload(kind, size)
            begin = time.perf_counter()
            assert (_aio(port, "take", value) if aio else client.take(value)) == size
        seconds = time.perf_counter() - begin
        print(json.dumps([seconds, peak() - before]), flush=True)


def _aio(port: int, name: str, *args: Any) -> int:
    """Return the size of what a call by the asyncio client brought or took.

    The value itself must not be what `asyncio.run` returns: that writes the repr of the task's result.
    """
    import asyncio

    from rexec.wire.pc_rpc import AsyncioClient

    async def run() -> int:
        async with AsyncioClient() as client:
            await client.connect_rpc(LOCAL, port, "drv")
            answer = await client.rpc_call(name, args)
            return answer if isinstance(answer, int) else len(answer)

    return asyncio.run(run())


@contextmanager
def started(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """Run a process until the end of the block."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def own(role: str, *words: object) -> list[str]:
    """Return the command of one end of ours."""
    return [sys.executable, "-m", "tests.campaigns.wire_size", "--role", role, *map(str, words)]


def said(process: "subprocess.Popen[str]") -> Any:
    """Return what a process printed next."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with nothing said")
    return json.loads(line)


def memory_of(port: int) -> int:
    """Return what a server of ours has used."""
    from rexec.wire.pc_rpc import Client

    with Client(LOCAL, port, "drv") as client:
        return int(client.used())


def between_ours(direction: str, kind: str, size: int, client: str) -> dict[str, float]:
    """Return payloads of memory at either end, and MB/s."""
    with started(own("server")) as server:
        port = said(server)
        with started(own(client, port, direction, kind, size)) as caller:
            seconds, used = said(caller)
        return {client: used / size, "server": memory_of(port) / size, "MB/s": size / MB / seconds}


def from_reference(python: str, kind: str, size: int) -> dict[str, float]:
    """Return payloads of memory of our client that gets a value from a reference server."""
    with started([python, SCRIPT, "rpc_server"]) as server:
        with started(own("client", said(server), "down", kind, size)) as caller:
            seconds, used = said(caller)
    return {"client": used / size, "MB/s": size / MB / seconds}


def to_reference(python: str, direction: str, kind: str, size: int) -> dict[str, float]:
    """Return payloads of memory of our server that a reference client calls."""
    with started(own("server")) as server:
        port = said(server)
        with started([python, SCRIPT, "big_call", str(port), direction, kind, str(size)]) as caller:
            seconds = said(caller)
        return {"server": memory_of(port) / size, "MB/s": size / MB / seconds}


def campaign(size: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the figures of every case that is possible here."""
    for kind in KINDS:
        for direction in ("down", "up"):
            for client in ("client", "asyncio-client"):
                yield f"ours, {client}, {kind} {direction}", between_ours(direction, kind, size, client)
        python = os.environ.get("REXEC_PEER_PYTHON")
        if python:
            yield f"reference server, {kind} down", from_reference(python, kind, min(size, 64 * MB))
            for direction in ("down", "up"):
                found = to_reference(python, direction, kind, 4 * MB)
                yield f"reference client, {kind} {direction}", found


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--megabytes", type=int, default=1024, help="size of the value (default: %(default)s)"
    )
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    return parser


def main() -> int:
    """Run the campaign, or one end of it."""
    arguments = get_argparser().parse_args()
    if arguments.role == "server":
        serve()
        return 0
    if arguments.role:
        port, direction, kind, size = arguments.words
        call(int(port), direction, kind, int(size), aio=arguments.role == "asyncio-client")
        return 0
    worst = 0.0
    for name, figures in campaign(arguments.megabytes * MB):
        print(f"{name:40}", ", ".join(f"{key} {value:.2f}" for key, value in figures.items()), flush=True)
        worst = max(worst, *(value for key, value in figures.items() if key != "MB/s"))
    print(f"most memory: {worst:.2f} payloads, at most {LIMIT} allowed")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())

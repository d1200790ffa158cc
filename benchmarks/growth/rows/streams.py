"""Streams of remote functions, from a controller in a process of its own."""

import atexit
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rexec.remote
from rexec.wire.pc_rpc import Client

from ..row import Cost, Work, row

CONTROLLER = """
import asyncio, sys
from rexec.remote_exec import rexec_targets
from rexec.wire.pc_rpc import Server

async def main():
    server = Server(rexec_targets("camera", object()))
    await server.start("127.0.0.1", 0)
    print(server.port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()

asyncio.run(main())
"""


def ints(count: int) -> Iterator[int]:
    yield from range(count)


def arrays(count: int) -> Iterator[Any]:
    import numpy

    one = numpy.zeros(1000)
    for _ in range(count):
        yield one


def streamed(function: Any, size: int) -> Work:
    controller = subprocess.Popen(
        [sys.executable, "-P", "-c", CONTROLLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    atexit.register(controller.communicate)
    assert controller.stdout is not None
    port = int(controller.stdout.readline())
    remote = rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera")
    atexit.register(remote.close_rpc)
    stream = remote.function(function).stream
    assert sum(1 for _ in stream(10)) == 10

    def work() -> Cost:
        began = time.perf_counter()
        assert sum(1 for _ in stream(size)) == size
        return Cost((time.perf_counter() - began) / size)

    return work


@row("an item of a stream of n ints", start=3000, owed="10 µs (100,000 a second)")
def stream_ints(size: int, folder: Path) -> Work:
    return streamed(ints, size)


@row("an item of a stream of n arrays of 8 kB", start=300, owed="16 µs (500 MB/s)")
def stream_arrays(size: int, folder: Path) -> Work:
    return streamed(arrays, size)

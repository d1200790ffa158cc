"""A proxy that delays, stalls, cuts, splits and merges what passes through it, and repeats finished answers.

Everything it does is written in a `Schedule`, so that hypothesis can choose and shrink it.
"""

import asyncio
import contextlib
from dataclasses import dataclass

PIECE = 1 << 16
_TURNS = 5
"""Turns of the loop, more than asyncio takes to make a connection of what it has accepted."""


@dataclass(frozen=True)
class Fault:
    """What happens at one place of one direction's stream.

    Attributes:
        at: Number of bytes of the stream after which it happens.
        kind: "delay" (a short while), "stall" (nothing passes any more), "cut" (both ends are closed), "split" (the
            bytes before and after travel apart), "repeat" (the answer line that ends next is sent twice).
    """

    at: int
    kind: str


@dataclass(frozen=True)
class Schedule:
    """The faults of one connection, by direction; connections after the last listed one have none."""

    to_server: tuple[Fault, ...]
    to_client: tuple[Fault, ...]
    merge: bool
    """Hold bytes back for a moment, so that separate writes arrive as one."""


class Proxy:
    """Stands between a client and a server.

    Args:
        port: The server's, on this host.
        schedules: One for each connection, in order.
        delay: Length of a delay in seconds.
    """

    def __init__(self, port: int, schedules: list[Schedule], delay: float = 0.004) -> None:
        self._upstream = port
        self._schedules = schedules
        self._delay = delay
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    async def start(self) -> int:
        """Begin; return the port on which the proxy listens."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            # asyncio forgets to close what it is accepting when its server is closed.
            for each in self._server.sockets:
                with contextlib.suppress(NotImplementedError):  # Windows' loop takes what it accepts at once
                    asyncio.get_running_loop().remove_reader(each.fileno())
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._passed_on(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before it begins closes nothing.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _passed_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        index = self.connections
        self.connections += 1
        schedule = self._schedules[index] if index < len(self._schedules) else Schedule((), (), False)
        writers = [writer]
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            writers.append(upstream_writer)
            pumps = [
                asyncio.ensure_future(
                    self._pump(reader, upstream_writer, schedule.to_server, schedule.merge)
                ),
                asyncio.ensure_future(
                    self._pump(upstream_reader, writer, schedule.to_client, schedule.merge)
                ),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.wait(pumps)
                for pump in pumps:
                    if not pump.cancelled():
                        pump.exception()  # a lost connection is what this is about
        except (OSError, asyncio.CancelledError):
            return
        finally:
            for one in writers:
                one.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        faults: tuple[Fault, ...],
        merge: bool,
    ) -> None:
        """Pass bytes on until the end of the stream, or a cut."""
        position = 0
        waiting = sorted(faults, key=lambda fault: fault.at)
        repeat = False
        line = b""
        while data := await reader.read(PIECE):
            if merge:
                await asyncio.sleep(self._delay / 4)
            while data:
                stop = len(data)
                if waiting and waiting[0].at < position + len(data):
                    stop = max(waiting[0].at - position, 0)
                part, data = data[:stop], data[stop:]
                position += len(part)
                if part:
                    line = (line + part)[-(1 << 20) :]
                    if repeat and line.endswith(b"\n"):
                        part += line[line[:-1].rfind(b"\n") + 1 :]
                        repeat = False
                    writer.write(part)
                    await writer.drain()
                if not (waiting and waiting[0].at <= position):
                    continue
                fault = waiting.pop(0)
                if fault.kind == "cut":
                    return
                if fault.kind == "stall":
                    await asyncio.sleep(3600)
                elif fault.kind == "repeat":
                    repeat = True
                else:
                    await asyncio.sleep(self._delay if fault.kind == "delay" else 0.0005)

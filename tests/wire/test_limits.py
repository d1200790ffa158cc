"""What strangers can cost a server, and peers a decoder."""

import asyncio
import itertools
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.wire import certs, errors, pyon, pyon_v1
from rexec.wire._admission import name_of
from rexec.wire._conversation import Conversation, Greeting
from rexec.wire._framing import FrameReader
from rexec.wire._protocol import CALL_IDS
from rexec.wire.broadcast import Broadcaster
from rexec.wire.pc_rpc import Client, Limits
from rexec.wire.sync_struct import Notifier, Publisher
from rexec.wire.tls import SimpleSSLConfig
from tests.serving import running
from tests.wire.driver import Drv

LOCAL = "127.0.0.1"

# A server that may have few descriptors, a driver that wants some, and strangers that connect and say nothing.
FLOODED = """
import asyncio, resource, socket, sys, tempfile
from rexec.wire.broadcast import Broadcaster
from rexec.wire.pc_rpc import AsyncioClient, Limits, Server
from rexec.wire.sync_struct import Notifier, Publisher, Subscriber
from rexec.wire.tls import SimpleSSLConfig

def subscribe(port, tls, got):
    return Subscriber("x", lambda value: got.set_result(value)).connect("127.0.0.1", port, ssl_config=tls)

async def main(kind, theirs, ours):
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    theirs, ours = (SimpleSSLConfig(*files.split(",")) if files else None for files in (theirs, ours))
    server = {"pc_rpc": lambda: Server({"drv": object()}),
              "publisher": lambda: Publisher({"x": Notifier({"a": 1})}),
              "broadcaster": Broadcaster}[kind]()
    await server.start("127.0.0.1", 0, theirs)
    print(server.port, flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    files = [open("/dev/null") for _ in range(30)]  # what a driver may want
    print(len(files), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    await server.stop()

asyncio.run(main(*sys.argv[1:]))
"""


def tls_files(folder: Path) -> tuple[list[str], SimpleSSLConfig]:
    made = certs.make_set(folder, ["us"])
    us = made.clients["us"]
    theirs = [str(made.server.cert), str(made.server.key), str(made.trusted_clients)]
    return theirs, SimpleSSLConfig(str(us.cert), str(us.key), str(made.server.cert))


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_NOFILE")
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", ["pc_rpc", "publisher", "broadcaster"])
def test_half_open_connections_leave_descriptors_to_the_driver_and_room_for_others(
    kind: str, secured: bool, tmp_path: Path
) -> None:
    theirs, ours = tls_files(tmp_path) if secured else ([], None)
    command = [sys.executable, "-c", FLOODED, kind, ",".join(theirs), ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        strangers = []
        try:
            port = int(server.stdout.readline())
            strangers = [socket.create_connection((LOCAL, port), 150) for _ in range(220)]
            if kind == "pc_rpc":
                with Client(LOCAL, port, "drv", ssl_config=ours) as client:
                    assert client.get_selected_target() == "drv"
            else:
                assert asyncio.run(follows(kind, port, ours))
            server.stdin.write("\n")
            server.stdin.flush()
            assert server.stdout.readline() == "30\n"
            assert strangers[0].recv(1) == b""  # the oldest gave way
            server.stdin.write("\n")
            server.stdin.flush()
            assert server.wait(150) == 0
        finally:
            server.kill()
            for each in strangers:
                each.close()


async def follows(kind: str, port: int, tls: SimpleSSLConfig | None) -> bool:
    """Return whether a subscriber gets in: it is not thrown out for a moment, and a publisher's gets its structure."""
    context = None if tls is None else tls.create_client_context()
    reader, writer = await asyncio.open_connection(
        LOCAL, port, ssl=context, server_hostname="" if context else None
    )
    if kind == "publisher":
        writer.write(b"ARTIQ sync_struct\nx\n")
        good = b"init" in await reader.readline()
    else:
        writer.write(b"ARTIQ broadcast\nx\n")
        try:
            await asyncio.wait_for(reader.read(1), 0.5)
            good = False
        except TimeoutError:
            good = True
    writer.transport.abort()
    return good


def fed(reader: FrameReader, data: bytes) -> list[Any]:
    """Return the frames in some bytes."""
    frames = []
    rest = memoryview(data)
    while rest:
        space = reader.space()
        count = min(len(space), len(rest))
        space[:count] = rest[:count]
        rest = rest[count:]
        frame = reader.take(count)
        while frame is not None:
            frames.append(frame)
            frame = reader.take()
    return frames


def test_a_line_cannot_announce_more_raw_buffers_than_it_can_use() -> None:
    reader = FrameReader()
    reader.raw = True
    with pytest.raises(errors.FormatError, match="400000 raw buffers are announced"):
        fed(reader, b"#" + b",".join([b"1"] * 400_000) + b" {}\n")


def test_many_raw_buffers_arrive_in_order() -> None:
    used = ",".join(f'{{"__jsonclass__":["bytes",[{n}]]}}' for n in range(3000))
    data = b"".join(bytes([n % 251]) * (n % 5) for n in range(3000))
    line = b"#" + b",".join(b"%d" % (n % 5) for n in range(3000)) + b" [" + used.encode() + b"]\n"
    reader = FrameReader()
    reader.raw = True
    (frame,) = fed(reader, line + data)
    assert frame.buffers is not None
    assert [bytes(each) for each in frame.buffers] == [bytes([n % 251]) * (n % 5) for n in range(3000)]


@pytest.mark.parametrize("dtype", ["<U0", ">U0", "|S0", "|V0"])
@pytest.mark.parametrize("shape", [[1_000_000_000], [3], [2, 0], [1]])
def test_an_array_of_items_without_bytes_is_refused(dtype: str, shape: list[int]) -> None:
    for text, decode in (
        (json.dumps({"__jsonclass__": ["nparray", [shape, dtype, ""]]}), pyon.decode),
        (f'nparray({tuple(shape)}, "{dtype}", b"")'.replace(",)", ",)"), pyon_v1.decode),
    ):
        with pytest.raises(ValueError, match="no bytes"):
            decode(text)
    with pytest.raises(TypeError, match="no bytes"):
        pyon.encode(np.zeros(3, "V0"))


def test_a_scalar_without_bytes_travels() -> None:
    for codec, text in (
        (pyon, '{"__jsonclass__":["npscalar",["|S0",""]]}'),
        (pyon_v1, 'npscalar("|S0", b"")'),
    ):
        value = codec.decode(text)
        assert isinstance(value, np.bytes_)
        assert value == b""
        if codec is pyon:  # version 1 has no texts of NumPy
            assert codec.encode(value) == text


PRIME = (1 << 61) - 1
"""Python's hash of an integer is its rest by this number."""


@pytest.mark.parametrize(
    "write",
    [
        lambda keys: json.dumps({"__jsonclass__": ["set", [keys]]}),
        lambda keys: json.dumps({"__jsonclass__": ["dict", [[[key, 0] for key in keys]]]}),
        lambda keys: json.dumps({"__jsonclass__": ["OrderedDict", [[[key, 0] for key in keys]]]}),
    ],
    ids=["set", "dict", "OrderedDict"],
)
def test_numbers_of_one_hash_do_not_stop_the_decoder(write: Callable[[list[int]], str]) -> None:
    with pytest.raises(TypeError, match="have one hash"):
        pyon.decode(write([PRIME * n for n in range(1, 10_000)]))
    ordinary = list(range(-2000, 2000))
    assert len(pyon.decode(write(ordinary))) == 4000


def test_numbers_of_one_hash_do_not_stop_the_decoder_of_v1() -> None:
    keys = [PRIME * n for n in range(1, 10_000)]
    for text in ("{" + ",".join(map(str, keys)) + "}", "{" + ",".join(f"{key}:0" for key in keys) + "}"):
        with pytest.raises(ValueError, match="have one hash"):
            pyon_v1.decode(text)
    assert len(pyon_v1.decode(repr(set(range(4000))))) == 4000


def test_a_client_bounds_what_a_server_says_in_the_handshake() -> None:
    with socket.create_server((LOCAL, 0)) as listener:
        port = listener.getsockname()[1]

        async def flood() -> None:
            async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    writer.write(b'{"targets": ["')
                    while True:
                        writer.write(b"x" * 100_000)
                        await writer.drain()
                except ConnectionError:
                    ended.set()

            ended = asyncio.Event()
            server = await asyncio.start_server(connected, sock=listener)
            with pytest.raises(errors.ConnectionFailed, match="more than 1048576 bytes"):
                await asyncio.to_thread(Client, LOCAL, port)
            await asyncio.wait_for(ended.wait(), 150)
            server.close()

        asyncio.run(flood())


def test_the_first_byte_of_another_protocol_says_so() -> None:
    with socket.create_server((LOCAL, 0)) as listener:

        def speak() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"\x15\x03\x01\x00")  # a TLS alert, without an end of line
                connection.recv(100)
                connection.recv(100)

        thread = threading.Thread(target=speak)
        thread.start()
        with pytest.raises(errors.IncompatibleServer, match="no pc_rpc server") as caught:
            Client(LOCAL, listener.getsockname()[1])
        assert caught.value.said.startswith(b"\x15\x03")
        thread.join(150)


@pytest.mark.parametrize(
    "kind", [lambda: Publisher({"x": Notifier({})}), Broadcaster], ids=["publisher", "broadcaster"]
)
def test_long_lines_of_a_peer_are_one_line_in_the_log(
    kind: Callable[[], Publisher | Broadcaster], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        server = kind()
        await server.start(LOCAL, 0)
        for _ in range(5):
            reader, writer = await asyncio.open_connection(LOCAL, server.port)
            writer.write(b"x" * 10_000)
            try:
                assert await reader.read(1) == b""
            except ConnectionError:
                pass  # it was closed while these bytes were on their way
            writer.transport.abort()
        await server.stop()

    caplog.set_level(logging.INFO)
    asyncio.run(main())
    (record,) = [one for one in caplog.records if one.name == "rexec.wire._admission"]
    assert "a line of more than 4096 bytes" in record.getMessage()
    assert record.exc_info is None


def test_a_server_is_not_taken_for_one_that_stood_in_its_place() -> None:
    names: list[str] = []
    places: set[int] = set()
    while len(places) == len(names):
        server = Broadcaster()
        assert name_of(server) == name_of(server)
        names.append(name_of(server))
        places.add(id(server))
        del server
    assert len(set(names)) == len(names)


async def subscribed(server: Publisher | Broadcaster) -> None:
    """Wait until a server has a subscriber."""
    async with asyncio.timeout(150):
        while not server.status():  # noqa: ASYNC110 - servers tell nobody of it
            await asyncio.sleep(0.01)


def test_a_receiver_that_does_not_read_holds_bytes_within_the_limit() -> None:
    async def main() -> None:
        server = Broadcaster(backlog=1 << 20)
        await server.start(LOCAL, 0)
        _, writer = await asyncio.open_connection(LOCAL, server.port)
        writer.write(b"ARTIQ broadcast\nx\n")
        await subscribed(server)
        for number in range(300):
            server.broadcast("x", [number, "x" * 100_000])
            await asyncio.sleep(0)
        (status,) = server.status()
        assert status["waiting"] <= (1 << 20) + 110_000
        assert status["dropped"] > 200
        writer.transport.abort()
        await server.stop()

    asyncio.run(main())


def test_a_subscriber_that_does_not_read_holds_no_list_of_all_keys_that_ever_were() -> None:
    async def main() -> None:
        notifier = Notifier({})
        server = Publisher({"x": notifier}, backlog=1 << 16)
        await server.start(LOCAL, 0)
        _, writer = await asyncio.open_connection(LOCAL, server.port)
        writer.write(b"ARTIQ sync_struct\nx\n")
        await subscribed(server)
        (subscription,) = server.subscriptions("x")
        for number in range(4000):
            notifier[f"key {number}"] = "x" * 4000
            del notifier[f"key {number}"]
            if number % 50 == 0:
                await asyncio.sleep(0)
        assert len(subscription.stale) + len(subscription.lines) < 1500
        writer.transport.abort()
        await server.stop()

    asyncio.run(main())


def test_an_answer_with_another_type_of_number_is_no_answer() -> None:
    for number in ("true", "1.0", '"1"', "null"):
        with socket.create_server((LOCAL, 0)) as listener:

            def serve(number: str = number, listener: socket.socket = listener) -> None:
                connection, _ = listener.accept()
                with connection, connection.makefile("rb") as lines:
                    lines.readline()
                    connection.sendall(
                        b'{"targets":["t"],"description":null,"features":["pyon_v2","call_ids_1"]}\n'
                    )
                    lines.readline()
                    connection.sendall(b'{"__jsonclass__":["set",[["f"]]]}\n')
                    lines.readline()
                    connection.sendall(b'{"status":"ok","id":%s,"ret":1}\n' % number.encode())
                    lines.readline()

            thread = threading.Thread(target=serve)
            thread.start()
            with Client(LOCAL, listener.getsockname()[1], timeout=150) as client:
                with pytest.raises(errors.FormatError, match="something else than the answer"):
                    client.f()
            thread.join(150)


def test_the_limit_of_connections_holds_while_others_are_served() -> None:
    limits = Limits(connections=5)
    with running({"drv": Drv()}, limits=limits) as server, Client(LOCAL, server.port) as client:
        strangers = [socket.create_connection((LOCAL, server.port), 150) for _ in range(30)]
        assert client.ping()
        closed = sum(each.recv(1) == b"" for each in itertools.islice(strangers, 20))
        assert closed == 20
        for each in strangers:
            each.close()


def test_a_request_that_a_stock_server_cannot_read_is_refused_before_it_is_sent() -> None:
    stock = Conversation("camera:3283")
    around = sum(map(len, stock.encode_call("store", ("",), {})))
    longest = "x" * ((4 << 20) - around)  # a reference server reads lines of 4 MiB
    assert sum(map(len, stock.encode_call("store", (longest,), {}))) == 4 << 20
    with pytest.raises(
        errors.MessageTooLong, match=r"store\(\) of camera:3283: the request has 4194305 bytes, .* in pieces"
    ):
        stock.encode_call("store", (longest + "x",), {})
    stock.greeting = Greeting(features=frozenset({CALL_IDS}))
    assert stock.encode_call("store", (longest + "x",), {})

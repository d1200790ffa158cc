"""sync_struct and broadcast, between two of ours and against what a real publisher said."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.wire import errors, pyon
from rexec.wire.broadcast import Broadcaster, Receiver
from rexec.wire.pc_rpc import Limits
from rexec.wire.sync_struct import Notifier, Publisher, Subscriber, process_mod, update_from_dict

DATA = Path(__file__).parent / "data"
LOCAL = "127.0.0.1"


async def until(condition: Any) -> None:
    async with asyncio.timeout(150):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.005)


def test_every_kind_of_change_reaches_a_subscriber() -> None:
    async def main() -> None:
        notifier = Notifier({"a": (True, 1, {}), "arr": (False, np.zeros(3), {})})
        publisher = Publisher({"datasets": notifier})
        await publisher.start(LOCAL, 0)
        copies: list[Any] = []
        mods: list[Any] = []
        lost: list[int] = []

        def build(struct: Any) -> Any:
            copies.append(struct)
            return struct

        subscriber = Subscriber("datasets", build, mods.append, lambda: lost.append(1))
        await subscriber.connect(LOCAL, publisher.port)
        await until(lambda: copies)
        notifier["list"] = (False, [], {})
        notifier["list"][1].append(4)
        notifier["list"][1].insert(0, 1)
        notifier["list"][1].append(5)
        assert notifier["list"][1].pop() == 5
        notifier["arr"][1][1] = 7.0
        notifier["arr"][1][(slice(0, 1),)] = 9.0
        del notifier["a"]
        notifier[5] = "int key"
        await until(lambda: 5 in copies[0])
        for struct in (copies[0], notifier.raw_view):
            assert struct["list"] == (False, [1, 4], {})
            assert struct["arr"][1].tolist() == [9.0, 7.0, 0.0]
            assert struct.keys() == {"arr", "list", 5}
        assert [mod["action"] for mod in mods] == [
            "init", "setitem", "append", "insert", "append", "pop", "setitem", "setitem", "delitem", "setitem",
        ]  # fmt: skip
        await publisher.stop()
        await until(lambda: lost)
        await subscriber.close()

    asyncio.run(main())


@pytest.mark.parametrize("file", ["transcripts.json", "transcripts_1_9.json"])
def test_what_a_real_publisher_said_is_followed(file: str) -> None:
    session = json.loads((DATA / file).read_text(encoding="utf-8"))["sessions"]["sync_struct_datasets"]
    events = session["connections"][0]["events"]
    said = "".join(text for side, text in events if side == "server" and text != "<closed>")

    async def main() -> None:
        async def publish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"ARTIQ sync_struct\n"
            assert await reader.readline() == b"datasets\n"
            writer.write(said.encode("ascii"))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(publish, LOCAL, 0)
        copies: list[Any] = []
        ended = asyncio.Event()

        def build(struct: Any) -> Any:
            copies.append(struct)
            return struct

        subscriber = Subscriber("datasets", build, None, ended.set)
        await subscriber.connect(LOCAL, server.sockets[0].getsockname()[1])
        async with asyncio.timeout(150):
            await ended.wait()
        await subscriber.close()
        server.close()
        assert copies[0]["list"] == (False, [4], {})
        assert copies[0]["arr"][1].tolist() == [1.0, 1.0, 0.0]
        assert copies[0][5] == "int key"
        assert "a" not in copies[0]

    asyncio.run(main())


def test_an_unknown_notifier_is_a_lost_connection() -> None:
    async def main() -> None:
        publisher = Publisher({"datasets": Notifier({})})
        await publisher.start(LOCAL, 0)
        lost = asyncio.Event()
        subscriber = Subscriber("nothing", dict, None, lost.set)
        await subscriber.connect(LOCAL, publisher.port)
        async with asyncio.timeout(150):
            await lost.wait()
        await subscriber.close()
        await publisher.stop()
        with pytest.raises(errors.ConnectionFailed, match="refused"):
            await subscriber.connect(LOCAL, publisher.port)

    asyncio.run(main())


async def follow_slowly(
    struct: Any, change: Any, last: bytes, is_all: Callable[[bytes], bool] = lambda received: True
) -> bytes:
    """Subscribe, read nothing while `change` runs, and return what comes up to the line that holds `last`.

    And on until `is_all(received)`: what is sent again in place of dropped values comes after later changes.
    """
    notifier = Notifier(struct)
    publisher = Publisher({"x": notifier}, backlog=1 << 20)
    await publisher.start(LOCAL, 0)
    loop = asyncio.get_running_loop()
    with socket.create_connection((LOCAL, publisher.port), 150) as slow:
        slow.sendall(b"ARTIQ sync_struct\nx\n")
        slow.setblocking(False)
        await until(lambda: publisher.subscriptions("x"))
        for n in range(200):
            change(notifier, n)
            await asyncio.sleep(0)
            assert publisher.status()[0]["waiting"] <= 3 << 20
        received = b""
        async with asyncio.timeout(150):
            while last not in received or not received.endswith(b"\n") or not is_all(received):
                received += await loop.sock_recv(slow, 1 << 20)
        (status,) = publisher.status()
        assert status["name"] == "x"
        assert status["dropped"] > 100
    await publisher.stop()
    return received


def applied(received: bytes) -> Any:
    """Return the structure that a subscriber has after these lines."""
    init, *mods = map(pyon.decode, received.splitlines())
    for mod in mods:
        process_mod(init["struct"], mod)
    return init["struct"]


def test_a_slow_subscriber_gets_the_latest_value_of_what_changes_fast_and_every_change_of_the_rest() -> None:
    def change(notifier: Notifier, n: int) -> None:
        notifier["image"] = np.full(1 << 15, n)
        if n % 20 == 0:
            notifier["list"].append(n)
        if n == 199:
            notifier["n"] = 200

    struct = {"n": 0, "image": np.zeros(1), "list": []}
    received = asyncio.run(follow_slowly(struct, change, b'"key":"image","value":' + PYON_199))
    assert received.count(b'"action":"init"') == 1
    assert received.count(b'"action":"append"') == 10
    result = applied(received)
    assert (result["n"], result["list"], set(result["image"])) == (200, struct["list"], {199})


def test_a_slow_subscriber_of_a_list_gets_it_anew() -> None:
    def change(notifier: Notifier, n: int) -> None:
        notifier.append(np.full(1 << 13, n))
        if n > 3:
            notifier.pop(0)
        if n == 199:
            notifier.append("end")

    received = asyncio.run(follow_slowly([], change, b'"end"'))
    assert received.count(b'"action":"init"') > 1


def test_a_key_that_vanished_while_a_subscriber_was_behind_is_gone_for_it_too() -> None:
    def change(notifier: Notifier, n: int) -> None:
        notifier[f"image{n % 2}"] = np.full(1 << 15, n)
        if n == 199:
            del notifier["image0"]
            notifier["end"] = "end"

    def is_equal(received: bytes) -> bool:
        result = applied(received[received.rindex(b'{"action":"init"') :])
        return set(result) == {"image1", "end"} and result["image1"][0] == 199

    asyncio.run(follow_slowly({}, change, b'"end"', is_equal))


PYON_199 = pyon.encode(np.full(1 << 15, 199)).encode()


def test_only_differences_are_published() -> None:
    array = np.zeros(2)
    notifier = Notifier(
        {"same": array, "equal": [1000, {"a": 2.5}], "gone": 2, "new": np.zeros(2), "kind": 1}
    )
    mods: list[Any] = []
    notifier.publish = mods.append
    # "equal" is neither the same object nor a constant that Python keeps one of; arrays are not compared.
    wanted = {"same": array, "equal": [int("1000"), {"a": 2.5}], "new": 3, "more": 4, "kind": True}
    update_from_dict(notifier, wanted)
    assert notifier.raw_view == wanted
    assert notifier.raw_view["kind"] is True
    assert [(mod["action"], mod["key"]) for mod in mods] == [
        ("delitem", "gone"), ("setitem", "new"), ("setitem", "more"), ("setitem", "kind"),
    ]  # fmt: skip


def test_a_change_that_does_not_fit_is_refused() -> None:
    for mod, error in (
        ({"action": "append", "path": ["nothing"], "x": 1}, KeyError),
        ({"action": "dance", "path": []}, ValueError),
        ({"action": "init", "path": []}, ValueError),
    ):
        with pytest.raises(error):
            process_mod({}, mod)


def test_a_broadcast_reaches_those_who_listen_to_its_name() -> None:
    async def main() -> None:
        broadcaster = Broadcaster()
        await broadcaster.start(LOCAL, 0)
        got: list[Any] = []
        others: list[Any] = []
        receivers = [Receiver("ccb", [got.append]), Receiver("other", others.append)]
        for receiver in receivers:
            await receiver.connect(LOCAL, broadcaster.port)
        await until(lambda: broadcaster.subscriptions("ccb") and broadcaster.subscriptions("other"))
        broadcaster.broadcast("ccb", {"service": "create_applet", "args": ("x",)})
        await until(lambda: got)
        assert got == [{"service": "create_applet", "args": ("x",)}]
        assert others == []
        for receiver in receivers:
            await receiver.close()
        await broadcaster.stop()

    asyncio.run(main())


def test_a_subscriber_that_says_nothing_or_too_much_cannot_keep_others_out() -> None:
    async def main() -> None:
        limits = Limits(handshake_line=64, handshake_timeout=0.5, connections=3)
        publisher = Publisher({"datasets": Notifier({"a": 1})}, limits=limits)
        await publisher.start(LOCAL, 0)

        async def ended(reader: asyncio.StreamReader) -> bool:
            try:
                return await asyncio.wait_for(reader.read(), 150) == b""
            except ConnectionError:
                return True

        reader, writer = await asyncio.open_connection(LOCAL, publisher.port)
        writer.write(b"x" * 1000)
        assert await ended(reader)
        writer.close()
        idle = [await asyncio.open_connection(LOCAL, publisher.port) for _ in range(5)]
        # Two had to give way at once, the others when their time was over.
        assert all([await ended(one) for one, _ in idle])
        followers = [Subscriber("datasets", dict) for _ in range(3)]
        for follower in followers:
            await follower.connect(LOCAL, publisher.port)
        await until(lambda: len(publisher.subscriptions("datasets")) == 3)
        reader, fourth = await asyncio.open_connection(LOCAL, publisher.port)
        assert await ended(reader)
        assert len(publisher.subscriptions("datasets")) == 3
        for one in (*(writer for _, writer in idle), fourth):
            one.close()
        for follower in followers:
            await follower.close()
        await publisher.stop()

    asyncio.run(main())

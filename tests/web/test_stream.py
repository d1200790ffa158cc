"""The protocol of docs/reference/web-protocol.md, spoken by a client that is not the page's script."""

import asyncio
import http.client
import itertools
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rexec.web.limits import MOST_BROWSERS
from rexec.web.session import pause_after
from tests.web.served import Served, served

LIMIT = 150.0


class Follower:
    """A page as a program."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.bytes = 0

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self, *, acknowledge: bool = True) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT):
            content = await self.socket.recv()
        assert isinstance(content, bytes)
        self.bytes += len(content)
        (size,) = struct.unpack_from("<I", content)
        header: dict[str, Any] = json.loads(content[4 : 4 + size])
        header["arrays"] = [
            np.frombuffer(content, f"<{kind}", int(np.prod(shape)), 4 + size + at).reshape(shape)
            for kind, shape, at in header["arrays"]
        ]
        if acknowledge:
            await self.send(type="ack", seq=header["seq"])
        return header

    async def until(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        while True:
            header = await self.receive()
            if condition(header):
                return header

    async def numbers_of(self, *names: str) -> list[int]:
        """Wait for datasets: the server hears of one after the other, and maybe late of the end of older ones."""
        found: dict[str, int] = {}
        while not found.keys() >= set(names):
            rows = (await self.receive()).get("datasets", {}).get("rows", ())
            found |= {row[1]: int(row[0]) for row in rows}
        return [found[name] for name in names]


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """Return with which code and reason the server closes a connection."""
    try:
        async with asyncio.timeout(LIMIT):
            while True:
                await socket.recv()
    except ConnectionClosed as error:
        return (0, "") if error.rcvd is None else (error.rcvd.code, error.rcvd.reason)


async def silence(page: Follower, seconds: float) -> list[dict[str, Any]]:
    """Return the messages that come until none has come for a while; none is acknowledged."""
    found: list[dict[str, Any]] = []
    while True:
        try:
            async with asyncio.timeout(seconds):
                found.append(await page.receive(acknowledge=False))
        except TimeoutError:
            return found


def opened(lab: Served, cookie: str | None = None, **headers: str) -> connect:
    origin: Any = headers.pop("Origin", lab.address.rstrip("/"))
    protocols: Any = ["rexec.web.1"]
    return connect(
        lab.address.replace("http", "ws") + "stream",
        additional_headers={"Cookie": lab.cookie() if cookie is None else cookie} | headers,
        origin=origin,
        subprotocols=protocols,
        compression=None,
        max_size=1 << 26,
    )


def play(lab: Served, scene: Callable[[Follower], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened(lab) as socket:
            assert socket.subprotocol == "rexec.web.1"
            await scene(Follower(socket))

    asyncio.run(run())


def test_a_page_is_told_what_is_there_and_then_what_is_new(lab: Served) -> None:
    async def scene(page: Follower) -> None:
        lab.datasets.set("a", [1.0])
        await page.send(type="want", parts=["datasets"], views={})
        (number,) = await page.numbers_of("a")
        await page.send(type="want", parts=["datasets"], views={"p": {"dataset": number}})
        await page.until(lambda each: "views" in each)
        lab.datasets.set("b", 1)
        lab.datasets.update({"action": "append", "path": ["a", 1], "x": 2.0})
        news = await page.until(lambda each: "views" in each)
        part = news["views"][0]
        assert (part["from"], part["rows"], part["is_whole"]) == (1, 2, False)
        assert news["arrays"][part["arrays"][0]].tolist() == [[2.0]]

    play(lab, scene)


def test_nothing_is_sent_to_a_page_that_does_not_answer(lab: Served) -> None:
    """What it misses is skipped and counted, then the newest value comes."""
    values = range(1, 7)

    async def looks_at_the_image(page: Follower) -> None:
        await page.send(type="want", parts=["datasets"], views={})
        (number,) = await page.numbers_of("image")
        await page.send(type="want", parts=["datasets"], views={"p": {"dataset": number}})
        await page.until(lambda each: "views" in each)

    async def scene(page: Follower) -> None:
        lab.datasets.set("image", np.zeros((500, 500)))
        await looks_at_the_image(page)
        async with opened(lab) as socket:
            # Another page shows when the server has each value: a follower of the master may get many at once.
            other = Follower(socket)
            await looks_at_the_image(other)
            for value in values:
                lab.datasets.set("image", np.full((500, 500), float(value)))
                while await newest_of(other) != value:
                    pass
        received = [await page.receive(acknowledge=False), *await silence(page, 1.0)]
        assert 1 <= len(received) <= 2, "two messages may be on the way"
        await page.send(type="ack", seq=received[-1]["seq"])
        if values[-1] not in map(
            shown_in, received
        ):  # after a rest, the second one may be the newest already
            received.append(await page.until(lambda each: "views" in each))
        parts = [part for news in received for part in news.get("views", [])]
        assert shown_in(received[-1]) == values[-1]
        assert sum(part["skipped"] for part in parts) == len(values) - len(parts)

    async def newest_of(page: Follower) -> float | None:
        return shown_in(await page.until(lambda each: "views" in each))

    def shown_in(news: dict[str, Any]) -> float | None:
        views = news.get("views")
        return float(news["arrays"][views[-1]["arrays"][0]][0, 0]) if views else None

    play(lab, scene)


def test_a_pause_is_kept_until_it_ends(lab: Served) -> None:
    async def scene(page: Follower) -> None:
        await page.send(type="want", parts=["datasets"], views={})
        await page.receive()
        await page.send(type="pause")
        await (await page.socket.ping())  # the answer comes after the server has read the pause
        await silence(page, 0.3)
        lab.datasets.set("a", 1.0)
        assert await silence(page, 0.3) == []
        await page.send(type="continue")
        await page.until(lambda each: each.get("datasets", {}).get("rows"))

    play(lab, scene)


def test_a_page_that_asks_whether_the_server_is_there_is_answered(lab: Served) -> None:
    async def scene(page: Follower) -> None:
        await page.send(type="want", parts=[], views={})
        assert "hello" in await page.receive()
        for _ in range(2):
            await page.send(type="alive")
            assert set(await page.receive()) == {"seq", "version", "time", "arrays"}

    play(lab, scene)


def test_a_page_that_comes_back_says_what_it_has(lab: Served) -> None:
    lab.datasets.set("a", [float(each) for each in range(1000)])
    kept: dict[str, Any] = {}

    async def first(page: Follower) -> None:
        await page.send(type="want", parts=["datasets"], views={})
        (number,) = await page.numbers_of("a")
        await page.send(type="want", parts=["datasets"], views={"p": {"dataset": number}})
        news = await page.until(lambda each: "views" in each)
        kept.update(version=news["version"], number=number, had=news["views"][0]["had"])

    async def hello(page: Follower) -> None:
        kept["instance"] = (await page.until(lambda each: "hello" in each))["hello"]["instance"]

    async def again(page: Follower) -> None:
        since = {"instance": kept["instance"], "version": kept["version"]}
        views = {"p": {"dataset": kept["number"], "had": kept["had"]}}
        await page.send(type="want", parts=["datasets"], views=views, since=since)
        news = await page.until(lambda each: "views" in each)
        assert news["arrays"][news["views"][0]["arrays"][0]].tolist() == [[7.0]]
        assert not news["views"][0]["is_whole"]
        assert page.bytes < 4000

    play(lab, hello)
    play(lab, first)
    lab.datasets.update({"action": "append", "path": ["a", 1], "x": 7.0})
    play(lab, again)


def test_numbers_of_another_start_of_the_server_mean_nothing(lab: Served) -> None:
    lab.datasets.set("a", [1.0])

    async def scene(page: Follower) -> None:
        hello = await page.until(lambda each: "hello" in each)
        await page.send(type="want", parts=["datasets"], views={})
        (number,) = await page.numbers_of("a")
        views, since = {"p": {"dataset": number}}, {"instance": "another", "version": 7}
        await page.send(type="want", parts=["datasets"], views=views, since=since, instance="another")
        first = await page.receive()
        assert first["datasets"]["is_whole"]
        await page.send(type="want", parts=[], views=views, instance="another")
        await page.send(type="alive")
        assert "views" not in first | await page.receive()
        await page.send(type="want", parts=[], views=views, instance=hello["hello"]["instance"])
        assert "views" in await page.receive()
        question = f"/api/zoom?dataset={number}&from=0&to=9&most=99"
        cookie = await asyncio.to_thread(lab.cookie)
        for instance, status in (("another", 409), (hello["hello"]["instance"], 200)):
            address = f"{question}&instance={instance}"
            assert (await asyncio.to_thread(lab.ask, address, cookie=cookie))[0] == status

    play(lab, scene)


def test_a_zoom_has_the_axis_of_the_plot(lab: Served) -> None:
    lab.datasets.set("y", [1.0, 2.0])
    for name, axis in (("iq", [1j, 2j]), ("short", [1.0]), ("image", [[1.0], [2.0]]), ("good", [3, 4])):
        lab.datasets.set(name, axis)

    async def scene(page: Follower) -> None:
        instance = (await page.until(lambda each: "hello" in each))["hello"]["instance"]
        await page.send(type="want", parts=["datasets"], views={})
        names = ("iq", "short", "image", "good")
        number, *axes = await page.numbers_of("y", *names)
        cookie = await asyncio.to_thread(lab.cookie)
        for name, axis in zip(names, axes, strict=True):
            question = f"instance={instance}&dataset={number}&axis={axis}&from=0&to=2&most=99"
            answer = await asyncio.to_thread(lab.ask, f"/api/zoom?{question}", cookie=cookie)
            assert answer[0] == 200
            assert (b'"axis":true' in answer[2]) == (name == "good")

    play(lab, scene)


BAD: list[str | bytes] = [
    "", "nonsense", "[]", "1", "null", '{"type": "other"}', '{"type": "ack"}', '{"type": "ack", "seq": "x"}',
    '{"type": "want", "parts": 3}', '{"type": "want", "views": []}', '{"type": "want", "views": {"a": 1}}',
    '{"type": "want", "views": {"a": {"dataset": -1}}}',
    '{"type": "want", "views": {"a": {"dataset": 1, "kind": "pie"}}}', b"\x00",
    '{"type": "want", "views": {"a": {"dataset": 1, "kind": []}}}', '{"type": "want", "since": {"version": -1}}x',
    '{"type": "want", "views": {"a": {"dataset": 1, "axis": 1e400}}}', "{" * 20000, '"' + "x" * 70000 + '"',
]  # fmt: skip


def test_a_message_that_is_none_ends_the_connection_with_the_reason(lab: Served) -> None:
    for text in BAD:

        async def scene(page: Follower, text: str | bytes = text) -> None:
            await page.socket.send(text)
            code, reason = await closed(page.socket)
            assert code == 4000, text
            assert reason

        play(lab, scene)


def test_too_many_messages_end_the_connection(lab: Served) -> None:
    async def scene(page: Follower) -> None:
        for _ in range(1000):
            await page.send(type="pause")
        assert await closed(page.socket) == (4002, "too many messages")

    play(lab, scene)


def test_many_plots_come_one_after_another(lab: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rexec.web.session.MOST_TIME", 0.0)

    async def scene(page: Follower) -> None:
        lab.datasets.set("a", [1.0, 2.0])
        await page.send(type="want", parts=["datasets"], views={})
        (number,) = await page.numbers_of("a")
        await page.send(type="want", parts=[], views={f"p{each}": {"dataset": number} for each in range(24)})
        came: list[str] = []
        while len(came) < 24:
            news = (await page.until(lambda each: "views" in each))["views"]
            assert len(news) == 1
            came.append(news[0]["name"])
        assert sorted(came) == sorted(f"p{each}" for each in range(24))

    play(lab, scene)


def test_a_message_that_is_slow_to_make_is_followed_by_a_rest() -> None:
    assert pause_after(0.001, 0.002) == pytest.approx(0.048)
    assert pause_after(0.001, 3.0) == pytest.approx(0.003)
    assert pause_after(0.5, 0.6) == 1.5


async def pings(socket: ClientConnection) -> None:
    while True:
        await socket.ping()


async def pongs(socket: ClientConnection) -> None:
    while True:
        await socket.pong()


async def pieces(socket: ClientConnection) -> None:
    await socket.send("" for _ in itertools.count())


@pytest.mark.parametrize("flood", [pings, pongs, pieces])
def test_a_flood_of_other_frames_ends_the_connection(
    lab: Served, flood: Callable[[ClientConnection], Awaitable[None]]
) -> None:
    async def scene(page: Follower) -> None:
        for _ in range(20):
            await (await page.socket.ping())
        with pytest.raises(ConnectionClosed) as found:
            async with asyncio.timeout(LIMIT):
                await flood(page.socket)
        assert found.value.rcvd is None  # otherwise it was closed because it did not answer

    play(lab, scene)


def test_there_are_only_so_many_pages(lab: Served) -> None:
    async def run() -> None:
        sockets = [await opened(lab) for _ in range(MOST_BROWSERS)]
        async with opened(lab) as one_more:
            assert (await closed(one_more))[0] == 4001
        for each in sockets:
            await each.close()
        async with opened(lab) as again:
            await again.recv()

    asyncio.run(run())


def test_the_end_of_the_server_is_said() -> None:
    async def run() -> None:
        from rexec.web.serving import WebPlan
        from tests.web.served import TOKEN, page

        async with page(WebPlan("x", TOKEN, ["127.0.0.1"])) as urls:
            lab = Served(None, urls[0], {})  # type: ignore[arg-type]
            cookie = await asyncio.to_thread(lab.cookie)
            socket = await opened(lab, cookie)
            await socket.recv()
        assert await closed(socket) == (1001, "rexec web was ended")

    asyncio.run(run())


@pytest.mark.parametrize("change", [{"cookie": ""}, {"Origin": "https://evil.example"}])
def test_a_stranger_gets_no_connection(lab: Served, change: dict[str, str]) -> None:
    async def run() -> None:
        with pytest.raises(InvalidStatus) as found:
            async with opened(lab, **change):
                pass
        assert found.value.response.status_code in (401, 403)

    asyncio.run(run())


def test_both_loopback_addresses_are_served() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with served(with_master=False, hosts=["127.0.0.1", "::1"]) as lab:
        assert lab.ask("/")[0] == 401
        connection = http.client.HTTPConnection("::1", lab.port, timeout=150)
        connection.request("GET", "/")
        assert connection.getresponse().status == 401
        connection.close()

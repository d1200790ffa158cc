"""What a master, a supervisor or a device database sends may be anything: the page says so, and shows the rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from devicedb import DeviceDatabase, from_dict
from rexec.laboratory import LiveSnapshot
from rexec.laboratory.entries import entry_facts
from rexec.laboratory.examined import put_statuses
from rexec.web.clock import VersionClock
from rexec.web.device_rows import DeviceRows
from rexec.web.device_watch import DeviceWatch
from rexec.web.frames import frame
from rexec.web.live_datasets import LiveDatasets
from rexec.web.live_master import LiveMaster
from rexec.web.live_view import KINDS, LiveView, Wanted
from rexec.web.log_lines import LogLines
from rexec.web.method_list import understood
from rexec.web.page import PARTS, Page
from rexec.wire import pyon

LIMIT = 150.0


@asynccontextmanager
async def follower(*messages: Any, again: asyncio.Event | None = None) -> AsyncIterator[Page]:
    """A page that follows a server, which sends the same to each of its subscribers; `again`: set by the second one."""
    subscribers = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal subscribers
        subscribers += 1
        if again is not None and subscribers > 1:
            again.set()
        await reader.readline()
        await reader.readline()
        for each in messages:
            writer.write((each if isinstance(each, bytes) else pyon.encode(each).encode()) + b"\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    clock = VersionClock()
    page = Page(clock, LiveDatasets(clock), LogLines(clock))
    page.source = LiveMaster(clock, page.datasets, page.log, (*server.sockets[0].getsockname(), None))
    task = asyncio.create_task(page.source.run())
    try:
        async with asyncio.timeout(LIMIT):
            yield page
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])
        server.close()


def picture(**datasets: Any) -> dict[str, Any]:
    return {"action": "init", "struct": {**datasets, "good": (False, 1.0, {})}}


async def until(page: Page, condition: Any) -> None:
    while not condition():
        await page.clock.newer_than(page.clock.version)


ENTRIES: list[Any] = [
    3, None, "xy", "x", [], [True], {"a": 1}, [True, 1, {}, 5], [True, 1.0, "m"], [True, 1.0, ["m"]], [None, 1.0, {}],
    [True, 1.0, {"unit": ["x"], "scale": "y", "precision": {}}], [True, 10**400, {"scale": 10**400}],
    [True, 1.0, {"unit": np.zeros(3), "scale": np.zeros(3)}], [True, [1e300, 2.0], {"unit": "x", "scale": 5e-324}],
    [True, [10**400, 1], {}], [np.zeros(3), np.zeros((0, 0, 5)), {}], [True, slice(1, 2), {}], [True, {1, 2}, {}],
    [True, np.zeros(3, "f2"), {}], [True, np.array(["a"]), {}], [True, np.array(["NaT"], "M8[s]"), {}],
]  # fmt: skip


def test_whatever_stands_in_a_dataset_is_shown_and_hides_no_other_one() -> None:
    async def test() -> None:
        entries = {f"odd{number}": each for number, each in enumerate(ENTRIES)}
        again = [
            {"action": "setitem", "path": [], "key": name, "value": each} for name, each in entries.items()
        ]
        last: dict[str, Any] = {"action": "setitem", "path": [], "key": "last", "value": (False, 1, {})}
        async with follower(picture(**entries), *again, picture(**entries), last) as page:
            await until(page, lambda: page.datasets.named("last"))
            assert len(page.datasets) == len(ENTRIES) + 2
            frame(page.news(PARTS, 0))
            for number in range(1, len(ENTRIES) + 2):
                for kind in KINDS:
                    found = LiveView("p", Wanted(number, None, kind)).news(page.datasets)
                    assert found is not None
                    frame(found.facts, found.arrays)

    asyncio.run(test())


def test_an_experiment_may_take_a_number_for_a_name() -> None:
    async def test() -> None:
        struct: dict[Any, Any] = {1: (False, [1.0], {}), "1": (False, 2.0, {}), (1, "x"): (False, 3.0, {})}
        append = {"action": "append", "path": [1, 1], "x": 5.0}
        delete = {"action": "delitem", "path": [], "key": "1"}
        async with follower({"action": "init", "struct": struct}, append, delete) as page:
            await until(page, lambda: page.datasets.named(1) and not page.datasets.named("1"))
            rows = {row[1]: row[3] for row in page.news(PARTS, 0)["datasets"]["rows"]}
            assert rows == {"1 (int)": "float64 2, last 5", "(1, 'x') (tuple)": "3"}

    asyncio.run(test())


UNREADABLE = [
    ({"action": "init", "struct": [1, 2]}, "is no master: its datasets are no dict"),
    (b"\xff\xfe", "cannot be applied: not PYON"),
    (b'{"action":"init","struct":{"__jsonclass__":["nope",[]]}}', "unknown PYON type 'nope'"),
    (b'{"action":"init","struct":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested deeper than"),
    (b"[" * 200_000, "a line of more than 100000 bytes"),
    ({"action": "append", "path": ["good", 1], "x": 5}, "cannot be applied: 'float' object has no attribute"),
    ({"action": "pop", "path": ["good", 1, "\ud800\x1b"], "i": 5}, "cannot be applied"),
]


@pytest.mark.parametrize(("message", "said"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_cannot_be_followed_is_said_and_does_not_end_the_page(
    message: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where in ("rexec.web.live_master._RETRY", "rexec.bridge.master_subscriber.RETRY"):
        monkeypatch.setattr(where, 0.02)
    monkeypatch.setattr("rexec.web.live_master.MOST_DATASETS", 100_000)

    async def test() -> None:
        again = asyncio.Event()
        async with follower(picture(), message, again=again) as page:
            source = page.source
            assert source is not None
            await until(page, lambda: said in source.state()["problem"])
            assert page.datasets.named("good")
            assert b"good" in frame(page.news(PARTS, 0))
            await again.wait()

    asyncio.run(test())


UP = {"name": "camera", "address": "::1:3301", "state": "up"}
STATUSES: list[Any] = [
    5, [1], [{}], {"name": "camera"}, [{**UP, "state": np.array([1, 2])}], [{**UP, "name": 5}],
    *([{**UP, name: value}] for name in ("pid", "since", "retry_at", "memory", "restarts")
      for value in (10**30, float("nan"), float("inf"), "x", np.zeros(3), [1])),
]  # fmt: skip
DATABASE = {"camera": {"type": "controller", "host": "::1", "port": 3301, "command": "camera-server"}}


def test_what_a_supervisor_says_is_shown_as_far_as_it_can_be() -> None:
    async def test() -> None:
        laboratory = LiveSnapshot()
        writer = laboratory.writer()
        writer.become("entries", entry_facts(from_dict(DATABASE, "the test")))
        rows = DeviceRows(laboratory, VersionClock())
        for each in STATUSES:
            put_statuses(writer, each, ["camera"])
            rows.refresh()
            found = rows.since(0)
            assert found is not None
            assert b"camera" in frame({"devices": found})
        put_statuses(writer, [{**UP, "pid": 7, "memory": 1}], ["camera"])
        rows.refresh()
        assert (rows.since(0) or {})["rows"][0]["pid"] == 7

    asyncio.run(test())


class OddSource:
    """A device database that cannot be followed for a while."""

    def __init__(self) -> None:
        self.database: DeviceDatabase = from_dict(DATABASE, "the test")
        self.polls = 0

    def poll(self) -> bool:
        self.polls += 1
        if self.polls < 3:
            raise RuntimeError("odd\x1b")
        return False

    def close(self) -> None:
        pass


def test_a_device_database_that_cannot_be_followed_does_not_end_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rexec.web.device_watch._LOOK", 0.01)

    async def test() -> None:
        laboratory, clock, source = LiveSnapshot(), VersionClock(), OddSource()
        rows = DeviceRows(laboratory, clock)
        watch = DeviceWatch(laboratory, rows, lambda: source, None, lambda: False)
        task = asyncio.create_task(watch.run())
        said: list[str] = []
        async with asyncio.timeout(LIMIT):
            while source.polls < 3 or said[-1]:
                await clock.newer_than(clock.version)
                said.append((rows.since(0) or {}).get("problem", ""))
        assert "the devices cannot be followed: RuntimeError: odd\\x1b" in said
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(test())


ODD: list[Any] = [[], [[]], np.zeros(3), b"x", 5, {"a": 1}]
ANSWERS: list[Any] = [
    None, [], {}, np.zeros(3), {"methods": np.zeros(3)}, {"methods": {1: [], "a": []}}, {"methods": {"f": 1}},
    *({"methods": {"f": [{"args": ["self"], "varargs": odd, "varkw": odd, "annotations": odd}, "d"]}} for odd in ODD),
]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS, ids=range(len(ANSWERS)))
def test_a_list_of_methods_may_be_anything(answer: Any) -> None:
    found = understood(answer)
    assert found.get("problem") == "its list of methods cannot be understood" or len(found["methods"]) == 1
    frame(found)

"""The process that reads result files serves one request at a time, and ends with the page."""

import asyncio
import threading
from typing import Any

import orjson
import pybase64
import pytest

from rexec.ground.child import ChildLost
from rexec.web import results_reader
from rexec.web.results_reader import ResultsReader
from tests.threads.interleaving import Race
from tests.waiting import within

FILES = ("rexec/web/results_reader.py",)


class Reading:
    """A process that reads files, which answers when it may."""

    begun: list["Reading"] = []  # noqa: RUF012

    def __init__(self, *_: object, **__: object) -> None:
        self.is_closed = False
        self.asked: list[bytes] = []
        self.may_answer = threading.Event()
        self.begun.append(self)

    def send(self, line: bytes) -> None:
        self.asked.append(line)

    def receive(self, _: float) -> bytes:
        assert self.may_answer.wait(150)
        return pybase64.b64encode(self.asked.pop(0))

    def close(self, _: float) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def _reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_reader, "Child", Reading)
    Reading.begun = []


def test_a_process_that_starts_as_the_page_ends_is_ended() -> None:
    def make() -> ResultsReader:
        Reading.begun = []
        return ResultsReader(1.0)

    def begin(reader: ResultsReader) -> None:
        try:
            reader._begun()
        except ChildLost:
            return

    def end(reader: ResultsReader) -> None:
        reader._is_closed = True
        reader._end()

    def seen(_: ResultsReader) -> Any:
        return all(each.is_closed for each in Reading.begun)

    assert Race(make, begin, end, seen, FILES).check() > 10
    Race(make, begin, begin, lambda _: len(Reading.begun), FILES).check()


def test_a_request_that_is_cancelled_gives_no_other_its_answer() -> None:
    async def main() -> None:
        reader = ResultsReader(60.0)
        first = asyncio.create_task(reader.ask(number=1))
        assert await asyncio.to_thread(within, 60, lambda: Reading.begun and Reading.begun[0].asked)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.create_task(reader.ask(number=2))
        for _ in range(5):
            await asyncio.sleep(0)
        Reading.begun[0].may_answer.set()
        assert orjson.loads(await second) == {"number": 2}
        await reader.close()

    asyncio.run(main())

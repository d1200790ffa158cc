"""The process that reads result files for a page."""

import asyncio
import threading
from typing import Any

import pytest

from rexec.ground.child import Child
from rexec.web import results_reader


def test_a_process_that_is_being_started_when_the_page_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    starting, go = threading.Event(), threading.Event()
    started: list[Child] = []

    class SlowChild(Child):
        def __init__(self, *args: Any, **keywords: Any) -> None:
            starting.set()
            assert go.wait(150)
            super().__init__(*args, **keywords)
            started.append(self)

    async def page() -> None:
        reader = results_reader.ResultsReader(60.0)
        asked = asyncio.create_task(reader.ask(what="nothing"))
        await asyncio.to_thread(starting.wait, 60)
        closed = asyncio.create_task(reader.close())
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(asked, closed)

    monkeypatch.setattr(results_reader, "Child", SlowChild)
    asyncio.run(page())
    assert [each._process.returncode is not None for each in started] == [True]

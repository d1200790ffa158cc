"""The page in a process of its own, beside a run or a supervisor: whatever it does, it costs them nothing."""

import asyncio
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from devicedb.errors import ExpectedError
from rexec.web.guard import new_token
from rexec.web.serving import WebPlan, serve_page


def main(lines: "queue.SimpleQueue[bytes]", say: Callable[[bytes], None], order: str) -> None:
    """Serve what the order (JSON) asks for until the parent ends; say `{"url": …}` or `{"problem": …}` first."""
    try:
        asyncio.run(_serve(orjson.loads(order), lambda urls: say(orjson.dumps({"url": urls[0]}))))
    except ExpectedError as error:
        say(orjson.dumps({"problem": str(error)}))


async def _serve(given: dict[str, Any], ready: Callable[[list[str]], None]) -> None:
    plan = WebPlan(
        title=given["title"],
        token=new_token(),
        hosts=["127.0.0.1", "::1"],
        master=tuple(given["master"]) if given["master"] else None,
        control=given["control"],
        device_db=None if given["device_db"] is None else Path(given["device_db"]),
        supervisor=tuple(given["supervisor"]) if given["supervisor"] else None,
        results=Path(given["results"]),
    )
    await serve_page(plan, asyncio.Event(), ready)

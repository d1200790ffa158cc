"""A page that is served in a thread of the test, beside a master with datasets that the test changes."""

import asyncio
import contextlib
import http.client
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from rexec.datasets import DatasetDB
from rexec.ground.loop_thread import LoopThread
from rexec.master import MasterThread, Ports
from rexec.web.serving import WebPlan, serve_page

TOKEN = "a-token-of-the-tests-that-is-long-enough"


@dataclass
class Served:
    """A page and its datasets."""

    datasets: DatasetDB
    url: str
    ports: dict[str, int]

    @property
    def address(self) -> str:
        return self.url.split("?")[0]

    @property
    def port(self) -> int:
        return int(self.address.rstrip("/").rsplit(":", 1)[1])

    def ask(
        self, path: str = "/", method: str = "GET", body: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Make a request; a header is given as `accept="text/html"`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=150)
        with contextlib.closing(connection):
            connection.request(
                method, path, body, {key.replace("_", "-"): value for key, value in headers.items()}
            )
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, content

    def cookie(self) -> str:
        """Return the cookie of a browser that had the token."""
        return self.ask(f"/?token={TOKEN}")[1]["set-cookie"].partition(";")[0]


@asynccontextmanager
async def page(plan: WebPlan) -> AsyncIterator[list[str]]:
    """Serve a page on the running loop."""
    end, ready = asyncio.Event(), asyncio.Event()
    urls: list[str] = []

    def tell(found: list[str]) -> None:
        urls.extend(found)
        ready.set()

    serving = asyncio.create_task(serve_page(plan, end, tell))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if serving.done():
        serving.result()
    try:
        yield urls
    finally:
        end.set()
        await serving


@contextmanager
def served(*, with_master: bool = True, **changes: Any) -> Iterator[Served]:
    """Serve a page, and with it a master."""
    with contextlib.ExitStack() as stack:
        datasets = stack.enter_context(DatasetDB(None))
        plan = WebPlan("the laboratory", TOKEN, **{"hosts": ["127.0.0.1"], **changes})
        ports: dict[str, int] = {}
        if with_master:
            master = stack.enter_context(MasterThread(datasets, ports=Ports(0, 0, 0, None)))
            ports = {name: addresses[0][1] for name, addresses in master.addresses.items()}
            plan = replace(
                plan, master=("127.0.0.1", ports["notify"], ports["broadcast"]), control=ports["control"]
            )
        urls = stack.enter_context(LoopThread(lambda: page(plan), name="page of a test"))
        yield Served(datasets, urls[0], ports)

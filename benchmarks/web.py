"""What the page costs: `python -m benchmarks.web` prints a table. Needs chromium, and Playwright.

A master gets appends at a steady rate; real browser pages show them, and one program stands for a browser that was
stopped: it asks for everything and never reads. The appended values are the times at which they were sent, so that the
delay to the screen is read off the plot, at each drawing of it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from rexec.wire.pc_rpc import Client

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-renderer-backgrounding",
]  # fmt: skip

WATCH = """() => {
  globalThis.delays = [];
  let seen = "";
  const look = () => {
    const chart = document.querySelector('.chart');
    if (chart?.data && chart.dataset.drawn !== seen) {
      seen = chart.dataset.drawn;
      const y = chart.data[0].y;
      globalThis.delays.push(Date.now() - 1000 * y[y.length - 1]);
    }
    requestAnimationFrame(look);
  };
  look();
}"""


@contextlib.contextmanager
def program(folder: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "rexec", *words], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def laboratory(
    folder: Path, stack: contextlib.ExitStack, devices: dict[str, Any] | None = None
) -> tuple[dict[str, int], str, psutil.Process]:
    """Start a master and a page; return the master's ports, the address, and the page's process."""
    (folder / "device_db.py").write_text(f"device_db = {devices or {}!r}\n", encoding="utf-8")
    ports = [f"--port-{name}=0" for name in ("notify", "control", "broadcast", "logging")]
    words = ["--no-localhost-bind", "--bind", "127.0.0.1", *ports]
    master = stack.enter_context(program(folder, "master", *words))
    assert master.stdout is not None
    found: dict[str, int] = {}
    for line in master.stdout:
        if match := re.match(r"(\w+): 127\.0\.0\.1:(\d+)", line):
            found[match[1]] = int(match[2])
        if "ready" in line:
            break
    options = [f"--master-port-notify={found['notify']}", f"--master-port-broadcast={found['broadcast']}"]
    page = stack.enter_context(program(folder, "web", "--port", "0", "--master", "127.0.0.1", *options))
    assert page.stdout is not None
    return found, page.stdout.readline().strip(), psutil.Process(page.pid)


def feed(port: int, rate: float, seconds: float) -> int:
    """Append the time to a dataset at a steady rate; return how often."""
    done = 0
    with Client("127.0.0.1", port, "dataset_db") as client:
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            while done < passed * rate:
                client.update({"action": "append", "path": ["scan.y", 1], "x": time.time()})
                done += 1
            time.sleep(0.002)
    return done


class Stopped(threading.Thread):
    """A browser that was stopped: it asks for everything, and reads nothing."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.end = threading.Event()

    def run(self) -> None:
        """Stay connected until `end` is set."""
        asyncio.run(self._stay())

    async def _stay(self) -> None:
        import http.client

        from websockets.asyncio.client import connect

        parts = urlsplit(self._url)
        connection = http.client.HTTPConnection(parts.netloc)
        connection.request("GET", f"/?{parts.query}")
        cookie = (connection.getresponse().getheader("set-cookie") or "").partition(";")[0]
        origin: Any = f"http://{parts.netloc}"
        async with connect(
            f"ws://{parts.netloc}/stream",
            origin=origin,
            additional_headers={"Cookie": cookie},
            max_queue=1,
            ping_interval=None,
        ) as socket:
            views = {"p": {"dataset": 1}}
            await socket.send(json.dumps({"type": "want", "parts": ["datasets", "log"], "views": views}))
            socket.transport.pause_reading()
            await asyncio.to_thread(self.end.wait)


def paints(browser: Any, url: str, rounds: int = 5) -> list[float]:
    """Return the milliseconds to the first paint, each with an empty cache."""
    found = []
    for _ in range(rounds):
        context = browser.new_context()
        tab = context.new_page()
        tab.goto(url)
        tab.wait_for_selector("nav a")
        tab.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
        found.append(
            tab.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
        )
        context.close()
    return found


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pages", type=int, default=10, help="pages of a real browser (default: %(default)d)"
    )
    parser.add_argument(
        "--rate", type=float, default=100_000 / 60, help="appends a second (default: 100000 a minute)"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: %(default)g)")
    parser.add_argument("--browser", default="/usr/bin/chromium", help="the browser (default: %(default)s)")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports, url, server = laboratory(folder, stack)
        port = ports["control"]
        with Client("127.0.0.1", port, "dataset_db") as client:
            client.set("scan.y", [time.time()])
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=options.browser, args=FLAGS)
        first = paints(browser, url)
        tabs = []
        for _ in range(options.pages):
            tab = browser.new_context().new_page()
            tab.goto(url)
            tab.wait_for_selector(".chart[data-drawn]", timeout=120_000)
            tab.evaluate(WATCH)
            tabs.append(tab)
        stopped = Stopped(url)
        stopped.start()
        for tab in tabs:
            tab.evaluate("() => { delays.length = 0 }")
        before = [tab.evaluate("() => rexec.stream.bytes") for tab in tabs]
        memory = [server.memory_info().rss]
        cpu = server.cpu_times()
        appended: list[int] = []
        feeding = threading.Thread(target=lambda: appended.append(feed(port, options.rate, options.seconds)))
        feeding.start()
        while feeding.is_alive():
            feeding.join(1.0)
            memory.append(server.memory_info().rss)
        used = server.cpu_times()
        for tab in tabs:
            rows = "rexec.lab.byName.get('scan.y').shape[0]"
            tab.wait_for_function(f"() => {rows} === {appended[0] + 1}", timeout=120_000)
        sent = [
            tab.evaluate("() => rexec.stream.bytes") - each for tab, each in zip(tabs, before, strict=True)
        ]
        delays = sorted(each for tab in tabs for each in tab.evaluate("() => delays"))
        heap = [tab.evaluate("() => performance.memory.usedJSHeapSize") for tab in tabs]
        stopped.end.set()
        browser.close()
    data = 8 * appended[0]
    seconds = (used.user + used.system) - (cpu.user + cpu.system)
    rows = [
        ("appends", f"{appended[0]} in {options.seconds:g} s, to {options.pages} pages and a stopped one"),
        (
            "bytes a page",
            f"{statistics.median(sent):.0f} (median), {statistics.median(sent) / data:.2f} of the data ({data})",
        ),
        ("drawings a page", f"{len(delays) / max(options.pages, 1):.0f}"),
        (
            "delay to the screen",
            f"median {statistics.median(delays):.0f} ms, p99 {delays[int(0.99 * len(delays))]:.0f} ms",
        ),
        ("CPU of the server", f"{seconds:.1f} s, {100 * seconds / options.seconds:.0f} % of a core"),
        (
            "memory of the server",
            f"{memory[0] / 1e6:.1f} MB at first, {max(memory) / 1e6:.1f} MB at most, {memory[-1] / 1e6:.1f} MB at last",
        ),
        ("heap of a page", f"{statistics.median(heap) / 1e6:.1f} MB (median)"),
        ("first paint", f"median {statistics.median(first):.0f} ms, worst {max(first):.0f} ms"),
        ("load of the machine", f"{os.getloadavg()[0]:.1f}"),
    ]
    for name, text in rows:
        print(f"{name:22} {text}")


if __name__ == "__main__":
    main()

"""A real browser for the tests of the page: one a worker, one tab for the tests of a file, emptied after each."""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.web.served import Served, served

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--in-process-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
LIMIT = int(os.environ.get("REXEC_BROWSER_LIMIT", "300")) * 1000
"""Milliseconds that a step in the browser may take on a slow machine."""


def browser_path() -> str | None:
    """Return the browser to test with: that of REXEC_BROWSER, or Debian's."""
    return os.environ.get("REXEC_BROWSER") or shutil.which("chromium")


class BrowserThread:
    """A browser in a thread of its own, where Playwright keeps an event loop running that other tests must not see."""

    def __init__(self, path: str) -> None:
        self._thread = ThreadPoolExecutor(1, "browser of the tests")
        self.call(self._start, path)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in the thread, and return its result."""
        return self._thread.submit(function, *args, **kwargs).result()

    def _start(self, path: str) -> None:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        try:
            self.browser = self._playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=LIMIT)
        except Exception:
            self._playwright.stop()
            raise

    def close(self) -> None:
        self.call(self.browser.close)
        self.call(self._playwright.stop)
        self._thread.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[BrowserThread]:
    """A browser, or a skip that says what is missing."""
    path = browser_path()
    if path is None:
        pytest.skip("no chromium here (apt-get install chromium), and none in REXEC_BROWSER")
    pytest.importorskip("playwright", reason="playwright is not installed")
    try:
        found = BrowserThread(path)
    except Exception as error:  # no sandbox, a missing library, no memory: whatever the system has against it
        lines = [line for line in str(error).splitlines() if line.strip()]
        said = [line.partition("[err] ")[2] for line in lines if "[err] " in line]
        pytest.skip(f"{path} cannot start here: {(said or lines or [type(error).__name__])[0].strip()[:300]}")
    yield found
    found.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    """Run the tests that have a tab in the thread of the browser."""
    if "tab" not in pyfuncitem.fixturenames:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    pyfuncitem.funcargs["browser"].call(pyfuncitem.obj, **{name: pyfuncitem.funcargs[name] for name in names})
    return True


@pytest.fixture(scope="module")
def page_of_datasets() -> Iterator[Served]:
    """One page beside a master for all tests of a file: a browser keeps the scripts of an address, compiled."""
    with served() as found:
        yield found


@pytest.fixture
def lab(page_of_datasets: Served) -> Iterator[Served]:
    """A page beside a master without datasets."""
    yield page_of_datasets
    for name in page_of_datasets.datasets.snapshot():
        page_of_datasets.datasets.delete(name)


@pytest.fixture(scope="module")
def page_of_file(browser: BrowserThread) -> Iterator[Any]:
    """A tab that stays for a file: its process starts, and most scripts are compiled, once."""

    def opened() -> Any:
        context = browser.browser.new_context()
        context.set_default_timeout(LIMIT)
        page: Any = context.new_page()
        # Otherwise it asks at each frame, for which the browser draws sixty a second: three times the work.
        page.wait_for_function = partial(page.wait_for_function, polling=100)
        return page

    page = browser.call(opened)
    yield page
    browser.call(lambda: page.context.close())


@pytest.fixture
def tab(browser: BrowserThread, page_of_file: Any) -> Iterator[Any]:
    """A tab that knows nothing. The test fails on errors of a script, and on what the policy of the page refuses."""
    page = page_of_file
    problems: list[str] = []

    def on_console(message: Any) -> None:
        if message.type == "error":
            problems.append(message.text)

    listeners: dict[str, Callable[[Any], None]] = {
        "pageerror": lambda error: problems.append(str(error)),
        "console": on_console,
        "dialog": lambda dialog: problems.append(f"a dialog: {dialog.message}"),
    }

    def begin() -> None:
        page.set_viewport_size({"width": 1000, "height": 700})
        for event, listener in listeners.items():
            page.on(event, listener)

    def end() -> None:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        page.evaluate(
            "() => { try { localStorage.clear() } catch { /* a page without an address has none */ } }"
        )
        page.goto("about:blank")
        page.emulate_media(color_scheme="null", reduced_motion="null")
        page.context.clear_cookies()

    browser.call(begin)
    yield page
    browser.call(end)
    assert [each for each in problems if not is_expected(each)] == []


def enter(tab: Any, lab: Served, path: str) -> None:
    """Open an address of the page as a browser that has had the token."""
    tab.context.request.get(lab.url)
    tab.goto(lab.address + path)


EXPECTED = (
    "Applying inline style",
    "status of 401",
    "status of 409",
    "WebSocket",
    "ERR_CONNECTION",
    "ERR_FAILED",
)
"""No problems: plotly's style for maps, which are not used; no token; a refused action; a server that was ended."""


def is_expected(problem: str) -> bool:
    """Return whether a message of the browser is no problem."""
    return any(each in problem for each in EXPECTED)

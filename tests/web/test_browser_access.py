"""For people: keyboard, contrast, names for screen readers, narrow screens, reduced motion."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving import running
from tests.web.served import Served, served
from tests.web.test_browser_devices import Camera, database, entry
from tests.web.test_browser_runs import write

RUN = "runs/2026-11-26/09/000000001-Scan.h5"
VIEWS = ("live", "runs", RUN, f"runs/compare?run={RUN[5:]}&run={RUN[5:]}", "devices", "devices/camera", "log")
READY = {
    "live": ".chart[data-drawn]",
    RUN: ".chart[data-drawn]",
    "runs": ".runs tbody tr",
    "devices/camera": "dl dt",
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Served]:
    write(
        tmp_path / "results",
        1,
        {"x": np.arange(5.0), "y": np.arange(5.0), "z": np.zeros((20, 20))},
        phase=0.1,
    )
    with running({"camera": Camera()}) as server:
        file = database(tmp_path, camera=entry(server.port), laser=entry(1), dds={"type": "local"})
        with served(device_db=file, results=tmp_path / "results") as found:
            found.datasets.set("scan.y", [1.0, 2.0])
            found.datasets.set("temperature", 3.0, None, {"unit": "K"})
            yield found


EVERYTHING = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


def violations(tab: Any, options: dict[str, Any] = EVERYTHING) -> list[str]:
    """Return what axe finds, with the elements."""
    from axe_playwright_python.sync_playwright import Axe

    if not tab.evaluate("() => 'axe' in globalThis"):
        tab.evaluate(Axe().axe_script)
    found = tab.evaluate("(options) => axe.run(document, {resultTypes: ['violations'], ...options})", options)
    return [f"{each['id']}: {[node['target'] for node in each['nodes']][:3]}" for each in found["violations"]]


def go(tab: Any, path: str) -> None:
    """Go to another view as the back button does: without loading the scripts again."""
    tab.evaluate(
        "(path) => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')) }", path
    )


def test_each_view_passes_axe_in_light_and_dark_and_fits_a_telephone(lab: Served, tab: Any) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    tab.goto(lab.url)
    for view in VIEWS:
        tab.set_viewport_size({"width": 1200, "height": 800})
        tab.emulate_media(color_scheme="light")
        go(tab, f"/{view}")
        tab.wait_for_selector(READY.get(view, "main > *"))
        assert violations(tab) == [], view
        tab.emulate_media(color_scheme="dark")
        assert violations(tab, CONTRAST) == [], f"{view} in the dark"
        tab.set_viewport_size({"width": 380, "height": 700})
        assert tab.evaluate("() => document.documentElement.scrollWidth") <= 380, view


def test_the_door_passes_axe(lab: Served, tab: Any) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    tab.goto(lab.address)
    assert violations(tab) == []
    tab.fill("#token", lab.url.partition("token=")[2])
    tab.click("button")
    tab.wait_for_selector("nav >> text=Live")


def test_everything_is_done_by_keyboard(lab: Served, tab: Any) -> None:
    tab.goto(lab.url)
    tab.wait_for_selector(".chart[data-drawn]")
    focused = "() => document.activeElement.innerText || document.activeElement.getAttribute('aria-label')"
    tab.keyboard.press("Tab")
    assert tab.evaluate(focused) == "To the content"
    seen = []
    for _ in range(14):
        tab.keyboard.press("Tab")
        if tab.evaluate("() => document.activeElement === document.body"):
            break  # the end of the page
        seen.append(tab.evaluate(focused))
        outline = tab.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", f"the focus is not seen at {seen[-1]}"
    assert seen[:4] == ["Live", "Runs", "Devices", "Log"]
    assert {"scan.y", "temperature", "Pause"} <= set(seen)
    tab.focus("button.name:has-text('temperature')")
    tab.keyboard.press("Enter")
    tab.wait_for_selector('[aria-label="Plot of temperature"] .chart[data-drawn]')
    tab.focus('[aria-label="Plot of scan.y"] .chart')
    tab.keyboard.press("+")
    tab.wait_for_selector("text=Reset zoom")
    assert "zoom.0=" in tab.url
    tab.keyboard.press("0")
    tab.wait_for_selector("text=Reset zoom", state="hidden")


def test_a_plot_says_what_it_shows_and_nothing_moves_for_those_who_want_that(lab: Served, tab: Any) -> None:
    tab.emulate_media(reduced_motion="reduce")
    tab.goto(lab.url)
    tab.wait_for_selector(".chart[data-drawn]")
    assert tab.get_attribute(".chart", "aria-label") == "Plot of scan.y: 2 points, the last is 2.00000"
    moving = (
        "() => [...document.querySelectorAll('*')].filter((each) => {"
        " const style = getComputedStyle(each);"
        " return style.animationName !== 'none' || !/^0s(, 0s)*$/.test(style.transitionDuration) })"
        ".map((each) => each.className)"
    )
    assert tab.evaluate(moving) == []

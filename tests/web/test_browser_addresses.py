"""What an address holds: names of any kind, the whole zoom, and nothing that breaks a page."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from rexec.web.labels import label
from tests.serving import free_port
from tests.web.conftest import enter
from tests.web.served import Served, served
from tests.web.test_browser_access import go
from tests.web.test_browser_devices import database, entry
from tests.web.test_browser_runs import write

LONG = [f"{'a' * 300}{end}" for end in "12"]
NAMES = ["", ".", "..", "a/b", "a%2Fb", *LONG, "\x1b", "\\x1b", f"{'e' * 29}\N{GRINNING FACE}" * 2]
RANGES = "() => ['xaxis', 'yaxis'].map((each) => document.querySelector('.chart').layout[each].range)"
DRAWN = ".chart[data-drawn]"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("laboratory")
    file = database(place, **{name: entry(1) for name in NAMES})
    for rid in (1, 2):
        write(place / "results", rid, {"trace": np.sin(np.arange(200_000) / 1e4) * rid})
    write(place / "results" / "compare", 3, {"y": np.arange(3.0)})
    with served(device_db=file, results=place / "results") as found:
        for name in NAMES:
            found.datasets.set(name, np.arange(1.0, 6.0))
        found.datasets.set("trace", np.sin(np.arange(1_000_000) / 1e4))
        found.datasets.set("scalar", 1.0)
        yield found


def test_each_dataset_has_its_row_and_its_plot(lab: Served, tab: Any) -> None:
    shown = [label(name) for name in NAMES]
    enter(tab, lab, f"live?{'&'.join(f'show={quote(each)}' for each in shown)}")
    tab.wait_for_selector(f"text={len(NAMES) + 2} of {len(NAMES) + 2} datasets")
    tab.wait_for_function(
        "(count) => document.querySelectorAll('.chart[data-drawn]').length === count", arg=len(NAMES)
    )
    buttons = tab.locator(".datasets button.name").all_inner_texts()
    assert len(set(buttons)) == len(NAMES) + 2, "no two look alike"
    assert '""' in buttons, "the one without a name can be seen"


def test_each_device_has_its_address(lab: Served, tab: Any) -> None:
    enter(tab, lab, "devices")
    tab.wait_for_selector(f"text={len(NAMES)} of {len(NAMES)} devices")
    opened = "() => document.querySelector('.name[aria-expanded=true] bdi')?.innerText"
    addresses = set()
    for button in tab.locator(".devices .name").all():
        button.click()
        text = button.inner_text()
        addresses.add(tab.url)
        go(tab, tab.evaluate("() => location.pathname + location.search"))  # as after a reload
        tab.wait_for_function(f"(text) => ({opened})() === text", arg=text)
        tab.click(".name[aria-expanded=true]")
    assert len(addresses) == len(NAMES)
    tab.go_back()
    tab.wait_for_selector(".details")


def test_a_folder_may_have_the_name_of_a_view(lab: Served, tab: Any) -> None:
    enter(tab, lab, "runs")
    tab.click("a:has-text('3')")
    tab.wait_for_selector(DRAWN)
    assert "/runs/compare/2026" in tab.url


def test_an_address_that_was_typed_wrongly_is_no_harm(lab: Served, tab: Any) -> None:
    enter(tab, lab, "live?show=a/b&as.0=pie&log.0=z&complex.0=i&zoom.0=abc_1")
    tab.wait_for_selector(DRAWN)
    assert tab.evaluate("() => rexec.stream.stopped") is False
    go(tab, "/log?level=abc")
    tab.wait_for_selector(".log")
    assert tab.input_value("#level") == "0"
    go(tab, "/devices?only=abc")
    tab.wait_for_selector(".devices")
    assert tab.input_value("#only") == "all"


def test_a_zoom_in_both_directions_is_kept(lab: Served, tab: Any) -> None:
    enter(tab, lab, "live?show=a/b")
    tab.wait_for_selector(DRAWN)
    tab.evaluate(
        "() => Plotly.relayout(document.querySelector('.chart'), {'xaxis.range[0]': 1, 'xaxis.range[1]': 3,"
        " 'yaxis.range[0]': 2, 'yaxis.range[1]': 4})"
    )
    tab.wait_for_function("() => location.search.includes('zoom.0=1_3_2_4')")
    tab.reload()
    tab.wait_for_selector(DRAWN)
    assert tab.evaluate(RANGES) == [[1, 3], [2, 4]]
    tab.click("text=Reset zoom")
    tab.wait_for_function(f"() => ({RANGES})().every(([low, high]) => low < 1 && high > 4)")
    assert "zoom" not in tab.url


def test_between_two_extremes_the_points_are_exact(lab: Served, tab: Any) -> None:
    """Of 512 points two are known, and none of them need be in the range."""
    enter(tab, lab, "live?show=trace&zoom.0=100100_100180")
    exact = "() => [...(document.querySelector('.chart')?.data?.[0]?.x ?? [])].includes(100101)"
    tab.wait_for_function(exact)
    places = tab.evaluate("() => [...document.querySelector('.chart').data[0].x]")
    assert set(range(100_100, 100_181)) <= set(places)
    assert len(places) < 3000
    run = "2026-11-26/09/00000000{}-Scan.h5"
    compared = "&".join(f"run={run.format(rid)}" for rid in (1, 2))
    go(tab, f"/runs/compare?{compared}&zoom=100100_100180")
    tab.wait_for_function(
        f"() => ({exact})() && [...document.querySelector('.chart').data[1].x].includes(100101)"
    )
    lines = tab.evaluate(
        "() => document.querySelector('.chart').data.map((each) => [[...each.x], [...each.y]])"
    )
    for rid, (x, y) in enumerate(lines, 1):
        assert set(range(100_100, 100_181)) <= set(x)
        assert y == pytest.approx(rid * np.sin(np.array(x) / 1e4))
    tab.focus(".chart")
    tab.keyboard.press("0")
    tab.wait_for_function("() => !location.search.includes('zoom')")


def test_runs_that_were_chosen_can_be_compared_after_a_reload(lab: Served, tab: Any) -> None:
    run = "2026-11-26/09/00000000{}-Scan.h5"
    enter(tab, lab, f"runs?{'&'.join(f'run={run.format(rid)}' for rid in (1, 2))}")
    tab.click("button:text-is('Compare 2'):enabled")
    tab.wait_for_selector(DRAWN)


def test_keys_of_the_browser_are_not_taken_by_a_plot(lab: Served, tab: Any) -> None:
    enter(tab, lab, "live?show=a/b")
    tab.wait_for_selector(DRAWN)
    taken = tab.evaluate(
        "() => [['ArrowLeft', 'altKey'], ['+', 'ctrlKey'], ['0', 'metaKey'], ['+', 'none']].map(([key, held]) =>"
        " !document.querySelector('.chart').dispatchEvent("
        "new KeyboardEvent('keydown', { key, [held]: true, cancelable: true })))"
    )
    assert taken == [False, False, False, True]


def test_a_history_is_zoomed_where_it_is_in_any_time_zone(lab: Served, tab: Any) -> None:
    session = tab.context.new_cdp_session(tab)
    session.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
    try:
        enter(tab, lab, "live?show=scalar")
        tab.wait_for_selector(DRAWN)
        tab.focus(".chart")
        middle = (
            "() => { const { xaxis } = document.querySelector('.chart')._fullLayout;"
            " return (xaxis.r2l(xaxis.range[0]) + xaxis.r2l(xaxis.range[1])) / 2 }"
        )
        before = tab.evaluate(middle)
        tab.keyboard.press("+")
        tab.wait_for_function("() => location.search.includes('zoom.0=')")
        tab.wait_for_function(f"(before) => Math.abs(({middle})() - before) < 60000", arg=before)
    finally:
        session.send("Emulation.setTimezoneOverride", {"timezoneId": ""})
        session.detach()


def test_a_server_that_was_started_again_shows_no_dataset_as_another(tab: Any) -> None:
    taken = (
        "() => { globalThis.taken = []; const { take } = rexec.view; rexec.view.take = (part, arrays) =>"
        " { taken.push(...arrays.map((each) => each[0])); take.call(rexec.view, part, arrays) } }"
    )
    port = free_port()  # nobody else gets it while there is no server
    with served(port=port) as lab:
        lab.datasets.set("a", np.full(3, 7.0))
        enter(tab, lab, "live?show=a")
        tab.wait_for_selector(DRAWN)
        tab.evaluate(taken)
    with served(port=port) as lab:
        lab.datasets.set("b", np.full(3, 8.0))  # has the number that the other one had
        lab.datasets.set("a", np.full(3, 9.0))
        tab.wait_for_function("() => taken.includes(9)")
        assert 8 not in tab.evaluate("() => taken")


def test_a_comparison_follows_the_colours_of_the_system(lab: Served, tab: Any) -> None:
    run = "2026-11-26/09/00000000{}-Scan.h5"
    tab.emulate_media(color_scheme="light")
    enter(tab, lab, f"runs/compare?{'&'.join(f'run={run.format(rid)}' for rid in (1, 2))}")
    tab.wait_for_selector(DRAWN)
    colour = "() => document.querySelector('.chart').data[0].line.color"
    before = tab.evaluate(colour)
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(f"(before) => ({colour})() !== before", arg=before)


def test_a_link_of_another_site_opens_the_page(lab: Served, tab: Any) -> None:
    for address in (lab.url, f"{lab.address}log"):  # the first one admits the browser
        tab.goto(f"data:text/html,<a href='{address}'>link</a>")
        tab.click("text=link")
        tab.wait_for_selector("nav >> text=Runs")

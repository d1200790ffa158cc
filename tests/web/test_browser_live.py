"""The view Live in a real browser."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexec.results import ResultsWriter
from schemas import RunIdentity
from tests.serving import free_port
from tests.web.conftest import enter
from tests.web.served import Served, served

POINTS = "() => document.querySelector('.chart')?.data?.[0]?.y?.length ?? -1"


def drawn(tab: Any, name: str) -> Any:
    """Return the data that plotly has drawn of a dataset."""
    tab.wait_for_selector(f'[aria-label="Plot of {name}"] .chart[data-drawn]')
    return tab.evaluate(
        '(name) => { const chart = document.querySelector(`[aria-label="Plot of ${name}"] .chart`);'
        " const list = (array) => Array.from(array ?? []);"
        " return chart.data.map((each) => ({type: each.type, x: list(each.x), y: list(each.y)})) }",
        name,
    )


def test_datasets_and_their_plots_appear_and_change(lab: Served, tab: Any) -> None:
    lab.datasets.set("scan.x", np.linspace(0, 1e6, 5), None, {"unit": "MHz"})
    lab.datasets.set("scan.y", [1.0, 2.0])
    tab.goto(lab.url)
    assert "token" not in tab.url
    tab.wait_for_selector("text=scan.y")
    assert drawn(tab, "scan.y")[0]["y"] == [1.0, 2.0]
    for value in (3.0, 4.0, 5.0):
        lab.datasets.update({"action": "append", "path": ["scan.y", 1], "x": value})
    tab.wait_for_function(
        "() => document.querySelector('[aria-label=\"Plot of scan.y\"] .chart').data[0].y.length === 5"
    )
    assert drawn(tab, "scan.y")[0]["y"] == [1.0, 2.0, 3.0, 4.0, 5.0]
    lab.datasets.delete("scan.y")
    tab.wait_for_selector("text=This dataset was deleted.")


def test_each_shape_has_its_plot(lab: Served, tab: Any) -> None:
    lab.datasets.set("line", np.arange(10.0))
    lab.datasets.set("ions", [[1.0, 2.0, 3.0]] * 20)
    lab.datasets.set("image", np.arange(600, dtype=np.uint16).reshape(20, 30))
    lab.datasets.set("counts", np.arange(200) % 7)
    lab.datasets.set("iq", np.exp(1j * np.arange(5)))
    lab.datasets.set("temperature", 1.0, None, {"unit": "K"})
    names = ("line", "ions", "image", "counts", "iq", "temperature")
    query = "&".join(f"show={name}" for name in names) + "&as.3=histogram"
    enter(tab, lab, f"live?{query}")
    kinds = {name: [each["type"] for each in drawn(tab, name)] for name in names}
    assert kinds == {
        "line": ["scatter"], "ions": ["scatter"] * 3, "image": ["heatmap"], "counts": ["bar"],
        "iq": ["scatter"] * 2, "temperature": ["scatter"],
    }  # fmt: skip
    assert drawn(tab, "temperature")[0]["y"] == [1.0]
    lab.datasets.set("temperature", 2.0)  # two at once may reach a follower as the last
    tab.wait_for_function(
        "() => document.querySelector('[aria-label=\"Plot of temperature\"] .chart').data[0].y.length === 2"
    )
    assert drawn(tab, "temperature")[0]["y"] == [1.0, 2.0]
    assert sum(drawn(tab, "counts")[0]["y"]) == 200


def test_a_million_points_are_few_until_the_zoom_and_then_exact(lab: Served, tab: Any) -> None:
    values = np.sin(np.arange(1_000_000) / 1e4)
    values[765_432] = 50.0
    lab.datasets.set("trace", values)
    enter(tab, lab, "live?show=trace")
    first = drawn(tab, "trace")[0]
    assert len(first["y"]) <= 4096
    assert max(first["y"]) == 50.0
    assert first["x"][first["y"].index(50.0)] == 765_432
    tab.evaluate(
        "() => Plotly.relayout(document.querySelector('.chart'), {'xaxis.range[0]': 765400, 'xaxis.range[1]': 765500})"
    )
    tab.wait_for_function("() => document.querySelector('.chart').data[0].y.length < 1200")
    fine = drawn(tab, "trace")[0]
    assert fine["y"] == [float(values[int(each)]) for each in fine["x"]]
    assert {float(each) for each in range(765_400, 765_500)} <= set(fine["x"])
    assert "zoom.0=765400_765500" in tab.url
    exact = (
        "(top) => { const {y} = document.querySelector('.chart').data[0];"
        " return y.length < 1200 && Math.max(...y) === top }"
    )
    lab.datasets.set("trace", 2 * values)
    tab.wait_for_function(exact, arg=100.0)
    tab.reload()
    tab.wait_for_selector(".chart[data-drawn]")
    tab.wait_for_function(exact, arg=100.0)


def test_the_address_is_the_state(lab: Served, tab: Any) -> None:
    for name in ("a", "b", "c"):
        lab.datasets.set(name, np.arange(5.0))
    enter(tab, lab, "live?show=b&log.0=y&filter=b")
    tab.wait_for_selector('[aria-label="Plot of b"] .chart[data-drawn]')
    assert tab.evaluate("() => document.querySelector('.chart').layout.yaxis.type") == "log"
    assert tab.input_value("#filter") == "b"
    tab.click("nav >> text=Log")
    tab.wait_for_selector(".log")
    tab.go_back()
    tab.wait_for_selector('[aria-label="Plot of b"] .chart[data-drawn]')
    assert tab.locator(".panel").count() == 1
    tab.reload()
    tab.wait_for_selector('[aria-label="Plot of b"] .chart[data-drawn]')
    assert tab.input_value("#filter") == "b"


def test_what_a_person_chose_is_drawn_and_remembered(lab: Served, tab: Any) -> None:
    lab.datasets.set("a", np.arange(1.0, 9.0))
    tab.goto(lab.url)
    tab.wait_for_selector(".chart[data-drawn]")
    tab.click("summary")
    tab.select_option("select >> nth=2", "y")
    tab.wait_for_function("() => document.querySelector('.chart').layout.yaxis.type === 'log'")
    assert "log.0=y" in tab.url
    tab.click("button[aria-label='Close a']")
    tab.wait_for_selector("text=Nothing is drawn")
    tab.click("button.name")
    tab.wait_for_function("() => document.querySelector('.chart')?.layout?.yaxis.type === 'log'")


def test_a_pause_holds_the_plot_and_not_the_list(lab: Served, tab: Any) -> None:
    lab.datasets.set("a", [1.0, 2.0])
    tab.goto(lab.url)
    tab.wait_for_selector(".chart[data-drawn]")
    tab.click("text=Pause")
    lab.datasets.update({"action": "append", "path": ["a", 1], "x": 7.0})
    tab.wait_for_selector("text=float64 3, last 7")
    assert tab.evaluate(POINTS) == 2
    tab.click("summary")
    tab.select_option("select >> nth=2", "y")
    tab.wait_for_function("() => document.querySelector('.chart').layout.yaxis.type === 'log'")
    assert tab.evaluate(POINTS) == 2
    tab.click("text=Continue")
    tab.wait_for_function(f"() => ({POINTS})() === 3")


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "\u202egnp.live\u202c \u2066x",
    "\x1b[31mred\x00\x07",
    "a/../../etc/passwd?show=b&x#y",
    "{{7*7}} ${7*7} $\\alpha$",
    "__proto__",
    "%{y}<br><b>bold</b><a href='javascript:alert(1)'>x</a>",
    "",
    " ",
]


def test_hostile_names_units_and_texts_are_text(lab: Served, tab: Any) -> None:
    for number, text in enumerate(HOSTILE):
        lab.datasets.set(f"text {number}", text)
        lab.datasets.set(text if text.strip() else f"unit {number}", np.arange(3.0), None, {"unit": text})
    tab.goto(lab.url)
    count = len(lab.datasets.snapshot())
    tab.wait_for_selector(f"text={count} of {count} datasets")
    tab.evaluate(
        "() => { for (const each of document.querySelectorAll('.datasets button.name[aria-pressed=false]'))"
        " if (!each.innerText.startsWith('text ')) each.click() }"
    )
    tab.wait_for_function(
        "() => [...document.querySelectorAll('.chart')].every((each) => each.dataset.drawn)"
    )
    assert tab.locator(".panel").count() >= 10
    found = tab.evaluate(
        "() => ({scripts: [...document.scripts].map((each) => each.src || 'inline'),"
        " odd: document.querySelectorAll('main img, main iframe, main b, main a[href], [onload], [onerror]').length,"
        " text: document.body.innerText})"
    )
    assert all("/static/" in each for each in found["scripts"])
    assert found["odd"] == 0
    assert not set(found["text"]) & set("\u202e\u202c\u2066\x1b\x00\x07")


LOOKS = """async () => {
  const {Lab} = await import("/static/lab.js");
  const looks = (number) => {
    const lab = new Lab();
    let count = 0;
    const shape = new Proxy([5], {get: (of, key) => { count += 1; return of[key] }});
    const names = [...Array(number).keys()].map((each) => `group${each % 9}.y${each}`);
    const rows = [...names, "group3.x"].map((name, each) => [each, name, "line", "", "", false, 0, shape]);
    lab.takeDatasets({rows, gone: [], is_whole: true});
    const axes = [...lab.datasets.values()].map((each) => lab.likelyAxis(each));
    return [count, axes.filter((each) => each === "group3.x").length];
  };
  return [looks(90), looks(900)];
}"""


def test_many_datasets_are_not_each_compared_with_all(lab: Served, tab: Any) -> None:
    enter(tab, lab, "log")
    (few, found), (many, found_of_many) = tab.evaluate(LOOKS)
    assert (found, found_of_many) == (10, 100)
    assert many < 20 * few


def test_names_and_texts_of_a_million_characters(lab: Served, tab: Any) -> None:
    lab.datasets.set("n" * 1_000_000, np.arange(3.0))
    lab.datasets.set("text", "t" * 1_000_000)
    lab.datasets.set("unit", np.arange(3.0), None, {"unit": "u" * 1_000_000})
    tab.goto(lab.url)
    tab.wait_for_selector("text=3 of 3 datasets")
    assert len(tab.inner_text("body")) < 10_000


def test_a_lost_server_is_said_with_the_time_and_comes_back(tab: Any) -> None:
    port = free_port()  # nobody else gets it while there is no server
    with served(port=port) as lab:
        lab.datasets.set("a", [1.0])
        tab.goto(lab.url)
        tab.wait_for_selector("text=float64 1, last 1")
    tab.wait_for_selector("#banner >> text=No connection to rexec web since")
    tab.wait_for_function("() => rexec.stream.retry > 2000")  # some attempts have failed
    assert "the server was ended" in tab.inner_text("#banner") or "rexec web was ended" in tab.inner_text(
        "#banner"
    )
    assert "What is shown is from before" in tab.inner_text("#banner")
    assert tab.locator("text=float64 1, last 1").count() == 1
    with served(port=port) as lab:
        lab.datasets.set("b", [1.0, 2.0])
        tab.wait_for_selector("text=float64 2, last 2")
        tab.wait_for_selector("#banner", state="hidden")
        assert tab.locator("button.name").count() == 1


def test_a_server_with_another_token_is_said(tab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with served(port=port) as lab:
        tab.goto(lab.url)
        tab.wait_for_function("() => rexec.stream.isOpen")
    monkeypatch.setattr("tests.web.served.TOKEN", "another-token-that-is-long-enough-too")
    with served(port=port):
        tab.wait_for_selector("#banner >> text=the server has another token now")
        assert tab.evaluate("() => rexec.stream.stopped")


def test_a_server_that_says_nothing_is_asked_and_then_left(lab: Served, tab: Any) -> None:
    lab.datasets.set("a", [1.0])
    tab.goto(lab.url)
    tab.wait_for_selector("text=float64 1, last 1")
    tab.evaluate("() => { const { stream } = rexec; stream.askAfter = 0; globalThis.first = stream.socket }")
    for _ in range(2):  # it answers
        tab.wait_for_function(
            "(before) => rexec.stream.heardAt > before", arg=tab.evaluate("() => Date.now()")
        )
    assert tab.evaluate("() => rexec.stream.socket === first")
    # As where a cable was pulled: what is sent does not arrive.
    tab.evaluate("() => { rexec.stream.socket.send = () => {}; rexec.stream.lostAfter = 500 }")
    tab.wait_for_function("() => rexec.stream.socket !== first && rexec.stream.isOpen")
    lab.datasets.update({"action": "append", "path": ["a", 1], "x": 2.0})
    tab.wait_for_selector("text=float64 2, last 2")


def test_a_plot_is_drawn_when_the_library_comes_late(lab: Served, tab: Any) -> None:
    lab.datasets.set("a", [1.0, 2.0])
    tab.route("**/plotly.min.js", lambda route: route.abort())
    tab.goto(lab.url)
    tab.wait_for_selector("text=plotly.min.js could not be loaded")
    tab.unroute("**/plotly.min.js")
    lab.datasets.set("a", [3.0, 4.0])
    assert drawn(tab, "a")[0]["y"] == [3.0, 4.0]


def test_a_lost_master_is_said(tab: Any) -> None:
    with served(master=("127.0.0.1", 1, None), with_master=False) as lab:
        tab.goto(lab.url)
        tab.wait_for_selector("text=No master answers")
        assert "rexec master" in tab.inner_text(".empty")


def test_a_tab_that_nobody_sees_gets_nothing(lab: Served, tab: Any) -> None:
    lab.datasets.set("a", [1.0])
    tab.goto(lab.url)
    tab.wait_for_selector("text=float64 1, last 1")
    tab.evaluate(
        "() => { Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    tab.evaluate(
        "() => fetch('/api/runs').then((answer) => answer.text())"
    )  # meanwhile the server reads the pause
    before = tab.evaluate("() => rexec.stream.bytes")
    for value in range(2000):
        lab.datasets.update({"action": "append", "path": ["a", 1], "x": float(value)})
    # Two messages may have been on their way; all are 16000 bytes.
    assert tab.evaluate("() => rexec.stream.bytes") - before < 8000
    tab.evaluate(
        "() => { Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    tab.wait_for_selector("text=float64 2001, last 1999")
    tab.wait_for_function(f"() => ({POINTS})() === 2001")


def test_the_log_is_shown_and_filtered(tab: Any) -> None:
    with served() as lab:  # whose log has no lines of other tests
        tab.goto(lab.url)
        tab.click("nav >> text=Log")
        tab.wait_for_selector("text=No messages yet")
        tab.wait_for_function("() => rexec.lab.source?.log === ''")
        logging.getLogger("camera").error("<b>no frame</b>\nfrom \u202ethe camera")
        logging.getLogger("laser").warning("unlocked")
        tab.wait_for_selector("text=<b>no frame</b>")
        tab.wait_for_selector("text=unlocked")
        tab.select_option("#level", "40")
        tab.wait_for_selector("text=unlocked", state="detached")
        assert "level=40" in tab.url


def test_a_picture_is_saved(lab: Served, tab: Any) -> None:
    lab.datasets.set("scan/y", np.arange(9.0))
    tab.goto(lab.url)
    tab.wait_for_selector(".chart[data-drawn]")
    tab.click("summary")
    for kind, begin in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        with tab.expect_download() as download:
            tab.click(f"text={kind}")
        name = download.value.suggested_filename
        assert name.endswith(f".{kind.lower()}")
        assert "/" not in name
        assert download.value.path().read_bytes().startswith(begin)


def test_the_default_plot_of_the_run_that_goes_on_comes_first(tmp_path: Path, tab: Any) -> None:
    path = tmp_path / "2026-11-26" / "09" / "000000042-Scan.h5"
    path.parent.mkdir(parents=True)
    identity = RunIdentity(rid=42, class_name="Scan", start_time=1.0)
    with ResultsWriter.create(path, identity) as writer:
        writer.declare_plot("odd.signal", ["odd.axis"])
        for key in ("odd.signal", "odd.axis"):
            writer.set(key, np.arange(5.0), {})
        writer.snapshot()
        with served(results=tmp_path) as lab:
            for key in ("odd.signal", "odd.axis", "other"):
                lab.datasets.set(key, np.arange(5.0))
            tab.goto(lab.url)
            # The other dataset may be plotted first, until the page has asked for the default plot.
            tab.wait_for_function(
                """() => {
                    const first = document.querySelector('.plots').firstChild;
                    return first?.querySelector('h3')?.innerText === 'odd.signal'
                        && first.querySelector('.chart')?.layout?.xaxis.title.text === 'odd.axis';
                }"""
            )


CLOSED_AT_ONCE = """async () => {
  const { Chart } = await import("/static/chart.js");
  const element = document.body.appendChild(document.createElement("div"));
  const plot = { lines: [{ x: [0, 1], y: [1, 2], name: "y" }] };
  class Watched extends Chart {
    drawAll() { return (this.drawing = super.drawAll()); }
  }
  for (const place of ["loading", "frame"]) {
    const chart = new Watched(element, () => {});
    chart.draw(plot, { dataset: "y", axis: "" });
    if (place === "frame") for (let wait = 0; wait < 3; wait += 1) await Promise.resolve();
    chart.close();
    await chart.drawing;
  }
  return element.dataset.drawn ?? "never";
}"""
"""Closes a chart while plotly is loaded, and while it waits for a frame."""


def test_a_plot_may_be_closed_before_its_first_frame(lab: Served, tab: Any) -> None:
    tab.goto(lab.url)
    tab.wait_for_selector("text=Live")
    assert tab.evaluate(CLOSED_AT_ONCE) == "never"

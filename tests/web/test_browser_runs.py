"""The view Runs in a real browser, and its questions to the server."""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h5py
import numpy as np
import pytest

from rexec.datasets import Dataset
from rexec.results import ResultsWriter, write_results
from rexec.web.run_routes import opened_inside
from schemas import RunIdentity
from tests.serving import free_port
from tests.waiting import within
from tests.web.conftest import enter
from tests.web.served import Served, served


def write(folder: Path, rid: int, data: dict[str, Any], name: str = "Scan", **arguments: Any) -> Path:
    path = folder / "2026-11-26" / "09" / f"{rid:09}-{name}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    identity = RunIdentity(
        rid=rid, class_name=name, start_time=time.time() - 100, run_time=time.time() - 90,
        expid={"class_name": name, "file": "scan.py", "arguments": arguments},
    )  # fmt: skip
    return write_results(path, identity, data, plot=("y", ["x"]) if "x" in data else None)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results for all tests of this file."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def page_of_runs(place: Path) -> Iterator[Served]:
    """One page for all tests of this file: its processes that read files start once."""
    with served(with_master=False, results=place) as found:
        yield found


@pytest.fixture
def folder(place: Path) -> Path:
    """The folder with four runs, and nothing that an earlier test has left."""
    for each in place.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif not each.name.startswith("."):  # the index stays, as it does where runs are deleted
            each.unlink()
    x = Dataset(np.linspace(1e6, 2e6, 11), {"unit": "MHz"})
    for rid in (1, 2, 3):
        write(place, rid, {"x": x, "y": np.arange(11.0) * rid, "z": np.zeros((20, 30))}, phase=rid / 10)
    empty = {"none": np.zeros((0, 4, 4)), "rows": np.zeros((0, 3)), "columns": np.zeros((3, 0))}
    empty["void"] = np.zeros((0, 0, 5))
    write(place, 4, {"counts": np.arange(100) % 7, **empty}, "Histogram")
    return place


@pytest.fixture
def lab(folder: Path, page_of_runs: Served) -> Served:
    return page_of_runs


def header(answer: tuple[int, dict[str, str], bytes]) -> Any:
    content = answer[2]
    return json.loads(content[4 : 4 + int.from_bytes(content[:4], "little")])


def test_runs_are_found_opened_and_drawn(lab: Served, tab: Any) -> None:
    tab.goto(lab.url)
    tab.click("nav >> text=Runs")
    tab.wait_for_selector("text=4 runs")
    tab.fill("#query", "class=Scan phase>0.15")
    tab.wait_for_selector("text=2 runs")
    assert "query=class%3DScan" in tab.url
    tab.reload()
    tab.wait_for_selector("text=2 runs")
    tab.click("a:has-text('3')")
    tab.wait_for_selector('[aria-label="Plot of y"] .chart[data-drawn]')
    found = tab.evaluate(
        "() => { const {data, layout} = document.querySelector('.chart');"
        " return {x: [...data[0].x], y: [...data[0].y], label: layout.xaxis.title.text} }"
    )
    assert found["y"] == [3.0 * each for each in range(11)]
    assert found["x"] == pytest.approx(np.linspace(1, 2, 11))
    assert found["label"] == "x (MHz)"
    assert "phase" in tab.inner_text(".facts")
    tab.go_back()
    tab.wait_for_selector("text=2 runs")
    assert tab.input_value("#query") == "class=Scan phase>0.15"


def test_a_question_that_is_not_understood_says_why(lab: Served, tab: Any) -> None:
    enter(tab, lab, "runs?query=phase%3E")
    tab.wait_for_selector(".bad:visible")
    assert "a value is missing after >" in tab.inner_text(".bad:visible")


def test_runs_are_compared_by_what_differs(lab: Served, tab: Any) -> None:
    tab.goto(lab.url)
    tab.click("nav >> text=Runs")
    for rid in (1, 2):
        tab.check(f"[aria-label='Choose run {rid}']")
    tab.click("text=Compare 2")
    tab.wait_for_selector(".chart[data-drawn]")
    names = tab.evaluate("() => document.querySelector('.chart').data.map((each) => each.name)")
    assert sorted(names) == ["1: phase=0.1", "2: phase=0.2"]
    tab.reload()
    tab.wait_for_selector(".chart[data-drawn]")


def test_a_run_that_ends_is_seen(lab: Served, folder: Path, tab: Any) -> None:
    tab.goto(lab.url)
    tab.click("nav >> text=Runs")
    tab.wait_for_selector("text=4 runs")
    write(folder, 5, {"a": 1.0})
    tab.wait_for_selector("text=5 runs")


def test_the_address_of_a_run_is_its_state(lab: Served, folder: Path, tab: Any) -> None:
    write(folder, 6, {"iq": np.exp(1j * np.arange(5))})
    enter(tab, lab, "runs/2026-11-26/09/000000006-Scan.h5")
    tab.wait_for_selector(".chart[data-drawn]")
    tab.click("details.tools summary")
    tab.select_option("label:has-text('Complex') select", "mag_phase")
    tab.evaluate(
        "() => Plotly.relayout(document.querySelector('.chart'), {'xaxis.range[0]': 1, 'xaxis.range[1]': 3})"
    )
    tab.wait_for_function("() => location.search.includes('zoom.0=1_3')")
    assert "complex.0=mag_phase" in tab.url
    tab.reload()
    tab.wait_for_function("() => document.querySelector('.chart')?.data?.[0]?.name === '|·|'")
    assert tab.evaluate("() => document.querySelector('.chart').layout.xaxis.range") == [1, 3]
    tab.click("button[aria-label='Close iq']")
    tab.wait_for_selector(".panel", state="detached")
    assert tab.evaluate("() => document.activeElement.dataset.dataset") == "iq"
    tab.reload()
    tab.wait_for_selector("button.name[aria-pressed=false]")
    assert tab.locator(".panel").count() == 0


def test_a_run_that_goes_on_is_followed_after_the_server_came_back(tmp_path: Path, tab: Any) -> None:
    path = tmp_path / "2026-11-26" / "09" / "000000007-Scan.h5"
    path.parent.mkdir(parents=True)
    with ResultsWriter.create(path, RunIdentity(rid=7, class_name="Scan", start_time=1.0)) as writer:
        writer.set("y", np.arange(5.0), {})
        writer.snapshot()
        port = free_port()  # nobody else gets it while there is no server
        with served(with_master=False, results=tmp_path, port=port) as lab:
            enter(tab, lab, "runs/2026-11-26/09/000000007-Scan.h5")
            tab.wait_for_selector("text=it goes on")
        tab.wait_for_selector("text=The server did not answer.")
    with served(with_master=False, results=tmp_path, port=port):
        tab.wait_for_selector("[role=status] >> text=completed")


def test_a_slow_list_is_waited_for(lab: Served, tab: Any) -> None:
    enter(tab, lab, "runs")
    tab.wait_for_selector("text=4 runs")
    asked = tab.evaluate(
        """() => {
            const { view } = rexec;
            let asked = 0;
            window.fetch = () => { asked += 1; return new Promise(() => {}) };
            view.asking = null;
            for (let tick = 0; tick < 3; tick += 1) view.tick();
            return asked;
        }"""
    )
    assert asked == 1


def test_an_empty_folder_says_what_to_do(tmp_path: Path, tab: Any) -> None:
    with served(with_master=False, results=tmp_path / "none") as lab:
        tab.goto(lab.url)
        tab.click("nav >> text=Runs")
        tab.wait_for_selector("text=No results yet")
        assert "rexec web --results DIR" in tab.inner_text(".empty")


def test_hostile_texts_of_a_file_are_text(lab: Served, folder: Path, tab: Any) -> None:
    evil = "<img src=x onerror=alert(1)>\u202e\x1b[2J"
    arguments = {evil: evil, "wait_time": 0.25, "host": "mine"}
    path = write(folder, 6, {evil: np.arange(3.0), "t": evil * 1000}, "Evil", **arguments)
    with h5py.File(path, "a") as file:
        file["rexec/error"] = evil
        file["rexec"].attrs["status"] = evil
        for name in ("start_time", "run_time"):  # no calendar has them
            del file[name]
            file[name] = -1e18
    enter(tab, lab, "runs")
    tab.wait_for_selector("text=Evil")
    assert not set(tab.inner_text("body")) & set("\u202e\x1b")
    tab.goto(f"{lab.address}runs/2026-11-26/09/{path.name}")
    tab.wait_for_selector(".chart[data-drawn]")
    assert not set(tab.inner_text("body")) & set("\u202e\x1b")
    assert tab.locator("main img").count() == 0
    facts = tab.inner_text(".facts").split("\n")
    assert {"0.25", "mine"} <= set(facts)  # arguments, which are no time and no host


OUTSIDE = (
    "../secret.h5", "/etc/passwd", "2026-11-26/../../secret.h5", "..\\secret.h5", "link.h5", "out/secret.h5",
    "2026-11-26", "x\0.h5", "", ".index.sqlite", "a" * 5000 + ".h5",
)  # fmt: skip


def test_no_name_leads_out_of_the_folder(folder: Path, lab: Served) -> None:
    secret = folder.parent / "secret.h5"
    secret.write_bytes(next(folder.glob("*/*/*.h5")).read_bytes())
    if os.name == "posix":  # elsewhere links need a privilege
        (folder / "link.h5").symlink_to(secret)
        (folder / "out").symlink_to(folder.parent)
    cookie = lab.cookie()
    for name in OUTSIDE:
        for address in ("/file", "/api/run", "/api/plot"):
            assert lab.ask(f"{address}?file={quote(name)}&dataset=s", cookie=cookie)[0] == 404, name


def test_a_dataset_without_numbers_is_no_problem(lab: Served) -> None:
    question, cookie = "/api/plot?file=2026-11-26/09/000000004-Histogram.h5", lab.cookie()
    for name in ("none", "rows", "columns", "void"):
        for kind in ("auto", "image", "line", "histogram"):
            answer = header(lab.ask(f"{question}&dataset={name}&kind={kind}", cookie=cookie))
            assert answer.get("op") in ("points", "histogram"), (name, kind, answer)
            assert answer["rows"] in (0, 3)


def test_a_file_is_downloaded_as_it_is(folder: Path, lab: Served) -> None:
    path = next(folder.glob("*/*/*.h5"))
    name = path.relative_to(folder).as_posix()
    status, headers, content = lab.ask(f"/file?file={name}", cookie=lab.cookie())
    assert status == 200
    assert content == path.read_bytes()
    assert headers["content-disposition"].startswith("attachment")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere links need a privilege, and there are no pipes")
def test_a_name_that_leads_elsewhere_since_it_was_looked_at_opens_nothing(tmp_path: Path) -> None:
    folder, secret = tmp_path / "results", tmp_path / "secret.h5"
    (folder / "day").mkdir(parents=True)
    secret.write_bytes(b"secret")
    path = folder / "day" / "run.h5"
    path.write_bytes(b"run")
    descriptor = opened_inside(folder, path)
    assert descriptor is not None
    assert os.read(descriptor, 9) == b"run"
    os.close(descriptor)
    path.unlink()
    assert opened_inside(folder, path) is None
    path.symlink_to(secret)
    assert opened_inside(folder, path) is None
    path.unlink()
    os.mkfifo(path)
    assert opened_inside(folder, path) is None
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(tmp_path)
    assert opened_inside(folder, path.with_name("secret.h5")) is None
    assert opened_inside(folder, path.parent) is None


def test_a_path_on_another_drive_is_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.h5").write_bytes(b"run")
    monkeypatch.setattr(os.path, "commonpath", _on_two_drives)
    assert opened_inside(tmp_path, tmp_path / "run.h5") is None


def _on_two_drives(_: object) -> str:
    raise ValueError("Paths don't have the same drive")  # as on Windows


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is open")
def test_a_download_leaves_nothing_open(folder: Path, lab: Served) -> None:
    path = next(folder.glob("*/*/*.h5"))
    name, cookie = path.relative_to(folder).as_posix(), lab.cookie()

    def is_open() -> bool:
        links = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
        return str(path.resolve()) in links

    assert lab.ask(f"/file?file={name}", cookie=cookie, range="bytes=1-3")[2] == path.read_bytes()[1:4]
    assert lab.ask(f"/file?file={name}", "HEAD", cookie=cookie)[2] == b""
    assert lab.ask(f"/file?file={name}", cookie=cookie, range="bytes=9999999-")[0] == 416
    assert within(150, lambda: not is_open())


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts here")
def test_a_name_that_is_no_text_hides_no_other_run(folder: Path, lab: Served) -> None:
    path = next(folder.glob("*/*/*.h5"))
    try:
        shutil.copy(path, path.parent / os.fsdecode(b"\xff<b>.h5"))
    except OSError as error:
        pytest.skip(f"this file system refuses such a name: {error}")
    files = [each["file"] for each in header(lab.ask("/api/runs", cookie=lab.cookie()))["runs"]]
    assert len(files) == 5
    assert path.relative_to(folder).as_posix() in files


def bomb(path: Path) -> None:
    """A file that declares more numbers than any memory has, in one compressed chunk."""
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "datasets/y", (1 << 31,), "f8", chunks=(1 << 28,), compression="gzip", fillvalue=1.0
        )
        file["datasets/y"].id.write_direct_chunk((0,), b"\0" * 100)
        file.create_dataset("datasets/z", (1 << 40,), "f8", chunks=True, fillvalue=0.0)
        file["datasets/a"] = np.arange(3.0)


@pytest.mark.parametrize("kind", ["bomb", "torn", "noise", "loop"])
def test_a_hostile_file_costs_an_answer_and_nothing_more(folder: Path, lab: Served, kind: str) -> None:
    path = folder / "2026-11-26" / "09" / "000000007-Evil.h5"
    if kind == "bomb":
        bomb(path)
    elif kind == "torn":
        whole = next(folder.glob("*/*/*.h5")).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "noise":
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + os.urandom(5000))
    else:
        with h5py.File(path, "w") as file:
            group = file.create_group("datasets")
            group["again"] = group
            group["y"] = np.arange(3.0)
    cookie = lab.cookie()
    name = path.relative_to(folder).as_posix()
    assert lab.ask("/api/runs", cookie=cookie)[0] == 200
    for question in ("/api/run?", "/api/plot?dataset=y&kind=line&", "/api/plot?dataset=y&kind=histogram&"):
        status, _, content = lab.ask(f"{question}file={name}", cookie=cookie)
        assert status == 200
        assert content
    good = header(lab.ask("/api/run?file=2026-11-26/09/000000001-Scan.h5", cookie=cookie))
    assert [each[1] for each in good["datasets"]] == ["x", "y", "z"]


def test_a_reader_that_is_killed_is_replaced(lab: Served) -> None:
    import psutil

    cookie, question = lab.cookie(), "/api/run?file=2026-11-26/09/000000001-Scan.h5"
    assert "problem" not in header(lab.ask(question, cookie=cookie))
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # a process of the browser may end at any moment
            if any("results_child" in each for each in child.cmdline()):
                child.kill()
    assert "process that reads result files has ended" in header(lab.ask(question, cookie=cookie))["problem"]
    assert "problem" not in header(lab.ask(question, cookie=cookie))

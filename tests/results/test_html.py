"""What notebooks show of a run."""

import base64
import re
import sys
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rexec import results
from schemas import RunIdentity


def written(path: Path) -> Path:
    identity = RunIdentity(rid=7, class_name="Ramsey", start_time=0.0, simulated=["camera"])
    with results.ResultsWriter.create(path, identity, refresh_interval=0) as writer:
        writer.set("delay <us>", np.arange(5) * 1e-6, {"unit": "us"})
        writer.set("label", "a & b", {})
    return path


def test_a_run_shows_what_it_is_its_datasets_and_its_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with results.open(written(tmp_path / "r.h5")) as run:
        assert repr(run) == f"<Run 7 at {tmp_path / 'r.h5'}: completed, 2 datasets>"
        monkeypatch.setitem(sys.modules, "rexec.results.reading._panels", None)
        without = run._repr_html_()
        monkeypatch.undo()
        shown = run._repr_html_()
    for part in (
        "<b>run 7 of Ramsey</b> completed",
        "not measured",
        "delay &lt;us&gt;",
        "a &amp; b",
        ">us</td>",
    ):
        assert part in without
        assert part in shown
    assert "<img" not in without
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    assert 'src="data:image/png;base64,' in shown


class Cells(HTMLParser):
    """Collects the cells of all tables, a list a row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._is_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, _: object) -> None:
        if tag == "tr":
            self.rows.append([])
        self._is_cell = tag in {"td", "th"}
        if self._is_cell:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._is_cell:
            self.rows[-1][-1] += data


def test_a_run_that_failed_shows_why_and_what_cannot_be_read(tmp_path: Path) -> None:
    path, identity = tmp_path / "r.h5", RunIdentity(rid=7, class_name="Ramsey", start_time=100.0)
    writer = results.ResultsWriter.create(path, identity, refresh_interval=0)
    writer.set("x", 0.5, {"unit": "V"})
    writer.add_degraded("late <1 s>")
    writer.add_degraded("no clock")
    writer.close("failed", error=ValueError("odd & even"))
    with h5py.File(path, "r+") as file:
        file["datasets"].create_dataset("raw", (8,), "u1", external=[("other.bin", 0, 8)])
    with results.open(path) as run:
        shown = run._repr_html_()
    rows = Cells(shown).rows
    assert rows[:-2] == [
        ["began", datetime.fromtimestamp(100.0).isoformat(" ", "seconds")],
        ["file", str(path)],
        ["error", "ValueError: odd & even"],
        ["degraded", "late <1 s>"],
        ["degraded", "no clock"],
        ["dataset", "value", "unit"],
    ]
    (key, why, unit), last = rows[-2:]
    assert (key, unit, last) == ("raw", "", ["x", "0.5", "V"])
    assert re.match(r"\(dataset 'raw' of .* has its data in another file, other\.bin", why)
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    picture = re.search(r'<img alt="plot of run 7 of Ramsey" src="data:image/png;base64,([^"]*)">$', shown)
    assert picture is not None
    assert base64.b64decode(picture[1]).startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    ("known", "title"),
    [({"rid": 5}, "run 5"), ({"expid": '{"class_name": "Scan"}'}, "Scan"), ({}, "a.h5")],
)
def test_a_run_without_numbers_has_no_picture(tmp_path: Path, known: dict[str, Any], title: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["datasets/s"] = "a"
        for key, value in known.items():
            file[key] = value
    with results.open(tmp_path / "a.h5") as run:
        shown = run._repr_html_()
    assert Cells(shown).rows == [
        ["file", str(tmp_path / "a.h5")],
        ["dataset", "value", "unit"],
        ["s", "'a'", ""],
    ]
    assert f"<b>{title}</b>" in shown
    assert "<img" not in shown

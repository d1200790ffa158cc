"""Names as a page shows them: no two are the same, and each is found again."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from devicedb.printable import printable
from rexec.results.journal.records import Kind, Record
from rexec.results.journal.writer import Journal
from rexec.results.layout import journal_path
from rexec.web.frames import frame
from rexec.web.labels import MOST, label
from rexec.web.results_child import answer
from rexec.web.run_contents import contents, plot
from tests.web.test_browser_runs import write

LONG = "a" * MOST
PAIRS = [
    (f"{LONG}1", f"{LONG}2"),
    (LONG, f"{LONG}b"),
    ("\x1b", "\\x1b"),
    (f"{LONG}1", label(f"{LONG}1")),
    ("\ud800", "\\ud800"),
]


def test_names_that_begin_or_look_alike_have_labels_of_their_own() -> None:
    for one, other in PAIRS:
        assert label(one) != label(other), (one, other)


def test_a_plain_name_is_its_own_label() -> None:
    for name in ("scan.y", "", ".", "été", "a#b", LONG):
        assert label(name) == name


@given(st.text(max_size=20) | st.text(min_size=MOST - 3, max_size=MOST + 3))
def test_a_label_is_short_and_printable(name: str) -> None:
    shown = label(name)
    assert shown.isprintable()
    assert shown == name or len(shown) <= len(printable(name[:MOST])) + 14


def test_a_journal_with_an_odd_identity_hides_no_other_run(tmp_path: Path) -> None:
    write(tmp_path, 1, {"x": np.arange(3.0)})
    path = tmp_path / "2026-11-26" / "09" / "000000002-Odd.h5"
    journal = Journal(journal_path(path))
    journal.put(Record(Kind.IDENTITY, value={"rid": 10**30, "class_name": "Odd", "run_time": 10**30}))
    journal.sync()
    answered = answer({"do": "list", "folder": str(tmp_path), "query": "", "most": 9})
    journal.close()
    found = json.loads(answered[4 : 4 + int.from_bytes(answered[:4], "little")])
    assert {each["file"].rpartition("/")[2] for each in found["runs"]} == {"000000001-Scan.h5", path.name}


def test_what_json_cannot_hold_is_text() -> None:
    odd: Any = {"a": [10**30, -(10**5000), "\ud800", object(), (1, None, True, 0.5)], 3: {"\ud800": b"x"}}
    found = json.loads(frame(odd)[4:])
    assert found["a"][0] == str(10**30)
    assert found["a"][2:] == ["\\ud800", "<object>", [1, None, True, 0.5]]
    assert found["3"] == {"\\ud800": "<bytes>"}


def test_what_is_no_axis_is_none(tmp_path: Path) -> None:
    axes = {
        "iq": np.arange(3) * 1j,
        "image": np.zeros((3, 3)),
        "short": np.arange(2.0),
        "text": "x",
        "one": 1.0,
    }
    path = write(tmp_path, 1, {**axes, "y": np.arange(3.0), "good": np.arange(3)})
    for name in axes:
        assert not plot(path, {"dataset": "y", "axis": name}).facts["axis"], name
    assert plot(path, {"dataset": "y", "axis": "good"}).facts["axis"]


def test_arguments_of_another_kind_hide_no_datasets(tmp_path: Path) -> None:
    for expid in ("[1]", '{"arguments": [1, 2]}', '{"arguments": "a"}', "5"):
        path = write(tmp_path, 1, {"x": np.arange(3.0)})
        with h5py.File(path, "r+") as file:
            del file["expid"]
            file["expid"] = expid
        found = contents(path)
        assert (found["arguments"], [row[1] for row in found["datasets"]]) == ({}, ["x"])
        path.unlink()


def test_each_of_two_long_names_of_a_file_is_drawn(tmp_path: Path) -> None:
    names = [f"{LONG}{end}" for end in "12"]
    path = write(tmp_path, 1, {name: np.array([float(end)]) for end, name in enumerate(names)})
    rows = contents(path)["datasets"]
    assert [row[1] for row in rows] == [label(name) for name in names]
    drawn = [plot(path, {"dataset": row[1]}).arrays[-1].reshape(-1).tolist() for row in rows]
    assert drawn == [[0.0], [1.0]]

"""Which file a dataset goes into, and what changed between two pictures: pure functions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexec.bridge.differences import differences, entry_of
from rexec.bridge.selection import DatasetSelection
from rexec.datasets.values import own_copy, same


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("level", "datasets"),
        ("ndscan.rid_42.points.axis_0", "ndscan.rid_42"),
        ("ndscan.rid_7.source", "ndscan.rid_7"),
        ("ndscan.rid_7", "datasets"),
        ("rb/x/y", "rb"),
        ("datasets.own", "%64atasets"),
        ("λμδ" * 20 + ".x", "λμδ" * 20),
        ("debug.x", None),
        ("debug.keep", None),
    ],
)
def test_the_file_of_a_dataset(key: str, part: str | None) -> None:
    selection = DatasetSelection(exclude=("debug.*",), split=("ndscan.rid_*.", "rb/", "datasets.", "λμδ*."))
    assert selection.file_of(key) == part


VALUES = st.one_of(
    st.integers(), st.lists(st.integers(0, 2), max_size=4), st.just(np.zeros(2)), st.floats(), st.none()
)
PICTURES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.tuples(st.booleans(), VALUES, st.dictionaries(st.just("unit"), st.sampled_from(["V", "A"]))),
)


@given(PICTURES, PICTURES)
def test_differences_lead_from_one_picture_to_the_other(
    held: dict[str, Any], present: dict[str, Any]
) -> None:
    made = {key: own_copy(entry) for key, entry in held.items()}
    found = differences(held, present)
    for change in found:
        if change.kind == "delete":
            del made[change.key]
        elif change.kind == "append":
            made[change.key][1].append(change.value)
        else:
            made[change.key] = present[change.key]
    assert made.keys() == present.keys()
    assert all(same(made[key], present[key]) for key in present)
    if all(same(held.get(key), present.get(key)) for key in {*held, *present}):
        assert found == []


def test_datasets_of_artiq_7_have_no_metadata() -> None:
    assert entry_of((True, 5)) == (True, 5, {})
    assert entry_of([False, 5, {"unit": "V"}]) == (False, 5, {"unit": "V"})

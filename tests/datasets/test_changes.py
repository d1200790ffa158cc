"""Modifications, names and metadata: what each does, by what it returns, and what is refused."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from rexec.datasets import DatasetDB, DatasetError, DatasetTooLarge
from rexec.datasets._texts import MAX_KEY, stored_name
from rexec.datasets.changes import DatasetChange, apply_mod, client_change
from rexec.datasets.door import check_sendable, checked_flag, checked_metadata
from rexec.datasets.indexing import artiq_index, canonical_index
from rexec.datasets.values import same
from rexec.ground.plain import MAX_DEPTH


def mod(action: str, *path: Any, **rest: Any) -> dict[str, Any]:
    return {"action": action, "path": ["x", 1, *path], **rest}


APPLIED: list[tuple[Any, dict[str, Any], Any, dict[str, Any]]] = [
    ([1], mod("append", x=2), [1, 2], {}),
    ([1, 2], mod("insert", i=np.int64(0), x=3), [3, 1, 2], {"i": 0}),
    ([1, 2], mod("pop", i=np.int8(-1)), [1], {"i": -1}),
    ([1, 2, 3], mod("delitem", key=np.int64(1)), [1, 3], {"key": 1}),
    ([1, 2, 3], mod("delitem", key=slice(np.int64(1), None)), [1], {"key": slice(1, None)}),
    ({"a": 1, "b": 2}, mod("delitem", key="a"), {"b": 2}, {"key": "a"}),
    ([1, 2], mod("setitem", key=np.int64(1), value=5), [1, 5], {"key": 1}),
    ([1, 2], mod("setitem", key=slice(0, 1), value=iter([7, 8])), [7, 8, 2], {"value": [7, 8]}),
    ([1, 2], mod("setitem", key=slice(0, 1), value=(7, 8)), [7, 8, 2], {"value": (7, 8)}),
    ({"a": [{"b": [1]}]}, mod("append", "a", 0, "b", x=2), {"a": [{"b": [1, 2]}]}, {}),
]


@pytest.mark.parametrize(("value", "change", "expected", "form"), APPLIED, ids=range(len(APPLIED)))
def test_a_modification_is_applied_and_returned_as_everybody_understands_it(
    value: Any, change: dict[str, Any], expected: Any, form: dict[str, Any]
) -> None:
    assert apply_mod(value, change) == {**change, **form}
    assert value == expected


@pytest.mark.parametrize(
    ("value", "change", "error", "text"),
    [
        ([1], mod("explode"), ValueError, "no such action: 'explode'"),
        (1, mod("append", x=2), TypeError, "append changes a list, not an int"),
        ({"a": 1}, mod("pop", i=0), TypeError, "pop changes a list, not a dict"),
        ((1,), mod("delitem", key=0), TypeError, "delitem changes a list, not a tuple"),
        (1, mod("setitem", key=0, value=2), TypeError, "a int has no parts to change; set it anew"),
        ([1], mod("insert", i=1.5, x=2), TypeError, "integer"),
    ],
)
def test_a_modification_that_does_not_fit_says_why(value: Any, change: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        apply_mod(value, change)


@pytest.mark.parametrize("value", [np.str_("5"), "5", [5], np.array(["5"], object), np.float32(5)])
def test_what_is_told_of_a_change_in_an_array_has_no_other_meaning_elsewhere(value: Any) -> None:
    target = np.zeros(2)
    told = apply_mod(target, mod("setitem", key=0 if np.ndim(value) == 0 else slice(0, 1), value=value))[
        "value"
    ]
    assert np.all(target == [5, 0])
    assert np.all(np.asarray(told, float) == 5)
    assert type(told) in (
        (str, np.float32) if np.ndim(value) == 0 and type(value) is not np.str_ else (np.ndarray,)
    )


@pytest.mark.parametrize(
    ("change", "meaning"),
    [
        ({"action": "setitem", "path": [], "key": "x"}, DatasetChange("set", "x")),
        ({"action": "delitem", "path": [], "key": "x"}, DatasetChange("delete", "x")),
        (mod("append", x=2), DatasetChange("append", "x", value=2)),
        (mod("setitem", key=0, value=2), DatasetChange("mutate", "x", 0, 2)),
        (mod("pop", i=0), DatasetChange("other", "x")),
        (mod("append", 0, x=2), DatasetChange("other", "x")),
        ({"action": "append", "path": ["x", 2], "x": 2}, DatasetChange("other", "x")),
    ],
)
def test_what_a_client_has_done_is_named(change: Any, meaning: DatasetChange) -> None:
    assert client_change(change) == meaning


def test_the_database_changes_metadata_and_takes_paths_of_either_kind() -> None:
    db = DatasetDB()
    db.set("x", [1], metadata={"unit": "V"})
    paths: list[Any] = [["x", 2], ("x", 2)]
    for path in paths:
        change = {"action": "setitem", "path": path, "key": "scale", "value": 2}
        assert db.update(change) == {**change, "path": ["x", 2]}
        assert db.get_entry("x") == (False, [1], {"unit": "V", "scale": 2})
        db.update({"action": "delitem", "path": path, "key": "scale"})
        assert db.get_metadata("x") == {"unit": "V"}
    wrong: list[Any] = [[5, 1], ["x", 0], ["x", 3], "x", None]
    for path in wrong:
        with pytest.raises(ValueError, match="path"):
            db.update({"action": "append", "path": path, "x": 1})
    whole: Any = {"action": "setitem", "path": [], "key": "y", "value": (False, 1, {})}
    assert db.update(whole) == whole


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, {}),
        ({"unit": None, "scale": None}, {}),
        ({"scale": 2**53 - 1}, {"scale": 2**53 - 1}),
        ({"scale": 2**53}, {"scale": float(2**53)}),
        ({"scale": Decimal("0.5")}, {"scale": 0.5}),
        ({"scale": Fraction(1, 4)}, {"scale": 0.25}),
        ({"precision": 3.0}, {"precision": 3}),
        ({"precision": np.int8(3)}, {"precision": 3}),
        ({"precision": -10_000}, {"precision": -10_000}),
    ],
)
def test_metadata_are_kept_in_one_form(given: Any, kept: dict[str, Any]) -> None:
    found = checked_metadata("x", given)
    assert (found, [*map(type, found.values())]) == (kept, [*map(type, kept.values())])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"precision": 10_001}, "its precision is out of range: about 2\\*\\*14"),
        ({"precision": 2.5}, "its precision is a whole number, not 2.5"),
        ({"scale": 10**400}, "its scale is too large: about 2\\*\\*1329"),
        ({"scale": Fraction(10**400)}, "its scale is too large: Fraction"),
        ({"scale": np.complex64(1)}, "its scale is a number, not"),
        ({"other": [1, object()]}, "its other cannot be kept"),
        ([1], "metadata are a dict, not list"),
    ],
)
def test_metadata_that_nobody_could_take_are_refused(given: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"dataset 'x': {text}"):
        checked_metadata("x", given)


def test_a_metadatum_is_as_deep_as_its_place_allows() -> None:
    value: Any = 0
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert checked_metadata("x", {"other": value}) == {"other": value}
    with pytest.raises(ValueError, match="its other cannot be kept"):
        checked_metadata("x", {"other": [value]})


def test_a_flag_is_a_bool_of_whatever_says_yes_or_no() -> None:
    for given, flag in (
        (None, False),
        (0, False),
        (2, True),
        (True, True),
        (np.False_, False),
        (np.int8(1), True),
    ):
        assert checked_flag("x", "persist", given) is flag


def test_metadata_are_looked_at_for_every_subscriber() -> None:
    check_sendable("x", 1, {"other": np.True_}, v1=False)
    with pytest.raises(TypeError, match="dataset 'x' can be neither shown"):
        check_sendable("x", 1, {"other": np.True_}, v1=True)
    with pytest.raises(TypeError, match="dataset 'x' can be neither shown"):
        DatasetDB(pyon_v1=True).set("x", 1, metadata={"other": np.True_})


def test_a_name_has_as_many_bytes_as_lmdb_takes() -> None:
    assert stored_name("é" * (MAX_KEY // 2)) == "é".encode() * (MAX_KEY // 2)
    assert len(stored_name("k" * 511)) == 511
    for name in ("", "k" * 512):
        with pytest.raises(DatasetTooLarge, match=f"its name has {len(name)} bytes"):
            stored_name(name)


def test_a_database_without_persistence_refuses_what_is_to_persist() -> None:
    db = DatasetDB(no_persistence="it is a copy")
    db.set("x", 1)
    with pytest.raises(DatasetError, match="cannot keep dataset 'y': it is a copy"):
        db.set("y", 1, True)
    assert db.snapshot() == {"x": (False, 1, {})}


def test_a_number_is_appended_or_refused_as_anything_is() -> None:
    db, heard = DatasetDB(), []
    db.set("x", [1.0], True)
    db.set("y", 5)
    db.subscribe(lambda change, origin: heard.append((change["x"], origin)))
    db.append_number("x", 2.0)
    assert (db.get("x"), heard) == ([1.0, 2.0], [(2.0, "run")])
    for key, error in (("y", TypeError), ("z", KeyError)):
        with pytest.raises(error):
            db.append_number(key, 2.0)


@pytest.mark.parametrize(
    ("index", "meant"),
    [
        ((), ()),
        (5, 5),
        ((1, None), slice(1, None)),
        ((np.int8(1), 2, 3), slice(1, 2, 3)),
        (((1,), (None, 2)), (slice(1), slice(None, 2))),
        ((1, "a"), (1, "a")),
    ],
)
def test_a_tuple_is_a_slice_where_it_can_be_one(index: Any, meant: Any) -> None:
    assert artiq_index(index) == meant


@pytest.mark.parametrize("index", [(1, 2, 3, 4), ((),), ((1, 2, 3, 4),), ((1.5,),), (("a",),)])
def test_a_tuple_of_no_slice_is_refused(index: Any) -> None:
    with pytest.raises(IndexError, match="is no slice: give 1 to 3 integers, or None"):
        artiq_index(index)


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (np.array([2**63], np.uint64), f"index {2**63} is out of bounds"),
        ((Ellipsis, Ellipsis), "a single ellipsis"),
        ((0, 0, 0, Ellipsis), "too many indices: the array has 2 dimensions, 3 were indexed"),
        ((np.zeros((2, 2), bool), 0, Ellipsis), "the array has 2 dimensions, 3 were indexed"),
        ([0.5], "integer or boolean arrays are indices, not a list"),
        (1.5, "integer or boolean arrays are indices, not 1.5"),
        (np.zeros(0), "integer or boolean arrays are indices, not a ndarray"),
    ],
)
def test_an_index_that_no_array_has_says_why(index: Any, text: str) -> None:
    with pytest.raises(IndexError, match=text):
        canonical_index(np.zeros((2, 2)), index)


def test_an_ellipsis_is_written_out() -> None:
    target, whole = np.zeros((2, 3, 4)), slice(None)
    assert canonical_index(target, Ellipsis) == (whole, whole, whole)
    assert canonical_index(target, (0, Ellipsis)) == (0, whole, whole)
    assert canonical_index(target, (Ellipsis, None, 1)) == (whole, whole, None, 1)
    assert canonical_index(target, (0, 1, Ellipsis, 2)) == (0, 1, None, 2)
    assert canonical_index(target, (0, 1, Ellipsis, whole)) == (0, 1, whole)
    assert canonical_index(target, np.array([2**63 - 1], np.uint64)).tolist() == [2**63 - 1]


@pytest.mark.parametrize(
    ("index", "form"),
    [
        (np.array(1), 1),
        (np.uint8(1), 1),
        (np.True_, True),
        (None, None),
        (slice(np.int8(1), None), slice(1, None)),
        ([1, 0], np.array([1, 0])),
        ([], np.array([], np.int64)),
        ([True, False], np.array([True, False])),
        (np.array([1], np.uint64), np.array([1])),
        (range(2), np.array([0, 1])),
        ("a", "a"),
        (["a", "b"], ["a", "b"]),
        ((0, "a"), (0, "a")),
    ],
)
def test_an_index_of_an_array_has_one_form(index: Any, form: Any) -> None:
    found = canonical_index(np.zeros((2,), [("a", float), ("b", float)]), index)
    assert type(found) is type(form)
    assert same(found, form)

"""Scans, by the values and descriptions that ARTIQ 9 gives."""

from typing import Any

import pytest

from rexec.experiment import (
    CenterScan,
    DefaultMissing,
    ExplicitScan,
    MultiScanManager,
    NoScan,
    RangeScan,
    Scannable,
    ScanObject,
)


@pytest.mark.parametrize(
    ("scan", "values", "described"),
    [
        (NoScan(3, 2), [3, 3], {"ty": "NoScan", "value": 3, "repetitions": 2}),
        (
            RangeScan(0, 1, 3),
            [0.0, 0.5, 1.0],
            {"ty": "RangeScan", "start": 0, "stop": 1, "npoints": 3, "randomize": False, "seed": None},
        ),
        (
            CenterScan(0, 4, 1),
            [0, -1, 1, -2, 2],
            {"ty": "CenterScan", "center": 0, "step": 1, "span": 4, "randomize": False, "seed": None},
        ),
        (ExplicitScan([1, 2]), [1, 2], {"ty": "ExplicitScan", "sequence": [1, 2]}),
        (RangeScan(2, 2, 1), [2.0], None),
        (RangeScan("a", "b", 1), ["a"], None),  # type: ignore[arg-type]
        (CenterScan(1.0, 2.0, 0.5), [1.0, 0.5, 1.5, 0.0, 2.0], None),
        (CenterScan(5, 4, 0), [5], None),
        (CenterScan(0, 0.6, 0.1), [0, -0.1, 0.1, -0.2, 0.2, -3 * 0.1, 3 * 0.1], None),
        (RangeScan(2, 3, 0), [], None),
    ],
)
def test_values_and_description(scan: ScanObject, values: list[Any], described: Any) -> None:
    assert list(scan) == list(scan) == values
    assert len(scan) == len(values)
    if described is not None:
        assert scan.describe() == described
        assert list(Scannable().process(described)) == values


def test_a_random_order_is_that_of_artiq_for_the_same_seed() -> None:
    assert list(RangeScan(0, 1, 5, randomize=True, seed=1)) == [0.5, 0.75, 1.0, 0.0, 0.25]
    scan = CenterScan(0, 4, 1, randomize=True, seed=1)
    assert list(scan) == [1, -2, 2, 0, -1]
    assert scan.describe() == {
        "ty": "CenterScan", "center": 0, "step": 1, "span": 4, "randomize": True, "seed": 1,
    }  # fmt: skip


def test_several_scans_give_all_combinations() -> None:
    manager = MultiScanManager(("a", RangeScan(0, 1, 2)), ("b", NoScan(2, 2)))
    assert len(manager) == 4
    assert [(point.a, point.b) for point in manager] == [(0.0, 2), (0.0, 2), (1.0, 2), (1.0, 2)]


def test_an_argument_that_is_a_scan_describes_itself() -> None:
    argument = Scannable([NoScan(1), RangeScan(0, 1, 3)], unit="MHz")
    assert isinstance(argument.default(), NoScan)
    assert argument.describe() == {
        "ty": "Scannable",
        "default": [
            {"ty": "NoScan", "value": 1, "repetitions": 1},
            {"ty": "RangeScan", "start": 0, "stop": 1, "npoints": 3, "randomize": False, "seed": None},
        ],
        "unit": "MHz", "scale": 1e6, "global_step": 1e5, "global_min": None, "global_max": None, "precision": 2,
    }  # fmt: skip
    given = Scannable(unit="turn", scale=360.0, global_step=3.0, global_min=1.0, global_max=9.0, ndecimals=4)
    assert given.describe() == {
        "ty": "Scannable", "unit": "turn", "scale": 360.0, "global_step": 3.0, "global_min": 1.0, "global_max": 9.0,
        "precision": 4,
    }  # fmt: skip
    with pytest.raises(DefaultMissing):
        Scannable().default()
    with pytest.raises(KeyError, match="furlong"):
        Scannable(unit="furlong")


@pytest.mark.parametrize("given", [3, "RangeScan", {"ty": "Nothing"}, {"ty": "RangeScan", "start": 0}])
def test_what_is_no_scan_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="RangeScan"):
        Scannable().process(given)


def test_a_scan_is_taken_as_it_is() -> None:
    scan = NoScan(1)
    assert Scannable().process(scan) is scan

"""What a browser gets of live datasets: deltas that make the same numbers as the dataset has, whatever changed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexec.web.clock import VersionClock
from rexec.web.decimation import extremes, step_for
from rexec.web.frames import frame
from rexec.web.live_datasets import LiveDatasets
from rexec.web.live_master import LiveMaster
from rexec.web.live_view import KINDS, Had, LiveView, Wanted
from rexec.web.log_lines import LogLines
from rexec.wire.sync_struct import process_mod
from tests.web.browser_model import LineModel


def on_loop(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


class Lab:
    """Datasets as a subscriber has them, and the page's view of them."""

    def __init__(self) -> None:
        self.struct: dict[str, Any] = {}
        self.datasets = LiveDatasets(VersionClock())

    def set(self, key: str, value: Any, **metadata: Any) -> int:
        self.change({"action": "setitem", "path": [], "key": key, "value": (False, value, metadata)})
        found = self.datasets.named(key)
        assert found is not None
        return found.number

    def append(self, key: str, value: Any) -> None:
        self.change({"action": "append", "path": [key, 1], "x": value})

    def mutate(self, key: str, index: Any, value: Any) -> None:
        self.change({"action": "setitem", "path": [key, 1], "key": index, "value": value})

    def change(self, mod: dict[str, Any]) -> None:
        process_mod(self.struct, mod)
        self.datasets.take_change(self.struct, mod)


def test_an_append_is_sent_as_an_append() -> None:
    async def test() -> None:
        lab = Lab()
        view = LiveView("p", Wanted(lab.set("a", [1.0, 2.0])))
        whole = view.news(lab.datasets)
        assert whole is not None
        assert whole.facts["is_whole"]
        lab.append("a", 3.0)
        lab.append("a", 4.0)
        part = view.news(lab.datasets)
        assert part is not None
        assert (part.facts["from"], part.facts["rows"], part.facts["is_whole"]) == (2, 4, False)
        assert part.arrays[0].reshape(-1).tolist() == [3.0, 4.0]
        assert view.news(lab.datasets) is None

    on_loop(test)


def test_bytes_follow_the_data_and_not_its_square() -> None:
    async def test() -> None:
        lab = Lab()
        view = LiveView("p", Wanted(lab.set("a", []), most=1000))
        sent = 0
        for number in range(20_000):
            lab.append("a", float(number))
            if number % 10 == 0:
                part = view.news(lab.datasets)
                sent += sum(array.nbytes for array in part.arrays) if part else 0
        assert sent < 4 * 20_000 * 8

    on_loop(test)


def test_a_changed_slice_is_sent_as_its_rows() -> None:
    async def test() -> None:
        lab = Lab()
        view = LiveView("p", Wanted(lab.set("image", np.zeros((100, 50)))))
        view.news(lab.datasets)
        lab.mutate("image", slice(20, 22), 1.0)
        part = view.news(lab.datasets)
        assert part is not None
        assert part.facts["from"] == 20
        assert part.arrays[0].shape == (2, 50)

    on_loop(test)


def test_a_browser_that_comes_back_gets_what_it_has_missed_alone() -> None:
    async def test() -> None:
        lab = Lab()
        number = lab.set("a", [1.0, 2.0])
        first = LiveView("p", Wanted(number)).news(lab.datasets)
        assert first is not None
        lab.append("a", 3.0)
        had = Had.received(first.facts["had"])
        part = LiveView("p", Wanted(number), had).news(lab.datasets)
        assert part is not None
        assert part.arrays[0].reshape(-1).tolist() == [3.0]
        lab.set("a", [7.0])
        part = LiveView("p", Wanted(number), had).news(lab.datasets)
        assert part is not None
        assert part.facts["is_whole"]

    on_loop(test)


@pytest.mark.parametrize(
    "given",
    [None, 1, [1], ["x"] * 7, [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, "line", 5, 0, 7], [-1, 0, 0, "line", 0, 1, 0]],
)
def test_what_no_server_has_sent_counts_as_nothing(given: Any) -> None:
    assert Had.received(given) is None


def test_skipped_values_are_counted() -> None:
    async def test() -> None:
        lab = Lab()
        view = LiveView("p", Wanted(lab.set("a", np.zeros(3))))
        view.news(lab.datasets)
        for number in range(5):
            lab.set("a", np.full(3, float(number)))
        part = view.news(lab.datasets)
        assert part is not None
        assert part.facts["skipped"] == 4
        assert part.arrays[0].reshape(-1).tolist() == [4.0] * 3

    on_loop(test)


def test_units_are_those_of_the_display() -> None:
    async def test() -> None:
        lab = Lab()
        part = LiveView("p", Wanted(lab.set("f", np.array([1e6, 2e6]), unit="MHz"))).news(lab.datasets)
        assert part is not None
        assert part.facts["unit"] == "MHz"
        assert part.arrays[0].reshape(-1).tolist() == [1.0, 2.0]

    on_loop(test)


CHANGES = st.one_of(
    st.tuples(st.just("append"), st.floats(-9, 9)),
    st.tuples(st.just("mutate"), st.integers(0, 300), st.one_of(st.just(float("nan")), st.floats(-9, 9))),
    st.tuples(st.just("set"), st.lists(st.floats(-9, 9), max_size=300)),
    st.tuples(st.just("pop"), st.just(0)),
    st.tuples(st.just("look")),
)


@given(st.lists(CHANGES, max_size=40), st.sampled_from([16, 64, 4000]), st.booleans())
@settings(max_examples=60)
def test_whatever_changes_the_browser_has_the_points_of_the_dataset(
    changes: list[Any], most: int, has_axis: bool
) -> None:
    async def test() -> None:
        lab, model = Lab(), LineModel()
        number = lab.set("y", [float(each) for each in range(30)])
        axis = lab.set("x", np.arange(2000.0)) if has_axis else None
        view = LiveView("p", Wanted(number, axis, "line", most))
        for kind, *rest in [*changes, ("look",)]:
            value = lab.struct["y"][1]
            if kind == "append":
                lab.append("y", rest[0])
            elif kind == "mutate" and value:
                lab.mutate("y", rest[0] % len(value), rest[1])
            elif kind == "set":
                lab.set("y", rest[0])
            elif kind == "pop" and value:
                lab.change({"action": "pop", "path": ["y", 1], "i": 0})
            elif kind == "look":
                part = view.news(lab.datasets)
                if part is not None:
                    model.take(part)
        model.check(np.asarray(lab.struct["y"][1], float))

    on_loop(test)


@given(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=200),
    st.sampled_from([2, 4, 64]),
)
def test_no_peak_is_lost_and_no_point_invented(values: list[float], step: int) -> None:
    array = np.asarray(values)
    places = extremes(array, step)
    assert (np.diff(places) >= 0).all()
    for begin in range(0, len(values), step):
        stretch = array[begin : begin + step]
        chosen = array[places[2 * begin // step : 2 * begin // step + 2]]
        if not np.isnan(stretch).all():
            assert chosen.min() == np.nanmin(stretch)
            assert chosen.max() == np.nanmax(stretch)


@pytest.mark.parametrize(("rows", "step"), [(0, 1), (4000, 1), (4001, 4), (8000, 4), (8001, 8), (10**6, 512)])
def test_stretches_are_powers_of_two(rows: int, step: int) -> None:
    assert step_for(rows, 4000) == step


ODD_VALUES = [
    *(np.ones(shape, kind) for shape in [(0,), (0, 3), (3, 0), (0, 0), (0, 4, 4), (5000, 0)] for kind in "?HfD"),
    np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max] * 200), np.array([0, 2**64 - 1] * 200, "u8"),
    np.array([-1.7e308, 1.7e308] * 200), np.array([6e4, -6e4] * 200, "f2"), np.array([0, 5e-324] * 200),
    np.array([1.0, np.nextafter(1, 2)] * 200), np.array([np.inf, -np.inf, np.nan] * 2000), np.full(5000, np.nan),
    np.array([complex(np.inf, np.nan)] * 5000), [10**400, 1], [[1.0], [2.0, 3.0]], 10**400, float("nan"), 1j, None,
    np.array(["a"]), np.ones(3, "O"), np.zeros(3, [("a", "f8")]), {"a": 1}, "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(ODD_VALUES)))
def test_any_value_in_any_unit_is_a_message(number: int, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        lab = Lab()
        axis = lab.set("x", np.arange(5000.0), unit="\ud800")
        for metadata in ({}, {"unit": "\ud800"}, {"scale": 1e-320, "precision": 10**30}, {"scale": 10**400}):
            made = lab.set("a", ODD_VALUES[number], **metadata)
            dataset = lab.datasets.get(made)
            assert dataset is not None
            frame({"row": dataset.row()})
            for kind in sorted(KINDS):
                for complex_as in ("re_im", "mag_phase"):
                    part = LiveView("p", Wanted(made, axis, kind, 4000, complex_as)).news(lab.datasets)
                    assert part is not None
                    frame(part.facts, part.arrays)

    on_loop(test)
    assert caplog.messages == []


def test_a_value_that_cannot_be_drawn_costs_its_plot_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no such numbers")

    async def test() -> None:
        lab = Lab()
        view = LiveView("p", Wanted(lab.set("a\x1b", np.arange(3.0))))
        monkeypatch.setattr("rexec.web.plotted.points", fail)
        part = view.news(lab.datasets)
        assert part is not None
        assert part.facts["op"] == "text"
        assert view.news(lab.datasets) is None, "it is not tried again until it changes"

    on_loop(test)
    assert len(caplog.messages) == 1
    assert "\x1b" not in caplog.text


@pytest.mark.parametrize(
    "line", [[10**30, "a", 1.0, "b:c"], [float("inf"), "a", 1.0, "b:c"], [1, "a", 10**400, ""], 3]
)
def test_a_line_of_the_log_that_is_none_harms_nothing(line: Any) -> None:
    async def test() -> None:
        clock = VersionClock()
        log = LogLines(clock)
        LiveMaster(clock, LiveDatasets(clock), log, ("127.0.0.1", 1, 1))._take_line(line)
        frame({"log": log.since(0)[0]})

    on_loop(test)

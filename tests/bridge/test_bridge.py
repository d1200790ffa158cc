"""A bridge from our master: what the master had is what the files hold, whatever happens to either."""

import asyncio
import contextlib
import errno
import itertools
import os
import socket
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import pytest

import rexec.bridge.output_file
import rexec.results
from rexec.bridge import BridgeError, DatasetSelection
from rexec.results import ResultsError, verify
from rexec.results.journal._record_file import RecordFile
from rexec.results.reading.replay import changes, comparisons, recorded_keys
from rexec.results.refresher import Refresher
from rexec.wire import certs, pyon
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig
from tests.bridge.bridges import LOCAL, bridging
from tests.master.masters import serving
from tests.serving import free_port
from tests.serving import serving as rpc_serving
from tests.waiting import within

NDSCAN = DatasetSelection(split=("ndscan.rid_*.",))


def append(client: Any, key: str, value: Any) -> None:
    """Append to a dataset as an experiment's worker does."""
    client.update({"action": "append", "path": [key, 1], "x": value})


def test_a_mirror_holds_what_the_master_has(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        client.set("before", 1.5, None, {"unit": "V"})
        with bridging(tmp_path / "mirror", served.port("notify")) as bridge:
            client.set("points", [])
            for n in range(50):
                append(client, "points", n * 0.5)
            client.set("image", np.zeros((3, 4)))
            client.update({"action": "setitem", "path": ["image", 1], "key": (slice(0, 2), 1), "value": 7.0})
            client.set("gone", 1)
            client.delete("gone")
            client.set("odd", {"a": (None, 2**70)}, True)
            bridge.caught_up(1 + 1 + 50 + 2 + 2 + 1)
        expected = {key: value for key, (_, value, _) in served.master.datasets.snapshot().items()}
    path = tmp_path / "mirror" / "datasets.h5"
    assert verify(path) == []
    with rexec.results.open(path) as run:
        assert dict(run).keys() == expected.keys()
        assert run["odd"] == expected["odd"]
        assert run["image"].tolist() == expected["image"].tolist()
        assert (run["points"], run["before"], run.datasets["before"].unit) == (expected["points"], 1.5, "V")
        assert (run.status, run.identity["class_name"]) == ("completed", "Mirror")
    with h5py.File(path) as file:
        assert file["datasets/points"].chunks is None or file["datasets/points"].maxshape == (None,)


def test_a_mirrors_file_is_whole_at_any_time(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        with bridging(tmp_path / "mirror", served.port("notify"), refresh=0.05) as bridge:
            client.set("points", [])
            bridge.told("mirroring into")
            seen = []
            for n in range(300):
                append(client, "points", n)
                with rexec.results.open(tmp_path / "mirror" / "datasets.h5") as run:
                    points = run.get("points", [])
                assert points == list(range(len(points)))
                seen.append(len(points))
            assert seen == sorted(seen)
            bridge.caught_up(301)
    with rexec.results.open(tmp_path / "mirror" / "datasets.h5") as run:
        assert run["points"] == list(range(300))


def test_a_recording_holds_every_change_with_its_time(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        client.set("level", 3)
        with bridging(tmp_path / "history", served.port("notify"), "record") as bridge:
            for n in range(20):
                client.set("level", n * 0.5)
            client.set("list", [1])
            append(client, "list", 2)
            client.update({"action": "pop", "path": ["list", 1], "i": 0})
            client.delete("list")
            bridge.caught_up(1 + 20 + 4)
    (path,) = bridge.files()
    assert verify(path) == []
    with rexec.results.open(path) as run:
        level = changes(run, "level")
        assert [change.value for change in level] == [3, *(n * 0.5 for n in range(20))]
        assert [change.is_found for change in level] == [True] + [False] * 20
        assert all(one.time <= other.time for one, other in itertools.pairwise(level))
        assert [(change.what, change.value) for change in changes(run, "list")] == [
            ("set", [1]),
            ("append", 2),
            ("set", [2]),
            ("delete", None),
        ]


def test_after_a_reconnect_differences_are_recorded_as_found_and_the_gap_is_marked(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, notify=port) as served, served.client("dataset_db") as client:
        client.set("grown", [1], True)
        client.set("gone", 1)
        client.set("same", 5, True)
        with bridging(tmp_path / "history", port, "record") as bridge:
            append(client, "grown", 2)
            bridge.caught_up(4)
            client.close_rpc()
            served.end()
            bridge.told("the connection was lost")
            with serving(tmp_path, notify=port) as again, again.client("dataset_db") as other:
                append(other, "grown", 3)
                other.set("new", "text")
                bridge.told("reconnected")
                append(other, "grown", 4)
                bridge.caught_up(4 + 3)
                assert within_changes(bridge, "grown", 4)
    (path,) = bridge.files()
    with rexec.results.open(path) as run:
        connected, reconnected = comparisons(run)
        assert (connected["reason"], connected["lost"]) == ("connected", None)
        assert reconnected["reason"] == "reconnected"
        assert reconnected["lost"] < reconnected["time"]
        assert run.file["rexec/gaps"][:].tolist() == [[reconnected["lost"], reconnected["time"]]]
        assert [(each.what, each.value, each.is_found) for each in changes(run, "gone")] == [
            ("set", 1, True),
            ("delete", None, True),
        ]
        assert len(changes(run, "same")) == 1
        grown = [(each.what, each.value) for each in changes(run, "grown")]
        assert grown == [("set", [1]), ("append", 2), ("append", 3), ("append", 4)]


def within_changes(bridge: Any, key: str, count: int) -> bool:
    """Whether the bridge holds a list of so many items."""
    return within(150.0, lambda: len(bridge.bridge._present["datasets"][key][1]) == count)


def test_datasets_sent_anew_on_a_lasting_connection_mark_a_gap(tmp_path: Path) -> None:
    async def main() -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            await reader.readline()
            for line in (
                {"action": "init", "struct": {"x": (False, [1], {})}},
                {"action": "append", "path": ["x", 1], "x": 2},
                {"action": "init", "struct": {"x": (False, [1, 2, 3, 4], {})}},
                {"action": "append", "path": ["x", 1], "x": 5},
            ):
                writer.write(pyon.encode(line).encode() + b"\n")
            await writer.drain()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, LOCAL, 0)
        port: int = server.sockets[0].getsockname()[1]
        await asyncio.to_thread(bridge_until, port, 1 + 1 + 2 + 1)
        server.close()
        return port

    def bridge_until(port: int, count: int) -> None:
        with bridging(tmp_path / "history", port, "record") as bridge:
            bridge.caught_up(count)

    asyncio.run(main())
    (path,) = (tmp_path / "history").rglob("*.h5")
    with rexec.results.open(path) as run:
        assert [each["reason"] for each in comparisons(run)] == ["connected", "resent"]
        assert [(each.what, each.value, each.is_found) for each in changes(run, "x")] == [
            ("set", [1], True),
            ("append", 2, False),
            ("append", 3, True),
            ("append", 4, True),
            ("append", 5, False),
        ]


def test_each_prefix_has_a_file_that_stays_as_it_was_when_its_datasets_go(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        with bridging(tmp_path / "mirror", served.port("notify"), selection=NDSCAN) as bridge:
            for rid in (1, 2):
                client.set(f"ndscan.rid_{rid}.points", [rid])
                client.set(f"ndscan.rid_{rid}.axes", "x")
            client.set("level", 1)
            client.delete("ndscan.rid_1.points")
            client.delete("ndscan.rid_1.axes")
            client.delete("ndscan.rid_2.axes")
            append(client, "ndscan.rid_2.points", 9)
            bridge.caught_up(9)
    assert [path.name for path in bridge.files()] == ["datasets.h5", "ndscan.rid_1.h5", "ndscan.rid_2.h5"]
    held = []
    for path in bridge.files():
        assert verify(path) == []
        with rexec.results.open(path) as run:
            held.append(dict(run))
    assert held == [
        {"level": 1},
        {"ndscan.rid_1.points": [1], "ndscan.rid_1.axes": "x"},
        {"ndscan.rid_2.points": [2, 9]},
    ]


@pytest.mark.parametrize("name", ["λμ" * 30, "Λ" * 60, "x" * 300, "Scan", "con"])
def test_the_file_of_a_prefix_of_any_name_is_written(tmp_path: Path, name: str) -> None:
    selection = DatasetSelection(split=("*.",))
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        with bridging(tmp_path / "mirror", served.port("notify"), selection=selection) as bridge:
            client.set(f"{name}.points", [1, 2])
            bridge.caught_up(1)
    (path,) = bridge.files()
    with rexec.results.open(path) as run:
        assert dict(run) == {f"{name}.points": [1, 2]}


def test_an_idle_part_is_finished_and_goes_on_later(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        with bridging(tmp_path / "mirror", served.port("notify"), selection=NDSCAN, idle=0.3) as bridge:
            client.set("ndscan.rid_1.points", [1])
            bridge.told("finished")
            append(client, "ndscan.rid_1.points", 2)
            bridge.caught_up(2)
    with rexec.results.open(tmp_path / "mirror" / "ndscan.rid_1.h5") as run:
        assert run["ndscan.rid_1.points"] == [1, 2]


def test_what_is_excluded_is_nowhere(tmp_path: Path) -> None:
    selection = DatasetSelection(include=("lab.*",), exclude=("*.image",))
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        client.set("lab.image", 1)
        with bridging(tmp_path / "mirror", served.port("notify"), selection=selection) as bridge:
            client.set("other", 1)
            client.set("lab.level", 2)
            bridge.caught_up(1)
    with rexec.results.open(tmp_path / "mirror" / "datasets.h5") as run:
        assert dict(run) == {"lab.level": 2}


def test_a_recording_goes_on_in_another_file_by_size_and_each_is_complete_by_itself(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        client.set("level", 0.0)
        client.set("points", [])
        with bridging(tmp_path / "history", served.port("notify"), "record", rotate_size=4000) as bridge:
            for n in range(400):
                append(client, "points", n)
                client.set("level", float(n))
                if n == 99:
                    bridge.caught_up(2 + 2 * n)
                    assert within_files(bridge, 2)
            bridge.caught_up(2 + 2 * 400)
    files = bridge.files()
    assert len(files) >= 2
    points: list[int] = []
    levels: list[float] = []
    for path in files:
        assert verify(path) == []
        with rexec.results.open(path) as run:
            assert set(recorded_keys(run)) == {"level", "points"}
            points += [each.value for each in changes(run, "points") if not each.is_found]
            levels += [each.value for each in changes(run, "level") if not each.is_found]
            assert changes(run, "points")[0].value == points[: len(changes(run, "points")[0].value)]
    assert points == list(range(400))
    assert levels == list(range(400))


@pytest.mark.parametrize("every", ["day", "hour"])
def test_a_recording_goes_on_in_another_file_when_a_day_or_an_hour_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: Literal["day", "hour"]
) -> None:
    class Clock(datetime):
        shown = datetime(2026, 3, 28, 22, 30)

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls.shown

    monkeypatch.setattr(rexec.bridge.output_file, "datetime", Clock)
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        with bridging(tmp_path / "history", served.port("notify"), "record", rotate_every=every) as bridge:
            client.set("level", 1)
            bridge.caught_up(1)
            bridge.told("recording into")
            Clock.shown = datetime(2026, 3, 28, 23, 30)  # another hour of the same day
            assert every == "day" or within_files(bridge, 2)
            Clock.shown = datetime(2026, 3, 29, 0, 30)
            assert within_files(bridge, 2 if every == "day" else 3)
            client.set("level", 2)
            bridge.caught_up(2)
        files = bridge.files()
    assert len(files) == (2 if every == "day" else 3)
    with rexec.results.open(files[-1]) as run:
        assert [(each.value, each.is_found) for each in changes(run, "level")] == [(1, True), (2, False)]


def within_files(bridge: Any, count: int) -> bool:
    """Whether the bridge has so many files."""
    return within(150.0, lambda: len(bridge.files()) >= count)


def test_a_long_mirror_is_written_anew_and_loses_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        with bridging(tmp_path / "mirror", served.port("notify"), rotate_size=2000) as bridge:
            for n in range(300):
                client.set("level", n)
                if n == 150:
                    bridge.told("finished")
            bridge.caught_up(300)
    with rexec.results.open(tmp_path / "mirror" / "datasets.h5") as run:
        assert run["level"] == 299
    assert list((tmp_path / "mirror").glob("*.journal")) == []


def test_a_full_disk_is_survived_and_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rexec.bridge.output_file, "RETRY", 0.2)
    is_full = False
    plain = RecordFile.write

    def full(file: RecordFile, *arguments: Any) -> None:
        if is_full:
            file._take_back(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        plain(file, *arguments)

    def finish(refresher: Refresher, *arguments: Any) -> Any:
        if is_full:
            raise ResultsError("No space left on device")
        return plain_finish(refresher, *arguments)

    plain_finish = Refresher.finish
    monkeypatch.setattr(RecordFile, "write", full)
    monkeypatch.setattr(Refresher, "finish", finish)
    with serving(tmp_path) as served, served.client("dataset_db") as client:
        with bridging(tmp_path / "history", served.port("notify"), "record") as bridge:
            client.set("level", 1)
            bridge.told("recording into")
            bridge.caught_up(1)
            is_full = True
            client.set("level", 2)
            client.set("level", 3)
            bridge.caught_up(3)
            assert within(150.0, lambda: "could not be finished" in caplog.text)
            is_full = False
            assert within_files(bridge, 2)
            client.set("level", 4)
            bridge.caught_up(4)
            bridge.told("recovered")
    assert "No space left on device; free space" in caplog.text
    assert list((tmp_path / "history").rglob("*.journal")) == []
    first, *_, last = bridge.files()
    with rexec.results.open(first) as run:
        assert [each.value for each in changes(run, "level")] == [1]
    with rexec.results.open(last) as run:
        assert [each.value for each in changes(run, "level")][-1] == 4
        (comparison, *_) = comparisons(run)
        assert comparison["reason"] == "failed"
        assert comparison["lost"] is not None


def test_a_master_that_is_not_there_or_is_none_is_said(tmp_path: Path) -> None:
    def attempt(port: int) -> str:
        from rexec.bridge import Bridge, BridgePlan

        async def main() -> None:
            bridge = Bridge(BridgePlan(tmp_path / "b", "mirror", "m"), LOCAL, port, tell=lambda text: None)
            await bridge.run(asyncio.Event())

        with pytest.raises(BridgeError) as caught:
            asyncio.run(main())
        return str(caught.value)

    port = free_port()
    assert f"the master at {LOCAL}:{port}: " in attempt(port)
    assert "refused. Does a master run there?" in attempt(port)
    with rpc_serving({"x": object()}) as other:
        assert "3250, not 3251" in attempt(other)


def test_a_master_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    with bridging(tmp_path / "mirror", port, wait=True) as bridge:
        bridge.told("refused")
        with serving(tmp_path, notify=port) as served, served.client("dataset_db") as client:
            client.set("level", 1)
            bridge.caught_up(1)
    with rexec.results.open(tmp_path / "mirror" / "datasets.h5") as run:
        assert run["level"] == 1


def test_it_ends_at_once_even_in_the_moment_of_the_first_answer(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        for number in range(10):
            with bridging(tmp_path / str(number), served.port("notify")) as bridge:
                bridge.told(" datasets")


def test_a_master_with_tls_is_bridged_and_lets_nobody_else_in(tmp_path: Path) -> None:
    made = certs.make_set(tmp_path / "tls", ["laboratory"])
    pair = made.clients["laboratory"]
    server = SimpleSSLConfig(str(made.server.cert), str(made.server.key), str(made.trusted_clients))
    ours = SimpleSSLConfig(str(pair.cert), str(pair.key), str(made.server.cert))
    with serving(tmp_path, ssl_config=server) as served:
        with Client(LOCAL, served.port("control"), "dataset_db", ssl_config=ours) as client:
            with bridging(tmp_path / "mirror", served.port("notify"), ssl_config=ours) as bridge:
                client.set("level", 1)
                bridge.caught_up(1)
        for part in ("notify", "control", "broadcast", "logging"):
            with socket.create_connection((LOCAL, served.port(part)), 150) as plain:
                plain.settimeout(150)
                plain.sendall(b"ARTIQ sync_struct\ndatasets\n")
                with contextlib.suppress(ConnectionResetError):
                    assert b"init" not in plain.recv(4096)
    with rexec.results.open(tmp_path / "mirror" / "datasets.h5") as run:
        assert run["level"] == 1

"""A recorded session of remote functions, jobs and streams replays without the instrument."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rexec.remote
from rexec.record.offers import ask
from rexec.record.recorder import Recorder
from rexec.record.recording import RecordingWriter, load_recording
from rexec.record.remote_calls import remote_calls
from rexec.remote import Remote, controller_driver, job
from rexec.remote_exec import rexec_targets
from rexec.simulate import laboratory
from rexec.wire.pc_rpc import Client
from tests.record.test_recorder import LOCAL, database
from tests.serving import serving


class Camera:
    """A camera whose handle no simulation has."""

    def __init__(self) -> None:
        self.handle = [0]

    def get_frame(self) -> int:
        return 1

    def ping(self) -> bool:
        return True


class NoLight(Exception):
    """The experiment's own."""


def exposes(gain: float, *, frames: int = 2) -> Any:
    controller_driver.handle[0] += 1
    print("exposed", controller_driver.handle[0])
    job.progress(0.5, "half")
    return np.full((2, frames), gain * controller_driver.handle[0])


def counts(number: int) -> Iterator[int]:
    for index in range(number):
        controller_driver.handle[0] += 1
        yield index


def fails() -> None:
    controller_driver.handle[0] += 1
    raise NoLight("dark")


def asks_the_driver() -> int:
    return int(controller_driver.get_frame())


def waits() -> None:
    job.sleep(60)


def waits_not(number: int) -> int:
    return number


def session(remote: Remote) -> list[Any]:
    """Use remote functions in every way; return what came."""
    first, second = remote.function(exposes)(2.0), remote.function(exposes)(2.0)
    found = [first.tolist(), second.tolist(), remote.function(exposes)(2.0, frames=1).tolist()]
    started = remote.function(exposes).submit(3.0)
    found += [started.result(150).tolist(), started.output, started.progress]
    found.append(list(remote.function(counts).stream(20)))
    with remote.function(counts).stream(1000) as items:
        found.append([next(items), next(items)])
    with pytest.raises(NoLight, match="dark") as caught:
        remote.function(fails)()
    found.append(any("in fails" in note for note in caught.value.__notes__))
    cancelled = remote.function(waits).submit()
    cancelled.cancel()
    found.append(cancelled.cancelled())
    return found


class OtherClient:
    """A client of another library: large arguments go in pieces."""

    def __init__(self, client: Client) -> None:
        self.add_code = client.add_code
        self.call = client.call
        self.close_rpc = client.close_rpc


def sums(array: Any) -> int:
    controller_driver.handle[0] += 1
    return int(array.sum() + controller_driver.handle[0])


def remote_at(port: int, host: str = LOCAL) -> Remote:
    return rexec.remote.wrap(Client(host, port, "camera_rexec"), "camera")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any], Any]:
    path = tmp_path_factory.mktemp("recording") / "a.rec"
    with serving(rexec_targets("camera", Camera())) as port:
        source = ask(database(port), "rexec")
        with Recorder([source], RecordingWriter(path), LOCAL, {}) as recorder:
            host, at = recorder.addresses["camera"]
            with remote_at(at, host) as remote:
                heard = session(remote)
        return path, heard, database(port)


@contextlib.contextmanager
def replaying(path: Path, real: Any) -> Iterator[Remote]:
    with laboratory(real, recordings=[path]) as lab:
        endpoint = lab.database.endpoint("camera")
        with remote_at(endpoint.port, endpoint.host) as remote:
            yield remote


def test_a_session_of_remote_functions_replays_as_it_was(
    recorded: tuple[Path, list[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    path, heard, real = recorded
    with replaying(path, real) as remote:
        assert session(remote) == heard
    assert "failed" not in caplog.text
    assert "was not recorded" not in caplog.text
    assert heard[:3] == [[[2.0] * 2] * 2, [[4.0] * 2] * 2, [[6.0], [6.0]]]
    assert heard[4:6] == [["exposed 4"], (0.5, "half")]


def test_what_was_not_recorded_is_named_with_what_was(recorded: tuple[Path, list[Any], Any]) -> None:
    path, _, real = recorded
    with replaying(path, real) as remote:
        remote.function(exposes)(2.0)
        with pytest.raises(Exception, match=r"camera.get_frame\(\) was not recorded") as caught:
            remote.function(asks_the_driver)()
        assert "remote functions exposes(2.0), exposes(2.0, frames=1), exposes(3.0), counts(20)" in str(
            caught.value
        )
        unrecorded = remote.function(waits_not).submit(1)
        assert unrecorded.result(150) == 1
        assert unrecorded.output[0].startswith(
            "waits_not(1) was not recorded: it runs on the replayed driver"
        )
        with remote.function(counts).stream(1000) as items:
            with pytest.raises(Exception, match=r"its client took \d+ items"):
                list(items)


def test_a_function_that_was_changed_runs(
    recorded: tuple[Path, list[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _, real = recorded
    target = load_recording(path).calls["camera", "camera_rexec"]
    calls = remote_calls(target)
    assert [call.function for call in calls[:3]] == ["exposes"] * 3
    assert calls[0].source.startswith("def exposes(gain")
    with replaying(path, real) as remote:
        changed = remote.function(exposes)
        key, name = changed._shipment.key, "exposes"
        bundle = next(each for each in changed._shipment.bundles if each.key == key)
        bundle.pieces[:] = [
            (piece, line, text.replace("np.full", "(1, 2) or np.full") if piece == name else text)
            for piece, line, text in bundle.pieces
        ]
        with pytest.raises(AttributeError, match="'handle'"):
            changed(2.0)


def test_a_job_whose_arguments_came_in_pieces_replays(tmp_path: Path) -> None:
    array = np.ones(1 << 20, np.int32)
    path = tmp_path / "a.rec"
    with serving(rexec_targets("camera", Camera())) as port:
        real = database(port)
        with Recorder([ask(real, "rexec")], RecordingWriter(path), LOCAL, {}) as recorder:
            host, at = recorder.addresses["camera"]
            with rexec.remote.wrap(OtherClient(Client(host, at, "camera_rexec")), "camera") as remote:
                assert remote.function(sums)(array) == (1 << 20) + 1
    assert {call["args"][2] for call in load_recording(path).calls["camera", "camera_rexec"][1:]} >= {
        "piece",
        "whole",
    }
    with laboratory(real, recordings=[path]) as lab:
        endpoint = lab.database.endpoint("camera")
        for client in (OtherClient, lambda each: each):
            reached = client(Client(endpoint.host, endpoint.port, "camera_rexec"))
            with rexec.remote.wrap(reached, "camera") as remote:
                started = remote.function(sums).submit(array)
                assert (started.result(150), started.output) == ((1 << 20) + 1, [])

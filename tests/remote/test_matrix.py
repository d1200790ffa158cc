"""What remote functions do, on every make of controller: ours, and the reference library's releases."""

import concurrent.futures
import importlib
import logging
import pickle
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rexec.remote
from rexec.remote import CannotTravel, JobExpired, Remote, controller_initial_namespace
from rexec.wire.packed_exceptions import GenericRemoteException
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.remote_exec.peers import MAKES, controller_apart


def test_a_function_travels_with_what_it_uses(remote: Remote) -> None:
    compute = remote.function(code.compute)
    assert compute(3.0) == {"length": 5.0, "scaled": 9.0, "table": code.TABLE, "words": ["a", "bc"]}
    assert compute(0.0, y=2.0)["length"] == 2.0


def test_arrays_go_both_ways(remote: Remote) -> None:
    array: Any = np.arange(6).reshape(2, 3)
    assert np.array_equal(remote.function(code.scaled)(array), 3 * array)


def test_the_driver_is_there(remote: Remote) -> None:
    measure = remote.function(code.measure)
    assert measure() + 1 == measure()


def test_a_decorated_function_runs_here_and_there(remote: Remote) -> None:
    assert code.decorated(1) == code.decorated.on(remote)(1) == 4


def test_the_package_itself_is_a_decorator(remote: Remote) -> None:
    assert code.marked(1) == code.marked.on(remote)(1) == 5
    job = remote.function(code.tells).submit()
    assert job.result(150) > 0
    assert job.progress == (0.25, "")


def test_the_version_of_a_function_that_was_asked_for_runs(remote: Remote) -> None:
    old, new = code.version(1), code.version(2)
    calls = [remote.function(each) for each in (old, new)]
    assert [call() for call in (*calls, *calls)] == [1, 2, 1, 2]
    factor = code.FACTOR
    scaled = remote.function(code.scaled)
    try:
        code.FACTOR = 5
        other = remote.function(code.scaled)
        assert (scaled(1), other(1), scaled(1)) == (3, 5, 3)
    finally:
        code.FACTOR = factor


def test_closed_over_values_travel(remote: Remote) -> None:
    three, ten = remote.function(code.adder(3)), remote.function(code.adder(10))
    assert (three(1), ten(1), three(2)) == (4, 11, 5)


def test_source_is_sent_once_and_its_globals_last(remote: Remote) -> None:
    assert [remote.function(code.counted)() for _ in range(3)] == [1, 2, 3]


def test_what_cannot_travel_is_refused_by_name_and_line(remote: Remote) -> None:
    with pytest.raises(CannotTravel, match=r"code\.py:\d+: LOCK is of type ExitStack"):
        remote.function(code.uses_unsendable)
    with pytest.raises(
        CannotTravel, match=r"code\.py:\d+: nowhere_defined is neither defined here nor by camera"
    ):
        remote.function(code.uses_unknown)()
    with pytest.raises(TypeError, match="cannot travel"):
        remote.function(code.returns_unsendable)()
    with pytest.raises(CannotTravel, match="lambda"):
        remote.function(lambda: 1)


def test_a_remote_error_shows_file_line_text_cause_and_note(remote: Remote) -> None:
    with pytest.raises(code.Overflow) as caught:
        remote.function(code.fails)(0)
    error = caught.value
    text = "".join(traceback.format_exception(error))
    assert "code.py" in text
    assert "return scaled(1) / depth  # here it divides" in text
    assert "~~~~~~~~~~^~~~~~~" in text
    assert "ZeroDivisionError: division by zero" in text
    assert "direct cause" in text
    assert "while testing" in text
    assert "in test_a_remote_error_shows" in text


def test_an_error_of_a_class_that_is_only_there_keeps_its_name(remote: Remote) -> None:
    with pytest.raises(GenericRemoteException) as caught:
        remote.function(code.fails_oddly)()
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (type(error).__name__, str(error)) == ("Odd", "only there")
        assert isinstance(error, GenericRemoteException)


def test_a_builtin_error_keeps_its_class_and_arguments(remote: Remote) -> None:
    with pytest.raises(KeyError) as caught:
        remote.function(code.misses)()
    assert caught.value.args == ("a key",)


def test_output_arrives_labelled_with_the_device(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rexec.remote.camera"):
        job = remote.function(code.speaks).submit()
        assert job.result(150) == 7
    assert job.output == ["printed 1", "logged 2"]
    assert "[camera] stdout: printed 1" in caplog.text
    assert "[camera] tests.remote.code: logged 2" in caplog.text


def test_output_is_captured_with_the_result(remote: Remote) -> None:
    captured = remote.function(code.speaks).captured()
    assert (captured.value, captured.output) == (7, ["printed 1", "logged 2"])
    job = remote.function(code.speaks).submit()
    assert job.captured(10) == captured
    with remote.function(code.says).stream(3) as stream:
        assert list(stream) == [0, 1, 2]
    assert stream.output == ["item 0", "item 1", "item 2"]


def test_pings_are_answered_while_a_job_runs(remote: Remote, port: int) -> None:
    job = remote.function(code.slow).submit(0.6)
    with Client("127.0.0.1", port, "camera", timeout=150) as other:
        while not job.done():
            assert other.ping()
    assert job.result(0) == "done"
    assert job.progress == (0.5, "half way")


def test_a_job_can_be_cancelled(remote: Remote) -> None:
    job = remote.function(code.slow).submit(30)
    assert not job.done()
    with pytest.raises(TimeoutError):
        job.result(0.05)
    assert job.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        job.result(150)
    assert job.cancelled()
    assert job.cancel()  # as any future that is cancelled


def test_a_deadline_ends_a_job(remote: Remote) -> None:
    with pytest.raises(JobExpired, match="camera: slow"):
        remote.function(code.slow, deadline=0.2)(30)


def test_a_job_that_does_not_look_is_ended_some_time_after_its_deadline(
    remote: Remote,
) -> None:
    def shorten(seconds: float) -> float:
        agents = [v for name, v in controller_initial_namespace.items() if name.startswith("_rexec_agent_")]
        scope = type(agents[0]).request.__globals__
        before: float = scope["GRACE"]
        scope["GRACE"] = seconds
        return before

    grace = remote.function(shorten)(0.3)
    try:
        assert grace == 10.0
        deaf = remote.function(code.deaf, deadline=0.2)
        with pytest.raises(JobExpired, match="camera: deaf"):
            deaf(1000)
        # Its finally ran, and the driver is free.
        assert remote.function(code.has_ended).submit().result(150) is True
    finally:
        remote.function(shorten)(grace)


def test_jobs_have_the_driver_in_turns_unless_told_otherwise(remote: Remote) -> None:
    def overlap(parallel: bool) -> bool:
        function = remote.function(code.overlaps, parallel=parallel)
        jobs = [function.submit(150.0 if parallel else 0.1) for _ in range(2)]
        met = [job.result(150) for job in jobs]
        assert met[0] == met[1]
        return met[0]

    assert not overlap(parallel=False)
    assert overlap(parallel=True)


def test_a_stream_yields_items_with_backpressure(remote: Remote) -> None:
    before = remote.function(code.measure)()
    stream = remote.function(code.frames).stream(1000)
    assert [next(stream), next(stream)] == [0, 1]
    time.sleep(0.3)
    # While the stream waits for its consumer others have the driver.
    assert remote.function(code.measure)() - before < 30
    assert list(remote.function(code.frames).stream(20)) == list(range(20))
    stream.close()


def test_early_close_ends_the_remote_generator(remote: Remote) -> None:
    for index in (stream := remote.function(code.frames).stream(1000, log=True)):
        if index == 3:
            break
    stream.close()
    assert remote.function(code.has_ended)() is True


def test_an_error_in_a_stream_arrives_after_the_items_before_it(remote: Remote) -> None:
    stream = remote.function(code.breaks).stream()
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(ValueError, match="after two"):
        next(stream)


def test_a_job_is_found_again_and_a_client_that_leaves_ends_its_jobs(port: int) -> None:
    with rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec")) as first:
        kept = first.function(code.slow, detached=True, parallel=True).submit(0.4)
        ended = first.function(code.slow, parallel=True).submit(30)
    with rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec")) as second:
        assert second.job(kept.id).result(150) == "done"
        until = time.monotonic() + 150
        while any(each["id"] == ended.id and each["state"] != "done" for each in second.jobs()):
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_client_that_is_silent_loses_its_jobs(port: int) -> None:
    client = Client("127.0.0.1", port, "camera_rexec")
    silent = rexec.remote.wrap(client, lease=0.3)
    job = silent.function(code.slow, parallel=True).submit(30)
    client.close_rpc()
    with rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec")) as other:
        until = time.monotonic() + 150
        while any(each["id"] == job.id and each["state"] != "done" for each in other.jobs()):
            assert time.monotonic() < until
            time.sleep(0.02)
    error = job.exception(150)
    # Of that its job was ended it has heard only if the lease ran out before its connection was closed.
    assert isinstance(error, ConnectionError) or "client gone" in str(error)
    silent.close_rpc()


@pytest.mark.parametrize("make", MAKES)
def test_a_whole_module_is_imported_there_under_its_own_name(
    make: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uses_module() -> tuple[float, float]:
        import sent_whole  # type: ignore[import-not-found]
        import sent_whole_in.part as there  # type: ignore[import-not-found]

        return sent_whole.scaled(2), there.scaled(2)

    (tmp_path / "sent_beside.py").write_text("FACTOR = 3\n")
    (tmp_path / "sent_whole.py").write_text(
        "import sent_beside\ndef scaled(x):\n    return x * sent_beside.FACTOR\n"
    )
    (tmp_path / "sent_whole_in").mkdir()
    (tmp_path / "sent_whole_in" / "__init__.py").touch()
    (tmp_path / "sent_whole_in" / "part.py").write_text("def scaled(x):\n    return x * 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    # Not the controller in this process: it could import them anyway.
    with (
        controller_apart(make) as port,
        rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as remote,
    ):
        function = remote.function(uses_module)
        with pytest.raises(ModuleNotFoundError, match="sent_whole"):
            function()
        remote.add_module(importlib.import_module("sent_whole"))
        remote.add_module(importlib.import_module("sent_whole_in.part"))
        assert function() == (6, 10)


def test_the_clocks_are_compared(remote: Remote) -> None:
    assert abs(remote.clock_offset()) < 5.0  # seconds; half of what the fastest question took

"""Jobs are futures: `cancel` and `repr` tell the truth, exceptions are those of the experiment."""

import asyncio
import concurrent.futures
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rexec.remote import AsyncRemote, Remote, controller_initial_namespace, job
from tests.waiting import within


class TooHot(ValueError):
    """An exception that only this file has, and that takes other arguments than it keeps."""

    def __init__(self, device: str, *, kelvin: float) -> None:
        super().__init__(f"{device} has {kelvin} K")
        self.kelvin = kelvin


def burns(kelvin: float) -> None:
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as error:
        raise TooHot("oven", kelvin=kelvin) from error


async def burns_later() -> None:
    burns(5.0)


def at_once(number: int) -> int:
    return number


def returns_although_cancelled() -> str:
    controller_initial_namespace["rexec_test_began"] = True
    while not job.cancelled:
        job.remaining()
    return "partial"


def fails_although_cancelled() -> None:
    try:
        job.sleep(30)
    finally:
        raise TooHot("oven", kelvin=1)


def burns_at_the_second() -> Iterator[int]:
    yield 1
    burns(900.0)


def has_begun() -> Any:
    return controller_initial_namespace.pop("rexec_test_began", False)


def test_an_exception_of_the_experiment_s_own_file_is_caught_as_that_class(remote: Remote) -> None:
    with pytest.raises(TooHot, match=r"oven has 900\.0 K") as caught:
        remote.function(burns)(900.0)
    assert type(caught.value) is TooHot
    assert (caught.value.kelvin, caught.value.args) == (900.0, ("oven has 900.0 K",))


def test_a_remote_traceback_begins_at_the_line_of_the_user(remote: Remote) -> None:
    with pytest.raises(TooHot) as caught:
        remote.function(burns_later)()  # type: ignore[unused-coroutine]  # it is awaited there
    remote_text = "".join(traceback.format_exception(caught.value)).partition("On camera:")[2]
    frames = re.findall(r'File "(.*)", line \d+, in (\w+)', remote_text)
    assert {file for file, _ in frames} == {__file__}
    assert [name for _, name in frames] == ["burns", "burns_later", "burns"]
    assert "\nTooHot: oven" in remote_text.replace(f"{__name__}.", "")
    ours = [frame for frame in traceback.extract_tb(caught.tb) if "concurrent" in frame.filename]
    assert not ours


def test_no_result_comes_after_a_cancel_that_was_accepted(
    remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    started = remote.function(returns_although_cancelled).submit()
    assert within(150, remote.function(has_begun, parallel=True))
    assert within(150, started.running)
    assert repr(started) == "<Job returns_although_cancelled on camera: running>"
    waiting = remote.function(at_once).submit(1)
    assert not waiting.running()
    assert repr(waiting) == "<Job at_once on camera: waiting>"
    assert started.cancel()
    assert started.cancelled()
    assert repr(started) == "<Job returns_although_cancelled on camera: cancelled>"
    with pytest.raises(concurrent.futures.CancelledError):
        started.result(150)
    assert waiting.result(150) == 1
    assert repr(waiting) == "<Job at_once on camera: returned>"
    assert not waiting.cancel()
    failing = remote.function(fails_although_cancelled).submit()
    assert within(150, failing.running)
    with caplog.at_level(logging.WARNING, "rexec.remote"):
        assert failing.cancel()
        assert remote.function(at_once)(2) == 2
        assert within(150, lambda: "failed while it ended: TooHot" in caplog.text)


def test_cancel_and_the_end_of_a_job_agree_whichever_comes_first(remote: Remote) -> None:
    function = remote.function(at_once, parallel=True)
    for number in range(60):
        one = function.submit(number)
        if one.cancel():
            with pytest.raises(concurrent.futures.CancelledError):
                one.result(150)
        else:
            assert one.result(150) == number


def test_a_controller_that_is_gone_cannot_be_asked_to_cancel(remote: Remote) -> None:
    started = remote.function(fails_although_cancelled).submit()
    remote.close_rpc()
    assert not started.cancel()
    assert repr(started) == "<Job fails_although_cancelled on camera: raised RemoteClosed>"


def test_one_frame_of_ours_is_between_the_call_and_the_remote_traceback(remote: Remote) -> None:
    function = remote.function(burns)
    calls: tuple[Callable[[], Any], ...] = (
        lambda: function(900.0),
        lambda: function.captured(900.0),
        lambda: function.submit(900.0).result(150),
        lambda: list(remote.function(burns_at_the_second).stream()),
        lambda: asyncio.run(AsyncRemote(remote).function(burns)(900.0)),
    )
    for call in calls:
        with pytest.raises(TooHot) as caught:
            call()
        frames = traceback.extract_tb(caught.value.__traceback__)
        assert [frame.name for frame in frames if "rexec/remote/" in frame.filename.replace("\\", "/")] == [
            frames[-1].name
        ]

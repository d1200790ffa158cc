"""What one job does costs no other one: values that cannot be sent, thousands that wait, interruptions anywhere."""

import concurrent.futures
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import rexec.remote
from rexec.remote import Remote, controller_driver, controller_initial_namespace
from rexec.wire.pc_rpc import Client


def odd(kind: str) -> Any:
    """Return a value that cannot be sent."""

    class Raises(list[int]):
        def __iter__(self) -> Any:
            raise RuntimeError("this list raises")

    class Exits(dict[str, int]):
        def items(self) -> Any:
            raise SystemExit(3)

    class Ends(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    holds: list[Any] = []
    holds.append(holds)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    if kind == "raises":
        raise Ends(10**5000)
    return {
        "holds itself": holds,
        "long": 10**5000,
        "deep": deep,
        "iter": Raises([1]),
        "exits": [Exits(a=1)],
        "object": {"a": [object()]},
        "tagged": {"__jsonclass__": ["x", []]},
    }[kind]


KINDS = ("holds itself", "long", "deep", "iter", "exits", "object", "tagged", "raises")


def plain(value: Any) -> Any:
    return value


def yields(kind: str) -> Iterator[Any]:
    yield 1
    yield odd(kind)


def waits(seconds: float) -> str:
    time.sleep(seconds)
    return "waited"


def test_a_value_that_cannot_be_sent_fails_its_own_job_only(remote: Remote) -> None:
    good = [remote.function(waits, parallel=True).submit(0.3) for _ in range(3)]
    bad = {kind: remote.function(odd, parallel=True).submit(kind) for kind in KINDS}
    streams = {kind: remote.function(yields, parallel=True).stream(kind) for kind in KINDS}
    for kind, job in bad.items():
        with pytest.raises(Exception, match=r"odd: its value cannot travel|message was made") as caught:
            job.result(150)
        assert isinstance(caught.value, TypeError) or kind == "raises"
    for stream in streams.values():
        assert next(stream) == 1
        with pytest.raises(Exception, match=r"yields: its value cannot travel|message was made"):
            next(stream)
    assert [job.result(150) for job in good] == ["waited"] * 3
    assert remote.function(plain)(2) == 2


def test_a_submit_that_fails_leaves_nothing_listed(remote: Remote) -> None:
    before = remote.jobs()
    for argument in (object(), [10**5000], odd("holds itself")):
        with pytest.raises((TypeError, ValueError), match="plain"):
            remote.function(plain).submit(argument)
    with pytest.raises(rexec.remote.CannotTravel):
        remote.function(lambda: 1)
    assert {job["id"] for job in remote.jobs()} <= {job["id"] for job in before}


def threads() -> int:
    return sum(thread.name.startswith("rexec ") for thread in threading.enumerate())


def held(seconds: float) -> None:
    controller_initial_namespace["_held"] = True
    while controller_initial_namespace["_held"]:
        time.sleep(seconds)


def release() -> None:
    controller_initial_namespace["_held"] = False


def test_jobs_that_wait_have_no_threads_and_keep_their_order(remote: Remote) -> None:
    first = remote.function(held).submit(0.01)
    count = remote.function(threads, parallel=True)
    before = count()
    waiting = [remote.function(controller_number).submit() for _ in range(300)]
    assert count() < before + 10
    assert not any(job.done() for job in waiting)
    waiting[7].cancel()
    remote.function(release, parallel=True)()
    first.result(150)
    numbers = [job.result(150) for index, job in enumerate(waiting) if index != 7]
    assert numbers == sorted(numbers)
    with pytest.raises(concurrent.futures.CancelledError):
        waiting[7].result(150)


def controller_number() -> Any:
    return controller_driver.measure()


def limits(**values: int) -> dict[str, Any]:
    agents = [v for name, v in controller_initial_namespace.items() if name.startswith("_rexec_agent_")]
    scope = type(agents[0]).request.__globals__
    before = {name: scope[name] for name in values}
    scope.update(values)
    return before


def large(size: int) -> bytes:
    time.sleep(0.2)
    print("a line of output")
    return b"x" * size


def test_what_detached_jobs_leave_is_bounded_and_the_oldest_is_dropped(port: int, remote: Remote) -> None:
    before = remote.function(limits)(MOST_KEPT=1_000_000)
    try:
        with rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as first:
            # As if this client went before it has heard of them.
            first._poller.follow = lambda job, news: None  # type: ignore[method-assign]
            jobs = [first.function(large, detached=True).submit(300_000 + n) for n in range(6)]
            first._poller.channel.closed = True
        until = time.monotonic() + 150
        names = {job.id for job in jobs}
        while any(job["state"] != "done" for job in remote.jobs() if job["id"] in names):
            assert time.monotonic() < until
            time.sleep(0.02)
        with pytest.raises(LookupError, match="large was dropped: over"):
            remote.job(jobs[0].id).result(150)
        assert remote.job(jobs[-1].id).result(150) == b"x" * 300_005
    finally:
        remote.function(limits)(**before)


def test_output_is_bounded_in_bytes_and_says_what_was_dropped(remote: Remote) -> None:
    def speaks(lines: int, length: int) -> int:
        for number in range(lines):
            print(str(number) + "x" * length)
        return lines

    before = remote.function(limits)(MOST_OUTPUT=100_000)
    try:
        job = remote.function(speaks, detached=True).submit(50, 10_000)
        job.result(150)
        text = "".join(job.output)
        assert "lines were dropped)" in job.output[0]
        assert job.output[-1].startswith("49x")
        assert len(text) < 200_000
        long = remote.function(speaks).submit(1, 1_000_000)
        long.result(150)
        assert long.output[0].endswith("(1000001 characters)")
    finally:
        remote.function(limits)(**before)

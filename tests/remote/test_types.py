"""An experiment that uses all of it keeps its types: `mypy --strict` reads this file, and the tests run it.

What must be refused bears the error's name in a comment; mypy complains of a comment that is not needed.
"""

from collections.abc import Iterator
from typing import Any, Protocol, assert_type, cast

import pytest

import rexec.remote
from rexec.experiment import EnvExperiment
from rexec.remote import (
    AsyncRemote,
    Captured,
    Fleet,
    FleetResults,
    Job,
    Remote,
    RemoteFunction,
    Stream,
    job,
    provided,
    remote,
)
from rexec.wire.pc_rpc import Client
from tests.remote_exec.peers import controller


class Camera(Protocol):
    """The driver, for editors: `camera.` offers its methods."""

    def measure(self) -> int: ...


camera: Camera = provided("controller_driver")


def brightness(frames: int, *, gain: float = 1.0) -> float:
    job.progress(0.5, "half way")
    return gain * sum(camera.measure() * 0 + 1 for _ in range(frames))


def counts(number: int) -> Iterator[tuple[int, str]]:
    for index in range(number):
        yield index, str(index)


@remote
def doubled(x: float) -> float:
    return 2 * x


class Measure(EnvExperiment):
    rexec: Remote

    def build(self) -> None:
        self.setattr_device("rexec")

    def run(self) -> None:
        there = self.rexec.function(brightness, deadline=10.0)
        assert_type(there(3, gain=2.0), float)
        assert_type(there.captured(3), Captured[float])
        started = there.submit(3)
        assert_type(started, Job[float])
        assert_type(started.result(150), float)
        with self.rexec.function(counts).stream(3) as stream:
            assert_type(stream, Stream[tuple[int, str]])
            for index, text in stream:
                assert_type(index, int)
                assert_type(text, str)
        assert_type(doubled.on(self.rexec)(2.0), float)
        assert_type(doubled(2.0), float)
        fleet = rexec.remote.fleet({"camera": self.rexec})
        assert_type(fleet, Fleet)
        results = fleet.call(brightness, 3)
        assert_type(results, FleetResults[float])
        assert_type(results.all(), dict[str, float])
        assert_type(list(fleet.map(brightness, [1, 2])), list[float])
        assert_type(fleet.submit(brightness, 3).result(150), float)
        fleet.shutdown()


def refused(remote: Remote) -> None:
    there: RemoteFunction[..., float] = remote.function(brightness)
    assert there(1) == 1
    with pytest.raises(TypeError):
        remote.function(brightness)("three")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        remote.function(brightness)(3, again=2.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="brightness is no generator function"):
        next(remote.function(brightness).stream(3))  # type: ignore[misc]


async def awaited(remote: AsyncRemote) -> None:
    assert_type(await remote.function(brightness)(3), float)
    assert_type(await remote.function(brightness).captured(3), Captured[float])
    async for index, text in remote.function(counts).stream(3):
        assert_type(index, int)
        assert_type(text, str)


def test_an_experiment_that_keeps_its_types_runs() -> None:
    with (
        controller("ours") as port,
        rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as remote,
    ):
        there = Measure.__new__(Measure)
        there.rexec = remote
        there.run()
        refused(remote)
        assert cast(Any, remote.function(brightness)).__name__ == "brightness"

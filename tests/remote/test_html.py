"""What notebooks show of devices, remote functions, jobs, streams and fleets."""

import asyncio
from collections.abc import Iterator

import pytest

import rexec.remote
from rexec.remote import Remote
from rexec.remote._fleet import FleetResults
from rexec.wire.pc_rpc import Client
from tests.remote import code
from tests.remote_exec.peers import controller
from tests.waiting import within


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with controller("ours") as port:
        yield port


@pytest.fixture
def remote(port: int) -> Iterator[Remote]:
    with rexec.remote.wrap(Client("127.0.0.1", port, "camera_rexec"), "camera") as remote:
        yield remote


def test_a_client_shows_target_address_and_methods(port: int) -> None:
    with Client("127.0.0.1", port, "camera") as client:
        assert repr(client) == f"<Client of camera at 127.0.0.1:{port}>"
        assert "measure" in client._repr_html_()
        assert not hasattr(client, "_ipython_display_")


def test_a_remote_function_shows_its_source_escaped(remote: Remote) -> None:
    shown = remote.function(code.fails)._repr_html_()
    assert "<b>fails</b> runs on camera" in shown
    assert "def fails(depth: int) -&gt; float:" in shown
    assert repr(remote.function(code.fails)) == "<RemoteFunction fails on camera>"


def test_a_job_shows_state_progress_and_output(remote: Remote) -> None:
    job = remote.function(code.speaks).submit()
    job.result(150)
    assert "<b>speaks on camera</b> returned" in job._repr_html_()
    assert "<pre>printed 1\nlogged 2</pre>" in job._repr_html_()
    slow = remote.function(code.slow).submit(30)
    assert within(150, lambda: slow.progress[0] > 0)
    assert '<progress value="0.500" max="1">' in slow._repr_html_()
    assert "running half way" in slow._repr_html_()
    assert "<td" in remote._repr_html_()
    assert "slow" in remote._repr_html_()
    assert repr(remote).startswith("<Remote camera: <Client of camera_rexec at ")
    slow.cancel()
    assert "cancelled" in slow._repr_html_()


def test_a_job_is_awaited(remote: Remote) -> None:
    async def value() -> int:
        return await remote.function(code.speaks).submit()

    assert asyncio.run(value()) == 7


def test_a_stream_shows_what_was_taken(remote: Remote) -> None:
    with remote.function(code.frames).stream(5) as items:
        next(items)
        assert repr(items).startswith("<Stream frames on camera: 1 items taken, ")
    assert repr(items).endswith("ended>")
    assert "<b>frames on camera</b>" in items._repr_html_()


def test_a_fleet_shows_its_devices_and_results(remote: Remote) -> None:
    fleet = rexec.remote.fleet({"left": remote})
    assert repr(fleet) == "<Fleet of left>"
    assert '<td style="text-align:left">left</td>' in fleet._repr_html_()
    shown = FleetResults({"left": 1}, {"right": ValueError("<dark>")})._repr_html_()
    assert "ValueError: &lt;dark&gt;" in shown

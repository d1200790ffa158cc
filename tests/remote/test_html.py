"""What notebooks show of devices, remote functions, jobs, streams and fleets."""

import asyncio
import logging
import types
from collections.abc import Iterator
from typing import Any

import pytest

import rexec.remote
from rexec.remote import Remote
from rexec.remote._fleet import FleetResults
from rexec.remote._html import function_html
from rexec.remote._jobs import Job
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


class Told:
    """A channel of a job of which the test tells the news."""

    where = "lamp"
    log = logging.getLogger("rexec.remote.lamp")


def shown(fraction: float, lines: int, outcome: Any = None) -> str:
    """Return what is shown of a job that has come so far and printed so many lines."""
    channel: Any = Told()
    job: Job[Any] = Job(channel, "1", "scan")
    job.state, job.progress = "running", (fraction, "warm")
    job.output = [f"line {number}" for number in range(lines)]
    if outcome is not None:
        job.finish(outcome)
    return job._repr_html_()


def test_a_job_shows_its_last_twenty_lines_and_how_far_it_is_while_it_runs() -> None:
    assert "<pre>" not in shown(0.0, 0)
    assert "lines before" not in shown(0.0, 20)
    assert "<pre>(1 lines before)\nline 1\nline 2\n" in shown(0.0, 21)
    bar = '<progress value="{}" max="1"></progress>'
    assert bar.format("0.000") in shown(0.0, 0)
    assert bar.format("0.250") in shown(0.25, 0)
    assert bar.format("0.250") in shown(0.25, 0, {"value": 1})
    assert "<progress" not in shown(0.0, 0, {"value": 1})
    assert "<b>scan on lamp</b> running warm<" in shown(0.25, 1)
    assert "<b>scan on lamp</b> returned warm<" in shown(0.25, 1, {"value": 1})


def test_a_remote_without_jobs_shows_its_name_only(remote: Remote) -> None:
    assert "<table" not in remote._repr_html_()
    assert "<b>camera</b> runs remote functions" in remote._repr_html_()
    space: dict[str, Any] = {}
    exec("def typed(): return 1", space)
    assert "<b>typed</b> runs on camera" in function_html(
        types.SimpleNamespace(__wrapped__=space["typed"]),  # type: ignore[arg-type]
        "camera",
    )

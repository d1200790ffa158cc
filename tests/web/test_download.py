"""A result file can be replaced while it is downloaded, and the download is whole."""

import asyncio
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from rexec.web.run_routes import Download, RunRoutes, opened_to_send

if sys.platform == "win32":
    import _winapi

CONTENT = bytes(range(256)) * 4000


def download(folder: Path, run: Path, headers: dict[str, str], meanwhile: Path) -> tuple[int, bytes]:
    """Return status and content of an answer, during whose first part the file is replaced by another."""
    replaced: list[bool] = []
    found: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.sleep(3600)
        return {}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body" and not replaced:
            os.replace(meanwhile, run)
            replaced.append(True)
        found.append(message)

    changed = run.stat().st_mtime_ns

    async def ask() -> None:
        opened = await asyncio.to_thread(opened_to_send, folder, run)
        assert opened is not None
        descriptor, stat = opened
        assert (stat.st_size, stat.st_mtime_ns) == (len(CONTENT), changed)
        listed = [(name.encode(), value.encode()) for name, value in headers.items()]
        await Download(descriptor, stat, run)(
            {"type": "http", "method": "GET", "headers": listed}, receive, send
        )
        with pytest.raises(OSError, match=r"[Bb]ad file descriptor|handle"):
            os.fstat(descriptor)

    asyncio.run(ask())
    return found[0]["status"], b"".join(each.get("body", b"") for each in found[1:])


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        ({}, (200, CONTENT)),
        ({"range": "bytes=1000-299999"}, (206, CONTENT[1000:300_000])),
        ({"range": f"bytes={len(CONTENT)}-"}, (416, b"")),
    ],
)
def test_a_file_is_replaced_while_it_is_sent(
    tmp_path: Path, wanted: dict[str, str], answer: tuple[int, bytes]
) -> None:
    run, newer = tmp_path / "1-Run.h5", tmp_path / "newer"
    run.write_bytes(CONTENT)
    newer.write_bytes(b"newer")
    status, content = download(tmp_path, run, wanted, newer)
    assert (status, content if status != 416 else b"") == answer
    assert (run.read_bytes(), newer.exists()) == (b"newer", False)
    run.unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    sys.platform != "win32", reason="only Windows has servers and pipes in the names of files"
)
def test_no_other_server_is_asked_for_a_file(tmp_path: Path) -> None:
    if sys.platform == "win32":
        name = rf"\\.\pipe\rexec-{os.urandom(4).hex()}.h5"
        access = _winapi.PIPE_ACCESS_DUPLEX | _winapi.FILE_FLAG_OVERLAPPED
        pipe = _winapi.CreateNamedPipe(name, access, 0, 1, 1024, 1024, 0, 0)
        asked = _winapi.ConnectNamedPipe(pipe, overlapped=True)
        assert RunRoutes(tmp_path).path(name.replace("\\", "/")) is None
        assert _winapi.WaitForSingleObject(asked.event, 0) == _winapi.WAIT_TIMEOUT
        asked.cancel()
        _winapi.CloseHandle(pipe)


@pytest.mark.skipif(sys.platform != "win32", reason="names that mean something else on Windows")
def test_a_device_or_a_stream_of_a_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    (tmp_path / "notes.txt:run.h5").write_bytes(b"a stream")
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "run.h5").write_bytes(b"a run")
    routes = RunRoutes(tmp_path)
    assert routes.path("day/run.h5") == routes.path("day\\run.h5") != None  # noqa: E711
    for name in ("notes.txt:run.h5", "COM1.h5", "day/nul.h5", r"day\con.h5", "con/run.h5"):
        assert routes.path(name) is None

"""The devices of a master: read again on demand, and never lost to a bad file."""

import asyncio
import concurrent.futures
import functools
import time
from pathlib import Path
from typing import cast

import pytest

from devicedb import DatabaseLoadError
from rexec.master import DeviceFile
from rexec.master.loading import load_apart
from rexec.wire.packed_exceptions import GenericRemoteException
from tests.master.masters import DEVICES, serving
from tests.supervise.controllers import alive
from tests.waiting import within

BAD = {
    "a list": ("device_db = []\n", "is of type list"),
    "syntax": ("a = 1\ndevice_db = {1 2}\n", r"device_db\.py:2: syntax error"),
    "exception": ('a = 1\ndevice_db = {"x": 1 / 0}\n', r"device_db\.py:2: raises ZeroDivisionError"),
    "exit": ("import sys\nsys.exit(3)\n", r"device_db\.py:2: calls sys\.exit\(3\)"),
    "crash": ("import os\nos._exit(3)\n", "its process has ended with status 3"),
    "empty file": ("", "no global dict `device_db`"),
    "no plain value": ('device_db = {"good": {}, "bad": {"x": object()}}\n', "entry 'bad' cannot be sent"),
    "key": ("device_db = {1: {}}\n", "names are strings"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_refused_at_its_line(fault: str, tmp_path: Path) -> None:
    text, message = BAD[fault]
    (tmp_path / "device_db.py").write_text(text)
    with pytest.raises(DatabaseLoadError, match=message):
        asyncio.run(load_apart(tmp_path / "device_db.py"))


def test_a_bad_file_changes_nothing_and_its_line_is_told_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path) as served, served.following("devices") as followed:
        before = dict(followed)
        (tmp_path / "device_db.py").write_text("device_db = {\n}[0]\n")
        with served.client("device_db") as client:
            with pytest.raises(
                GenericRemoteException, match=r"device_db\.py:1: raises KeyError: 0\. The 2 devices stay"
            ):
                client.scan()
            assert client.get_device_db() == before == followed
            assert "scan of the device database failed" in caplog.text
            (tmp_path / "device_db.py").write_text(DEVICES.replace("alias", "other"))
            client.scan()
            assert within(150.0, lambda: followed == {"core": {"type": "dummy"}, "other": "core"})


def test_a_file_that_never_ends_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "device_db.py"
    # The limit is said, not waited out with the file: 1,000 s would be over the test's own.
    file.write_text(
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        "time.sleep(1000)\n"
    )
    with pytest.raises(DatabaseLoadError, match=r"has not finished after 1 s"):
        asyncio.run(load_apart(file, 1.0))


def test_an_interpreter_that_starts_slowly_costs_a_file_none_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep(16)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    file = tmp_path / "device_db.py"
    file.write_text("device_db = {}\n")
    assert asyncio.run(load_apart(file, 15.0)).raw == {}


def test_what_a_file_prints_harms_nobody(tmp_path: Path) -> None:
    file = tmp_path / "device_db.py"
    file.write_text("print('x' * 1000000)\nimport sibling\ndevice_db = {'a': sibling.ENTRY}\n")
    (tmp_path / "sibling.py").write_text("ENTRY = {'type': 'dummy'}\n")
    assert asyncio.run(load_apart(file)).raw == {"a": {"type": "dummy"}}


def test_others_are_served_while_a_slow_file_is_read(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        flag = tmp_path / "go"
        wait = f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.01)\n"
        (tmp_path / "device_db.py").write_text(wait + "device_db = {}\n")
        with served.client("device_db") as scanning, served.client("device_db") as other:
            import threading

            thread = threading.Thread(target=scanning.scan)
            thread.start()
            assert other.get("core") == {"type": "dummy"}
            flag.touch()
            thread.join(150.0)
            assert other.get_device_db() == {}


def test_a_reading_ends_with_the_last_client_that_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rexec.master.devices.load_apart", functools.partial(load_apart, time_limit=1000.0))
    pid = tmp_path / "pid"
    hangs = f"import os, time\nopen({str(pid)!r}, 'w').write(f'{{os.getpid()}} ')\ntime.sleep(1000)\n"
    with serving(tmp_path) as served, concurrent.futures.ThreadPoolExecutor(5) as pool:
        (tmp_path / "device_db.py").write_text(hangs)
        clients = [served.client("device_db") for _ in range(5)]
        pool.submit(clients[0].scan)
        assert within(150, lambda: pid.exists() and pid.read_text().endswith(" "))
        loading = int(pid.read_text())
        others = [pool.submit(each.scan) for each in clients[1:]]
        devices = cast("DeviceFile", served.master.devices)
        assert within(150, lambda: devices.askers == 4)
        for each in clients[1:]:
            each.close_rpc()
        assert all(each.exception(150) is not None for each in others)
        assert within(150, lambda: devices.askers == 0)
        assert alive(loading)
        clients[0].close_rpc()
        assert within(150, lambda: not alive(loading))
        (tmp_path / "device_db.py").write_text("device_db = {}\n")
        with served.client("device_db") as client:
            client.scan()
            assert client.get_device_db() == {}


def test_an_alias_loop_is_named_and_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    devices = "device_db = {'a': 'b', 'b': 'a', 'c': 'nowhere', 'd': 'real', 'real': {'type': 'dummy'}}\n"
    with serving(tmp_path, devices) as served, served.client("device_db") as client:
        assert "lead in a loop (a -> b -> a)" in caplog.text
        assert client.get("a") == "b"
        with pytest.raises(GenericRemoteException, match="a -> b -> a"):
            client.get("a", True)
        with pytest.raises(KeyError, match="nowhere"):
            client.get("c", True)
        assert client.get("d", True) == {"type": "dummy"}
        with pytest.raises(KeyError):
            client.get("nothing")


def test_the_processor_of_a_satellite_comes_from_the_core_device(tmp_path: Path) -> None:
    core = {
        "type": "local",
        "module": "m",
        "class": "C",
        "arguments": {"satellite_cpu_targets": {1: "rv32g"}},
    }
    with serving(tmp_path, f"device_db = {{'core': {core!r}}}\n") as served:
        with served.client("device_db") as client:
            assert client.get_satellite_cpu_target(1) == "rv32g"
            with pytest.raises(KeyError):
                client.get_satellite_cpu_target(2)


def test_a_changed_file_is_read_again_when_it_is_watched(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.following("devices") as followed:
        watching: list[asyncio.Task[None]] = []
        watch = served.master.devices.watch  # type: ignore[attr-defined]

        async def begin() -> None:
            watching.append(asyncio.create_task(watch(0.05)))

        served.thread.call(begin)
        (tmp_path / "device_db.py").write_text("device_db = []\n")
        time.sleep(0.3)
        assert set(followed) == {"core", "alias"}
        (tmp_path / "device_db.py").write_text("device_db = {'new': {'type': 'dummy'}}\n")
        assert within(150.0, lambda: set(followed) == {"new"})

"""What the tasks of a master share: the reading of its device database, and the loop's time for logs."""

import asyncio
from pathlib import Path

import pytest

from devicedb import from_dict
from rexec.master import DeviceFile
from rexec.master import devices as devices_module
from rexec.master.logs import LogReceiver


def test_many_who_ask_for_a_scan_at_any_time_cost_two_readings_that_do_not_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[asyncio.Event] = []

    async def load(path: Path) -> object:
        assert all(each.is_set() for each in begun)
        begun.append(asyncio.Event())
        await begun[-1].wait()
        return from_dict({f"x{len(begun)}": {"type": "dummy"}}, str(path))

    async def ask() -> None:
        file = DeviceFile(tmp_path / "device_db.py", from_dict({}, "db"))
        askers = []
        for _ in range(60):
            askers.append(asyncio.create_task(file.scan()))
            await asyncio.sleep(0)
        for each in askers[1:30]:
            each.cancel()
        begun[0].set()
        await askers[0]
        assert list(file.database.raw) == ["x1"]
        begun[1].set()
        await asyncio.gather(*askers[30:])
        assert list(file.database.raw) == ["x2"]

    monkeypatch.setattr(devices_module, "load_apart", load)
    asyncio.run(asyncio.wait_for(ask(), 150))
    assert len(begun) == 2


def test_a_change_while_the_file_is_read_for_the_first_time_is_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "device_db.py"
    path.write_text("device_db = {}\n")
    read = asyncio.Event()

    async def load(path: Path) -> object:
        text = await asyncio.to_thread(path.read_text)
        await asyncio.to_thread(path.write_text, "device_db = {'lamp': {'type': 'dummy'}}\n")
        return from_dict({"lamp": {"type": "dummy"}} if "lamp" in text else {}, str(path))

    async def watch() -> None:
        file = await DeviceFile.open(path)
        monkeypatch.setattr(file, "follow", lambda database: read.set() if "lamp" in database.raw else None)
        watching = asyncio.create_task(file.watch(0))
        await read.wait()
        watching.cancel()

    monkeypatch.setattr(devices_module, "load_apart", load)
    asyncio.run(asyncio.wait_for(watch(), 150))


def test_senders_of_logs_have_together_the_part_of_the_time_that_one_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handled: list[str] = []
    monkeypatch.setattr("rexec.master.logs._TURN", -1.0)  # others have their turn after each record
    monkeypatch.setattr(LogReceiver, "_handle", lambda self, host, *_: handled.append(host))

    async def send() -> None:
        receiver = LogReceiver()
        senders = {name: asyncio.StreamReader() for name in ("one", "other")}
        for reader in senders.values():
            reader.feed_data(b"x:INFO:a:b\n" * 5)
            reader.feed_eof()
        await asyncio.gather(*(receiver._take_all(reader, name) for name, reader in senders.items()))

    asyncio.run(asyncio.wait_for(send(), 150))
    assert handled == ["one"] * 5 + ["other"] * 5

"""Peers and files of strangers: whatever text they can choose is hostile (see `tests.campaigns.hostile`).

As a program, it serves until its standard input ends: `python -m tests.campaigns.hostile_peers FOLDER TEXT`.
"""

import asyncio
import contextlib
import http.client
import json
import re
import shutil
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import h5py
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rexec import results
from rexec.access.audit_log import AuditLog
from rexec.datasets import DatasetDB, DatasetManager
from rexec.wire.broadcast import Broadcaster
from rexec.wire.logs import BANNER
from rexec.wire.pc_rpc import Server
from rexec.wire.sync_struct import Notifier, Publisher
from schemas import RunIdentity

LOCAL: Final = "127.0.0.1"
_AUDITED: Final = (
    "device", "person", "known_by", "host", "program", "run", "target", "method", "sha256", "source", "outcome",
    "error", "action", "of", "needs", "entry", "value", "text", "what",
)  # fmt: skip
Entry = dict[str, Any]


def in_file(text: str) -> str:
    """Return text as UTF-8 and file systems can hold it."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode().replace("/", "_")


def target(text: str) -> Any:
    """Return an object with hostile methods, docstrings and errors."""
    plain = in_file(text)
    error = type(plain or "x", (ValueError,), {})

    def fail(self: Any) -> None:
        raise error(text)

    def value(self: Any) -> Any:
        return {text: [text, np.array([text])]}

    def documented(self: Any, x: Any = text) -> None: ...

    fail.__doc__ = documented.__doc__ = f"Do it.\n\n{plain}"
    methods = {"fail": fail, "value": value, plain: documented, "ping": lambda self: True}
    return type("Target", (), {**methods, "__doc__": plain.replace("\n", " ")})()


def entries(text: str, port: int) -> dict[str, Any]:
    """Return a device database of hostile names, hosts, commands and targets; its `good` one is at a port."""
    controller = {"type": "controller", "host": LOCAL, "port": port}
    return {
        "good": {**controller, "target_name": "x"},
        text: {**controller, "target_name": text, "command": f"/bin/cat said.txt -p {{port}} {text!r}"},
        f"{text}2": {"type": "controller", "host": text, "port": 1, "command": text},
        f"{text}3": text,
        f"{text}4": {"type": "local", "module": text, "class": text, "arguments": {text: text}},
        f"{text}5": {"type": text},
        "said": {"type": "controller", "host": LOCAL, "port": 1, "command": "/bin/cat said.txt"},
    }


def write_files(folder: Path, text: str, port: int) -> None:
    """Write device databases, experiments, result files and journals with hostile contents."""
    plain = in_file(text)
    (folder / "device_db.py").write_text(f"device_db = {entries(text, port)!r}\n")
    (folder / "raises.py").write_text(f"raise ValueError({text!r})\n")
    (folder / "said.txt").write_bytes(
        f"{text}\nWARNING:{text}:{text}\n".encode("utf-8", "surrogateescape") + b"\xff\n"
    )
    (folder / "experiment.py").write_text(
        f"""\
from rexec.experiment import *

class Odd(EnvExperiment):
    {plain!r}
    def build(self):
        self.setattr_argument({plain!r}, NumberValue(1, unit={plain!r}, scale=1.0), {text!r}, {text!r})
        self.setattr_device("good")
    def run(self):
        self.set_dataset({plain!r}, {text!r}, unit={plain!r})
        self.set_dataset("x", 1.0, unit={plain!r}, precision=-5)
        self.set_dataset("large", 10**5000)
        import logging
        logging.warning({text!r})
        self.good.fail()
"""
    )
    (folder / "source.py").write_text(f"import sipyco.pc_rpc\nfrom sipyco import nothing  # {plain}\n")
    with (folder / "source.py").open("a") as file:
        file.write(f"x = {text!r}\n")
    (folder / "builds_not.py").write_text(
        "from rexec.experiment import *\n\nclass Odd(EnvExperiment):\n    def build(self):\n"
        f"        raise ValueError({text!r})\n"
    )
    _write_results(folder, text, plain)
    with contextlib.closing(AuditLog(folder / "audit.jsonl")) as audit:
        for kind in ("connect", "code", "call", "refused", "act", "failed", text):
            audit.append(kind, dict.fromkeys(_AUDITED, text))
    whole = (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "changed.jsonl").write_bytes(
        b"".join([*whole[:2], *whole[3:], b"{}\n", text.encode("utf-8", "replace")])
    )
    (folder / plain.strip(".")[:80]).write_bytes(b"no file of ours\n")


def _write_results(folder: Path, text: str, plain: str) -> None:
    for name in ("run.h5", "other.h5"):
        identity = RunIdentity(
            rid=1, class_name=plain, start_time=1.0, expid={"file": plain, "arguments": {plain: text + name}}
        )
        writer = results.ResultsWriter.create(folder / name, identity, refresh_interval=0)
        manager = DatasetManager(DatasetDB(), sink=writer)
        manager.set(plain, text)
        manager.set("number", 1.5, {"unit": plain})
        manager.set("numbers", np.arange(3.0), {"unit": plain})
        if name == "run.h5":
            writer.sync()
            shutil.copy(results.journal_path(folder / name), results.journal_path(folder / "going.h5"))
        writer.close("failed", error=text)
    with h5py.File(folder / "foreign.h5", "w") as file:
        file.create_dataset(f"datasets/{plain}", data=plain)
        file["datasets/number"] = 1.5
        file["datasets/number"].attrs["artiq_unit"] = plain
        file["rid"] = 3
        file["expid"] = json.dumps({"file": plain})
        file["start_time"] = plain


def send_logs(text: str, told: str) -> None:
    """Send hostile records to the logging port of a master, as its controllers could.

    Args:
        text: The hostile text.
        told: What the master printed; its ports are in it.

    """
    port = int(told.partition("logging: ")[2].partition("\n")[0].rpartition(":")[2])
    data = text.encode("utf-8", "surrogateescape")
    lines = data.count(b"\n") + 1
    head = b"ERROR<%d>" % lines if lines > 1 else b"ERROR"
    records = (data, b"source:" + data, data + b":ERROR:name:text", b"source:%b:%b:%b" % (head, data, data))
    for record in (*records, b"source:ERROR:name:the last record"):
        with socket.create_connection((LOCAL, port)) as peer:
            peer.sendall(BANNER + record + b"\n")
            peer.shutdown(socket.SHUT_WR)
            peer.recv(1)  # the master has read all of it


def visit(text: str, told: str) -> None:
    """Open a page of `rexec web`, ask for all it has, and act with hostile texts; no answer may be an error of ours.

    Args:
        text: The hostile text.
        told: What `rexec web` printed; the address is in it.

    """
    address = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]+)", told)
    assert address is not None, told
    port, token = int(address[1]), address[2]

    def ask(path: str, body: dict[str, Any] | None = None, cookie: str = "") -> tuple[int, str, bytes]:
        with contextlib.closing(http.client.HTTPConnection(LOCAL, port, timeout=60)) as connection:
            headers = {
                "cookie": cookie,
                "origin": f"http://{LOCAL}:{port}",
                "content-type": "application/json",
            }
            connection.request(
                "GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers
            )
            answer = connection.getresponse()
            return answer.status, (answer.getheader("set-cookie") or "").partition(";")[0], answer.read()

    cookie = ask(f"/?token={token}")[1]
    word = quote(text.encode("utf-8", "surrogatepass"), safe="")
    files = ("run.h5", "foreign.h5", "said.txt", f"{word}.h5", word)
    found = {"/live": 200, "/devices/" + word: 0, f"/api/runs?query={word}": 200, "/api/runs": 200}
    found |= {f"/api/run?file={each}": 0 for each in files}
    found |= {f"/api/plot?file={each}&dataset={word}&axis={word}&kind={word}": 0 for each in files}
    found |= {f"/api/methods?place={place}": 0 for place in (*range(8), word)}
    found |= {
        f"/api/zoom?dataset={word}&from={word}&to=1&most=1": 400,
        f"/static/{word}": 404,
        f"/{word}": 404,
    }
    for path, expected in found.items():
        status = ask(path, cookie=cookie)[0]
        assert status == expected or (not expected and status < 500), f"{path}: status {status}"
    for order in ("restart", "set", "comment", "tag", text):
        order_of = {
            "do": order,
            "device": text,
            "dataset": text,
            "value": text,
            "file": "run.h5",
            "text": text,
        }
        status = ask("/api/act", order_of, cookie)[0]
        assert status in (200, 400, 404, 409), f"{order}: status {status}"
    opened = {"Cookie": cookie, "Origin": f"http://{LOCAL}:{port}"}
    with connect(f"ws://{LOCAL}:{port}/stream", additional_headers=opened, max_size=None) as socket:
        plots = {f"{number}": {"dataset": number} for number in range(1, 4)}
        socket.send(
            json.dumps({"type": "want", "parts": ["datasets", "log", "sources", "devices"], "views": plots})
        )
        socket.recv(60)
        socket.send(json.dumps({"type": text}))
        with contextlib.suppress(ConnectionClosed):
            while True:
                socket.recv(60)


def _raw(text: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode("utf-8", "surrogatepass") + b"\n")
        with contextlib.suppress(OSError):  # a client may leave without reading
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 60)
        writer.close()

    return serve


async def _serve(folder: Path, text: str, end: threading.Event) -> None:
    server = Server({"x": target(text)}, text)
    server.targets = {"x": target(text), text: target(text)}
    await server.start(LOCAL, 0)
    master = Server({"x": None})
    raw = await asyncio.start_server(_raw(text), LOCAL, 0)
    port = server.addresses[0][1]
    devices = entries(text, port)
    master.targets = {"device_db": _DeviceDB(devices), "master_device_db": _DeviceDB(devices)}
    await master.start(LOCAL, 0)
    datasets = {text: (True, text, {"unit": text}), "x": (False, 1.0, {"unit": text, "precision": -5})}
    publisher = Publisher(
        {"datasets": Notifier(datasets), "devices": Notifier(devices), "schedule": Notifier({})}
    )
    await publisher.start(LOCAL, 0)
    broadcaster = Broadcaster()
    await broadcaster.start(LOCAL, 0)
    ports = {
        "peer": port,
        "control": master.addresses[0][1],
        "notify": publisher.addresses[0][1],
        "broadcast": broadcaster.addresses[0][1],
        "raw": raw.sockets[0].getsockname()[1],
    }
    write_files(folder, text, port)
    print(json.dumps(ports), flush=True)
    while not await asyncio.to_thread(end.wait, 0.5):
        broadcaster.broadcast("log", [30, text, 1.0, f"{text}:{text}"])
    raw.close()
    await server.stop()
    await master.stop()
    await publisher.stop()
    await broadcaster.stop()


class _DeviceDB:
    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw

    def get_device_db(self) -> dict[str, Any]:
        return self._raw


def main() -> None:
    """Write the files and serve the peers until standard input ends."""
    end = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        end.set()

    threading.Thread(target=wait, daemon=True).start()
    asyncio.run(_serve(Path(sys.argv[1]), json.loads(sys.argv[2]), end))


if __name__ == "__main__":
    main()

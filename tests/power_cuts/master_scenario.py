"""A master's datasets through appends, set points and its end, as its next start and ARTIQ's readers find them."""

from pathlib import Path
from typing import Any, Final

import lmdb

from rexec.datasets import DatasetDB
from rexec.wire import pyon
from tests.master.masters import serving
from tests.power_cuts.scenario import Promise, Scenario

_BEGIN: Final = 2000
"""Items of the list at first: enough that appends go to the log beside the database."""


class MasterScenario(Scenario):
    """`rexec master`, two clients, and its end, which one of them asks for.

    A promise has the least length of the list, the least value of `small` (-1: none is promised), the least length
    that a reader finds who does not know the log, and whether `small` must be gone.
    """

    name = "master"
    nothing: Any = (0, -1, 0, False)

    def run(self, folder: Path, promise: Promise) -> None:
        with serving(folder, None) as served:
            with served.client("dataset_db") as client, served.client("master_dataset_db") as other:
                client.set("list", [0.5] * _BEGIN, True)
                promise((_BEGIN, -1, _BEGIN, False))
                length, whole = _BEGIN, _BEGIN
                for step in range(4):
                    for each in (client, other, client):
                        each.update({"action": "append", "path": ["list", 1], "x": 0.5})
                        length += 1
                        promise((length, step - 1, whole, False))
                    other.set("small", step, True)  # a set point: the log is folded into the database
                    whole = length
                    promise((length, step, whole, False))
                promise((length, -1, whole, False))
                client.delete("small")
                promise((length, -1, whole, True))
                client.update({"action": "append", "path": ["list", 1], "x": 0.5})
                length += 1
                promise((length, -1, whole, True))
            with served.client("master_management") as client:
                client.terminate()
            assert served.thread.wait(150.0)
        promise((length, -1, length, True))

    def check(self, folder: Path, promised: Any) -> str:
        path = folder / "dataset_db.mdb"
        length, small, whole, is_gone = promised
        if length and not path.exists():
            return "the database is gone"
        alone = len(plain(path).get("list", ())) if length else 0
        if alone < whole:
            return f"a reader of the database alone finds {alone} items, {whole} were there at a set point"
        for _ in range(2):  # its next start, and the one after that
            with DatasetDB(path, is_master=True) as db:
                if db.unreadable:
                    return f"unreadable: {db.unreadable}"
                kept = len(db.get("list")) if db.has("list") else 0
                found = db.get("small") if db.has("small") else -1
            if kept < length:
                return f"{length} items were acknowledged, {kept} are left"
            if found < small or (is_gone and found >= 0):
                return f"{'its removal' if is_gone else small} was acknowledged, {found} is left"
        alone = len(plain(path).get("list", ())) if kept else 0
        return "" if alone == kept else f"a master that has ended left {kept - alone} items in its log"


def plain(path: Path) -> dict[str, Any]:
    """Return the datasets as a reader finds them who knows LMDB and PYON, and nothing of our log."""
    with lmdb.open(str(path), subdir=False, readonly=True, lock=False) as environment:
        with environment.begin() as transaction:
            return {key.decode(): pyon.decode(text.decode())[0] for key, text in transaction.cursor()}

"""Constructs local devices in an interpreter that has ARTIQ, for `devicedb check --construct`."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from devicedb.errors import DeviceDBError
from devicedb.model.database import CheckedDatabase
from devicedb.model.located import Opaque
from devicedb.process_tree import ProcessTree
from devicedb.sandbox.patience import communicate
from devicedb.sandbox.run import Stop, end_group

CHILD: Final = Path(__file__).parents[1] / "sandbox" / "construct_child.py"


class ConstructError(DeviceDBError):
    """Devices cannot be constructed at all: no ARTIQ, no such interpreter, or it hangs."""


def constructed(
    db: CheckedDatabase,
    python: str,
    path: tuple[str, ...],
    seconds: float,
    *,
    everything: bool,
    stop: Stop | None = None,
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return what constructing the local devices raises, by entry, and notes.

    Args:
        db: The database. Entries with values that are not plain are left out.
        python: The interpreter that has ARTIQ.
        path: Folders to search for the laboratory's own modules.
        seconds: Time limit.
        everything: Whether the laboratory's own drivers are constructed, too.
        stop: Ends it from another thread.

    Raises:
        ConstructError: The interpreter does not run, has no ARTIQ, or does not end in time.
        Stopped: `stop` was set.

    """
    database = {name: entry.node.value for name, entry in db.entries.items() if _is_plain(entry.node.value)}
    names = [entry.name for entry in db.of_kind("local") if entry.name in database]
    left_out = sum(1 for entry in db.of_kind("local")) - len(names)
    request = {"database": database, "names": names, "path": [db.folder, *path], "everything": everything}
    answer = _ask(python, repr(request), seconds, db.folder, stop or Stop())
    if not answer["artiq"]:
        raise ConstructError(
            f"--construct: {python} has no ARTIQ. Name an interpreter that has with --artiq-python"
        )
    notes = []
    if left_out:
        notes.append(f"{left_out} local entries with values that are not plain were not constructed")
    if answer["uncertain"]:
        names_ = ", ".join(map(repr, answer["uncertain"]))
        notes.append(f"not certain, because devices that they use were not constructed: {names_}")
    return answer["errors"], notes


def _ask(python: str, request: str, seconds: float, folder: str, stop: Stop) -> dict[str, Any]:
    stop.check()
    try:
        child = ProcessTree(  # the user's own interpreter; the database goes to its standard input
            [python, str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
        )
    except OSError as error:
        raise ConstructError(f"--construct: {python} cannot be started: {error.strerror or error}") from None
    with child:  # which closes its pipes
        stop.watch(child)
        try:
            said, log = communicate(child, request.encode(), seconds)
        except subprocess.TimeoutExpired:
            raise ConstructError(
                f"--construct: the drivers took over {seconds:g} s; see --time-limit"
            ) from None
        finally:
            stop.watch(None)
            end_group(child)
    stop.check()
    try:
        answer: dict[str, Any] = json.loads(said)
    except ValueError:
        last = log.decode(errors="replace").strip().splitlines()[-1:]
        raise ConstructError(
            f"--construct: {python} ended with status {child.returncode}: {''.join(last)}"
        ) from None
    return answer


def _is_plain(value: Any, depth: int = 0) -> bool:
    if depth > 20 or isinstance(value, Opaque):
        return False
    if isinstance(value, dict):
        return all(_is_plain(key, depth + 1) and _is_plain(each, depth + 1) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(each, depth + 1) for each in value)
    return not isinstance(value, float) or value - value == 0  # inf and nan cannot be written as a literal

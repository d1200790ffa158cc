"""What a person may do from a page with `--control`: by rights, and written down before it is done."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import orjson

from devicedb import DeviceDatabase
from devicedb.errors import ExpectedError
from devicedb.printable import printable
from rexec.access.identity import Identity
from rexec.access.kernel_user import user_name
from rexec.access.rights import DeviceRights, Right, right_of
from rexec.catalogue.notes import comment, tag
from rexec.datasets.targets import NAMES
from rexec.results.layout import journal_path
from rexec.results.status import status_of
from rexec.web.live_datasets import LiveDatasets
from rexec.wire.pc_rpc import Client
from rexec.wire.tls import SimpleSSLConfig

_log = logging.getLogger(__name__)
_TIMEOUT: Final = 10.0


class ActionRefused(ExpectedError):
    """An action was not done; the text says why."""


class ActionLog(Protocol):
    """Where each action is written down."""

    def append(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Add a line, or raise OSError."""


@dataclass(frozen=True)
class ActionTargets:
    """What actions act on.

    Attributes:
        datasets: The live datasets.
        master: Host and control port of the master, or None.
        master_ssl: TLS files for it, or None.
        supervisor: Host and control port of `rexec up`, or None.

    """

    datasets: LiveDatasets
    master: tuple[str, int] | None
    master_ssl: SimpleSSLConfig | None
    supervisor: tuple[str, int] | None


class PageActions:
    """Does what a person asks.

    Args:
        targets: What it acts on.
        audit: Gets a line before each action, and one when it failed.

    """

    def __init__(self, targets: ActionTargets, audit: ActionLog) -> None:
        self._targets: Final = targets
        self._audit: Final = audit

    async def keep_controller(self, who: Identity, database: DeviceDatabase, name: str, how: str) -> str:
        """Restart a controller ("restart"), or start a waiting one now ("retry"). It takes the right to call it."""
        if self._targets.supervisor is None:
            raise ActionRefused("this page has no supervisor: see --up")
        rights = entry_rights(database, name)
        if rights.of(who) < Right.CALL:
            self._write(
                "refused", who, how, name, what=f"{how} {name[:100]}", needs="call", entry=rights.place
            )
            raise ActionRefused(rights.refusal(who, f"{how} the controller", Right.CALL))
        host, port = self._targets.supervisor

        def act() -> None:
            with Client(host, port, "ctlmgr", timeout=_TIMEOUT) as client:
                client.restart(name) if how == "restart" else client.retry_now(name)

        await self._do(who, how, name, act)
        return f"{printable(name[:100])}: {how} was ordered"

    async def set_dataset(self, who: Identity, number: int, text: str) -> str:
        """Set a dataset that holds a number or a text to another one of its kind."""
        dataset = self._targets.datasets.get(number)
        if dataset is None or self._targets.master is None:
            raise ActionRefused("there is no such dataset any more")
        value = new_value(dataset.value, text)
        host, port = self._targets.master

        def act() -> None:
            with Client(host, port, None, timeout=_TIMEOUT, ssl_config=self._targets.master_ssl) as client:
                names = client.get_rpc_id()[0]
                client.select_rpc_target(next(each for each in NAMES if each in names))
                client.set(dataset.key, value)

        await self._do(who, "set", dataset.name, act, value=text[:200])
        return f"{printable(dataset.name[:100])} was set"

    async def end_run(self, who: Identity, path: Path) -> str:
        """End a run of this machine in order, as Ctrl-C does."""
        found = await asyncio.to_thread(status_of, path)
        if found.state != "running":
            raise ActionRefused("this run does not go on any more")
        if os.name != "posix":
            raise ActionRefused("Windows lets no other program press Ctrl-C: press it where the run is")
        if found.pid is None or found.host is not None:
            raise ActionRefused(
                "only a run of this machine can be ended from here: press Ctrl-C where it runs"
            )
        pid = found.pid
        if not await asyncio.to_thread(has_open, pid, journal_path(path)):
            raise ActionRefused(
                f"its journal names process {pid}, which does not write it: press Ctrl-C where the run is"
            )
        await self._do(who, "end", path.name, lambda: os.kill(pid, signal.SIGINT))
        return "the run was told to end in order"

    async def note(self, who: Identity, path: Path, how: str, text: str) -> str:
        """Comment a run, or give it a tag, or take one away: "comment", "tag", "untag"."""

        def act() -> None:
            if how == "comment":
                comment(path, text)
            else:
                tag(path, [text], remove=how == "untag")

        await self._do(who, how, path.name, act, text=text[:200])
        return "noted"

    async def _do(self, who: Identity, what: str, of: str, act: Any, **facts: Any) -> None:
        self._write("act", who, what, of, **facts)
        try:
            await asyncio.to_thread(act)
        except Exception as error:
            self._write("failed", who, what, of, error=str(error)[:500])
            if isinstance(error, ExpectedError | OSError | KeyError | AttributeError | StopIteration):
                raise ActionRefused(printable(str(error)[:1000] or type(error).__name__)) from error
            if type(error).__module__.startswith("rexec.wire"):
                raise ActionRefused(printable(str(error)[:1000])) from error
            raise

    def _write(self, kind: str, who: Identity, action: str, of: str, **facts: Any) -> None:
        line = {"device": "page", "person": who.name, "known_by": who.known_by, "host": who.host}
        try:
            self._audit.append(kind, {**line, "action": action, "of": of[:500], **facts})
        except OSError as error:
            raise ActionRefused(
                f"it was not done, because it cannot be recorded: {error.strerror or error}"
            ) from error
        _log.warning("page: %s by %s: %s %s", kind, who.person, action, printable(of[:100]))


def has_open(pid: int, path: Path) -> bool:
    """Return whether a process has a file open, where the system tells that (Linux): a file may name any process."""
    if pid < 2:  # groups of processes, and the first one
        return False
    if not os.path.isdir("/proc/self/fd"):
        return True
    try:
        wanted = path.stat()
        return any(_is_file(each, wanted) for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _is_file(path: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), wanted)
    except OSError:  # closed meanwhile
        return False


def entry_rights(database: DeviceDatabase, name: str) -> DeviceRights:
    """Return the rights on a controller, as the key `allow` of its entry says."""
    entry = database.raw.get(name)
    if not isinstance(entry, dict):
        raise ActionRefused(f"there is no controller {printable(name[:100])}")
    allow = entry.get("allow")
    owner = user_name(os.getuid()) if hasattr(os, "getuid") else None
    try:
        rights = None if allow is None else {str(each): right_of(words) for each, words in allow.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ActionRefused(f"the rights of {printable(name[:100])} cannot be understood: {error}") from error
    return DeviceRights(name, database.origin, rights, owner)


def new_value(present: Any, text: str) -> Any:
    """Return a typed text as a value of the kind of the present one."""
    if isinstance(present, str):
        return text
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(present, np.generic):
        plain = present.item()
        if isinstance(plain, bool | int | float):
            with contextlib.suppress(OverflowError):  # out of the range of its type
                return type(present)(new_value(plain, text))
    if isinstance(present, bool) and isinstance(value, bool):
        return value
    if not isinstance(present, bool) and isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(present, float):
            return float(value)
        if isinstance(present, int) and isinstance(value, int):
            return value
    raise ActionRefused(f"{text[:40]!r} is no {type(present).__name__} to take its place")

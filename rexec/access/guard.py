"""Decides whether a server may act for a client, and records what it does.

A program has one guard for all its servers. Its settings are environment variables, because `rexec up` starts
controllers of any make, of which stock ones refuse unknown options; the options of `simple_network_args` set the same
variables.
"""

import errno
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Final, Protocol

from rexec.access.audit_log import AuditLog
from rexec.access.identity import Identity, calling_client, own_identity
from rexec.access.record_budget import RecordBudget, network_of
from rexec.access.rights import REFUSED, DeviceRights, Right, RightsFile

_log = logging.getLogger(__name__)

RIGHTS: Final = "REXEC_RIGHTS"
"""Environment variable: the file of rights."""
DEVICE: Final = "REXEC_DEVICE"
"""Environment variable: name of the controller's entry."""
AUDIT: Final = "REXEC_AUDIT"
"""Environment variable: the file of the audit."""
AUDIT_CALLS: Final = "REXEC_AUDIT_CALLS"
"""Environment variable: "1" to record each call, too."""
AUDIT_BEST_EFFORT: Final = "REXEC_AUDIT_BEST_EFFORT"
"""Environment variable: "1" to run remote code that cannot be recorded."""
SUPERVISOR: Final = "REXEC_SUPERVISOR"
"""Environment variable: process id of the supervisor that has started the controller."""
_VARIABLES: Final = (RIGHTS, DEVICE, AUDIT, AUDIT_CALLS, AUDIT_BEST_EFFORT, SUPERVISOR)
_SECONDS_BETWEEN_WARNINGS: Final = 60.0
_FULL: Final = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


class GuardedClient(Protocol):
    """A connection, as a guard sees it."""

    peer: str
    target_name: str
    granted: tuple[DeviceRights, Right] | None
    was_refused: bool

    @property
    def identity(self) -> Identity:
        """Who the client is."""


class AccessGuard:
    """Admits the requests of clients, and writes down what was done.

    Args:
        rights: Who may do what; None: everyone everything.
        audit: Where connections, remote code and refusals are recorded; None: nowhere.
        calls: Whether to record each call, too.
        best_effort: Whether to run remote code that cannot be recorded (full disk).
        device: Name of the controller's entry, for the records.
        supervisor: Process that connects every few seconds to see whether the server answers; 0: none.

    """

    def __init__(
        self,
        rights: RightsFile | None = None,
        audit: AuditLog | None = None,
        *,
        calls: bool = False,
        best_effort: bool = False,
        device: str = "",
        supervisor: int = 0,
    ) -> None:
        self.rights = rights
        self.audit = audit
        self.records_calls = calls and audit is not None
        self._best_effort = best_effort
        self._device = device
        self._supervisor = supervisor
        self._probes = 0
        """Connections of the supervisor since the last record."""
        self._budget = RecordBudget()
        self._lock = threading.Lock()
        self._warned_at = -_SECONDS_BETWEEN_WARNINGS
        self.record("start", None, {"pid": os.getpid()})

    def allows(self, client: GuardedClient, needed: Right) -> bool:
        """Return whether a client has a right."""
        if self.rights is None:
            return True
        rights = self.rights.now()
        if client.granted is None or client.granted[0] is not rights:
            client.granted = rights, rights.of(client.identity)
        return client.granted[1] >= needed

    def refused(self, client: GuardedClient, what: str, needed: Right) -> PermissionError:
        """Record a refusal; return the error that says who, what, which entry and line.

        Args:
            client: The connection.
            what: What it asked for, after "may not".
            needed: The right that this takes.

        """
        client.was_refused = True
        if self.rights is None:
            return PermissionError(REFUSED)
        rights = self.rights.now()
        self.record_bounded("refused", client, {"what": what, "needs": needed.word, "entry": rights.place})
        return PermissionError(rights.refusal(client.identity, what, needed))

    def admit_code(self, client: GuardedClient | None, source: str, where: str) -> None:
        """Record a piece of remote code before it runs.

        Args:
            client: The connection; None where it is not known.
            source: The code.
            where: Its file, or how it came.

        Raises:
            PermissionError: It cannot be recorded.

        """
        if self.audit is None:
            return
        try:
            self.audit.append_code({**self._facts(client), "code": where}, source)
        except OSError as error:
            self._warn(error)
            if not self._best_effort:
                remedy = "Make room" if error.errno in _FULL else "Make it writable"
                raise PermissionError(
                    f"{REFUSED}remote code is not run, because it cannot be recorded in {self.audit.path}: "
                    f"{error.strerror or error}. {remedy}, or start the controller with --audit-best-effort"
                ) from error

    def record_arrival(self, client: GuardedClient) -> None:
        """Record a connection. Those of the supervisor are counted, because they would be most of the audit."""
        who = client.identity
        if (
            self._supervisor
            and who.pid == self._supervisor
            and who.is_proven
            and who.name == own_identity().name
        ):
            with self._lock:
                self._probes += 1
        else:
            self.record_bounded("connect", client, {})

    def record_bounded(self, kind: str, client: GuardedClient, facts: dict[str, Any]) -> None:
        """Record an event that takes no right, within the budget of this client."""
        if self.audit is None:
            return
        who = client.identity
        with self._lock:  # of the I/O thread and the loop's
            dropped = self._budget.spend(who.name if who.is_proven else network_of(client.peer))
        if dropped is not None:
            self.record(kind, client, {**facts, "dropped": dropped} if dropped else facts)

    def record(self, kind: str, client: GuardedClient | None, facts: dict[str, Any]) -> None:
        """Record an event that happens even if this fails: the failure is logged, and counted in the next record."""
        if self.audit is not None:
            with self._lock:
                probes, self._probes = self._probes, 0
            counted = {"probes": probes} if probes else {}
            try:
                self.audit.append(kind, {**self._facts(client), **facts, **counted})
            except OSError as error:
                self._warn(error)

    def _facts(self, client: GuardedClient | None) -> dict[str, Any]:
        facts: dict[str, Any] = {"device": self._device} if self._device else {}
        if client is not None:
            who = client.identity
            facts |= {"person": who.name, "known_by": who.known_by, "host": who.host, "peer": client.peer}
            further = {"program": who.program, "run": who.run, "pid": who.pid, "target": client.target_name}
            facts |= {name: value for name, value in further.items() if value}
        return facts

    def _warn(self, error: OSError) -> None:
        now = time.monotonic()
        if self.audit is not None and now - self._warned_at > _SECONDS_BETWEEN_WARNINGS:
            self._warned_at = now
            _log.error("%s cannot be written: %s", self.audit.path, error.strerror or error)


def note_code(source: str, where: str) -> None:
    """Record code that the agent of remote functions is about to run, as a part of a client's request.

    Args:
        source: The code.
        where: Its file.

    Raises:
        PermissionError: It cannot be recorded.

    """
    client: Any = calling_client()
    guard = getattr(client, "guard", None)
    if guard is not None:
        guard.admit_code(client, source, where)


_guards: Final[list[AccessGuard | None]] = []


def process_guard() -> AccessGuard | None:
    """Return the guard of this process, made from its environment when first asked for; None where that asks for none.

    The variables are then removed: another server that a controller starts is not the controller.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: A file of rights is none, or does not have the controller.

    """
    if not _guards:
        _guards.append(_from_environment())
        for name in _VARIABLES:
            os.environ.pop(name, None)
    return _guards[0]


def _from_environment() -> AccessGuard | None:
    given = {name: os.environ.get(name, "") for name in _VARIABLES}
    if not (given[RIGHTS] or given[AUDIT]):
        return None
    rights = None
    if given[RIGHTS]:
        try:
            rights = RightsFile(Path(given[RIGHTS]), given[DEVICE])
        except ValueError as error:
            raise ValueError(f"{given[RIGHTS]} gives no rights on {given[DEVICE]!r}: {error}") from error
    best_effort = given[AUDIT_BEST_EFFORT] == "1"
    audit = _audit(Path(given[AUDIT]), best_effort) if given[AUDIT] else None
    calls = given[AUDIT_CALLS] == "1"
    supervisor = int(given[SUPERVISOR]) if given[SUPERVISOR].isdecimal() else 0
    return AccessGuard(
        rights, audit, calls=calls, best_effort=best_effort, device=given[DEVICE], supervisor=supervisor
    )


def _audit(path: Path, best_effort: bool) -> AuditLog | None:
    try:
        return AuditLog(path)
    except OSError as error:
        if not best_effort:
            raise
        _log.error("there is no audit: %s", error)
        return None

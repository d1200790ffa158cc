"""Finds the cause why one device does not answer."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from devicedb import DeviceDatabase, DeviceDBError, Endpoint
from devicedb.suggest import did_you_mean
from rexec.access.rights import is_refusal
from rexec.devices.connect import ssl_config
from rexec.devices.errors import start_advice
from rexec.devices.leases import users_of
from rexec.doctor import elsewhere
from rexec.doctor.diagnosis import Diagnosis
from rexec.doctor.greeting import Failed, greet
from rexec.wire._protocol import INTRODUCTION
from rexec.wire.connection import Greeting
from rexec.wire.errors import CallTimeout, WireError
from rexec.wire.pc_rpc import Client

Check = Callable[[Endpoint, Client], None]
"""A laboratory's own check: raises on a problem."""

CLOCK_TOLERANCE: Final = 1.0
"""Allowed difference of a clock from this machine's, in seconds."""

_CONNECT_SHARE: Final = 0.7
"""Share of the time limit for connecting; the rest is for the search on other hosts."""

_GREET_SHARE: Final = 0.95
"""Share of the time limit after which a server without a greeting counts as silent."""

_ABSENT: Final = frozenset({"refused", "unroutable", "unresolved", "no-accept"})
"""Causes for which the controller is searched on other hosts."""

_PROBE: Final = """
def rexec_doctor_probe():
    import platform
    from importlib import metadata
    versions = {}
    for name in ("artiq-rexec", "sipyco", "artiq", "numpy"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "host": platform.node(), "versions": versions}

def rexec_doctor_clock():
    import time
    return time.time()
"""


@dataclass(frozen=True)
class Audit:
    """The parameters of the examinations of all devices.

    Args:
        database: The device database.
        timeout: Seconds for all steps of one device.
        checks: The laboratory's checks, called with the endpoint and a connected client if all other steps succeed.
        hosts: Hosts on which a missing controller is searched, besides this machine and the hosts of the database.

    """

    database: DeviceDatabase
    timeout: float
    checks: Mapping[str, Check] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()


def diagnose(
    audit: Audit,
    name: str,
    at: Callable[[str], None] = lambda step: None,
    deadline: float | None = None,
) -> Diagnosis:
    """Examine one device.

    Args:
        audit: Device database, time limit and checks.
        name: A controller, an auxiliary target or an alias of one.
        at: Called with the name of each step before it begins.
        deadline: `time.monotonic()` at which to give up; None: `audit.timeout` from now.

    """
    if deadline is None:
        deadline = time.monotonic() + audit.timeout
    try:
        endpoint = audit.database.endpoint(name)
    except DeviceDBError as error:
        return Diagnosis(name, "entry", str(error))
    base = Diagnosis(name, "ok", "", endpoint.address, endpoint.target_name)
    try:
        at("the look-up of its host, or its greeting,")
        connect_deadline = deadline - (1 - _CONNECT_SHARE) * audit.timeout
        greet_deadline = deadline - (1 - _GREET_SHARE) * audit.timeout
        greeting = greet(endpoint.host, endpoint.port, endpoint.tls, greet_deadline, connect_deadline)
        target = _target(audit.database, endpoint, greeting)
    except Failed as failure:
        at("the search on other hosts")
        return _failed(audit, base, endpoint, failure, deadline)
    base = replace(base, target=target, details={"description": greeting.description})
    try:
        at("a call")
        own = audit.database.raw[endpoint.controller].get("target_name")
        found = _call(base, endpoint, target, own, deadline, audit.checks, at)
    except CallTimeout:
        return replace(base, cause="busy", message="it shakes hands, but does not answer a call in time: it is in "
                       "a long call, or its driver hangs")  # fmt: skip
    except (WireError, OSError) as error:
        return replace(base, cause="closed", message=f"the connection was lost during a call: {error}")
    allow = audit.database.raw[endpoint.controller].get("allow")
    if found.cause == "ok" and allow is not None and INTRODUCTION not in greeting.features:
        return replace(
            found, cause="not-enforced", message="its entry has 'allow', but it is a stock server, which does not know "
            "that: everyone who reaches its port may do everything"
        )  # fmt: skip
    if found.cause == "ok" and "pyon_v2" not in greeting.features:
        return replace(
            found, cause="old", message="it speaks only the old protocol (PYON v1), which is slower"
        )
    return found


def _failed(audit: Audit, base: Diagnosis, endpoint: Endpoint, failure: Failed, deadline: float) -> Diagnosis:
    """Return the diagnosis of a server that could not be reached, or is not the expected one."""
    cause, message = failure.cause, str(failure)
    if cause in _ABSENT:
        hosts = elsewhere.candidates(audit.database, endpoint, audit.hosts)
        host = elsewhere.look(hosts, endpoint, deadline)
        if host is not None:
            cause, message = "wrong-machine", f"{message}, {elsewhere.where(host, endpoint)}"
        elif cause == "refused":
            entry = audit.database.raw[endpoint.controller]
            message += f". {start_advice(endpoint, entry, os.environ.get('ARTIQ_SSL_DIR'))}"
        return replace(base, cause=cause, message=message)
    return replace(base, cause=cause, message=message)


def _target(database: DeviceDatabase, endpoint: Endpoint, greeting: Greeting) -> str:
    """Return the target to use; Failed names the server's targets and whose controller it may be."""
    has = ", ".join(greeting.targets) or "none"
    wanted = endpoint.target_name
    if wanted is None:
        if len(greeting.targets) == 1:
            return greeting.targets[0]
        raise Failed("target", f"the entry names no target, and the server has several: {has}")
    if wanted in greeting.targets:
        return wanted
    others = [
        name
        for name, raw in database.raw.items()
        if isinstance(raw, dict)
        and name != endpoint.entry_name
        and raw.get("target_name") in greeting.targets
    ]
    whose = f" It looks like the controller of {others[0]!r}." if others else ""
    # Controllers are often started without the remote execution of their auxiliary entry.
    own = database.raw[endpoint.controller].get("target_name")
    is_without = own in greeting.targets and wanted != own and wanted.endswith("rexec")
    hint = " Was it started without remote execution?" if is_without else ""
    raise Failed(
        "target",
        f"it has no target {wanted!r}; it has {has}.{whose}{did_you_mean(wanted, greeting.targets)}{hint}",
    )


def _call(
    base: Diagnosis,
    endpoint: Endpoint,
    target: str,
    own: str | None,
    deadline: float,
    checks: Mapping[str, Check],
    at: Callable[[str], None],
) -> Diagnosis:
    """Ping the target, or run code on it if it has remote execution; then run the laboratory's checks.

    `own` is the target of the controller's own entry.
    """

    def left() -> float:
        return max(0.05, deadline - time.monotonic())

    with Client(
        endpoint.host, endpoint.port, target, left(), ssl_config(endpoint.tls),
        handshake_timeout=left(), call_timeout=left(), reconnect_timeout=0.0,
    ) as client:  # fmt: skip
        base = replace(base, users=users_of(client, endpoint, own))
        began = time.monotonic()
        if hasattr(client, "add_code") and hasattr(client, "call"):
            found = _remote(base, client)
        elif hasattr(client, "ping"):
            found = _ping(base, client)
        else:
            found = replace(base, cause="ping-missing", message="its driver has no ping(), so a controller manager "
                            "cannot test the instrument")  # fmt: skip
        found = replace(found, milliseconds=found.milliseconds or 1e3 * (time.monotonic() - began))
        if found.severity == "error":
            return found
        for title, check in checks.items():
            at(title)
            try:
                check(endpoint, client)
            except WireError:
                raise
            except (Exception, SystemExit) as error:
                return replace(found, cause="check", message=f"{title}: {type(error).__name__}: {error}")
    return found


def _ping(base: Diagnosis, client: Client) -> Diagnosis:
    began = time.monotonic()
    try:
        well = client.ping()
    except WireError:
        raise
    except Exception as error:
        if is_refusal(error):
            return replace(base, cause="not-allowed", message=str(error))
        return replace(
            base, cause="ping-failed", message=f"its ping() raised {type(error).__name__}: {error}"
        )
    if not well:
        return replace(base, cause="ping-failed", message="its ping() reports a problem of the instrument")
    return replace(base, milliseconds=1e3 * (time.monotonic() - began))


def _remote(base: Diagnosis, client: Client) -> Diagnosis:
    try:
        client.add_code(_PROBE)
        told: dict[str, Any] = client.call("rexec_doctor_probe")
        sent, began = time.time(), time.monotonic()
        clock: float = client.call("rexec_doctor_clock")
        seconds = time.monotonic() - began
    except WireError:
        raise
    except Exception as error:
        if is_refusal(error):
            return replace(base, cause="not-allowed", message=str(error))
        return replace(
            base, cause="rexec-failed", message=f"remote code failed: {type(error).__name__}: {error}"
        )
    # The remote clock was read about half a round trip after the call was sent.
    offset = clock - (sent + seconds / 2)
    found = replace(
        base, milliseconds=1e3 * seconds, details={**base.details, **told, "clock_offset": offset}
    )
    if abs(offset) > CLOCK_TOLERANCE + seconds / 2:
        order = "ahead of" if offset > 0 else "behind"
        message = f"its clock is {abs(offset):.1f} s {order} this machine's: its time stamps will be wrong"
        return replace(found, cause="clock", message=message)
    return found

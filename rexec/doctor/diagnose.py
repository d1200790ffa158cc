"""Finds out what is the matter with one device."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from devicedb import DeviceDatabase, DeviceDBError, Endpoint
from devicedb.suggest import did_you_mean
from rexec.devices.connect import ssl_config
from rexec.devices.errors import start_advice
from rexec.doctor import elsewhere
from rexec.doctor.finding import Finding
from rexec.doctor.greeting import Failed, Greeting, greet
from rexec.wire.errors import CallTimeout, WireError
from rexec.wire.pc_rpc import Client

Check = Callable[[Endpoint, Client], None]
"""A check of a laboratory's own: raises if something is wrong."""

CLOCK_TOLERANCE: Final = 1.0
"""Seconds by which a clock may differ from this machine's."""

_CONNECT_SHARE: Final = 0.7
"""Share of the time for connecting; the rest is for looking elsewhere."""

_GREET_SHARE: Final = 0.95
"""Share of the time after which a server that says nothing is silent."""

_ABSENT: Final = frozenset({"refused", "unroutable", "unresolved", "no-accept"})
"""Causes with which a controller may be somewhere else."""

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
    """What the examinations of all devices share.

    Args:
        database: The device database.
        timeout: Seconds for all steps of one device together.
        checks: The laboratory's own, called with the endpoint and a connected client where all else is well.
        hosts: Where a controller that is not at its place is looked for, beside this machine and the database's hosts.

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
) -> Finding:
    """Return what is the matter with a device, or that all is well.

    Args:
        audit: What is to be examined, and how long.
        name: The device: a controller, an auxiliary target or an alias of one.
        at: Told of each step before it is made.
        deadline: `time.monotonic()` at which to give up, where the time has begun already.

    """
    if deadline is None:
        deadline = time.monotonic() + audit.timeout
    try:
        endpoint = audit.database.endpoint(name)
    except DeviceDBError as error:
        return Finding(name, "entry", str(error))
    base = Finding(name, "ok", "", endpoint.address, endpoint.target_name)
    try:
        at("resolving its host, or its greeting,")
        connect_deadline = deadline - (1 - _CONNECT_SHARE) * audit.timeout
        greet_deadline = deadline - (1 - _GREET_SHARE) * audit.timeout
        greeting = greet(endpoint.host, endpoint.port, endpoint.tls, greet_deadline, connect_deadline)
        target = _target(audit.database, endpoint, greeting)
    except Failed as failure:
        at("looking for it on other hosts")
        return _failed(audit, base, endpoint, failure, deadline)
    base = replace(base, target=target, details={"description": greeting.description})
    try:
        at("a call")
        found = _call(base, endpoint, target, deadline, audit.checks, at)
    except CallTimeout:
        return replace(base, cause="busy", message="it shakes hands, but does not answer a call in time: a long "
                       "call goes on, or its driver hangs")  # fmt: skip
    except (WireError, OSError) as error:
        return replace(base, cause="closed", message=f"the connection is lost in a call: {error}")
    if found.cause == "ok" and "pyon_v2" not in greeting.features:
        return replace(
            found, cause="old", message="it speaks the old protocol (PYON v1) only; it works, slower"
        )
    return found


def _failed(audit: Audit, base: Finding, endpoint: Endpoint, failure: Failed, deadline: float) -> Finding:
    """Return the finding for a server that could not be reached, or is not what it should be."""
    cause, message = failure.cause, str(failure)
    if cause in _ABSENT:
        hosts = elsewhere.candidates(audit.database, endpoint, audit.hosts)
        host = elsewhere.look(hosts, endpoint, deadline)
        if host is not None:
            cause, message = "wrong-machine", f"{message}, {elsewhere.where(host, endpoint)}"
        elif cause == "refused":
            entry = audit.database.raw[endpoint.controller]
            up = f"rexec up {endpoint.controller}"
            message += f". {start_advice(endpoint, entry, os.environ.get('ARTIQ_SSL_DIR'), up)}"
        return replace(base, cause=cause, message=message)
    return replace(base, cause=cause, message=message)


def _target(database: DeviceDatabase, endpoint: Endpoint, greeting: Greeting) -> str:
    """Return the target to use; Failed says what is there, and whose it is."""
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
    # A controller is often started without what an auxiliary entry counts on.
    own = database.raw[endpoint.controller].get("target_name")
    is_without = own in greeting.targets and wanted != own and wanted.endswith("rexec")
    hint = " Was it started without remote execution?" if is_without else ""
    raise Failed(
        "target",
        f"it has no target {wanted!r}; it has {has}.{whose}{did_you_mean(wanted, greeting.targets)}{hint}",
    )


def _call(
    base: Finding,
    endpoint: Endpoint,
    target: str,
    deadline: float,
    checks: Mapping[str, Check],
    at: Callable[[str], None],
) -> Finding:
    """Ping the target, or send it code where it has remote execution; then the laboratory's own checks."""

    def left() -> float:
        return max(0.05, deadline - time.monotonic())

    with Client(
        endpoint.host, endpoint.port, target, left(), ssl_config(endpoint.tls),
        handshake_timeout=left(), call_timeout=left(), reconnect_timeout=0.0,
    ) as client:  # fmt: skip
        began = time.monotonic()
        if hasattr(client, "add_code") and hasattr(client, "call"):
            found = _remote(base, client)
        elif hasattr(client, "ping"):
            found = _ping(base, client)
        else:
            found = replace(base, cause="ping-missing", message="its driver has no ping(): no manager can tell "
                            "whether the instrument is well")  # fmt: skip
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


def _ping(base: Finding, client: Client) -> Finding:
    began = time.monotonic()
    try:
        well = client.ping()
    except WireError:
        raise
    except Exception as error:
        return replace(
            base, cause="ping-failed", message=f"its ping() raises {type(error).__name__}: {error}"
        )
    if not well:
        return replace(base, cause="ping-failed", message="its ping() says that the instrument is not well")
    return replace(base, milliseconds=1e3 * (time.monotonic() - began))


def _remote(base: Finding, client: Client) -> Finding:
    try:
        client.add_code(_PROBE)
        told: dict[str, Any] = client.call("rexec_doctor_probe")
        sent, began = time.time(), time.monotonic()
        clock: float = client.call("rexec_doctor_clock")
        seconds = time.monotonic() - began
    except WireError:
        raise
    except Exception as error:
        return replace(
            base, cause="rexec-failed", message=f"code sent there fails: {type(error).__name__}: {error}"
        )
    # The remote clock was read about half a round trip after the call was sent.
    offset = clock - (sent + seconds / 2)
    found = replace(
        base, milliseconds=1e3 * seconds, details={**base.details, **told, "clock_offset": offset}
    )
    if abs(offset) > CLOCK_TOLERANCE + seconds / 2:
        order = "ahead of" if offset > 0 else "behind"
        message = f"its clock is {abs(offset):.1f} s {order} this machine's: its time stamps will not fit"
        return replace(found, cause="clock", message=message)
    return found

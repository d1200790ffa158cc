"""Rules about controllers beside their commands: targets, ports, certificates, remote execution."""

from collections.abc import Iterator
from typing import Any

from devicedb.model.database import CheckedDatabase, Entry, is_known, is_loopback
from devicedb.rules.registry import Hit, Severity, database_rule, entry_rule
from devicedb.rules.repairs import rename_key

GOOD = (
    'device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "target_name": "camera"}}\n'
)
AUX = '"rexec": {"type": "controller_aux_target", "controller": "camera", "target_name": "camera_rexec"}'
KINDS = ("controller",)
_CERTIFICATES = '"simple_ssl_config": {"client_cert": "c.pem", "client_key": "k.pem", "server_cert": "s.pem"}'


@entry_rule(
    "DDB401",
    Severity.WARNING,
    "target written for target_name",
    why="The manual says `target`, but the code reads `target_name`: the line has no effect.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "target": "camera"}}\n',
    good=GOOD,
    kinds=KINDS,
)
def target_for_target_name(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    if "target" in entry.raw and "target_name" not in entry.raw:
        text = f"{entry.name!r} has 'target', which nothing reads: the automatic choice of a target is made"
        repair = rename_key(entry.key_at("target"), "target", "target_name")
        yield Hit(entry.key_at("target"), text, repair.title, entry.name, repair=repair)


@database_rule(
    "DDB408",
    Severity.ERROR,
    "two controllers would start on one port",
    why="The second one finds its port in use, exits, and is restarted forever.",
    bad="device_db = {\n"
    '    "a": {"type": "controller", "host": "::1", "port": 3286, "command": "aqctl_a -p {port}"},\n'
    '    "b": {"type": "controller", "host": "::1", "port": 3286, "command": "aqctl_b -p {port}"},\n}\n',
    good="device_db = {\n"
    '    "a": {"type": "controller", "host": "::1", "port": 3286, "command": "aqctl_a -p {port}"},\n'
    '    "b": {"type": "controller", "host": "::1", "port": 3287, "command": "aqctl_b -p {port}"},\n}\n',
)
def port_conflict(db: CheckedDatabase) -> Iterator[Hit]:
    taken: dict[tuple[str, int], tuple[Entry, str]] = {}
    for entry in db.of_kind("controller"):
        host = entry.text("host")
        if entry.text("command") is None or not host:
            continue
        place = "this machine" if is_loopback(host) else host
        for name in ("port", "port_proxy"):
            port = _port(entry.raw.get(name))
            if port is None:
                continue
            other, other_name = taken.setdefault((place, port), (entry, name))
            if (other is entry and other_name == name) or (other is not entry and other.raw is entry.raw):
                continue
            what = "itself" if other is entry else f"{other.name!r}"
            text = f"{entry.name!r} would start with {name!r} {port} on {host}, which {what} has as {other_name!r}"
            yield Hit(entry.at(name), text, "give one of them another port", entry.name)


def _port(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@entry_rule(
    "DDB409",
    Severity.ERROR,
    "certificate missing in simple_ssl_config",
    why="All three are needed: each side presents a certificate and trusts only the other's.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283,\n'
    '    "simple_ssl_config": {"client_cert": "c.pem", "client_key": "k.pem"}}}\n',
    good=f'device_db = {{"camera": {{"type": "controller", "host": "::1", "port": 6283,\n    {_CERTIFICATES}}}}}\n',
    kinds=KINDS,
)
def incomplete_tls(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    config = entry.raw.get("simple_ssl_config")
    if not isinstance(config, dict):
        return
    for name in ("client_cert", "client_key", "server_cert"):
        value = config.get(name)
        if name not in config:
            text = f"'simple_ssl_config' of {entry.name!r} has no {name!r}"
            yield Hit(entry.at("simple_ssl_config"), text, f'add "{name}"', entry.name)
        elif is_known(value) and not (isinstance(value, str) and value):
            text = f"{name!r} in 'simple_ssl_config' of {entry.name!r} is no path"
            yield Hit(entry.at("simple_ssl_config", name), text, "", entry.name)


@database_rule(
    "DDB410",
    Severity.WARNING,
    "remote execution beyond this machine without TLS",
    why="Remote execution runs any code on that machine, for everyone who can reach the port.",
    bad="device_db = {\n"
    '    "camera": {"type": "controller", "host": "10.0.0.3", "port": 6283, "target_name": "camera"},\n'
    f"    {AUX},\n}}\n",
    good="device_db = {\n"
    '    "camera": {"type": "controller", "host": "10.0.0.3", "port": 6283, "target_name": "camera",\n'
    f"        {_CERTIFICATES}}},\n    {AUX},\n}}\n",
)
def open_remote_execution(db: CheckedDatabase) -> Iterator[Hit]:
    for name, targets in db.rexec_controllers.items():
        controller = db.entries[name]
        host = controller.raw.get("host")
        if is_loopback(host) or not isinstance(host, str) or not host:
            continue
        if controller.raw.get("simple_ssl_config") is not None:
            continue
        for entry in targets:
            text = f"{entry.name!r} offers remote execution on {host} without TLS: anyone may run code there"
            yield Hit(entry.at("target_name"), text, f"give {name!r} a 'simple_ssl_config'", entry.name)


@database_rule(
    "DDB411",
    Severity.INFO,
    "pings may end a controller during a long remote call",
    why="The manager pings each controller and ends one that does not answer. A stock server does not answer during "
    "a call, so a call longer than ping_timer + ping_timeout ends its controller.",
    bad='device_db = {\n    "camera": {"type": "controller", "host": "::1", "port": 6283, "target_name": "camera",\n'
    '        "command": "aqctl_camera -p {port} --bind {bind}", "ping_timer": 5, "ping_timeout": 5},\n'
    f"    {AUX},\n}}\n",
    good='device_db = {\n    "camera": {"type": "controller", "host": "::1", "port": 6283, "target_name": "camera",\n'
    f'        "command": "aqctl_camera -p {{port}} --bind {{bind}}", "ping_timeout": 600}},\n    {AUX},\n}}\n',
)
def impatient_ping(db: CheckedDatabase) -> Iterator[Hit]:
    for name in db.rexec_controllers:
        raw = db.entries[name].raw
        timer, timeout = raw.get("ping_timer", 30), raw.get("ping_timeout", 30)
        if raw.get("command") is None or not all(type(each) in (int, float) for each in (timer, timeout)):
            continue
        if timer + timeout < 120:
            text = f"a remote call over {timer + timeout:g} s on {name!r} may have its controller ended by the manager"
            site = db.entries[name].at("ping_timer" if "ping_timer" in raw else "ping_timeout")
            yield Hit(site, text, 'raise "ping_timeout", or run long work as a job', name)

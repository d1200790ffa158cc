"""What one name of a device database stands for, as lines of text."""

import os
import pprint

from devicedb.command import as_typed, command_line
from devicedb.database import DeviceDatabase
from devicedb.errors import DeviceDBError
from devicedb.resolve import Endpoint, Resolution, arrows


def describe(database: DeviceDatabase, name: str) -> list[str]:
    """Return lines that tell what a name stands for: its aliases, the entry as written, and how to connect to it.

    Raises:
        DeviceDBError: As `DeviceDatabase.resolve` and `endpoint`.

    """
    resolution = database.resolve(name)
    lines = _describe_entry(resolution)
    if resolution.entry.type in {"controller", "controller_aux_target"}:
        lines += _describe_endpoint(database, database.endpoint(name))
    return lines


def _describe_entry(resolution: Resolution) -> list[str]:
    lines = [f"{resolution.name}"]
    if len(resolution.chain) > 1:
        lines.append(f"  aliases      {arrows(resolution.chain)}")
    lines.append(f"  type         {resolution.entry.type}")
    shown = pprint.pformat(resolution.raw, width=90, sort_dicts=False).splitlines()
    lines += [f"  {'entry' if not index else '':12} {line}" for index, line in enumerate(shown)]
    return lines


def _describe_endpoint(database: DeviceDatabase, endpoint: Endpoint) -> list[str]:
    facts = [("address", endpoint.address)]
    if endpoint.controller != endpoint.entry_name:
        facts.insert(0, ("controller", endpoint.controller))
    facts.append(("target", endpoint.target_name or "(the only one that the server has)"))
    facts.append(("best effort", "yes" if endpoint.best_effort else "no"))
    if endpoint.tls is None:
        facts.append(("TLS", "no"))
    else:
        facts.append(("TLS", f"client {endpoint.tls.client_cert}, key {endpoint.tls.client_key}"))
        facts.append(("", f"server {endpoint.tls.server_cert}"))
    if endpoint.command is None:
        facts.append(("command", "none: something else starts it"))
    else:
        facts.append(("command", _command(database, endpoint)))
    return [f"  {name:12} {value}" for name, value in facts]


def _command(database: DeviceDatabase, endpoint: Endpoint) -> str:
    entry = database.raw[endpoint.controller]
    try:
        words = command_line(
            endpoint.controller, entry, bind=endpoint.host, ssl_dir=os.environ.get("ARTIQ_SSL_DIR")
        )
    except DeviceDBError as error:
        return f"cannot be formatted: {error}"
    return as_typed(words)

"""`devicedb show`: a table of the devices, or the whole resolution of one."""

import argparse
import os
import pprint
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from devicedb.cli.options import add_device_db, console
from devicedb.cli.parser import CommandParser
from devicedb.command import command_line
from devicedb.database import DeviceDatabase, load_file
from devicedb.errors import DeviceDBError
from devicedb.resolve import Endpoint, Resolution, arrows, validate_entry, walk

if TYPE_CHECKING:
    from rich.table import Table


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb show`."""
    parser = CommandParser(
        prog="devicedb show",
        description="List the devices of a device database, or show what one name stands for: the aliases "
        "walked, the entry as written, and for a controller host, port, target, certificates and the command "
        "that starts it.",
        epilog="examples:\n  devicedb show\n  devicedb show rexec --device-db lab/device_db.py\n\n"
        "Exit status: 0 it is shown, 2 the database could not be loaded, or has no such device.",
    )
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="a device or an alias (default: list them all)"
    )
    add_device_db(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the table or the resolution."""
    arguments = get_argparser().parse_args(argv)
    database = load_file(arguments.device_db)
    if arguments.name is None:
        print(f"{len(database)} names in {database.origin}")
        console().print(table(database))
        return 0
    resolution = database.resolve(arguments.name)
    lines = describe(resolution)
    if resolution.entry.type in {"controller", "controller_aux_target"}:
        lines += describe_endpoint(database, database.endpoint(arguments.name))
    print("\n".join(lines))
    return 0


def table(database: DeviceDatabase) -> "Table":
    """Return a table with a row for each name: what kind it is and where it leads."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    found = Table(box=box.SIMPLE_HEAD)
    for column in ("name", "type", "leads to"):
        found.add_column(column, overflow="fold")
    for name, value in database.raw.items():
        kind, where, is_broken = _row(database, name, value)
        found.add_row(Text(name), Text(kind), Text(where, style="red" if is_broken else ""))
    return found


def _row(database: DeviceDatabase, name: str, value: object) -> tuple[str, str, bool]:
    """The type of an entry, where it leads, and whether it is broken."""
    if isinstance(value, str):
        try:
            return "alias", arrows(walk(database.raw, name, database.origin)[1:]), False
        except DeviceDBError as error:
            return "alias", str(error), True
    try:
        entry = validate_entry(name, value, database.origin)
        match entry.type:
            case "local":
                return entry.type, f"{entry.module}.{entry.class_}", False
            case "dummy":
                return entry.type, "", False
            case "controller" if entry.host is None:
                return entry.type, "host None", False
            case _:
                # Certificates are looked at when one device is shown, not for a list.
                endpoint = database.endpoint(name, environ=_AnySSLDir())
                return entry.type, f"{endpoint.address} {endpoint.target_name or ''}".rstrip(), False
    except DeviceDBError as error:
        kind = value.get("type") if isinstance(value, dict) else None
        return str(kind or "?"), str(error), True


class _AnySSLDir(dict[str, str]):
    """An environment in which every variable stands for itself."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return f"${key}"


def describe(resolution: Resolution) -> list[str]:
    """Return lines that tell which entry a name stands for, and the entry as written."""
    lines = [f"{resolution.name}"]
    if len(resolution.chain) > 1:
        lines.append(f"  aliases      {arrows(resolution.chain)}")
    lines.append(f"  type         {resolution.entry.type}")
    shown = pprint.pformat(resolution.raw, width=90, sort_dicts=False).splitlines()
    lines += [f"  {'entry' if not index else '':12} {line}" for index, line in enumerate(shown)]
    return lines


def describe_endpoint(database: DeviceDatabase, endpoint: Endpoint) -> list[str]:
    """Return lines that tell how a client connects to a device, and how its server is started."""
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
    return shlex.join(words)

"""`devicedb show`: a table of the devices, or the whole resolution of one."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from devicedb.cli.options import add_device_db
from devicedb.cli.output import console, lines_that_fit
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say, say_document
from devicedb.database import DeviceDatabase, load_file
from devicedb.describe import describe
from devicedb.errors import DeviceDBError
from devicedb.plain import plain
from devicedb.printable import printable
from devicedb.resolve import arrows, validate_entry, walk
from devicedb.rights import file_of_rights

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_HEADINGS: Final = ("name", "type", "leads to")
_LONGEST_NAME: Final = 24
"""Columns of the terminal that a name has for itself at least."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `devicedb show`."""
    parser = CommandParser(
        prog="devicedb show",
        description="List the devices of a device database, or show what one name stands for: the aliases "
        "walked, the entry as written, and for a controller host, port, target, certificates and the command "
        "that starts it.",
        epilog="examples:\n  devicedb show\n  devicedb show rexec --device-db lab/device_db.py\n"
        "  devicedb show --rights > rights.json\n\n"
        "Exit status: 0 shown, 2 the database cannot be loaded or has no such device.",
    )
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="a device or an alias (default: list them all)"
    )
    parser.add_argument(
        "--rights",
        action="store_true",
        help="print what the entries allow, as the JSON file that a controller takes with --rights",
    )
    add_device_db(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Print the table or the resolution."""
    arguments = get_argparser().parse_args(argv)
    database = load_file(arguments.device_db)
    if arguments.rights:
        say_document(file_of_rights(database))
        return 0
    if arguments.name is None:
        say(f"{len(database)} names in {database.origin}")
        print_table(database, console())
        return 0
    for line in describe(database, arguments.name):
        say(line)
    return 0


def print_table(database: DeviceDatabase, output: "Console") -> None:
    """Print a row for each name: what kind it is and where it leads, in red if it is broken."""
    from rich.text import Text

    found = [(printable(name), *_row(database, name, value)) for name, value in database.raw.items()]
    rows = [(name, printable(kind), printable(where)) for name, kind, where, _ in found]
    is_broken = [each[-1] for each in found]
    lines = lines_that_fit(_HEADINGS, rows, output.width)
    if lines is None:
        output.print(_folded(rows, is_broken))
        return
    output.print(Text(lines[0], style="bold"), soft_wrap=True)
    for line, is_red in zip(lines[1:], is_broken, strict=True):
        if is_red:
            output.print(Text(line, style="red"), soft_wrap=True)
        else:
            say(line)


def _folded(rows: Sequence[tuple[str, str, str]], is_broken: Sequence[bool]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    names = [Text(name) for name, _, _ in rows]
    longest = max((name.cell_len for name in names), default=0)
    # Names are not folded unless they leave no room for the rest.
    made.add_column("name", overflow="fold", min_width=min(longest, _LONGEST_NAME))
    for column in _HEADINGS[1:]:
        made.add_column(column, overflow="fold")
    for name, (_, kind, where), is_red in zip(names, rows, is_broken, strict=True):
        made.add_row(name, Text(kind), Text(where, style="red" if is_red else ""))
    return made


def _row(database: DeviceDatabase, name: str, value: object) -> tuple[str, str, bool]:
    """Return the type of an entry, where it leads, and whether it is broken."""
    if isinstance(value, str):
        try:
            return "alias", arrows(walk(database.raw, name, database.origin)[1:]), False
        except DeviceDBError as error:
            return "alias", str(error), True
    try:
        entry = plain(value) or validate_entry(name, value, database.origin)
        match entry.type:
            case "local":
                return entry.type, f"{entry.module}.{entry.class_}", False
            case "dummy":
                return entry.type, "", False
            case "controller" if entry.host is None:
                return entry.type, "host None", False
            case _:
                # Only `show NAME` looks up certificates.
                endpoint = database.endpoint(name, environ=_AnySSLDir())
                return entry.type, f"{endpoint.address} {endpoint.target_name or ''}".rstrip(), False
    except DeviceDBError as error:
        kind = value.get("type") if isinstance(value, dict) else None
        return str(kind or "?"), str(error), True


class _AnySSLDir(dict[str, str]):
    """An environment in which every variable has its name as its value."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return f"${key}"

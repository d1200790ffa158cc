"""`rexec doctor`: finds out why a device does not answer."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from rich.cells import cell_len, set_cell_size
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from devicedb.cli import output
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say, say_document
from devicedb.printable import LINES, printable
from rexec.cli._chosen import chosen_database
from rexec.cli._options import add_device_db, add_master, positive
from rexec.devices.leases import users_in_words
from rexec.doctor import Audit, Diagnosis
from rexec.doctor.audit import load_checks
from rexec.laboratory import LiveSnapshot
from rexec.laboratory.examined import examine

_STYLES: Final = {"ok": "green", "warning": "yellow", "error": "red"}
_HEADINGS: Final = ("device", "address", "cause", "target", "round trip")
_IDENTIFYING: Final = 3
"""How many of them are shown on any terminal."""
_NARROWEST: Final = 40
"""Minimum width of the last column, which holds sentences."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec doctor`."""
    parser = CommandParser(
        prog="rexec doctor",
        description="Test every controller of a device database, all at once, and name the cause if one does not\n"
        "answer. Targets with remote execution also run a function and report their clock.",
        epilog="examples:\n"
        "  rexec doctor                       every controller of ./device_db.py and its targets\n"
        "  rexec doctor camera --timeout 2\n"
        "  rexec doctor --master lab1 --format junit > doctor.xml\n"
        "  rexec doctor --checks checks.py    also run your own check_NAME(endpoint, client)\n\n"
        "Exit status: 0 no errors (with --strict: no warnings either), 1 something is wrong, 2 the audit could not\n"
        "run.",
    )
    add = parser.add_argument
    add(
        "names",
        metavar="NAME",
        nargs="*",
        help="devices or aliases (default: all controllers and their targets)",
    )
    add_device_db(parser)
    add_master(parser, "take the device database of the ARTIQ master on HOST instead of a file")
    add(
        "--timeout",
        metavar="SECONDS",
        type=positive,
        default=5.0,
        help="time limit for each device; all are tested at once (default: %(default)g)",
    )
    add(
        "--format",
        choices=("table", "json", "junit"),
        default="table",
        help="format of the report on standard output (default: %(default)s)",
    )
    add(
        "--checks",
        metavar="FILE",
        type=Path,
        help="Python file with your own checks: functions check_NAME(endpoint, client) that raise on a problem",
    )
    add("--strict", action="store_true", help="exit with status 1 for warnings, too")
    return parser


def main(argv: Sequence[str]) -> int:
    """Audit devices, print the diagnoses, and return the exit status."""
    options = get_argparser().parse_args(argv)
    database = chosen_database(options)
    for name in options.names:
        database.endpoint(name)  # a misspelt name is an error, not a diagnosis
    checks = load_checks(options.checks) if options.checks is not None else {}
    hosts = (options.master,) if options.master else ()
    laboratory = LiveSnapshot()
    examine(laboratory.writer(), Audit(database, options.timeout, checks, hosts), options.names)
    facts = laboratory.snapshot()["controllers"].values()
    findings = [each.diagnosis for each in facts if each.diagnosis is not None]
    if options.format == "json":
        say_document(json.dumps([each.as_dict() for each in findings], indent=2, default=str))
    elif options.format == "junit":
        say_document(junit(findings))
    else:
        print_table(findings)
    bad = {"error", "warning"} if options.strict else {"error"}
    return int(any(each.severity in bad for each in findings))


def print_table(findings: Sequence[Diagnosis]) -> None:
    """Print diagnoses as a table; on a narrow terminal, each message below its device."""
    if not findings:
        say("nothing to test: the device database has no controller")
        return
    console = output.console()
    rows = [_cells(each) for each in findings]
    widths = [max(map(cell_len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    if console.width - sum(widths) - 2 * len(widths) >= _NARROWEST:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in (*_HEADINGS, "finding"):
            table.add_column(heading, no_wrap=heading != "finding", overflow="fold")
        for row, each in zip(rows, findings, strict=True):
            table.add_row(*_styled(row, each), Text(said(each)))
        console.print(table)
        return
    count = output.columns_that_fit([_HEADINGS, *rows], console.width, keep=_IDENTIFYING)
    top = "  ".join(map(set_cell_size, _HEADINGS[:count], widths))
    console.print(Text(top.rstrip(), "bold"), soft_wrap=True)
    for row, each in zip(rows, findings, strict=True):
        wide = [set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True)]
        console.print(Text("  ").join(_styled(wide, each)[:count]), soft_wrap=True)
        console.print(Padding(Text(said(each), overflow="fold"), (0, 0, 0, 4)))


def _cells(finding: Diagnosis) -> list[str]:
    trip = f"{finding.milliseconds:.1f} ms" if finding.milliseconds is not None else ""
    return [*map(printable, (finding.name, finding.address, finding.cause, finding.target or "")), trip]


def _styled(cells: Sequence[str], finding: Diagnosis) -> list[Text]:
    return [Text(cell, _STYLES[finding.severity] if at == 2 else "") for at, cell in enumerate(cells)]


def said(finding: Diagnosis) -> str:
    """Return the message of a diagnosis, or the facts about a healthy device; and who uses it."""
    users = users_in_words(finding.users)
    used = [f"used by {users}"] if users else []
    if finding.message:
        return printable("; ".join([finding.message, *used]), keep=LINES)
    details = finding.details
    parts = [str(details["description"])] if details.get("description") else []
    if "clock_offset" in details:
        versions = "".join(f", {name} {version}" for name, version in details["versions"].items())
        clock = f"clock {details['clock_offset']:+.3f} s"
        parts.append(f"Python {details['python']}{versions} on {details['host']}, {clock}")
    return printable("; ".join([*parts, *used]))


def junit(findings: Sequence[Diagnosis]) -> str:
    """Return diagnoses as JUnit XML."""
    bad = [each for each in findings if each.severity == "error"]
    suite = Element("testsuite", name="rexec doctor", tests=str(len(findings)), failures=str(len(bad)))
    for each in findings:
        where, name = _xml_text(each.address or "device_db"), _xml_text(each.name)
        case = SubElement(suite, "testcase", classname=where, name=name)
        if each.severity == "error":
            SubElement(case, "failure", type=each.cause, message=_xml_text(each.message))
        elif each.severity == "warning":
            SubElement(case, "system-out").text = _xml_text(f"{each.cause}: {each.message}")
    return tostring(suite, encoding="unicode")


def _xml_text(text: str) -> str:
    """Escape the characters that XML 1.0 does not allow, or that a terminal obeys."""
    return printable(text, keep=LINES)

"""`rexec doctor`: why a device does not answer."""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from devicedb.cli.parser import CommandParser
from rexec.cli._options import add_device_db, add_master, chosen_database, positive
from rexec.doctor import Audit, Finding, run
from rexec.doctor.audit import load_checks

_STYLES: Final = {"ok": "green", "warning": "yellow", "error": "red"}
_HEADINGS: Final = ("device", "address", "target", "", "round trip")
_NARROWEST: Final = 40
"""Columns that a finding must have beside these; it is a sentence or two."""


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of `rexec doctor`."""
    parser = CommandParser(
        prog="rexec doctor",
        description="Ask every controller of a device database how it is, all at once, and name the cause where one\n"
        "does not answer. Targets with remote execution get a function sent, and are asked for their clock.",
        epilog="examples:\n"
        "  rexec doctor                       every controller of ./device_db.py and its targets\n"
        "  rexec doctor camera --timeout 2\n"
        "  rexec doctor --master lab1 --format junit > doctor.xml\n"
        "  rexec doctor --checks checks.py    with check_NAME(endpoint, client) of your own\n\n"
        "Exit status: 0 all well (warnings included, unless --strict), 1 something is wrong, 2 the audit could not\n"
        "be made.",
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
        help="how long a device may take to answer; all are asked at once (default: %(default)g)",
    )
    add(
        "--format",
        choices=("table", "json", "junit"),
        default="table",
        help="form of the report, on standard output (default: %(default)s)",
    )
    add(
        "--checks",
        metavar="FILE",
        type=Path,
        help="Python file of checks of your own: functions check_NAME(endpoint, client) that raise where something is "
        "wrong",
    )
    add("--strict", action="store_true", help="exit with 1 for warnings too")
    return parser


def main(argv: Sequence[str]) -> int:
    """Audit devices, print what was found, and return the exit status."""
    options = get_argparser().parse_args(argv)
    database = chosen_database(options)
    for name in options.names:
        database.endpoint(name)  # a slip of the pen is no finding
    checks = load_checks(options.checks) if options.checks is not None else {}
    hosts = (options.master,) if options.master else ()
    findings = run(Audit(database, options.timeout, checks, hosts), options.names)
    if options.format == "json":
        print(json.dumps([each.as_dict() for each in findings], indent=2, default=str))
    elif options.format == "junit":
        print(junit(findings))
    else:
        print_table(findings)
    bad = {"error", "warning"} if options.strict else {"error"}
    return int(any(each.severity in bad for each in findings))


def print_table(findings: Sequence[Finding]) -> None:
    """Print findings as a table; where the terminal is too narrow for it, each finding below its device."""
    if not findings:
        print("there is nothing to ask: no controller is in the device database")
        return
    console = Console()
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
    for row, each in zip(rows, findings, strict=True):
        wide = [set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True)]
        console.print(Text("  ").join(_styled(wide, each)), soft_wrap=True)
        console.print(Padding(Text(said(each), overflow="fold"), (0, 0, 0, 4)))


def _cells(finding: Finding) -> list[str]:
    trip = f"{finding.milliseconds:.1f} ms" if finding.milliseconds is not None else ""
    return [finding.name, finding.address, finding.target or "", finding.cause, trip]


def _styled(cells: Sequence[str], finding: Finding) -> list[Text]:
    return [Text(cell, _STYLES[finding.severity] if at == 3 else "") for at, cell in enumerate(cells)]


def said(finding: Finding) -> str:
    """Return the message of a finding, or what a device that is well tells of itself."""
    if finding.message:
        return finding.message
    details = finding.details
    parts = [str(details["description"])] if details.get("description") else []
    if "clock_offset" in details:
        versions = "".join(f", {name} {version}" for name, version in details["versions"].items())
        clock = f"clock {details['clock_offset']:+.3f} s"
        parts.append(f"Python {details['python']}{versions} on {details['host']}, {clock}")
    return "; ".join(parts)


def junit(findings: Sequence[Finding]) -> str:
    """Return findings as JUnit XML."""
    bad = [each for each in findings if each.severity == "error"]
    suite = Element("testsuite", name="rexec doctor", tests=str(len(findings)), failures=str(len(bad)))
    for each in findings:
        case = SubElement(suite, "testcase", classname=each.address or "device_db", name=each.name)
        if each.severity == "error":
            SubElement(case, "failure", type=each.cause, message=_xml_text(each.message))
        elif each.severity == "warning":
            SubElement(case, "system-out").text = _xml_text(f"{each.cause}: {each.message}")
    return tostring(suite, encoding="unicode")


def _xml_text(text: str) -> str:
    """Return a text without the characters that XML 1.0 does not allow."""
    return re.sub(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]", "\ufffd", text)

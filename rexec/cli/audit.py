"""`rexec audit`: shows and verifies what controllers have recorded."""

import argparse
import contextlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devicedb.cli.output import console, lines_that_fit
from devicedb.cli.parser import CommandParser
from devicedb.cli.terminal import say, say_document, say_error, say_lines
from devicedb.cli.wildcards import NamedFiles
from devicedb.printable import printable
from rexec.access.audit_check import AuditReport, records, verify
from rexec.access.chain import files_of, is_rotated
from rexec.access.identity import Identity, KnownBy
from rexec.cli.errors import CommandError
from rexec.ground.clock import local_time, seconds_of

if TYPE_CHECKING:
    from rich.table import Table

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final = ("start", "connect", "code", "refused", "call", "act", "failed")
_LEAST: Final = 8
"""Digits of a hash that a person must give."""
_HEADINGS: Final = ("time", "device", "person", "run", "what")


def get_argparser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="rexec audit",
        description="Show or verify the audit that controllers keep with --audit FILE, or all of them with "
        "`rexec up --audit DIR`: connections, remote code, refused calls, with --audit-calls each call.",
        epilog="examples:\n  rexec audit show audit --device camera --since 2026-11-30\n"
        "  rexec audit verify audit\n\n"
        "Exit status: 0 shown, or all files verify; 1 an audit was changed; 2 a file cannot be read.",
    )
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = commands.add_parser(
        "show",
        help="show records",
        description="Show records, the oldest first.",
        epilog="examples:\n  rexec audit show audit --device camera --since 2026-11-30\n"
        "  rexec audit show audit --person alice --kind refused\n  rexec audit show audit --source 3f5a\n\n"
        "Exit status: 0 shown, 2 a file cannot be read, or has no such source.",
    )
    _add_files(show)
    add = show.add_argument
    add("--device", metavar="NAME", help="only records of this controller")
    add("--person", metavar="NAME", help="only records of this person")
    add("--run", metavar="RUN", help="only records of this run, for example 41")
    add(
        "--since",
        metavar="TIME",
        type=moment,
        help="only from then on: 2026-11-30, 2026-11-30T14:30, today, 2h (ago), ... as in `rexec results find`",
    )
    add("--until", metavar="TIME", type=moment, help="only records before this time")
    add("--kind", choices=_KINDS, action="append", help="only records of this kind; may be repeated")
    add("--source", metavar="SHA256", help="print the source of the remote code whose hash begins so")
    add("--json", action="store_true", help="print the records as lines of JSON")
    check = commands.add_parser(
        "verify",
        help="find lines that were changed, removed, exchanged or cut off",
        description="Find lines that were changed, removed, exchanged or cut off. It prints the last line's number "
        "and hash. Keep these elsewhere, because a person who may write all files of an audit can make them anew.",
        epilog="examples:\n  rexec audit verify audit\n  rexec audit verify audit/camera.jsonl --expect 41:3f5ad2c1\n\n"
        "Exit status: 0 all files verify, 1 an audit was changed, 2 a file cannot be read.",
    )
    _add_files(check)
    check.add_argument(
        "--expect",
        metavar="N:HASH",
        type=_expected,
        help="number and hash of a line, as an earlier verification has printed them",
    )
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        type=Path,
        action=NamedFiles,
        help="an audit, or a folder of audits; rotated files are read with theirs",
    )


def moment(text: str) -> datetime:
    """Return a time that a person gave, in local time where no zone is said; of a day, for example, its begin."""
    from rexec.catalogue.moments import stretch
    from rexec.results.errors import ResultsError

    with contextlib.suppress(ValueError, OverflowError):
        return _in_utc(text)
    try:
        return _EPOCH + timedelta(seconds=stretch(text, datetime.now()).begin)
    except ResultsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except OverflowError:
        raise argparse.ArgumentTypeError(f"{text!r} is before the year 1") from None


def _expected(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) < _LEAST or not set(digest) <= set("0123456789abcdef"):
        raise argparse.ArgumentTypeError(f"{text!r} is not N:HASH, as `rexec audit verify` prints it")
    return int(number), digest


def main(argv: Sequence[str]) -> int:
    """Show or verify; return the exit status."""
    options = get_argparser().parse_args(argv)
    try:
        paths = list(audits(options.files))
        if options.action == "verify":
            if options.expect is not None and len(paths) > 1:
                raise CommandError("--expect is for one audit: name its file")
            return max([_verify(path, options.expect) for path in paths], default=0)
        return _show(paths, options)
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be read: {error.strerror or error}") from None


def audits(given: Sequence[Path]) -> Iterator[Path]:
    """Yield the audits that were named, those of a folder each.

    Raises:
        CommandError: One does not exist, or a folder has none.

    """
    for path in given:
        if not path.is_dir():
            if not files_of(path):
                raise CommandError(f"there is no audit {path}")
            yield path
            continue
        found = sorted(each for each in path.glob("*.jsonl") if not is_rotated(each))
        # An audit may consist of rotated files only, where its server was killed.
        found += [path / name for name in _without_current(path) if path / name not in found]
        if not found:
            raise CommandError(f"{path} has no audit (*.jsonl)")
        yield from found


def _without_current(folder: Path) -> list[str]:
    names = {is_rotated(each) for each in folder.glob("*.jsonl")}
    return sorted(name for name in names if name)


def _verify(path: Path, expected: tuple[int, str] | None) -> int:
    report: AuditReport = verify(path, expected)
    for note in report.notes:
        say(f"note: {note}")
    for problem in report.problems:
        say_error(problem)
    number, digest = report.last
    verdict = "was changed" if report.problems else "verifies"
    say(f"{path} {verdict}: {report.lines} lines, the last one {number}:{digest}")
    return 1 if report.problems else 0


def _show(paths: Sequence[Path], options: argparse.Namespace) -> int:
    found = sorted(_chosen(paths, options), key=lambda fields: str(fields.get("time")))
    if options.source is not None:
        return _print_source(found, options.source)
    if options.json:
        for fields in found:
            say(json.dumps(fields))
        return 0
    rows = [_row(fields) for fields in found]
    if not rows:
        say("no records")
        return 0
    output = console()
    lines = lines_that_fit(_HEADINGS, rows, output.width)
    if lines is not None:
        say_lines("\n".join(lines))
    else:
        output.print(_folded(rows))
    return 0


def _folded(rows: Sequence[tuple[str, ...]]) -> "Table":
    """Return a table for a narrow terminal, whose long cells go on in the next line."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in _HEADINGS:
        made.add_column(heading, overflow="fold", no_wrap=heading == "time")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def _chosen(paths: Sequence[Path], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    runs = None if options.run is None else {options.run, f"run {options.run}"}
    for path in paths:
        for place, fields in records(path):
            if isinstance(fields, str):
                say_error(f"{place}: {fields}")
                continue
            fields.setdefault("device", path.stem)
            when = _when(fields)
            if (
                (options.device is None or fields["device"] == options.device)
                and (options.person is None or fields.get("person") == options.person)
                and (runs is None or str(fields.get("run")) in runs)
                and (options.kind is None or fields.get("kind") in options.kind)
                and (options.since is None or when >= options.since)
                and (options.until is None or when < options.until)
            ):
                yield fields


def _in_utc(text: str) -> datetime:
    said = datetime.fromisoformat(text)
    return said.astimezone(UTC) if said.tzinfo else _EPOCH + timedelta(seconds=seconds_of(said))


def _when(fields: dict[str, Any]) -> datetime:
    try:
        return _in_utc(str(fields.get("time")))
    except (ValueError, OverflowError):  # a line that somebody else has written
        return _EPOCH


def _row(fields: dict[str, Any]) -> tuple[str, ...]:
    when = local_time(_when(fields).timestamp())
    person = ""
    if "known_by" in fields:
        known_by = fields["known_by"]
        how: KnownBy = known_by if known_by in ("certificate", "kernel") else "claimed"
        who = Identity(str(fields.get("person", "")), how, str(fields.get("host", "")))
        person = f"{who.person} on {who.host}"
    row = (
        when.strftime("%Y-%m-%d %H:%M:%S"),
        str(fields["device"]),
        person,
        str(fields.get("run", "")),
        _what(fields),
    )
    return tuple(printable(part) for part in row)


def _what(fields: dict[str, Any]) -> str:
    """Return what a record says, in words."""
    kind = fields.get("kind")
    target = f" ({fields['target']})" if fields.get("target") else ""
    if kind == "refused":
        return f"REFUSED: {fields.get('what')}{target}, which takes {fields.get('needs')!r} ({fields.get('entry')})"
    if kind == "code":
        return (
            f"remote code {str(fields.get('sha256'))[:12]}, {fields.get('bytes')} bytes, {fields.get('code')}"
        )
    if kind == "call":
        given = fields.get("seconds")
        seconds = given if isinstance(given, float) else 0.0
        return f"{fields.get('method')}(){target}: {fields.get('outcome')} in {1e3 * seconds:.3g} ms"
    if kind == "connect":
        return f"connected{target}, {fields.get('program') or 'a program that says nothing of itself'}"
    if kind in ("act", "failed"):  # of the page
        failure = f": FAILED: {fields.get('error')}" if kind == "failed" else ""
        return f"{fields.get('action')} {fields.get('of')}{failure}"
    if kind == "start":
        return f"the server started, pid {fields.get('pid')}"
    return str(kind)


def _print_source(found: Sequence[dict[str, Any]], digest: str) -> int:
    sources = {str(each["sha256"]): each["source"] for each in found if "source" in each}
    matching = [each for each in sources if each.startswith(digest)]
    if len(matching) != 1:
        raise CommandError(f"{len(matching)} pieces of remote code have a hash that begins with {digest!r}")
    say_document(str(sources[matching[0]]))
    return 0

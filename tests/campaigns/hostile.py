"""Names, texts, files and peers of strangers, against every command of both programs.

A text is hostile if a terminal obeys it, if it forges a line of a log, or if it looks like other text. Each command
runs at a pseudo-terminal; no byte of such a text may reach it. The commands are found by their parsers: a new one
is tried with hostile text, files and peers for all its arguments; one line in `COMMANDS` adds uses that go deeper.

    python -m tests.campaigns.hostile              every kind of text against every command
    python -m tests.campaigns.hostile --sample     all kinds in one text
"""

import argparse
import collections
import importlib
import itertools
import sys
from collections.abc import Iterator
from typing import Any, Final

from tests.campaigns.hostile_peers import send_logs, visit
from tests.campaigns.hostile_terminal import FORGED, Laboratory, Row, Use, run
from tests.campaigns.odd_file_system import KINDS, missing

TEXTS: Final = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;file:///etc/passwd\x1b\\click",
    "clear": "\x1b[2J\x1b[H",
    "c1": "\x9b31m\x9d0;owned\x9c",
    "return": f"good\r{FORGED}",
    "line": f"good\n{FORGED}",
    "other lines": f"\x0b\x0c\x1c\x1d\x85\u2028\u2029{FORGED}",
    "bidi": "\u202egnp.exe\u2066",
    "backspace": "no\x08\x08yes\x7f",
    "null": "a\0b",
    "surrogate": "a\udc9bb",
    "markup": "[bold red]x[/] {0} %s ${HOME} `id`",
    "wide": "\u200b\ufeff\U000e0001tag",
}
"""Hostile text by kind."""

ALL: Final = " ".join(TEXTS.values())

NAMES: Final = (
    *TEXTS.values(),
    "",
    ".",
    "..",
    "-rf",
    "~",
    " a",
    "a ",
    "../../etc/x",
    "con",
    "a" * 300,
    "A" * 300,
    "µ" * 200,
    "a" * 299 + "b",
    "cam 1",
    "cam-1",
    "cam/1",
    "cam_1",
    "cam.1",
    "Cam-1",
    "lamp\nExecStartPre=/bin/sh -c id",
    "lamp]\n[program:x]",
)
"""Names that break file systems, units or lines; all different."""


PROGRAMS: Final = ("devicedb", "rexec")
SERVES: Final = "Ctrl-C|ready|waiting|elsewhere|not run here|http://"
"""Pattern of commands that serve, once they do."""
REPORTS: Final = ("junit", "github", "gitlab", "json", "sarif")
FOLLOWED: Final = (
    "--master HOST --master-port-notify NOTIFY --master-port CONTROL --master-port-broadcast BROADCAST"
)
MASTER: Final = "--port-notify 0 --port-control 0 --port-logging 0 --port-broadcast 0"


def _row(text: str, stop: str | None = None, **more: Any) -> Row:
    return Row(tuple(text.split()), stop, **more)


COMMANDS: Final[dict[str, tuple[Row, ...]]] = {
    "devicedb check": (_row("device_db.py"), *(_row(f"device_db.py --format {each}") for each in REPORTS)),
    "devicedb show": (_row(""), _row("TEXT"), _row("TEXT2"), _row("TEXT3"), _row("--device-db raises.py")),
    "devicedb graph": (_row(""), _row("--format dot")),
    "devicedb diff": (_row("device_db.py raises.py"), _row("device_db.py empty.py")),
    "rexec run": (
        _row("experiment.py"),
        _row("experiment.py --list"),
        _row("raises.py"),
        _row("experiment.py TEXT=1"),
        _row("builds_not.py"),
        _row("builds_not.py --list"),
    ),
    "rexec up": (
        _row("said --port-control 0", "waiting"),
        _row("TEXT --port-control 0", "waiting|elsewhere|not run here"),
    ),
    "rexec doctor": (
        _row("--timeout 1"),
        _row("--timeout 1 --format junit"),
        _row("--timeout 1 --master HOST --master-port CONTROL"),
    ),
    "rexec master": (
        _row(MASTER, "the last record", told=send_logs),
        _row(f"{MASTER} --device-db raises.py"),
        _row(MASTER, "ready"),
    ),
    "rexec simulate": (_row("--write-db simulated.py", "Ctrl-C ends it"),),
    "rexec record": (_row("good -o new.rec", "Ctrl-C ends it"), _row("TEXT -o new2.rec")),
    "rexec bridge": (
        _row("--master HOST --master-port-notify NOTIFY", "2 datasets"),
        _row("--master HOST --master-port-notify RAW"),
    ),
    "rexec results list": (_row("--in ."), _row("--in . --json"), _row("--in . --paths")),
    "rexec results find": (_row("TEXT --in ."), _row("TEXT=TEXT --in ."), _row("class~TEXT --in . --json")),
    "rexec results comment": (_row("run.h5 TEXT"), _row("run.h5", lines=True)),
    "rexec results tag": (_row("run.h5 TEXT"), _row("run.h5")),
    "rexec results export": (_row("run.h5 -o new.csv"), _row("TEXT --in . -o new.json")),
    "rexec results show": (
        _row("run.h5"),
        _row("foreign.h5"),
        _row("run.h5 PLAIN", lines=True),
        _row("run.h5 number"),
        _row("said.txt"),
    ),
    "rexec results tail": (_row("going.h5 --no-follow"),),
    "rexec results diff": (_row("run.h5 other.h5"),),
    "rexec results plot": (_row("run.h5"), _row("run.h5 TEXT")),
    "rexec results recover": (_row("."), _row(". --damaged")),
    "rexec results verify": (_row("run.h5 foreign.h5 said.txt"),),
    "rexec call": (
        _row("HOST PEER fail -t x"),
        _row("HOST PEER value -t x"),
        _row("HOST PEER TEXT -t x"),
        _row("good nothing"),
    ),
    "rexec shell": (
        _row("HOST PEER -t x", typed=b"?\nuse\nfail()\n", lines=True),
        _row("HOST PEER -t x", "x>"),
    ),
    "rexec targets": (_row("HOST PEER"), _row("HOST RAW")),
    "rexec methods": (_row("HOST PEER -t x", lines=True), _row("HOST PEER")),
    "rexec port": (_row("source.py"),),
    "rexec web": (
        _row(
            f"--port 0 --results . --control {FOLLOWED} --name TEXT -v", "token=", told=visit, when="token="
        ),
        _row("--port 0 --results .", "http://"),
        _row("--port 0 --device-db raises.py", SERVES),
    ),
    "rexec audit show": (
        _row("audit.jsonl"),
        _row("audit.jsonl --who TEXT"),
        _row("said.txt"),
        _row("run.h5"),
    ),
    "rexec audit verify": (_row("audit.jsonl"), _row("changed.jsonl"), _row("run.h5")),
    "rexec certs": (_row("new --client TEXT --server TEXT"), _row("new --add TEXT"), _row(". --list")),
}
"""Further uses, by command; each command is also tried with hostile text, files and peers for all its arguments."""


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command and of each command in it, by the words that call it."""
    found: dict[str, argparse.ArgumentParser] = {}
    for program in PROGRAMS:
        for name in importlib.import_module(f"{program}.cli.main").SUBCOMMANDS:
            parser = importlib.import_module(f"{program}.cli.{name}").get_argparser()
            nested = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
            if not nested:
                found[f"{program} {name}"] = parser
            for action in nested:
                found |= {f"{program} {name} {each}": inner for each, inner in action.choices.items()}
    return found


def generic(parser: argparse.ArgumentParser) -> Iterator[Row]:
    """Yield uses of any command: hostile text, and a file of the wrong kind, for all its arguments; a hostile peer."""
    needed = [
        each for each in parser._actions if each.required or (not each.option_strings and each.nargs != 0)
    ]
    names = {option for each in parser._actions for option in each.option_strings}
    listening = [option for option in sorted(names) if option.startswith("--port")]
    for word in ("TEXT", "said.txt"):
        words = [each for option in listening for each in (option, "0")]
        for action in needed:
            option = action.option_strings[:1]
            value = str(next(iter(action.choices))) if action.choices else word
            words += [*option, *([value] * (action.nargs if isinstance(action.nargs, int) else 1))]
        yield Row(tuple(words), SERVES)
        if "--device-db" in names:
            yield Row((*words, "--device-db", "raises.py"), SERVES)
    if "--master" in names:
        ports = [("--master-port", "RAW"), ("--master-port", "CONTROL"), ("--master-port-notify", "RAW")]
        for option, port in ports:
            if option in names:
                yield Row((*words, "--master", "HOST", option, port), SERVES)
    if any(action.dest == "where" for action in parser._actions):
        yield Row(("HOST", "RAW", "x"))
        yield Row(("HOST", "PEER", "TEXT"))
        yield Row(("HOST", "PEER", "-t", "TEXT"), "> ")


def uses(*, is_sample: bool = False) -> list[Use]:
    """Return all uses of all commands; for a sample, the first two of `COMMANDS` and the first generic one of each."""
    found = commands()
    assert COMMANDS.keys() <= found.keys(), f"no such commands: {COMMANDS.keys() - found.keys()}"
    return [
        Use(name, row)
        for name, parser in found.items()
        for row in (
            *COMMANDS.get(name, ())[: 2 if is_sample else None],
            *itertools.islice(generic(parser), 1 if is_sample else None),
        )
    ]


def main() -> int:
    """Run the campaign, print a table of counts, and return 1 if a command failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", action="store_true", help="all kinds of text in one, fewer uses")
    parser.add_argument("--only", default="", help="beginning of the commands to try")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the output of each use")
    parser.add_argument(
        "--file-system",
        choices=("full", "read-only", *KINDS),
        default="",
        help="run each use in such a folder (needs root; the last three need libfuse 2 and fusepy)",
    )
    options = parser.parse_args()
    if options.file_system in KINDS and (reason := missing()):
        print(f"skipped: {reason}")
        return 0
    chosen = [each for each in uses(is_sample=options.sample) if each.command.startswith(options.only)]
    for name in (
        "experiment.runner",
        "results.reading.plotting",
        "cli._up_display",
        "master",
        "simulate.process",
    ):
        importlib.import_module(f"rexec.{name}")  # before the forks: each would do it
    texts = {"all": ALL} if options.sample else TEXTS
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    failed: list[str] = []
    for kind, text in texts.items():
        with Laboratory(text, options.file_system) as laboratory:
            for process in run(laboratory, chosen):
                counts[process.use.command, process.use.kind] += 1
                if options.verbose:
                    print(
                        process.use,
                        process.outcome,
                        process.shown.decode("utf-8", "replace").__repr__()[:2000],
                    )
                used = f"{kind}: {process.use.command} {' '.join(process.use.row.words)}"
                failed += [f"{used}: {problem}" for problem in process.problems()]
    kinds = ("name", "file", "peer")
    print(f"{'command':24}" + "".join(f"{each:>6}" for each in kinds))
    for command in dict.fromkeys(name for name, _ in counts):
        print(f"{command:24}" + "".join(f"{counts[command, each]:6}" for each in kinds))
    print(
        f"{sum(counts.values())} uses of {len({name for name, _ in counts})} commands, {len(texts)} kinds of text: "
        f"{len(failed)} problems"
    )
    print("\n".join(failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())

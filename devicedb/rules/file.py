"""Rules about the file itself: it must run, end, and define a dict."""

from collections.abc import Iterator

from devicedb.exit_status import killer
from devicedb.model.facts import FileFacts
from devicedb.place import Place
from devicedb.rules.registry import Hit, Severity, file_rule
from devicedb.suggest import did_you_mean

GOOD = 'device_db = {"spare": {"type": "dummy"}}\n'


def _place(facts: FileFacts) -> Place:
    error = facts.error or {}
    line, column = int(error["line"]), max(int(error["column"]) - 1, 0)
    return Place(str(error["file"]), line, column, line, column)


@file_rule(
    "DDB001",
    Severity.ERROR,
    "syntax error",
    why="Python cannot read the file, so no experiment finds any device. A running master keeps the old database "
    "at a rescan; one that starts does not start.",
    bad='device_db = {\n    "spare": {"type": "dummy"},\n',
    good=GOOD,
)
def syntax_error(facts: FileFacts) -> Iterator[Hit]:
    if facts.error and facts.error["kind"] in {"SyntaxError", "IndentationError", "TabError"}:
        yield Hit(_place(facts), f"syntax error: {facts.error['text']}", "Python stops reading here")


@file_rule(
    "DDB002",
    Severity.ERROR,
    "exception while the file runs",
    why="The master executes the file to read it; after an exception there is no database at all.",
    bad='PORTS = {"camera": 3286}\n'
    'device_db = {"camera": {"type": "controller", "host": "::1", "port": PORTS["cam"]}}\n',
    good='PORTS = {"camera": 3286}\n'
    'device_db = {"camera": {"type": "controller", "host": "::1", "port": PORTS["camera"]}}\n',
)
def exception(facts: FileFacts) -> Iterator[Hit]:
    known = {"SyntaxError", "IndentationError", "TabError", "ModuleNotFoundError", "SystemExit"}
    if facts.error and facts.error["kind"] not in known:
        text = f": {facts.error['text']}" if facts.error["text"] else ""
        yield Hit(
            _place(facts), f"running the file raises {facts.error['kind']}{text}; there is no database then"
        )


@file_rule(
    "DDB003",
    Severity.ERROR,
    "imported module is missing",
    why="Every machine that reads the database needs the module.",
    bad="from lab_network import HOSTS\n\ndevice_db = {}\n",
    good="from lab_network import HOSTS\n\ndevice_db = {}\n# file: lab_network.py\nHOSTS = {}\n",
)
def missing_module(facts: FileFacts) -> Iterator[Hit]:
    if facts.error and facts.error["kind"] == "ModuleNotFoundError":
        name = facts.error.get("missing") or facts.error["text"]
        top = str(name).partition(".")[0]
        yield Hit(
            _place(facts),
            f"imports {name!r}, which is not installed here and not beside the file",
            f"install {top}, put {top}.py beside the device database, or check with --assume-installed {top}",
        )


@file_rule(
    "DDB004",
    Severity.ERROR,
    "no device_db in the file",
    why="The master reads the global name `device_db` and nothing else.",
    bad='devicedb = {"spare": {"type": "dummy"}}\n',
    good=GOOD,
)
def no_device_db(facts: FileFacts) -> Iterator[Hit]:
    if facts.missing is not None:
        near = did_you_mean("device_db", facts.missing)
        yield Hit(facts.start, f"the file defines no global `device_db`.{near}", "write `device_db = {...}`")


@file_rule(
    "DDB005",
    Severity.ERROR,
    "device_db is not a dict",
    why="A rescan takes an empty list for an empty database, and ends every running controller.",
    bad="device_db = []\n",
    good="device_db = {}\n",
)
def not_a_dict(facts: FileFacts) -> Iterator[Hit]:
    if facts.root_kind not in {None, "dict"}:
        yield Hit(
            facts.root_place or facts.start,
            f"`device_db` is of type {facts.root_kind}, it must be a dict",
            "write `device_db = {name: entry, ...}`",
        )


@file_rule(
    "DDB006",
    Severity.ERROR,
    "the file does not end",
    why="The master waits for the file, and everything in the master waits with it.",
    bad="import time\n\nwhile True:\n    time.sleep(1)\n",
    good=GOOD,
)
def hangs(facts: FileFacts) -> Iterator[Hit]:
    if facts.ended == "hung":
        yield Hit(
            facts.start,
            f"the file did not end in {facts.seconds:g} s of CPU time, or of waiting, and was stopped",
            "a device database only defines a dict; if it needs longer, raise --time-limit",
        )


@file_rule(
    "DDB007",
    Severity.ERROR,
    "the file ends the process",
    why="sys.exit() in the file ends the master that reads it.",
    bad="import sys\n\nsys.exit(0)\n",
    good=GOOD,
)
def exits(facts: FileFacts) -> Iterator[Hit]:
    if facts.error and facts.error["kind"] == "SystemExit":
        yield Hit(
            _place(facts), f"calls sys.exit({facts.error['text']}), which ends the master that reads it"
        )
    elif facts.ended == "exited":
        yield Hit(facts.start, f"the file ended its process with status {facts.status}")


@file_rule(
    "DDB008",
    Severity.ERROR,
    "the file crashes the interpreter",
    why="It crashes the master, too.",
    bad="import faulthandler\n\nfaulthandler._read_null()  # as a library with a bug\n",
    good=GOOD,
)
def crashes(facts: FileFacts) -> Iterator[Hit]:
    if facts.ended == "killed":
        yield Hit(facts.start, f"running the file crashes the interpreter ({killer(facts.status)})")


@file_rule(
    "DDB009",
    Severity.ERROR,
    "the file starts too many processes",
    why="Each rescan of the master starts them again.",
    bad='import subprocess\n\nfor _ in range(30):\n    subprocess.run(["hostname"])\ndevice_db = {}\n',
    good=GOOD,
)
def starts_processes(facts: FileFacts) -> Iterator[Hit]:
    if facts.ended == "bomb":
        yield Hit(facts.start, "the file starts too many processes; it was stopped")


@file_rule(
    "DDB010",
    Severity.WARNING,
    "the file prints",
    why="The file runs at each rescan and in each worker; its output hides errors in their logs.",
    bad='device_db = {}\nprint("loading", len(device_db))\n',
    good="device_db = {}\n",
)
def prints(facts: FileFacts) -> Iterator[Hit]:
    if facts.ended != "finished" or facts.error is not None:
        return
    texts: dict[tuple[str, int, str], list[str]] = {}
    for note in facts.prints:
        texts.setdefault((note["file"], note["line"], note["stream"]), []).append(note["text"])
    for (file, line, stream), found in texts.items():
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        what = "standard output" if stream == "stdout" else "standard error"
        text = f"this line prints {found[0][:60]!r}{more} to {what} whenever the file is read"
        yield Hit(Place(file, line, 0, line, 0), text, "remove the print")
    lines = facts.output.strip().splitlines()
    if lines and not texts:
        text = f"a program that the file starts prints {lines[0][:60]!r} whenever the file is read"
        yield Hit(facts.start, text, "capture its output")


@file_rule(
    "DDB011",
    Severity.INFO,
    "could not be checked without running the file",
    why="With --static the file is not run, so values from loops, calls and imports are not known.",
    bad="def made():\n    return {}\n\ndevice_db = made()\n",
    good="device_db = {}\n",
)
def not_checked(facts: FileFacts) -> Iterator[Hit]:
    for what, place in facts.unknown:
        yield Hit(place, f"not checked, since the file was not run: {what}", "check without --static")

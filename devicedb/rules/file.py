"""Rules about the file itself: it must run, end, and define a dict."""

from collections.abc import Iterator

from devicedb.check.facts import FileFacts
from devicedb.check.located import Place
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
    """The file, or a sibling that it imports, does not parse."""
    if facts.error and facts.error["kind"] in {"SyntaxError", "IndentationError", "TabError"}:
        yield Hit(_place(facts), f"syntax error: {facts.error['text']}", "Python stops reading here")


@file_rule(
    "DDB002",
    Severity.ERROR,
    "exception while the file runs",
    why="The master executes the file to read it; an exception there means that there is no database at all.",
    bad='PORTS = {"camera": 3286}\n'
    'device_db = {"camera": {"type": "controller", "host": "::1", "port": PORTS["cam"]}}\n',
    good='PORTS = {"camera": 3286}\n'
    'device_db = {"camera": {"type": "controller", "host": "::1", "port": PORTS["camera"]}}\n',
)
def exception(facts: FileFacts) -> Iterator[Hit]:
    """Running the file raises."""
    known = {"SyntaxError", "IndentationError", "TabError", "ModuleNotFoundError", "SystemExit"}
    if facts.error and facts.error["kind"] not in known:
        text = f": {facts.error['text']}" if facts.error["text"] else ""
        yield Hit(
            _place(facts), f"running the file raises {facts.error['kind']}{text}; there is no database then"
        )


@file_rule(
    "DDB003",
    Severity.ERROR,
    "imported module is not there",
    why="A database that imports what is installed on one machine only works on that machine only.",
    bad="from lab_network import HOSTS\n\ndevice_db = {}\n",
    good="from lab_network import HOSTS\n\ndevice_db = {}\n# file: lab_network.py\nHOSTS = {}\n",
)
def missing_module(facts: FileFacts) -> Iterator[Hit]:
    """An import in the file finds nothing."""
    if facts.error and facts.error["kind"] == "ModuleNotFoundError":
        name = facts.error.get("missing") or facts.error["text"]
        top = str(name).partition(".")[0]
        yield Hit(
            _place(facts),
            f"imports {name!r}, which is not installed here and not beside the file",
            f"install {top}, or put {top}.py beside the device database",
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
    """The file runs but does not define `device_db`."""
    if facts.missing is not None:
        near = did_you_mean("device_db", facts.missing)
        yield Hit(facts.start, f"the file defines no global `device_db`.{near}", "write `device_db = {...}`")


@file_rule(
    "DDB005",
    Severity.ERROR,
    "device_db is not a dict",
    why="A master that rescans takes an empty list for an empty database: every running controller is ended.",
    bad="device_db = []\n",
    good="device_db = {}\n",
)
def not_a_dict(facts: FileFacts) -> Iterator[Hit]:
    """`device_db` is something else than a dict."""
    if facts.root_kind != "dict":
        yield Hit(
            facts.root_place or facts.start,
            f"`device_db` is a {facts.root_kind}, it must be a dict",
            "write `device_db = {name: entry, ...}`",
        )


@file_rule(
    "DDB006",
    Severity.ERROR,
    "the file does not end",
    why="The master waits for it, and everything else in the master waits with it.",
    bad="import time\n\nwhile True:\n    time.sleep(1)\n",
    good=GOOD,
)
def hangs(facts: FileFacts) -> Iterator[Hit]:
    """The file is still running at the time limit."""
    if facts.ended == "hung":
        yield Hit(
            facts.start,
            f"the file was still running after {facts.seconds:g} s and was stopped",
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
    """The file calls sys.exit or os._exit."""
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
    why="What crashes here crashes the master.",
    bad="import os\nimport signal\n\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    good=GOOD,
)
def crashes(facts: FileFacts) -> Iterator[Hit]:
    """A signal ended the process in which the file ran."""
    if facts.ended == "killed":
        from signal import Signals

        number = -facts.status
        name = Signals(number).name if number in set(Signals) else f"signal {number}"
        yield Hit(facts.start, f"running the file crashes the interpreter ({name})")


@file_rule(
    "DDB009",
    Severity.ERROR,
    "the file starts process after process",
    why="Each rescan of the master would do so again.",
    bad="import os\n\nfor _ in range(30):\n    if os.fork() == 0:\n        os._exit(0)\n    os.wait()\n"
    "device_db = {}\n",
    good=GOOD,
)
def starts_processes(facts: FileFacts) -> Iterator[Hit]:
    """The file starts more processes than any reason explains."""
    if facts.ended == "bomb":
        yield Hit(facts.start, "the file starts process after process; it was stopped")


@file_rule(
    "DDB010",
    Severity.WARNING,
    "the file prints",
    why="It runs at each rescan and in each worker; what it prints is in nobody's way until it hides an error.",
    bad='device_db = {}\nprint("loading", len(device_db))\n',
    good="device_db = {}\n",
)
def prints(facts: FileFacts) -> Iterator[Hit]:
    """Running the file writes to its standard output or error."""
    lines = facts.output.strip().splitlines()
    if lines and facts.ended == "finished" and facts.error is None:
        more = f" and {len(lines) - 1} more lines" if len(lines) > 1 else ""
        yield Hit(
            facts.start, f"the file prints {lines[0][:60]!r}{more} whenever it is read", "remove the print"
        )


@file_rule(
    "DDB011",
    Severity.INFO,
    "could not be checked without running the file",
    why="With --static the file is not run, so what loops, calls and imports make is not known.",
    bad="def made():\n    return {}\n\ndevice_db = made()\n",
    good="device_db = {}\n",
)
def not_checked(facts: FileFacts) -> Iterator[Hit]:
    """`--static` left something out."""
    for what, place in facts.unknown:
        yield Hit(place, f"not checked, since the file was not run: {what}", "check without --static")

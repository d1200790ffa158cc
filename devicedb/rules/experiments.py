"""Rules about what experiments ask of the database; they need `--experiments DIR`."""

from collections.abc import Iterator

from devicedb.drivers.servers import ALWAYS, methods_of
from devicedb.drivers.usage import VIRTUAL
from devicedb.model.database import CheckedDatabase
from devicedb.rules.registry import Hit, Severity, database_rule
from devicedb.suggest import did_you_mean

_CAMERA = '"camera": {"type": "controller", "host": "::1", "port": 6283, "target_name": "camera"'
_DATABASE = f"device_db = {{{_CAMERA}}}}}\n"
_SERVED = f'device_db = {{{_CAMERA},\n    "command": "python controller.py -p {{port}}"}}}}\n'
_CONTROLLER = (
    "# file: controller.py\n"
    "class Camera:\n    def snap(self):\n        return 1\n\n\n"
    'simple_server_loop({"camera": Camera()}, "::1", 6283)\n'
)


def _experiment(line: str) -> str:
    return f"# file: experiments/snap.py\nclass Snap(EnvExperiment):\n    def build(self):\n{line}"


_ASK = '        self.setattr_device("camera")\n'
_RUN = "\n    def run(self):\n        self.camera.{}()\n"


@database_rule(
    "DDB601",
    Severity.ERROR,
    "experiment asks for an unknown device",
    why="get_device and setattr_device fail in build: the experiment cannot even be opened in the dashboard.",
    bad=_DATABASE + _experiment('        self.setattr_device("camrea")\n'),
    good=_DATABASE + _experiment(_ASK),
)
def unknown_device(db: CheckedDatabase) -> Iterator[Hit]:
    for use in db.usage.uses if db.usage is not None else ():
        if use.name not in VIRTUAL and not db.knows(use.name):
            text = f"the experiment asks for the device {use.name!r}, which is not in the database"
            yield Hit(use.place, text, db.suggestion(use.name).strip(), use.name)


@database_rule(
    "DDB602",
    Severity.ERROR,
    "controller has no such method",
    why="The driver's source has no method of that name: AttributeError in the middle of a run.",
    bad=_SERVED + _CONTROLLER + _experiment(_ASK + _RUN.format("snpa")),
    good=_SERVED + _CONTROLLER + _experiment(_ASK + _RUN.format("snap")),
)
def unknown_method(db: CheckedDatabase) -> Iterator[Hit]:
    if db.usage is None:
        return
    for call in db.usage.calls:
        entry = db.entry_behind(call.device)
        if entry is None or entry.kind != "controller":
            continue
        found = methods_of(
            entry.text("command") or "", entry.text("target_name"), db.folder, db.drivers.finder
        )
        if found is None or call.method in found[0] | ALWAYS:
            continue
        text = f"the driver of {call.device!r} has no method {call.method!r} ({found[1]})"
        yield Hit(call.place, text, did_you_mean(call.method, found[0]).strip(), entry.name)

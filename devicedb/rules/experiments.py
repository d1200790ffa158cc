"""Rules about what experiments ask of the database; they need `--experiments DIR`."""

from collections.abc import Iterator

from devicedb.check.laboratory import Laboratory
from devicedb.drivers.servers import ALWAYS, methods_of
from devicedb.drivers.usage import VIRTUAL
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
    "experiment asks for a device that is not there",
    why="get_device and setattr_device fail in build: the experiment cannot even be opened in the dashboard.",
    bad=_DATABASE + _experiment('        self.setattr_device("camrea")\n'),
    good=_DATABASE + _experiment(_ASK),
)
def unknown_device(lab: Laboratory) -> Iterator[Hit]:
    """A name that an experiment asks for is not in the database."""
    for use in lab.usage.uses if lab.usage is not None else ():
        if use.name not in VIRTUAL and not lab.knows(use.name):
            text = f"the experiment asks for the device {use.name!r}, which is not in the database"
            yield Hit(use.place, text, lab.suggestion(use.name).strip(), use.name)


@database_rule(
    "DDB602",
    Severity.ERROR,
    "controller has no such method",
    why="The source of the controller's driver has no method of that name: AttributeError in the middle of a run.",
    bad=_SERVED + _CONTROLLER + _experiment(_ASK + _RUN.format("snpa")),
    good=_SERVED + _CONTROLLER + _experiment(_ASK + _RUN.format("snap")),
)
def unknown_method(lab: Laboratory) -> Iterator[Hit]:
    """A method that an experiment calls on a controller is not in its driver's source."""
    if lab.usage is None:
        return
    for call in lab.usage.calls:
        entry = lab.entry_behind(call.device)
        command = entry.text("command") if entry is not None and entry.kind == "controller" else None
        if entry is None or command is None:
            continue
        found = methods_of(command, entry.text("target_name"), lab.folder, lab.drivers.finder)
        if found is None or call.method in found[0] | ALWAYS:
            continue
        text = f"the driver of {call.device!r} has no method {call.method!r} ({found[1]})"
        yield Hit(call.place, text, did_you_mean(call.method, found[0]).strip(), entry.name)

"""Rules about `controller_aux_target`: a further target of somebody else's server."""

from collections.abc import Iterator

from devicedb.check.laboratory import Entry, Laboratory, is_known, kind_of, shown
from devicedb.check.located import UNKNOWN
from devicedb.resolve import arrows
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.suggest import nearest

CAMERA = '"camera": {"type": "controller", "host": "::1", "port": 6283, "target_name": "camera"}'
AUX = '"type": "controller_aux_target"'
GOOD = (
    f"device_db = {{\n    {CAMERA},\n"
    f'    "rexec": {{{AUX}, "controller": "camera", "target_name": "camera_rexec"}},\n}}\n'
)
KINDS = ("controller_aux_target",)


def _example(fields: str, camera: str = CAMERA, more: str = "") -> str:
    return f'device_db = {{\n    {camera},\n    "rexec": {{{AUX}, {fields}}},{more}\n}}\n'


@entry_rule(
    "DDB301",
    Severity.ERROR,
    "aux target without target_name",
    why="The server has several targets, that is what an aux target is for; without its name ARTIQ fails.",
    bad=_example('"controller": "camera"'),
    good=GOOD,
    kinds=KINDS,
)
def no_target_name(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """`target_name` is missing, empty or no str."""
    value = entry.raw.get("target_name")
    if value is UNKNOWN or (isinstance(value, str) and value):
        return
    if "target_name" in entry.raw:
        said = "is empty" if value == "" else f"is {shown(value)}, a {kind_of(value)}"
        text = f"'target_name' of {entry.name!r} {said}; it must be the name of a target"
        yield Hit(entry.at("target_name"), text, "", entry.name)
        return
    near = nearest("target_name", [key for key in entry.raw if isinstance(key, str)])
    near = near or ("target" if "target" in entry.raw else None)
    hint = f'write "target_name" for "{near}"' if near else 'add "target_name"'
    site = entry.key_at(near) if near else entry.at()
    yield Hit(
        site, f"{entry.name!r} is an aux target without 'target_name', which ARTIQ needs", hint, entry.name
    )


@entry_rule(
    "DDB302",
    Severity.ERROR,
    "aux target of a controller that is not there",
    why="Host and port are the controller's; without it there is nothing to connect to.",
    bad=_example('"controller": "camrea", "target_name": "camera_rexec"'),
    good=GOOD,
    kinds=KINDS,
)
def controller_not_there(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """The controller of an aux target is not in the database."""
    name = entry.text("controller")
    if name and not lab.knows(name):
        text = f"{entry.name!r} belongs to the controller {name!r}, which is not in the database"
        yield Hit(entry.at("controller"), text, lab.suggestion(name).strip(), entry.name)


@entry_rule(
    "DDB303",
    Severity.ERROR,
    "aux target of what is no controller",
    why="Only a controller has host and port.",
    bad='device_db = {\n    "camera": {"type": "dummy"},\n'
    f'    "rexec": {{{AUX}, "controller": "camera", "target_name": "camera_rexec"}},\n}}\n',
    good=GOOD,
    kinds=KINDS,
)
def no_controller(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """The controller of an aux target is an entry of another type."""
    behind = lab.entry_behind(entry.raw.get("controller"))
    if behind is None or behind.kind == "controller" or not is_known(behind.raw.get("type")):
        return
    if behind.node.value is UNKNOWN:
        return
    kind = behind.kind or kind_of(behind.node.value)
    text = f"{entry.name!r} belongs to {entry.raw['controller']!r}, which is a {kind}, no controller"
    yield Hit(entry.at("controller"), text, "name the entry of the controller itself", entry.name)


@entry_rule(
    "DDB304",
    Severity.ERROR,
    "controller of an aux target behind a broken alias",
    why="The alias leads nowhere, so the aux target has neither host nor port.",
    bad=_example('"controller": "cam", "target_name": "camera_rexec"', more='\n    "cam": "camrea",'),
    good=GOOD,
    kinds=KINDS,
)
def broken_alias(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """The controller of an aux target is an alias that leads nowhere."""
    name = entry.text("controller")
    if not name or name not in lab.entries:
        return
    walk = lab.walk(name)
    if walk.end is None and (walk.is_loop or lab.is_complete):
        text = f"{entry.name!r} belongs to {name!r}, an alias that leads nowhere: {arrows(walk.chain[:8])}"
        yield Hit(entry.at("controller"), text, "name the entry of the controller itself", entry.name)


@entry_rule(
    "DDB305",
    Severity.ERROR,
    "controller with several targets but no target_name of its own",
    why="An aux target means that the server has several targets. The controller's own entry then has to say which "
    "is its own: the automatic choice works with one target only and fails with more.",
    bad='device_db = {\n    "camera": {"type": "controller", "host": "::1", "port": 6283},\n'
    f'    "rexec": {{{AUX}, "controller": "camera", "target_name": "camera_rexec"}},\n}}\n',
    good=GOOD,
    kinds=KINDS,
)
def controller_without_target(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """The controller of an aux target does not name its own target."""
    behind = lab.entry_behind(entry.raw.get("controller"))
    if behind is None or behind.kind != "controller" or "target" in behind.raw:
        return
    if behind.raw.get("target_name") in (None, ""):
        text = (
            f"the server of {behind.name!r} has several targets ({entry.name!r} is one), but {behind.name!r} has no "
            "'target_name': the automatic choice fails"
        )
        hint = f'add "target_name" to {behind.name!r}'
        near = nearest(
            "target_name", [key for key in behind.raw if isinstance(key, str) and key != "target_name"]
        )
        if "target_name" not in behind.raw and near:
            yield Hit(behind.key_at(near), text, f'write "target_name" for "{near}"', behind.name)
        else:
            yield Hit(behind.at("target_name"), text, hint, behind.name)


@entry_rule(
    "DDB306",
    Severity.WARNING,
    "aux target equal to the controller's own",
    why="Both names then mean the same target; the further one was meant to be another.",
    bad=_example('"controller": "camera", "target_name": "camera"'),
    good=GOOD,
    kinds=KINDS,
)
def same_target(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """An aux target names the target that its controller's entry names."""
    behind = lab.entry_behind(entry.raw.get("controller"))
    target = entry.text("target_name")
    if (
        behind is not None
        and behind.kind == "controller"
        and target
        and behind.raw.get("target_name") == target
    ):
        text = f"{entry.name!r} names the target {target!r}, which {behind.name!r} names already"
        yield Hit(entry.at("target_name"), text, "use an alias, or name the other target", entry.name)


@entry_rule(
    "DDB307",
    Severity.ERROR,
    "white space in a target name",
    why="The protocol separates the target's name by white space: the server closes the connection without a word.",
    bad=_example('"controller": "camera", "target_name": "camera rexec"'),
    good=GOOD,
    kinds=("controller", "controller_aux_target"),
)
def white_space(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """A target's name holds white space."""
    target = entry.text("target_name")
    if target and any(map(str.isspace, target)):
        text = f"the target name {target!r} of {entry.name!r} holds white space; no server has such a target"
        yield Hit(entry.at("target_name"), text, f"write {'_'.join(target.split())!r}", entry.name)

"""Rules about `controller_aux_target`: a further target of somebody else's server."""

from collections.abc import Iterator

from devicedb.model.database import CheckedDatabase, Entry, is_known, kind_of, shown
from devicedb.model.fix import Insert, Repair
from devicedb.model.located import UNKNOWN
from devicedb.resolve import arrows
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.rules.repairs import rename_field, rename_key, write
from devicedb.suggest import nearest, only_candidate

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
    why="ARTIQ reads `target_name` without a default: KeyError when an experiment asks for the device.",
    bad=_example('"controller": "camera"'),
    good=GOOD,
    kinds=KINDS,
)
def no_target_name(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    value = entry.raw.get("target_name")
    if value is UNKNOWN or (isinstance(value, str) and value):
        return
    if "target_name" in entry.raw:
        said = "is empty" if value == "" else f"is {shown(value)}, {kind_of(value)}"
        text = f"'target_name' of {entry.name!r} {said}; it must be the name of a target"
        yield Hit(entry.at("target_name"), text, "", entry.name)
        return
    near = nearest("target_name", [key for key in entry.raw if isinstance(key, str)])
    near = near or ("target" if "target" in entry.raw else None)
    hint = f'write "target_name" for "{near}"' if near else 'add "target_name"'
    site = entry.key_at(near) if near else entry.at()
    text = f"{entry.name!r} is an aux target without 'target_name', which ARTIQ needs"
    repair = rename_field(entry, near, "target_name") if near else None
    yield Hit(site, text, hint, entry.name, repair=repair)


@entry_rule(
    "DDB302",
    Severity.ERROR,
    "aux target of an unknown controller",
    why="Host and port are the controller's; without it there is nothing to connect to.",
    bad=_example('"controller": "camrea", "target_name": "camera_rexec"'),
    good=GOOD,
    kinds=KINDS,
)
def controller_not_there(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    name = entry.text("controller")
    if name and not db.knows(name):
        text = f"{entry.name!r} belongs to the controller {name!r}, which is not in the database"
        controllers = (each for each in db.entries if _is_controller(each, db))
        repair = write(entry.at("controller"), name, only_candidate(name, controllers))
        yield Hit(entry.at("controller"), text, db.suggestion(name).strip(), entry.name, repair=repair)


def _is_controller(name: str, db: CheckedDatabase) -> bool:
    behind = db.entry_behind(name)
    return behind is not None and behind.kind == "controller"


@entry_rule(
    "DDB303",
    Severity.ERROR,
    "aux target of an entry that is not a controller",
    why="Only a controller has host and port.",
    bad='device_db = {\n    "camera": {"type": "dummy"},\n'
    f'    "rexec": {{{AUX}, "controller": "camera", "target_name": "camera_rexec"}},\n}}\n',
    good=GOOD,
    kinds=KINDS,
)
def no_controller(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    behind = db.entry_behind(entry.raw.get("controller"))
    if behind is None or behind.kind == "controller" or not is_known(behind.raw.get("type")):
        return
    if behind.node.value is UNKNOWN:
        return
    kind = f"a {behind.kind}" if behind.kind else kind_of(behind.node.value)
    text = f"{entry.name!r} belongs to {entry.raw['controller']!r}, which is {kind}, no controller"
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
def broken_alias(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    name = entry.text("controller")
    if not name or name not in db.entries:
        return
    walk = db.walk(name)
    if walk.end is None and (walk.is_loop or db.is_complete):
        text = f"{entry.name!r} belongs to {name!r}, an alias that leads nowhere: {arrows(db.chain(name))}"
        yield Hit(entry.at("controller"), text, "name the entry of the controller itself", entry.name)


@entry_rule(
    "DDB305",
    Severity.ERROR,
    "controller with several targets but no target_name of its own",
    why="A server with an aux target has several targets. The controller's own entry must name its target, "
    "because the automatic choice works with a single target only.",
    bad='device_db = {\n    "camera": {"type": "controller", "host": "::1", "port": 6283},\n'
    f'    "rexec": {{{AUX}, "controller": "camera", "target_name": "camera_rexec"}},\n}}\n',
    good=GOOD,
    kinds=KINDS,
)
def controller_without_target(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    behind = db.entry_behind(entry.raw.get("controller"))
    if behind is None or behind.kind != "controller" or "target" in behind.raw:
        return
    if behind.raw.get("target_name") in (None, ""):
        text = (
            f"the server of {behind.name!r} has several targets ({entry.name!r} is one), but {behind.name!r} has no "
            "'target_name': the automatic choice fails"
        )
        hint = f'add "target_name" to {behind.name!r}'
        proven = _proven_target(behind, db)
        repair = None
        if proven and "target_name" not in behind.raw:
            hint = f'add "target_name": "{proven}" to {behind.name!r}'
            repair = Repair(hint, (Insert(behind.at(), "target_name", proven),))
        elif proven:
            repair = write(behind.at("target_name"), "", proven) if behind.raw["target_name"] == "" else None
        near = nearest("target_name", [key for key in behind.raw if isinstance(key, str)])
        if "target_name" not in behind.raw and near:
            repair = rename_key(behind.key_at(near), near, "target_name")
            yield Hit(behind.key_at(near), text, repair.title, behind.name, repair=repair)
        else:
            yield Hit(behind.at("target_name"), text, hint, behind.name, repair=repair)


def _proven_target(controller: Entry, db: CheckedDatabase) -> str | None:
    """The target of a controller that its aux targets prove: NAME where the others are NAME_rexec."""
    others = {entry.text("target_name") for entry in db.rexec_controllers.get(controller.name, ())}
    stems = {each.removesuffix("_rexec") for each in others if each and each.endswith("_rexec")}
    return stems.pop() if len(stems) == 1 and "" not in stems else None


@entry_rule(
    "DDB306",
    Severity.WARNING,
    "aux target equal to the controller's own",
    why="Both names lead to the same target; the second was probably meant to be another one.",
    bad=_example('"controller": "camera", "target_name": "camera"'),
    good=GOOD,
    kinds=KINDS,
)
def same_target(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    behind = db.entry_behind(entry.raw.get("controller"))
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
    why="The protocol ends the target's name at white space: the server closes the connection without an error.",
    bad=_example('"controller": "camera", "target_name": "camera rexec"'),
    good=GOOD,
    kinds=("controller", "controller_aux_target"),
)
def white_space(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    target = entry.text("target_name")
    if target and any(map(str.isspace, target)):
        text = f"the target name {target!r} of {entry.name!r} holds white space; no server has such a target"
        yield Hit(entry.at("target_name"), text, f"write {'_'.join(target.split())!r}", entry.name)


@entry_rule(
    "DDB308",
    Severity.ERROR,
    "target name of a controller is empty",
    why="A client asks the server for the target with the empty name, which no server has.",
    bad='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "target_name": ""}}\n',
    good='device_db = {"camera": {"type": "controller", "host": "::1", "port": 6283, "target_name": "camera"}}\n',
    kinds=("controller",),
)
def empty_target_name(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    if entry.raw.get("target_name") == "":
        text = f"'target_name' of {entry.name!r} is empty; no server has such a target"
        yield Hit(
            entry.at("target_name"), text, "name the target, or leave it out if there is one only", entry.name
        )

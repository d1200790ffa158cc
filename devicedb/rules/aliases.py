"""Rules about aliases: they must end at an entry."""

from collections.abc import Iterator

from devicedb.model.database import CheckedDatabase, Entry
from devicedb.resolve import arrows
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.rules.repairs import write
from devicedb.suggest import only_candidate

GOOD = 'device_db = {"camera": {"type": "dummy"}, "cam": "camera"}\n'


@entry_rule(
    "DDB201",
    Severity.ERROR,
    "alias to nothing",
    why="Asking for the alias raises a KeyError for a name that the experiment does not mention.",
    bad='device_db = {"camera": {"type": "dummy"}, "cam": "camrea"}\n',
    good=GOOD,
    kinds=("alias",),
)
def alias_to_nothing(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    # Aliases of that alias are not reported again.
    target = entry.node.value
    if not db.knows(target):
        text = f"alias {entry.name!r} leads to {target!r}, which is not in the database"
        meant = only_candidate(target, (name for name in db.entries if name != entry.name))
        repair = write(entry.at(), target, meant)
        yield Hit(entry.at(), text, db.suggestion(target).strip(), entry.name, repair=repair)


@entry_rule(
    "DDB202",
    Severity.ERROR,
    "aliases in a loop",
    why="ARTIQ follows the loop forever: the master freezes, and neither Ctrl-C nor SIGTERM ends it.",
    bad='device_db = {"a": "b", "b": "a"}\n',
    good=GOOD,
    kinds=("alias",),
)
def alias_loop(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    if db.walk(entry.name).is_loop:
        text = f"alias {entry.name!r} never ends: {arrows(db.chain(entry.name))}. A master that follows it freezes"
        yield Hit(entry.at(), text, "let one of them name a real entry", entry.name)


@entry_rule(
    "DDB203",
    Severity.WARNING,
    "core is an alias",
    why="Some tools read device_db['core'] themselves, without following aliases.",
    bad='device_db = {"kasli": {"type": "local", "module": "artiq.coredevice.core", "class": "Core",\n'
    '    "arguments": {"host": "10.0.0.2", "ref_period": 1e-9}}, "core": "kasli"}\n',
    good='device_db = {"core": {"type": "local", "module": "artiq.coredevice.core", "class": "Core",\n'
    '    "arguments": {"host": "10.0.0.2", "ref_period": 1e-9}}, "kasli": "core"}\n',
    kinds=("alias",),
)
def core_is_an_alias(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    if entry.name == "core":
        text = "'core' is an alias; tools that read its address from the database do not follow it"
        yield Hit(entry.at(), text, f"call the entry 'core' and make {entry.node.value!r} the alias", "core")

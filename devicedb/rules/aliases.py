"""Rules about aliases: they must end at an entry."""

from collections.abc import Iterator

from devicedb.check.laboratory import Entry, Laboratory
from devicedb.resolve import arrows
from devicedb.rules.registry import Hit, Severity, entry_rule

GOOD = 'device_db = {"camera": {"type": "dummy"}, "cam": "camera"}\n'


@entry_rule(
    "DDB201",
    Severity.ERROR,
    "alias to nothing",
    why="Whoever asks for the alias gets a KeyError for a name that is not in the experiment.",
    bad='device_db = {"camera": {"type": "dummy"}, "cam": "camrea"}\n',
    good=GOOD,
    kinds=("alias",),
)
def alias_to_nothing(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """An alias names what is not in the database. Aliases of that alias are not reported again."""
    target = entry.node.value
    if not lab.knows(target):
        text = f"alias {entry.name!r} leads to {target!r}, which is not in the database"
        yield Hit(entry.at(), text, lab.suggestion(target).strip(), entry.name)


@entry_rule(
    "DDB202",
    Severity.ERROR,
    "aliases in a loop",
    why="ARTIQ follows the loop for ever: the whole master freezes, and neither Ctrl-C nor SIGTERM ends it.",
    bad='device_db = {"a": "b", "b": "a"}\n',
    good=GOOD,
    kinds=("alias",),
)
def alias_loop(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """An alias leads back to itself, or into such a loop."""
    walk = lab.walk(entry.name)
    if walk.is_loop:
        chain = walk.chain if len(walk.chain) < 8 else (*walk.chain[:6], "...", walk.chain[-1])
        text = f"alias {entry.name!r} never ends: {arrows(chain)}. A master that follows it freezes"
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
def core_is_an_alias(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """The name `core` is an alias."""
    if entry.name == "core":
        text = "'core' is an alias; tools that read its address from the database do not follow it"
        yield Hit(entry.at(), text, f"call the entry 'core' and make {entry.node.value!r} the alias", "core")

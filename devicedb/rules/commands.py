"""Rules about the command that starts a controller."""

import re
import shlex
from collections.abc import Iterator

from devicedb.check.laboratory import Entry, Laboratory, is_known, kind_of, shown
from devicedb.command import GIVEN, placeholders
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.suggest import did_you_mean

KINDS = ("controller",)
PORT_OPTION = re.compile(r"(?:^|\s)(?:-p|--port|--port-control)(?:\s+|=)(\d+)(?=\s|$)")


def _example(command: str) -> str:
    fields = f'"type": "controller", "host": "::1", "port": 6283,\n    "command": {command}'
    return f'device_db = {{"camera": {{{fields}}}}}\n'


GOOD = _example('"aqctl_camera -p {port} --bind {bind}"')


def _template(entry: Entry) -> str | None:
    """The command, where it is a text that can be formatted at all."""
    template = entry.text("command")
    if template is None or not template.strip():
        return None
    try:
        placeholders(template)
    except ValueError:
        return None
    return template


@entry_rule(
    "DDB402",
    Severity.ERROR,
    "command is not a text",
    why="The controller manager formats a str and splits it as a shell would. It takes no list, and starts nothing "
    "from an empty text.",
    bad=_example('["aqctl_camera", "-p", "6283"]'),
    good=GOOD,
    kinds=KINDS,
)
def command_is_no_text(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """`command` is no str, or empty."""
    value = entry.raw.get("command")
    if value is None or not is_known(value) or (isinstance(value, str) and value.strip()):
        return
    said = "is empty" if isinstance(value, str) else f"is {shown(value)}, a {kind_of(value)}"
    hint = "leave 'command' out where something else starts the controller"
    yield Hit(
        entry.at("command"), f"'command' of {entry.name!r} {said}; it must be one str", hint, entry.name
    )


@entry_rule(
    "DDB403",
    Severity.ERROR,
    "quote in a command is not closed",
    why="The command is split as a shell would do it; this one cannot be, so the controller never starts.",
    bad=_example('"aqctl_camera -p {port} --name \'left"'),
    good=GOOD,
    kinds=KINDS,
)
def unclosed_quote(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """A command cannot be split into words."""
    template = entry.text("command")
    if template is None:
        return
    try:
        shlex.split(template)
    except ValueError as error:
        text = f"'command' of {entry.name!r} cannot be split into words: {str(error).lower()}"
        yield Hit(entry.at("command"), text, "close the quote", entry.name)


@entry_rule(
    "DDB404",
    Severity.ERROR,
    "braces in a command do not balance",
    why="The command is a template of str.format; this one cannot be formatted, so the controller never starts.",
    bad=_example('"aqctl_camera -p {port --bind {bind}"'),
    good=GOOD,
    kinds=KINDS,
)
def unbalanced_braces(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """A command is no template that can be formatted."""
    template = entry.text("command")
    if template is None:
        return
    try:
        placeholders(template)
    except ValueError as error:
        text = f"'command' of {entry.name!r} cannot be formatted: {str(error).lower()}"
        yield Hit(entry.at("command"), text, "write {{ and }} for braces that are meant", entry.name)


@entry_rule(
    "DDB405",
    Severity.ERROR,
    "placeholder that nothing fills in",
    why="Only keys of the entry, name, bind and ARTIQ_SSL_DIR are filled in. The manager tries again for ever.",
    bad=_example('"aqctl_camera -p {prot} --bind {bind}"'),
    good=GOOD,
    kinds=KINDS,
)
def unknown_placeholder(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """A placeholder is no key of the entry."""
    template = _template(entry)
    if template is None:
        return
    known = [*(key for key in entry.raw if isinstance(key, str)), *GIVEN]
    for name in dict.fromkeys(placeholders(template)):
        if name not in known:
            text = f"'command' of {entry.name!r} has the placeholder {{{name}}}, which is no key of the entry"
            yield Hit(entry.at("command"), text, did_you_mean(name, known).strip(), entry.name)


@entry_rule(
    "DDB406",
    Severity.WARNING,
    "command does not pass the port",
    why="The controller then listens at its own default, wherever the entry says that it is.",
    bad=_example('"aqctl_camera --bind {bind}"'),
    good=GOOD,
    kinds=KINDS,
)
def port_not_passed(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """A command has neither {port} nor the port itself."""
    template = _template(entry)
    port = entry.raw.get("port")
    if template is None or "port" in placeholders(template) or PORT_OPTION.search(template):
        return
    if port is None or not re.search(rf"(?<!\d){re.escape(str(port))}(?!\d)", template):
        text = f"'command' of {entry.name!r} does not pass the port, which the entry says is {shown(port)}"
        yield Hit(
            entry.at("command"), text, "add the controller's option for it, often -p {port}", entry.name
        )


@entry_rule(
    "DDB407",
    Severity.ERROR,
    "command passes another port",
    why="The controller listens at one port and experiments connect to another.",
    bad=_example('"aqctl_camera -p 6284 --bind {bind}"'),
    good=GOOD,
    kinds=KINDS,
)
def other_port(entry: Entry, lab: Laboratory) -> Iterator[Hit]:
    """A command has a literal port that is not the entry's."""
    template = _template(entry)
    port = entry.raw.get("port")
    if template is None or not isinstance(port, int | str):
        return
    for found in PORT_OPTION.findall(template):
        if found != str(port).strip():
            text = f"'command' of {entry.name!r} starts it on port {found}, its 'port' is {shown(port)}"
            yield Hit(entry.at("command"), text, "write {port} in the command", entry.name)

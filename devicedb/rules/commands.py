"""Rules about the command that starts a controller."""

import re
import shlex
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from devicedb.command import GIVEN, placeholders
from devicedb.model.database import CheckedDatabase, Entry, is_known, kind_of, shown
from devicedb.rules.registry import Hit, Severity, entry_rule
from devicedb.rules.repairs import write
from devicedb.suggest import did_you_mean, only_candidate

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


@lru_cache(4096)
def _words(template: str) -> list[str]:
    """The words of a command; ValueError if a quote is not closed. Several rules ask."""
    return shlex.split(template)


@entry_rule(
    "DDB402",
    Severity.ERROR,
    "command is not a string",
    why="The controller manager formats a str and splits it like a shell. It accepts no list, and an empty string "
    "starts nothing.",
    bad=_example('["aqctl_camera", "-p", "6283"]'),
    good=GOOD,
    kinds=KINDS,
)
def command_is_no_text(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    value = entry.raw.get("command")
    if value is None or not is_known(value) or (isinstance(value, str) and value.strip()):
        return
    said = "is empty" if isinstance(value, str) else f"is {shown(value)}, {kind_of(value)}"
    hint = "leave 'command' out where something else starts the controller"
    yield Hit(
        entry.at("command"), f"'command' of {entry.name!r} {said}; it must be one str", hint, entry.name
    )


@entry_rule(
    "DDB403",
    Severity.ERROR,
    "quote in a command is not closed",
    why="The manager splits the command like a shell. That fails here, so the controller never starts.",
    bad=_example('"aqctl_camera -p {port} --name \'left"'),
    good=GOOD,
    kinds=KINDS,
)
def unclosed_quote(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    template = entry.text("command")
    if template is None:
        return
    try:
        _words(template)
    except ValueError as error:
        text = f"'command' of {entry.name!r} cannot be split into words: {str(error).lower()}"
        yield Hit(entry.at("command"), text, "close the quote", entry.name)


@entry_rule(
    "DDB404",
    Severity.ERROR,
    "braces in a command do not balance",
    why="The command is a template of str.format. Formatting fails here, so the controller never starts.",
    bad=_example('"aqctl_camera -p {port --bind {bind}"'),
    good=GOOD,
    kinds=KINDS,
)
def unbalanced_braces(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
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
    "unknown placeholder in a command",
    why="Only the entry's keys, name, bind and ARTIQ_SSL_DIR are filled in. The manager fails and tries again forever.",
    bad=_example('"aqctl_camera -p {prot} --bind {bind}"'),
    good=GOOD,
    kinds=KINDS,
)
def unknown_placeholder(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    template = _template(entry)
    if template is None:
        return
    known = [*(key for key in entry.raw if isinstance(key, str)), *GIVEN]
    for name in dict.fromkeys(placeholders(template)):
        if name not in known:
            text = f"'command' of {entry.name!r} has the placeholder {{{name}}}, which is no key of the entry"
            meant = only_candidate(name, known)
            repair = None
            if meant and "{{" not in template:
                pattern = rf"(?<={{){re.escape(name)}(?=[}}:!.\[])"
                better = re.sub(pattern, meant.replace("\\", r"\\"), template)
                repair = write(entry.at("command"), template, better)
            yield Hit(entry.at("command"), text, did_you_mean(name, known).strip(), entry.name, repair=repair)


@entry_rule(
    "DDB406",
    Severity.WARNING,
    "command does not pass the port",
    why="The controller listens at its default port, not at the entry's.",
    bad=_example('"aqctl_camera --bind {bind}"'),
    good=GOOD,
    kinds=KINDS,
)
def port_not_passed(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
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
def other_port(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    template = _template(entry)
    port = entry.raw.get("port")
    if template is None or not isinstance(port, int | str):
        return
    for found in PORT_OPTION.findall(template):
        if found != str(port).strip():
            text = f"'command' of {entry.name!r} starts it on port {found}, its 'port' is {shown(port)}"
            yield Hit(entry.at("command"), text, "write {port} in the command", entry.name)


@entry_rule(
    "DDB412",
    Severity.ERROR,
    "key that the controller manager fills in itself",
    why="The manager formats the command with name, bind and the entry's keys. Twice the same keyword is a TypeError, "
    "and the controller never starts.",
    bad=_example('"aqctl_camera -p {port} --bind {bind}", "bind": "*"'),
    good=GOOD,
    kinds=KINDS,
)
def reserved_key(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    if entry.text("command") is None:
        return
    for name in ("name", "bind"):
        if name in entry.raw:
            text = f"{entry.name!r} has the key {name!r}, which the controller manager fills in itself: TypeError"
            hint = f"rename it: {{{name}}} in the command is the {'entry' if name == 'name' else 'address to bind'}"
            yield Hit(entry.key_at(name), text, hint, entry.name)


SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh", "cmd", "powershell", "pwsh", "wsl"})
RELAYS: Final = SHELLS | {
    "ssh",
    "tmux",
    "screen",
    "docker",
    "podman",
    "nix-shell",
    "nix",
    "su",
    "runuser",
    "xterm",
}
"""Programs that hand words on to a shell: what those mean is not known here."""
OPERATORS: Final = frozenset(
    {"&&", "||", "|", ";", "&", ">", ">>", "<", "<<", "2>", "2>&1", "&>", ">&2", "1>&2"}
)
BUILTINS: Final = frozenset({"cd", "source", ".", "export", "set", "alias", "exec", "eval", "call", "start"})
_ASSIGNMENT: Final = re.compile(r"^[A-Za-z_]\w*=")
_VARIABLE: Final = re.compile(r"\$(\w|\(|\{\{)|`|%[A-Za-z_]\w*%")
_REDIRECTION: Final = re.compile(r"^\d?>>?[^=]")
_BACKSLASH: Final = re.compile(r"[\w.:}]\\[\w.{]")


@entry_rule(
    "DDB413",
    Severity.ERROR,
    "command needs a shell",
    why="The manager splits the command into words and starts the first one, without a shell. Operators, assignments, "
    "variables, ~ and comments are passed to the program as they are; backslashes outside quotes vanish.",
    bad=_example('"cd /lab && aqctl_camera -p {port} --bind {bind}"'),
    good=GOOD,
    kinds=KINDS,
)
def needs_a_shell(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    template = _template(entry)
    if template is None:
        return
    try:
        words = _words(template)
    except ValueError:
        return
    if any(re.split(r"[/\\\\]", word)[-1].removesuffix(".exe") in RELAYS for word in words[:4]):
        return
    fault = shell_fault(words, template)
    if fault is not None:
        said, hint = fault
        yield Hit(entry.at("command"), f"'command' of {entry.name!r} {said}", hint, entry.name)


def shell_fault(words: list[str], template: str) -> tuple[str, str] | None:
    """Return what in a command only a shell understands, and what to write instead."""
    first = words[0]
    if _ASSIGNMENT.match(first):
        name, _, value = first.partition("=")
        return f"begins with {first!r}, which only a shell takes for a variable", (
            f'add "environment": {{"{name}": "{value}"}} to the entry'
        )
    if first in BUILTINS:
        return (
            f"begins with {first!r}, which is a command of a shell, not a program",
            "name the program with its whole path",
        )
    for word in words:
        if word in OPERATORS or _REDIRECTION.match(word) or word.endswith(";"):
            return (
                f"has {word!r}, which only a shell understands",
                f"write a script, or: sh -c {shlex.quote(template)}",
            )
        if word.startswith("~"):
            return f"has {word!r}; only a shell replaces ~ by the home folder", "write the whole path"
    if "#" in words:
        return "has a comment, which is passed to the program", "move it to a comment of the file"
    if _VARIABLE.search(template) and not re.search(r"'[^']*\$[^']*'", template):
        return (
            "has a variable, which only a shell replaces",
            "write the value, or add a key to the entry and use {key}",
        )
    if _BACKSLASH.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", template)):
        return (
            "has backslashes outside quotes, which are removed when it is split",
            "write / in paths, or quote them",
        )
    return None


@entry_rule(
    "DDB414",
    Severity.ERROR,
    "environment is not strings",
    why="The environment of a process is strings only: starting the controller is a TypeError.",
    bad=_example('"aqctl_camera -p {port} --bind {bind}", "environment": {"GAIN": 3}'),
    good=_example('"aqctl_camera -p {port} --bind {bind}", "environment": {"GAIN": "3"}'),
    kinds=KINDS,
)
def environment_of_strings(entry: Entry, db: CheckedDatabase) -> Iterator[Hit]:
    environment = entry.raw.get("environment")
    if not isinstance(environment, dict):
        return
    for key, value in environment.items():
        for each, what in ((key, "name"), (value, "value")):
            if is_known(each) and not isinstance(each, str):
                text = (
                    f"'environment' of {entry.name!r}: the {what} {shown(each)} is {kind_of(each)}, not a str"
                )
                hint = f'write "{each}"' if isinstance(each, int | float) else ""
                is_number = type(value) in (int, float) and isinstance(key, str)
                repair = write(entry.at("environment", key), value, str(value)) if is_number else None
                yield Hit(entry.at("environment", key), text, hint, entry.name, repair=repair)
        if isinstance(key, str) and (not key or "=" in key or "\0" in key):
            text = f"'environment' of {entry.name!r}: {key!r} cannot be the name of a variable"
            yield Hit(entry.at("environment", key), text, "", entry.name)

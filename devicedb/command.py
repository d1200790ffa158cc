"""The command line of a controller, made as the controller manager makes it."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from functools import lru_cache
from string import Formatter
from typing import Any, Final

from devicedb.errors import CommandTemplateError
from devicedb.suggest import did_you_mean

GIVEN: Final = ("name", "bind", "ARTIQ_SSL_DIR")
"""Placeholders that the manager fills in, in addition to the entry's keys."""

_SSL_DIR: Final = "\ue000ARTIQ_SSL_DIR\ue000"
"""Stands for the folder of TLS files until the command is split: its name may have spaces or backslashes."""

_SAFE: Final = re.compile(r"[\w.:/\\=+-]+")
"""Words that no shell of Windows takes apart."""


def as_typed(words: Iterable[str], *, windows: bool = os.name == "nt") -> str:
    """Return a command as a person types it: for a shell of POSIX, or for cmd and (except a word with `"`) PowerShell.

    Args:
        words: The command and its arguments.
        windows: Whether for Windows, where single quotes are characters like any other.

    """
    return " ".join(map(_for_windows if windows else shlex.quote, words))


def _for_windows(word: str) -> str:
    if _SAFE.fullmatch(word):
        return word
    # Backslashes are doubled before a double quote, the last one of the word included, and nowhere else.
    escaped = re.sub(r'(\\*)(")', r"\1\1\\\2", word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'


@lru_cache(4096)
def placeholders(template: str) -> tuple[str, ...]:
    """Return the placeholders of a template in order; ValueError if its braces do not balance."""
    names: list[str] = []
    for _, field, spec, _ in Formatter().parse(template):
        if field is None:
            continue
        names.append(field.partition(".")[0].partition("[")[0])
        if spec:
            names += placeholders(spec)
    return tuple(names)


def command_line(
    name: str, entry: Mapping[str, Any], *, bind: str = "::1", ssl_dir: str | None = None
) -> list[str]:
    """Return the command of a controller, split into words.

    Args:
        name: Name of the entry.
        entry: The entry as written; its `command` is formatted with all its keys.
        bind: The address to listen at.
        ssl_dir: Value of `{ARTIQ_SSL_DIR}`; None: not set.

    Raises:
        CommandTemplateError: There is no command, or it cannot be formatted or split.

    """
    template = entry.get("command")
    if not isinstance(template, str):
        raise CommandTemplateError(f"entry {name!r} has no command that would start it")
    values = {**entry, "name": name, "bind": bind}
    if ssl_dir is not None:
        values["ARTIQ_SSL_DIR"] = _SSL_DIR
    try:
        for each in placeholders(template):
            if each in values:
                continue
            if each == "ARTIQ_SSL_DIR":
                problem = "needs the environment variable ARTIQ_SSL_DIR, which is not set"
            else:
                problem = f"has the placeholder {{{each}}}, which is no key of the entry."
                problem += did_you_mean(each, [*entry, *GIVEN])
            raise CommandTemplateError(f"entry {name!r}: command {template!r} {problem}")
        words = [word.replace(_SSL_DIR, ssl_dir or "") for word in shlex.split(template.format(**values))]
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise CommandTemplateError(f"entry {name!r}: command {template!r}: {error}") from None
    if not words:
        raise CommandTemplateError(f"entry {name!r}: its command is empty")
    return words

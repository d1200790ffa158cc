"""The rules: each a pure function with a code, a severity, a why, a good and a bad example.

Importing this package registers them all in `RULES`.
"""

from devicedb.rules import (
    aliases,
    arguments,
    auxiliary,
    circles,
    clocks,
    commands,
    controllers,
    duplicates,
    experiments,
    fields,
    file,
    hosts,
    keys,
    local,
    names,
    rights,
    values,
)
from devicedb.rules.registry import RULES

_MODULES = (
    file,
    names,
    fields,
    hosts,
    duplicates,
    aliases,
    auxiliary,
    controllers,
    rights,
    commands,
    local,
    arguments,
    values,
    circles,
    clocks,
    experiments,
    keys,
)

__all__ = ["RULES"]

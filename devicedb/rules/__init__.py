"""The rules: each a pure function with a code, a severity, a why, a good and a bad example.

Importing this package registers them all in `RULES`.
"""

from devicedb.rules import (
    aliases,
    auxiliary,
    commands,
    controllers,
    duplicates,
    experiments,
    fields,
    file,
    keys,
    local,
    names,
)
from devicedb.rules.registry import RULES, Hit, Rule, Severity

_MODULES = (
    file,
    names,
    fields,
    duplicates,
    aliases,
    auxiliary,
    controllers,
    commands,
    local,
    experiments,
    keys,
)

__all__ = ["RULES", "Hit", "Rule", "Severity"]

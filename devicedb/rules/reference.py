"""The rules as text: for `devicedb explain`, and as the reference page of the documentation."""

import textwrap
from collections.abc import Iterable

from devicedb.model.rule import Rule

HEADER = """# Rules of `devicedb check`

<!-- Written by `devicedb explain --all --markdown`; a test holds it current. -->

A rule has a stable code, a severity (error: ARTIQ or the controller manager fails on it; warning: it works, but is
suspicious; info: shown with `--show info`) and a place: the expression that made the value, through loops,
functions and imports. `devicedb explain CODE` prints what this page says. The examples are run as tests.

"""


def as_text(rule: Rule) -> str:
    """Return one rule for a terminal."""
    why = textwrap.fill(rule.why, 96)
    bad, good = (textwrap.indent(example, "    ") for example in (rule.bad, rule.good))
    return f"{rule.code} ({rule.severity}): {rule.summary}\n\n{why}\n\nBad:\n\n{bad}\nGood:\n\n{good}"


def as_markdown(rules: Iterable[Rule]) -> str:
    """Return the reference page: a table of all rules, then each."""
    every = list(rules)
    rows = "".join(
        f"| [{rule.code}](#{rule.code.lower()}) | {rule.severity} | {rule.summary} |\n" for rule in every
    )
    table = f"| Code | Severity | Finds |\n| --- | --- | --- |\n{rows}\n"
    return HEADER + table + "\n".join(_section(rule) for rule in every)


def _section(rule: Rule) -> str:
    # Plain text: a formatter of Python in Markdown would correct the bad examples.
    examples = "".join(
        f"{name}:\n\n```text\n{example}```\n\n" for name, example in (("Bad", rule.bad), ("Good", rule.good))
    )
    why = "\n".join(textwrap.wrap(rule.why, 110))
    return (
        f"## {rule.code}\n\n**{rule.summary}** ({rule.severity})\n\n{why}\n\n{examples}".rstrip("\n") + "\n"
    )

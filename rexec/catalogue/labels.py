"""Labels of several runs, by what differs between them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rexec.results.reading.comparing import Varying, varying

_LONGEST: Final = 60
_MOST_NAMED: Final = 4
"""Maximum number of differences that a label names."""


def labels(
    names: Sequence[str], identities: Sequence[Mapping[str, Any]], comments: Sequence[str]
) -> list[str]:
    """Return a label for each run: its name, the arguments that differ, else what else does, and its comment.

    Args:
        names: Numbers of the runs, or names of their files.
        identities: What is known of each run (`Run.identity`).
        comments: The comment on each; "" without one.

    """
    found = _worth_naming(varying(identities))
    is_one_class = len({str(each.get("class_name") or "") for each in identities}) == 1
    return [
        _label(name, number, found, comment, "" if is_one_class else str(identity.get("class_name") or ""))
        for number, (name, identity, comment) in enumerate(zip(names, identities, comments, strict=True))
    ]


def _worth_naming(found: list[Varying]) -> list[Varying]:
    arguments = [each for each in found if each.section == "argument"]
    others = [
        each
        for each in found
        if each.section == "device" or (each.section, each.name) == ("code", "git commit")
    ]
    return (arguments or others)[:_MOST_NAMED]


def _label(name: str, number: int, found: list[Varying], comment: str, class_name: str) -> str:
    parts = [class_name] if class_name else []
    for each in found:
        value = each.values[number]
        if value is not None:
            parts.append(f"{each.name}={_cut(value, 12 if each.section == 'code' else 24)}")
    said = ", ".join(parts)
    line = " ".join(comment.split())
    text = f"{name}: {said}" if said else name
    return _cut(f"{text} ({line})" if line else text, _LONGEST)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size - 1]}…"

"""Renders a server's method list as Python signatures with documentation."""

from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any

from devicedb.printable import printable


def signature(name: str, spec: Mapping[str, Any]) -> str:
    """Return the signature of a method as Python source.

    Args:
        name: Name of the method.
        spec: The fields of `inspect.getfullargspec` with annotations as text, as `get_rpc_method_list` returns them;
            `self` is omitted.

    """
    notes: Mapping[str, str] = spec.get("annotations") or {}
    names: Sequence[str] = [each for each in spec.get("args") or () if each != "self"]
    defaults: Sequence[Any] = spec.get("defaults") or ()
    first_default = len(names) - len(defaults)

    def parameter(each: str, *default: Any) -> str:
        note = f": {notes[each]}" if each in notes else ""
        if not default:
            return each + note
        return f"{each}{note} = {default[0]!r}" if note else f"{each}={default[0]!r}"

    parts = [
        parameter(each, *([defaults[index - first_default]] if index >= first_default else []))
        for index, each in enumerate(names)
    ]
    keyword_only: Sequence[str] = spec.get("kwonlyargs") or ()
    if spec.get("varargs"):
        parts.append(f"*{parameter(spec['varargs'])}")
    elif keyword_only:
        parts.append("*")
    # The reference library sends an empty list if there are none.
    keyword_defaults: Mapping[str, Any] = spec.get("kwonlydefaults") or {}
    parts += [
        parameter(each, *([keyword_defaults[each]] if each in keyword_defaults else []))
        for each in keyword_only
    ]
    if spec.get("varkw"):
        parts.append(f"**{parameter(spec['varkw'])}")
    answer = f" -> {notes['return']}" if "return" in notes else ""
    return f"{name}({', '.join(parts)}){answer}"


def listing(methods: Mapping[str, Any], docstring: str | None) -> str:
    """Return the documentation of a target, followed by its methods in alphabetical order."""
    lines = [*cleandoc(docstring).splitlines(), ""] if docstring else []
    for name in sorted(methods):
        spec, doc = methods[name]
        lines.append(printable(signature(name, spec)))
        lines += [f"    {line}".rstrip() for line in cleandoc(doc).splitlines()] if doc else []
    return "\n".join(lines)

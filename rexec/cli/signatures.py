"""Renders what a server says of its methods: signatures and documentation, as Python would write them."""

from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any


def signature(name: str, spec: Mapping[str, Any]) -> str:
    """Return the signature of a method as Python source.

    Args:
        name: Name of the method.
        spec: The fields of `inspect.getfullargspec`, annotations as text, as `get_rpc_method_list` answers them;
            `self` is left out.

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
    # the reference server answers an empty list where there are none
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
    """Return the page of a target: its documentation, then its methods by name, each with its own."""
    lines = [*cleandoc(docstring).splitlines(), ""] if docstring else []
    for name in sorted(methods):
        spec, doc = methods[name]
        lines.append(signature(name, spec))
        lines += [f"    {line}".rstrip() for line in cleandoc(doc).splitlines()] if doc else []
    return "\n".join(lines)

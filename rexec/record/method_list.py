"""What a server's method list says of a driver."""

from inspect import Parameter, Signature
from typing import Any, Final

from devicedb.drivers.methods import OPEN, DriverFacts, Method

_KINDS: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def facts_of_list(method_list: Any, names: frozenset[str], origin: str) -> DriverFacts:
    """Return what a server's method list says.

    Args:
        method_list: The answer to `get_rpc_method_list`, None where there was none.
        names: The names that the server offered.
        origin: Where that is from.

    """
    listed = method_list.get("methods", {}) if isinstance(method_list, dict) else {}
    methods = {name: Method(name, origin=origin) for name in sorted(names) if not name.startswith("_")}
    for name, (spec, doc) in listed.items():
        methods[name] = Method(name, _signature_of_spec(spec), doc, origin)
    methods.pop("terminate", None)
    doc = method_list.get("docstring") if isinstance(method_list, dict) else None
    return DriverFacts(doc=doc, origin=origin, methods=methods, is_closed=True)


def _signature_of_spec(spec: Any) -> Signature:
    """The signature that a full argument specification, as a dict, stands for."""
    try:
        annotations = spec.get("annotations") or {}
        args, defaults = list(spec["args"]), list(spec.get("defaults") or ())
        given: list[Any] = [Parameter.empty] * (len(args) - len(defaults)) + defaults

        def parameter(name: str, kind: Any, default: Any = Parameter.empty) -> Parameter:
            return Parameter(name, kind, default=default, annotation=annotations.get(name, Parameter.empty))

        found = [parameter(name, _KINDS[1], value) for name, value in zip(args, given, strict=True)]
        del found[:1]
        if spec.get("varargs"):
            found.append(parameter(spec["varargs"], Parameter.VAR_POSITIONAL))
        only = spec.get("kwonlydefaults") or {}
        found += [
            parameter(name, Parameter.KEYWORD_ONLY, only.get(name, Parameter.empty))
            for name in spec.get("kwonlyargs") or ()
        ]
        if spec.get("varkw"):
            found.append(parameter(spec["varkw"], Parameter.VAR_KEYWORD))
        return Signature(found, return_annotation=annotations.get("return", Signature.empty))
    except (KeyError, TypeError, ValueError, AttributeError):
        return OPEN

"""What is known of a driver's methods: names, signatures, documentation, and from where.

Either from the source of the driver, parsed and never imported, or from a method list as a server sends it.
"""

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, Final

from devicedb.drivers.sources import ClassSource, SourceFinder

_KINDS: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
OPEN: Final = Signature(
    [Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)]
)
"""Of a method of which only the name is known."""


@dataclass(frozen=True)
class Method:
    """One method of a driver.

    Attributes:
        name: Its name.
        signature: What a client gives, `self` left out. Annotations are texts.
        doc: Its docstring.
        origin: Where that is known from, for people: "controller.py:41".
        is_coroutine: Whether it is awaited.
        while_busy: Whether it is answered while another call runs.

    """

    name: str
    signature: Signature = OPEN
    doc: str | None = None
    origin: str = ""
    is_coroutine: bool = False
    while_busy: bool = False

    @property
    def returns(self) -> str | None:
        """The annotation of what it returns, as text."""
        annotation = self.signature.return_annotation
        return annotation if isinstance(annotation, str) else None


@dataclass(frozen=True)
class DriverFacts:
    """What is known of a driver.

    Attributes:
        name: Its class.
        doc: Its docstring.
        origin: The file that says so; empty where nothing is known.
        methods: Its public methods.
        is_closed: Whether it has surely no others.

    """

    name: str = "Driver"
    doc: str | None = None
    origin: str = ""
    methods: Mapping[str, Method] = field(default_factory=dict)
    is_closed: bool = False


class WrittenDefault:
    """A default value that the source names by an expression that is not evaluated here."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def facts_of_class(found: ClassSource, finder: SourceFinder) -> DriverFacts:
    """Return what the source of a driver's class says.

    Args:
        found: The class.
        finder: Where its bases are looked for.

    """
    methods: dict[str, Method] = {}
    is_closed = True
    for each in finder.lineage(found):
        if each is None:
            is_closed = False  # a base whose source is not there
            continue
        for node in each.node.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                is_closed = is_closed and node.name not in {"__getattr__", "__getattribute__"}
                if not node.name.startswith("_") and not _is_property(node):
                    methods.setdefault(node.name, _method(node, each))
            elif isinstance(node, ast.Assign) and not all(isinstance(t, ast.Name) for t in node.targets):
                is_closed = False
    return DriverFacts(
        found.node.name, ast.get_docstring(found.node), found.source.path, methods, is_closed=is_closed
    )


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


def _method(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: ClassSource) -> Method:
    return Method(
        node.name,
        signature_of(node),
        ast.get_docstring(node),
        f"{Path(owner.source.path).name}:{node.lineno}",
        isinstance(node, ast.AsyncFunctionDef),
        "while_busy" in _decorators(node),
    )


def signature_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
    """Return the signature of a method as its caller sees it: without `self`, annotations as texts."""
    written = node.args
    plain = [*written.posonlyargs, *written.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(written.defaults))
    found = [
        _parameter(each, _KINDS[index >= len(written.posonlyargs)], default)
        for index, (each, default) in enumerate(zip(plain, [*defaults, *written.defaults], strict=True))
    ]
    if "staticmethod" not in _decorators(node):
        del found[:1]
    if written.vararg is not None:
        found.append(_parameter(written.vararg, Parameter.VAR_POSITIONAL, None))
    for each, given in zip(written.kwonlyargs, written.kw_defaults, strict=True):
        found.append(_parameter(each, Parameter.KEYWORD_ONLY, given))
    if written.kwarg is not None:
        found.append(_parameter(written.kwarg, Parameter.VAR_KEYWORD, None))
    returns = Signature.empty if node.returns is None else _text(node.returns)
    return Signature(found, return_annotation=returns)


def _parameter(each: ast.arg, kind: Any, default: ast.expr | None) -> Parameter:
    annotation = Parameter.empty if each.annotation is None else _text(each.annotation)
    value: Any = Parameter.empty
    if default is not None:
        try:
            value = ast.literal_eval(default)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            value = WrittenDefault(ast.unparse(default))
    return Parameter(each.arg, kind, default=value, annotation=annotation)


def _text(annotation: ast.expr) -> str:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return ast.unparse(annotation)


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """The last names of what decorates a function: `x.setter` is "setter"."""
    found = set()
    for each in node.decorator_list:
        called = each.func if isinstance(each, ast.Call) else each
        if isinstance(called, ast.Name | ast.Attribute):
            found.add(called.id if isinstance(called, ast.Name) else called.attr)
    return found


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return bool(_decorators(node) & {"property", "cached_property", "setter", "deleter", "getter"})


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


def with_self(signature: Signature) -> Signature:
    """Return a signature as that of a function in a class."""
    first = Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    if not any(each.kind is Parameter.POSITIONAL_ONLY for each in signature.parameters.values()):
        first = first.replace(kind=Parameter.POSITIONAL_OR_KEYWORD)
    if "self" in signature.parameters:
        return signature
    return signature.replace(parameters=[first, *signature.parameters.values()])

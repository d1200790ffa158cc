"""What is known of a driver's methods: names, signatures, documentation, and from where. Source is parsed only."""

import ast
import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, Final

from devicedb.drivers.sources import ClassSource, SourceFinder

_KINDS: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
OPEN: Final = Signature(
    [Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)]
)
"""Signature of a method whose name alone is known."""


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
        older: Signatures of older releases of the driver that take other calls.

    """

    name: str
    signature: Signature = OPEN
    doc: str | None = None
    origin: str = ""
    is_coroutine: bool = False
    while_busy: bool = False
    older: tuple[Signature, ...] = ()

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
        attributes: Its further public attributes, as far as its source shows them.
        is_closed: Whether this is certainly the whole list of methods.

    """

    name: str = "Driver"
    doc: str | None = None
    origin: str = ""
    methods: Mapping[str, Method] = field(default_factory=dict)
    attributes: frozenset[str] = frozenset()
    is_closed: bool = False


class WrittenDefault:
    """A default value that is an expression; it is shown, not evaluated."""

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
    attributes: set[str] = set()
    is_closed = True
    for each in finder.lineage(found):
        if each is None:
            is_closed = False  # a base whose source is not there
            continue
        attributes |= _attributes(each.node)
        for node in each.node.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                is_closed = is_closed and node.name not in {"__getattr__", "__getattribute__"}
                if not node.name.startswith("_") and not _is_property(node):
                    methods.setdefault(node.name, _method(node, each))
            elif (
                isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in methods
            ):
                for target in node.targets:
                    if isinstance(target, ast.Name):  # another name of a method
                        methods.setdefault(target.id, replace(methods[node.value.id], name=target.id))
    return DriverFacts(
        found.node.name,
        ast.get_docstring(found.node),
        found.source.path,
        methods,
        frozenset(attributes - methods.keys()),
        is_closed,
    )


def _attributes(node: ast.ClassDef) -> set[str]:
    """The public attributes that a class and its methods set, and its properties."""
    found = {each.name for each in node.body if isinstance(each, ast.FunctionDef) and _is_property(each)}
    for each in node.body:
        if isinstance(each, ast.Assign | ast.AnnAssign):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
            if isinstance(inner.value, ast.Name) and inner.value.id == "self":
                found.add(inner.attr)
    return {name for name in found if not name.startswith("_")}


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
    """Last names of a function's decorators: `x.setter` gives "setter"."""
    found = set()
    for each in node.decorator_list:
        called = each.func if isinstance(each, ast.Call) else each
        if isinstance(called, ast.Name | ast.Attribute):
            found.add(called.id if isinstance(called, ast.Name) else called.attr)
    return found


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return bool(_decorators(node) & {"property", "cached_property", "setter", "deleter", "getter"})


def parse_signature(text: str) -> Signature:
    """Return the signature that a text such as "(self, seconds: float = 1.0) -> None" stands for; `self` left out.

    Raises:
        ValueError: It is none.

    """
    try:
        node = ast.parse(f"def f{text}: ...").body[0]
    except SyntaxError as error:
        raise ValueError(f"{text!r} is no signature") from error
    if not isinstance(node, ast.FunctionDef):
        raise ValueError(f"{text!r} is no signature")
    return signature_of(node)


def signature_text(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the signature of a method as text, as it is written in its source; `self` is there in any case."""
    arguments = copy.deepcopy(node.args)
    if "staticmethod" in _decorators(node):
        (arguments.posonlyargs or arguments.args).insert(0, ast.arg("self"))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"({ast.unparse(arguments)}){returns}"


def written_signatures(found: ClassSource, finder: SourceFinder) -> dict[str, str]:
    """Return the public methods of a class, its bases included, with their signatures as texts."""
    texts: dict[str, str] = {}
    for each in finder.lineage(found):
        for node in each.node.body if each is not None else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if not node.name.startswith("_") and not _is_property(node):
                    texts.setdefault(node.name, signature_text(node))
    return texts

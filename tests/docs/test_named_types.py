"""The reference has each public type that a signature in it names."""

import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any

from rexec.access.guard import AccessGuard
from tests.docs.test_parameters import public

OURS = ("rexec", "devicedb", "schemas")


def types_of(annotation: Any) -> Iterator[type[Any]]:
    """Yield our public classes in an annotation; a class is public in a module that is."""
    for part in typing.get_args(annotation):
        for each in part if isinstance(part, list) else (part,):
            yield from types_of(each)
    if inspect.isclass(annotation):
        home, *inner = annotation.__module__.split(".")
        if home in OURS and not any(name.startswith("_") for name in (*inner, annotation.__name__)):
            yield annotation


def named_types(thing: Callable[..., Any]) -> set[type[Any]]:
    """Return our public classes that the signature of a function names, or that of what makes an object."""
    text = inspect.getdoc(thing) or ""
    is_class = inspect.isclass(thing)
    if is_class and ("Made by `" in text or "__init__" not in vars(thing)):
        return set()  # it shows no signature
    try:
        hints = typing.get_type_hints(vars(thing)["__init__"] if is_class else thing)
    except (NameError, TypeError):  # of a package that is imported by type checkers only; of no function
        return set()
    return {each for hint in hints.values() for each in types_of(hint)}


def test_each_type_that_a_signature_names_is_in_the_reference() -> None:
    there = dict(public())
    kept = {found for found in there.values() if inspect.isclass(found)}
    missing = {
        f"{each.__module__}.{each.__name__}: {name}"
        for name, thing in there.items()
        for each in named_types(thing) - kept
    }
    assert not missing, "\n".join(sorted(missing))


def test_a_type_without_an_entry_is_found() -> None:
    def function(guards: dict[str, AccessGuard | None]) -> None: ...

    assert named_types(function) == {AccessGuard}

    class Made:
        """Made by `function`."""

        def __init__(self, guard: AccessGuard) -> None: ...

    assert named_types(Made) == set()
    Made.__doc__ = "Made of one."
    assert named_types(Made) == {AccessGuard}

"""The reference says of each parameter what its name and type do not say."""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "api.md"
DIRECTIVE: Final = re.compile(r"^\.\. auto(module|class|function):: ([\w.]+)\n( +:members:)?", re.MULTILINE)
SAID: Final = frozenset(
    "args kwargs argument arguments keywords options "  # handed on to what the summary names
    "host port path file filename folder timeout seconds duration time text error title message "
    "key name value default metadata persist broadcast origin archive "  # of datasets and devices
    "settings axes signal unit run child tags fn function cls what x i".split()
)
"""Names that say what they are beside their function's; those of ARTIQ's interface mean what they mean there."""


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the functions and methods of the reference, and its classes for what makes an object."""
    for kind, name, with_members in DIRECTIVE.findall(PAGE.read_text(encoding="utf-8")):
        if kind != "module":
            module_name, _, wanted = name.rpartition(".")
            members = {wanted: getattr(importlib.import_module(module_name), wanted)}
        else:
            module = importlib.import_module(name)
            members = {
                each: getattr(module, each)
                for each in getattr(module, "__all__", vars(module))
                if not each.startswith("_") and callable(getattr(module, each, None))
            }
        for each, found in members.items():
            if not str(getattr(found, "__module__", "")).startswith(("rexec", "devicedb", "schemas")):
                continue
            yield f"{name}.{each}", found
            if inspect.isclass(found) and with_members:
                for method, function in vars(found).items():
                    plain = getattr(function, "__func__", function)
                    is_shown = not method.startswith("_") and ":meta private:" not in (plain.__doc__ or "")
                    if inspect.isfunction(plain) and is_shown:
                        yield f"{name}.{each}.{method}", plain


def unsaid(function: Callable[..., Any]) -> list[str]:
    """Return the parameters that neither their names nor the docstring explain."""
    if inspect.isclass(function):
        is_record = dataclasses.is_dataclass(function) or issubclass(function, (BaseException, tuple))
        if is_record or "__init__" not in vars(function) or hasattr(function, "model_fields"):
            return []  # each field says what it is where it stands
    if not (text := inspect.getdoc(function)):
        return []  # of an interface that others define: no entry in the reference
    names = list(inspect.signature(function).parameters)
    return [
        name
        for name in names
        if name not in {"self", "cls", *SAID}
        and not name.startswith("_")
        and not re.search(rf"\b{name}\b", text)
    ]


def test_every_parameter_of_the_reference_is_explained() -> None:
    found = {name: missing for name, function in public() if (missing := unsaid(function))}
    assert not found, "\n".join(f"{name}: {', '.join(missing)}" for name, missing in found.items())


def test_an_unexplained_parameter_is_found() -> None:
    def function(path: str, *, oddity: int) -> None:
        """Do it."""

    assert unsaid(function) == ["oddity"]
    function.__doc__ = "Do it.\n\nArgs:\n    oddity: What is odd.\n"
    assert unsaid(function) == []

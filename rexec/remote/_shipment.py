"""What a function needs on a controller: facts that `_analysis` finds and `_shipper` sends."""

import functools
import types
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from rexec.wire import pyon

Name = tuple[str, ...]
"""What a thing is on the controller: its module there, its kind, its name."""


@dataclass(frozen=True)
class BundlePart:
    """One thing of a bundle.

    Args:
        name: What it is on the controller.
        content: As the controller takes it.
        digest: Of the content.

    """

    name: Name
    content: Any
    digest: str


@dataclass
class Bundle:
    """What is sent for one module: the definitions that a function uses of it.

    Args:
        key: Of its namespace on the controller.
        module: Its name.
        file: Where its source is.
        pieces: Name, first line and source of definitions.
        imports: Name, module, and attribute or None.
        values: By name.
        binds: Name, key of another bundle, name there.
        provided: Name, and the controller's name for it.

    """

    key: str
    module: str
    file: str
    pieces: list[tuple[str, int, str]] = field(default_factory=list)
    imports: list[tuple[str, str, str | None]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    binds: list[tuple[str, str, str]] = field(default_factory=list)
    provided: dict[str, str] = field(default_factory=dict)

    @functools.cached_property
    def code(self) -> list[BundlePart]:
        """All but the values, which alone can still change."""
        lists: dict[str, list[Any]] = {"pieces": self.pieces, "imports": self.imports, "binds": self.binds}
        lists["provided"] = list(self.provided.items())
        return [
            BundlePart((self.key, kind, each[0]), list(each), digest(list(each)))
            for kind, found in lists.items()
            for each in found
        ]

    def data(self) -> list[BundlePart]:
        """Return the values as they are now."""
        return [
            BundlePart((self.key, "values", name), [name, value], digest(value))
            for name, value in self.values.items()
        ]

    def message(self, parts: list[BundlePart]) -> dict[str, Any]:
        """Return some parts as the controller takes them."""
        found: dict[str, Any] = {"key": self.key, "module": self.module, "file": self.file}
        for kind in ("pieces", "imports", "binds", "values", "provided"):
            found[kind] = [part.content for part in parts if part.name[1] == kind]
        return found


def digest(value: Any) -> str:
    """Return a digest of a value that can travel."""
    if isinstance(value, np.ndarray):
        return sha256(f"{value.shape} {value.dtype.str}".encode() + value.tobytes()).hexdigest()
    return sha256(pyon.encode(value).encode()).hexdigest()


@dataclass
class Shipment:
    """All that a function needs: bundles in the order in which they are to be sent."""

    function: str
    key: str
    bundles: list[Bundle]
    modules: list[types.ModuleType]
    wanted: dict[str, str]
    """Names the controller must provide, and where each is used."""

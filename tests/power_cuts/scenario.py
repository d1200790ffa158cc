"""What a scenario is: a program, what it promises meanwhile, and how that is held against what a cut has left."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Promise: TypeAlias = Callable[[Any], None]


class Scenario(ABC):
    """A program whose files must survive.

    Attributes:
        name: Name of the scenario.
        nothing: What has been promised before the first promise.

    """

    name: str
    nothing: Any = 0

    def prepare(self, folder: Path) -> None:  # noqa: B027 - most need nothing
        """Make what is there before; it counts as synced."""

    @abstractmethod
    def run(self, folder: Path, promise: Promise) -> None:
        """Be the program."""

    @abstractmethod
    def check(self, folder: Path, promised: Any) -> str:
        """Return what is wrong with what a cut has left; "": nothing."""

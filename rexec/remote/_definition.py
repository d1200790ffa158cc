"""Functions that are meant for controllers, marked by the decorator `remote`."""

import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from rexec.remote._function import RemoteFunction
from rexec.remote._remote import wrap

P = ParamSpec("P")
R = TypeVar("R")


class RemoteDefinition(Generic[P, R]):
    """A function that is meant for controllers; made by the decorator `remote`."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.rexec_function = function
        functools.update_wrapper(self, function)

    def on(self, where: Any, **options: Any) -> RemoteFunction[P, R]:
        """Return the function on a controller.

        Args:
            where: A `Remote`, or any client with `add_code` and `call`.
            options: See `Remote.function`.

        """
        return wrap(where).function(self.rexec_function, **options)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here."""
        return self.rexec_function(*args, **kwargs)


def remote(function: Callable[P, R]) -> RemoteDefinition[P, R]:
    """Mark a function as one for controllers: `function.on(device)` is the remote one.

    Args:
        function: Defined with `def` (decorator).

    """
    return RemoteDefinition(function)


remote.rexec_decorator = True  # type: ignore[attr-defined]

"""Sends what functions need to a controller, each thing once."""

import inspect
import sys
import types
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from rexec.remote._analysis import Shipment, is_local
from rexec.remote._errors import CannotTravel
from rexec.wire import pyon


class Shipper:
    """Knows what has been sent on behalf of one client.

    Args:
        request: Asks the controller's agent.
        name: Device, for messages.

    """

    def __init__(self, request: Callable[[str, Any], Any], name: str) -> None:
        self._request = request
        self._name = name
        self._shipped: set[str] = set()

    def clear(self) -> None:
        """Take note that nothing is there any more."""
        self._shipped.clear()

    def ship(self, shipment: Shipment) -> None:
        """Send of a shipment what is not there yet.

        Raises:
            CannotTravel: The controller lacks what the function expects of it.

        """
        for module in shipment.modules:
            self.ship_module(module)
        new = []
        seen: set[str] = set()
        for bundle in shipment.bundles:
            message = bundle.message()
            for part in ("pieces", "imports", "binds"):
                message[part] = [each for each in message[part] if self._is_new(bundle.key, part, each, seen)]
            for part in ("values", "provided"):
                message[part] = {
                    name: each
                    for name, each in message[part].items()
                    if self._is_new(bundle.key, part, (name, each), seen)
                }
            if any(message[part] for part in ("pieces", "imports", "binds", "values", "provided")):
                new.append(message)
        if not new:
            return
        missing = self._request("missing", list(shipment.wanted))
        if missing:
            raise CannotTravel(
                "; ".join(
                    f"{shipment.wanted[name]}: {name} is neither defined here nor by {self._name}"
                    for name in missing
                )
            )
        self._request("ship", new)
        self._shipped |= seen

    def _is_new(self, key: str, part: str, thing: Any, seen: set[str]) -> bool:
        digest = sha256(f"{key} {part} {pyon.encode(thing)}".encode()).hexdigest()
        if digest in self._shipped:
            return False
        seen.add(digest)
        return True

    def ship_module(self, module: types.ModuleType, above: frozenset[str] = frozenset()) -> None:
        """Send a whole module, those of its folder that it imports before it.

        Raises:
            CannotTravel: It has no source, or is a package.

        """
        if hasattr(module, "__path__"):
            raise CannotTravel(
                f"{module.__name__} is a package: install it on the controller, or send its modules"
            )
        for value in list(vars(module).values()):
            name = (
                value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
            )
            other = sys.modules.get(name) if isinstance(name, str) else None
            if other is not None and other is not module and is_local(other) and other.__name__ not in above:
                self.ship_module(other, above | {module.__name__})
        try:
            text, file = inspect.getsource(module), inspect.getsourcefile(module) or module.__name__
        except (OSError, TypeError) as error:
            raise CannotTravel(f"the source of {module.__name__} cannot be found: {error}") from None
        seen: set[str] = set()
        if self._is_new(module.__name__, "module", text, seen):
            self._request("ship", [{"module": module.__name__, "file": file, "text": text}])
            self._shipped |= seen
